/* Dead configuration, all five kinds of it, with the lines where it stands: rules that cannot fire, rules
 * behind others, experts that nobody is sent to, budgets bound to nothing, fall-backs to the same place. */
#include <string.h>

#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

#define KEY   "\"sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b\""
#define OTHER "\"sha256:0000000000000000000000000000000000000000000000000000000000000001\""
#define STATE "state: {path: /nowhere/x.db}\n"
#define TENANTS                                                                                    \
    "tenants:\n"                                                                                   \
    "  - {name: alice, keys: [{sha256: " KEY                                                       \
    ", name: laptop}], allow: [auto, category/general]}\n"                                         \
    "  - {name: bob, keys: [" OTHER "]}\n"                                                         \
    "  - {name: carol}\n"
#define EXPERTS                                                                                    \
    "experts:\n"                                                                                   \
    "  paid: {url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 1}}\n"                       \
    "  free: {url: 'http://127.0.0.1:9/v2', price: {input: 0, output: 0}}\n"                       \
    "  unknown: {url: 'http://127.0.0.1:9/v3'}\n"
#define CATEGORIES                                                                                 \
    "categories:\n"                                                                                \
    "  general: {experts: [{expert: paid}, {expert: unknown}]}\n"                                  \
    "  law: {experts: [{expert: paid}]}\n"                                                         \
    "  small: {experts: [{expert: free}]}\n"                                                       \
    "rules:\n"                                                                                     \
    "  - {when: {text: x}, category: law}\n"                                                       \
    "  - {when: {text: y}, category: small}\n"
#define BASE STATE TENANTS EXPERTS CATEGORIES "budgets:\n" /* 17 lines */

struct saying {
    const char *yaml;
    const char *message; /* all that is said, behind the path; "": nothing */
};

static void check(const struct saying *cases, size_t count, enum status want)
{
    for (size_t i = 0; i < count; i++) {
        struct snapshot_sample s;
        char message[1024];
        enum status st = snapshot_sample_load(&s, str_from(cases[i].yaml));
        (void)snprintf(message, sizeof message, "%s%s%s%s",
                       cases[i].message[0] == '\0' ? "" : s.path,
                       cases[i].message[0] == '\0' ? "" : ":", cases[i].message,
                       cases[i].message[0] == '\0' ? "" : "\n");
        if (st != want || strcmp(s.messages, message) != 0) {
            fail_msg("want %s, \"%s\", got %s, \"%s\"", status_text(want), message, status_text(st),
                     s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

#define CHECK(cases, status) check(cases, sizeof(cases) / sizeof(cases)[0], status)

static void budgets_bound_to_nothing_are_told_with_the_reason(void **state)
{
    static const struct saying cases[] = {
        {BASE "  - {name: b, usd: 1, for: {tenant: carol}}\n",
         "18:5: warning: budget \"b\" is bound to nothing: tenant \"carol\" has no keys"},
        {BASE "  - {name: b, usd: 1, for: {tenant: bob, key: laptop}}\n",
         "18:5: warning: budget \"b\" is bound to nothing: key \"laptop\" is not one of tenant "
         "\"bob\""},
        {BASE "  - {name: b, usd: 1, for: {tenant: alice, category: law}}\n",
         "18:5: warning: budget \"b\" is bound to nothing: tenant \"alice\" may not use category "
         "\"law\""},
        {BASE "  - {name: b, usd: 1, for: {category: law, expert: unknown}}\n",
         "18:5: warning: budget \"b\" is bound to nothing: category \"law\" has no expert "
         "\"unknown\""},
        {BASE "  - {name: b, usd: 1, for: {category: small}}\n",
         "18:5: warning: budget \"b\" is bound to nothing: no expert that it counts has a price "
         "above 0"},
        {BASE "  - {name: a, usd: 1}\n  - {name: b, usd: 1, for: {expert: free}}\n",
         "19:5: warning: budget \"b\" is bound to nothing: no expert that it counts has a price "
         "above 0"},
        {STATE "experts: {c: {kernel: {echo: {}}}}\nbudgets: [{name: b, usd: 1}]\n",
         "3:11: warning: budget \"b\" is bound to nothing: no expert that it counts has a price "
         "above 0"},
        {STATE "tenants: [{name: bob, keys: [" OTHER "]}, {name: eve, budget: {usd: 1}}]\n" EXPERTS,
         "2:107: warning: budget \"eve\" is bound to nothing: tenant \"eve\" has no keys"},
    };
    (void)state;
    CHECK(cases, ST_OK);
}

static void budgets_that_bind_are_not_talked_about(void **state)
{
    static const struct saying cases[] = {
        {BASE "  - {name: b, usd: 1}\n", ""},
        {BASE "  - {name: b, usd: 1, for: {tenant: alice, key: laptop, category: general}}\n", ""},
        {BASE "  - {name: b, usd: 1, for: {category: general, expert: unknown}}\n", ""},
        {BASE "  - {name: b, usd: 1, for: {expert: paid}}\n", ""},
    };
    (void)state;
    CHECK(cases, ST_OK);
}

static void the_other_dead_kinds_have_their_lines(void **state)
{
    static const struct saying warnings[] = {
        {EXPERTS "categories:\n"
                 "  general: {experts: [{expert: paid}, {expert: free}]}\n",
         "4:3: warning: expert \"unknown\" is in no category, alias or rule: only clients that name "
         "it get there"},
        {"experts:\n"
         "  a: {url: 'http://127.0.0.1:9/v1', model: m}\n"
         "  b: {url: 'http://127.0.0.1:9/v1', model: m}\n"
         "aliases:\n"
         "  both: [a, b]\n",
         "5:3: warning: alias \"both\" falls back from expert \"a\" to \"b\", which is the same "
         "model \"m\" at http://127.0.0.1:9/v1"},
    };

    static const struct saying mistakes[] = {
        {EXPERTS "aliases: {x: [paid, free, unknown]}\n"
                 "rules:\n"
                 "  - {when: {text: x}, expert: paid}\n"
                 "  - {when: {text: y}, expert: free}\n"
                 "  - {when: {text: x, header: {x-a: '1'}}, expert: unknown}\n",
         "9:5: this rule never fires: the one at line 7 fires first whenever it would"},
    };
    (void)state;
    CHECK(warnings, ST_OK);
    CHECK(mistakes, ST_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_bound_to_nothing_are_told_with_the_reason),
        cmocka_unit_test(budgets_that_bind_are_not_talked_about),
        cmocka_unit_test(the_other_dead_kinds_have_their_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
