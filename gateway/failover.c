/* See failover.h. */
#include "gateway/failover.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/container.h"
#include "base/json_write.h"
#include "base/log.h"
#include "gateway/exchange.h"
#include "gateway/worker.h"
#include "policies/retry_budget.h"

/* How long clients wait, in the headers of those that say it. An SDK's own time-out is about the next
 * byte: of a stream it bounds the time to the first. */
static const struct deadline_header {
    struct str name;
    int64_t unit_ms;
    bool is_ours; /* a value that cannot be read is refused, others' are passed over */
    bool is_first_of_stream;
} deadline_headers[] = {
    {STR_INIT("x-expertd-deadline-ms"), 1, true, false},
    {STR_INIT("x-litellm-timeout"), 1000, false, false},
    {STR_INIT("x-stainless-timeout"), 1000, false, true},      /* OpenAI's SDK for JavaScript */
    {STR_INIT("x-stainless-read-timeout"), 1000, false, true}, /* for Python */
};

/* False: it is no time, or more than a day. */
static bool read_ms(struct str text, int64_t unit_ms, int64_t *ret_ms)
{
    static const double DAY_MS = 86400000;
    double units = 0;
    if (str_to_real(text, &units) != ST_OK) {
        return false;
    }
    double ms = units * (double)unit_ms;
    if (!(ms >= 1 && ms <= DAY_MS)) {
        return false;
    }
    *ret_ms = (int64_t)ms;
    return true;
}

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Sets the deadlines. NULL, or the header that is wrong. */
static const struct deadline_header *set_deadlines(struct exchange *x)
{
    struct failover *f = &x->failover;
    int64_t started_ms = x->started_us / 1000;
    f->deadline_ms = started_ms + x->snapshot->conf.routes.policies.plan.deadline_ms;
    f->first_ms = f->deadline_ms;
    for (size_t i = 0; i < sizeof deadline_headers / sizeof deadline_headers[0]; i++) {
        const struct deadline_header *h = &deadline_headers[i];
        struct str text = http_request_header(x->http, h->name);
        int64_t ms = 0;
        if (text.len == 0) {
            continue;
        }
        if (!read_ms(text, h->unit_ms, &ms)) {
            if (h->is_ours) {
                return h;
            }
            continue;
        }
        f->first_ms = lesser(f->first_ms, started_ms + ms);
        if (!h->is_first_of_stream || !x->chat.is_stream) {
            f->deadline_ms = lesser(f->deadline_ms, started_ms + ms);
        }
    }
    return NULL;
}

bool failover_begin(struct exchange *x)
{
    const struct plan_facts facts = {.now_ms = loop_now_ms(x->worker->loop)};
    const struct deadline_header *wrong = set_deadlines(x);
    if (wrong != NULL) {
        (void)exchange_refuse(x, PROBLEM_BAD_PARAM, STR("This header is no number of ms."),
                              wrong->name);
        return false;
    }
    struct plan_step step = plan_first(&x->decision.plan, &facts);
    x->leg.expert = step.expert;
    if (step.verb == PLAN_STOP) {
        (void)exchange_refuse(x, PROBLEM_UNAVAILABLE, STR(""), STR(""));
    }
    return step.verb != PLAN_STOP;
}

/* ---------------------------------------------------------------- notes */

/* How long the current attempt has been under way; 0: it was not asked. */
static int64_t took_us(const struct exchange *x, int64_t until_us)
{
    int64_t asked_us = x->leg.asked_us != 0 ? x->leg.asked_us : x->dispatched_us;
    return asked_us == 0 || until_us < asked_us ? 0 : until_us - asked_us;
}

static void add_note(struct exchange *x, const struct failover_note *like)
{
    struct failover *f = &x->failover;
    struct failover_note *note = arena_alloc(x->arena, sizeof *note);
    if (note == NULL) {
        return; /* without memory the log says less, the answer is the same */
    }
    *note = *like;
    if (f->last == NULL) {
        f->first = note;
    } else {
        f->last->next = note;
    }
    f->last = note;
}

void failover_note(struct exchange *x, const struct plan_outcome *outcome, const char *word)
{
    bool is_status = word == NULL && outcome->outcome == CALL_OK;
    const struct failover_note note = {
        .expert = x->leg.expert,
        .word = is_status || word != NULL ? word : call_outcome_text(outcome->outcome),
        .status = outcome->http_status,
        .took_us = took_us(x, clock_now_us(loop_clock(x->worker->loop))),
    };
    if (!x->leg.is_noted) {
        add_note(x, &note);
        x->leg.is_noted = true;
    }
}

void failover_note_other(struct exchange *x, const struct expert *expert, int64_t asked_us,
                         const char *word)
{
    int64_t now_us = clock_now_us(loop_clock(x->worker->loop));
    int64_t from_us = asked_us != 0 ? asked_us : x->dispatched_us;
    const struct failover_note note = {.expert = expert, .word = word, .took_us = now_us - from_us};
    add_note(x, &note);
}

struct plan_facts failover_facts(struct exchange *x)
{
    int64_t now_ms = loop_now_ms(x->worker->loop);
    return (struct plan_facts){
        .now_ms = now_ms,
        .deadline_ms = x->failover.first_ms,
        .seed = str_hash(str_from(x->id)),
        .may_repeat = retry_budget_has(x->worker->retries, now_ms),
        .may_try = expert_queue_may_try,
        .ctx = x,
    };
}

