/* expertd ledger: reads what was spent, and the receipts of decisions, from the state file. Beside a running server it only reads. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/json_write.h"
#include "gateway/chain.h"
#include "gateway/cmd.h"
#include "gateway/ledger.h"
#include "gateway/receipts.h"
#include "gateway/snapshot.h"

enum {
    LINE_MAX_BYTES = 64 * 1024,
    NANO = 1000000000,
    ANCHORS_MAX = 8,
};

enum form {
    FORM_TEXT,
    FORM_JSONL,
    FORM_CSV,
};

struct request { /* what the command line asks for */
    const char *config;
    struct ledger_filter filter;
    bool sums;
    enum ledger_by by;
    bool receipts; /* instead of the ledger */
    bool verifies;
    const char *anchors[ANCHORS_MAX];
    size_t anchor_count;
    enum form form;
};

static void help(FILE *out)
{
    (void)fputs(
        "usage: expertd ledger --config FILE [options]\n"
        "\n"
        "What was spent: a row for every attempt at an expert, from the state file.\n"
        "\n"
        "  -c, --config FILE    configuration (YAML or JSON)\n"
        "      --tenant NAME    rows of this tenant; so with --key, --expert, --category\n"
        "      --since WHEN     rows that ended then or later: 2026-11-22 or\n"
        "                       2026-11-22T10:00:00Z\n"
        "      --until WHEN     rows that ended before\n"
        "      --by WHAT        sums by tenant, key, expert, category or day\n"
        "      --jsonl, --csv   as JSON, an object a line; as comma-separated values\n"
        "      --receipts       the receipts of decisions instead, all of them\n"
        "      --verify         are ledger and receipts whole? Digests, ids, sums; prints an\n"
        "                       anchor of each; 1 if not. Also: expertd ledger verify\n"
        "      --anchor TEXT    with --verify: the row of an anchor that was printed before\n"
        "                       must still be there; may be given several times\n"
        "  -h, --help           this text\n",
        out);
}

/* ---------------------------------------------------------------- rows */

enum cell_type {
    CELL_TEXT,
    CELL_INT,
    CELL_COST, /* a number, or nothing where it is not known */
    CELL_BOOL,
    CELL_JSON, /* text that is JSON already */
    CELL_HEX,
};

struct cell {
    const char *name;
    enum cell_type type;
    struct str text;
    int64_t number;
};

static enum status write_json_cell(struct buf *line, const struct cell *c)
{
    if (c->type == CELL_TEXT) {
        return json_write_text(line, c->text);
    }
    if (c->type == CELL_BOOL) {
        return buf_append(line, c->number != 0 ? STR("true") : STR("false"));
    }
    if (c->type == CELL_JSON) {
        return buf_append(line, c->text.len == 0 ? STR("null") : c->text);
    }
    if (c->type == CELL_HEX) {
        return buf_printf(line, "\"%016" PRIx64 "\"", (uint64_t)c->number);
    }
    bool is_unknown = c->type == CELL_COST && c->number == LEDGER_COST_UNKNOWN;
    return is_unknown ? buf_append(line, STR("null")) : buf_printf(line, "%" PRId64, c->number);
}

/* Quoted where it must be (RFC 4180), quotes doubled. */
static enum status write_csv_text(struct buf *line, struct str text)
{
    bool is_plain = true;
    for (size_t i = 0; i < text.len; i++) {
        is_plain = is_plain && strchr(",\"\r\n", text.ptr[i]) == NULL;
    }
    if (is_plain) {
        return buf_append(line, text);
    }
    enum status st = buf_append_char(line, '"');
    for (size_t i = 0; st == ST_OK && i < text.len; i++) {
        st = text.ptr[i] == '"' ? buf_append_char(line, '"') : ST_OK;
        st = st == ST_OK ? buf_append_char(line, text.ptr[i]) : st;
    }
    return st == ST_OK ? buf_append_char(line, '"') : st;
}

