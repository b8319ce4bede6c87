/* See rows.h. SSE2 belongs to every x86-64 processor, so there is nothing to choose at run
 * time. */
#include "router/rows.h"

#ifdef __SSE2__
#    include <emmintrin.h>
#endif

enum {
    LANES = 16,
    BLOCK = 256, /* rows until a 16-bit sum could overflow: 256 * 128 = 2^15 */
};

#ifdef __SSE2__
/* Adds the 8 + 8 sixteen-bit sums to sixteen 32-bit ones. */
static void widen(__m128i low, __m128i high, __m128i total[4])
{
    __m128i zero = _mm_setzero_si128();
    __m128i low_sign = _mm_cmpgt_epi16(zero, low);
    __m128i high_sign = _mm_cmpgt_epi16(zero, high);
    total[0] = _mm_add_epi32(total[0], _mm_unpacklo_epi16(low, low_sign));
    total[1] = _mm_add_epi32(total[1], _mm_unpackhi_epi16(low, low_sign));
    total[2] = _mm_add_epi32(total[2], _mm_unpacklo_epi16(high, high_sign));
    total[3] = _mm_add_epi32(total[3], _mm_unpackhi_epi16(high, high_sign));
}

/* Numbers from..from+15. */
static void sum_lanes(const int8_t *const *rows, size_t count, size_t from, int32_t *ret_sum)
{
    __m128i zero = _mm_setzero_si128();
    __m128i total[4] = {zero, zero, zero, zero};
    for (size_t i = 0; i < count;) {
        size_t end = count - i > BLOCK - 1 ? i + BLOCK - 1 : count;
        __m128i low = zero;
        __m128i high = zero;
        for (; i < end; i++) {
            const int8_t *row = rows[i] + from;
            __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)row);
            __m128i sign = _mm_cmpgt_epi8(zero, bytes);
            low = _mm_add_epi16(low, _mm_unpacklo_epi8(bytes, sign));
            high = _mm_add_epi16(high, _mm_unpackhi_epi8(bytes, sign));
        }
        widen(low, high, total);
    }
    for (size_t i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)(void *)(ret_sum + from + 4 * i), total[i]);
    }
}
#endif

void rows_sum(const int8_t *const *rows, size_t count, size_t width, int32_t *ret_sum)
{
#ifdef __SSE2__
    for (size_t from = 0; from < width; from += LANES) {
        sum_lanes(rows, count, from, ret_sum);
    }
#else
    rows_sum_plain(rows, count, width, ret_sum);
#endif
}

void rows_sum_plain(const int8_t *const *rows, size_t count, size_t width, int32_t *ret_sum)
{
    for (size_t k = 0; k < width; k++) {
        ret_sum[k] = 0;
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < width; k++) {
            ret_sum[k] += rows[i][k];
        }
    }
}
