/* See receipt.h. */
#include "gateway/receipt.h"

#include <string.h>

#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/exchange.h"
#include "gateway/explain.h"
#include "gateway/receipts.h"
#include "gateway/worker.h"

enum {
    DECISION_MAX_BYTES = 1024 * 1024,
    SIGNALS_MAX_BYTES = 1024 * 1024,
    OUTCOME_BYTES = 64,
};

struct receipt { /* the exchange's until it is sent, then the state file's until it is stored */
    struct state_job job;
    struct worker *worker;
    struct exchange *exchange; /* NULL: it is gone */
    struct snapshot *snapshot; /* a reference: names live there */
    bool is_sent;
    struct recent_decision decision;
    struct signals_fact *facts; /* where there are more than decision.signals keeps */
    struct buf signals;
    struct buf text;
    struct receipt_row row;
    char outcome[OUTCOME_BYTES];
};

static void destroy(struct receipt *r)
{
    snapshot_unref(r->snapshot);
    buf_fini(&r->text);
    buf_fini(&r->signals);
    mem_free(r->facts);
    mem_free(r);
}

static const struct state_settings *settings_of(const struct exchange *x)
{
    return &x->snapshot->conf.state;
}

struct recent_decision *receipt_begin(struct exchange *x)
{
    if (x->worker->state == NULL || settings_of(x)->receipts == RECEIPTS_OFF) {
        return NULL;
    }
    struct receipt *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) {
        log_write(LOG_ERROR, "receipts", "%s has none: no memory", x->id);
        return NULL;
    }
    r->worker = x->worker;
    r->snapshot = snapshot_ref(x->snapshot);
    buf_init(&r->text, DECISION_MAX_BYTES);
    buf_init(&r->signals, SIGNALS_MAX_BYTES);
    x->receipt = r;
    return &r->decision;
}

/* ---------------------------------------------------------------- on the writer's thread */

/* Of the features that were looked at, and of what was made of them. */
static void digest_features(const struct recent_decision *d, struct str signals,
                            struct digest *ret_digest)
{
    struct digest parts[2];
    digest_of((struct str){(const char *)d->hashes, d->hash_count * sizeof d->hashes[0]},
              &parts[0]);
    digest_of(signals, &parts[1]);
    digest_of((struct str){(const char *)parts, sizeof parts}, ret_digest);
}

static enum status write_row(struct state_job *job, struct db *db)
{
    struct receipt *r = CONTAINER_OF(job, struct receipt, job);
    const struct state_settings *settings = &r->snapshot->conf.state;
    enum status st = signals_write(&r->decision.signals, &r->signals);
    if (st != ST_OK) {
        return st;
    }
    struct str signals = buf_str(&r->signals);
    digest_features(&r->decision, signals, &r->row.features);
    r->row.signals = settings->receipts == RECEIPTS_REPLAYABLE ? signals : STR("");
    st = receipts_write(db, &r->row);
    buf_reset(&r->signals); /* the transaction may be tried again */
    return st == ST_OK
               ? chain_keep(db, CHAIN_RECEIPTS, settings->keep.receipts_days, r->row.made_ms)
               : st;
}

static void on_stored(struct state_job *job)
{
    struct receipt *r = CONTAINER_OF(job, struct receipt, job);
    struct exchange *x = r->exchange;
    worker_forget_job(r->worker);
    if (x != NULL) {
        x->receipt = NULL;
        if (x->storing == NULL) {
            loop_timer_cancel(x->worker->loop, &x->store_timer);
            exchange_wake(x);
        }
    }
    destroy(r);
}

/* ---------------------------------------------------------------- for the exchange */

/* All facts of its candidates. Short of memory the receipt says that some are missing. */
static void take_facts(struct receipt *r, const struct exchange *x)
{
    struct signals *signals = &r->decision.signals;
    if (signals_is_cut(signals)) {
        r->facts = mem_alloc(signals->fact_count * sizeof *r->facts);
    }
    if (r->facts != NULL) {
        signals_take_all(&x->chat.prompt, &x->decision, signals, r->facts);
    }
}

static void fill(struct receipt *r, const struct exchange *x)
{
    const char *outcome =
        x->problem != PROBLEM_NONE ? problem_code(x->problem) : metrics_outcome_text(x->outcome);
    buf_reset(&r->text);
    if (explain_write_decision(&r->text, &x->decision) != ST_OK) {
        buf_reset(&r->text); /* too many candidates, or no memory: the row says the rest */
    }
    take_facts(r, x);
    (void)snprintf(r->outcome, sizeof r->outcome, "%s", outcome);
    r->row.request_id = str_from(r->decision.id);
    r->row.made_ms = r->decision.made_ms;
    r->row.conf = r->snapshot->digest;
    r->row.weights = r->decision.weights;
    r->row.decision = buf_str(&r->text);
    r->row.expert = x->leg.expert == NULL ? STR("") : x->leg.expert->id.name;
    r->row.outcome = str_from(r->outcome);
    r->row.attempts = (int64_t)x->attempts;
    r->row.prompt_tokens = x->leg.usage.prompt_tokens;
    r->row.completion_tokens = x->leg.usage.completion_tokens;
    r->row.cost_nano_usd = x->is_cost_unknown ? -1 : x->cost_nano_usd;
}

void receipt_send(struct exchange *x)
{
    struct receipt *r = x->receipt;
    if (r == NULL || r->is_sent) {
        return;
    }
    fill(r, x);
    r->job.run = write_row;
    r->job.done = on_stored;
    r->exchange = x;
    r->is_sent = true;
    if (worker_submit(x->worker, &r->job) != ST_OK) {
        log_write(LOG_ERROR, "receipts", "%s is not stored: too much waits for the disk", x->id);
        x->receipt = NULL;
        destroy(r);
    }
}

bool receipt_is_on_its_way(const struct exchange *x)
{
    return x->receipt != NULL && x->receipt->is_sent;
}

void receipt_forget(struct exchange *x)
{
    struct receipt *r = x->receipt;
    x->receipt = NULL;
    if (r != NULL && r->is_sent) {
        r->exchange = NULL;
    } else if (r != NULL) {
        destroy(r);
    }
}
