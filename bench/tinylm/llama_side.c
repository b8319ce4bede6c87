/* What bench/tinylm_bench.c does, by libllama: compiled by bench/tinylm/compare against the headers
 * and the library that it is told of. Same arguments, same output. */
#include <llama.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    TOKENS_MAX = 65536
};

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void be_quiet(enum ggml_log_level level, const char *text, void *data)
{
    (void)data;
    if (level == GGML_LOG_LEVEL_ERROR) {
        (void)fputs(text, stderr);
    }
}

static void die(const char *what)
{
    (void)fprintf(stderr, "llama_side: %s\n", what);
    exit(1);
}

static void read_some(struct llama_context *context, llama_token *tokens, int n, int vocabulary,
                      FILE *logits)
{
    if (llama_decode(context, llama_batch_get_one(tokens, n)) != 0) {
        die("cannot read tokens");
    }
    if (logits != NULL) {
        (void)fwrite(llama_get_logits_ith(context, -1), sizeof(float), (size_t)vocabulary, logits);
    }
}

static llama_token best_of(const float *logits, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}

int main(int argc, char **argv)
{
    static llama_token prompt[TOKENS_MAX];
    static llama_token chosen[TOKENS_MAX];
    if (argc < 4) {
        return 2;
    }
    int count = (int)strtol(argv[3], NULL, 10);
    const char *path = getenv("LOGITS");
    FILE *logits = path == NULL ? NULL : fopen(path, "wbe");
    llama_log_set(be_quiet, NULL);
    ggml_backend_load_all_from_path(getenv("LLAMA_LIBRARIES"));
    double start = now_s();
    struct llama_model *model = llama_model_load_from_file(argv[1], llama_model_default_params());
    if (model == NULL) {
        die("cannot load the model");
    }
    printf("version %s\nload_ms %.1f\n", llama_version(), (now_s() - start) * 1000);
    const struct llama_vocab *vocab = llama_model_get_vocab(model);
    int vocabulary = llama_vocab_n_tokens(vocab);
    int n = llama_tokenize(vocab, argv[2], (int)strlen(argv[2]), prompt, TOKENS_MAX, true, false);
    struct llama_context_params params = llama_context_default_params();
    params.n_ctx = (uint32_t)(n + count + 1);
    params.n_threads = 1;
    params.n_threads_batch = 1;
    struct llama_context *context = llama_init_from_model(model, params);
    if (n < 1 || context == NULL) {
        die("no tokens or no context");
    }
    printf("prompt");
    for (int i = 0; i < n; i++) {
        printf(" %d", (int)prompt[i]);
    }
    start = now_s();
    for (int i = 0; i < n; i += logits != NULL ? 1 : n) {
        read_some(context, prompt + i, logits != NULL ? 1 : n, vocabulary, logits);
    }
    printf("\nprompt_tokens_per_s %.1f\n", n / (now_s() - start));
    start = now_s();
    for (int i = 0; i < count; i++) {
        chosen[i] = best_of(llama_get_logits_ith(context, -1), vocabulary);
        read_some(context, &chosen[i], 1, vocabulary, logits);
    }
    printf("tokens_per_s %.1f\nchosen", count / (now_s() - start));
    for (int i = 0; i < count; i++) {
        printf(" %d", (int)chosen[i]);
    }
    printf("\ntext ");
    for (int i = 0; i < count; i++) {
        char piece[256];
        int len = llama_token_to_piece(vocab, chosen[i], piece, sizeof piece, 0, false);
        (void)fwrite(piece, 1, len > 0 ? (size_t)len : 0, stdout);
    }
    printf("\n");
    return logits != NULL && fclose(logits) != 0 ? 1 : 0;
}
