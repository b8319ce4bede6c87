/* How often each expert was right in each category: the table that mappings are fitted on. Filled
 * from evaluation files or row by row. Not for the request path; one thread.
 *
 * A file is JSON Lines or, when its first line does not start with '{', a table with tabs whose
 * first line names the columns:
 *     {"category": "law", "expert": "med-70b", "right": 41, "count": 60}
 *     category<TAB>expert<TAB>right<TAB>count
 * `right` is a number in 0..count; fractions are fine (judges' scores). `count` is 1 when it is not
 * there: a row per prompt. Rows of the same cell add up.
 *
 * A row may also say what the expert takes: `price_usd_per_1k` (requests), `latency_ms`, `params_b`,
 * `memory_gb`; and what it answered: `answer` (text, kept as a digest and a length) or `chars`. An
 * empty cell of a table with tabs says nothing. */
#pragma once

#include <stddef.h>

#include "base/diag.h"
#include "base/status.h"
#include "base/str.h"

enum {
    SCORE_TABLE_CATEGORIES_MAX = 128,
    SCORE_TABLE_EXPERTS_MAX = 256,
    SCORE_TABLE_NAME_MAX = 200, /* bytes */
};

struct score_cell {
    double right;
    double count; /* 0: nobody asked */
};

enum score_trait { /* of an expert */
    SCORE_PRICE,   /* USD for 1,000 requests; mean of the rows */
    SCORE_LATENCY, /* ms; mean of the rows */
    SCORE_PARAMS,  /* billions; largest of the rows */
    SCORE_MEMORY,  /* GB; largest of the rows */
};

enum {
    SCORE_TRAITS = SCORE_MEMORY + 1
};

struct score_answers { /* of an expert */
    size_t texts;      /* rows with an answer */
    size_t same;       /* of these, rows with the most common one */
    size_t lengths;    /* rows with an answer or its length */
    double chars;      /* their mean length in bytes */
};

struct score_table;

struct score_table *score_table_create(void);    /* NULL: no memory */
void score_table_destroy(struct score_table *t); /* NULL allowed */

/* Adds `right` of `count` answers. ST_INVALID: an empty or too long name, not 0 <= right <= count,
 * or a count that is not positive and finite; ST_TOO_BIG: too many names; ST_NO_MEMORY. After an
 * error no cell has changed. */
MUST_CHECK enum status score_table_add(struct score_table *t, struct str category,
                                       struct str expert, struct score_cell answers);

/* Adds the rows of a file. The first row that is wrong ends it: ST_INVALID with file and line (rows
 * before it are in the table); ST_IO, ST_NO_MEMORY. */
MUST_CHECK enum status score_table_read(struct score_table *t, const char *path,
                                        struct diags *diags);

/* The same from text in memory; `file` is for the messages. */
MUST_CHECK enum status score_table_scan(struct score_table *t, struct str text, struct str file,
                                        struct diags *diags);

/* Names in order of first appearance; borrowed until destroy. */
size_t score_table_categories(const struct score_table *t);
size_t score_table_experts(const struct score_table *t);
struct str score_table_category(const struct score_table *t, size_t index);
struct str score_table_expert(const struct score_table *t, size_t index);

struct score_cell score_table_cell(const struct score_table *t, size_t category, size_t expert);

/* All cells, a row of experts per category: category * score_table_experts() + expert. */
void score_table_cells(const struct score_table *t, struct score_cell *ret_cells);

/* What rows said of an expert; NaN: nothing. */
double score_table_trait(const struct score_table *t, size_t expert, enum score_trait trait);

struct score_answers score_table_answers(const struct score_table *t, size_t expert);
