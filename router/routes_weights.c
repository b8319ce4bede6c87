/* See routes_build.h. */
#include "base/file.h"
#include "router/demos.h"
#include "router/examples.h"
#include "router/heads.h"
#include "router/routes_build.h"

static bool has_language(const struct language_model *m, struct str code)
{
    for (size_t i = 1; i < language_count(m); i++) {
        if (str_eq(language_code(m, i), code)) {
            return true;
        }
    }
    return false;
}

static void check_languages(const struct routes_build *b, const struct expert *e)
{
    const struct language_model *m = b->routes->languages;
    if (m == NULL && e->languages.count > 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, e->id.pos,
                  "expert \"%.*s\" has languages, which needs router.languages: without tables "
                  "nothing tells the language of a prompt",
                  STR_ARG(e->id.name));
        return;
    }
    for (size_t i = 0; i < e->languages.count; i++) {
        if (!has_language(m, e->languages.items[i])) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, e->id.pos,
                      "expert \"%.*s\" has the language \"%.*s\", which the tables do not tell: "
                      "codes are those of ISO 639-1, as en or de",
                      STR_ARG(e->id.name), STR_ARG(e->languages.items[i]));
        }
    }
}

enum status routes_load_languages(const struct routes_build *b)
{
    struct routes *r = b->routes;
    enum status st = ST_OK;
    if (r->router.languages.len > 0) {
        char *path = arena_copy_z(b->reader->arena, r->router.languages);
        st = path == NULL ? ST_NO_MEMORY
             : !keys_may_read(b->reader, path)
                 ? ST_IO
                 : language_model_load(path, b->reader->diags, &r->languages);
    }
    if (st != ST_OK) {
        return st == ST_NO_MEMORY ? st : ST_OK; /* the diagnostic says it all */
    }
    const struct expert *experts = r->experts.items;
    for (size_t i = 0; i < r->experts.count; i++) {
        check_languages(b, &experts[i]);
    }
    return ST_OK;
}

static bool rules_mention(const struct routes *r, struct str category)
{
    const struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->rules.count; i++) {
        if (str_eq(rules[i].category, category)) {
            return true;
        }
    }
    return false;
}

static size_t find_label(const struct classifier *c, struct str name)
{
    size_t i = 0;
    while (i < classifier_label_count(c) && !str_eq(classifier_label(c, i), name)) {
        i++;
    }
    return i;
}

/* Gives the label to the category. */
static void claim(const struct routes_build *b, const struct category *category, struct str label)
{
    struct routes *r = b->routes;
    size_t i = find_label(r->classifier, label);
    if (i == classifier_label_count(r->classifier)) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, category->id.pos,
                  "the classifier has no label \"%.*s\" (category \"%.*s\")", STR_ARG(label),
                  STR_ARG(category->id.name));
        return;
    }
    if (r->label_categories[i] != NULL) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, category->id.pos,
                  "label \"%.*s\" feeds both category \"%.*s\" and category \"%.*s\"",
                  STR_ARG(label), STR_ARG(r->label_categories[i]->id.name),
                  STR_ARG(category->id.name));
        return;
    }
    r->label_categories[i] = category;
}

/* Maps the classifier's labels to categories: those that categories name, and then those whose name
 * a category has that names none. */
static void map_labels(const struct routes_build *b)
{
    struct routes *r = b->routes;
    const struct category *categories = r->categories.items;
    for (size_t c = 0; c < r->categories.count; c++) {
        r->has_merged = r->has_merged || categories[c].labels.count > 1;
        for (size_t i = 0; i < categories[c].labels.count; i++) {
            claim(b, &categories[c], categories[c].labels.items[i]);
        }
    }
    for (size_t i = 0; i < classifier_label_count(r->classifier); i++) {
        const struct category *own = routes_category(r, classifier_label(r->classifier, i));
        if (r->label_categories[i] == NULL && own != NULL && own->labels.count == 0) {
            r->label_categories[i] = own;
        }
    }
}

/* Warns of categories that nothing leads to. */
static void warn_unreachable(const struct routes_build *b)
{
    const struct routes *r = b->routes;
    const struct category *categories = r->categories.items;
    for (size_t c = 0; c < r->categories.count; c++) {
        bool is_reachable = &categories[c] == r->general || &categories[c] == r->multilingual ||
                            &categories[c] == r->code || categories[c].examples.count > 0 ||
                            rules_mention(r, categories[c].id.name);
        for (size_t i = 0; i < classifier_label_count(r->classifier); i++) {
            is_reachable = is_reachable || r->label_categories[i] == &categories[c];
        }
        if (!is_reachable) {
            diags_add(
                b->reader->diags, DIAG_WARNING, b->file, categories[c].id.pos,
                "category \"%.*s\" is no label of the classifier, has no examples, and no rule "
                "names it: only clients that ask for category/%.*s get there",
                STR_ARG(categories[c].id.name), STR_ARG(categories[c].id.name));
        }
    }
}

/* Without weights there is nothing that examples could be fitted on. */
static void check_examples(const struct routes_build *b)
{
    const struct category *categories = b->routes->categories.items;
    for (size_t i = 0; i < b->routes->categories.count; i++) {
        if (categories[i].examples.count > 0 || categories[i].labels.count > 0) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, categories[i].id.pos,
                      "category \"%.*s\" has examples or labels, which need router.model",
                      STR_ARG(categories[i].id.name));
        }
    }
}