static enum status write_csv_cell(struct buf *line, const struct cell *c)
{
    if (c->type == CELL_TEXT || c->type == CELL_JSON) {
        return write_csv_text(line, c->text);
    }
    if (c->type == CELL_HEX) {
        return buf_printf(line, "%016" PRIx64, (uint64_t)c->number);
    }
    bool is_unknown = c->type == CELL_COST && c->number == LEDGER_COST_UNKNOWN;
    return is_unknown ? ST_OK : buf_printf(line, "%" PRId64, c->number);
}

/* As USD with all nine digits: `0.000600000`; `-` where it is not known. */
static enum status write_usd(struct buf *line, int64_t nano_usd)
{
    if (nano_usd == LEDGER_COST_UNKNOWN) {
        return buf_append_char(line, '-');
    }
    return buf_printf(line, "%" PRId64 ".%09" PRId64, nano_usd / NANO, nano_usd % NANO);
}

static enum status write_text_cell(struct buf *line, const struct cell *c)
{
    if (c->type == CELL_TEXT) {
        return buf_append(line, c->text.len == 0 ? STR("-") : c->text);
    }
    return c->type == CELL_COST ? write_usd(line, c->number)
                                : buf_printf(line, "%s=%" PRId64, c->name, c->number);
}

static enum status write_cells(struct buf *line, enum form form, const struct cell *cells,
                               size_t count)
{
    enum status st = form == FORM_JSONL ? buf_append_char(line, '{') : ST_OK;
    for (size_t i = 0; st == ST_OK && i < count; i++) {
        if (form == FORM_JSONL) {
            st = buf_printf(line, "%s\"%s\":", i == 0 ? "" : ",", cells[i].name);
            st = st == ST_OK ? write_json_cell(line, &cells[i]) : st;
        } else if (form == FORM_CSV) {
            st = i == 0 ? ST_OK : buf_append_char(line, ',');
            st = st == ST_OK ? write_csv_cell(line, &cells[i]) : st;
        } else {
            st = i == 0 ? ST_OK : buf_append(line, STR("  "));
            st = st == ST_OK ? write_text_cell(line, &cells[i]) : st;
        }
    }
    return st == ST_OK ? buf_append(line, form == FORM_JSONL ? STR("}\n") : STR("\n")) : st;
}

/* Who says what was used. */
static struct str source_of(const struct ledger_row *row)
{
    if (str_eq(row->outcome, STR("cached"))) {
        return row->outcome;
    }
    return row->is_estimated ? STR("estimated") : STR("reported");
}

struct printer {
    enum form form;
    bool has_head; /* of FORM_CSV */
    struct buf line;
};

static enum status print_cells(struct printer *p, const struct cell *cells, size_t count)
{
    enum status st = ST_OK;
    buf_reset(&p->line);
    for (size_t i = 0; p->form == FORM_CSV && !p->has_head && st == ST_OK && i < count; i++) {
        st = buf_printf(&p->line, "%s%s", cells[i].name, i + 1 < count ? "," : "\n");
    }
    p->has_head = true;
    if (st == ST_OK) {
        st = write_cells(&p->line, p->form, cells, count);
    }
    struct str text = buf_str(&p->line);
    if (st == ST_OK && fwrite(text.ptr, 1, text.len, stdout) != text.len) {
        st = ST_IO;
    }
    return st;
}

