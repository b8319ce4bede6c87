/* See health.h. What counts for whom stands in judge(); the documents in health_page.c. */
#include "gateway/health.h"

#include <string.h>

#include "backends/expert.h"
#include "base/container.h"
#include "base/mem.h"
#include "gateway/health_table.h"

enum {
    RETRY_MAX_S = 3600,
    FRESH_EVERY = 16, /* answers after which the quantiles are looked up again */
};

static const double SERVICE_SHARE = 0.1;      /* the average spans about ten attempts */
static const uint64_t NO_TICKET = UINT64_MAX; /* of no era: reports with it change nothing */

/* ---------------------------------------------------------------- table */

static void drop(struct roll_entry *e)
{
    struct health *h = health_of(e);
    (void)pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

struct healths *healths_create(void)
{
    struct healths *hs = mem_zalloc(1, sizeof *hs);
    if (hs != NULL) {
        roll_init(&hs->roll);
    }
    return hs;
}

void healths_destroy(struct healths *hs)
{
    if (hs != NULL) {
        roll_fini(&hs->roll, drop);
        mem_free(hs);
    }
}

static struct health *find(const struct healths *hs, const struct expert *e)
{
    for (struct roll_entry *at = hs->roll.first; at != NULL; at = at->next) {
        struct health *h = health_of(at);
        if (str_eq(str_from(h->name), e->id.name) && h->url_hash == str_hash(e->url)) {
            return h;
        }
    }
    return NULL;
}

static struct health *make(struct healths *hs, const struct expert *e)
{
    struct health *h = mem_zalloc(1, sizeof *h + e->id.name.len + 1);
    if (h == NULL) {
        return NULL;
    }
    if (pthread_mutex_init(&h->lock, NULL) != 0) {
        mem_free(h);
        return NULL;
    }
    memcpy(h->name, e->id.name.ptr, e->id.name.len);
    h->url_hash = str_hash(e->url);
    roll_add(&hs->roll, &h->entry);
    return h;
}

/* A kernel breaks with the gateway or not at all: it has a breaker only where one is written down. */
static void set_rules(struct health *h, const struct expert *e)
{
    const struct limits *l = &e->limits;
    bool has_breaker = e->kernel == NULL || l->breaker.is_given;
    (void)pthread_mutex_lock(&h->lock);
    h->breaker_rule = (struct breaker_rule){
        .failures = has_breaker ? l->breaker.failures : 0,
        .window_ms = l->breaker.window_ms,
        .open_ms = l->breaker.open_ms,
        .open_max_ms = l->breaker.open_max_ms > l->breaker.open_ms ? l->breaker.open_max_ms
                                                                   : l->breaker.open_ms,
        .half_open = l->breaker.half_open,
    };
    h->cools_down = has_breaker && l->breaker.cool_down;
    h->concurrency_rule =
        (struct concurrency_rule){l->concurrency.min, l->concurrency.max, l->concurrency.adaptive};
    h->queue_max = (size_t)l->queue;
    h->probe_bad = l->probe.unhealthy;
    h->probe_good = l->probe.healthy;
    h->is_probed = l->probe.path.len > 0;
    h->is_sick = h->is_sick && h->is_probed;
    (void)pthread_mutex_unlock(&h->lock);
}

enum status healths_join(struct healths *hs, const struct expert *experts, size_t count,
                         struct health **ret)
{
    memset(ret, 0, count * sizeof(struct health *));
    for (size_t i = 0; i < count; i++) {
        struct health *known = find(hs, &experts[i]);
        ret[i] = known == NULL ? make(hs, &experts[i]) : known;
        if (ret[i] == NULL) {
            return ST_NO_MEMORY;
        }
        roll_hold(&ret[i]->entry);
    }
    return ST_OK;
}

void healths_use(struct healths *hs, const struct expert *experts, size_t count,
                 struct health *const *list)
{
    for (struct roll_entry *e = hs->roll.first; e != NULL; e = e->next) {
        atomic_store(&health_of(e)->is_current, false);
    }
    for (size_t i = 0; i < count; i++) {
        set_rules(list[i], &experts[i]);
        atomic_store(&list[i]->is_current, true);
    }
}

void healths_leave(struct health **list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] != NULL) {
            roll_release(&list[i]->entry);
        }
    }
}

