/* See preview.h. Where the requests come from is the caller's: the recent decisions, or receipts. */
#include "gateway/preview.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/replay.h"
#include "policies/budget.h"

enum {
    ROUND_BLOCK_BYTES = 64 * 1024,
    ROUND_MAX_BYTES = 64 * 1024 * 1024,
};

struct outcome { /* of one request with one configuration */
    struct str category;
    struct str expert; /* "": refused */
    int64_t cost_nano_usd;
    const struct gaps *gaps;
};

struct side { /* before or after */
    const struct snapshot *snapshot;
    struct key_array budgets; /* struct budget: a copy of its, with accounts of the preview's */
    struct budgets *accounts; /* these */
    struct preview_spending **spendings; /* of each budget, in the result */
    bool *is_open;                       /* what was in its window already is booked */
};

/* ---------------------------------------------------------------- counting */

static struct preview_name *find(struct preview_list *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(list->items[i].name, name)) {
            return &list->items[i];
        }
    }
    list->items[list->count] = (struct preview_name){.name = name}; /* there is room for all */
    return &list->items[list->count++];
}

static enum status make_lists(struct preview *p, struct arena *arena)
{
    const struct routes *r[] = {&p->before->conf.routes, &p->after->conf.routes};
    size_t budgets = p->before->conf.budgets.count + p->after->conf.budgets.count + 1;
    size_t categories = r[0]->categories.count + r[1]->categories.count + 1;
    size_t experts = r[0]->experts.count + r[1]->experts.count + 1;
    p->categories.items = arena_alloc(arena, categories * sizeof *p->categories.items);
    p->experts.items = arena_alloc(arena, experts * sizeof *p->experts.items);
    p->rules = arena_alloc(arena, (r[1]->rules.count + 1) * sizeof *p->rules);
    p->budgets = arena_alloc(arena, budgets * sizeof *p->budgets);
    if (p->categories.items == NULL || p->experts.items == NULL || p->rules == NULL ||
        p->budgets == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t k = 0; k < 2; k++) {
        const struct category *list = r[k]->categories.items;
        const struct expert *e = r[k]->experts.items;
        for (size_t i = 0; i < r[k]->categories.count; i++) {
            (void)find(&p->categories, list[i].id.name);
        }
        for (size_t i = 0; i < r[k]->experts.count; i++) {
            (void)find(&p->experts, e[i].id.name);
        }
    }
    return ST_OK;
}

/* Rules of the candidate that ask what no signal tells. */
static void list_rules(struct preview *p, struct arena *arena)
{
    const struct rule *old = p->before->conf.routes.rules.items;
    const struct rule *new = p->after->conf.routes.rules.items;
    for (size_t i = 0; i < p->after->conf.routes.rules.count; i++) {
        bool is_known = !rule_reads(&new[i]);
        for (size_t k = 0; k < p->before->conf.routes.rules.count; k++) {
            is_known = is_known || new[i].mark == old[k].mark;
        }
        if (!is_known) {
            p->rules[p->rule_count++] = new[i].name.len > 0
                                            ? new[i].name
                                            : arena_printf(arena, "line %d", new[i].id.pos.line);
        }
    }
}

static void count_move(struct preview *p, struct str from, struct str to)
{
    for (size_t i = 0; i < p->move_count; i++) {
        if (str_eq(p->moves[i].from, from) && str_eq(p->moves[i].to, to)) {
            p->moves[i].requests++;
            return;
        }
    }
    if (p->move_count < PREVIEW_MOVES_MAX) {
        p->moves[p->move_count++] = (struct preview_move){from, to, 1};
    } else {
        p->moves_unlisted++;
    }
}

/* A request is a guess by each fact that either side misses, once. */
static void count_gaps(struct preview *p, const struct gaps *before, const struct gaps *after)
{
    bool is_missing[GAP_KINDS_COUNT] = {false};
    const struct gaps *const sides[] = {before, after};
    for (size_t k = 0; k < 2; k++) {
        for (size_t i = 0; i < sides[k]->count && i < GAPS_MAX; i++) {
            is_missing[sides[k]->items[i].kind] = true;
        }
    }
    for (size_t i = 0; i < GAP_KINDS_COUNT; i++) {
        p->gaps[i] += is_missing[i];
    }
    p->guesses += before->count > 0 || after->count > 0;
}

static void count(struct preview *p, const struct outcome *before, const struct outcome *after)
{
    struct preview_name *expert = find(&p->experts, before->expert);
    p->requests++;
    count_gaps(p, before->gaps, after->gaps);
    expert->before++;
    expert->before_nano_usd += before->cost_nano_usd;
    expert = find(&p->experts, after->expert);
    expert->after++;
    expert->after_nano_usd += after->cost_nano_usd;
    p->new_experts += !str_eq(before->expert, after->expert);
    find(&p->categories, before->category)->before++;
    find(&p->categories, after->category)->after++;
    if (!str_eq(before->category, after->category)) {
        p->new_categories++;
        count_move(p, before->category, after->category);
    }
}

