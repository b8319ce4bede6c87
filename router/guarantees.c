/* See guarantees.h. Owns the YAML block `guarantees`. */
#include "router/guarantees.h"

#include <stddef.h>

#include "router/routes.h"

/* ------------------------------------------------------------------ keys */

static enum status decode_redacted(struct key_reader *reader, const struct yaml_node *node,
                                   void *field)
{
    int *redacted = field;
    bool is_plain = node->kind == YAML_SCALAR && !node->is_quoted;
    if (is_plain && str_eq(node->text, STR("true"))) {
        *redacted = GUARANTEE_REDACTED;
    } else if (is_plain && str_eq(node->text, STR("false"))) {
        *redacted = GUARANTEE_NOT_REDACTED;
    } else {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"redacted\" must be true or false");
    }
    return ST_OK;
}

static const struct key when_rows[] = {
    {.name = "category",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct guarantee_when, category),
     .sentence = "prompts of one of these categories: decided so, or found most probable by the "
                 "classifier, however unsure; labels of the classifier without a category, too",
     .example = "[medical]"},
    {.name = "rule",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct guarantee_when, rule),
     .sentence = "prompts for which one of the rules of these names has fired",
     .example = "[radiology]"},
    {.name = "tenant",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct guarantee_when, tenant),
     .sentence = "requests of one of these tenants",
     .example = "[clinic]"},
    {.name = "redacted",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct guarantee_when, redacted),
     .sentence = "false: prompts as they came, in which nothing of privacy.redact applies for the "
                 "expert; true: those in which it does; not given: both",
     .example = "false",
     .decode = decode_redacted,
     .custom_type = "boolean"},
};

static const struct keys when_keys = {
    "guarantee when", sizeof(struct guarantee_when), when_rows,
    sizeof when_rows / sizeof *when_rows,
    "Which exchanges it is about: all that is given must hold; nothing given: every exchange."};

/* enum guarantee_locality */
static const char *const localities[] = {"any", "local", "remote", NULL};

static const struct key only_rows[] = {
    {.name = "locality",
     .type = KEY_CHOICE,
     .offset = offsetof(struct guarantee_only, locality),
     .choices = localities,
     .fallback = "any",
     .sentence = "experts of this locality"},
    {.name = "experts",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct guarantee_only, experts),
     .sentence = "these experts; given beside a locality, both must hold",
     .example = "[med-local]"},
};

static const struct keys only_keys = {"guarantee only", sizeof(struct guarantee_only), only_rows,
                                      sizeof only_rows / sizeof *only_rows,
                                      "The experts that such exchanges may reach."};

static const struct key rows[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct guarantee, name),
     .is_required = true,
     .sentence = "name in messages, explanations and logs"},
    {.name = "when",
     .type = KEY_BLOCK,
     .offset = offsetof(struct guarantee, when),
     .sentence = "which exchanges it is about",
     .block = &when_keys},
    {.name = "only",
     .type = KEY_BLOCK,
     .offset = offsetof(struct guarantee, only),
     .sentence = "the experts that they may reach",
     .block = &only_keys},
    {.name = "strict",
     .type = KEY_BOOL,
     .offset = offsetof(struct guarantee, is_strict),
     .fallback = "true",
     .sentence = "true: no path of the configuration that such a prompt may take leads to another "
                 "expert, or the file is refused; false: paths that they share with other prompts "
                 "(general, rules, aliases) may, and the expert is dropped for such prompts"},
};

const struct keys guarantee_keys = {
    "guarantee", sizeof(struct guarantee), rows, sizeof rows / sizeof *rows,
    "Which experts prompts of a kind may reach; proven when the file loads, held at each call."};

/* ------------------------------------------------------------ dimensions */

static bool names_category(const struct guarantee *g, const struct category *category)
{
    return category != NULL && g->categories[category->index];
}

static bool names_rule(const struct routes *routes, const struct guarantee *g,
                       const struct rule *rule)
{
    const struct rule *first = routes->rules.items;
    return rule != NULL && g->rules[rule - first];
}

/* Whether a prompt may turn out to be of its categories by what it says. A category that is no label
 * never does: it is where rules and clients say so. */
