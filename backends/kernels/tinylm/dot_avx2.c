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

/* ---- types with DOT_SUPER weights in a block ---- */

enum {
    PARTS = DOT_SUPER / DOT_BLOCK,
    Q6_K_HIGH = 128,
    Q6_K_SCALES = 192,
    Q6_K_SCALE = 208,
};

/* Scales and least values of the eight parts, in pairs. The six bits of each: see dot.c. */
FAST_INLINE void k_scales(const unsigned char *at, float pairs[2 * PARTS])
{
    uint32_t s[3];
    memcpy(s, at + 4, sizeof s);
    uint32_t scales[2] = {s[0] & 0x3f3f3f3f, (s[2] & 0x0f0f0f0f) | (s[0] >> 2 & 0x30303030)};
    uint32_t leasts[2] = {s[1] & 0x3f3f3f3f, (s[2] >> 4 & 0x0f0f0f0f) | (s[1] >> 2 & 0x30303030)};
    __m128 both = halves_2(at);
    __m256 scale = _mm256_broadcastss_ps(both);
    __m256 least = _mm256_broadcastss_ps(_mm_movehdup_ps(both));
    least = _mm256_xor_ps(least, _mm256_set1_ps(-0.0F));
    __m128i bytes = _mm_set_epi32(0, 0, (int)scales[1], (int)scales[0]);
    scale = _mm256_mul_ps(scale, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
    bytes = _mm_set_epi32(0, 0, (int)leasts[1], (int)leasts[0]);
    least = _mm256_mul_ps(least, _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)));
    __m256 low = _mm256_unpacklo_ps(scale, least);
    __m256 high = _mm256_unpackhi_ps(scale, least);
    _mm256_storeu_ps(pairs, _mm256_permute2f128_ps(low, high, 0x20));
    _mm256_storeu_ps(pairs + PARTS, _mm256_permute2f128_ps(low, high, 0x31));
}

/* 32 bytes, shifted to the right; what comes in from the neighbour is the caller's to cut off. */
FAST_INLINE __m256i shifted(const unsigned char *at, size_t bits)
{
    return _mm256_srl_epi16(load(at), _mm_cvtsi64_si128((long long)bits));
}

FAST_INLINE __m256i weights_q4_k(const unsigned char *at, size_t part)
{
    __m256i nibble = shifted(at + 16 + part / 2 * DOT_BLOCK, part % 2 * 4);
    return _mm256_and_si256(nibble, _mm256_set1_epi8(15));
}

FAST_INLINE __m256i weights_q5_k(const unsigned char *at, size_t part)
{
    __m256i nibble = shifted(at + 48 + part / 2 * DOT_BLOCK, part % 2 * 4);
    __m256i bit = _mm256_and_si256(shifted(at + 16, part), _mm256_set1_epi8(1));
    nibble = _mm256_and_si256(nibble, _mm256_set1_epi8(15));
    return _mm256_or_si256(nibble, _mm256_slli_epi16(bit, 4));
}

typedef __m256i (*weights_fn)(const unsigned char *at, size_t part);

FAST_INLINE struct parts k_parts(const unsigned char *at, const float *pairs, size_t part,
                                 weights_fn weights)
{
    double both = 0;
    memcpy(&both, pairs + 2 * part, sizeof both);
    return (struct parts){weights(at, part), _mm_castpd_ps(_mm_set_sd(both))};
}

FAST_INLINE float k_row(const void *row, const struct dot_input *in, size_t n, weights_fn weights,
                        size_t bytes)
{
    const unsigned char *at = row;
    struct total t = nothing();
    for (size_t s = 0; s < n / DOT_SUPER; s++) {
        float pairs[2 * PARTS];
        k_scales(at + s * bytes, pairs);
        for (size_t k = 0; k < PARTS; k++) {
            t = add_block(t, k_parts(at + s * bytes, pairs, k, weights), in, s * PARTS + k);
        }
    }
    return end_of(t);
}

