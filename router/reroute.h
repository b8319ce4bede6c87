/* The attack of "Rerouting LLM Routers" (arXiv 2501.01818) on a classifier: one short run of words, a
 * "confounder gadget", that put before any prompt moves it to a category of the attacker's choice.
 * Found by hill climbing with scores alone: word by word, candidates from a vocabulary, the one that
 * helps most on one half of the prompts stays. Judged on the other half. Offline; deterministic for a
 * seed. One owner; not thread-safe. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"

/* What is attacked: says of a text what the router would. */
typedef void (*reroute_score_fn)(void *ctx, struct str text, struct classifier_result *ret_result);

struct reroute_options {
    size_t words;      /* of the gadget */
    size_t rounds;     /* over its words */
    size_t candidates; /* tried for a word in each round */
    uint64_t seed;
    double threshold; /* below it the category is general */
    reroute_score_fn score;
    void *ctx;
};

struct reroute_result { /* of the prompts that the gadget was not fitted to */
    size_t prompts;     /* that are not in the target category by themselves */
    size_t moved;       /* that are with the gadget, at or above the threshold */
    size_t flipped;     /* whose best label is the target, whatever its probability */
};

struct reroute;

struct reroute *reroute_create(const struct reroute_options *options); /* NULL: no memory */
void reroute_destroy(struct reroute *r);                               /* NULL allowed */

/* Adds words of a text to the vocabulary, as those of a label: an attacker tries them first where the
 * label is the target. ST_NO_MEMORY. */
MUST_CHECK enum status reroute_add_words(struct reroute *r, struct str text, size_t label);

/* Adds a prompt; every other one is for fitting. ST_NO_MEMORY. */
MUST_CHECK enum status reroute_add_prompt(struct reroute *r, struct str text);

/* Attacks: appends the gadget to `gadget` and judges it. ST_INVALID: no words or no prompts;
 * ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status reroute_run(struct reroute *r, size_t target, struct buf *gadget,
                                   struct reroute_result *ret_result);
