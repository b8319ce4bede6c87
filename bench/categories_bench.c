/* How well categories from twenty lines do: each file's first 20 lines are the examples, the others
 * are asked. The prompts of the JSONL file must stay where they are.
 *
 *     categories_bench WEIGHTS BACKGROUND PROMPTS.jsonl FILE.txt... */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/file.h"
#include "router/custom.h"
#include "router/prompts.h"

enum {
    EXAMPLES = 20,
    LINES_MAX = 200,
    FILES_MAX = CUSTOM_MAX,
};

struct topic {
    const char *path;
    struct custom_line lines[LINES_MAX];
    size_t count;
};

struct run {
    struct classifier *classifier;
    struct classifier_scratch *scratch;
    struct custom *custom;
    size_t topics;
    size_t prompts;
    size_t moved;
    size_t wrong[FILES_MAX]; /* prompts that went to a topic */
};

static struct topic topics[FILES_MAX];

static size_t ask(struct run *r, struct str text)
{
    static uint32_t hashes[CUSTOM_HASHES_MAX];
    struct classifier_segment segment = {text, 1.0F};
    struct classifier_result result;
    float p[CUSTOM_MAX];
    classifier_score(r->classifier, r->scratch, &segment, 1, &result);
    size_t count = classifier_hashes(r->scratch, &segment, 1, hashes, CUSTOM_HASHES_MAX);
    size_t best = custom_judge(r->custom, hashes, count, &result, p);
    return p[best] >= CUSTOM_TAKES ? best : r->topics;
}

static enum status on_prompt(void *ctx, const struct prompts_row *row)
{
    struct run *r = ctx;
    size_t got = ask(r, row->text);
    r->prompts++;
    if (got < r->topics) {
        r->moved++;
        r->wrong[got]++;
    }
    return ST_OK;
}

static bool read_topic(struct topic *t, const char *path, struct diags *diags)
{
    struct str bytes;
    struct str line;
    t->path = path;
    if (file_map(path, diags, &bytes) != ST_OK) {
        return false;
    }
    for (struct str rest = bytes; t->count < LINES_MAX && str_split(rest, '\n', &line, &rest);) {
        struct str text = str_trim(line);
        if (text.len > 0 && text.ptr[0] != '#') {
            t->lines[t->count].line = (int)t->count + 1;
            t->lines[t->count++].text = text;
        }
    }
    return t->count > EXAMPLES;
}

static void report(struct run *r)
{
    double recall = 0.0;
    double precision = 0.0;
    (void)printf("%-28s %7s %9s %7s | %7s %9s %7s\n", "topic", "recall", "precision", "wrong",
                 "CV rec.", "CV prec.", "moved");
    for (size_t t = 0; t < r->topics; t++) {
        const struct custom_figures *f = custom_figures_of(r->custom, t);
        size_t asked = topics[t].count - EXAMPLES;
        size_t right = 0;
        for (size_t i = EXAMPLES; i < topics[t].count; i++) {
            right += ask(r, topics[t].lines[i].text) == t;
        }
        for (size_t u = 0; u < r->topics; u++) {
            for (size_t i = EXAMPLES; u != t && i < topics[u].count; i++) {
                r->wrong[t] += ask(r, topics[u].lines[i].text) == t;
            }
        }
        double p = right + r->wrong[t] > 0 ? (double)right / (double)(right + r->wrong[t]) : 0.0;
        const char *name = strrchr(topics[t].path, '/');
        (void)printf("%-28s %7.3f %9.3f %7zu | %7.3f %9.3f %7.4f\n",
                     name != NULL ? name + 1 : topics[t].path, (double)right / (double)asked, p,
                     r->wrong[t], f->recall, f->precision, f->moved);
        recall += (double)right / (double)asked / (double)r->topics;
        precision += p / (double)r->topics;
    }
    (void)printf("%-28s %7.3f %9.3f\n%zu of %zu prompts moved (%.2f %%)\n", "mean", recall,
                 precision, r->moved, r->prompts,
                 100.0 * (double)r->moved / (double)(r->prompts > 0 ? r->prompts : 1));
}

static enum status run(int argc, char **argv, struct diags *diags)
{
    struct run r = {.topics = (size_t)argc - 4};
    struct custom_source sources[FILES_MAX];
    struct str background;
    struct timespec start;
    struct timespec end;
    enum status st = classifier_load(argv[1], diags, &r.classifier);
    st = st == ST_OK ? file_map(argv[2], diags, &background) : st;
    for (size_t t = 0; st == ST_OK && t < r.topics; t++) {
        st = read_topic(&topics[t], argv[t + 4], diags) ? ST_OK : ST_INVALID;
        sources[t] = (struct custom_source){topics[t].lines, EXAMPLES, SIZE_MAX, SIZE_MAX};
    }
    r.scratch = classifier_scratch_create();
    if (st != ST_OK || r.scratch == NULL) {
        return st == ST_OK ? ST_NO_MEMORY : st;
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &start);
    st = custom_fit(r.classifier, background, sources, r.topics, &r.custom);
    (void)clock_gettime(CLOCK_MONOTONIC, &end);
    st = st == ST_OK ? prompts_read(argv[3], diags, on_prompt, &r) : st;
    if (st == ST_OK) {
        report(&r);
        double ms =
            (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
        (void)printf("fitted in %.0f ms\n", ms);
    }
    file_unmap(background);
    custom_destroy(r.custom);
    classifier_scratch_destroy(r.scratch);
    classifier_unref(r.classifier);
    return st;
}

int main(int argc, char **argv)
{
    struct diags diags;
    if (argc < 5 || argc - 4 > FILES_MAX) {
        (void)fputs("usage: categories_bench WEIGHTS BACKGROUND PROMPTS.jsonl FILE.txt...\n",
                    stderr);
        return 2;
    }
    struct arena *arena = arena_create(4096, 1 << 20);
    if (arena == NULL) {
        return 1;
    }
    diags_init(&diags, arena);
    enum status st = run(argc, argv, &diags);
    diags_print(&diags, stderr);
    arena_destroy(arena);
    return st == ST_OK ? 0 : 1;
}
