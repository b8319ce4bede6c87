#include <string.h>

#include "base/json_special.h"
#include "base/mem.h"
#include "tests/support/test.h"

enum {
    LEN_MAX = 70
};

/* Each byte value at each place of texts of each length, in a block of exactly that size. */
static void search_finds_each_byte_at_each_place(void **state)
{
    (void)state;
    for (size_t len = 1; len <= LEN_MAX; len++) {
        char *text = mem_alloc(len);
        memset(text, 'x', len);
        assert_ptr_equal(json_find_special(text, text + len), text + len);
        for (size_t at = 0; at < len; at++) {
            for (int c = 0; c < 256; c++) {
                bool is_special = c < ' ' || c >= 0x80 || c == '"' || c == '\\';
                text[at] = (char)c;
                const char *want = text + (is_special ? at : len);
                if (json_find_special(text, text + len) != want) {
                    fail_msg("byte %d at %zu of %zu", c, at, len);
                }
            }
            text[at] = 'x';
        }
        mem_free(text);
    }
}

static void search_stops_at_the_first_of_many(void **state)
{
    (void)state;
    char text[LEN_MAX];
    uint64_t seed = 5;
    for (int round = 0; round < 20000; round++) {
        const char *want = text + LEN_MAX;
        for (size_t i = LEN_MAX; i > 0; i--) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            /* mostly plain; what the search is near to confusing: 0x1f..0x23, 0x5b..0x5d, 0x7f.. */
            static const char near_misses[] = "\x1f !\"#[\\]\x7f\x80\x81\xa2\xdc\xff";
            bool is_plain = seed >> 40 < (1u << 24) / 8 * 7;
            text[i - 1] = is_plain ? 'x' : near_misses[(seed >> 33) % (sizeof near_misses - 1)];
            want = json_is_special((unsigned char)text[i - 1]) ? text + i - 1 : want;
        }
        assert_ptr_equal(json_find_special(text, text + LEN_MAX), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(search_finds_each_byte_at_each_place),
        cmocka_unit_test(search_stops_at_the_first_of_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
