/* expertd optimize: from a table of evaluation results to the `categories:` block. Reads files,
 * solves (router/placement.h), writes; asks no model. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/file.h"
#include "gateway/cmd.h"
#include "gateway/observed.h"
#include "gateway/snapshot.h"
#include "router/optimize.h"
#include "router/placement_write.h"

enum {
    DIAG_ARENA_BYTES = 16384,
    DIAG_ARENA_MAX = 1024 * 1024,
    TEXT_MAX = 64 * 1024 * 1024,
    EXIT_USAGE = 2,
    REQUESTS = 1000, /* that a price is said for */
    MS_PER_S = 1000,
};

static const double default_tokens[2] = {500.0, 250.0};
static const double nano_per_usd = 1e9;
static const double tokens_per_price = 1e6;

static const char help[] =
    "usage: expertd optimize --table FILE [options]\n"
    "\n"
    "Which experts to host and which category gets which of them: the highest expected score within\n"
    "budgets, from evaluation results. FILE is JSON Lines, or a table with tabs and a first line of\n"
    "names: category, expert, right, count (absent: 1); of experts price_usd_per_1k, latency_ms,\n"
    "params_b, memory_gb; answer or chars, by which experts that game their judge are found.\n"
    "Scores of thin cells are shrunk towards their expert's mean.\n"
    "\n"
    "  -t, --table FILE       evaluation results; may be given several times\n"
    "  -c, --config FILE      only its experts take part; their price and params_b count where the\n"
    "                         table has none\n"
    "      --tokens IN,OUT    of a request, for prices of the configuration (500,250)\n"
    "      --weights FILE     lines CATEGORY<TAB>WEIGHT instead of the table's counts\n"
    "      --from-ledger      the weights, and prices and latencies that the table lacks, as the\n"
    "                         ledger of --config saw them: requests per category, cost and time of\n"
    "                         the answers of each expert with 10 or more, for others the\n"
    "                         configuration's price for the mean request\n"
    "      --since DAY        of the ledger, from this day on, as 2026-11-22\n"
    "      --budget-params B  billions of parameters of all hosted experts\n"
    "      --budget-memory G  GB of all hosted experts\n"
    "      --max-experts N    hosted experts\n"
    "      --max-price USD    of 1,000 requests\n"
    "      --max-latency MS   of the mean request\n"
    "      --lambda L         score that one unit of cost must buy (0: quality alone)\n"
    "      --cost WHAT        price_usd_per_1k, latency_ms, params_b or memory_gb; else the first\n"
    "                         that is known for all experts\n"
    "      --svg FILE         a picture of the frontier\n"
    "      --write FILE       the categories: block goes there instead of behind the tables\n"
    "  -h, --help             this text\n";

enum option_code { /* of options without a letter */
    OPT_TOKENS = 256,
    OPT_WEIGHTS,
    OPT_LEDGER,
    OPT_SINCE,
    OPT_EXPERTS,
    OPT_LAMBDA,
    OPT_COST,
    OPT_SVG,
    OPT_WRITE,
    OPT_BUDGET, /* the first of SCORE_TRAITS */
};

