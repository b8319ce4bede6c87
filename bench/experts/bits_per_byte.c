/* What small models of one domain each are worth, and what routing between them keeps of it:
 *   bits_per_byte [--json] [--threshold P] [--below] WEIGHTS MODELS FILE.jsonl
 * MODELS is a folder of NAME.gguf, each an expert for prompts with the label NAME, and of
 * generalist.gguf, for those that the classifier (WEIGHTS) gives to no expert. Rows of FILE that are not
 * English are left out; for those whose label has no expert, the generalist is the right model. Prints
 * bits per byte (less is better) for each label under each model, and for all rows together with the
 * right model, the routed one, the best single expert, the generalist, and the experts' average.
 * --below: says in one line more whether routing is better than the generalist and than every single
 * expert, and fails where it is not.
 *
 * Runs of white space count as one blank: models of this size are trained so. A text that is too long
 * for the context of one of the models is cut for all of them: they see the same bytes. Bytes are the
 * text's own: neither begin nor end of text is counted. */
#include <dirent.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "backends/kernels/tinylm/lm_score.h"
#include "base/arena.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "bench/experts/bits.h"
#include "router/classifier.h"
#include "router/prompts.h"

enum {
    ARENA_BLOCK_BYTES = 16 * 1024,
    ARENA_MAX_BYTES = 1 << 20,
    CONTEXT_MAX = 4096,
    TEXT_MAX = 64 * 1024, /* of a prompt; more is cut off */
    JSON_MAX = 1 << 20,
};

struct scorer {
    struct lm *lm;
    struct lm_session *session;
    struct tokens tokens;
};

struct job {
    struct arena *arena;
    struct diags diags;
    struct classifier *classifier;
    struct classifier_scratch *scratch;
    double threshold;
    bool wants_json;
    bool below;
    struct scorer scorers[BITS_MODELS_MAX];
    struct bits bits;
    size_t left_out;
};

static void die(const char *what, enum status st)
{
    (void)fprintf(stderr, "bits_per_byte: %s: %s\n", what, status_text(st));
    exit(1);
}

static void check(struct job *j, const char *what, enum status st)
{
    if (st != ST_OK) {
        diags_print(&j->diags, stderr);
        die(what, st);
    }
}

/* ---- models ---- */

/* The names of the folder's models without ".gguf", in order; -1: it cannot be read. */
static int list_models(struct job *j, const char *folder)
{
    static const struct str ending = STR_INIT(".gguf");
    struct bits *b = &j->bits;
    DIR *dir = opendir(folder);
    if (dir == NULL) {
        return -1;
    }
    for (struct dirent *e = readdir(dir); e != NULL && b->count < BITS_MODELS_MAX;
         e = readdir(dir)) {
        struct str name = str_from(e->d_name);
        if (!str_ends_with(name, ending)) {
            continue;
        }
        name = arena_printf(j->arena, "%.*s", (int)(name.len - ending.len), name.ptr);
        size_t at = b->count++;
        for (; at > 0 && str_cmp(name, b->names[at - 1]) < 0; at--) {
            b->names[at] = b->names[at - 1];
        }
        b->names[at] = name;
    }
    (void)closedir(dir); /* it was only read */
    return 0;
}

static void open_models(struct job *j, const char *folder)
{
    struct bits *b = &j->bits;
    check(j, folder, list_models(j, folder) == 0 ? ST_OK : ST_IO);
    b->generalist = b->count;
    b->generalist = bits_model(b, STR("generalist"));
    if (b->generalist == b->count || b->count < 2) {
        (void)fprintf(stderr, "bits_per_byte: %s: wanted generalist.gguf and at least one more\n",
                      folder);
        exit(1);
    }
    for (size_t i = 0; i < b->count; i++) {
        struct scorer *s = &j->scorers[i];
        const char *path = arena_printf(j->arena, "%s/%.*s.gguf", folder, STR_ARG(b->names[i])).ptr;
        check(j, path, lm_open(path, &j->diags, &s->lm));
        size_t context = s->lm->shape.context < CONTEXT_MAX ? s->lm->shape.context : CONTEXT_MAX;
        s->session = lm_session_create(s->lm, context);
        check(j, path, s->session == NULL ? ST_NO_MEMORY : ST_OK);
    }
}

/* ---- rows ---- */

/* With single blanks, at most TEXT_MAX bytes. */
static struct str tidy(struct str text, char *to)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len && len < TEXT_MAX; i++) {
        bool is_blank = text.ptr[i] == ' ' || (text.ptr[i] >= '\t' && text.ptr[i] <= '\r');
        if (!is_blank) {
            to[len++] = text.ptr[i];
        } else if (len > 0 && to[len - 1] != ' ') {
            to[len++] = ' ';
        }
    }
    return str_trim(utf8_truncate((struct str){to, len}, len));
}

