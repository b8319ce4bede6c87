/* See decide.h. */
#include "router/decide.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/kinds.h"
#include "router/signals.h"
#include "router/softmax.h"

/* Confidence from which on a language decides between categories, and drops experts. */
static const float LANGUAGE_LIKELY = 0.5F;
static const float LANGUAGE_SURE = 0.8F;

_Static_assert((int)EXPERT_TOOLS == (int)POLICY_TOOLS && (int)EXPERT_JSON == (int)POLICY_JSON &&
                   (int)EXPERT_VISION == (int)POLICY_VISION &&
                   (int)EXPERT_AUDIO == (int)POLICY_AUDIO && (int)EXPERT_EMBED == (int)POLICY_EMBED,
               "what an expert can and what a prompt needs are the same bits");

enum status decide_scratch_init(struct decide_scratch *s)
{
    s->delta = NULL;
    s->classifier = classifier_scratch_create();
    s->rules = rules_scratch_create();
    s->all_hashes = mem_alloc(CUSTOM_HASHES_MAX * sizeof *s->all_hashes);
    bool is_short = s->classifier == NULL || s->rules == NULL || s->all_hashes == NULL;
    return is_short ? ST_NO_MEMORY : ST_OK;
}

void decide_scratch_fini(struct decide_scratch *s)
{
    classifier_scratch_destroy(s->classifier);
    rules_scratch_destroy(s->rules);
    mem_free(s->all_hashes);
    s->classifier = NULL;
    s->all_hashes = NULL;
    s->rules = NULL;
}

static void set_category(struct decision *d, const struct category *category, float confidence)
{
    d->category = category;
    d->category_name = category->id.name;
    d->confidence = confidence;
}

/* What feedback has taught about these weights. */
static void correct(const struct routes *routes, struct decide_scratch *s, struct decision *d)
{
    if (s->delta == NULL ||
        online_delta_weights(s->delta) != classifier_checksum(routes->classifier)) {
        return;
    }
    size_t count = classifier_hashes(s->classifier, d->notes.segments, d->notes.segment_count,
                                     s->hashes, ONLINE_HASHES_MAX);
    memcpy(d->untaught, d->scores.p, sizeof d->untaught);
    d->taught = online_apply(s->delta, s->hashes, count, &d->scores);
    d->is_taught = true;
}

/* Further questions (heads.h), about the last turn. */
static void ask_heads(const struct routes *routes, const struct prompt *prompt, struct decision *d)
{
    const struct heads *heads = classifier_heads(routes->classifier);
    float x[HEADS_INPUTS_MAX];
    if (heads->count > 0) {
        heads_inputs(heads, &d->scores, prompt_last_text(prompt), x);
        heads_run(heads, x, d->heads);
    }
    d->head_count = heads->count;
}

/* What was noted of a prompt that is gone. */
static void look_again(const struct signals *s, struct decision *d)
{
    d->guard = (struct guard){(enum guard_kind)s->guard, s->guard_score, ""};
    d->is_judged = true;
    d->language = (struct language_guess){str_from(s->language), 0, s->language_p, s->english_p};
}

struct guard decide_guard(const struct routes *routes, const struct prompt *prompt,
                          const struct decision *d)
{
    struct guard guard = {GUARD_PROSE, 0.0F, ""};
    if (d->is_judged) {
        return d->guard;
    }
    if (!prompt_is_embedding(prompt)) {
        guards_judge(routes->languages, prompt_last_text(prompt), &guard);
    }
    return guard;
}

static void judge_text(const struct routes *routes, const struct prompt *prompt, struct decision *d)
{
    d->guard = decide_guard(routes, prompt, d);
    d->is_judged = true;
}

/* The language of the last turn, or that of the opening turn where it has none ("ok?"). */
static void look(const struct routes *routes, const struct prompt *prompt, struct decision *d)
{
    struct str text = prompt_last_text(prompt);
    if (prompt->signals != NULL) {
        look_again(prompt->signals, d);
        return;
    }
    d->language = (struct language_guess){STR(""), 0, 0.0F, 0.0F};
    if (routes->languages == NULL || prompt_is_embedding(prompt)) {
        return;
    }
    language_detect(routes->languages, text, &d->language);
    if (prompt->talk.count > 1 && d->language.confidence < LANGUAGE_LIKELY) {
        struct language_guess opening;
        language_detect(routes->languages, prompt->talk.turns[0].user, &opening);
        d->language = opening.confidence > d->language.confidence ? opening : d->language;
    }
}

