/* expertd train-heads: adds heads (router/heads.h) to a weights file, which stays as it is
 * otherwise. */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "gateway/cmd.h"
#include "gateway/cmd_options.h"
#include "router/head_rows.h"
#include "router/weights.h"

enum {
    DIAG_ARENA_BYTES = 16384,
    DIAG_ARENA_MAX = 1024 * 1024,
    HELD_OUT_MAX = 64 * 1024 * 1024,
    EXIT_USAGE = 2,
};

static const char help[] =
    "usage: expertd train-heads --weights FILE.edm --head NAME:FILE.jsonl [--head ...] "
    "--out FILE.edm\n"
    "\n"
    "Adds heads to weights: further questions about a prompt, answered in the same pass. Rows are\n"
    "{\"text\", \"value\"?, \"label\"?, \"accept\": [...]?, \"source\"?}: the head should say the "
    "value, or\n"
    "1 where its name is the label or accepted, and 0 elsewhere. Sources are left out one by one, or\n"
    "fifths of a single source, to calibrate and to judge. Heads that are not named stay.\n"
    "\n"
    "  --weights FILE    weights to begin with\n"
    "  --head NAME:FILE  a probability, from values between 0 and 1\n"
    "  --score NAME:FILE any number\n"
    "  --drop NAME       removes a head\n"
    "  --out FILE        the weights with their heads; may be the same file\n"
    "  --left-out FILE   what fits without a row's group say of each row, as JSON lines\n"
    "  --help\n";

struct change { /* one --head, --score or --drop */
    struct str name;
    const char *path; /* NULL: drop */
    enum head_kind kind;
    float weights[HEADS_INPUTS_MAX]; /* that were fitted */
};

struct arguments {
    struct change changes[HEADS_MAX];
    size_t change_count;
    const char *weights;
    const char *out;
    const char *left_out;
    bool wants_help;
};

struct job {
    const struct arguments *arguments;
    struct classifier *classifier;
    struct weights weights;
    struct heads heads; /* as they will be */
    struct diags diags;
    struct buf left_out;
};

struct adding {
    struct head_rows *rows;
    struct str name;
};

/* NAME:FILE, or NAME where has_path is false. */
static bool take_change(struct arguments *a, const char *argument, enum head_kind kind,
                        bool has_path)
{
    if (a->change_count == HEADS_MAX) {
        return false;
    }
    struct change *change = &a->changes[a->change_count++];
    const char *colon = has_path ? strchr(argument, ':') : NULL;
    change->name = str_from(argument);
    change->kind = kind;
    if (!has_path) {
        return change->name.len > 0;
    }
    if (colon == NULL || colon == argument || colon[1] == '\0') {
        return false;
    }
    change->name = str_slice(change->name, 0, (size_t)(colon - argument));
    change->path = colon + 1;
    return true;
}

static bool take_probability(void *a, const char *value)
{
    return take_change(a, value, HEAD_PROBABILITY, true);
}

static bool take_score(void *a, const char *value)
{
    return take_change(a, value, HEAD_SCORE, true);
}

static bool take_drop(void *a, const char *value)
{
    return take_change(a, value, HEAD_SCORE, false);
}

/* False: the usage is to be printed. */
static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    const struct cmd_option options[] = {
        {.name = "weights", .kind = CMD_TEXT, .place = &a->weights},
        {.name = "head", .kind = CMD_CALL, .place = a, .take = take_probability},
        {.name = "score", .kind = CMD_CALL, .place = a, .take = take_score},
        {.name = "drop", .kind = CMD_CALL, .place = a, .take = take_drop},
        {.name = "out", .kind = CMD_TEXT, .place = &a->out},
        {.name = "left-out", .kind = CMD_TEXT, .place = &a->left_out},
        {.name = "help", .kind = CMD_HELP, .place = &a->wants_help},
    };
    return cmd_options_read(argc, argv, options, sizeof options / sizeof options[0]) &&
           (a->wants_help || (a->weights != NULL && a->out != NULL && a->change_count > 0));
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct adding *adding = ctx;
    return head_rows_add(adding->rows, adding->name, prompt);
}

static void print_figures(struct str name, const struct fit_head_figures *f)
{
    (void)fprintf(stderr, "  %-14.*s %7zu %7.3f %9.3f %7.3f %7.3f %10.3f\n", STR_ARG(name), f->rows,
                  f->mean, f->predicted, f->auc, f->error, f->mean_error);
}

static void print_report(struct str name, const struct fit_head_report *report,
                         const struct head_rows *rows)
{
    (void)fprintf(stderr, "%.*s\n  %-14s %7s %7s %9s %7s %7s %10s\n", STR_ARG(name), "left out",
                  "rows", "mean", "predicted", "auc", "error", "of mean");
    for (size_t i = 0; i < report->group_count; i++) {
        print_figures(head_rows_group(rows, i), &report->groups[i]);
    }
    print_figures(STR("all"), &report->all);
}

static enum status note_left_out(struct job *job, struct str name, const struct fit_head_task *task,
                                 const float *said)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < task->count; i++) {
        st = buf_printf(&job->left_out,
                        "{\"head\":\"%.*s\",\"row\":%zu,\"value\":%.4f,\"said\":%.6f}\n",
                        STR_ARG(name), i, (double)task->rows[i].value, (double)said[i]);
    }
    return st;
}

