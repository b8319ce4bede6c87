/* A text as a vector, by libllama: where the model was made to embed, as its file says (pooling); else the mean of
 * what the model has made of the tokens. Of length 1. */
#pragma once

#include "backends/kernel_abi.h"
#include "kernels/llama/engine.h"

/* For struct ek_kernel: one text. What the engine held of a conversation is forgotten. EK_UNSUPPORTED,
 * EK_TOO_LONG, EK_BAD_REQUEST, and as engine_feed. */
enum ek_status vector_make(struct engine *e, struct ek_text text, struct ek_vectors *ret_vectors,
                           struct ek_error *ret_error);
