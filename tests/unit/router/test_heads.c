/* Heads: what they say worked out by hand, what moved them, and nothing but the exact format. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/heads.h"
#include "tests/support/test.h"

enum {
    LABELS = 2,
    DIMS = 3,
    INPUTS = HEADS_SHAPE_COUNT + LABELS + DIMS,
    HEADER_BYTES = 64,
    HEAD_BYTES = 128, /* 64 of the entry, 13 weights padded to 64 */
};

static const float first_weights[INPUTS] = {1, 2, 3, 4, 5, 6, 7, 8, -1, 1, 0.5F, 0, -2};
static const float second_weights[INPUTS] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0};
static const struct heads sample = {
    {{{"hard", 4}, HEAD_PROBABILITY, -0.25F, first_weights},
     {{"price", 5}, HEAD_SCORE, 1.5F, second_weights}},
    2,
    LABELS,
    DIMS,
};

static char *encoded(const struct heads *heads, size_t *ret_len)
{
    struct str bytes = {NULL, 0};
    char *owned = NULL;
    assert_int_equal(heads_encode(heads, &bytes), ST_OK);
    memcpy(&owned, &bytes.ptr, sizeof owned);
    *ret_len = bytes.len;
    return owned;
}

static void what_is_written_is_read_again(void **state)
{
    struct heads heads;
    size_t len = 0;

    (void)state;
    char *bytes = encoded(&sample, &len);
    assert_int_equal(heads_read((struct str){bytes, len}, LABELS, DIMS, &heads), ST_OK);

    assert_int_equal(heads.count, 2);
    assert_int_equal(len, HEADER_BYTES + 2 * HEAD_BYTES);
    test_assert_str(heads.items[0].name, STR("hard"));
    test_assert_str(heads.items[1].name, STR("price"));
    assert_int_equal(heads.items[1].kind, HEAD_SCORE);
    assert_memory_equal(heads.items[0].weights, first_weights, sizeof first_weights);
    assert_int_equal(heads_find(&heads, STR("price")), 1);
    assert_int_equal(heads_find(&heads, STR("pric")), SIZE_MAX);
    mem_free(bytes);
}

static void values_are_those_worked_out_by_hand(void **state)
{
    static const float x[INPUTS] = {0, 0, 0, 0, 0, 0, 0, 0, 0.25F, 0.75F, 0.5F, 0.25F, 0.25F};
    float values[2];

    (void)state;
    heads_run(&sample, x, values);

    /* -0.25 - 0.25 + 0.75 + 0.25 - 0.5 = 0 */
    assert_true(fabsf(values[0] - 0.5F) < 1e-6F);
    assert_true(fabsf(values[1] - 4.0F) < 1e-6F);
}

static void the_shape_of_a_text_is_what_it_looks_like(void **state)
{
    static const struct {
        const char *text;
        enum heads_shape shape;
        float want;
    } cases[] = {
        {"", HEADS_SHAPE_LENGTH, 0.0F},
        {"", HEADS_SHAPE_DIGITS, 0.0F},
        {"0123456789", HEADS_SHAPE_LENGTH, 0.21602F}, /* log 11 / 11.1 */
        {"a1b2", HEADS_SHAPE_DIGITS, 0.5F},
        {"f(x)={}", HEADS_SHAPE_CODE, 5.0F / 7.0F},
        {"ABcd", HEADS_SHAPE_CAPITALS, 0.5F},
        {"\xc3\xa9_", HEADS_SHAPE_FOREIGN, 2.0F / 3.0F},
        {"why? really?", HEADS_SHAPE_QUESTIONS, 0.5F},
        {"????????", HEADS_SHAPE_QUESTIONS, 1.0F},
        {"a\nb\nc", HEADS_SHAPE_LINES, 0.125F},
    };
    static const struct classifier_result result = {.count = LABELS};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float x[HEADS_INPUTS_MAX];
        heads_inputs(&sample, &result, str_from(cases[i].text), x);
        if (!(fabsf(x[cases[i].shape] - cases[i].want) < 1e-4F)) {
            fail_msg("case %zu: %f", i, (double)x[cases[i].shape]);
        }
    }
}

static void inputs_are_what_the_classifier_said(void **state)
{
    struct classifier_result result = {
        .count = LABELS,
        .p = {0.25F, 0.75F},
        .known = 0.5F,
        .vector_size = DIMS,
        .vector = {0.6F, 0, -0.8F},
    };
    float x[INPUTS];

    (void)state;
    heads_inputs(&sample, &result, STR("a"), x);

    assert_int_equal(heads_inputs_count(&sample), INPUTS);
    assert_memory_equal(x + HEADS_SHAPE_KNOWN, ((float[]){0.5F, 0.25F, 0.75F, 0.6F, 0, -0.8F}),
                        6 * sizeof(float));
    result.vector_size = 0;
    heads_inputs(&sample, &result, STR("a"), x);
    assert_memory_equal(x + INPUTS - DIMS, ((float[]){0, 0, 0}), DIMS * sizeof(float));
}

static void no_bytes_are_no_heads_and_no_heads_no_bytes(void **state)
{
    static const struct heads none = {.labels = LABELS, .dims = DIMS};
    struct heads heads;
    struct str bytes = {"x", 1};

    (void)state;
    assert_int_equal(heads_read(STR(""), LABELS, DIMS, &heads), ST_OK);
    assert_int_equal(heads_encode(&none, &bytes), ST_OK);

    assert_int_equal(heads.count, 0);
    assert_int_equal(bytes.len, 0);
}

