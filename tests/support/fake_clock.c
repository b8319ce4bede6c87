/* See fake_clock.h. */
#include "tests/support/fake_clock.h"

static int64_t read_fake(const struct clock *c)
{
    return ((const struct fake_clock *)c)->us;
}

void fake_clock_init(struct fake_clock *fake)
{
    fake->clock.now_us = read_fake;
    fake->us = 1000000;
}

void fake_clock_advance_ms(struct fake_clock *fake, int64_t ms)
{
    fake->us += ms * 1000;
}
