/* See conversation.h. Knows nothing of requests, experts or sessions. */
#include "router/conversation.h"

#include <string.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "router/softmax.h"

/* Chosen by bench/conversations --fit on labelled conversations, then rounded: the optimum is flat,
 * and round numbers did as well in cross-validation (docs/classifier.md). */
const struct conversation_params conversation_defaults = {
    .change = -0.7,
    .change_by_length = 2.8,
    .change_announced = 1.8,
    .change_continuing = -0.4,
    .decay = 0.8,
    .reply = 0.55,
    .system = 0.15,
    .sharpness = 1.5,
    .comeback = 0.7,
    .general = 1.2,
};

enum {
    CONTEXT_BYTES = 240, /* of each text of the context: more costs time and tells nothing new */
};

static const double usual_words = 6.0;
static const double tiny = 1e-4;       /* no classifier is surer than that */
static const double least_seen = 1e-3; /* so that a conversation without a past divides well */

struct filter {
    const struct conversation_model *model;
    const struct conversation *talk;
    size_t count;                         /* labels */
    size_t general;                       /* its index, or count */
    float seen[CLASSIFIER_LABELS_MAX];    /* as in conversation_step */
    float same[CONVERSATION_TURNS_MAX];   /* per turn: how surely the topic has not changed since */
    float context[CLASSIFIER_LABELS_MAX]; /* before the current turn */
    float moved[CLASSIFIER_LABELS_MAX];
    double change;
};

static void normalise(float *p, size_t count)
{
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)p[i];
    }
    for (size_t i = 0; i < count; i++) {
        p[i] = (float)((double)p[i] / sum);
    }
}

/* The distribution to its power. */
static void sharpen(const struct classifier_result *r, double power, float *ret)
{
    for (size_t i = 0; i < r->count; i++) {
        ret[i] = (float)softmax_exp(power * softmax_log((double)r->p[i] + tiny));
    }
    normalise(ret, r->count);
}

/* The distribution with less of `general`. */
static void discount(const struct classifier_result *r, size_t general, double log_odds, float *ret)
{
    for (size_t i = 0; i < r->count; i++) {
        double p = (double)r->p[i] + tiny;
        ret[i] = (float)(i == general ? p * softmax_exp(-log_odds) : p);
    }
    normalise(ret, r->count);
}

double conversation_prior(const struct conversation_params *params, const struct turn_shape *shape)
{
    double words = shape->words > 0 ? (double)shape->words : 1.0;
    double odds = params->change + params->change_by_length * softmax_log(words / usual_words);
    odds += shape->announces.len > 0 ? params->change_announced : 0.0;
    odds += shape->continues.len > 0 ? params->change_continuing : 0.0;
    return 1.0 / (1.0 + softmax_exp(-odds));
}

double conversation_change(const struct conversation_step *step, float *ret_moved)
{
    double seen = least_seen;
    for (size_t i = 0; i < step->count; i++) {
        seen += (double)step->seen[i] * (1.0 - (double)step->context[i]);
    }
    double comeback = step->comeback * (seen - least_seen) / seen;
    double stay = 0.0;
    double move = 0.0;
    for (size_t i = 0; i < step->count; i++) {
        double left = 1.0 - (double)step->context[i];
        double other = (1.0 - comeback) * left / (double)(step->count - 1) +
                       step->comeback * (double)step->seen[i] * left / seen;
        ret_moved[i] = (float)(other * (double)step->turn[i]);
        stay += (double)step->context[i] * (double)step->turn[i];
        move += (double)ret_moved[i];
    }
    for (size_t i = 0; i < step->count; i++) {
        ret_moved[i] = move > 0.0 ? (float)((double)ret_moved[i] / move) : step->turn[i];
    }
    stay *= 1.0 - step->prior;
    move *= step->prior;
    return stay + move > 0.0 ? move / (stay + move) : step->prior;
}