/* ---------------------------------------------------------------- budgets */

static struct preview_budget *find_budget(struct preview *p, struct str name)
{
    for (size_t i = 0; i < p->budget_count; i++) {
        if (str_eq(p->budgets[i].name, name)) {
            return &p->budgets[i];
        }
    }
    p->budgets[p->budget_count] = (struct preview_budget){.name = name}; /* there is room for all */
    return &p->budgets[p->budget_count++];
}

/* Accounts that are empty when the first request comes. The caller destroys them, also on failure. */
static enum status open_side(struct side *s, struct preview *p, size_t which, int64_t first_s,
                             struct arena *arena)
{
    const struct key_array *list = &s->snapshot->conf.budgets;
    size_t count = list->count;
    struct budget *copy = arena_alloc(arena, (count + 1) * sizeof *copy);
    s->spendings = arena_alloc(arena, (count + 1) * sizeof *s->spendings);
    s->is_open = arena_alloc(arena, (count + 1) * sizeof *s->is_open);
    s->accounts = budgets_create();
    if (copy == NULL || s->spendings == NULL || s->is_open == NULL || s->accounts == NULL) {
        return ST_NO_MEMORY;
    }
    s->budgets = (struct key_array){copy, count};
    for (size_t i = 0; i < count; i++) {
        copy[i] = ((const struct budget *)list->items)[i];
        s->is_open[i] = false;
        s->spendings[i] = &find_budget(p, copy[i].name)->sides[which];
        *s->spendings[i] =
            (struct preview_spending){.is_there = true, .limit_nano_usd = copy[i].usd};
    }
    return budgets_bind(s->accounts, &s->budgets, NULL, first_s);
}

static bool is_open_at(const struct budget *b, int64_t now_s, int64_t at_s)
{
    return b->account != NULL && at_s >= budget_window((enum budget_per)b->per, now_s).start_s;
}

/* Time goes on to at_s: what was spent already in a window that is open now_s. */
static void tick(struct side *s, int64_t now_s, int64_t at_s)
{
    const struct budget *budgets = s->budgets.items;
    for (size_t i = 0; i < s->budgets.count; i++) {
        int64_t already = s->spendings[i]->already_nano_usd;
        if (already > 0 && !s->is_open[i] && is_open_at(&budgets[i], now_s, at_s)) {
            budgets_spend(&budgets[i], already, at_s);
            s->is_open[i] = true;
        }
    }
}

static void spend(struct side *s, const struct budget_who *who, int64_t nano_usd, int64_t at_s)
{
    const struct budget *budgets = s->budgets.items;
    for (size_t i = 0; i < s->budgets.count; i++) {
        if (budgets_applies(&budgets[i], who)) {
            budgets_spend(&budgets[i], nano_usd, at_s);
            s->spendings[i]->nano_usd += nano_usd;
        }
    }
}

/* Counts the budgets that kept a request from an expert. */
static void count_hits(struct side *s, const struct decision *d, bool is_refused)
{
    const struct budget *budgets = s->budgets.items;
    for (size_t i = 0; i < s->budgets.count; i++) {
        bool is_hit = false;
        for (size_t k = 0; k < d->candidate_count; k++) {
            is_hit = is_hit || (d->candidates[k].dropped_by == policy_budget.name &&
                                str_eq(d->candidates[k].purse.budget, budgets[i].name));
        }
        s->spendings[i]->hits += is_hit;
        s->spendings[i]->refused += is_hit && is_refused;
    }
}

static bool is_same_purse(const struct budget *a, const struct budget *b)
{
    return a->per == b->per && str_eq(a->scope.tenant, b->scope.tenant) &&
           str_eq(a->scope.key, b->scope.key) && str_eq(a->scope.category, b->scope.category) &&
           str_eq(a->scope.expert, b->scope.expert);
}

/* What the windows that are open had before these requests: what the budgets in use have spent, but for
 * what the requests cost, which was just played. Then the accounts are empty again. */
static void find_already(struct side sides[2], int64_t now_s)
{
    const struct budget *in_use = sides[0].snapshot->conf.budgets.items;
    for (size_t i = 0; i < sides[0].budgets.count; i++) {
        struct preview_spending *played = sides[0].spendings[i];
        int64_t already = budgets_spent(&in_use[i], now_s) - played->nano_usd;
        played->already_nano_usd = already > 0 ? already : 0;
        played->nano_usd = 0;
    }
    const struct budget *after = sides[1].budgets.items;
    for (size_t i = 0; i < sides[1].budgets.count; i++) {
        for (size_t k = 0; k < sides[0].budgets.count; k++) {
            if (is_same_purse(&after[i], &in_use[k])) {
                sides[1].spendings[i]->already_nano_usd = sides[0].spendings[k]->already_nano_usd;
            }
        }
    }
}

/* ---------------------------------------------------------------- deciding */