void healths_sweep(struct healths *hs)
{
    roll_sweep(&hs->roll, drop);
}

/* ---------------------------------------------------------------- places */

/* An open breaker waits for a probe; a cool-down ends by itself. */
static bool is_tried_by_probes(const struct health *h)
{
    return h->is_probed && h->breaker.state != BREAKER_CLOSED && !h->breaker.is_cooling;
}

static bool is_shut(const struct health *h, int64_t now_us)
{
    return h->is_sick || h->is_stuck || is_tried_by_probes(h) ||
           !breaker_allows(&h->breaker, &h->breaker_rule, now_us / 1000);
}

static bool is_full(const struct health *h)
{
    int64_t limit = concurrency_limit(&h->concurrency, &h->concurrency_rule);
    return limit > 0 && h->in_flight >= limit;
}

static void seat(struct health *h, uint64_t ticket, int64_t now_us, struct health_pass *ret_pass)
{
    h->in_flight++;
    *ret_pass = (struct health_pass){h, ticket, now_us};
}

static void on_posted(struct loop_task *task)
{
    struct health_waiter *w = CONTAINER_OF(task, struct health_waiter, task);
    w->done(w);
}

static void tell(struct health_waiter *w, enum health_entry verdict)
{
    w->verdict = verdict;
    w->task.run = on_posted;
    loop_post(w->loop, &w->task);
}

static struct health_waiter *waiter_of(struct fair_item *item)
{
    return CONTAINER_OF(item, struct health_waiter, item);
}

/* Gives places to those that wait, while there are any; to nobody when the expert is shut: then all of
 * them had better go elsewhere. */
static void admit_waiters(struct health *h, int64_t now_us)
{
    while (h->queue.count > 0 && !is_full(h)) {
        uint64_t ticket = 0;
        bool is_open = !is_shut(h, now_us) &&
                       breaker_try(&h->breaker, &h->breaker_rule, now_us / 1000, &ticket);
        struct health_waiter *w = waiter_of(fair_queue_pop(&h->queue));
        if (is_open) {
            seat(h, ticket, now_us, &w->pass);
            h->waited++;
        }
        tell(w, is_open ? HEALTH_IN : HEALTH_SHUT);
    }
}

static void note_plain(struct health *h)
{
    atomic_store(&h->is_unplain, h->breaker.state != BREAKER_CLOSED || h->is_sick || h->is_stuck);
}

/* Waits, in the place of a less important one where the queue is full. */
static enum health_entry wait_in_line(struct health *h, struct health_waiter *w)
{
    if (w == NULL) {
        h->refused += h->queue_max == 0;
        return HEALTH_FULL;
    }
    if (h->queue.count >= h->queue_max) {
        struct fair_item *least = fair_queue_least(&h->queue, w->item.weight);
        h->refused++;
        if (least == NULL) {
            return HEALTH_FULL;
        }
        fair_queue_remove(&h->queue, least);
        tell(waiter_of(least), HEALTH_FULL);
    }
    fair_queue_push(&h->queue, &w->item);
    return HEALTH_QUEUED;
}

enum health_entry health_enter(struct health *h, int64_t now_us, struct health_waiter *w,
                               struct health_pass *ret_pass)
{
    enum health_entry entry = HEALTH_IN;
    uint64_t ticket = 0;
    (void)pthread_mutex_lock(&h->lock);
    if (is_shut(h, now_us)) {
        entry = HEALTH_SHUT;
    } else if (is_full(h)) {
        entry = wait_in_line(h, w);
    } else if (breaker_try(&h->breaker, &h->breaker_rule, now_us / 1000, &ticket)) {
        seat(h, ticket, now_us, ret_pass);
    }
    note_plain(h);
    (void)pthread_mutex_unlock(&h->lock);
    return entry;
}

