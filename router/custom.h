/* Categories of the operator's own, from twenty example lines each, beside the labels that the
 * classifier was trained on. Each is a logistic regression of its lines against a background of
 * prompts of every kind and against the lines of the others, over
 *
 *     the text's vector (vectors.h), centred and whitened (whiten.h): what its words mean, where the
 *     weights have vectors
 *     the features of the examples (features.h), each  log(background / prompts with it) / sqrt(n)
 *
 * A category takes a prompt when its score reaches a threshold that CUSTOM_MOVED of the background
 * exceed at most, as measured on prompts that its fit had not seen (4 folds). Below it nothing
 * happens: the classifier's own answer stays as it is, to the bit.
 *
 * Deterministic. Immutable after the fit: any thread may ask. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"

enum {
    CUSTOM_MAX = 32,             /* categories */
    CUSTOM_HASHES_MAX = 4096,    /* features of a prompt that count */
    CUSTOM_CONFUSED_MAX = 3,     /* labels that are told as neighbours */
    CUSTOM_BACKGROUND_MIN = 200, /* prompts; fewer say nothing about one in 250 */
};

static const double CUSTOM_MOVED = 0.008; /* share of the background that may exceed a threshold */
static const float CUSTOM_TAKES = 0.6F;   /* the probability at the threshold */

struct custom_line {
    struct str text;
    int line; /* where it stands in its file */
};

struct custom_source { /* borrowed until the end of custom_fit */
    const struct custom_line *lines;
    size_t count;  /* at least 5 */
    size_t label;  /* of the classifier, which these examples sharpen; or SIZE_MAX */
    size_t parent; /* the source whose prompts these are a part of; or SIZE_MAX */
};

struct custom_confused {
    size_t label; /* of the classifier */
    size_t count; /* of the 20 background prompts that come nearest */
};

/* What cross-validation says: of lines and background prompts that the fit had not seen. */
struct custom_figures {
    size_t lines;
    double recall;    /* share of the lines that the category takes */
    double moved;     /* share of the background prompts that it takes */
    double precision; /* if one prompt in ten belonged to it */
    struct custom_confused confused[CUSTOM_CONFUSED_MAX]; /* most frequent first */
    size_t confused_count;
};

struct custom;

/* Fits. background: prompts, one a line; empty lines and those that begin with # do not count.
 * ST_INVALID: fewer than CUSTOM_BACKGROUND_MIN prompts; ST_NO_MEMORY. */
MUST_CHECK enum status custom_fit(const struct classifier *classifier, struct str background,
                                  const struct custom_source *sources, size_t count,
                                  struct custom **ret_custom);
void custom_destroy(struct custom *c); /* NULL allowed */

const struct custom_figures *custom_figures_of(const struct custom *c, size_t source);

/* The probability of each source, for a prompt with these features (classifier_hashes) that the
 * classifier says this of. Those from CUSTOM_TAKES on take it. Where the classifier is sure of a label
 * that the examples have little to do with, a source has a part of what it leaves at most. Returns the
 * surest source. */
size_t custom_judge(const struct custom *c, const uint32_t *hashes, size_t count,
                    const struct classifier_result *r, float ret_p[CUSTOM_MAX]);

/* Why: the features that speak most for the source, heaviest first, `meaning` for what the vector
 * says and `prior` for the bias; all of them add up to its score. Texts live as long as c. */
size_t custom_explain(const struct custom *c, size_t source, const uint32_t *hashes, size_t count,
                      const float *vector, struct classifier_evidence *ret_evidence, size_t max);

/* The line number of the source's example that is most alike. */
int custom_nearest(const struct custom *c, size_t source, const uint32_t *hashes, size_t count,
                   const float *vector);