/* Whether the classifier does not speak against a category: a third of the best is enough. */
static bool is_thinkable(const struct routes *routes, const struct decision *d,
                         const struct category *category)
{
    float p = 0.0F;
    for (size_t i = 0; i < d->scores.count; i++) {
        p = routes->label_categories[i] == category && d->scores.p[i] > p ? d->scores.p[i] : p;
    }
    return 3.0F * p >= d->scores.p[d->scores.best];
}

/* Where a prompt goes that the classifier is not sure about. */
static void fall_back(const struct routes *routes, struct decision *d, float confidence)
{
    bool is_code = d->guard.kind == GUARD_CODE || d->guard.kind == GUARD_LOG;
    if (is_code && routes->code != NULL && is_thinkable(routes, d, routes->code)) {
        d->source = DECIDE_GUARD;
        set_category(d, routes->code, confidence);
        return;
    }
    bool is_foreign = d->language.confidence - d->language.english >= LANGUAGE_LIKELY;
    d->source = is_foreign && routes->multilingual != NULL ? DECIDE_LANGUAGE : DECIDE_GENERAL;
    set_category(d, d->source == DECIDE_LANGUAGE ? routes->multilingual : routes->general,
                 confidence);
}

/* What is no text at all is not asked about, unless a conversation explains it. */
static bool is_text(const struct routes *routes, const struct prompt *prompt, struct decision *d)
{
    judge_text(routes, prompt, d);
    return prompt->talk.count > 1 || (d->guard.kind != GUARD_NOISE && d->guard.kind != GUARD_EMPTY);
}

/* Of a category that several labels feed, the likeliest stands for all of them. */
static void merge(const struct routes *routes, struct classifier_result *r)
{
    for (size_t i = 0; i < r->count; i++) {
        for (size_t k = i + 1; k < r->count && routes->label_categories[i] != NULL; k++) {
            if (routes->label_categories[k] == routes->label_categories[i]) {
                size_t likely = r->p[k] > r->p[i] ? k : i;
                size_t other = likely == k ? i : k;
                r->p[likely] += r->p[other];
                r->p[other] = 0.0F;
            }
        }
    }
    for (size_t i = 0; i < r->count; i++) {
        r->best = r->p[i] > r->p[r->best] ? i : r->best;
    }
    r->entropy = softmax_entropy(r->p, r->count);
}

/* All features of the texts that decided. */
static size_t list_features(struct decide_scratch *s, const struct decision *d)
{
    return classifier_hashes(s->classifier, d->notes.segments, d->notes.segment_count,
                             s->all_hashes, CUSTOM_HASHES_MAX);
}

/* What the classifier and the heads said, as far as it was noted. Other weights would say something
 * else, nobody knows what. */
static void score_again(const struct routes *routes, const struct signals *s, struct decision *d)
{
    bool is_noted = (s->flags & SIGNALS_CLASSIFIED) != 0 &&
                    s->weights == classifier_checksum(routes->classifier) &&
                    s->label_count == classifier_label_count(routes->classifier);
    if (!is_noted) {
        bool was_asked = (s->flags & SIGNALS_CLASSIFIED) != 0;
        gaps_add(d->gaps, was_asked ? GAP_WEIGHTS : GAP_SCORES, STR(""));
        return;
    }
    d->is_classified = true;
    d->scores = (struct classifier_result){.count = s->label_count};
    memcpy(d->scores.p, s->p, s->label_count * sizeof s->p[0]);
    for (size_t i = 1; i < s->label_count; i++) {
        d->scores.best = s->p[i] > s->p[d->scores.best] ? i : d->scores.best;
    }
    d->scores.entropy = softmax_entropy(s->p, s->label_count);
    memcpy(d->heads, s->heads, s->head_count * sizeof s->heads[0]);
    d->head_count = s->head_count;
}

