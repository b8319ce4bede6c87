/* See residency.h. */
#include "backends/residency.h"

#include <math.h>

#include "base/assert.h"

enum {
    LOOK_AGAIN_MS = 20, /* while somebody waits for room */
    SILENCES = 3,
};

#define TO(state) (1U << (state))

static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [RESIDENCY_COLD] = {"cold", TO(RESIDENCY_STARTING)},
    [RESIDENCY_STARTING] = {"starting",
                            TO(RESIDENCY_READY) | TO(RESIDENCY_STOPPING) | TO(RESIDENCY_FAILED)},
    [RESIDENCY_READY] = {"ready",
                         TO(RESIDENCY_DRAINING) | TO(RESIDENCY_STOPPING) | TO(RESIDENCY_FAILED)},
    [RESIDENCY_DRAINING] = {"draining", TO(RESIDENCY_STOPPING) | TO(RESIDENCY_FAILED)},
    [RESIDENCY_STOPPING] = {"stopping", TO(RESIDENCY_COLD) | TO(RESIDENCY_FAILED)},
    [RESIDENCY_FAILED] = {"failed", TO(RESIDENCY_STARTING) | TO(RESIDENCY_COLD)},
};

const char *const residency_orders[] = {"value", "lru", NULL};

const char *residency_state_text(enum residency_state state)
{
    return states[state].name;
}

/* ---------------------------------------------------------------- one expert */

static int64_t backoff_ms(unsigned failures)
{
    int64_t ms = RESIDENCY_BACKOFF_MS;
    for (unsigned i = 1; i < failures && ms < RESIDENCY_BACKOFF_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < RESIDENCY_BACKOFF_MAX_MS ? ms : RESIDENCY_BACKOFF_MAX_MS;
}

void resident_enter(struct resident *e, enum residency_state state, int64_t now_ms)
{
    ASSERT((states[e->state].next & TO(state)) != 0);
    if (state == RESIDENCY_READY) {
        int64_t took = now_ms - e->since_ms;
        e->load_ms = e->load_ms == 0 ? took : (e->load_ms + took) / 2;
        e->load_ms = e->load_ms < 1 ? 1 : e->load_ms;
        e->used_ms = now_ms;
        e->failures = 0;
        e->is_wished = false;
    } else if (state == RESIDENCY_FAILED) {
        e->failures++;
        e->retry_ms = now_ms + backoff_ms(e->failures);
        e->is_unwished = false;
    } else if (state == RESIDENCY_COLD) {
        e->is_unwished = false;
    }
    if (state == RESIDENCY_COLD || state == RESIDENCY_FAILED) {
        e->busy = 0; /* there is no process: what ran in it has ended with it */
    }
    e->state = state;
    e->since_ms = now_ms;
}

bool resident_is_loaded(const struct resident *e)
{
    return e->state != RESIDENCY_COLD && e->state != RESIDENCY_FAILED;
}

int64_t resident_bytes(const struct resident *e)
{
    return e->measured_bytes > e->rule.bytes ? e->measured_bytes : e->rule.bytes;
}

static double use_at(const struct resident *e, int64_t now_ms)
{
    return e->use * exp(-(double)(now_ms - e->use_ms) / RESIDENCY_USE_MS);
}

void resident_arrive(struct resident *e, int64_t now_ms)
{
    e->use = use_at(e, now_ms) + 1.0;
    e->use_ms = now_ms;
    e->first_ms = e->first_ms == 0 ? now_ms : e->first_ms;
}

void resident_wait(struct resident *e, int64_t arrival_ms)
{
    e->waiting++;
    e->arrival_sum_ms += arrival_ms;
}

void resident_unwait(struct resident *e, int64_t arrival_ms)
{
    ASSERT(e->waiting > 0);
    e->waiting--;
    e->arrival_sum_ms -= arrival_ms;
}

void resident_begin(struct resident *e)
{
    e->busy++;
}

void resident_end(struct resident *e, int64_t now_ms)
{
    ASSERT(e->busy > 0);
    e->busy--;
    e->used_ms = now_ms;
}

static int64_t load_of(const struct resident *e)
{
    return e->load_ms > 0 ? e->load_ms : RESIDENCY_LOAD_GUESS_MS;
}

/* ---------------------------------------------------------------- who goes by itself */

static bool is_idle(const struct resident *e)
{
    return e->state == RESIDENCY_READY && e->busy == 0;
}

static bool is_young(const struct resident *e, int64_t now_ms)
{
    return now_ms - e->since_ms < e->rule.min_resident_ms;
}

static int64_t ttl_due(const struct resident *e)
{
    bool has_ttl = is_idle(e) && e->rule.ttl_ms > 0 && !e->rule.is_pinned;
    return has_ttl ? e->used_ms + e->rule.ttl_ms : INT64_MAX;
}

static struct residency_step goes_by_itself(const struct residency *r, int64_t now_ms)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *e = r->list[i];
        if (e->state == RESIDENCY_DRAINING && e->busy == 0) {
            return (struct residency_step){RESIDENCY_STOP, i, "drained"};
        }
        if (e->state == RESIDENCY_READY && e->is_unwished) {
            return (struct residency_step){e->busy > 0 ? RESIDENCY_DRAIN : RESIDENCY_STOP, i,
                                           "unload"};
        }
        if (ttl_due(e) <= now_ms) {
            return (struct residency_step){RESIDENCY_STOP, i, "ttl"};
        }
    }
    return (struct residency_step){RESIDENCY_NOTHING, 0, ""};
}

