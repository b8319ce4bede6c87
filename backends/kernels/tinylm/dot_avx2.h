/* The functions of dot_avx2.c, for dot_vnni.c, which has better ones for some of them. Other files go
 * through dot.h. Only for machines where dot_avx2() is not NULL. */
#pragma once

#include "backends/kernels/tinylm/dot.h"

dot_row_fn dot_avx2_row_f32;
dot_row_fn dot_avx2_row_f16;
dot_row_fn dot_avx2_row_q4_0;
dot_row_fn dot_avx2_row_q4_1;
dot_row_fn dot_avx2_row_q5_0;
dot_row_fn dot_avx2_row_q5_1;
dot_row_fn dot_avx2_row_q8_0;
dot_row_fn dot_avx2_row_q4_k;
dot_row_fn dot_avx2_row_q5_k;
dot_row_fn dot_avx2_row_q6_k;
dot_row_fn dot_avx2_row_bf16;
dot_many_fn dot_avx2_many_q4_0;
dot_many_fn dot_avx2_many_q4_1;
dot_many_fn dot_avx2_many_q5_0;
dot_many_fn dot_avx2_many_q5_1;
dot_many_fn dot_avx2_many_q8_0;
dot_many_fn dot_avx2_many_q4_k;
dot_many_fn dot_avx2_many_q5_k;
dot_many_fn dot_avx2_many_q6_k;
void dot_avx2_quantise(const float *values, size_t n, int8_t *quants, float *scales);
float dot_avx2_half(const uint16_t *a, const float *b, size_t n);
void dot_avx2_add_half(float *to, float factor, const uint16_t *a, size_t n);
void dot_avx2_to_half(const float *from, uint16_t *to, size_t n);
