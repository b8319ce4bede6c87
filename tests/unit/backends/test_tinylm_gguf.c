/* The reader of GGUF files: what it accepts, and that every mutilation is refused with a reason. */
#include <string.h>

#include "base/mem.h"
#include "tests/support/gguf_sample.h"

struct reading {
    struct arena *arena;
    struct diags diags;
    struct gguf g;
    enum status st;
};

static void read_file(struct reading *r, struct str bytes)
{
    r->arena = arena_create(4096, 1 << 20);
    assert_non_null(r->arena);
    diags_init(&r->diags, r->arena);
    r->st = gguf_read(bytes, STR("m.gguf"), &r->diags, &r->g);
}

static void leave(struct reading *r)
{
    gguf_fini(&r->g);
    arena_destroy(r->arena);
}

/* Two keys, a string array and one F32 tensor of 4 by 2. */
static void write_sample(struct buf *out)
{
    gguf_sample_head(out, 1, 3);
    gguf_sample_text(out, "general.architecture", "llama");
    gguf_sample_int(out, "llama.block_count", 7);
    gguf_sample_array(out, "words", GGUF_STRING, 2);
    gguf_sample_string(out, STR("first"));
    gguf_sample_string(out, STR(""));
    gguf_sample_tensor(out, "w", 4, 2, 0);
    gguf_sample_u64(out, 0);
    gguf_sample_data(out, 32);
}

static void keys_and_tensors_are_found(void **state)
{
    (void)state;
    struct buf file;
    struct reading r;
    int64_t blocks = 0;
    struct str text = STR("");
    write_sample(&file);

    read_file(&r, buf_str(&file));

    assert_int_equal(r.st, ST_OK);
    assert_true(gguf_to_int(gguf_find(&r.g, STR("llama.block_count")), &blocks));
    assert_int_equal(blocks, 7);
    assert_true(gguf_to_text(gguf_find(&r.g, STR("general.architecture")), &text));
    test_assert_str(text, STR("llama"));
    size_t at = 0;
    test_assert_str(gguf_next_text(gguf_find(&r.g, STR("words")), &at), STR("first"));
    test_assert_str(gguf_next_text(gguf_find(&r.g, STR("words")), &at), STR(""));
    assert_int_equal(gguf_tensor(&r.g, STR("w"))->data.len, 32);
    assert_null(gguf_tensor(&r.g, STR("v")));
    leave(&r);
    buf_fini(&file);
}

static void numbers_of_all_types_are_read(void **state)
{
    (void)state;

    static const struct {
        enum gguf_type type;
        const char *bytes;
        size_t len;
        double want;
    } cases[] = {
        {GGUF_U8, "\xff", 1, 255},
        {GGUF_I8, "\x7f", 1, 127},
        {GGUF_U16, "\x01\xff", 2, 65281},
        {GGUF_I16, "\x01\x02", 2, 513},
        {GGUF_U32, "\xff\xff\xff\xff", 4, 4294967295.0},
        {GGUF_I32, "\x05\0\0\0", 4, 5},
        {GGUF_U64, "\0\0\0\0\x01\0\0\0", 8, 4294967296.0},
        {GGUF_I64, "\x09\0\0\0\0\0\0\0", 8, 9},
        {GGUF_F32, "\0\0\xc0\x3f", 4, 1.5},
        {GGUF_F64, "\0\0\0\0\0\0\xf8\x3f", 8, 1.5},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf file;
        struct reading r;
        double got = 0;
        gguf_sample_head(&file, 0, 1);
        gguf_sample_key(&file, "n", cases[i].type);
        gguf_sample_bytes(&file, (struct str){cases[i].bytes, cases[i].len});
        read_file(&r, buf_str(&file));
        assert_int_equal(r.st, ST_OK);
        assert_true(gguf_to_real(gguf_find(&r.g, STR("n")), &got));
        assert_true(got >= cases[i].want && got <= cases[i].want);
        leave(&r);
        buf_fini(&file);
    }
}

