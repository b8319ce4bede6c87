/* What a decision was made from, without any text of the prompt: what the classifier, the heads, the
 * examples, the guards and the language said, which rule fired, what the budgets had left, how the
 * experts were. Small, of
 * fixed size, and enough to decide again (struct prompt.signals), with the same configuration or
 * another one: receipts (gateway/receipts.h) and the preview of a change (gateway/preview.h) do.
 *
 * Decided again with the same configuration and weights, the same comes out. With another
 * configuration some questions may be new, and nobody can ask them of a prompt that is gone: then the
 * decision says is_guess. Probabilities are the weights' own: other weights are no basis. */
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
    SIGNALS_PURSES_MAX = 16, /* candidates with a budget that are noted */
    SIGNALS_STATES_MAX = 16, /* candidates that were not simply well */
    SIGNALS_BANS_MAX = 8,
    SIGNALS_BYTES_MAX = 2048, /* as signals_write makes them */
};

enum signals_flag {
    SIGNALS_CLASSIFIED = 1,
    SIGNALS_TAUGHT = 2,  /* feedback had a part in the probabilities */
    SIGNALS_KINDS = 4,   /* labels and examples for guarantees were looked for */
    SIGNALS_UNKNOWN = 8, /* of kinds: nobody could tell */
    SIGNALS_TOOL_OPEN = 16,
    SIGNALS_MAX_PRICE = 32,
    SIGNALS_CUT = 64,       /* more bans, purses or states than are noted */
    SIGNALS_WAITS = 128,    /* latencies counted: all candidates have a state */
    SIGNALS_PRESSURE = 256, /* that of a budget counted, or would have */
};

struct signals_share { /* of a category with examples */
    uint32_t name;     /* signals_name of the category */
    float p;
};

struct signals_purse {
    uint32_t name; /* signals_name of the expert */
    bool is_tight;
    int64_t left_nano_usd;
};

struct signals_state { /* how an expert was; absent: well, and nothing is known of its times */
    uint32_t name;     /* signals_name of the expert */
    bool is_shut;
    int64_t opens_ms; /* as in struct policy_health */
    int64_t wait_us;
    int64_t wait_ms; /* of a process that was not loaded */
};

struct signals {
    unsigned flags;   /* enum signals_flag */
    uint64_t weights; /* checksum of the classifier; 0: none */
    uint64_t rule;    /* signals_rule of the one that fired; 0: none */
    uint32_t tenant;  /* signals_name; 0: none */
    uint32_t known;   /* the expert that answered the conversation before; 0: none */
    uint32_t needs;   /* bits of enum policy_need */
    uint32_t turns;
    uint32_t seed;  /* prompt_seed, where the prompt has a session or a split drew */
    uint32_t guard; /* enum guard_kind */
    float guard_score;
    float language_p;
    float english_p;
    int64_t text_bytes;
    int64_t max_tokens;
    int64_t max_price_nano_usd; /* SIGNALS_MAX_PRICE */
    uint64_t kind_labels;       /* SIGNALS_KINDS: of struct guarantee_facts */
    uint64_t kind_examples;     /* a bit for each of custom[] */
    uint32_t label_count;
    uint32_t head_count;
    uint32_t custom_count; /* 0: examples were not asked */
    uint32_t ban_count;
    uint32_t purse_count;
    uint32_t state_count;
    double pressure;                   /* SIGNALS_PRESSURE: of struct prompt */
    char model[SIGNALS_NAME_BYTES];    /* what the client asked for */
    char language[SIGNALS_CODE_BYTES]; /* "": no tables */
    float p[CLASSIFIER_LABELS_MAX];    /* before labels of one category are merged */
    float heads[HEADS_MAX];
    struct signals_share custom[CUSTOM_MAX];
    uint32_t bans[SIGNALS_BANS_MAX];
    struct signals_purse purses[SIGNALS_PURSES_MAX];
    struct signals_state states[SIGNALS_STATES_MAX];
};

/* Takes them from a decision of this prompt. Allocates nothing. */
void signals_take(const struct routes *routes, const struct prompt *prompt,
                  const struct decision *d, struct signals *ret);

/* Makes the prompt that decide() takes for them. Names are looked up in `routes`, with room in `arena`;
 * tenants are the caller's to look up by signals->tenant. ST_NO_MEMORY. */
struct arena;
MUST_CHECK enum status signals_prompt(const struct signals *s, const struct routes *routes,
                                      struct arena *arena, struct prompt *ret_prompt);

/* Names of experts, categories and tenants in signals; never 0. */
uint32_t signals_name(struct str name);

/* What a rule asks of texts and headers, as a number; never 0. */
uint64_t signals_rule(const struct rule *rule);

/* For decide(): the answers that were noted. */
bool signals_fires(const struct signals *s, const struct rule *rule);
void signals_purse(const struct signals *s, struct str expert, struct policy_purse *ret);
/* False: it was not noted. */
bool signals_state(const struct signals *s, struct str expert, struct policy_health *ret_health,
                   int64_t *ret_wait_ms);
/* Whether policies of these tables ask what was not noted. */
bool signals_lack(const struct signals *s, const struct routes *routes);
/* False: it was not asked. */
bool signals_share_of(const struct signals *s, struct str category, float *ret_p);

/* As bytes, little-endian, and back. Returns how many; at most SIGNALS_BYTES_MAX. */
size_t signals_write(const struct signals *s, char bytes[SIGNALS_BYTES_MAX]);
/* ST_INVALID: these are no such bytes. */
MUST_CHECK enum status signals_read(struct str bytes, struct signals *ret);
