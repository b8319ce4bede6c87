/* See head_rows.h. */
#include "router/head_rows.h"

#include <string.h>

#include "base/mem.h"

enum {
    FAMILY_BYTES = 48, /* longer names are cut */
    FIFTHS = 5,
};

static const double ridge = 30.0; /* chosen on rows left out: 3 to 100 differ by .005 of the AUC */

struct head_rows {
    const struct classifier *classifier;
    const struct heads *shape;
    struct classifier_scratch *scratch;
    size_t inputs;
    size_t count;
    size_t room;
    float *x; /* room * inputs */
    struct fit_head_row *rows;
    char families[FIT_HEAD_GROUPS_MAX][FAMILY_BYTES];
    size_t family_count;
};

struct head_rows *head_rows_create(const struct classifier *c, const struct heads *shape)
{
    struct head_rows *rows = mem_zalloc(1, sizeof *rows);
    if (rows == NULL) {
        return NULL;
    }
    rows->classifier = c;
    rows->shape = shape;
    rows->inputs = heads_inputs_count(shape);
    rows->scratch = classifier_scratch_create();
    if (rows->scratch == NULL) {
        mem_free(rows);
        return NULL;
    }
    return rows;
}

void head_rows_destroy(struct head_rows *rows)
{
    if (rows == NULL) {
        return;
    }
    classifier_scratch_destroy(rows->scratch);
    mem_free(rows->x);
    mem_free(rows->rows);
    mem_free(rows);
}

static enum status make_room(struct head_rows *rows)
{
    if (rows->count < rows->room) {
        return ST_OK;
    }
    size_t room = rows->room == 0 ? 256 : 2 * rows->room;
    float *x = mem_resize(rows->x, room * rows->inputs * sizeof *x);
    if (x == NULL) {
        return ST_NO_MEMORY;
    }
    rows->x = x;
    struct fit_head_row *items = mem_resize(rows->rows, room * sizeof *items);
    if (items == NULL) {
        return ST_NO_MEMORY;
    }
    rows->rows = items;
    rows->room = room;
    return ST_OK;
}

static enum status group_of(struct head_rows *rows, struct str source, uint32_t *ret_group)
{
    struct str family = str_slice(prompts_family(source), 0, FAMILY_BYTES - 1);
    for (size_t i = 0; i < rows->family_count; i++) {
        if (str_eq(str_from(rows->families[i]), family)) {
            *ret_group = (uint32_t)i;
            return ST_OK;
        }
    }
    if (rows->family_count == FIT_HEAD_GROUPS_MAX) {
        return ST_TOO_BIG;
    }
    if (family.len > 0) {
        memcpy(rows->families[rows->family_count], family.ptr, family.len);
    }
    *ret_group = (uint32_t)rows->family_count++;
    return ST_OK;
}

static double value_of(struct str name, const struct prompts_row *prompt)
{
    if (prompt->has_value) {
        return prompt->value;
    }
    bool is_it = str_eq(prompt->label, name);
    for (size_t i = 0; i < prompt->accept_count; i++) {
        is_it = is_it || str_eq(prompt->accept[i], name);
    }
    return is_it ? 1.0 : 0.0;
}

enum status head_rows_add(struct head_rows *rows, struct str name, const struct prompts_row *prompt)
{
    struct classifier_segment segment = {prompt->text, 1.0F};
    struct classifier_result result;
    struct fit_head_row row = {.value = (float)value_of(name, prompt)};
    enum status st = group_of(rows, prompt->source, &row.group);
    if (st == ST_OK) {
        st = make_room(rows);
    }
    if (st == ST_OK) {
        classifier_score(rows->classifier, rows->scratch, &segment, 1, &result);
        heads_inputs(rows->shape, &result, prompt->text, rows->x + rows->count * rows->inputs);
        rows->rows[rows->count++] = row;
    }
    return st;
}

struct fit_head_task head_rows_task(struct head_rows *rows, enum head_kind kind)
{
    for (size_t i = 0; i < rows->count; i++) {
        rows->rows[i].x = rows->x + i * rows->inputs;
        if (rows->family_count == 1) {
            rows->rows[i].group = (uint32_t)(i * FIFTHS / rows->count);
        }
    }
    return (struct fit_head_task){rows->rows, rows->count, rows->inputs, kind, ridge};
}

struct str head_rows_group(const struct head_rows *rows, size_t group)
{
    return rows->family_count == 1 ? STR("fifth") : str_from(rows->families[group]);
}
