/* The way of one request. Steps stand in files of their own; this file holds the table, the driver and
 * the beginning and end of an exchange.
 *
 *  client
 *    |  accept           acceptor.c; http_server.c: libmicrohttpd callbacks -> hooks below
 *    v
 *  EX_AUTHENTICATE  API key -> tenant, on the head alone                    step_authenticate.c, tenants.c
 *  EX_RECEIVE    which endpoint; waits for the body                         step_receive.c
 *    |- EX_PARSE    body -> byte ranges of model, stream, messages          step_parse.c, chat_request.c
 *    |- EX_EMBED    the same of a request for embeddings                    step_parse.c, embed_request.c
 *    |- EX_ADMIT    the tenant's limits                                     step_admit.c, quota.c
 *    |- EX_DECIDE   prompt -> category, candidates, plan                    step_decide.c, router/decide.c
 *    |- EX_LOOKUP   was it answered before? Only where answers are kept     step_lookup.c, lookup.c, cache.c
 *    |- EX_DISPATCH <-.  next attempt of the plan -> a call                 step_dispatch.c, backends/call.h
 *    |- EX_RELAY    --'  call -> client; a failure goes back to dispatch    step_relay.c, failover.c, hedge.c
 *    |- EX_ANSWER   the rows are on disk -> the answer, or its end          step_answer.c, attempt.c
 *    |- EX_FEEDBACK what people say of a decision -> the state file         step_feedback.c, feedback.c
 *    |- EX_PREVIEW  a changed configuration on what came lately             step_preview.c, preview.c
 *    |- EX_PAGE     documents of our own: models, route, health, metrics    step_page.c, pages.c
 *    |- EX_REFUSE   the error reply; any step may jump here                 step_refuse.c, problem.c
 *    |- EX_FINISH   waits until the last byte is handed over                step_finish.c
 *    |- EX_ACCOUNT  counters; exactly once                                  step_account.c, metrics.c
 *    '- EX_LOG      one JSON line                                           step_log.c, access_log.c
 */
#include "gateway/exchange.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/assert.h"
#include "base/digits.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/attempt.h"
#include "gateway/editing.h"
#include "gateway/hedge.h"
#include "gateway/lookup.h"
#include "gateway/receipt.h"
#include "gateway/redaction.h"
#include "gateway/worker.h"

enum {
    ARENA_BLOCK_BYTES = 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024,
    PAGE_MAX_BYTES = 16 * 1024 * 1024,
};

#define TO(step) (1U << (step))

static const struct step_row {
    const char *name;
    enum step_result (*run)(struct exchange *x);
    unsigned next; /* the steps that may follow */
} step_table[] = {
    [EX_AUTHENTICATE] = {"authenticate", step_authenticate,
                         TO(EX_RECEIVE) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_RECEIVE] = {"receive", step_receive,
                    TO(EX_PARSE) | TO(EX_EMBED) | TO(EX_ADMIT) | TO(EX_FEEDBACK) | TO(EX_PREVIEW) |
                        TO(EX_PAGE) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_PARSE] = {"parse", step_parse, TO(EX_ADMIT) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_EMBED] = {"embed", step_embed, TO(EX_ADMIT) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_ADMIT] = {"admit", step_admit,
                  TO(EX_DECIDE) | TO(EX_FEEDBACK) | TO(EX_PAGE) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_DECIDE] = {"decide", step_decide,
                   TO(EX_LOOKUP) | TO(EX_DISPATCH) | TO(EX_PAGE) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_LOOKUP] = {"lookup", step_lookup, TO(EX_DISPATCH) | TO(EX_ANSWER) | TO(EX_FINISH)},
    [EX_DISPATCH] = {"dispatch", step_dispatch,
                     TO(EX_DISPATCH) | TO(EX_RELAY) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_RELAY] = {"relay", step_relay,
                  TO(EX_DISPATCH) | TO(EX_ANSWER) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_ANSWER] = {"answer", step_answer, TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_FEEDBACK] = {"feedback", step_feedback, TO(EX_PAGE) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_PREVIEW] = {"preview", step_preview, TO(EX_PAGE) | TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_PAGE] = {"page", step_page, TO(EX_REFUSE) | TO(EX_FINISH)},
    [EX_REFUSE] = {"refuse", step_refuse, TO(EX_FINISH)},
    [EX_FINISH] = {"finish", step_finish, TO(EX_ACCOUNT)},
    [EX_ACCOUNT] = {"account", step_account, TO(EX_LOG)},
    [EX_LOG] = {"log", step_log, 0},
};

