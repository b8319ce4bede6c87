/* See call_watch.h. */
#include "backends/call_watch.h"

#include "backends/expert.h"
#include "base/assert.h"
#include "base/container.h"

static int64_t now_ms(const struct call_watch *w)
{
    return clock_now_ms(loop_clock(w->loop));
}

struct due {
    int64_t at_ms;
    enum call_outcome outcome;
};

static struct due earlier(struct due a, struct due b)
{
    return b.at_ms < a.at_ms ? b : a;
}

/* What is due first, as things stand. */
static struct due next_due(const struct call_watch *w)
{
    const struct expert_deadlines *limits = &w->call->request.expert->deadlines;
    int64_t started_ms = w->call->started_us / 1000;
    struct due due = {w->total_due_ms, CALL_TOTAL_TIMEOUT};
    if (w->is_connecting) {
        due = earlier(due,
                      (struct due){w->connect_since_ms + limits->connect_ms, CALL_CONNECT_TIMEOUT});
    }
    bool is_first = w->call->first_byte_us == 0;
    if (is_first || (w->call->is_event_stream && !w->call->has_content)) {
        due = earlier(due,
                      (struct due){started_ms + limits->first_token_ms, CALL_FIRST_TOKEN_TIMEOUT});
        if (w->call->request.first_due_ms != 0) {
            due =
                earlier(due, (struct due){w->call->request.first_due_ms, CALL_FIRST_TOKEN_TIMEOUT});
        }
    }
    if (is_first) {
        return due;
    }
    int64_t since_ms = w->is_paused ? now_ms(w) : w->last_byte_ms;
    return earlier(due, (struct due){since_ms + limits->idle_ms, CALL_IDLE_TIMEOUT});
}

static void on_timer(struct loop_timer *timer)
{
    struct call_watch *w = CONTAINER_OF(timer, struct call_watch, timer);
    struct due due = next_due(w);
    if (due.at_ms > now_ms(w) && loop_timer_set(w->loop, timer, due.at_ms) == ST_OK) {
        return;
    }
    w->on_late(w, due.outcome);
}

enum status call_watch_start(struct call_watch *watch, struct loop *loop, const struct call *call,
                             void (*on_late)(struct call_watch *watch, enum call_outcome outcome))
{
    watch->loop = loop;
    watch->call = call;
    watch->on_late = on_late;
    watch->timer.on_due = on_timer;
    watch->total_due_ms = call->started_us / 1000 + call->request.expert->deadlines.total_ms;
    if (call->request.due_ms != 0 && call->request.due_ms < watch->total_due_ms) {
        watch->total_due_ms = call->request.due_ms;
    }
    watch->last_byte_ms = 0;
    watch->is_connecting = false;
    watch->is_paused = false;
    return loop_timer_set(loop, &watch->timer, next_due(watch).at_ms);
}

void call_watch_stop(struct call_watch *watch)
{
    loop_timer_cancel(watch->loop, &watch->timer);
}

/* For deadlines that may be due before what the timer is set to. */
static void move_timer(struct call_watch *watch)
{
    enum status st = loop_timer_set(watch->loop, &watch->timer, next_due(watch).at_ms);
    ASSERT(st == ST_OK); /* moving a timer that is set needs no memory */
}

void call_watch_connecting(struct call_watch *watch)
{
    if (!watch->is_connecting) {
        watch->is_connecting = true;
        watch->connect_since_ms = now_ms(watch);
    }
    move_timer(watch);
}

void call_watch_byte(struct call_watch *watch, bool is_first)
{
    watch->last_byte_ms = loop_now_ms(watch->loop);
    if (is_first) {
        move_timer(watch); /* idle_ms */
    }
}
