/* Rows for a head, and a head on its way: rows -> fit -> weights file -> decision's values. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/head_rows.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

static char path[64];
static struct arena *arena;
static struct diags diags;
static struct weights_sample sample;

static int make_file(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/head-rows-%ld.edm", (long)getpid());
    weights_sample_init(&sample, 3);
    arena = arena_create(4096, 1 << 20);
    diags_init(&diags, arena);
    return arena == NULL || weights_write(&sample.weights, path) != ST_OK;
}

static int remove_file(void **state)
{
    (void)state;
    arena_destroy(arena);
    return unlink(path);
}

static struct classifier *loaded(void)
{
    struct classifier *c = NULL;
    assert_int_equal(classifier_load(path, &diags, &c), ST_OK);
    return c;
}

static void the_target_of_a_row_is_its_value_or_its_labels(void **state)
{
    static const struct {
        struct prompts_row row;
        float want;
    } cases[] = {
        {{.text = {"a", 1}, .label = {"vision", 6}}, 1.0F},
        {{.text = {"a", 1}, .label = {"none", 4}}, 0.0F},
        {{.text = {"a", 1}}, 0.0F},
        {{.text = {"a", 1}, .label = {"none", 4}, .accept = {{"vision", 6}}, .accept_count = 1},
         1.0F},
        {{.text = {"a", 1}, .label = {"vision", 6}, .value = 0.25, .has_value = true}, 0.25F},
    };

    (void)state;
    struct classifier *c = loaded();
    struct head_rows *rows = head_rows_create(c, classifier_heads(c));
    assert_non_null(rows);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(head_rows_add(rows, STR("vision"), &cases[i].row), ST_OK);
        assert_true(fabsf(head_rows_task(rows, HEAD_PROBABILITY).rows[i].value - cases[i].want) <
                    1e-6F);
    }
    head_rows_destroy(rows);
    classifier_unref(c);
}

static void rows_of_one_family_are_left_out_by_fifths(void **state)
{
    const struct prompts_row row = {.text = STR("a"), .source = STR("mine:3")};

    (void)state;
    struct classifier *c = loaded();
    struct head_rows *rows = head_rows_create(c, classifier_heads(c));
    for (size_t i = 0; i < 1000; i++) { /* more than the first room */
        assert_int_equal(head_rows_add(rows, STR("x"), &row), ST_OK);
    }
    struct fit_head_task task = head_rows_task(rows, HEAD_PROBABILITY);

    assert_int_equal(task.count, 1000);
    assert_int_equal(task.rows[199].group, 0);
    assert_int_equal(task.rows[200].group, 1);
    assert_int_equal(task.rows[999].group, 4);
    test_assert_str(head_rows_group(rows, 4), STR("fifth"));
    head_rows_destroy(rows);
    classifier_unref(c);
}

static void families_are_left_out_together(void **state)
{
    (void)state;
    struct classifier *c = loaded();
    struct head_rows *rows = head_rows_create(c, classifier_heads(c));
    for (size_t i = 0; i < 2 * FIT_HEAD_GROUPS_MAX; i++) {
        char name[3] = {(char)('a' + i / 2), i % 2 == 0 ? ':' : '#', '\0'};
        const struct prompts_row row = {.text = STR("a"), .source = {name, 2}};
        assert_int_equal(head_rows_add(rows, STR("x"), &row), ST_OK);
    }
    const struct prompts_row more = {.text = STR("a"), .source = STR("z")};
    struct fit_head_task task = head_rows_task(rows, HEAD_PROBABILITY);

    assert_int_equal(task.rows[6].group, 3);
    assert_int_equal(task.rows[7].group, 3);
    test_assert_str(head_rows_group(rows, 3), STR("d"));
    assert_int_equal(head_rows_add(rows, STR("x"), &more), ST_TOO_BIG);
    head_rows_destroy(rows);
    classifier_unref(c);
}