FAST_INLINE void k_many(const void *row, const struct dot_input *in, size_t n, weights_fn weights,
                        size_t bytes, float *out)
{
    const unsigned char *at = row;
    struct total t0 = nothing();
    struct total t1 = nothing();
    struct total t2 = nothing();
    struct total t3 = nothing();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        float pairs[2 * PARTS];
        const unsigned char *super = at + b / PARTS * bytes;
        if (b % PARTS == 0) {
            k_scales(super, pairs);
        }
        struct parts p = k_parts(super, pairs, b % PARTS, weights);
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

FAST float dot_avx2_row_q4_k(const void *row, const struct dot_input *in, size_t n)
{
    return k_row(row, in, n, weights_q4_k, 144);
}

FAST void dot_avx2_many_q4_k(const void *row, const struct dot_input *in, size_t n, float *out)
{
    k_many(row, in, n, weights_q4_k, 144, out);
}

FAST float dot_avx2_row_q5_k(const void *row, const struct dot_input *in, size_t n)
{
    return k_row(row, in, n, weights_q5_k, 176);
}

FAST void dot_avx2_many_q5_k(const void *row, const struct dot_input *in, size_t n, float *out)
{
    k_many(row, in, n, weights_q5_k, 176, out);
}

/* The weights of a part of Q6_K, -32 to 31. */
FAST_INLINE __m256i weights_q6_k(const unsigned char *at, size_t part)
{
    size_t half = part / 4;
    size_t k = part % 4;
    __m256i low = shifted(at + half * 2 * DOT_BLOCK + k % 2 * DOT_BLOCK, k / 2 * 4);
    __m256i high = shifted(at + Q6_K_HIGH + half * DOT_BLOCK, 2 * k);
    low = _mm256_and_si256(low, _mm256_set1_epi8(15));
    high = _mm256_slli_epi16(_mm256_and_si256(high, _mm256_set1_epi8(3)), 4);
    return _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(32));
}

/* The integer scales of a part's halves, as words. */
FAST_INLINE __m256i scales_q6_k(const unsigned char *at, size_t part)
{
    const signed char *s = (const signed char *)at + Q6_K_SCALES + 2 * part;
    return _mm256_set_m128i(_mm_set1_epi16(s[1]), _mm_set1_epi16(s[0]));
}

/* One part more. No saturation: 32 * 127 * 2 < 2^15. The scale stands at the end of the block: two bytes
 * are read, no more. */
FAST_INLINE __m256 add_q6_k(__m256 sums, const unsigned char *at, const struct dot_input *in,
                            size_t b)
{
    uint16_t bits = 0;
    memcpy(&bits, at + Q6_K_SCALE, sizeof bits);
    __m256i w = weights_q6_k(at, b % PARTS);
    __m256i x = load(in->quants + b * DOT_BLOCK);
    __m256i twos = _mm256_maddubs_epi16(_mm256_sign_epi8(w, w), _mm256_sign_epi8(x, w));
    __m256i fours = _mm256_madd_epi16(twos, scales_q6_k(at, b % PARTS));
    __m256 scale = _mm256_set1_ps(_cvtsh_ss(bits) * in->scales[2 * b]);
    return _mm256_fmadd_ps(scale, _mm256_cvtepi32_ps(fours), sums);
}

FAST float dot_avx2_row_q6_k(const void *row, const struct dot_input *in, size_t n)
{
    const unsigned char *at = row;
    __m256 sums = _mm256_setzero_ps();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        sums = add_q6_k(sums, at + b / PARTS * 210, in, b);
    }
    return sum_of(sums);
}

FAST void dot_avx2_many_q6_k(const void *row, const struct dot_input *in, size_t n, float *out)
{
    const unsigned char *at = row;
    __m256 s0 = _mm256_setzero_ps();
    __m256 s1 = _mm256_setzero_ps();
    __m256 s2 = _mm256_setzero_ps();
    __m256 s3 = _mm256_setzero_ps();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        const unsigned char *super = at + b / PARTS * 210;
        s0 = add_q6_k(s0, super, &in[0], b);
        s1 = add_q6_k(s1, super, &in[1], b);
        s2 = add_q6_k(s2, super, &in[2], b);
        s3 = add_q6_k(s3, super, &in[3], b);
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
    {12, "Q4_K", DOT_SUPER, 144, dot_avx2_row_q4_k, dot_avx2_many_q4_k, NULL, NULL},
    {13, "Q5_K", DOT_SUPER, 176, dot_avx2_row_q5_k, dot_avx2_many_q5_k, NULL, NULL},
    {14, "Q6_K", DOT_SUPER, 210, dot_avx2_row_q6_k, dot_avx2_many_q6_k, NULL, NULL},
    {30, "BF16", 1, 2, dot_avx2_row_bf16, NULL, NULL, NULL},
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
