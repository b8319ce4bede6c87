/* Training of the domain classifier: labelled prompts -> a weights file. Offline work: takes
 * minutes and hundreds of megabytes for a hundred thousand rows.
 *
 * The rows become distinct hashed features (features.h); features that fewer than two rows have are
 * dropped; both models are fitted (fit.h), each bucket of the table keeps the features that matter
 * most, and both models are fitted again on those. With word vectors, a network over the mean vector
 * of each row is fitted beside them (train_network.h).
 *
 * Every row belongs to a group of sources. The same procedure is repeated with each group left out,
 * and what the model then says about the rows of that group fits the calibration and the curves and
 * gives the figures of the report: prompts of sources that training has not seen, as in service.
 *
 * One thread calls; train_run starts options.threads. The result depends on the rows, their order
 * and the options (seed included), not on the number of threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "router/calibrate.h"
#include "router/classifier.h"
#include "router/fit.h"
#include "router/fit_network.h"

enum {
    TRAIN_GROUPS = 5,
};

struct train_options {
    struct fit_options fit;
    struct fit_network_options network;
    struct str
        vectors;      /* word vectors (vectors.h), borrowed while the trainer lives; empty: none */
    uint32_t buckets; /* of four features each */
    int threads;
    /* Called from one thread at a time, NULL: not at all. */
    void (*on_progress)(void *ctx, const char *what, size_t done, size_t of);
    void *ctx;
};

struct train_row { /* borrowed for the call */
    struct str text;
    struct str label;
    struct str source;   /* decides the group, */
    struct str original; /* with this text, or with `text` where it is empty: prompts.h */
    const struct str *accept;
    size_t accept_count;
    double weight; /* 1: counts once */
    const uint32_t
        *hashes; /* of its features, distinct, where there is no text: feedback; or NULL */
    size_t hash_count;
};

struct train_group { /* what a model says that was trained without this group */
    const char *name;
    size_t rows;
    double accuracy;
    double accuracy_accept;
    double ece; /* with the calibration of the report */
};

struct train_report {
    struct train_group groups[TRAIN_GROUPS];
    size_t group_count; /* those that have rows; 0 when there is but one: nothing to leave out */
    size_t rows;
    size_t features;     /* that at least two rows have */
    size_t kept;         /* that found a place in the table */
    float network_share; /* of the network's evidence beside the table's; 0: no vectors */
    struct calibration calibration;
};

struct trainer;

void train_options_default(struct train_options *ret_options);

/* Group of a source: textbooks ("openstax/..."), templates ("synthetic..."), or one of three into
 * which the other sources fall by the hash of their name up to the first ':', '@' or '#'. Prompts
 * written for this project ("authored", "own") are spread over those three by their text: the model in
 * service knows their style, so the ones that judge it must too. */
size_t train_group_of(struct str source, struct str text);

struct trainer *train_create(const struct train_options *options); /* NULL: no memory */
void train_destroy(struct trainer *t);                             /* NULL allowed */

/* Adds a row. ST_NO_MEMORY; ST_TOO_BIG: more than 64 labels; ST_INVALID: empty label or over 64
 * bytes, or a weight that is not positive. */
MUST_CHECK enum status train_add(struct trainer *t, const struct train_row *row);

/* Has a row this label, or does one accept it? */
bool train_has_label(const struct trainer *t, struct str label);

/* Fits. Labels that only occur as `accept` are ignored; labels are put into alphabetical order.
 * ST_INVALID: fewer than two labels; ST_NO_MEMORY. Once per trainer. */
MUST_CHECK enum status train_run(struct trainer *t, struct train_report *ret_report);

/* After train_run: the labels, in the order of the weights. Borrowed from the trainer. */
size_t train_label_count(const struct trainer *t);
struct str train_label(const struct trainer *t, size_t index);

/* After train_run: what the model says of a row (numbered in the order of train_add) that has seen
 * nothing of its group, calibrated as the weights are. Returns the group, as train_group_of does;
 * TRAIN_GROUPS, and nothing else, when no group was left out. */
size_t train_left_out(const struct trainer *t, size_t row, struct classifier_result *ret_result);

const char *train_group_name(size_t group);

/* Writes the weights after train_run. `card` is the training card, JSON. ST_IO, ST_NO_MEMORY,
 * ST_INVALID. */
MUST_CHECK enum status train_save(const struct trainer *t, struct str card, const char *path);
