/* Tenants: what a file may say of them, and whose key is whose. */
#include "gateway/tenants.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

/* SHA-256 of sk-secret-alice, sk-secret-bob and sk-secret-old. */
#define ALICE "sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b"
#define BOB   "sha256:569d6dc33e6cbcc878485382e7cff31db1f43601ac33da2b60aa3c2f48af7500"
#define OLD   "sha256:0e49f1b06b1888da3cafaa97855bde7110ec70544d31437999739c030327f18b"

#define EXPERTS                                                                                    \
    "experts: {small: {url: 'http://127.0.0.1:9/v1'}, med-70b: {url: 'http://127.0.0.1:9/v1'}}\n"  \
    "categories: {general: {experts: [{expert: small, score: 0.5}]}}\n"

static void keys_belong_to_their_tenant(void **state)
{
    struct snapshot_sample s;
    const struct tenant_key *key = NULL;
    (void)state;
    assert_int_equal(snapshot_sample_load(
                         &s, STR(EXPERTS "tenants:\n"
                                         "  - {name: alice, keys: [\"" ALICE "\", {sha256: \"" OLD
                                         "\", expires: 2027-01-01, name: laptop}]}\n"
                                         "  - {name: bob, keys: [\"" BOB "\"]}\n")),
                     ST_OK);
    const struct tenants *all = &s.snapshot->conf.tenants;

    assert_int_equal(tenants_find(all, STR("sk-secret-bob"), 0, &key), ST_OK);
    test_assert_str(key->tenant->name, STR("bob"));
    assert_int_equal(tenants_find(all, STR("sk-secret-alice"), INT64_MAX, &key), ST_OK);
    test_assert_str(key->tenant->name, STR("alice"));
    test_assert_str(key->id, STR("d810d1fc4780"));
    assert_int_equal(tenants_find(all, STR("sk-secret-old"), 1798761599, &key), ST_OK);
    test_assert_str(key->id, STR("laptop"));
    assert_int_equal(tenants_find(all, STR("sk-secret-old"), 1798761600, &key), ST_TIMEOUT);
    assert_int_equal(tenants_find(all, STR("sk-secret-alic"), 0, &key), ST_NOT_FOUND);
    assert_int_equal(tenants_find(all, STR(""), 0, &key), ST_NOT_FOUND);
    assert_int_equal(tenants_find(all, STR(ALICE), 0, &key), ST_NOT_FOUND);
    snapshot_sample_fini(&s);
}

static void limits_are_read(void **state)
{
    struct snapshot_sample s;
    (void)state;
    assert_int_equal(
        snapshot_sample_load(
            &s, STR(EXPERTS "tenants:\n"
                            "  - {name: a, rate: {requests_per_minute: 600, concurrency: 32}}\n")),
        ST_OK);
    const struct tenant *t = s.snapshot->conf.tenants.list.items;

    assert_int_equal(t->rate.requests_per_minute, 600);
    assert_int_equal(t->rate.tokens_per_minute, 0);
    assert_int_equal(t->rate.concurrency, 32);
    snapshot_sample_fini(&s);
}

static void an_empty_allow_list_allows_nothing(void **state)
{
    struct snapshot_sample s;
    (void)state;
    assert_int_equal(snapshot_sample_load(&s, STR(EXPERTS "tenants:\n"
                                                          "  - {name: a, allow: []}\n"
                                                          "  - {name: b}\n"
                                                          "  - {name: c, allow: ['*-70b']}\n")),
                     ST_OK);
    const struct tenant *list = s.snapshot->conf.tenants.list.items;

    assert_false(permit_allows(&list[0].permit, STR("small")));
    assert_true(permit_allows(&list[1].permit, STR("small")));
    assert_false(permit_allows(&list[2].permit, STR("small")));
    assert_true(permit_allows(&list[2].permit, STR("med-70b")));
    snapshot_sample_fini(&s);
}

