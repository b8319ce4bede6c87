/* See embed_body.h. */
#include "backends/embed_body.h"

#include <string.h>

#include "base/json_scan.h"

struct parser {
    struct json_reader reader;
    struct str text;
    struct arena *arena;
    struct embed_body *body;
    struct embed_fault *fault;
    size_t room; /* of body->inputs */
    bool has_input;
    bool has_dimensions;
    bool has_encoding;
    bool failed;
    enum status st; /* ST_NO_MEMORY sticks */
};

static void fail(struct parser *p, const char *message, const char *param)
{
    if (!p->failed) {
        p->failed = true;
        *p->fault = (struct embed_fault){.message = str_from(message), .param = param};
    }
}

/* ---- input ---- */

static void keep(struct parser *p, struct embed_input input)
{
    struct embed_body *b = p->body;
    if (b->count == EMBED_INPUTS_MAX) {
        fail(p, "\"input\" must have at most 2048 items.", "input");
        return;
    }
    if (b->count == p->room) {
        size_t room = p->room == 0 ? 4 : p->room * 4;
        struct embed_input *more = arena_alloc(p->arena, room * sizeof *more);
        if (more == NULL) {
            p->st = ST_NO_MEMORY;
            return;
        }
        if (b->count > 0) {
            memcpy(more, b->inputs, b->count * sizeof *more);
        }
        b->inputs = more;
        p->room = room;
    }
    b->inputs[b->count++] = input;
}

static void keep_text(struct parser *p, struct json_value v)
{
    if (v.raw.len <= 2) {
        fail(p, "\"input\" must not be an empty string.", "input");
        return;
    }
    keep(p, (struct embed_input){v.raw, 0, v.escaped});
}

/* An array that began at `start` and was read to its end just now. */
static void keep_tokens(struct parser *p, size_t start, size_t count)
{
    struct str raw = str_slice(p->text, start, json_offset(&p->reader) - start);
    keep(p, (struct embed_input){raw, count, false});
}

static bool is_token(struct json_value v)
{
    int64_t n = 0;
    return v.type == JSON_NUMBER && json_to_int(v, &n) == ST_OK && n >= 0 && n <= INT32_MAX;
}

/* An array of tokens inside of the array of inputs. */
static void read_tokens(struct parser *p)
{
    struct json_reader *r = &p->reader;
    (void)json_peek(r); /* steps over blanks */
    size_t start = json_offset(r);
    size_t count = 0;
    bool are_tokens = true;
    (void)json_open(r, JSON_ARRAY);
    while (json_next_item(r)) {
        struct json_value v = {0};
        are_tokens = json_take(r, &v) && is_token(v) && are_tokens;
        count++;
    }
    if (count == 0 || !are_tokens) {
        fail(p, "Each array in \"input\" must be one of token numbers, and not empty.", "input");
        return;
    }
    keep_tokens(p, start, count);
}

/* What the first item is they all must be: texts, arrays of tokens, or tokens of one text. */
static void read_inputs(struct parser *p)
{
    struct json_reader *r = &p->reader;
    (void)json_peek(r); /* steps over blanks */
    size_t start = json_offset(r);
    enum json_type kind = JSON_NONE;
    size_t tokens = 0;
    bool is_mixed = false;
    (void)json_open(r, JSON_ARRAY);
    while (json_next_item(r)) {
        enum json_type type = json_peek(r);
        kind = kind == JSON_NONE ? type : kind;
        is_mixed = is_mixed || type != kind;
        if (type == JSON_ARRAY) {
            read_tokens(p);
            continue;
        }
        struct json_value v = {0};
        (void)json_take(r, &v); /* errors are sticky and seen by json_close */
        if (type == JSON_STRING) {
            keep_text(p, v);
        } else {
            is_mixed = is_mixed || !is_token(v);
            tokens++;
        }
    }
    if (kind == JSON_NONE) {
        fail(p, "\"input\" must not be an empty array.", "input");
    } else if (is_mixed) {
        fail(p,
             "\"input\" must be a string, an array of strings, an array of token numbers or an "
             "array of such arrays.",
             "input");
    } else if (kind == JSON_NUMBER) {
        keep_tokens(p, start, tokens);
    }
}

static void read_input(struct parser *p)
{
    struct json_value v = {0};
    if (p->has_input) {
        fail(p, "\"input\" stands twice.", "input");
    }
    p->has_input = true;
    if (json_peek(&p->reader) == JSON_ARRAY) {
        read_inputs(p);
        return;
    }
    (void)json_take(&p->reader, &v);
    if (v.type == JSON_STRING) {
        keep_text(p, v);
    } else {
        fail(p,
             "\"input\" must be a string, an array of strings, an array of token numbers or an "
             "array of such arrays.",
             "input");
    }
}

/* ---- the others ---- */

