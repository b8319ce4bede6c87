/* See cmd_eval.h. Times each prompt by the wall clock of this thread's core: classifying does no
 * I/O, so that on an idle machine it is the time a request waits. */
#include "gateway/cmd_eval.h"

#include "base/buf.h"
#include "base/clock.h"
#include "gateway/cmd_options.h"
#include "gateway/snapshot.h"
#include "router/centroid.h"
#include "router/classifier.h"
#include "router/eval.h"
#include "router/eval_table.h"
#include "router/eval_write.h"
#include "router/flips.h"
#include "router/perturb.h"
#include "router/prompts.h"
#include "router/steer.h"

enum {
    FILES_MAX = 64,
    TEXT_MAX = 16 * 1024 * 1024,
    SVG_MAX = 4 * 1024 * 1024,
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
    "coverage_at_precision_90, auroc_ood, us_per_prompt_p50, us_per_prompt_p99, and baselines; for\n"
    "all files also tables by source and language, out-of-scope scores, reliability, coverage and\n"
    "precision, labels, confusion. What they mean: docs/classifier.md.\n"
    "\n"
    "  -c, --config FILE a configuration: its weights, threshold and general category\n"
    "  --model FILE      weights, without a configuration\n"
    "  --data FILE       a file of rows; may be given several times\n"
    "  --threshold P     below it the category is the general one (0.55)\n"
    "  --general LABEL   the label that means no expert (general)\n"
    "  --baseline-train FILE  rows to fit the centroid baseline to; may be given several times\n"
    "  --svg FILE        a picture of all files together\n"
    "  --perturb         also how often the best label of English rows changes with typing errors,\n"
    "                    letter case, greetings, blanks and quotes\n"
    "  --second-look P   doubt labels that the second half of the text gives less than P\n"
    "  --json            one JSON object instead of text\n"
    "  --help\n";

struct scoring {
    FILE *out;
    const struct cmd_eval_request *request;
    const struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct eval_labels labels;
    struct centroid *centroid; /* NULL: no such baseline */
    struct eval *eval;         /* of the file at hand */
    struct eval *pooled;
    struct eval_table *sources;
    struct eval_table *languages;
    struct flips flips;
    struct buf changed; /* a perturbed text */
    struct buf text;    /* what will be printed */
};

static struct str file_name(struct str path)
{
    for (size_t i = path.len; i > 0; i--) {
        if (path.ptr[i - 1] == '/') {
            return str_slice(path, i, path.len);
        }
    }
    return path;
}

static double now_us(void)
{
    uint64_t ns = clock_now_ns();
    return (double)ns / 1e3;
}

static enum status add(struct eval *e, const struct prompts_row *prompt,
                       const struct classifier_result *result, double us, size_t centroid)
{
    enum status st = e != NULL ? eval_add(e, prompt, result, us) : ST_NO_MEMORY;
    if (st == ST_OK && centroid < result->count) {
        eval_add_centroid(e, centroid);
    }
    return st;
}

static void score(struct scoring *s, struct str text, struct classifier_result *ret_result)
{
    struct classifier_segment segment = {text, 1.0F};
    float least = (float)s->request->second_look;
    classifier_score(s->classifier, s->scratch, &segment, 1, ret_result);
    if (steer_is_doubtful(s->classifier, s->scratch, text, ret_result, least)) {
        steer_doubt(ret_result, s->flips.general);
    }
}

/* The seed is the text's, so that rows do not depend on their order. */
static enum status count_flips(struct scoring *s, const struct prompts_row *prompt,
                               const struct classifier_result *before)
{
    enum status st = ST_OK;
    for (unsigned i = 0; st == ST_OK && i < PERTURB_KINDS; i++) {
        enum perturb_kind kind = (enum perturb_kind)i;
        struct classifier_result after;
        buf_reset(&s->changed);
        st = perturb(kind, prompt->text, str_hash(prompt->text), &s->changed);
        if (st == ST_OK) {
            score(s, buf_str(&s->changed), &after);
            flips_add(&s->flips, kind, before, &after);
        }
    }
    return st;
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct scoring *s = ctx;
    struct classifier_result result;
    double start = now_us();
    score(s, prompt->text, &result);
    double us = now_us() - start;
    size_t centroid = s->centroid != NULL ? centroid_best(s->centroid, prompt->text) : SIZE_MAX;
    struct eval *places[] = {
        s->eval,
        eval_table_find(s->sources, prompts_family(prompt->source)),
        eval_table_find(s->languages, prompt->lang),
    };
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof places / sizeof places[0]; i++) {
        st = add(places[i], prompt, &result, us, centroid);
    }
    bool is_english = prompt->lang.len == 0 || str_eq(prompt->lang, STR("en"));
    bool is_asked = s->request->is_perturbed && is_english && !prompt->is_ood;
    return st == ST_OK && is_asked ? count_flips(s, prompt, &result) : st;
}

