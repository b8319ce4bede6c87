/* How well the category follows a conversation: conversations_bench [--fit] WEIGHTS FILE.
 * Each user turn of each conversation is classified with what stood before it, by the code that
 * routes, and compared with its label. With --fit it also looks for better parameters, first in five
 * folds of conversations (each scored by what the other four chose), then on all of them. Prints a
 * table; changes nothing. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "bench/talks.h"

enum {
    FOLDS = 5,
    ROUNDS = 4, /* of the search, each with half the step */
    ARENA_MAX_BYTES = 1 << 30,
    TEXT_MAX_BYTES = 1 << 24,
};

static const double ridge = 0.002;    /* log loss that one step away from the defaults costs */
static const double least_p = 1e-6;   /* of a label, in the log loss */
static const double vote_decay = 0.6; /* of the baseline that adds up earlier turns */

struct bench {
    struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct talk *talks;
    struct conversation_params params; /* of `follow` */
    struct buf text;
};

struct answer {
    size_t label;
    double p[CLASSIFIER_LABELS_MAX];
    bool is_changed;
};

struct tally {
    size_t turns, right, spans, spans_right, talks, talks_right, changes, changes_right;
    size_t told, told_right; /* turns called a change, and how many are one */
    double log_loss;
};

/* ---------------------------------------------------------------- methods */

static void copy_scores(const struct classifier_result *r, struct answer *ret)
{
    ret->label = r->best;
    for (size_t i = 0; i < r->count; i++) {
        ret->p[i] = (double)r->p[i];
    }
}

static void score_text(struct bench *b, struct str text, struct classifier_result *ret)
{
    struct classifier_segment segment = {text, 1.0F};
    classifier_score(b->classifier, b->scratch, &segment, 1, ret);
}

static void follow(struct bench *b, const struct talk *t, size_t at, struct answer *ret)
{
    struct conversation_model model = {b->classifier, b->scratch, &b->params};
    struct conversation talk;
    struct conversation_notes notes;
    struct classifier_result scores;
    talk_until(t, at, &talk);
    conversation_score(&model, &talk, &scores, &notes);
    copy_scores(&scores, ret);
    ret->is_changed = notes.is_changed;
}

static void last_turn(struct bench *b, const struct talk *t, size_t at, struct answer *ret)
{
    struct classifier_result r;
    score_text(b, t->turns[at].texts.user, &r);
    copy_scores(&r, ret);
}

static void whole_text(struct bench *b, const struct talk *t, size_t at, struct answer *ret)
{
    struct classifier_result r;
    buf_reset(&b->text);
    bool is_whole = true;
    for (size_t i = 0; i <= at; i++) {
        is_whole = is_whole && buf_append(&b->text, t->turns[i].texts.user) == ST_OK &&
                   buf_append_char(&b->text, '\n') == ST_OK &&
                   (i == at || buf_append(&b->text, t->turns[i].texts.reply) == ST_OK) &&
                   buf_append_char(&b->text, '\n') == ST_OK;
    }
    score_text(b, is_whole ? buf_str(&b->text) : STR(""), &r);
    copy_scores(&r, ret);
}

static void decayed_sum(struct bench *b, const struct talk *t, size_t at, struct answer *ret)
{
    double sum[CLASSIFIER_LABELS_MAX] = {0};
    double weight = 1.0;
    double total = 0.0;
    size_t count = classifier_label_count(b->classifier);
    for (size_t back = 0; back <= at; back++) {
        struct classifier_result r;
        score_text(b, t->turns[at - back].texts.user, &r);
        for (size_t i = 0; i < count; i++) {
            sum[i] += weight * log((double)r.p[i] + 1e-4);
        }
        weight *= vote_decay;
    }
    ret->label = 0;
    for (size_t i = 0; i < count; i++) {
        ret->p[i] = exp(sum[i]);
        total += ret->p[i];
        ret->label = sum[i] > sum[ret->label] ? i : ret->label;
    }
    for (size_t i = 0; i < count; i++) {
        ret->p[i] /= total;
    }
}

struct method {
    const char *name;
    void (*answer)(struct bench *b, const struct talk *t, size_t at, struct answer *ret);
    bool tells_changes; /* else a new label is called a change */
};

