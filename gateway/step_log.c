/* EX_LOG: one JSON line. No prompt, no key, nothing a client wrote: paths and names come from our own
 * tables. */
#include <inttypes.h>

#include "base/json_write.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/worker.h"

static enum status write_decision(struct buf *line, const struct exchange *x)
{
    enum status st = buf_append(line, STR(",\"category\":"));
    if (st == ST_OK) {
        st = json_write_text(line, x->decision.category_name);
    }
    if (st == ST_OK) {
        st = buf_printf(line,
                        ",\"confidence\":%.4f,\"policy\":\"%s\",\"session\":\"%s\",\"expert\":",
                        (double)x->decision.confidence, decide_source_text(x->decision.source),
                        decide_session_text(x->decision.session));
    }
    if (st == ST_OK) {
        st = json_write_text(line, x->expert == NULL ? STR("") : x->expert->id.name);
    }
    if (st == ST_OK && x->decision.language.code.len > 0) {
        st = buf_printf(line, ",\"language\":\"%.*s\"", STR_ARG(x->decision.language.code));
    }
    if (st == ST_OK) {
        st = buf_printf(line,
                        ",\"attempts\":%zu,\"stream\":%s,\"prompt_tokens\":%" PRId64
                        ",\"completion_tokens\":%" PRId64
                        ",\"usage_source\":\"%s\",\"cost_nano_usd\":",
                        x->attempts, x->chat.is_stream ? "true" : "false", x->usage.prompt_tokens,
                        x->usage.completion_tokens,
                        x->usage.is_reported    ? "reported"
                        : x->is_usage_estimated ? "estimated"
                                                : "none");
    }
    if (st == ST_OK) {
        st = x->is_cost_unknown ? buf_append(line, STR("null"))
                                : buf_printf(line, "%" PRId64, x->cost_nano_usd);
    }
    const char *hedged = hedge_text(x);
    if (st == ST_OK && hedged != NULL) {
        st = buf_printf(line, ",\"hedged\":\"%s\"", hedged);
    }
    return st == ST_OK ? failover_write(x, line) : st;
}

/* "heads":{"difficulty":0.7100,...}: names come from the weights. */
static enum status write_heads(struct buf *line, const struct exchange *x)
{
    if (x->decision.head_count == 0) {
        return ST_OK;
    }
    const struct heads *heads = classifier_heads(x->snapshot->conf.routes.classifier);
    enum status st = buf_append(line, STR(",\"heads\":{"));
    for (size_t i = 0; st == ST_OK && i < x->decision.head_count; i++) {
        st = buf_printf(line, "%s\"%.*s\":%.4f", i == 0 ? "" : ",", STR_ARG(heads->items[i].name),
                        (double)x->decision.heads[i]);
    }
    return st == ST_OK ? buf_append_char(line, '}') : st;
}

static enum status write_line(struct buf *line, const struct exchange *x)
{
    char when[CLOCK_TEXT_SIZE];
    clock_wall_text(when);
    enum status st = buf_printf(
        line, "{\"time\":\"%s\",\"request_id\":\"%s\",\"endpoint\":\"%s\",\"status\":%d,", when,
        x->id, x->endpoint == NULL ? "" : x->endpoint->path.ptr, x->http_status);
    if (st == ST_OK) {
        st = buf_printf(line, "\"outcome\":\"%s\",\"reason\":\"%s\"",
                        metrics_outcome_text(x->outcome), x->reason == NULL ? "" : x->reason);
    }
    enum problem_fault fault = exchange_fault(x);
    if (st == ST_OK && fault != PROBLEM_FAULT_NONE) {
        st = buf_printf(line, ",\"fault\":\"%s\"", problem_fault_text(fault));
    }
    if (st == ST_OK && x->tenant != NULL) {
        st = buf_printf(line, ",\"tenant\":\"%.*s\"", STR_ARG(x->tenant->name));
    }
    if (st == ST_OK && (x->decision.candidate_count > 0 || x->expert != NULL)) {
        st = write_decision(line, x);
    }
    if (st == ST_OK && x->decision.candidate_count > 0) {
        st = write_heads(line, x);
    }
    if (st == ST_OK && x->dispatched_us != 0) {
        st = buf_printf(line, ",\"overhead_us\":%" PRId64, x->dispatched_us - x->received_us);
    }
    if (st == ST_OK && x->first_byte_us != 0) {
        st = buf_printf(line, ",\"ttft_us\":%" PRId64, x->first_byte_us - x->started_us);
    }
    if (st == ST_OK) {
        st = buf_printf(line, ",\"duration_us\":%" PRId64 "}\n", x->ended_us - x->started_us);
    }
    return st;
}

enum step_result step_log(struct exchange *x)
{
    buf_reset(&x->page);
    if (!x->is_admin && write_line(&x->page, x) == ST_OK) {
        worker_log_line(x->worker, buf_str(&x->page));
    }
    return STEP_DONE;
}
