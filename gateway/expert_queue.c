/* See expert_queue.h. A waiter is an object of its own, because another thread may just be giving it a
 * place while its exchange leaves: then the place comes to nobody, and is given back. */
#include "gateway/expert_queue.h"

#include "base/container.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"

enum {
    TOKENS_PER_COST = 1024, /* a longer prompt keeps an expert longer */
};

struct expert_waiter {
    struct health_waiter waiter;
    struct worker *worker;
    struct exchange *exchange; /* NULL: it left while it was being told */
};

/* The time of the turn, as plans have it: an expert that is asked again when its Retry-After is over
 * finds its breaker closed. */
static int64_t now_us(const struct exchange *x)
{
    return loop_now_ms(x->worker->loop) * 1000;
}

static struct health *health_of(const struct exchange *x)
{
    return x->snapshot->health[x->leg.expert->index];
}

static void tell(struct exchange *x, enum health_entry verdict)
{
    x->leg.place.waiter = NULL;
    x->leg.place.is_told = true;
    x->leg.place.verdict = verdict;
    loop_timer_cancel(x->worker->loop, &x->leg.place.timer);
    exchange_wake(x);
}

static void give_back(const struct health_pass *pass, int64_t at_us)
{
    const struct health_result nothing = {.outcome = CALL_CANCELLED, .retry_after_s = -1};
    health_leave(pass, at_us, &nothing);
}

static void destroy(struct expert_waiter *w)
{
    w->worker->waiters--;
    mem_free(w);
}

static void on_done(struct health_waiter *waiter)
{
    struct expert_waiter *w = CONTAINER_OF(waiter, struct expert_waiter, waiter);
    struct exchange *x = w->exchange;
    bool is_in = waiter->verdict == HEALTH_IN;
    if (x == NULL && is_in) {
        give_back(&waiter->pass, clock_now_us(loop_clock(w->worker->loop)));
    } else if (x != NULL) {
        x->leg.place.pass = waiter->pass;
        x->leg.place.is_in = is_in;
        tell(x, waiter->verdict);
    }
    destroy(w);
}

/* Out of the queue; a waiter that is being told already only loses its exchange. */
static void stop_waiting(struct exchange *x)
{
    struct expert_waiter *w = x->leg.place.waiter;
    x->leg.place.waiter = NULL;
    loop_timer_cancel(x->worker->loop, &x->leg.place.timer);
    if (health_cancel(health_of(x), &w->waiter)) {
        destroy(w);
    } else {
        w->exchange = NULL;
    }
}

static void on_late(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, leg.place.timer);
    if (health_cancel(health_of(x), &x->leg.place.waiter->waiter)) {
        destroy(x->leg.place.waiter);
        tell(x, HEALTH_LATE);
    } /* else it is being told: on_done follows */
}

/* Whose turn it is: a tenant's, or of a client without one; each priority has turns of its own. */
static void set_item(const struct exchange *x, struct fair_item *item)
{
    static const int64_t weights[] = {
        [EXPERT_LOW] = 1,
        [EXPERT_NORMAL] = 4,
        [EXPERT_HIGH] = 16,
    };

    struct str who =
        x->tenant != NULL ? x->tenant->name : http_request_header(x->http, STR("Authorization"));
    int64_t cost =
        weights[EXPERT_NORMAL] * (1 + prompt_tokens_estimate(&x->chat.prompt) / TOKENS_PER_COST);
    item->flow = str_hash(who) * 4 + (uint64_t)x->priority;
    item->weight = weights[x->priority];
    item->cost = cost < FAIR_COST_MAX ? cost : FAIR_COST_MAX;
}

static struct expert_waiter *make_waiter(struct exchange *x)
{
    struct expert_waiter *w = mem_zalloc(1, sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->worker = x->worker;
    w->exchange = x;
    w->waiter.loop = x->worker->loop;
    w->waiter.done = on_done;
    set_item(x, &w->waiter.item);
    x->leg.place.timer.on_due = on_late;
    int64_t due_ms = loop_now_ms(x->worker->loop) + x->leg.expert->limits.queue_ms;
    if (loop_timer_set(x->worker->loop, &x->leg.place.timer, due_ms) != ST_OK) {
        mem_free(w);
        return NULL;
    }
    x->worker->waiters++;
    return w;
}

/* There is no place at once: one in the queue. */
static enum health_entry wait_in_line(struct exchange *x)
{
    struct expert_waiter *w = make_waiter(x);
    if (w == NULL) {
        return HEALTH_FULL;
    }
    enum health_entry entry = health_enter(health_of(x), now_us(x), &w->waiter, &x->leg.place.pass);
    if (entry == HEALTH_QUEUED) {
        x->leg.place.waiter = w;
        return entry;
    }
    loop_timer_cancel(x->worker->loop, &x->leg.place.timer);
    destroy(w);
    return entry;
}

enum health_entry expert_queue_enter(struct exchange *x)
{
    struct expert_place *place = &x->leg.place;
    if (place->is_in) {
        return HEALTH_IN;
    }
    if (place->waiter != NULL) {
        return HEALTH_QUEUED;
    }
    if (place->is_told) {
        place->is_told = false;
        return place->verdict;
    }
    enum health_entry entry = health_enter(health_of(x), now_us(x), NULL, &place->pass);
    if (entry == HEALTH_FULL && x->leg.expert->limits.queue > 0 && !place->is_hasty) {
        entry = wait_in_line(x);
    }
    if (entry == HEALTH_SHUT && place->is_forced) {
        health_force(health_of(x), now_us(x), &place->pass);
        entry = HEALTH_IN;
    }
    place->is_in = entry == HEALTH_IN;
    return entry;
}

bool expert_queue_is_pending(const struct exchange *x)
{
    return x->leg.place.is_in || x->leg.place.is_told || x->leg.place.waiter != NULL;
}

bool expert_queue_may_try(void *exchange, const struct expert *expert, const char **ret_why)
{
    const struct exchange *x = exchange;
    struct health *h = x->snapshot->health[expert->index];
    struct policy_health facts = {0};
    if (health_is_plain(h) || x->leg.place.is_forced) {
        return true;
    }
    health_look(h, now_us(x), &facts);
    *ret_why = facts.why == NULL ? *ret_why : "breaker_open";
    return facts.why == NULL;
}

void expert_queue_leave(struct exchange *x, enum call_outcome outcome)
{
    const struct call *call = x->leg.call;
    if (!x->leg.place.is_in) {
        return;
    }
    bool has_begun = call != NULL && call->first_byte_us != 0;
    struct health_result result = {
        .outcome = call == NULL ? CALL_CANCELLED : outcome,
        .http_status = call == NULL ? 0 : call->http_status,
        .retry_after_s = call == NULL ? -1 : call->retry_after_s,
        .first_token_us = has_begun ? call->first_byte_us - call->started_us : 0,
        .is_outrun = x->leg.place.is_outrun,
    };
    if (x->leg.place.is_outrun && call != NULL) {
        result.first_token_us = now_us(x) - call->started_us;
    }
    x->leg.place.is_in = false;
    x->leg.place.is_told = false;
    health_leave(&x->leg.place.pass, now_us(x), &result);
}

void expert_queue_drop(struct exchange *x)
{
    if (x->leg.place.waiter != NULL) {
        stop_waiting(x);
    }
    if (x->leg.place.is_in) {
        give_back(&x->leg.place.pass, now_us(x));
    }
    x->leg.place.is_in = false;
    x->leg.place.is_told = false;
}

int64_t expert_queue_retry_s(struct exchange *x)
{
    return health_retry_s(health_of(x), now_us(x));
}