static void negative_and_other_values_are_no_sizes(void **state)
{
    (void)state;
    static const char minus[] = "\xff\xff\xff\xff\xff\xff\xff\xff";

    static const enum gguf_type types[] = {GGUF_I8,  GGUF_I16, GGUF_I32, GGUF_I64,
                                           GGUF_U64, GGUF_F32, GGUF_F64};

    static const size_t lengths[] = {1, 2, 4, 8, 8, 4, 8};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct buf file;
        struct reading r;
        int64_t got = 77;
        gguf_sample_head(&file, 0, 1);
        gguf_sample_key(&file, "n", types[i]);
        gguf_sample_bytes(&file, (struct str){minus, lengths[i]});
        read_file(&r, buf_str(&file));
        assert_int_equal(r.st, ST_OK);
        assert_false(gguf_to_int(gguf_find(&r.g, STR("n")), &got));
        assert_int_equal(got, 77);
        leave(&r);
        buf_fini(&file);
    }
}

static void check_refused(struct str bytes, const char *why)
{
    struct reading r;
    read_file(&r, bytes);
    assert_int_equal(r.st, ST_INVALID);
    assert_int_equal(r.diags.count, 1);
    struct str message = r.diags.items[0].message;
    if (str_find(message, str_from(why)) == message.len) {
        fail_msg("\"%.*s\" does not say \"%s\"", STR_ARG(message), why);
    }
    leave(&r);
}