/* ---------------------------------------------------------------- who goes for others */

/* Whether two may not be in memory together once `fresh` loads. */
static bool conflicts(const struct resident *fresh, const struct resident *old)
{
    const struct residency_group *a = fresh->rule.group;
    const struct residency_group *b = old->rule.group;
    if (a == b) {
        return a != NULL && a->is_swap;
    }
    return a != NULL && a->is_exclusive && !(b != NULL && b->is_persistent);
}

/* A persistent group yields to its own members only. */
static bool may_leave(const struct resident *old, const struct resident *fresh, int64_t now_ms)
{
    const struct residency_group *group = old->rule.group;
    bool is_kept = group != NULL && group->is_persistent && group != fresh->rule.group;
    return old->state == RESIDENCY_READY && !old->rule.is_pinned && !is_kept &&
           !is_young(old, now_ms);
}

static double worth(const struct resident *e, int64_t now_ms)
{
    int64_t bytes = resident_bytes(e);
    int64_t load = load_of(e);
    return use_at(e, now_ms) * (double)load / (double)(bytes > 0 ? bytes : 1);
}

/* Whether a leaves before b. */
static bool leaves_first(const struct residency *r, const struct resident *a,
                         const struct resident *b, int64_t now_ms)
{
    if ((a->busy == 0) != (b->busy == 0)) {
        return a->busy == 0;
    }
    double worth_a = worth(a, now_ms);
    double worth_b = worth(b, now_ms);
    if (r->order == RESIDENCY_BY_VALUE && (worth_a < worth_b || worth_b < worth_a)) {
        return worth_a < worth_b;
    }
    return a->used_ms < b->used_ms;
}

/* Requests per millisecond. `use` remembers a minute: of one that is known for less the share that can be
 * remembered is divided by, else it would seem to be used less than it is. Of one that came at random as often
 * as that, SILENCES times the mean interval without a request is rare (e^-SILENCES): then it has become less. */
static double rate_of(const struct resident *e, int64_t now_ms)
{
    int64_t known = now_ms - e->first_ms;
    int64_t least = 2 * load_of(e);
    double span = (double)(known < least ? least : known) / RESIDENCY_USE_MS;
    double rate = use_at(e, now_ms) / (RESIDENCY_USE_MS * -expm1(-span));
    double silence = (double)(now_ms - e->use_ms);
    return rate * silence > SILENCES ? SILENCES / silence : rate;
}

/* What those who use `old` are expected to wait, all together, if it leaves for `fresh`: it could be back
 * after both loads; who comes meanwhile waits for half of that on average. */
static double price_of(const struct resident *old, const struct resident *fresh, int64_t now_ms)
{
    int64_t absence = load_of(old) + load_of(fresh);
    return rate_of(old, now_ms) * (double)absence * (double)absence / 2.0;
}

struct room { /* in bytes; goes down as those who wait are given their share */
    int64_t free;
    int64_t coming; /* of those that are leaving */
    bool is_empty;  /* nothing is loaded: then even what is too large may */
};

static struct room count_room(const struct residency *r)
{
    struct room room = {r->memory_bytes > 0 ? r->memory_bytes : INT64_MAX, 0, true};
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *e = r->list[i];
        if (!resident_is_loaded(e)) {
            continue;
        }
        room.is_empty = false;
        if (r->memory_bytes > 0) {
            room.free -= resident_bytes(e);
            bool leaves = e->state == RESIDENCY_STOPPING || e->state == RESIDENCY_DRAINING;
            room.coming += leaves ? resident_bytes(e) : 0;
        }
    }
    return room;
}

struct search { /* for somebody to leave */
    const struct residency *r;
    size_t fresh;
    int64_t now_ms;
    bool takes_busy;
};

