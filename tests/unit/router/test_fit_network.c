/* Fitting the network: it learns what one layer of weights cannot, and the same thing every time. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/fit_network.h"
#include "router/network.h"
#include "router/softmax.h"
#include "tests/support/test.h"

enum {
    INPUTS = 2,
    ROWS = 400,
    LABELS = 3,
};

static const float corners[][INPUTS] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};

struct problem {
    struct fit_network_row rows[ROWS];
    struct fit_network_options options;
};

/* Rows at the four corners of a square, label by label. */
static void make(struct problem *problem, const uint32_t labels[4])
{
    for (size_t i = 0; i < ROWS; i++) {
        uint32_t label = labels[i % 4];
        problem->rows[i] =
            (struct fit_network_row){corners[i % 4], 1.0F, label, (uint64_t)1 << label};
    }
    fit_network_options_default(&problem->options);
    problem->options.hidden = 16;
    problem->options.epochs = 150;
    problem->options.rate = 0.03;
    problem->options.smoothing = 0.0;
    problem->options.dropping = 0.0;
    problem->options.input_scale = 1.0;
}

static char *fitted(const struct problem *problem, uint32_t labels, size_t *ret_len)
{
    struct str bytes = {NULL, 0};
    assert_int_equal(fit_network(problem->rows, ROWS, INPUTS, labels, &problem->options, &bytes),
                     ST_OK);
    char *owned = NULL;
    memcpy(&owned, &bytes.ptr, sizeof owned);
    *ret_len = bytes.len;
    return owned;
}

/* The probabilities at a corner. */
static void fit_and_ask(const struct problem *problem, uint32_t labels, size_t corner, float *ret_p)
{
    float hidden[NETWORK_HIDDEN_MAX];
    float logit[LABELS];
    struct network n;
    size_t len = 0;
    char *bytes = fitted(problem, labels, &len);
    assert_int_equal(network_read((struct str){bytes, len}, INPUTS, labels, &n), ST_OK);
    network_run(&n, corners[corner], hidden, logit);
    (void)softmax(logit, labels, 1.0F, ret_p); /* entropy is not needed */
    mem_free(bytes);
}

static void problems_are_learned(void **state)
{
    static const struct {
        const char *name;
        uint32_t labels[4];
        double scale;
        double dropping;
    } cases[] = {
        {"linear", {0, 0, 1, 1}, 1.0, 0.0},
        {"either but not both", {0, 1, 1, 0}, 1.0, 0.0},
        {"three labels", {0, 1, 2, 0}, 1.0, 0.0},
        {"inputs scaled while fitting", {0, 1, 1, 0}, 4.0, 0.0},
        {"units left out", {0, 1, 1, 0}, 1.0, 0.1},
    };
    struct problem problem;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make(&problem, cases[i].labels);
        problem.options.input_scale = cases[i].scale;
        problem.options.dropping = cases[i].dropping;
        for (size_t corner = 0; corner < 4; corner++) {
            float p[LABELS];
            fit_and_ask(&problem, LABELS, corner, p);
            if (!(p[cases[i].labels[corner]] > 0.9F)) {
                fail_msg("%s, corner %zu: %f", cases[i].name, corner,
                         (double)p[cases[i].labels[corner]]);
            }
        }
    }
}

static void a_seed_gives_the_same_bytes_and_another_seed_others(void **state)
{
    static const uint32_t labels[] = {0, 1, 1, 0};
    struct problem problem;
    size_t len = 0;

    (void)state;
    make(&problem, labels);
    problem.options.epochs = 3;
    problem.options.dropping = 0.2;
    char *first = fitted(&problem, 2, &len);
    char *again = fitted(&problem, 2, &len);
    problem.options.seed = 2;
    char *other = fitted(&problem, 2, &len);

    assert_int_equal(len, network_bytes(INPUTS, 16, 2));
    assert_memory_equal(first, again, len);
    assert_memory_not_equal(first, other, len);
    mem_free(first);
    mem_free(again);
    mem_free(other);
}

