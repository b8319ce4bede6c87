/* See prove.h. A way either belongs to prompts of the guarantee alone (its own category, a rule that
 * it names): then every expert on it must be permitted. Or they share it with other prompts: then the
 * same holds of a strict guarantee; of another one an expert must be left, or those prompts are
 * refused there, which is said. */
#include "router/prove.h"

#include "base/arena.h"
#include "router/routes.h"

struct walk {
    const struct routes *routes;
    struct key_reader *reader;
    struct str file;
    const struct guarantee *g;
};

enum use { /* who takes a way, as seen by a guarantee */
    USE_NEVER,
    USE_SHARED,
    USE_OWN,
};

enum empty {         /* what it means that a shared way is left without experts */
    EMPTY_GOES_HOME, /* nothing: the category of the guarantee takes the prompt */
    EMPTY_REFUSES,   /* the prompt is refused: said */
};

struct way {
    struct str text; /* "category medical -> rule "x"" */
    enum use use;
    enum empty empty;
    struct pos pos; /* where the way is written */
};

/* Whether all who take the way are of the guarantee. A tenant shares every way with others. */
static bool is_theirs_alone(const struct walk *w, const struct way *way)
{
    return way->use == USE_OWN && w->g->when.tenant.count == 0;
}

static enum use use_of(const struct walk *w, const struct category *category,
                       const struct rule *rule)
{
    struct guarantee_path path = {category, rule, false};
    if (guarantee_could_hold(w->routes, w->g, &path)) {
        return USE_OWN;
    }
    path.is_shared = true;
    return guarantee_could_hold(w->routes, w->g, &path) ? USE_SHARED : USE_NEVER;
}

/* "category medical": what prompts of the guarantee are called on ways that do not say it. */
static struct str start(const struct walk *w)
{
    const struct key_texts *names = &w->g->when.category;
    return names->count > 0
               ? arena_printf(w->reader->arena, "category %.*s", STR_ARG(names->items[0]))
               : STR("any prompt");
}

/* "remote", or why it is not permitted. */
static const char *flaw(const struct guarantee *g, const struct expert *e)
{
    bool is_near = expert_is_local(e);
    bool is_there =
        g->only.locality == GUARANTEE_ANYWHERE || is_near == (g->only.locality == GUARANTEE_LOCAL);
    if (g->when.redacted == GUARANTEE_NOT_REDACTED) {
        return is_near ? "where private data is not replaced" : "remote, private data stays in";
    }
    return is_there ? "not among its experts" : is_near ? "local" : "remote";
}

/* Whether prompts of the category, or of none (NULL), may go to the expert on this way; says so if they
 * must and may not. */
static bool meet(const struct walk *w, const struct way *way, const struct category *category,
                 const struct expert *e, struct pos pos)
{
    bool is_permitted =
        w->g->permits[e->index] || !guarantee_redaction_could(w->routes, w->g, category, e);
    if (!is_permitted && (is_theirs_alone(w, way) || w->g->is_strict)) {
        diags_add(w->reader->diags, DIAG_ERROR, w->file, pos,
                  "guarantee \"%.*s\": %.*s -> expert %.*s (%s)%s", STR_ARG(w->g->name),
                  STR_ARG(way->text), STR_ARG(e->id.name), flaw(w->g, e),
                  is_theirs_alone(w, way)
                      ? ""
                      : "; take it out, or have it dropped there for such prompts: strict: false");
    }
    return is_permitted;
}

static void end(const struct walk *w, const struct way *way, size_t permitted)
{
    if (!is_theirs_alone(w, way) && !w->g->is_strict && permitted == 0 &&
        way->empty == EMPTY_REFUSES) {
        diags_add(w->reader->diags, DIAG_WARNING, w->file, way->pos,
                  "guarantee \"%.*s\": %.*s -> no expert: such prompts are refused there",
                  STR_ARG(w->g->name), STR_ARG(way->text));
    }
}