static enum status refuse(struct job *job, const char *file, const char *why)
{
    diags_add(&job->diags, DIAG_ERROR, str_from(file), (struct pos){0, 0}, "%s", why);
    return ST_INVALID;
}

static enum status fit(struct job *job, struct change *change, struct head_rows *rows,
                       struct head *ret_head)
{
    struct fit_head_task task = head_rows_task(rows, change->kind);
    struct fit_head_report report;
    float *said = mem_alloc((task.count + 1) * sizeof *said);
    if (said == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = fit_head(&task, change->weights, &ret_head->bias, said, &report);
    if (st == ST_INVALID) {
        st =
            refuse(job, change->path,
                   "has no rows from which a head can be fitted: it needs different values, within "
                   "0 and 1 for a probability");
    }
    if (st == ST_OK) {
        print_report(change->name, &report, rows);
        st = note_left_out(job, change->name, &task, said);
    }
    mem_free(said);
    return st;
}

/* Puts a head in the place of one with its name, or at the end. */
static enum status put(struct job *job, const struct head *head)
{
    size_t at = heads_find(&job->heads, head->name);
    if (at == SIZE_MAX) {
        at = job->heads.count;
        if (at == HEADS_MAX) {
            return refuse(job, job->arguments->weights, "has as many heads as there may be");
        }
        job->heads.count++;
    }
    job->heads.items[at] = *head;
    return ST_OK;
}

static enum status drop(struct job *job, struct str name)
{
    size_t at = heads_find(&job->heads, name);
    if (at == SIZE_MAX) {
        return refuse(job, job->arguments->weights, "has no head of the name that is to go");
    }
    job->heads.count--;
    memmove(&job->heads.items[at], &job->heads.items[at + 1],
            (job->heads.count - at) * sizeof job->heads.items[0]);
    return ST_OK;
}

static enum status apply(struct job *job, struct change *change)
{
    struct head head = {.name = change->name, .kind = change->kind, .weights = change->weights};
    if (change->path == NULL) {
        return drop(job, change->name);
    }
    struct adding adding = {head_rows_create(job->classifier, &job->heads), change->name};
    if (adding.rows == NULL) {
        return ST_NO_MEMORY;
    }
    enum status st = prompts_read(change->path, &job->diags, on_prompt, &adding);
    if (st == ST_TOO_BIG) {
        st = refuse(job, change->path, "has rows of more than 16 source families");
    }
    if (st == ST_OK) {
        st = fit(job, change, adding.rows, &head);
    }
    head_rows_destroy(adding.rows);
    return st == ST_OK ? put(job, &head) : st;
}

static enum status write_text(const char *path, struct str text)
{
    FILE *file = fopen(path, "we");
    bool is_written = file != NULL && (text.len == 0 || fwrite(text.ptr, text.len, 1, file) == 1);
    is_written = (file == NULL || fclose(file) == 0) && is_written;
    return is_written ? ST_OK : ST_IO;
}

static enum status save(struct job *job)
{
    struct str bytes = STR("");
    enum status st = heads_encode(&job->heads, &bytes);
    if (st == ST_INVALID) {
        return refuse(job, job->arguments->weights,
                      "cannot hold these heads: names are letters, digits, _ and -, at most 31");
    }
    if (st == ST_OK) {
        job->weights.heads = bytes;
        st = weights_write(&job->weights, job->arguments->out);
    }
    if (st == ST_OK && job->arguments->left_out != NULL) {
        st = write_text(job->arguments->left_out, buf_str(&job->left_out));
    }
    if (bytes.len > 0) {
        char *owned = NULL;
        memcpy(&owned, &bytes.ptr, sizeof owned); /* heads_encode gave it */
        mem_free(owned);
    }
    return st;
}

static enum status run(struct arguments *a, struct job *job)
{
    enum status st = weights_open(a->weights, &job->diags, &job->weights);
    if (st == ST_OK) {
        st = classifier_load(a->weights, &job->diags, &job->classifier);
    }
    if (st == ST_OK) {
        job->heads = *classifier_heads(job->classifier);
    }
    for (size_t i = 0; st == ST_OK && i < a->change_count; i++) {
        st = apply(job, &a->changes[i]);
    }
    return st == ST_OK ? save(job) : st;
}

int cmd_heads(int argc, char **argv)
{
    static struct arguments arguments; /* too large for the stack */
    static struct job job;
    if (!read_arguments(argc, argv, &arguments) || arguments.wants_help) {
        (void)fputs(help, arguments.wants_help ? stdout : stderr);
        return arguments.wants_help ? 0 : EXIT_USAGE;
    }
    job.arguments = &arguments;
    struct arena *arena = arena_create(DIAG_ARENA_BYTES, DIAG_ARENA_MAX);
    enum status st = ST_NO_MEMORY;
    buf_init(&job.left_out, HELD_OUT_MAX);
    if (arena != NULL) {
        diags_init(&job.diags, arena);
        st = run(&arguments, &job);
        diags_print(&job.diags, stderr);
    }
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd train-heads: %s\n", status_text(st));
    }
    classifier_unref(job.classifier);
    weights_close(&job.weights);
    buf_fini(&job.left_out);
    arena_destroy(arena);
    return st == ST_OK ? 0 : 1;
}
