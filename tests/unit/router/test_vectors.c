/* Word vectors: what goes in is found again, and nothing but the exact format is read. */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "router/vectors.h"
#include "tests/support/test.h"

enum {
    DIMS = 3,
    HEADER_BYTES = 64,
    ROOM = 16, /* readable bytes behind a blob */
};

static struct str encoded(const struct vectors_word *words, size_t count, uint32_t buckets,
                          size_t *ret_kept)
{
    struct str bytes = {NULL, 0};
    assert_int_equal(vectors_encode(words, count, DIMS, buckets, &bytes, ret_kept), ST_OK);
    return bytes;
}

/* In a block of its own that ends where the readable bytes end. */
static struct str copied(struct str bytes)
{
    char *at = mem_zalloc(1, bytes.len + ROOM);
    assert_non_null(at);
    memcpy(at, bytes.ptr, bytes.len);
    return (struct str){at, bytes.len};
}

static void free_str(struct str bytes)
{
    char *owned = NULL;
    memcpy(&owned, &bytes.ptr, sizeof owned);
    mem_free(owned);
}

static void words_are_found_with_their_rows(void **state)
{
    const struct vectors_word words[] = {
        {0x00000011, (const float[]){1.0F, -2.0F, 0.0F}},
        {0x40000012, (const float[]){0.5F, 0.25F, -0.126F}},
        {0xffffffff, (const float[]){-0.01F, 1.99F, 0.008F}},
    };
    static const int8_t want[][DIMS] = {{64, -127, 0}, {32, 16, -8}, {-1, 126, 1}};
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str bytes = encoded(words, 3, 4, &kept);
    assert_int_equal(vectors_read(bytes, &v), ST_OK);

    assert_int_equal(kept, 3);
    for (size_t i = 0; i < 3; i++) {
        const int8_t *row = vectors_find(&v, words[i].hash);
        assert_non_null(row);
        assert_memory_equal(row, want[i], DIMS);
    }
    free_str(bytes);
}

static void words_that_were_not_put_in_are_not_found(void **state)
{
    const struct vectors_word word = {0x00010011, (const float[]){1.0F, 2.0F, 3.0F}};
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str bytes = encoded(&word, 1, 2, &kept);
    assert_int_equal(vectors_read(bytes, &v), ST_OK);

    assert_null(vectors_find(&v, 0x00010012)); /* same bucket, other fingerprint */
    assert_null(vectors_find(&v, 0x80010011)); /* same fingerprint, other bucket */
    assert_null(vectors_find(&v, 0));
    free_str(bytes);
}

static void a_full_bucket_keeps_the_words_that_came_first(void **state)
{
    static const float row[DIMS] = {1.0F, 2.0F, 3.0F};
    struct vectors_word words[VECTORS_SLOTS + 2];
    size_t kept = 0;
    struct vectors v;

    (void)state;
    for (uint32_t i = 0; i < VECTORS_SLOTS + 2; i++) {
        words[i] = (struct vectors_word){0x10 + i, row};
    }
    struct str bytes = encoded(words, VECTORS_SLOTS + 2, 2, &kept);
    assert_int_equal(vectors_read(bytes, &v), ST_OK);

    assert_int_equal(kept, VECTORS_SLOTS);
    assert_non_null(vectors_find(&v, 0x10 + VECTORS_SLOTS - 1));
    assert_null(vectors_find(&v, 0x10 + VECTORS_SLOTS));
    assert_null(vectors_find(&v, 0x10 + VECTORS_SLOTS + 1));
    free_str(bytes);
}

static void of_equal_fingerprints_the_first_stays(void **state)
{
    const struct vectors_word words[] = {
        {0x00010042, (const float[]){1.0F, 1.0F, 1.0F}},
        {0x00020042, (const float[]){-1.0F, -1.0F, -1.0F}},
    };
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str bytes = encoded(words, 2, 2, &kept);
    assert_int_equal(vectors_read(bytes, &v), ST_OK);

    assert_int_equal(kept, 1);
    assert_int_equal(vectors_find(&v, 0x00010042)[0], 127);
    free_str(bytes);
}

static void a_fingerprint_of_zero_reads_as_one(void **state)
{
    const struct vectors_word word = {0x70000, (const float[]){1.0F, 0.0F, 0.0F}};
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str bytes = encoded(&word, 1, 1, &kept);
    assert_int_equal(vectors_read(bytes, &v), ST_OK);

    assert_non_null(vectors_find(&v, 0x70000));
    assert_ptr_equal(vectors_find(&v, 0x70000), vectors_find(&v, 0x70001));
    free_str(bytes);
}

static void no_bytes_are_no_vectors(void **state)
{
    struct vectors v;

    (void)state;
    assert_int_equal(vectors_read(STR(""), &v), ST_OK);

    assert_null(v.table);
}

static void what_is_longer_or_shorter_is_refused(void **state)
{
    const struct vectors_word word = {1, (const float[]){1.0F, 2.0F, 3.0F}};
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str bytes = encoded(&word, 1, 3, &kept);
    assert_int_equal(vectors_bucket_bytes(DIMS), 64);
    assert_int_equal(bytes.len, HEADER_BYTES + 3 * 64);

    for (size_t len = 1; len < bytes.len; len++) {
        struct str cut = copied(str_slice(bytes, 0, len));
        if (vectors_read(cut, &v) != ST_INVALID) {
            fail_msg("accepted at %zu bytes", len);
        }
        free_str(cut);
    }
    struct str wide = copied(bytes);
    wide.len++;
    assert_int_equal(vectors_read(wide, &v), ST_INVALID);
    free_str(wide);
    free_str(bytes);
}