/* Asks the classifier, once. */
static void score(const struct routes *routes, struct decide_scratch *s,
                  const struct prompt *prompt, struct decision *d)
{
    if (d->is_classified) {
        return;
    }
    if (prompt->signals != NULL) {
        score_again(routes, prompt->signals, d);
        if (!d->is_classified) {
            return;
        }
    } else {
        struct conversation_model model = {routes->classifier, s->classifier,
                                           &conversation_defaults};
        conversation_score(&model, &prompt->talk, &d->scores, &d->notes);
        d->is_classified = true;
        correct(routes, s, d);
    }
    if (routes->has_merged) {
        memcpy(d->unmerged, d->scores.p, sizeof d->unmerged);
        merge(routes, &d->scores);
    }
    if (prompt->signals == NULL) {
        ask_heads(routes, prompt, d);
    }
    d->is_sure = thresholds_judge(&routes->thresholds, &d->scores, &d->certainty, &d->set);
}

/* Whether a rule fires, as far as its heads let it. Of a prompt that is gone it was noted which of those
 * that look at texts or headers did. */
static bool fires(const struct rule *rule, struct decide_scratch *s, const struct rule_facts *facts,
                  struct gaps *gaps)
{
    const struct signals *signals = facts->prompt->signals;
    if (signals == NULL || !rule_reads(rule)) {
        return rule_matches(rule, s->rules, facts);
    }
    bool is_for = rule_is_for(rule, facts->prompt->model);
    if (is_for && !signals_tried(signals, rule)) {
        gaps_add(gaps, GAP_RULE, rule->name);
    }
    return is_for && signals_fires(signals, rule);
}

/* The first that fires. The classifier is asked only where a rule waits for its heads alone. */
static const struct rule *find_rule(const struct routes *routes, struct decide_scratch *s,
                                    const struct rule_facts *facts, struct decision *d)
{
    const struct rule *rules = routes->rules.items;
    for (size_t i = 0; i < routes->rules.count; i++) {
        if (!fires(&rules[i], s, facts, d->gaps)) {
            continue;
        }
        if (rules[i].when.heads.count > 0 && is_text(routes, facts->prompt, d)) {
            score(routes, s, facts->prompt, d);
        }
        if (rule_heads_hold(&rules[i], d->is_classified ? d->heads : NULL)) {
            return &rules[i];
        }
    }
    return NULL;
}

static float likelihood(const struct routes *routes, const struct decision *d,
                        const struct category *category)
{
    float p = 0.0F;
    for (size_t i = 0; i < d->scores.count; i++) {
        p += routes->label_categories[i] == category ? d->scores.p[i] : 0.0F;
    }
    return p;
}

static double threshold_of(const struct routes *routes, const struct category *category)
{
    return category->threshold > 0.0 ? category->threshold : routes->router.threshold;
}

/* How likely each source takes the prompt. */
static void judge_examples(const struct routes *routes, struct decide_scratch *s,
                           const struct prompt *prompt, struct decision *d)
{
    d->has_custom = true;
    if (prompt->signals == NULL) {
        size_t count = list_features(s, d);
        d->custom = custom_judge(routes->custom, s->all_hashes, count, &d->scores, d->custom_p);
        return;
    }
    d->custom = 0;
    for (size_t i = 0; i < routes->custom_count; i++) {
        struct str name = routes->custom_categories[i]->id.name;
        d->custom_p[i] = 0.0F;
        if (!signals_share_of(prompt->signals, name, &d->custom_p[i])) {
            gaps_add(d->gaps, GAP_EXAMPLES, name);
        }
        d->custom = d->custom_p[i] > d->custom_p[d->custom] ? i : d->custom;
    }
}

/* The categories that have examples. What is not sure enough for one of them is for its parent, as is
 * what the two are only together sure of. False: they leave the prompt to the classifier. */
static bool ask_examples(const struct routes *routes, struct decide_scratch *s,
                         const struct prompt *prompt, struct decision *d)
{
    if (routes->custom == NULL) {
        return false;
    }
    judge_examples(routes, s, prompt, d);
    const struct category *own = routes->custom_categories[d->custom];
    float p = d->custom_p[d->custom];
    bool takes = p >= CUSTOM_TAKES;
    if (takes && (double)p >= own->threshold) {
        d->source = DECIDE_EXAMPLES;
        set_category(d, own, p);
        return true;
    }
    if (own->parent == NULL || (d->is_sure && !takes)) {
        return false;
    }
    float together = p + (1.0F - p) * likelihood(routes, d, own->parent);
    if ((double)together < threshold_of(routes, own->parent)) {
        return false;
    }
    d->source = DECIDE_EXAMPLES;
    set_category(d, own->parent, together);
    return true;
}

/* Below the threshold, or of a domain that this configuration has no category for: the
 * fall-back. */
