/* The calculator behind the calc kernel: finds the arithmetic in a prompt and answers it. Pure. */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/* Appends the answer to a prompt: a line per expression found, or a sentence that says why there is
 * none. ST_NO_MEMORY, ST_TOO_BIG (the answer does not fit the buffer). */
MUST_CHECK enum status calc_answer(struct str prompt, struct buf *out);
