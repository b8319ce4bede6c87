/* The last pass of the calculator's lexer: what a token means where its neighbours decide. */
#pragma once

#include "backends/kernels/calc_token.h"

/* ST_NO_MEMORY. */
MUST_CHECK enum status calc_tidy(struct calc_tokens *tokens, struct arena *arena);
