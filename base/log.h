/* The log: one line per event on stderr, "2026-…Z level area message key=value". Lines are whole
 * (one write each) and bounded. Never pass a key, a prompt or a header value from a client.
 * Library layers log at debug level only: they return, and the step that gives up logs once. */
#pragma once

enum log_level {
    LOG_DEBUG,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

void log_set_level(enum log_level level); /* process-wide; default LOG_INFO */
int log_is_on(enum log_level level);

/* area: the file stem that speaks. Lines over 2 kB are cut. Control bytes are written as \xNN. */
void log_write(enum log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