static const struct method methods[] = {
    {"conversation", follow, true},
    {"last turn alone", last_turn, false},
    {"whole text", whole_text, false},
    {"decayed sum", decayed_sum, false},
};

/* ---------------------------------------------------------------- counting */

static bool is_good(const struct bench *b, const struct talk_turn *turn, size_t label)
{
    for (size_t i = 0; i < turn->good_count; i++) {
        if (str_eq(classifier_label(b->classifier, label), turn->good[i])) {
            return true;
        }
    }
    return false;
}

static double loss_of(const struct bench *b, const struct talk_turn *turn, const struct answer *a)
{
    double p = least_p;
    for (size_t i = 0; i < classifier_label_count(b->classifier); i++) {
        p += is_good(b, turn, i) ? a->p[i] : 0.0;
    }
    return -log(p < 1.0 ? p : 1.0);
}

static void count_talk(struct bench *b, const struct method *m, const struct talk *t,
                       struct tally *tally)
{
    bool is_talk_right = true;
    bool is_span_right = true;
    size_t former = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct talk_turn *turn = &t->turns[i];
        if (turn->good_count == 0) {
            continue;
        }
        struct answer a = {.label = 0};
        m->answer(b, t, i, &a);
        bool is_right = is_good(b, turn, a.label);
        bool is_told = i > 0 && (m->tells_changes ? a.is_changed : a.label != former);
        former = a.label;
        if (i == 0 || turn->is_change) {
            tally->spans_right += i > 0 && is_span_right;
            tally->spans++;
            is_span_right = true;
        }
        is_span_right = is_span_right && is_right;
        is_talk_right = is_talk_right && is_right;
        tally->turns++;
        tally->right += is_right;
        tally->changes += turn->is_change;
        tally->changes_right += turn->is_change && is_right;
        tally->told += is_told;
        tally->told_right += is_told && turn->is_change;
        tally->log_loss += loss_of(b, turn, &a);
    }
    tally->spans_right += t->count > 0 && is_span_right;
    tally->talks++;
    tally->talks_right += is_talk_right;
}

/* Conversations whose number modulo FOLDS is (or, with is_out, is not) `fold`; fold FOLDS: all. */
static void count_fold(struct bench *b, const struct method *m, size_t fold, bool is_out,
                       struct tally *tally)
{
    size_t i = 0;
    for (const struct talk *t = b->talks; t != NULL; t = t->next) {
        if (fold == FOLDS || (i % FOLDS == fold) != is_out) {
            count_talk(b, m, t, tally);
        }
        i++;
    }
}

static double share(size_t part, size_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0.0;
}

static void print_tally(const char *name, const struct tally *t, double us)
{
    printf("%-18s %6.3f %6.3f %13.3f %13.3f %10.3f %8.3f %9.3f %9.1f\n", name,
           share(t->right, t->turns), share(t->spans_right, t->spans),
           share(t->talks_right, t->talks), share(t->changes_right, t->changes),
           share(t->told_right, t->told), share(t->told_right, t->changes),
           t->log_loss / (double)(t->turns > 0 ? t->turns : 1), us);
}

static void compare(struct bench *b)
{
    struct tally size = {0};
    count_fold(b, &methods[0], FOLDS, false, &size);
    printf("%zu conversations, %zu spans, %zu labelled turns, %zu changes of topic\n\n", size.talks,
           size.spans, size.turns, size.changes);
    printf("%-18s %6s %6s %13s %13s %10s %8s %9s %9s\n", "right", "turns", "spans", "conversations",
           "changed turns", "precision", "recall", "log loss", "us/turn");
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        struct tally t = {0};
        int64_t start = clock_now_us(clock_system());
        count_fold(b, &methods[i], FOLDS, false, &t);
        int64_t took = clock_now_us(clock_system()) - start;
        print_tally(methods[i].name, &t, (double)took / (double)(t.turns > 0 ? t.turns : 1));
    }
    printf("\nprecision and recall: of the changes that a method notices\n");
}

/* ---------------------------------------------------------------- fitting */

