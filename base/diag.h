/* Diagnostics: what is wrong with a file, where, and what was meant. Collected, so that one run of
 * `expertd check` shows all mistakes, up to a ceiling. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/status.h"
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
    DIAG_MAX = 50,
    DIAG_HIDDEN_MIN = 8,
};

struct diag_hidden;

struct diags {
    struct arena *arena; /* where messages live; borrowed */
    struct diag_hidden *hidden;
    struct diag items[DIAG_MAX];
    size_t count;
    size_t errors; /* all errors, also those beyond the ceiling */
};

void diags_init(struct diags *d, struct arena *arena);
void diags_add(struct diags *d, enum diag_severity severity, struct str file, struct pos pos,
               const char *format, ...) __attribute__((format(printf, 5, 6)));
/* From now on messages show ${name} where they would show `value`, whole or cut to its beginning and
 * "...": for what came from the environment, which may be a key. Values below DIAG_HIDDEN_MIN bytes stay:
 * they are ports and switches, and stand in other words. Both texts outlive the diagnostics.
 * ST_NO_MEMORY. */
MUST_CHECK enum status diags_hide(struct diags *d, struct str name, struct str value);

bool diags_has_errors(const struct diags *d);

/* "file:line:column: message", a line each; warnings say "warning: " before the message. */
void diags_print(const struct diags *d, FILE *out);
