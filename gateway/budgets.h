/* Budgets: limits in USD for tenants, keys, categories, experts and all together. Owns the YAML list
 * `budgets`. What was spent and what is reserved stands in accounts that the process shares: each
 * attempt reserves what it may cost before its expert is asked, and settles what it did cost after. An
 * account starts with what the ledger says of its window. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/db.h"
#include "base/keys.h"
#include "gateway/tenants.h"
#include "policies/budget.h"
#include "policies/policy.h"
#include "router/routes.h"

struct budgets;        /* the accounts of a process */
struct budget_account; /* one of them; any thread */

struct budget_for { /* all that is set must hold; nothing set: every attempt */
    struct str tenant;
    struct str key;
    struct str category;
    struct str expert;
};

enum budget_on_exceed {
    BUDGET_REFUSE,  /* experts that do not fit are dropped */
    BUDGET_DEGRADE, /* and from the soft mark on the cheapest comes first */
};

struct budget { /* one entry of the list */
    struct key_id id;
    struct str name;
    int64_t usd; /* nano-USD */
    int per;     /* enum budget_per */
    struct budget_for scope;
    double soft;
    int on_exceed;                  /* enum budget_on_exceed */
    struct budget_account *account; /* set by budgets_bind; NULL: of a request by itself */
};

extern const struct keys budget_keys;

/* Adds what tenants have as their own `budget`, under their names. ST_NO_MEMORY. */
MUST_CHECK enum status budgets_add_tenants(struct key_array *list, const struct tenants *tenants,
                                           struct key_reader *reader);

/* Second pass: names are there and unique, what `for` names exists. Mistakes go to reader->diags:
 * ST_INVALID. */
MUST_CHECK enum status budgets_check(const struct key_array *list, const struct routes *routes,
                                     const struct tenants *tenants, struct key_reader *reader,
                                     struct str file);

/* Warns of budgets that nothing is ever booked on, after budgets_check found no mistake: a tenant without
 * keys, a key of another tenant, a category that the tenant may not use or that has not that expert, no
 * expert with a price above 0. */
void budgets_advise(const struct key_array *list, const struct routes *routes,
                    const struct tenants *tenants, struct key_reader *reader, struct str file);

struct budgets *budgets_create(void); /* NULL: no memory */
void budgets_destroy(struct budgets *b);

/* Gives the entries of a configuration their accounts, before it is shared; by the thread that loads
 * configurations. New accounts are filled from the ledger; db may be NULL: they start empty. The
 * statuses of db_next; ST_NO_MEMORY. */
MUST_CHECK enum status budgets_bind(struct budgets *b, struct key_array *list, struct db *db,
                                    int64_t now_s);

/* The entries let go of their accounts. Any thread. */
void budgets_unbind(struct key_array *list);

/* Frees accounts that nobody has held for long, see base/roll.h: the ledger has what was spent. By the
 * thread that loads configurations. */
void budgets_sweep(struct budgets *b);

struct budget_who { /* an attempt */
    struct str tenant;
    struct str key_id;
    struct str category;
    struct str expert;
    int64_t spent_nano_usd; /* by this request before */
};

struct budget_hold { /* what an attempt has reserved */
    struct budget_account *account;
    int64_t nano_usd;
};

/* The budget that has least left for an attempt: for the policy. */
void budgets_purse(const struct key_array *list, const struct budget_who *who, int64_t now_s,
                   struct policy_purse *ret_purse);

/* Reserves in all budgets that apply, or in none. NULL: done, *ret_count of `holds` (room for
 * list->count) are filled. Else the budget that cannot pay, or that wants a price: cost is
 * EXPERT_COST_UNKNOWN. */
const struct budget *budgets_reserve(const struct key_array *list, const struct budget_who *who,
                                     int64_t cost_nano_usd, int64_t now_s,
                                     struct budget_hold *holds, size_t *ret_count);

/* Turns what was reserved into what was spent. */
void budgets_settle(const struct budget_hold *holds, size_t count, int64_t cost_nano_usd);

/* Whether an attempt is spent on it. */
bool budgets_applies(const struct budget *b, const struct budget_who *who);

/* What was spent on it in the window of now_s, and spends more; 0 and nothing of one without account. */
int64_t budgets_spent(const struct budget *b, int64_t now_s);
void budgets_spend(const struct budget *b, int64_t nano_usd, int64_t now_s);

/* The budget past its soft mark that has least left, or NULL. */
const struct budget *budgets_warning(const struct key_array *list, const struct budget_who *who,
                                     int64_t now_s, int64_t *ret_left_nano_usd);

/* How far the budget of this name is ahead of its plan (budget_pressure); 0 where it is not this tenant's
 * or key's, or of each request by itself. */
bool budgets_have(const struct key_array *list, struct str name); /* one with a window */
double budgets_pressure(const struct key_array *list, struct str name, const struct budget_who *who,
                        double start, int64_t now_s);

/* Appends gauges: limit, remaining, reserved. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status budgets_write_metrics(const struct key_array *list, int64_t now_s,
                                             struct buf *out);
