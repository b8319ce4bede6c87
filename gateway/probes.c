/* See probes.h. */
#include "gateway/probes.h"

#include "backends/expert.h"
#include "backends/kernel.h"
#include "backends/kernel_turn.h"
#include "backends/transport.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/health.h"

enum {
    KERNEL_LOOK_MS = 500,
};

struct probe {
    struct probes *owner;
    const struct expert *expert;
    struct health *health;
    struct call *call;       /* NULL: the next one waits for the timer */
    struct loop_timer timer; /* of the next one, or of the end of this one */
};

struct probes {
    struct loop *loop;
    struct transport *transport;
    struct snapshot *snapshot;
    size_t count;
    struct probe items[];
};

static void set_timer(struct probe *p, int64_t after_ms)
{
    struct loop *loop = p->owner->loop;
    if (loop_timer_set(loop, &p->timer, loop_now_ms(loop) + after_ms) != ST_OK) {
        log_write(LOG_ERROR, "probes", "expert %.*s is probed no more: out of memory",
                  STR_ARG(p->expert->id.name));
    }
}

/* The call's; from inside a library. The timer is set already, so that this needs no memory. */
static void on_news(void *owner)
{
    struct probe *p = owner;
    if (p->call != NULL && p->call->state == CALL_DONE) {
        set_timer(p, 0);
    }
}

static void begin(struct probe *p)
{
    const struct limits_probe *settings = &p->expert->limits.probe;
    struct loop *loop = p->owner->loop;
    const struct call_request request = {
        .expert = p->expert,
        .is_fresh = true, /* a kept connection says little of what is behind */
        .due_ms = loop_now_ms(loop) + settings->timeout_ms,
        .wake = on_news,
        .owner = p,
    };
    if (transport_probe(p->owner->transport, &request, settings->path, &p->call) != ST_OK) {
        p->call = NULL; /* ours is the fault: it says nothing of the expert */
    }
    set_timer(p, p->call == NULL ? settings->interval_ms : settings->timeout_ms);
}

/* It came back, or its time is over. */
static void judge(struct probe *p)
{
    const struct call *call = p->call;
    bool is_good = call->state == CALL_DONE && call->outcome == CALL_OK &&
                   call->http_status >= 200 && call->http_status < 300;
    int64_t now_us = loop_now_ms(p->owner->loop) * 1000;
    if (health_probed(p->health, now_us, is_good)) {
        log_write(is_good ? LOG_INFO : LOG_WARN, "probes", "expert %.*s %s",
                  STR_ARG(p->expert->id.name),
                  is_good ? "is well again" : "fails its health checks: it gets no requests");
    }
    call_destroy(p->call);
    p->call = NULL;
    set_timer(p, p->expert->limits.probe.interval_ms);
}

/* A kernel is not asked: it shows in what becomes of calls. */
static void look(struct probe *p)
{
    int64_t now_ms = loop_now_ms(p->owner->loop);
    kernel_turn_check(now_ms);
    bool is_stuck = kernel_is_stuck(p->expert->kernel);
    if (health_note_stuck(p->health, now_ms * 1000, is_stuck)) {
        log_write(is_stuck ? LOG_WARN : LOG_INFO, "probes", "expert %.*s %s",
                  STR_ARG(p->expert->id.name),
                  is_stuck ? "is stuck: a call to it does not return, long after it was given up; "
                             "it gets no requests, and its turn goes to others"
                           : "is stuck no more: it gets requests again");
    }
    set_timer(p, KERNEL_LOOK_MS);
}

static void on_due(struct loop_timer *timer)
{
    struct probe *p = CONTAINER_OF(timer, struct probe, timer);
    if (p->expert->kernel != NULL) {
        look(p);
    } else if (p->call == NULL) {
        begin(p);
    } else {
        judge(p);
    }
}

enum status probes_start(struct loop *loop, struct transport *transport, struct snapshot *snapshot,
                         struct probes **ret_probes)
{
    const struct key_array *experts = &snapshot->conf.routes.experts;
    struct probes *ps = mem_zalloc(1, sizeof *ps + experts->count * sizeof ps->items[0]);
    if (ps == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < experts->count; i++) {
        const struct expert *e = &((const struct expert *)experts->items)[i];
        if (e->limits.probe.path.len > 0 || e->kernel != NULL) {
            ps->items[ps->count++] =
                (struct probe){.owner = ps, .expert = e, .health = snapshot->health[e->index]};
        }
    }
    if (ps->count == 0) {
        mem_free(ps);
        *ret_probes = NULL;
        return ST_OK;
    }
    ps->loop = loop;
    ps->transport = transport;
    ps->snapshot = snapshot_ref(snapshot);
    for (size_t i = 0; i < ps->count; i++) {
        ps->items[i].timer.on_due = on_due;
        set_timer(&ps->items[i], 0);
    }
    *ret_probes = ps;
    return ST_OK;
}

void probes_stop(struct probes *ps)
{
    if (ps == NULL) {
        return;
    }
    for (size_t i = 0; i < ps->count; i++) {
        loop_timer_cancel(ps->loop, &ps->items[i].timer);
        call_destroy(ps->items[i].call);
    }
    snapshot_unref(ps->snapshot);
    mem_free(ps);
}