/* Shortens the text until all models take it, and leaves its tokens with each. */
static struct str encode(struct job *j, struct str text)
{
    for (size_t i = 0; i < j->bits.count;) {
        struct scorer *s = &j->scorers[i];
        check(j, "a prompt", lm_score_encode(s->lm, text, &s->tokens));
        size_t room = lm_session_context(s->session) + 1;
        if (s->tokens.count <= room) {
            i++;
        } else {
            text = str_trim(utf8_truncate(text, text.len * room / s->tokens.count));
            i = 0;
        }
    }
    return text;
}

static double score(struct job *j, struct scorer *s)
{
    float *logs = mem_zalloc(s->tokens.count, sizeof *logs);
    check(j, "a prompt", logs == NULL ? ST_NO_MEMORY : ST_OK);
    check(j, "a prompt", lm_score(s->session, s->tokens.ids, s->tokens.count, logs));
    double nats = 0;
    for (size_t i = 0; i + 1 < s->tokens.count; i++) {
        nats -= (double)logs[i];
    }
    mem_free(logs);
    return nats / log(2);
}

/* The expert of the classifier's category, where it is sure enough and there is one. */
static size_t route(struct job *j, struct str text)
{
    struct classifier_segment segment = {text, 1.0F};
    struct classifier_result result = {0};
    classifier_score(j->classifier, j->scratch, &segment, 1, &result);
    bool is_sure = (double)result.p[result.best] >= j->threshold;
    return is_sure ? bits_model(&j->bits, classifier_label(j->classifier, result.best))
                   : j->bits.generalist;
}

static enum status on_prompt(void *ctx, const struct prompts_row *prompt)
{
    struct job *j = ctx;
    static char memory[TEXT_MAX];
    double bits[BITS_MODELS_MAX] = {0};
    size_t right = bits_model(&j->bits, prompt->label);
    bool is_english = str_is_empty(prompt->lang) || str_eq(prompt->lang, STR("en"));
    struct str text = tidy(prompt->text, memory);
    if (!is_english || prompt->is_ood || text.len == 0) {
        j->left_out++;
        return ST_OK;
    }
    size_t routed = route(j, prompt->text);
    text = encode(j, text);
    for (size_t i = 0; i < j->bits.count; i++) {
        bits[i] = score(j, &j->scorers[i]);
    }
    bits_add(&j->bits, right, routed, text.len, bits);
    return ST_OK;
}

/* ---- figures ---- */

static void print_sum(const struct bits *b, const char *name, int len, const struct bits_sum *sum)
{
    (void)printf("%-16.*s %6zu %9.0f", len, name, sum->rows, sum->bytes);
    for (size_t i = 0; i < b->count; i++) {
        (void)printf(" %16.4f", sum->bits[i] / sum->bytes);
    }
    (void)printf("\n");
}

static void print_table(const struct job *j, const struct bits_pool *pool)
{
    const struct bits *b = &j->bits;
    (void)printf("%-16s %6s %9s", "label", "rows", "bytes");
    for (size_t i = 0; i < b->count; i++) {
        (void)printf(" %16.*s", STR_ARG(b->names[i]));
    }
    (void)printf("\n");
    for (size_t i = 0; i < b->count; i++) {
        if (b->by_label[i].rows > 0) {
            print_sum(b, b->names[i].ptr, (int)b->names[i].len, &b->by_label[i]);
        }
    }
    print_sum(b, "all", 3, &b->all);
    (void)printf(
        "\nright model       %.4f\nrouted model      %.4f (the right one for %.1f %% of the "
        "rows)\nbest single       %.4f (%.*s)\ngeneralist        %.4f\naverage expert    "
        "%.4f\nrows left out     %zu\n",
        pool->right, pool->routed, pool->agreed * 100, pool->best,
        STR_ARG(b->names[pool->best_model]), pool->generalist, pool->average, j->left_out);
}

static enum status put_sum(struct buf *out, const struct bits *b, struct str name,
                           const struct bits_sum *sum)
{
    enum status st = json_write_text(out, name);
    st = st == ST_OK ? buf_printf(out, ":{\"rows\":%zu,\"bytes\":%.0f,\"bits_per_byte\":{",
                                  sum->rows, sum->bytes)
                     : st;
    for (size_t i = 0; st == ST_OK && i < b->count; i++) {
        st = i > 0 ? buf_append_char(out, ',') : ST_OK;
        st = st == ST_OK ? json_write_text(out, b->names[i]) : st;
        st = st == ST_OK ? buf_printf(out, ":%.5f", sum->bits[i] / sum->bytes) : st;
    }
    return st == ST_OK ? buf_append(out, STR("}}")) : st;
}

