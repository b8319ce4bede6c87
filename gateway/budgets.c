/* See budgets.h. Holds and counts; when windows begin and what fits is said by policies/budget.c. */
#include "gateway/budgets.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/container.h"
#include "base/mem.h"
#include "base/roll.h"
#include "gateway/ledger.h"

enum {
    BUDGETS_MAX = 256,
    SCOPE_BYTES = 1280,
};

/* 10^9 USD: more than any budget, and small enough that sums stay in 64 bits. */
static const int64_t COST_MAX = 1000000000LL * 1000000000LL;

/* Written by all workers, read by scrapers; default order. `used` is what decides: spent and reserved
 * in the window. Whoever first sees a new window takes what was spent in the old one out of it;
 * reservations stay, and are settled in the window in which they end. */
struct budget_account {
    struct roll_entry entry;
    atomic_int_fast64_t used;
    atomic_int_fast64_t spent;
    atomic_int_fast64_t window_s; /* its start */
    enum budget_per per;
    char scope[SCOPE_BYTES]; /* names the account: its budget, window and attempts */
};

struct budgets {
    struct roll roll;
};

/* ---------------------------------------------------------------- keys */

static const char *const on_exceeds[] = {"refuse", "degrade", NULL};

static const double SOFT = 0.8; /* as the table below says */

static const struct key for_rows[] = {
    {.name = "tenant",
     .type = KEY_TEXT,
     .offset = offsetof(struct budget_for, tenant),
     .sentence = "attempts of this tenant"},
    {.name = "key",
     .type = KEY_TEXT,
     .offset = offsetof(struct budget_for, key),
     .sentence = "attempts with this key, by its name, or the first digits of its digest"},
    {.name = "category",
     .type = KEY_TEXT,
     .offset = offsetof(struct budget_for, category),
     .sentence = "attempts in this category"},
    {.name = "expert",
     .type = KEY_TEXT,
     .offset = offsetof(struct budget_for, expert),
     .sentence = "attempts at this expert"},
};

static const struct keys for_keys = {"for", sizeof(struct budget_for), for_rows,
                                     sizeof for_rows / sizeof for_rows[0],
                                     "Whose money it is; all that is set must hold."};

static const struct key budget_rows[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct budget, name),
     .is_required = true,
     .sentence = "what answers and metrics call it",
     .example = "team"},
    {.name = "usd",
     .type = KEY_PRICE,
     .offset = offsetof(struct budget, usd),
     .max = 1000000000,
     .unit = "USD",
     .is_required = true,
     .sentence = "how much may be spent; 0 refuses every call that costs",
     .example = "25"},
    {.name = "per",
     .type = KEY_CHOICE,
     .offset = offsetof(struct budget, per),
     .choices = budget_pers,
     .fallback = "month",
     .sentence = "in which time: each request by itself, or hours, days and months of UTC"},
    {.name = "for",
     .type = KEY_BLOCK,
     .offset = offsetof(struct budget, scope),
     .block = &for_keys,
     .sentence = "whose money it is; absent: everybody's together"},
    {.name = "soft",
     .type = KEY_REAL,
     .offset = offsetof(struct budget, soft),
     .min = 0,
     .max = 1,
     .fallback = "0.8",
     .sentence = "share from which on answers warn (x-expertd-budget); 1: never"},
    {.name = "on_exceed",
     .type = KEY_CHOICE,
     .offset = offsetof(struct budget, on_exceed),
     .choices = on_exceeds,
     .fallback = "refuse",
     .sentence = "experts that it cannot pay are dropped; degrade: and from the soft mark on the "
                 "cheapest comes first"},
};

const struct keys budget_keys = {"budget", sizeof(struct budget), budget_rows,
                                 sizeof budget_rows / sizeof budget_rows[0], "A limit in USD."};

static void complain(struct key_reader *reader, struct str file, const struct budget *b,
                     const char *what, struct str name)
{
    diags_add(reader->diags, DIAG_ERROR, file, b->id.pos, "budget \"%.*s\" %s \"%.*s\"",
              STR_ARG(b->name), what, STR_ARG(name));
}

static bool has_key(const struct tenants *tenants, struct str id)
{
    const struct tenant *list = tenants->list.items;
    for (size_t i = 0; i < tenants->list.count; i++) {
        for (size_t k = 0; k < list[i].keys.count; k++) {
            if (str_eq(list[i].keys.items[k].id, id)) {
                return true;
            }
        }
    }
    return false;
}

