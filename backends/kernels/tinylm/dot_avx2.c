/* The functions of dot.h with AVX2, FMA and F16C, for machines that have them. Same results up to the
 * order of additions: tests/unit/backends/test_tinylm_dot.c holds them against the plain ones. */
#include "backends/kernels/tinylm/dot_avx2.h"

#if defined(__x86_64__)

#    include <cpuid.h>
#    include <immintrin.h>
#    include <stdbool.h>
#    include <string.h>

#    define FAST        __attribute__((target("avx2,fma,f16c")))
#    define FAST_INLINE static inline __attribute__((target("avx2,fma,f16c"), always_inline))

enum {
    LANES = 8
};

FAST_INLINE float sum_of(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

/* Two halves as the lower two floats. */
FAST_INLINE __m128 halves_2(const unsigned char *at)
{
    int bits = 0;
    memcpy(&bits, at, sizeof bits);
    return _mm_cvtph_ps(_mm_cvtsi32_si128(bits));
}

/* Scale and scaled sum of a block of activations. */
FAST_INLINE __m128 scales_at(const struct dot_input *in, size_t b)
{
    double both = 0;
    memcpy(&both, in->scales + 2 * b, sizeof both);
    return _mm_castpd_ps(_mm_set_sd(both));
}

FAST_INLINE __m256i load(const void *at)
{
    __m256i v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* 16 bytes of pairs of nibbles: low ones first. */
FAST_INLINE __m256i nibbles(const unsigned char *at)
{
    __m128i pairs;
    memcpy(&pairs, at, sizeof pairs);
    __m256i both =
        _mm256_srlv_epi64(_mm256_broadcastsi128_si256(pairs), _mm256_setr_epi64x(0, 0, 4, 4));
    return _mm256_and_si256(both, _mm256_set1_epi8(15));
}

/* 32 bits as bytes of 16 or 0. */
FAST_INLINE __m256i high_bits(const unsigned char *at)
{
    int bits = 0;
    memcpy(&bits, at, sizeof bits);
    const __m256i spread = _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2,
                                            2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
    const __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201ULL);
    __m256i bytes = _mm256_and_si256(_mm256_shuffle_epi8(_mm256_set1_epi32(bits), spread), each);
    return _mm256_and_si256(_mm256_cmpeq_epi8(bytes, each), _mm256_set1_epi8(16));
}

/* Sums of fours of unsigned times signed bytes, as floats. No saturation: 31 * 127 * 2 < 2^15. */
FAST_INLINE __m256 products(__m256i weights, __m256i quants)
{
    __m256i twos = _mm256_maddubs_epi16(weights, quants);
    return _mm256_cvtepi32_ps(_mm256_madd_epi16(twos, _mm256_set1_epi16(1)));
}

struct parts { /* one block: bytes 0 to 31; scale and least in the lower two floats */
    __m256i weights;
    __m128 scales;
};

typedef struct parts (*unpack_fn)(const unsigned char *at);

/* [scale, least] of a type where least is so many scales. */
FAST_INLINE __m128 centred(const unsigned char *at, float times)
{
    return _mm_mul_ps(_mm_moveldup_ps(halves_2(at)), _mm_setr_ps(1, times, 0, 0));
}

FAST_INLINE struct parts parts_q4_0(const unsigned char *at)
{
    return (struct parts){nibbles(at + 2), centred(at, -8)};
}

FAST_INLINE struct parts parts_q4_1(const unsigned char *at)
{
    return (struct parts){nibbles(at + 4), halves_2(at)};
}

FAST_INLINE struct parts parts_q5_0(const unsigned char *at)
{
    return (struct parts){_mm256_or_si256(nibbles(at + 6), high_bits(at + 2)), centred(at, -16)};
}

FAST_INLINE struct parts parts_q5_1(const unsigned char *at)
{
    return (struct parts){_mm256_or_si256(nibbles(at + 8), high_bits(at + 4)), halves_2(at)};
}

struct total { /* of a row and one input, so far */
    __m256 sums;
    __m128 least; /* the second float; the first one is of no use */
};

FAST_INLINE float end_of(struct total t)
{
    return sum_of(t.sums) + _mm_cvtss_f32(_mm_movehdup_ps(t.least));
}

/* One block more. */
FAST_INLINE struct total add_block(struct total t, struct parts p, const struct dot_input *in,
                                   size_t b)
{
    __m256 of_block = products(p.weights, load(in->quants + b * DOT_BLOCK));
    __m128 scales = _mm_mul_ps(p.scales, scales_at(in, b));
    t.sums = _mm256_fmadd_ps(_mm256_broadcastss_ps(scales), of_block, t.sums);
    t.least = _mm_add_ps(t.least, scales);
    return t;
}

FAST_INLINE struct total nothing(void)
{
    return (struct total){_mm256_setzero_ps(), _mm_setzero_ps()};
}

/* A row, by one of the functions above and the size of its blocks: both known when inlined. */
FAST_INLINE float unsigned_row(const void *row, const struct dot_input *in, size_t n,
                               unpack_fn unpack, size_t bytes)
{
    const unsigned char *at = row;
    struct total t = nothing();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        t = add_block(t, unpack(at + b * bytes), in, b);
    }
    return end_of(t);
}

