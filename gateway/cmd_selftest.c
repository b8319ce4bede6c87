/* expertd selftest: how the operator's policies take the sixteen failures of experts. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json_write.h"
#include "base/log.h"
#include "gateway/cmd.h"
#include "gateway/selftest.h"

enum {
    TARGETS_MAX = 64,
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 64 * 1024 * 1024,
    LINE_BYTES_MAX = 16 * 1024,
    FOLDER_BYTES = 1024,
    NANO = 1000000000,
};

struct tally {
    size_t passed;
    size_t failed;
};

static void help(FILE *out)
{
    (void)fputs(
        "usage: expertd selftest --config FILE [--model NAME] [--json]\n"
        "\n"
        "Plays the sixteen failover scenarios (docs/failover.md) on a configuration: its policies,\n"
        "categories and aliases, its experts replaced by kernels of which the first one fails.\n"
        "Without network; nothing that the file names is read but for a check, nothing written.\n"
        "Deadlines that a scenario runs into are shortened, in proportion.\n"
        "\n"
        "  -c, --config FILE  configuration (YAML or JSON)\n"
        "  -m, --model NAME   this category/NAME or alias alone; absent: each list of experts that\n"
        "                     categories and aliases have; of those with one expert, one\n"
        "  -j, --json         a JSON object for each run, a line each\n"
        "  -h, --help         this text\n"
        "\n"
        "Exits 0 if all runs passed: where another expert can answer, it did; else the client was\n"
        "told. 1 if not, with the reason.\n",
        out);
}

static void print_result(const struct selftest_result *r)
{
    char cost[64];
    (void)snprintf(cost, sizeof cost, "%" PRId64 " rows, %" PRId64 ".%09" PRId64 " USD%s", r->rows,
                   r->cost_nano_usd / NANO, r->cost_nano_usd % NANO, r->unpriced > 0 ? "?" : "");
    (void)printf("%-3s  %-26s  %-18s  %-6s  %-26s  %2" PRId64 "  %-24s  %s%s%s\n", r->id, r->name,
                 r->did, r->is_stream ? "stream" : "plain", r->got, r->attempts, cost,
                 r->is_passed ? "pass" : "FAIL", r->is_passed ? "" : ": ", r->why);
}

/* A member with a text, a comma before it. */
static enum status write_member(struct buf *line, const char *name, struct str text)
{
    enum status st = buf_printf(line, ",\"%s\":", name);
    return st == ST_OK ? json_write_text(line, text) : st;
}

static enum status print_json(struct str model, const struct selftest_result *r)
{
    struct buf line;
    buf_init(&line, LINE_BYTES_MAX);
    enum status st = buf_append(&line, STR("{\"model\":"));
    st = st == ST_OK ? json_write_text(&line, model) : st;
    st = st == ST_OK ? write_member(&line, "scenario", str_from(r->id)) : st;
    st = st == ST_OK ? write_member(&line, "name", str_from(r->name)) : st;
    st = st == ST_OK ? write_member(&line, "expert_did", str_from(r->did)) : st;
    st =
        st == ST_OK ? write_member(&line, "mode", r->is_stream ? STR("stream") : STR("plain")) : st;
    st = st == ST_OK ? write_member(&line, "client_got", str_from(r->got)) : st;
    st = st == ST_OK ? write_member(&line, "attempt_log", str_from(r->log)) : st;
    st =
        st == ST_OK ? write_member(&line, "verdict", r->is_passed ? STR("pass") : STR("fail")) : st;
    st = st == ST_OK ? write_member(&line, "reason", str_from(r->why)) : st;
    st = st == ST_OK ? buf_printf(&line,
                                  ",\"attempts\":%" PRId64 ",\"ledger_rows\":%" PRId64
                                  ",\"cost_nano_usd\":%" PRId64 ",\"unpriced\":%" PRId64 "}",
                                  r->attempts, r->rows, r->cost_nano_usd, r->unpriced)
                     : st;
    if (st == ST_OK) {
        (void)printf("%.*s\n", STR_ARG(buf_str(&line)));
    }
    buf_fini(&line);
    return st;
}

static void print_heading(const struct selftest_target *target)
{
    (void)printf("%.*s:", STR_ARG(target->model));
    for (size_t i = 0; i < target->count; i++) {
        (void)printf(" %.*s", STR_ARG(target->experts[i]->id.name));
    }
    (void)printf("; %.*s fails\n", STR_ARG(target->first->id.name));
    (void)printf("%-3s  %-26s  %-18s  %-6s  %-26s  %2s  %-24s  %s\n", "", "what happens", "script",
                 "mode", "the client got", "n", "ledger", "verdict");
}

