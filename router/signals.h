/* What a decision was made from, without any text of the prompt: what the classifier, the heads, the
 * examples, the guards and the language said, which rules fired, what was asked for, what the budgets had
 * left, how the experts were. Small, and enough to decide again (struct prompt.signals), with the same
 * configuration or another one: receipts (gateway/receipts.h) and the preview of a change
 * (gateway/preview.h) do.
 *
 * Decided again with the same configuration and weights, the same comes out. With another
 * configuration some questions may be new, and nobody can ask them of a prompt that is gone: then the
 * decision says which (gaps.h). Probabilities are the weights' own: other weights are no basis. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"
#include "router/classifier.h"
#include "router/custom.h"
#include "router/heads.h"

struct decision;
struct policy_health;
struct policy_purse;
struct prompt;
struct routes;
struct rule;

enum {
    SIGNALS_NAME_BYTES = 138, /* "category/" and a name of 128, NUL */
    SIGNALS_CODE_BYTES = 12,
    SIGNALS_FACTS_MAX = 16, /* that are kept in the struct itself */
    SIGNALS_RULES_MAX = 32,
};

enum signals_flag {
    SIGNALS_CLASSIFIED = 1,
    SIGNALS_TAUGHT = 2,  /* feedback had a part in the probabilities */
    SIGNALS_KINDS = 4,   /* labels and examples for guarantees were looked for */
    SIGNALS_UNKNOWN = 8, /* of kinds: nobody could tell */
    SIGNALS_TOOL_OPEN = 16,
    SIGNALS_MAX_PRICE = 32,
    SIGNALS_CUT = 64,       /* there were more facts than are noted */
    SIGNALS_WAITS = 128,    /* latencies counted: all candidates have a fact */
    SIGNALS_PRESSURE = 256, /* that of a budget counted, or would have */
    SIGNALS_SEED = 512,     /* the seed was taken */
    SIGNALS_LEFT = 1024,    /* a guarantee took the prompt to another category than its first one */
    SIGNALS_CUT_MODEL = 2048, /* its name is longer */
};

struct signals_share { /* of a category with examples */
    uint32_t name;     /* signals_name of the category */
    float p;
};

enum signals_fact_flag {
    SIGNALS_FACT_BAN = 1,   /* the client banned this expert; nothing else is told */
    SIGNALS_FACT_PURSE = 2, /* a budget applied to it */
    SIGNALS_FACT_TIGHT = 4, /* of a purse */
    SIGNALS_FACT_SHUT = 8,
    SIGNALS_FACT_LEFT = 16, /* a candidate of the category that the prompt left */
};

struct signals_fact { /* of a candidate; absent: no budget, well, nothing known of its times */
    uint32_t name;    /* signals_name of the expert */
    unsigned flags;   /* enum signals_fact_flag */
    int64_t left_nano_usd;
    int64_t opens_ms; /* as in struct policy_health */
    int64_t wait_us;
    int64_t wait_ms; /* of a process that was not loaded */
};

struct signals {
    unsigned flags;   /* enum signals_flag */
    uint64_t weights; /* checksum of the classifier; 0: none */
    uint64_t rule;    /* the mark of the one that fired; 0: none */
    uint32_t tenant;  /* signals_name; 0: none */
    uint32_t key;     /* the same of its key's id */
    uint32_t known;   /* the expert that answered the conversation before; 0: none */
    uint32_t needs;   /* bits of enum policy_need */
    uint32_t turns;
    uint32_t seed;  /* SIGNALS_SEED: prompt_seed, where the prompt has a session or a split drew */
    uint32_t guard; /* enum guard_kind */
    float guard_score;
    float language_p;
    float english_p;
    int64_t text_bytes;
    int64_t max_tokens;
    int64_t more_answers;       /* at most 65,535 are kept */
    int64_t max_price_nano_usd; /* SIGNALS_MAX_PRICE */
    uint64_t kind_labels;       /* SIGNALS_KINDS: of struct guarantee_facts */
    uint64_t kind_examples;     /* a bit for each of custom[] */
    uint32_t label_count;
    uint32_t head_count;
    uint32_t custom_count; /* 0: examples were not asked */
    uint32_t rule_count;
    uint32_t fact_count;               /* all there are, those beyond SIGNALS_FACTS_MAX too */
    double pressure;                   /* SIGNALS_PRESSURE: of struct prompt */
    char model[SIGNALS_NAME_BYTES];    /* what the client asked for */
    char language[SIGNALS_CODE_BYTES]; /* "": no tables */
    float p[CLASSIFIER_LABELS_MAX];    /* before labels of one category are merged */
    float heads[HEADS_MAX];
    struct signals_share custom[CUSTOM_MAX];
    uint32_t rules[SIGNALS_RULES_MAX]; /* that asked for texts or headers in vain: signals_tried */
    const struct signals_fact *all;    /* fact_count of them, borrowed; NULL: only these are kept */
    struct signals_fact facts[SIGNALS_FACTS_MAX];
};

/* Takes them from a decision of this prompt. Allocates nothing; `all` is NULL. */
void signals_take(const struct routes *routes, const struct prompt *prompt,
                  const struct decision *d, struct signals *ret);

/* Whether there are more facts than the struct keeps. */
bool signals_is_cut(const struct signals *s);

/* Takes all facts of the same decision, s->fact_count of them, into `room`, which becomes s->all. */
void signals_take_all(const struct prompt *prompt, const struct decision *d, struct signals *s,
                      struct signals_fact *room);

/* Makes the prompt that decide() takes for them. Names are looked up in `routes`, with room in `arena`;
 * tenants are the caller's to look up by signals->tenant. ST_NO_MEMORY. */
struct arena;
MUST_CHECK enum status signals_prompt(const struct signals *s, const struct routes *routes,
                                      struct arena *arena, struct prompt *ret_prompt);

/* Names of experts, categories and tenants in signals; never 0. */
uint32_t signals_name(struct str name);

/* For decide(): the answers that were noted. Whether the texts and headers of a rule were looked for,
 * and whether it fired. */
bool signals_tried(const struct signals *s, const struct rule *rule);
bool signals_fires(const struct signals *s, const struct rule *rule);

/* What is noted of a candidate, of the category that was left or the other one, else of either. NULL:
 * nothing. Borrowed from s. */
const struct signals_fact *signals_fact(const struct signals *s, struct str expert, bool is_left);
/* False: it was not asked. */
bool signals_share_of(const struct signals *s, struct str category, float *ret_p);

/* Appends them as bytes, little-endian. ST_NO_MEMORY, ST_TOO_BIG. */
struct buf;
MUST_CHECK enum status signals_write(const struct signals *s, struct buf *out);
/* And back; more facts than the struct keeps lie in `arena`. ST_INVALID: these are no such bytes;
 * ST_NO_MEMORY. */
MUST_CHECK enum status signals_read(struct str bytes, struct arena *arena, struct signals *ret);
