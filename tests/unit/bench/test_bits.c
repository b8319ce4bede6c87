/* Sums of bits by label, and the pooled figures, on numbers worked out by hand. */
#include "bench/experts/bits.h"
#include "tests/support/test.h"

/* Three models; rows of 10 bytes; the generalist is the second one. */
static void sample(struct bits *b)
{
    static const struct {
        size_t right;
        size_t routed;
        double bits[3];
    } rows[] = {
        {0, 0, {10, 20, 40}},
        {0, 1, {20, 30, 60}},
        {2, 2, {70, 30, 20}},
        {2, 0, {50, 20, 10}},
    };

    *b = (struct bits){
        .count = 3, .names = {STR("law"), STR("generalist"), STR("math")}, .generalist = 1};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bits_add(b, rows[i].right, rows[i].routed, 10, rows[i].bits);
    }
}

static void expect(double got, double want)
{
    if (got < want - 1e-9 || got > want + 1e-9) {
        fail_msg("%f is not %f", got, want);
    }
}

static void names_without_a_model_mean_the_generalist(void **state)
{
    (void)state;
    static struct bits b;
    sample(&b);
    assert_int_equal(bits_model(&b, STR("math")), 2);
    assert_int_equal(bits_model(&b, STR("law")), 0);
    assert_int_equal(bits_model(&b, STR("physics")), 1);
    assert_int_equal(bits_model(&b, STR("")), 1);
}

static void labels_add_up_by_themselves(void **state)
{
    (void)state;
    static struct bits b;
    sample(&b);
    assert_int_equal(b.by_label[0].rows, 2);
    expect(b.by_label[0].bytes, 20);
    expect(b.by_label[0].bits[0], 30);
    expect(b.by_label[2].bits[0], 120);
    assert_int_equal(b.by_label[1].rows, 0);
    assert_int_equal(b.all.rows, 4);
}

static void pooled_figures_are_bits_over_bytes_of_all_rows(void **state)
{
    (void)state;
    static struct bits b;
    sample(&b);
    struct bits_pool pool = bits_pool(&b);
    expect(pool.right, (10 + 20 + 20 + 10) / 40.0);
    expect(pool.routed, (10 + 30 + 20 + 50) / 40.0);
    expect(pool.generalist, 100 / 40.0);
    expect(pool.agreed, 0.5);
}

static void best_and_average_are_of_experts_alone(void **state)
{
    (void)state;
    static struct bits b;
    sample(&b);
    struct bits_pool pool = bits_pool(&b);
    assert_int_equal(pool.best_model, 2); /* 130; the generalist's 100 do not count */
    expect(pool.best, 130 / 40.0);
    expect(pool.average, (150 + 130) / 2 / 40.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_without_a_model_mean_the_generalist),
        cmocka_unit_test(labels_add_up_by_themselves),
        cmocka_unit_test(pooled_figures_are_bits_over_bytes_of_all_rows),
        cmocka_unit_test(best_and_average_are_of_experts_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
