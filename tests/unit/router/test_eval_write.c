/* What an evaluation looks like as JSON, text and picture. The figures themselves: test_eval.c. */
#include "base/json_scan.h"
#include "base/mem.h"
#include "router/eval_write.h"
#include "tests/support/test.h"

static const struct eval_labels labels = {{STR_INIT("law"), STR_INIT("ma<th"), STR_INIT("general")},
                                          3};

struct fixture {
    struct eval *eval;
    struct eval_table *table;
    struct eval_report report;
    struct buf out;
};

static void add(struct eval *e, struct str label, float first, float second)
{
    struct prompts_row prompt = {.text = STR("x"), .label = label};
    struct classifier_result result = {.count = 3, .p = {first, second, 1.0F - first - second}};
    result.best = first > second ? 0 : 1;
    assert_int_equal(eval_add(e, &prompt, &result, 7.0), ST_OK);
}

static int prepare(void **state)
{
    static struct fixture x;
    x = (struct fixture){.eval = eval_create(&labels, 0.5, STR("general")),
                         .table = eval_table_create(&labels, 0.5, STR("general"))};
    buf_init(&x.out, 1 << 20);
    add(x.eval, STR("law"), 0.75F, 0.125F);
    add(x.eval, STR("ma<th"), 0.875F, 0.125F);
    add(eval_table_find(x.table, STR("some \"source\"")), STR("law"), 0.75F, 0.125F);
    *state = &x;
    return eval_finish(x.eval, &x.report) != ST_OK;
}

static int clean(void **state)
{
    struct fixture *x = *state;
    eval_destroy(x->eval);
    eval_table_destroy(x->table);
    buf_fini(&x->out);
    return 0;
}

static void assert_has(const struct buf *out, const char *part)
{
    if (str_find(buf_str(out), str_from(part)) == out->len) {
        fail_msg("no %s in %.*s", part, STR_ARG(buf_str(out)));
    }
}

static void the_json_has_the_agreed_keys(void **state)
{
    static const char *const parts[] = {
        "\"file\":\"a \\\"b\"",
        "\"n\":2",
        "\"accuracy\":0.5",
        "\"accuracy_accept\":0.5",
        "\"macro_f1\":",
        "\"ece\":0.5625",
        "\"coverage_at_precision_90\":0",
        "\"auroc_ood\":null",
        "\"us_per_prompt_p50\":7",
        "\"us_per_prompt_p99\":7",
        "\"majority\":0.5",
        "\"centroid\":null",
        "\"curve\":[[0.5000,0.0000],[1.0000,0.5000]]",
        "\"reliability\":[{\"n\":0,\"confidence\":null,\"accepted\":null}",
        "{\"n\":1,\"confidence\":0.75,\"accepted\":1}",
        "{\"label\":\"law\",\"n\":1,\"precision\":0.5000,\"recall\":1.0000,\"f1\":0.6667}",
        "\"labels\":[\"law\",\"ma<th\",\"general\"]",
        "\"confusion\":[[1,0,0],[1,0,0],[0,0,0]]",
        "\"general_scores\":{\"uncertainty\":null",
    };
    struct fixture *x = *state;

    assert_int_equal(eval_write_json(x->eval, &x->report, STR("a \"b"), &x->out), ST_OK);

    assert_int_equal(json_validate(buf_str(&x->out), NULL, NULL), ST_OK);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_has(&x->out, parts[i]);
    }
}

static void a_table_is_an_array_of_named_figures(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(eval_write_table_json(x->table, &x->out), ST_OK);

    assert_int_equal(json_validate(buf_str(&x->out), NULL, NULL), ST_OK);
    assert_has(&x->out, "[{\"name\":\"some \\\"source\\\"\",\"n\":1,");
}

static void the_text_shows_baselines_and_tables(void **state)
{
    struct fixture *x = *state;

    assert_int_equal(eval_write_text(&x->report, STR("all"), &x->out), ST_OK);
    assert_int_equal(eval_write_table_text(x->table, STR("source"), &x->out), ST_OK);
    assert_int_equal(eval_write_details(x->eval, &x->report, &x->out), ST_OK);

    assert_has(&x->out, "all\n  n 2   ood rows 0\n  accuracy 0.5000");
    assert_has(&x->out, "baselines: majority 0.5000   random 0.3333");
    assert_has(&x->out, "auroc_ood -");
    assert_has(&x->out, "\nsome \"source\"");
    assert_has(&x->out, "0.867..0.933        1     0.8750    0.0000");
    assert_has(&x->out, "\nma<th                   1      0      0");
}

static void the_picture_escapes_names_and_draws_every_panel(void **state)
{
    static const char *const parts[] = {"<svg xmlns=",
                                        "Reliability",
                                        "Precision of what",
                                        "ma&#60;th",
                                        "Confusion",
                                        "prefers-color-scheme:dark",
                                        "M710.0 380.0L860.0 230.0",
                                        "</svg>\n"};
    struct fixture *x = *state;

    assert_int_equal(eval_write_svg(x->eval, &x->report, STR("a<b"), &x->out), ST_OK);

    assert_has(&x->out, "a&#60;b");
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        assert_has(&x->out, parts[i]);
    }
}

static void a_full_buffer_is_reported(void **state)
{
    struct fixture *x = *state;
    buf_fini(&x->out);
    buf_init(&x->out, 300);

    assert_int_equal(eval_write_json(x->eval, &x->report, STR("a"), &x->out), ST_TOO_BIG);
    assert_int_equal(eval_write_svg(x->eval, &x->report, STR("a"), &x->out), ST_TOO_BIG);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, prepare, clean)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(the_json_has_the_agreed_keys),
        WITH_FIXTURE(a_table_is_an_array_of_named_figures),
        WITH_FIXTURE(the_text_shows_baselines_and_tables),
        WITH_FIXTURE(the_picture_escapes_names_and_draws_every_panel),
        WITH_FIXTURE(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
