/* See cmd_train.h. Collects rows, trains, and writes the weights with a card that says from what. */
#include "gateway/cmd_train.h"

#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/diag.h"
#include "base/file.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/str.h"
#include "gateway/cmd_options.h"
#include "gateway/cmd_train_report.h"
#include "gateway/feedback.h"
#include "gateway/state.h"
#include "router/prompts.h"
#include "router/train.h"
#include "router/vectors_text.h"
#include "router/weights.h"

enum {
    FILES_MAX = 32,
    CARD_MAX = 32768,
    REPORT_MAX = 16 * 1024 * 1024,
    DIAG_ARENA_BYTES = 16384,
    DIAG_ARENA_MAX = 1024 * 1024,
    EXIT_USAGE = 2,
    EPOCHS_MAX = 1000,
    THREADS_MAX = 16,
    ROWS_BITS = 18, /* of the default */
    ROWS_BITS_MIN = 8,
    ROWS_BITS_MAX = 22,
};

static const char help[] =
    "usage: expertd train --data FILE.jsonl[:WEIGHT] [--data ...] --out FILE.edm\n"
    "\n"
    "Fits the domain classifier to rows {\"text\", \"label\", \"source\"?, \"accept\": [...]?}. A "
    "weight after\n"
    "the file name lets its rows count more or less than 1. Sources are left out group by group to\n"
    "fit the temperature; the figures on them are printed and go into the training card.\n"
    "\n"
    "  --data FILE[:W]   a file of rows; may be given several times\n"
    "  --from-feedback FILE[:W]  a state file: its feedback counts as rows of the source \"feedback\",\n"
    "                    where it names a category that the data has, or calls the routed one good\n"
    "  --vectors FILE    word vectors: text as word2vec writes it, or the weights (.edm) that have\n"
    "                    them; without, the classifier knows spelling alone\n"
    "  --out FILE        the weights\n"
    "  --report FILE     all figures on the sources left out, as JSON; printed as well. Takes another\n"
    "                    minute. With it --out may be missing\n"
    "  --rows N          table of at most 2^N rows (18: 3.97 MB with 14 labels)\n"
    "  --epochs N        passes over the data (4)\n"
    "  --dropping P      share of features left out at each visit (0.45)\n"
    "  --seed N          of shuffling and dropping (1)\n"
    "  --threads N       models fitted at a time; does not change the result (1)\n"
    "  --help\n";

struct source { /* one --data */
    struct str path;
    char text[1024];
    double weight;
    size_t rows;
    bool is_feedback; /* a state file, not JSONL */
};

struct arguments {
    struct source sources[FILES_MAX];
    size_t source_count;
    const char *out;     /* NULL: only a report is wanted */
    const char *report;  /* NULL: none */
    const char *vectors; /* NULL: none */
    struct train_options options;
    int64_t rows_bits;
    int64_t epochs;
    int64_t seed;
    int64_t threads;
    bool wants_help;
};

struct adding {
    struct trainer *trainer;
    struct source *source;
};

static void on_progress(void *ctx, const char *what, size_t done, size_t of)
{
    const int64_t *start_ms = ctx;
    int64_t now_ms = clock_now_ms(clock_system());
    (void)fprintf(stderr, "fitted %zu of %zu (left out: %s) after %.1f s\n", done, of, what,
                  (double)(now_ms - *start_ms) / 1000.0);
}

/* The others have nothing to teach. */
static bool is_for_training(const struct prompts_row *prompt)
{
    return !prompt->is_ood && prompt->label.len > 0;
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct adding *adding = ctx;
    struct train_row row = {
        .text = prompt->text,
        .label = prompt->label,
        .source = prompt->source,
        .original = prompts_original(prompt),
        .accept = prompt->accept,
        .accept_count = prompt->accept_count,
        .weight = adding->source->weight,
    };
    if (!is_for_training(prompt)) {
        return ST_OK;
    }
    adding->source->rows++;
    return train_add(adding->trainer, &row);
}

/* Where the prompt belonged, by what people said; empty: they did not say. */
static struct str label_of(const struct feedback_row *row)
{
    if (row->category.len > 0) {
        return row->category;
    }
    return str_eq(row->rating, STR("good")) ? row->routed_category : STR("");
}

static enum status on_feedback(void *ctx, const struct feedback_row *said)
{
    struct adding *adding = ctx;
    struct train_row row = {
        .label = label_of(said),
        .source = STR("feedback"),
        .weight = adding->source->weight,
        .hashes = said->hashes,
        .hash_count = said->hash_count,
    };
    if (said->hash_count == 0 || !train_has_label(adding->trainer, row.label)) {
        return ST_OK;
    }
    adding->source->rows++;
    return train_add(adding->trainer, &row);
}

