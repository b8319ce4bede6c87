/* Two published tables of routing, replayed offline on recorded answers with the shipped code:
 * routing [--data FOLDER] [--model WEIGHTS] [--json FILE] [--svg FILE]. See docs/routing.md. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/diag.h"
#include "bench/routing/data.h"
#include "bench/routing/pool.h"
#include "bench/routing/routellm.h"
#include "router/classifier.h"

enum {
    BLOCK_BYTES = 1 << 20,
    ARENA_MAX_BYTES = 256 << 20,
    OUTPUT_MAX_BYTES = 1 << 20,
    PATH_MAX_BYTES = 4096,
    EXIT_USAGE = 2,
};

struct arguments {
    char data[PATH_MAX_BYTES]; /* the folder of routing data */
    const char *model;
    const char *json;
    const char *svg;
};

static const char usage[] =
    "usage: routing [--data FOLDER] [--model WEIGHTS] [--json FILE] [--svg FILE]\n"
    "  FOLDER holds routellm/ and mmlu_pro/; $EXPERTD_SHARED/data/router unless given\n";

static const struct option options[] = {
    {"data", required_argument, NULL, 'd'},
    {"model", required_argument, NULL, 'm'},
    {"json", required_argument, NULL, 'j'},
    {"svg", required_argument, NULL, 's'},
    {NULL, 0, NULL, 0},
};

static bool read_arguments(int argc, char **argv, struct arguments *a)
{
    const char *shared = getenv("EXPERTD_SHARED");
    a->model = "conf/models/domains.edm";
    (void)snprintf(a->data, sizeof a->data, "%s/data/router", /* a cut name is not found */
                   shared != NULL ? shared : "../shared");
    for (int found = getopt_long(argc, argv, "", options, NULL); found != -1;
         found = getopt_long(argc, argv, "", options, NULL)) {
        switch (found) {
        case 'd':
            (void)snprintf(a->data, sizeof a->data, "%s", optarg); /* a cut name is not found */
            break;
        case 'm':
            a->model = optarg;
            break;
        case 'j':
            a->json = optarg;
            break;
        case 's':
            a->svg = optarg;
            break;
        default:
            return false;
        }
    }
    return optind == argc;
}

struct bench {
    const struct arguments *arguments;
    struct arena *arena;
    struct diags diags;
    struct classifier *domains;
    struct buf json;
    struct buf svg;
};

static enum status run_pairs(struct bench *b, const char *name, bool is_mmlu)
{
    static struct routellm_result result; /* curves of all seeds: not for the stack */
    char path[PATH_MAX_BYTES + 64];
    struct data_pairs pairs;
    (void)snprintf(path, sizeof path, "%s/routellm/%s.jsonl", b->arguments->data, name);
    enum status st = data_read_pairs(path, b->arena, &b->diags, &pairs);
    if (st == ST_OK) {
        st = routellm_run(&pairs, b->domains, &b->diags, &result);
    }
    if (st != ST_OK) {
        return st;
    }
    (void)printf("1. RouteLLM, %s: Mixtral-8x7B (weak) and GPT-4 (strong)\n", name);
    routellm_print(&result, is_mmlu, stdout);
    (void)fflush(stdout); /* so that a slow machine shows something */
    st = buf_printf(&b->json, "\"routellm_%s\": ", name);
    st = st == ST_OK ? routellm_write_json(&result, &b->json) : st;
    st = st == ST_OK ? buf_append(&b->json, STR(",\n")) : st;
    return st == ST_OK && is_mmlu ? routellm_write_svg(&result, &b->svg) : st;
}

static enum status run_pool(struct bench *b)
{
    static enum status (*const parts[])(const struct pool_bench *, FILE *, struct buf *) = {
        pool_run_maps, pool_run_fallback, pool_run_lambda, pool_run_top_p, pool_run_shrinkage,
    };
    static struct data_pool pool; /* a page of names: not for the stack */
    char path[PATH_MAX_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s/mmlu_pro", b->arguments->data);
    struct pool_bench *bench = NULL;
    enum status st = data_read_pool(path, b->arena, &b->diags, &pool);
    if (st == ST_OK) {
        st = pool_create(&pool, b->domains, &b->diags, &bench);
    }
    for (size_t i = 0; st == ST_OK && i < sizeof parts / sizeof parts[0]; i++) {
        st = parts[i](bench, stdout, &b->json);
    }
    pool_destroy(bench);
    return st;
}

static enum status write_file(const char *path, struct str text)
{
    FILE *out = path != NULL ? fopen(path, "we") : NULL;
    bool is_written = out != NULL && fwrite(text.ptr, 1, text.len, out) == text.len;
    if (out != NULL && fclose(out) != 0) {
        is_written = false;
    }
    return path == NULL || is_written ? ST_OK : ST_IO;
}

static enum status run(struct bench *b)
{
    const struct arguments *a = b->arguments;
    enum status st = classifier_load(a->model, &b->diags, &b->domains);
    if (st == ST_OK) {
        st = buf_printf(&b->json, "{\"weights_checksum\": \"%016llx\",\n",
                        (unsigned long long)classifier_checksum(b->domains));
    }
    st = st == ST_OK ? run_pairs(b, "mmlu", true) : st;
    st = st == ST_OK ? run_pairs(b, "gsm8k", false) : st;
    st = st == ST_OK ? run_pool(b) : st;
    st = st == ST_OK ? buf_append(&b->json, STR("}\n")) : st;
    st = st == ST_OK ? write_file(a->json, buf_str(&b->json)) : st;
    return st == ST_OK ? write_file(a->svg, buf_str(&b->svg)) : st;
}

int main(int argc, char **argv)
{
    struct arguments a = {0};
    if (!read_arguments(argc, argv, &a)) {
        (void)fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct bench b = {.arguments = &a, .arena = arena_create(BLOCK_BYTES, ARENA_MAX_BYTES)};
    if (b.arena == NULL) {
        return 1;
    }
    diags_init(&b.diags, b.arena);
    buf_init(&b.json, OUTPUT_MAX_BYTES);
    buf_init(&b.svg, OUTPUT_MAX_BYTES);
    enum status st = run(&b);
    diags_print(&b.diags, stderr);
    if (st != ST_OK) {
        (void)fprintf(stderr, "routing: %s\n", status_text(st));
    }
    classifier_unref(b.domains);
    buf_fini(&b.json);
    buf_fini(&b.svg);
    arena_destroy(b.arena);
    return st == ST_OK ? 0 : 1;
}
