/* See kernel_reply.h. */
#include "backends/kernel_reply.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/json_write.h"

void kernel_reply_init(struct kernel_reply *reply, uint64_t number, int64_t created_s)
{
    (void)snprintf(reply->id, sizeof reply->id, "chatcmpl-%08" PRIx64 "%08" PRIx64,
                   (uint64_t)created_s, number);
    reply->created_s = created_s;
}

/* {"id":…,"object":…,"created":…,"model":… — the rest and the brace are the caller's. */
static enum status write_head(struct buf *out, const struct kernel_reply *reply, const char *object)
{
    enum status st = buf_printf(
        out, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%" PRId64 ",\"model\":", reply->id,
        object, reply->created_s);
    return st == ST_OK ? json_write_text(out, reply->model) : st;
}

static enum status write_usage(struct buf *out, struct kernel_usage usage)
{
    return buf_printf(out,
                      "{\"prompt_tokens\":%" PRId64 ",\"completion_tokens\":%" PRId64
                      ",\"total_tokens\":%" PRId64 "}",
                      usage.prompt_tokens, usage.completion_tokens,
                      usage.prompt_tokens + usage.completion_tokens);
}

enum status kernel_reply_whole(struct buf *out, const struct kernel_reply *reply, struct str text,
                               const char *finish, struct kernel_usage usage)
{
    enum status st = write_head(out, reply, "chat.completion");
    if (st == ST_OK) {
        st = buf_append(out, STR(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                                 "\"content\":"));
    }
    if (st == ST_OK) {
        st = reply->is_refusal ? buf_append(out, STR("null,\"refusal\":")) : ST_OK;
    }
    if (st == ST_OK) {
        st = json_write_text(out, text);
    }
    if (st == ST_OK) {
        st = buf_printf(out, "%s},\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":",
                        reply->is_refusal ? "" : ",\"refusal\":null", finish);
    }
    if (st == ST_OK) {
        st = write_usage(out, usage);
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status begin_event(struct buf *out, const struct kernel_reply *reply)
{
    enum status st = buf_append(out, STR("data: "));
    return st == ST_OK ? write_head(out, reply, "chat.completion.chunk") : st;
}

static enum status end_event(struct buf *out, const struct kernel_reply *reply)
{
    return buf_append(out, reply->includes_usage ? STR(",\"usage\":null}\n\n") : STR("}\n\n"));
}

enum status kernel_reply_role(struct buf *out, const struct kernel_reply *reply)
{
    enum status st = begin_event(out, reply);
    if (st == ST_OK) {
        st = buf_append(out, STR(",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\","
                                 "\"content\":\"\"},\"finish_reason\":null}]"));
    }
    return st == ST_OK ? end_event(out, reply) : st;
}

enum status kernel_reply_piece(struct buf *out, const struct kernel_reply *reply, struct str text)
{
    enum status st = begin_event(out, reply);
    if (st == ST_OK) {
        st = buf_printf(out, ",\"choices\":[{\"index\":0,\"delta\":{\"%s\":",
                        reply->is_refusal ? "refusal" : "content");
    }
    if (st == ST_OK) {
        st = json_write_text(out, text);
    }
    if (st == ST_OK) {
        st = buf_append(out, STR("},\"finish_reason\":null}]"));
    }
    return st == ST_OK ? end_event(out, reply) : st;
}

enum status kernel_reply_end(struct buf *out, const struct kernel_reply *reply, const char *finish,
                             struct kernel_usage usage)
{
    enum status st = begin_event(out, reply);
    if (st == ST_OK) {
        st = buf_printf(out, ",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"%s\"}]",
                        finish);
    }
    if (st == ST_OK) {
        st = end_event(out, reply);
    }
    if (st == ST_OK && reply->includes_usage) {
        st = begin_event(out, reply);
        if (st == ST_OK) {
            st = buf_append(out, STR(",\"choices\":[],\"usage\":"));
        }
        if (st == ST_OK) {
            st = write_usage(out, usage);
        }
        if (st == ST_OK) {
            st = buf_append(out, STR("}\n\n"));
        }
    }
    return st == ST_OK ? buf_append(out, STR("data: [DONE]\n\n")) : st;
}

static const char *error_type(int http_status)
{
    if (http_status == 429) {
        return "rate_limit_error";
    }
    return http_status < 500 ? "invalid_request_error" : "server_error";
}

static enum status write_optional(struct buf *out, struct str text)
{
    return text.len > 0 ? json_write_text(out, text) : buf_append(out, STR("null"));
}

enum status kernel_reply_error(struct buf *out, int http_status, struct str message,
                               struct str code, struct str param)
{
    enum status st = buf_append(out, STR("{\"error\":{\"message\":"));
    if (st == ST_OK) {
        st = json_write_text(out, message);
    }
    if (st == ST_OK) {
        st = buf_printf(out, ",\"type\":\"%s\",\"param\":", error_type(http_status));
    }
    if (st == ST_OK) {
        st = write_optional(out, param);
    }
    if (st == ST_OK) {
        st = buf_append(out, STR(",\"code\":"));
    }
    if (st == ST_OK) {
        st = write_optional(out, code);
    }
    return st == ST_OK ? buf_append(out, STR("}}")) : st;
}
