/* From rows of hashed features to the table of a weights file: which features there are, which of
 * them find a place, and their int8 rows. The part of training that knows both hashes and models;
 * text, groups and calibration are train.c's. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "router/fit.h"
#include "router/weights.h"

struct train_sample { /* a row */
    size_t at;        /* in train_rows.ids */
    uint32_t count;
    uint32_t features;
    uint32_t known; /* of its features, to the model that had not seen its group */
    float weight;
    uint8_t group;
    uint8_t label;
    uint64_t accept;
};

struct train_rows { /* filled by the caller, who frees the blocks with mem_free */
    struct train_sample *samples;
    size_t sample_count;
    uint32_t *ids; /* hashes of features; numbers below feature_count after _number */
    size_t id_count;
    uint32_t *hashes; /* of each number; made by _number */
    uint32_t feature_count;
};

struct train_table { /* weights without card and calibration */
    struct weights weights;
    uint8_t *bytes; /* what weights.table points to */
    size_t kept;    /* features that found a place */
};

/* Replaces hashes by numbers of features that at least two rows have; the others leave ids and
 * sample.count. Once. ST_NO_MEMORY. */
MUST_CHECK enum status train_table_number(struct train_rows *rows);

/* Fits models to the rows outside `group` and builds their table. ret_table->weights comes in with
 * labels and bucket_count set. The caller frees ret_table->bytes with mem_free, also after an error.
 * ST_NO_MEMORY. */
MUST_CHECK enum status train_table_fit(const struct train_rows *rows, size_t group,
                                       const struct fit_options *options,
                                       struct train_table *ret_table);

/* What the table says about the rows of `group`: label_count logits per row of all rows, and
 * sample.known. Other rows are left alone. */
void train_table_score(struct train_rows *rows, size_t group, const struct train_table *table,
                       float *ret_logits);