enum status budgets_add_tenants(struct key_array *list, const struct tenants *tenants,
                                struct key_reader *reader)
{
    const struct tenant *all = tenants->list.items;
    size_t more = 0;
    for (size_t i = 0; i < tenants->list.count; i++) {
        more += all[i].budget.is_set;
    }
    if (more == 0) {
        return ST_OK;
    }
    struct budget *items = arena_alloc(reader->arena, (list->count + more) * sizeof *items);
    if (items == NULL) {
        return ST_NO_MEMORY;
    }
    if (list->count > 0) {
        memcpy(items, list->items, list->count * sizeof *items);
    }
    size_t count = list->count;
    for (size_t i = 0; i < tenants->list.count; i++) {
        const struct tenant *t = &all[i];
        if (t->budget.is_set) {
            items[count++] = (struct budget){.id.pos = t->id.pos,
                                             .name = t->name,
                                             .usd = t->budget.usd,
                                             .per = t->budget.per,
                                             .scope.tenant = t->name,
                                             .soft = SOFT};
        }
    }
    *list = (struct key_array){items, count};
    return ST_OK;
}

enum status budgets_check(const struct key_array *list, const struct routes *routes,
                          const struct tenants *tenants, struct key_reader *reader, struct str file)
{
    const struct budget *budgets = list->items;
    size_t errors = reader->diags->errors;
    if (list->count > BUDGETS_MAX) {
        diags_add(reader->diags, DIAG_ERROR, file, budgets[BUDGETS_MAX].id.pos,
                  "there may be at most %d budgets", (int)BUDGETS_MAX);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct budget *b = &budgets[i];
        const struct budget_for *scope = &b->scope;
        for (size_t k = 0; k < i; k++) {
            if (str_eq(budgets[k].name, b->name)) {
                complain(reader, file, b, "stands there twice:", b->name);
            }
        }
        if (scope->tenant.len > 0 && !tenants_have(tenants, scope->tenant)) {
            complain(reader, file, b, "is for a tenant that does not exist:", scope->tenant);
        }
        if (scope->key.len > 0 && !has_key(tenants, scope->key)) {
            complain(reader, file, b, "is for a key that does not exist:", scope->key);
        }
        if (scope->category.len > 0 && routes_category(routes, scope->category) == NULL) {
            complain(reader, file, b, "is for a category that does not exist:", scope->category);
        }
        if (scope->expert.len > 0 && routes_expert(routes, scope->expert) == NULL) {
            complain(reader, file, b, "is for an expert that does not exist:", scope->expert);
        }
    }
    return reader->diags->errors == errors ? ST_OK : ST_INVALID;
}

/* ---------------------------------------------------------------- accounts */

static struct budget_account *account_of(struct roll_entry *e)
{
    return CONTAINER_OF(e, struct budget_account, entry);
}

static void drop(struct roll_entry *e)
{
    mem_free(account_of(e));
}

struct budgets *budgets_create(void)
{
    struct budgets *b = mem_zalloc(1, sizeof *b);
    if (b != NULL) {
        roll_init(&b->roll);
    }
    return b;
}

void budgets_destroy(struct budgets *b)
{
    if (b != NULL) {
        roll_fini(&b->roll, drop);
        mem_free(b);
    }
}

static enum status fill(struct budget_account *a, const struct budget *b, struct db *db,
                        int64_t now_s)
{
    struct budget_window window = budget_window(a->per, now_s);
    struct ledger_filter filter = {
        .tenant = b->scope.tenant,
        .key_id = b->scope.key,
        .category = b->scope.category,
        .expert = b->scope.expert,
        .since_ms = window.start_s * 1000,
    };
    int64_t spent = 0;
    enum status st = db == NULL ? ST_OK : ledger_spent(db, &filter, &spent);
    atomic_init(&a->window_s, window.start_s);
    atomic_init(&a->spent, spent);
    atomic_init(&a->used, spent);
    return st;
}

static enum status find_account(struct budgets *all, struct budget *b, struct db *db, int64_t now_s)
{
    char scope[SCOPE_BYTES];
    (void)snprintf(scope, sizeof scope, "%d %zu:%.*s %zu:%.*s %zu:%.*s %zu:%.*s %.*s", b->per,
                   b->name.len, STR_ARG(b->name), b->scope.tenant.len, STR_ARG(b->scope.tenant),
                   b->scope.key.len, STR_ARG(b->scope.key), b->scope.category.len,
                   STR_ARG(b->scope.category), STR_ARG(b->scope.expert));
    struct roll_entry *e = all->roll.first;
    while (e != NULL && !str_eq(str_from(account_of(e)->scope), str_from(scope))) {
        e = e->next;
    }
    if (e == NULL) {
        struct budget_account *a = mem_zalloc(1, sizeof *a);
        if (a == NULL) {
            return ST_NO_MEMORY;
        }
        (void)snprintf(a->scope, sizeof a->scope, "%s", scope);
        a->per = (enum budget_per)b->per;
        enum status st = fill(a, b, db, now_s);
        if (st != ST_OK) {
            mem_free(a);
            return st;
        }
        e = &a->entry;
        roll_add(&all->roll, e);
    }
    roll_hold(e);
    b->account = account_of(e);
    return ST_OK;
}

