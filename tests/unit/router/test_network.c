/* The small network: numbers worked out by hand, exact shares, and nothing but the exact format. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/network.h"
#include "tests/support/test.h"

enum {
    HEADER_BYTES = 64,
    INPUTS = 2,
    HIDDEN = 4,
    LABELS = 3,
    COUNT = INPUTS * HIDDEN + HIDDEN + HIDDEN * LABELS + LABELS,
};

struct blob { /* laid out as in network.h */
    uint32_t shape[3];
    uint32_t zeros[13];
    float numbers[COUNT];
};

static const struct blob sample = {
    {INPUTS, HIDDEN, LABELS},
    {0},
    {
        1, -1, 2,     0, /* in, of x[0] */
        1, 1,  -3,    0, /* of x[1] */
        0, 0,  1,     5, /* in_bias */
        1, 0,  -1,       /* out, of hidden[0] */
        2, 2,  2,        /* of hidden[1] */
        9, 9,  9,        /* of hidden[2] */
        0, 1,  0.5F,     /* of hidden[3] */
        0, -1, 0.25F,    /* out_bias */
    },
};

static struct str bytes_of(const struct blob *blob)
{
    return (struct str){(const char *)blob, sizeof *blob};
}

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525U + 1013904223U;
    return *random >> 8;
}

static float next_real(uint32_t *random) /* -1..1 */
{
    uint32_t n = next_random(random);
    return (float)n / 8388608.0F - 1.0F;
}

static void results_are_those_worked_out_by_hand(void **state)
{
    /* hidden = max(0, {x0 + x1, x1 - x0, 1 + 2 x0 - 3 x1, 5}) */
    static const struct {
        float x[INPUTS];
        float hidden[HIDDEN];
        float logit[LABELS];
    } cases[] = {
        {{0, 0}, {0, 0, 1, 5}, {9, 13, 11.75F}},
        {{1, 2}, {3, 1, 0, 5}, {5, 6, 1.75F}},
        {{-1, 0}, {0, 1, 0, 5}, {2, 6, 4.75F}},
        {{2, 0.5F}, {2.5F, 0, 3.5F, 5}, {34, 35.5F, 31.75F}},
    };
    struct network n;

    (void)state;
    assert_int_equal(network_read(bytes_of(&sample), INPUTS, LABELS, &n), ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float hidden[HIDDEN];
        float logit[LABELS];
        network_run(&n, cases[i].x, hidden, logit);
        assert_memory_equal(hidden, cases[i].hidden, sizeof hidden);
        assert_memory_equal(logit, cases[i].logit, sizeof logit);
    }
}

static void shares_of_inputs_add_up_to_the_logit(void **state)
{
    enum {
        WIDE = 62,
        MANY = 128,
        NAMES = 14,
    };

    static float at[WIDE * MANY + MANY + MANY * NAMES + NAMES];
    const struct network n = {
        .inputs = WIDE,
        .hidden = MANY,
        .labels = NAMES,
        .in = at,
        .in_bias = at + WIDE * MANY,
        .out = at + WIDE * MANY + MANY,
        .out_bias = at + WIDE * MANY + MANY + MANY * NAMES,
    };
    uint32_t random = 7;

    (void)state;
    for (size_t i = 0; i < sizeof at / sizeof at[0]; i++) {
        at[i] = next_real(&random);
    }
    for (size_t turn = 0; turn < 20; turn++) {
        float x[WIDE];
        float hidden[MANY];
        float logit[NAMES];
        float slope[WIDE];
        for (size_t i = 0; i < WIDE; i++) {
            x[i] = next_real(&random) / 8.0F;
        }
        network_run(&n, x, hidden, logit);
        for (size_t k = 0; k < NAMES; k++) {
            float constant = 0.0F;
            network_slope(&n, hidden, k, slope, &constant);
            double sum = (double)constant;
            for (size_t i = 0; i < WIDE; i++) {
                sum += (double)(x[i] * slope[i]);
            }
            if (!(fabs(sum - (double)logit[k]) < 1e-4)) {
                fail_msg("label %zu: %f, shares %f", k, (double)logit[k], sum);
            }
        }
    }
}

/* The volatile keeps the compiler from fusing or regrouping. */
static void plain_axpy(float *y, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        volatile float product = a * x[i];
        y[i] = y[i] + product;
    }
}

