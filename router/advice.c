/* See advice.h. One function per kind of idle talk, in a table. Says nothing of keys that other blocks
 * own (budgets, tenants): those check themselves. */
#include "router/advice.h"

#include "router/routes.h"

struct reading {
    const struct routes *routes;
    struct diags *diags;
    struct str file;
};

#define WARN(r, pos, ...) diags_add((r)->diags, DIAG_WARNING, (r)->file, pos, __VA_ARGS__)

/* A threshold that nothing exceeds: probabilities only come near one. */
static const double OUT_OF_REACH = 0.9999;

/* ----------------------------------------------------------------- rules */

static bool asks_header(const struct rule_when *when, const struct rule_header *header)
{
    for (size_t i = 0; i < when->header_count; i++) {
        if (str_eq_nocase(when->headers[i].name, header->name) &&
            str_eq(when->headers[i].value, header->value)) {
            return true;
        }
    }
    return false;
}

/* Whether what one rule asks of a head another one asks as well, or more narrowly. */
static bool asks_head(const struct rule_when *when, const struct rule_head *head)
{
    const struct rule_head *heads = when->heads.items;
    for (size_t i = 0; i < when->heads.count; i++) {
        if (str_eq(heads[i].id.name, head->id.name) && heads[i].min >= head->min &&
            heads[i].max <= head->max) {
            return true;
        }
    }
    return false;
}

/* Whether `wide` fires whenever `narrow` would: all that it asks is asked there. */
static bool covers(const struct rule_when *wide, const struct rule_when *narrow)
{
    const struct rule_head *heads = wide->heads.items;
    struct str everyone = STR("auto");
    struct str wide_model = wide->model.len > 0 ? wide->model : everyone;
    struct str narrow_model = narrow->model.len > 0 ? narrow->model : everyone;
    bool is_covered = str_eq(wide_model, narrow_model) &&
                      (wide->text.len == 0 || str_eq(wide->text, narrow->text));
    for (size_t i = 0; is_covered && i < wide->header_count; i++) {
        is_covered = asks_header(narrow, &wide->headers[i]);
    }
    for (size_t i = 0; is_covered && i < wide->heads.count; i++) {
        is_covered = asks_head(narrow, &heads[i]);
    }
    return is_covered;
}

static void read_rules(const struct reading *r)
{
    const struct rule *rules = r->routes->rules.items;
    for (size_t i = 0; i < r->routes->rules.count; i++) {
        for (size_t k = 0; k < i; k++) {
            if (covers(&rules[k].when, &rules[i].when)) {
                diags_add(r->diags, DIAG_ERROR, r->file, rules[i].id.pos,
                          "this rule never fires: the one at line %d fires first whenever it would",
                          rules[k].id.pos.line);
                break;
            }
        }
    }
}

static void read_heads(const struct reading *r)
{
    const struct rule *rules = r->routes->rules.items;
    for (size_t i = 0; i < r->routes->rules.count; i++) {
        const struct rule_head *heads = rules[i].when.heads.items;
        for (size_t k = 0; k < rules[i].when.heads.count; k++) {
            if (heads[k].min > heads[k].max) {
                diags_add(r->diags, DIAG_ERROR, r->file, heads[k].id.pos,
                          "this rule never fires: head \"%.*s\" must be at least %g and at most %g",
                          STR_ARG(heads[k].id.name), heads[k].min, heads[k].max);
            }
        }
    }
}

/* --------------------------------------------------------------- experts */

static struct str upstream_model(const struct expert *e)
{
    return e->model.len > 0 ? e->model : e->id.name;
}

/* Two experts that are the same model at the same place: what one cannot answer, neither can the
 * other. */
static bool is_same_upstream(const struct expert *a, const struct expert *b)
{
    return a != b && a->url.len > 0 && str_eq(a->url, b->url) &&
           str_eq(upstream_model(a), upstream_model(b));
}

/* What there is to say about an expert behind others of a list. */
static void compare(const struct reading *r, struct pos pos, struct str list,
                    const struct expert *const *pair)
{
    if (pair[0] == pair[1]) {
        WARN(r, pos, "%.*s lists expert \"%.*s\" twice: nobody is asked twice", STR_ARG(list),
             STR_ARG(pair[0]->id.name));
    } else if (is_same_upstream(pair[0], pair[1])) {
        WARN(
            r, pos,
            "%.*s falls back from expert \"%.*s\" to \"%.*s\", which is the same model \"%.*s\" at "
            "%.*s",
            STR_ARG(list), STR_ARG(pair[1]->id.name), STR_ARG(pair[0]->id.name),
            STR_ARG(upstream_model(pair[0])), STR_ARG(pair[0]->url));
    }
}