/* The first to leave after `last` in the order of leaving, or count. `last` count: from the start. */
static size_t next_victim(const struct search *s, size_t last)
{
    const struct residency *r = s->r;
    size_t best = r->count;
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *e = r->list[i];
        bool is_in = may_leave(e, r->list[s->fresh], s->now_ms) && (e->busy == 0 || s->takes_busy);
        bool is_after =
            last == r->count ||
            (i != last && (leaves_first(r, r->list[last], e, s->now_ms) ||
                           (!leaves_first(r, e, r->list[last], s->now_ms) && i > last)));
        if (is_in && is_after &&
            (best == r->count || leaves_first(r, e, r->list[best], s->now_ms))) {
            best = i;
        }
    }
    return best;
}

struct exit_plan {    /* who would have to leave for one that waits */
    size_t first;     /* of them; count: nobody */
    double price;     /* of all */
    bool is_possible; /* with them gone it fits */
    const char *reason;
};

/* Those that its group sends away, then as many as memory needs. */
static struct exit_plan plan_exit(const struct search *s, int64_t shortfall)
{
    const struct residency *r = s->r;
    const struct resident *fresh = r->list[s->fresh];
    struct exit_plan plan = {r->count, 0.0, true, "memory"};
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *old = r->list[i];
        if (i == s->fresh || !resident_is_loaded(old) || !conflicts(fresh, old)) {
            continue;
        }
        if (old->state == RESIDENCY_STOPPING || old->state == RESIDENCY_DRAINING) {
            continue; /* on its way; counted as coming */
        }
        bool leaves = may_leave(old, fresh, s->now_ms) && (old->busy == 0 || s->takes_busy);
        plan.is_possible = plan.is_possible && leaves;
        plan.price += price_of(old, fresh, s->now_ms);
        if (leaves) {
            plan.first = i;
            plan.reason = "group";
        }
        shortfall -= resident_bytes(old);
    }
    for (size_t v = next_victim(s, r->count); shortfall > 0 && v < r->count;
         v = next_victim(s, v)) {
        if (conflicts(fresh, r->list[v])) {
            continue; /* counted above */
        }
        plan.first = plan.first == r->count ? v : plan.first;
        plan.price += price_of(r->list[v], fresh, s->now_ms);
        shortfall -= resident_bytes(r->list[v]);
    }
    plan.is_possible = plan.is_possible && shortfall <= 0;
    return plan;
}

static bool has_conflict(const struct residency *r, const struct resident *fresh)
{
    for (size_t i = 0; i < r->count; i++) {
        if (r->list[i] != fresh && resident_is_loaded(r->list[i]) && conflicts(fresh, r->list[i])) {
            return true;
        }
    }
    return false;
}

static bool may_load(const struct resident *e, int64_t now_ms)
{
    return e->state == RESIDENCY_COLD || (e->state == RESIDENCY_FAILED && now_ms >= e->retry_ms);
}

static void reserve(struct room *room, int64_t bytes)
{
    int64_t now = bytes < room->free ? bytes : room->free;
    room->free -= now > 0 ? now : 0;
    room->coming -= bytes - (now > 0 ? now : 0);
}

/* The room that one takes. What is larger than all memory runs alone: it takes all of it. */
static int64_t need_of(const struct residency *r, const struct resident *e)
{
    int64_t bytes = resident_bytes(e);
    return r->memory_bytes > 0 && bytes > r->memory_bytes ? r->memory_bytes : bytes;
}

/* What one that wants to be loaded may do; takes its share of the room. */
static struct residency_step consider(const struct residency *r, size_t index, struct room *room,
                                      int64_t now_ms)
{
    const struct residency_step nothing = {RESIDENCY_NOTHING, 0, ""};
    const struct resident *e = r->list[index];
    int64_t need = need_of(r, e);
    bool has_conflicts = has_conflict(r, e);
    if (!has_conflicts && (need <= room->free || room->is_empty)) {
        return (struct residency_step){RESIDENCY_LOAD, index, e->waiting > 0 ? "demand" : "wish"};
    }
    if (e->waiting == 0) {
        return nothing; /* a wish sends nobody away */
    }
    int64_t shortfall = need - room->free - room->coming;
    bool is_starving = now_ms - e->oldest_ms >= r->starve_ms;
    struct search s = {r, index, now_ms, is_starving};
    struct exit_plan plan = plan_exit(&s, shortfall);
    double waited = (double)((int64_t)e->waiting * now_ms - e->arrival_sum_ms);
    bool is_due = is_starving || waited >= plan.price * r->patience;
    if (plan.first < r->count && is_due && (plan.is_possible || is_starving)) {
        return (struct residency_step){r->list[plan.first]->busy > 0 ? RESIDENCY_DRAIN
                                                                     : RESIDENCY_STOP,
                                       plan.first, plan.reason};
    }
    if (is_starving || shortfall <= 0) {
        reserve(room, need); /* what comes free is for it */
    }
    return nothing;
}

