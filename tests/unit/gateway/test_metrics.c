/* Counters: the page is lawful Prometheus text, labels are closed, shards add up. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "gateway/metrics.h"
#include "tests/support/test.h"

enum {
    PAGE_MAX = 1 << 22
};

static char *page_of(struct metrics *m)
{
    struct buf out;
    char *text = NULL;
    size_t len = 0;
    buf_init(&out, PAGE_MAX);
    assert_int_equal(metrics_write(m, &out), ST_OK);
    assert_int_equal(buf_take(&out, &text, &len), ST_OK);
    return text;
}

/* The value of a series, given as it stands on the page; -1 when it does not. */
static double value_of(const char *page, const char *series)
{
    char needle[256];
    (void)snprintf(needle, sizeof needle, "\n%s ", series);
    const char *at = strstr(page, needle);
    return at == NULL ? -1.0 : strtod(at + strlen(needle), NULL);
}

static void assert_value(const char *page, const char *series, double want)
{
    double got = value_of(page, series);
    if (got < want - 1e-9 || got > want + 1e-9) {
        fail_msg("%s is %g, want %g", series, got, want);
    }
}

static void count(struct metrics_shard *s, enum metrics_outcome outcome, unsigned char category,
                  unsigned char expert)
{
    struct metrics_event event = {
        .outcome = outcome, .category_slot = category, .expert_slot = expert};
    struct metrics_bill bill = {category, expert, 10, 5, 1500000000, false};
    metrics_count(s, &event);
    metrics_charge(s, &bill);
}

/* ---------------------------------------------------------------- the format */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* name="value",... with \\ \" \n as the only escapes. Returns what follows the closing brace. */
static const char *skip_labels(const char *p)
{
    while (*p != '}') {
        while (is_name_char(*p)) {
            p++;
        }
        assert_true(p[0] == '=' && p[1] == '"');
        for (p += 2; *p != '"'; p++) {
            assert_true(*p != '\n' && *p != '\0');
            if (*p == '\\') {
                p++;
                assert_true(*p == '\\' || *p == '"' || *p == 'n');
            }
        }
        p++;
        assert_true(*p == ',' || *p == '}');
        p += *p == ',';
    }
    return p + 1;
}

/* One sample line; its family must be the one that was declared last. */
static void check_sample(const char *line, const char *family)
{
    const char *p = line;
    while (is_name_char(*p)) {
        p++;
    }
    assert_true(strncmp(line, family, strlen(family)) == 0);
    p = *p == '{' ? skip_labels(p + 1) : p;
    assert_true(*p == ' ');
    char *end = NULL;
    (void)strtod(p + 1, &end);
    assert_true(end > p + 1 && *end == '\n');
}

static void check_page(const char *page)
{
    char family[128] = "?";
    char help[128] = "?";
    for (const char *line = page; *line != '\0'; line = strchr(line, '\n') + 1) {
        assert_non_null(strchr(line, '\n'));
        if (sscanf(line, "# HELP %127s", help) == 1) {
            continue;
        }
        if (sscanf(line, "# TYPE %127s", family) == 1) {
            assert_string_equal(help, family);
            continue;
        }
        check_sample(line, family);
    }
}

static void the_page_is_lawful_with_and_without_counts(void **state)
{
    struct metrics *m = metrics_create(2);
    (void)state;
    char *empty = page_of(m);
    check_page(empty);
    unsigned char odd = metrics_hold(m, METRICS_CATEGORY, STR("a\"b\\c\nd"));
    for (int outcome = METRICS_OK; outcome <= METRICS_INTERNAL; outcome++) {
        count(metrics_shard(m, 0), (enum metrics_outcome)outcome, odd, METRICS_SLOT_NONE);
    }
    metrics_observe(metrics_shard(m, 1), METRICS_TTFT, 123456);

    char *full = page_of(m);

    check_page(full);
    assert_value(
        full, "expertd_requests_total{outcome=\"ok\",category=\"a\\\"b\\\\c\\nd\",expert=\"\"}", 1);
    mem_free(empty);
    mem_free(full);
    metrics_destroy(m);
}

/* ---------------------------------------------------------------- counting */

