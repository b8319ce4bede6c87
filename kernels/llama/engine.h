/* A model loaded by libllama and one context to compute in: whole, or refused with a reason. Knows what
 * tokens the context holds, so that a prompt that begins like the one before is read from where it
 * differs. One thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/kernel_abi.h"
#include "kernels/llama/settings.h"

struct llama_model;
struct llama_vocab;
struct llama_context;

enum {
    ENGINE_BATCH_TOKENS = 512, /* that are computed together */
};

struct engine { /* read-only outside of engine.c */
    struct llama_model *model;
    const struct llama_vocab *vocab;
    struct llama_context *llama;
    int32_t *held; /* tokens in the context */
    size_t held_count;
    size_t context;       /* the most tokens */
    size_t longest_token; /* bytes */
    const struct ek_host *host;
    const struct ek_request
        *request; /* under way, for the abort callback; NULL: none. Set by users */
};

/* "0.5.0": of the headers that this was built with. */
const char *engine_version(void);

/* EK_BAD_CONFIG (also: the library is of another version), EK_NO_MEMORY. Free with engine_close. */
enum ek_status engine_open(struct engine *e, const struct ek_host *host,
                           const struct settings *settings, struct ek_error *ret_error);
void engine_close(struct engine *e); /* zeroed or half open ones too */

/* Reads tokens that follow what is held. EK_CANCELLED, EK_LATE, EK_FAILED; then nothing is held. */
enum ek_status engine_feed(struct engine *e, const int32_t *ids, size_t count,
                           struct ek_error *ret_error);

/* Forgets all that is held. */
void engine_forget(struct engine *e);

/* Keeps what is held of the start of these tokens, at most all but the last, and forgets the rest.
 * Returns how many are kept. */
size_t engine_keep(struct engine *e, const int32_t *ids, size_t count);

/* EK_OK: it may go on. EK_CANCELLED, EK_LATE. */
enum ek_status engine_is_wanted(const struct engine *e);
