/* See cmd_train_report.h. Reads the rows twice: once for the centroids, once for the figures. Has no
 * times: the rows were scored in bulk. */
#include "gateway/cmd_train_report.h"

#include "router/centroid.h"
#include "router/eval.h"
#include "router/eval_table.h"
#include "router/eval_write.h"

static const double threshold = 0.55; /* as `expertd eval` has it */

struct report {
    const struct trainer *trainer;
    struct eval_labels labels;
    struct centroid *centroids[TRAIN_GROUPS]; /* each without its group; NULL: no rows */
    struct eval *pooled;
    struct eval_table *groups;
    struct eval_table *sources;
    struct eval_table *languages;
    size_t row;
};

static size_t label_of(const struct report *r, struct str label)
{
    size_t i = 0;
    while (i < r->labels.count && !str_eq(r->labels.names[i], label)) {
        i++;
    }
    return i;
}

static enum status on_centroid_row(void *ctx, const struct prompts_row *prompt)
{
    struct report *r = ctx;
    size_t own = train_group_of(prompt->source, prompts_original(prompt));
    size_t label = label_of(r, prompt->label);
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < TRAIN_GROUPS; i++) {
        if (i != own) {
            st = centroid_add(r->centroids[i], prompt->text, label);
        }
    }
    return st;
}

static enum status on_row(void *ctx, const struct prompts_row *prompt)
{
    struct report *r = ctx;
    struct classifier_result result;
    size_t group = train_left_out(r->trainer, r->row++, &result);
    if (group == TRAIN_GROUPS) {
        return ST_INVALID;
    }
    size_t centroid = centroid_best(r->centroids[group], prompt->text);
    struct eval *places[] = {
        r->pooled,
        eval_table_find(r->groups, str_from(train_group_name(group))),
        eval_table_find(r->sources, prompts_family(prompt->source)),
        eval_table_find(r->languages, prompt->lang),
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == NULL || eval_add(places[i], prompt, &result, 0.0) != ST_OK) {
            return ST_NO_MEMORY;
        }
        eval_add_centroid(places[i], centroid);
    }
    return ST_OK;
}

static enum status create(struct report *r)
{
    struct str general = STR("general");
    r->labels.count = train_label_count(r->trainer);
    for (size_t i = 0; i < r->labels.count; i++) {
        r->labels.names[i] = train_label(r->trainer, i);
    }
    for (size_t i = 0; i < TRAIN_GROUPS; i++) {
        r->centroids[i] = centroid_create(r->labels.count);
        if (r->centroids[i] == NULL) {
            return ST_NO_MEMORY;
        }
    }
    r->pooled = eval_create(&r->labels, threshold, general);
    r->groups = eval_table_create(&r->labels, threshold, general);
    r->sources = eval_table_create(&r->labels, threshold, general);
    r->languages = eval_table_create(&r->labels, threshold, general);
    bool is_ready =
        r->pooled != NULL && r->groups != NULL && r->sources != NULL && r->languages != NULL;
    return is_ready ? ST_OK : ST_NO_MEMORY;
}

static void destroy(struct report *r)
{
    for (size_t i = 0; i < TRAIN_GROUPS; i++) {
        centroid_destroy(r->centroids[i]);
    }
    eval_destroy(r->pooled);
    eval_table_destroy(r->groups);
    eval_table_destroy(r->sources);
    eval_table_destroy(r->languages);
}

static enum status fill(struct report *r, cmd_train_each_fn each, void *ctx)
{
    enum status st = each(ctx, on_centroid_row, r);
    for (size_t i = 0; st == ST_OK && i < TRAIN_GROUPS; i++) {
        st = centroid_fit(r->centroids[i]);
    }
    return st == ST_OK ? each(ctx, on_row, r) : st;
}

static enum status write_one(struct eval *e, struct str name, struct buf *json, struct buf *text)
{
    struct eval_report figures;
    enum status st = eval_finish(e, &figures);
    if (st == ST_OK) {
        st = eval_write_json(e, &figures, name, json);
    }
    return st == ST_OK ? eval_write_text(&figures, name, text) : st;
}

static enum status write_table(struct eval_table *table, const char *key, struct buf *json,
                               struct buf *text)
{
    enum status st = buf_printf(json, ",\"%s\":", key);
    if (st == ST_OK) {
        st = eval_write_table_json(table, json);
    }
    return st == ST_OK ? eval_write_table_text(table, str_from(key), text) : st;
}

static enum status write_all(struct report *r, struct buf *json, struct buf *text)
{
    enum status st = buf_append(json, STR("{\"left_out\":["));
    eval_table_sort(r->groups);
    for (size_t i = 0; st == ST_OK && i < eval_table_count(r->groups); i++) {
        st = i > 0 ? buf_append_char(json, ',') : ST_OK;
        if (st == ST_OK) {
            st = write_one(eval_table_at(r->groups, i), eval_table_name(r->groups, i), json, text);
        }
    }
    if (st == ST_OK) {
        st = buf_append(json, STR("],\"pooled\":"));
    }
    if (st == ST_OK) {
        st = write_one(r->pooled, STR("pooled"), json, text);
    }
    if (st == ST_OK) {
        st = write_table(r->sources, "sources", json, text);
    }
    if (st == ST_OK) {
        st = write_table(r->languages, "languages", json, text);
    }
    return st == ST_OK ? buf_append(json, STR("}\n")) : st;
}

enum status cmd_train_report(const struct trainer *trainer, cmd_train_each_fn each, void *ctx,
                             struct buf *json, struct buf *text)
{
    struct report r = {.trainer = trainer};
    enum status st = create(&r);
    if (st == ST_OK) {
        st = fill(&r, each, ctx);
    }
    if (st == ST_OK) {
        st = write_all(&r, json, text);
    }
    destroy(&r);
    return st;
}
