/* See prompts.h. */
#include "router/prompts.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/json_scan.h"

/* The decoded text. `decoded` has room for the whole line, so that it never moves. */
static enum status text_of(struct json_value value, struct buf *decoded, struct str *ret_text)
{
    if (value.type != JSON_STRING) {
        *ret_text = (struct str){NULL, 0};
        return ST_OK;
    }
    if (!value.escaped) {
        *ret_text = json_plain(value);
        return ST_OK;
    }
    size_t from = decoded->len;
    enum status st = json_decode(value, decoded);
    *ret_text = str_slice(buf_str(decoded), from, decoded->len);
    return st;
}

static enum status read_accept(struct json_reader *r, struct buf *decoded,
                               struct prompts_row *prompt)
{
    enum status st = ST_OK;
    if (!json_open(r, JSON_ARRAY)) {
        return ST_OK; /* the reader keeps the error */
    }
    while (st == ST_OK && json_next_item(r)) {
        struct json_value item;
        if (!json_take(r, &item)) {
            break;
        }
        if (prompt->accept_count < PROMPTS_ACCEPT_MAX && item.type == JSON_STRING) {
            st = text_of(item, decoded, &prompt->accept[prompt->accept_count++]);
        }
    }
    return st;
}

static enum status read_member(struct json_reader *r, struct json_value key, struct buf *decoded,
                               struct prompts_row *prompt)
{
    struct str *field = json_text_is(key, STR("text"))      ? &prompt->text
                        : json_text_is(key, STR("label"))   ? &prompt->label
                        : json_text_is(key, STR("source"))  ? &prompt->source
                        : json_text_is(key, STR("lang"))    ? &prompt->lang
                        : json_text_is(key, STR("copy_of")) ? &prompt->copy_of
                                                            : NULL;
    if (json_text_is(key, STR("accept")) && json_peek(r) == JSON_ARRAY) {
        return read_accept(r, decoded, prompt);
    }
    struct json_value value;
    if (!json_take(r, &value)) {
        return ST_OK; /* the reader keeps the error */
    }
    if (json_text_is(key, STR("ood"))) {
        prompt->is_ood =
            value.type == JSON_TRUE || (value.type == JSON_NUMBER && !str_eq(value.raw, STR("0")));
    }
    if (json_text_is(key, STR("value")) && value.type == JSON_NUMBER) {
        prompt->has_value = json_to_real(value, &prompt->value) == ST_OK;
    }
    return field != NULL ? text_of(value, decoded, field) : ST_OK;
}

static enum status read_line(struct str line, struct buf *decoded, struct prompts_row *ret_prompt,
                             const char **ret_why)
{
    struct json_reader r;
    enum status st = ST_OK;
    *ret_prompt = (struct prompts_row){0};
    buf_reset(decoded);
    if (buf_reserve(decoded, line.len) == NULL) {
        return ST_NO_MEMORY;
    }
    json_reader_init(&r, line);
    if (json_open(&r, JSON_OBJECT)) {
        struct json_value key;
        while (st == ST_OK && json_next_member(&r, &key)) {
            st = read_member(&r, key, decoded, ret_prompt);
        }
    }
    if (st != ST_OK) {
        return st;
    }
    st = json_close(&r);
    *ret_why = st != ST_OK ? r.why : "the row has no text";
    return st == ST_OK && ret_prompt->text.ptr == NULL ? ST_INVALID : st;
}

struct str prompts_original(const struct prompts_row *prompt)
{
    return prompt->copy_of.len > 0 ? prompt->copy_of : prompt->text;
}

struct str prompts_family(struct str source)
{
    size_t end = 0;
    while (end < source.len && source.ptr[end] != ':' && source.ptr[end] != '@' &&
           source.ptr[end] != '#') {
        end++;
    }
    return str_slice(source, 0, end);
}

enum status prompts_scan(struct str text, struct str file, struct diags *diags,
                         prompts_fn on_prompt, void *ctx)
{
    struct buf decoded;
    buf_init(&decoded, PROMPTS_LINE_MAX);
    struct str rest = text;
    struct str line;
    enum status st = ST_OK;
    for (int number = 1; st == ST_OK && str_split(rest, '\n', &line, &rest); number++) {
        line = str_trim(line);
        if (line.len == 0) {
            continue;
        }
        struct prompts_row prompt;
        const char *why = "is too long";
        st = line.len > PROMPTS_LINE_MAX ? ST_INVALID : read_line(line, &decoded, &prompt, &why);
        if (st == ST_OK) {
            st = on_prompt(ctx, &prompt);
        } else if (st == ST_INVALID) {
            diags_add(diags, DIAG_ERROR, file, (struct pos){number, 1}, "%s", why);
        }
    }
    buf_fini(&decoded);
    return st;
}

enum status prompts_read(const char *path, struct diags *diags, prompts_fn on_prompt, void *ctx)
{
    struct str text;
    enum status st = file_map(path, diags, &text);
    if (st != ST_OK) {
        return st;
    }
    st = prompts_scan(text, str_from(path), diags, on_prompt, ctx);
    file_unmap(text);
    return st;
}
