/* See overload.h. */
#include "gateway/overload.h"

enum {
    RETRY_MAX_S = 60,
    US_PER_S = 1000000,
};

/* What a limit is for a priority. */
static int64_t share(int64_t limit, enum expert_priority priority)
{
    static const int64_t quarters[] = {
        [EXPERT_LOW] = 3,
        [EXPERT_NORMAL] = 4,
        [EXPERT_HIGH] = 5,
    };
    return limit * quarters[priority] / 4;
}

static int64_t to_seconds(int64_t us)
{
    int64_t seconds = us / US_PER_S + 1; /* rounded up, not 0 */
    return seconds < RETRY_MAX_S ? seconds : RETRY_MAX_S;
}

int64_t overload_retry_s(const struct overload_limits *limits, const struct overload_facts *facts)
{
    int64_t room = share(limits->exchanges, facts->priority);
    if (limits->exchanges > 0 && facts->exchanges > room) {
        /* Little's law: those that are too many end at the rate of exchanges / service_us. */
        int64_t over = facts->exchanges - room;
        return to_seconds(
            (int64_t)((double)over * (double)facts->service_us / (double)facts->exchanges));
    }
    bool is_late =
        limits->lag_ms > 0 && facts->lag_us > share(limits->lag_ms, facts->priority) * 1000;
    return is_late ? to_seconds(facts->lag_us) : 0;
}
