/* See signals.h. How they become bytes stands in signals_bytes.c. */
#include "router/signals.h"

#include <string.h>

#include "base/arena.h"
#include "router/decide.h"

uint32_t signals_name(struct str name)
{
    uint64_t hash = str_hash(name);
    uint32_t folded = (uint32_t)(hash ^ hash >> 32);
    return folded == 0 ? 1 : folded;
}

/* ---------------------------------------------------------------- taking */

static void copy_text(char *to, size_t size, struct str text)
{
    size_t len = text.len < size ? text.len : size - 1;
    if (len > 0) {
        memcpy(to, text.ptr, len);
    }
    to[len] = '\0';
}

static void take_classified(const struct routes *routes, const struct decision *d,
                            struct signals *s)
{
    s->flags |= SIGNALS_CLASSIFIED | (d->is_taught ? (unsigned)SIGNALS_TAUGHT : 0U);
    s->label_count = (uint32_t)d->scores.count;
    memcpy(s->p, routes->has_merged ? d->unmerged : d->scores.p, d->scores.count * sizeof s->p[0]);
    s->head_count = (uint32_t)d->head_count;
    memcpy(s->heads, d->heads, d->head_count * sizeof s->heads[0]);
    for (size_t i = 0; d->has_custom && i < routes->custom_count; i++) {
        struct str name = routes->custom_categories[i]->id.name;
        s->custom[s->custom_count++] = (struct signals_share){signals_name(name), d->custom_p[i]};
    }
}

static void take_rules(const struct routes *routes, const struct prompt *prompt,
                       const struct decision *d, struct signals *s)
{
    const struct rule *rules = routes->rules.items;
    for (size_t i = 0; i < routes->rules.count && &rules[i] != d->fired; i++) {
        if (s->rule_count < SIGNALS_RULES_MAX && rule_reads(&rules[i]) &&
            rule_is_for(&rules[i], prompt->model)) {
            s->rules[s->rule_count++] = (uint32_t)rules[i].mark;
        }
    }
}

struct fact_list { /* counts what it has no room for */
    struct signals_fact *items;
    size_t max;
    size_t count;
};

static void add_fact(struct fact_list *list, struct signals_fact fact)
{
    if (list->count < list->max) {
        list->items[list->count] = fact;
    }
    list->count++;
}

static void add_candidates(struct fact_list *list, const struct policy_candidate *candidates,
                           size_t count, unsigned flags, bool takes_all)
{
    for (size_t i = 0; i < count; i++) {
        const struct policy_candidate *c = &candidates[i];
        bool has_purse = c->purse.budget.len > 0;
        bool is_plain = c->health.why == NULL && c->health.wait_us == 0 && c->wait_ms == 0;
        if (takes_all || has_purse || !is_plain) {
            unsigned its = flags | (has_purse ? (unsigned)SIGNALS_FACT_PURSE : 0U) |
                           (has_purse && c->purse.is_tight ? (unsigned)SIGNALS_FACT_TIGHT : 0U) |
                           (c->health.why != NULL ? (unsigned)SIGNALS_FACT_SHUT : 0U);
            add_fact(list, (struct signals_fact){
                               signals_name(c->name), its, has_purse ? c->purse.left_nano_usd : 0,
                               c->health.opens_ms, c->health.wait_us, c->wait_ms});
        }
    }
}

/* Bans, then candidates. All of these where somebody asked all of them, or there were two lists: who is
 * missing was no candidate then. */
static size_t list_facts(const struct prompt *prompt, const struct decision *d, unsigned flags,
                         struct signals_fact *room, size_t max)
{
    struct fact_list list = {room, max, 0};
    bool takes_all = (flags & (SIGNALS_WAITS | SIGNALS_LEFT)) != 0;
    for (size_t i = 0; i < prompt->permit.ban_count; i++) {
        add_fact(&list, (struct signals_fact){.name = signals_name(prompt->permit.bans[i]),
                                              .flags = SIGNALS_FACT_BAN});
    }
    add_candidates(&list, d->left.candidates, d->left.count, SIGNALS_FACT_LEFT, takes_all);
    add_candidates(&list, d->candidates, d->candidate_count, 0, takes_all);
    return list.count;
}

