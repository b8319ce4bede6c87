/* From the YAML of a process to what is executed, and what is refused before. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/process_spec.h"
#include "base/mem.h"
#include "tests/support/test.h"

struct fixture {
    struct arena *arena;
    struct diags diags;
    struct key_reader reader;
    struct process_spec spec;
    struct local_settings local;
};

static enum status read_block(struct fixture *f, const struct keys *keys, const char *text,
                              void *ret)
{
    struct yaml_node *root = NULL;
    enum status st = yaml_parse(str_from(text), STR("t"), f->arena, &f->diags, &root);
    return st == ST_OK ? keys_decode(keys, &f->reader, root, ret) : st;
}

static enum status load(struct fixture *f, const char *process, const char *local)
{
    const struct key_id id = {STR("e"), {1, 1}};
    f->arena = arena_create(4096, 1 << 20);
    assert_non_null(f->arena);
    diags_init(&f->diags, f->arena);
    f->reader = (struct key_reader){.arena = f->arena, .diags = &f->diags, .root = STR(".")};
    assert_int_equal(read_block(f, &process_keys, process, &f->spec), ST_OK);
    assert_int_equal(read_block(f, &local_keys, local, &f->local), ST_OK);
    return process_spec_check(&f->spec, &id, &f->local, &f->reader, STR("t"));
}

static const char *variable(const struct process_command *c, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; c->env[i] != NULL; i++) {
        if (strncmp(c->env[i], name, len) == 0 && c->env[i][len] == '=') {
            return c->env[i] + len + 1;
        }
    }
    return NULL;
}

static void ports_and_arguments_are_filled_in(void **state)
{
    (void)state;
    struct fixture f;
    struct process_command c;
    const struct process_place place = {8123, ""};
    assert_int_equal(load(&f, "argv: [server, '--at=:${PORT}!', '', '$$x ${PORT}${PORT}']", ""),
                     ST_OK);

    assert_int_equal(process_spec_command(&f.spec, &place, 0, STR("t0"), &c), ST_OK);

    assert_string_equal(c.argv[0], "server");
    assert_string_equal(c.argv[1], "--at=:8123!");
    assert_string_equal(c.argv[2], "");
    assert_string_equal(c.argv[3], "$x 81238123");
    assert_null(c.argv[4]);
    mem_free(c.argv);
    arena_destroy(f.arena);
}

static void a_socket_is_told_through_the_environment_too(void **state)
{
    (void)state;
    struct fixture f;
    struct process_command c;
    const struct process_place place = {0, "/run/x/1"};
    assert_int_equal(load(&f, "{argv: server, env: {LISTEN: 'unix:${SOCKET}'}}", ""), ST_OK);
    assert_true(process_spec_uses_socket(&f.spec));

    assert_int_equal(process_spec_command(&f.spec, &place, 0, STR("t0"), &c), ST_OK);

    assert_string_equal(variable(&c, "LISTEN"), "unix:/run/x/1");
    mem_free(c.argv);
    arena_destroy(f.arena);
}

static void a_child_gets_no_variable_that_was_not_meant_for_it(void **state)
{
    (void)state;
    struct fixture f;
    struct process_command c;
    const struct process_place place = {1, ""};
    assert_int_equal(setenv("EXPERTD_TEST_SECRET", "zebra", 1), 0);
    assert_int_equal(
        load(&f, "{argv: [s, '${PORT}'], env: {OMP_WAIT_POLICY: active, PATH: /only}}", ""), ST_OK);

    assert_int_equal(process_spec_command(&f.spec, &place, 3, STR("t0"), &c), ST_OK);

    assert_null(variable(&c, "EXPERTD_TEST_SECRET"));
    assert_string_equal(variable(&c, "EXPERTD_CHILD"), "t0");
    assert_string_equal(variable(&c, "OMP_NUM_THREADS"), "3");
    assert_string_equal(variable(&c, "OMP_WAIT_POLICY"), "active"); /* the operator's wins */
    assert_string_equal(variable(&c, "PATH"), "/only");
    mem_free(c.argv);
    arena_destroy(f.arena);
}

static void a_process_is_told_its_threads_and_never_more_than_all_may_have(void **state)
{
    (void)state;

    static const struct {
        const char *threads;
        int64_t cpus;
        const char *told;
    } cases[] = {{"0", 4, "4"}, {"2", 4, "2"}, {"8", 4, "4"}};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char block[160];
        struct fixture f;
        struct process_command c;
        const struct process_place place = {1, ""};
        (void)snprintf(
            block, sizeof block,
            "{argv: [s, '${PORT}', '-t${THREADS}'], env: {T: '${THREADS}'}, threads: %s}",
            cases[i].threads);
        assert_int_equal(load(&f, block, ""), ST_OK);

        assert_int_equal(process_spec_command(&f.spec, &place, cases[i].cpus, STR("t0"), &c),
                         ST_OK);

        assert_string_equal(c.argv[2] + 2, cases[i].told);
        assert_string_equal(variable(&c, "T"), cases[i].told);
        assert_string_equal(variable(&c, "OMP_NUM_THREADS"), cases[i].told);
        mem_free(c.argv);
        arena_destroy(f.arena);
    }
}

static void threads_wait_passively_unless_told_otherwise(void **state)
{
    (void)state;
    struct fixture f;
    struct process_command c;
    const struct process_place place = {1, ""};
    assert_int_equal(load(&f, "argv: [s, '${PORT}']", ""), ST_OK);

    assert_int_equal(process_spec_command(&f.spec, &place, 0, STR("t0"), &c), ST_OK);

    assert_string_equal(variable(&c, "OMP_WAIT_POLICY"), "passive");
    assert_null(variable(&c, "OMP_NUM_THREADS"));
    mem_free(c.argv);
    arena_destroy(f.arena);
}

