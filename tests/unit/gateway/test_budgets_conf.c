/* The list `budgets` and the tenants' own ones: what a file may say of them. */
#include "gateway/budgets.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

#define EXPERTS                                                                                    \
    "state: {path: /nowhere/x.db}\n"                                                               \
    "experts: {small: {url: 'http://127.0.0.1:9/v1', price: {input: 1, output: 1}}}\n"             \
    "categories: {general: {experts: [{expert: small, score: 0.5}]}}\n"
#define KEY    "{sha256: '" DIGEST "', name: laptop}"
#define DIGEST "sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b"

enum {
    TOO_MANY = 257,
    LINE_BYTES = 48,
};

static void budgets_that_name_what_is_not_there_are_refused(void **state)
{
    static const struct {
        const char *budgets;
        const char *message; /* NULL: good */
    } cases[] = {
        {"[{name: b, usd: 1, for: {tenant: alice, key: laptop, category: general, expert: small}}]",
         NULL},
        {"[{name: b, usd: 1}, {name: b, usd: 2}]", "budget \"b\" stands there twice: \"b\""},
        {"[{name: b, usd: 1, for: {tenant: bob}}]",
         "budget \"b\" is for a tenant that does not exist: \"bob\""},
        {"[{name: b, usd: 1, for: {key: phone}}]",
         "budget \"b\" is for a key that does not exist: \"phone\""},
        {"[{name: b, usd: 1, for: {category: law}}]",
         "budget \"b\" is for a category that does not exist: \"law\""},
        {"[{name: b, usd: 1, for: {expert: large}}]",
         "budget \"b\" is for an expert that does not exist: \"large\""},
        {"[{name: alice, usd: 1}]",
         "budget \"alice\" stands there twice"}, /* her own is called so */
        {"[{usd: 1}]", "name"},
        {"[{name: b}]", "usd"},
        {"[{name: b, usd: -1}]", "usd"},
        {"[{name: b, usd: 1, per: week}]", "per"},
        {"[{name: b, usd: 1, soft: 1.5}]", "soft"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct snapshot_sample s;
        char yaml[1024];
        (void)snprintf(yaml, sizeof yaml,
                       EXPERTS "tenants: [{name: alice, keys: [" KEY "], budget: {usd: 5}}]\n"
                               "budgets: %s\n",
                       cases[i].budgets);
        enum status st = snapshot_sample_load(&s, str_from(yaml));
        bool is_said = cases[i].message == NULL || strstr(s.messages, cases[i].message) != NULL;
        if (st != (cases[i].message == NULL ? ST_OK : ST_INVALID) || !is_said) {
            fail_msg("%s: %s\n%s", cases[i].budgets, status_text(st), s.messages);
        }
        snapshot_sample_fini(&s);
    }
}

static void there_is_a_ceiling_on_budgets(void **state)
{
    static char yaml[sizeof EXPERTS + (size_t)TOO_MANY * LINE_BYTES + 16];
    struct snapshot_sample s;
    (void)state;
    int len = snprintf(yaml, sizeof yaml, EXPERTS "budgets:\n");
    for (int i = 0; i < TOO_MANY; i++) {
        len += snprintf(yaml + len, sizeof yaml - (size_t)len, "  - {name: b%d, usd: 1}\n", i);
    }

    assert_int_equal(snapshot_sample_load(&s, str_from(yaml)), ST_INVALID);

    assert_non_null(strstr(s.messages, ":261:5: there may be at most 256 budgets"));
    snapshot_sample_fini(&s);
}

static void tenants_own_budgets_follow_those_of_the_list(void **state)
{
    struct snapshot_sample s;
    (void)state;
    enum status st = snapshot_sample_load(
        &s, STR(EXPERTS "tenants:\n"
                        "  - {name: alice, budget: {usd: 5, per: day}, keys: ['" DIGEST "']}\n"
                        "  - {name: bob}\n"
                        "budgets: [{name: all, usd: 20, soft: 0.5}]\n"));
    assert_int_equal(st, ST_OK);
    const struct key_array *list = &s.snapshot->conf.budgets;
    const struct budget *budgets = list->items;

    assert_int_equal(list->count, 2);
    test_assert_str(budgets[0].name, STR("all"));
    test_assert_str(budgets[0].scope.tenant, STR(""));
    assert_int_equal(budgets[0].per, BUDGET_MONTH);
    test_assert_str(budgets[1].name, STR("alice"));
    test_assert_str(budgets[1].scope.tenant, STR("alice"));
    assert_int_equal(budgets[1].usd, 5000000000);
    assert_int_equal(budgets[1].per, BUDGET_DAY);
    assert_int_equal(budgets[1].on_exceed, BUDGET_REFUSE);
    assert_true(budgets[1].soft > 0.79 && budgets[1].soft < 0.81);
    snapshot_sample_fini(&s);
}

static void no_memory_leaves_the_list_as_it_was(void **state)
{
    struct tenant owner = {.name = STR("alice"), .budget = {.is_set = true, .usd = 1}};
    struct tenants tenants = {.list = {&owner, 1}};
    struct budget all = {.name = STR("all")};
    struct key_array list = {&all, 1};
    (void)state;
    struct arena *arena = arena_create(64, 64); /* no room for two */
    struct key_reader reader = {.arena = arena};

    assert_int_equal(budgets_add_tenants(&list, &tenants, &reader), ST_NO_MEMORY);

    assert_ptr_equal(list.items, &all);
    assert_int_equal(list.count, 1);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(budgets_that_name_what_is_not_there_are_refused),
        cmocka_unit_test(there_is_a_ceiling_on_budgets),
        cmocka_unit_test(tenants_own_budgets_follow_those_of_the_list),
        cmocka_unit_test(no_memory_leaves_the_list_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