void health_force(struct health *h, int64_t now_us, struct health_pass *ret_pass)
{
    (void)pthread_mutex_lock(&h->lock);
    seat(h, NO_TICKET, now_us, ret_pass);
    (void)pthread_mutex_unlock(&h->lock);
}

bool health_cancel(struct health *h, struct health_waiter *w)
{
    (void)pthread_mutex_lock(&h->lock);
    bool is_waiting = w->item.is_queued;
    fair_queue_remove(&h->queue, &w->item);
    (void)pthread_mutex_unlock(&h->lock);
    return is_waiting;
}

/* ---------------------------------------------------------------- results */

enum verdict {
    GOOD,
    BAD,
    NEUTRAL,
    COOLING
};

/* What an attempt says of the expert. The client's mistakes (4xx) and its leaving say nothing, nor does
 * what the gateway ran out of. */
static enum verdict judge(const struct health *h, const struct health_result *r)
{
    switch (r->outcome) {
    case CALL_CONNECT_FAILED:
    case CALL_CONNECT_TIMEOUT:
    case CALL_FIRST_TOKEN_TIMEOUT:
    case CALL_IDLE_TIMEOUT:
    case CALL_TOTAL_TIMEOUT:
    case CALL_CUT:
    case CALL_BAD_REPLY:
        return BAD;
    case CALL_TOO_BIG:
    case CALL_NO_MEMORY:
    case CALL_CANCELLED:
    case CALL_NOT_READY: /* a process has states of its own */
        return NEUTRAL;
    case CALL_OK:
        break;
    }
    bool is_overload = r->http_status == 429 || r->http_status == 503;
    if (is_overload && r->retry_after_s > 0 && h->cools_down) {
        return COOLING;
    }
    return r->http_status >= 500 ? BAD : r->http_status >= 300 ? NEUTRAL : GOOD;
}

static void learn(struct health *h, const struct health_pass *pass, int64_t now_us,
                  const struct health_result *r)
{
    bool is_late = r->outcome == CALL_FIRST_TOKEN_TIMEOUT || r->outcome == CALL_CONNECT_TIMEOUT;
    bool is_answer = r->outcome == CALL_OK && r->http_status >= 200 && r->http_status < 300;
    bool is_timed = (is_answer || r->is_outrun) && r->first_token_us > 0;
    if (is_late || r->http_status == 429 || r->http_status == 503) {
        concurrency_drop(&h->concurrency, &h->concurrency_rule);
    } else if (is_timed) {
        concurrency_observe(&h->concurrency, &h->concurrency_rule, h->in_flight, r->first_token_us);
        quantile_add(&h->first_token, r->first_token_us);
        if (h->first_token.total < FRESH_EVERY || h->first_token.fresh % FRESH_EVERY == 0) {
            h->p50_us = quantile_get(&h->first_token, 0.5);
            h->p95_us = quantile_get(&h->first_token, 0.95);
        }
    }
    double took_us = (double)(now_us - pass->entered_us);
    h->service_us += h->service_us > 0 ? (took_us - h->service_us) * SERVICE_SHARE : took_us;
}

void health_leave(const struct health_pass *pass, int64_t now_us,
                  const struct health_result *result)
{
    static const enum breaker_event events[] = {
        [GOOD] = BREAKER_SUCCESS,
        [BAD] = BREAKER_FAILURE,
        [NEUTRAL] = BREAKER_NOTHING,
        [COOLING] = BREAKER_NOTHING,
    };

    struct health *h = pass->health;
    (void)pthread_mutex_lock(&h->lock);
    enum verdict verdict = judge(h, result);
    h->results[verdict]++;
    if (verdict == COOLING) {
        int64_t cool_s =
            result->retry_after_s < RETRY_MAX_S * 24 ? result->retry_after_s : RETRY_MAX_S * 24;
        breaker_cool(&h->breaker, &h->breaker_rule, pass->ticket, cool_s * 1000, now_us / 1000);
    } else {
        breaker_report(&h->breaker, &h->breaker_rule, events[verdict], pass->ticket, now_us / 1000);
    }
    learn(h, pass, now_us, result);
    h->in_flight--;
    admit_waiters(h, now_us);
    note_plain(h);
    (void)pthread_mutex_unlock(&h->lock);
}

