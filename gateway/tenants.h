/* Tenants: who an API key belongs to, and what they may do. Owns the YAML block `tenants`. Part of the
 * snapshot: immutable after tenants_build, any thread. What a tenant has used stands in quota.h. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/keys.h"
#include "base/table.h"
#include "gateway/api_key.h"
#include "gateway/quota.h"
#include "router/permit.h"
#include "router/routes.h"

enum tenant_header { /* bits: headers by which a request may steer */
    TENANT_EXPERT = 1,
    TENANT_BAN = 2,
    TENANT_MAX_PRICE = 4,
    TENANT_PRIORITY = 8, /* to raise it; anybody may lower it */
};

struct tenant;

struct tenant_key {
    struct api_key_digest digest;
    struct str name;    /* for people; may be empty */
    int64_t expires_s;  /* since 1970; 0: never */
    struct str expires; /* as written */
    struct str id;      /* for the ledger: the name, else the digest's first digits */
    struct pos pos;     /* of the entry */
    bool is_revoked;    /* by the state file, see revoked.h */
    const struct tenant *tenant;
};

struct tenant_keys {
    struct tenant_key *items;
    size_t count;
};

struct tenant_budget { /* a short way of writing one of `budgets` */
    bool is_set;
    int64_t usd; /* nano-USD */
    int per;     /* enum budget_per */
};

struct tenant {
    struct key_id id;
    struct str name;
    struct tenant_keys keys;
    struct quota_rate rate;
    struct tenant_budget budget;
    struct key_texts allow; /* as written */
    struct key_texts header_names;
    struct permit permit;
    int priority;        /* enum expert_priority */
    unsigned headers;    /* bits of enum tenant_header */
    struct quota *quota; /* set by snapshot_count */
};

struct tenants {
    struct key_array list; /* of struct tenant; none: the API is open */
    struct table *digests; /* -> struct tenant_key; NULL without tenants */
};

extern const struct keys tenant_keys;

/* Second pass, after routes_build: names and digests are unique, patterns fit something that is there.
 * Mistakes go to reader->diags: ST_INVALID; ST_NO_MEMORY. */
MUST_CHECK enum status tenants_build(struct tenants *tenants, const struct routes *routes,
                                     struct key_reader *reader, struct str file);
bool tenants_have(const struct tenants *tenants, struct str name);
void tenants_fini(struct tenants *tenants);

/* The key with these bytes of a digest, or NULL. */
struct tenant_key *tenants_key(const struct tenants *tenants, struct str digest);

/* Whose key this is. ST_NOT_FOUND: nobody's, or revoked; ST_TIMEOUT: it has expired. */
MUST_CHECK enum status tenants_find(const struct tenants *tenants, struct str key, int64_t now_s,
                                    const struct tenant_key **ret_key);

/* A day, as 2027-01-01, as seconds since 1970, at its beginning in UTC. ST_INVALID. */
MUST_CHECK enum status tenants_read_day(struct str text, int64_t *ret_seconds);
