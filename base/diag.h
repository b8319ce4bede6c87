/* Diagnostics: what is wrong with a file, where, and what was meant. Collected, so that one run of
 * `expertd check` shows all mistakes, up to a ceiling. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/str.h"

struct pos { /* 1-based; 0: not known */
    int line;
    int column;
};

enum diag_severity {
    DIAG_ERROR,
    DIAG_WARNING,
};

struct diag {
    enum diag_severity severity;
    struct str file;
    struct pos pos;
    struct str message; /* lower case, no full stop, names the thing and the value in quotes */
};

enum {
    DIAG_MAX = 50
};

struct diags {
    struct arena *arena; /* where messages live; borrowed */
    struct diag items[DIAG_MAX];
    size_t count;
    size_t errors; /* all errors, also those beyond the ceiling */
};

void diags_init(struct diags *d, struct arena *arena);
void diags_add(struct diags *d, enum diag_severity severity, struct str file, struct pos pos,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
bool diags_has_errors(const struct diags *d);

/* "file:line:column: message", a line each; warnings say "warning: " before the message. */
void diags_print(const struct diags *d, FILE *out);
