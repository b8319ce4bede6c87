/* See log.h. Formats into a stack buffer and writes it with one call, so that lines of several
 * threads never mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    LINE_MAX_BYTES = 2048
};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

/* Written at start and by reloads, read by all threads; no order with other data is needed. */
static atomic_int threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
    atomic_store(&threshold, (int)level);
}

int log_is_on(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&threshold, memory_order_relaxed);
}

/* Copies text and writes control bytes as \xNN: a line of the log stays one line. */
static size_t copy_visible(char *out, size_t room, const char *text)
{
    size_t n = 0;
    for (const char *p = text; *p != '\0' && n + 5 < room; p++) {
        unsigned char c = (unsigned char)*p;
        if (c < 0x20 || c == 0x7f) {
            n += (size_t)snprintf(out + n, room - n, "\\x%02x", c);
        } else {
            out[n++] = *p;
        }
    }
    return n;
}

void log_write(enum log_level level, const char *area, const char *format, ...)
{
    if (!log_is_on(level)) {
        return;
    }
    char message[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);

    char when[CLOCK_TEXT_SIZE];
    clock_wall_text(when);
    char line[LINE_MAX_BYTES + 128];
    size_t n = (size_t)snprintf(line, 128, "%s %s %.40s ", when, level_names[level], area);
    n += copy_visible(line + n, sizeof line - n - 1, message);
    line[n++] = '\n';
    ssize_t written = write(STDERR_FILENO, line, n);
    (void)written; /* a log that cannot be written has nowhere to complain */
}
