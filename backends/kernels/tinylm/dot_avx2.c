/* The functions of dot.h with AVX2, FMA and F16C, for machines that have them. Those of quantised weights
 * and of attention are dot_lanes.inc's. */
#include "backends/kernels/tinylm/dot_avx2.h"

#if defined(__x86_64__)

#    include <cpuid.h>
#    include <immintrin.h>
#    include <math.h>
#    include <stdbool.h>
#    include <string.h>

#    define FAST        __attribute__((target("avx2,fma,f16c")))
#    define FAST_INLINE static inline __attribute__((target("avx2,fma,f16c"), always_inline))

enum {
    LANES = 8,
    IS_BIASED = 0,
};

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));

FAST_INLINE vu lo32(vu a, vu b)
{
    return (vu)_mm256_unpacklo_epi32((__m256i)a, (__m256i)b);
}

FAST_INLINE vu hi32(vu a, vu b)
{
    return (vu)_mm256_unpackhi_epi32((__m256i)a, (__m256i)b);
}

FAST_INLINE vu lo64(vu a, vu b)
{
    return (vu)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
}

FAST_INLINE vu hi64(vu a, vu b)
{
    return (vu)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
}

FAST_INLINE __m128i load_16(const void *at)
{
    __m128i v;
    memcpy(&v, at, sizeof v);
    return v;
}

FAST_INLINE vu rows_at(const unsigned char *at, size_t row_bytes)
{
    return (vu)_mm256_set_m128i(load_16(at + 4 * row_bytes), load_16(at));
}

FAST_INLINE vf low_half(vu words)
{
    __m256i low = (__m256i)(words & 0xffff);
    return (vf)_mm256_cvtph_ps(
        _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

FAST_INLINE vf high_half(vu words)
{
    return low_half(words >> 16);
}

FAST_INLINE vf halves_at(const void *at)
{
    return (vf)_mm256_cvtph_ps(load_16(at));
}

FAST_INLINE vf multiply_add(vf a, vf b, vf c)
{
    return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}

FAST_INLINE vf greater(vf a, vf b)
{
    return (vf)_mm256_max_ps((__m256)a, (__m256)b);
}

FAST_INLINE vf smaller(vf a, vf b)
{
    return (vf)_mm256_min_ps((__m256)a, (__m256)b);
}

FAST_INLINE vf splat(float x)
{
    return (vf)_mm256_set1_ps(x);
}

/* No saturation: 63 * 127 * 2 < 2^15. */
FAST_INLINE __m256i dot32(__m256i weights, __m256i quants)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(weights, quants), _mm256_set1_epi16(1));
}

/* |w| * (x with w's sign). No saturation: 128 * 127 * 2 < 2^15. */
FAST_INLINE __m256i dot32_signed(__m256i weights, __m256i quants)
{
    return dot32(_mm256_abs_epi8(weights), _mm256_sign_epi8(quants, weights));
}

FAST_INLINE vi dot4(vi sums, vu weights, int quants)
{
    return sums + (vi)dot32((__m256i)weights, _mm256_set1_epi32(quants));
}

FAST_INLINE vi dot4_signed(vi sums, vu weights, int quants)
{
    return sums + (vi)dot32_signed((__m256i)weights, _mm256_set1_epi32(quants));
}

FAST_INLINE float sum_of(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

FAST float dot_avx2_row_f32(const void *row, const struct dot_input *in, size_t n)
{
    const float *w = row; /* aligned: gguf_read */
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        sums[0] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i), _mm256_loadu_ps(in->values + i), sums[0]);
        sums[1] = _mm256_fmadd_ps(_mm256_loadu_ps(w + i + LANES),
                                  _mm256_loadu_ps(in->values + i + LANES), sums[1]);
    }
    float total = sum_of(_mm256_add_ps(sums[0], sums[1]));
    for (; i < n; i++) {
        total += w[i] * in->values[i];
    }
    return total;
}

FAST float dot_avx2_row_f16(const void *row, const struct dot_input *in, size_t n)
{
    const uint16_t *w = row; /* aligned: gguf_read */
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const float *x = in->values + i;
        sums[0] = _mm256_fmadd_ps(halves_at(w + i), _mm256_loadu_ps(x), sums[0]);
        sums[1] = _mm256_fmadd_ps(halves_at(w + i + LANES), _mm256_loadu_ps(x + LANES), sums[1]);
    }
    float total = sum_of(_mm256_add_ps(sums[0], sums[1]));
    for (; i < n; i++) {
        total += _cvtsh_ss(w[i]) * in->values[i];
    }
    return total;
}

