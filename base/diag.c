/* See diag.h. Collects and prints; decides nothing. */
#include "base/diag.h"

#include <stdarg.h>
#include <stdint.h>

#include "base/buf.h"

struct diag_hidden {
    struct str name;
    struct str value;
    struct diag_hidden *next;
};

void diags_init(struct diags *d, struct arena *arena)
{
    d->arena = arena;
    d->hidden = NULL;
    d->count = 0;
    d->errors = 0;
}

enum status diags_hide(struct diags *d, struct str name, struct str value)
{
    for (const struct diag_hidden *h = d->hidden; h != NULL; h = h->next) {
        if (str_eq(h->name, name)) {
            return ST_OK;
        }
    }
    struct diag_hidden *h = value.len < DIAG_HIDDEN_MIN ? NULL : arena_alloc(d->arena, sizeof *h);
    if (h != NULL) {
        *h = (struct diag_hidden){name, value, d->hidden};
        d->hidden = h;
    }
    return h != NULL || value.len < DIAG_HIDDEN_MIN ? ST_OK : ST_NO_MEMORY;
}

/* How much of `text` from its start on is this value, or as much of it as was left by a cut; 0: none. */
static size_t hidden_length(struct str text, struct str value)
{
    size_t n = 0;
    while (n < text.len && n < value.len && text.ptr[n] == value.ptr[n]) {
        n++;
    }
    bool is_cut = n >= DIAG_HIDDEN_MIN && str_starts_with(str_slice(text, n, SIZE_MAX), STR("..."));
    return n == value.len || is_cut ? n : 0;
}

/* The longest that starts here: one value may begin as another does. */
static const struct diag_hidden *hidden_at(const struct diags *d, struct str text, size_t *ret_len)
{
    const struct diag_hidden *best = NULL;
    *ret_len = 0;
    for (const struct diag_hidden *h = d->hidden; h != NULL; h = h->next) {
        size_t n = hidden_length(text, h->value);
        if (n > *ret_len) {
            *ret_len = n;
            best = h;
        }
    }
    return best;
}

static enum status hide_into(const struct diags *d, struct str message, struct buf *out)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < message.len;) {
        size_t n = 1;
        const struct diag_hidden *h = hidden_at(d, str_slice(message, i, SIZE_MAX), &n);
        st = h != NULL ? buf_printf(out, "${%.*s}", STR_ARG(h->name))
                       : buf_append_char(out, message.ptr[i]);
        i += h != NULL ? n : 1;
    }
    return st;
}

/* The message without what must not be shown; empty without memory. */
static struct str hide(const struct diags *d, struct str message)
{
    if (d->hidden == NULL || message.ptr == NULL) {
        return message;
    }
    struct buf out;
    struct str shown = {NULL, 0};
    buf_init(&out, SIZE_MAX);
    if (hide_into(d, message, &out) == ST_OK) {
        shown = arena_copy(d->arena, buf_str(&out));
    }
    buf_fini(&out);
    return shown;
}

void diags_add(struct diags *d, enum diag_severity severity, struct str file, struct pos pos,
               const char *format, ...)
{
    d->errors += severity == DIAG_ERROR;
    if (d->count == DIAG_MAX) {
        return;
    }
    va_list args;
    va_start(args, format);
    struct str message = hide(d, arena_vprintf(d->arena, format, args));
    va_end(args);
    if (message.ptr == NULL) { /* that something is wrong here must not get lost */
        message = STR("no memory for this message");
    }
    d->items[d->count++] = (struct diag){severity, file, pos, message};
}

bool diags_has_errors(const struct diags *d)
{
    return d->errors > 0;
}

static void print_one(const struct diag *item, FILE *out)
{
    if (!str_is_empty(item->file)) {
        (void)fprintf(out, "%.*s:", STR_ARG(item->file));
        if (item->pos.line > 0) {
            (void)fprintf(out, "%d:%d:", item->pos.line, item->pos.column);
        }
        (void)fputc(' ', out);
    }
    const char *mark = item->severity == DIAG_WARNING ? "warning: " : "";
    (void)fprintf(out, "%s%.*s\n", mark, STR_ARG(item->message));
}

void diags_print(const struct diags *d, FILE *out)
{
    size_t shown = 0;
    for (size_t i = 0; i < d->count; i++) {
        print_one(&d->items[i], out);
        shown += d->items[i].severity == DIAG_ERROR;
    }
    if (d->errors > shown) {
        (void)fprintf(out, "%zu more errors are not shown\n", d->errors - shown);
    }
}
