/* See permit.h. */
#include "router/permit.h"

#include "base/glob.h"

bool permit_allows(const struct permit *permit, struct str model)
{
    if (permit->allow == NULL) {
        return true;
    }
    for (size_t i = 0; i < permit->allow_count; i++) {
        if (glob_matches(permit->allow[i], model)) {
            return true;
        }
    }
    return false;
}
