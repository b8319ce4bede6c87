/* See attempt.h. */
#include "gateway/attempt.h"

#include <string.h>

#include "base/assert.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/budgets.h"
#include "gateway/chain.h"
#include "gateway/exchange.h"
#include "gateway/ledger.h"
#include "gateway/receipt.h"
#include "gateway/state.h"
#include "gateway/worker.h"

enum {
    STORE_WAIT_MS = 5000, /* what an answer waits for a disk that hangs */
    BYTES_PER_TOKEN = 4,
};

struct attempt { /* the exchange's while it is open, then the state file's until it is stored */
    struct state_job job;
    struct worker *worker;
    struct exchange *exchange; /* NULL: it is gone */
    struct attempt *next;      /* of the exchange's rows on their way */
    struct snapshot *snapshot; /* a reference: the row's names live there */
    struct ledger_row row;
    char request_id[sizeof((struct exchange *)NULL)->id];
    int64_t started_us; /* monotonic */
    size_t hold_count;
    struct budget_hold holds[];
};

static void destroy(struct attempt *a)
{
    snapshot_unref(a->snapshot);
    mem_free(a);
}

/* The prompt as the expert got it. */
static struct prompt sent(const struct exchange *x)
{
    struct prompt prompt = x->chat.prompt;
    prompt.text_bytes += x->leg.edited.text_bytes;
    prompt.max_tokens = x->leg.edited.max_tokens > 0 ? x->leg.edited.max_tokens : prompt.max_tokens;
    return prompt;
}

/* What it may cost: the prompt as far as it can be estimated, and all that the answer may have. */
static int64_t cost_at_most(const struct exchange *x)
{
    const struct prompt prompt = sent(x);
    return expert_cost_at_most(x->leg.expert, prompt_tokens_estimate(&prompt),
                               prompt_paid_answer_tokens(&prompt));
}

/* An attempt at x->leg.expert, with its names and its time. NULL: no memory. */
static struct attempt *create(struct exchange *x)
{
    const struct key_array *budgets = &x->snapshot->conf.budgets;
    struct attempt *a = mem_zalloc(1, sizeof *a + budgets->count * sizeof a->holds[0]);
    if (a == NULL) {
        return NULL;
    }
    struct str category = x->decision.category_name;
    struct budget_who who = exchange_who(x, x->leg.expert->id.name, category);
    memcpy(a->request_id, x->id, sizeof a->request_id);
    a->worker = x->worker;
    a->snapshot = snapshot_ref(x->snapshot);
    a->started_us = clock_now_us(loop_clock(x->worker->loop));
    a->row = (struct ledger_row){
        .request_id = str_from(a->request_id),
        .attempt = (int64_t)x->attempts,
        .tenant = who.tenant,
        .key_id = who.key_id,
        .expert = who.expert,
        .category = x->decision.category == NULL ? STR("") : category,
        .started_ms = clock_wall_ms(),
    };
    return a;
}

enum status attempt_open(struct exchange *x, const struct budget **ret_budget)
{
    struct budget_who who = exchange_who(x, x->leg.expert->id.name, x->decision.category_name);
    struct attempt *a = create(x);
    ASSERT(x->leg.attempt == NULL);
    if (a == NULL) {
        return ST_NO_MEMORY;
    }
    *ret_budget = budgets_reserve(&x->snapshot->conf.budgets, &who, cost_at_most(x), clock_wall_s(),
                                  a->holds, &a->hold_count);
    if (*ret_budget != NULL) {
        destroy(a);
        return ST_TOO_BIG;
    }
    x->leg.attempt = a;
    return ST_OK;
}

/* ---------------------------------------------------------------- what it cost */

/* Whether the expert has done work that it may ask money for, as far as can be told: it answered, or
 * it may have been at it when the wait was over. */
static bool is_billed(const struct call *call, enum call_outcome outcome)
{
    if (call == NULL || outcome == CALL_CONNECT_FAILED || outcome == CALL_CONNECT_TIMEOUT) {
        return false;
    }
    if (call->http_status == 0) {
        return outcome == CALL_FIRST_TOKEN_TIMEOUT || outcome == CALL_TOTAL_TIMEOUT ||
               outcome == CALL_CANCELLED;
    }
    return call->http_status >= 200 && call->http_status < 300;
}

