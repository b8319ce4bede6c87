/* Word vectors from the text that word2vec and its kin write: a line `COUNT DIMS`, then per line a
 * word and its numbers, separated by single blanks, most important words first. A word that
 * features.h would not take as one word is left out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

/* Makes a blob of vectors.h with room for all words. The caller frees ret_bytes->ptr with mem_free.
 * ST_INVALID with a diagnostic at its line; ST_NO_MEMORY. */
MUST_CHECK enum status vectors_text_read(struct str text, struct str file, struct diags *diags,
                                         struct str *ret_bytes, size_t *ret_kept);
