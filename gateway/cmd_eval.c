/* See cmd_eval.h. Times each prompt by the wall clock of this thread's core: classifying does no
 * I/O, so that on an idle machine it is the time a request waits. */
#include "gateway/cmd_eval.h"

#include <getopt.h>
#include <math.h>
#include <time.h>

#include "base/buf.h"
#include "gateway/snapshot.h"
#include "router/classifier.h"
#include "router/eval.h"
#include "router/prompts.h"

enum {
    FILES_MAX = 64,
    JSON_MAX = 4 * 1024 * 1024,
    DIAG_ARENA_BYTES = 16384,
    DIAG_ARENA_MAX = 1024 * 1024,
    EXIT_USAGE = 2,
};

static const double default_threshold = 0.55;

static const char help[] =
    "usage: expertd eval --config FILE --data FILE.jsonl [--data FILE.jsonl ...] [--json]\n"
    "       expertd eval --model FILE --data FILE.jsonl ...\n"
    "\n"
    "Scores rows {\"text\", \"label\", \"accept\": [...]?, \"ood\": 1?} and prints, per file and "
    "pooled,\n"
    "n, accuracy, accuracy_accept (label or any accepted one), macro_f1, ece,\n"
    "coverage_at_precision_90, auroc_ood, us_per_prompt_p50, us_per_prompt_p99; what they mean:\n"
    "docs/classifier.md.\n"
    "\n"
    "  -c, --config FILE a configuration: its weights, threshold and general category\n"
    "  --model FILE      weights, without a configuration\n"
    "  --data FILE       a file of rows; may be given several times\n"
    "  --threshold P     below it the category is the general one (0.55)\n"
    "  --general LABEL   the label that means no expert (general)\n"
    "  --json            one JSON object instead of text\n"
    "  --help\n";

struct scoring {
    FILE *out;
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct eval *eval;
};

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct scoring *scoring = ctx;
    struct classifier_segment segment = {prompt->text, 1.0F};
    struct classifier_result result;
    double start = now_us();
    classifier_score(scoring->classifier, scoring->scratch, &segment, 1, &result);
    return eval_add(scoring->eval, prompt, &result, now_us() - start);
}

static void print_confusion(const struct classifier *c, const struct eval *e, FILE *out)
{
    size_t count = classifier_label_count(c);
    (void)fprintf(out, "\n%-18s", "row: truth");
    for (size_t i = 0; i < count; i++) {
        struct str label = str_slice(classifier_label(c, i), 0, 6);
        (void)fprintf(out, " %6.*s", STR_ARG(label));
    }
    (void)fprintf(out, "\n");
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "%-18.*s", STR_ARG(classifier_label(c, i)));
        for (size_t j = 0; j < count; j++) {
            (void)fprintf(out, " %6zu", eval_confusion(e, i, j));
        }
        (void)fprintf(out, "\n");
    }
}

static void print_report(struct str name, const struct eval_report *r, FILE *out)
{
    (void)fprintf(out, "%.*s\n", STR_ARG(name));
    (void)fprintf(out, "  n %zu   ood rows %zu   majority %.4f\n", r->n, r->n_ood, r->majority);
    (void)fprintf(out, "  accuracy %.4f   accuracy_accept %.4f   macro_f1 %.4f   ece %.4f\n",
                  r->accuracy, r->accuracy_accept, r->macro_f1, r->ece);
    (void)fprintf(out, "  coverage_at_precision_90 %.4f   ", r->coverage_at_precision_90);
    if (isnan(r->auroc_ood)) {
        (void)fprintf(out, "auroc_ood -\n");
    } else {
        (void)fprintf(out, "auroc_ood %.4f\n", r->auroc_ood);
    }
    (void)fprintf(out, "  mean_confidence %.4f   below the threshold %.4f   accuracy_routed %.4f\n",
                  r->mean_confidence, r->share_below_threshold, r->accuracy_routed);
    (void)fprintf(out, "  us_per_prompt_p50 %.1f   us_per_prompt_p99 %.1f\n", r->us_per_prompt_p50,
                  r->us_per_prompt_p99);
}

/* One file into `pooled`, printed or appended to json. */
static enum status run_file(struct scoring *scoring, const struct cmd_eval_request *request,
                            const char *path, struct diags *diags, struct buf *json)
{
    enum status st = prompts_read(path, diags, on_prompt, scoring);
    struct eval_report report;
    if (st != ST_OK) {
        return st;
    }
    eval_finish(scoring->eval, &report);
    if (!request->is_json) {
        print_report(str_from(path), &report, scoring->out);
        return ST_OK;
    }
    st = json->len > 0 ? buf_append_char(json, ',') : ST_OK;
    return st == ST_OK ? eval_write_json(scoring->eval, &report, str_from(path), json) : st;
}

static enum status run_files(struct scoring *scoring, const struct cmd_eval_request *request,
                             struct eval *pooled, struct diags *diags, struct buf *json)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < request->file_count; i++) {
        scoring->eval = eval_create(scoring->classifier, request->threshold, request->general);
        if (scoring->eval == NULL) {
            return ST_NO_MEMORY;
        }
        st = run_file(scoring, request, request->files[i], diags, json);
        if (st == ST_OK) {
            st = eval_merge(pooled, scoring->eval);
        }
        eval_destroy(scoring->eval);
    }
    return st;
}