static void read_model(struct parser *p)
{
    struct json_value v = {0};
    struct buf name;
    if (p->body->raw_model.len > 0) {
        fail(p, "\"model\" stands twice.", "model");
    }
    (void)json_take(&p->reader, &v);
    if (v.type != JSON_STRING) {
        fail(p, "\"model\" must be a string.", "model");
        return;
    }
    p->body->raw_model = v.raw;
    if (!v.escaped) {
        p->body->model = json_plain(v);
        return;
    }
    buf_init(&name, v.raw.len + 1);
    enum status st = json_decode(v, &name);
    p->body->model = st == ST_OK ? arena_copy(p->arena, buf_str(&name)) : STR("");
    p->st = st != ST_OK || p->body->model.ptr == NULL ? ST_NO_MEMORY : p->st;
    buf_fini(&name);
}

static void read_encoding(struct parser *p)
{
    struct json_value v = {0};
    if (p->has_encoding) {
        fail(p, "\"encoding_format\" stands twice.", "encoding_format");
    }
    p->has_encoding = true;
    (void)json_take(&p->reader, &v);
    p->body->is_base64 = json_text_is(v, STR("base64"));
    if (!p->body->is_base64 && !json_text_is(v, STR("float")) && v.type != JSON_NULL) {
        fail(p, "\"encoding_format\" must be \"float\" or \"base64\".", "encoding_format");
    }
}

static void read_dimensions(struct parser *p)
{
    struct json_value v = {0};
    int64_t n = 0;
    if (p->has_dimensions) {
        fail(p, "\"dimensions\" stands twice.", "dimensions");
    }
    p->has_dimensions = true;
    (void)json_take(&p->reader, &v);
    if (v.type == JSON_NULL) {
        return;
    }
    if (v.type != JSON_NUMBER || json_to_int(v, &n) != ST_OK || n < 1 || n > EMBED_DIMENSIONS_MAX) {
        fail(p, "\"dimensions\" must be a whole number, at least 1.", "dimensions");
        return;
    }
    p->body->dimensions = n;
}

static void read_user(struct parser *p)
{
    struct json_value v = {0};
    (void)json_take(&p->reader, &v);
    if (v.type != JSON_STRING && v.type != JSON_NULL) {
        fail(p, "\"user\" must be a string.", "user");
    }
}

static void read_member(struct parser *p, struct json_value key)
{
    static const struct {
        struct str name;
        void (*read)(struct parser *p);
    } members[] = {
        {STR_INIT("model"), read_model},
        {STR_INIT("input"), read_input},
        {STR_INIT("encoding_format"), read_encoding},
        {STR_INIT("dimensions"), read_dimensions},
        {STR_INIT("user"), read_user},
    };

    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        if (json_text_is(key, members[i].name)) {
            members[i].read(p);
            return;
        }
    }
    (void)json_take(&p->reader, NULL); /* the expert's affair */
}

static enum status report_bad_json(struct parser *p)
{
    const char *why = p->reader.why == NULL ? "it ends too early" : p->reader.why;
    *p->fault = (struct embed_fault){
        .message = arena_printf(p->arena, "The body is not valid JSON: %s, at byte %zu.", why,
                                json_offset(&p->reader)),
        .param = "",
        .is_json = true,
    };
    return p->fault->message.ptr == NULL ? ST_NO_MEMORY : ST_INVALID;
}

enum status embed_body_read(struct str body, struct arena *arena, struct embed_body *ret_body,
                            struct embed_fault *ret_fault)
{
    struct parser p = {
        .text = body, .arena = arena, .body = ret_body, .fault = ret_fault, .st = ST_OK};
    struct json_value key;
    *ret_body = (struct embed_body){0};
    json_reader_init(&p.reader, body);
    if (json_peek(&p.reader) == JSON_OBJECT) {
        (void)json_open(&p.reader, JSON_OBJECT);
        while (json_next_member(&p.reader, &key)) {
            read_member(&p, key);
        }
    } else {
        (void)json_take(&p.reader, NULL);
        fail(&p, "The body must be a JSON object.", "");
    }
    if (json_close(&p.reader) != ST_OK) {
        return report_bad_json(&p);
    }
    if (!p.failed && (ret_body->raw_model.len == 0 || !p.has_input)) {
        bool is_model = ret_body->raw_model.len == 0;
        fail(&p,
             is_model ? "You must provide a \"model\": an alias or an expert that embeds."
                      : "You must provide an \"input\".",
             is_model ? "model" : "input");
        ret_fault->is_missing = true;
    }
    if (p.failed) {
        return ST_INVALID;
    }
    return p.st;
}

enum status embed_body_text(const struct embed_input *input, struct arena *arena,
                            struct str *ret_text)
{
    struct json_value v = {JSON_STRING, input->raw, input->is_escaped};
    struct buf text;
    if (!input->is_escaped) {
        *ret_text = json_plain(v);
        return ST_OK;
    }
    buf_init(&text, input->raw.len);
    enum status st = json_decode(v, &text);
    struct str copy = st == ST_OK ? arena_copy(arena, buf_str(&text)) : STR("");
    buf_fini(&text);
    if (st != ST_OK || copy.ptr == NULL) {
        return ST_NO_MEMORY;
    }
    *ret_text = copy;
    return ST_OK;
}