static bool is_told_by_text(const struct routes *routes, const struct guarantee *g)
{
    return routes->classifier == NULL || g->labels != 0 || g->examples != 0;
}

static bool category_holds(const struct routes *routes, const struct guarantee *g,
                           const struct guarantee_facts *facts)
{
    return (facts->is_unknown && is_told_by_text(routes, g)) || (facts->labels & g->labels) != 0 ||
           (facts->examples & g->examples) != 0 || names_category(g, facts->category);
}

static bool category_could(const struct routes *routes, const struct guarantee *g,
                           const struct guarantee_path *path)
{
    return names_category(g, path->category) || (path->is_shared && is_told_by_text(routes, g));
}

static bool rule_holds(const struct routes *routes, const struct guarantee *g,
                       const struct guarantee_facts *facts)
{
    return names_rule(routes, g, facts->rule);
}

static bool rule_could(const struct routes *routes, const struct guarantee *g,
                       const struct guarantee_path *path)
{
    return names_rule(routes, g, path->rule);
}

static bool lists(const struct key_texts *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (str_eq(list->items[i], name)) {
            return true;
        }
    }
    return false;
}

static bool tenant_holds(const struct routes *routes, const struct guarantee *g,
                         const struct guarantee_facts *facts)
{
    (void)routes;
    return lists(&g->when.tenant, facts->tenant);
}

static bool tenant_could(const struct routes *routes, const struct guarantee *g,
                         const struct guarantee_path *path)
{
    (void)routes;
    (void)g;
    (void)path;
    return true; /* no path says who takes it */
}

/* What a guarantee may ask of an exchange. Each row: the key under `when`, whether an exchange has
 * it, and whether one on a path of the configuration could. */
static const struct dimension {
    size_t offset; /* of its struct key_texts in struct guarantee_when */
    bool (*holds)(const struct routes *routes, const struct guarantee *g,
                  const struct guarantee_facts *facts);
    bool (*could)(const struct routes *routes, const struct guarantee *g,
                  const struct guarantee_path *path);
} dimensions[] = {
    {offsetof(struct guarantee_when, category), category_holds, category_could},
    {offsetof(struct guarantee_when, rule), rule_holds, rule_could},
    {offsetof(struct guarantee_when, tenant), tenant_holds, tenant_could},
};

enum {
    DIMENSION_COUNT = sizeof dimensions / sizeof dimensions[0]
};

static bool is_asked(const struct guarantee *g, const struct dimension *dimension)
{
    const unsigned char *when = (const unsigned char *)&g->when;
    return ((const struct key_texts *)(const void *)(when + dimension->offset))->count > 0;
}

bool guarantee_holds(const struct routes *routes, const struct guarantee *g,
                     const struct guarantee_facts *facts)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        if (is_asked(g, &dimensions[i]) && !dimensions[i].holds(routes, g, facts)) {
            return false;
        }
    }
    return true;
}

bool guarantee_could_hold(const struct routes *routes, const struct guarantee *g,
                          const struct guarantee_path *path)
{
    for (size_t i = 0; i < DIMENSION_COUNT; i++) {
        if (is_asked(g, &dimensions[i]) && !dimensions[i].could(routes, g, path)) {
            return false;
        }
    }
    return true;
}

static bool redaction_could(const struct routes *routes, const struct guarantee *g,
                            struct str category, const struct key_texts *tenants,
                            const struct expert *expert)
{
    if (g->when.redacted == GUARANTEE_EITHER_WAY) {
        return true;
    }
    enum redaction redaction =
        routes->redaction == NULL
            ? REDACTION_NEVER
            : routes->redaction(routes->redaction_ctx, category, tenants, expert);
    return redaction == REDACTION_SOMETIMES ||
           (redaction == REDACTION_ALWAYS) == (g->when.redacted == GUARANTEE_REDACTED);
}

bool guarantee_redaction_could(const struct routes *routes, const struct guarantee *g,
                               const struct category *category, const struct expert *expert)
{
    return redaction_could(routes, g, category == NULL ? STR("") : category->id.name,
                           &g->when.tenant, expert);
}

