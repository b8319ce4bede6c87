/* The part of training that gives words meaning: each row's vector (vectors.h), a network per group
 * left out (fit_network.h), and how much its word counts beside the table's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "router/fit_network.h"
#include "router/train_table.h"
#include "router/vectors.h"

struct train_network { /* of all rows; zeroed to start with */
    struct vectors vectors;
    float *x;     /* dims numbers per row */
    float *logit; /* label_count numbers per row, from the network that had not seen its group */
};

/* The vector of each row: of all its hashes that have one. Before train_table_number. Without
 * vectors nothing happens. ST_NO_MEMORY. */
MUST_CHECK enum status train_network_start(struct train_network *t, const struct train_rows *rows,
                                           size_t labels);
void train_network_fini(struct train_network *t); /* zeroed, too */

/* Fits a network to the rows outside `group`, and notes what it says of those inside. The caller
 * frees ret_bytes->ptr with mem_free. ST_NO_MEMORY, ST_INVALID. */
MUST_CHECK enum status train_network_fit(struct train_network *t, const struct train_rows *rows,
                                         size_t group, size_t labels,
                                         const struct fit_network_options *options,
                                         struct str *ret_bytes);

/* The share of the network with the least mean log loss of table + share * network on rows of groups
 * left out, at the best temperature of each; row_weight: of each row. Adds the networks' logits to
 * those of the table. */
float train_network_mix(const struct train_network *t, const struct train_rows *rows,
                        const float *row_weight, size_t labels, float *logits);

/* Multiplies what a network says. */
void train_network_scale(struct str network, size_t labels, float share);
