/* See replay.h. */
#include "gateway/replay.h"

#include "router/cold.h"

/* What the key may use, as step_decide.c says it; what the request asked for itself stays. */
static void permit(const struct snapshot *s, uint32_t name, struct prompt *prompt)
{
    const struct tenant *tenants = s->conf.tenants.list.items;
    for (size_t i = 0; name != 0 && i < s->conf.tenants.list.count; i++) {
        if (signals_name(tenants[i].name) == name) {
            prompt->tenant = tenants[i].name;
            prompt->permit.allow = tenants[i].permit.allow;
            prompt->permit.allow_count = tenants[i].permit.allow_count;
        }
    }
}

enum status replay_decide(const struct snapshot *s, const struct signals *signals,
                          struct decide_scratch *scratch, struct arena *arena,
                          struct decision *ret_decision)
{
    struct prompt prompt;
    struct rule_facts facts = {.prompt = &prompt};
    enum status st = signals_prompt(signals, &s->conf.routes, arena, &prompt);
    if (st != ST_OK) {
        return st;
    }
    permit(s, signals->tenant, &prompt);
    st = decide(&s->conf.routes, scratch, &facts, arena, ret_decision);
    if (st == ST_OK) {
        (void)cold_apply(ret_decision); /* a refusal keeps the order */
    }
    return st;
}