static void read_aliases(const struct reading *r)
{
    for (size_t i = 0; i < r->routes->aliases.count; i++) {
        const struct alias *alias = &r->routes->aliases.items[i];
        struct str list = arena_printf(r->diags->arena, "alias \"%.*s\"", STR_ARG(alias->name));
        for (size_t k = 0; k < alias->count; k++) {
            for (size_t j = 0; j < k; j++) {
                const struct expert *const pair[] = {alias->experts[k], alias->experts[j]};
                compare(r, alias->pos, list, pair);
            }
        }
    }
}

static void read_categories(const struct reading *r)
{
    const struct category *categories = r->routes->categories.items;
    for (size_t i = 0; i < r->routes->categories.count; i++) {
        const struct category *c = &categories[i];
        const struct category_expert *list = c->experts.items;
        struct str name = arena_printf(r->diags->arena, "category \"%.*s\"", STR_ARG(c->id.name));
        bool is_inherited = c->parent != NULL && c->experts.items == c->parent->experts.items;
        for (size_t k = 0; !is_inherited && k < c->experts.count; k++) {
            for (size_t j = 0; j < k; j++) {
                const struct expert *const pair[] = {list[k].expert, list[j].expert};
                compare(r, list[k].id.pos, name, pair);
            }
        }
    }
}

/* Experts whose score in a category is below the floor. */
static void read_floor(const struct reading *r)
{
    const struct category *categories = r->routes->categories.items;
    double floor = r->routes->policies.min_score;
    for (size_t i = 0; i < r->routes->categories.count; i++) {
        const struct category *c = &categories[i];
        const struct category_expert *list = c->experts.items;
        bool is_inherited = c->parent != NULL && c->experts.items == c->parent->experts.items;
        size_t below = 0;
        for (size_t k = 0; !is_inherited && k < c->experts.count; k++) {
            if (list[k].score < floor) {
                below++;
                WARN(r, list[k].id.pos,
                     "expert \"%.*s\" never answers in category \"%.*s\": its score %g is below "
                     "policies.min_score %g",
                     STR_ARG(list[k].expert->id.name), STR_ARG(c->id.name), list[k].score, floor);
            }
        }
        if (below > 0 && below == c->experts.count) {
            WARN(r, c->id.pos, "prompts of category \"%.*s\" are refused: nobody may answer there",
                 STR_ARG(c->id.name));
        }
    }
}

static bool is_in_category(const struct routes *routes, const struct expert *e)
{
    const struct category *categories = routes->categories.items;
    for (size_t i = 0; i < routes->categories.count; i++) {
        const struct category_expert *list = categories[i].experts.items;
        for (size_t k = 0; k < categories[i].experts.count; k++) {
            if (list[k].expert == e) {
                return true;
            }
        }
    }
    return false;
}

static bool is_in_alias(const struct routes *routes, const struct expert *e)
{
    for (size_t i = 0; i < routes->aliases.count; i++) {
        for (size_t k = 0; k < routes->aliases.items[i].count; k++) {
            if (routes->aliases.items[i].experts[k] == e) {
                return true;
            }
        }
    }
    return false;
}

static bool is_in_rule(const struct routes *routes, const struct expert *e)
{
    const struct rule *rules = routes->rules.items;
    for (size_t i = 0; i < routes->rules.count; i++) {
        if (str_eq(rules[i].expert, e->id.name)) {
            return true;
        }
    }
    return false;
}

/* Of those that embed it is no news that clients name them: embeddings are not routed. */
static void read_experts(const struct reading *r)
{
    const struct expert *experts = r->routes->experts.items;
    for (size_t i = 0; r->routes->categories.count > 0 && i < r->routes->experts.count; i++) {
        const struct expert *e = &experts[i];
        if (!is_in_category(r->routes, e) && !is_in_alias(r->routes, e) &&
            !is_in_rule(r->routes, e) && (e->capabilities & EXPERT_EMBED) == 0) {
            WARN(r, e->id.pos,
                 "expert \"%.*s\" is in no category, alias or rule: only clients that name it get "
                 "there",
                 STR_ARG(e->id.name));
        }
    }
}

