/* Demonstrations: prompts with good answers, of which those nearest to a request's prompt are put before
 * it. Near is by the vectors of the router's weights (classifier.h). A file has an object
 * {"prompt": "...", "answer": "..."} on each line; empty lines do not count.
 *
 * Immutable once read; lives in the arena of the configuration. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/keys.h"
#include "router/classifier.h"

enum {
    DEMOS_MAX = 2000,           /* of a file; more are refused, as is */
    DEMOS_BYTES_MAX = 4 << 20,  /* a larger file, and */
    DEMOS_TEXT_MAX = 64 * 1024, /* a longer text */
    DEMOS_PICKED_MAX = 16,
};

struct demos;

struct demos_picked {
    size_t count;
    struct str messages[DEMOS_PICKED_MAX]; /* two of a chat, each with a comma behind, in JSON */
    int lines[DEMOS_PICKED_MAX];           /* where they stand in the file */
    int64_t tokens;                        /* about, of all texts */
};

/* Reads a file for these weights. Mistakes go to reader->diags with their line, and *ret_demos stays
 * NULL; so does a file without demonstrations. ST_NO_MEMORY. */
MUST_CHECK enum status demos_read(struct key_reader *reader, struct str path,
                                  const struct classifier *classifier,
                                  const struct demos **ret_demos);

/* The k nearest to a vector (at most DEMOS_PICKED_MAX) that together keep the budget, the nearest last,
 * where it stands next to the prompt. One that is too long is passed over. Pure. */
void demos_pick(const struct demos *demos, const float *vector, size_t k, int64_t budget_tokens,
                struct demos_picked *ret_picked);
