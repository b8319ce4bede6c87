/* Chains: old rows go from the beginning and the rest still verifies; anchors tell what went at the
 * end; receipts are chained as the ledger is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/ledger.h"
#include "gateway/receipts.h"
#include "gateway/state.h"
#include "tests/support/test.h"

enum {
    HOUR_MS = 3600 * 1000,
};

static const int64_t DAY_MS = 24 * (int64_t)HOUR_MS;

struct fixture {
    char folder[64];
    char path[96];
    struct db *db;
};

static void start(struct fixture *f)
{
    char why[DB_WHY_BYTES];
    (void)snprintf(f->folder, sizeof f->folder, "/tmp/expertd-chain-XXXXXX");
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

/* A row of each an hour. */
static void fill(struct fixture *f, int count)
{
    for (int i = 0; i < count; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "req_%d", i);
        struct ledger_row row = {.request_id = str_from(id),
                                 .attempt = 1,
                                 .expert = STR("med"),
                                 .outcome = STR("ok"),
                                 .cost_nano_usd = 7,
                                 .started_ms = i * (int64_t)HOUR_MS,
                                 .ended_ms = i * (int64_t)HOUR_MS + 1};
        struct receipt_row receipt = {.request_id = str_from(id),
                                      .made_ms = i * (int64_t)HOUR_MS,
                                      .weights = UINT64_MAX,
                                      .signals = STR("abc"),
                                      .decision = STR("{}"),
                                      .outcome = STR("ok"),
                                      .cost_nano_usd = -1};
        assert_int_equal(ledger_write(f->db, &row), ST_OK);
        assert_int_equal(receipts_write(f->db, &receipt), ST_OK);
    }
}

static int64_t whole_rows(struct fixture *f, enum chain chain)
{
    char why[CHAIN_WHY_BYTES] = "";
    int64_t rows = -1;
    enum status st = chain == CHAIN_LEDGER ? ledger_verify(f->db, &rows, why)
                                           : receipts_verify(f->db, &rows, why);
    if (st != ST_OK) {
        fail_msg("%s: %s", chain_name(chain), why);
    }
    return rows;
}

static void old_rows_go_and_the_rest_is_whole(void **state)
{
    struct fixture f;
    int64_t removed = 0;
    int64_t spent = 0;
    (void)state;
    start(&f);
    fill(&f, 10);

    for (enum chain chain = CHAIN_LEDGER; chain <= CHAIN_RECEIPTS; chain++) {
        assert_int_equal(chain_prune(f.db, chain, 4 * HOUR_MS + 99, 100, &removed), ST_OK);
        assert_int_equal(removed, 4);
        assert_int_equal(whole_rows(&f, chain), 6);
        assert_int_equal(chain_prune(f.db, chain, 4 * HOUR_MS + 99, 100, &removed), ST_OK);
        assert_int_equal(removed, 0);
    }
    fill(&f, 0);
    struct ledger_filter all = {.since_ms = 0};
    assert_int_equal(ledger_spent(f.db, &all, &spent), ST_OK);
    assert_int_equal(spent, 70); /* the sums stay */
    stop(&f);
}

static void all_rows_may_go_and_the_chain_goes_on(void **state)
{
    struct fixture f;
    int64_t removed = 0;
    struct chain_link last;
    (void)state;
    start(&f);
    fill(&f, 3);

    assert_int_equal(chain_prune(f.db, CHAIN_RECEIPTS, 100 * (int64_t)HOUR_MS, 2, &removed), ST_OK);
    assert_int_equal(removed, 2);
    assert_int_equal(chain_prune(f.db, CHAIN_RECEIPTS, 100 * (int64_t)HOUR_MS, 2, &removed), ST_OK);
    assert_int_equal(removed, 1);
    struct receipt_row next = {.request_id = STR("req_next"), .decision = STR("{}")};
    assert_int_equal(receipts_write(f.db, &next), ST_OK);

    assert_int_equal(chain_last(f.db, CHAIN_RECEIPTS, &last), ST_OK);
    assert_int_equal(last.id, 4);
    assert_int_equal(whole_rows(&f, CHAIN_RECEIPTS), 1);
    stop(&f);
}

