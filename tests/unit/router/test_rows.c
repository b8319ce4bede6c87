/* The fast sum of rows against the plain one: every bit. */
#include <string.h>

#include "router/rows.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

static struct weights_sample sample;

static void compare(size_t labels, size_t count, int fill)
{
    static const int8_t *rows[2000];
    uint32_t x = 7;
    weights_sample_init(&sample, labels);
    for (size_t i = 0; i < sizeof sample.table; i++) {
        x = x * 1664525U + 1013904223U;
        sample.table[i] = fill != 0 ? (uint8_t)fill : (uint8_t)(x >> 24);
    }
    for (size_t i = 0; i < count; i++) {
        x = x * 1664525U + 1013904223U;
        uint32_t slot = (x >> 8) % (WEIGHTS_SAMPLE_BUCKETS * WEIGHTS_SLOTS);
        rows[i] = weights_row(&sample.weights, slot);
    }
    int32_t fast[WEIGHTS_LABELS_MAX];
    int32_t plain[WEIGHTS_LABELS_MAX];
    memset(fast, 1, sizeof fast);
    memset(plain, 2, sizeof plain);

    rows_sum(rows, count, labels, fast);
    rows_sum_plain(rows, count, labels, plain);

    assert_memory_equal(fast, plain, labels * sizeof plain[0]);
}

static void sums_agree_for_all_widths_and_counts(void **state)
{
    static const size_t labels[] = {2, 13, 14, 15, 16, 17, 30, 31, 32, 33, 63, 64};
    static const size_t counts[] = {0, 1, 2, 254, 255, 256, 257, 510, 511, 2000};
    (void)state;
    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        for (size_t j = 0; j < sizeof counts / sizeof counts[0]; j++) {
            compare(labels[i], counts[j], 0);
        }
    }
}

static void extreme_rows_do_not_overflow(void **state)
{
    (void)state;
    compare(14, 2000, 0x80); /* -128 */
    compare(14, 2000, 0x7f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_agree_for_all_widths_and_counts),
        cmocka_unit_test(extreme_rows_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
