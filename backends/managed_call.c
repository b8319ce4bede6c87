/* A call to a managed expert: waits for its process, then is a call to the place where that listens. The
 * inner call is http1's; what it brings is handed on without a copy where the reader keeps up. */
#include <string.h>

#include "backends/expert.h"
#include "backends/managed_private.h"
#include "backends/transport.h"
#include "base/container.h"
#include "base/mem.h"

struct managed_call {
    struct call call; /* first: see call.h */
    struct managed_lease lease;
    struct transport *transport;
    struct loop *loop;
    struct call *inner; /* NULL: it still waits, or is over */
    struct loop_timer late;
};

static struct managed_call *managed_of(struct call *call)
{
    return (struct managed_call *)call;
}

/* Failures that a hung or dead process causes. */
static bool is_suspect(enum call_outcome outcome)
{
    return outcome == CALL_CONNECT_FAILED || outcome == CALL_CONNECT_TIMEOUT ||
           outcome == CALL_CUT || outcome == CALL_FIRST_TOKEN_TIMEOUT ||
           outcome == CALL_IDLE_TIMEOUT;
}

/* The only place where it ends by itself. */
static void finish(struct managed_call *mc, enum call_outcome outcome)
{
    mc->call.state = CALL_DONE;
    mc->call.outcome = outcome;
    loop_timer_cancel(mc->loop, &mc->late);
    if (mc->lease.state == LEASE_HELD) {
        managed_leave(&mc->lease, is_suspect(outcome));
    }
    mc->call.request.wake(mc->call.request.owner);
}

static int64_t seconds(int64_t ms)
{
    return ms <= 0 ? 1 : (ms + 999) / 1000;
}

static void refuse(struct managed_call *mc, int64_t retry_after_ms)
{
    mc->call.retry_after_s = seconds(retry_after_ms);
    finish(mc, CALL_NOT_READY);
}

/* Hands on what the inner call has: all of it when the reader has taken what there was, or at the end. */
static void hand_on(struct managed_call *mc)
{
    struct call *inner = mc->inner;
    if (mc->call.in.len == 0) {
        struct buf taken = inner->in;
        inner->in = mc->call.in;
        mc->call.in = taken;
        call_consume(inner, 0); /* goes on, if it had paused */
    } else if (inner->state == CALL_DONE) {
        if (buf_append(&mc->call.in, buf_str(&inner->in)) != ST_OK) {
            inner->outcome = CALL_NO_MEMORY;
        }
        buf_reset(&inner->in);
    }
}

static void on_inner(void *owner)
{
    struct managed_call *mc = owner;
    struct call *inner = mc->inner;
    if (inner == NULL || mc->call.state == CALL_DONE) {
        return; /* inside its start, which looks itself */
    }
    mc->call.http_status = inner->http_status;
    mc->call.is_event_stream = inner->is_event_stream;
    mc->call.content_type = inner->content_type;
    mc->call.retry_after_s = inner->retry_after_s;
    mc->call.first_byte_us = inner->first_byte_us;
    mc->call.state = inner->state == CALL_DONE ? CALL_STREAMING : inner->state;
    hand_on(mc);
    if (inner->state == CALL_DONE) {
        finish(mc, inner->outcome);
    } else {
        mc->call.request.wake(mc->call.request.owner);
    }
}

/* The lease is held: the process listens. */
static void go(struct managed_call *mc)
{
    struct managed *m = mc->lease.managed;
    struct call_request request = mc->call.request;
    struct process_place place;
    char url[sizeof m->url];
    managed_lock(m->set);
    place = m->place;
    memcpy(url, m->url, sizeof url);
    managed_unlock(m->set);
    const struct call_endpoint at = {str_from(url), str_from(place.socket), mc->lease.serial};
    mc->call.started_us = clock_now_us(loop_clock(mc->loop)); /* latencies are without the load */
    request.wake = on_inner;
    request.owner = mc;
    loop_timer_cancel(mc->loop, &mc->late);
    if (transport_call_at(mc->transport, &request, &at, &mc->inner) != ST_OK) {
        finish(mc, CALL_NO_MEMORY);
    } else if (mc->inner->state == CALL_DONE) {
        on_inner(mc);
    }
}

