/* Training on a corpus of a few hundred sentences. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/classifier.h"
#include "router/features.h"
#include "router/train.h"
#include "tests/support/test.h"

enum {
    ROWS = 240,
};

static const char *const words[3][4] = {
    {"sourdough", "oven", "butter", "recipe"},
    {"planet", "orbit", "telescope", "galaxy"},
    {"goalkeeper", "penalty", "league", "referee"},
};
static const char *const labels[3] = {"cooking", "stars", "football"};
static const char *const sources[3] = {"openstax/x:1", "synthetic:y", "somebody/z"};

static struct train_options small_options(int threads)
{
    struct train_options options;
    train_options_default(&options);
    options.buckets = 500;
    options.threads = threads;
    return options;
}

static enum status add(struct trainer *t, int i)
{
    char text[128];
    int label = i % 3;
    (void)snprintf(text, sizeof text, "tell me about the %s and the %s number %d please",
                   words[label][i / 3 % 4], words[label][(i / 12 + 1) % 4], i);
    struct str other = STR("hobbies"); /* no row has it as its label */
    struct train_row row = {.text = str_from(text),
                            .label = str_from(labels[label]),
                            .source = str_from(sources[i % 7 % 3]),
                            .accept = &other,
                            .accept_count = (size_t)(i % 2),
                            .weight = 1.0};
    return train_add(t, &row);
}

static enum status run(int threads, struct train_report *ret_report, const char *path)
{
    struct train_options options = small_options(threads);
    struct trainer *t = train_create(&options);
    enum status st = t != NULL ? ST_OK : ST_NO_MEMORY;
    for (int i = 0; st == ST_OK && i < ROWS; i++) {
        st = add(t, i);
    }
    if (st == ST_OK) {
        st = train_run(t, ret_report);
    }
    if (st == ST_OK) {
        st = train_save(t, STR("{}"), path);
    }
    train_destroy(t);
    return st;
}

static void path_for(char *path, size_t size, const char *name)
{
    (void)snprintf(path, size, "/tmp/train-test-%d-%s.edm", (int)getpid(), name);
}

static void trained_weights_tell_the_labels_apart(void **state)
{
    struct train_report report;
    struct classifier *c = NULL;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    char path[64];
    (void)state;
    diags_init(&diags, arena);
    path_for(path, sizeof path, "apart");
    assert_int_equal(run(1, &report, path), ST_OK);
    assert_int_equal(classifier_load(path, &diags, &c), ST_OK);
    assert_non_null(classifier_curves(c));
    assert_true(classifier_curves(c)->quantile[50] < classifier_curves(c)->quantile[100]);
    (void)unlink(path);
    struct classifier_scratch *scratch = classifier_scratch_create();

    static const char *const wanted[3] = {"cooking", "football", "stars"}; /* alphabetical */
    static const char *const texts[3] = {"butter in the oven", "a penalty for the league",
                                         "orbit of a planet"};
    for (size_t i = 0; i < 3; i++) {
        struct classifier_segment segment = {str_from(texts[i]), 1.0F};
        struct classifier_result r;
        test_assert_str(classifier_label(c, i), str_from(wanted[i]));
        classifier_score(c, scratch, &segment, 1, &r);
        assert_int_equal(r.best, i);
    }
    assert_int_equal(classifier_label_count(c), 3);
    classifier_scratch_destroy(scratch);
    classifier_unref(c);
    arena_destroy(arena);
}

static void each_group_of_sources_is_left_out_once(void **state)
{
    struct train_report report;
    char path[64];
    (void)state;
    path_for(path, sizeof path, "groups");

    assert_int_equal(run(1, &report, path), ST_OK);
    (void)unlink(path);

    size_t rows = 0;
    for (size_t i = 0; i < report.group_count; i++) {
        rows += report.groups[i].rows;
        assert_true(report.groups[i].accuracy > 0.9);
        assert_true(report.groups[i].accuracy_accept >= report.groups[i].accuracy);
    }
    assert_int_equal(report.group_count, 3);
    assert_int_equal(rows, ROWS);
    assert_int_equal(report.rows, ROWS);
    assert_true(report.kept > 0 && report.kept <= report.features);
}

/* Counting the left-out verdicts one by one gives the report's own accuracy of that group. */
static void left_out_rows_add_up_to_the_report(void **state)
{
    struct train_options options = small_options(1);
    struct trainer *t = train_create(&options);
    struct train_report report;
    size_t rows = 0;
    size_t right = 0;
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(add(t, i), ST_OK);
    }
    assert_int_equal(train_run(t, &report), ST_OK);

    for (size_t i = 0; i < ROWS; i++) {
        struct classifier_result r;
        if (train_left_out(t, i, &r) == 0) {
            rows++;
            right += str_eq(train_label(t, r.best), str_from(labels[i % 3]));
        }
    }

    assert_string_equal(report.groups[0].name, train_group_name(0));
    assert_int_equal(rows, report.groups[0].rows);
    assert_int_equal(right, (size_t)(report.groups[0].accuracy * (double)rows + 0.5));
    train_destroy(t);
}

static void threads_do_not_change_the_file(void **state)
{
    struct train_report report;
    char one[64];
    char four[64];
    (void)state;
    path_for(one, sizeof one, "one");
    path_for(four, sizeof four, "four");

    assert_int_equal(run(1, &report, one), ST_OK);
    assert_int_equal(run(4, &report, four), ST_OK);
    struct str left = test_read_file(one);
    struct str right = test_read_file(four);
    (void)unlink(one);
    (void)unlink(four);

    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.ptr, right.ptr, left.len);
    mem_free((void *)(uintptr_t)left.ptr);
    mem_free((void *)(uintptr_t)right.ptr);
}

