/* The YAML block `privacy`: which private data of prompts is replaced by placeholders for which
 * experts, and whether prompts are logged. Immutable after privacy_build; part of the snapshot. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "gateway/tenants.h"
#include "policies/redact_text.h"
#include "router/routes.h"

enum {
    PRIVACY_PATTERNS_MAX = REDACT_LABELS_MAX - REDACT_KINDS
};

struct privacy_pattern {
    struct key_id id;
    struct str name;
    struct str match;
};

struct privacy_when {
    struct key_texts categories; /* none: all */
    struct key_texts tenants;    /* none: all */
    int locality;                /* index: remote, local, any */
};

struct privacy_rule {
    struct key_id id;
    struct privacy_when when;
    struct key_texts kinds;
    struct key_array patterns; /* of struct privacy_pattern */
    bool tool_arguments;

    unsigned kind_bits;    /* set by privacy_build */
    uint64_t pattern_bits; /* by index in privacy.compiled */
};

struct privacy_log {
    struct str path; /* "": off */
    bool redacted;
};

struct privacy {
    struct key_array redact; /* of struct privacy_rule */
    struct privacy_log prompt_log;

    /* set by privacy_build */
    struct redact_pattern *compiled[PRIVACY_PATTERNS_MAX];
    size_t compiled_count;
    struct str labels[REDACT_LABELS_MAX]; /* of kinds, then of patterns */
    const struct tenants *tenants;
};

extern const struct keys privacy_keys;

/* Resolves names, compiles patterns. Mistakes go to reader->diags: ST_INVALID; ST_NO_MEMORY. */
MUST_CHECK enum status privacy_build(struct privacy *privacy, const struct routes *routes,
                                     const struct tenants *tenants, struct key_reader *reader,
                                     struct str file);
void privacy_fini(struct privacy *privacy); /* half-built too */

struct privacy_facts {   /* of one attempt; tenants' names belong here too once there are tenants */
    struct str category; /* "": not known; then rules for some categories hold as well */
    struct str tenant;   /* "": nobody is known */
    bool is_local;       /* the expert */
};

struct privacy_set { /* what is replaced: all that the rules which hold ask for */
    unsigned kinds;
    const struct redact_pattern *patterns[PRIVACY_PATTERNS_MAX];
    size_t pattern_count; /* 0: none is asked for */
    bool tool_arguments;
    bool is_embedding; /* of a request for embeddings: for redact_body */
};

/* False: nothing is to be replaced. */
bool privacy_ask(const struct privacy *privacy, const struct privacy_facts *facts,
                 struct privacy_set *ret_set);

/* For struct routes: whether privacy_ask says so; the ctx is the struct privacy. */
enum redaction privacy_redaction(const void *privacy, struct str category,
                                 const struct key_texts *tenants, const struct expert *expert);

/* Everything that the configuration knows how to find. */
void privacy_ask_all(const struct privacy *privacy, struct privacy_set *ret_set);
