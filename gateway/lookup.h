/* What the cache means to an exchange: is its answer there, is somebody asking for it, what becomes of
 * the answer that it gets itself. Private to the gateway's step files.
 *
 * An exchange takes part where its category or expert keeps answers, unless the client says no-store,
 * private data was replaced, or its temperature is not 0 and only such answers are kept. */
#pragma once

#include <stdbool.h>

#include "base/status.h"
#include "base/str.h"

struct exchange;

enum lookup_state {
    LOOKUP_ASK,    /* the expert is to be asked */
    LOOKUP_WAIT,   /* another request asks it; the exchange is woken, by a timer at the latest */
    LOOKUP_ANSWER, /* the answer is here: lookup_answer */
};

/* Whether anything is to be looked up for x->leg.expert. Cheap: no is one test. */
bool lookup_is_wanted(const struct exchange *x);

/* Looks, or looks again. No memory is as LOOKUP_ASK. */
enum lookup_state lookup_run(struct exchange *x);

/* "hit", "shared", "miss", or NULL: nothing was looked up. */
const char *lookup_text(const struct exchange *x);

/* Whether the answer came from the cache. */
bool lookup_has_answer(const struct exchange *x);
struct str lookup_answer(const struct exchange *x); /* the document */

/* Takes bytes of the stream that goes to the client; no-op where nobody wants them. */
void lookup_capture(struct exchange *x, struct str bytes);

/* The answer is whole: a document, or the stream that was captured (empty). For all that wait. */
void lookup_publish(struct exchange *x, struct str document);

/* Whether a request whose client left goes on, because others wait for its answer. */
bool lookup_outlives_client(const struct exchange *x);

/* Gives up what is open: whoever waits asks for itself. */
void lookup_settle(struct exchange *x);
void lookup_forget(struct exchange *x); /* and lets go of the answer */