/* What came of the answer: an event carries about a token; a document that is whole says it, of one that
 * is not the bytes count. */
static int64_t delivered_tokens(const struct exchange *x, enum call_outcome outcome)
{
    if (x->leg.has_relay) {
        return (int64_t)x->leg.relay.events;
    }
    struct str body = buf_str(&x->leg.call->in);
    if (prompt_is_embedding(&x->chat.prompt)) {
        return 0; /* vectors are no tokens */
    }
    return outcome == CALL_OK ? usage_answer_tokens(body)
                              : ((int64_t)body.len + BYTES_PER_TOKEN - 1) / BYTES_PER_TOKEN;
}

static void take_usage(struct exchange *x, enum call_outcome outcome, struct ledger_row *row)
{
    const struct prompt prompt = sent(x);
    struct usage usage = x->leg.has_relay ? x->leg.relay.usage : x->leg.usage;
    bool is_known =
        usage.is_reported && usage_is_plausible(&usage, prompt.text_bytes, prompt.max_tokens);
    row->is_suspect = usage.is_reported && !is_known;
    bool is_paid = x->leg.error_status == 0 && is_billed(x->leg.call, outcome);
    bool lacks_prompt = !is_known || usage.lacks_prompt;
    bool lacks_completion =
        !is_known || (usage.lacks_completion && !prompt_is_embedding(&x->chat.prompt));
    if (!is_known) {
        usage = (struct usage){0};
    }
    if (lacks_prompt && is_paid) {
        usage.prompt_tokens = prompt_tokens_estimate(&prompt);
    }
    if (lacks_completion && is_paid) {
        usage.completion_tokens = delivered_tokens(x, outcome);
    }
    row->is_estimated = lacks_prompt || lacks_completion;
    usage.is_reported = !row->is_estimated;
    row->prompt_tokens = usage.prompt_tokens;
    row->cached_tokens = usage.cached_tokens;
    row->completion_tokens = usage.completion_tokens;
    row->reasoning_tokens = usage.reasoning_tokens;
    x->leg.usage = usage;
    x->leg.is_usage_estimated = row->is_estimated;
}

static void take_cost(struct exchange *x, struct ledger_row *row)
{
    const struct expert_tokens tokens = {row->prompt_tokens, row->cached_tokens,
                                         row->completion_tokens, row->reasoning_tokens};
    row->cost_nano_usd = expert_cost_nano_usd(x->leg.expert, &tokens);
    if (row->cost_nano_usd == EXPERT_COST_UNKNOWN) {
        x->is_cost_unknown = true;
    } else if (x->cost_nano_usd > INT64_MAX - row->cost_nano_usd) {
        x->cost_nano_usd = INT64_MAX;
    } else {
        x->cost_nano_usd += row->cost_nano_usd;
    }
}

static const char *outcome_text(const struct exchange *x, enum call_outcome outcome)
{
    if (x->leg.call == NULL) {
        return "not_asked";
    }
    if (x->leg.place.is_outrun) {
        return "hedged";
    }
    if (outcome == CALL_OK && x->leg.has_relay && x->leg.relay.saw_error) {
        return "error_event";
    }
    bool is_answer = x->leg.error_status == 0 && x->leg.call->http_status >= 200 &&
                     x->leg.call->http_status < 300;
    return outcome == CALL_OK && !is_answer ? "error_status" : call_outcome_text(outcome);
}

/* ---------------------------------------------------------------- to the disk */

static enum status write_row(struct state_job *job, struct db *db)
{
    const struct attempt *a = CONTAINER_OF(job, struct attempt, job);
    enum status st = ledger_write(db, &a->row);
    return st == ST_OK ? chain_keep(db, CHAIN_LEDGER, a->snapshot->conf.state.keep.ledger_days,
                                    a->row.ended_ms)
                       : st;
}

static void unlink_row(struct exchange *x, const struct attempt *a)
{
    struct attempt **at = &x->storing;
    while (*at != a) {
        at = &(*at)->next;
    }
    *at = a->next;
}

