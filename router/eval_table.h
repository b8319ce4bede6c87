/* Evaluations by name: one for each source, language or group that comes along. When there are
 * EVAL_TABLE_MAX, further names count as "(others)". One owner; not thread-safe. */
#pragma once

#include <stddef.h>

#include "base/status.h"
#include "base/str.h"
#include "router/eval.h"

enum {
    EVAL_TABLE_MAX = 128,
    EVAL_TABLE_NAME_MAX = 64, /* longer names are cut */
};

struct eval_table;

/* labels: borrowed for the life of the table. NULL: no memory. */
struct eval_table *eval_table_create(const struct eval_labels *labels, double threshold,
                                     struct str general);
void eval_table_destroy(struct eval_table *t); /* NULL allowed */

/* The evaluation of that name, empty if it is new; the empty name is "(none)". Valid until the next
 * eval_table_sort. NULL: no memory. */
struct eval *eval_table_find(struct eval_table *t, struct str name);

/* Most rows first, then by name. */
void eval_table_sort(struct eval_table *t);

size_t eval_table_count(const struct eval_table *t);
struct str eval_table_name(const struct eval_table *t, size_t index);
struct eval *eval_table_at(struct eval_table *t, size_t index);
