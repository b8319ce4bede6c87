/* See diag.h. Collects and prints; decides nothing. */
#include "base/diag.h"

#include <stdarg.h>

void diags_init(struct diags *d, struct arena *arena)
{
    d->arena = arena;
    d->count = 0;
    d->errors = 0;
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
    struct str message = arena_vprintf(d->arena, format, args);
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