static enum status on_baseline(void *ctx, const struct prompts_row *prompt)
{
    struct scoring *s = ctx;
    for (size_t i = 0; !prompt->is_ood && i < s->labels.count; i++) {
        if (str_eq(s->labels.names[i], prompt->label)) {
            return centroid_add(s->centroid, prompt->text, i);
        }
    }
    return ST_OK; /* nothing that the classifier could say */
}

static enum status fit_centroid(struct scoring *s, struct diags *diags)
{
    enum status st = ST_OK;
    s->centroid = centroid_create(s->labels.count);
    if (s->centroid == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; st == ST_OK && i < s->request->baseline_count; i++) {
        st = prompts_read(s->request->baseline_files[i], diags, on_baseline, s);
    }
    return st == ST_OK ? centroid_fit(s->centroid) : st;
}

/* One file into the pool, reported. */
static enum status run_file(struct scoring *s, const char *path, struct diags *diags, bool is_first)
{
    struct eval_report report;
    enum status st = prompts_read(path, diags, on_prompt, s);
    if (st == ST_OK) {
        st = eval_finish(s->eval, &report);
    }
    if (st == ST_OK && s->request->is_json && !is_first) {
        st = buf_append_char(&s->text, ',');
    }
    if (st == ST_OK) {
        st = s->request->is_json ? eval_write_json(s->eval, &report, str_from(path), &s->text)
                                 : eval_write_text(&report, str_from(path), &s->text);
    }
    return st == ST_OK ? eval_merge(s->pooled, s->eval) : st;
}

static enum status run_files(struct scoring *s, struct diags *diags)
{
    enum status st = s->request->is_json ? buf_append(&s->text, STR("{\"files\":[")) : ST_OK;
    for (size_t i = 0; st == ST_OK && i < s->request->file_count; i++) {
        s->eval = eval_create(&s->labels, s->request->threshold, s->request->general);
        if (s->eval == NULL) {
            return ST_NO_MEMORY;
        }
        st = run_file(s, s->request->files[i], diags, i == 0);
        eval_destroy(s->eval);
    }
    return st;
}

static enum status pool_json(struct scoring *s, const struct eval_report *report)
{
    enum status st = buf_append(&s->text, STR("],\"pooled\":"));
    if (st == ST_OK) {
        st = eval_write_json(s->pooled, report, STR("pooled"), &s->text);
    }
    if (st == ST_OK) {
        st = buf_append(&s->text, STR(",\"sources\":"));
    }
    if (st == ST_OK) {
        st = eval_write_table_json(s->sources, &s->text);
    }
    if (st == ST_OK) {
        st = buf_append(&s->text, STR(",\"languages\":"));
    }
    if (st == ST_OK) {
        st = eval_write_table_json(s->languages, &s->text);
    }
    if (st == ST_OK && s->request->is_perturbed) {
        st = buf_append(&s->text, STR(",\"perturbed\":"));
        st = st == ST_OK ? flips_write_json(&s->flips, &s->text) : st;
    }
    return st == ST_OK ? buf_append(&s->text, STR("}\n")) : st;
}

static enum status pool_text(struct scoring *s, const struct eval_report *report)
{
    enum status st = eval_write_text(report, STR("pooled"), &s->text);
    if (st == ST_OK) {
        st = eval_write_table_text(s->sources, STR("source"), &s->text);
    }
    if (st == ST_OK) {
        st = eval_write_table_text(s->languages, STR("language"), &s->text);
    }
    if (st == ST_OK) {
        st = eval_write_details(s->pooled, report, &s->text);
    }
    return st == ST_OK && s->request->is_perturbed ? flips_write_text(&s->flips, &s->text) : st;
}

static enum status save_svg(struct scoring *s, const struct eval_report *report,
                            struct diags *diags)
{
    struct buf svg;
    buf_init(&svg, SVG_MAX);
    struct str name = s->request->file_count == 1 ? str_from(s->request->files[0]) : STR("pooled");
    enum status st = eval_write_svg(s->pooled, report, file_name(name), &svg);
    FILE *file = st == ST_OK ? fopen(s->request->svg, "we") : NULL;
    if (st == ST_OK) {
        bool is_written = file != NULL && fwrite(buf_str(&svg).ptr, svg.len, 1, file) == 1;
        is_written = (file == NULL || fclose(file) == 0) && is_written;
        st = is_written ? ST_OK : ST_IO;
    }
    if (st == ST_IO) {
        diags_add(diags, DIAG_ERROR, str_from(s->request->svg), (struct pos){0, 0},
                  "cannot be written");
    }
    buf_fini(&svg);
    return st;
}

