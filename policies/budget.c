/* See budget.h; and the policy that drops experts which a budget cannot pay. */
#include "policies/budget.h"

#include "base/clock.h"
#include "policies/policy.h"

enum {
    HOUR_S = 3600,
    DAY_S = 24 * HOUR_S,
    ERA_DAYS = 146097,    /* 400 years */
    EPOCH_SHIFT = 719468, /* days from 0000-03-01 to 1970-01-01 */
    YEARS_PER_ERA = 400,
    MONTHS_FROM_MARCH = 10, /* months of a year that begins in March before January */
};

static const double NANO_USD_PER_USD = 1e9;

/* Day of the first of a month, since 1970; month counts from 1 and may be 13. Years begin in March, so
 * that the leap day is their last: http://howardhinnant.github.io/date_algorithms.html derives it. */
static int64_t first_of(int64_t year, int64_t month)
{
    year += month > 12;
    month -= month > 12 ? 12 : 0;
    int64_t shifted = month > 2 ? year : year - 1;
    int64_t era = shifted / YEARS_PER_ERA;
    int64_t of_era = shifted - era * YEARS_PER_ERA;
    int64_t from_march = month > 2 ? month - 3 : month + 9;
    int64_t of_year = (153 * from_march + 2) / 5;
    return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_SHIFT;
}

static struct budget_window month_of(int64_t now_s)
{
    int64_t day = now_s / DAY_S + EPOCH_SHIFT;
    int64_t era = day / ERA_DAYS;
    int64_t of_era = day - era * ERA_DAYS;
    int64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / (ERA_DAYS - 1)) / 365;
    int64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t from_march = (5 * of_year + 2) / 153;
    int64_t month = from_march < MONTHS_FROM_MARCH ? from_march + 3 : from_march - 9;
    int64_t year = era * YEARS_PER_ERA + year_of_era + (month <= 2);
    return (struct budget_window){first_of(year, month) * DAY_S, first_of(year, month + 1) * DAY_S};
}

struct budget_window budget_window(enum budget_per per, int64_t now_s)
{
    switch (per) {
    case BUDGET_HOUR:
        return (struct budget_window){now_s / HOUR_S * HOUR_S, (now_s / HOUR_S + 1) * HOUR_S};
    case BUDGET_DAY:
        return (struct budget_window){now_s / DAY_S * DAY_S, (now_s / DAY_S + 1) * DAY_S};
    case BUDGET_MONTH:
        return month_of(now_s);
    case BUDGET_REQUEST:
    case BUDGET_TOTAL:
        break;
    }
    return (struct budget_window){0, INT64_MAX};
}

int64_t budget_left(const struct budget_limit *limit, int64_t used)
{
    return used < limit->nano_usd ? limit->nano_usd - used : 0;
}

enum budget_verdict budget_judge(const struct budget_limit *limit, int64_t used, int64_t want)
{
    if (want > budget_left(limit, used)) {
        return BUDGET_EXCEEDED;
    }
    bool is_soft =
        limit->soft < 1.0 && (double)(used + want) >= limit->soft * (double)limit->nano_usd;
    return is_soft ? BUDGET_WARNS : BUDGET_FITS;
}

double budget_pressure(const struct budget_limit *limit, enum budget_per per, int64_t used,
                       double start, int64_t now_s)
{
    struct budget_window window = budget_window(per, now_s);
    double planned = start;
    if (window.end_s != INT64_MAX) {
        double elapsed = (double)(now_s - window.start_s) / (double)(window.end_s - window.start_s);
        planned = elapsed > planned ? elapsed : planned;
    }
    if (used >= limit->nano_usd) {
        return 1.0;
    }
    double spent = (double)used / (double)limit->nano_usd;
    return spent <= planned ? 0.0 : (spent - planned) / (1.0 - planned);
}

const char *const budget_pers[] = {
    [BUDGET_REQUEST] = "request", [BUDGET_HOUR] = "hour",   [BUDGET_DAY] = "day",
    [BUDGET_MONTH] = "month",     [BUDGET_TOTAL] = "total", NULL,
};

const char *budget_per_text(enum budget_per per)
{
    return budget_pers[per];
}

/* ---------------------------------------------------------------- the policy */

static void judge(struct policy_candidate *c)
{
    const struct policy_purse *purse = &c->purse;
    if (purse->budget.len == 0) {
        return;
    }
    struct str name = str_slice(purse->budget, 0, 40);
    if (!c->has_price) {
        policy_drop(c, &policy_budget, "has no price, and budget \"%.*s\" counts in USD",
                    STR_ARG(name));
    } else if (c->cost_nano_usd > purse->left_nano_usd) {
        char until[CLOCK_TEXT_SIZE] = "";
        if (purse->resets_s != INT64_MAX) {
            clock_text(purse->resets_s * 1000, until);
        }
        policy_drop(c, &policy_budget, "up to %.9f USD; budget \"%.*s\" has %.9f%s%.19s",
                    (double)c->cost_nano_usd / NANO_USD_PER_USD, STR_ARG(name),
                    (double)purse->left_nano_usd / NANO_USD_PER_USD,
                    until[0] == '\0' ? "" : " until ", until);
    }
}

static void apply(const struct policy_request *request, struct policy_candidate *candidates,
                  size_t count)
{
    bool is_tight = false;
    (void)request;
    for (size_t i = 0; i < count; i++) {
        judge(&candidates[i]);
        is_tight = is_tight || candidates[i].purse.is_tight;
    }
    for (size_t i = 0; is_tight && i < count; i++) { /* a nano-USD outweighs any score */
        candidates[i].rank = candidates[i].score / 2 - (double)candidates[i].cost_nano_usd;
    }
}

const struct policy policy_budget = {
    "budget",
    "drops experts that a budget cannot pay or that have no price; past the soft mark of a budget "
    "that degrades, the cheapest comes first",
    apply};