void failover_lose(struct exchange *x, const struct plan_outcome *outcome)
{
    const struct plan_facts facts = failover_facts(x);
    failover_note(x, outcome, NULL);
    plan_lose(&x->decision.plan, outcome, &facts);
}

bool failover_next(struct exchange *x, const struct plan_outcome *outcome, const char *word)
{
    struct failover *f = &x->failover;
    struct worker *w = x->worker;
    const struct plan_facts facts = failover_facts(x);
    failover_note(x, outcome, word);
    struct plan_step step = plan_next(&x->decision.plan, outcome, &facts);
    log_write(LOG_INFO, "failover", "%s expert %.*s: %s, status %d; next: %.*s", x->id,
              STR_ARG(x->leg.expert->id.name),
              word != NULL ? word : call_outcome_text(outcome->outcome), outcome->http_status,
              STR_ARG(step.verb == PLAN_STOP ? str_from(step.why) : step.expert->id.name));
    if (step.verb == PLAN_STOP) {
        return false;
    }
    if (step.is_repeat) {
        retry_budget_take(w->retries);
    }
    f->next = step.expert;
    x->leg.is_repeat = step.is_repeat;
    f->at_ms = step.at_ms;
    return true;
}

/* ---------------------------------------------------------------- waiting */

static void on_due(struct loop_timer *timer)
{
    exchange_wake(CONTAINER_OF(timer, struct exchange, failover.timer));
}

bool failover_must_wait(struct exchange *x)
{
    struct failover *f = &x->failover;
    struct loop *loop = x->worker->loop;
    if (f->next == NULL) { /* the first attempt */
        retry_budget_earn(x->worker->retries, x->snapshot->conf.routes.policies.plan.retry_budget);
        return false;
    }
    f->timer.on_due = on_due;
    if (loop_now_ms(loop) < f->at_ms && loop_timer_set(loop, &f->timer, f->at_ms) == ST_OK) {
        return true;
    }
    x->leg.expert = f->next; /* short of memory for a timer: at once */
    f->next = NULL;
    x->leg.asked_us = clock_now_us(loop_clock(loop));
    x->leg.is_noted = false;
    return false;
}

void failover_forget(struct exchange *x)
{
    loop_timer_cancel(x->worker->loop, &x->failover.timer);
}

/* ---------------------------------------------------------------- what is said of it */

static struct str result_text(const struct failover_note *note, char buffer[16])
{
    if (note->word != NULL) {
        return str_from(note->word);
    }
    (void)snprintf(buffer, 16, "%d", note->status);
    return str_from(buffer);
}

/* The attempt that is not noted because it did not fail. False: there is none. */
static bool answer_note(const struct exchange *x, struct failover_note *ret_note)
{
    int status = x->leg.call != NULL ? x->leg.call->http_status : x->http_status;
    *ret_note = (struct failover_note){
        .expert = x->leg.expert,
        .word = status == 0 ? call_outcome_text(CALL_CANCELLED) : NULL,
        .status = status,
        .took_us = took_us(x, x->ended_us),
    };
    return !x->leg.is_noted;
}

const char *failover_text(struct exchange *x)
{
    char number[16];
    struct failover_note last;
    struct str text = STR("");
    const struct failover_note *note = x->failover.first;
    if (note == NULL) {
        return NULL;
    }
    for (; note != NULL && text.ptr != NULL; note = note->next) {
        text = arena_printf(x->arena, "%.*s%s%.*s %.*s", STR_ARG(text), text.len > 0 ? "; " : "",
                            STR_ARG(note->expert->id.name), STR_ARG(result_text(note, number)));
    }
    if (text.ptr != NULL && answer_note(x, &last)) {
        text = arena_printf(x->arena, "%.*s; %.*s %.*s", STR_ARG(text),
                            STR_ARG(last.expert->id.name), STR_ARG(result_text(&last, number)));
    }
    return text.ptr;
}

static enum status write_note(struct buf *line, const struct failover_note *note, bool is_first)
{
    char number[16];
    enum status st = buf_append(line, is_first ? STR("{\"expert\":") : STR(",{\"expert\":"));
    if (st == ST_OK) {
        st = json_write_text(line, note->expert->id.name);
    }
    if (st == ST_OK) {
        st = buf_printf(line, ",\"result\":\"%.*s\",\"ms\":%" PRId64 "}",
                        STR_ARG(result_text(note, number)), note->took_us / 1000);
    }
    return st;
}

enum status failover_write(const struct exchange *x, struct buf *line)
{
    struct failover_note last;
    const struct failover_note *note = x->failover.first;
    if (note == NULL) {
        return ST_OK;
    }
    enum status st = buf_append(line, STR(",\"attempt_log\":["));
    for (; st == ST_OK && note != NULL; note = note->next) {
        st = write_note(line, note, note == x->failover.first);
    }
    if (st == ST_OK && answer_note(x, &last)) {
        st = write_note(line, &last, false);
    }
    return st == ST_OK ? buf_append_char(line, ']') : st;
}
