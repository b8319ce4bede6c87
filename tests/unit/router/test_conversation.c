/* A turn within its conversation: the step of the filter by itself, then whole conversations with the
 * shipped weights, of which only clear cases are asked. */
#include <string.h>

#include "base/arena.h"
#include "router/conversation.h"
#include "tests/support/test.h"

#define WEIGHTS "conf/models/domains.edm"
#define DOSE    "What dose of amoxicillin is usual for a child with acute otitis media?"
#define DOSED   "Usually 80 to 90 mg per kg of body weight and day, divided in two doses."
#define LOOP    "My Python function raises IndexError: list index out of range in a for loop"
#define LOOPED  "The loop runs one past the end of the list; use range(len(items)) or enumerate."

enum {
    LABELS = 4,
    GENERAL = 3
};

static const float flat[LABELS] = {0.25F, 0.25F, 0.25F, 0.25F};
static const float nowhere[LABELS] = {0};

/* ---------------------------------------------------------------- the step */

static void evidence_for_the_context_keeps_the_topic_and_other_evidence_changes_it(void **state)
{
    static const float context[LABELS] = {0.85F, 0.05F, 0.05F, 0.05F};

    static const struct {
        float turn[LABELS];
        bool is_changed;
    } cases[] = {
        {{0.85F, 0.05F, 0.05F, 0.05F}, false},
        {{0.05F, 0.85F, 0.05F, 0.05F}, true},
        {{0.05F, 0.05F, 0.05F, 0.85F}, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float moved[LABELS];
        struct conversation_step step = {LABELS, context, cases[i].turn, nowhere, 0.5, 0.7};
        double change = conversation_change(&step, moved);
        if ((change > 0.5) != cases[i].is_changed) {
            fail_msg("case %zu: %.3f", i, change);
        }
    }
}

static void a_turn_that_says_nothing_leaves_the_prior(void **state)
{
    static const float context[LABELS] = {0.7F, 0.1F, 0.1F, 0.1F};
    float moved[LABELS];

    (void)state;
    struct conversation_step step = {LABELS, context, flat, nowhere, 0.3, 0.7};
    double change = conversation_change(&step, moved);

    assert_float_equal(change, 0.3, 0.02);
}

static void a_change_prefers_where_the_conversation_has_been(void **state)
{
    static const float context[LABELS] = {0.97F, 0.01F, 0.01F, 0.01F};
    static const float seen[LABELS] = {1.0F, 0.0F, 1.0F, 0.0F};
    float moved[LABELS];

    (void)state;
    struct conversation_step step = {LABELS, context, flat, seen, 0.5, 0.7};
    (void)conversation_change(&step, moved);

    assert_true(moved[2] > 2.0F * moved[1]);
    assert_true(moved[0] < moved[1]);
}

static void steps_give_distributions_whatever_comes_in(void **state)
{
    static const float rows[][LABELS] = {
        {1.0F, 0.0F, 0.0F, 0.0F}, {0.0F, 1.0F, 0.0F, 0.0F}, {0.25F, 0.25F, 0.25F, 0.25F}};
    static const double priors[] = {0.0, 0.5, 1.0};

    (void)state;
    for (size_t i = 0; i < 81; i++) {
        float moved[LABELS];
        struct conversation_step step = {LABELS,          rows[i % 3],        rows[i / 3 % 3],
                                         rows[i / 9 % 3], priors[i / 27 % 3], 0.7};
        double change = conversation_change(&step, moved);
        double sum = (double)moved[0] + (double)moved[1] + (double)moved[2] + (double)moved[3];
        assert_true(change >= 0.0 && change <= 1.0);
        assert_float_equal(sum, 1.0, 1e-5);
    }
}

static void long_turns_and_announcements_make_a_change_likelier(void **state)
{
    static const char *const order[] = {"and why", "why not", "how long does it take for that",
                                        "how long does it take to walk from one end to the other",
                                        "by the way how long does it take to walk from one end"};

    (void)state;
    double before = 0.0;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        struct turn_shape shape = turn_shape_of(str_from(order[i]));
        double prior = conversation_prior(&conversation_defaults, &shape);
        if (!(prior >= before) || prior > 1.0) {
            fail_msg("\"%s\": %.3f after %.3f", order[i], prior, before);
        }
        before = prior;
    }
}

/* ---------------------------------------------------------------- conversations */

struct fixture {
    struct arena *arena;
    struct conversation_model model;
    struct classifier *classifier;
    struct classifier_result scores;
    struct conversation_notes notes;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct diags diags;
    memset(&f, 0, sizeof f);
    f.arena = arena_create(4096, 1 << 20);
    diags_init(&diags, f.arena);
    f.model.scratch = classifier_scratch_create();
    f.model.params = &conversation_defaults;
    if (classifier_load(WEIGHTS, &diags, &f.classifier) != ST_OK) {
        return -1;
    }
    f.model.classifier = f.classifier;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    classifier_unref(f->classifier);
    classifier_scratch_destroy(f->model.scratch);
    arena_destroy(f->arena);
    return 0;
}

