/* The weights file: what is written can be read, and nothing else can. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/weights.h"
#include "tests/support/test.h"
#include "tests/support/weights_sample.h"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct weights_sample sample;
    char *bytes;
    size_t size;
};

static int prepare(void **state)
{
    struct fixture *x = mem_zalloc(1, sizeof *x);
    x->arena = arena_create(65536, 16 << 20);
    diags_init(&x->diags, x->arena);
    weights_sample_init(&x->sample, 3);
    weights_sample_put(&x->sample, 0x12345678, 1, -7);
    *state = x;
    return 0;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    mem_free(x->bytes);
    arena_destroy(x->arena);
    mem_free(x);
    return 0;
}

static void encode(struct fixture *x)
{
    struct str bytes;
    assert_int_equal(weights_encode(&x->sample.weights, &bytes), ST_OK);
    x->bytes = (char *)(uintptr_t)bytes.ptr;
    x->size = bytes.len;
}

static enum status read_bytes(struct fixture *x, size_t size, struct weights *ret)
{
    x->diags.count = 0;
    x->diags.errors = 0;
    arena_reset(x->arena);
    return weights_read((struct str){x->bytes, size}, STR("sample.edm"), &x->diags, ret);
}

/* The checksum as the header describes it, so that a test can break other rules alone. */
static void seal(struct fixture *x)
{
    uint64_t hash = 0x6a09e667f3bcc909U ^ x->size;
    memset(x->bytes + 24, 0, 8);
    for (size_t i = 0; i < x->size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, x->bytes + i, 8); /* sizes are multiples of 64; tests run little-endian */
        hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
        hash ^= hash >> 32;
    }
    memcpy(x->bytes + 24, &hash, 8);
}

static void expect_refusal(struct fixture *x, const char *part)
{
    struct weights w;
    assert_int_equal(read_bytes(x, x->size, &w), ST_INVALID);
    assert_int_equal(x->diags.errors, 1);
    struct str message = x->diags.items[0].message;
    if (str_find(message, str_from(part)) == message.len) {
        fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(message), part);
    }
}

static void what_is_written_can_be_read(void **state)
{
    struct fixture *x = *state;
    struct weights w;
    encode(x);

    assert_int_equal(read_bytes(x, x->size, &w), ST_OK);

    assert_int_equal(w.label_count, 3);
    test_assert_str(w.labels[2], STR("l02"));
    test_assert_str(w.card, STR("{\"model\":\"sample\"}"));
    assert_true(fabsf(w.bias[2] - 0.2F) < 1e-7F);
    uint32_t slot = weights_find(&w, 0x12345678);
    assert_int_not_equal(slot, WEIGHTS_NO_SLOT);
    assert_int_equal(weights_row(&w, slot)[1], -7);
    assert_int_equal(weights_find(&w, 0x12345679), WEIGHTS_NO_SLOT);
}

static void optional_arrays_are_carried(void **state)
{
    struct fixture *x = *state;
    struct weights w;
    static const float at[2] = {1.0F, -2.0F};
    const struct vectors_word word = {77, at};
    size_t kept = 0;
    assert_int_equal(vectors_encode(&word, 1, 2, 1, &x->sample.weights.vectors, &kept), ST_OK);
    x->sample.weights.heads = STR("the heads");
    encode(x);
    mem_free((void *)(uintptr_t)x->sample.weights.vectors.ptr);

    assert_int_equal(read_bytes(x, x->size, &w), ST_OK);

    assert_int_equal(w.words.dims, 2);
    assert_int_equal(vectors_find(&w.words, 77)[1], -127);
    assert_int_equal(w.net.inputs, 0);
    test_assert_str(w.heads, STR("the heads"));
    assert_int_equal((size_t)(w.heads.ptr - x->bytes) % 64, 0);
}

static void vectors_and_networks_that_do_not_fit_are_refused(void **state)
{
    struct fixture *x = *state;
    struct weights w;
    x->sample.weights.vectors = STR("v");
    encode(x);
    assert_int_equal(read_bytes(x, x->size, &w), ST_INVALID);
    mem_free(x->bytes);
    x->sample.weights.vectors = STR("");
    x->sample.weights.network = STR("a network without vectors");
    encode(x);
    assert_int_equal(read_bytes(x, x->size, &w), ST_INVALID);
}

static void every_shorter_file_is_refused(void **state)
{
    struct fixture *x = *state;
    struct weights w;
    encode(x);
    for (size_t size = 0; size < x->size; size += size < 1024 ? 1 : 61) {
        assert_int_equal(read_bytes(x, size, &w), ST_INVALID);
    }
    assert_int_equal(read_bytes(x, x->size - 1, &w), ST_INVALID);
}

static void every_flipped_bit_is_refused(void **state)
{
    struct fixture *x = *state;
    struct weights w;
    encode(x);
    for (size_t i = 0; i < x->size; i += i < 1024 ? 1 : 7) {
        char bit = (char)(1 << (i % 8));
        x->bytes[i] = (char)(x->bytes[i] ^ bit);
        if (read_bytes(x, x->size, &w) != ST_INVALID) {
            fail_msg("a flipped bit at byte %zu goes unnoticed", i);
        }
        x->bytes[i] = (char)(x->bytes[i] ^ bit);
    }
    assert_int_equal(read_bytes(x, x->size, &w), ST_OK);
}