static enum status print_row(void *ctx, const struct ledger_row *row)
{
    struct printer *p = ctx;
    char started[CLOCK_TEXT_SIZE];
    char ended[CLOCK_TEXT_SIZE];
    clock_text(row->started_ms, started);
    clock_text(row->ended_ms, ended);
    const struct cell all[] = {
        {"id", CELL_INT, STR(""), row->id},
        {"request_id", CELL_TEXT, row->request_id, 0},
        {"attempt", CELL_INT, STR(""), row->attempt},
        {"tenant", CELL_TEXT, row->tenant, 0},
        {"key_id", CELL_TEXT, row->key_id, 0},
        {"expert", CELL_TEXT, row->expert, 0},
        {"category", CELL_TEXT, row->category, 0},
        {"prompt_tokens", CELL_INT, STR(""), row->prompt_tokens},
        {"cached_tokens", CELL_INT, STR(""), row->cached_tokens},
        {"completion_tokens", CELL_INT, STR(""), row->completion_tokens},
        {"reasoning_tokens", CELL_INT, STR(""), row->reasoning_tokens},
        {"usage_source", CELL_TEXT, source_of(row), 0},
        {"suspect", CELL_BOOL, STR(""), row->is_suspect},
        {"cost_nano_usd", CELL_COST, STR(""), row->cost_nano_usd},
        {"outcome", CELL_TEXT, row->outcome, 0},
        {"started_at", CELL_TEXT, str_from(started), 0},
        {"ended_at", CELL_TEXT, str_from(ended), 0},
    };
    /* a line for people: when, which, who, what, how much */
    const struct cell line[] = {all[15], all[1], all[2],  all[3],  all[5], all[6],
                                all[7],  all[9], all[13], all[11], all[14]};
    return p->form == FORM_TEXT ? print_cells(p, line, sizeof line / sizeof line[0])
                                : print_cells(p, all, sizeof all / sizeof all[0]);
}

/* ---------------------------------------------------------------- sums */

static const char *const by_names[] = {
    [LEDGER_BY_TENANT] = "tenant",     [LEDGER_BY_KEY] = "key", [LEDGER_BY_EXPERT] = "expert",
    [LEDGER_BY_CATEGORY] = "category", [LEDGER_BY_DAY] = "day",
};

enum {
    BY_COUNT = sizeof by_names / sizeof by_names[0]
};

struct sum_printer {
    struct printer printer;
    const char *by;
};

static enum status print_sum(void *ctx, struct str name, const struct ledger_sum *sum)
{
    struct sum_printer *p = ctx;
    const struct cell cells[] = {
        {p->by, CELL_TEXT, name, 0},
        {"attempts", CELL_INT, STR(""), sum->attempts},
        {"prompt_tokens", CELL_INT, STR(""), sum->prompt_tokens},
        {"cached_tokens", CELL_INT, STR(""), sum->cached_tokens},
        {"completion_tokens", CELL_INT, STR(""), sum->completion_tokens},
        {"reasoning_tokens", CELL_INT, STR(""), sum->reasoning_tokens},
        {"cost_nano_usd", CELL_COST, STR(""), sum->cost_nano_usd},
        {"unpriced", CELL_INT, STR(""), sum->unpriced},
    };
    return print_cells(&p->printer, cells, sizeof cells / sizeof cells[0]);
}

/* ---------------------------------------------------------------- command */

/* One chain: whole, with the row of the anchor if one of its kind was given. Prints what is wrong, or
 * the anchor to keep. */
static enum status verify_chain(struct db *db, enum chain chain, const struct request *r,
                                bool *ret_is_whole)
{
    char why[LEDGER_WHY_BYTES] = "";
    char anchor[CHAIN_ANCHOR_BYTES];
    struct chain_link last;
    int64_t rows = 0;
    enum status st =
        chain == CHAIN_LEDGER ? ledger_verify(db, &rows, why) : receipts_verify(db, &rows, why);
    for (size_t i = 0; st == ST_OK && i < r->anchor_count; i++) {
        st = chain_check_anchor(db, chain, str_from(r->anchors[i]), why);
        st = st == ST_NOT_FOUND ? ST_OK : st;
    }
    if (st == ST_OK) {
        st = chain_last(db, chain, &last);
    }
    *ret_is_whole = st == ST_OK;
    if (st == ST_OK) {
        chain_write_anchor(chain, &last, anchor);
        (void)printf("%s: %" PRId64 " rows: whole; anchor %s\n", chain_name(chain), rows, anchor);
    } else if (st == ST_INVALID) {
        (void)printf("%s: changed: %s\n", chain_name(chain), why);
        st = ST_OK;
    }
    return st;
}