static void another_header_is_refused(void **state)
{
    static const struct {
        size_t at;
        unsigned char byte;
    } cases[] = {
        {0, 0},    /* dims 0 */
        {0, 200},  /* needs larger buckets */
        {1, 2},    /* dims 515 */
        {3, 0x80}, /* dims of two billion */
        {4, 0},    /* buckets 0 */
        {4, 2},    /* one bucket too few */
        {4, 4},    /* one too many */
        {7, 1},    /* too many at all */
    };
    const struct vectors_word word = {1, (const float[]){1.0F, 2.0F, 3.0F}};
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str bytes = encoded(&word, 1, 3, &kept);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0] + HEADER_BYTES - 8; i++) {
        bool is_case = i < sizeof cases / sizeof cases[0];
        size_t at = is_case ? cases[i].at : i - sizeof cases / sizeof cases[0] + 8;
        struct str changed = copied(bytes);
        char byte = (char)(is_case ? cases[i].byte : 1);
        char *bytes_of = NULL;
        memcpy(&bytes_of, &changed.ptr, sizeof bytes_of);
        bytes_of[at] = byte;
        if (vectors_read(changed, &v) != ST_INVALID) {
            fail_msg("accepted with byte %zu changed", at);
        }
        free_str(changed);
    }
    free_str(bytes);
}

static void what_cannot_be_encoded_is_refused(void **state)
{
    static const float good[VECTORS_DIMS_MAX] = {1.0F};
    static const float bad[][DIMS] = {
        {NAN, 0, 0}, {0, INFINITY, 0}, {0, 0, -INFINITY}, {1e6F, 0, 0}};
    const struct vectors_word word = {1, good};
    struct str bytes = {NULL, 0};
    size_t kept = 0;

    (void)state;
    assert_int_equal(vectors_encode(&word, 1, 0, 1, &bytes, &kept), ST_INVALID);
    assert_int_equal(vectors_encode(&word, 1, VECTORS_DIMS_MAX + 1, 1, &bytes, &kept), ST_INVALID);
    assert_int_equal(vectors_encode(&word, 1, DIMS, 0, &bytes, &kept), ST_INVALID);
    assert_int_equal(vectors_encode(&word, 1, DIMS, UINT32_MAX, &bytes, &kept), ST_INVALID);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const struct vectors_word no_word = {1, bad[i]};
        assert_int_equal(vectors_encode(&no_word, 1, DIMS, 1, &bytes, &kept), ST_INVALID);
    }
    assert_null(bytes.ptr);
}

static void numbers_near_zero_and_no_words_are_zeros(void **state)
{
    const struct vectors_word word = {9, (const float[]){1e-42F, -1e-44F, 0.0F}};
    static const int8_t zeros[DIMS] = {0};
    size_t kept = 0;
    struct vectors v;

    (void)state;
    struct str none = encoded(NULL, 0, 2, &kept);
    assert_int_equal(vectors_read(none, &v), ST_OK);
    assert_int_equal(kept, 0);
    assert_null(vectors_find(&v, 9));
    struct str tiny = encoded(&word, 1, 2, &kept);
    assert_int_equal(vectors_read(tiny, &v), ST_OK);

    assert_memory_equal(vectors_find(&v, 9), zeros, DIMS);
    free_str(none);
    free_str(tiny);
}

static void the_vector_of_a_text_has_length_one_or_none(void **state)
{
    static const struct {
        int64_t sum[DIMS];
        float want[DIMS];
    } cases[] = {
        {{3, 0, -4}, {0.6F, 0.0F, -0.8F}},
        {{0, 0, 0}, {0.0F, 0.0F, 0.0F}},
        {{(int64_t)1 << 40, 0, 0}, {1.0F, 0.0F, 0.0F}},
        {{-((int64_t)1 << 40), (int64_t)1 << 40, 0}, {-0.70710678F, 0.70710678F, 0.0F}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float x[DIMS];
        vectors_normalise(cases[i].sum, DIMS, x);
        for (size_t d = 0; d < DIMS; d++) {
            if (!(fabsf(x[d] - cases[i].want[d]) < 1e-6F)) {
                fail_msg("case %zu, number %zu: %g", i, d, (double)x[d]);
            }
        }
    }
}

static void no_memory_is_clean(void **state)
{
    struct str bytes = {NULL, 0};
    size_t kept = 7;

    (void)state;
    mem_fail_at(1, 0);
    enum status st = vectors_encode(NULL, 0, DIMS, 1, &bytes, &kept);
    mem_fail_at(0, 0);

    assert_int_equal(st, ST_NO_MEMORY);
    assert_null(bytes.ptr);
    assert_int_equal(kept, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_with_their_rows),
        cmocka_unit_test(words_that_were_not_put_in_are_not_found),
        cmocka_unit_test(a_full_bucket_keeps_the_words_that_came_first),
        cmocka_unit_test(of_equal_fingerprints_the_first_stays),
        cmocka_unit_test(a_fingerprint_of_zero_reads_as_one),
        cmocka_unit_test(no_bytes_are_no_vectors),
        cmocka_unit_test(what_is_longer_or_shorter_is_refused),
        cmocka_unit_test(another_header_is_refused),
        cmocka_unit_test(what_cannot_be_encoded_is_refused),
        cmocka_unit_test(numbers_near_zero_and_no_words_are_zeros),
        cmocka_unit_test(the_vector_of_a_text_has_length_one_or_none),
        cmocka_unit_test(no_memory_is_clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