/* Offsets in the sample: the head takes 24 bytes, the first key's name 8 + 20. */
static void each_mutilation_is_refused_with_its_reason(void **state)
{
    (void)state;

    static const struct {
        size_t at;
        const char *bytes;
        size_t len;
        const char *why;
    } cases[] = {
        {0, "GGML", 4, "at byte 0: this is no GGUF file"},
        {4, "\x01\0\0\0", 4, "at byte 4: version 1 of GGUF"},
        {4, "\0\0\0\x03", 4, "only 2 and 3 (little-endian)"},
        {8, "\0\0\0\0\0\0\0\x80", 8, "at byte 8: the number of tensors is 9223372036854775808"},
        {16, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, "at byte 16: the number of keys"},
        {16, "\x04\0", 2, "the length of the name of a tensor is"},
        {24, "\xff\xff\xff\xff\xff\xff\xff\x7f", 8, "the length of the name of a key"},
        {24, "\xff\xff\0\0\0\0\0\0", 8, "the file ends inside the name of a key"},
        {24, "\0\0\0\0\0\0\0\0", 8, "a key has no name"},
        {52, "\x0d\0\0\0", 4, "the key \"general.architecture\" has the unknown type 13"},
        {52, "\x07\0\0\0", 4, "the boolean \"general.architecture\" is neither 0 nor 1"},
        {56, "\0\0\0\0\x01\0\0\0", 8, "the length of a string is 4294967296"},
        {56, "\xff\xff\xff\x7f\0\0\0\0", 8, "the file ends inside a string"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf file;
        write_sample(&file);
        memcpy(file.data + cases[i].at, cases[i].bytes, cases[i].len);
        check_refused(buf_str(&file), cases[i].why);
        buf_fini(&file);
    }
}

static void no_beginning_of_a_file_is_accepted(void **state)
{
    (void)state;
    struct buf file;
    write_sample(&file);
    for (size_t len = 0; len < file.len; len++) {
        struct reading r;
        char *part = mem_alloc(len + 1); /* its own block: reads beyond the end are seen */
        assert_non_null(part);
        memcpy(part, file.data, len);
        read_file(&r, (struct str){part, len});
        if (r.st != ST_INVALID) {
            fail_msg("the first %zu bytes were accepted", len);
        }
        leave(&r);
        mem_free(part);
    }
    buf_fini(&file);
}

static void tensors_that_cannot_be_are_refused(void **state)
{
    (void)state;

    static const struct {
        uint64_t columns;
        uint64_t rows;
        uint32_t type;
        uint64_t offset;
        const char *why;
    } cases[] = {
        {4, 2, 99, 0, "the tensor \"w\" has the type 99, which is not read here"},
        {0, 2, 0, 0, "the shape of the tensor \"w\""},
        {UINT64_MAX, 2, 0, 0, "the shape of the tensor \"w\""},
        {1ULL << 32, 1ULL << 32, 0, 0, "the shape of the tensor \"w\""},
        {4, 2, 2, 0, "rows of 4 in the tensor \"w\" are not whole blocks of Q4_0 (32)"},
        {4, 2, 0, 8, "the offset of the tensor \"w\" is no multiple of 32"},
        {4, 2, 0, 32, "lie outside of the file"},
        {4, 2, 0, UINT64_MAX - 31, "lie outside of the file"},
        {8, 2, 0, 0, "lie outside of the file"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf file;
        gguf_sample_head(&file, 1, 0);
        gguf_sample_tensor(&file, "w", cases[i].columns, cases[i].rows, cases[i].type);
        gguf_sample_u64(&file, cases[i].offset);
        gguf_sample_data(&file, 32);
        check_refused(buf_str(&file), cases[i].why);
        buf_fini(&file);
    }
}

static void arrays_of_arrays_and_unknown_items_are_refused(void **state)
{
    (void)state;

    static const struct {
        uint32_t item;
        uint64_t count;
        const char *why;
    } cases[] = {
        {GGUF_ARRAY, 1, "\"a\" is an array of arrays"},
        {13, 1, "the items of \"a\" have the unknown type 13"},
        {GGUF_U64, 1ULL << 61, "more than 268435456"},
        {GGUF_STRING, 1U << 28, "the file ends inside a string of an array"},
        {GGUF_U8, 1U << 20, "the file ends inside an array"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf file;
        gguf_sample_head(&file, 0, 1);
        gguf_sample_array(&file, "a", (enum gguf_type)cases[i].item, cases[i].count);
        check_refused(buf_str(&file), cases[i].why);
        buf_fini(&file);
    }
}

static void names_that_are_there_twice_are_refused(void **state)
{
    (void)state;
    struct buf file;
    gguf_sample_head(&file, 0, 2);
    gguf_sample_int(&file, "n", 1);
    gguf_sample_int(&file, "n", 1);
    check_refused(buf_str(&file), "the key \"n\" is there twice");
    buf_fini(&file);

    gguf_sample_head(&file, 2, 0);
    gguf_sample_tensor(&file, "w", 1, 1, 0);
    gguf_sample_u64(&file, 0);
    gguf_sample_tensor(&file, "w", 1, 1, 0);
    gguf_sample_u64(&file, 0);
    gguf_sample_data(&file, 32);
    check_refused(buf_str(&file), "the tensor \"w\" is there twice");
    buf_fini(&file);
}

static void alignment_is_a_power_of_two(void **state)
{
    (void)state;
    static const uint32_t wrong[] = {0, 4, 33, 48, 131072};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct buf file;
        gguf_sample_head(&file, 0, 1);
        gguf_sample_int(&file, "general.alignment", wrong[i]);
        check_refused(buf_str(&file), "general.alignment must be a power of two from 8");
        buf_fini(&file);
    }
}

static void reading_survives_every_failed_allocation(void **state)
{
    (void)state;
    struct buf file;
    enum status st = ST_NO_MEMORY;
    write_sample(&file);
    struct arena *arena = arena_create(4096, 1 << 20);
    assert_non_null(arena);
    struct diags diags;
    diags_init(&diags, arena);
    for (uint64_t nth = 1; st != ST_OK; nth++) {
        struct gguf g;
        mem_fail_at(nth, 0);
        st = gguf_read(buf_str(&file), STR("m.gguf"), &diags, &g);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
        gguf_fini(&g);
    }
    arena_destroy(arena);
    buf_fini(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_and_tensors_are_found),
        cmocka_unit_test(numbers_of_all_types_are_read),
        cmocka_unit_test(negative_and_other_values_are_no_sizes),
        cmocka_unit_test(each_mutilation_is_refused_with_its_reason),
        cmocka_unit_test(no_beginning_of_a_file_is_accepted),
        cmocka_unit_test(tensors_that_cannot_be_are_refused),
        cmocka_unit_test(arrays_of_arrays_and_unknown_items_are_refused),
        cmocka_unit_test(names_that_are_there_twice_are_refused),
        cmocka_unit_test(alignment_is_a_power_of_two),
        cmocka_unit_test(reading_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
