/* Word vectors as text. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/features.h"
#include "router/vectors.h"
#include "router/vectors_text.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct str bytes;
    size_t kept;
};

static int prepare(void **state)
{
    struct fixture *x = mem_zalloc(1, sizeof *x);
    x->arena = arena_create(4096, 1 << 20);
    diags_init(&x->diags, x->arena);
    *state = x;
    return 0;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    mem_free((void *)(uintptr_t)x->bytes.ptr);
    arena_destroy(x->arena);
    mem_free(x);
    return 0;
}

static enum status read_text(struct fixture *x, const char *text)
{
    return vectors_text_read(str_from(text), STR("words.txt"), &x->diags, &x->bytes, &x->kept);
}

static const int8_t *row_of(const struct fixture *x, const char *word)
{
    /* A blob that nothing follows: no test reads beyond its rows. */
    struct vectors v;
    struct features *f = features_create();
    assert_int_equal(vectors_read(x->bytes, &v), ST_OK);
    (void)features_add(f, str_from(word)); /* how many does not matter */
    const int8_t *row = vectors_find(&v, f->items[0].hash);
    features_destroy(f);
    return row;
}

static void words_are_found_by_their_features(void **state)
{
    struct fixture *x = *state;
    assert_int_equal(read_text(x, "3 2\ncat 1 -0.5\ndog 0.25 0\nred-hot 1 1\n"), ST_OK);
    assert_int_equal(x->kept, 2); /* red-hot is two words */
    assert_int_equal(row_of(x, "cat")[0], 127);
    assert_int_equal(row_of(x, "Cat")[1], -64);
    assert_int_equal(row_of(x, "dog")[0], 32);
    assert_null(row_of(x, "hot"));
}

static void mistakes_are_refused_with_their_line(void **state)
{
    static const struct {
        const char *text;
        int line;
    } cases[] = {
        {"", 0},
        {"cat 1 2\n", 1},
        {"0 2\n", 1},
        {"1 257\n", 1},
        {"1 2\ncat 1\n", 2},
        {"1 2\ncat 1 2 3\n", 2},
        {"1 2\ncat 1 x\n", 2},
        {"1 2\n 1 2\n", 2},
        {"1 2\ncat 1 2\ndog 1 2\n", 3},
        {"1 2\nred-hot 1 2\n", 2},
    };
    struct fixture *x = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        diags_init(&x->diags, x->arena);
        assert_int_equal(read_text(x, cases[i].text), ST_INVALID);
        assert_int_equal(x->diags.errors, 1);
        assert_int_equal(x->diags.items[0].pos.line, cases[i].line);
    }
}

static void no_memory_is_reported(void **state)
{
    struct fixture *x = *state;
    enum status st = ST_NO_MEMORY;
    for (size_t n = 1; n < 20 && st == ST_NO_MEMORY; n++) {
        mem_fail_at(n, 0);
        st = read_text(x, "1 2\ncat 1 2\n");
        mem_fail_at(0, 0);
    }
    assert_int_equal(st, ST_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(words_are_found_by_their_features, prepare, clean),
        cmocka_unit_test_setup_teardown(mistakes_are_refused_with_their_line, prepare, clean),
        cmocka_unit_test_setup_teardown(no_memory_is_reported, prepare, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
