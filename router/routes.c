/* See routes.h. The keys are in routes_keys.c; what hangs on weights is in routes_weights.c. */
#include "router/routes.h"

#include "router/advice.h"
#include "router/decide.h"
#include "router/prove.h"
#include "router/routes_build.h"

struct expert *routes_expert(const struct routes *routes, struct str name)
{
    return routes->expert_names == NULL ? NULL : table_get(routes->expert_names, name);
}

struct category *routes_category(const struct routes *routes, struct str name)
{
    return routes->category_names == NULL ? NULL : table_get(routes->category_names, name);
}

struct alias *routes_alias(const struct routes *routes, struct str name)
{
    return routes->alias_names == NULL ? NULL : table_get(routes->alias_names, name);
}

/* "unknown expert "x" in y, did you mean "z"?" */
static void complain_unknown(const struct routes_build *b, struct pos pos, const char *what,
                             struct str name, const struct table *known)
{
    struct str near = table_nearest(known, name);
    if (near.len > 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, pos,
                  "unknown %s \"%.*s\", did you mean \"%.*s\"?", what, STR_ARG(name),
                  STR_ARG(near));
        return;
    }
    diags_add(b->reader->diags, DIAG_ERROR, b->file, pos, "unknown %s \"%.*s\"", what,
              STR_ARG(name));
}

static enum status name_everything(const struct routes_build *b)
{
    struct routes *r = b->routes;
    r->expert_names = table_create();
    r->category_names = table_create();
    r->alias_names = table_create();
    if (r->expert_names == NULL || r->category_names == NULL || r->alias_names == NULL) {
        return ST_NO_MEMORY;
    }
    struct expert *experts = r->experts.items;
    for (size_t i = 0; i < r->experts.count; i++) {
        if (table_put(r->expert_names, experts[i].id.name, &experts[i], NULL) != ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    struct category *categories = r->categories.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        categories[i].index = i;
        categories[i].model =
            arena_printf(b->reader->arena, "category/%.*s", STR_ARG(categories[i].id.name));
        if (categories[i].model.ptr == NULL) {
            return ST_NO_MEMORY;
        }
        if (table_put(r->category_names, categories[i].id.name, &categories[i], NULL) != ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    for (size_t i = 0; i < r->aliases.count; i++) {
        if (table_put(r->alias_names, r->aliases.items[i].name, &r->aliases.items[i], NULL) !=
            ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    return ST_OK;
}

/* Model names that clients reach something else by. */
static bool means_something_else(struct str name)
{
    return str_eq(name, STR("auto")) || str_starts_with(name, STR("category/"));
}

static enum status build_experts(const struct routes_build *b)
{
    struct expert *experts = b->routes->experts.items;
    for (size_t i = 0; i < b->routes->experts.count; i++) {
        if (!experts[i].limits.breaker.is_given) {
            experts[i].limits.breaker = b->routes->policies.breaker;
        }
        enum status st = expert_build(&experts[i], i, b->reader, b->file);
        if (st == ST_NO_MEMORY) {
            return st;
        }
        if (means_something_else(experts[i].id.name)) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, experts[i].id.pos,
                      "an expert cannot be called \"%.*s\": that name means something else to "
                      "clients",
                      STR_ARG(experts[i].id.name));
        }
    }
    return ST_OK;
}

static void resolve_aliases(const struct routes_build *b)
{
    struct routes *r = b->routes;
    for (size_t i = 0; i < r->aliases.count; i++) {
        struct alias *alias = &r->aliases.items[i];
        if (means_something_else(alias->name) || routes_expert(r, alias->name) != NULL) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, alias->pos,
                      "alias \"%.*s\" has the name of something else", STR_ARG(alias->name));
        }
        for (size_t k = 0; k < alias->count; k++) {
            alias->experts[k] = routes_expert(r, alias->names[k]);
            if (alias->experts[k] == NULL) {
                complain_unknown(b, alias->pos, "expert", alias->names[k], r->expert_names);
            }
        }
    }
}

static void resolve_categories(const struct routes_build *b)
{
    struct routes *r = b->routes;
    struct category *categories = r->categories.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        struct category_expert *list = categories[i].experts.items;
        if (categories[i].experts.count == 0) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, categories[i].id.pos,
                      "category \"%.*s\" has no experts", STR_ARG(categories[i].id.name));
        }
        for (size_t k = 0; k < categories[i].experts.count; k++) {
            list[k].expert = routes_expert(r, list[k].name);
            if (list[k].expert == NULL) {
                complain_unknown(b, list[k].id.pos, "expert", list[k].name, r->expert_names);
            }
        }
    }
}