/* The only place where the step changes. */
void exchange_go(struct exchange *x, enum exchange_step next)
{
    ASSERT((step_table[x->step].next & TO(next)) != 0);
    log_write(LOG_DEBUG, "exchange", "%s %s -> %s", x->id, step_table[x->step].name,
              step_table[next].name);
    x->step = next;
}

enum step_result exchange_refuse(struct exchange *x, enum problem problem, struct str message,
                                 struct str param)
{
    x->problem = problem;
    x->problem_message = message;
    x->problem_param = param;
    exchange_go(x, EX_REFUSE);
    return STEP_MORE;
}

enum problem_fault exchange_fault(const struct exchange *x)
{
    if (x->problem != PROBLEM_NONE) {
        return problem_fault(x->problem);
    }
    if (x->outcome == METRICS_EXPERT_ERROR) { /* as the expert answered */
        bool is_request = x->leg.call != NULL && x->leg.call->http_status >= 400 &&
                          x->leg.call->http_status < 500 && x->leg.call->http_status != 429;
        return is_request ? PROBLEM_FAULT_CLIENT : PROBLEM_FAULT_EXPERT;
    }
    return x->outcome == METRICS_CANCELLED ? PROBLEM_FAULT_CLIENT : PROBLEM_FAULT_NONE;
}

uint64_t exchange_weights(const struct exchange *x)
{
    const struct classifier *c = x->snapshot->conf.routes.classifier;
    return c == NULL ? 0 : classifier_checksum(c);
}

struct editing exchange_editing(const struct exchange *x)
{
    return (struct editing){x->snapshot->conf.routes.classifier, x->worker->scratch.classifier,
                            &x->chat.prompt, &x->decision, x->arena};
}

struct budget_who exchange_who(const struct exchange *x, struct str expert, struct str category)
{
    return (struct budget_who){
        .tenant = x->key == NULL ? STR("") : x->tenant->name,
        .key_id = x->key == NULL ? STR("") : x->key->id,
        .category = category,
        .expert = expert,
        .spent_nano_usd = x->cost_nano_usd,
    };
}

void exchange_drop_call(struct exchange *x)
{
    call_destroy(x->leg.call);
    x->leg.call = NULL;
}

static void destroy(struct exchange *x)
{
    hedge_forget(x);
    exchange_drop_call(x);
    expert_queue_drop(x);
    attempt_forget(x);
    failover_forget(x);
    receipt_forget(x);
    step_feedback_forget(x);
    step_preview_forget(x);
    if (x->leg.has_relay) {
        relay_fini(&x->leg.relay);
    }
    lookup_forget(x);
    redaction_forget(x);
    buf_fini(&x->page);
    x->worker->exchanges--;
    snapshot_unref(x->snapshot);
    arena_destroy(x->arena);
    mem_free(x);
}

/* The one way out for a client that left, or whose body came too late: the call ends at once, the rest
 * is only book-keeping. */
static void leave(struct exchange *x)
{
    bool is_late = x->problem == PROBLEM_BODY_TIMEOUT; /* the server has said so on the wire */
    hedge_forget(x);
    attempt_settle(x, CALL_CANCELLED);
    expert_queue_drop(x);
    exchange_drop_call(x);
    if (x->is_answered) { /* it only did not wait for the end of the connection */
        exchange_go(x, EX_FINISH);
        return;
    }
    x->outcome = is_late ? METRICS_CLIENT_ERROR : METRICS_CANCELLED;
    x->reason = is_late ? problem_code(x->problem) : "the client left";
    x->http_status = is_late ? problem_status(x->problem) : x->http_status;
    exchange_go(x, EX_FINISH);
}

void exchange_run(struct exchange *x)
{
    enum step_result result = STEP_MORE;
    x->is_runnable = false;
    while (result == STEP_MORE) {
        if (x->is_gone && x->step < EX_FINISH && !lookup_outlives_client(x)) {
            leave(x);
        }
        result = step_table[x->step].run(x);
    }
    if (result == STEP_DONE) {
        destroy(x);
    }
}

void exchange_wake(void *exchange)
{
    struct exchange *x = exchange;
    if (!x->is_runnable) {
        x->is_runnable = true;
        worker_enqueue(x->worker, x);
    }
}

/* ---------------------------------------------------------------- headers */

