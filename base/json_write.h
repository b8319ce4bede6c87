/* Writing JSON into a buffer, by hand: text with escapes, numbers, names. For replies, logs and
 * small documents on the request path. The caller writes braces and commas. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/* Appends "text" in quotes. Bytes that are no valid UTF-8 become U+FFFD; control characters and
 * quotes are escaped; everything else stays as it is. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status json_write_text(struct buf *b, struct str text);

/* The same without the quotes: for pieces of one long string, cut between code points. */
MUST_CHECK enum status json_write_escaped(struct buf *b, struct str text);

/* Shortest text that reads back as the same double (at a few powers of two a digit longer); NaN and
 * infinities become null. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status json_write_real(struct buf *b, double value);