static void on_stored(struct state_job *job)
{
    struct attempt *a = CONTAINER_OF(job, struct attempt, job);
    worker_forget_job(a->worker);
    metrics_count_row(a->worker->counters,
                      job->st == ST_OK ? METRICS_ROW_STORED : METRICS_ROW_LOST);
    if (a->exchange != NULL) {
        unlink_row(a->exchange, a);
        if (a->exchange->storing == NULL && !receipt_is_on_its_way(a->exchange)) {
            loop_timer_cancel(a->worker->loop, &a->exchange->store_timer);
            exchange_wake(a->exchange);
        }
    }
    destroy(a);
}

/* A row that cannot be stored is counted and said; the answer is not withheld for it. */
static void store(struct exchange *x, struct attempt *a)
{
    a->job.run = write_row;
    a->job.done = on_stored;
    enum status st = worker_submit(x->worker, &a->job);
    if (st == ST_OK) {
        a->exchange = x;
        a->next = x->storing;
        x->storing = a;
        return;
    }
    if (st != ST_CLOSED) {
        metrics_count_row(x->worker->counters, METRICS_ROW_LOST);
        log_write(LOG_ERROR, "ledger", "%s attempt %zu is not stored: too much waits for the disk",
                  x->id, x->attempts);
    }
    destroy(a);
}

void attempt_settle(struct exchange *x, enum call_outcome outcome)
{
    struct attempt *a = x->leg.attempt;
    struct worker *w = x->worker;
    if (a == NULL) {
        return;
    }
    x->leg.attempt = NULL;
    expert_queue_leave(x, outcome);
    take_usage(x, outcome, &a->row);
    take_cost(x, &a->row);
    budgets_settle(a->holds, a->hold_count, a->row.cost_nano_usd);
    a->row.outcome = str_from(outcome_text(x, outcome));
    int64_t took_us = clock_now_us(loop_clock(w->loop)) - a->started_us;
    a->row.ended_ms = a->row.started_ms + (took_us > 0 ? took_us / 1000 : 0);
    struct metrics_bill bill = {
        .category_slot = x->decision.category == NULL
                             ? METRICS_SLOT_NONE
                             : x->snapshot->category_slots[x->decision.category->index],
        .expert_slot = x->snapshot->expert_slots[x->leg.expert->index],
        .prompt_tokens = a->row.prompt_tokens,
        .completion_tokens = a->row.completion_tokens,
        .cost_nano_usd = a->row.cost_nano_usd,
        .is_estimated = a->row.is_estimated,
    };
    metrics_charge(w->counters, &bill);
    store(x, a);
}

void attempt_record_cached(struct exchange *x)
{
    struct attempt *a = create(x);
    if (a == NULL) {
        metrics_count_row(x->worker->counters, METRICS_ROW_LOST);
        return;
    }
    a->row.attempt = 1; /* nobody is asked */
    a->row.outcome = STR("cached");
    a->row.ended_ms = a->row.started_ms;
    store(x, a);
}

/* ---------------------------------------------------------------- waiting */

void attempt_forget(struct exchange *x)
{
    while (x->storing != NULL) {
        struct attempt *a = x->storing;
        x->storing = a->next;
        a->exchange = NULL;
    }
    loop_timer_cancel(x->worker->loop, &x->store_timer);
}

static void on_late(struct loop_timer *timer)
{
    struct exchange *x = CONTAINER_OF(timer, struct exchange, store_timer);
    metrics_count_row(x->worker->counters, METRICS_ROW_LATE);
    log_write(LOG_ERROR, "ledger", "%s: the disk takes longer than %d ms; the answer goes on",
              x->id, (int)STORE_WAIT_MS);
    attempt_forget(x);
    receipt_forget(x);
    exchange_wake(x);
}

bool attempt_must_wait(struct exchange *x)
{
    struct worker *w = x->worker;
    receipt_send(x);
    bool is_waited_for = x->storing != NULL || receipt_is_on_its_way(x);
    if (!is_waited_for || state_durability(w->state) != STATE_COMMIT) {
        return false;
    }
    if (heap_contains(&x->store_timer.node)) {
        return true;
    }
    x->store_timer.on_due = on_late;
    return loop_timer_set(w->loop, &x->store_timer, loop_now_ms(w->loop) + STORE_WAIT_MS) == ST_OK;
}
