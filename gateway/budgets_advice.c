/* Of budgets that nothing is ever booked on. A limit that limits nothing misleads whoever trusts it. One
 * function per reason, in a table; each says what keeps attempts away, or NULL. Silent about prices that
 * are not known: such a budget refuses the attempts, which is an effect. */
#include "gateway/budgets.h"

struct binding { /* a budget, and what its `for` names; NULL: it does not say */
    const struct budget *budget;
    const struct tenant *tenant;
    const struct category *category;
    const struct expert *expert;
    const struct routes *routes;
    struct arena *arena;
};

static const struct tenant *find_tenant(const struct tenants *tenants, struct str name)
{
    const struct tenant *list = tenants->list.items;
    for (size_t i = 0; i < tenants->list.count; i++) {
        if (name.len > 0 && str_eq(list[i].name, name)) {
            return &list[i];
        }
    }
    return NULL;
}

static struct str lacks_keys(const struct binding *b)
{
    return b->tenant != NULL && b->tenant->keys.count == 0
               ? arena_printf(b->arena, "tenant \"%.*s\" has no keys", STR_ARG(b->tenant->name))
               : STR("");
}

static struct str has_key_of_another(const struct binding *b)
{
    struct str key = b->budget->scope.key;
    if (b->tenant == NULL || key.len == 0) {
        return STR("");
    }
    for (size_t i = 0; i < b->tenant->keys.count; i++) {
        if (str_eq(b->tenant->keys.items[i].id, key)) {
            return STR("");
        }
    }
    return arena_printf(b->arena, "key \"%.*s\" is not one of tenant \"%.*s\"", STR_ARG(key),
                        STR_ARG(b->tenant->name));
}

static struct str may_not_go_there(const struct binding *b)
{
    if (b->tenant == NULL || b->category == NULL ||
        permit_allows(&b->tenant->permit, b->category->model)) {
        return STR("");
    }
    return arena_printf(b->arena, "tenant \"%.*s\" may not use category \"%.*s\"",
                        STR_ARG(b->tenant->name), STR_ARG(b->category->id.name));
}

static bool has_expert(const struct category *c, const struct expert *e)
{
    const struct category_expert *list = c->experts.items;
    for (size_t i = 0; i < c->experts.count; i++) {
        if (list[i].expert == e) {
            return true;
        }
    }
    return false;
}

static struct str is_not_asked_there(const struct binding *b)
{
    if (b->category == NULL || b->expert == NULL || has_expert(b->category, b->expert)) {
        return STR("");
    }
    return arena_printf(b->arena, "category \"%.*s\" has no expert \"%.*s\"",
                        STR_ARG(b->category->id.name), STR_ARG(b->expert->id.name));
}

static bool costs(const struct expert *e)
{
    const struct expert_price *p = &e->price;
    return !p->is_set || p->input > 0 || p->output > 0 || p->cached_input > 0 || p->reasoning > 0;
}

static struct str costs_nothing(const struct binding *b)
{
    const struct expert *experts = b->routes->experts.items;
    for (size_t i = 0; i < b->routes->experts.count; i++) {
        bool is_counted = (b->expert == NULL || b->expert == &experts[i]) &&
                          (b->category == NULL || has_expert(b->category, &experts[i]));
        if (is_counted && costs(&experts[i])) {
            return STR("");
        }
    }
    return STR("no expert that it counts has a price above 0");
}

static struct str (*const reasons[])(const struct binding *b) = {
    lacks_keys, has_key_of_another, may_not_go_there, is_not_asked_there, costs_nothing,
};

void budgets_advise(const struct key_array *list, const struct routes *routes,
                    const struct tenants *tenants, struct key_reader *reader, struct str file)
{
    const struct budget *budgets = list->items;
    for (size_t i = 0; i < list->count; i++) {
        const struct budget_for *scope = &budgets[i].scope;
        struct binding b = {.budget = &budgets[i],
                            .tenant = find_tenant(tenants, scope->tenant),
                            .category = routes_category(routes, scope->category),
                            .expert = routes_expert(routes, scope->expert),
                            .routes = routes,
                            .arena = reader->arena};
        struct str why = STR("");
        for (size_t k = 0; why.len == 0 && k < sizeof reasons / sizeof reasons[0]; k++) {
            why = reasons[k](&b);
        }
        if (why.len > 0) {
            diags_add(reader->diags, DIAG_WARNING, file, b.budget->id.pos,
                      "budget \"%.*s\" is bound to nothing: %.*s", STR_ARG(b.budget->name),
                      STR_ARG(why));
        }
    }
}
