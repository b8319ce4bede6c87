/* The routing tables of one configuration: experts, categories, aliases, rules, the classifier.
 * Immutable after routes_build; part of the snapshot. Owns the YAML keys experts, aliases, router,
 * categories, policies, rules, guarantees, tests. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/expert.h"
#include "base/keys.h"
#include "base/table.h"
#include "router/classifier.h"
#include "router/custom.h"
#include "router/guarantees.h"
#include "router/language.h"
#include "router/plan_settings.h"
#include "router/rules.h"
#include "router/thresholds.h"

struct category_expert {
    struct key_id id;
    struct str name; /* as written */
    double score;
    const struct expert *expert;
};

struct category_split { /* of a category: for some of its requests this expert comes first */
    struct key_id id;
    struct str name; /* one of its experts */
    double percent;
};

struct category {
    struct key_id id;
    struct key_array experts; /* of struct category_expert */
    struct str title;
    double threshold;              /* 0: router.threshold or router.target say it */
    struct key_texts labels;       /* of the classifier that feed it; none: the one of its name */
    struct key_texts examples;     /* one: a path; several: the prompts themselves */
    struct str parent_name;        /* "": none */
    const struct category *parent; /* built; NULL: none */
    struct str model;              /* the name that clients use: category/NAME */
    struct edits edits;            /* of the bodies that its experts get */
    struct caching caching;
    int cold; /* enum warm_rule: what happens when the best expert's process is not loaded */
    double cold_margin;
    struct key_array splits; /* of struct category_split */
    size_t index;            /* among the categories */
};

struct alias {
    struct str name;
    struct pos pos;
    struct str *names;
    const struct expert **experts;
    size_t count;
};

struct alias_list {
    struct alias *items;
    size_t count;
};

struct router_online { /* learning from feedback while serving, see online.h */
    bool enabled;
    double rate;
    double cap;
    int64_t reservoir;
};

struct session_settings {
    bool affinity;
    double switch_cost;
    int64_t ttl_s;
};

struct target_settings { /* 0: not given; at most one is */
    double precision;
    double coverage;
};

struct uncertainty_settings {
    int method; /* enum uncertainty_method */
    double alpha;
    int64_t set_max;
};

struct router_settings {
    struct str model; /* path of the weights */
    double threshold;
    struct target_settings target;
    struct uncertainty_settings uncertainty;
    struct str general;
    struct router_online online;
    struct session_settings session;
    struct str background;   /* path of the prompts that examples are told from, or "" */
    struct str languages;    /* path of the language tables */
    struct str multilingual; /* name of a category, or "" */
    struct str code;         /* name of a category, or "" */
    struct str embeddings;   /* name of an alias or expert, or "" */
};

struct degrade_settings {
    struct str budget; /* its name; "": none */
    double start;
    double weight;
};

enum policy_all_open { /* what a request gets when every expert's breaker is open */
    POLICY_REFUSE,
    POLICY_TRY, /* the expert that opens to probes first */
};

struct policy_settings {
    struct plan_settings plan;
    struct plan_hedge hedge;
    double cost_weight;
    double min_score;
    struct degrade_settings degrade;
    double latency_weight;
    int when_all_open;             /* enum policy_all_open */
    struct limits_breaker breaker; /* of experts that have none of their own */
};

struct route_expectation {
    struct str category;
    struct str expert;
};

struct route_test {
    struct key_id id;
    struct str prompt;
    struct route_expectation expect;
};

struct routes {
    /* as decoded */
    struct key_array experts; /* of struct expert */
    struct alias_list aliases;
    struct router_settings router;
    struct key_array categories; /* of struct category */
    struct policy_settings policies;
    struct key_array rules;      /* of struct rule */
    struct key_array guarantees; /* of struct guarantee */
    struct key_array tests;      /* of struct route_test */

    /* built */
    struct classifier *classifier;                        /* NULL: no weights configured */
    struct custom *custom;                                /* NULL: no category has examples */
    const struct category *custom_categories[CUSTOM_MAX]; /* its sources -> category */
    size_t custom_count;
    bool has_merged;                     /* a category is fed by several labels */
    struct language_model *languages;    /* NULL: no tables configured */
    const struct category *multilingual; /* for unsure prompts in other languages; NULL: general */
    const struct category *code;         /* for unsure prompts of code or logs; NULL: general */
    struct table *expert_names;          /* -> struct expert */
    struct table *category_names;        /* -> struct category */
    struct table *alias_names;           /* -> struct alias */
    const struct category *general;      /* NULL: no categories */
    const struct category *label_categories[CLASSIFIER_LABELS_MAX]; /* label -> category */
    struct thresholds thresholds;

    /* Whether private data is replaced in prompts of a category ("": none; then what is for some
     * categories counts too) of these tenants (none: whoever there is) for an expert. Set by whoever
     * knows, before prove_redaction; NULL: it never is. */
    enum redaction (*redaction)(const void *ctx, struct str category,
                                const struct key_texts *tenants, const struct expert *expert);
    const void *redaction_ctx;
};

/* Rows for the root table of the configuration; offsets are relative to struct routes. */
enum {
    ROUTES_ROW_COUNT = 8
};
extern const struct key routes_rows[ROUTES_ROW_COUNT];

/* Second and third pass: resolves names, checks what must hold between blocks, loads the weights,
 * creates kernels, compiles rules. All mistakes go to reader->diags: ST_INVALID; ST_NO_MEMORY. */
MUST_CHECK enum status routes_build(struct routes *routes, struct key_reader *reader,
                                    struct str file);

/* Proves the guarantees, and says what has no effect; after routes_build, and before anybody is served.
 * ST_INVALID: a path leaves a guarantee's set, or a rule never fires. */
MUST_CHECK enum status routes_prove(const struct routes *routes, struct key_reader *reader,
                                    struct str file);

/* Runs `tests:`; failures go to reader->diags: ST_INVALID. After routes_build. */
MUST_CHECK enum status routes_run_tests(struct routes *routes, struct key_reader *reader,
                                        struct str file);

void routes_fini(struct routes *routes); /* half-built too */

struct expert *routes_expert(const struct routes *routes, struct str name);     /* or NULL */
struct category *routes_category(const struct routes *routes, struct str name); /* or NULL */
struct str routes_uncertainty_text(const struct routes *routes);          /* the method's name */
struct alias *routes_alias(const struct routes *routes, struct str name); /* or NULL */

/* Whether this expert, or an expert of this alias, embeds. */
bool routes_embeds(const struct routes *routes, struct str name);

/* Whether the model auto leads anywhere: of chats by their category, of embeddings by router.embeddings. */
bool routes_has_auto(const struct routes *routes);
