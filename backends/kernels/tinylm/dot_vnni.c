/* The functions of dot_lanes.inc with AVX-512 and its VNNI. */
#include "backends/kernels/tinylm/dot_avx2.h"

#if defined(__x86_64__)

#    include <immintrin.h>
#    include <math.h>
#    include <string.h>

#    define TARGET      "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni"
#    define FAST        __attribute__((target(TARGET)))
#    define FAST_INLINE static inline __attribute__((target(TARGET), always_inline))

enum {
    LANES = 16,
    IS_BIASED = 1,
};

typedef float vf __attribute__((vector_size(4 * LANES)));
typedef int32_t vi __attribute__((vector_size(4 * LANES)));
typedef uint32_t vu __attribute__((vector_size(4 * LANES)));

FAST_INLINE vu lo32(vu a, vu b)
{
    return (vu)_mm512_unpacklo_epi32((__m512i)a, (__m512i)b);
}

FAST_INLINE vu hi32(vu a, vu b)
{
    return (vu)_mm512_unpackhi_epi32((__m512i)a, (__m512i)b);
}

FAST_INLINE vu lo64(vu a, vu b)
{
    return (vu)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
}

FAST_INLINE vu hi64(vu a, vu b)
{
    return (vu)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
}

FAST_INLINE __m128i load_16(const unsigned char *at)
{
    __m128i v;
    memcpy(&v, at, sizeof v);
    return v;
}

FAST_INLINE vu rows_at(const unsigned char *at, size_t row_bytes)
{
    __m512i v = _mm512_castsi128_si512(load_16(at));
    v = _mm512_mask_broadcast_i32x4(v, 0x00f0, load_16(at + 4 * row_bytes));
    v = _mm512_mask_broadcast_i32x4(v, 0x0f00, load_16(at + 8 * row_bytes));
    return (vu)_mm512_mask_broadcast_i32x4(v, 0xf000, load_16(at + 12 * row_bytes));
}

FAST_INLINE vf low_half(vu words)
{
    return (vf)_mm512_cvtph_ps(_mm512_cvtepi32_epi16((__m512i)words));
}

FAST_INLINE vf high_half(vu words)
{
    return low_half(words >> 16);
}

FAST_INLINE vf halves_at(const void *at)
{
    __m256i bits;
    memcpy(&bits, at, sizeof bits);
    return (vf)_mm512_cvtph_ps(bits);
}

FAST_INLINE vf multiply_add(vf a, vf b, vf c)
{
    return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}

FAST_INLINE vf greater(vf a, vf b)
{
    return (vf)_mm512_max_ps((__m512)a, (__m512)b);
}

FAST_INLINE vf smaller(vf a, vf b)
{
    return (vf)_mm512_min_ps((__m512)a, (__m512)b);
}

FAST_INLINE vf splat(float x)
{
    return (vf)_mm512_set1_ps(x);
}

FAST_INLINE vi dot4(vi sums, vu weights, int quants)
{
    return (vi)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)weights, _mm512_set1_epi32(quants));
}

FAST_INLINE vi dot4_signed(vi sums, vu weights, int quants)
{
    return dot4(sums, weights, quants);
}

FAST_INLINE __m256i dot32(__m256i weights, __m256i quants)
{
    return _mm256_dpbusd_epi32(_mm256_setzero_si256(), weights, quants);
}

FAST_INLINE __m256i dot32_signed(__m256i weights, __m256i quants)
{
    return dot32(_mm256_abs_epi8(weights), _mm256_sign_epi8(quants, weights));
}

#    include "backends/kernels/tinylm/dot_lanes.inc"

const struct dot_ops *dot_vnni(void)
{
    static const struct dot_ops ops = {
        "vnni", kinds, sizeof kinds / sizeof kinds[0], dot_avx2_quantise, dot_avx2_to_half,
        attend, swish,
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
