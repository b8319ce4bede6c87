/* EX_LOG: one JSON line. No prompt, no key, nothing a client wrote: paths and names come from our own
 * tables. */
#include "base/json_fields.h"
#include "gateway/exchange.h"
#include "gateway/hedge.h"
#include "gateway/worker.h"

enum {
    LINE_BYTES = 640 /* of most lines */
};

static const char *usage_source(const struct exchange *x)
{
    return x->leg.usage.is_reported ? "reported" : x->leg.is_usage_estimated ? "estimated" : "none";
}

static void write_decision(struct json_fields *f, const struct exchange *x)
{
    const struct decision *d = &x->decision;
    json_fields_text(f, STR("category"), d->category_name);
    json_fields_share(f, STR("confidence"), (double)d->confidence);
    json_fields_symbol(f, STR("policy"), decide_source_text(d->source));
    json_fields_symbol(f, STR("session"), decide_session_text(d->session));
    json_fields_text(f, STR("expert"), x->leg.expert == NULL ? STR("") : x->leg.expert->id.name);
    if (d->language.code.len > 0) {
        json_fields_text(f, STR("language"), d->language.code);
    }
    json_fields_int(f, STR("attempts"), (int64_t)x->attempts);
    json_fields_bool(f, STR("stream"), x->chat.is_stream);
    json_fields_int(f, STR("prompt_tokens"), x->leg.usage.prompt_tokens);
    json_fields_int(f, STR("completion_tokens"), x->leg.usage.completion_tokens);
    json_fields_symbol(f, STR("usage_source"), usage_source(x));
    if (x->is_cost_unknown) {
        json_fields_null(f, STR("cost_nano_usd"));
    } else {
        json_fields_int(f, STR("cost_nano_usd"), x->cost_nano_usd);
    }
    if (hedge_text(x) != NULL) {
        json_fields_symbol(f, STR("hedged"), hedge_text(x));
    }
    if (f->st == ST_OK) {
        f->st = failover_write(x, f->out);
    }
}

/* "heads":{"difficulty":0.7100,...}: names come from the weights. */
static void write_heads(struct json_fields *f, const struct exchange *x)
{
    if (x->decision.head_count == 0) {
        return;
    }
    const struct heads *heads = classifier_heads(x->snapshot->conf.routes.classifier);
    json_fields_enter(f, STR("heads"));
    for (size_t i = 0; i < x->decision.head_count; i++) {
        json_fields_share(f, heads->items[i].name, (double)x->decision.heads[i]);
    }
    json_fields_leave(f);
}

static enum status write_line(struct buf *line, const struct exchange *x)
{
    char when[CLOCK_TEXT_SIZE];
    clock_wall_text(when);
    (void)buf_reserve(line, LINE_BYTES); /* only saves growing; the close says what fails */
    struct json_fields f = json_fields_open(line);
    json_fields_symbol(&f, STR("time"), when);
    json_fields_symbol(&f, STR("request_id"), x->id);
    json_fields_symbol(&f, STR("endpoint"), x->endpoint == NULL ? "" : x->endpoint->path.ptr);
    json_fields_int(&f, STR("status"), x->http_status);
    json_fields_symbol(&f, STR("outcome"), metrics_outcome_text(x->outcome));
    json_fields_symbol(&f, STR("reason"), x->reason);
    enum problem_fault fault = exchange_fault(x);
    if (fault != PROBLEM_FAULT_NONE) {
        json_fields_symbol(&f, STR("fault"), problem_fault_text(fault));
    }
    if (x->tenant != NULL) {
        json_fields_text(&f, STR("tenant"), x->tenant->name);
    }
    if (x->decision.candidate_count > 0 || x->leg.expert != NULL) {
        write_decision(&f, x);
    }
    if (x->decision.candidate_count > 0) {
        write_heads(&f, x);
    }
    if (x->dispatched_us != 0) {
        json_fields_int(&f, STR("overhead_us"), x->dispatched_us - x->received_us);
    }
    if (x->leg.first_byte_us != 0) {
        json_fields_int(&f, STR("ttft_us"), x->leg.first_byte_us - x->started_us);
    }
    json_fields_int(&f, STR("duration_us"), x->ended_us - x->started_us);
    enum status st = json_fields_close(&f);
    return st == ST_OK ? buf_append_char(line, '\n') : st;
}

enum step_result step_log(struct exchange *x)
{
    buf_reset(&x->page);
    if (!x->is_admin && write_line(&x->page, x) == ST_OK) {
        worker_log_line(x->worker, buf_str(&x->page));
    }
    return STEP_DONE;
}
