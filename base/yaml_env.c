/* See yaml_env.h. Two passes over the same pieces: the first measures, the second copies, so that
 * the arena gets exactly what the text needs. */
#include "base/yaml_env.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum {
    NAME_MAX_BYTES = 255, /* longer names are a mistake, not a variable */
};

struct reader {
    struct str rest;
    bool saw_variable;
    struct arena *arena; /* for `why` */
    struct diags *diags;
    struct str why;
};

static bool is_name_char(char c, bool is_first)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           (c >= '0' && c <= '9' && !is_first);
}

static size_t name_length(struct str s)
{
    size_t n = 0;
    while (n < s.len && is_name_char(s.ptr[n], n == 0)) {
        n++;
    }
    return n;
}

/* The environment is only read, never written, by this program: getenv is safe here. */
static struct str variable_value(struct str name)
{
    char terminated[NAME_MAX_BYTES + 1];
    memcpy(terminated, name.ptr, name.len);
    terminated[name.len] = '\0';
    return str_from(getenv(terminated)); /* NOLINT(concurrency-mt-unsafe) */
}

/* Reads "NAME}" or "NAME:-default}": r->rest stands behind "${". */
static enum status take_variable(struct reader *r, struct str *ret_piece)
{
    size_t n = name_length(r->rest);
    struct str name = str_slice(r->rest, 0, n);
    struct str rest = str_slice(r->rest, n, SIZE_MAX);
    bool has_default = str_starts_with(rest, STR(":-"));
    size_t end = str_find_char(rest, '}');
    if (n == 0 || n > NAME_MAX_BYTES || end == rest.len || (!has_default && end != 0)) {
        r->why = STR("\"${\" starts a reference to the environment, ${NAME} or ${NAME:-default}; "
                     "write $$ for a plain dollar");
        return ST_INVALID;
    }

    struct str value = variable_value(name);
    if (utf8_valid_prefix(value) != value.len) {
        r->why = arena_printf(r->arena, "the environment variable \"%.*s\" is not valid UTF-8",
                              STR_ARG(name));
        return ST_INVALID;
    }
    if (value.len == 0 && !has_default) {
        r->why = arena_printf(r->arena,
                              "the environment variable \"%.*s\" is missing or empty; set it, or "
                              "give a default with ${%.*s:-default}",
                              STR_ARG(name), STR_ARG(name));
        return ST_INVALID;
    }
    *ret_piece = value.len > 0 ? value : str_slice(rest, 2, end - 2);
    r->saw_variable = true;
    r->rest = str_slice(rest, end + 1, SIZE_MAX);
    return diags_hide(r->diags, name, value);
}

/* The next piece of the result; r->rest must not be empty. */
static enum status next_piece(struct reader *r, struct str *ret_piece)
{
    size_t plain = str_find_char(r->rest, '$');
    if (plain > 0) {
        *ret_piece = str_slice(r->rest, 0, plain);
        r->rest = str_slice(r->rest, plain, SIZE_MAX);
        return ST_OK;
    }
    if (str_starts_with(r->rest, STR("${"))) {
        r->rest = str_slice(r->rest, 2, SIZE_MAX);
        return take_variable(r, ret_piece);
    }
    size_t skipped = str_starts_with(r->rest, STR("$$")) ? 2 : 1;
    *ret_piece = str_slice(r->rest, 0, 1);
    r->rest = str_slice(r->rest, skipped, SIZE_MAX);
    return ST_OK;
}

/* Runs over all pieces; copies them to `out` unless that is NULL. */
static enum status expand(struct reader *r, struct str text, char *out, size_t *ret_len)
{
    r->rest = text;
    size_t len = 0;
    while (r->rest.len > 0) {
        struct str piece = STR("");
        enum status st = next_piece(r, &piece);
        if (st != ST_OK) {
            return st;
        }
        if (out != NULL && piece.len > 0) {
            memcpy(out + len, piece.ptr, piece.len);
        }
        len += piece.len;
    }
    *ret_len = len;
    return ST_OK;
}

enum status yaml_env_expand(struct str text, struct arena *arena, struct diags *diags,
                            struct yaml_env *ret)
{
    *ret = (struct yaml_env){.text = text};
    if (str_find_char(text, '$') == text.len) {
        return ST_OK;
    }

    struct reader r = {.arena = arena, .diags = diags};
    size_t len = 0;
    enum status st = expand(&r, text, NULL, &len);
    char *out = st == ST_OK ? arena_alloc(arena, len + 1) : NULL;
    if (st == ST_OK) {
        st = out == NULL ? ST_NO_MEMORY : expand(&r, text, out, &len);
    }
    if (st == ST_OK) {
        *ret = (struct yaml_env){.text = {out, len}, .is_used = r.saw_variable};
    }
    ret->why = r.why;
    return st == ST_INVALID && r.why.ptr == NULL ? ST_NO_MEMORY : st;
}