static void classify(const struct routes *routes, struct decide_scratch *s,
                     const struct prompt *prompt, struct decision *d)
{
    if (!is_text(routes, prompt, d)) {
        d->source = DECIDE_GUARD;
        set_category(d, routes->general, d->guard.score);
        return;
    }
    score(routes, s, prompt, d);
    if (!d->is_classified) { /* of signals that do not say it */
        d->source = DECIDE_GENERAL;
        set_category(d, routes->general, 0.0F);
        return;
    }
    if (ask_examples(routes, s, prompt, d)) {
        return;
    }
    float p = d->scores.p[d->scores.best];
    const struct category *category = routes->label_categories[d->scores.best];
    if (category != NULL && d->is_sure) {
        d->source = DECIDE_CLASSIFIER;
        set_category(d, category, p);
        return;
    }
    fall_back(routes, d, p);
}

/* Tokens of the operator's texts that join the prompt on its way, at most. */
static int64_t added_tokens(const struct decision *d, const struct expert *e)
{
    size_t bytes = e->edits.prompt.text.len;
    const struct demos_settings *demos = &e->edits.demos;
    if (d->category != NULL) {
        bytes += d->category->edits.prompt.text.len;
        demos = d->category->edits.demos.read != NULL ? &d->category->edits.demos : demos;
    }
    return (int64_t)((bytes + PROMPT_BYTES_PER_TOKEN - 1) / PROMPT_BYTES_PER_TOKEN) +
           (demos->read == NULL ? 0 : demos->budget_tokens);
}

static struct policy_candidate facts_of(const struct decision *d, const struct expert *e,
                                        double score, const struct policy_request *request)
{
    int64_t added = (request->needs & POLICY_EMBED) != 0 ? 0 : added_tokens(d, e);
    int64_t cost =
        expert_cost_at_most(e, request->paid_tokens + added, request->paid_completion_tokens);
    return (struct policy_candidate){
        .name = e->id.name,
        .expert = e->index,
        .score = score,
        .capabilities = e->capabilities,
        .languages = e->languages.items,
        .language_count = e->languages.count,
        .context_tokens = e->context_tokens,
        .added_tokens = added,
        .cost_nano_usd = cost == EXPERT_COST_UNKNOWN ? 0 : cost,
        .has_price = cost != EXPERT_COST_UNKNOWN,
    };
}

static enum status make_room(struct decision *d, struct arena *arena, size_t count)
{
    d->candidates = arena_alloc(arena, (count + 1) * sizeof(*d->candidates));
    d->experts = arena_alloc(arena, (count + 1) * sizeof(*d->experts));
    d->candidate_count = count;
    return d->candidates == NULL || d->experts == NULL ? ST_NO_MEMORY : ST_OK;
}

static enum status add_category_experts(struct decision *d, const struct policy_request *request,
                                        struct arena *arena)
{
    const struct category_expert *list = d->category->experts.items;
    enum status st = make_room(d, arena, d->category->experts.count);
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 0; i < d->candidate_count; i++) {
        d->candidates[i] = facts_of(d, list[i].expert, list[i].score, request);
    }
    return ST_OK;
}

/* One of 100 in hundredths, the same for the same tenant and conversation; where that has no name, for
 * the same prompt. */
static double draw(const struct prompt *prompt, const struct category *category)
{
    static const uint64_t STEPS = 10000;
    static const uint64_t MIX = 0x9e3779b97f4a7c15U; /* 2^64 over the golden ratio: spreads bits */
    uint64_t key = (prompt_seed(prompt) ^ str_hash(prompt->tenant)) * MIX;
    key = (key ^ key >> 32 ^ str_hash(category->id.name)) * MIX;
    return (double)((key >> 32) % STEPS) / 100.0;
}

/* Marks the expert that the category's split draws for this request, if it draws one. */
static void mark_drawn(const struct prompt *prompt, struct decision *d)
{
    const struct category_split *splits = d->category->splits.items;
    const struct signals *signals = prompt->signals;
    if (d->category->splits.count > 0 && signals != NULL && (signals->flags & SIGNALS_SEED) == 0) {
        gaps_add(d->gaps, GAP_DRAW, d->category_name);
    }
    double at = d->category->splits.count == 0 ? 0.0 : draw(prompt, d->category);
    for (size_t i = 0; i < d->category->splits.count; i++) {
        for (size_t k = 0; k < d->candidate_count && at >= 0.0 && at < splits[i].percent; k++) {
            if (str_eq(d->candidates[k].name, splits[i].name)) {
                d->candidates[k].split_percent = splits[i].percent;
            }
        }
        at -= splits[i].percent;
    }
}

