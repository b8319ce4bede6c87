/* `expertd train` and `expertd eval`, from a file of rows to figures. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "gateway/cmd_eval.h"
#include "gateway/cmd_train.h"
#include "router/classifier.h"
#include "tests/support/test.h"

struct fixture {
    char rows[64];
    char model[64];
    char report[64];
    char picture[64];
};

static int prepare(void **state)
{
    static struct fixture x;
    (void)snprintf(x.rows, sizeof x.rows, "/tmp/cmd-eval-%d.jsonl", (int)getpid());
    (void)snprintf(x.model, sizeof x.model, "/tmp/cmd-eval-%d.edm", (int)getpid());
    (void)snprintf(x.report, sizeof x.report, "/tmp/cmd-eval-%d.json", (int)getpid());
    (void)snprintf(x.picture, sizeof x.picture, "/tmp/cmd-eval-%d.svg", (int)getpid());
    FILE *rows = fopen(x.rows, "we");
    if (rows == NULL) {
        return 1;
    }
    for (int i = 0; i < 90; i++) {
        (void)fprintf(rows, "{\"text\":\"%s number %d\",\"label\":\"%s\",\"source\":\"%s\"}\n",
                      i % 2 == 0 ? "bake the bread" : "kick the ball", i,
                      i % 2 == 0 ? "general" : "sports", i % 3 == 0 ? "openstax/x" : "y");
    }
    (void)fprintf(rows, "{\"text\":\"zzzz qqqq\",\"ood\":1}\n");
    *state = &x;
    return fclose(rows);
}

static int clean(void **state)
{
    struct fixture *x = *state;
    (void)unlink(x->rows);
    (void)unlink(x->model);
    (void)unlink(x->report);
    (void)unlink(x->picture);
    return 0;
}

static int train(const struct fixture *x, const char *weight)
{
    char data[80];
    (void)snprintf(data, sizeof data, "%s%s", x->rows, weight);
    const char *argv[] = {"train", "--data",   data, "--out",     x->model, "--rows",
                          "9",     "--epochs", "3",  "--threads", "2",      NULL};
    return cmd_train(11, (char **)(uintptr_t)argv);
}

static enum status evaluate(const struct fixture *x, bool is_json, struct diags *diags)
{
    struct classifier *c = NULL;
    const char *files[] = {x->rows, x->rows};
    struct cmd_eval_request request = {.threshold = 0.55,
                                       .general = STR("general"),
                                       .files = files,
                                       .file_count = 2,
                                       .baseline_files = files,
                                       .baseline_count = 1,
                                       .svg = x->picture,
                                       .is_json = is_json,
                                       .is_perturbed = true};
    FILE *out = fopen(x->report, "we");
    assert_non_null(out);
    enum status st = classifier_load(x->model, diags, &c);
    if (st == ST_OK) {
        st = cmd_eval_run(c, &request, diags, out);
    }
    classifier_unref(c);
    assert_int_equal(fclose(out), 0);
    return st;
}

static void trained_weights_are_evaluated_per_file_and_pooled(void **state)
{
    struct fixture *x = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);

    assert_int_equal(train(x, ":2"), 0);
    assert_int_equal(evaluate(x, true, &diags), ST_OK);

    struct str json = test_read_file(x->report);
    assert_int_equal(json_validate(str_trim(json), NULL, NULL), ST_OK);
    static const char *const parts[] = {"\"files\":[{",
                                        "\"pooled\":{\"file\":\"pooled\",\"n\":180",
                                        "\"n_ood\":2",
                                        "\"accuracy\":1,",
                                        "\"centroid\":1,",
                                        "\"sources\":[{\"name\":\"y\",\"n\":120,",
                                        "\"languages\":[{\"name\":\"(none)\",\"n\":180,",
                                        "\"perturbed\":{\"all\":{\"rows\":1980,"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (str_find(json, str_from(parts[i])) == json.len) {
            fail_msg("no %s in %.*s", parts[i], STR_ARG(json));
        }
    }
    mem_free((void *)(uintptr_t)json.ptr);
    arena_destroy(arena);
}

static void the_text_report_ends_with_the_confusion_matrix(void **state)
{
    struct fixture *x = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);

    assert_int_equal(train(x, ""), 0);
    assert_int_equal(evaluate(x, false, &diags), ST_OK);

    struct str text = test_read_file(x->report);
    assert_true(str_find(text, STR("pooled\n  n 180")) < text.len);
    assert_true(str_find(text, STR("\nopenstax/x  ")) < text.len);
    assert_true(str_find(text, STR("general                90      0")) < text.len);
    mem_free((void *)(uintptr_t)text.ptr);
    arena_destroy(arena);
}

static void the_picture_is_written_where_asked(void **state)
{
    struct fixture *x = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);

    assert_int_equal(train(x, ""), 0);
    assert_int_equal(evaluate(x, false, &diags), ST_OK);
    struct str svg = test_read_file(x->picture);
    assert_true(str_starts_with(svg, STR("<svg ")) && str_ends_with(svg, STR("</svg>\n")));
    mem_free((void *)(uintptr_t)svg.ptr);
    (void)snprintf(x->picture, sizeof x->picture, "/nowhere/x.svg");

    assert_int_equal(evaluate(x, false, &diags), ST_IO);
    arena_destroy(arena);
}

static void a_broken_row_ends_the_evaluation(void **state)
{
    struct fixture *x = *state;
    struct arena *arena = arena_create(4096, 1 << 20);
    struct diags diags;
    diags_init(&diags, arena);
    assert_int_equal(train(x, ""), 0);
    FILE *rows = fopen(x->rows, "ae");
    assert_non_null(rows);
    (void)fprintf(rows, "{\"text\":\n");
    assert_int_equal(fclose(rows), 0);

    assert_int_equal(evaluate(x, true, &diags), ST_INVALID);

    assert_int_equal(diags.items[0].pos.line, 92);
    arena_destroy(arena);
}

/* Thirty rows are from textbooks, sixty from another source: two models, each judged by what it has
 * not seen. */
