/* Tiles of rows and inputs with AVX-512's VNNI: two rows lie in the halves of a register, unpacked once
 * for all inputs. Each half does what dot_avx2.c does, in the same order: the same bits come out. */
#include "backends/kernels/tinylm/dot_avx2.h"

#if defined(__x86_64__)

#    include <immintrin.h>
#    include <string.h>

#    define TARGET      "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni"
#    define FAST        __attribute__((target(TARGET)))
#    define FAST_INLINE static inline __attribute__((target(TARGET), always_inline))

enum {
    AHEAD =
        8192, /* bytes; measured: 4 to 16 kB are alike, without it an answer takes 1.5 times as long */
    LINE = 64,
};

FAST_INLINE float sum_of(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

FAST_INLINE int int_at(const unsigned char *at)
{
    int bits = 0;
    memcpy(&bits, at, sizeof bits);
    return bits;
}

FAST_INLINE __m128i load_16(const unsigned char *at)
{
    __m128i v;
    memcpy(&v, at, sizeof v);
    return v;
}

FAST_INLINE __m256i load_32(const void *at)
{
    __m256i v;
    memcpy(&v, at, sizeof v);
    return v;
}

/* 16 bytes of pairs of nibbles of each of two rows: low ones first. */
FAST_INLINE __m512i nibbles(const unsigned char *a, const unsigned char *b)
{
    __m512i both =
        _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(load_16(a)), 0xff00, load_16(b));
    both = _mm512_srlv_epi64(both, _mm512_setr_epi64(0, 0, 4, 4, 0, 0, 4, 4));
    return _mm512_and_si512(both, _mm512_set1_epi8(15));
}

/* Adds 16 where a bit of 32 of each row is set. */
FAST_INLINE __m512i add_high_bits(__m512i weights, const unsigned char *a, const unsigned char *b)
{
    __mmask64 bits = (unsigned)int_at(a) | (__mmask64)(unsigned)int_at(b) << 32;
    return _mm512_mask_add_epi8(weights, bits, weights, _mm512_set1_epi8(16));
}

/* A block of two rows as unsigned bytes: of Q8_0, 128 more than meant. */
typedef __m512i (*unpack_fn)(const unsigned char *a, const unsigned char *b);

FAST_INLINE __m512i unpack_q4_0(const unsigned char *a, const unsigned char *b)
{
    return nibbles(a + 2, b + 2);
}

FAST_INLINE __m512i unpack_q4_1(const unsigned char *a, const unsigned char *b)
{
    return nibbles(a + 4, b + 4);
}

FAST_INLINE __m512i unpack_q5_0(const unsigned char *a, const unsigned char *b)
{
    return add_high_bits(nibbles(a + 6, b + 6), a + 2, b + 2);
}

FAST_INLINE __m512i unpack_q5_1(const unsigned char *a, const unsigned char *b)
{
    return add_high_bits(nibbles(a + 8, b + 8), a + 4, b + 4);
}

FAST_INLINE __m512i unpack_q8_0(const unsigned char *a, const unsigned char *b)
{
    __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(load_32(a + 2)), load_32(b + 2), 1);
    return _mm512_xor_si512(both, _mm512_set1_epi8(-128));
}

struct form { /* of a type; known when inlined */
    unpack_fn unpack;
    size_t bytes; /* of a block */
    float least;  /* in scales; 1: it is stored behind the scale, 0: there is none */
    int has_bias; /* the bytes are 128 more than the weights */
};

/* Scale and least of a block of DOT_ROWS rows. */
FAST_INLINE __m256 heads(const unsigned char *at, size_t row_bytes, float least)
{
    __m128i bits = _mm_cvtsi32_si128(int_at(at));
    bits = _mm_insert_epi32(bits, int_at(at + row_bytes), 1);
    bits = _mm_insert_epi32(bits, int_at(at + 2 * row_bytes), 2);
    bits = _mm_insert_epi32(bits, int_at(at + 3 * row_bytes), 3);
    __m256 both = _mm256_cvtph_ps(bits);
    if (least > 0) {
        return both;
    }
    return _mm256_mul_ps(_mm256_moveldup_ps(both),
                         _mm256_setr_ps(1, least, 1, least, 1, least, 1, least));
}

struct total {    /* of DOT_ROWS rows and one input, so far */
    __m512 low;   /* of rows 0 and 1 */
    __m512 high;  /* of rows 2 and 3 */
    __m256 least; /* every second float counts */
};

