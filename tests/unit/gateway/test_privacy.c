/* The block `privacy`: what is refused, and which rules hold for whom. */
#include "gateway/privacy.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

#define BASE                                                                                       \
    "experts: {far: {url: 'http://127.0.0.1:1/v1'}}\n"                                             \
    "categories:\n"                                                                                \
    "  medical: {experts: [{expert: far, score: 1}]}\n"                                            \
    "  general: {experts: [{expert: far, score: 1}]}\n"

static void mistakes_are_explained(void **state)
{
    static const struct {
        const char *yaml;
        const char *message;
    } cases[] = {
        {"privacy: {redact: [{kinds: [emale]}]}", "no kind of private data called \"emale\""},
        {"privacy: {redact: [{when: {locality: any}}]}", "it would replace nothing"},
        {"privacy: {redact: [{when: {category: [medicine]}, kinds: [ip]}]}",
         "there is no category \"medicine\""},
        {"privacy: {redact: [{when: {tenant: [bob]}, kinds: [ip]}]}", "there is no tenant \"bob\""},
        {"privacy: {redact: [{patterns: [{name: x, match: 'a('}]}]}",
         "the expression of pattern \"x\" cannot be used: at character"},
        {"privacy: {redact: [{patterns: [{name: email, match: a}]}]}", "\"email\" is not"},
        {"privacy: {redact: [{patterns: [{name: X, match: a}]}]}", "\"X\" is not"},
        {"privacy: {redact: [{patterns: [{name: a, match: a}, {name: a, match: b}]}]}",
         "\"a\" is not"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[1024];
        (void)snprintf(yaml, sizeof yaml, "%s%s\n", BASE, cases[i].yaml);
        assert_int_equal(snapshot_sample_load(&s, str_from(yaml)), ST_INVALID);
        if (strstr(s.messages, cases[i].message) == NULL) {
            fail_msg("%s: %s", cases[i].yaml, s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

static void a_rule_about_nobody_is_said(void **state)
{
    static const struct {
        const char *yaml;
        const char *message; /* "": nothing */
    } cases[] = {
        {"privacy: {redact: [{when: {locality: local}, kinds: [ip]}]}",
         "this rule replaces nothing: it is about local experts, and there is none"},
        {"privacy: {redact: [{when: {locality: any}, kinds: [ip]}]}", ""},
        {"privacy: {redact: [{kinds: [ip]}]}", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[1024];
        (void)snprintf(yaml, sizeof yaml, "%s%s\n", BASE, cases[i].yaml);
        assert_int_equal(snapshot_sample_load(&s, str_from(yaml)), ST_OK);
        bool is_said = strstr(s.messages, "replaces nothing") != NULL;
        assert_int_equal(is_said, cases[i].message[0] != '\0');
        assert_non_null(strstr(s.messages, cases[i].message));
        snapshot_sample_fini(&s);
    }
}

static void rules_hold_together(void **state)
{
    static const struct {
        struct privacy_facts facts;
        unsigned kinds;
        size_t patterns;
    } cases[] = {
        {{{"medical", 7}, {"", 0}, false}, 1U << REDACT_EMAIL | 1U << REDACT_IP, 1},
        {{{"general", 7}, {"", 0}, false}, 1U << REDACT_IP, 0},
        {{{"", 0}, {"", 0}, false}, 1U << REDACT_EMAIL | 1U << REDACT_IP, 1},
        {{{"medical", 7}, {"", 0}, true}, 1U << REDACT_IP, 0},
    };
    struct snapshot_sample s;
    (void)state;
    assert_int_equal(
        snapshot_sample_load(
            &s, STR(BASE "privacy:\n  redact:\n"
                         "    - {when: {category: [medical]}, kinds: [email], "
                         "patterns: [{name: mrn, match: 'MRN\\d+'}]}\n"
                         "    - {when: {locality: any}, kinds: [ip], tool_arguments: false}\n")),
        ST_OK);
    const struct privacy *privacy = &s.snapshot->conf.privacy;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct privacy_set set;
        assert_true(privacy_ask(privacy, &cases[i].facts, &set));
        assert_int_equal(set.kinds, cases[i].kinds);
        assert_int_equal(set.pattern_count, cases[i].patterns);
        assert_int_equal(set.tool_arguments, cases[i].patterns > 0);
    }
    snapshot_sample_fini(&s);
}

static void nothing_is_asked_by_default(void **state)
{
    struct snapshot_sample s;
    struct privacy_set set;
    struct privacy_facts facts = {STR(""), STR(""), false};
    (void)state;
    assert_int_equal(snapshot_sample_load(&s, STR(BASE)), ST_OK);
    assert_false(privacy_ask(&s.snapshot->conf.privacy, &facts, &set));
    assert_int_equal(s.snapshot->conf.privacy.prompt_log.path.len, 0);
    assert_true(s.snapshot->conf.privacy.prompt_log.redacted);
    privacy_ask_all(&s.snapshot->conf.privacy, &set);
    assert_int_equal(set.kinds, REDACT_ALL);
    snapshot_sample_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_explained),
        cmocka_unit_test(a_rule_about_nobody_is_said),
        cmocka_unit_test(rules_hold_together),
        cmocka_unit_test(nothing_is_asked_by_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