static enum status read_feedback(struct adding *adding, struct diags *diags)
{
    char why[DB_WHY_BYTES];
    struct db *db = NULL;
    enum status st = state_open_file(adding->source->text, DB_READ, &db, why);
    if (st == ST_OK) {
        st = feedback_each(db, on_feedback, adding);
        (void)snprintf(why, sizeof why, "%s", st == ST_OK ? "" : db_why(db));
    }
    if (st != ST_OK) {
        diags_add(diags, DIAG_ERROR, adding->source->path, (struct pos){0, 0}, "%s", why);
    }
    db_close(db);
    return st;
}

/* FILE or FILE:WEIGHT. */
static bool read_source(const char *argument, struct source *ret_source)
{
    struct str all = str_from(argument);
    struct str path = all;
    double weight = 1.0;
    const char *colon = strrchr(argument, ':');
    if (colon != NULL) {
        size_t at = (size_t)(colon - argument);
        struct str number = str_slice(all, at + 1, all.len);
        if (str_to_real(number, &weight) == ST_OK) {
            path = str_slice(all, 0, at);
        }
    }
    if (path.len == 0 || path.len >= sizeof ret_source->text || !(weight > 0.0)) {
        return false;
    }
    memcpy(ret_source->text, path.ptr, path.len);
    ret_source->text[path.len] = '\0';
    ret_source->path = (struct str){ret_source->text, path.len};
    ret_source->weight = weight;
    return true;
}

static bool add_source(struct arguments *a, const char *value, bool is_feedback)
{
    if (a->source_count == FILES_MAX) {
        return false;
    }
    a->sources[a->source_count].is_feedback = is_feedback;
    return read_source(value, &a->sources[a->source_count++]);
}

static bool take_data(void *a, const char *value)
{
    return add_source(a, value, false);
}

static bool take_feedback(void *a, const char *value)
{
    return add_source(a, value, true);
}

static bool read_options(int argc, char **argv, struct arguments *a)
{
    const struct cmd_option options[] = {
        {.name = "data", .kind = CMD_CALL, .place = a, .take = take_data},
        {.name = "from-feedback", .kind = CMD_CALL, .place = a, .take = take_feedback},
        {.name = "vectors", .kind = CMD_TEXT, .place = &a->vectors},
        {.name = "out", .kind = CMD_TEXT, .place = &a->out},
        {.name = "report", .kind = CMD_TEXT, .place = &a->report},
        {.name = "rows",
         .kind = CMD_NUMBER,
         .place = &a->rows_bits,
         .min = ROWS_BITS_MIN,
         .max = ROWS_BITS_MAX},
        {.name = "epochs", .kind = CMD_NUMBER, .place = &a->epochs, .min = 1, .max = EPOCHS_MAX},
        {.name = "dropping", .kind = CMD_REAL, .place = &a->options.fit.dropping},
        {.name = "seed", .kind = CMD_NUMBER, .place = &a->seed, .min = 0, .max = INT64_MAX},
        {.name = "threads", .kind = CMD_NUMBER, .place = &a->threads, .min = 1, .max = THREADS_MAX},
        {.name = "help", .kind = CMD_HELP, .place = &a->wants_help},
    };
    return cmd_options_read(argc, argv, options, sizeof options / sizeof options[0]);
}

/* False: the usage is to be printed. */
static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    struct train_options *o = &a->options;
    train_options_default(o);
    a->rows_bits = ROWS_BITS;
    a->epochs = o->fit.epochs;
    a->seed = (int64_t)o->fit.seed;
    a->threads = o->threads;
    if (!read_options(argc, argv, a) || !(o->fit.dropping >= 0.0 && o->fit.dropping < 0.99)) {
        return false;
    }
    /* The default stays below four million bytes; the other sizes are in proportion. */
    o->buckets = (uint32_t)((uint64_t)o->buckets << a->rows_bits >> ROWS_BITS);
    o->fit.epochs = (int)a->epochs;
    o->fit.seed = (uint64_t)a->seed;
    o->threads = (int)a->threads;
    return a->wants_help || ((a->out != NULL || a->report != NULL) && a->source_count > 0);
}

static struct str file_name(struct str path)
{
    for (size_t i = path.len; i > 0; i--) {
        if (path.ptr[i - 1] == '/') {
            return str_slice(path, i, path.len);
        }
    }
    return path;
}

