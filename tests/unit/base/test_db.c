/* The embedded database: modes of its files, what it refuses to open, migrations, sticky errors. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db.h"
#include "base/mem.h"
#include "tests/support/test.h"

struct place { /* a folder that a test may fill */
    char folder[64];
    char path[128];
    char why[DB_WHY_BYTES];
    struct db *db;
};

static int set_up(void **state)
{
    struct place *p = mem_zalloc(1, sizeof *p);
    assert_non_null(p);
    (void)snprintf(p->folder, sizeof p->folder, "/tmp/expertd-db-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    (void)snprintf(p->path, sizeof p->path, "%s/sub/a.db", p->folder);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"sub/a.db", "sub/a.db-wal", "sub/a.db-shm", "sub", ""};

    struct place *p = *state;
    db_close(p->db);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "%s/%s", p->folder, names[i]);
        (void)remove(path);
    }
    mem_free(p);
    return 0;
}

static void open_new(struct place *p)
{
    assert_int_equal(db_open(p->path, DB_WRITE, &p->db, p->why), ST_OK);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_new_file_belongs_to_its_owner_alone(void **state)
{
    struct place *p = *state;
    struct stat file;
    char folder[128];
    (void)snprintf(folder, sizeof folder, "%s/sub", p->folder);

    open_new(p);

    assert_int_equal(stat(p->path, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0600);
    assert_int_equal(stat(folder, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0700);
}

static void rows_come_back_as_they_were_bound(void **state)
{
    struct place *p = *state;
    open_new(p);
    assert_int_equal(db_exec(p->db, "CREATE TABLE t (i, r, s, b, n)"), ST_OK);
    struct db_query *q = db_query(p->db, "INSERT INTO t VALUES (?1, ?2, ?3, ?4, ?5)");
    db_bind_int(q, 1, INT64_MIN);
    db_bind_real(q, 2, 0.1);
    db_bind_text(q, 3, STR("a\0b"));
    db_bind_blob(q, 4, "\xff\0", 2);
    db_bind_null(q, 5);
    int64_t changes = 0;
    assert_int_equal(db_run(q, &changes), ST_OK);
    assert_int_equal(changes, 1);

    q = db_query(p->db, "SELECT i, r, s, b, n FROM t");

    assert_int_equal(db_next(q), ST_OK);
    assert_true(db_int(q, 0) == INT64_MIN);
    assert_true(db_real(q, 1) >= 0.1 && db_real(q, 1) <= 0.1);
    test_assert_str(db_text(q, 2), STR("a\0b"));
    test_assert_str(db_blob(q, 3), STR("\xff\0"));
    assert_true(db_is_null(q, 4));
    assert_int_equal(db_next(q), ST_NOT_FOUND);
    assert_int_equal(db_end(q), ST_OK);
}

static void the_same_literal_is_prepared_once(void **state)
{
    struct place *p = *state;
    open_new(p);

    struct db_query *first = db_query(p->db, "SELECT 1");
    struct db_query *other = db_query(p->db, "SELECT 2");
    struct db_query *again = db_query(p->db, "SELECT 1");

    assert_ptr_equal(first, again);
    assert_ptr_not_equal(first, other);
}

static void a_wrong_statement_says_so_at_its_end(void **state)
{
    struct place *p = *state;
    open_new(p);
    struct db_query *q = db_query(p->db, "SELECT x FROM nowhere WHERE x = ?1");
    db_bind_int(q, 1, 1);

    assert_int_equal(db_next(q), ST_INVALID);

    assert_int_equal(db_end(q), ST_INVALID);
    assert_non_null(strstr(db_why(p->db), "no such table: nowhere"));
}

static void a_broken_constraint_does_not_stick_to_the_query(void **state)
{
    struct place *p = *state;
    open_new(p);
    assert_int_equal(db_exec(p->db, "CREATE TABLE t (i INTEGER PRIMARY KEY)"), ST_OK);
    for (int round = 0; round < 2; round++) {
        struct db_query *q = db_query(p->db, "INSERT INTO t VALUES (?1)");
        db_bind_int(q, 1, 7);
        assert_int_equal(db_run(q, NULL), round == 0 ? ST_OK : ST_INVALID);
    }

    struct db_query *q = db_query(p->db, "INSERT INTO t VALUES (?1)");
    db_bind_int(q, 1, 8);

    assert_int_equal(db_run(q, NULL), ST_OK);
}

static void steps_run_once_and_in_order(void **state)
{
    static const char *const steps[] = {"CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y"};

    struct place *p = *state;
    open_new(p);
    assert_int_equal(db_migrate(p->db, steps, 1, p->why), ST_OK);
    assert_int_equal(db_version(p->db), 1);

    assert_int_equal(db_migrate(p->db, steps, 2, p->why), ST_OK);
    assert_int_equal(db_migrate(p->db, steps, 2, p->why), ST_OK);

    assert_int_equal(db_version(p->db), 2);
    assert_int_equal(db_exec(p->db, "INSERT INTO a (x, y) VALUES (1, 2)"), ST_OK);
}

static void a_step_that_fails_leaves_nothing_behind(void **state)
{
    static const char *const steps[] = {"CREATE TABLE a (x); CREATE TABLE a (y)"};

    struct place *p = *state;
    open_new(p);

    assert_int_equal(db_migrate(p->db, steps, 1, p->why), ST_INVALID);

    assert_int_equal(db_version(p->db), 0);
    assert_false(db_in_transaction(p->db));
    assert_int_equal(db_exec(p->db, "CREATE TABLE a (z)"), ST_OK);
    assert_non_null(strstr(p->why, "table a already exists"));
}

static void a_newer_schema_is_refused(void **state)
{
    static const char *const steps[] = {"CREATE TABLE a (x)"};

    struct place *p = *state;
    open_new(p);
    assert_int_equal(db_exec(p->db, "PRAGMA user_version = 2"), ST_OK);

    assert_int_equal(db_migrate(p->db, steps, 1, p->why), ST_INVALID);

    assert_non_null(strstr(p->why, "version 2, this program knows up to 1"));
}

static void strange_files_are_refused(void **state)
{
    struct place *p = *state;
    open_new(p);
    db_close(p->db);
    p->db = NULL;
    write_file(p->path, "this has been a diary for thirty years, and no database at all\n");

    assert_int_equal(db_open(p->path, DB_WRITE, &p->db, p->why), ST_INVALID);

    assert_non_null(strstr(p->why, "not a database"));
}

static void another_programs_database_is_refused(void **state)
{
    struct place *p = *state;
    open_new(p);
    assert_int_equal(db_exec(p->db, "CREATE TABLE a (x); PRAGMA application_id = 99"), ST_OK);
    db_close(p->db);
    p->db = NULL;

    assert_int_equal(db_open(p->path, DB_WRITE, &p->db, p->why), ST_INVALID);

    test_assert_str(str_from(p->why), STR("a database of another program"));
}

static void damage_is_found_when_the_file_is_opened(void **state)
{
    struct place *p = *state;
    open_new(p);
    assert_int_equal(db_exec(p->db,
                             "CREATE TABLE a (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
                             "SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO a SELECT i "
                             "FROM n"),
                     ST_OK);
    db_close(p->db);
    p->db = NULL;
    int fd = open(p->path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    char junk[256];
    memset(junk, 0xa5, sizeof junk);
    assert_int_equal(pwrite(fd, junk, sizeof junk, 3L * 4096), sizeof junk);
    (void)close(fd);

    assert_int_equal(db_open(p->path, DB_WRITE, &p->db, p->why), ST_INVALID);

    assert_non_null(strstr(p->why, "damaged"));
}

static void a_reader_needs_the_file_and_cannot_write(void **state)
{
    struct place *p = *state;
    assert_int_equal(db_open(p->path, DB_READ, &p->db, p->why), ST_IO);
    open_new(p);
    assert_int_equal(db_exec(p->db, "CREATE TABLE a (x)"), ST_OK);

    struct db *reader = NULL;
    assert_int_equal(db_open(p->path, DB_READ, &reader, p->why), ST_OK);

    assert_int_equal(db_exec(reader, "INSERT INTO a VALUES (1)"), ST_IO);
    db_close(reader);
}

static void a_path_that_is_no_folder_is_an_error_of_the_disk(void **state)
{
    struct place *p = *state;

    assert_int_equal(db_open("/dev/null/a.db", DB_WRITE, &p->db, p->why), ST_IO);

    assert_non_null(strstr(p->why, "Not a directory"));
}

static void memory_runs_out_cleanly(void **state)
{
    struct place *p = *state;
    mem_fail_at(1, 1);
    enum status st = db_open(p->path, DB_WRITE, &p->db, p->why);
    mem_fail_at(0, 0);
    assert_int_equal(st, ST_NO_MEMORY);
    test_assert_str(str_from(p->why), STR("no memory"));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_file_belongs_to_its_owner_alone),
        CASE(rows_come_back_as_they_were_bound),
        CASE(the_same_literal_is_prepared_once),
        CASE(a_wrong_statement_says_so_at_its_end),
        CASE(a_broken_constraint_does_not_stick_to_the_query),
        CASE(steps_run_once_and_in_order),
        CASE(a_step_that_fails_leaves_nothing_behind),
        CASE(a_newer_schema_is_refused),
        CASE(strange_files_are_refused),
        CASE(another_programs_database_is_refused),
        CASE(damage_is_found_when_the_file_is_opened),
        CASE(a_reader_needs_the_file_and_cannot_write),
        CASE(a_path_that_is_no_folder_is_an_error_of_the_disk),
        CASE(memory_runs_out_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