static bool is_anchor(const char *text)
{
    static const enum chain chains[] = {CHAIN_LEDGER, CHAIN_RECEIPTS};

    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        size_t len = strlen(chain_name(chains[i]));
        if (strncmp(text, chain_name(chains[i]), len) == 0 && text[len] == ':') {
            return true;
        }
    }
    return false;
}

static enum status verify(const struct request *r, struct db *db, bool *ret_is_whole)
{
    bool is_ledger_whole = false;
    bool are_receipts_whole = false;
    enum status st = verify_chain(db, CHAIN_LEDGER, r, &is_ledger_whole);
    if (st == ST_OK) {
        st = verify_chain(db, CHAIN_RECEIPTS, r, &are_receipts_whole);
    }
    *ret_is_whole = is_ledger_whole && are_receipts_whole;
    return st;
}

/* ---------------------------------------------------------------- receipts */

static enum status print_receipt(void *ctx, const struct receipt_row *row)
{
    struct printer *p = ctx;
    char made[CLOCK_TEXT_SIZE];
    char conf[DIGEST_TEXT_BYTES];
    char features[DIGEST_TEXT_BYTES];
    clock_text(row->made_ms, made);
    digest_write(&row->conf, conf);
    digest_write(&row->features, features);
    const struct cell all[] = {
        {"id", CELL_INT, STR(""), row->id},
        {"request_id", CELL_TEXT, row->request_id, 0},
        {"made_at", CELL_TEXT, str_from(made), 0},
        {"outcome", CELL_TEXT, row->outcome, 0},
        {"expert", CELL_TEXT, row->expert, 0},
        {"attempts", CELL_INT, STR(""), row->attempts},
        {"prompt_tokens", CELL_INT, STR(""), row->prompt_tokens},
        {"completion_tokens", CELL_INT, STR(""), row->completion_tokens},
        {"cost_nano_usd", CELL_COST, STR(""), row->cost_nano_usd},
        {"conf", CELL_TEXT, str_from(conf), 0},
        {"weights", CELL_HEX, STR(""), (int64_t)row->weights},
        {"features", CELL_TEXT, str_from(features), 0},
        {"replayable", CELL_BOOL, STR(""), row->signals.len > 0},
        {"decision", CELL_JSON, row->decision, 0},
    };
    const struct cell line[] = {all[2], all[1], all[4], all[8], all[3]};
    return p->form == FORM_TEXT ? print_cells(p, line, sizeof line / sizeof line[0])
                                : print_cells(p, all, sizeof all / sizeof all[0]);
}

static enum status print_all(const struct request *r, struct db *db)
{
    struct sum_printer p = {{r->form, false, {0}}, r->sums ? by_names[r->by] : ""};
    buf_init(&p.printer.line, LINE_MAX_BYTES);
    enum status st = ST_OK;
    if (r->receipts) {
        st = receipts_each(db, print_receipt, &p.printer);
    } else if (r->sums) {
        st = ledger_sum_by(db, &r->filter, r->by, print_sum, &p);
    } else {
        st = ledger_each(db, &r->filter, print_row, &p.printer);
    }
    buf_fini(&p.printer.line);
    return st;
}

static int run(const struct request *r, const struct snapshot *s)
{
    bool is_whole = true;
    struct db *db = cmd_open_state("ledger", s, DB_READ);
    if (db == NULL) {
        return 1;
    }
    enum status st = r->verifies ? verify(r, db, &is_whole) : print_all(r, db);
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd ledger: %s: %s\n", status_text(st), db_why(db));
    }
    db_close(db);
    return st == ST_OK && is_whole ? 0 : 1;
}

/* A day, or a second; in UTC. */
static bool parse_when(const char *text, int64_t *ret_ms)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"};
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end != NULL && *end == '\0') {
            *ret_ms = (int64_t)timegm(&tm) * 1000;
            return *ret_ms >= 0;
        }
    }
    (void)fprintf(stderr,
                  "expertd ledger: \"%s\" is no time: write 2026-11-22 or 2026-11-22T10:00:00Z\n",
                  text);
    return false;
}