static enum status write_groups(const struct train_report *report, struct buf *card)
{
    enum status st = buf_append(card, STR("],\"left_out\":["));
    for (size_t i = 0; st == ST_OK && i < report->group_count; i++) {
        const struct train_group *group = &report->groups[i];
        st = buf_printf(card,
                        "%s{\"group\":\"%s\",\"n\":%zu,\"accuracy\":%.4f,"
                        "\"accuracy_accept\":%.4f,\"ece\":%.4f}",
                        i > 0 ? "," : "", group->name, group->rows, group->accuracy,
                        group->accuracy_accept, group->ece);
    }
    return st == ST_OK ? buf_append(card, STR("]}")) : st;
}

/* The card has no date and no machine in it: the same data and options give the same file. */
static enum status write_card(const struct arguments *a, const struct train_report *report,
                              struct buf *card)
{
    const struct fit_options *fit = &a->options.fit;
    enum status st = buf_printf(
        card,
        "{\"model\":\"expertd domain classifier\",\"rows\":%zu,\"features\":%zu,\"kept\":%zu,"
        "\"options\":{\"buckets\":%u,\"epochs\":%d,\"seed\":%llu,\"rate\":%g,\"smoothing\":%g,"
        "\"dropping\":%g,\"decay\":%g,\"prior\":%g,\"bayes\":%g},"
        "\"network_share\":%.4f,\"calibration\":[%.4f,%.4f,%.4f],\"data\":[",
        report->rows, report->features, report->kept, a->options.buckets, fit->epochs,
        (unsigned long long)fit->seed, fit->rate, fit->smoothing, fit->dropping, fit->decay,
        fit->prior, fit->bayes, (double)report->network_share,
        (double)report->calibration.temperature, (double)report->calibration.by_spread,
        (double)report->calibration.by_unknown);
    for (size_t i = 0; st == ST_OK && i < a->source_count; i++) {
        st = buf_append(card, i > 0 ? STR(",{\"file\":") : STR("{\"file\":"));
        if (st == ST_OK) {
            st = json_write_text(card, file_name(a->sources[i].path));
        }
        if (st == ST_OK) {
            st = buf_printf(card, ",\"rows\":%zu,\"weight\":%g}", a->sources[i].rows,
                            a->sources[i].weight);
        }
    }
    return st == ST_OK ? write_groups(report, card) : st;
}

static void print_report(const struct train_report *report)
{
    (void)fprintf(stderr, "%zu rows, %zu features, %zu kept, calibration %.3f %.3f %.3f\n",
                  report->rows, report->features, report->kept,
                  (double)report->calibration.temperature, (double)report->calibration.by_spread,
                  (double)report->calibration.by_unknown);
    (void)fprintf(stderr, "%-12s %8s %9s %9s %7s\n", "left out", "n", "accuracy", "accepted",
                  "ece");
    for (size_t i = 0; i < report->group_count; i++) {
        const struct train_group *group = &report->groups[i];
        (void)fprintf(stderr, "%-12s %8zu %9.4f %9.4f %7.4f\n", group->name, group->rows,
                      group->accuracy, group->accuracy_accept, group->ece);
    }
}

struct again { /* reading the rows that were added once more */
    const struct arguments *arguments;
    struct diags *diags;
    prompts_fn on_prompt;
    void *ctx;
};

static enum status on_prompt_again(void *ctx, const struct prompts_row *prompt)
{
    const struct again *again = ctx;
    return is_for_training(prompt) ? again->on_prompt(again->ctx, prompt) : ST_OK;
}

static enum status each_row(void *ctx, prompts_fn on_prompt_wanted, void *prompt_ctx)
{
    struct again *again = ctx;
    enum status st = ST_OK;
    again->on_prompt = on_prompt_wanted;
    again->ctx = prompt_ctx;
    for (size_t i = 0; st == ST_OK && i < again->arguments->source_count; i++) {
        if (!again->arguments->sources[i].is_feedback) { /* it has no text to judge */
            st = prompts_read(again->arguments->sources[i].text, again->diags, on_prompt_again,
                              again);
        }
    }
    return st;
}

static enum status save_report(const struct arguments *a, const struct trainer *trainer,
                               struct diags *diags)
{
    struct again again = {.arguments = a, .diags = diags};
    struct buf json;
    struct buf text;
    buf_init(&json, REPORT_MAX);
    buf_init(&text, REPORT_MAX);
    enum status st = cmd_train_report(trainer, each_row, &again, &json, &text);
    if (st == ST_OK) {
        (void)fprintf(stderr, "\n%.*s", STR_ARG(buf_str(&text)));
        FILE *file = fopen(a->report, "we");
        bool is_written = file != NULL && fwrite(buf_str(&json).ptr, json.len, 1, file) == 1;
        is_written = (file == NULL || fclose(file) == 0) && is_written;
        st = is_written ? ST_OK : ST_IO;
    }
    buf_fini(&json);
    buf_fini(&text);
    return st;
}

