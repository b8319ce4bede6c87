/* How long the classifier takes: classifier_bench WEIGHTS [ROUNDS [LANGUAGES]], and the guards and
 * the languages, when their tables are given. Prints median and 99th percentile for texts of 200 bytes, 4 kB and 100 kB, warm, one thread. The texts are English
 * sentences joined at random (fixed seed), a new one each round, so that the table is not simply in
 * the first-level cache. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/mem.h"
#include "router/classifier.h"
#include "router/guards.h"
#include "router/heads.h"

enum {
    TEXTS = 64,
    ROUNDS = 4000,
    BYTES_MAX = 100000,
    CALLS = 16, /* of guards and languages between two looks at the clock */
};

static const char *const sentences[] = {
    "The patient was given forty milligrams twice a day and slept badly. ",
    "Why does my loop print the last element twice when I use an iterator? ",
    "A capacitor of 20 microfarads is charged through a resistor from a 12 V battery. ",
    "Under the lease the tenant may leave with two months' notice in writing. ",
    "She opened the old wooden door and the smell of the sea came in. ",
    "Interest rates rose by a quarter of a point and bond prices fell. ",
    "Balance the equation for the burning of propane in air. ",
    "How do I say \"see you next week\" in Portuguese, politely? ",
    "The enzyme unwinds the double helix before the polymerase copies it. ",
    "What is a good film to watch with my grandparents on Sunday? ",
};

static double now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void fill(char *text, size_t size, uint32_t *random)
{
    for (size_t at = 0; at < size;) {
        *random = *random * 1664525U + 1013904223U;
        const char *sentence = sentences[(*random >> 16) % (sizeof sentences / sizeof *sentences)];
        size_t length = strlen(sentence);
        length = length < size - at ? length : size - at;
        memcpy(text + at, sentence, length);
        at += length;
    }
}

static int by_value(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;
    return (*a > *b) - (*a < *b);
}

static void measure(const struct classifier *c, struct classifier_scratch *s, size_t size,
                    size_t rounds)
{
    static char texts[TEXTS][BYTES_MAX];
    double *times = mem_zalloc(rounds, sizeof *times);
    if (times == NULL) {
        return;
    }
    uint32_t random = 1;
    for (size_t i = 0; i < TEXTS; i++) {
        fill(texts[i], size, &random);
    }
    struct classifier_result result = {0};
    for (size_t i = 0; i < rounds + TEXTS; i++) { /* the first TEXTS warm up */
        struct classifier_segment segment = {{texts[i % TEXTS], size}, 1.0F};
        double start = now_us();
        classifier_score(c, s, &segment, 1, &result);
        if (i >= TEXTS) {
            times[i - TEXTS] = now_us() - start;
        }
    }
    qsort(times, rounds, sizeof *times, by_value);
    printf("%7zu bytes: median %6.1f us, p99 %6.1f us (%u features in the last text)\n", size,
           times[rounds / 2], times[rounds * 99 / 100], result.features);
    mem_free(times);
}

/* What the heads of the weights add to that. */
static void measure_heads(const struct classifier *c, struct classifier_scratch *s, size_t size)
{
    static char text[BYTES_MAX];
    static double times[ROUNDS];
    const struct heads *heads = classifier_heads(c);
    struct classifier_segment segment = {{text, size}, 1.0F};
    struct classifier_result result = {0};
    float x[HEADS_INPUTS_MAX];
    float values[HEADS_MAX];
    uint32_t random = 1;
    fill(text, size, &random);
    classifier_score(c, s, &segment, 1, &result);
    for (size_t i = 0; heads->count > 0 && i < ROUNDS; i++) {
        double start = now_us();
        for (size_t k = 0; k < CALLS; k++) {
            heads_inputs(heads, &result, segment.text, x);
            heads_run(heads, x, values);
        }
        times[i] = (now_us() - start) / CALLS;
    }
    qsort(times, ROUNDS, sizeof *times, by_value);
    printf("%7zu bytes: median %6.2f us, p99 %6.2f us, %zu heads\n", size, times[ROUNDS / 2],
           times[ROUNDS * 99 / 100], heads->count);
}

static void call_guards(const struct language_model *m, struct str text)
{
    struct guard guard;
    guards_judge(m, text, &guard);
}

static void call_languages(const struct language_model *m, struct str text)
{
    struct language_guess guess;
    language_detect(m, text, &guess);
}

static void measure_calls(const char *name, const struct language_model *m, size_t size,
                          void (*call)(const struct language_model *m, struct str text))
{
    static char texts[TEXTS][BYTES_MAX];
    static double times[ROUNDS];
    uint32_t random = 1;
    for (size_t i = 0; i < TEXTS; i++) {
        fill(texts[i], size, &random);
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        double start = now_us();
        for (size_t k = 0; k < CALLS; k++) {
            call(m, (struct str){texts[(i + k) % TEXTS], size});
        }
        times[i] = (now_us() - start) / CALLS;
    }
    qsort(times, ROUNDS, sizeof *times, by_value);
    printf("%7zu bytes: median %6.2f us, p99 %6.2f us, %s\n", size, times[ROUNDS / 2],
           times[ROUNDS * 99 / 100], name);
}

static int measure_guards(const char *path, struct diags *diags)
{
    static const size_t sizes[] = {20, 200, 4096, 100000};
    struct language_model *m = NULL;
    if (language_model_load(path, diags, &m) != ST_OK) {
        diags_print(diags, stderr);
        return 1;
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure_calls("guards", m, sizes[i], call_guards);
        measure_calls("language", m, sizes[i], call_languages);
    }
    language_model_destroy(m);
    return 0;
}

int main(int argc, char **argv)
{
    struct arena *arena = arena_create(4096, 1 << 20);
    struct classifier_scratch *scratch = classifier_scratch_create();
    struct classifier *c = NULL;
    struct diags diags;
    if (argc < 2 || arena == NULL || scratch == NULL) {
        (void)fputs("usage: classifier_bench WEIGHTS [ROUNDS [LANGUAGES]]\n", stderr);
        return 2;
    }
    diags_init(&diags, arena);
    if (classifier_load(argv[1], &diags, &c) != ST_OK) {
        diags_print(&diags, stderr);
        return 1;
    }
    int64_t rounds = ROUNDS;
    if (argc > 2 && (str_to_int(str_from(argv[2]), &rounds) != ST_OK || rounds < 1)) {
        rounds = ROUNDS;
    }
    static const size_t sizes[] = {200, 4096, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        measure(c, scratch, sizes[i], (size_t)rounds);
        measure_heads(c, scratch, sizes[i]);
    }
    int failed = argc > 3 ? measure_guards(argv[3], &diags) : 0;
    classifier_unref(c);
    classifier_scratch_destroy(scratch);
    arena_destroy(arena);
    return failed;
}
