/* Answers as the cache keeps them: one whole chat completion, whichever way it came, that can be given as
 * a document and as a stream. And the key of the request that it answers. Pure; no locks, no clock.
 *
 * Fit to be kept is an answer of which nothing is missing and that both ways can say: each choice has
 * finish_reason "stop" and a message of texts (content, refusal, reasoning). Answers with tool calls,
 * log probabilities or other members are not, and neither is one that ended at its length. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backends/sse.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/usage.h"

enum {
    CACHE_ANSWER_BYTES = 4 * 1024 * 1024, /* of one that is put together from a stream */
    CACHE_ANSWER_CHOICES = 4,
    CACHE_ANSWER_TEXTS = 4,
};

struct cache_scope { /* who asks, and whom */
    struct str owner;
    uint64_t expert; /* its serial: a reload makes new ones */
};

/* The key of a request: SHA-256 over the scope and the members of the body as it would be sent, in their
 * order, without stream and stream_options and the blanks between them. `body`: a chat request that was
 * read before. *ret_is_sampled: its temperature is not 0. */
void cache_answer_key(const struct cache_scope *scope, struct str body, struct digest *ret_key,
                      bool *ret_is_sampled);

/* Whether a document is an answer fit to be kept. */
bool cache_answer_is_fit(struct str document);

/* Appends a fit document as a stream: two events for each choice, the usage where it is wanted and known,
 * and [DONE]. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status cache_answer_write_stream(struct str document, bool wants_usage,
                                                 struct buf *out);

struct cache_choice {                     /* private to cache_capture */
    struct buf texts[CACHE_ANSWER_TEXTS]; /* insides of JSON strings */
    bool has_ended;
    bool is_used;
};

struct cache_capture { /* private */
    struct sse_parser sse;
    struct buf head; /* the members before the choices, of the first event */
    struct cache_choice choices[CACHE_ANSWER_CHOICES];
    bool has_head;
    bool saw_done;
    bool is_unfit;
};

/* Puts a document together from the bytes of a stream. Failures are sticky: such a stream is not fit. */
void cache_capture_init(struct cache_capture *c);
void cache_capture_fini(struct cache_capture *c);
void cache_capture_feed(struct cache_capture *c, struct str bytes);

/* Appends the document of a stream that has ended. ST_INVALID: it is not fit; ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status cache_capture_write(struct cache_capture *c, const struct usage *usage,
                                           struct buf *out);
