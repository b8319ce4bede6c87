/* See retry_budget.h. */
#include "policies/retry_budget.h"

enum {
    MILLI = 1000
};

static int64_t read_relaxed(const atomic_int_fast64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

/* Adds up to `max`. */
static void add(struct retry_budget *b, int64_t milli, int64_t max)
{
    int_fast64_t had = read_relaxed(&b->milli);
    while (had < max) {
        int64_t sum = had + milli < max ? had + milli : max;
        if (atomic_compare_exchange_weak_explicit(&b->milli, &had, sum, memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return;
        }
    }
}

void retry_budget_init(struct retry_budget *b, int64_t now_ms)
{
    atomic_init(&b->milli, RETRY_BUDGET_TIMED * MILLI);
    atomic_init(&b->at_ms, now_ms);
}

void retry_budget_earn(struct retry_budget *b, double share)
{
    int64_t milli = (int64_t)(share * MILLI);
    add(b, milli, RETRY_BUDGET_TIMED * MILLI + RETRY_BUDGET_REQUESTS * milli);
}

bool retry_budget_has(struct retry_budget *b, int64_t now_ms)
{
    int_fast64_t at_ms = read_relaxed(&b->at_ms);
    int64_t passed_ms = now_ms - at_ms;
    int64_t milli = passed_ms > RETRY_BUDGET_MS
                        ? RETRY_BUDGET_TIMED * MILLI
                        : passed_ms * RETRY_BUDGET_TIMED * MILLI / RETRY_BUDGET_MS;
    if (milli >= MILLI &&
        atomic_compare_exchange_strong_explicit(&b->at_ms, &at_ms, now_ms, memory_order_relaxed,
                                                memory_order_relaxed)) {
        add(b, milli, RETRY_BUDGET_TIMED * MILLI);
    }
    return read_relaxed(&b->milli) >= MILLI;
}

void retry_budget_take(struct retry_budget *b)
{
    (void)atomic_fetch_sub_explicit(&b->milli, MILLI, memory_order_relaxed);
}