/* Texts in turn: user, reply, user, reply, ..., NULL. Returns the label. */
static struct str ask(struct fixture *f, const char *const *texts)
{
    struct conversation talk = {.count = 0};
    for (size_t i = 0; texts[i] != NULL; i++) {
        if (i % 2 == 0) {
            talk.turns[talk.count++].user = str_from(texts[i]);
        } else {
            talk.turns[talk.count - 1].reply = str_from(texts[i]);
        }
    }
    conversation_score(&f->model, &talk, &f->scores, &f->notes);
    return classifier_label(f->classifier, f->scores.best);
}

static void one_turn_is_what_the_classifier_says_of_it(void **state)
{
    static const char *const talk[] = {DOSE, NULL};
    struct fixture *f = *state;
    struct classifier_segment segment = {STR(DOSE), 1.0F};
    struct classifier_result alone;
    classifier_score(f->classifier, f->model.scratch, &segment, 1, &alone);

    test_assert_str(ask(f, talk), STR("medical"));

    assert_memory_equal(f->scores.p, alone.p, alone.count * sizeof alone.p[0]);
    assert_false(f->notes.is_changed);
}

static void turns_find_their_topic(void **state)
{
    static const struct {
        const char *texts[10];
        const char *label;
        const char *topic;
        bool is_changed;
    } cases[] = {
        {{DOSE, DOSED, "and how long?", NULL}, "medical", "medical", false},
        {{DOSE, DOSED, "ok", NULL}, "medical", "medical", false},
        {{DOSE, DOSED, "10 days", "Yes.", "why", NULL}, "medical", "medical", false},
        {{DOSE, DOSED, LOOP, NULL}, "coding", "medical", true},
        {{DOSE, DOSED, LOOP, LOOPED, "and in a while loop?", NULL}, "coding", "coding", false},
        {{LOOP, LOOPED, DOSE, DOSED, "and if she is allergic?", NULL}, "medical", "medical", false},
        {{LOOP, LOOPED, DOSE, DOSED, "back to my code: the loop still raises IndexError", NULL},
         "coding",
         "medical",
         true},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct str label = ask(f, cases[i].texts);
        struct str topic = classifier_label(f->classifier, f->notes.topic);
        if (!str_eq(label, str_from(cases[i].label)) || !str_eq(topic, str_from(cases[i].topic)) ||
            f->notes.is_changed != cases[i].is_changed) {
            fail_msg("case %zu: %.*s, topic %.*s, change %.3f", i, STR_ARG(label), STR_ARG(topic),
                     (double)f->notes.change);
        }
    }
}

static void the_reason_fits_the_verdict(void **state)
{
    static const struct {
        const char *texts[4];
        const char *why;
    } cases[] = {
        {{DOSE, NULL}, "the conversation starts here"},
        {{DOSE, DOSED, "and how long?", NULL}, "the turn continues the one before"},
        {{DOSE, DOSED, "10 days", NULL}, "the turn is too short for a topic of its own"},
        {{DOSE, DOSED, LOOP, NULL}, "the turn speaks for another topic"},
        {{DOSE, DOSED, "By the way: " LOOP, NULL}, "the turn announces another topic"},
    };

    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)ask(f, cases[i].texts);
        assert_string_equal(conversation_why(&f->notes), cases[i].why);
    }
}

static void scores_are_a_distribution_and_the_same_each_time(void **state)
{
    static const char *const talk[] = {DOSE, DOSED, "ok", "", "", "", LOOP, LOOPED, "why", NULL};
    struct fixture *f = *state;
    (void)ask(f, talk);
    struct classifier_result first = f->scores;
    double sum = 0.0;

    (void)ask(f, talk);

    for (size_t i = 0; i < first.count; i++) {
        sum += (double)first.p[i];
        assert_true(first.p[i] <= first.p[first.best]);
    }
    assert_float_equal(sum, 1.0, 1e-5);
    assert_true(first.entropy >= 0.0F && first.entropy <= 1.0F);
    assert_memory_equal(first.p, f->scores.p, first.count * sizeof first.p[0]);
}

static void empty_conversations_give_the_priors(void **state)
{
    static const char *const nothing[] = {NULL};
    struct fixture *f = *state;
    struct classifier_result priors;
    classifier_score(f->classifier, f->model.scratch, NULL, 0, &priors);

    (void)ask(f, nothing);

    assert_memory_equal(f->scores.p, priors.p, priors.count * sizeof priors.p[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evidence_for_the_context_keeps_the_topic_and_other_evidence_changes_it),
        cmocka_unit_test(a_turn_that_says_nothing_leaves_the_prior),
        cmocka_unit_test(a_change_prefers_where_the_conversation_has_been),
        cmocka_unit_test(steps_give_distributions_whatever_comes_in),
        cmocka_unit_test(long_turns_and_announcements_make_a_change_likelier),
        cmocka_unit_test(one_turn_is_what_the_classifier_says_of_it),
        cmocka_unit_test(turns_find_their_topic),
        cmocka_unit_test(the_reason_fits_the_verdict),
        cmocka_unit_test(scores_are_a_distribution_and_the_same_each_time),
        cmocka_unit_test(empty_conversations_give_the_priors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