struct block { /* of DOT_ROWS rows */
    __m512i low;
    __m512i high;
    __m256 heads;
};

FAST_INLINE struct block block_at(const unsigned char *at, size_t row_bytes, struct form form)
{
    return (struct block){form.unpack(at, at + row_bytes),
                          form.unpack(at + 2 * row_bytes, at + 3 * row_bytes),
                          heads(at, row_bytes, form.least)};
}

/* Groups of rows lie one behind the other: while a block of one is computed, as much is fetched from
 * further on. Needs no memory there. */
FAST_INLINE void fetch(const unsigned char *group, size_t b, size_t bytes)
{
    const char *ahead = (const char *)group + b * bytes * DOT_ROWS + AHEAD;
    _mm_prefetch(ahead, _MM_HINT_T0);
    if (bytes * DOT_ROWS > LINE) {
        _mm_prefetch(ahead + LINE, _MM_HINT_T0);
    }
    if (bytes * DOT_ROWS > 2 * LINE) {
        _mm_prefetch(ahead + 2 * LINE, _MM_HINT_T0);
    }
}

FAST_INLINE struct total nothing(void)
{
    return (struct total){_mm512_setzero_ps(), _mm512_setzero_ps(), _mm256_setzero_ps()};
}

/* One block more. */
FAST_INLINE struct total add_block(struct total t, struct block w, const struct dot_input *in,
                                   size_t b, int has_bias)
{
    const __m512i first = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 2, 2, 2, 2);
    const __m512i second = _mm512_setr_epi32(4, 4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 6, 6, 6, 6);
    double both = 0;
    memcpy(&both, in->scales + 2 * b, sizeof both);
    __m512i x = _mm512_broadcast_i64x4(load_32(in->quants + b * DOT_BLOCK));
    __m512i start = _mm512_setzero_si512();
    if (has_bias != 0) {
        start = _mm512_sub_epi32(start, _mm512_dpbusd_epi32(start, _mm512_set1_epi8(-128), x));
    }
    __m512 low = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, w.low, x));
    __m512 high = _mm512_cvtepi32_ps(_mm512_dpbusd_epi32(start, w.high, x));
    __m256 scales = _mm256_mul_ps(w.heads, _mm256_castpd_ps(_mm256_set1_pd(both)));
    __m512 wide = _mm512_castps256_ps512(scales);
    t.low = _mm512_fmadd_ps(_mm512_permutexvar_ps(first, wide), low, t.low);
    t.high = _mm512_fmadd_ps(_mm512_permutexvar_ps(second, wide), high, t.high);
    t.least = _mm256_add_ps(t.least, scales);
    return t;
}

FAST_INLINE __m256 upper(__m512 v)
{
    return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
}

FAST_INLINE void end(struct total t, struct form form, float *out)
{
    float least[2 * DOT_ROWS];
    _mm256_storeu_ps(least, t.least);
    out[0] = sum_of(_mm512_castps512_ps256(t.low));
    out[1] = sum_of(upper(t.low));
    out[2] = sum_of(_mm512_castps512_ps256(t.high));
    out[3] = sum_of(upper(t.high));
    for (size_t r = 0; form.has_bias == 0 && r < DOT_ROWS; r++) {
        out[r] += least[2 * r + 1];
    }
}

FAST_INLINE void column(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                        struct form form, float *out)
{
    const unsigned char *at = rows;
    struct total t = nothing();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        fetch(at, b, form.bytes);
        t = add_block(t, block_at(at + b * form.bytes, row_bytes, form), in, b, form.has_bias);
    }
    end(t, form, out);
}

FAST_INLINE void tile(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                      struct form form, float *out)
{
    const unsigned char *at = rows;
    struct total t0 = nothing();
    struct total t1 = nothing();
    struct total t2 = nothing();
    struct total t3 = nothing();
    for (size_t b = 0; b < n / DOT_BLOCK; b++) {
        fetch(at, b, form.bytes);
        struct block w = block_at(at + b * form.bytes, row_bytes, form);
        t0 = add_block(t0, w, &in[0], b, form.has_bias);
        t1 = add_block(t1, w, &in[1], b, form.has_bias);
        t2 = add_block(t2, w, &in[2], b, form.has_bias);
        t3 = add_block(t3, w, &in[3], b, form.has_bias);
    }
    end(t0, form, out);
    end(t1, form, out + DOT_ROWS);
    end(t2, form, out + 2 * DOT_ROWS);
    end(t3, form, out + 3 * DOT_ROWS);
}