static void walk_category(const struct walk *w, const struct way *way,
                          const struct category *category)
{
    const struct category_expert *list = category->experts.items;
    size_t permitted = 0;
    for (size_t i = 0; i < category->experts.count; i++) {
        permitted += meet(w, way, category, list[i].expert, list[i].id.pos);
    }
    end(w, way, permitted);
}

/* A category, for prompts that are known to be of it. */
static void walk_own(const struct walk *w, const struct category *category)
{
    if (use_of(w, category, NULL) != USE_OWN) {
        return;
    }
    struct way way = {arena_printf(w->reader->arena, "category %.*s", STR_ARG(category->id.name)),
                      USE_OWN, EMPTY_REFUSES, category->id.pos};
    walk_category(w, &way, category);
}

/* A category where prompts go that look like one of the guarantee's, or might be. */
static void walk_unsure(const struct walk *w, const struct category *category, const char *how)
{
    if (category == NULL || use_of(w, category, NULL) != USE_SHARED) {
        return;
    }
    bool has_home = false;
    for (size_t i = 0; i < w->g->when.category.count; i++) {
        has_home = has_home || routes_category(w->routes, w->g->when.category.items[i]) != NULL;
    }
    struct str text = start(w);
    struct way way = {arena_printf(w->reader->arena, "%.*s%s -> category %.*s", STR_ARG(text), how,
                                   STR_ARG(category->id.name)),
                      USE_SHARED, has_home ? EMPTY_GOES_HOME : EMPTY_REFUSES, category->id.pos};
    walk_category(w, &way, category);
}

static bool has_label(const struct routes *r, const struct category *category)
{
    bool is_found = false;
    for (size_t i = 0; r->classifier != NULL && i < classifier_label_count(r->classifier); i++) {
        is_found = is_found || r->label_categories[i] == category;
    }
    return is_found;
}

/* With sets of several categories, the best of one may be another than the guarantee's. */
static void walk_sets(const struct walk *w)
{
    const struct routes *r = w->routes;
    const struct category *categories = r->categories.items;
    if (r->thresholds.method != UNCERTAINTY_CONFORMAL || r->thresholds.set_max < 2) {
        return;
    }
    for (size_t i = 0; i < r->categories.count; i++) {
        if (&categories[i] != r->general && has_label(r, &categories[i])) {
            walk_unsure(w, &categories[i], ", one of a conformal set");
        }
    }
}

/* A label that it names may feed a category of another name. */
static void walk_labels(const struct walk *w)
{
    size_t labels = classifier_label_count(w->routes->classifier);
    for (size_t i = 0; i < labels; i++) {
        if ((w->g->labels >> i & 1) != 0) {
            walk_unsure(w, w->routes->label_categories[i], ", whose label feeds another");
        }
    }
}

/* Examples take prompts from the classifier, and from each other. Where
 * a category asks for more than they give, the prompt is the classifier's again. */
static void walk_examples(const struct walk *w)
{
    const struct routes *r = w->routes;
    const struct category *categories = r->categories.items;
    bool is_left = false;
    for (size_t i = 0; i < r->custom_count; i++) {
        const struct category *own = r->custom_categories[i];
        walk_unsure(w, own, ", taken by examples");
        walk_unsure(w, own->parent, ", taken by examples of a part");
        is_left = is_left || own->threshold > (double)CUSTOM_TAKES;
    }
    for (size_t i = 0; is_left && w->g->examples != 0 && i < r->categories.count; i++) {
        if (&categories[i] != r->general && has_label(r, &categories[i])) {
            walk_unsure(w, &categories[i], ", below the threshold of its examples");
        }
    }
}

static struct str rule_text(const struct walk *w, const struct rule *rule)
{
    const struct rule *first = w->routes->rules.items;
    return rule->name.len > 0
               ? arena_printf(w->reader->arena, "rule \"%.*s\"", STR_ARG(rule->name))
               : arena_printf(w->reader->arena, "rule %zu", (size_t)(rule - first) + 1);
}