/* Marks the expert that answered before. While a tool call of its own is open it takes part in any
 * category; make_room has left a place. */
static void mark_known(const struct routes *routes, const struct prompt_session *session,
                       struct decision *d, const struct policy_request *request)
{
    const struct expert *known = routes_expert(routes, session->expert);
    d->session = known == NULL ? DECIDE_SESSION_NEW : DECIDE_SESSION_SWITCHED;
    if (known == NULL) {
        return;
    }
    for (size_t i = 0; i < d->candidate_count; i++) {
        if (str_eq(d->candidates[i].name, known->id.name)) {
            d->candidates[i].is_known = true;
            return;
        }
    }
    if (session->is_tool_open) {
        d->candidates[d->candidate_count] = facts_of(d, known, 0.0, request);
        d->candidates[d->candidate_count++].is_known = true;
    }
}

/* Experts named in an order: earlier ones score a little higher, so that the order holds unless cost
 * weighs in. */
static enum status add_listed_experts(struct decision *d, const struct expert *const *experts,
                                      size_t count, const struct policy_request *request,
                                      struct arena *arena)
{
    enum status st = make_room(d, arena, count);
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 0; i < count; i++) {
        d->candidates[i] = facts_of(d, experts[i], 1.0 - (double)i * 0.001, request);
    }
    return ST_OK;
}

static enum status add_candidates(const struct routes *routes, const struct prompt *prompt,
                                  struct decision *d, const struct policy_request *request,
                                  struct arena *arena)
{
    if (d->category != NULL) {
        enum status st = add_category_experts(d, request, arena);
        if (st == ST_OK) {
            mark_drawn(prompt, d);
        }
        if (st == ST_OK && routes->router.session.affinity) {
            mark_known(routes, &prompt->session, d, request);
        }
        return st;
    }
    if (d->source == DECIDE_ALIAS) {
        const struct alias *alias = routes_alias(routes, d->named);
        return add_listed_experts(d, alias->experts, alias->count, request, arena);
    }
    const struct expert *expert = routes_expert(routes, d->named);
    ASSERT(expert != NULL);
    return add_listed_experts(d, &expert, 1, request, arena);
}

/* Marks the candidates whose vectors cannot be compared with those of the first one that embeds, whoever is
 * ill or dear. */
static void keep_space(const struct routes *routes, struct decision *d)
{
    const struct expert *experts = routes->experts.items;
    const struct expert *first = NULL;
    for (size_t i = 0; i < d->candidate_count; i++) {
        struct policy_candidate *c = &d->candidates[i];
        const struct expert *e = &experts[c->expert];
        if ((e->capabilities & EXPERT_EMBED) == 0) {
            continue;
        }
        first = first == NULL ? e : first;
        if (e != first && (e->space.len == 0 || !str_eq(e->space, first->space))) {
            c->unlike = first->id.name;
        }
    }
}

/* Who embeds: nobody but the client, or the configuration for all of auto, chooses a vector space. */
static enum status choose_embedder(const struct routes *routes, const struct prompt *prompt,
                                   struct decision *d)
{
    d->named = str_eq(prompt->model, STR("auto")) ? routes->router.embeddings : prompt->model;
    d->source = routes_alias(routes, d->named) != NULL ? DECIDE_ALIAS : DECIDE_EXPERT;
    d->confidence = 1.0F;
    bool is_known = d->source == DECIDE_ALIAS || routes_expert(routes, d->named) != NULL;
    return is_known ? ST_OK : ST_NOT_FOUND;
}

