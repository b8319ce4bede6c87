/* The simplest classifier there is, to compare with: per label the sum of the tf-idf vectors of its
 * training rows (hashed words, each row of length 1), the answer is the label whose sum points most
 * in the direction of the text's own vector (cosine). Fits a hundred thousand rows in seconds.
 * Not for serving. One owner; not thread-safe. */
#pragma once

#include <stddef.h>

#include "base/status.h"
#include "base/str.h"

enum {
    CENTROID_LABELS_MAX = 64,
};

struct centroid;

/* label_count: 1..CENTROID_LABELS_MAX. NULL: no memory. */
struct centroid *centroid_create(size_t label_count);
void centroid_destroy(struct centroid *c); /* NULL allowed */

/* Adds a training row; label below label_count. Not after centroid_fit. ST_NO_MEMORY. */
MUST_CHECK enum status centroid_add(struct centroid *c, struct str text, size_t label);

/* Makes the sums out of the rows. Once. ST_NO_MEMORY. */
MUST_CHECK enum status centroid_fit(struct centroid *c);

/* After centroid_fit. A text without a known word is the most frequent label's. */
size_t centroid_best(struct centroid *c, struct str text);
