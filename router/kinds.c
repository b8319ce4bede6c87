/* See kinds.h. */
#include "router/kinds.h"

#include "router/signals.h"

static uint64_t bit(size_t label)
{
    return (uint64_t)1 << label;
}

static size_t best_of(const float *p, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        best = p[i] > p[best] ? i : best;
    }
    return best;
}

/* The sources whose examples take the texts that were scored. */
static uint64_t examples_of(const struct routes *routes, struct decide_scratch *s,
                            const struct classifier_segment *segments, size_t count,
                            const struct classifier_result *result)
{
    float p[CUSTOM_MAX];
    uint64_t examples = 0;
    if (routes->custom == NULL) {
        return 0;
    }
    size_t hashes =
        classifier_hashes(s->classifier, segments, count, s->all_hashes, CUSTOM_HASHES_MAX);
    (void)custom_judge(routes->custom, s->all_hashes, hashes, result, p);
    for (size_t i = 0; i < routes->custom_count; i++) {
        examples |= p[i] >= CUSTOM_TAKES ? bit(i) : 0;
    }
    return examples;
}

/* One text by itself; nothing where it has no words. */
static void add_part(const struct routes *routes, struct decide_scratch *s, struct str text,
                     struct guarantee_facts *kinds)
{
    struct classifier_segment segment = {text, 1.0F};
    struct classifier_result result;
    if (text.len == 0) {
        return;
    }
    classifier_score(routes->classifier, s->classifier, &segment, 1, &result);
    if (result.features > 0) {
        kinds->labels |= bit(result.best);
        kinds->examples |= examples_of(routes, s, &segment, 1, &result);
    }
}

static void add_parts(const struct routes *routes, struct decide_scratch *s,
                      const struct conversation *talk, struct guarantee_facts *kinds)
{
    add_part(routes, s, talk->system, kinds);
    for (size_t i = 0; i < talk->count; i++) {
        add_part(routes, s, talk->turns[i].user, kinds);
        add_part(routes, s, talk->turns[i].reply, kinds);
    }
}

/* The conversation as a whole: the best label and the conformal set, before and after what feedback
 * taught. */
static void add_whole(const struct routes *routes, struct decide_scratch *s,
                      const struct conversation *talk, struct decision *d)
{
    struct conversation_model model = {routes->classifier, s->classifier, &conversation_defaults};
    struct classifier_result result;
    struct conversation_notes notes;
    float certainty = 0.0F;
    uint64_t set = 0;
    if (d->is_classified) {
        d->kinds.labels |= bit(d->scores.best) | d->set;
        d->kinds.labels |= d->is_taught ? bit(best_of(d->untaught, d->scores.count)) : 0;
        d->kinds.examples |=
            examples_of(routes, s, d->notes.segments, d->notes.segment_count, &d->scores);
        return;
    }
    conversation_score(&model, talk, &result, &notes);
    (void)thresholds_judge(&routes->thresholds, &result, &certainty, &set);
    d->kinds.labels |= bit(result.best) | set;
    d->kinds.examples |= examples_of(routes, s, notes.segments, notes.segment_count, &result);
}

/* As they were noted. Where nobody had asked, what the classifier says of the conversation as a whole
 * must do, and is a guess. */
static void find_again(const struct routes *routes, const struct signals *s, struct decision *d)
{
    d->kinds.labels = d->is_classified ? bit(d->scores.best) | d->set : 0;
    if ((s->flags & SIGNALS_KINDS) == 0) {
        gaps_add(d->gaps, GAP_KINDS, STR(""));
        return;
    }
    d->kinds.labels |= s->kind_labels;
    d->kinds.is_unknown = (s->flags & SIGNALS_UNKNOWN) != 0;
    for (size_t i = 0; i < routes->custom_count; i++) {
        uint32_t name = signals_name(routes->custom_categories[i]->id.name);
        for (size_t k = 0; k < s->custom_count; k++) {
            bool is_it = s->custom[k].name == name && (s->kind_examples >> k & 1) != 0;
            d->kinds.examples |= is_it ? bit(i) : 0;
        }
    }
}

/* Each text that is embedded is a prompt by itself. What cannot be looked at, or has no words, may be of any
 * category. */
static void add_inputs(const struct routes *routes, struct decide_scratch *s,
                       const struct prompt_inputs *inputs, struct decision *d)
{
    struct conversation talk = {.count = 1};
    d->kinds.is_unknown = inputs->is_opaque;
    for (size_t i = 0; i < inputs->count; i++) {
        struct guard guard;
        guards_judge(routes->languages, inputs->texts[i], &guard);
        bool is_wordless = guard.kind == GUARD_NOISE || guard.kind == GUARD_EMPTY;
        d->kinds.is_unknown = d->kinds.is_unknown || is_wordless;
        talk.turns[0].user = inputs->texts[i];
        add_whole(routes, s, &talk, d);
    }
}

static bool is_named(const struct decision *d)
{
    return d->source == DECIDE_CATEGORY || (d->source == DECIDE_RULE && d->category != NULL);
}

void kinds_find(const struct routes *routes, struct decide_scratch *s, const struct prompt *prompt,
                struct decision *d)
{
    d->kinds = (struct guarantee_facts){
        .category = d->category, .rule = d->rule, .tenant = prompt->tenant};
    if (!guarantees_ask_category(routes)) {
        return;
    }
    if (routes->classifier == NULL) {
        d->kinds.is_unknown = !is_named(d);
        return;
    }
    if (prompt->signals != NULL) {
        find_again(routes, prompt->signals, d);
        return;
    }
    if (prompt_is_embedding(prompt)) {
        add_inputs(routes, s, &prompt->inputs, d);
        return;
    }
    bool is_wordless = d->guard.kind == GUARD_NOISE || d->guard.kind == GUARD_EMPTY;
    if (is_wordless && prompt->talk.count <= 1) {
        d->kinds.is_unknown = !is_named(d);
    }
    add_whole(routes, s, &prompt->talk, d);
    add_parts(routes, s, &prompt->talk, &d->kinds);
}