static void shards_add_up(void **state)
{
    struct metrics *m = metrics_create(3);
    unsigned char law = metrics_hold(m, METRICS_CATEGORY, STR("law"));
    unsigned char med = metrics_hold(m, METRICS_EXPERT, STR("med-70b"));
    (void)state;

    count(metrics_shard(m, 0), METRICS_OK, law, med);
    count(metrics_shard(m, 2), METRICS_OK, law, med);
    count(metrics_shard(m, 1), METRICS_TIMEOUT, law, med);
    metrics_set_gauges(metrics_shard(m, 0), 2, 7);
    metrics_set_gauges(metrics_shard(m, 2), 3, 7);
    metrics_count_reload(m, 0);
    metrics_count_breach(m);
    metrics_count_reload(m, 1);
    metrics_count_reload(m, 1);

    char *page = page_of(m);
    assert_value(page, "expertd_requests_total{outcome=\"ok\",category=\"law\",expert=\"med-70b\"}",
                 2);
    assert_value(
        page, "expertd_requests_total{outcome=\"timeout\",category=\"law\",expert=\"med-70b\"}", 1);
    assert_value(page, "expertd_tokens_total{kind=\"prompt\",category=\"law\",expert=\"med-70b\"}",
                 30);
    assert_value(
        page, "expertd_tokens_total{kind=\"completion\",category=\"law\",expert=\"med-70b\"}", 15);
    assert_value(page, "expertd_cost_usd_total{category=\"law\",expert=\"med-70b\"}", 4.5);
    assert_value(page, "expertd_requests_in_flight", 5);
    assert_value(page, "expertd_config_generation", 7);
    assert_value(page, "expertd_reloads_total{result=\"ok\"}", 1);
    assert_value(page, "expertd_guarantee_breaches_total", 1);
    assert_value(page, "expertd_reloads_total{result=\"failed\"}", 2);
    mem_free(page);
    metrics_destroy(m);
}

static void histograms_are_cumulative_and_in_seconds(void **state)
{
    struct metrics *m = metrics_create(2);
    (void)state;

    metrics_observe(metrics_shard(m, 0), METRICS_OVERHEAD, 20); /* bounds are inclusive */
    metrics_observe(metrics_shard(m, 1), METRICS_OVERHEAD, 21);
    metrics_observe(metrics_shard(m, 1), METRICS_OVERHEAD, -5);        /* a clock that stepped */
    metrics_observe(metrics_shard(m, 1), METRICS_OVERHEAD, 999999999); /* beyond the last bound */

    char *page = page_of(m);
    assert_value(page, "expertd_overhead_seconds_bucket{le=\"2e-05\"}", 2);
    assert_value(page, "expertd_overhead_seconds_bucket{le=\"5e-05\"}", 3);
    assert_value(page, "expertd_overhead_seconds_bucket{le=\"300\"}", 3);
    assert_value(page, "expertd_overhead_seconds_bucket{le=\"+Inf\"}", 4);
    assert_value(page, "expertd_overhead_seconds_count", 4);
    assert_value(page, "expertd_overhead_seconds_sum", 1000.000040);
    assert_value(page, "expertd_request_duration_seconds_count", 0);
    mem_free(page);
    metrics_destroy(m);
}

/* ---------------------------------------------------------------- closed labels */

static void a_name_keeps_its_slot(void **state)
{
    struct metrics *m = metrics_create(1);
    (void)state;

    unsigned char law = metrics_hold(m, METRICS_CATEGORY, STR("law"));

    assert_int_equal(metrics_hold(m, METRICS_CATEGORY, STR("law")), law);
    assert_true(metrics_hold(m, METRICS_CATEGORY, STR("la")) != law);
    assert_true(law > METRICS_SLOT_OTHER);
    metrics_destroy(m);
}

static void names_beyond_the_slots_are_other(void **state)
{
    struct metrics *m = metrics_create(1);
    char name[200];
    (void)state;
    for (int i = 0; i < METRICS_SLOTS + 10; i++) {
        (void)snprintf(name, sizeof name, "c%d", i);
        unsigned char slot = metrics_hold(m, METRICS_CATEGORY, str_from(name));
        assert_int_equal(slot == METRICS_SLOT_OTHER, i >= METRICS_SLOTS - METRICS_SLOT_GONE - 1);
    }
    memset(name, 'x', sizeof name);
    assert_int_equal(metrics_hold(m, METRICS_EXPERT, (struct str){name, sizeof name}),
                     METRICS_SLOT_OTHER);

    count(metrics_shard(m, 0), METRICS_OK, METRICS_SLOT_OTHER, METRICS_SLOT_OTHER);

    char *page = page_of(m);
    assert_value(page,
                 "expertd_requests_total{outcome=\"ok\",category=\"_other\",expert=\"_other\"}", 1);
    mem_free(page);
    metrics_destroy(m);
}

/* Each of many names counts once and goes; the sum over all names keeps growing by one. */
static void counts_of_names_that_are_gone_are_kept_as_gone(void **state)
{
    struct metrics *m = metrics_create(2);
    unsigned char law = metrics_hold(m, METRICS_CATEGORY, STR("law"));
    char name[32];
    (void)state;
    for (int i = 0; i < 300; i++) {
        (void)snprintf(name, sizeof name, "e%d", i);
        unsigned char slot = metrics_hold(m, METRICS_EXPERT, str_from(name));
        assert_true(slot > METRICS_SLOT_GONE);
        count(metrics_shard(m, (size_t)i % 2), METRICS_OK, law, slot);
        metrics_release(m, METRICS_EXPERT, slot);
    }
    char *page = page_of(m);
    assert_value(page, "expertd_requests_total{outcome=\"ok\",category=\"law\",expert=\"_gone\"}",
                 300 - (METRICS_SLOTS - METRICS_SLOT_GONE - 1));
    assert_value(page, "expertd_requests_total{outcome=\"ok\",category=\"law\",expert=\"e299\"}",
                 1);
    assert_null(strstr(page, "\"e0\""));
    mem_free(page);

    metrics_release(m, METRICS_CATEGORY, law);
    for (int i = 0; i < METRICS_SLOTS; i++) {
        (void)snprintf(name, sizeof name, "c%d", i);
        metrics_release(m, METRICS_CATEGORY, metrics_hold(m, METRICS_CATEGORY, str_from(name)));
    }
    page = page_of(m);
    assert_value(page, "expertd_requests_total{outcome=\"ok\",category=\"_gone\",expert=\"e299\"}",
                 1);
    assert_null(strstr(page, "\"law\""));
    mem_free(page);
    metrics_destroy(m);
}

