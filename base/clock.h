/* Time. Monotonic milliseconds for deadlines, microseconds for measurements, wall time only for
 * people (logs, `created`). Code that decides takes the time as an argument or through a struct
 * clock, so that tests own it. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct clock { /* embedded as the first member by fakes */
    int64_t (*now_us)(const struct clock *c);
};

const struct clock *clock_system(void); /* CLOCK_MONOTONIC */

static inline int64_t clock_now_us(const struct clock *c)
{
    return c->now_us(c);
}

static inline int64_t clock_now_ms(const struct clock *c)
{
    return c->now_us(c) / 1000;
}

/* CLOCK_MONOTONIC in nanoseconds, and as pthread_cond_timedwait wants a time from now. */
uint64_t clock_now_ns(void);
struct timespec clock_in_ms(int64_t ms);

/* CPU time of the calling thread, microseconds. */
int64_t clock_thread_cpu_us(void);

int64_t clock_wall_s(void);  /* seconds since 1970 */
int64_t clock_wall_ms(void); /* milliseconds since 1970 */

enum {
    CLOCK_TEXT_SIZE = 32
};

/* "2026-11-22T02:31:04.123Z" (RFC 3339, UTC); empty for times before 1970 and after the year 9999. */
void clock_text(int64_t wall_ms, char out[CLOCK_TEXT_SIZE]);

/* The same of the wall clock now. */
void clock_wall_text(char out[CLOCK_TEXT_SIZE]);