static enum status put_json(const struct job *j, const struct bits_pool *pool, struct buf *out)
{
    const struct bits *b = &j->bits;
    enum status st = buf_append(out, STR("{\"labels\":{"));
    bool is_first = true;
    for (size_t i = 0; st == ST_OK && i < b->count; i++) {
        if (b->by_label[i].rows > 0) {
            st = is_first ? ST_OK : buf_append_char(out, ',');
            st = st == ST_OK ? put_sum(out, b, b->names[i], &b->by_label[i]) : st;
            is_first = false;
        }
    }
    st = st == ST_OK ? buf_append(out, STR("},")) : st;
    st = st == ST_OK ? put_sum(out, b, STR("all"), &b->all) : st;
    st = st == ST_OK ? buf_printf(out,
                                  ",\"right\":%.5f,\"routed\":%.5f,\"best_single\":%.5f,"
                                  "\"generalist\":%.5f,\"average\":%.5f,\"routed_is_right\":%.5f,"
                                  "\"left_out\":%zu,\"best_single_is\":",
                                  pool->right, pool->routed, pool->best, pool->generalist,
                                  pool->average, pool->agreed, j->left_out)
                     : st;
    st = st == ST_OK ? json_write_text(out, b->names[pool->best_model]) : st;
    return st == ST_OK ? buf_append(out, STR("}\n")) : st;
}

/* One line for the suite: what routing is worth here. */
static bool is_below(const struct bits_pool *pool)
{
    (void)printf("FIGURE: bits per byte: routed %.4f, generalist %.4f, best single expert %.4f\n",
                 pool->routed, pool->generalist, pool->best);
    return pool->routed < pool->generalist && pool->routed < pool->best;
}

static void print_json(struct job *j, const struct bits_pool *pool)
{
    struct buf out;
    buf_init(&out, JSON_MAX);
    check(j, "the figures", put_json(j, pool, &out));
    (void)fwrite(buf_str(&out).ptr, 1, buf_str(&out).len, stdout);
    buf_fini(&out);
}

/* ---- program ---- */

static const struct option options[] = {
    {"json", no_argument, NULL, 'j'},
    {"below", no_argument, NULL, 'b'},
    {"threshold", required_argument, NULL, 't'},
    {NULL, 0, NULL, 0},
};

/* False: the usage is to be printed. */
static bool read_arguments(int argc, char **argv, struct job *j)
{
    for (int found = getopt_long(argc, argv, "", options, NULL); found != -1;
         found = getopt_long(argc, argv, "", options, NULL)) {
        if (found == '?' ||
            (found == 't' && str_to_real(str_from(optarg), &j->threshold) != ST_OK)) {
            return false;
        }
        j->wants_json = j->wants_json || found == 'j';
        j->below = j->below || found == 'b';
    }
    return argc - optind == 3;
}

static void close_all(struct job *j)
{
    for (size_t i = 0; i < j->bits.count; i++) {
        tokens_fini(&j->scorers[i].tokens);
        lm_session_destroy(j->scorers[i].session);
        lm_destroy(j->scorers[i].lm);
    }
    classifier_unref(j->classifier);
    classifier_scratch_destroy(j->scratch);
    arena_destroy(j->arena);
}

int main(int argc, char **argv)
{
    static struct job job = {.threshold = 0.55}; /* router.threshold's default */
    struct job *j = &job;
    if (!read_arguments(argc, argv, j)) {
        (void)fputs("usage: bits_per_byte [--json] [--threshold P] [--below] "
                    "WEIGHTS MODELS FILE.jsonl\n",
                    stderr);
        return 2;
    }
    j->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    j->scratch = classifier_scratch_create();
    if (j->arena == NULL || j->scratch == NULL) {
        die("starting", ST_NO_MEMORY);
    }
    diags_init(&j->diags, j->arena);
    check(j, argv[optind], classifier_load(argv[optind], &j->diags, &j->classifier));
    open_models(j, argv[optind + 1]);
    check(j, argv[optind + 2], prompts_read(argv[optind + 2], &j->diags, on_prompt, j));
    if (j->bits.all.rows == 0) {
        die("no English row", ST_INVALID);
    }
    struct bits_pool pool = bits_pool(&j->bits);
    if (j->wants_json) {
        print_json(j, &pool);
    } else {
        print_table(j, &pool);
    }
    bool is_good = !j->below || is_below(&pool);
    close_all(j);
    return is_good ? 0 : 1;
}