/* Of one exchange. */
static bool redaction_holds(const struct routes *routes, const struct guarantee *g,
                            const struct guarantee_facts *facts, const struct expert *expert)
{
    struct str tenant = facts->tenant;
    struct key_texts tenants = {&tenant, 1};
    struct str category = facts->category == NULL ? STR("") : facts->category->id.name;
    return redaction_could(routes, g, category, &tenants, expert);
}

/* ----------------------------------------------------------------- build */

struct build {
    struct routes *routes;
    struct key_reader *reader;
    struct str file;
};

static void complain(const struct build *b, const struct guarantee *g, const char *what,
                     struct str name, struct str near)
{
    diags_add(b->reader->diags, DIAG_ERROR, b->file, g->id.pos,
              "guarantee \"%.*s\": unknown %s \"%.*s\"%s%.*s%s", STR_ARG(g->name), what,
              STR_ARG(name), near.len > 0 ? ", did you mean \"" : "", STR_ARG(near),
              near.len > 0 ? "\"?" : "");
}

/* A category and those whose parent it is. */
static bool is_part_of(const struct category *category, const struct category *whole)
{
    return whole != NULL && category != NULL && (category == whole || category->parent == whole);
}

static void find_category(const struct build *b, struct guarantee *g, struct str name)
{
    const struct routes *r = b->routes;
    const struct category *whole = routes_category(r, name);
    const struct category *categories = r->categories.items;
    size_t labels = r->classifier == NULL ? 0 : classifier_label_count(r->classifier);
    bool is_told = false;
    for (size_t i = 0; i < r->categories.count; i++) {
        g->categories[i] = g->categories[i] || is_part_of(&categories[i], whole);
    }
    for (size_t i = 0; i < labels; i++) {
        bool is_it = str_eq(classifier_label(r->classifier, i), name) ||
                     is_part_of(r->label_categories[i], whole);
        g->labels |= is_it ? (uint64_t)1 << i : 0;
        is_told = is_told || is_it;
    }
    for (size_t i = 0; i < r->custom_count; i++) {
        bool is_it = is_part_of(r->custom_categories[i], whole);
        g->examples |= is_it ? (uint64_t)1 << i : 0;
        is_told = is_told || is_it;
    }
    if (whole == NULL && !is_told) {
        complain(b, g, "category", name, table_nearest(r->category_names, name));
    } else if (!is_told && r->classifier != NULL) {
        diags_add(b->reader->diags, DIAG_WARNING, b->file, g->id.pos,
                  "guarantee \"%.*s\": category \"%.*s\" is no label of the classifier and has no "
                  "examples: it holds where a rule or the client names the category, other prompts "
                  "are not known to be of it",
                  STR_ARG(g->name), STR_ARG(name));
    }
}

static void find_rule(const struct build *b, struct guarantee *g, struct str name)
{
    const struct rule *list = b->routes->rules.items;
    bool is_found = false;
    for (size_t i = 0; i < b->routes->rules.count; i++) {
        bool is_it = str_eq(list[i].name, name);
        g->rules[i] = g->rules[i] || is_it;
        is_found = is_found || is_it;
    }
    if (!is_found) {
        complain(b, g, "rule", name, STR(""));
    }
}

static void find_experts(const struct build *b, struct guarantee *g)
{
    const struct routes *r = b->routes;
    const struct expert *experts = r->experts.items;
    const struct guarantee_only *only = &g->only;
    bool is_any = false;
    for (size_t i = 0; i < only->experts.count; i++) {
        if (routes_expert(r, only->experts.items[i]) == NULL) {
            complain(b, g, "expert", only->experts.items[i],
                     table_nearest(r->expert_names, only->experts.items[i]));
        }
    }
    for (size_t i = 0; i < r->experts.count; i++) {
        bool is_near = expert_is_local(&experts[i]);
        bool is_there =
            only->locality == GUARANTEE_ANYWHERE || is_near == (only->locality == GUARANTEE_LOCAL);
        g->permits[i] =
            is_there && (only->experts.count == 0 || lists(&only->experts, experts[i].id.name));
        is_any = is_any || g->permits[i];
    }
    if (only->locality == GUARANTEE_ANYWHERE && only->experts.count == 0) {
        diags_add(
            b->reader->diags, DIAG_ERROR, b->file, g->id.pos,
            "guarantee \"%.*s\" guarantees nothing: give a locality or experts under \"only\"",
            STR_ARG(g->name));
    } else if (!is_any) {
        diags_add(b->reader->diags, DIAG_ERROR, b->file, g->id.pos,
                  "guarantee \"%.*s\" permits no expert at all: none is %s", STR_ARG(g->name),
                  only->experts.count > 0 ? "among those it lists" : localities[only->locality]);
    }
}

