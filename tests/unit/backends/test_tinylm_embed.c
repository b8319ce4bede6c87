/* Vectors of texts: of the last token's the output layer makes the logits, the mean is that of all tokens. */
#include <math.h>
#include <string.h>

#include "backends/kernels/tinylm/dot.h"
#include "backends/kernels/tinylm/lm_embed.h"
#include "base/mem.h"
#include "tests/support/lm_case.h"

enum {
    CONTEXT = 96,
    WIDTH = 64,
};

/* More tokens than are read together. */
static const char LONGER[] =
    "Once upon a time, there was a little girl named Lily. She loved to play with her ball in the park "
    "with her friends. One day, she saw a big dog. The dog said: Do you want to play with me? Lily said yes, and they were very "
    "happy together all day.";

struct case_text {
    struct lm_case c;
    struct lm_session *session;
    struct tokens tokens;
    size_t asked;    /* how often goes_on was */
    size_t asks_max; /* from then on it says no; 0: never */
};

static bool goes_on(void *ctx)
{
    struct case_text *t = ctx;
    t->asked++;
    return t->asks_max == 0 || t->asked <= t->asks_max;
}

static void open_text(struct case_text *t, const char *text)
{
    *t = (struct case_text){.session = NULL};
    lm_case_open(&t->c, LM_CASE_MODEL);
    t->session = lm_session_create(t->c.lm, CONTEXT);
    assert_non_null(t->session);
    assert_int_equal(lm_embed_encode(t->c.lm, str_from(text), &t->tokens), ST_OK);
}

static void close_text(struct case_text *t)
{
    tokens_fini(&t->tokens);
    lm_session_destroy(t->session);
    lm_case_close(&t->c);
}

static enum status embed(struct case_text *t, enum lm_pooling pooling, float *ret_vector)
{
    const struct lm_embed_request request = {t->tokens.ids, t->tokens.count, pooling,
                                             WIDTH,         goes_on,         t};
    t->asked = 0;
    return lm_embed(t->session, &request, ret_vector);
}

static void the_output_layer_makes_the_logits_of_the_last_token_of_it(void **state)
{
    struct case_text t;
    float v[WIDTH];
    float row[WIDTH];
    (void)state;
    open_text(&t, LONGER);
    assert_true(t.tokens.count > LM_BATCH);
    assert_int_equal(embed(&t, LM_POOLING_LAST, v), ST_OK);

    lm_session_cut(t.session, 0);
    for (size_t i = 0; i < t.tokens.count; i++) {
        assert_int_equal(lm_session_read(t.session, &t.tokens.ids[i], 1, true), ST_OK);
    }
    const struct lm_matrix *output = &t.c.lm->output;
    const float *logits = lm_session_logits(t.session);
    double vv = 0;
    double vl = 0;
    double ll = 0;
    for (size_t r = 0; r < output->rows; r++) {
        double sum = 0;
        dot_expand(output->kind, output->data + r * output->row_bytes, row, WIDTH);
        for (size_t i = 0; i < WIDTH; i++) {
            sum += (double)row[i] * (double)v[i];
        }
        vv += sum * sum;
        vl += sum * (double)logits[r];
        ll += (double)logits[r] * (double)logits[r];
    }

    assert_float_equal((float)(vl / sqrt(vv * ll)), 1, 1e-4F); /* the same but for the length */
    close_text(&t);
}

static void the_mean_is_that_of_all_tokens_however_they_are_read(void **state)
{
    struct case_text t;
    float v[WIDTH];
    double sum[WIDTH] = {0};
    double length = 0;
    (void)state;
    open_text(&t, LONGER);
    for (size_t i = 0; i < t.tokens.count; i++) {
        const float *states = NULL;
        size_t stride = 0;
        assert_int_equal(lm_session_states(t.session, &t.tokens.ids[i], 1, &states, &stride),
                         ST_OK);
        for (size_t k = 0; k < WIDTH; k++) {
            sum[k] += (double)states[k];
        }
    }

    assert_int_equal(embed(&t, LM_POOLING_MEAN, v), ST_OK);

    for (size_t k = 0; k < WIDTH; k++) {
        length += sum[k] * sum[k];
    }
    for (size_t k = 0; k < WIDTH; k++) {
        assert_float_equal(v[k], (float)(sum[k] / sqrt(length)), 1e-4F);
    }
    close_text(&t);
}

static void a_text_can_be_given_up_between_batches(void **state)
{
    struct case_text t;
    float v[WIDTH];
    (void)state;
    open_text(&t, LONGER);
    t.asks_max = 1;

    assert_int_equal(embed(&t, LM_POOLING_MEAN, v), ST_CLOSED);

    assert_int_equal(lm_session_length(t.session), LM_BATCH);
    close_text(&t);
}

static void more_tokens_than_the_context_are_too_big(void **state)
{
    struct case_text t;
    float v[WIDTH];
    (void)state;
    open_text(&t, LM_CASE_STORY);
    assert_true(t.tokens.count > CONTEXT);

    assert_int_equal(embed(&t, LM_POOLING_MEAN, v), ST_TOO_BIG);

    close_text(&t);
}

static void what_is_no_token_is_invalid(void **state)
{
    struct case_text t;
    float v[WIDTH];
    (void)state;
    open_text(&t, "a ball");
    t.tokens.ids[t.tokens.count - 1] = -3;

    assert_int_equal(embed(&t, LM_POOLING_MEAN, v), ST_INVALID);

    close_text(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_output_layer_makes_the_logits_of_the_last_token_of_it),
        cmocka_unit_test(the_mean_is_that_of_all_tokens_however_they_are_read),
        cmocka_unit_test(a_text_can_be_given_up_between_batches),
        cmocka_unit_test(more_tokens_than_the_context_are_too_big),
        cmocka_unit_test(what_is_no_token_is_invalid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
