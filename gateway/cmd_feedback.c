/* expertd feedback: reads the feedback in the state file. Beside a running server it only reads. There
 * is no text of prompts to show: none is stored. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/json_write.h"
#include "gateway/cmd.h"
#include "gateway/feedback.h"
#include "gateway/learner.h"
#include "gateway/snapshot.h"
#include "router/features.h"

enum {
    WHEN_BYTES = 32,
    LINE_MAX_BYTES = 1024 * 1024,
};

static void help(FILE *out)
{
    (void)fputs("usage: expertd feedback list|export|stats|rollback --config FILE\n"
                "\n"
                "What people said of decisions (POST /v1/feedback), from the state file.\n"
                "\n"
                "  list      a line per request\n"
                "  export    the same as JSON, a line each, with the hashes of the features\n"
                "  stats     how many there are, and which categories they correct\n"
                "  rollback  forget what router.online has learned from them; they stay\n"
                "\n"
                "  -c, --config FILE  configuration (YAML or JSON)\n"
                "  -h, --help         this text\n"
                "\n"
                "The file holds no prompts: only hashes of the features that they were routed by.\n"
                "`expertd train --from-feedback FILE` learns from them.\n",
                out);
}

static struct str or_dash(struct str s)
{
    return s.len == 0 ? STR("-") : s;
}

static void write_when(char out[WHEN_BYTES], int64_t seconds)
{
    time_t t = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&t, &tm) == NULL || strftime(out, WHEN_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0) {
        out[0] = '\0';
    }
}

static enum status list_row(void *ctx, const struct feedback_row *row)
{
    char when[WHEN_BYTES];
    (void)ctx;
    write_when(when, row->created_s);
    (void)printf("%s  %.*s  %-4.*s  %.*s -> %.*s  %.4f  %.*s -> %.*s  %.*s\n", when,
                 STR_ARG(row->request_id), STR_ARG(or_dash(row->rating)),
                 STR_ARG(or_dash(row->routed_category)), STR_ARG(or_dash(row->category)),
                 row->confidence, STR_ARG(or_dash(row->routed_expert)),
                 STR_ARG(or_dash(row->expert)), STR_ARG(row->scores));
    return ST_OK;
}

/* ---------------------------------------------------------------- export */

static enum status write_texts(struct buf *line, const struct feedback_row *row)
{
    const struct {
        const char *name;
        struct str text;
    } members[] = {
        {"category", row->category},
        {"rating", row->rating},
        {"expert", row->expert},
        {"routed_category", row->routed_category},
        {"routed_expert", row->routed_expert},
    };

    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof members / sizeof members[0]; i++) {
        if (members[i].text.len > 0) {
            st = buf_printf(line, ",\"%s\":", members[i].name);
            st = st == ST_OK ? json_write_text(line, members[i].text) : st;
        }
    }
    return st;
}

static enum status write_line(struct buf *line, const struct feedback_row *row)
{
    enum status st = buf_append(line, STR("{\"request_id\":"));
    if (st == ST_OK) {
        st = json_write_text(line, row->request_id);
    }
    if (st == ST_OK) {
        st = buf_printf(line, ",\"created_s\":%" PRId64, row->created_s);
    }
    if (st == ST_OK) {
        st = write_texts(line, row);
    }
    if (st == ST_OK && row->scores.len > 0) {
        st = buf_printf(line, ",\"scores\":%.*s", STR_ARG(row->scores));
    }
    if (st == ST_OK) {
        st = buf_printf(line, ",\"confidence\":%.4f,\"feature_scheme\":%d,\"features\":[",
                        row->confidence, (int)FEATURES_SCHEME);
    }
    for (size_t i = 0; st == ST_OK && i < row->hash_count; i++) {
        st = buf_printf(line, i == 0 ? "%" PRIu32 : ",%" PRIu32, row->hashes[i]);
    }
    return st == ST_OK ? buf_append(line, STR("]}\n")) : st;
}

static enum status export_row(void *ctx, const struct feedback_row *row)
{
    struct buf *line = ctx;
    buf_reset(line);
    enum status st = write_line(line, row);
    if (st == ST_OK && fwrite(line->data + line->head, 1, line->len, stdout) != line->len) {
        st = ST_IO;
    }
    return st;
}

static enum status export_all(struct db *db)
{
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    enum status st = feedback_each(db, export_row, &line);
    buf_fini(&line);
    return st;
}

static enum status list_all(struct db *db)
{
    return feedback_each(db, list_row, NULL);
}

static enum status print_stats(struct db *db)
{
    struct db_query *q = db_query(
        db,
        "SELECT coalesce(routed_category, '-'), coalesce(category, '-'), count(*), "
        "sum(rating = 'good'), sum(rating = 'bad') FROM feedback GROUP BY 1, 2 ORDER BY 3 DESC, "
        "1, 2");
    enum status st = db_next(q);
    (void)printf("%8s %8s %8s  routed -> said\n", "rows", "good", "bad");
    while (st == ST_OK) {
        (void)printf("%8" PRId64 " %8" PRId64 " %8" PRId64 "  %.*s -> %.*s\n", db_int(q, 2),
                     db_int(q, 3), db_int(q, 4), STR_ARG(db_text(q, 0)), STR_ARG(db_text(q, 1)));
        st = db_next(q);
    }
    return db_end(q);
}

/* ---------------------------------------------------------------- command */

static enum status roll_back(struct db *db)
{
    enum status st = learner_rollback_file(db);
    if (st == ST_OK) {
        (void)puts("rolled back; a running server notices with its next reload or feedback");
    }
    return st;
}

static const struct {
    const char *name;
    enum status (*run)(struct db *db);
    enum db_mode mode;
} actions[] = {
    {"list", list_all, DB_READ},
    {"export", export_all, DB_READ},
    {"stats", print_stats, DB_READ},
    {"rollback", roll_back, DB_WRITE},
};

enum {
    ACTIONS = sizeof actions / sizeof actions[0]
};

static int run(size_t action, const struct snapshot *s)
{
    struct db *db = cmd_open_state("feedback", s, actions[action].mode);
    if (db == NULL) {
        return 1;
    }
    enum status st = actions[action].run(db);
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd feedback: %s: %s\n", status_text(st), db_why(db));
    }
    db_close(db);
    return st == ST_OK ? 0 : 1;
}

int cmd_feedback(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    const char *path = NULL;
    struct snapshot *s = NULL;
    size_t action = 0;
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:h", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:h", options, NULL)) {
        if (c != 'c') {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
        path = optarg;
    }
    const char *wanted = optind + 1 == argc ? argv[optind] : "";
    while (action < ACTIONS && strcmp(actions[action].name, wanted) != 0) {
        action++;
    }
    if (path == NULL || action == ACTIONS) {
        help(stderr);
        return 2;
    }
    if (snapshot_load(path, stderr, &s) != ST_OK) {
        return 1;
    }
    int failed = run(action, s);
    snapshot_unref(s);
    return failed;
}