static const struct option options[] = {
    {"table", required_argument, NULL, 't'},
    {"config", required_argument, NULL, 'c'},
    {"tokens", required_argument, NULL, OPT_TOKENS},
    {"weights", required_argument, NULL, OPT_WEIGHTS},
    {"from-ledger", no_argument, NULL, OPT_LEDGER},
    {"since", required_argument, NULL, OPT_SINCE},
    {"max-experts", required_argument, NULL, OPT_EXPERTS},
    {"lambda", required_argument, NULL, OPT_LAMBDA},
    {"cost", required_argument, NULL, OPT_COST},
    {"svg", required_argument, NULL, OPT_SVG},
    {"write", required_argument, NULL, OPT_WRITE},
    {"max-price", required_argument, NULL, OPT_BUDGET + SCORE_PRICE},
    {"max-latency", required_argument, NULL, OPT_BUDGET + SCORE_LATENCY},
    {"budget-params", required_argument, NULL, OPT_BUDGET + SCORE_PARAMS},
    {"budget-memory", required_argument, NULL, OPT_BUDGET + SCORE_MEMORY},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

struct request {
    struct score_table *table;
    const char *config;
    const char *weights;
    const char *svg;
    const char *write;
    double tokens[2];
    bool has_tokens; /* the command line says them */
    bool from_ledger;
    int64_t since_ms;
    struct placement_budgets budgets;
    struct placement_cost cost; /* is_known: the command line chose it */
    size_t files;
    bool wants_help;
};

struct job {
    const struct request *request;
    struct snapshot *snapshot; /* NULL: no configuration */
    struct placement *placement;
    struct diags diags;
    double tokens[2]; /* of a request and its answer */
    bool is_priced;   /* from them */
};

static const struct routes *routes_of(const struct job *job)
{
    return job->snapshot != NULL ? &job->snapshot->conf.routes : NULL;
}

/* ---------------------------------------------------------------- configuration */

/* What the table does not say. */
static void fill_traits(struct job *job, struct placement_expert *e, const struct expert *known)
{
    double *price = &e->traits[SCORE_PRICE];
    if (isnan(*price) && known->price.is_set) {
        const double *tokens = job->tokens;
        double nano =
            tokens[0] * (double)known->price.input + tokens[1] * (double)known->price.output;
        *price = nano / tokens_per_price / nano_per_usd * (double)REQUESTS;
        job->is_priced = true;
    }
    if (isnan(e->traits[SCORE_PARAMS]) && known->params_b.total > 0.0) {
        e->traits[SCORE_PARAMS] = known->params_b.total;
    }
}

static enum status create(struct job *job)
{
    static bool is_used[SCORE_TABLE_EXPERTS_MAX];
    const struct score_table *table = job->request->table;
    const struct routes *routes = routes_of(job);
    size_t used = 0;
    for (size_t e = 0; e < score_table_experts(table); e++) {
        struct str name = score_table_expert(table, e);
        is_used[e] = routes == NULL || routes_expert(routes, name) != NULL;
        used += is_used[e] ? 1 : 0;
        if (!is_used[e]) {
            diags_add(&job->diags, DIAG_WARNING, str_from(job->request->config), (struct pos){0, 0},
                      "has no expert \"%.*s\" of the table: it is left out", STR_ARG(name));
        }
    }
    if (used == 0) {
        (void)fputs("expertd optimize: the table has no rows of experts that could be chosen\n",
                    stderr);
        return ST_INVALID;
    }
    job->placement = placement_create(table, is_used);
    return job->placement != NULL ? ST_OK : ST_NO_MEMORY;
}

/* What neither the table nor the ledger says. */
static void read_configuration(struct job *job)
{
    const struct routes *routes = routes_of(job);
    for (size_t e = 0; routes != NULL && e < job->placement->experts; e++) {
        struct placement_expert *expert = &job->placement->expert[e];
        fill_traits(job, expert, routes_expert(routes, expert->name));
    }
}

/* ---------------------------------------------------------------- ledger */

static enum status print_observed(const struct job *job, const struct observed *seen)
{
    struct buf text;
    buf_init(&text, TEXT_MAX);
    enum status st = observed_write(seen, job->placement, &text);
    if (st == ST_OK) {
        (void)printf("%.*s", STR_ARG(buf_str(&text)));
    }
    buf_fini(&text);
    return st;
}

static enum status read_ledger(struct job *job)
{
    static struct observed seen; /* too large for the stack */
    struct db *db = cmd_open_state("optimize", job->snapshot, DB_READ);
    if (db == NULL) {
        return ST_IO;
    }
    enum status st = observed_read(db, job->request->since_ms, job->placement, &seen);
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd optimize: %s: %s\n", status_text(st), db_why(db));
    }
    db_close(db);
    if (st == ST_OK && job->request->weights == NULL) {
        st = observed_share(&seen, job->placement);
        if (st != ST_OK) {
            (void)fputs("expertd optimize: the ledger has no requests in the table's categories\n",
                        stderr);
        }
    }
    if (st != ST_OK) {
        return st;
    }
    observed_fill(&seen, job->placement);
    if (!job->request->has_tokens && seen.all.answers > 0.0) {
        job->tokens[0] = seen.all.prompt_tokens / seen.all.answers;
        job->tokens[1] = seen.all.completion_tokens / seen.all.answers;
    }
    return print_observed(job, &seen);
}

