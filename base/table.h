/* A hash table from text to pointer: names of experts, categories, labels. Keys are borrowed and
 * must outlive the table; values are never touched. Not for hot counters, not thread-safe for
 * writers; any number of readers once nobody writes. */
#pragma once

#include <stddef.h>

#include "base/str.h"

struct table;

struct table *table_create(void);    /* NULL: no memory */
void table_destroy(struct table *t); /* NULL allowed; does not free values */
size_t table_count(const struct table *t);

/* Adds or replaces; *ret_old (NULL allowed) gets the former value or NULL. ST_NO_MEMORY. */
MUST_CHECK enum status table_put(struct table *t, struct str key, void *value, void **ret_old);
void *table_get(const struct table *t, struct str key); /* NULL: not there */

/* The key nearest to `wanted` by edit distance, within a third of its length (at least 2); the empty
 * string when none is near. For did-you-mean. */
struct str table_nearest(const struct table *t, struct str wanted);