static void mistakes_are_refused(void **state)
{
    static const struct {
        const char *tenants;
        const char *message;
    } cases[] = {
        {"[{name: 'a b'}]", ":3:11: a tenant's \"name\" has 1 to 64 letters"},
        {"[{keys: []}]", "name"},
        {"[{name: a}, {name: a}]", ":3:22: there are two tenants \"a\""},
        {"[{name: a, keys: x}]", "\"keys\" must be a list of digests"},
        {"[{name: a, keys: [sk-secret-alice]}]", "this is a key itself"},
        {"[{name: a, keys: [{sha256: sk-secret-alice}]}]", "this is a key itself"},
        {"[{name: a, keys: [hello]}]", "64 hexadecimal digits"},
        {"[{name: a, keys: [[]]}]", "key must be a mapping of keys, not a list"},
        {"[{name: a, keys: [{}]}]", "sha256"},
        {"[{name: a, keys: ['" ALICE "', '" ALICE "']}]", "stands here twice, first in line 3"},
        {"[{name: a, keys: ['" ALICE "']}, {name: b, keys: ['" ALICE "']}]", "stands here twice"},
        {"[{name: a, keys: [{sha256: '" ALICE "', expires: soon}]}]", "must be a day"},
        {"[{name: a, keys: [{sha256: '" ALICE "', expires: 2027-02-29}]}]", "must be a day"},
        {"[{name: a, rate: {concurrency: 0}}]", "from 1 to"},
        {"[{name: a, allow: [lrage]}]", "may use \"lrage\", which fits no model"},
        {"[{name: a, allow: [auto]}]", "may use \"auto\" but no category"},
        {"[{name: a, allow_headers: [pin]}]",
         "knows expert, ban, max_price and priority, not \"pin\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[1024];
        (void)snprintf(yaml, sizeof yaml, EXPERTS "tenants: %s\n", cases[i].tenants);
        enum status st = snapshot_sample_load(&s, str_from(yaml));
        if (st != ST_INVALID || strstr(s.messages, cases[i].message) == NULL ||
            strstr(s.messages, "sk-secret") != NULL) {
            fail_msg("%s: %s\n%s", cases[i].tenants, status_text(st), s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

static void allow_may_name_whatever_a_request_may_ask_for(void **state)
{
    static const struct {
        const char *allow;
        enum status st;
    } cases[] = {
        {"[auto, category/general]", ST_OK},
        {"[small]", ST_OK},   /* an expert */
        {"['med-*']", ST_OK}, /* experts by a pattern */
        {"[quick]", ST_OK},   /* an alias */
        {"['gpt-*']", ST_OK}, /* the model that a rule waits for */
        {"['gpt-3*']", ST_INVALID},
        {"[quickly]", ST_INVALID},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[1024];
        (void)snprintf(yaml, sizeof yaml,
                       EXPERTS "aliases: {quick: [small]}\n"
                               "rules: [{when: {model: gpt-4o}, category: general}]\n"
                               "tenants: [{name: a, allow: %s}]\n",
                       cases[i].allow);
        enum status st = snapshot_sample_load(&s, str_from(yaml));
        if (st != cases[i].st) {
            fail_msg("%s: %s\n%s", cases[i].allow, status_text(st), s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

static void days_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t seconds; /* -1: no day */
    } cases[] = {
        {"1970-01-01", 0},         {"1970-01-02", 86400},
        {"2000-02-29", 951782400}, {"2027-01-01", 1798761600},
        {"2027-02-29", -1},        {"2027-13-01", -1},
        {"2027-00-10", -1},        {"2027-01-00", -1},
        {"1969-12-31", -1},        {"27-01-01", -1},
        {"2027/01/01", -1},        {"2027-01-01T00:00:00Z", -1},
        {"2027-1-1", -1},          {"", -1},
        {"+027-01-01", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t seconds = -1;
        enum status st = tenants_read_day(str_from(cases[i].text), &seconds);
        assert_int_equal(st, cases[i].seconds < 0 ? ST_INVALID : ST_OK);
        assert_int_equal(seconds, cases[i].seconds);
    }
}

static void keys_are_found_in_the_headers(void **state)
{
    static const struct {
        const char *authorization;
        const char *x_api_key;
        const char *api_key;
        const char *key;
    } cases[] = {
        {"Bearer k", "", "", "k"},   {"bearer  k ", "", "", "k"},
        {"Basic k", "x", "", ""},    {"Bearer", "", "", ""},
        {"k", "", "", ""},           {"", "x", "y", "x"},
        {"", "", "y", "y"},          {"", "", "", ""},
        {"Bearer k", "x", "y", "k"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        test_assert_str(api_key_of(str_from(cases[i].authorization), str_from(cases[i].x_api_key),
                                   str_from(cases[i].api_key)),
                        str_from(cases[i].key));
    }
}

static void new_keys_differ_and_fit_their_digest(void **state)
{
    char a[API_KEY_BYTES];
    char b[API_KEY_BYTES];
    struct api_key_digest digest = {.is_set = true};
    (void)state;

    assert_int_equal(api_key_make(a), ST_OK);
    assert_int_equal(api_key_make(b), ST_OK);
    digest_of(str_from(a), &digest.digest);

    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 54);
    assert_true(str_starts_with(str_from(a), STR("sk-expertd-")));
    assert_true(api_key_fits(str_from(a), &digest));
    assert_false(api_key_fits(str_from(b), &digest));
    digest.is_set = false;
    assert_false(api_key_fits(str_from(a), &digest));
}

static void keys_open_the_loopback_rule(void **state)
{
    static const struct {
        const char *server;
        const char *rest;
        const char *message; /* NULL: good */
    } cases[] = {
        {"listen: '0.0.0.0:80'", "", "\"listen\" must be a loopback address, or needs \"tenants\""},
        {"listen: '0.0.0.0:80'", "tenants: [{name: a}]\n", NULL},
        {"admin: '0.0.0.0:80'", "tenants: [{name: a}]\n",
         "\"admin\" must be a loopback address, or needs \"admin_key\""},
        {"admin: '0.0.0.0:80', admin_key: '" ALICE "'", "", NULL},
        {"admin_key: sk-secret-alice", "", "this is a key itself"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[1024];
        (void)snprintf(yaml, sizeof yaml, EXPERTS "server: {%s}\n%s", cases[i].server,
                       cases[i].rest);
        enum status st = snapshot_sample_load(&s, str_from(yaml));
        bool is_said = cases[i].message == NULL || strstr(s.messages, cases[i].message) != NULL;
        if (st != (cases[i].message == NULL ? ST_OK : ST_INVALID) || !is_said) {
            fail_msg("{%s}: %s\n%s", cases[i].server, status_text(st), s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_belong_to_their_tenant),
        cmocka_unit_test(limits_are_read),
        cmocka_unit_test(an_empty_allow_list_allows_nothing),
        cmocka_unit_test(mistakes_are_refused),
        cmocka_unit_test(allow_may_name_whatever_a_request_may_ask_for),
        cmocka_unit_test(days_are_read),
        cmocka_unit_test(keys_are_found_in_the_headers),
        cmocka_unit_test(new_keys_differ_and_fit_their_digest),
        cmocka_unit_test(keys_open_the_loopback_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