/* Who decides, and the category if there is one. */
static enum status choose(const struct routes *routes, struct decide_scratch *s,
                          const struct rule_facts *facts, struct decision *d)
{
    static const struct str prefix = {"category/", 9};

    struct str model = facts->prompt->model;
    if (!permit_allows(&facts->prompt->permit, model)) {
        return ST_NOT_FOUND; /* what a key may not use is not there for it */
    }
    if (prompt_is_embedding(facts->prompt)) {
        return choose_embedder(routes, facts->prompt, d);
    }
    d->rule = find_rule(routes, s, facts, d);
    d->fired = d->rule;
    if (d->rule != NULL) {
        d->source = DECIDE_RULE;
        if (d->rule->category.len > 0) {
            set_category(d, routes_category(routes, d->rule->category), 1.0F);
        }
        d->named = d->rule->expert;
        return ST_OK;
    }
    if (str_eq(model, STR("auto"))) {
        if (routes->general == NULL) {
            return ST_NOT_FOUND;
        }
        if (routes->classifier != NULL) {
            classify(routes, s, facts->prompt, d);
        } else {
            d->source = DECIDE_GENERAL;
            set_category(d, routes->general, 0.0F);
        }
        return ST_OK;
    }
    if (str_starts_with(model, prefix)) {
        const struct category *category =
            routes_category(routes, str_slice(model, prefix.len, model.len));
        if (category == NULL) {
            return ST_NOT_FOUND;
        }
        d->source = DECIDE_CATEGORY;
        set_category(d, category, 1.0F);
        return ST_OK;
    }
    d->named = model;
    d->source = routes_alias(routes, model) != NULL ? DECIDE_ALIAS : DECIDE_EXPERT;
    d->confidence = 1.0F;
    return d->source == DECIDE_ALIAS || routes_expert(routes, model) != NULL ? ST_OK : ST_NOT_FOUND;
}

/* Holds what was chosen against the permit: a category that the key may not use gives way to the general
 * one, if it may use that and no guarantee could be about the other one. Only what the client named
 * itself was looked at before. */
static void hold(const struct routes *routes, const struct prompt *prompt, struct decision *d,
                 struct policy_request *request)
{
    const struct permit *permit = &prompt->permit;
    if (d->category == NULL && !str_eq(d->named, prompt->model)) {
        request->led_to = d->named; /* by a rule, or by router.embeddings */
    } else if (d->category != NULL) {
        request->led_to = d->category->model;
    } else {
        return;
    }
    request->is_forbidden = !permit_allows(permit, request->led_to);
    bool has_general = routes->general != NULL && routes->guarantees.count == 0 &&
                       permit_allows(permit, routes->general->model);
    if (request->is_forbidden && d->category != NULL && has_general) {
        request->is_forbidden = false;
        d->rule = NULL;
        d->source = DECIDE_GENERAL;
        set_category(d, routes->general, d->confidence);
    }
}

static enum status make_plan(const struct routes *routes, struct decision *d, size_t in,
                             struct arena *arena)
{
    struct expert *experts = routes->experts.items;
    enum status st = plan_init(&d->plan, arena, in, &routes->policies.plan);
    if (st != ST_OK) {
        return st;
    }
    for (size_t i = 0; i < d->candidate_count; i++) {
        d->experts[i] = &experts[d->candidates[i].expert];
        if (i < in) {
            d->plan.experts[i] = d->experts[i];
        }
    }
    if (d->session == DECIDE_SESSION_SWITCHED && in > 0 && d->candidates[0].is_known) {
        d->session = DECIDE_SESSION_KEPT;
    }
    return in == 0 ? ST_INVALID : ST_OK;
}

/* Marks the candidates that a guarantee forbids, but for those that another one has marked. */
static void bar(const struct routes *routes, const struct guarantee *g, struct decision *d)
{
    const struct expert *experts = routes->experts.items;
    if (!guarantee_holds(routes, g, &d->kinds)) {
        return;
    }
    for (size_t i = 0; i < d->candidate_count; i++) {
        struct policy_candidate *c = &d->candidates[i];
        if (c->barred_by.len == 0 && guarantee_forbids(routes, g, &d->kinds, &experts[c->expert])) {
            c->barred_by = g->name;
        }
    }
}

/* What was noted of a candidate; of its budgets where nobody is there to ask. */
static void recall(const struct rule_facts *facts, const struct policy_request *request,
                   struct decision *d, struct policy_candidate *c)
{
    const struct signals *s = facts->prompt->signals;
    bool is_first = (s->flags & SIGNALS_LEFT) != 0 && d->left.category == NULL;
    const struct signals_fact *fact = signals_fact(s, c->name, is_first);
    bool is_timed = fact != NULL && ((s->flags & SIGNALS_WAITS) != 0 || fact->wait_us > 0);
    if (request->latency_weight > 0.0 && !is_timed) {
        gaps_add(d->gaps, GAP_WAIT, c->name);
    }
    if (fact == NULL) {
        return;
    }
    if ((fact->flags & SIGNALS_FACT_PURSE) != 0 && facts->purse == NULL) {
        c->purse = (struct policy_purse){STR("noted"), fact->left_nano_usd, INT64_MAX,
                                         (fact->flags & SIGNALS_FACT_TIGHT) != 0};
    }
    c->health =
        (struct policy_health){(fact->flags & SIGNALS_FACT_SHUT) != 0 ? "it was shut" : NULL,
                               fact->opens_ms, fact->wait_us};
    c->wait_ms = fact->wait_ms;
}

