/* A request's body with placeholders: the texts of its messages, or those to embed, are redacted, every
 * other byte stays as it is. */
#pragma once

#include "base/arena.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/privacy.h"
#include "policies/redact_vault.h"

/* body: valid JSON, as chat_request_parse or embed_request_parse takes it. *ret_body is the body itself where nothing was
 * found, else it lies in the arena. Texts are messages[].content (strings, and the text of parts) and,
 * if asked for, the arguments of tool calls; of embeddings the strings of input: what is there as token
 * numbers cannot be told. Escapes are decoded to be looked at, and a text in which
 * something was found is written anew. ST_NO_MEMORY; ST_TOO_BIG, ST_INVALID: it cannot be told what
 * there is, and the body must not go out. */
MUST_CHECK enum status redact_body(const struct privacy_set *set, struct redact_vault *vault,
                                   struct str body, struct arena *arena, struct str *ret_body);