bool signals_is_cut(const struct signals *s)
{
    return s->fact_count > SIGNALS_FACTS_MAX && s->all == NULL;
}

void signals_take_all(const struct prompt *prompt, const struct decision *d, struct signals *s,
                      struct signals_fact *room)
{
    (void)list_facts(prompt, d, s->flags, room, s->fact_count);
    s->all = room;
}

static bool has_splits(const struct category *category)
{
    return category != NULL && category->splits.count > 0;
}

void signals_take(const struct routes *routes, const struct prompt *prompt,
                  const struct decision *d, struct signals *ret)
{
    struct signals *s = ret;
    bool has_kinds = guarantees_ask_category(routes);
    memset(s, 0, offsetof(struct signals, p));
    s->weights = routes->classifier == NULL ? 0 : classifier_checksum(routes->classifier);
    bool is_drawn =
        prompt->session.key != 0 || has_splits(d->category) || has_splits(d->left.category);
    s->flags = (prompt->session.is_tool_open ? (unsigned)SIGNALS_TOOL_OPEN : 0U) |
               (has_kinds ? (unsigned)SIGNALS_KINDS : 0U) |
               (d->kinds.is_unknown ? (unsigned)SIGNALS_UNKNOWN : 0U) |
               (routes->policies.latency_weight > 0.0 ? (unsigned)SIGNALS_WAITS : 0U) |
               (routes->policies.degrade.budget.len > 0 ? (unsigned)SIGNALS_PRESSURE : 0U) |
               (is_drawn ? (unsigned)SIGNALS_SEED : 0U) |
               (d->left.category != NULL ? (unsigned)SIGNALS_LEFT : 0U) |
               (prompt->permit.has_max_price ? (unsigned)SIGNALS_MAX_PRICE : 0U) |
               (prompt->model.len >= sizeof s->model ? (unsigned)SIGNALS_CUT_MODEL : 0U);
    s->pressure = prompt->pressure;
    s->rule = d->fired == NULL ? 0 : d->fired->mark;
    s->tenant = prompt->tenant.len == 0 ? 0 : signals_name(prompt->tenant);
    s->key = prompt->key.len == 0 ? 0 : signals_name(prompt->key);
    s->known = prompt->session.expert.len == 0 ? 0 : signals_name(prompt->session.expert);
    s->needs = prompt->needs;
    s->turns = (uint32_t)prompt->talk.count;
    struct guard guard = decide_guard(routes, prompt, d);
    s->guard = guard.kind;
    s->seed = is_drawn ? (uint32_t)prompt_seed(prompt) : 0;
    s->guard_score = guard.score;
    s->language_p = d->language.confidence;
    s->english_p = d->language.english;
    s->text_bytes = prompt->text_bytes;
    s->max_tokens = prompt->max_tokens;
    s->more_answers = prompt->more_answers;
    s->max_price_nano_usd = prompt->permit.max_price_nano_usd;
    s->kind_labels = d->kinds.labels;
    s->kind_examples = d->kinds.examples;
    copy_text(s->model, sizeof s->model, prompt->model);
    copy_text(s->language, sizeof s->language, d->language.code);
    if (d->is_classified) {
        take_classified(routes, d, s);
    }
    for (size_t i = 0; s->kind_examples != 0 && s->custom_count == 0 && i < routes->custom_count;
         i++) { /* names for the bits */
        struct str name = routes->custom_categories[i]->id.name;
        s->custom[i] = (struct signals_share){signals_name(name), 0.0F};
        s->custom_count += i + 1 == routes->custom_count ? (uint32_t)routes->custom_count : 0;
    }
    take_rules(routes, prompt, d, s);
    s->all = NULL;
    s->fact_count = (uint32_t)list_facts(prompt, d, s->flags, s->facts, SIGNALS_FACTS_MAX);
}

