/* See uncertainty.h. */
#include "router/uncertainty.h"

float uncertainty_confidence(enum uncertainty_method method, const struct classifier_result *r,
                             size_t general)
{
    return method == UNCERTAINTY_ENTROPY ? 1.0F - classifier_uncertainty(r, general)
                                         : r->p[r->best];
}

uint64_t uncertainty_set(const struct classifier_result *r, float least)
{
    uint64_t set = 0;
    for (size_t i = 0; i < r->count; i++) {
        set |= (uint64_t)(r->p[i] >= least) << i;
    }
    return set;
}
