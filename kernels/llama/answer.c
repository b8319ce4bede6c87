/* See answer.h. */
#include "kernels/llama/answer.h"

#include <llama.h>

#include "backends/kernel.h"
#include "backends/kernels/tinylm/outlet.h"
#include "base/json_scan.h"
#include "base/mem.h"

enum {
    PIECE_BYTES = 1024, /* no token writes more */
};

/* response_format {"type": "json_object"}: JSON by RFC 8259, an object, with few blanks. */
static const char json_grammar[] =
    "root ::= object\n"
    "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws value)*)? \"}\" ws\n"
    "array ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\n"
    "string ::= \"\\\"\" ([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" "
    "[0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F] [0-9a-fA-F]))* \"\\\"\" ws\n"
    "number ::= \"-\"? (\"0\" | [1-9] [0-9]*) (\".\" [0-9]+)? ([eE] [-+]? [0-9]+)? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,8}\n";

struct writing {
    struct engine *engine;
    const struct ek_sink *sink;
    struct llama_sampler *sampler;
    struct outlet outlet;
    int64_t max_tokens;
};

static bool wants_json(struct str body)
{
    struct json_reader r;
    struct json_value key;
    struct json_value type;
    bool wants = false;
    json_reader_init(&r, body);
    if (json_open(&r, JSON_OBJECT)) {
        while (json_next_member(&r, &key)) {
            if (!json_text_is(key, STR("response_format")) || json_peek(&r) != JSON_OBJECT) {
                (void)json_take(&r, NULL); /* errors stay until json_close */
                continue;
            }
            (void)json_open(&r, JSON_OBJECT); /* it is one */
            while (json_next_member(&r, &key)) {
                bool is_type = json_text_is(key, STR("type"));
                wants = (json_take(&r, &type) && is_type) ? json_text_is(type, STR("json_object"))
                                                          : wants;
            }
        }
    }
    return json_close(&r) == ST_OK && wants;
}

/* Adds to the chain, which takes it. NULL: libllama had no memory, or refused. */
static bool chain(struct llama_sampler *all, struct llama_sampler *one)
{
    if (one != NULL) {
        llama_sampler_chain_add(all, one);
    }
    return one != NULL;
}

/* The samplers in libllama's usual order. NULL: not to be had. */
static struct llama_sampler *make_sampler(const struct engine *e, const struct settings *d)
{
    const struct ek_request *request = e->request;
    double temperature = request->temperature >= 0 ? request->temperature : d->temperature;
    double top_p = request->top_p >= 0 ? request->top_p : d->top_p;
    uint64_t seed = request->has_seed != 0 ? request->seed : (uint64_t)d->seed;
    struct llama_sampler *all = llama_sampler_chain_init(llama_sampler_chain_default_params());
    bool is_whole = all != NULL;
    if (is_whole && wants_json(kernel_str(request->body))) {
        is_whole = chain(all, llama_sampler_init_grammar(e->vocab, json_grammar, "root"));
    }
    if (is_whole && temperature <= 0) {
        is_whole = chain(all, llama_sampler_init_greedy());
    } else if (is_whole) {
        /* All bits of the seed count, and libllama's mark for "any seed" is never met. */
        uint32_t mixed = (uint32_t)(seed ^ (seed >> 32)) % LLAMA_DEFAULT_SEED;
        is_whole = (d->top_k == 0 || chain(all, llama_sampler_init_top_k((int32_t)d->top_k))) &&
                   chain(all, llama_sampler_init_top_p((float)top_p, 1)) &&
                   chain(all, llama_sampler_init_temp((float)temperature)) &&
                   chain(all, llama_sampler_init_dist(mixed));
    }
    if (!is_whole && all != NULL) {
        llama_sampler_free(all);
        all = NULL;
    }
    return all;
}

static enum status on_text(void *ctx, struct str text)
{
    struct writing *w = ctx;
    return kernel_say(w->sink, text) == EK_OK ? ST_OK : ST_CLOSED;
}

static enum ek_status status_of(enum status st, struct ek_error *ret_error)
{
    if (st == ST_OK) {
        return EK_OK;
    }
    return st == ST_CLOSED ? EK_CANCELLED
                           : kernel_fail(ret_error, EK_NO_MEMORY, "the expert ran out of memory");
}

static enum ek_status say_token(struct writing *w, int32_t id, struct ek_error *ret_error)
{
    char piece[PIECE_BYTES];
    int32_t len = llama_token_to_piece(w->engine->vocab, id, piece, sizeof piece, 0, false);
    if (len < 0) {
        return kernel_fail(ret_error, EK_FAILED, "the model has a token of more than %d bytes",
                           PIECE_BYTES);
    }
    return status_of(outlet_put(&w->outlet, (struct str){piece, (size_t)len}), ret_error);
}

/* Token after token; the context holds all but the last one chosen. */
static enum ek_status go_on(struct writing *w, struct ek_result *ret_result,
                            struct ek_error *ret_error)
{
    struct engine *e = w->engine;
    for (;;) {
        enum ek_status status = engine_is_wanted(e);
        if (status != EK_OK) {
            return status;
        }
        int32_t id = llama_sampler_sample(w->sampler, e->llama, -1);
        if (llama_vocab_is_eog(e->vocab, id)) {
            return EK_OK;
        }
        ret_result->completion_tokens++;
        status = say_token(w, id, ret_error);
        if (status != EK_OK || w->outlet.is_stopped) {
            return status;
        }
        if (ret_result->completion_tokens >= w->max_tokens || e->held_count >= e->context) {
            ret_result->finish = EK_FINISH_LENGTH;
            return EK_OK;
        }
        status = engine_feed(e, &id, 1, ret_error);
        if (status != EK_OK) {
            return status;
        }
    }
}

static enum ek_status run(struct writing *w, const struct prompt *prompt,
                          struct ek_result *ret_result, struct ek_error *ret_error)
{
    size_t kept = engine_keep(w->engine, prompt->ids, prompt->count);
    enum ek_status status =
        engine_feed(w->engine, prompt->ids + kept, prompt->count - kept, ret_error);
    if (status == EK_OK) {
        status = go_on(w, ret_result, ret_error);
    }
    return status == EK_OK ? status_of(outlet_end(&w->outlet), ret_error) : status;
}

enum ek_status answer_write(struct engine *e, const struct settings *defaults,
                            const struct prompt *prompt, const struct ek_sink *sink,
                            struct ek_result *ret_result, struct ek_error *ret_error)
{
    const struct ek_request *request = e->request;
    struct writing w = {
        .engine = e,
        .sink = sink,
        .sampler = make_sampler(e, defaults),
        .max_tokens = request->max_tokens > 0 ? request->max_tokens : defaults->max_tokens,
    };
    const struct outlet_sink to_sink = {&w, on_text};
    struct str *stops = mem_zalloc(request->stop_count + 1UL, sizeof *stops);
    enum ek_status status = EK_NO_MEMORY;
    ret_result->prompt_tokens = (int64_t)prompt->count;
    ret_result->completion_tokens = 0;
    if (stops == NULL || w.sampler == NULL) {
        (void)kernel_fail(ret_error, EK_NO_MEMORY, "the expert ran out of memory");
        goto out;
    }
    for (size_t i = 0; i < request->stop_count; i++) {
        stops[i] = kernel_str(request->stop[i]);
    }
    outlet_init(&w.outlet, stops, request->stop_count, &to_sink);
    status = run(&w, prompt, ret_result, ret_error);
    outlet_fini(&w.outlet);
out:
    if (w.sampler != NULL) {
        llama_sampler_free(w.sampler);
    }
    mem_free(stops);
    return status;
}
