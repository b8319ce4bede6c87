#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ledger.h"
#include "gateway/state.h"
#include "tests/support/test.h"

enum {
    HOUR_MS = 3600 * 1000,
};

struct fixture {
    char folder[64];
    char path[96];
    struct db *db;
};

static void start(struct fixture *f)
{
    char why[DB_WHY_BYTES];
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/expertd-ledger-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    assert_int_equal(state_open_file(f->path, DB_WRITE, &f->db, why), ST_OK);
}

static void stop(struct fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    db_close(f->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(f->folder), 0);
}

static struct ledger_row some_row(const char *request, int64_t attempt)
{
    return (struct ledger_row){
        .request_id = str_from(request),
        .attempt = attempt,
        .tenant = STR("alice"),
        .expert = STR("med"),
        .category = STR("medical"),
        .prompt_tokens = 10,
        .cached_tokens = 4,
        .completion_tokens = 20,
        .reasoning_tokens = 5,
        .cost_nano_usd = 700,
        .outcome = STR("ok"),
        .started_ms = HOUR_MS,
        .ended_ms = HOUR_MS + 5,
    };
}

static void write_ok(struct fixture *f, const struct ledger_row *row)
{
    assert_int_equal(ledger_write(f->db, row), ST_OK);
}

/* Three hours, two tenants, two experts, one of them without a price. */
static void fill(struct fixture *f)
{
    static const char *const tenants[] = {"alice", "bob"};
    for (int i = 0; i < 12; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "req_%d", i / 2);
        struct ledger_row row = some_row(id, i % 2 + 1);
        row.tenant = str_from(tenants[i % 3 == 0]);
        row.started_ms = (int64_t)(i / 4) * HOUR_MS;
        row.ended_ms = row.started_ms + i;
        if (i % 4 == 1) {
            row.expert = STR("free");
            row.cost_nano_usd = LEDGER_COST_UNKNOWN;
        }
        write_ok(f, &row);
    }
}

static enum status take_row(void *ctx, const struct ledger_row *row)
{
    struct ledger_row *rows = ctx;
    if (row->id <= 16) {
        rows[row->id - 1] = *row;
        rows[row->id - 1].request_id = STR("");
        assert_int_equal(row->tenant.len > 0, 1);
    }
    return ST_OK;
}

static enum status count_row(void *ctx, const struct ledger_row *row)
{
    (void)row;
    ++*(int *)ctx;
    return ST_OK;
}

static void rows_come_back_as_they_were_written(void **state)
{
    struct fixture f;
    struct ledger_row rows[16] = {{.id = 0}};
    (void)state;
    start(&f);
    struct ledger_row row = some_row("req_a", 1);
    row.is_estimated = true;
    write_ok(&f, &row);
    row.attempt = 2;
    row.is_suspect = true;
    row.cost_nano_usd = LEDGER_COST_UNKNOWN;
    write_ok(&f, &row);
    struct ledger_filter all = {.since_ms = 0};
    assert_int_equal(ledger_each(f.db, &all, take_row, rows), ST_OK);
    assert_int_equal(rows[0].prompt_tokens, 10);
    assert_int_equal(rows[0].cached_tokens, 4);
    assert_int_equal(rows[0].completion_tokens, 20);
    assert_int_equal(rows[0].reasoning_tokens, 5);
    assert_int_equal(rows[0].cost_nano_usd, 700);
    assert_true(rows[0].is_estimated);
    assert_false(rows[0].is_suspect);
    assert_int_equal(rows[0].started_ms, HOUR_MS);
    assert_int_equal(rows[0].ended_ms, HOUR_MS + 5);
    assert_int_equal(rows[1].id, 2);
    assert_int_equal(rows[1].cost_nano_usd, LEDGER_COST_UNKNOWN);
    assert_true(rows[1].is_suspect);
    stop(&f);
}

static void an_attempt_is_written_once(void **state)
{
    struct fixture f;
    int rows = 0;
    (void)state;
    start(&f);
    struct ledger_row row = some_row("req_a", 1);
    write_ok(&f, &row);
    assert_int_equal(ledger_write(f.db, &row), ST_INVALID);
    struct ledger_filter all = {.since_ms = 0};
    assert_int_equal(ledger_each(f.db, &all, count_row, &rows), ST_OK);
    assert_int_equal(rows, 1);
    stop(&f);
}

static void filters_pass_what_they_name(void **state)
{
    static const struct {
        struct ledger_filter filter;
        int rows;
    } cases[] = {
        {{.since_ms = 0}, 12},
        {{.tenant = {"bob", 3}}, 4},
        {{.tenant = {"carol", 5}}, 0},
        {{.expert = {"free", 4}}, 3},
        {{.category = {"medical", 7}}, 12},
        {{.key_id = {"k1", 2}}, 0},
        {{.since_ms = HOUR_MS}, 8},
        {{.since_ms = HOUR_MS, .until_ms = 2 * HOUR_MS}, 4},
        {{.tenant = {"bob", 3}, .until_ms = HOUR_MS}, 2},
    };

    struct fixture f;
    (void)state;
    start(&f);
    fill(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int rows = 0;
        assert_int_equal(ledger_each(f.db, &cases[i].filter, count_row, &rows), ST_OK);
        if (rows != cases[i].rows) {
            fail_msg("case %zu: %d rows", i, rows);
        }
    }
    stop(&f);
}

struct sums {
    char names[8][32];
    struct ledger_sum sums[8];
    size_t count;
};