FAST_INLINE __m256 brains_at(const unsigned char *at)
{
    __m128i bits;
    memcpy(&bits, at, sizeof bits);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

FAST float dot_avx2_row_bf16(const void *row, const struct dot_input *in, size_t n)
{
    const unsigned char *at = row;
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        const float *x = in->values + i;
        sums[0] = _mm256_fmadd_ps(brains_at(at + 2 * i), _mm256_loadu_ps(x), sums[0]);
        sums[1] =
            _mm256_fmadd_ps(brains_at(at + 2 * (i + LANES)), _mm256_loadu_ps(x + LANES), sums[1]);
    }
    float total = sum_of(_mm256_add_ps(sums[0], sums[1]));
    for (; i < n; i++) {
        uint16_t upper = 0;
        memcpy(&upper, at + 2 * i, sizeof upper);
        __m128i bits = _mm_cvtsi32_si128((int)((uint32_t)upper << 16));
        total += _mm_cvtss_f32(_mm_castsi128_ps(bits)) * in->values[i];
    }
    return total;
}

FAST void dot_avx2_to_half(const float *from, uint16_t *to, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m128i bits = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT);
        memcpy(to + i, &bits, sizeof bits);
    }
    for (; i < n; i++) {
        to[i] = (uint16_t)_cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT);
    }
}

/* As dot.c's: numbers beyond all bounds become nothing, here because the comparison with infinity
 * leaves them no scale. */
FAST void dot_avx2_quantise(const float *values, size_t n, int8_t *quants, float *scales)
{
    const __m256 sign = _mm256_set1_ps(-0.0F);
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        const float *x = values + b * DOT_BLOCK;
        __m256 v[4];
        __m256 most = _mm256_setzero_ps();
        for (size_t k = 0; k < 4; k++) {
            v[k] = _mm256_loadu_ps(x + k * LANES);
            v[k] = _mm256_and_ps(v[k], _mm256_cmp_ps(v[k], v[k], _CMP_ORD_Q)); /* no number: 0 */
            most = _mm256_max_ps(most, _mm256_andnot_ps(sign, v[k]));
        }
        __m128 m = _mm_max_ps(_mm256_castps256_ps128(most), _mm256_extractf128_ps(most, 1));
        m = _mm_max_ps(m, _mm_movehl_ps(m, m));
        float top = _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
        float scale = dot_scale(top);
        float inverse = scale > 0 ? 1 / scale : 0;
        __m256i sums[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (size_t k = 0; k < 4; k++) {
            __m256 scaled =
                inverse > 0 ? _mm256_mul_ps(v[k], _mm256_set1_ps(inverse)) : _mm256_setzero_ps();
            __m256i q = _mm256_cvtps_epi32(scaled); /* nearest, ties to even */
            sums[k / 2] = _mm256_add_epi32(sums[k / 2], q);
            __m128i words =
                _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
            long long bytes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
            memcpy(quants + b * DOT_BLOCK + k * LANES, &bytes, sizeof bytes);
        }
        float halves[2] = {sum_of(_mm256_cvtepi32_ps(sums[0])),
                           sum_of(_mm256_cvtepi32_ps(sums[1]))};
        const float numbers[DOT_SCALES] = {scale, scale * (halves[0] + halves[1]), 128 * halves[0],
                                           128 * halves[1]};
        memcpy(scales + DOT_SCALES * b, numbers, sizeof numbers);
    }
}

#    include "backends/kernels/tinylm/dot_lanes.inc"

/* Not every compiler knows the name of this one. */
static bool has_f16c(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}

const struct dot_ops *dot_avx2(void)
{
    static const struct dot_ops ops = {
        "avx2", kinds, sizeof kinds / sizeof kinds[0], dot_avx2_quantise, dot_avx2_to_half,
        attend, swish,
    };
    bool is_there = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    return is_there ? &ops : NULL;
}

#else

const struct dot_ops *dot_avx2(void)
{
    return NULL;
}

#endif
