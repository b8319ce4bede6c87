/* Tokens, logits and speed of a model in a GGUF file, as text for bench/tinylm/compare:
 *   tinylm_bench MODEL TEXT COUNT [plain]
 * Reads TEXT, then chooses COUNT tokens greedily. Prints "prompt ID...", "chosen ID...", the text,
 * "memory BYTES", "load_ms", "prompt_tokens_per_s", "tokens_per_s"; and, if $LOGITS names a file, the
 * logits after each token of the prompt and each chosen one, as floats. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/kernels/tinylm/lm_session.h"
#include "backends/kernels/tinylm/sampler.h"
#include "base/mem.h"

enum {
    ARENA_BLOCK_BYTES = 4096,
    ARENA_MAX_BYTES = 1 << 20,
};

struct bench {
    struct lm *lm;
    struct lm_session *session;
    struct sampler sampler;
    FILE *logits;
};

/* Of the processor's time, one thread: others on the machine do not count. */
static int64_t now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* cannot fail for this clock */
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void check(enum status st, const char *what)
{
    if (st != ST_OK) {
        (void)fprintf(stderr, "tinylm_bench: %s: %s\n", what, status_text(st));
        exit(1);
    }
}

static void read_one(struct bench *b, int32_t id)
{
    check(lm_session_read(b->session, &id, 1, true), "reading a token");
    if (b->logits != NULL) {
        (void)fwrite(lm_session_logits(b->session), sizeof(float), b->lm->shape.vocabulary,
                     b->logits);
    }
}

/* All at once where nobody asks for the logits in between. */
static void read_prompt(struct bench *b, const struct tokens *prompt)
{
    size_t step = b->logits != NULL ? 1 : LM_BATCH;
    int64_t start_us = now_us();
    for (size_t at = 0; at < prompt->count; at += step) {
        size_t n = prompt->count - at < step ? prompt->count - at : step;
        if (n == 1) {
            read_one(b, prompt->ids[at]);
        } else {
            check(lm_session_read(b->session, prompt->ids + at, n, true), "reading the prompt");
        }
    }
    double spent_us = (double)(now_us() - start_us);
    (void)printf("prompt_tokens_per_s %.1f\n", (double)prompt->count * 1e6 / spent_us);
}

static void write_answer(struct bench *b, size_t count)
{
    struct tokens chosen = {NULL, 0, 0};
    int64_t start_us = now_us();
    for (size_t i = 0; i < count; i++) {
        int32_t id = sampler_pick(&b->sampler, lm_session_logits(b->session));
        check(id < 0 ? ST_INVALID : tokens_add(&chosen, id), "choosing a token");
        read_one(b, id);
    }
    double spent_us = (double)(now_us() - start_us);
    (void)printf("tokens_per_s %.1f\nchosen", (double)count * 1e6 / spent_us);
    for (size_t i = 0; i < count; i++) {
        (void)printf(" %d", (int)chosen.ids[i]);
    }
    (void)printf("\ntext ");
    for (size_t i = 0; i < count; i++) {
        struct str bytes = vocab_bytes(b->lm->vocab, chosen.ids[i]);
        (void)fwrite(bytes.ptr, 1, bytes.len, stdout);
    }
    (void)printf("\n");
    tokens_fini(&chosen);
}

static void open_model(struct bench *b, const char *path, bool is_plain)
{
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    struct diags *diags = arena == NULL ? NULL : arena_alloc(arena, sizeof *diags);
    check(diags == NULL ? ST_NO_MEMORY : ST_OK, path);
    diags_init(diags, arena);
    int64_t start_us = now_us();
    enum status st = lm_open(path, diags, &b->lm);
    diags_print(diags, stderr);
    check(st, path);
    (void)printf("load_ms %.1f\n", (double)(now_us() - start_us) / 1000);
    arena_destroy(arena);
    if (is_plain) {
        lm_use_plain(b->lm);
    }
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        (void)fputs("tinylm_bench MODEL TEXT COUNT [plain]\n", stderr);
        return 2;
    }
    struct bench b = {.lm = NULL};
    struct tokens prompt = {NULL, 0, 0};
    const struct sampling greedy = {0, 1, 0, 0};
    const char *path = getenv("LOGITS");
    size_t count = (size_t)strtoul(argv[3], NULL, 10);
    open_model(&b, argv[1], argc > 4 && strcmp(argv[4], "plain") == 0);
    if (vocab_wants_bos(b.lm->vocab)) {
        check(tokens_add(&prompt, vocab_bos(b.lm->vocab)), "the prompt");
    }
    check(vocab_encode(b.lm->vocab, str_from(argv[2]), true, &prompt), "the prompt");
    (void)printf("prompt");
    for (size_t i = 0; i < prompt.count; i++) {
        (void)printf(" %d", (int)prompt.ids[i]);
    }
    size_t context = prompt.count + count + 1;
    struct lm_cost cost = lm_cost(b.lm, context);
    (void)printf("\nmemory %zu of a file of %zu\n", cost.session_bytes, cost.weights_bytes);
    b.session = lm_session_create(b.lm, context);
    b.logits = path == NULL ? NULL : fopen(path, "wbe");
    check(b.session == NULL ? ST_NO_MEMORY
                            : sampler_init(&b.sampler, &greedy, b.lm->shape.vocabulary),
          "a session");
    read_prompt(&b, &prompt);
    write_answer(&b, count);
    if (b.logits != NULL && fclose(b.logits) != 0) {
        return 1;
    }
    sampler_fini(&b.sampler);
    lm_session_destroy(b.session);
    lm_destroy(b.lm);
    tokens_fini(&prompt);
    return 0;
}
