/* Rules: the operator's own decisions, before the classifier. A rule fires when everything under
 * `when` holds: headers of the request, a regular expression on the last user message, the model
 * name, what heads of the classifier say. First match wins. Rules without `model` apply to requests for `auto` only. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "base/str.h"
#include "router/prompt.h"

struct rule_header {
    struct str name;
    struct str value;
};

struct rule_head { /* a head (heads.h) and within what its value must lie */
    struct key_id id;
    double min;
    double max;
    size_t index; /* among the heads of the weights; routes.c sets it */
};

struct rule_when {
    struct rule_header *headers;
    size_t header_count;
    struct key_array heads; /* struct rule_head */
    struct str text;        /* PCRE2, UTF, case-sensitive unless (?i) */
    struct str model;       /* exact name */
    void *pattern;          /* compiled, or NULL */
};

struct rule {
    struct key_id id;
    struct str name;
    struct rule_when when;
    struct str category; /* one of the two is set */
    struct str expert;
    uint64_t mark; /* what it asks, as a number; never 0. rule_build sets it */
};

extern const struct keys rule_keys;

struct expert;
struct policy_health;
struct policy_purse;

/* What is known of a request. */
struct rule_facts {
    const struct prompt *prompt;
    /* its headers, asked for by lower-case name; the empty string where there is none */
    struct str (*header)(void *ctx, struct str name);
    void *ctx;
    /* the budget that has least left for an expert, see policy.h; NULL: there are no budgets */
    void (*purse)(void *ctx, struct str expert, struct str category, struct policy_purse *ret);
    /* how an expert is, see policy.h; NULL: nobody looks */
    void (*health)(void *ctx, const struct expert *expert, struct policy_health *ret);
};

struct rules_scratch; /* per thread */

struct rules_scratch *rules_scratch_create(void); /* NULL: no memory */
void rules_scratch_destroy(struct rules_scratch *s);

/* Compiles the pattern and checks the rule. Mistakes go to reader->diags: ST_INVALID. */
MUST_CHECK enum status rule_build(struct rule *rule, struct key_reader *reader, struct str file);
void rule_fini(struct rule *rule);

/* Whether it asks for texts or headers: what only the prompt itself can tell. */
bool rule_reads(const struct rule *rule);

/* Whether it is for requests that name this model. */
bool rule_is_for(const struct rule *rule, struct str model);

/* Whether the rule fires, as far as its heads let it. A pattern that exceeds its match limit does not match. */
bool rule_matches(const struct rule *rule, struct rules_scratch *s, const struct rule_facts *facts);

/* Whether the values of the weights' heads lie where the rule wants them. NULL: the classifier was
 * not asked, which holds only for a rule without heads. */
bool rule_heads_hold(const struct rule *rule, const float *values);