static void walk_rule(const struct walk *w, const struct rule *rule)
{
    struct arena *arena = w->reader->arena;
    const struct category *category = routes_category(w->routes, rule->category);
    enum use use = use_of(w, category, rule);
    if (use == USE_NEVER || (category != NULL && use_of(w, category, NULL) == USE_OWN)) {
        return; /* the category's own way says it */
    }
    struct str text = rule_text(w, rule);
    struct str from = start(w);
    struct way way = {text, use, EMPTY_REFUSES, rule->id.pos};
    if (use == USE_SHARED) {
        way.text = arena_printf(arena, "%.*s -> %.*s", STR_ARG(from), STR_ARG(text));
    }
    if (category != NULL) {
        way.text = arena_printf(arena, "%.*s -> category %.*s", STR_ARG(way.text),
                                STR_ARG(category->id.name));
        walk_category(w, &way, category);
        return;
    }
    bool is_permitted = meet(w, &way, NULL, routes_expert(w->routes, rule->expert), rule->id.pos);
    end(w, &way, is_permitted);
}

static void walk_alias(const struct walk *w, const struct alias *alias)
{
    enum use use = use_of(w, NULL, NULL);
    if (use == USE_NEVER) {
        return;
    }
    struct str from = start(w);
    struct way way = {arena_printf(w->reader->arena, "%.*s -> alias \"%.*s\"", STR_ARG(from),
                                   STR_ARG(alias->name)),
                      use, EMPTY_REFUSES, alias->pos};
    size_t permitted = 0;
    for (size_t i = 0; i < alias->count; i++) {
        permitted += meet(w, &way, NULL, alias->experts[i], alias->pos);
    }
    end(w, &way, permitted);
}

/* Whom auto means for embeddings; an alias has its own way. */
static void walk_embeddings(const struct walk *w)
{
    const struct expert *e = routes_expert(w->routes, w->routes->router.embeddings);
    enum use use = use_of(w, NULL, NULL);
    if (e == NULL || use == USE_NEVER) {
        return;
    }
    struct str from = start(w);
    struct way way = {arena_printf(w->reader->arena, "%.*s -> router.embeddings", STR_ARG(from)),
                      use, EMPTY_REFUSES, e->id.pos};
    bool is_permitted = meet(w, &way, NULL, e, e->id.pos);
    end(w, &way, is_permitted);
}

static void prove_one(const struct walk *w)
{
    const struct routes *r = w->routes;
    const struct category *categories = r->categories.items;
    const struct rule *rules = r->rules.items;
    for (size_t i = 0; i < r->categories.count; i++) {
        walk_own(w, &categories[i]);
    }
    if (r->classifier == NULL) {
        walk_unsure(w, r->general, ", which nothing tells without router.model");
    } else {
        walk_unsure(w, r->general, ", unsure");
        walk_unsure(w, r->code, ", unsure and code");
        walk_unsure(w, r->multilingual, ", unsure and not English");
        walk_labels(w);
        walk_sets(w);
        walk_examples(w);
    }
    for (size_t i = 0; i < r->rules.count; i++) {
        walk_rule(w, &rules[i]);
    }
    for (size_t i = 0; i < r->aliases.count; i++) {
        walk_alias(w, &r->aliases.items[i]);
    }
    walk_embeddings(w);
}

static void prove_those(const struct routes *routes, struct key_reader *reader, struct str file,
                        bool asks_redaction)
{
    const struct guarantee *list = routes->guarantees.items;
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        struct walk w = {routes, reader, file, &list[i]};
        if ((list[i].when.redacted != GUARANTEE_EITHER_WAY) == asks_redaction) {
            prove_one(&w);
        }
    }
}

void prove(const struct routes *routes, struct key_reader *reader, struct str file)
{
    prove_those(routes, reader, file, false);
}

void prove_redaction(const struct routes *routes, struct key_reader *reader, struct str file)
{
    prove_those(routes, reader, file, true);
}