static void what_cannot_work_is_refused(void **state)
{
    static const struct {
        const char *process;
        const char *local;
        const char *message;
    } cases[] = {
        {"argv: ['', '${PORT}']", "", "an empty program name"},
        {"argv: [s]", "", "neither or both of ${PORT} and ${SOCKET}"},
        {"argv: [s, '${PORT}', '${SOCKET}']", "", "neither or both"},
        {"{argv: [s, '${PORT}'], health: up}", "", "a health path"},
        {"{argv: [s, '${PORT}'], path: v1}", "", "an API path"},
        {"{argv: [s, '${PORT}'], path: '/a b'}", "", "an API path"},
        {"{argv: [s, '${PORT}'], group: g}", "groups: {h: {swap: true}}", "a group that is not"},
        {"argv: [s, '${PORT}']", "memory: 1GiB", "no \"memory\""},
        {"{argv: [s, '${PORT}'], memory: 2GiB}", "memory: 1GiB", "more \"memory\""},
        {"{argv: [s, '${PORT}'], path: /a234567890b234567890c234567890d234567890e234567890f234567890g234}",
         "", "an API path of more than 64 bytes"},
        {"{argv: [s, '${PORT}'], health: '/a b'}", "", "or has blanks"},
        {"{argv: [s, '${PORT}'], uid: 5}", "", "only one of"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        assert_int_equal(load(&f, cases[i].process, cases[i].local), ST_INVALID);
        assert_true(f.diags.count == 1);
        struct str message = f.diags.items[0].message;
        if (str_find(message, str_from(cases[i].message)) == message.len) {
            fail_msg("want \"%s\", got \"%.*s\"", cases[i].message, STR_ARG(message));
        }
        arena_destroy(f.arena);
    }
}

static uint64_t hash_of(const char *process)
{
    struct fixture f;
    assert_int_equal(load(&f, process, "groups: {g: {}}"), ST_OK);
    uint64_t hash = process_spec_hash(&f.spec);
    arena_destroy(f.arena);
    return hash;
}

static void only_what_runs_tells_processes_apart(void **state)
{
    static const char *const same[] = {
        "{argv: [s, '${PORT}'], ttl_s: 5}", "{argv: [s, '${PORT}'], memory: 1GiB, pin: true}",
        "{argv: [s, '${PORT}'], queue: 7, wait_ms: 5, stop_ms: 5, start_ms: 5, group: g}"};
    static const char *const other[] = {
        "argv: [s, '${PORT}', x]",           "{argv: [s, '${PORT}'], env: {A: '1'}}",
        "{argv: [s, '${PORT}'], cwd: /tmp}", "{argv: [s, '${PORT}'], nice: 1}",
        "{argv: [s, '${PORT}'], path: ''}",  "{argv: [s, '${PORT}'], health: /up}"};
    (void)state;
    uint64_t plain = hash_of("argv: [s, '${PORT}']");
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        assert_true(hash_of(same[i]) == plain);
    }
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++) {
        assert_true(hash_of(other[i]) != plain);
    }
}

static void no_memory_is_said_and_leaves_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct process_command c;
    const struct process_place place = {1, ""};
    assert_int_equal(load(&f, "{argv: [s, '${PORT}'], env: {A: '1'}}", ""), ST_OK);
    enum status st = ST_NO_MEMORY;
    for (uint64_t n = 1; st == ST_NO_MEMORY && n < 100; n++) {
        mem_fail_at(n, 0);
        st = process_spec_command(&f.spec, &place, 1, STR("t0"), &c);
        mem_fail_at(0, 0);
    }
    assert_int_equal(st, ST_OK);
    mem_free(c.argv);
    arena_destroy(f.arena);
}

static void limits_are_those_of_a_group_and_part_of_what_runs(void **state)
{
    (void)state;
    struct fixture f;
    struct fixture without;
    assert_int_equal(
        load(&f, "argv: [s, '${PORT}']\nlimits: {memory: 7GiB, cpus: 1.5, pids: 64}", ""), ST_OK);
    assert_int_equal(load(&without, "argv: [s, '${PORT}']", ""), ST_OK);

    struct cgroup_limits limits = process_spec_limits(&f.spec);

    assert_int_equal(limits.memory_bytes, INT64_C(7) << 30);
    assert_true(limits.cpus > 1.49 && limits.cpus < 1.51);
    assert_int_equal(limits.pids, 64);
    limits = process_spec_limits(&without.spec);
    assert_int_equal(cgroup_needs(&limits), 0);
    assert_true(process_spec_hash(&f.spec) != process_spec_hash(&without.spec));
    arena_destroy(f.arena);
    arena_destroy(without.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_those_of_a_group_and_part_of_what_runs),
        cmocka_unit_test(ports_and_arguments_are_filled_in),
        cmocka_unit_test(a_socket_is_told_through_the_environment_too),
        cmocka_unit_test(a_child_gets_no_variable_that_was_not_meant_for_it),
        cmocka_unit_test(a_process_is_told_its_threads_and_never_more_than_all_may_have),
        cmocka_unit_test(threads_wait_passively_unless_told_otherwise),
        cmocka_unit_test(what_cannot_work_is_refused),
        cmocka_unit_test(only_what_runs_tells_processes_apart),
        cmocka_unit_test(no_memory_is_said_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