/* ---------------------------------------------------------------- weights */

static enum status wrong_weight(struct job *job, int line, const char *what, struct str value)
{
    diags_add(&job->diags, DIAG_ERROR, str_from(job->request->weights), (struct pos){line, 1},
              "%s: \"%.*s\"", what, STR_ARG(str_slice(value, 0, SCORE_TABLE_NAME_MAX)));
    return ST_INVALID;
}

static enum status take_weight(struct job *job, int line, struct str text)
{
    struct placement *p = job->placement;
    struct str name;
    struct str value;
    double weight = 0.0;
    (void)str_split(text, '\t', &name, &value); /* a line is not empty */
    size_t c = 0;
    while (c < p->categories && !str_eq(score_table_category(p->table, c), str_trim(name))) {
        c++;
    }
    if (c == p->categories) {
        return wrong_weight(job, line, "the table has no such category", name);
    }
    if (str_to_real(str_trim(value), &weight) != ST_OK || !isfinite(weight) || weight < 0.0) {
        return wrong_weight(job, line, "a weight is a number that is not negative, behind a tab",
                            value);
    }
    if (p->shares[c] >= 0.0) {
        return wrong_weight(job, line, "the category has a weight already", name);
    }
    p->shares[c] = weight;
    return ST_OK;
}

static enum status scale_weights(struct job *job)
{
    struct placement *p = job->placement;
    double sum = 0.0;
    for (size_t c = 0; c < p->categories; c++) {
        if (p->shares[c] < 0.0) {
            return wrong_weight(job, 0, "says nothing of the category",
                                score_table_category(p->table, c));
        }
        sum += p->shares[c];
    }
    if (!(sum > 0.0) || !isfinite(sum)) {
        return wrong_weight(job, 0, "no category has a weight above 0", STR(""));
    }
    for (size_t c = 0; c < p->categories; c++) {
        p->shares[c] /= sum;
    }
    return ST_OK;
}

static enum status read_weights(struct job *job)
{
    struct str text;
    enum status st = file_map(job->request->weights, &job->diags, &text);
    if (st != ST_OK) {
        return st;
    }
    for (size_t c = 0; c < job->placement->categories; c++) {
        job->placement->shares[c] = -1.0; /* not given yet */
    }
    struct str rest = text;
    struct str row;
    for (int line = 1; st == ST_OK && str_split(rest, '\n', &row, &rest); line++) {
        struct str trimmed = str_trim(row);
        if (trimmed.len > 0 && trimmed.ptr[0] != '#') {
            st = take_weight(job, line, trimmed);
        }
    }
    file_unmap(text);
    return st == ST_OK ? scale_weights(job) : st;
}

/* ---------------------------------------------------------------- results */

static enum status save(const char *path, struct str text)
{
    FILE *file = fopen(path, "we");
    bool is_written = file != NULL && fwrite(text.ptr, 1, text.len, file) == text.len;
    is_written = (file == NULL || fclose(file) == 0) && is_written;
    if (!is_written) {
        (void)fprintf(stderr, "%s: cannot be written\n", path);
    }
    return is_written ? ST_OK : ST_IO;
}

static enum status print(const char *path, struct buf *text)
{
    enum status st = ST_OK;
    if (path != NULL) {
        st = save(path, buf_str(text));
    } else if (text->len > 0) {
        (void)printf("%.*s", STR_ARG(buf_str(text)));
    }
    buf_reset(text);
    return st;
}

