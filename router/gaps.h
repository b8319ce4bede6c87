/* What a decision had to guess: it was made again from signals (signals.h), and a policy, a rule or a
 * guarantee asked for a fact that was not noted. */
#pragma once

#include <stddef.h>

#include "base/str.h"

/* X(name, word, sentence): the fact, of `name` where the sentence speaks of one */
#define GAPS(X)                                                                                    \
    X(WEIGHTS, "weights", "what these weights say of it: others were in use")                      \
    X(SCORES, "scores", "what the classifier says of it: nobody asked")                            \
    X(EXAMPLES, "examples", "how like the examples of a category it is")                           \
    X(RULE, "rule", "whether it had the text and the headers of a rule")                           \
    X(KINDS, "kinds", "what the guarantees would have seen in it")                                 \
    X(DRAW, "draw", "what the split of a category draws for it")                                   \
    X(WAIT, "wait", "how long an expert would have taken to begin")                                \
    X(EXPERTS, "experts", "how more of its experts were than were noted")                          \
    X(PRESSURE, "pressure", "how far the budget of policies.degrade was spent")                    \
    X(MODEL, "model", "the whole name that it asked for: it is too long")                          \
    X(TENANT, "tenant", "what its key may use: its tenant is not here")                            \
    X(KEY, "key", "with which key it came, which budgets ask")

enum gap_kind {
#define GAPS_MEMBER(name, word, sentence) GAP_##name,
    GAPS(GAPS_MEMBER)
#undef GAPS_MEMBER
    GAP_KINDS_COUNT
};

enum {
    GAPS_MAX = 12 /* that are told apart; more of them count */
};

struct gap {
    enum gap_kind kind;
    struct str name; /* of a rule, a category, an expert; or "" */
};

struct gaps {
    size_t count; /* 0: everything was known */
    struct gap items[GAPS_MAX];
};

/* Adds one, once. Borrows the name. */
void gaps_add(struct gaps *gaps, enum gap_kind kind, struct str name);

const char *gap_word(enum gap_kind kind);     /* for programs */
const char *gap_sentence(enum gap_kind kind); /* "what the classifier says of it: nobody asked" */