/* What the signals lack for all candidates. */
static void note_gaps(const struct rule_facts *facts, const struct routes *routes,
                      struct gaps *gaps)
{
    const struct signals *s = facts->prompt->signals;
    bool wants_pressure = routes->policies.degrade.budget.len > 0 && facts->purse == NULL;
    if ((s->flags & SIGNALS_CUT) != 0 || signals_is_cut(s)) {
        gaps_add(gaps, GAP_EXPERTS, STR(""));
    }
    if ((s->flags & SIGNALS_CUT_MODEL) != 0) {
        gaps_add(gaps, GAP_MODEL, STR(""));
    }
    if (wants_pressure && (s->flags & SIGNALS_PRESSURE) == 0) {
        gaps_add(gaps, GAP_PRESSURE, STR(""));
    }
}

/* Asks the guarantees, the budgets, the health and the policies. Returns how many candidates are in. */
static size_t judge(const struct routes *routes, const struct rule_facts *facts,
                    const struct policy_request *request, struct decision *d)
{
    const struct signals *signals = facts->prompt->signals;
    const struct guarantee *guarantees = routes->guarantees.items;
    for (size_t i = 0; facts->purse != NULL && i < d->candidate_count; i++) {
        facts->purse(facts->ctx, d->candidates[i].name, d->category_name, &d->candidates[i].purse);
    }
    for (size_t i = 0; signals != NULL && i < d->candidate_count; i++) {
        recall(facts, request, d, &d->candidates[i]);
    }
    const struct expert *experts = routes->experts.items;
    for (size_t i = 0; facts->health != NULL && i < d->candidate_count; i++) {
        facts->health(facts->ctx, &experts[d->candidates[i].expert], &d->candidates[i].health);
    }
    for (size_t i = 0; i < routes->guarantees.count; i++) {
        bar(routes, &guarantees[i], d);
    }
    return policy_apply_all(request, d->candidates, d->candidate_count);
}

/* The category of a guarantee, for a prompt whose own way, chosen by nobody but the router, it has
 * barred. NULL: there is none, or the prompt is there already. */
static const struct category *home_of(const struct routes *routes, const struct decision *d)
{
    bool is_routed = d->source == DECIDE_CLASSIFIER || d->source == DECIDE_GENERAL ||
                     d->source == DECIDE_GUARD || d->source == DECIDE_LANGUAGE ||
                     d->source == DECIDE_EXAMPLES;
    bool is_barred = false;
    for (size_t i = 0; i < d->candidate_count; i++) {
        is_barred = is_barred || d->candidates[i].barred_by.len > 0;
    }
    const struct category *home =
        is_routed && is_barred ? guarantees_home(routes, &d->kinds) : NULL;
    return home == d->category ? NULL : home;
}

/* Candidates, verdicts, and the plan. */
static enum status plan_experts(const struct routes *routes, const struct rule_facts *facts,
                                const struct policy_request *request, struct decision *d,
                                struct arena *arena)
{
    enum status st = add_candidates(routes, facts->prompt, d, request, arena);
    if (st == ST_OK && prompt_is_embedding(facts->prompt)) {
        keep_space(routes, d);
    }
    size_t in = st == ST_OK ? judge(routes, facts, request, d) : 0;
    const struct category *home = st == ST_OK && in == 0 ? home_of(routes, d) : NULL;
    if (home != NULL && permit_allows(&facts->prompt->permit, home->model)) {
        d->left = (struct decide_left){d->category, d->candidates, d->candidate_count};
        d->source = DECIDE_GUARANTEE;
        set_category(d, home, d->confidence);
        d->kinds.category = home;
        st = add_candidates(routes, facts->prompt, d, request, arena);
        in = st == ST_OK ? judge(routes, facts, request, d) : 0;
    }
    return st == ST_OK ? make_plan(routes, d, in, arena) : st;
}

