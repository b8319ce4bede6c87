/* Writing a result: in the unit, the form and to the places that were asked for. */
#pragma once

#include "backends/kernels/calc_eval.h"
#include "base/buf.h"

/* Appends "17% of 3480 = 591.6" for one expression; where there is no result, the working and the
 * reason. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status calc_format(struct calc_evaluator *ev,
                                   const struct calc_expression *expression, struct buf *out);
