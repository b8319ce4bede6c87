/* EX_FINISH: waits until the server has handed over the last byte, or has given up on the client. */
#include "gateway/exchange.h"

enum step_result step_finish(struct exchange *x)
{
    if (x->http != NULL) {
        return STEP_WAIT; /* on_close wakes; the server's idle deadline at the latest */
    }
    exchange_go(x, EX_ACCOUNT);
    return STEP_MORE;
}