static void sources_fall_into_groups(void **state)
{
    (void)state;
    assert_int_equal(train_group_of(STR("openstax/biology:1@2"), STR("t")), 0);
    assert_int_equal(train_group_of(STR("synthetic:slot"), STR("t")), 1);
    assert_int_equal(train_group_of(STR("a/b:one@2"), STR("t")),
                     train_group_of(STR("a/b:two#3"), STR("u")));
    assert_true(train_group_of(STR(""), STR("t")) >= 2);
    bool differs = false;
    for (char c = 'a'; c < 'z'; c++) {
        differs = differs || train_group_of(STR("authored"), (struct str){&c, 1}) !=
                                 train_group_of(STR("authored"), STR("a"));
    }
    assert_true(differs);
}

static void rows_that_teach_nothing_are_refused(void **state)
{
    struct train_options options = small_options(1);
    struct trainer *t = train_create(&options);
    struct train_report report;
    struct train_row row = {.text = STR("a"), .label = STR("only"), .weight = 1.0};
    (void)state;

    assert_int_equal(train_add(t, &row), ST_OK);
    row.weight = 0.0;
    assert_int_equal(train_add(t, &row), ST_INVALID);
    row.weight = 1.0;
    row.label = STR("");
    assert_int_equal(train_add(t, &row), ST_INVALID);
    assert_int_equal(train_run(t, &report), ST_INVALID); /* one label */

    train_destroy(t);
}

static void more_labels_than_fit_are_refused(void **state)
{
    struct train_options options = small_options(1);
    struct trainer *t = train_create(&options);
    char name[16];
    struct train_row row = {.text = STR("a"), .weight = 1.0};
    enum status st = ST_OK;
    (void)state;
    for (int i = 0; i < 64; i++) {
        (void)snprintf(name, sizeof name, "l%d", i);
        row.label = str_from(name);
        st = train_add(t, &row);
        assert_int_equal(st, ST_OK);
    }
    row.label = STR("one more");

    assert_int_equal(train_add(t, &row), ST_TOO_BIG);

    train_destroy(t);
}

/* Fails each allocation in turn until none is left to fail. */
static void every_missing_allocation_is_reported(void **state)
{
    struct train_report report;
    char path[64];
    enum status st = ST_NO_MEMORY;
    (void)state;
    path_for(path, sizeof path, "memory");
    for (uint64_t i = 1; st != ST_OK && i < 400; i++) {
        mem_fail_at(i, 0);
        st = run(1, &report, path);
        mem_fail_at(0, 0);
        assert_true(st == ST_OK || st == ST_NO_MEMORY);
    }
    (void)unlink(path);
    assert_int_equal(st, ST_OK);
}

/* The same corpus, once as text and once as what is left of it in a state file. */
static void hashes_train_the_same_weights_as_their_text(void **state)
{
    char path[64];
    struct features *features = features_create();
    struct str bytes[2];
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/expertd-train-%d.edm", (int)getpid());
    for (int as_hashes = 0; as_hashes < 2; as_hashes++) {
        struct train_options options = small_options(1);
        struct trainer *t = train_create(&options);
        for (int i = 0; i < ROWS; i++) {
            char text[128];
            uint32_t hashes[512];
            (void)snprintf(text, sizeof text, "the %s and the %s", words[i % 3][i / 3 % 4],
                           words[i % 3][(i / 12 + 1) % 4]);
            struct train_row row = {
                .label = str_from(labels[i % 3]), .source = STR("feedback"), .weight = 1.0};
            features_reset(features);
            row.hash_count = features_add(features, str_from(text));
            assert_true(row.hash_count < 512);
            for (size_t k = 0; k < row.hash_count; k++) {
                hashes[k] = features->items[k].hash;
            }
            row.hashes = as_hashes != 0 ? hashes : NULL;
            row.text = as_hashes != 0 ? STR("") : str_from(text);
            assert_int_equal(train_add(t, &row), ST_OK);
        }
        struct train_report report;
        assert_true(train_has_label(t, STR("stars")));
        assert_false(train_has_label(t, STR("star")));
        assert_int_equal(train_run(t, &report), ST_OK);
        assert_int_equal(train_save(t, STR("{}"), path), ST_OK);
        train_destroy(t);
        bytes[as_hashes] = test_read_file(path);
        (void)unlink(path);
    }

    test_assert_str(bytes[1], bytes[0]);
    for (int i = 0; i < 2; i++) {
        union {
            const char *in;
            void *out;
        } block = {.in = bytes[i].ptr}; /* test_read_file's block */

        mem_free(block.out);
    }
    features_destroy(features);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trained_weights_tell_the_labels_apart),
        cmocka_unit_test(each_group_of_sources_is_left_out_once),
        cmocka_unit_test(left_out_rows_add_up_to_the_report),
        cmocka_unit_test(threads_do_not_change_the_file),
        cmocka_unit_test(sources_fall_into_groups),
        cmocka_unit_test(rows_that_teach_nothing_are_refused),
        cmocka_unit_test(more_labels_than_fit_are_refused),
        cmocka_unit_test(every_missing_allocation_is_reported),
        cmocka_unit_test(hashes_train_the_same_weights_as_their_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