/* The same for DOT_MANY inputs: each block is unpacked once for all. */
FAST_INLINE void unsigned_many(const void *row, const struct dot_input *in, size_t n,
                               unpack_fn unpack, size_t bytes, float *out)
{
    const unsigned char *at = row;
    struct total t0 = nothing();
    struct total t1 = nothing();
    struct total t2 = nothing();
    struct total t3 = nothing();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        struct parts p = unpack(at + b * bytes);
        t0 = add_block(t0, p, &in[0], b);
        t1 = add_block(t1, p, &in[1], b);
        t2 = add_block(t2, p, &in[2], b);
        t3 = add_block(t3, p, &in[3], b);
    }
    out[0] = end_of(t0);
    out[1] = end_of(t1);
    out[2] = end_of(t2);
    out[3] = end_of(t3);
}

FAST float dot_avx2_row_q4_0(const void *row, const struct dot_input *in, size_t n)
{
    return unsigned_row(row, in, n, parts_q4_0, 18);
}

FAST void dot_avx2_many_q4_0(const void *row, const struct dot_input *in, size_t n, float *out)
{
    unsigned_many(row, in, n, parts_q4_0, 18, out);
}

FAST float dot_avx2_row_q4_1(const void *row, const struct dot_input *in, size_t n)
{
    return unsigned_row(row, in, n, parts_q4_1, 20);
}

FAST void dot_avx2_many_q4_1(const void *row, const struct dot_input *in, size_t n, float *out)
{
    unsigned_many(row, in, n, parts_q4_1, 20, out);
}

FAST float dot_avx2_row_q5_0(const void *row, const struct dot_input *in, size_t n)
{
    return unsigned_row(row, in, n, parts_q5_0, 22);
}

FAST void dot_avx2_many_q5_0(const void *row, const struct dot_input *in, size_t n, float *out)
{
    unsigned_many(row, in, n, parts_q5_0, 22, out);
}

FAST float dot_avx2_row_q5_1(const void *row, const struct dot_input *in, size_t n)
{
    return unsigned_row(row, in, n, parts_q5_1, 24);
}

FAST void dot_avx2_many_q5_1(const void *row, const struct dot_input *in, size_t n, float *out)
{
    unsigned_many(row, in, n, parts_q5_1, 24, out);
}

/* One block more of signed weights: |w| * (x with w's sign). No saturation: 128 * 127 * 2 < 2^15. */
FAST_INLINE __m256 add_signed(__m256 sums, __m256i w, __m128 scale, const struct dot_input *in,
                              size_t b)
{
    __m256i x = load(in->quants + b * DOT_BLOCK);
    __m256 of_block = products(_mm256_sign_epi8(w, w), _mm256_sign_epi8(x, w));
    return _mm256_fmadd_ps(_mm256_broadcastss_ps(_mm_mul_ss(scale, scales_at(in, b))), of_block,
                           sums);
}

FAST float dot_avx2_row_q8_0(const void *row, const struct dot_input *in, size_t n)
{
    const unsigned char *at = row;
    __m256 sums = _mm256_setzero_ps();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        sums = add_signed(sums, load(at + b * 34 + 2), halves_2(at + b * 34), in, b);
    }
    return sum_of(sums);
}

