/* Single values: the words for what a key accepts, and memory that runs out below one. */
#include <string.h>

#include "base/keys_value.h"
#include "tests/support/test.h"

static void words_say_what_a_key_accepts(void **state)
{
    static const char *const levels[] = {"off", "some", "all", NULL};
    static const char *const single[] = {"only", NULL};
    static const struct keys window = {.name = "window"};

    static const struct {
        struct key key;
        const char *words;
    } cases[] = {
        {{.type = KEY_TEXT}, "text"},
        {{.type = KEY_SECRET}, "text"},
        {{.type = KEY_PATH}, "a path"},
        {{.type = KEY_BOOL}, "true or false"},
        {{.type = KEY_INT}, "a whole number"},
        {{.type = KEY_INT, .unit = "ms"}, "a whole number (ms)"},
        {{.type = KEY_INT, .min = 1, .max = 9, .unit = "ms"}, "a whole number from 1 to 9 ms"},
        {{.type = KEY_INT, .min = 5, .max = -1}, "a whole number from 5 up"},
        {{.type = KEY_REAL, .min = -0.5, .max = 0.25}, "a number from -0.5 to 0.25"},
        {{.type = KEY_BYTES}, "a size such as 4096, 512KiB or 8MB"},
        {{.type = KEY_BYTES, .min = 1, .max = 1 << 20},
         "a size such as 4096, 512KiB or 8MB, from 1 to 1MiB"},
        {{.type = KEY_BYTES, .min = 1000, .max = 3LL << 30},
         "a size such as 4096, 512KiB or 8MB, from 1000 to 3GiB"},
        {{.type = KEY_BYTES, .min = 1536, .max = 0},
         "a size such as 4096, 512KiB or 8MB, from 1536 up"},
        {{.type = KEY_PRICE}, "a price in USD per million tokens with at most 9 decimals"},
        {{.type = KEY_PRICE, .unit = "USD", .max = 5},
         "an amount in USD with at most 9 decimals from 0 to 5 USD"},
        {{.type = KEY_CHOICE, .choices = levels}, "one of off, some or all"},
        {{.type = KEY_CHOICE, .choices = single}, "one of only"},
        {{.type = KEY_TEXT_LIST}, "a list of texts"},
        {{.type = KEY_BLOCK, .block = &window}, "a mapping of keys"},
        {{.type = KEY_MAP, .block = &window},
         "a mapping of names, each to a mapping of keys (window)"},
        {{.type = KEY_LIST, .block = &window}, "a list of mappings (window)"},
        {{.type = KEY_CUSTOM, .custom_type = "array"}, "a list"},
        {{.type = KEY_CUSTOM, .custom_type = "integer"}, "a whole number"},
        {{.type = KEY_CUSTOM}, "any value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct keys_words words;
        keys_value_words(&cases[i].key, &words);
        assert_string_equal(words.text, cases[i].words);
        assert_int_equal(words.len, strlen(cases[i].words));
    }
}

static void words_that_are_too_many_are_cut(void **state)
{
    static char name[KEYS_WORDS_SIZE];
    const char *choices[] = {name, name, NULL};
    struct key key = {.type = KEY_CHOICE, .choices = choices};
    struct keys_words words;
    (void)state;
    memset(name, 'x', sizeof name - 1);

    keys_value_words(&key, &words);

    assert_int_equal(words.len, KEYS_WORDS_SIZE - 1);
    assert_int_equal(strlen(words.text), KEYS_WORDS_SIZE - 1);
}

static void a_path_without_memory_is_said_and_not_noted(void **state)
{
    static const struct {
        const char *text;
        enum status st;
    } cases[] = {
        {"models/a.edm", ST_NO_MEMORY},      /* cannot be joined */
        {"/etc/models/a.edm", ST_NO_MEMORY}, /* cannot be noted */
        {"", ST_OK},                         /* no file at all */
    };
    static const struct key key = {.type = KEY_PATH};

    (void)state;
    struct arena *arena = arena_create(64, 64); /* nothing fits */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct key_path *notes = NULL;
        struct key_reader reader = {.arena = arena, .root = STR("/srv"), .paths = &notes};
        struct yaml_node node = {.kind = YAML_SCALAR, .text = str_from(cases[i].text)};
        const char *hint = NULL;
        struct str field = STR("");

        assert_int_equal(keys_value_decode(&key, &reader, &node, &field, &hint), cases[i].st);

        assert_null(notes);
        assert_string_equal(hint, "");
    }
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_say_what_a_key_accepts),
        cmocka_unit_test(words_that_are_too_many_are_cut),
        cmocka_unit_test(a_path_without_memory_is_said_and_not_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