/* The decision, in the arena; counts what budgets did. */
static enum status decide_with(struct side *s, const struct preview_request *request,
                               struct decide_scratch *scratch, struct arena *arena,
                               struct outcome *ret)
{
    struct decision d;
    int64_t at_s = request->made_ms / 1000;
    struct replay how = {s->snapshot, &s->budgets, at_s};
    enum status st = replay_decide(&how, &request->signals, scratch, arena, &d);
    if (st == ST_NO_MEMORY) {
        return st;
    }
    bool is_served = st == ST_OK && d.plan.count > 0 && !d.is_cold;
    *ret = (struct outcome){
        .category = st == ST_NOT_FOUND ? STR("") : d.category_name,
        .expert = is_served ? d.plan.experts[0]->id.name : STR(""),
        .cost_nano_usd = is_served ? d.candidates[0].cost_nano_usd : 0,
        .gaps = d.gaps,
    };
    if (st != ST_NOT_FOUND) {
        count_hits(s, &d, !is_served);
    }
    if (is_served) {
        struct budget_who who = replay_who(s->snapshot, &request->signals);
        who.category = ret->category;
        who.expert = ret->expert;
        spend(s, &who, ret->cost_nano_usd, at_s);
    }
    return ST_OK;
}

/* One request; what it needs is given back after it. */
static enum status run_one(struct preview *p, struct side sides[2],
                           const struct preview_request *request, struct decide_scratch *scratch)
{
    struct outcome before;
    struct outcome after;
    struct arena *arena = arena_create(ROUND_BLOCK_BYTES, ROUND_MAX_BYTES);
    enum status st = arena == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        st = decide_with(&sides[0], request, scratch, arena, &before);
    }
    if (st == ST_OK) {
        st = decide_with(&sides[1], request, scratch, arena, &after);
    }
    if (st == ST_OK) {
        count(p, &before, &after); /* names live in the snapshots */
    }
    arena_destroy(arena);
    return st;
}

/* What the requests cost the budgets in use in the windows that are open, as they were decided then. */
static enum status rehearse(struct side *s, const struct preview_source *source,
                            struct decide_scratch *scratch)
{
    const struct budget *budgets = s->budgets.items;
    enum status st = ST_OK;
    for (size_t i = 0; i < source->count && s->budgets.count > 0 && st != ST_NO_MEMORY; i++) {
        struct decision d;
        const struct preview_request *request = &source->requests[i];
        struct replay how = {.snapshot = s->snapshot};
        struct arena *arena = arena_create(ROUND_BLOCK_BYTES, ROUND_MAX_BYTES);
        st = arena == NULL ? ST_NO_MEMORY
                           : replay_decide(&how, &request->signals, scratch, arena, &d);
        struct budget_who who = replay_who(s->snapshot, &request->signals);
        for (size_t k = 0; st == ST_OK && !d.is_cold && k < s->budgets.count; k++) {
            who.category = d.category_name;
            who.expert = d.plan.experts[0]->id.name;
            bool counts = is_open_at(&budgets[k], source->now_s, request->made_ms / 1000) &&
                          budgets_applies(&budgets[k], &who);
            s->spendings[k]->nano_usd += counts ? d.candidates[0].cost_nano_usd : 0;
        }
        arena_destroy(arena);
    }
    return st == ST_NO_MEMORY ? st : ST_OK;
}

static int by_time(const void *a, const void *b)
{
    int64_t left = ((const struct preview_request *)a)->made_ms;
    int64_t right = ((const struct preview_request *)b)->made_ms;
    return (left > right) - (left < right);
}

static enum status play(struct preview *p, struct side sides[2],
                        const struct preview_source *source, struct decide_scratch *scratch)
{
    enum status st = rehearse(&sides[0], source, scratch);
    find_already(sides, source->now_s);
    for (size_t i = 0; st == ST_OK && i < source->count; i++) {
        int64_t at_s = source->requests[i].made_ms / 1000;
        tick(&sides[0], source->now_s, at_s);
        tick(&sides[1], source->now_s, at_s);
        st = run_one(p, sides, &source->requests[i], scratch);
    }
    return st;
}

enum status preview_run(const struct snapshot *before, const struct snapshot *after,
                        const struct preview_source *source, struct arena *arena,
                        struct preview *ret)
{
    struct decide_scratch scratch;
    struct side sides[2] = {{.snapshot = before}, {.snapshot = after}};
    struct preview *p = ret;
    memset(p, 0, sizeof *p);
    p->before = before;
    p->after = after;
    if (source->count > 0) {
        qsort(source->requests, source->count, sizeof source->requests[0], by_time);
    }
    int64_t first_s = source->count > 0 ? source->requests[0].made_ms / 1000 : source->now_s;
    enum status st = decide_scratch_init(&scratch);
    st = st == ST_OK ? make_lists(p, arena) : st;
    for (size_t i = 0; st == ST_OK && i < 2; i++) {
        st = open_side(&sides[i], p, i, first_s, arena);
    }
    if (st == ST_OK) {
        list_rules(p, arena);
        st = play(p, sides, source, &scratch);
    }
    budgets_destroy(sides[0].accounts);
    budgets_destroy(sides[1].accounts);
    decide_scratch_fini(&scratch);
    return st;
}