/* The next to be considered after `last`: those that are waited for, the longest wait first, then the
 * wishes. */
static size_t next_wanted(const struct residency *r, size_t last, int64_t now_ms)
{
    size_t best = r->count;
    int64_t best_key = 0;
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *e = r->list[i];
        if (!may_load(e, now_ms) || (e->waiting == 0 && !e->is_wished)) {
            continue;
        }
        int64_t key = e->waiting > 0 ? e->oldest_ms : INT64_MAX;
        if (last < r->count) {
            const struct resident *l = r->list[last];
            int64_t last_key = l->waiting > 0 ? l->oldest_ms : INT64_MAX;
            if (key < last_key || (key == last_key && i <= last)) {
                continue;
            }
        }
        if (best == r->count || key < best_key) {
            best = i;
            best_key = key;
        }
    }
    return best;
}

/* More was measured than was declared: the least worthy idle one goes, as soon as it may. */
static struct residency_step sheds(const struct residency *r, int64_t now_ms)
{
    struct residency_step step = {RESIDENCY_NOTHING, 0, ""};
    struct room room = count_room(r);
    size_t loaded = 0;
    for (size_t i = 0; i < r->count; i++) {
        loaded += resident_is_loaded(r->list[i]);
    }
    if (room.free + room.coming >= 0 || loaded < 2) {
        return step;
    }
    size_t best = r->count;
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *e = r->list[i];
        if (is_idle(e) && !e->rule.is_pinned && !is_young(e, now_ms) &&
            (best == r->count || leaves_first(r, e, r->list[best], now_ms))) {
            best = i;
        }
    }
    return best == r->count ? step : (struct residency_step){RESIDENCY_STOP, best, "memory"};
}

struct residency_step residency_next(const struct residency *r, int64_t now_ms)
{
    struct residency_step step = goes_by_itself(r, now_ms);
    if (step.act == RESIDENCY_NOTHING) {
        step = sheds(r, now_ms);
    }
    struct room room = count_room(r);
    for (size_t i = next_wanted(r, r->count, now_ms); step.act == RESIDENCY_NOTHING && i < r->count;
         i = next_wanted(r, i, now_ms)) {
        step = consider(r, i, &room, now_ms);
    }
    return step;
}

bool residency_is_free_for(const struct residency *r, size_t index, int64_t now_ms)
{
    const struct resident *e = r->list[index];
    struct room room = count_room(r);
    bool is_wanted = false;
    for (size_t i = 0; i < r->count; i++) {
        is_wanted = is_wanted || (i != index && may_load(r->list[i], now_ms) &&
                                  (r->list[i]->waiting > 0 || r->list[i]->is_wished));
    }
    return e->state == RESIDENCY_COLD && !is_wanted && !has_conflict(r, e) &&
           resident_bytes(e) <= room.free;
}

int64_t residency_due_ms(const struct residency *r, int64_t now_ms)
{
    int64_t due = INT64_MAX;
    for (size_t i = 0; i < r->count; i++) {
        const struct resident *e = r->list[i];
        int64_t own = ttl_due(e);
        bool wants = e->waiting > 0 || e->is_wished;
        if (e->state == RESIDENCY_FAILED && wants) {
            own = e->retry_ms;
        } else if (e->state == RESIDENCY_COLD && e->waiting > 0) {
            own = now_ms + LOOK_AGAIN_MS;
        }
        due = own < due ? own : due;
    }
    return due < now_ms ? now_ms : due;
}

int64_t residency_wait_ms(const struct residency *r, size_t index, int64_t now_ms)
{
    const struct resident *e = r->list[index];
    int64_t load = load_of(e);
    int64_t passed = now_ms - e->since_ms;
    switch (e->state) {
    case RESIDENCY_READY:
        return 0;
    case RESIDENCY_STARTING:
        return passed < load ? load - passed : 0;
    case RESIDENCY_DRAINING:
    case RESIDENCY_STOPPING:
        return load;
    case RESIDENCY_FAILED:
        return load + (e->retry_ms > now_ms ? e->retry_ms - now_ms : 0);
    case RESIDENCY_COLD:
        break;
    }
    struct room room = count_room(r);
    if (resident_bytes(e) <= room.free) {
        return load;
    }
    struct search s = {r, index, now_ms, false};
    struct exit_plan plan = plan_exit(&s, need_of(r, e) - room.free - room.coming);
    int64_t price = (int64_t)(plan.price * r->patience);
    return load + (plan.is_possible && price < r->starve_ms ? price : r->starve_ms);
}
