/* See clock.h. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

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

void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm day;
    char text[24];
    if (wall_ms < 0 || gmtime_r(&seconds, &day) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &day) == 0) {
        out[0] = '\0';
        return;
    }
    (void)snprintf(out, CLOCK_TEXT_SIZE, "%s.%03dZ", text, (int)(wall_ms % 1000));
}

void clock_wall_text(char out[CLOCK_TEXT_SIZE])
{
    clock_text(clock_wall_ms(), out);
}