/* Everything in s has been created. */
static enum status run_all(struct scoring *s, struct diags *diags)
{
    struct eval_report report;
    enum status st = s->request->baseline_count > 0 ? fit_centroid(s, diags) : ST_OK;
    if (st == ST_OK) {
        st = run_files(s, diags);
    }
    if (st == ST_OK) {
        st = eval_finish(s->pooled, &report);
    }
    if (st == ST_OK) {
        st = s->request->is_json ? pool_json(s, &report) : pool_text(s, &report);
    }
    if (st == ST_OK && s->request->svg != NULL) {
        st = save_svg(s, &report, diags);
    }
    if (st == ST_OK) {
        (void)fprintf(s->out, "%.*s", STR_ARG(buf_str(&s->text)));
    }
    return st;
}

enum status cmd_eval_run(const struct classifier *c, const struct cmd_eval_request *request,
                         struct diags *diags, FILE *out)
{
    struct scoring s = {.out = out, .request = request, .classifier = c};
    eval_labels_of(c, &s.labels);
    s.scratch = classifier_scratch_create();
    s.pooled = eval_create(&s.labels, request->threshold, request->general);
    s.sources = eval_table_create(&s.labels, request->threshold, request->general);
    s.languages = eval_table_create(&s.labels, request->threshold, request->general);
    buf_init(&s.text, TEXT_MAX);
    buf_init(&s.changed, TEXT_MAX);
    s.flips = (struct flips){.threshold = request->threshold};
    while (s.flips.general < s.labels.count &&
           !str_eq(s.labels.names[s.flips.general], request->general)) {
        s.flips.general++;
    }
    bool is_ready =
        s.scratch != NULL && s.pooled != NULL && s.sources != NULL && s.languages != NULL;
    enum status st = is_ready ? run_all(&s, diags) : ST_NO_MEMORY;
    buf_fini(&s.text);
    buf_fini(&s.changed);
    centroid_destroy(s.centroid);
    eval_table_destroy(s.sources);
    eval_table_destroy(s.languages);
    eval_destroy(s.pooled);
    classifier_scratch_destroy(s.scratch);
    return st;
}

struct arguments {
    const char *config;
    const char *model;
    const char *files[FILES_MAX];
    const char *baseline_files[FILES_MAX];
    const char *general;
    struct cmd_eval_request request;
    bool wants_help;
};

static bool add_path(const char *paths[FILES_MAX], size_t *count, const char *path)
{
    if (*count == FILES_MAX) {
        return false;
    }
    paths[(*count)++] = path;
    return true;
}

static bool take_data(void *place, const char *value)
{
    struct arguments *a = place;
    return add_path(a->files, &a->request.file_count, value);
}

static bool take_baseline(void *place, const char *value)
{
    struct arguments *a = place;
    return add_path(a->baseline_files, &a->request.baseline_count, value);
}

/* False: the usage is to be printed. */
static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    struct cmd_eval_request *request = &a->request;
    const struct cmd_option options[] = {
        {.name = "config", .kind = CMD_TEXT, .place = &a->config, .letter = 'c'},
        {.name = "model", .kind = CMD_TEXT, .place = &a->model},
        {.name = "data", .kind = CMD_CALL, .place = a, .take = take_data},
        {.name = "threshold", .kind = CMD_REAL, .place = &request->threshold},
        {.name = "general", .kind = CMD_TEXT, .place = &a->general},
        {.name = "baseline-train", .kind = CMD_CALL, .place = a, .take = take_baseline},
        {.name = "svg", .kind = CMD_TEXT, .place = &request->svg},
        {.name = "perturb", .kind = CMD_FLAG, .place = &request->is_perturbed},
        {.name = "second-look", .kind = CMD_REAL, .place = &request->second_look},
        {.name = "json", .kind = CMD_FLAG, .place = &request->is_json},
        {.name = "help", .kind = CMD_HELP, .place = &a->wants_help},
    };
    a->general = "general";
    *request = (struct cmd_eval_request){
        .threshold = default_threshold, .files = a->files, .baseline_files = a->baseline_files};
    bool is_read = cmd_options_read(argc, argv, options, sizeof options / sizeof options[0]);
    request->general = str_from(a->general);
    return is_read && (a->wants_help ||
                       ((a->model == NULL) != (a->config == NULL) && request->file_count > 0));
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