static void rows_that_vanish_after_pruning_are_missed(void **state)
{
    static const char *const sqls[] = {
        "DELETE FROM receipts WHERE id = 5", "DELETE FROM receipts WHERE id = 7",
        "UPDATE chain_starts SET id = 5", "UPDATE chain_starts SET digest = x'00'",
        "DELETE FROM chain_starts"};

    (void)state;
    for (size_t i = 0; i < sizeof sqls / sizeof sqls[0]; i++) {
        struct fixture f;
        char why[CHAIN_WHY_BYTES] = "";
        int64_t n = 0;
        start(&f);
        fill(&f, 10);
        assert_int_equal(chain_prune(f.db, CHAIN_RECEIPTS, 4 * HOUR_MS, 100, &n), ST_OK);
        assert_int_equal(db_exec(f.db, sqls[i]), ST_OK);

        assert_int_equal(receipts_verify(f.db, &n, why), ST_INVALID);

        assert_true(why[0] != '\0');
        stop(&f);
    }
}

static void anchors_hold_until_their_row_goes(void **state)
{
    struct fixture f;
    struct chain_link link;
    char anchor[CHAIN_ANCHOR_BYTES];
    char why[CHAIN_WHY_BYTES] = "";
    int64_t removed = 0;
    (void)state;
    start(&f);
    fill(&f, 4);
    assert_int_equal(chain_last(f.db, CHAIN_LEDGER, &link), ST_OK);
    chain_write_anchor(CHAIN_LEDGER, &link, anchor);
    struct str text = str_from(anchor);

    assert_int_equal(chain_check_anchor(f.db, CHAIN_LEDGER, text, why), ST_OK);
    assert_int_equal(chain_check_anchor(f.db, CHAIN_RECEIPTS, text, why), ST_NOT_FOUND);
    fill(&f, 0);
    assert_int_equal(chain_prune(f.db, CHAIN_LEDGER, 5 * HOUR_MS, 100, &removed), ST_OK);
    assert_int_equal(removed, 4);
    assert_int_equal(chain_check_anchor(f.db, CHAIN_LEDGER, text, why),
                     ST_OK); /* it starts there */
    assert_int_equal(db_exec(f.db, "UPDATE chain_starts SET id = 9"), ST_OK);
    assert_int_equal(chain_check_anchor(f.db, CHAIN_LEDGER, text, why), ST_INVALID);
    assert_non_null(strstr(why, "for their age"));
    stop(&f);
}

#define DIGEST "d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b"

static void odd_anchors_are_refused(void **state)
{
    static const char *const anchors[] = {
        "ledger:",
        "ledger:1",
        "ledger:x:sha256:00",
        "ledger:1:sha256:00",
        "ledger:99999999999999999999:sha256:" DIGEST,
        "ledger:1:sha256:" DIGEST,
    };

    struct fixture f;
    char why[CHAIN_WHY_BYTES] = "";
    (void)state;
    start(&f);
    fill(&f, 1);
    for (size_t i = 0; i < sizeof anchors / sizeof anchors[0]; i++) {
        assert_int_equal(chain_check_anchor(f.db, CHAIN_LEDGER, str_from(anchors[i]), why),
                         ST_INVALID);
    }
    stop(&f);
}

static void age_is_looked_at_now_and_then(void **state)
{
    struct fixture f;
    (void)state;
    start(&f);
    fill(&f, 256); /* more than ten days */

    assert_int_equal(chain_keep(f.db, CHAIN_RECEIPTS, 0, 20 * DAY_MS), ST_OK);
    assert_int_equal(whole_rows(&f, CHAIN_RECEIPTS), 256);
    assert_int_equal(chain_keep(f.db, CHAIN_RECEIPTS, 5, 10 * DAY_MS), ST_OK);
    assert_int_equal(whole_rows(&f, CHAIN_RECEIPTS), 256 - 5 * 24);
    assert_int_equal(whole_rows(&f, CHAIN_LEDGER), 256);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_rows_go_and_the_rest_is_whole),
        cmocka_unit_test(all_rows_may_go_and_the_chain_goes_on),
        cmocka_unit_test(rows_that_vanish_after_pruning_are_missed),
        cmocka_unit_test(anchors_hold_until_their_row_goes),
        cmocka_unit_test(odd_anchors_are_refused),
        cmocka_unit_test(age_is_looked_at_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
