/* Bytes as a network of two inputs and two labels: whatever is accepted runs, and the shares of its
 * inputs add up. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/network.h"

enum {
    INPUTS = 2,
    LABELS = 2,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_network(const struct network *n)
{
    static const float x[INPUTS] = {0.6F, -0.8F};
    float hidden[NETWORK_HIDDEN_MAX];
    float logit[LABELS];
    float slope[INPUTS];
    float constant = 0.0F;
    network_run(n, x, hidden, logit);
    for (size_t k = 0; k < LABELS; k++) {
        network_slope(n, hidden, k, slope, &constant);
        double sum = (double)constant + (double)(x[0] * slope[0]) + (double)(x[1] * slope[1]);
        /* a million times a million, 512 times over, in floats of seven digits */
        ASSERT(isfinite(logit[k]) && fabs(sum - (double)logit[k]) < 1e12);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *bytes = mem_alloc(size); /* its own block: reads beyond the end are seen */
    ASSERT(bytes != NULL);
    if (size > 0) {
        memcpy(bytes, data, size);
    }
    struct network n;
    enum status st = network_read((struct str){bytes, size}, INPUTS, LABELS, &n);
    ASSERT(st == ST_OK || st == ST_INVALID);
    ASSERT((n.inputs == INPUTS) == (st == ST_OK && size > 0));
    if (n.inputs > 0) {
        check_network(&n);
    }
    mem_free(bytes);
    return 0;
}
