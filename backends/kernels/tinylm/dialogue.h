/* Writes messages the way a model was trained to read them. Model files carry a program for that (a
 * Jinja template); it is not run: the common families are recognised by the marks that stand in it.
 * Control tokens come from the family's own text alone, never from a message. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernels/tinylm/vocab.h"
#include "base/buf.h"
#include "base/status.h"
#include "base/str.h"

struct dialogue_family;

/* By name: chatml, llama2, llama3, zephyr, alpaca, plain. NULL: there is none such. */
const struct dialogue_family *dialogue_find(struct str name);

/* By the template of a model file. NULL: it is of none of the families. */
const struct dialogue_family *dialogue_recognise(struct str chat_template);

/* "chatml, llama2, …" */
struct str dialogue_names(void);

/* What the template says before everything else where no message is from the system, or the empty
 * string; borrowed from the template. */
struct str dialogue_default_system(const struct dialogue_family *family, struct str chat_template);

struct dialogue { /* being written; private */
    const struct dialogue_family *family;
    const struct vocab *vocab;
    struct tokens *out;
    struct buf *run; /* text since the last control token */
    size_t messages;
    bool is_after_system;
};

/* Starts with what the vocabulary puts before a prompt. `run` is scratch, empty, with a ceiling.
 * All: ST_NO_MEMORY; ST_TOO_BIG: the ceiling; ST_INVALID: the vocabulary cannot write the text. */
MUST_CHECK enum status dialogue_begin(struct dialogue *d, const struct dialogue_family *family,
                                      const struct vocab *vocab, struct buf *run,
                                      struct tokens *out);
MUST_CHECK enum status dialogue_add(struct dialogue *d, struct str role, struct str text);
MUST_CHECK enum status dialogue_end(struct dialogue *d); /* up to where the answer starts */
