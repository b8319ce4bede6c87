/* Bits per byte of texts under several models, added up by label, and what choosing a model for each
 * text is worth. Pure. */
#pragma once

#include <stddef.h>

#include "base/str.h"

enum {
    BITS_MODELS_MAX = 64
};

struct bits_sum {
    size_t rows;
    double bytes;
    double bits[BITS_MODELS_MAX]; /* under each model */
};

struct bits {     /* read-only but for bits_add; zero-initialise, then set the first three */
    size_t count; /* models */
    struct str names[BITS_MODELS_MAX];
    size_t generalist;                         /* the model of prompts that no expert is for */
    struct bits_sum by_label[BITS_MODELS_MAX]; /* rows whose right model it is */
    struct bits_sum all;
    double routed_bits;
    double right_bits;
    size_t agreed; /* rows whose routed model is the right one */
};

/* Of all rows. Experts are all models but the generalist. */
struct bits_pool { /* bits per byte */
    double right;
    double routed;
    double best; /* of the one expert that is best for all together */
    double generalist;
    double average; /* of the experts, each for all rows */
    size_t best_model;
    double agreed; /* share of rows */
};

/* The model of that name, or the generalist's. */
size_t bits_model(const struct bits *b, struct str name);

/* One text: which model is right for it, which one the router chose, and its bits under each. */
void bits_add(struct bits *b, size_t right, size_t routed, size_t bytes, const double *bits);

/* Precondition: at least one row with bytes, and one expert. */
struct bits_pool bits_pool(const struct bits *b);