static void training_reports_on_the_sources_left_out(void **state)
{
    static const char *const parts[] = {
        "{\"left_out\":[{\"file\":\"others-2\",\"n\":60,",
        "{\"file\":\"textbooks\",\"n\":30,",
        "\"pooled\":{\"file\":\"pooled\",\"n\":90,",
        "\"centroid\":1,",
        "\"sources\":[{\"name\":\"y\",\"n\":60,",
        "\"languages\":[{\"name\":\"(none)\",\"n\":90,",
    };
    struct fixture *x = *state;
    const char *argv[] = {"train", "--data", x->rows, "--report", x->report, "--rows", "9", NULL};

    assert_int_equal(cmd_train(7, (char **)(uintptr_t)argv), 0);

    struct str json = test_read_file(x->report);
    assert_int_equal(json_validate(str_trim(json), NULL, NULL), ST_OK);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (str_find(json, str_from(parts[i])) == json.len) {
            fail_msg("no %s in %.*s", parts[i], STR_ARG(json));
        }
    }
    mem_free((void *)(uintptr_t)json.ptr);
}

static void wrong_arguments_give_status_2(void **state)
{
    static const char *const cases[][8] = {
        {"eval"},
        {"eval", "--model", "x"},
        {"eval", "--data", "x"},
        {"eval", "--model", "x", "--data", "y", "--threshold", "half"},
        {"eval", "--model", "x", "--data", "y", "rest"},
        {"eval", "--colour"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int argc = 0;
        while (argc < 8 && cases[i][argc] != NULL) {
            argc++;
        }
        assert_int_equal(cmd_eval(argc, (char **)(uintptr_t)cases[i]), 2);
        assert_int_equal(cmd_train(argc, (char **)(uintptr_t)cases[i]), 2);
    }
}

static void missing_files_give_status_1(void **state)
{
    static const char *const eval[] = {"eval",   "--model",    "/nowhere/x",
                                       "--data", "/nowhere/y", NULL};
    static const char *const train_args[] = {"train",  "--out",      "/nowhere/x",
                                             "--data", "/nowhere/y", NULL};
    (void)state;

    assert_int_equal(cmd_eval(5, (char **)(uintptr_t)eval), 1);
    assert_int_equal(cmd_train(5, (char **)(uintptr_t)train_args), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(trained_weights_are_evaluated_per_file_and_pooled, prepare,
                                        clean),
        cmocka_unit_test_setup_teardown(the_text_report_ends_with_the_confusion_matrix, prepare,
                                        clean),
        cmocka_unit_test_setup_teardown(the_picture_is_written_where_asked, prepare, clean),
        cmocka_unit_test_setup_teardown(a_broken_row_ends_the_evaluation, prepare, clean),
        cmocka_unit_test_setup_teardown(training_reports_on_the_sources_left_out, prepare, clean),
        cmocka_unit_test(wrong_arguments_give_status_2),
        cmocka_unit_test(missing_files_give_status_1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
