/* The fewest experts that carry the traffic, from a ledger that is written here. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/profile.h"
#include "gateway/state.h"
#include "tests/support/test.h"

struct fixture {
    char folder[64];
    char path[96];
    struct db *db;
    struct arena *arena;
    int64_t requests;
};

static void start(struct fixture *f)
{
    char why[DB_WHY_BYTES];
    *f = (struct fixture){.folder = "/tmp/expertd-profile-XXXXXX"};
    assert_non_null(mkdtemp(f->folder));
    (void)snprintf(f->path, sizeof f->path, "%s/a.db", f->folder);
    assert_int_equal(state_open_file(f->path, DB_WRITE, &f->db, why), ST_OK);
    f->arena = arena_create(65536, 1024 * 1024);
    assert_non_null(f->arena);
}

static void stop(struct fixture *f)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    arena_destroy(f->arena);
    db_close(f->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        (void)unlink(name);
    }
    assert_int_equal(rmdir(f->folder), 0);
}

static void spend(struct fixture *f, const char *expert, const char *outcome, int times)
{
    for (int i = 0; i < times; i++) {
        char id[32];
        (void)snprintf(id, sizeof id, "r%lld", (long long)++f->requests);
        const struct ledger_row row = {.request_id = str_from(id),
                                       .attempt = 1,
                                       .expert = str_from(expert),
                                       .prompt_tokens = 10,
                                       .completion_tokens = 5,
                                       .outcome = str_from(outcome),
                                       .started_ms = 1000,
                                       .ended_ms = 2000};
        assert_int_equal(ledger_write(f->db, &row), ST_OK);
    }
}

static struct profile read_all(const struct fixture *f)
{
    struct profile p;
    const struct ledger_filter all = {.since_ms = 0};
    assert_int_equal(profile_read(f->db, &all, f->arena, &p), ST_OK);
    return p;
}

static void requests_are_counted_by_expert(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    spend(&f, "a", "ok", 3);
    spend(&f, "b", "failed", 2);
    spend(&f, "a", "cached", 5);
    spend(&f, "", "ok", 1);

    struct profile p = read_all(&f);

    assert_int_equal(p.count, 2);
    assert_int_equal(p.requests, 5);
    test_assert_str(p.experts[0].name, STR("a"));
    assert_int_equal(p.experts[0].requests, 3);
    assert_int_equal(p.experts[0].tokens, 45);
    stop(&f);
}

/* Of all sets of the experts the smallest that covers; by trying all. */
static size_t smallest(const struct profile *p, double share)
{
    size_t best = p->count;
    for (unsigned set = 0; set < 1U << p->count; set++) {
        int64_t sum = 0;
        size_t size = 0;
        for (size_t i = 0; i < p->count; i++) {
            bool is_in = (set >> i & 1U) != 0;
            sum += is_in ? p->experts[i].requests : 0;
            size += is_in ? 1 : 0;
        }
        best = (double)sum >= share * (double)p->requests && size < best ? size : best;
    }
    return best;
}

static void no_smaller_set_covers_the_share(void **state)
{
    static const double shares[] = {0.0, 0.3, 0.5, 0.75, 0.9, 0.97, 0.99, 1.0};
    static const int uses[] = {1, 40, 7, 7, 25, 2, 13, 5};
    (void)state;
    struct fixture f;
    start(&f);
    for (size_t i = 0; i < sizeof uses / sizeof uses[0]; i++) {
        const char name[2] = {(char)('a' + i), '\0'};
        spend(&f, name, "ok", uses[i]);
    }
    struct profile p = read_all(&f);
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        profile_cover(&p, shares[i]);
        assert_int_equal(p.chosen, smallest(&p, shares[i]));
        assert_true((double)p.covered >= shares[i] * (double)p.requests);
    }
    stop(&f);
}

static void an_empty_ledger_needs_nobody(void **state)
{
    (void)state;
    struct fixture f;
    start(&f);
    struct profile p = read_all(&f);

    profile_cover(&p, 0.97);

    assert_int_equal(p.chosen, 0);
    stop(&f);
}

static void both_forms_tell_memory_and_what_is_not_known(void **state)
{
    (void)state;
    struct fixture f;
    struct buf out;
    start(&f);
    buf_init(&out, 4096);
    spend(&f, "big", "ok", 90);
    spend(&f, "far", "ok", 8);
    spend(&f, "rare", "ok", 2);
    struct profile p = read_all(&f);
    p.experts[0].bytes = 3 * 1024 * 1024;
    profile_cover(&p, 0.97);

    assert_int_equal(profile_write_json(&p, &out), ST_OK);
    test_assert_str(
        buf_str(&out),
        STR("{\"requests\":100,\"asked\":0.970000,\"covered\":98,\"memory_bytes\":3145728,"
            "\"memory_unknown\":1,\"experts\":[{\"expert\":\"big\",\"requests\":90,\"tokens\":1350,"
            "\"chosen\":true,\"memory_bytes\":3145728},{\"expert\":\"far\",\"requests\":8,"
            "\"tokens\":120,\"chosen\":true,\"memory_bytes\":null},{\"expert\":\"rare\","
            "\"requests\":2,\"tokens\":30,\"chosen\":false,\"memory_bytes\":null}]}\n"));
    buf_reset(&out);
    assert_int_equal(profile_write(&p, &out), ST_OK);
    struct str last =
        STR("2 of 3 experts cover 98.00 % of 100 requests (asked: 97.00 %) and take 3 "
            "MiB, and what the 1 without a figure take\n");
    assert_true(str_ends_with(buf_str(&out), last));
    buf_fini(&out);
    stop(&f);
}

static void no_memory_is_said_and_leaves_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct profile p;
    const struct ledger_filter all = {.since_ms = 0};
    start(&f);
    spend(&f, "a", "ok", 1);
    struct arena *small = arena_create(1024, 2048);

    assert_int_equal(profile_read(f.db, &all, small, &p), ST_NO_MEMORY);

    arena_destroy(small);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_by_expert),
        cmocka_unit_test(no_smaller_set_covers_the_share),
        cmocka_unit_test(an_empty_ledger_needs_nobody),
        cmocka_unit_test(both_forms_tell_memory_and_what_is_not_known),
        cmocka_unit_test(no_memory_is_said_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
