/* See signals.h. The bytes: version, then every number in the order of the struct, then the texts with
 * their lengths, then as many entries of the lists as the counts say. */
#include "router/signals.h"

#include <string.h>

#include "base/arena.h"
#include "base/little.h"
#include "router/decide.h"

enum {
    VERSION = 2,
    VERSION_BARE = 1, /* without states and pressure */
};

uint32_t signals_name(struct str name)
{
    uint64_t hash = str_hash(name);
    uint32_t folded = (uint32_t)(hash ^ hash >> 32);
    return folded == 0 ? 1 : folded;
}

static uint64_t mix(uint64_t hash, struct str text)
{
    return (hash ^ str_hash(text)) * 0x9e3779b97f4a7c15U + text.len;
}

uint64_t signals_rule(const struct rule *rule)
{
    uint64_t hash = mix(mix(1, rule->when.model), rule->when.text);
    for (size_t i = 0; i < rule->when.header_count; i++) {
        hash = mix(mix(hash, rule->when.headers[i].name), rule->when.headers[i].value);
    }
    return hash == 0 ? 1 : hash;
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

static void take_permit(const struct permit *permit, struct signals *s)
{
    s->flags |= permit->has_max_price ? (unsigned)SIGNALS_MAX_PRICE : 0U;
    s->max_price_nano_usd = permit->max_price_nano_usd;
    for (size_t i = 0; i < permit->ban_count; i++) {
        if (s->ban_count == SIGNALS_BANS_MAX) {
            s->flags |= SIGNALS_CUT;
            return;
        }
        s->bans[s->ban_count++] = signals_name(permit->bans[i]);
    }
}

static void take_purses(const struct decision *d, struct signals *s)
{
    for (size_t i = 0; i < d->candidate_count; i++) {
        const struct policy_candidate *c = &d->candidates[i];
        if (c->purse.budget.len == 0) {
            continue;
        }
        if (s->purse_count == SIGNALS_PURSES_MAX) {
            s->flags |= SIGNALS_CUT;
            return;
        }
        s->purses[s->purse_count++] = (struct signals_purse){
            signals_name(c->name), c->purse.is_tight, c->purse.left_nano_usd};
    }
}

static bool is_plain(const struct policy_candidate *c)
{
    return c->health.why == NULL && c->health.wait_us == 0 && c->wait_ms == 0;
}

static void take_states(const struct decision *d, struct signals *s)
{
    bool takes_all = (s->flags & SIGNALS_WAITS) != 0;
    for (size_t i = 0; i < d->candidate_count; i++) {
        const struct policy_candidate *c = &d->candidates[i];
        if (is_plain(c) && !takes_all) {
            continue;
        }
        if (s->state_count == SIGNALS_STATES_MAX) {
            s->flags |= SIGNALS_CUT;
            return;
        }
        s->states[s->state_count++] =
            (struct signals_state){signals_name(c->name), c->health.why != NULL, c->health.opens_ms,
                                   c->health.wait_us, c->wait_ms};
    }
}

void signals_take(const struct routes *routes, const struct prompt *prompt,
                  const struct decision *d, struct signals *ret)
{
    struct signals *s = ret;
    bool has_kinds = guarantees_ask_category(routes);
    memset(s, 0, offsetof(struct signals, p));
    s->weights = routes->classifier == NULL ? 0 : classifier_checksum(routes->classifier);
    s->flags = (prompt->session.is_tool_open ? (unsigned)SIGNALS_TOOL_OPEN : 0U) |
               (has_kinds ? (unsigned)SIGNALS_KINDS : 0U) |
               (d->kinds.is_unknown ? (unsigned)SIGNALS_UNKNOWN : 0U) |
               (routes->policies.latency_weight > 0.0 ? (unsigned)SIGNALS_WAITS : 0U) |
               (routes->policies.degrade.budget.len > 0 ? (unsigned)SIGNALS_PRESSURE : 0U);
    s->pressure = prompt->pressure;
    s->rule = d->rule == NULL ? 0 : signals_rule(d->rule);
    s->tenant = prompt->tenant.len == 0 ? 0 : signals_name(prompt->tenant);
    s->known = prompt->session.expert.len == 0 ? 0 : signals_name(prompt->session.expert);
    s->needs = prompt->needs;
    s->turns = (uint32_t)prompt->talk.count;
    s->guard = d->guard.kind;
    bool is_drawn =
        prompt->session.key != 0 || (d->category != NULL && d->category->splits.count > 0);
    s->seed = is_drawn ? (uint32_t)prompt_seed(prompt) : 0;
    s->guard_score = d->guard.score;
    s->language_p = d->language.confidence;
    s->english_p = d->language.english;
    s->text_bytes = prompt->text_bytes;
    s->max_tokens = prompt->max_tokens;
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
    take_permit(&prompt->permit, s);
    take_purses(d, s);
    take_states(d, s);
}

/* ---------------------------------------------------------------- deciding again */

enum status signals_prompt(const struct signals *s, const struct routes *routes,
                           struct arena *arena, struct prompt *ret_prompt)
{
    const struct expert *experts = routes->experts.items;
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
    ret_prompt->pressure = s->pressure;
    ret_prompt->session.is_tool_open = (s->flags & SIGNALS_TOOL_OPEN) != 0;
    for (size_t i = 0; i < routes->experts.count; i++) {
        uint32_t name = signals_name(experts[i].id.name);
        if (name == s->known) {
            ret_prompt->session.expert = experts[i].id.name;
        }
        for (size_t k = 0; k < s->ban_count; k++) {
            if (s->bans[k] == name) {
                bans[ban_count++] = experts[i].id.name;
                break;
            }
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
    return s->rule != 0 && s->rule == signals_rule(rule);
}

void signals_purse(const struct signals *s, struct str expert, struct policy_purse *ret)
{
    uint32_t name = signals_name(expert);
    for (size_t i = 0; i < s->purse_count; i++) {
        if (s->purses[i].name == name) {
            *ret = (struct policy_purse){STR("noted"), s->purses[i].left_nano_usd, INT64_MAX,
                                         s->purses[i].is_tight};
            return;
        }
    }
}

bool signals_state(const struct signals *s, struct str expert, struct policy_health *ret_health,
                   int64_t *ret_wait_ms)
{
    uint32_t name = signals_name(expert);
    for (size_t i = 0; i < s->state_count; i++) {
        const struct signals_state *state = &s->states[i];
        if (state->name == name) {
            *ret_health = (struct policy_health){state->is_shut ? "it was shut" : NULL,
                                                 state->opens_ms, state->wait_us};
            *ret_wait_ms = state->wait_ms;
            return true;
        }
    }
    return false;
}

bool signals_lack(const struct signals *s, const struct routes *routes)
{
    const struct policy_settings *p = &routes->policies;
    return (s->flags & SIGNALS_CUT) != 0 ||
           (p->latency_weight > 0.0 && (s->flags & SIGNALS_WAITS) == 0) ||
           (p->degrade.budget.len > 0 && (s->flags & SIGNALS_PRESSURE) == 0);
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

/* ---------------------------------------------------------------- bytes */

struct cursor { /* over bytes that are written or read; past the end nothing happens */
    char *out;  /* NULL: reading */
    const char *in;
    size_t at;
    size_t size;
    bool is_short;
};

static bool has_room(struct cursor *c, size_t bytes)
{
    c->is_short = c->is_short || c->size - c->at < bytes;
    return !c->is_short;
}

static void pass_u32(struct cursor *c, uint32_t *value)
{
    if (!has_room(c, 4)) {
        return;
    }
    if (c->out != NULL) {
        little_put_u32(c->out + c->at, *value);
    } else {
        *value = little_u32(c->in + c->at);
    }
    c->at += 4;
}

static void pass_u64(struct cursor *c, uint64_t *value)
{
    uint32_t low = (uint32_t)*value;
    uint32_t high = (uint32_t)(*value >> 32);
    pass_u32(c, &low);
    pass_u32(c, &high);
    *value = low | (uint64_t)high << 32;
}

static void pass_i64(struct cursor *c, int64_t *value)
{
    uint64_t bits = (uint64_t)*value;
    pass_u64(c, &bits);
    *value = (int64_t)bits;
}

static void pass_f32(struct cursor *c, float *value)
{
    uint32_t bits = 0;
    memcpy(&bits, value, sizeof bits);
    pass_u32(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void pass_f64(struct cursor *c, double *value)
{
    uint64_t bits = 0;
    memcpy(&bits, value, sizeof bits);
    pass_u64(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void pass_text(struct cursor *c, char *text, uint32_t size)
{
    uint32_t len = c->out == NULL ? 0 : (uint32_t)strlen(text);
    pass_u32(c, &len);
    c->is_short = c->is_short || len >= size;
    if (!has_room(c, len)) {
        return;
    }
    if (c->out != NULL) {
        memcpy(c->out + c->at, text, len);
    } else {
        memcpy(text, c->in + c->at, len);
        text[len] = '\0';
    }
    c->at += len;
}

static void pass_count(struct cursor *c, uint32_t *count, uint32_t max)
{
    pass_u32(c, count);
    if (*count > max) {
        c->is_short = true;
        *count = 0;
    }
}

/* What version 2 has besides. */
static void pass_states(struct cursor *c, struct signals *s)
{
    pass_f64(c, &s->pressure);
    pass_count(c, &s->state_count, SIGNALS_STATES_MAX);
    for (size_t i = 0; i < s->state_count; i++) {
        struct signals_state *state = &s->states[i];
        uint32_t is_shut = state->is_shut;
        pass_u32(c, &state->name);
        pass_u32(c, &is_shut);
        pass_i64(c, &state->opens_ms);
        pass_i64(c, &state->wait_us);
        pass_i64(c, &state->wait_ms);
        state->is_shut = is_shut != 0;
    }
}

/* One way for both directions: they cannot differ. */
static void pass(struct cursor *c, struct signals *s)
{
    uint32_t flags = s->flags;
    pass_u32(c, &flags);
    s->flags = flags;
    pass_u64(c, &s->weights);
    pass_u64(c, &s->rule);
    pass_u64(c, &s->kind_labels);
    pass_u64(c, &s->kind_examples);
    pass_i64(c, &s->text_bytes);
    pass_i64(c, &s->max_tokens);
    pass_i64(c, &s->max_price_nano_usd);
    uint32_t *const words[] = {&s->tenant, &s->known, &s->needs, &s->turns, &s->guard, &s->seed};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        pass_u32(c, words[i]);
    }
    float *const reals[] = {&s->guard_score, &s->language_p, &s->english_p};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        pass_f32(c, reals[i]);
    }
    pass_text(c, s->model, sizeof s->model);
    pass_text(c, s->language, sizeof s->language);
    pass_count(c, &s->label_count, CLASSIFIER_LABELS_MAX);
    for (size_t i = 0; i < s->label_count; i++) {
        pass_f32(c, &s->p[i]);
    }
    pass_count(c, &s->head_count, HEADS_MAX);
    for (size_t i = 0; i < s->head_count; i++) {
        pass_f32(c, &s->heads[i]);
    }
    pass_count(c, &s->custom_count, CUSTOM_MAX);
    for (size_t i = 0; i < s->custom_count; i++) {
        pass_u32(c, &s->custom[i].name);
        pass_f32(c, &s->custom[i].p);
    }
    pass_count(c, &s->ban_count, SIGNALS_BANS_MAX);
    for (size_t i = 0; i < s->ban_count; i++) {
        pass_u32(c, &s->bans[i]);
    }
    pass_count(c, &s->purse_count, SIGNALS_PURSES_MAX);
    for (size_t i = 0; i < s->purse_count; i++) {
        uint32_t is_tight = s->purses[i].is_tight;
        pass_u32(c, &s->purses[i].name);
        pass_u32(c, &is_tight);
        pass_i64(c, &s->purses[i].left_nano_usd);
        s->purses[i].is_tight = is_tight != 0;
    }
}

_Static_assert(SIGNALS_BYTES_MAX >= sizeof(struct signals) + 64,
               "the bytes hold what the struct holds, and lengths of texts");

size_t signals_write(const struct signals *s, char bytes[SIGNALS_BYTES_MAX])
{
    struct signals copy = *s;
    struct cursor c = {bytes, NULL, 0, SIGNALS_BYTES_MAX, false};
    uint32_t version = VERSION;
    pass_u32(&c, &version);
    pass(&c, &copy);
    pass_states(&c, &copy);
    return c.at;
}

enum status signals_read(struct str bytes, struct signals *ret)
{
    struct signals s;
    struct cursor c = {NULL, bytes.ptr, 0, bytes.len, false};
    uint32_t version = 0;
    memset(&s, 0, sizeof s);
    pass_u32(&c, &version);
    pass(&c, &s);
    if (version != VERSION_BARE) {
        pass_states(&c, &s);
    }
    bool is_known = version == VERSION || version == VERSION_BARE;
    bool is_good = !c.is_short && c.at == bytes.len && is_known && s.guard <= GUARD_EMPTY;
    if (!is_good) {
        return ST_INVALID;
    }
    *ret = s;
    return ST_OK;
}