FAST static void column_q4_0(const void *rows, size_t row_bytes, const struct dot_input *in,
                             size_t n, float *out)
{
    column(rows, row_bytes, in, n, (struct form){unpack_q4_0, 18, -8, 0}, out);
}

FAST static void tile_q4_0(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                           float *out)
{
    tile(rows, row_bytes, in, n, (struct form){unpack_q4_0, 18, -8, 0}, out);
}

FAST static void column_q4_1(const void *rows, size_t row_bytes, const struct dot_input *in,
                             size_t n, float *out)
{
    column(rows, row_bytes, in, n, (struct form){unpack_q4_1, 20, 1, 0}, out);
}

FAST static void tile_q4_1(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                           float *out)
{
    tile(rows, row_bytes, in, n, (struct form){unpack_q4_1, 20, 1, 0}, out);
}

FAST static void column_q5_0(const void *rows, size_t row_bytes, const struct dot_input *in,
                             size_t n, float *out)
{
    column(rows, row_bytes, in, n, (struct form){unpack_q5_0, 22, -16, 0}, out);
}

FAST static void tile_q5_0(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                           float *out)
{
    tile(rows, row_bytes, in, n, (struct form){unpack_q5_0, 22, -16, 0}, out);
}

FAST static void column_q5_1(const void *rows, size_t row_bytes, const struct dot_input *in,
                             size_t n, float *out)
{
    column(rows, row_bytes, in, n, (struct form){unpack_q5_1, 24, 1, 0}, out);
}

FAST static void tile_q5_1(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                           float *out)
{
    tile(rows, row_bytes, in, n, (struct form){unpack_q5_1, 24, 1, 0}, out);
}

FAST static void column_q8_0(const void *rows, size_t row_bytes, const struct dot_input *in,
                             size_t n, float *out)
{
    column(rows, row_bytes, in, n, (struct form){unpack_q8_0, 34, 0, 1}, out);
}

FAST static void tile_q8_0(const void *rows, size_t row_bytes, const struct dot_input *in, size_t n,
                           float *out)
{
    tile(rows, row_bytes, in, n, (struct form){unpack_q8_0, 34, 0, 1}, out);
}

static const struct dot_kind kinds[] = {
    {0, "F32", 1, 4, dot_avx2_row_f32, NULL, NULL, NULL},
    {1, "F16", 1, 2, dot_avx2_row_f16, NULL, NULL, NULL},
    {2, "Q4_0", DOT_BLOCK, 18, dot_avx2_row_q4_0, dot_avx2_many_q4_0, column_q4_0, tile_q4_0},
    {3, "Q4_1", DOT_BLOCK, 20, dot_avx2_row_q4_1, dot_avx2_many_q4_1, column_q4_1, tile_q4_1},
    {6, "Q5_0", DOT_BLOCK, 22, dot_avx2_row_q5_0, dot_avx2_many_q5_0, column_q5_0, tile_q5_0},
    {7, "Q5_1", DOT_BLOCK, 24, dot_avx2_row_q5_1, dot_avx2_many_q5_1, column_q5_1, tile_q5_1},
    {8, "Q8_0", DOT_BLOCK, 34, dot_avx2_row_q8_0, dot_avx2_many_q8_0, column_q8_0, tile_q8_0},
    {12, "Q4_K", DOT_SUPER, 144, dot_avx2_row_q4_k, dot_avx2_many_q4_k, NULL, NULL},
    {13, "Q5_K", DOT_SUPER, 176, dot_avx2_row_q5_k, dot_avx2_many_q5_k, NULL, NULL},
    {14, "Q6_K", DOT_SUPER, 210, dot_avx2_row_q6_k, dot_avx2_many_q6_k, NULL, NULL},
    {30, "BF16", 1, 2, dot_avx2_row_bf16, NULL, NULL, NULL},
};

const struct dot_ops *dot_vnni(void)
{
    static const struct dot_ops ops = {
        "vnni",
        kinds,
        sizeof kinds / sizeof kinds[0],
        dot_avx2_quantise,
        dot_avx2_half,
        dot_avx2_add_half,
        dot_avx2_to_half,
    };
    int is_there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    return is_there != 0 && dot_avx2() != NULL ? &ops : NULL;
}

#else

const struct dot_ops *dot_vnni(void)
{
    return NULL;
}

#endif