static void a_name_that_is_held_keeps_its_counts(void **state)
{
    struct metrics *m = metrics_create(1);
    unsigned char german = metrics_hold(m, METRICS_LANGUAGE, STR("de"));
    unsigned char french = metrics_hold(m, METRICS_LANGUAGE, STR("fr"));
    struct metrics_event events[] = {{.language_slot = german}, {.language_slot = french}};
    char name[32];
    (void)state;
    metrics_count(metrics_shard(m, 0), &events[0]);
    metrics_count(metrics_shard(m, 0), &events[1]);
    metrics_release(m, METRICS_LANGUAGE, french);
    for (int i = 0; i < METRICS_SLOTS; i++) {
        (void)snprintf(name, sizeof name, "l%d", i);
        metrics_release(m, METRICS_LANGUAGE, metrics_hold(m, METRICS_LANGUAGE, str_from(name)));
    }
    char *page = page_of(m);
    assert_value(page, "expertd_requests_by_language_total{language=\"de\"}", 1);
    assert_value(page, "expertd_requests_by_language_total{language=\"_gone\"}", 1);
    assert_int_equal(metrics_hold(m, METRICS_LANGUAGE, STR("de")), german);
    mem_free(page);
    metrics_destroy(m);
}

static void a_name_of_other_makes_no_second_series(void **state)
{
    struct metrics *m = metrics_create(1);
    (void)state;
    assert_int_equal(metrics_hold(m, METRICS_CATEGORY, STR("_other")), METRICS_SLOT_OTHER);
    metrics_destroy(m);
}

static void short_of_memory_requests_count_as_other(void **state)
{
    struct metrics *m = metrics_create(1);
    unsigned char law = metrics_hold(m, METRICS_CATEGORY, STR("law"));
    unsigned char med = metrics_hold(m, METRICS_EXPERT, STR("med"));
    (void)state;

    mem_fail_at(1, 1);
    count(metrics_shard(m, 0), METRICS_OK, law, med);
    mem_fail_at(0, 0);

    char *page = page_of(m);
    assert_value(page, "expertd_requests_total{outcome=\"ok\",category=\"_other\",expert=\"med\"}",
                 1);
    mem_free(page);
    metrics_destroy(m);
}

static void creating_without_memory_gives_null(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 2; n++) {
        mem_fail_at(n, 1);
        struct metrics *m = metrics_create(1);
        mem_fail_at(0, 0);
        assert_null(m);
    }
    metrics_destroy(NULL);
}

static void languages_are_counted_by_name(void **state)
{
    struct metrics *m = metrics_create(2);
    (void)state;
    struct metrics_event german = {.language_slot = metrics_hold(m, METRICS_LANGUAGE, STR("de"))};
    struct metrics_event unknown = {.language_slot = metrics_hold(m, METRICS_LANGUAGE, STR("und"))};
    struct metrics_event untold = {.language_slot = METRICS_SLOT_NONE};
    (void)metrics_hold(m, METRICS_LANGUAGE, STR("fr"));

    metrics_count(metrics_shard(m, 0), &german);
    metrics_count(metrics_shard(m, 1), &german);
    metrics_count(metrics_shard(m, 1), &unknown);
    metrics_count(metrics_shard(m, 0), &untold);
    char *page = page_of(m);

    assert_value(page, "expertd_requests_by_language_total{language=\"de\"}", 2);
    assert_value(page, "expertd_requests_by_language_total{language=\"und\"}", 1);
    assert_value(page, "expertd_requests_by_language_total{language=\"fr\"}", -1);
    mem_free(page);
    metrics_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(languages_are_counted_by_name),
        cmocka_unit_test(the_page_is_lawful_with_and_without_counts),
        cmocka_unit_test(shards_add_up),
        cmocka_unit_test(histograms_are_cumulative_and_in_seconds),
        cmocka_unit_test(a_name_keeps_its_slot),
        cmocka_unit_test(names_beyond_the_slots_are_other),
        cmocka_unit_test(counts_of_names_that_are_gone_are_kept_as_gone),
        cmocka_unit_test(a_name_that_is_held_keeps_its_counts),
        cmocka_unit_test(a_name_of_other_makes_no_second_series),
        cmocka_unit_test(short_of_memory_requests_count_as_other),
        cmocka_unit_test(creating_without_memory_gives_null),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
