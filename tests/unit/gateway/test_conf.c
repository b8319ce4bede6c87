/* The server block: defaults, addresses, and the rule that nobody listens beyond this machine. */
#include "gateway/conf.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

#define EXPERTS "experts: {small: {url: 'http://127.0.0.1:9/v1'}}\n"

static void defaults_are_safe(void **state)
{
    struct snapshot_sample s;
    (void)state;

    assert_int_equal(snapshot_sample_load(&s, STR(EXPERTS)), ST_OK);

    const struct conf_server *server = &s.snapshot->conf.server;
    test_assert_str(server->listen.text, STR("127.0.0.1:8080"));
    test_assert_str(server->admin.text, STR("127.0.0.1:8081"));
    assert_int_equal(server->workers, 0);
    assert_int_equal(server->limits.body_bytes, 4194304);
    assert_int_equal(server->limits.head_ms, 10000);
    assert_int_equal(server->cors.origins.count, 0);
    assert_true(server->half_close_is_gone);
    test_assert_str(server->access_log, STR("-"));
    snapshot_sample_fini(&s);
}

static void addresses_are_taken_apart(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
        bool is_ipv6;
    } cases[] = {
        {"127.0.0.1:0", "127.0.0.1", 0, false},
        {"127.255.0.9:65535", "127.255.0.9", 65535, false},
        {"[::1]:8080", "::1", 8080, true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[256];
        (void)snprintf(yaml, sizeof yaml, EXPERTS "server: {listen: '%s'}\n", cases[i].text);
        assert_int_equal(snapshot_sample_load(&s, str_from(yaml)), ST_OK);
        const struct conf_address *listen = &s.snapshot->conf.server.listen;
        test_assert_str(listen->text, str_from(cases[i].text));
        test_assert_str(listen->host, str_from(cases[i].host));
        assert_int_equal(listen->port, cases[i].port);
        assert_int_equal(listen->is_ipv6, cases[i].is_ipv6);
        snapshot_sample_fini(&s);
    }
}

static void check_refused(const char *server, const char *message)
{
    struct snapshot_sample s;
    char yaml[256];
    (void)snprintf(yaml, sizeof yaml, EXPERTS "server: {%s}\n", server);
    enum status st = snapshot_sample_load(&s, str_from(yaml));
    if (st != ST_INVALID || strstr(s.messages, message) == NULL) {
        fail_msg("{%s}: %s\n%s", server, status_text(st), s.messages);
    }
    snapshot_sample_fini(&s);
}

static void addresses_that_are_none_are_refused(void **state)
{
    static const char *const texts[] = {
        "localhost:8080", "127.0.0.1",    "127.0.0.1:",     ":8080",    "127.0.0.1:65536",
        "127.0.0.1:-1",   "127.0.0.1:+1", "127.0.0.1:http", "::1:8080", "[::1]",
        "[::1:8080",      "127.1:8080",   "[127.0.0.1]:80", "",         "8080",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char server[64];
        (void)snprintf(server, sizeof server, "listen: '%s'", texts[i]);
        check_refused(server, ":2:18: an address must be HOST:PORT");
    }
    check_refused("listen: [a]", ":2:18: an address must be HOST:PORT");
}

static void addresses_beyond_this_machine_are_refused(void **state)
{
    static const char *const hosts[] = {"0.0.0.0", "10.0.0.1", "128.0.0.1", "[::]", "[fe80::1]"};
    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char server[64];
        (void)snprintf(server, sizeof server, "listen: '%s:1'", hosts[i]);
        check_refused(server, ":2:18: \"listen\" must be a loopback address");
        (void)snprintf(server, sizeof server, "admin: '%s:1'", hosts[i]);
        check_refused(server, ":2:17: \"admin\" must be a loopback address");
    }
}

static void both_listeners_on_one_port_are_refused(void **state)
{
    (void)state;
    check_refused("listen: '127.0.0.1:7000', admin: '127.0.0.1:7000'",
                  "\"listen\" and \"admin\" are the same address, \"127.0.0.1:7000\"");
}

static void workers_are_a_number_or_auto(void **state)
{
    static const char *const texts[] = {"0", "257", "-1", "many", "[1]", "1.5"};
    struct snapshot_sample s;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char server[64];
        (void)snprintf(server, sizeof server, "workers: %s", texts[i]);
        check_refused(server, ":2:19: \"workers\" must be auto or a number from 1 to 256");
    }
    assert_int_equal(snapshot_sample_load(&s, STR(EXPERTS "server: {workers: 4}\n")), ST_OK);
    assert_int_equal(s.snapshot->conf.server.workers, 4);
    snapshot_sample_fini(&s);
}

static void what_is_kept_needs_a_place(void **state)
{
    static const struct {
        const char *yaml;
        const char *message;
    } cases[] = {
        {EXPERTS "state: {durability: commit}\n", "\"path\""},
        {EXPERTS "state: {path: a.db, durability: sometimes}\n", "durability"},
        {EXPERTS "router: {online: {enabled: true}}\n", "needs a \"state\" block"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        assert_int_equal(snapshot_sample_load(&s, str_from(cases[i].yaml)), ST_INVALID);
        assert_non_null(strstr(s.messages, cases[i].message));
        snapshot_sample_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_safe),
        cmocka_unit_test(addresses_are_taken_apart),
        cmocka_unit_test(addresses_that_are_none_are_refused),
        cmocka_unit_test(addresses_beyond_this_machine_are_refused),
        cmocka_unit_test(both_listeners_on_one_port_are_refused),
        cmocka_unit_test(workers_are_a_number_or_auto),
        cmocka_unit_test(what_is_kept_needs_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
