/* Revoked keys: written once, found when a configuration is loaded. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/revoked.h"
#include "gateway/state.h"
#include "tests/support/snapshot_sample.h"
#include "tests/support/test.h"

#define KEYS                                                                                       \
    "experts: {small: {url: 'http://127.0.0.1:9/v1'}}\n"                                           \
    "categories: {general: {experts: [{expert: small, score: 0.5}]}}\n"                            \
    "tenants:\n"                                                                                   \
    "  - name: alice\n"                                                                            \
    "    keys: ['sha256:d810d1fc478099218de71105d21fccea994cc6c75f40eb6955e5e1549e25af8b']\n"      \
    "  - name: bob\n"                                                                              \
    "    keys: ['sha256:569d6dc33e6cbcc878485382e7cff31db1f43601ac33da2b60aa3c2f48af7500']\n"

struct fixture {
    char folder[64];
    char path[96];
    struct db *db;
    struct snapshot_sample sample;
    struct tenants *tenants;
};

static int set_up(void **state)
{
    static struct fixture f;
    char why[DB_WHY_BYTES];
    (void)snprintf(f.folder, sizeof f.folder, "/tmp/expertd-revoked-XXXXXX");
    assert_non_null(mkdtemp(f.folder));
    (void)snprintf(f.path, sizeof f.path, "%s/a.db", f.folder);
    assert_int_equal(state_open_file(f.path, DB_WRITE, &f.db, why), ST_OK);
    assert_int_equal(snapshot_sample_load(&f.sample, STR(KEYS)), ST_OK);
    f.tenants = &f.sample.snapshot->conf.tenants;
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm"};
    struct fixture *f = *state;
    snapshot_sample_fini(&f->sample);
    db_close(f->db);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char name[128];
        (void)snprintf(name, sizeof name, "%s%s", f->path, ends[i]);
        (void)unlink(name);
    }
    return rmdir(f->folder);
}

static enum status add_key(struct fixture *f, const char *key, int64_t now_s)
{
    struct digest digest;
    digest_of(str_from(key), &digest);
    return revoked_add(f->db, &digest, now_s);
}

static enum status find(const struct fixture *f, const char *key)
{
    const struct tenant_key *found = NULL;
    return tenants_find(f->tenants, str_from(key), 0, &found);
}

static void a_revoked_key_is_nobodys_and_others_stay(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_key(f, "sk-secret-alice", 1000), ST_OK);
    assert_int_equal(find(f, "sk-secret-alice"), ST_OK); /* until the file is read */

    assert_int_equal(revoked_mark(f->db, f->tenants), ST_OK);

    assert_int_equal(find(f, "sk-secret-alice"), ST_NOT_FOUND);
    assert_int_equal(find(f, "sk-secret-bob"), ST_OK);
}

static void nothing_revoked_marks_nothing(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(revoked_mark(f->db, f->tenants), ST_OK);

    assert_int_equal(find(f, "sk-secret-alice"), ST_OK);
    assert_int_equal(find(f, "sk-secret-bob"), ST_OK);
}

static void revoking_twice_keeps_the_first_time(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_key(f, "sk-secret-bob", 1000), ST_OK);
    assert_int_equal(add_key(f, "sk-secret-bob", 2000), ST_OK);

    struct db_query *q = db_query(f->db, "SELECT count(*), min(revoked_s) FROM revoked");
    assert_int_equal(db_next(q), ST_OK);
    assert_int_equal(db_int(q, 0), 1);
    assert_int_equal(db_int(q, 1), 1000);
    assert_int_equal(db_end(q), ST_OK);
}

static void a_revoked_key_that_no_tenant_has_is_passed_over(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(add_key(f, "sk-secret-gone", 1000), ST_OK);
    assert_int_equal(add_key(f, "sk-secret-bob", 1000), ST_OK);

    assert_int_equal(revoked_mark(f->db, f->tenants), ST_OK);

    assert_int_equal(find(f, "sk-secret-alice"), ST_OK);
    assert_int_equal(find(f, "sk-secret-bob"), ST_NOT_FOUND);
}

static void a_file_without_the_table_is_an_error(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(db_exec(f->db, "DROP TABLE revoked"), ST_OK);

    assert_int_equal(revoked_mark(f->db, f->tenants), ST_INVALID);
    assert_int_equal(add_key(f, "sk-secret-bob", 1000), ST_INVALID);

    assert_int_equal(find(f, "sk-secret-bob"), ST_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_revoked_key_is_nobodys_and_others_stay),
        TEST(nothing_revoked_marks_nothing),
        TEST(revoking_twice_keeps_the_first_time),
        TEST(a_revoked_key_that_no_tenant_has_is_passed_over),
        TEST(a_file_without_the_table_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