enum status decide(const struct routes *routes, struct decide_scratch *s,
                   const struct rule_facts *facts, struct arena *arena,
                   struct decision *ret_decision)
{
    struct decision *d = ret_decision;
    const struct prompt *prompt = facts->prompt;
    d->rule = NULL;
    d->fired = NULL;
    d->category = NULL;
    d->category_name = STR("");
    d->named = STR("");
    d->is_judged = false;
    d->is_classified = false;
    d->certainty = 0.0F;
    d->set = 0;
    d->is_taught = false;
    d->has_custom = false;
    d->gaps = NULL;
    d->left = (struct decide_left){0};
    d->is_cold = false;
    d->head_count = 0;
    d->taught = 0.0F;
    d->confidence = 0.0F;
    d->candidate_count = 0;
    d->session = DECIDE_SESSION_NONE;
    d->plan = (struct plan){0};

    if (prompt->signals != NULL) {
        d->gaps = arena_alloc(arena, sizeof *d->gaps);
        if (d->gaps == NULL) {
            return ST_NO_MEMORY;
        }
        d->gaps->count = 0;
        note_gaps(facts, routes, d->gaps);
    }
    look(routes, prompt, d);
    enum status st = choose(routes, s, facts, d);
    if (st != ST_OK) {
        return st;
    }
    bool is_sure = d->language.confidence >= LANGUAGE_SURE;
    struct policy_request request = {
        .needs = prompt->needs,
        .language = is_sure && d->source != DECIDE_EXPERT ? d->language.code : STR(""),
        .prompt_tokens = prompt_context_estimate(prompt),
        .paid_tokens = prompt_tokens_estimate(prompt),
        .completion_tokens = prompt_answer_tokens(prompt),
        .paid_completion_tokens = prompt_paid_answer_tokens(prompt),
        .min_score = d->category == NULL ? 0.0 : routes->policies.min_score,
        .cost_weight =
            routes->policies.cost_weight + routes->policies.degrade.weight * prompt->pressure,
        .latency_weight = routes->policies.latency_weight,
        .tries_shut = routes->policies.when_all_open == POLICY_TRY,
        .switch_cost = routes->router.session.switch_cost,
        .is_tool_open = prompt->session.is_tool_open,
        .bans = prompt->permit.bans,
        .ban_count = prompt->permit.ban_count,
        .has_max_price = prompt->permit.has_max_price,
        .max_price_nano_usd = prompt->permit.max_price_nano_usd,
    };
    d->cost_weight = request.cost_weight;
    hold(routes, prompt, d, &request);
    if (guarantees_ask_category(routes)) {
        judge_text(routes, prompt, d);
    }
    kinds_find(routes, s, prompt, d);
    return plan_experts(routes, facts, &request, d, arena);
}

size_t decide_explain_examples(const struct routes *routes, struct decide_scratch *s,
                               const struct decision *d, struct classifier_evidence *ret_evidence,
                               size_t max)
{
    size_t count = list_features(s, d);
    return custom_explain(routes->custom, d->custom, s->all_hashes, count, d->scores.vector,
                          ret_evidence, max);
}

int decide_nearest_example(const struct routes *routes, struct decide_scratch *s,
                           const struct decision *d)
{
    size_t count = list_features(s, d);
    return custom_nearest(routes->custom, d->custom, s->all_hashes, count, d->scores.vector);
}

const char *decide_source_text(enum decide_source source)
{
    static const char *const texts[] = {
        [DECIDE_EXPERT] = "expert",         [DECIDE_ALIAS] = "alias",
        [DECIDE_CATEGORY] = "category",     [DECIDE_RULE] = "rule",
        [DECIDE_CLASSIFIER] = "classifier", [DECIDE_GENERAL] = "general",
        [DECIDE_GUARD] = "guard",           [DECIDE_LANGUAGE] = "language",
        [DECIDE_EXAMPLES] = "examples",     [DECIDE_GUARANTEE] = "guarantee",
    };
    return texts[source];
}

const char *decide_session_text(enum decide_session session)
{
    static const char *const texts[] = {
        [DECIDE_SESSION_NONE] = "",
        [DECIDE_SESSION_NEW] = "new",
        [DECIDE_SESSION_KEPT] = "kept",
        [DECIDE_SESSION_SWITCHED] = "switched",
    };
    return texts[session];
}