/* ---------------------------------------------------------------- deciding again */

struct facts { /* those that are there to be read */
    const struct signals_fact *items;
    size_t count;
};

static struct facts facts_of(const struct signals *s)
{
    return s->all != NULL
               ? (struct facts){s->all, s->fact_count}
               : (struct facts){s->facts, signals_is_cut(s) ? SIGNALS_FACTS_MAX : s->fact_count};
}

static bool is_banned(const struct facts *facts, uint32_t name)
{
    for (size_t i = 0; i < facts->count; i++) {
        if (facts->items[i].name == name && (facts->items[i].flags & SIGNALS_FACT_BAN) != 0) {
            return true;
        }
    }
    return false;
}

enum status signals_prompt(const struct signals *s, const struct routes *routes,
                           struct arena *arena, struct prompt *ret_prompt)
{
    const struct expert *experts = routes->experts.items;
    struct facts facts = facts_of(s);
    struct str *bans = arena_alloc(arena, (routes->experts.count + 1) * sizeof *bans);
    size_t ban_count = 0;
    if (bans == NULL) {
        return ST_NO_MEMORY;
    }
    prompt_from_text(ret_prompt, str_from(s->model), STR(""));
    ret_prompt->signals = s;
    ret_prompt->talk.count = s->turns < CONVERSATION_TURNS_MAX ? s->turns : CONVERSATION_TURNS_MAX;
    ret_prompt->needs = s->needs;
    ret_prompt->text_bytes = s->text_bytes;
    ret_prompt->max_tokens = s->max_tokens;
    ret_prompt->more_answers = s->more_answers;
    ret_prompt->pressure = s->pressure;
    ret_prompt->session.is_tool_open = (s->flags & SIGNALS_TOOL_OPEN) != 0;
    for (size_t i = 0; i < routes->experts.count; i++) {
        uint32_t name = signals_name(experts[i].id.name);
        if (name == s->known) {
            ret_prompt->session.expert = experts[i].id.name;
        }
        if (is_banned(&facts, name)) {
            bans[ban_count++] = experts[i].id.name;
        }
    }
    ret_prompt->permit.bans = bans;
    ret_prompt->permit.ban_count = ban_count;
    ret_prompt->permit.has_max_price = (s->flags & SIGNALS_MAX_PRICE) != 0;
    ret_prompt->permit.max_price_nano_usd = s->max_price_nano_usd;
    return ST_OK;
}

bool signals_fires(const struct signals *s, const struct rule *rule)
{
    return s->rule != 0 && s->rule == rule->mark;
}

bool signals_tried(const struct signals *s, const struct rule *rule)
{
    bool is_tried = signals_fires(s, rule);
    for (size_t i = 0; i < s->rule_count && !is_tried; i++) {
        is_tried = s->rules[i] == (uint32_t)rule->mark;
    }
    return is_tried;
}

const struct signals_fact *signals_fact(const struct signals *s, struct str expert, bool is_left)
{
    uint32_t name = signals_name(expert);
    struct facts facts = facts_of(s);
    const struct signals_fact *other = NULL;
    for (size_t i = 0; i < facts.count; i++) {
        const struct signals_fact *fact = &facts.items[i];
        if (fact->name != name || (fact->flags & SIGNALS_FACT_BAN) != 0) {
            continue;
        }
        if (((fact->flags & SIGNALS_FACT_LEFT) != 0) == is_left) {
            return fact;
        }
        other = fact;
    }
    return other;
}

bool signals_share_of(const struct signals *s, struct str category, float *ret_p)
{
    uint32_t name = signals_name(category);
    for (size_t i = 0; i < s->custom_count; i++) {
        if (s->custom[i].name == name) {
            *ret_p = s->custom[i].p;
            return true;
        }
    }
    return false;
}