/* The exchanges before turn `at`, nearest first, the beginning of each text; how many segments. */
static size_t list_context(const struct filter *f, size_t at, struct classifier_segment *ret)
{
    const struct conversation_params *params = f->model->params;
    size_t n = 0;
    double weight = 1.0;
    for (size_t back = 1; back <= CONVERSATION_CONTEXT_MAX && back <= at; back++) {
        const struct conversation_turn *turn = &f->talk->turns[at - back];
        double now = weight * (double)f->same[at - back];
        struct str user = utf8_truncate(turn->user, CONTEXT_BYTES);
        struct str reply = utf8_truncate(turn->reply, CONTEXT_BYTES);
        ret[n++] = (struct classifier_segment){user, (float)now};
        if (reply.len > 0) {
            ret[n++] = (struct classifier_segment){reply, (float)(now * params->reply)};
        }
        weight *= params->decay;
    }
    return n;
}

static void score(const struct filter *f, const struct classifier_segment *segments, size_t count,
                  struct classifier_result *ret)
{
    classifier_score(f->model->classifier, f->model->scratch, segments, count, ret);
}

/* Reads turn `at` (not the first) against its context: f->context, f->moved, f->change. */
static void follow(struct filter *f, size_t at, const struct classifier_result *alone,
                   const struct turn_shape *shape)
{
    const struct conversation_params *params = f->model->params;
    struct classifier_segment segments[CONVERSATION_SEGMENTS_MAX];
    struct classifier_result before;
    float turn[CLASSIFIER_LABELS_MAX];
    size_t n = list_context(f, at, segments);
    score(f, segments, n, &before);
    sharpen(&before, params->sharpness, f->context);
    discount(alone, f->general, params->general, turn);
    struct conversation_step step = {
        f->count, f->context, turn, f->seen, conversation_prior(params, shape), params->comeback};
    f->change = conversation_change(&step, f->moved);
}

/* Turn `at` is behind us: it left the topic of those before it by f->change, and p is what it was
 * about. */
static void remember(struct filter *f, size_t at, const float *p)
{
    for (size_t i = 0; i < at; i++) {
        f->same[i] = (float)((double)f->same[i] * (1.0 - f->change));
    }
    f->same[at] = 1.0F;
    for (size_t i = 0; i < f->count; i++) {
        f->seen[i] = p[i] > f->seen[i] ? p[i] : f->seen[i];
    }
}

/* A turn that is not the last: what it was about goes into f->seen. */
static void pass(struct filter *f, size_t at)
{
    struct classifier_segment segment = {f->talk->turns[at].user, 1.0F};
    struct classifier_result alone;
    score(f, &segment, 1, &alone);
    if (at == 0) {
        remember(f, at, alone.p);
        return;
    }
    struct turn_shape shape = turn_shape_of(f->talk->turns[at].user);
    follow(f, at, &alone, &shape);
    float kept[CLASSIFIER_LABELS_MAX];
    double sum = 0.0;
    for (size_t i = 0; i < f->count; i++) {
        kept[i] = f->context[i] * alone.p[i];
        sum += (double)kept[i];
    }
    for (size_t i = 0; i < f->count; i++) {
        double stay = sum > 0.0 ? (double)kept[i] / sum : (double)f->context[i];
        kept[i] = (float)((1.0 - f->change) * stay + f->change * (double)f->moved[i]);
    }
    remember(f, at, kept);
}

static size_t largest(const float *p, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        best = p[i] > p[best] ? i : best;
    }
    return best;
}

static size_t find_general(const struct classifier *c)
{
    size_t count = classifier_label_count(c);
    size_t i = 0;
    while (i < count && !str_eq(classifier_label(c, i), STR("general"))) {
        i++;
    }
    return i;
}

