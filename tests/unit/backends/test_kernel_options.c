/* Options of kernels: YAML to JSON, and from a path back to where it stands. */
#include "backends/kernel_options.h"
#include "tests/support/test.h"

static struct yaml_node *parse(struct arena *arena, const char *text)
{
    struct diags *diags = arena_alloc(arena, sizeof *diags);
    struct yaml_node *node = NULL;
    assert_non_null(diags);
    diags_init(diags, arena);
    assert_int_equal(yaml_parse(str_from(text), STR("k.yaml"), arena, diags, &node), ST_OK);
    return node;
}

static void options_are_written_as_json(void **state)
{
    (void)state;

    static const struct {
        const char *yaml;
        const char *json;
    } cases[] = {
        {"{}", "{}"},
        {"a: 1\nb: [x, 2.5e3, true]\nc: {d: null, e: {}}\nf: []",
         "{\"a\":1,\"b\":[\"x\",2.5e3,true],\"c\":{\"d\":null,\"e\":{}},\"f\":[]}"},
        {"{a: '1', b: \"true\", c: 007, d: 6GiB, e: .5, f: yes, g: ~}",
         "{\"a\":\"1\",\"b\":\"true\",\"c\":\"007\",\"d\":\"6GiB\",\"e\":\".5\",\"f\":\"yes\","
         "\"g\":null}"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena *arena = arena_create(4096, 1 << 20);
        struct buf out;
        buf_init(&out, 4096);
        enum status st = kernel_options_write(parse(arena, cases[i].yaml), &out);

        assert_int_equal(st, ST_OK);
        test_assert_str(buf_str(&out), str_from(cases[i].json));
        buf_fini(&out);
        arena_destroy(arena);
    }
}

static void no_options_are_an_empty_object(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);

    assert_int_equal(kernel_options_write(NULL, &out), ST_OK);

    test_assert_str(buf_str(&out), STR("{}"));
    buf_fini(&out);
}

static void path_finds_its_node_or_the_nearest_around(void **state)
{
    (void)state;

    static const struct {
        const char *path;
        int line;
        int column;
    } cases[] = {
        {"", 1, 1},        {"a", 1, 4},       {"list", 3, 3},     {"list[1]", 4, 5},
        {"list[2]", 3, 3}, {"list[x]", 3, 3}, {"list[", 3, 3},    {"list[0].deep", 3, 11},
        {"none", 1, 1},    {"a.b", 1, 4},     {"list[-1]", 3, 3}, {".", 1, 1},
    };
    struct arena *arena = arena_create(4096, 1 << 20);
    const struct yaml_node *root = parse(arena, "a: 1\nlist:\n  - deep: 2\n  - 3\n");

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct yaml_node *node = kernel_options_find(root, str_from(cases[i].path));
        if (node->pos.line != cases[i].line || node->pos.column != cases[i].column) {
            fail_msg("\"%s\" is at %d:%d", cases[i].path, node->pos.line, node->pos.column);
        }
    }

    assert_null(kernel_options_find(NULL, STR("a")));
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_written_as_json),
        cmocka_unit_test(no_options_are_an_empty_object),
        cmocka_unit_test(path_finds_its_node_or_the_nearest_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
