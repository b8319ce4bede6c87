/* When the gateway itself has too much to do: requests are refused on their head, before anything is
 * read or thought, those of low priority first. Pure: facts in, verdict out. */
#pragma once

#include <stdint.h>

#include "gateway/expert_queue.h"

struct overload_limits { /* a part of `server.limits` */
    int64_t exchanges;   /* requests in work in the process; 0: any number */
    int64_t lag_ms;      /* how late a worker may be; 0: as late as may be */
};

struct overload_facts {
    int64_t exchanges;  /* in work, this one included */
    int64_t lag_us;     /* what came to this worker has waited so long */
    int64_t service_us; /* average time of a request */
    enum expert_priority priority;
};

/* 0: go on; else refuse, and the client may come again in so many seconds. A limit is that of normal
 * priority: low has 3/4 of it, high 5/4. */
int64_t overload_retry_s(const struct overload_limits *limits, const struct overload_facts *facts);
