/* expertd keys: makes keys for clients, lists them, revokes them. Keys live in the configuration, as
 * digests; which of them are revoked stands in the state file, where there is one. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/cmd.h"
#include "gateway/revoked.h"
#include "gateway/snapshot.h"

enum {
    PATIENCE_MS = 15000, /* for a server that writes all the time */
};

struct request {
    const char *conf_path;
    const char *tenant;
    const char *expires;
    const char *name;
    const char *what; /* of revoke */
};

static void help(FILE *out)
{
    (void)fputs(
        "usage: expertd keys new --tenant NAME [--expires DAY] [--name NAME]\n"
        "       expertd keys list --config FILE\n"
        "       expertd keys revoke --config FILE DIGEST|NAME\n"
        "\n"
        "Keys that clients send as Authorization: Bearer, x-api-key or api-key.\n"
        "\n"
        "  new     makes a key: prints it once on standard output, and on standard error\n"
        "          the line for the configuration, which has its digest only\n"
        "  list    a line per key: tenant, state, digest, name, place\n"
        "  revoke  writes into the state file that the keys no longer work, and says which\n"
        "          lines may go; without a state block it says which must. DIGEST may be its\n"
        "          beginning\n"
        "\n"
        "  -c, --config FILE    configuration (YAML or JSON)\n"
        "  -t, --tenant NAME    whose key\n"
        "  -e, --expires DAY    first day, in UTC, on which it no longer works: 2027-01-01\n"
        "  -n, --name NAME      what to call it\n"
        "  -h, --help           this text\n"
        "\n"
        "A running server takes what changed in the file with SIGHUP.\n",
        out);
}

/* ---------------------------------------------------------------- new */

static int make_key(const struct request *r)
{
    char key[API_KEY_BYTES];
    char text[DIGEST_TEXT_BYTES];
    struct digest digest;
    int64_t day = 0;
    if (r->tenant == NULL) {
        help(stderr);
        return 2;
    }
    if (r->expires != NULL && tenants_read_day(str_from(r->expires), &day) != ST_OK) {
        (void)fprintf(stderr, "expertd keys: \"%s\" is no day such as 2027-01-01\n", r->expires);
        return 2;
    }
    if (api_key_make(key) != ST_OK) {
        (void)fputs("expertd keys: the kernel gives no random numbers\n", stderr);
        return 1;
    }
    digest_of(str_from(key), &digest);
    digest_write(&digest, text);
    (void)puts(key);
    digest_wipe(key, sizeof key);
    (void)fprintf(stderr,
                  "This is the only time the key is shown. Under \"keys\" of tenant \"%s\":\n"
                  "      - {sha256: \"%s\"%s%s%s%s}\n",
                  r->tenant, text, r->expires != NULL ? ", expires: " : "",
                  r->expires != NULL ? r->expires : "", r->name != NULL ? ", name: " : "",
                  r->name != NULL ? r->name : "");
    return 0;
}

/* ---------------------------------------------------------------- list, revoke */

static const char *state_of(const struct tenant_key *key)
{
    if (key->is_revoked) {
        return "revoked";
    }
    if (key->expires_s == 0) {
        return "valid";
    }
    return clock_wall_s() >= key->expires_s ? "expired" : "expires";
}

static void print_key(const struct request *r, const struct tenant_key *key)
{
    char text[DIGEST_TEXT_BYTES];
    digest_write(&key->digest.digest, text);
    (void)printf("%-16.*s %-7s %-10.*s %.23s  %.*s  %s:%d\n", STR_ARG(key->tenant->name),
                 state_of(key), STR_ARG(key->expires.len > 0 ? key->expires : STR("-")), text,
                 STR_ARG(key->name.len > 0 ? key->name : STR("-")), r->conf_path, key->pos.line);
}

static bool is_meant(const struct request *r, const struct tenant_key *key)
{
    char text[DIGEST_TEXT_BYTES];
    struct str what = str_from(r->what);
    digest_write(&key->digest.digest, text);
    bool is_digest = str_starts_with(what, STR("sha256:"));
    return is_digest ? str_starts_with(str_from(text), what) : str_eq(key->name, what);
}

static bool any(const struct request *r, const struct tenant_key *key)
{
    (void)r;
    (void)key;
    return true;
}

/* Prints the keys that fit; how many there are. */
static size_t print_keys(const struct request *r, const struct tenants *tenants,
                         bool (*fits)(const struct request *r, const struct tenant_key *key))
{
    const struct tenant *list = tenants->list.items;
    size_t count = 0;
    for (size_t i = 0; i < tenants->list.count; i++) {
        for (size_t k = 0; k < list[i].keys.count; k++) {
            if (fits(r, &list[i].keys.items[k])) {
                print_key(r, &list[i].keys.items[k]);
                count++;
            }
        }
    }
    return count;
}

