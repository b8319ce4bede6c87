/* Changes that leave the meaning alone. */
#include <stdio.h>

#include "router/perturb.h"
#include "tests/support/test.h"

static struct str changed(enum perturb_kind kind, const char *text, uint64_t seed, struct buf *out)
{
    buf_reset(out);
    assert_int_equal(perturb(kind, str_from(text), seed, out), ST_OK);
    return buf_str(out);
}

static void each_kind_changes_what_it_says(void **state)
{
    static const struct {
        enum perturb_kind kind;
        const char *text;
        const char *want;
    } cases[] = {
        {PERTURB_SWAP, "an abcd of", "an acbd of"}, /* four letters have one inner pair */
        {PERTURB_LOWER, "Is THIS \xc3\x89?", "is this \xc3\x89?"},
        {PERTURB_UPPER, "Is this \xc3\xa9?", "IS THIS \xc3\xa9?"},
        {PERTURB_GREETING, "why", "hi, quick question: why"},
        {PERTURB_PLEASE, "why", "Please help me with this. why"},
        {PERTURB_THANKS, "why", "why thanks!"},
        {PERTURB_BRIEFLY, "why", "why answer briefly"},
        {PERTURB_SPACES, "why me", "\n why  me \n\n"},
        {PERTURB_QUOTES, "why", "\"why\""},
        {PERTURB_DROP, "why me", "why me"}, /* no word of four letters */
        {PERTURB_SWAP, "", ""},
    };
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_assert_str(changed(cases[i].kind, cases[i].text, 1, &out), str_from(cases[i].want));
    }
    buf_fini(&out);
}

/* Twenty-four words of six letters: two are hit, one letter each; their ends stay. */
static void one_word_of_twelve_is_hit(void **state)
{
    static const struct {
        enum perturb_kind kind;
        int length; /* difference in letters */
    } kinds[] = {{PERTURB_SWAP, 0}, {PERTURB_DROP, -2}, {PERTURB_DOUBLE, 2}};

    char text[24 * 7 + 1] = {0};
    struct buf out;
    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < 24; i++) {
        (void)snprintf(text + 7 * i, 8, "abcdef ");
    }
    for (size_t k = 0; k < 3; k++) {
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct str rest = changed(kinds[k].kind, text, seed, &out);
            struct str word;
            int hit = 0;
            assert_int_equal((int)rest.len, 24 * 7 + kinds[k].length);
            while (str_split(rest, ' ', &word, &rest)) {
                hit += !str_eq(word, STR("abcdef"));
                assert_true(str_starts_with(word, STR("a")) && str_ends_with(word, STR("f")));
            }
            assert_int_equal(hit, 2);
        }
    }
    buf_fini(&out);
}

static void the_seed_decides(void **state)
{
    static const char *const text = "describe several different neighbouring constellations";
    struct buf first;
    struct buf second;
    size_t different = 0;
    (void)state;
    buf_init(&first, 1000);
    buf_init(&second, 1000);

    for (uint64_t seed = 0; seed < 20; seed++) {
        struct str once = changed(PERTURB_SWAP, text, seed, &first);
        test_assert_str(changed(PERTURB_SWAP, text, seed, &second), once);
        different += !str_eq(changed(PERTURB_SWAP, text, seed + 1, &second), once);
    }

    assert_true(different > 10);
    buf_fini(&first);
    buf_fini(&second);
}

static void a_full_buffer_is_reported(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < PERTURB_KINDS; kind++) {
        struct buf out;
        buf_init(&out, 4);
        enum status st = perturb((enum perturb_kind)kind, STR("several words"), 1, &out);
        assert_int_equal(st, ST_TOO_BIG);
        buf_fini(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_changes_what_it_says),
        cmocka_unit_test(one_word_of_twelve_is_hit),
        cmocka_unit_test(the_seed_decides),
        cmocka_unit_test(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
