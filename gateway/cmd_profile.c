/* expertd profile: which experts carry the traffic, and what memory they take. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/cmd.h"
#include "gateway/cmd_options.h"
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
    bool wants_help;
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

static bool take_share(void *place, const char *text)
{
    double *ret = place;
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
    struct request r = {.share = 0.97};
    struct snapshot *s = NULL;
    const struct cmd_option options[] = {
        {.name = "config", .kind = CMD_TEXT, .place = &r.config, .letter = 'c'},
        {.name = "from-ledger", .kind = CMD_TEXT, .place = &r.ledger},
        {.name = "cover", .kind = CMD_CALL, .place = &r.share, .take = take_share},
        {.name = "json", .kind = CMD_FLAG, .place = &r.json},
        {.name = "help", .kind = CMD_HELP, .place = &r.wants_help, .letter = 'h'},
    };
    bool is_read = cmd_options_read(argc, argv, options, sizeof options / sizeof options[0]);
    if (r.wants_help || !is_read || (r.config == NULL && r.ledger == NULL)) {
        help(r.wants_help ? stdout : stderr);
        return r.wants_help ? 0 : 2;
    }
    if (r.config != NULL && snapshot_load(r.config, stderr, &s) != ST_OK) {
        return 1;
    }
    int failed = run(&r, s);
    snapshot_unref(s);
    return failed;
}