FAST void dot_avx2_many_q8_0(const void *row, const struct dot_input *in, size_t n, float *out)
{
    const unsigned char *at = row;
    __m256 s0 = _mm256_setzero_ps();
    __m256 s1 = _mm256_setzero_ps();
    __m256 s2 = _mm256_setzero_ps();
    __m256 s3 = _mm256_setzero_ps();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        __m256i w = load(at + b * 34 + 2);
        __m128 scale = halves_2(at + b * 34);
        s0 = add_signed(s0, w, scale, &in[0], b);
        s1 = add_signed(s1, w, scale, &in[1], b);
        s2 = add_signed(s2, w, scale, &in[2], b);
        s3 = add_signed(s3, w, scale, &in[3], b);
    }
    out[0] = sum_of(s0);
    out[1] = sum_of(s1);
    out[2] = sum_of(s2);
    out[3] = sum_of(s3);
}

FAST_INLINE __m256 halves_at(const void *at)
{
    __m128i bits;
    memcpy(&bits, at, sizeof bits);
    return _mm256_cvtph_ps(bits);
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

FAST float dot_avx2_half(const uint16_t *a, const float *b, size_t n)
{
    __m256 sums[2] = {_mm256_setzero_ps(), _mm256_setzero_ps()};
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        sums[0] = _mm256_fmadd_ps(halves_at(a + i), _mm256_loadu_ps(b + i), sums[0]);
        sums[1] =
            _mm256_fmadd_ps(halves_at(a + i + LANES), _mm256_loadu_ps(b + i + LANES), sums[1]);
    }
    float total = sum_of(_mm256_add_ps(sums[0], sums[1]));
    for (; i < n; i++) {
        total += _cvtsh_ss(a[i]) * b[i];
    }
    return total;
}

FAST float dot_avx2_row_f16(const void *row, const struct dot_input *in, size_t n)
{
    return dot_avx2_half(row, in->values, n);
}

FAST void dot_avx2_add_half(float *to, float factor, const uint16_t *a, size_t n)
{
    __m256 f = _mm256_set1_ps(factor);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        _mm256_storeu_ps(to + i, _mm256_fmadd_ps(f, halves_at(a + i), _mm256_loadu_ps(to + i)));
    }
    for (; i < n; i++) {
        to[i] += factor * _cvtsh_ss(a[i]);
    }
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
        __m256i sum = _mm256_setzero_si256();
        for (size_t k = 0; k < 4; k++) {
            __m256 scaled =
                inverse > 0 ? _mm256_mul_ps(v[k], _mm256_set1_ps(inverse)) : _mm256_setzero_ps();
            __m256i q = _mm256_cvtps_epi32(scaled); /* nearest, ties to even */
            sum = _mm256_add_epi32(sum, q);
            __m128i words =
                _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
            long long bytes = _mm_cvtsi128_si64(_mm_packs_epi16(words, words));
            memcpy(quants + b * DOT_BLOCK + k * LANES, &bytes, sizeof bytes);
        }
        scales[2 * b] = scale;
        scales[2 * b + 1] = scale * sum_of(_mm256_cvtepi32_ps(sum));
    }
}

static const struct dot_kind kinds[] = {
    {0, "F32", 1, 4, dot_avx2_row_f32, NULL, NULL, NULL},
    {1, "F16", 1, 2, dot_avx2_row_f16, NULL, NULL, NULL},
    {2, "Q4_0", DOT_BLOCK, 18, dot_avx2_row_q4_0, dot_avx2_many_q4_0, NULL, NULL},
    {3, "Q4_1", DOT_BLOCK, 20, dot_avx2_row_q4_1, dot_avx2_many_q4_1, NULL, NULL},
    {6, "Q5_0", DOT_BLOCK, 22, dot_avx2_row_q5_0, dot_avx2_many_q5_0, NULL, NULL},
    {7, "Q5_1", DOT_BLOCK, 24, dot_avx2_row_q5_1, dot_avx2_many_q5_1, NULL, NULL},
    {8, "Q8_0", DOT_BLOCK, 34, dot_avx2_row_q8_0, dot_avx2_many_q8_0, NULL, NULL},
};

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
        "avx2",
        kinds,
        sizeof kinds / sizeof kinds[0],
        dot_avx2_quantise,
        dot_avx2_half,
        dot_avx2_add_half,
        dot_avx2_to_half,
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