static void read_prices(const struct reading *r)
{
    const struct expert *experts = r->routes->experts.items;
    bool has_price = false;
    for (size_t i = 0; i < r->routes->experts.count; i++) {
        const struct expert_price *price = &experts[i].price;
        has_price = has_price || price->input > 0 || price->output > 0;
    }
    if (r->routes->policies.cost_weight > 0.0 && !has_price) {
        WARN(r, experts[0].id.pos,
             "policies.cost_weight has no effect: no expert has a price above 0");
    }
}

/* ------------------------------------------------------------ thresholds */

static bool is_chosen_by_target(const struct router_settings *s)
{
    return s->target.precision > 0.0 || s->target.coverage > 0.0;
}

static void read_category_threshold(const struct reading *r, const struct category *c)
{
    const struct routes *routes = r->routes;
    bool is_conformal = routes->thresholds.method == UNCERTAINTY_CONFORMAL;
    bool is_general = c == routes->general && routes->code == NULL && routes->multilingual == NULL;
    if (!(c->threshold > 0.0) || c->parent != NULL) {
        return;
    }
    if (routes->classifier == NULL) {
        WARN(r, c->id.pos, "the threshold of category \"%.*s\" has no effect without router.model",
             STR_ARG(c->id.name));
    } else if (is_conformal && c->examples.count == 0) {
        WARN(r, c->id.pos,
             "the threshold of category \"%.*s\" has no effect: router.uncertainty conformal goes "
             "by sets",
             STR_ARG(c->id.name));
    } else if (is_general) {
        WARN(r, c->id.pos,
             "the threshold of category \"%.*s\" has no effect: prompts that do not reach it go "
             "there, too",
             STR_ARG(c->id.name));
    } else if (c->threshold > OUT_OF_REACH) {
        WARN(r, c->id.pos,
             "the threshold of category \"%.*s\" is out of reach: the classifier is never that "
             "sure, and its prompts go elsewhere",
             STR_ARG(c->id.name));
    }
}

static void read_thresholds(const struct reading *r)
{
    const struct routes *routes = r->routes;
    const struct category *categories = routes->categories.items;
    const struct router_settings *s = &routes->router;
    for (size_t i = 0; i < routes->categories.count; i++) {
        read_category_threshold(r, &categories[i]);
    }
    if (routes->classifier != NULL && s->threshold > OUT_OF_REACH && routes->general != NULL &&
        !is_chosen_by_target(s) && routes->thresholds.method != UNCERTAINTY_CONFORMAL) {
        WARN(
            r, routes->general->id.pos,
            "router.threshold is out of reach: the classifier is never that sure, and every prompt "
            "that no rule takes goes to category \"%.*s\"",
            STR_ARG(routes->general->id.name));
    }
}

static void read_settings(const struct reading *r)
{
    const struct routes *routes = r->routes;

    const struct {
        const struct category *category;
        const char *key;
    } settings[] = {{routes->code, "code"}, {routes->multilingual, "multilingual"}};

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        const struct category *c = settings[i].category;
        if (c != NULL && routes->classifier == NULL) {
            WARN(r, c->id.pos, "router.%s has no effect without router.model", settings[i].key);
        } else if (c != NULL && c == routes->general) {
            WARN(r, c->id.pos, "router.%s has no effect: \"%.*s\" is the general category",
                 settings[i].key, STR_ARG(c->id.name));
        }
    }
}

/* Without a classifier: where does `auto` never go? With one routes.c tells. */
static void read_unclassified(const struct reading *r)
{
    const struct routes *routes = r->routes;
    const struct category *categories = routes->categories.items;
    const struct rule *rules = routes->rules.items;
    for (size_t i = 0; routes->classifier == NULL && i < routes->categories.count; i++) {
        bool is_reached = &categories[i] == routes->general;
        for (size_t k = 0; k < routes->rules.count; k++) {
            is_reached = is_reached || str_eq(rules[k].category, categories[i].id.name);
        }
        if (!is_reached) {
            WARN(r, categories[i].id.pos,
                 "nothing leads to category \"%.*s\": there is no router.model, and no rule names "
                 "it; only clients that ask for category/%.*s get there",
                 STR_ARG(categories[i].id.name), STR_ARG(categories[i].id.name));
        }
    }
}

static void (*const readings[])(const struct reading *r) = {
    read_rules,   read_heads,        read_aliases, read_categories, read_floor,
    read_experts, read_unclassified, read_prices,  read_thresholds, read_settings,
};

void advise(const struct routes *routes, struct key_reader *reader, struct str file)
{
    struct reading r = {routes, reader->diags, file};
    for (size_t i = 0; i < sizeof readings / sizeof readings[0]; i++) {
        readings[i](&r);
    }
}
