/* See preview.h. Where the requests come from is the caller's: the recent decisions, or receipts. */
#include "gateway/preview.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/replay.h"

enum {
    ROUND_BLOCK_BYTES = 64 * 1024,
    ROUND_MAX_BYTES = 64 * 1024 * 1024,
};

struct outcome { /* of one request with one configuration */
    struct str category;
    struct str expert; /* "": refused */
    int64_t cost_nano_usd;
    bool is_guess;
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
    size_t categories = r[0]->categories.count + r[1]->categories.count + 1;
    size_t experts = r[0]->experts.count + r[1]->experts.count + 1;
    p->categories.items = arena_alloc(arena, categories * sizeof *p->categories.items);
    p->experts.items = arena_alloc(arena, experts * sizeof *p->experts.items);
    p->rules = arena_alloc(arena, (r[1]->rules.count + 1) * sizeof *p->rules);
    if (p->categories.items == NULL || p->experts.items == NULL || p->rules == NULL) {
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
        bool is_known = new[i].when.header_count == 0 && new[i].when.text.len == 0;
        for (size_t k = 0; k < p->before->conf.routes.rules.count; k++) {
            is_known = is_known || signals_rule(&new[i]) == signals_rule(&old[k]);
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

static void count(struct preview *p, const struct outcome *before, const struct outcome *after)
{
    struct preview_name *expert = find(&p->experts, before->expert);
    p->requests++;
    p->guesses += after->is_guess || before->is_guess;
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

/* ---------------------------------------------------------------- deciding */

static enum status decide_with(const struct snapshot *s, const struct signals *signals,
                               struct decide_scratch *scratch, struct arena *arena,
                               struct outcome *ret)
{
    struct decision d;
    enum status st = replay_decide(s, signals, scratch, arena, &d);
    if (st == ST_NO_MEMORY) {
        return st;
    }
    bool is_planned = st == ST_OK && d.plan.count > 0;
    *ret = (struct outcome){
        .category = st == ST_NOT_FOUND ? STR("") : d.category_name,
        .expert = is_planned ? d.plan.experts[0]->id.name : STR(""),
        .cost_nano_usd = is_planned ? d.candidates[0].cost_nano_usd : 0,
        .is_guess = d.is_guess,
    };
    return ST_OK;
}

/* One request; what it needs is given back after it. */
static enum status run_one(struct preview *p, const struct signals *signals,
                           struct decide_scratch *scratch)
{
    struct outcome before;
    struct outcome after;
    struct arena *arena = arena_create(ROUND_BLOCK_BYTES, ROUND_MAX_BYTES);
    enum status st = arena == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        st = decide_with(p->before, signals, scratch, arena, &before);
    }
    if (st == ST_OK) {
        st = decide_with(p->after, signals, scratch, arena, &after);
    }
    if (st == ST_OK) {
        count(p, &before, &after); /* names live in the snapshots */
    }
    arena_destroy(arena);
    return st;
}

enum status preview_run(const struct snapshot *before, const struct snapshot *after,
                        preview_next_fn *next, void *ctx, struct arena *arena, struct preview *ret)
{
    struct decide_scratch scratch;
    struct signals signals;
    struct preview *p = ret;
    memset(p, 0, sizeof *p);
    p->before = before;
    p->after = after;
    enum status st = decide_scratch_init(&scratch);
    st = st == ST_OK ? make_lists(p, arena) : st;
    if (st == ST_OK) {
        list_rules(p, arena);
    }
    while (st == ST_OK && p->requests < PREVIEW_REQUESTS_MAX && next(ctx, &signals)) {
        st = run_one(p, &signals, &scratch);
    }
    decide_scratch_fini(&scratch);
    return st;
}
