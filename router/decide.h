/* The decision: a prompt and the routing tables -> category, candidates with verdicts, plan. The one
 * code path that serves live requests, POST /v1/route, `expertd route` and the tests in the YAML.
 * Pure but for the scratch: no clock, no I/O, no locks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "policies/policy.h"
#include "router/classifier.h"
#include "router/gaps.h"
#include "router/guards.h"
#include "router/heads.h"
#include "router/language.h"
#include "router/online.h"
#include "router/plan.h"
#include "router/prompt.h"
#include "router/routes.h"
#include "router/rules.h"

enum decide_source {   /* who decided */
    DECIDE_EXPERT,     /* the client named an expert */
    DECIDE_ALIAS,      /* the client named an alias */
    DECIDE_CATEGORY,   /* the client named category/NAME */
    DECIDE_RULE,       /* a rule fired */
    DECIDE_CLASSIFIER, /* the classifier was sure enough */
    DECIDE_GENERAL,    /* it was not: the general category */
    DECIDE_GUARD,    /* noise or nothing: general; code or a log, and the classifier unsure: code */
    DECIDE_LANGUAGE, /* not English, and the classifier unsure: multilingual */
    DECIDE_EXAMPLES, /* the examples of a category: it, or its parent where they are not sure */
    DECIDE_GUARANTEE, /* a guarantee left nobody of that category: its own takes the prompt */
};

enum decide_session {        /* what became of the expert that answered the conversation before */
    DECIDE_SESSION_NONE,     /* not asked: a named expert or alias, or affinity is off */
    DECIDE_SESSION_NEW,      /* none is remembered */
    DECIDE_SESSION_KEPT,     /* it comes first again */
    DECIDE_SESSION_SWITCHED, /* another one comes first */
};

struct decide_scratch { /* per thread */
    struct classifier_scratch *classifier;
    struct rules_scratch *rules;
    struct online_delta *delta; /* what feedback taught; NULL: nothing. The owner's reference */
    uint32_t hashes[ONLINE_HASHES_MAX];
    uint32_t *all_hashes; /* CUSTOM_HASHES_MAX */
};

struct decide_left { /* where a prompt was led that a guarantee then took elsewhere */
    const struct category *category;           /* NULL: nowhere */
    const struct policy_candidate *candidates; /* all of them dropped; in the arena */
    size_t count;
};

struct decision {
    enum decide_source source;
    const struct rule *rule;         /* DECIDE_RULE */
    const struct rule *fired;        /* the first, also where its category gave way; NULL: none */
    const struct category *category; /* NULL for named experts and aliases */
    struct str category_name;        /* "" when there is none */
    struct str named;                /* without a category: the alias or expert */
    struct guard guard;              /* private: decide_guard */
    bool is_judged;                  /* guard is filled */
    struct language_guess language;  /* of it, or of the opening turn; code "" without tables */
    bool is_classified;              /* scores are filled */
    struct classifier_result scores;
    float unmerged[CLASSIFIER_LABELS_MAX]; /* with routes->has_merged: the probabilities before */
    bool is_taught; /* feedback has corrected scores; notes stay as they were */
    float taught;   /* what the best label's logit gained by it */
    float untaught[CLASSIFIER_LABELS_MAX]; /* of is_taught: the probabilities before */
    struct conversation_notes notes;       /* of is_classified: what the conversation said to it */
    bool is_sure;                          /* of is_classified: by the thresholds */
    size_t head_count;                     /* of is_classified: the heads of the weights, */
    float heads[HEADS_MAX];                /* in their order (classifier_heads) */
    size_t custom;                         /* with routes->custom: the surest source, */
    float custom_p[CUSTOM_MAX];            /* and the probabilities of all: custom_judge */
    bool has_custom;                       /* custom and custom_p are filled */
    struct gaps *gaps; /* of a prompt known by its signals: what they do not tell; in the arena */
    float confidence;  /* of the category: calibrated probability, or 1 when it was given */
    float certainty;   /* of is_classified: what was compared with the threshold */
    uint64_t set;      /* of is_classified: labels of the conformal set; 0 with other methods */
    struct guarantee_facts kinds;        /* what guarantees hold for */
    struct policy_candidate *candidates; /* best first, dropped ones last; in the arena */
    const struct expert **experts;       /* of the candidates, same order */
    size_t candidate_count;
    struct decide_left left;
    bool is_cold;       /* cold_apply: nobody answers now, the best one's process is being loaded */
    double cost_weight; /* with what policies.degrade has added */
    enum decide_session session;
    struct plan plan;
};

MUST_CHECK enum status decide_scratch_init(struct decide_scratch *s); /* ST_NO_MEMORY */
void decide_scratch_fini(struct decide_scratch *s);

/* Decides. Embeddings go where the client says, or router.embeddings for auto, and to experts of one
 * space alone. ST_NOT_FOUND: the model is no auto, category/NAME, alias or expert, or for embeddings no
 * alias or expert. ST_INVALID: every candidate was dropped (the decision says why, its plan is empty). ST_NO_MEMORY. On ST_OK the plan
 * has at least one expert. `header` in facts may be NULL. */
MUST_CHECK enum status decide(const struct routes *routes, struct decide_scratch *s,
                              const struct rule_facts *facts, struct arena *arena,
                              struct decision *ret_decision);

/* What kind of text the last turn is. Looked at now where the decision did without it, as for a model
 * that the client named. */
struct guard decide_guard(const struct routes *routes, const struct prompt *prompt,
                          const struct decision *d);

/* Of a decision by examples: why (custom_explain), and the line of the example most alike. */
size_t decide_explain_examples(const struct routes *routes, struct decide_scratch *s,
                               const struct decision *d, struct classifier_evidence *ret_evidence,
                               size_t max);
int decide_nearest_example(const struct routes *routes, struct decide_scratch *s,
                           const struct decision *d);

/* "classifier", "general", "rule", ... */
const char *decide_source_text(enum decide_source source);

/* "new", "kept", "switched"; "" for none. */
const char *decide_session_text(enum decide_session session);
