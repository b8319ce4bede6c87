/* Flip rates against counts made by hand. */
#include "base/json_scan.h"
#include "router/flips.h"
#include "tests/support/test.h"

enum {
    GENERAL = 2,
};

static struct classifier_result said(size_t best, float p)
{
    struct classifier_result r = {.count = 3, .best = best};
    r.p[best] = p;
    return r;
}

/* Threshold .5. Four rows: same and sure; another label, sure; another label, never sure (general
 * before and after); same label, no longer sure (the category becomes general). */
static struct flips four_rows(void)
{
    struct flips f = {.threshold = 0.5, .general = GENERAL};
    const struct classifier_result pairs[4][2] = {
        {said(0, 0.9F), said(0, 0.8F)},
        {said(0, 0.9F), said(1, 0.8F)},
        {said(0, 0.4F), said(1, 0.4F)},
        {said(1, 0.6F), said(1, 0.4F)},
    };
    for (size_t i = 0; i < 4; i++) {
        flips_add(&f, i < 3 ? PERTURB_SWAP : PERTURB_QUOTES, &pairs[i][0], &pairs[i][1]);
    }
    return f;
}

static void flips_are_counted_per_kind_and_in_all(void **state)
{
    (void)state;
    struct flips f = four_rows();

    const struct flips_count *swap = &f.kinds[PERTURB_SWAP];
    struct flips_count all = flips_total(&f);

    assert_int_equal(swap->rows, 3);
    assert_int_equal(swap->flipped, 2);
    assert_int_equal(swap->above, 2);
    assert_int_equal(swap->above_flipped, 1);
    assert_int_equal(swap->rerouted, 1);
    assert_int_equal(all.rows, 4);
    assert_int_equal(all.flipped, 2);
    assert_int_equal(all.above, 3);
    assert_int_equal(all.rerouted, 2);
}

static void rates_are_written_as_text_and_json(void **state)
{
    struct flips f = four_rows();
    struct buf out;
    (void)state;
    buf_init(&out, 10000);

    assert_int_equal(flips_write_json(&f, &out), ST_OK);
    assert_int_equal(json_validate(buf_str(&out), NULL, NULL), ST_OK);
    assert_true(str_starts_with(
        buf_str(&out), STR("{\"all\":{\"rows\":4,\"flip_rate\":0.5000,\"above\":3,"
                           "\"above_flip_rate\":0.3333,\"reroute_rate\":0.5000},\"swap\":")));
    buf_reset(&out);
    assert_int_equal(flips_write_text(&f, &out), ST_OK);
    assert_true(str_find(buf_str(&out), STR("all                4   0.5000")) < out.len);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips_are_counted_per_kind_and_in_all),
        cmocka_unit_test(rates_are_written_as_text_and_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
