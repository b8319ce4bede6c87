/* The types of weights, one row each: what dot.c, dot_avx2.c and dot_vnni.c make their tables of.
 * NUMBERS(number, name, bytes, id): plain numbers, multiplied by row_ID. BLOCKS(number, name, bytes of a
 * block, id, tile): of DOT_BLOCK weights, unpacked by dot_plain_ID or unpack_ID, multiplied by tile_TILE or
 * column_ID. SUPERS(number, name, bytes of a block, weights with a scale, id, tile): the same of DOT_SUPER,
 * without a column. */
#pragma once

#include "backends/kernels/tinylm/dot.h"

#define DOT_KINDS(NUMBERS, BLOCKS, SUPERS)                                                         \
    NUMBERS(0, "F32", 4, f32)                                                                      \
    NUMBERS(1, "F16", 2, f16)                                                                      \
    BLOCKS(2, "Q4_0", 18, q4_0, least)                                                             \
    BLOCKS(3, "Q4_1", 20, q4_1, least)                                                             \
    BLOCKS(6, "Q5_0", 22, q5_0, least)                                                             \
    BLOCKS(7, "Q5_1", 24, q5_1, least)                                                             \
    BLOCKS(8, "Q8_0", 34, q8_0, signed)                                                            \
    SUPERS(12, "Q4_K", 144, 32, q4_k, least)                                                       \
    SUPERS(13, "Q5_K", 176, 32, q5_k, least)                                                       \
    SUPERS(14, "Q6_K", 210, 16, q6_k, halves)                                                      \
    NUMBERS(30, "BF16", 2, bf16)

dot_block_fn dot_plain_q4_0;
dot_block_fn dot_plain_q4_1;
dot_block_fn dot_plain_q5_0;
dot_block_fn dot_plain_q5_1;
dot_block_fn dot_plain_q8_0;
dot_block_fn dot_plain_q4_k;
dot_block_fn dot_plain_q5_k;
dot_block_fn dot_plain_q6_k;
