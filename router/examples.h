/* Example lines of a category: from a file, one a line, or given in the configuration. Blank lines
 * and lines that begin with # do not count; a line that stands there twice counts once. */
#pragma once

#include "base/keys.h"
#include "router/custom.h"

enum {
    EXAMPLES_MIN = 5,            /* fewer are refused */
    EXAMPLES_FEW = 15,           /* fewer are warned of */
    EXAMPLES_MAX = 2000,         /* more are refused, as is */
    EXAMPLES_LINE_MAX = 8192,    /* a longer line, and */
    EXAMPLES_BYTES_MAX = 1 << 20 /* a longer file */
};

struct examples { /* in the arena of the reader */
    struct custom_line *lines;
    size_t count;
};

/* given: one text is the path of a file; several are the examples themselves. `file` and `pos` say
 * where the configuration gives them. Mistakes go to reader->diags with the line they are in; then
 * ret_examples is empty. ST_NO_MEMORY. */
MUST_CHECK enum status examples_read(struct key_reader *reader, struct str file, struct pos pos,
                                     const struct key_texts *given, struct examples *ret_examples);
