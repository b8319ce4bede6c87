/* Texts as other people would have typed them: changes that leave the meaning alone, to measure
 * whether the best label stays (`expertd eval --perturb`). Pure: the same text, kind and seed give
 * the same bytes. English in mind; bytes beyond ASCII are never touched. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

enum perturb_kind { /* the first three hit about one of 12 words of four letters or more, at least one */
    PERTURB_SWAP,   /* two neighbouring letters change places */
    PERTURB_DROP,   /* a letter is missing */
    PERTURB_DOUBLE, /* a letter stands twice */
    PERTURB_LOWER,
    PERTURB_UPPER,
    PERTURB_GREETING, /* "hi, quick question: " before it */
    PERTURB_PLEASE,   /* "Please help me with this. " before it */
    PERTURB_THANKS,   /* " thanks!" after it */
    PERTURB_BRIEFLY,  /* " answer briefly" after it */
    PERTURB_SPACES,   /* double blanks, line feeds at both ends */
    PERTURB_QUOTES,   /* in quotation marks */
};

enum {
    PERTURB_KINDS = PERTURB_QUOTES + 1,
};

/* "swap", "drop", ... */
const char *perturb_name(enum perturb_kind kind);

/* Appends the changed text. A text without a word of four letters comes out of the first three as it
 * was. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status perturb(enum perturb_kind kind, struct str text, uint64_t seed,
                               struct buf *out);
