/* Answers with values in the place of placeholders (redact_vault.h): whole documents, and events of a
 * stream, where a placeholder may come in several pieces. Of a stream's text no more is held back than
 * what may be the start of a placeholder; when a choice is finished, or the stream is, what is held
 * goes out in an event of its own. Every string in which nothing was replaced keeps its bytes.
 *
 * Does no I/O. Embedded by value; borrows the vault. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "policies/redact_vault.h"

enum {
    RESTORE_CHANNELS_MAX = 16, /* texts that grow at the same time: choices, tool calls */
};

struct restore_channel { /* private */
    uint64_t key;        /* of choice, member and tool call */
    int64_t choice;
    bool is_used;
    struct buf held;   /* decoded text that was not passed on */
    struct buf before; /* the event that it was held back from, up to the text and from it on, */
    struct buf after;  /* all other texts in it empty */
};

struct restore {                      /* private */
    const struct redact_vault *vault; /* NULL: nothing is restored */
    struct restore_channel channels[RESTORE_CHANNELS_MAX];
};

void restore_init(struct restore *r, const struct redact_vault *vault);
void restore_fini(struct restore *r); /* zeroed ones too */

/* A chat completion. *ret_is_changed: it was written to `out`, restored; else it is to be passed on as
 * it is. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status restore_document(const struct redact_vault *vault, struct str body,
                                        struct buf *out, bool *ret_is_changed);

/* The data of the next event. What `before` gets, whole events, goes out before it. */
MUST_CHECK enum status restore_event(struct restore *r, struct str data, struct buf *before,
                                     struct buf *out, bool *ret_is_changed);

/* At the end, or where events can no longer be read: appends events with all that is held back. */
MUST_CHECK enum status restore_flush(struct restore *r, struct buf *before);
