/* expertd profile: which experts carry the traffic, and what memory they take. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/cmd.h"
#include "gateway/profile.h"
#include "gateway/snapshot.h"

enum {
    ARENA_BLOCK_BYTES = 65536,
    ARENA_MAX_BYTES = 4 * 1024 * 1024,
    TEXT_MAX_BYTES = 1024 * 1024,
};

struct request { /* what the command line asks for */
    const char *config;
    const char *ledger;
    double share;
    bool json;
};

static void help(FILE *out)
{
    (void)fputs(
        "usage: expertd profile [--config FILE] [--from-ledger DB] [options]\n"
        "\n"
        "The fewest experts that answer most of the traffic, and the memory that they take: what is\n"
        "worth keeping loaded. Counts attempts in the ledger; answers from the cache need no expert.\n"
        "\n"
        "  -c, --config FILE      configuration: its state file, and the memory of managed experts\n"
        "      --from-ledger DB   this state file\n"
        "      --cover SHARE      of the requests, 0 to 1 (default: 0.97)\n"
        "      --json             one object\n"
        "  -h, --help             this text\n",
        out);
}

/* What managed experts are declared to take. */
static void fill_memory(struct profile *p, const struct snapshot *s)
{
    const struct expert *experts = s->conf.routes.experts.items;
    for (size_t i = 0; i < p->count; i++) {
        for (size_t k = 0; k < s->conf.routes.experts.count; k++) {
            const struct expert *e = &experts[k];
            if (expert_is_managed(e) && str_eq(e->id.name, p->experts[i].name)) {
                p->experts[i].bytes = e->process_spec.memory_bytes;
            }
        }
    }
}

static enum status print(const struct request *r, struct profile *p)
{
    struct buf text;
    buf_init(&text, TEXT_MAX_BYTES);
    profile_cover(p, r->share);
    enum status st = r->json ? profile_write_json(p, &text) : profile_write(p, &text);
    if (st == ST_OK) {
        (void)printf("%.*s", STR_ARG(buf_str(&text)));
    }
    buf_fini(&text);
    return st;
}

static int run(const struct request *r, const struct snapshot *s)
{
    struct profile p;
    struct db *db = r->ledger != NULL ? cmd_open_file("profile", r->ledger, DB_READ)
                                      : cmd_open_state("profile", s, DB_READ);
    if (db == NULL) {
        return 1;
    }
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    enum status st = arena == NULL
                         ? ST_NO_MEMORY
                         : profile_read(db, &(struct ledger_filter){.since_ms = 0}, arena, &p);
    if (st == ST_OK) {
        if (s != NULL) {
            fill_memory(&p, s);
        }
        st = print(r, &p);
    }
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd profile: %s: %s\n", status_text(st), db_why(db));
    }
    arena_destroy(arena);
    db_close(db);
    return st == ST_OK ? 0 : 1;
}

static bool parse_share(const char *text, double *ret)
{
    char *end = NULL;
    double share = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(share) || share < 0.0 || share > 1.0) {
        (void)fprintf(stderr, "expertd profile: --cover is a share from 0 to 1, not \"%s\"\n",
                      text);
        return false;
    }
    *ret = share;
    return true;
}

int cmd_profile(int argc, char **argv)
{
    enum {
        OPT_LEDGER = 256,
        OPT_COVER,
        OPT_JSON,
    };

    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"from-ledger", required_argument, NULL, OPT_LEDGER},
        {"cover", required_argument, NULL, OPT_COVER},
        {"json", no_argument, NULL, OPT_JSON},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    struct request r = {.share = 0.97};
    struct snapshot *s = NULL;
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:h", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:h", options, NULL)) {
        if (c == 'c') {
            r.config = optarg;
        } else if (c == OPT_LEDGER) {
            r.ledger = optarg;
        } else if (c == OPT_JSON) {
            r.json = true;
        } else if (c == 'h') {
            help(stdout);
            return 0;
        } else if (c != OPT_COVER || !parse_share(optarg, &r.share)) {
            help(stderr);
            return 2;
        }
    }
    if ((r.config == NULL && r.ledger == NULL) || optind != argc) {
        help(stderr);
        return 2;
    }
    if (r.config != NULL && snapshot_load(r.config, stderr, &s) != ST_OK) {
        return 1;
    }
    int failed = run(&r, s);
    snapshot_unref(s);
    return failed;
}
