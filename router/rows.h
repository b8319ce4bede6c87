/* The sum of weight rows: sum[label] = over slots: row(slot)[label]. Integers, so that every way to
 * compute it gives the same bits. rows_sum takes the fastest way this processor has. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "router/weights.h"

/* ret_sum: at least label_count rounded up to 16 numbers; those beyond label_count are undefined.
 * At most 2^24 slots. */
void rows_sum(const struct weights *w, const uint32_t *slots, size_t count, int32_t *ret_sum);

/* The reference. */
void rows_sum_plain(const struct weights *w, const uint32_t *slots, size_t count, int32_t *ret_sum);
