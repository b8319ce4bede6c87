/* See clock.h. */
#include "base/clock.h"

static int64_t read_us(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t); /* cannot fail for these clocks */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t monotonic_us(const struct clock *c)
{
    (void)c;
    return read_us(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void)
{
    static const struct clock system = {monotonic_us};
    return &system;
}

uint64_t clock_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec;
}

struct timespec clock_in_ms(int64_t ms)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

int64_t clock_thread_cpu_us(void)
{
    return read_us(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_wall_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
    return t.tv_sec;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

/* `width` decimal digits of `value`, and `after`; returns where the next go. */
static char *put(char *at, int value, int width, char after)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    at[width] = after;
    return at + width + 1;
}

void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm day;
    out[0] = '\0';
    if (wall_ms < 0 || gmtime_r(&seconds, &day) == NULL || day.tm_year > 9999 - 1900) {
        return;
    }
    char *at = put(out, day.tm_year + 1900, 4, '-');
    at = put(at, day.tm_mon + 1, 2, '-');
    at = put(at, day.tm_mday, 2, 'T');
    at = put(at, day.tm_hour, 2, ':');
    at = put(at, day.tm_min, 2, ':');
    at = put(at, day.tm_sec, 2, '.');
    at = put(at, (int)(wall_ms % 1000), 3, 'Z');
    *at = '\0';
}

void clock_wall_text(char out[CLOCK_TEXT_SIZE])
{
    clock_text(clock_wall_ms(), out);
}