static bool parse_by(const char *text, struct request *r)
{
    size_t i = 0;
    while (i < BY_COUNT && strcmp(by_names[i], text) != 0) {
        i++;
    }
    if (i == BY_COUNT) {
        (void)fprintf(stderr,
                      "expertd ledger: --by takes tenant, key, expert, category or day, not "
                      "\"%s\"\n",
                      text);
        return false;
    }
    r->sums = true;
    r->by = (enum ledger_by)i;
    return true;
}

enum option_code { /* of options without a letter */
    OPT_TENANT = 256,
    OPT_KEY,
    OPT_EXPERT,
    OPT_CATEGORY,
    OPT_SINCE,
    OPT_UNTIL,
    OPT_BY,
    OPT_JSONL,
    OPT_CSV,
    OPT_VERIFY,
    OPT_RECEIPTS,
    OPT_ANCHOR,
};

static bool take_anchor(struct request *r)
{
    if (!is_anchor(optarg) || r->anchor_count == ANCHORS_MAX) {
        (void)fprintf(stderr,
                      "expertd ledger: \"%s\" is no anchor, or one too many: write "
                      "ledger:ID:sha256:DIGITS or receipts:ID:sha256:DIGITS\n",
                      optarg);
        return false;
    }
    r->anchors[r->anchor_count++] = optarg;
    return true;
}

/* False: wrong usage. */
static bool take_option(int code, struct request *r)
{
    switch (code) {
    case 'c':
        r->config = optarg;
        return true;
    case OPT_TENANT:
        r->filter.tenant = str_from(optarg);
        return true;
    case OPT_KEY:
        r->filter.key_id = str_from(optarg);
        return true;
    case OPT_EXPERT:
        r->filter.expert = str_from(optarg);
        return true;
    case OPT_CATEGORY:
        r->filter.category = str_from(optarg);
        return true;
    case OPT_SINCE:
        return parse_when(optarg, &r->filter.since_ms);
    case OPT_UNTIL:
        return parse_when(optarg, &r->filter.until_ms);
    case OPT_BY:
        return parse_by(optarg, r);
    case OPT_JSONL:
        r->form = FORM_JSONL;
        return true;
    case OPT_CSV:
        r->form = FORM_CSV;
        return true;
    case OPT_VERIFY:
        r->verifies = true;
        return true;
    case OPT_RECEIPTS:
        r->receipts = true;
        return true;
    case OPT_ANCHOR:
        return take_anchor(r);
    default: /* the codes of getopt for what it does not know */
        help(stderr);
        return false;
    }
}

int cmd_ledger(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"tenant", required_argument, NULL, OPT_TENANT},
        {"key", required_argument, NULL, OPT_KEY},
        {"expert", required_argument, NULL, OPT_EXPERT},
        {"category", required_argument, NULL, OPT_CATEGORY},
        {"since", required_argument, NULL, OPT_SINCE},
        {"until", required_argument, NULL, OPT_UNTIL},
        {"by", required_argument, NULL, OPT_BY},
        {"jsonl", no_argument, NULL, OPT_JSONL},
        {"csv", no_argument, NULL, OPT_CSV},
        {"verify", no_argument, NULL, OPT_VERIFY},
        {"receipts", no_argument, NULL, OPT_RECEIPTS},
        {"anchor", required_argument, NULL, OPT_ANCHOR},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };

    struct request r = {.config = NULL};
    struct snapshot *s = NULL;
    optind = 1;
    for (int c = getopt_long(argc, argv, "c:h", options, NULL); c != -1;
         c = getopt_long(argc, argv, "c:h", options, NULL)) {
        if (c == 'h') {
            help(stdout);
            return 0;
        }
        if (!take_option(c, &r)) {
            return 2;
        }
    }
    if (optind + 1 == argc && strcmp(argv[optind], "verify") == 0) {
        r.verifies = true;
        optind++;
    }
    if (r.config == NULL || optind != argc) {
        help(stderr);
        return 2;
    }
    if (snapshot_load(r.config, stderr, &s) != ST_OK) {
        return 1;
    }
    int failed = run(&r, s);
    snapshot_unref(s);
    return failed;
}
