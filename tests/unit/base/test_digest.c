/* SHA-256 against the vectors of FIPS 180-4, digests as text, base64url. */
#include "base/digest.h"
#include "tests/support/test.h"

static void digests_are_those_of_the_standard(void **state)
{
    static const struct {
        const char *text;
        const char *digest;
    } cases[] = {
        {"", "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "sha256:248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct digest d;
        char text[DIGEST_TEXT_BYTES];
        digest_of(str_from(cases[i].text), &d);
        digest_write(&d, text);
        assert_string_equal(text, cases[i].digest);
    }
}

static void what_is_written_is_read_back(void **state)
{
    struct digest d;
    struct digest back;
    char text[DIGEST_TEXT_BYTES];
    (void)state;
    digest_of(STR("any"), &d);
    digest_write(&d, text);

    assert_int_equal(digest_parse(str_from(text), &back), ST_OK);

    assert_true(digest_eq(&d, &back));
}

static void upper_case_digits_are_read(void **state)
{
    struct digest lower;
    struct digest upper;
    (void)state;
    digest_of(STR("abc"), &lower);

    assert_int_equal(
        digest_parse(STR("sha256:BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"),
                     &upper),
        ST_OK);

    assert_true(digest_eq(&lower, &upper));
}

static void what_is_no_digest_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "sha256:",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a",
        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015add",
        "sha256:ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "SHA256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "sha512:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct digest d;
        assert_int_equal(digest_parse(str_from(texts[i]), &d), ST_INVALID);
    }
}

static void any_bit_makes_another_digest(void **state)
{
    struct digest d;
    (void)state;
    digest_of(STR("abc"), &d);
    for (size_t i = 0; i < sizeof d.bytes * 8; i++) {
        struct digest other = d;
        other.bytes[i / 8] = (uint8_t)(other.bytes[i / 8] ^ (1U << (i % 8)));
        assert_false(digest_eq(&d, &other));
    }
}

static void base64url_has_no_padding_and_no_slash(void **state)
{
    struct digest d;
    char text[DIGEST_BASE64_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof d.bytes; i++) {
        d.bytes[i] = (uint8_t)(i % 3 == 0 ? 0xff : 0xef);
    }

    digest_write_base64(&d, text);

    assert_string_equal(text, "_-_v_-_v_-_v_-_v_-_v_-_v_-_v_-_v_-_v_-_v_-8");
}

static void wiped_memory_is_zero(void **state)
{
    char key[16] = "sk-secret-wiped";
    (void)state;
    digest_wipe(key, sizeof key);
    for (size_t i = 0; i < sizeof key; i++) {
        assert_int_equal(key[i], 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(upper_case_digits_are_read),
        cmocka_unit_test(what_is_no_digest_is_refused),
        cmocka_unit_test(any_bit_makes_another_digest),
        cmocka_unit_test(base64url_has_no_padding_and_no_slash),
        cmocka_unit_test(wiped_memory_is_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