/* NULL: no memory. */
static const char *background_path(const struct routes_build *b)
{
    const struct router_settings *s = &b->routes->router;
    struct str folder = s->model;
    while (folder.len > 0 && folder.ptr[folder.len - 1] != '/') {
        folder.len--;
    }
    return s->background.len > 0
               ? arena_copy_z(b->reader->arena, s->background)
               : arena_printf(b->reader->arena, "%.*sbackground.txt", STR_ARG(folder)).ptr;
}

enum status routes_load_classifier(const struct routes_build *b)
{
    struct routes *r = b->routes;
    if (r->router.model.len == 0) {
        check_examples(b);
        return ST_OK;
    }
    char *path = arena_copy_z(b->reader->arena, r->router.model);
    const char *background = background_path(b);
    if (path == NULL || background == NULL ||
        keys_note_path(b->reader, str_from(background)) !=
            ST_OK) { /* also where nothing reads it yet */
        return ST_NO_MEMORY;
    }
    enum status st = keys_may_read(b->reader, path)
                         ? classifier_load(path, b->reader->diags, &r->classifier)
                         : ST_IO;
    if (st == ST_OK) {
        map_labels(b);
        warn_unreachable(b);
    }
    return st == ST_NO_MEMORY ? st : ST_OK;
}

void routes_resolve_heads(const struct routes_build *b)
{
    const struct routes *r = b->routes;
    struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->rules.count; i++) {
        struct rule_head *heads = rules[i].when.heads.items;
        for (size_t j = 0; j < rules[i].when.heads.count; j++) {
            heads[j].index = r->classifier == NULL
                                 ? SIZE_MAX
                                 : heads_find(classifier_heads(r->classifier), heads[j].id.name);
            if (heads[j].index == SIZE_MAX) {
                diags_add(b->reader->diags, DIAG_ERROR, b->file, heads[j].id.pos,
                          "the weights under \"router\" have no head \"%.*s\"",
                          STR_ARG(heads[j].id.name));
            }
        }
    }
}

static enum status read_demos(const struct routes_build *b, struct edits *edits, struct pos pos)
{
    struct demos_settings *demos = &edits->demos;
    if (demos->file.len == 0) {
        return ST_OK;
    }
    if (b->routes->router.model.len == 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, pos,
                  "\"demos\" needs router.model: its vectors tell which are near");
    }
    return b->routes->classifier == NULL
               ? ST_OK
               : demos_read(b->reader, demos->file, b->routes->classifier, &demos->read);
}

enum status routes_read_demos(const struct routes_build *b)
{
    struct expert *experts = b->routes->experts.items;
    struct category *categories = b->routes->categories.items;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < b->routes->experts.count; i++) {
        st = read_demos(b, &experts[i].edits, experts[i].id.pos);
    }
    for (size_t i = 0; st == ST_OK && i < b->routes->categories.count; i++) {
        st = read_demos(b, &categories[i].edits, categories[i].id.pos);
    }
    return st;
}

/* The label that the examples of a category sharpen, or SIZE_MAX. */
static size_t sharpened(const struct routes *r, const struct category *category)
{
    for (size_t i = 0; i < classifier_label_count(r->classifier); i++) {
        if (r->label_categories[i] == category) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Reads the examples of all categories. */
static enum status list_sources(const struct routes_build *b,
                                struct custom_source sources[CUSTOM_MAX])
{
    struct routes *r = b->routes;
    const struct category *categories = r->categories.items;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->categories.count; i++) {
        struct examples examples;
        const struct category *c = &categories[i];
        if (c->examples.count == 0) {
            continue;
        }
        if (r->custom_count == CUSTOM_MAX) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, c->id.pos,
                      "more than %d categories have examples", (int)CUSTOM_MAX);
            break;
        }
        st = examples_read(b->reader, b->file, c->id.pos, &c->examples, &examples);
        sources[r->custom_count] =
            (struct custom_source){examples.lines, examples.count, sharpened(r, c), SIZE_MAX};
        r->custom_categories[r->custom_count++] = c;
    }
    for (size_t i = 0; i < r->custom_count; i++) {
        for (size_t k = 0; k < r->custom_count; k++) {
            bool is_parent = r->custom_categories[i]->parent == r->custom_categories[k];
            sources[i].parent = is_parent ? k : sources[i].parent;
        }
    }
    return st;
}

static enum status map_background(const struct routes_build *b, struct str *ret_bytes)
{
    const char *path = background_path(b);
    if (path == NULL) {
        return ST_NO_MEMORY;
    }
    return keys_may_read(b->reader, path) ? file_map(path, b->reader->diags, ret_bytes) : ST_IO;
}

enum status routes_fit_examples(const struct routes_build *b)
{
    struct routes *r = b->routes;
    struct custom_source sources[CUSTOM_MAX];
    struct str background;
    size_t errors = b->reader->diags->errors;
    enum status st = list_sources(b, sources);
    if (st != ST_OK || r->custom_count == 0 || b->reader->diags->errors != errors) {
        return st;
    }
    st = map_background(b, &background);
    if (st != ST_OK) {
        return st == ST_NO_MEMORY ? st : ST_OK;
    }
    st = custom_fit(r->classifier, background, sources, r->custom_count, &r->custom);
    file_unmap(background);
    if (st == ST_INVALID) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  "router.background has fewer than %d prompts: too few to tell examples from",
                  (int)CUSTOM_BACKGROUND_MIN);
        return ST_OK;
    }
    return st;
}
