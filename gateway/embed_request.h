/* A request for embeddings (OpenAI dialect), as the struct that the steps of a request work with. */
#pragma once

#include "gateway/chat_request.h"

/* Reads a body: model, the texts as prompts, what they take. ST_INVALID with ret_error; ST_NO_MEMORY. The
 * request borrows from body and arena. */
MUST_CHECK enum status embed_request_parse(struct str body, struct arena *arena,
                                           struct chat_request *ret_request,
                                           struct chat_error *ret_error);
