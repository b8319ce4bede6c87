/* The access log: one JSON line per exchange, without prompt text, written by a thread of its own so
 * that no worker ever waits for a disk or a pipe. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/str.h"

struct access_log;

/* path: a file (appended to, made with this mode), "-" for standard output, "off". ST_IO,
 * ST_NO_MEMORY. */
MUST_CHECK enum status access_log_open(struct str path, mode_t mode, struct access_log **ret_log);

/* Writes what is queued, then ends. NULL allowed. */
void access_log_close(struct access_log *log);

/* Hands over whole lines and empties the buffer. Any thread, never waits. Lines that do not fit under
 * the ceiling of the queue, or for which there is no memory, are dropped and counted. */
void access_log_post(struct access_log *log, struct buf *lines);

uint64_t access_log_dropped(const struct access_log *log); /* batches */
