/* A clock that stands still until a test moves it. */
#pragma once

#include "base/clock.h"

struct fake_clock {
    struct clock clock;
    int64_t us;
};

void fake_clock_init(struct fake_clock *fake);
void fake_clock_advance_ms(struct fake_clock *fake, int64_t ms);