static enum status build_one(const struct build *b, struct guarantee *g)
{
    const struct routes *r = b->routes;
    struct arena *arena = b->reader->arena;
    g->labels = 0;
    g->examples = 0;
    g->categories = arena_alloc(arena, r->categories.count + 1);
    g->rules = arena_alloc(arena, r->rules.count + 1);
    g->permits = arena_alloc(arena, r->experts.count + 1);
    if (g->categories == NULL || g->rules == NULL || g->permits == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < g->when.category.count; i++) {
        find_category(b, g, g->when.category.items[i]);
    }
    for (size_t i = 0; i < g->when.rule.count; i++) {
        find_rule(b, g, g->when.rule.items[i]);
    }
    find_experts(b, g);
    return ST_OK;
}

enum status guarantees_build(struct routes *routes, struct key_reader *reader, struct str file)
{
    struct build b = {routes, reader, file};
    struct guarantee *list = routes->guarantees.items;
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        enum status st = build_one(&b, &list[i]);
        if (st != ST_OK) {
            return st;
        }
        for (size_t k = 0; k < i; k++) {
            if (str_eq(list[k].name, list[i].name)) {
                diags_add(reader->diags, DIAG_ERROR, file, list[i].id.pos,
                          "two guarantees are called \"%.*s\"", STR_ARG(list[i].name));
            }
        }
    }
    return ST_OK;
}

/* ------------------------------------------------------------------- use */

bool guarantee_forbids(const struct routes *routes, const struct guarantee *g,
                       const struct guarantee_facts *facts, const struct expert *expert)
{
    return !g->permits[expert->index] && redaction_holds(routes, g, facts, expert);
}

const struct guarantee *guarantees_bar(const struct routes *routes,
                                       const struct guarantee_facts *facts,
                                       const struct expert *expert)
{
    const struct guarantee *list = routes->guarantees.items;
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        if (guarantee_forbids(routes, &list[i], facts, expert) &&
            guarantee_holds(routes, &list[i], facts)) {
            return &list[i];
        }
    }
    return NULL;
}

bool guarantees_ask_category(const struct routes *routes)
{
    const struct guarantee *list = routes->guarantees.items;
    bool is_asked = false;
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        is_asked = is_asked || list[i].when.category.count > 0;
    }
    return is_asked;
}

static const struct category *home_of(const struct routes *routes, const struct guarantee *g,
                                      const struct guarantee_facts *facts)
{
    const struct category *home = NULL;
    for (size_t i = 0; i < g->when.category.count; i++) {
        const struct category *category = routes_category(routes, g->when.category.items[i]);
        if (category == NULL) {
            continue;
        }
        home = home == NULL ? category : home;
        for (size_t label = 0; label < CLASSIFIER_LABELS_MAX; label++) {
            if ((facts->labels >> label & 1) != 0 && routes->label_categories[label] == category) {
                return category;
            }
        }
    }
    return home;
}

const struct category *guarantees_home(const struct routes *routes,
                                       const struct guarantee_facts *facts)
{
    const struct guarantee *list = routes->guarantees.items;
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        const struct category *home =
            guarantee_holds(routes, &list[i], facts) ? home_of(routes, &list[i], facts) : NULL;
        if (home != NULL) {
            return home;
        }
    }
    return NULL;
}

const char *guarantee_only_text(const struct guarantee *g)
{
    static const char *const texts[] = {"these experts", "local experts", "remote experts"};
    return texts[g->only.locality];
}