static void headers_that_lie_are_refused_even_with_a_right_checksum(void **state)
{
    static const struct {
        size_t at; /* of the byte that becomes `value` */
        int value;
        const char *why;
    } cases[] = {
        {0, 'X', "is no weights file"},
        {8, 1, "weights file version 1, this program reads version 2"},
        {8, 3, "weights file version 3"},
        {12, 99, "feature scheme 99"},
        {16, 1, "its header says"},
        {32, 1, "1 labels"},
        {32, 65, "65 labels"},
        {32, 4, "has not the 4 labels"},
        {32, 2, "has not the 2 labels"},
        {36, 6, "6 arrays"},
        {64, 'x', "array \"labels\" is not where"},
        {80, 0x41, "array \"labels\" is not where"},
        {88, 0xff, "array \"scale\" is not where"},
        {95, 0x7f, "array \"labels\" is not where"},
        {96, 'x', "array \"scale\" is not where"},
        {120, 8, "has not one number per label"},
        {152, 16, "has not one number per label"},
        {377, 0x0f, "does not end after its table"},
        {383, 0x7f, "array \"table\" is not where"},
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        encode(x);
        x->bytes[cases[i].at] = (char)cases[i].value;
        seal(x);
        expect_refusal(x, cases[i].why);
        mem_free(x->bytes);
        x->bytes = NULL;
    }
}

enum field {
    SCALE,
    BIAS,
    TEMPERATURE,
    BY_SPREAD,
    BY_UNKNOWN,
};

static void set(struct weights *w, enum field field, float value)
{
    switch (field) {
    case SCALE:
        w->scale[1] = value;
        break;
    case BIAS:
        w->bias[1] = value;
        break;
    case TEMPERATURE:
        w->calibration.temperature = value;
        break;
    case BY_SPREAD:
        w->calibration.by_spread = value;
        break;
    case BY_UNKNOWN:
        w->calibration.by_unknown = value;
        break;
    }
}

static void unusable_numbers_are_refused(void **state)
{
    static const struct {
        enum field field;
        float value;
        const char *why;
    } cases[] = {
        {SCALE, NAN, "scale or bias of \"l01\""},
        {SCALE, 0.0F, "scale or bias of \"l01\""},
        {SCALE, -1.0F, "scale or bias of \"l01\""},
        {SCALE, INFINITY, "scale or bias of \"l01\""},
        {BIAS, NAN, "scale or bias of \"l01\""},
        {BIAS, -INFINITY, "scale or bias of \"l01\""},
        {TEMPERATURE, NAN, "the temperature is not"},
        {TEMPERATURE, 0.0F, "the temperature is not"},
        {TEMPERATURE, INFINITY, "the temperature is not"},
        {BY_SPREAD, NAN, "the calibration is not"},
        {BY_UNKNOWN, INFINITY, "the calibration is not"},
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weights_sample_init(&x->sample, 3);
        set(&x->sample.weights, cases[i].field, cases[i].value);
        encode(x);
        expect_refusal(x, cases[i].why);
        mem_free(x->bytes);
        x->bytes = NULL;
    }
}

static void unusable_texts_are_refused(void **state)
{
    static const struct {
        const char *label;
        const char *card;
        const char *why;
    } cases[] = {
        {"l00", "{}", "stands twice"},  {"", "{}", "empty or too long"},
        {"\xff", "{}", "is not UTF-8"}, {"fine", "{", "is no JSON"},
        {"fine", "", "is no JSON"},
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        weights_sample_init(&x->sample, 3);
        x->sample.weights.labels[1] = str_from(cases[i].label);
        x->sample.weights.card = str_from(cases[i].card);
        encode(x);
        expect_refusal(x, cases[i].why);
        mem_free(x->bytes);
        x->bytes = NULL;
    }
}

static void files_are_written_whole_and_mapped(void **state)
{
    struct fixture *x = *state;
    struct weights w = {0};
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/weights-test-%d.edm", (int)getpid());

    assert_int_equal(weights_write(&x->sample.weights, path), ST_OK);
    enum status st = weights_open(path, &x->diags, &w);
    (void)unlink(path);

    assert_int_equal(st, ST_OK);
    assert_int_equal((uintptr_t)w.table % 64, 0);
    assert_int_not_equal(w.checksum, 0);
    weights_close(&w);
    weights_close(&w);
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *x = *state;
    struct weights w;

    assert_int_equal(weights_open("/nowhere/at/all.edm", &x->diags, &w), ST_IO);
    assert_int_equal(weights_open("/tmp", &x->diags, &w), ST_INVALID);
    assert_int_equal(weights_open("/dev/null", &x->diags, &w), ST_INVALID);

    assert_int_equal(x->diags.errors, 3);
}

static void a_broken_struct_is_not_written(void **state)
{
    struct fixture *x = *state;
    struct str bytes;
    x->sample.weights.bucket_count = 0;

    assert_int_equal(weights_encode(&x->sample.weights, &bytes), ST_INVALID);
}

static void writing_fails_cleanly(void **state)
{
    struct fixture *x = *state;
    struct str bytes;

    assert_int_equal(weights_write(&x->sample.weights, "/nowhere/at/all.edm"), ST_IO);
    mem_fail_at(1, 0);
    enum status st = weights_encode(&x->sample.weights, &bytes);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_can_be_read, prepare, clean),
        cmocka_unit_test_setup_teardown(optional_arrays_are_carried, prepare, clean),
        cmocka_unit_test_setup_teardown(vectors_and_networks_that_do_not_fit_are_refused, prepare,
                                        clean),
        cmocka_unit_test_setup_teardown(every_shorter_file_is_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(every_flipped_bit_is_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(headers_that_lie_are_refused_even_with_a_right_checksum,
                                        prepare, clean),
        cmocka_unit_test_setup_teardown(unusable_numbers_are_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(unusable_texts_are_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(files_are_written_whole_and_mapped, prepare, clean),
        cmocka_unit_test_setup_teardown(what_is_no_file_is_refused, prepare, clean),
        cmocka_unit_test_setup_teardown(a_broken_struct_is_not_written, prepare, clean),
        cmocka_unit_test_setup_teardown(writing_fails_cleanly, prepare, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
