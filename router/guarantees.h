/* Guarantees: which experts prompts of a kind may reach, whatever else the configuration says. A kind
 * is what the rows of one table can tell of an exchange (its category, the rule that fired, whose it is),
 * and whether private data is replaced in what the expert gets; a guarantee holds for an exchange when every row that it mentions does.
 *
 * Which category a prompt has is asked soundly: the one that decided, and each that the classifier
 * finds most probable in the conversation, in one of the turns it looks at or in the system prompt,
 * sure or not, all of a conformal set, and those whose examples take one of these texts. A category
 * includes those whose parent it is. A prompt that nobody has classified may be anything.
 *
 * Three places use the same predicate: router/prove.c when the file loads, policies/guarantee.c by
 * way of router/decide.c for each decision, gateway/step_dispatch.c right before each call. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"

struct category;
struct expert;
struct routes;
struct rule;

struct guarantee_when { /* all that is given must hold; nothing given: every exchange */
    struct key_texts category;
    struct key_texts rule;
    struct key_texts tenant;
    int redacted; /* enum guarantee_redacted */
};

enum guarantee_redacted {
    GUARANTEE_EITHER_WAY,
    GUARANTEE_NOT_REDACTED,
    GUARANTEE_REDACTED,
};

enum redaction { /* whether private data is replaced in what an expert gets */
    REDACTION_NEVER,
    REDACTION_SOMETIMES, /* it depends on the tenant */
    REDACTION_ALWAYS,
};

enum guarantee_locality {
    GUARANTEE_ANYWHERE,
    GUARANTEE_LOCAL,
    GUARANTEE_REMOTE,
};

struct guarantee_only {
    int locality; /* enum guarantee_locality */
    struct key_texts experts;
};

struct guarantee {
    struct key_id id;
    struct str name;
    struct guarantee_when when;
    struct guarantee_only only;
    bool is_strict;

    /* set by guarantees_build */
    uint64_t labels;   /* of the classifier, that mean its categories */
    uint64_t examples; /* sources of routes->custom that do */
    bool *categories;  /* by index: those that it names */
    bool *rules;       /* by index: those that it names */
    bool *permits;     /* by index of the expert */
};

extern const struct keys guarantee_keys;

/* What is known of an exchange. */
struct guarantee_facts {
    const struct category *category; /* the one that decided, or NULL */
    const struct rule *rule;         /* the one that fired, or NULL */
    struct str tenant;               /* whose it is, or "" */
    uint64_t labels;                 /* that the prompt may be of, a bit each */
    uint64_t examples;               /* sources of routes->custom that take it */
    bool is_unknown;                 /* nobody can tell: it may be of any category */
};

/* What a path of the configuration settles beforehand. */
struct guarantee_path {
    const struct category *category; /* the path goes through it, or NULL */
    const struct rule *rule;         /* or NULL */
    bool
        is_shared; /* prompts of any category may take it: the path does not settle what they are */
};

/* Resolves names. Mistakes go to reader->diags; ST_NO_MEMORY. After the classifier is loaded. */
MUST_CHECK enum status guarantees_build(struct routes *routes, struct key_reader *reader,
                                        struct str file);

/* Whether it holds for an exchange. */
bool guarantee_holds(const struct routes *routes, const struct guarantee *g,
                     const struct guarantee_facts *facts);

/* Whether it, holding for the exchange, forbids the expert. */
bool guarantee_forbids(const struct routes *routes, const struct guarantee *g,
                       const struct guarantee_facts *facts, const struct expert *expert);

/* Whether an exchange for which it holds could take the path. */
bool guarantee_could_hold(const struct routes *routes, const struct guarantee *g,
                          const struct guarantee_path *path);

/* Whether what it asks of private data may be so for prompts of this category, or of none (NULL), at
 * this expert. */
bool guarantee_redaction_could(const struct routes *routes, const struct guarantee *g,
                               const struct category *category, const struct expert *expert);

/* The first guarantee that holds for the exchange and forbids the expert, or NULL. */
const struct guarantee *guarantees_bar(const struct routes *routes,
                                       const struct guarantee_facts *facts,
                                       const struct expert *expert);

/* Whether decisions must classify every prompt, named experts included. */
bool guarantees_ask_category(const struct routes *routes);

/* Where a prompt goes that a guarantee keeps from every expert of its way: a category of the first
 * guarantee that holds, the one the prompt looks like before others. NULL: there is none. */
const struct category *guarantees_home(const struct routes *routes,
                                       const struct guarantee_facts *facts);

/* "local experts", "these experts". Static text. */
const char *guarantee_only_text(const struct guarantee *g);