/* Numbers in a text are hard, words are not. Written into the file, read back, asked, explained. */
static void a_head_is_learned_stored_and_explained(void **state)
{
    struct fit_head_report report;
    float weights[HEADS_INPUTS_MAX];
    struct head head = {{"numbers", 7}, HEAD_PROBABILITY, 0.0F, weights};
    struct str bytes = {NULL, 0};

    (void)state;
    struct classifier *c = loaded();
    struct heads heads = *classifier_heads(c);
    struct head_rows *rows = head_rows_create(c, &heads);
    for (size_t i = 0; i < 500; i++) {
        const struct prompts_row row = {
            .text = i % 2 == 0 ? STR("some words here") : STR("123 456 7890 99"),
            .label = i % 2 == 0 ? STR("none") : STR("numbers"),
        };
        assert_int_equal(head_rows_add(rows, head.name, &row), ST_OK);
    }
    struct fit_head_task task = head_rows_task(rows, HEAD_PROBABILITY);
    assert_int_equal(fit_head(&task, weights, &head.bias, NULL, &report), ST_OK);
    heads.items[heads.count++] = head;
    assert_int_equal(heads_encode(&heads, &bytes), ST_OK);
    struct weights changed = sample.weights;
    changed.heads = bytes;
    assert_int_equal(weights_write(&changed, path), ST_OK);
    struct classifier *with_head = loaded();

    const struct heads *read = classifier_heads(with_head);
    struct classifier_result result = {.count = 3};
    float x[HEADS_INPUTS_MAX];
    float value = 0.0F;
    struct heads_share shares[HEADS_SHARES_MAX];
    heads_inputs(read, &result, STR("12 345 67890"), x);
    heads_run(read, x, &value);
    size_t count = heads_explain(read, 0, x, with_head, shares);
    double sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)shares[i].weight;
    }
    assert_int_equal(read->count, 1);
    assert_true(value > 0.9F);
    assert_int_equal(count, 2 + HEADS_SHAPE_COUNT + 3);
    test_assert_str(shares[1 + HEADS_SHAPE_DIGITS].input, STR("digits"));
    test_assert_str(shares[1 + HEADS_SHAPE_COUNT].input, STR("l00"));
    assert_true(fabs(log((double)value / (1.0 - (double)value)) - sum) < 1e-3);

    char *owned = NULL;
    memcpy(&owned, &bytes.ptr, sizeof owned);
    mem_free(owned);
    head_rows_destroy(rows);
    classifier_unref(with_head);
    classifier_unref(c);
}

static void heads_of_other_weights_are_refused(void **state)
{
    static const float numbers[HEADS_INPUTS_MAX] = {0};
    const struct heads other = {
        {{{"other", 5}, HEAD_SCORE, 0.0F, numbers}}, 1, 4, 0}; /* four labels */
    struct str bytes = {NULL, 0};
    struct classifier *c = NULL;

    (void)state;
    assert_int_equal(heads_encode(&other, &bytes), ST_OK);
    struct weights changed = sample.weights;
    changed.heads = bytes;
    assert_int_equal(weights_write(&changed, path), ST_OK);
    assert_int_equal(classifier_load(path, &diags, &c), ST_INVALID);

    assert_true(diags_has_errors(&diags));
    char *owned = NULL;
    memcpy(&owned, &bytes.ptr, sizeof owned);
    mem_free(owned);
}

static void every_failing_allocation_is_clean(void **state)
{
    const struct prompts_row row = {.text = STR("a")};

    (void)state;
    struct classifier *c = loaded();
    for (uint64_t nth = 1; nth <= 5; nth++) {
        mem_fail_at(nth, 0);
        struct head_rows *rows = head_rows_create(c, classifier_heads(c));
        enum status st = rows != NULL ? head_rows_add(rows, STR("x"), &row) : ST_NO_MEMORY;
        mem_fail_at(0, 0);
        assert_int_equal(st, ST_NO_MEMORY);
        head_rows_destroy(rows);
    }
    classifier_unref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_target_of_a_row_is_its_value_or_its_labels, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(rows_of_one_family_are_left_out_by_fifths, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(families_are_left_out_together, make_file, remove_file),
        cmocka_unit_test_setup_teardown(a_head_is_learned_stored_and_explained, make_file,
                                        remove_file),
        cmocka_unit_test_setup_teardown(heads_of_other_weights_are_refused, make_file, remove_file),
        cmocka_unit_test_setup_teardown(every_failing_allocation_is_clean, make_file, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