enum status cmd_eval_run(const struct classifier *c, const struct cmd_eval_request *request,
                         struct diags *diags, FILE *out)
{
    struct scoring scoring = {.out = out, .classifier = c, .scratch = classifier_scratch_create()};
    struct eval *pooled = eval_create(c, request->threshold, request->general);
    struct buf json;
    buf_init(&json, JSON_MAX);
    enum status st = ST_NO_MEMORY;
    if (scoring.scratch != NULL && pooled != NULL) {
        st = run_files(&scoring, request, pooled, diags, &json);
    }
    if (st == ST_OK) {
        struct eval_report report;
        eval_finish(pooled, &report);
        struct str name = STR("pooled");
        if (request->is_json) {
            (void)fprintf(out, "{\"files\":[%.*s],\"pooled\":", STR_ARG(buf_str(&json)));
            buf_reset(&json);
            st = eval_write_json(pooled, &report, name, &json);
            (void)fprintf(out, "%.*s}\n", STR_ARG(buf_str(&json)));
        } else {
            print_report(name, &report, out);
            print_confusion(c, pooled, out);
        }
    }
    buf_fini(&json);
    eval_destroy(pooled);
    classifier_scratch_destroy(scoring.scratch);
    return st;
}

enum option_id { /* values for getopt_long */
    OPTION_CONFIG = 'c',
    OPTION_MODEL = 256,
    OPTION_DATA,
    OPTION_THRESHOLD,
    OPTION_GENERAL,
    OPTION_JSON,
    OPTION_HELP,
};

static const struct option options[] = {
    {"config", required_argument, NULL, OPTION_CONFIG},
    {"model", required_argument, NULL, OPTION_MODEL},
    {"data", required_argument, NULL, OPTION_DATA},
    {"threshold", required_argument, NULL, OPTION_THRESHOLD},
    {"general", required_argument, NULL, OPTION_GENERAL},
    {"json", no_argument, NULL, OPTION_JSON},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct arguments {
    const char *config;
    const char *model;
    const char *files[FILES_MAX];
    struct cmd_eval_request request;
    bool wants_help;
};

/* False: the usage is to be printed. */
static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    a->request = (struct cmd_eval_request){
        .threshold = default_threshold, .general = STR("general"), .files = a->files};
    optind = 1;
    for (int found = getopt_long(argc, argv, "c:", options, NULL); found != -1;
         found = getopt_long(argc, argv, "c:", options, NULL)) {
        switch (found) {
        case OPTION_CONFIG:
            a->config = optarg;
            break;
        case OPTION_MODEL:
            a->model = optarg;
            break;
        case OPTION_DATA:
            if (a->request.file_count == FILES_MAX) {
                return false;
            }
            a->files[a->request.file_count++] = optarg;
            break;
        case OPTION_THRESHOLD:
            if (str_to_real(str_from(optarg), &a->request.threshold) != ST_OK) {
                return false;
            }
            break;
        case OPTION_GENERAL:
            a->request.general = str_from(optarg);
            break;
        case OPTION_JSON:
            a->request.is_json = true;
            break;
        case OPTION_HELP:
            a->wants_help = true;
            return true;
        default: /* getopt has said what is wrong */
            return false;
        }
    }
    return optind == argc && (a->model == NULL) != (a->config == NULL) && a->request.file_count > 0;
}

/* Weights alone, or with the threshold and the general category that a configuration gives them. */
static enum status run(struct arguments *a, struct diags *diags)
{
    struct classifier *c = NULL;
    struct snapshot *s = NULL;
    enum status st;
    if (a->config != NULL) {
        st = snapshot_load(a->config, stderr, &s);
        if (st == ST_OK && s->conf.routes.classifier == NULL) {
            (void)fprintf(stderr, "expertd eval: \"%s\" has no router.model\n", a->config);
            st = ST_NOT_FOUND;
        }
        if (st == ST_OK) {
            c = classifier_ref(s->conf.routes.classifier);
            a->request.threshold = s->conf.routes.router.threshold;
            a->request.general = s->conf.routes.router.general;
        }
    } else {
        st = classifier_load(a->model, diags, &c);
    }
    if (st == ST_OK) {
        st = cmd_eval_run(c, &a->request, diags, stdout);
    }
    classifier_unref(c);
    snapshot_unref(s);
    return st;
}

int cmd_eval(int argc, char **argv)
{
    struct arguments a = {0};
    if (!read_arguments(argc, argv, &a)) {
        (void)fputs(help, stderr);
        return EXIT_USAGE;
    }
    if (a.wants_help) {
        (void)fputs(help, stdout);
        return 0;
    }
    struct arena *arena = arena_create(DIAG_ARENA_BYTES, DIAG_ARENA_MAX);
    if (arena == NULL) {
        return 1;
    }
    struct diags diags;
    diags_init(&diags, arena);
    enum status st = run(&a, &diags);
    diags_print(&diags, stderr);
    if (st == ST_NO_MEMORY) {
        (void)fputs("expertd eval: no memory\n", stderr);
    }
    arena_destroy(arena);
    return st == ST_OK ? 0 : 1;
}
