/* The functions of dot_avx2.c that dot_vnni.c has no better ones for. Other files go through dot.h. Only
 * for machines where dot_avx2() is not NULL. */
#pragma once

#include "backends/kernels/tinylm/dot_kinds.h"

dot_row_fn dot_avx2_row_f32;
dot_row_fn dot_avx2_row_f16;
dot_row_fn dot_avx2_row_bf16;
void dot_avx2_quantise(const float *values, size_t n, int8_t *quants, float *scales);
void dot_avx2_to_half(const float *from, uint16_t *to, size_t n);