/* Rows contradict each other: the share of the weight is the probability. */
static void heavy_rows_count_more(void **state)
{
    static const uint32_t labels[] = {0, 0, 0, 0};
    struct problem problem;
    float p[LABELS];

    (void)state;
    make(&problem, labels);
    for (size_t i = 0; i < ROWS; i++) {
        bool is_heavy = i / 4 % 2 == 0;
        problem.rows[i].weight = is_heavy ? 3.0F : 1.0F;
        problem.rows[i].label = is_heavy ? 0 : 1;
        problem.rows[i].accept = (uint64_t)1 << problem.rows[i].label;
    }
    fit_and_ask(&problem, 2, 0, p);

    assert_true(fabsf(p[0] - 0.75F) < 0.05F);
}

static void rows_without_weight_teach_nothing(void **state)
{
    static const uint32_t labels[] = {0, 1, 1, 0};
    struct problem problem;
    struct network n;
    size_t len = 0;

    (void)state;
    make(&problem, labels);
    problem.options.epochs = 2;
    for (size_t i = 0; i < ROWS; i++) {
        problem.rows[i].weight = 0.0F;
    }
    char *bytes = fitted(&problem, 2, &len);

    assert_int_equal(network_read((struct str){bytes, len}, INPUTS, 2, &n), ST_OK); /* numbers */
    mem_free(bytes);
}

static void other_acceptable_labels_get_their_share(void **state)
{
    static const uint32_t labels[] = {0, 0, 0, 0};
    struct problem problem;
    float p[LABELS];

    (void)state;
    make(&problem, labels);
    for (size_t i = 0; i < ROWS; i++) {
        problem.rows[i].accept = 1 | 1 << 2;
    }
    fit_and_ask(&problem, LABELS, 0, p);

    assert_true(fabsf(p[0] - 0.7F) < 0.05F);
    assert_true(fabsf(p[2] - 0.3F) < 0.05F);
}

static void smoothing_keeps_probabilities_from_the_ends(void **state)
{
    static const uint32_t labels[] = {0, 0, 1, 1};
    struct problem problem;
    float p[LABELS];

    (void)state;
    make(&problem, labels);
    problem.options.smoothing = 0.2;
    fit_and_ask(&problem, 2, 0, p);

    assert_true(fabsf(p[0] - 0.9F) < 0.02F);
}

static void shapes_that_no_network_has_are_refused(void **state)
{
    static const struct {
        size_t count;
        uint32_t inputs;
        uint32_t labels;
        uint32_t hidden;
    } cases[] = {
        {0, INPUTS, 2, 16},
        {ROWS, 0, 2, 16},
        {ROWS, NETWORK_INPUTS_MAX + 1, 2, 16},
        {ROWS, INPUTS, 65, 16},
        {ROWS, INPUTS, 2, 0},
        {ROWS, INPUTS, 2, 6},
        {ROWS, INPUTS, 2, NETWORK_HIDDEN_MAX + 4},
    };

    static const uint32_t labels[] = {0, 1, 1, 0};
    struct problem problem;
    struct str bytes = {NULL, 0};

    (void)state;
    make(&problem, labels);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        problem.options.hidden = cases[i].hidden;
        enum status st = fit_network(problem.rows, cases[i].count, cases[i].inputs, cases[i].labels,
                                     &problem.options, &bytes);
        if (st != ST_INVALID) {
            fail_msg("case %zu: status %d", i, (int)st);
        }
    }
    assert_null(bytes.ptr);
}

static void every_failing_allocation_is_clean(void **state)
{
    static const uint32_t labels[] = {0, 1, 1, 0};
    struct problem problem;

    (void)state;
    make(&problem, labels);
    problem.options.epochs = 1;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        struct str bytes = {NULL, 0};
        mem_fail_at(nth, 0);
        enum status st = fit_network(problem.rows, ROWS, INPUTS, 2, &problem.options, &bytes);
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
        assert_null(bytes.ptr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(problems_are_learned),
        cmocka_unit_test(a_seed_gives_the_same_bytes_and_another_seed_others),
        cmocka_unit_test(heavy_rows_count_more),
        cmocka_unit_test(rows_without_weight_teach_nothing),
        cmocka_unit_test(other_acceptable_labels_get_their_share),
        cmocka_unit_test(smoothing_keeps_probabilities_from_the_ends),
        cmocka_unit_test(shapes_that_no_network_has_are_refused),
        cmocka_unit_test(every_failing_allocation_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
