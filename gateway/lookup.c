/* See lookup.h. */
#include "gateway/lookup.h"

#include "base/container.h"
#include "gateway/cache.h"
#include "gateway/cache_answer.h"
#include "gateway/editing.h"
#include "gateway/exchange.h"
#include "gateway/redaction.h"
#include "gateway/worker.h"

struct lookup {
    struct exchange *exchange;
    struct cache_reply reply;
    const struct cache_entry *answer; /* of the reply or its seat; NULL: none */
    const struct expert *expert;      /* whose answer it is */
    int64_t ttl_s;
    struct cache_capture capture;
    bool is_capturing;
    bool has_waited;
    bool is_late;
    struct loop_timer timer; /* ends the wait for another request */
};

enum wish { /* of the client; the later ones win */
    WISH_NONE,
    WISH_FRESH,  /* no-cache */
    WISH_NOTHING /* no-store */
};

static const struct caching *settings_of(const struct exchange *x)
{
    const struct category *category = x->decision.category;
    bool has_own = category != NULL && category->caching.ttl_s > 0;
    return has_own ? &category->caching : &x->leg.expert->caching;
}

bool lookup_is_wanted(const struct exchange *x)
{
    return settings_of(x)->ttl_s > 0 && !prompt_is_embedding(&x->chat.prompt);
}

/* ---------------------------------------------------------------- what is asked */

static enum wish read_directives(struct str value)
{
    enum wish wish = WISH_NONE;
    while (value.len > 0) {
        struct str one = value;
        (void)str_split(value, ',', &one, &value); /* there is text */
        one = str_trim(one);
        if (str_eq_nocase(one, STR("no-store"))) {
            wish = WISH_NOTHING;
        } else if (str_eq_nocase(one, STR("no-cache")) && wish == WISH_NONE) {
            wish = WISH_FRESH;
        }
    }
    return wish;
}

static enum wish wish_of(const struct exchange *x)
{
    enum wish own = read_directives(http_request_header(x->http, STR("x-expertd-cache-control")));
    enum wish any = read_directives(http_request_header(x->http, STR("Cache-Control")));
    return own > any ? own : any;
}

/* The body as it would be sent. False: it is not the same for everybody, or cannot be told. */
static bool make_body(struct exchange *x, struct str *ret_body)
{
    struct str body = chat_request_rewrite(&x->chat, x->leg.expert->model, false, x->arena);
    if (body.ptr == NULL || redaction_apply(x, &body) != ST_OK || redaction_counts(x) != NULL) {
        return false; /* what is wrong with it is said when it is sent */
    }
    *ret_body = body;
    struct editing of = exchange_editing(x);
    return editing_apply(&of, x->leg.expert, ret_body, &x->leg.edited) == ST_OK;
}

static bool make_key(struct exchange *x, struct digest *ret_key)
{
    struct cache_scope scope = {
        x->tenant != NULL ? x->tenant->name : http_request_header(x->http, STR("Authorization")),
        x->leg.expert->serial};
    struct str body;
    bool is_sampled = false;
    if (!make_body(x, &body)) {
        return false;
    }
    cache_answer_key(&scope, body, ret_key, &is_sampled);
    return !is_sampled || settings_of(x)->sampled;
}

static void begin(struct exchange *x)
{
    struct digest key;
    enum wish wish = wish_of(x);
    struct worker *w = x->worker;
    if (wish == WISH_NOTHING || !make_key(x, &key)) {
        return;
    }
    struct lookup *l = arena_alloc(x->arena, sizeof *l);
    const struct cache_asker asker = {w->loop,         exchange_wake,        x,
                                      &w->cache_seats, loop_now_ms(w->loop), wish == WISH_FRESH};
    struct cache_reply reply;
    if (l == NULL || cache_ask(w->cache, &key, &asker, &reply) != ST_OK) {
        return;
    }
    *l = (struct lookup){
        .exchange = x,
        .reply = reply,
        .expert = x->leg.expert,
        .ttl_s = settings_of(x)->ttl_s,
    };
    x->lookup = l;
}

/* ---------------------------------------------------------------- waiting */

static void on_late(struct loop_timer *timer)
{
    struct lookup *l = CONTAINER_OF(timer, struct lookup, timer);
    l->is_late = true;
    exchange_wake(l->exchange);
}

