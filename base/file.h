/* A whole regular file as read-only bytes, mapped: for data files that are read once from end to
 * end. Not for files that others may shorten meanwhile, nor for the request path. */
#pragma once

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

/* Maps a file; the caller ends with file_unmap. An empty file gives the empty string. ST_IO with a
 * diagnostic (pos 0). */
MUST_CHECK enum status file_map(const char *path, struct diags *diags, struct str *ret_bytes);

void file_unmap(struct str bytes); /* what file_map gave, or the empty string */
