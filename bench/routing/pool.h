/* Tables 2 and 3: which of many models a category should go to (MMLU-Pro, recorded answers of 29
 * models). Mappings are fitted on 80 % of the questions and judged on the fixed test split. */
#pragma once

#include <stdio.h>

#include "base/buf.h"
#include "base/diag.h"
#include "base/status.h"
#include "bench/routing/data.h"
#include "router/classifier.h"

struct pool_bench; /* the data with what both classifiers say about each question */

/* Classifies all questions with the shipped weights, and with a category router trained on the
 * training split (for this table only). The pool is borrowed until destroy. */
MUST_CHECK enum status pool_create(const struct data_pool *pool, const struct classifier *domains,
                                   struct diags *diags, struct pool_bench **ret_bench);
void pool_destroy(struct pool_bench *b); /* NULL allowed */

/* Each prints its part to `out` and appends members to `json` (a comma after each). ST_NO_MEMORY,
 * ST_TOO_BIG. */
MUST_CHECK enum status pool_run_maps(const struct pool_bench *b, FILE *out, struct buf *json);
MUST_CHECK enum status pool_run_fallback(const struct pool_bench *b, FILE *out, struct buf *json);
MUST_CHECK enum status pool_run_lambda(const struct pool_bench *b, FILE *out, struct buf *json);
MUST_CHECK enum status pool_run_top_p(const struct pool_bench *b, FILE *out, struct buf *json);
MUST_CHECK enum status pool_run_shrinkage(const struct pool_bench *b, FILE *out, struct buf *json);
