/* What optimize learns from a ledger: shares of the traffic, prices and latencies. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ledger.h"
#include "gateway/observed.h"
#include "gateway/state.h"
#include "tests/support/test.h"

enum {
    SINCE_MS = 1000000,
    NOON_MS = 2000000,
    TEXT_BYTES = 4096,
};

struct fixture {
    char folder[64];
    char path[96];
    struct db *db;
    int64_t requests; /* written */
    struct score_table *table;
    struct placement *placement;
};

static const char table[] = "category\texpert\tright\tcount\tprice_usd_per_1k\n"
                            "law\tbig\t9\t10\t\n"
                            "law\tsmall\t5\t10\t\n"
                            "law\trare\t5\t10\t\n"
                            "law\tpriced\t5\t10\t7\n"
                            "math\tbig\t8\t10\t\n"
                            "idle\tbig\t8\t10\t\n";

static void start(struct fixture *f)
{
    char why[DB_WHY_BYTES];
    struct diags diags;
    *f = (struct fixture){.folder = "/tmp/expertd-observed-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    assert_int_equal(state_open_file(f->path, DB_WRITE, &f->db, why), ST_OK);
    struct arena *arena = arena_create(4096, 65536);
    diags_init(&diags, arena);
    f->table = score_table_create();
    assert_int_equal(score_table_scan(f->table, str_from(table), STR("t"), &diags), ST_OK);
    f->placement = placement_create(f->table, NULL);
    assert_non_null(f->placement);
    arena_destroy(arena);
}

static void stop(struct fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    placement_destroy(f->placement);
    score_table_destroy(f->table);
    db_close(f->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(f->folder), 0);
}

static void assert_near(double got, double want)
{
    if (!(fabs(got - want) < 1e-9)) {
        fail_msg("%.12g, not %.12g", got, want);
    }
}

struct wrote { /* rows like these */
    int count;
    const char *category;
    const char *expert;
    const char *outcome;
    int64_t attempt;
    int64_t tokens[2];
    int64_t nano_usd;
    int64_t ms;
    int64_t ended_ms;
};

static void write_rows(struct fixture *f, const struct wrote *w)
{
    for (int i = 0; i < w->count; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "r%lld", (long long)f->requests++);
        const struct ledger_row row = {.request_id = str_from(id),
                                       .attempt = w->attempt,
                                       .expert = str_from(w->expert),
                                       .category = str_from(w->category),
                                       .prompt_tokens = w->tokens[0],
                                       .completion_tokens = w->tokens[1],
                                       .cost_nano_usd = w->nano_usd,
                                       .outcome = str_from(w->outcome),
                                       .started_ms = w->ended_ms - w->ms,
                                       .ended_ms = w->ended_ms};
        assert_int_equal(ledger_write(f->db, &row), ST_OK);
    }
}

static const struct wrote traffic[] = {
    {30, "law", "big", "ok", 1, {100, 50}, 2000000, 400, NOON_MS},
    {10, "math", "small", "ok", 1, {300, 10}, 1000000, 100, NOON_MS},
    {9, "poems", "rare", "ok", 1, {10, 10}, 5, 1, NOON_MS}, /* not in the table */
    {10, "", "priced", "ok", 1, {10, 10}, LEDGER_COST_UNKNOWN, 10, NOON_MS},
    {20, "law", "big", "connect_failed", 1, {100, 0}, 0, 1, NOON_MS}, /* tried once more: */
    {20, "law", "big", "ok", 2, {100, 50}, 2000000, 400, NOON_MS},
    {70, "math", "big", "cached", 1, {0, 0}, 0, 0, NOON_MS},
    {99, "math", "big", "ok", 1, {9, 9}, 9000000, 9, SINCE_MS - 1}, /* before */
};

static void read_all(struct fixture *f, struct observed *o)
{
    for (size_t i = 0; i < sizeof traffic / sizeof traffic[0]; i++) {
        write_rows(f, &traffic[i]);
    }
    assert_int_equal(observed_read(f->db, SINCE_MS, f->placement, o), ST_OK);
}

static void requests_are_counted_once_and_become_shares(void **state)
{
    static struct observed o; /* large for a stack */
    struct fixture f;
    (void)state;
    start(&f);
    read_all(&f, &o);

    assert_int_equal(observed_share(&o, f.placement), ST_OK);

    assert_int_equal(o.inside, 60);
    assert_int_equal(o.elsewhere, 19);
    assert_near(f.placement->shares[0], 50.0 / 60.0); /* law */
    assert_near(f.placement->shares[1], 10.0 / 60.0); /* math */
    assert_near(f.placement->shares[2], 0.0);         /* idle */
    stop(&f);
}

static void answers_tell_prices_and_latencies_that_the_table_lacks(void **state)
{
    static struct observed o; /* large for a stack */
    struct fixture f;
    (void)state;
    start(&f);
    read_all(&f, &o);

    observed_fill(&o, f.placement);

    const struct placement_expert *e = f.placement->expert; /* big, small, rare, priced */
    assert_near(e[0].traits[SCORE_PRICE], 2.0);             /* 1,000 times 0.002 USD */
    assert_near(e[0].traits[SCORE_LATENCY], 400.0);
    assert_near(e[1].traits[SCORE_PRICE], 1.0);
    assert_true(isnan(e[2].traits[SCORE_PRICE])); /* nine answers */
    assert_true(isnan(e[2].traits[SCORE_LATENCY]));
    assert_near(e[3].traits[SCORE_PRICE], 7.0); /* the table's */
    assert_near(e[3].traits[SCORE_LATENCY], 10.0);
    assert_near(o.all.prompt_tokens / o.all.answers, (50 * 100 + 10 * 300 + 19 * 10) / 79.0);
    stop(&f);
}

static void an_empty_ledger_has_no_shares(void **state)
{
    static struct observed o; /* large for a stack */
    struct fixture f;
    (void)state;
    start(&f);

    assert_int_equal(observed_read(f.db, 0, f.placement, &o), ST_OK);

    assert_int_equal(observed_share(&o, f.placement), ST_NOT_FOUND);
    stop(&f);
}

static void what_was_seen_is_printed(void **state)
{
    static struct observed o; /* large for a stack */
    struct fixture f;
    struct buf text;
    (void)state;
    start(&f);
    read_all(&f, &o);
    buf_init(&text, TEXT_BYTES);

    assert_int_equal(observed_write(&o, f.placement, &text), ST_OK);

    static const char *const lines[] = {
        "ledger: 60 requests in these categories, 19 elsewhere\n",
        "big                          50       100        50         2       400\n",
        "rare                          9        10        10         -         -\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (str_find(buf_str(&text), str_from(lines[i])) == text.len) {
            fail_msg("%s is not in\n%.*s", lines[i], STR_ARG(buf_str(&text)));
        }
    }
    buf_fini(&text);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_once_and_become_shares),
        cmocka_unit_test(answers_tell_prices_and_latencies_that_the_table_lacks),
        cmocka_unit_test(an_empty_ledger_has_no_shares),
        cmocka_unit_test(what_was_seen_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
