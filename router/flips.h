/* How often the best label changes when the text changes as perturb.h does. Plain sums; one owner. */
#pragma once

#include <stddef.h>

#include "base/buf.h"
#include "base/status.h"
#include "router/classifier.h"
#include "router/perturb.h"

struct flips_count {
    size_t rows;
    size_t flipped;       /* the best label is another one */
    size_t above;         /* rows at or above the threshold before the change */
    size_t above_flipped; /* ... whose best label is another one */
    size_t rerouted;      /* the category is another one; below the threshold it is general */
};

struct flips {
    double threshold;
    size_t general; /* index of the label; no label of that index: none */
    struct flips_count kinds[PERTURB_KINDS];
};

/* What was said of a text before and after the change. */
void flips_add(struct flips *f, enum perturb_kind kind, const struct classifier_result *before,
               const struct classifier_result *after);

/* Sums over all kinds. */
struct flips_count flips_total(const struct flips *f);

/* A table; or one JSON object {"all": {...}, KIND: {"rows", "flip_rate", "above", "above_flip_rate",
 * "reroute_rate"}, ...}. Rates without rows are 0. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status flips_write_text(const struct flips *f, struct buf *out);
MUST_CHECK enum status flips_write_json(const struct flips *f, struct buf *out);