/* The last turn, the reply that a tool loop may have added to it, the system prompt. */
static size_t list_turn(const struct filter *f, struct classifier_segment *ret)
{
    const struct conversation *talk = f->talk;
    const struct conversation_params *params = f->model->params;
    const struct conversation_turn *last = &talk->turns[talk->count - 1];
    size_t n = 0;
    ret[n++] = (struct classifier_segment){last->user, 1.0F};
    if (last->reply.len > 0) {
        ret[n++] = (struct classifier_segment){last->reply, (float)params->reply};
    }
    if (talk->system.len > 0) {
        ret[n++] = (struct classifier_segment){talk->system, (float)params->system};
    }
    return n;
}

static void note_topic(struct conversation_notes *notes, const float *p, size_t count)
{
    notes->topic = largest(p, count);
    notes->topic_p = p[notes->topic];
}

/* The answer: together with the context as far as the topic stays, elsewhere as far as it changed. */
static void conclude(struct filter *f, const struct classifier_result *alone,
                     struct classifier_result *ret_scores, struct conversation_notes *notes)
{
    size_t last = f->talk->count - 1;
    follow(f, last, alone, &notes->shape);
    note_topic(notes, f->context, f->count);
    notes->change = (float)f->change;
    notes->is_changed = f->change > 0.5;
    struct classifier_segment segments[CONVERSATION_SEGMENTS_MAX];
    memcpy(segments, notes->segments, notes->segment_count * sizeof *segments);
    size_t count = notes->segment_count + list_context(f, last, segments + notes->segment_count);
    struct classifier_result together;
    score(f, segments, count, &together);
    float stay[CLASSIFIER_LABELS_MAX];
    sharpen(&together, f->model->params->sharpness, stay);
    if (!notes->is_changed) {
        *ret_scores = together;
        memcpy(notes->segments, segments, count * sizeof *segments);
        notes->segment_count = count;
    }
    for (size_t i = 0; i < f->count; i++) {
        ret_scores->p[i] =
            (float)((1.0 - f->change) * (double)stay[i] + f->change * (double)f->moved[i]);
    }
    ret_scores->best = largest(ret_scores->p, f->count);
    ret_scores->entropy = softmax_entropy(ret_scores->p, f->count);
    ret_scores->features = alone->features;
    ret_scores->known = alone->known;
}

void conversation_score(const struct conversation_model *model, const struct conversation *talk,
                        struct classifier_result *ret_scores, struct conversation_notes *ret_notes)
{
    ASSERT(talk->count <= CONVERSATION_TURNS_MAX);
    struct conversation_notes *notes = ret_notes;
    struct filter f = {.model = model,
                       .talk = talk,
                       .count = classifier_label_count(model->classifier),
                       .general = find_general(model->classifier)};
    struct classifier_result alone;
    *notes = (struct conversation_notes){.turns = talk->count};
    if (talk->count > 0) {
        notes->shape = turn_shape_of(talk->turns[talk->count - 1].user);
        notes->segment_count = list_turn(&f, notes->segments);
    }
    for (size_t i = 0; i + 1 < talk->count; i++) {
        pass(&f, i);
    }
    score(&f, notes->segments, notes->segment_count, ret_scores);
    alone = *ret_scores;
    notes->alone = alone.best;
    notes->alone_p = alone.p[alone.best];
    note_topic(notes, alone.p, alone.count);
    if (talk->count > 1) {
        conclude(&f, &alone, ret_scores, notes);
    }
}

const char *conversation_why(const struct conversation_notes *notes)
{
    enum {
        SHORT_WORDS = 4
    };

    if (notes->turns < 2) {
        return "the conversation starts here";
    }
    if (notes->is_changed) {
        return notes->shape.announces.len > 0 ? "the turn announces another topic"
                                              : "the turn speaks for another topic";
    }
    if (notes->shape.continues.len > 0) {
        return "the turn continues the one before";
    }
    return notes->shape.words <= SHORT_WORDS ? "the turn is too short for a topic of its own"
                                             : "the turn fits what went before";
}