static enum status report(struct job *job, const struct placement_point *point,
                          const struct placement_frontier *frontier, struct buf *text)
{
    const struct placement *p = job->placement;
    enum status st = placement_write_warnings(p, STR("warning: expert "), text);
    if (st == ST_OK && text->len > 0) {
        (void)fprintf(stderr, "%.*s", STR_ARG(buf_str(text)));
    }
    buf_reset(text);
    if (st == ST_OK && job->is_priced) {
        (void)printf("prices of the configuration, for requests of %.0f and answers of %.0f tokens "
                     "(%s)\n\n",
                     job->tokens[0], job->tokens[1],
                     job->request->from_ledger && !job->request->has_tokens ? "the ledger's mean"
                                                                            : "--tokens");
    }
    st = st == ST_OK ? placement_write_text(p, point, frontier, text) : st;
    st = st == ST_OK ? print(NULL, text) : st;
    if (st == ST_OK && job->request->svg != NULL) {
        st = placement_write_svg(p, point, frontier, text);
        st = st == ST_OK ? print(job->request->svg, text) : st;
    }
    if (st == ST_OK && job->request->write == NULL) {
        (void)puts("");
    }
    st = st == ST_OK ? placement_write_yaml(p, point, routes_of(job), text) : st;
    return st == ST_OK ? print(job->request->write, text) : st;
}

static enum status solve(struct job *job)
{
    static struct placement_frontier frontier; /* too large for the stack */
    struct placement_point point;
    struct placement *p = job->placement;
    enum score_trait trait = SCORE_PRICE;
    size_t expert = 0;
    p->budgets = job->request->budgets;
    p->cost = job->request->cost.is_known ? job->request->cost : placement_default_cost(p);
    p->cost.lambda = job->request->cost.lambda;
    if (placement_lacks(p, &trait, &expert)) {
        (void)fprintf(
            stderr,
            "expertd optimize: the expert \"%.*s\" has no %.*s, which a budget or the cost "
            "needs: add the column to the table\n",
            STR_ARG(p->expert[expert].name), STR_ARG(placement_trait_name(trait)));
        return ST_INVALID;
    }
    if (p->cost.lambda > 0.0 && !p->cost.is_known) {
        (void)fputs("expertd optimize: --lambda needs a cost that all experts have: "
                    "price_usd_per_1k, latency_ms, params_b or memory_gb\n",
                    stderr);
        return ST_INVALID;
    }
    struct buf text;
    buf_init(&text, TEXT_MAX);
    enum status st = placement_solve(p, &point);
    st = st == ST_OK ? placement_sweep(p, &frontier) : st;
    st = st == ST_OK ? report(job, &point, &frontier, &text) : st;
    if (st == ST_NOT_FOUND) {
        (void)fputs("expertd optimize: no choice of experts fits the budgets\n", stderr);
    } else if (st == ST_CLOSED) {
        (void)fputs("expertd optimize: the solver gave up\n", stderr);
    }
    buf_fini(&text);
    return st;
}

static enum status run(struct job *job)
{
    const char *missing = optimize_missing();
    if (missing != NULL) {
        (void)fprintf(stderr, "expertd optimize: %s\n", missing);
        return ST_CLOSED;
    }
    enum status st = ST_OK;
    if (job->request->config != NULL) {
        st = snapshot_try_file(job->request->config, NULL, stderr, &job->snapshot);
    }
    job->tokens[0] = job->request->tokens[0];
    job->tokens[1] = job->request->tokens[1];
    st = st == ST_OK ? create(job) : st;
    st = st == ST_OK && job->request->from_ledger ? read_ledger(job) : st;
    if (st == ST_OK) {
        read_configuration(job);
    }
    st = st == ST_OK && job->request->weights != NULL ? read_weights(job) : st;
    return st == ST_OK ? solve(job) : st;
}

/* ---------------------------------------------------------------- command line */

static bool take_tokens(struct request *r)
{
    r->has_tokens = true;
    struct str in;
    struct str out;
    return str_split(str_from(optarg), ',', &in, &out) && str_to_real(in, &r->tokens[0]) == ST_OK &&
           str_to_real(out, &r->tokens[1]) == ST_OK && r->tokens[0] >= 0.0 && r->tokens[1] >= 0.0;
}

static bool take_since(struct request *r)
{
    int64_t since_s = 0;
    bool is_day = tenants_read_day(str_from(optarg), &since_s) == ST_OK;
    r->since_ms = since_s * MS_PER_S;
    return is_day;
}

