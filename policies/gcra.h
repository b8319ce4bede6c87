/* Rates by the generic cell rate algorithm (ITU-T I.371, annex A; the virtual scheduling form). The
 * whole state of a limit is one number, the theoretical arrival time (TAT): when the bucket would be
 * full again. A cost of n pushes it n intervals on; it may run ahead of now by at most `burst`
 * intervals. Pure: whoever owns the number makes the change atomic (gateway/quota.c).
 *
 *     base = max(tat, now);  next = base + cost * interval;  allowed: next - now <= burst * interval */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct gcra {
    int64_t interval_ns; /* between two units at the full rate, > 0 */
    int64_t burst;       /* units that may come at once, > 0 */
};

struct gcra_verdict {
    bool is_allowed;
    bool is_never;     /* the cost is over the burst: waiting does not help */
    int64_t tat_ns;    /* the new state; the old one when it is not allowed */
    int64_t remaining; /* units that may still come at once */
    int64_t reset_ns;  /* until all of the burst may come at once */
    int64_t retry_ns;  /* until this cost is allowed; 0 when it is, or never will be */
};

/* A minute's worth may come at once, then the same rate goes on. per_minute: 1 to 10^9. */
struct gcra gcra_per_minute(int64_t per_minute);

/* Whether `cost` (>= 0) may pass now, and what that leads to. */
struct gcra_verdict gcra_take(const struct gcra *limit, int64_t tat_ns, int64_t now_ns,
                              int64_t cost);

/* The state after `more` units turned out to have been used than were taken; negative: fewer. Never
 * refused: what is used is used, and is paid back before anything else passes. Giving back lets no
 * more pass than a full burst. */
int64_t gcra_correct(const struct gcra *limit, int64_t tat_ns, int64_t now_ns, int64_t more);