enum status budgets_bind(struct budgets *b, struct key_array *list, struct db *db, int64_t now_s)
{
    struct budget *budgets = list->items;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < list->count; i++) {
        if (budgets[i].per != BUDGET_REQUEST) {
            st = find_account(b, &budgets[i], db, now_s);
        }
    }
    return st;
}

void budgets_unbind(struct key_array *list)
{
    struct budget *budgets = list->items;
    for (size_t i = 0; i < list->count; i++) {
        if (budgets[i].account != NULL) {
            roll_release(&budgets[i].account->entry);
        }
    }
}

void budgets_sweep(struct budgets *b)
{
    roll_sweep(&b->roll, drop);
}

/* What is gone of the window that now_s lies in. */
static int64_t used_now(struct budget_account *a, int64_t now_s)
{
    int64_t start = budget_window(a->per, now_s).start_s;
    int_fast64_t seen = atomic_load(&a->window_s);
    if (start > seen && atomic_compare_exchange_strong(&a->window_s, &seen, start)) {
        (void)atomic_fetch_sub(&a->used, atomic_exchange(&a->spent, 0));
    }
    return atomic_load(&a->used);
}

/* ---------------------------------------------------------------- attempts */

static bool fits(struct str wanted, struct str is)
{
    return wanted.len == 0 || str_eq(wanted, is);
}

bool budgets_applies(const struct budget *b, const struct budget_who *who)
{
    return fits(b->scope.tenant, who->tenant) && fits(b->scope.key, who->key_id) &&
           fits(b->scope.category, who->category) && fits(b->scope.expert, who->expert);
}

static int64_t used_of(const struct budget *b, const struct budget_who *who, int64_t now_s)
{
    return b->account == NULL ? who->spent_nano_usd : used_now(b->account, now_s);
}

static struct budget_limit limit_of(const struct budget *b)
{
    return (struct budget_limit){b->usd, b->soft};
}

void budgets_purse(const struct key_array *list, const struct budget_who *who, int64_t now_s,
                   struct policy_purse *ret_purse)
{
    const struct budget *budgets = list->items;
    struct policy_purse purse = {.left_nano_usd = INT64_MAX, .resets_s = INT64_MAX};
    for (size_t i = 0; i < list->count; i++) {
        const struct budget *b = &budgets[i];
        if (!budgets_applies(b, who)) {
            continue;
        }
        struct budget_limit limit = limit_of(b);
        int64_t used = used_of(b, who, now_s);
        int64_t left = budget_left(&limit, used);
        purse.is_tight = purse.is_tight || (b->on_exceed == BUDGET_DEGRADE &&
                                            budget_judge(&limit, used, 0) != BUDGET_FITS);
        if (left < purse.left_nano_usd) {
            purse.budget = b->name;
            purse.left_nano_usd = left;
            purse.resets_s = budget_window((enum budget_per)b->per, now_s).end_s;
        }
    }
    *ret_purse = purse;
}

static bool take(struct budget_account *a, int64_t limit, int64_t cost, int64_t now_s)
{
    int_fast64_t used = used_now(a, now_s);
    do {
        if (cost > limit - used) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(&a->used, &used, used + cost));
    return true;
}

const struct budget *budgets_reserve(const struct key_array *list, const struct budget_who *who,
                                     int64_t cost_nano_usd, int64_t now_s,
                                     struct budget_hold *holds, size_t *ret_count)
{
    const struct budget *budgets = list->items;
    int64_t cost = cost_nano_usd < COST_MAX ? cost_nano_usd : COST_MAX;
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct budget *b = &budgets[i];
        struct budget_limit limit = limit_of(b);
        if (!budgets_applies(b, who)) {
            continue;
        }
        bool is_taken =
            cost != EXPERT_COST_UNKNOWN &&
            (b->account == NULL ? budget_judge(&limit, who->spent_nano_usd, cost) != BUDGET_EXCEEDED
                                : take(b->account, b->usd, cost, now_s));
        if (!is_taken) {
            while (count > 0) {
                count--;
                (void)atomic_fetch_sub(&holds[count].account->used, holds[count].nano_usd);
            }
            return b;
        }
        if (b->account != NULL) {
            holds[count++] = (struct budget_hold){b->account, cost};
        }
    }
    *ret_count = count;
    return NULL;
}

