/* See eval_table.h. A list: there are some dozens of names, and evaluation is offline. */
#include "router/eval_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct entry {
    char name[EVAL_TABLE_NAME_MAX];
    size_t length;
    struct eval *eval;
};

struct eval_table {
    const struct eval_labels *labels;
    double threshold;
    struct str general;
    struct entry entries[EVAL_TABLE_MAX];
    size_t count;
};

static struct str name_of(const struct entry *entry)
{
    return (struct str){entry->name, entry->length};
}

static struct entry *find(struct eval_table *t, struct str name)
{
    for (size_t i = 0; i < t->count; i++) {
        if (str_eq(name_of(&t->entries[i]), name)) {
            return &t->entries[i];
        }
    }
    return NULL;
}

static int by_rows(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    size_t rows_a = eval_rows(a->eval);
    size_t rows_b = eval_rows(b->eval);
    return rows_a != rows_b ? (rows_a < rows_b) - (rows_a > rows_b)
                            : str_cmp(name_of(a), name_of(b));
}

struct eval_table *eval_table_create(const struct eval_labels *labels, double threshold,
                                     struct str general)
{
    struct eval_table *t = mem_zalloc(1, sizeof *t);
    if (t != NULL) {
        t->labels = labels;
        t->threshold = threshold;
        t->general = general;
    }
    return t;
}

void eval_table_destroy(struct eval_table *t)
{
    if (t == NULL) {
        return;
    }
    for (size_t i = 0; i < t->count; i++) {
        eval_destroy(t->entries[i].eval);
    }
    mem_free(t);
}

struct eval *eval_table_find(struct eval_table *t, struct str name)
{
    struct str wanted = name.len > 0 ? str_slice(name, 0, EVAL_TABLE_NAME_MAX) : STR("(none)");
    struct entry *found = find(t, wanted);
    if (found == NULL && t->count + 1 >= EVAL_TABLE_MAX) {
        wanted = STR("(others)"); /* the last place is its */
        found = find(t, wanted);
    }
    if (found != NULL) {
        return found->eval;
    }
    struct entry *entry = &t->entries[t->count];
    entry->eval = eval_create(t->labels, t->threshold, t->general);
    if (entry->eval == NULL) {
        return NULL;
    }
    memcpy(entry->name, wanted.ptr, wanted.len);
    entry->length = wanted.len;
    t->count++;
    return entry->eval;
}

void eval_table_sort(struct eval_table *t)
{
    if (t->count > 0) {
        qsort(t->entries, t->count, sizeof t->entries[0], by_rows);
    }
}

size_t eval_table_count(const struct eval_table *t)
{
    return t->count;
}

struct str eval_table_name(const struct eval_table *t, size_t index)
{
    return name_of(&t->entries[index]);
}

struct eval *eval_table_at(struct eval_table *t, size_t index)
{
    return t->entries[index].eval;
}
