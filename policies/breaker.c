/* See breaker.h. */
#include "policies/breaker.h"

static void change(struct breaker *b, enum breaker_state state)
{
    b->state = state;
    b->era++;
    b->is_cooling = false;
    b->probes = 0;
    b->passed = 0;
    b->failed = 0;
}

static void open_until(struct breaker *b, int64_t until_ms)
{
    change(b, BREAKER_OPEN);
    b->until_ms = until_ms;
    b->opened++;
}

static void close_again(struct breaker *b, int64_t now_ms)
{
    change(b, BREAKER_CLOSED);
    b->closed_ms = now_ms;
}

/* Opens for failures: twice as long as last time, if that is not forgotten. */
static void trip(struct breaker *b, const struct breaker_rule *rule, int64_t now_ms)
{
    bool has_recovered = b->state == BREAKER_CLOSED && now_ms - b->closed_ms >= b->span_ms;
    int64_t span = b->span_ms == 0 || has_recovered     ? rule->open_ms
                   : b->span_ms > rule->open_max_ms / 2 ? rule->open_max_ms
                                                        : b->span_ms * 2;
    b->span_ms = span < rule->open_max_ms ? span : rule->open_max_ms;
    open_until(b, now_ms + b->span_ms);
}

bool breaker_allows(const struct breaker *b, const struct breaker_rule *rule, int64_t now_ms)
{
    return b->state == BREAKER_HALF_OPEN ? b->probes + b->passed < rule->half_open
                                         : b->state == BREAKER_CLOSED || now_ms >= b->until_ms;
}

bool breaker_try(struct breaker *b, const struct breaker_rule *rule, int64_t now_ms,
                 uint64_t *ret_ticket)
{
    if (!breaker_allows(b, rule, now_ms)) {
        return false;
    }
    if (b->state == BREAKER_OPEN && b->is_cooling) {
        close_again(b, now_ms);
    } else if (b->state == BREAKER_OPEN) {
        change(b, BREAKER_HALF_OPEN);
    }
    b->probes += b->state == BREAKER_HALF_OPEN;
    *ret_ticket = b->era;
    return true;
}

/* One more failure: whether they are enough. The ring holds the last ones; the oldest that counts
 * stands rule->failures places back. */
static bool are_enough(struct breaker *b, const struct breaker_rule *rule, int64_t now_ms)
{
    b->failed_ms[b->failed % BREAKER_FAILURES_MAX] = now_ms;
    b->failed++;
    if (rule->failures == 0 || b->failed < rule->failures) {
        return false;
    }
    int64_t oldest_ms = b->failed_ms[(b->failed - rule->failures) % BREAKER_FAILURES_MAX];
    return rule->window_ms == 0 || now_ms - oldest_ms <= rule->window_ms;
}

void breaker_report(struct breaker *b, const struct breaker_rule *rule, enum breaker_event event,
                    uint64_t ticket, int64_t now_ms)
{
    if (ticket != b->era) {
        return;
    }
    if (b->state == BREAKER_HALF_OPEN) {
        b->probes--;
        b->passed += event == BREAKER_SUCCESS;
        if (event == BREAKER_FAILURE) {
            trip(b, rule, now_ms);
        } else if (b->passed >= rule->half_open) {
            close_again(b, now_ms);
        }
    } else if (event == BREAKER_SUCCESS && rule->window_ms == 0) {
        b->failed = 0;
    } else if (event == BREAKER_FAILURE && are_enough(b, rule, now_ms)) {
        trip(b, rule, now_ms);
    }
}

void breaker_cool(struct breaker *b, const struct breaker_rule *rule, uint64_t ticket,
                  int64_t cool_ms, int64_t now_ms)
{
    int64_t until_ms = now_ms + (cool_ms < rule->open_max_ms ? cool_ms : rule->open_max_ms);
    if (b->state == BREAKER_OPEN && b->until_ms >= until_ms) {
        return;
    }
    if (cool_ms <= 0 || (b->state != BREAKER_CLOSED && ticket != b->era)) {
        breaker_report(b, rule, BREAKER_NOTHING, ticket, now_ms);
        return;
    }
    open_until(b, until_ms);
    b->is_cooling = true;
}

int64_t breaker_wait_ms(const struct breaker *b, int64_t now_ms)
{
    return b->state == BREAKER_OPEN && b->until_ms > now_ms ? b->until_ms - now_ms : 0;
}

const char *breaker_state_text(enum breaker_state state)
{
    static const char *const texts[] = {
        [BREAKER_CLOSED] = "closed",
        [BREAKER_OPEN] = "open",
        [BREAKER_HALF_OPEN] = "half_open",
    };
    return texts[state];
}
