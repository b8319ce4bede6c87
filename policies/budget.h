/* Budgets as arithmetic: which window of time counts, what a limit says of an amount. Pure: time and
 * figures are passed in; who keeps them is gateway/budgets.h. Money is integer nano-USD. */
#pragma once

#include <stdint.h>

#include "base/str.h"

enum budget_per {
    BUDGET_REQUEST, /* each request by itself */
    BUDGET_HOUR,    /* windows of the calendar, in UTC */
    BUDGET_DAY,
    BUDGET_MONTH,
    BUDGET_TOTAL, /* for ever */
};

struct budget_window { /* seconds since 1970 */
    int64_t start_s;
    int64_t end_s; /* INT64_MAX: never */
};

enum budget_verdict {
    BUDGET_FITS,
    BUDGET_WARNS, /* it fits, and the soft mark is reached */
    BUDGET_EXCEEDED,
};

struct budget_limit {
    int64_t nano_usd;
    double soft; /* share of it from which on it warns; 1: never */
};

/* The window that now_s (not negative) lies in. BUDGET_REQUEST and BUDGET_TOTAL: all time. */
struct budget_window budget_window(enum budget_per per, int64_t now_s);

/* Whether `want` more fits where `used` (spent and reserved) is gone already; neither is negative. */
enum budget_verdict budget_judge(const struct budget_limit *limit, int64_t used, int64_t want);

/* What is left, never negative. */
int64_t budget_left(const struct budget_limit *limit, int64_t used);

/* How far spending is ahead of its plan, 0 to 1. The plan is the elapsed share of the window, at least
 * `start` (below 1); from there the pressure rises evenly to 1, where all is spent. */
double budget_pressure(const struct budget_limit *limit, enum budget_per per, int64_t used,
                       double start, int64_t now_s);

extern const char *const budget_pers[]; /* in the order of the enum, NULL-terminated */
const char *budget_per_text(enum budget_per per);
