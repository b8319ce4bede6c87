/* The sum of weight rows: sum[i] = over rows: row[i]. Integers, so that every way to
 * compute it gives the same bits. rows_sum takes the fastest way this processor has. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A row has at least `width` readable numbers, and 15 more bytes behind it that may be read. ret_sum:
 * at least width rounded up to 16 numbers; those beyond width are undefined. At most 2^24 rows. */
void rows_sum(const int8_t *const *rows, size_t count, size_t width, int32_t *ret_sum);

/* The reference. */
void rows_sum_plain(const int8_t *const *rows, size_t count, size_t width, int32_t *ret_sum);
