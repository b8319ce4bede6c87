/* A request for embeddings, answered by a kernel: the body becomes the document, text by text, on one
 * thread. Knows nothing of loops and of clients; kernel_call.c brings it to them. */
#pragma once

#include "backends/kernel.h"
#include "base/buf.h"
#include "base/str.h"

struct kernel_embed {
    struct kernel *kernel;
    struct str body;                     /* of the request */
    struct str model;                    /* as the reply names it */
    size_t thread;                       /* of the pool */
    const ek_flag *cancel;               /* looked at between texts too, as is the deadline */
    uint64_t deadline_ns;                /* 0: none */
    int cancel_fd;                       /* -1: none */
    int (*pause)(void *ctx, int64_t ms); /* for the kernel: as in ek_sink */
    void *ctx;
};

/* Appends the document. Else *ret_error says why there is none: of a body that is no such request with
 * EK_BAD_REQUEST and the parameter as `option`. EK_CANCELLED. */
MUST_CHECK enum ek_status kernel_embed_answer(const struct kernel_embed *e, struct buf *out,
                                              struct ek_error *ret_error);
