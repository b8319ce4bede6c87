/* Probabilities of given tokens: the same as what the logits say, position by position. */
#include <math.h>

#include "backends/kernels/tinylm/lm_score.h"
#include "tests/support/lm_case.h"

enum {
    CONTEXT = 128,
    TOKENS_MAX = 128,
};

/* ln softmax(logits)[id] */
static double log_of(const float *logits, size_t count, int32_t id)
{
    double total = 0;
    for (size_t i = 0; i < count; i++) {
        total += exp((double)logits[i] - (double)logits[id]);
    }
    return -log(total);
}

struct case_text { /* a model, a session, and the tokens of a text */
    struct lm_case c;
    struct lm_session *session;
    struct tokens tokens;
};

static void open_text(struct case_text *t, const char *text)
{
    *t = (struct case_text){.session = NULL};
    lm_case_open(&t->c, LM_CASE_MODEL);
    t->session = lm_session_create(t->c.lm, CONTEXT);
    assert_non_null(t->session);
    assert_int_equal(lm_score_encode(t->c.lm, str_from(text), &t->tokens), ST_OK);
}

static void close_text(struct case_text *t)
{
    tokens_fini(&t->tokens);
    lm_session_destroy(t->session);
    lm_case_close(&t->c);
}

static void scores_are_what_the_logits_say(void **state)
{
    (void)state;
    struct case_text t;
    float logs[TOKENS_MAX];
    open_text(&t,
              "Once upon a time, there was a little girl named Lily. She loved Zq 7. One day, she "
              "went to the park with her mom and saw a big dog. The dog was Zq 8 and liked to play "
              "with the ball. Lily was very happy.");
    size_t n = t.tokens.count - 1;
    assert_in_range(n, LM_BATCH + 1, TOKENS_MAX);

    assert_int_equal(lm_score(t.session, t.tokens.ids, t.tokens.count, logs), ST_OK);

    lm_session_cut(t.session, 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(lm_session_read(t.session, &t.tokens.ids[i], 1, true), ST_OK);
        double want =
            log_of(lm_session_logits(t.session), t.c.lm->shape.vocabulary, t.tokens.ids[i + 1]);
        assert_float_equal(logs[i], want, 1e-3F);
    }
    close_text(&t);
}

static void probabilities_of_all_that_may_follow_add_up_to_one(void **state)
{
    (void)state;
    struct case_text t;
    double total = 0;
    open_text(&t, "Once");
    for (int32_t id = 0; (size_t)id < t.c.lm->shape.vocabulary; id++) {
        int32_t tokens[] = {t.tokens.ids[0], id};
        float log_p = 0;
        assert_int_equal(lm_score(t.session, tokens, 2, &log_p), ST_OK);
        total += exp((double)log_p);
    }
    assert_float_equal(total, 1, 1e-4F);
    close_text(&t);
}

static void stories_are_more_probable_than_their_words_backwards(void **state)
{
    (void)state;
    static const char *const texts[] = {"She wanted to play with her ball.",
                                        "ball her with play to wanted She."};
    double sums[2] = {0, 0};
    for (size_t k = 0; k < 2; k++) {
        struct case_text t;
        float logs[TOKENS_MAX];
        open_text(&t, texts[k]);
        assert_int_equal(lm_score(t.session, t.tokens.ids, t.tokens.count, logs), ST_OK);
        for (size_t i = 0; i + 1 < t.tokens.count; i++) {
            sums[k] += (double)logs[i];
        }
        close_text(&t);
    }
    assert_true(sums[0] > sums[1] + 5);
}

static void what_cannot_be_scored_is_refused(void **state)
{
    (void)state;
    struct case_text t;
    float logs[CONTEXT + 1];
    int32_t tokens[CONTEXT + 2] = {1};
    open_text(&t, "Once");
    int32_t beyond = (int32_t)t.c.lm->shape.vocabulary;

    assert_int_equal(lm_score(t.session, tokens, CONTEXT + 1, logs), ST_OK);
    assert_int_equal(lm_score(t.session, tokens, CONTEXT + 2, logs), ST_TOO_BIG);
    assert_int_equal(lm_score(t.session, (int32_t[]){1, beyond}, 2, logs), ST_INVALID);
    assert_int_equal(lm_score(t.session, (int32_t[]){beyond, 1}, 2, logs), ST_INVALID);
    assert_int_equal(lm_score(t.session, tokens, 1, logs), ST_OK);
    close_text(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_are_what_the_logits_say),
        cmocka_unit_test(probabilities_of_all_that_may_follow_add_up_to_one),
        cmocka_unit_test(stories_are_more_probable_than_their_words_backwards),
        cmocka_unit_test(what_cannot_be_scored_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