static void adding_four_at_a_time_gives_the_same_bits(void **state)
{
    uint32_t random = 3;

    (void)state;
    for (size_t n = 0; n <= 64; n += 4) {
        float x[65];
        float fast[65];
        float plain[65];
        size_t from = n / 4 % 2; /* no alignment is needed */
        for (size_t i = 0; i < 65; i++) {
            x[i] = next_real(&random);
            fast[i] = next_real(&random) * 1e-3F;
            plain[i] = fast[i];
        }
        float a = next_real(&random) * 100.0F;

        network_axpy(fast + from, a, x + from, n);
        plain_axpy(plain + from, a, x + from, n);

        assert_memory_equal(fast, plain, sizeof fast);
    }
}

static void no_bytes_are_no_network(void **state)
{
    struct network n;

    (void)state;
    assert_int_equal(network_read(STR(""), INPUTS, LABELS, &n), ST_OK);

    assert_int_equal(n.inputs, 0);
}

static void what_is_longer_or_shorter_is_refused(void **state)
{
    struct network n;

    (void)state;
    assert_int_equal(network_bytes(INPUTS, HIDDEN, LABELS), sizeof sample);
    for (size_t len = 1; len < sizeof sample; len++) {
        char *cut = mem_alloc(len); /* its own block: reads beyond the end are seen */
        assert_non_null(cut);
        memcpy(cut, &sample, len);
        if (network_read((struct str){cut, len}, INPUTS, LABELS, &n) != ST_INVALID) {
            fail_msg("accepted at %zu bytes", len);
        }
        mem_free(cut);
    }
    struct blob wide[2] = {sample};
    assert_int_equal(
        network_read((struct str){(const char *)wide, sizeof sample + 4}, INPUTS, LABELS, &n),
        ST_INVALID);
}

static void other_shapes_are_refused(void **state)
{
    static const uint32_t shapes[][3] = {
        {LABELS, HIDDEN, INPUTS}, /* turned round */
        {HIDDEN, INPUTS, LABELS}, /* likewise */
        {0, HIDDEN, LABELS},
        {INPUTS, 0, LABELS},
        {INPUTS, 6, LABELS},          /* not a multiple of 4 */
        {INPUTS, HIDDEN + 4, LABELS}, /* too few bytes for it */
        {INPUTS, NETWORK_HIDDEN_MAX + 4, LABELS},
        {INPUTS, HIDDEN, LABELS + 1},
        {UINT32_MAX, UINT32_MAX - 3, UINT32_MAX},
    };
    struct network n;

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct blob blob = sample;
        memcpy(blob.shape, shapes[i], sizeof blob.shape);
        if (network_read(bytes_of(&blob), INPUTS, LABELS, &n) != ST_INVALID || n.inputs != 0) {
            fail_msg("accepted shape %zu", i);
        }
    }
    assert_int_equal(network_read(bytes_of(&sample), INPUTS + 1, LABELS, &n), ST_INVALID);
    assert_int_equal(network_read(bytes_of(&sample), INPUTS, LABELS + 1, &n), ST_INVALID);
}

static void a_header_that_is_not_padded_with_zeros_is_refused(void **state)
{
    struct network n;

    (void)state;
    for (size_t at = 12; at < HEADER_BYTES; at++) {
        struct blob blob = sample;
        ((char *)&blob)[at] = 1;
        if (network_read(bytes_of(&blob), INPUTS, LABELS, &n) != ST_INVALID) {
            fail_msg("accepted with byte %zu changed", at);
        }
    }
}

static void numbers_that_are_none_are_refused_wherever_they_stand(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY, 1e6F, -1e6F};
    struct network n;

    (void)state;
    for (size_t at = 0; at < COUNT; at++) {
        struct blob blob = sample;
        blob.numbers[at] = bad[at % (sizeof bad / sizeof bad[0])];
        if (network_read(bytes_of(&blob), INPUTS, LABELS, &n) != ST_INVALID) {
            fail_msg("accepted with number %zu changed", at);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_those_worked_out_by_hand),
        cmocka_unit_test(shares_of_inputs_add_up_to_the_logit),
        cmocka_unit_test(adding_four_at_a_time_gives_the_same_bits),
        cmocka_unit_test(no_bytes_are_no_network),
        cmocka_unit_test(what_is_longer_or_shorter_is_refused),
        cmocka_unit_test(other_shapes_are_refused),
        cmocka_unit_test(a_header_that_is_not_padded_with_zeros_is_refused),
        cmocka_unit_test(numbers_that_are_none_are_refused_wherever_they_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