/* Whether a timer is set. */
static bool arm(struct exchange *x)
{
    struct lookup *l = x->lookup;
    struct loop *loop = x->worker->loop;
    if (l->has_waited) {
        return true;
    }
    l->has_waited = true;
    l->timer.on_due = on_late;
    int64_t due_ms = loop_now_ms(loop) + x->snapshot->conf.cache.wait_ms;
    return loop_timer_set(loop, &l->timer, due_ms) == ST_OK;
}

static enum lookup_state judge(struct exchange *x)
{
    struct lookup *l = x->lookup;
    enum cache_found found = l->reply.seat == NULL ? CACHE_HIT : cache_seat_state(l->reply.seat);
    if (found == CACHE_WAITS && !l->is_late && arm(x)) {
        return LOOKUP_WAIT;
    }
    loop_timer_cancel(x->worker->loop, &l->timer);
    if (found == CACHE_HIT || found == CACHE_TOLD) {
        l->answer = found == CACHE_HIT ? l->reply.entry : cache_seat_entry(l->reply.seat);
        return LOOKUP_ANSWER;
    }
    if (found != CACHE_LEADS) {
        lookup_settle(x);
    } else {
        cache_capture_init(&l->capture);
        l->is_capturing = true;
    }
    return LOOKUP_ASK;
}

static enum metrics_cache counter_of(const struct lookup *l)
{
    if (l->answer == NULL) {
        return METRICS_CACHE_MISS;
    }
    return l->reply.entry != NULL ? METRICS_CACHE_HIT : METRICS_CACHE_SHARED;
}

enum lookup_state lookup_run(struct exchange *x)
{
    if (x->lookup == NULL) {
        begin(x);
    }
    if (x->lookup == NULL) {
        return LOOKUP_ASK;
    }
    enum lookup_state state = judge(x);
    if (state != LOOKUP_WAIT) {
        metrics_count_cache(x->worker->counters, counter_of(x->lookup));
    }
    return state;
}

const char *lookup_text(const struct exchange *x)
{
    return x->lookup == NULL ? NULL : metrics_cache_text(counter_of(x->lookup));
}

bool lookup_has_answer(const struct exchange *x)
{
    return x->lookup != NULL && x->lookup->answer != NULL;
}

struct str lookup_answer(const struct exchange *x)
{
    return cache_entry_body(x->lookup->answer);
}

/* ---------------------------------------------------------------- the answer of a leader */

void lookup_capture(struct exchange *x, struct str bytes)
{
    struct lookup *l = x->lookup;
    if (l != NULL && l->is_capturing && l->expert == x->leg.expert) {
        cache_capture_feed(&l->capture, bytes);
    }
}

static void publish(struct exchange *x, struct str document, bool is_fit)
{
    struct lookup *l = x->lookup;
    int64_t expires_ms = loop_now_ms(x->worker->loop) + l->ttl_s * 1000;
    cache_end(l->reply.seat, is_fit ? CACHE_KEPT : CACHE_UNFIT, document, expires_ms);
}

void lookup_publish(struct exchange *x, struct str document)
{
    struct lookup *l = x->lookup;
    struct buf whole;
    if (l == NULL || !l->is_capturing) {
        return;
    }
    bool is_own = l->expert == x->leg.expert;
    if (!x->leg.has_relay) {
        publish(x, document,
                is_own && x->leg.call->http_status == 200 && cache_answer_is_fit(document));
    } else {
        buf_init(&whole, 2 * CACHE_ANSWER_BYTES);
        bool is_fit =
            is_own && cache_capture_write(&l->capture, &x->leg.relay.usage, &whole) == ST_OK;
        publish(x, buf_str(&whole), is_fit);
        buf_fini(&whole);
    }
    lookup_settle(x);
}

bool lookup_outlives_client(const struct exchange *x)
{
    bool is_asking = x->step == EX_RELAY || x->step == EX_ANSWER;
    return x->lookup != NULL && is_asking && x->lookup->is_capturing &&
           cache_has_followers(x->lookup->reply.seat);
}

void lookup_settle(struct exchange *x)
{
    struct lookup *l = x->lookup;
    if (l == NULL) {
        return;
    }
    loop_timer_cancel(x->worker->loop, &l->timer);
    if (l->is_capturing) {
        cache_capture_fini(&l->capture);
        l->is_capturing = false;
    }
    if (l->answer == NULL) {
        cache_leave(l->reply.seat);
        l->reply.seat = NULL;
    }
}

void lookup_forget(struct exchange *x)
{
    struct lookup *l = x->lookup;
    if (l == NULL) {
        return;
    }
    lookup_settle(x);
    cache_leave(l->reply.seat);
    cache_entry_unref(l->reply.entry);
    x->lookup = NULL;
}