void exchange_add_header(struct http_reply *reply, const char *name, const char *value)
{
    if (value != NULL && reply->header_count < HTTP_REPLY_HEADERS_MAX) {
        reply->headers[reply->header_count++] = (struct http_header){name, value};
    }
}

static void add_cors(struct exchange *x, struct http_reply *reply)
{
    const struct key_texts *origins = &x->snapshot->conf.server.cors.origins;
    if (origins->count == 0) {
        return;
    }
    struct str origin = http_request_header(x->http, STR("Origin"));
    for (size_t i = 0; i < origins->count; i++) {
        bool is_any = str_eq(origins->items[i], STR("*"));
        if (origin.len > 0 && (is_any || str_eq(origins->items[i], origin))) {
            exchange_add_header(reply, "Access-Control-Allow-Origin",
                                is_any ? "*" : arena_copy_z(x->arena, origin));
            exchange_add_header(reply, "Access-Control-Expose-Headers", "*");
            exchange_add_header(reply, "Vary", "Origin");
            return;
        }
    }
}

/* The budget that is nearly used up, for whoever pays from it. */
static void add_budget(struct exchange *x, struct http_reply *reply)
{
    int64_t left = 0;
    struct budget_who who = exchange_who(x, x->leg.expert->id.name, x->decision.category_name);
    who.spent_nano_usd = 0; /* what a request may cost is said when it is too much */
    const struct budget *b =
        budgets_warning(&x->snapshot->conf.budgets, &who, clock_wall_s(), &left);
    if (b != NULL) {
        struct str text = arena_printf(x->arena, "name=%.*s; remaining-usd=%.9f", STR_ARG(b->name),
                                       (double)left / 1e9);
        exchange_add_header(reply, "x-expertd-budget", text.ptr);
    }
}

static void add_decision(struct exchange *x, struct http_reply *reply)
{
    const struct decision *d = &x->decision;
    char(*text)[DIGITS_TEXT] = arena_alloc(x->arena, 4 * sizeof *text);
    if (text == NULL) {
        return; /* headers are missing, the answer is whole */
    }
    if (d->category_name.len > 0) {
        exchange_add_header(reply, "x-expertd-category", arena_copy_z(x->arena, d->category_name));
    }
    int64_t confidence_e4 = llround((double)d->confidence * 1e4);
    exchange_add_header(reply, "x-expertd-confidence", digits_write(confidence_e4, 4, text[0]).ptr);
    exchange_add_header(reply, "x-expertd-policy", decide_source_text(d->source));
    if (d->session != DECIDE_SESSION_NONE) {
        exchange_add_header(reply, "x-expertd-session", decide_session_text(d->session));
    }
    if (x->leg.expert == NULL) {
        return;
    }
    exchange_add_header(reply, "x-expertd-expert", arena_copy_z(x->arena, x->leg.expert->id.name));
    exchange_add_header(reply, "x-expertd-attempts",
                        digits_write((int64_t)x->attempts, 0, text[1]).ptr);
    exchange_add_header(reply, "x-expertd-attempt-log", failover_text(x));
    exchange_add_header(reply, "x-expertd-hedged", hedge_text(x));
    exchange_add_header(reply, "x-expertd-redacted", redaction_counts(x));
    exchange_add_header(reply, "x-expertd-cache", lookup_text(x));
    exchange_add_header(reply, "x-expertd-demos", editing_demos(&x->leg.edited, x->arena));
    bool is_answered = x->attempts > 0 || lookup_has_answer(x);
    if (!x->leg.is_stream && is_answered && !x->is_cost_unknown) {
        exchange_add_header(reply, "x-expertd-cost-usd",
                            digits_write(x->cost_nano_usd, 9, text[2]).ptr);
    }
    if (x->chat.prompt.pressure > 0.0) {
        struct str degraded = arena_printf(x->arena, "budget; lambda=%.6g", d->cost_weight);
        exchange_add_header(reply, "x-expertd-degraded", degraded.ptr);
    }
    exchange_add_header(reply, "x-expertd-overhead-us",
                        digits_write(x->dispatched_us - x->received_us, 0, text[3]).ptr);
    add_budget(x, reply);
}

