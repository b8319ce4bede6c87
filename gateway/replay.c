/* See replay.h. */
#include "gateway/replay.h"

#include "router/cold.h"

static const struct tenant *tenant_of(const struct snapshot *s, uint32_t name)
{
    const struct tenant *tenants = s->conf.tenants.list.items;
    for (size_t i = 0; name != 0 && i < s->conf.tenants.list.count; i++) {
        if (signals_name(tenants[i].name) == name) {
            return &tenants[i];
        }
    }
    return NULL;
}

static struct str key_of(const struct tenant *t, uint32_t id)
{
    for (size_t i = 0; t != NULL && id != 0 && i < t->keys.count; i++) {
        if (signals_name(t->keys.items[i].id) == id) {
            return t->keys.items[i].id;
        }
    }
    return STR("");
}

struct budget_who replay_who(const struct snapshot *s, const struct signals *signals)
{
    const struct tenant *t = tenant_of(s, signals->tenant);
    return (struct budget_who){.tenant = t == NULL ? STR("") : t->name,
                               .key_id = key_of(t, signals->key)};
}

struct asked { /* by the policies of one decision */
    const struct replay *how;
    struct budget_who who;
};

static void purse(void *ctx, struct str expert, struct str category, struct policy_purse *ret)
{
    const struct asked *a = ctx;
    struct budget_who who = a->who;
    who.expert = expert;
    who.category = category;
    budgets_purse(a->how->budgets, &who, a->how->now_s, ret);
}

/* What the key may use, as step_decide.c says it; what the request asked for itself stays. */
static void permit(const struct asked *a, struct prompt *prompt)
{
    const struct tenant *t = tenant_of(a->how->snapshot, prompt->signals->tenant);
    if (t != NULL) {
        prompt->tenant = t->name;
        prompt->key = a->who.key_id;
        prompt->permit.allow = t->permit.allow;
        prompt->permit.allow_count = t->permit.allow_count;
    }
}

static void feel_pressure(const struct asked *a, struct prompt *prompt)
{
    const struct degrade_settings *degrade = &a->how->snapshot->conf.routes.policies.degrade;
    if (a->how->budgets != NULL && degrade->budget.len > 0) {
        prompt->pressure = budgets_pressure(a->how->budgets, degrade->budget, &a->who,
                                            degrade->start, a->how->now_s);
    }
}

/* What is missing of who it was. */
static void note_gaps(const struct asked *a, const struct signals *signals, struct gaps *gaps)
{
    const struct key_array *budgets = &a->how->snapshot->conf.budgets;
    const struct budget *items = budgets->items;
    if (signals->tenant != 0 && a->who.tenant.len == 0) {
        gaps_add(gaps, GAP_TENANT, STR(""));
    }
    for (size_t i = 0; a->how->budgets != NULL && i < budgets->count; i++) {
        if (items[i].scope.key.len > 0 && a->who.tenant.len > 0 && a->who.key_id.len == 0) {
            gaps_add(gaps, GAP_KEY, STR(""));
        }
    }
}

enum status replay_decide(const struct replay *how, const struct signals *signals,
                          struct decide_scratch *scratch, struct arena *arena,
                          struct decision *ret_decision)
{
    const struct routes *routes = &how->snapshot->conf.routes;
    struct prompt prompt;
    struct asked asked = {how, replay_who(how->snapshot, signals)};
    struct rule_facts facts = {
        .prompt = &prompt, .ctx = &asked, .purse = how->budgets == NULL ? NULL : purse};
    enum status st = signals_prompt(signals, routes, arena, &prompt);
    if (st != ST_OK) {
        return st;
    }
    permit(&asked, &prompt);
    feel_pressure(&asked, &prompt);
    st = decide(routes, scratch, &facts, arena, ret_decision);
    if (st == ST_OK) {
        (void)cold_apply(ret_decision); /* a refusal keeps the order */
    }
    if (st != ST_NO_MEMORY) {
        note_gaps(&asked, signals, ret_decision->gaps);
    }
    return st;
}