void budgets_settle(const struct budget_hold *holds, size_t count, int64_t cost_nano_usd)
{
    int64_t cost = cost_nano_usd < COST_MAX ? cost_nano_usd : COST_MAX;
    for (size_t i = 0; i < count; i++) {
        (void)atomic_fetch_add(&holds[i].account->used, cost - holds[i].nano_usd);
        (void)atomic_fetch_add(&holds[i].account->spent, cost);
    }
}

int64_t budgets_spent(const struct budget *b, int64_t now_s)
{
    if (b->account == NULL) {
        return 0;
    }
    (void)used_now(b->account, now_s);
    return atomic_load(&b->account->spent);
}

void budgets_spend(const struct budget *b, int64_t nano_usd, int64_t now_s)
{
    if (b->account != NULL) {
        (void)used_now(b->account, now_s);
        budgets_settle(&(struct budget_hold){b->account, 0}, 1, nano_usd);
    }
}

const struct budget *budgets_warning(const struct key_array *list, const struct budget_who *who,
                                     int64_t now_s, int64_t *ret_left_nano_usd)
{
    const struct budget *budgets = list->items;
    const struct budget *least = NULL;
    for (size_t i = 0; i < list->count; i++) {
        const struct budget *b = &budgets[i];
        if (!budgets_applies(b, who)) {
            continue;
        }
        struct budget_limit limit = limit_of(b);
        int64_t used = used_of(b, who, now_s);
        int64_t left = budget_left(&limit, used);
        if (budget_judge(&limit, used, 0) != BUDGET_FITS &&
            (least == NULL || left < *ret_left_nano_usd)) {
            least = b;
            *ret_left_nano_usd = left;
        }
    }
    return least;
}

bool budgets_have(const struct key_array *list, struct str name)
{
    const struct budget *budgets = list->items;
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(budgets[i].name, name) && budgets[i].per != BUDGET_REQUEST) {
            return true;
        }
    }
    return false;
}

double budgets_pressure(const struct key_array *list, struct str name, const struct budget_who *who,
                        double start, int64_t now_s)
{
    const struct budget *budgets = list->items;
    for (size_t i = 0; i < list->count; i++) {
        const struct budget *b = &budgets[i];
        bool is_theirs = fits(b->scope.tenant, who->tenant) && fits(b->scope.key, who->key_id);
        if (str_eq(b->name, name) && is_theirs && b->account != NULL) {
            struct budget_limit limit = limit_of(b);
            return budget_pressure(&limit, b->account->per, used_now(b->account, now_s), start,
                                   now_s);
        }
    }
    return 0.0;
}

/* ---------------------------------------------------------------- metrics */

static enum status write_name(struct buf *out, const char *series, struct str name)
{
    enum status st = buf_printf(out, "expertd_budget_%s_usd{budget=\"", series);
    for (size_t i = 0; st == ST_OK && i < name.len; i++) {
        bool is_special = name.ptr[i] == '"' || name.ptr[i] == '\\';
        st = is_special ? buf_append_char(out, '\\') : ST_OK;
        if (st == ST_OK) {
            st = name.ptr[i] == '\n' ? buf_append(out, STR("\\n"))
                                     : buf_append_char(out, name.ptr[i]);
        }
    }
    return st == ST_OK ? buf_append(out, STR("\"} ")) : st;
}

enum status budgets_write_metrics(const struct key_array *list, int64_t now_s, struct buf *out)
{
    static const char *const series[][2] = {
        {"limit", "What a budget may spend in its window."},
        {"remaining", "What is left of it."},
        {"reserved", "What requests in work may still cost."},
    };

    const struct budget *budgets = list->items;
    enum status st = ST_OK;
    for (size_t k = 0; k < sizeof series / sizeof series[0]; k++) {
        if (st == ST_OK && list->count > 0) {
            st = buf_printf(out,
                            "# HELP expertd_budget_%s_usd %s\n"
                            "# TYPE expertd_budget_%s_usd gauge\n",
                            series[k][0], series[k][1], series[k][0]);
        }
        for (size_t i = 0; st == ST_OK && i < list->count; i++) {
            const struct budget *b = &budgets[i];
            struct budget_limit limit = limit_of(b);
            int64_t used = b->account == NULL ? 0 : used_now(b->account, now_s);
            int64_t spent = b->account == NULL ? 0 : atomic_load(&b->account->spent);
            const int64_t values[] = {b->usd, budget_left(&limit, used), used - spent};
            st = write_name(out, series[k][0], b->name);
            st = st == ST_OK ? buf_printf(out, "%.9f\n", (double)values[k] / 1e9) : st;
        }
    }
    return st;
}