static enum status play_target(const struct selftest *t, struct selftest_target *target,
                               bool is_json, struct tally *tally)
{
    char why[SELFTEST_TEXT_BYTES] = "";
    enum status st = selftest_probe(t, target, why);
    if (st == ST_INVALID) {
        (void)fprintf(
            stderr, "expertd selftest: nobody answers \"%.*s\", though all experts are well: %s\n",
            STR_ARG(target->model), why);
        tally->failed++;
        return ST_OK;
    }
    if (st == ST_OK && !is_json) {
        print_heading(target);
    }
    for (size_t i = 0; st == ST_OK && i < selftest_runs(); i++) {
        struct selftest_result result;
        st = selftest_run(t, target, i, &result);
        if (st != ST_OK || result.name == NULL) {
            continue; /* not played in this mode */
        }
        tally->passed += result.is_passed;
        tally->failed += !result.is_passed;
        if (is_json) {
            st = print_json(target->model, &result);
        } else {
            print_result(&result);
        }
    }
    return st;
}

static enum status play_all(const struct selftest *t, const char *model, bool is_json,
                            struct tally *tally)
{
    static struct selftest_target
        targets[TARGETS_MAX]; /* for the stack's sake; written here alone */
    size_t count = selftest_targets(t->s, model != NULL, targets, TARGETS_MAX);
    bool is_known = model == NULL && count > 0;
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        if (model == NULL || str_eq(targets[i].model, str_from(model))) {
            is_known = true;
            st = play_target(t, &targets[i], is_json, tally);
        }
    }
    if (!is_known && count == 0) {
        (void)fputs("expertd selftest: no expert here chats, and chats are what is played\n",
                    stderr);
        tally->failed++;
    } else if (!is_known) {
        (void)fprintf(stderr, "expertd selftest: \"%s\" is none of", model);
        for (size_t i = 0; i < count; i++) {
            (void)fprintf(stderr, " %.*s", STR_ARG(targets[i].model));
        }
        (void)fputs("\n", stderr);
        tally->failed++;
    }
    return st;
}

/* The operator's file, as a tree and as what it says; no kernel is made, no key read. */
static enum status load(const char *path, struct arena *arena, struct selftest *t,
                        struct snapshot **ret_snapshot)
{
    struct diags diags;
    struct yaml_node *root = NULL;
    enum status st = snapshot_try_file(path, NULL, stderr, ret_snapshot);
    if (st != ST_OK) {
        return st;
    }
    diags_init(&diags, arena);
    st = yaml_load(path, arena, &diags, &root);
    if (st == ST_OK) {
        t->root = root;
        t->s = *ret_snapshot;
    }
    return st;
}

/* What was wrong with a configuration that was made of a good one. */
static void show(FILE *file)
{
    rewind(file);
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        (void)fputc(c, stderr);
    }
}

static enum status run(const char *path, const char *model, bool is_json, struct tally *tally)
{
    char folder[FOLDER_BYTES];
    const char *temporary = getenv("TMPDIR");
    struct selftest t = {0};
    struct snapshot *s = NULL;
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    (void)snprintf(folder, sizeof folder, "%s/expertd-selftest-XXXXXX",
                   temporary == NULL || temporary[0] == '\0' ? "/tmp" : temporary);
    enum status st = arena == NULL ? ST_NO_MEMORY : load(path, arena, &t, &s);
    if (st == ST_OK) {
        t.out = tmpfile();
        st = t.out == NULL ? ST_IO : ST_OK;
    }
    if (st == ST_OK) {
        st = mkdtemp(folder) == NULL ? ST_IO : ST_OK;
        t.folder = str_from(folder);
    }
    if (st == ST_OK) {
        st = play_all(&t, model, is_json, tally);
        (void)rmdir(folder); /* empty: each run removes its files */
    }
    if (st == ST_INVALID && t.out != NULL) {
        show(t.out);
    }
    if (t.out != NULL) {
        (void)fclose(t.out);
    }
    snapshot_unref(s);
    arena_destroy(arena);
    return st;
}

int cmd_selftest(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"model", required_argument, NULL, 'm'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    const char *path = NULL;
    const char *model = NULL;
    bool is_json = false;
    struct tally tally = {0};
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:m:jh", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:m:jh", options, NULL)) {
        if (c == 'c') {
            path = optarg;
        } else if (c == 'm') {
            model = optarg;
        } else if (c == 'j') {
            is_json = true;
        } else {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
    }
    if (path == NULL || optind < argc) {
        (void)fputs(path == NULL ? "expertd selftest: --config FILE is missing\n"
                                 : "expertd selftest: too many arguments\n",
                    stderr);
        return 2;
    }
    log_set_level(LOG_ERROR);
    enum status st = run(path, model, is_json, &tally);
    if (st != ST_OK && st != ST_INVALID) {
        (void)fprintf(stderr, "expertd selftest: %s\n", status_text(st));
    }
    if (st == ST_OK && !is_json) {
        (void)printf("%zu passed, %zu failed\n", tally.passed, tally.failed);
    }
    return st == ST_OK && tally.failed == 0 ? 0 : 1;
}