static enum status save_weights(const struct arguments *a, const struct trainer *trainer,
                                const struct train_report *report)
{
    struct buf card;
    buf_init(&card, CARD_MAX);
    enum status st = write_card(a, report, &card);
    if (st == ST_OK) {
        st = train_save(trainer, buf_str(&card), a->out);
    }
    buf_fini(&card);
    return st;
}

static enum status train(struct arguments *a, struct trainer *trainer, struct diags *diags)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < 2 * a->source_count; i++) {
        struct source *source = &a->sources[i % a->source_count];
        struct adding adding = {trainer, source};
        if (source->is_feedback != (i >= a->source_count)) {
            continue; /* feedback comes after the data: it adds no labels, and the report reads rows
                         again by their numbers */
        }
        st = source->is_feedback ? read_feedback(&adding, diags)
                                 : prompts_read(source->text, diags, on_prompt, &adding);
        (void)fprintf(stderr, "%s: %zu rows\n", source->text, source->rows);
    }
    struct train_report report;
    if (st == ST_OK) {
        st = train_run(trainer, &report);
    }
    if (st != ST_OK) {
        return st;
    }
    print_report(&report);
    if (a->report != NULL) {
        st = save_report(a, trainer, diags);
    }
    return st == ST_OK && a->out != NULL ? save_weights(a, trainer, &report) : st;
}

/* The blob of --vectors; the caller frees ret_bytes->ptr with mem_free. */
static enum status load_vectors(const char *path, struct diags *diags, struct str *ret_bytes)
{
    struct str file = str_from(path);
    struct str text;
    if (str_ends_with(file, STR(".edm"))) {
        struct weights weights;
        enum status st = weights_open(path, diags, &weights);
        if (st != ST_OK) {
            return st;
        }
        char *copy = mem_alloc(weights.vectors.len + 1);
        if (copy != NULL && weights.vectors.len > 0) {
            memcpy(copy, weights.vectors.ptr, weights.vectors.len);
        }
        *ret_bytes = (struct str){copy, weights.vectors.len};
        weights_close(&weights);
        return copy != NULL ? ST_OK : ST_NO_MEMORY;
    }
    enum status st = file_map(path, diags, &text);
    if (st == ST_OK) {
        size_t kept = 0;
        st = vectors_text_read(text, file, diags, ret_bytes, &kept);
        (void)fprintf(stderr, "%s: %zu words\n", path, kept);
        file_unmap(text);
    }
    return st;
}

/* Reads the vectors, trains, writes. */
static enum status run(struct arguments *a, struct diags *diags)
{
    struct str vectors = {NULL, 0};
    enum status st = ST_OK;
    if (a->vectors != NULL) {
        st = load_vectors(a->vectors, diags, &vectors);
    }
    a->options.vectors = vectors;
    if (st == ST_OK) {
        struct trainer *trainer = train_create(&a->options);
        st = trainer != NULL ? train(a, trainer, diags) : ST_NO_MEMORY;
        train_destroy(trainer);
    }
    mem_free((void *)(uintptr_t)vectors.ptr);
    return st;
}

int cmd_train(int argc, char **argv)
{
    static struct arguments a; /* too large for the stack; the command runs once */
    a = (struct arguments){0};
    if (!read_arguments(argc, argv, &a)) {
        (void)fputs(help, stderr);
        return EXIT_USAGE;
    }
    if (a.wants_help) {
        (void)fputs(help, stdout);
        return 0;
    }
    int64_t start_ms = clock_now_ms(clock_system());
    a.options.on_progress = on_progress;
    a.options.ctx = &start_ms;
    struct arena *arena = arena_create(DIAG_ARENA_BYTES, DIAG_ARENA_MAX);
    struct diags diags;
    diags_init(&diags, arena);
    enum status st = ST_NO_MEMORY;
    if (arena != NULL) {
        st = run(&a, &diags);
        diags_print(&diags, stderr);
    }
    if (st != ST_OK) {
        (void)fprintf(stderr, "expertd train: %s\n", status_text(st));
    }
    arena_destroy(arena);
    return st == ST_OK ? 0 : 1;
}
