/* See call.h. The small part that all kinds of calls share. */
#include "backends/call.h"

#include <stddef.h>

struct str call_path(bool is_embedding)
{
    return is_embedding ? STR("/embeddings") : STR("/chat/completions");
}

bool call_is_full(const struct call *call, size_t len)
{
    size_t most = call->is_held ? (size_t)CALL_IN_HELD_BYTES : (size_t)CALL_IN_PAUSE_BYTES;
    return len > most;
}

void call_consume(struct call *call, size_t n)
{
    buf_consume(&call->in, n);
    call->kind->consumed(call);
}

void call_cancel(struct call *call)
{
    if (call->state == CALL_DONE) {
        return;
    }
    call->kind->cancel(call);
    call->state = CALL_DONE;
    call->outcome = CALL_CANCELLED;
}

void call_destroy(struct call *call)
{
    if (call == NULL) {
        return;
    }
    call_cancel(call);
    call->kind->destroy(call);
}