static bool take_cost(struct request *r)
{
    for (size_t i = 0; i < SCORE_TRAITS; i++) {
        if (str_eq(str_from(optarg), placement_trait_name((enum score_trait)i))) {
            r->cost.is_known = true;
            r->cost.trait = (enum score_trait)i;
            return true;
        }
    }
    return false;
}

static bool take_number(double *ret_number)
{
    return str_to_real(str_from(optarg), ret_number) == ST_OK && isfinite(*ret_number) &&
           *ret_number >= 0.0;
}

/* False: wrong usage. Tables are noted, not read. */
static bool take_option(int code, struct request *r)
{
    switch (code) {
    case 't':
        r->files++;
        return true;
    case 'c':
        r->config = optarg;
        return true;
    case 'h':
        r->wants_help = true;
        return true;
    case OPT_TOKENS:
        return take_tokens(r);
    case OPT_WEIGHTS:
        r->weights = optarg;
        return true;
    case OPT_LEDGER:
        r->from_ledger = true;
        return true;
    case OPT_SINCE:
        return take_since(r);
    case OPT_EXPERTS:
        return take_number(&r->budgets.experts);
    case OPT_LAMBDA:
        return take_number(&r->cost.lambda);
    case OPT_COST:
        return take_cost(r);
    case OPT_SVG:
        r->svg = optarg;
        return true;
    case OPT_WRITE:
        r->write = optarg;
        return true;
    default:
        return code >= OPT_BUDGET && code < OPT_BUDGET + SCORE_TRAITS &&
               take_number(&r->budgets.most[code - OPT_BUDGET]);
    }
}

static bool read_options(int argc, char **argv, struct request *r)
{
    optind = 1;
    for (int c = getopt_long(argc, argv, "t:c:h", options, NULL); c != -1;
         c = getopt_long(argc, argv, "t:c:h", options, NULL)) {
        if (!take_option(c, r)) {
            if (optarg != NULL) {
                (void)fprintf(stderr, "expertd optimize: \"%s\" is not what the option takes\n",
                              optarg);
            }
            return false;
        }
    }
    if (r->from_ledger && r->config == NULL) {
        (void)fputs("expertd optimize: --from-ledger needs --config, which names the state file\n",
                    stderr);
        return r->wants_help;
    }
    return r->wants_help || (optind == argc && r->files > 0);
}

/* The command line once more, for its tables. */
static enum status read_tables(int argc, char **argv, struct job *job)
{
    enum status st = ST_OK;
    optind = 1;
    for (int c = getopt_long(argc, argv, "t:c:h", options, NULL); st == ST_OK && c != -1;
         c = getopt_long(argc, argv, "t:c:h", options, NULL)) {
        if (c == 't') {
            st = score_table_read(job->request->table, optarg, &job->diags);
        }
    }
    return st;
}

int cmd_optimize(int argc, char **argv)
{
    struct request r = {.tokens = {default_tokens[0], default_tokens[1]},
                        .budgets = {{HUGE_VAL, HUGE_VAL, HUGE_VAL, HUGE_VAL}, HUGE_VAL}};
    struct job job = {.request = &r};
    if (!read_options(argc, argv, &r) || r.wants_help) {
        (void)fputs(help, r.wants_help ? stdout : stderr);
        return r.wants_help ? 0 : EXIT_USAGE;
    }
    struct arena *arena = arena_create(DIAG_ARENA_BYTES, DIAG_ARENA_MAX);
    r.table = score_table_create();
    enum status st = ST_NO_MEMORY;
    if (arena != NULL && r.table != NULL) {
        diags_init(&job.diags, arena);
        st = read_tables(argc, argv, &job);
        st = st == ST_OK ? run(&job) : st;
        diags_print(&job.diags, stderr);
    }
    if (st == ST_NO_MEMORY || st == ST_TOO_BIG) {
        (void)fprintf(stderr, "expertd optimize: %s\n", status_text(st));
    }
    placement_destroy(job.placement);
    snapshot_unref(job.snapshot);
    score_table_destroy(r.table);
    arena_destroy(arena);
    return st == ST_OK ? 0 : 1;
}