/* A split draws among the category's own experts, so that all that is proven of those holds. */
static void check_splits(const struct routes_build *b)
{
    const struct category *categories = b->routes->categories.items;
    for (size_t i = 0; i < b->routes->categories.count; i++) {
        const struct category *c = &categories[i];
        const struct category_split *splits = c->splits.items;
        const struct category_expert *experts = c->experts.items;
        double sum = 0.0;
        for (size_t k = 0; k < c->splits.count; k++) {
            size_t at = 0;
            while (at < c->experts.count && !str_eq(experts[at].name, splits[k].name)) {
                at++;
            }
            if (at == c->experts.count) {
                diags_add(b->reader->diags, DIAG_ERROR, b->file, splits[k].id.pos,
                          "\"%.*s\" is no expert of category \"%.*s\": a split draws among those",
                          STR_ARG(splits[k].name), STR_ARG(c->id.name));
            }
            sum += splits[k].percent;
        }
        if (sum > 100.0) {
            diags_add(b->reader->diags, DIAG_ERROR, b->file, splits[0].id.pos,
                      "the split of category \"%.*s\" adds up to %g percent", STR_ARG(c->id.name),
                      sum);
        }
    }
}

/* What a category does not say itself it has from its parent, which has none. */
static void inherit(const struct routes_build *b)
{
    struct routes *r = b->routes;
    struct category *categories = r->categories.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        struct category *c = &categories[i];
        if (c->parent_name.len == 0) {
            continue;
        }
        c->parent = routes_category(r, c->parent_name);
        if (c->parent == NULL) {
            complain_unknown(b, c->id.pos, "category", c->parent_name, r->category_names);
            continue;
        }
        if (c->parent->parent_name.len > 0) {
            diags_add(
                b->reader->diags, DIAG_ERROR, b->file, c->id.pos,
                "category \"%.*s\" cannot have the parent \"%.*s\", which has a parent itself",
                STR_ARG(c->id.name), STR_ARG(c->parent_name));
        }
        if (c->examples.count == 0) {
            diags_add(
                b->reader->diags, DIAG_ERROR, b->file, c->id.pos,
                "category \"%.*s\" has a parent, but no examples that tell it from the parent",
                STR_ARG(c->id.name));
        }
        c->experts = c->experts.count == 0 ? c->parent->experts : c->experts;
        if (!edits_any_param(&c->edits)) {
            c->edits.params = c->parent->edits.params;
        }
        c->edits.prompt = c->edits.prompt.text.len == 0 ? c->parent->edits.prompt : c->edits.prompt;
        c->edits.demos = c->edits.demos.file.len == 0 ? c->parent->edits.demos : c->edits.demos;
        c->caching = c->caching.ttl_s == 0 ? c->parent->caching : c->caching;
        c->threshold = c->threshold > 0.0 ? c->threshold : c->parent->threshold;
    }
}

static void resolve_general(const struct routes_build *b)
{
    struct routes *r = b->routes;
    if (r->categories.count == 0) {
        return;
    }
    r->general = routes_category(r, r->router.general);
    if (r->general == NULL) {
        const struct category *first = r->categories.items;
        diags_add(b->reader->diags, DIAG_ERROR, b->file, first->id.pos,
                  "there is no category \"%.*s\" (router.general), where prompts go that the "
                  "classifier is not sure about",
                  STR_ARG(r->router.general));
    }
}

/* A category that the router's settings name, or NULL. */
static const struct category *resolve_setting(const struct routes_build *b, const char *key,
                                              struct str name)
{
    const struct category *category = routes_category(b->routes, name);
    if (category == NULL && name.len > 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  "there is no category \"%.*s\" (%s)", STR_ARG(name), key);
    }
    return category;
}

bool routes_embeds(const struct routes *routes, struct str name)
{
    const struct alias *alias = routes_alias(routes, name);
    const struct expert *e = routes_expert(routes, name);
    bool embeds = e != NULL && (e->capabilities & EXPERT_EMBED) != 0;
    for (size_t i = 0; alias != NULL && i < alias->count; i++) {
        e = alias->experts[i];
        embeds = embeds || (e != NULL && (e->capabilities & EXPERT_EMBED) != 0);
    }
    return embeds;
}

bool routes_has_auto(const struct routes *routes)
{
    return routes->general != NULL || routes->router.embeddings.len > 0;
}

static void check_embeddings(const struct routes_build *b)
{
    struct str name = b->routes->router.embeddings;
    bool is_known = routes_alias(b->routes, name) != NULL || routes_expert(b->routes, name) != NULL;
    if (name.len > 0 && !routes_embeds(b->routes, name)) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  is_known ? "router.embeddings leads to \"%.*s\", which does not embed: an expert "
                             "says that it does with capabilities: [embed]"
                           : "there is no alias or expert \"%.*s\" (router.embeddings)",
                  STR_ARG(name));
    }
}

static void resolve_settings(const struct routes_build *b)
{
    struct routes *r = b->routes;
    check_embeddings(b);
    r->multilingual = resolve_setting(b, "router.multilingual", r->router.multilingual);
    r->code = resolve_setting(b, "router.code", r->router.code);
    if (r->multilingual != NULL && r->router.languages.len == 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, (struct pos){0, 0},
                  "router.multilingual needs router.languages: without tables nothing tells the "
                  "language of a prompt");
    }
}