static void what_is_longer_or_shorter_is_refused(void **state)
{
    struct heads heads;
    size_t len = 0;

    (void)state;
    char *bytes = encoded(&sample, &len);
    for (size_t i = 1; i < len; i++) {
        char *cut = mem_alloc(i); /* its own block: reads beyond the end are seen */
        assert_non_null(cut);
        memcpy(cut, bytes, i);
        if (heads_read((struct str){cut, i}, LABELS, DIMS, &heads) != ST_INVALID) {
            fail_msg("accepted at %zu bytes", i);
        }
        mem_free(cut);
    }
    char *wide = mem_zalloc(1, len + 4);
    assert_non_null(wide);
    memcpy(wide, bytes, len);
    assert_int_equal(heads_read((struct str){wide, len + 4}, LABELS, DIMS, &heads), ST_INVALID);
    mem_free(wide);
    mem_free(bytes);
}

static void what_does_not_fit_the_weights_is_refused(void **state)
{
    struct heads heads;
    size_t len = 0;

    (void)state;
    char *bytes = encoded(&sample, &len);
    struct str all = {bytes, len};

    assert_int_equal(heads_read(all, LABELS + 1, DIMS - 1, &heads), ST_INVALID);
    assert_int_equal(heads_read(all, LABELS, DIMS + 1, &heads), ST_INVALID);
    assert_int_equal(heads_read(all, LABELS, 0, &heads), ST_INVALID);
    assert_int_equal(heads.count, 0);
    mem_free(bytes);
}

static void every_byte_that_should_be_otherwise_is_refused(void **state)
{
    static const struct {
        size_t from;
        size_t to;
        char byte;
    } cases[] = {
        {0, 4, 3},                              /* heads */
        {4, 16, 99},                            /* labels, dims, shape inputs */
        {16, 64, 1},                            /* padding */
        {64, 65, '\0'},                         /* no name */
        {64, 68, ' '},                          /* a blank in a name */
        {64, 68, '"'},                          /* nor quotes */
        {64 + 5, 64 + 32, 'x'},                 /* behind the name */
        {96, 100, 2},                           /* kind */
        {104, 128, 1},                          /* padding of the entry */
        {128 + 4 * INPUTS, 64 + HEAD_BYTES, 1}, /* padding of the weights */
        {64 + HEAD_BYTES + 5, 64 + HEAD_BYTES + 6, '\n'},
    };
    struct heads heads;
    size_t len = 0;

    (void)state;
    char *bytes = encoded(&sample, &len);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t at = cases[i].from; at < cases[i].to; at++) {
            char kept = bytes[at];
            bytes[at] = cases[i].byte;
            if (heads_read((struct str){bytes, len}, LABELS, DIMS, &heads) != ST_INVALID) {
                fail_msg("case %zu: accepted with byte %zu changed", i, at);
            }
            bytes[at] = kept;
        }
    }
    mem_free(bytes);
}

static void numbers_that_are_none_are_refused_wherever_they_stand(void **state)
{
    static const float bad[] = {NAN, INFINITY, -1e6F};
    struct heads heads;
    size_t len = 0;

    (void)state;
    char *bytes = encoded(&sample, &len);
    for (size_t i = 0; i <= INPUTS; i++) { /* 0: the bias */
        char *at = i == 0 ? bytes + 100 : bytes + 128 + 4 * (i - 1);
        float kept = 0.0F;
        memcpy(&kept, at, sizeof kept);
        memcpy(at, &bad[i % 3], sizeof bad[0]);
        if (heads_read((struct str){bytes, len}, LABELS, DIMS, &heads) != ST_INVALID) {
            fail_msg("accepted with number %zu changed", i);
        }
        memcpy(at, &kept, sizeof kept);
    }
    mem_free(bytes);
}

static void heads_that_cannot_be_read_are_not_written(void **state)
{
    struct str bytes = {NULL, 0};
    struct heads heads = sample;

    (void)state;
    heads.items[1].name = STR("hard"); /* twice */
    assert_int_equal(heads_encode(&heads, &bytes), ST_INVALID);
    heads.items[1].name = STR("two words");
    assert_int_equal(heads_encode(&heads, &bytes), ST_INVALID);
    heads.items[1].name = STR("a-name-that-is-longer-than-31-b_");
    assert_int_equal(heads_encode(&heads, &bytes), ST_INVALID);
    heads.items[1].name = STR("");
    assert_int_equal(heads_encode(&heads, &bytes), ST_INVALID);
    heads = sample;
    heads.count = HEADS_MAX + 1;
    assert_int_equal(heads_encode(&heads, &bytes), ST_INVALID);
    heads = sample;
    heads.dims = VECTORS_DIMS_MAX + CLASSIFIER_LABELS_MAX;
    assert_int_equal(heads_encode(&heads, &bytes), ST_INVALID);
    assert_null(bytes.ptr);
}

static void no_memory_is_clean(void **state)
{
    struct str bytes = {NULL, 0};

    (void)state;
    mem_fail_at(1, 0);
    enum status st = heads_encode(&sample, &bytes);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
    assert_null(bytes.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_again),
        cmocka_unit_test(values_are_those_worked_out_by_hand),
        cmocka_unit_test(the_shape_of_a_text_is_what_it_looks_like),
        cmocka_unit_test(inputs_are_what_the_classifier_said),
        cmocka_unit_test(no_bytes_are_no_heads_and_no_heads_no_bytes),
        cmocka_unit_test(what_is_longer_or_shorter_is_refused),
        cmocka_unit_test(what_does_not_fit_the_weights_is_refused),
        cmocka_unit_test(every_byte_that_should_be_otherwise_is_refused),
        cmocka_unit_test(numbers_that_are_none_are_refused_wherever_they_stand),
        cmocka_unit_test(heads_that_cannot_be_read_are_not_written),
        cmocka_unit_test(no_memory_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