/* x-ratelimit-*, as OpenAI's: limit, what is left of it, when all of it is there again. */
static void add_standing(struct exchange *x, struct http_reply *reply, const char *what,
                         const struct quota_standing *standing)
{
    const struct {
        const char *name;
        int64_t value;
        const char *unit;
    } rows[] = {
        {"limit", standing->limit, ""},
        {"remaining", standing->remaining, ""},
        {"reset", standing->reset_ms, "ms"},
    };

    for (size_t i = 0; standing->limit > 0 && i < sizeof rows / sizeof rows[0]; i++) {
        struct str name = arena_printf(x->arena, "x-ratelimit-%s-%s", rows[i].name, what);
        struct str value = arena_printf(x->arena, "%" PRId64 "%s", rows[i].value, rows[i].unit);
        if (name.ptr != NULL) {
            exchange_add_header(reply, name.ptr, value.ptr);
        }
    }
}

void exchange_add_headers(struct exchange *x, struct http_reply *reply, const char *content_type)
{
    if (content_type != NULL) {
        exchange_add_header(reply, "Content-Type", content_type);
    }
    exchange_add_header(reply, "x-request-id", x->id);
    enum problem_fault fault = exchange_fault(x);
    if (fault != PROBLEM_FAULT_NONE) {
        exchange_add_header(reply, "x-expertd-fault", problem_fault_text(fault));
    }
    add_cors(x, reply);
    add_standing(x, reply, "requests", &x->admission.requests);
    add_standing(x, reply, "tokens", &x->admission.tokens);
    if (x->decision.candidate_count > 0 || x->decision.category != NULL) {
        add_decision(x, reply);
    }
}

/* ---------------------------------------------------------------- hooks */

/* splitmix64: ids need to differ, not to be secret. */
static uint64_t next_id(struct worker *w)
{
    w->id_state += 0x9e3779b97f4a7c15U;
    uint64_t z = w->id_state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

/* "req_" and 16 hex digits. */
static void write_id(struct exchange *x, uint64_t number)
{
    static const char prefix[] = "req_";
    memcpy(x->id, prefix, sizeof prefix);
    char *digits = x->id + sizeof prefix - 1;
    for (size_t i = 0; i < 16; i++, number <<= 4) {
        digits[i] = "0123456789abcdef"[number >> 60];
    }
    digits[16] = '\0';
}

static struct exchange *create(struct worker *w, struct http_request *r, bool is_admin)
{
    struct exchange *x = mem_zalloc(1, sizeof *x);
    if (x == NULL) {
        return NULL;
    }
    x->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    if (x->arena == NULL) {
        mem_free(x);
        return NULL;
    }
    x->worker = w;
    x->snapshot = snapshot_ref(w->snapshot);
    x->http = r;
    x->is_admin = is_admin;
    x->priority = EXPERT_NORMAL;
    x->retry_after_s = -1;
    x->started_us = clock_now_us(loop_clock(w->loop));
    write_id(x, next_id(w));
    buf_init(&x->page, PAGE_MAX_BYTES);
    w->exchanges++;
    return x;
}

/* Runs until the body is needed: a head that cannot be served, or has no key, is refused at once. */
static void *begin(struct worker *w, struct http_request *r, bool is_admin)
{
    struct exchange *x = create(w, r, is_admin);
    if (x != NULL) {
        exchange_run(x);
    }
    return x;
}

static void *on_head(void *ctx, struct http_request *r)
{
    return begin(ctx, r, false);
}

static void *on_admin_head(void *ctx, struct http_request *r)
{
    return begin(ctx, r, true);
}

static void on_body(void *owner)
{
    struct exchange *x = owner;
    x->is_received = true;
    x->received_us = clock_now_us(loop_clock(x->worker->loop));
    exchange_wake(x);
}

static void on_gone(void *owner)
{
    struct exchange *x = owner;
    const char *why = "";
    x->is_gone = true;
    if (x->http != NULL && http_request_problem(x->http, &why) == PROBLEM_BODY_TIMEOUT) {
        x->problem = PROBLEM_BODY_TIMEOUT;
    }
    exchange_wake(x);
}

static void on_writable(void *owner)
{
    exchange_wake(owner);
}

static void on_close(void *owner)
{
    struct exchange *x = owner;
    x->http = NULL;
    x->ended_us = clock_now_us(loop_clock(x->worker->loop));
    exchange_wake(x);
}

const struct http_hooks exchange_hooks = {on_head, on_body, on_gone, on_writable, on_close};
const struct http_hooks exchange_admin_hooks = {on_admin_head, on_body, on_gone, on_writable,
                                                on_close};