static void on_told(struct managed_lease *lease)
{
    struct managed_call *mc = CONTAINER_OF(lease, struct managed_call, lease);
    struct managed_set *set = lease->managed->set;
    managed_lock(set);
    bool is_given_up = lease->is_given_up;
    enum managed_verdict verdict = lease->verdict;
    lease->state = verdict == MANAGED_READY && !is_given_up ? LEASE_HELD : LEASE_OVER;
    managed_unlock(set);
    if (is_given_up) {
        mem_free(mc);
    } else if (verdict == MANAGED_READY) {
        go(mc);
    } else {
        refuse(mc, lease->retry_after_ms);
    }
}

/* Waited too long. Told at this very moment: then it is ready, and goes. */
static void on_late(struct loop_timer *timer)
{
    struct managed_call *mc = CONTAINER_OF(timer, struct managed_call, late);
    struct managed_set *set = mc->lease.managed->set;
    managed_lock(set);
    bool is_queued = mc->lease.state == LEASE_QUEUED;
    managed_unlock(set);
    if (is_queued && managed_give_up(&mc->lease)) {
        refuse(mc, managed_wait_ms(mc->lease.managed));
    }
}

static void consumed(struct call *call)
{
    struct managed_call *mc = managed_of(call);
    if (mc->inner == NULL) {
        return;
    }
    mc->inner->is_held = call->is_held;
    if (call->in.len == 0 && mc->inner->in.len > 0) {
        hand_on(mc);
        call->request.wake(call->request.owner);
    } else {
        call_consume(mc->inner, 0); /* goes on, if it was held */
    }
}

static void cancel(struct call *call)
{
    struct managed_call *mc = managed_of(call);
    loop_timer_cancel(mc->loop, &mc->late);
    if (mc->inner != NULL) {
        call_cancel(mc->inner);
    }
}

static void destroy(struct call *call)
{
    struct managed_call *mc = managed_of(call);
    loop_timer_cancel(mc->loop, &mc->late);
    call_destroy(mc->inner);
    mc->inner = NULL;
    buf_fini(&call->in);
    if (managed_give_up(&mc->lease)) {
        mem_free(mc); /* else on_told does it */
    }
}

/* The earlier of two times, of which the second may be 0: never. */
static int64_t sooner(int64_t a, int64_t b)
{
    return b != 0 && b < a ? b : a;
}

static const struct call_kind managed_kind = {consumed, cancel, destroy};

enum status managed_call(struct transport *t, struct loop *loop, const struct call_request *request,
                         struct call **ret_call)
{
    struct managed *m = request->expert->managed;
    struct managed_call *mc = mem_zalloc(1, sizeof *mc);
    if (mc == NULL) {
        return ST_NO_MEMORY;
    }
    mc->transport = t;
    mc->loop = loop;
    mc->late.on_due = on_late;
    mc->lease.loop = loop;
    mc->lease.told = on_told;
    mc->call.kind = &managed_kind;
    mc->call.request = *request;
    mc->call.content_type = STR("");
    mc->call.retry_after_s = -1;
    mc->call.started_us = clock_now_us(loop_clock(loop));
    buf_init(&mc->call.in, (size_t)request->expert->reply_bytes);
    int64_t due_ms = loop_now_ms(loop) + request->expert->process_spec.wait_ms;
    due_ms = sooner(sooner(due_ms, request->due_ms), request->first_due_ms);
    enum status st = loop_timer_set(loop, &mc->late, due_ms);
    enum managed_verdict verdict = st == ST_OK ? managed_enter(m, &mc->lease) : MANAGED_FULL;
    if (verdict == MANAGED_FULL) {
        destroy(&mc->call);
        return st == ST_OK ? ST_TOO_BIG : st;
    }
    *ret_call = &mc->call;
    if (verdict == MANAGED_READY) {
        go(mc);
    } else if (verdict == MANAGED_FAILED) {
        refuse(mc, mc->lease.retry_after_ms);
    }
    return ST_OK;
}
