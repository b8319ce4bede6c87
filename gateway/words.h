/* A built-in kernel that embeds texts by the word vectors of the router's own weights (vectors.h): the vector of
 * a text is the sum of those of its distinct words, of length 1. Takes microseconds and knows no order of
 * words. It lives here and not with the others because it reads the weights of the router, which backends do
 * not know; kernel_lend makes it known. */
#pragma once

#include "backends/kernel.h"

extern const struct kernel_builtin words_kernel;
