/* EX_FINISH: waits until the server has handed over the last byte, or has given up on the client. */
#include "gateway/exchange.h"
#include "gateway/lookup.h"

enum step_result step_finish(struct exchange *x)
{
    lookup_settle(x); /* others do not wait for the last byte */
    if (x->http != NULL) {
        return STEP_WAIT; /* on_close wakes; the server's idle deadline at the latest */
    }
    exchange_go(x, EX_ACCOUNT);
    return STEP_MORE;
}
