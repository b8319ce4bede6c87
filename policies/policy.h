/* Policies: verdicts from facts. A policy drops candidates, each with a reason, or ranks them. Pure:
 * no clock, no I/O, no randomness; the same facts give the same verdict. Each policy is one small
 * file that exports one row of policy_table, in order of use. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum policy_need { /* bits: what a prompt needs and what an expert can do */
    POLICY_TOOLS = 1,
    POLICY_JSON = 2,
    POLICY_VISION = 4,
    POLICY_AUDIO = 8,
    POLICY_EMBED = 16, /* vectors instead of an answer */
};

enum {
    POLICY_REASON_BYTES = 120
};

struct policy_purse { /* the budget that has least left for a candidate; zero: none applies */
    struct str budget;
    int64_t left_nano_usd;
    int64_t resets_s; /* since 1970; INT64_MAX: never */
    bool is_tight;    /* one that degrades is past its soft mark */
};

struct policy_health { /* zero: nothing is wrong, nothing is known */
    const char *why;   /* it gets no requests, static text; NULL: it does */
    int64_t opens_ms;  /* of why: until it gets some; -1: not known */
    int64_t wait_us;   /* for a place and the first token, by what was seen */
};

struct policy_candidate {
    struct str name;
    size_t expert;               /* for the caller: which one it is */
    double score;                /* quality in this category, 0..1 as the operator wrote it */
    unsigned capabilities;       /* bits of enum policy_need */
    const struct str *languages; /* codes that it declares */
    size_t language_count;       /* 0: all languages */
    int64_t context_tokens;      /* 0: not known */
    int64_t added_tokens;        /* of what the gateway adds to the prompt for it */
    int64_t cost_nano_usd;       /* estimate for this prompt; 0 too where it is not known */
    bool has_price;              /* the cost is known; an explicit 0 is */
    struct policy_purse purse;
    int64_t wait_ms; /* until its process is loaded; 0: it is, or it has none */
    struct policy_health health;
    struct str barred_by; /* the guarantee that forbids it, or "" */
    struct str unlike;    /* the expert whose embeddings its own are not known to be like, or "" */
    double split_percent; /* > 0: the category's split has drawn it, for so many of 100 */
    bool is_known;        /* answered this conversation before */
    double rank;          /* what candidates are ordered by, largest first; set by policies */
    const char *dropped_by;           /* name of the policy, or NULL while it is in */
    char reason[POLICY_REASON_BYTES]; /* why it was dropped, drawn or moved, or "" */
};

struct policy_request {
    unsigned needs;                 /* bits of enum policy_need */
    struct str language;            /* of the prompt, where that is sure; else "" */
    int64_t prompt_tokens;          /* estimate; of embeddings of the longest text */
    int64_t paid_tokens;            /* estimate; of all texts */
    int64_t completion_tokens;      /* of an answer: what the client allows, or an estimate */
    int64_t paid_completion_tokens; /* the same of all answers that it wants */
    double min_score;               /* of experts that a category lists */
    double cost_weight;             /* lambda: quality that one US cent is worth */
    double latency_weight;          /* quality that one second is worth */
    bool tries_shut;                /* when all experts are shut, the one that opens first is in */
    double switch_cost;             /* score by which another expert must be better to take over */
    bool is_tool_open;              /* a tool call waits: it keeps its expert */
    bool is_forbidden;              /* the key may not use what it was led to */
    struct str led_to;              /* of is_forbidden: a category or an expert */
    const struct str *bans;         /* names of experts */
    size_t ban_count;
    bool has_max_price;
    int64_t max_price_nano_usd;
};

struct policy {
    const char *name;
    const char *sentence; /* for the docs */
    void (*apply)(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count);
};

extern const struct policy policy_allow;
extern const struct policy policy_ban;
extern const struct policy policy_budget;
extern const struct policy policy_floor;
extern const struct policy policy_guarantee;
extern const struct policy policy_capability;
extern const struct policy policy_context;
extern const struct policy policy_cost_quality;
extern const struct policy policy_health;
extern const struct policy policy_latency;
extern const struct policy policy_max_price;
extern const struct policy policy_session;
extern const struct policy policy_split;

/* All policies in order of use, NULL-terminated. */
extern const struct policy *const policy_table[];

/* Runs them all, then orders the candidates: those that are in by rank, the dropped ones last, equal
 * ranks in the order they came in. Returns how many are in. */
size_t policy_apply_all(const struct policy_request *request, struct policy_candidate *candidates,
                        size_t count);

/* For policies: marks a candidate as dropped unless another policy did before. */
void policy_drop(struct policy_candidate *c, const struct policy *by, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
