/* The category of a turn within its conversation, and whether the topic changed.
 *
 * Two explanations compete for each user turn: it goes on with what went before, or it starts (or
 * comes back to) another topic. How likely a change is beforehand depends on the turn's shape; what
 * the classifier reads in the turn then decides by Bayes' rule:
 *
 *     stay   = (1 - prior) * sum over categories of context * evidence
 *     change =      prior  * sum over categories of other   * evidence
 *
 * `context` is what the classifier says about the last exchanges, each weighted by how surely the
 * topic has not changed since; `other` spreads over all other categories, with a share for those the
 * conversation has been in. The answer mixes "the turn read together with its context" and "the turn
 * alone, elsewhere", in these proportions. The first turn is what the classifier says of it.
 *
 * Pure but for the classifier's scratch. Looks at the opening turn and the last ones; calls the
 * classifier at most 2 * CONVERSATION_TURNS_MAX times. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "router/classifier.h"
#include "router/turn_shape.h"

enum {
    CONVERSATION_TURNS_MAX = 6,   /* the opening turn and the last five */
    CONVERSATION_CONTEXT_MAX = 3, /* exchanges that make the context of a turn */
    CONVERSATION_SEGMENTS_MAX = 2 * CONVERSATION_CONTEXT_MAX + 3,
};

struct conversation_turn {
    struct str user;
    struct str reply; /* what the assistant said to it; may be empty */
};

struct conversation { /* borrows its texts */
    struct conversation_turn
        turns[CONVERSATION_TURNS_MAX]; /* oldest first; the last is asked now */
    size_t count;
    struct str system; /* may be empty */
};

struct conversation_params {  /* see conversation_defaults */
    double change;            /* log odds of a change: for a turn of six words */
    double change_by_length;  /* ... per log(words / 6) */
    double change_announced;  /* ... when the turn announces it */
    double change_continuing; /* ... when the turn starts as a continuation */
    double decay;             /* weight of an exchange against the one after it */
    double reply;             /* weight of a reply against its question */
    double system;            /* weight of the system prompt against the turn */
    double sharpness;         /* power of what is said about context: several turns agree */
    double comeback;          /* share of a change that goes to categories seen before */
    double general;           /* log odds taken from `general` in turns after the first: a short
                                 follow-up looks general when it stands alone */
};

extern const struct conversation_params conversation_defaults;

struct conversation_model {
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    const struct conversation_params *params;
};

struct conversation_notes { /* why the category is what it is */
    size_t turns;           /* user turns looked at */
    size_t topic;           /* label of what went before; with one turn, of the turn itself */
    float topic_p;
    size_t alone; /* label of the turn alone */
    float alone_p;
    float change;    /* probability that the topic changed; 0 with one turn */
    bool is_changed; /* it is over one half */
    struct turn_shape shape;
    struct classifier_segment segments[CONVERSATION_SEGMENTS_MAX]; /* the texts that decided */
    size_t segment_count;
};

/* Scores the last turn within its conversation. ret_scores: p, best and entropy say the category of
 * the turn; logit is of the texts that decided (ret_notes->segments); features and known are of the
 * last turn. An empty conversation gives the priors. */
void conversation_score(const struct conversation_model *model, const struct conversation *talk,
                        struct classifier_result *ret_scores, struct conversation_notes *ret_notes);

/* One sentence for people: "the turn announces another topic". Static text. */
const char *conversation_why(const struct conversation_notes *notes);

/* The step of the filter, for tests and tuning. */
struct conversation_step {
    size_t count;         /* labels */
    const float *context; /* distribution: what went before is about */
    const float *turn;    /* distribution: what the turn alone says, `general` discounted */
    const float *seen;    /* per label, 0..1: how surely the conversation has been there */
    double prior;         /* probability of a change beforehand */
    double comeback;      /* as in the parameters */
};

/* The probability that the topic changed. ret_moved[count]: the distribution if it did. */
double conversation_change(const struct conversation_step *step, float *ret_moved);

/* The probability of a change beforehand, from the shape alone. */
double conversation_prior(const struct conversation_params *params, const struct turn_shape *shape);