static enum status take_sum(void *ctx, struct str name, const struct ledger_sum *sum)
{
    struct sums *s = ctx;
    (void)snprintf(s->names[s->count], sizeof s->names[0], "%.*s", STR_ARG(name));
    s->sums[s->count++] = *sum;
    return ST_OK;
}

static void sums_add_up_by_name_and_day(void **state)
{
    static const struct {
        enum ledger_by by;
        size_t count;
        const char *first;
        int64_t attempts;
        int64_t cost;
        int64_t unpriced;
    } cases[] = {
        {LEDGER_BY_TENANT, 2, "alice", 8, 700 * 6, 2},      {LEDGER_BY_EXPERT, 2, "free", 3, 0, 3},
        {LEDGER_BY_CATEGORY, 1, "medical", 12, 700 * 9, 3}, {LEDGER_BY_KEY, 1, "", 12, 700 * 9, 3},
        {LEDGER_BY_DAY, 1, "1970-01-01", 12, 700 * 9, 3},
    };

    struct fixture f;
    (void)state;
    start(&f);
    fill(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct sums sums = {.count = 0};
        struct ledger_filter all = {.since_ms = 0};
        assert_int_equal(ledger_sum_by(f.db, &all, cases[i].by, take_sum, &sums), ST_OK);
        assert_int_equal(sums.count, cases[i].count);
        assert_string_equal(sums.names[0], cases[i].first);
        assert_int_equal(sums.sums[0].attempts, cases[i].attempts);
        assert_int_equal(sums.sums[0].cost_nano_usd, cases[i].cost);
        assert_int_equal(sums.sums[0].unpriced, cases[i].unpriced);
        assert_int_equal(sums.sums[0].prompt_tokens, 10 * cases[i].attempts);
    }
    stop(&f);
}

static void what_was_spent_comes_from_the_hours(void **state)
{
    static const struct {
        struct ledger_filter filter;
        int64_t spent;
    } cases[] = {
        {{.since_ms = 0}, 700 * 9},
        {{.tenant = {"bob", 3}}, 700 * 3},
        {{.expert = {"free", 4}}, 0},
        {{.since_ms = HOUR_MS}, 700 * 6},
        {{.since_ms = 2 * HOUR_MS, .tenant = {"alice", 5}}, 700 * 3},
        {{.until_ms = HOUR_MS}, 700 * 3},
    };

    struct fixture f;
    (void)state;
    start(&f);
    fill(&f);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t spent = -1;
        assert_int_equal(ledger_spent(f.db, &cases[i].filter, &spent), ST_OK);
        if (spent != cases[i].spent) {
            fail_msg("case %zu: %lld", i, (long long)spent);
        }
    }
    stop(&f);
}

static void whoever_changes_a_row_is_found_out(void **state)
{
    static const struct {
        const char *sql; /* NULL: nothing was changed */
        const char *why;
    } cases[] = {
        {NULL, NULL},
        {"UPDATE ledger SET cost_nano_usd = 1 WHERE id = 5", "row 5"},
        {"UPDATE ledger SET tenant = 'mallory' WHERE id = 12", "row 12"},
        {"UPDATE ledger SET outcome = 'cut' WHERE id = 1", "row 1 "},
        {"DELETE FROM ledger WHERE id = 7", "rows are missing"},
        {"DELETE FROM ledger WHERE id = 1", "rows are missing"},
        {"DELETE FROM ledger WHERE id = 12", "differ"},
        {"DELETE FROM ledger", "differ"},
        {"DELETE FROM ledger WHERE id = 12; UPDATE ledger SET id = 12 WHERE id = 11", "row 12"},
        {"UPDATE ledger_hours SET cost_nano_usd = cost_nano_usd + 1 WHERE hour = 1", "hour 1 "},
        {"DELETE FROM ledger_hours WHERE hour = 2", "hour 2 "},
        {"INSERT INTO ledger_hours VALUES (9, '', '', '', '', 1, 0, 0, 0, 0, 0, 0)", "hour 9 "},
        {"UPDATE ledger SET digest = x'00' WHERE id = 3", "row 3"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        int64_t rows = 0;
        char why[LEDGER_WHY_BYTES] = "";
        start(&f);
        fill(&f);
        if (cases[i].sql != NULL) {
            assert_int_equal(db_exec(f.db, cases[i].sql), ST_OK);
        }
        enum status st = ledger_verify(f.db, &rows, why);
        if (st != (cases[i].sql == NULL ? ST_OK : ST_INVALID) ||
            (cases[i].why != NULL && strstr(why, cases[i].why) == NULL)) {
            fail_msg("%s: %d, %s", cases[i].sql == NULL ? "-" : cases[i].sql, (int)st, why);
        }
        stop(&f);
    }
}

static void an_empty_ledger_is_in_order(void **state)
{
    struct fixture f;
    int64_t rows = -1;
    char why[LEDGER_WHY_BYTES] = "";
    (void)state;
    start(&f);
    assert_int_equal(ledger_verify(f.db, &rows, why), ST_OK);
    assert_int_equal(rows, 0);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_back_as_they_were_written),
        cmocka_unit_test(an_attempt_is_written_once),
        cmocka_unit_test(filters_pass_what_they_name),
        cmocka_unit_test(sums_add_up_by_name_and_day),
        cmocka_unit_test(what_was_spent_comes_from_the_hours),
        cmocka_unit_test(whoever_changes_a_row_is_found_out),
        cmocka_unit_test(an_empty_ledger_is_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