/* Opens the state file and calls `run`. A file that is not there yet is only made to write. */
static int with_state(const struct request *r, struct conf *conf, enum db_mode mode,
                      enum status (*run)(const struct request *r, struct db *db,
                                         struct tenants *tenants))
{
    const char *path = conf->state.path.ptr; /* the configuration's texts are terminated */
    char why[DB_WHY_BYTES] = "";
    struct db *db = NULL;
    if (conf->state.path.len == 0 || (mode == DB_READ && access(path, F_OK) != 0)) {
        return 0;
    }
    enum status st = state_open_file(path, mode, &db, why);
    if (st == ST_OK) {
        db_wait_at_most(db, PATIENCE_MS);
        st = run(r, db, &conf->tenants);
    }
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd keys: cannot use the state file \"%s\": %s\n", path,
                      db == NULL ? why : db_why(db));
    }
    db_close(db);
    return st == ST_OK ? 0 : 1;
}

static enum status mark(const struct request *r, struct db *db, struct tenants *tenants)
{
    (void)r;
    return revoked_mark(db, tenants);
}

static enum status write_down(const struct request *r, struct db *db, struct tenants *tenants)
{
    const struct tenant *list = tenants->list.items;
    enum status st = ST_OK;
    for (size_t i = 0; i < tenants->list.count; i++) {
        for (size_t k = 0; st == ST_OK && k < list[i].keys.count; k++) {
            const struct tenant_key *key = &list[i].keys.items[k];
            st = is_meant(r, key) ? revoked_add(db, &key->digest.digest, clock_wall_s()) : ST_OK;
        }
    }
    return st == ST_OK ? revoked_mark(db, tenants) : st;
}

static int list_keys(const struct request *r, struct conf *conf)
{
    int failed = with_state(r, conf, DB_READ, mark);
    (void)print_keys(r, &conf->tenants, any);
    return failed;
}

static int revoke_key(const struct request *r, struct conf *conf)
{
    bool has_state = conf->state.path.len > 0;
    int failed = with_state(r, conf, DB_WRITE, write_down);
    if (print_keys(r, &conf->tenants, is_meant) == 0) {
        (void)fprintf(stderr, "expertd keys: no key of \"%s\" fits; see `expertd keys list`\n",
                      r->conf_path);
        return 1;
    }
    if (failed == 0) {
        (void)fputs(
            has_state
                ? "Revoked for good: send the server SIGHUP. Until then the keys work. The "
                  "lines may go.\n"
                : "Delete these lines and send the server SIGHUP. Until then the keys work.\n",
            stderr);
    }
    return failed;
}

/* ---------------------------------------------------------------- command */

static int with_snapshot(const struct request *r,
                         int (*run)(const struct request *r, struct conf *conf))
{
    struct snapshot *s = NULL;
    if (r->conf_path == NULL || (run == revoke_key && r->what == NULL)) {
        help(stderr);
        return 2;
    }
    if (snapshot_load(r->conf_path, stderr, &s) != ST_OK) {
        return 1;
    }
    int failed = run(r, &s->conf);
    snapshot_unref(s);
    return failed;
}

int cmd_keys(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},  {"tenant", required_argument, NULL, 't'},
        {"expires", required_argument, NULL, 'e'}, {"name", required_argument, NULL, 'n'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };

    struct request r = {NULL, NULL, NULL, NULL, NULL};
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:t:e:n:h", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:t:e:n:h", options, NULL)) {
        const char **field = c == 'c'   ? &r.conf_path
                             : c == 't' ? &r.tenant
                             : c == 'e' ? &r.expires
                             : c == 'n' ? &r.name
                                        : NULL;
        if (field == NULL) {
            help(c == 'h' ? stdout : stderr);
            return c == 'h' ? 0 : 2;
        }
        *field = optarg;
    }
    struct str action = str_from(optind < argc ? argv[optind] : "");
    r.what = optind + 1 < argc ? argv[optind + 1] : NULL;
    if (str_eq(action, STR("new"))) {
        return make_key(&r);
    }
    if (str_eq(action, STR("list"))) {
        return with_snapshot(&r, list_keys);
    }
    if (str_eq(action, STR("revoke"))) {
        return with_snapshot(&r, revoke_key);
    }
    help(stderr);
    return 2;
}
