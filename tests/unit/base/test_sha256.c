#include <string.h>

#include "base/sha256.h"
#include "tests/support/test.h"

static void digests_are_those_of_the_standard(void **state)
{
    /* FIPS 180-4's examples, and the lengths around the end of a block; from `sha256sum` */
    static const struct {
        char fill;
        size_t count;
        const char *text; /* instead of count times fill */
        const char *want;
    } cases[] = {
        {0, 0, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {0, 0, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {0, 0, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {'a', 55, NULL, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
        {'a', 56, NULL, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
        {'a', 64, NULL, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
        {'a', 1000, NULL, "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char bytes[1000];
        memset(bytes, cases[i].fill, sizeof bytes);
        struct str text =
            cases[i].text != NULL ? str_from(cases[i].text) : (struct str){bytes, cases[i].count};
        uint8_t digest[SHA256_BYTES];
        char hex[SHA256_HEX_BYTES];
        sha256_of(text, digest);
        sha256_hex(digest, hex);
        assert_string_equal(hex, cases[i].want);
    }
}

static void a_text_in_pieces_has_the_digest_of_the_whole(void **state)
{
    char bytes[300];
    uint8_t whole[SHA256_BYTES];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 7);
    }
    sha256_of((struct str){bytes, sizeof bytes}, whole);
    for (size_t cut = 0; cut <= sizeof bytes; cut++) {
        struct sha256 s;
        uint8_t pieces[SHA256_BYTES];
        sha256_init(&s);
        sha256_add(&s, (struct str){bytes, cut});
        sha256_add(&s, (struct str){bytes + cut, sizeof bytes - cut});
        sha256_end(&s, pieces);
        assert_memory_equal(pieces, whole, sizeof whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digests_are_those_of_the_standard),
        cmocka_unit_test(a_text_in_pieces_has_the_digest_of_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
