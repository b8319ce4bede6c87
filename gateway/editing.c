/* See editing.h. */
#include "gateway/editing.h"

#include <inttypes.h>

#include "base/json_write.h"
#include "router/demos.h"

/* The category's demonstrations, or else the expert's. */
static const struct demos_settings *demos_of(const struct decision *d, const struct expert *e)
{
    if (d->category != NULL && d->category->edits.demos.read != NULL) {
        return &d->category->edits.demos;
    }
    return e->edits.demos.read != NULL ? &e->edits.demos : NULL;
}

/* What is to be done for an expert; borrows `picked`. */
static void prepare(const struct editing *of, const struct expert *e, struct chat_edit *ret_edit,
                    struct demos_picked *picked)
{
    const struct category *category = of->decision->category;
    const struct demos_settings *settings = demos_of(of->decision, e);
    *ret_edit = (struct chat_edit){&e->edits, category == NULL ? NULL : &category->edits, NULL};
    if (settings == NULL) {
        return;
    }
    struct classifier_segment last = {prompt_last_text(of->prompt), 1.0F};
    struct classifier_result r;
    classifier_score(of->classifier, of->scratch, &last, 1, &r);
    demos_pick(settings->read, r.vector, (size_t)settings->k, settings->budget_tokens, picked);
    ret_edit->demos = picked;
}

enum status editing_apply(const struct editing *of, const struct expert *e, struct str *body,
                          struct chat_edit_notes *ret_notes)
{
    struct demos_picked picked;
    struct chat_edit edit;
    prepare(of, e, &edit, &picked);
    enum status st = chat_edit_apply(&edit, *body, of->arena, body, ret_notes);
    return st == ST_OK ? ST_OK : ST_NO_MEMORY;
}

const char *editing_demos(const struct chat_edit_notes *notes, struct arena *arena)
{
    struct str text = STR("");
    for (size_t i = 0; i < notes->demo_count && text.ptr != NULL; i++) {
        text = arena_printf(arena, "%.*s%s%d", STR_ARG(text), i == 0 ? "" : ", ",
                            notes->demo_lines[i]);
    }
    return text.len == 0 ? NULL : text.ptr;
}

/* "demos":{"lines":[12,7],"tokens":133}, the nearest last */
static enum status write_demos(struct buf *out, const struct demos_picked *picked)
{
    enum status st = buf_append(out, STR(",\"demos\":{\"lines\":["));
    for (size_t i = 0; st == ST_OK && i < picked->count; i++) {
        st = buf_printf(out, "%s%d", i == 0 ? "" : ",", picked->lines[i]);
    }
    return st == ST_OK ? buf_printf(out, "],\"tokens\":%" PRId64 "}", picked->tokens) : st;
}

/* {"temperature":"added","max_tokens":"lowered"} */
static enum status write_params(struct buf *out, const struct chat_edit_notes *notes)
{
    enum status st = buf_append(out, STR(",\"params\":{"));
    bool is_first = true;
    for (unsigned p = 0; st == ST_OK && p < EDITS_PARAMS; p++) {
        unsigned bit = 1U << p;
        if (((notes->added | notes->lowered) & bit) != 0) {
            st = buf_printf(out, "%s\"%s\":\"%s\"", is_first ? "" : ",",
                            edits_param_text((enum edits_param)p),
                            (notes->lowered & bit) != 0 ? "lowered" : "added");
            is_first = false;
        }
    }
    return st == ST_OK ? buf_append_char(out, '}') : st;
}

static enum status write_mode(struct buf *out, const char *name, const struct edits *edits)
{
    if (edits == NULL || edits->prompt.text.len == 0) {
        return ST_OK;
    }
    return buf_printf(out, ",\"%s\":\"%s\"", name,
                      edits_mode_text((enum edits_mode)edits->prompt.mode));
}

enum status editing_explain(const struct editing *of, struct str body, struct buf *out)
{
    const struct plan *plan = &of->decision->plan;
    enum status st = buf_append(out, STR("\"edits\":["));
    for (size_t i = 0; st == ST_OK && i < plan->count && i < plan->attempts_max; i++) {
        const struct expert *e = plan->experts[i];
        struct demos_picked picked;
        struct chat_edit edit;
        struct chat_edit_notes notes;
        struct str edited;
        prepare(of, e, &edit, &picked);
        st = chat_edit_apply(&edit, body, of->arena, &edited, &notes);
        if (st == ST_OK) {
            st = buf_append(out, i == 0 ? STR("{\"expert\":") : STR(",{\"expert\":"));
        }
        if (st == ST_OK) {
            st = json_write_text(out, e->id.name);
        }
        if (st == ST_OK) {
            st = write_params(out, &notes);
        }
        if (st == ST_OK) {
            st = write_mode(out, "expert_prompt", edit.of_expert);
        }
        if (st == ST_OK) {
            st = write_mode(out, "category_prompt", edit.of_category);
        }
        if (st == ST_OK && edit.demos != NULL) {
            st = write_demos(out, edit.demos);
        }
        st = st == ST_OK ? buf_append_char(out, '}') : st;
    }
    return st == ST_OK ? buf_append_char(out, ']') : st;
}