static const struct {
    const char *name;
    size_t offset;
    double step;
    double min;
    double max;
} knobs[] = {

#define KNOB(name, step, min, max)                                                                 \
    {                                                                                              \
#        name, offsetof(struct conversation_params, name), step, min, max                          \
    }
    KNOB(change, 0.5, -10, 10),         KNOB(change_by_length, 0.5, 0, 10),
    KNOB(change_announced, 0.5, 0, 10), KNOB(change_continuing, 0.3, -10, 0),
    KNOB(decay, 0.1, 0.1, 1),           KNOB(reply, 0.2, 0, 2),
    KNOB(sharpness, 0.3, 0.2, 5),       KNOB(comeback, 0.15, 0, 0.95),
    KNOB(general, 0.4, -5, 10),
#undef KNOB
};

enum {
    KNOBS = sizeof knobs / sizeof knobs[0]
};

static double *knob(struct conversation_params *params, size_t i)
{
    return (double *)(void *)((char *)params + knobs[i].offset);
}

static double cost_of(struct bench *b, size_t fold)
{
    struct tally t = {0};
    struct conversation_params start = conversation_defaults;
    count_fold(b, &methods[0], fold, true, &t);
    double cost = t.log_loss / (double)t.turns;
    for (size_t i = 0; i < KNOBS; i++) {
        double steps = (*knob(&b->params, i) - *knob(&start, i)) / knobs[i].step;
        cost += ridge * steps * steps;
    }
    return cost;
}

/* Coordinate search for b->params on all conversations outside the fold. */
static void fit(struct bench *b, size_t fold)
{
    b->params = conversation_defaults;
    double best = cost_of(b, fold);
    double scale = 1.0;
    for (size_t round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < 2 * (size_t)KNOBS; i++) {
            double *value = knob(&b->params, i / 2);
            double old = *value;
            double moved = old + (i % 2 == 0 ? scale : -scale) * knobs[i / 2].step;
            *value = fmin(fmax(moved, knobs[i / 2].min), knobs[i / 2].max);
            double cost = cost_of(b, fold);
            if (cost < best) {
                best = cost;
            } else {
                *value = old;
            }
        }
        scale /= 2.0;
    }
}

static void fit_and_print(struct bench *b)
{
    struct tally unseen = {0};
    for (size_t fold = 0; fold < FOLDS; fold++) {
        fit(b, fold);
        count_fold(b, &methods[0], fold, false, &unseen);
    }
    print_tally("fitted, unseen", &unseen, 0.0);
    fit(b, FOLDS);
    struct tally seen = {0};
    count_fold(b, &methods[0], FOLDS, false, &seen);
    print_tally("fitted, seen", &seen, 0.0);
    struct conversation_params start = conversation_defaults;
    printf("\n%-18s %9s %9s\n", "parameter", "shipped", "fitted");
    for (size_t i = 0; i < KNOBS; i++) {
        printf("%-18s %9.3f %9.3f\n", knobs[i].name, *knob(&start, i), *knob(&b->params, i));
    }
}

int main(int argc, char **argv)
{
    bool is_fit = argc > 1 && strcmp(argv[1], "--fit") == 0;
    struct arena *arena = arena_create(1 << 16, ARENA_MAX_BYTES);
    struct bench b = {.scratch = classifier_scratch_create(), .params = conversation_defaults};
    struct diags diags;
    int failed = 1;
    buf_init(&b.text, TEXT_MAX_BYTES);
    if (argc != 3 + is_fit || arena == NULL || b.scratch == NULL) {
        (void)fputs("usage: conversations_bench [--fit] WEIGHTS FILE\n", stderr);
        goto out;
    }
    diags_init(&diags, arena);
    if (classifier_load(argv[argc - 2], &diags, &b.classifier) != ST_OK ||
        talks_read(argv[argc - 1], arena, &diags, &b.talks) != ST_OK) {
        diags_print(&diags, stderr);
        goto out;
    }
    compare(&b);
    if (is_fit) {
        printf("\n");
        fit_and_print(&b);
    }
    failed = 0;

out:
    classifier_unref(b.classifier);
    classifier_scratch_destroy(b.scratch);
    buf_fini(&b.text);
    arena_destroy(arena);
    return failed;
}