bool health_probed(struct health *h, int64_t now_us, bool is_good)
{
    uint64_t ticket = 0;
    (void)pthread_mutex_lock(&h->lock);
    h->probes_in_row = (h->probes_in_row > 0) == is_good ? h->probes_in_row : 0;
    h->probes_in_row += is_good ? 1 : -1;
    bool is_news =
        h->is_sick ? h->probes_in_row >= h->probe_good : -h->probes_in_row >= h->probe_bad;
    h->is_sick = h->is_sick != is_news;
    if (is_tried_by_probes(h) &&
        breaker_try(&h->breaker, &h->breaker_rule, now_us / 1000, &ticket)) {
        breaker_report(&h->breaker, &h->breaker_rule, is_good ? BREAKER_SUCCESS : BREAKER_FAILURE,
                       ticket, now_us / 1000);
    }
    note_plain(h);
    (void)pthread_mutex_unlock(&h->lock);
    return is_news;
}

bool health_note_stuck(struct health *h, int64_t now_us, bool is_stuck)
{
    (void)pthread_mutex_lock(&h->lock);
    bool is_news = h->is_stuck != is_stuck;
    h->is_stuck = is_stuck;
    if (is_news) {
        admit_waiters(h, now_us); /* or sends them elsewhere */
        note_plain(h);
    }
    (void)pthread_mutex_unlock(&h->lock);
    return is_news;
}

/* ---------------------------------------------------------------- facts */

bool health_is_plain(const struct health *h)
{
    return !atomic_load(&h->is_unplain);
}

/* How long somebody who came now would wait for a place, by Little's law: those before it, each taking
 * service_us, so many at a time. */
static int64_t queue_us(const struct health *h)
{
    int64_t limit = concurrency_limit(&h->concurrency, &h->concurrency_rule);
    if (limit == 0 || h->in_flight < limit) {
        return 0;
    }
    double wait_us = (double)(h->queue.count + 1) * h->service_us / (double)limit;
    return (int64_t)wait_us;
}

void health_look(struct health *h, int64_t now_us, struct policy_health *ret)
{
    (void)pthread_mutex_lock(&h->lock);
    ret->why = h->is_sick              ? "it fails its health checks"
               : h->is_stuck           ? "a call to it does not return"
               : !is_shut(h, now_us)   ? NULL
               : h->breaker.is_cooling ? "it asked for time"
                                       : "its breaker is open";
    ret->opens_ms = h->is_sick || h->is_stuck ? -1 : breaker_wait_ms(&h->breaker, now_us / 1000);
    ret->wait_us = queue_us(h) + h->p50_us;
    (void)pthread_mutex_unlock(&h->lock);
}

int64_t health_p95_us(struct health *h)
{
    (void)pthread_mutex_lock(&h->lock);
    int64_t us = h->first_token.total < FRESH_EVERY ? 0 : h->p95_us;
    (void)pthread_mutex_unlock(&h->lock);
    return us;
}

int64_t health_retry_s(struct health *h, int64_t now_us)
{
    (void)pthread_mutex_lock(&h->lock);
    int64_t wait_ms = breaker_wait_ms(&h->breaker, now_us / 1000);
    int64_t queue_ms = queue_us(h) / 1000;
    (void)pthread_mutex_unlock(&h->lock);
    int64_t seconds = ((wait_ms > queue_ms ? wait_ms : queue_ms) + 999) / 1000;
    return seconds < 1 ? 1 : seconds > RETRY_MAX_S ? RETRY_MAX_S : seconds;
}