static enum status build_rules(const struct routes_build *b)
{
    struct routes *r = b->routes;
    struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->rules.count; i++) {
        enum status st = rule_build(&rules[i], b->reader, b->file);
        if (st == ST_NO_MEMORY) {
            return st;
        }
        if (rules[i].category.len > 0 && routes_category(r, rules[i].category) == NULL) {
            complain_unknown(b, rules[i].id.pos, "category", rules[i].category, r->category_names);
        }
        if (rules[i].expert.len > 0 && routes_expert(r, rules[i].expert) == NULL) {
            complain_unknown(b, rules[i].id.pos, "expert", rules[i].expert, r->expert_names);
        }
    }
    return ST_OK;
}

enum status routes_build(struct routes *routes, struct key_reader *reader, struct str file)
{
    struct routes_build b = {routes, reader, file};
    size_t errors = reader->diags->errors;
    enum status st = name_everything(&b);
    if (st == ST_OK) {
        st = build_experts(&b);
    }
    if (st != ST_OK) {
        return st;
    }
    resolve_aliases(&b);
    inherit(&b);
    resolve_categories(&b);
    check_splits(&b);
    resolve_general(&b);
    resolve_settings(&b);
    st = build_rules(&b);
    if (st == ST_OK) {
        st = routes_load_languages(&b);
    }
    if (st == ST_OK) {
        st = routes_load_classifier(&b);
    }
    if (st == ST_OK) {
        routes_resolve_heads(&b);
    }
    if (st == ST_OK && routes->classifier != NULL) {
        st = routes_fit_examples(&b);
    }
    if (st == ST_OK) {
        st = routes_read_demos(&b);
    }
    if (st == ST_OK && reader->diags->errors == errors) {
        thresholds_build(routes, reader, file);
        st = guarantees_build(routes, reader, file);
    }
    if (st == ST_OK && reader->diags->errors != errors) {
        st = ST_INVALID;
    }
    return st;
}

enum status routes_prove(const struct routes *routes, struct key_reader *reader, struct str file)
{
    size_t errors = reader->diags->errors;
    prove(routes, reader, file);
    advise(routes, reader, file);
    return reader->diags->errors == errors ? ST_OK : ST_INVALID;
}

/* ----------------------------------------------------------------- tests */

static void judge(const struct routes_build *b, const struct route_test *test,
                  const struct decision *d)
{
    struct str category = d->category_name;
    struct str expert = d->plan.count > 0 ? d->plan.experts[0]->id.name : STR("");
    struct str want_category = test->expect.category;
    struct str want_expert = test->expect.expert;
    if (want_category.len == 0 && want_expert.len == 0) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, test->id.pos,
                  "this test expects nothing: name a category or an expert under \"expect\"");
        return;
    }
    bool is_right = (want_category.len == 0 || str_eq(category, want_category)) &&
                    (want_expert.len == 0 || str_eq(expert, want_expert));
    if (!is_right) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, test->id.pos,
                  "this test fails: the prompt goes to category \"%.*s\" (confidence %.2f), expert "
                  "\"%.*s\", expected category \"%.*s\", expert \"%.*s\"",
                  STR_ARG(category), (double)d->confidence, STR_ARG(expert), STR_ARG(want_category),
                  STR_ARG(want_expert));
    }
}

enum status routes_run_tests(struct routes *routes, struct key_reader *reader, struct str file)
{
    struct routes_build b = {routes, reader, file};
    size_t errors = reader->diags->errors;
    struct decide_scratch scratch;
    enum status st = decide_scratch_init(&scratch);
    const struct route_test *tests = routes->tests.items;
    for (size_t i = 0; st == ST_OK && i < routes->tests.count; i++) {
        struct prompt prompt;
        struct decision decision;
        prompt_from_text(&prompt, STR("auto"), tests[i].prompt);
        struct rule_facts facts = {.prompt = &prompt};
        st = decide(routes, &scratch, &facts, reader->arena, &decision);
        if (st == ST_OK || st == ST_INVALID) {
            st = ST_OK;
            judge(&b, &tests[i], &decision);
        } else if (st == ST_NOT_FOUND) {
            diags_add(reader->diags, DIAG_ERROR, file, tests[i].id.pos,
                      "tests need categories to route to");
            st = ST_OK;
        }
    }
    decide_scratch_fini(&scratch);
    return st == ST_OK && reader->diags->errors != errors ? ST_INVALID : st;
}

void routes_fini(struct routes *routes)
{
    struct expert *experts = routes->experts.items;
    for (size_t i = 0; i < routes->experts.count; i++) {
        expert_fini(&experts[i]);
    }
    struct rule *rules = routes->rules.items;
    for (size_t i = 0; i < routes->rules.count; i++) {
        rule_fini(&rules[i]);
    }
    custom_destroy(routes->custom);
    classifier_unref(routes->classifier);
    language_model_destroy(routes->languages);
    table_destroy(routes->expert_names);
    table_destroy(routes->category_names);
    table_destroy(routes->alias_names);
}
