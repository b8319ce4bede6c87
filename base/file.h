/* A whole regular file as read-only bytes, mapped: for data files that are read once from end to
 * end. Not for files that others may shorten meanwhile, nor for the request path. */
#pragma once

#include <stddef.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

/* Maps a file; the caller ends with file_unmap. An empty file gives the empty string. ST_IO with a
 * diagnostic (pos 0). */
MUST_CHECK enum status file_map(const char *path, struct diags *diags, struct str *ret_bytes);

enum {
    FILE_WHY_BYTES = 256
};

/* Reads a small file with a secret into `memory`, which the caller wipes. ST_INVALID with a reason that
 * names the file and shows nothing of it: it cannot be read, is too long, or others have rights to it
 * (or the group more than to read). */
MUST_CHECK enum status file_read_secret(const char *path, char *memory, size_t size,
                                        struct str *ret_bytes, char ret_why[FILE_WHY_BYTES]);

void file_unmap(struct str bytes); /* what file_map gave, or the empty string */
