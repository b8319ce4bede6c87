/* Inner products: halves, quantised activations, and that the fast functions say what the plain ones
 * say. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backends/kernels/tinylm/dot.h"
#include "base/mem.h"
#include "tests/support/test.h"

enum {
    LENGTH = 3 * DOT_SUPER,
    GOLDEN_BLOCKS = 3,
    INPUTS = DOT_MANY + 2,
    ROWS = 2 * DOT_ROWS + 3,
    HEAD_MAX = 96,
    TALK = 4 * DOT_POSITIONS,
};

struct sample { /* one row of random weights, one random input */
    unsigned char row[LENGTH * 4];
    float values[LENGTH];
    int8_t quants[LENGTH];
    float scales[DOT_SCALES * LENGTH / DOT_BLOCK];
};

static const char *const names[] = {"plain", "avx2", "vnni"};

static uint32_t next(uint32_t *state)
{
    *state = *state * 1664525U + 1013904223U;
    return *state >> 8;
}

static float next_real(uint32_t *state)
{
    uint32_t bits = next(state);
    return (float)bits / (float)(1 << 23) - 1;
}

static struct dot_input input_of(const struct sample *s)
{
    return (struct dot_input){s->values, s->quants, s->scales};
}

/* Random bytes, with scales that are numbers; F32 and F16 as numbers of their own. */
static void fill(struct sample *s, const struct dot_kind *kind, uint32_t *state)
{
    for (size_t i = 0; i < sizeof s->row; i++) {
        s->row[i] = (unsigned char)next(state);
    }
    for (size_t i = 0; i < LENGTH; i++) {
        s->values[i] = next_real(state) * 3;
        float w = next_real(state);
        uint16_t half = dot_to_half(w);
        if (strcmp(kind->name, "F32") == 0) {
            memcpy(s->row + i * 4, &w, sizeof w);
        } else if (strcmp(kind->name, "F16") == 0) {
            memcpy(s->row + i * 2, &half, sizeof half);
        } else if (strcmp(kind->name, "BF16") == 0) {
            memcpy(s->row + i * 2, (const unsigned char *)&w + 2, sizeof half);
        }
    }
    size_t at = strcmp(kind->name, "Q6_K") == 0 ? 208 : 0;
    for (size_t b = 0; kind->block > 1 && b < LENGTH / kind->block; b++) {
        uint16_t halves[2] = {dot_to_half(next_real(state)), dot_to_half(next_real(state))};
        /* Q4_1, Q5_1, Q4_K and Q5_K have a second one */
        bool has_two = strchr(kind->name, '1') != NULL || (kind->block == DOT_SUPER && at == 0);
        memcpy(s->row + b * kind->bytes + at, halves, has_two ? 4 : 2);
    }
    dot_plain()->quantise(s->values, LENGTH, s->quants, s->scales);
}

static void halves_convert_there_and_back(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 0x10000; bits++) {
        float value = dot_from_half((uint16_t)bits);
        if (!isnan(value) && dot_to_half(value) != bits) {
            fail_msg("half %x became %x", bits, (unsigned)dot_to_half(value));
        }
    }
    assert_true(isnan(dot_from_half(dot_to_half(NAN))));
}

static void halves_round_to_nearest_even(void **state)
{
    (void)state;

    static const struct {
        float value;
        uint16_t want;
    } cases[] = {
        {1.0F, 0x3c00},
        {-2.0F, 0xc000},
        {65504.0F, 0x7bff},
        {65519.996F, 0x7bff},
        {65520.0F, 0x7c00},
        {1e30F, 0x7c00},
        {0x1p-24F, 0x0001},
        {0x1p-25F, 0x0000},
        {0x1.8p-24F, 0x0002},
        {1.0F + 0x1p-11F, 0x3c00},
        {1.0F + 0x3p-11F, 0x3c02},
        {-0.0F, 0x8000},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(dot_to_half(cases[i].value), cases[i].want);
    }
}

static void every_kind_of_weights_means_what_it_expands_to(void **state)
{
    (void)state;
    static struct sample s;
    static float weights[LENGTH];
    const struct dot_ops *ops = dot_plain();
    uint32_t seed = 1;
    for (size_t k = 0; k < ops->kind_count; k++) {
        const struct dot_kind *kind = &ops->kinds[k];
        fill(&s, kind, &seed);
        struct dot_input input = input_of(&s);
        dot_expand(kind, s.row, weights, LENGTH);
        double exact = 0;
        double size = 0;
        for (size_t i = 0; i < LENGTH; i++) {
            float x = kind->block == 1
                          ? s.values[i]
                          : s.scales[DOT_SCALES * (i / DOT_BLOCK)] * (float)s.quants[i];
            exact += (double)(weights[i] * x);
            size += fabs((double)(weights[i] * x));
        }
        double got = (double)dot_row(kind, s.row, &input, LENGTH);
        if (fabs(got - exact) > size * 1e-5) {
            fail_msg("%s gives %f, not %f", kind->name, got, exact);
        }
    }
}

static void known_blocks_expand_to_known_weights(void **state)
{
    (void)state;

    /* scale 2, least 1 where there is one; the first weight is 3, the one 16 further is 5 steps */
    static const struct {
        uint32_t type;
        unsigned char bytes[34];
        float first;
        float other;
    } cases[] = {
        {2, {0x00, 0x40, 0x53}, (3 - 8) * 2, (5 - 8) * 2},
        {3, {0x00, 0x40, 0x00, 0x3c, 0x53}, 3 * 2 + 1, 5 * 2 + 1},
        {6, {0x00, 0x40, 0x01, 0, 0, 0, 0x53}, (19 - 16) * 2, (5 - 16) * 2},
        {7, {0x00, 0x40, 0x00, 0x3c, 0, 0, 0x01, 0, 0x53}, 3 * 2 + 1, (5 + 16) * 2 + 1},
        {8, {0x00, 0x40, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}, -6, 10},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        float weights[DOT_BLOCK];
        dot_expand(dot_find(dot_plain(), cases[i].type), cases[i].bytes, weights, DOT_BLOCK);
        assert_float_equal(weights[0], cases[i].first, 0);
        assert_float_equal(weights[16], cases[i].other, 0);
    }
}

/* data/tinylm/blocks.bin: for each type its number, weights and bytes of a block, GOLDEN_BLOCKS blocks, and
 * the numbers that they stand for by a second implementation of ggml's formulas: gguf.py --golden. */
static void blocks_expand_to_what_the_format_says(void **state)
{
    (void)state;
    static unsigned char file[64 * 1024];
    static float got[GOLDEN_BLOCKS * DOT_SUPER];
    FILE *f = fopen("tests/unit/backends/data/tinylm/blocks.bin", "rbe");
    assert_non_null(f);
    size_t size = fread(file, 1, sizeof file, f);
    assert_int_equal(fclose(f), 0);
    size_t types = 0;
    for (size_t at = 0; at < size; types++) {
        uint32_t head[3];
        memcpy(head, file + at, sizeof head);
        const struct dot_kind *kind = dot_find(dot_plain(), head[0]);
        assert_non_null(kind);
        assert_int_equal(kind->block, head[1]);
        assert_int_equal(kind->bytes, head[2]);
        size_t n = (size_t)GOLDEN_BLOCKS * head[1];
        const unsigned char *blocks = file + at + sizeof head;
        const unsigned char *numbers = blocks + (size_t)GOLDEN_BLOCKS * head[2];
        dot_expand(kind, blocks, got, n);
        for (size_t i = 0; i < n; i++) {
            float want = 0;
            memcpy(&want, numbers + i * sizeof want, sizeof want);
            assert_float_equal(got[i], want, 1e-4F);
        }
        at += sizeof head + (size_t)GOLDEN_BLOCKS * head[2] + n * sizeof(float);
    }
    assert_int_equal(types, 8);
}

static void upper_halves_of_floats_are_numbers(void **state)
{
    (void)state;
    static const unsigned char row[] = {0x80, 0x3f, 0x20, 0xc1, 0x00, 0x00};
    float got[3];
    dot_expand(dot_find(dot_plain(), 30), row, got, 3);
    assert_float_equal(got[0], 1, 0);
    assert_float_equal(got[1], -10, 0);
    assert_float_equal(got[2], 0, 0);
}

/* Each row of plain numbers: sums in another order. Quantised ones have none: their bits are compared below. */
static void fast_rows_say_what_plain_ones_say(void **state)
{
    (void)state;
    static struct sample s;
    const struct dot_ops *fast = dot_avx2();
    uint32_t seed = 7;
    if (fast == NULL) {
        print_message("SKIPPED: this machine has no AVX2, FMA and F16C\n");
        skip();
    }
    assert_int_equal(fast->kind_count, dot_plain()->kind_count);
    for (size_t k = 0; k < fast->kind_count; k++) {
        const struct dot_kind *plain = dot_find(dot_plain(), fast->kinds[k].type);
        for (size_t n = 1; n < LENGTH && plain->row != NULL; n++) {
            fill(&s, plain, &seed);
            struct dot_input input = input_of(&s);
            float want = plain->row(s.row, &input, n);
            float got = fast->kinds[k].row(s.row, &input, n);
            if (fabsf(got - want) > 1e-3F + fabsf(want) * 1e-4F) {
                fail_msg("%s of %zu gives %f, not %f", plain->name, n, (double)got, (double)want);
            }
        }
    }
}

/* A matrix with `count` inputs, each product held against that of its row. */
static void expect_rows(const struct dot_kind *kind, size_t n, size_t count, uint32_t *seed)
{
    static struct sample samples[INPUTS];
    static unsigned char matrix[ROWS * LENGTH * 4];
    static float out[INPUTS * ROWS];
    struct dot_input inputs[INPUTS];
    size_t bytes = n / kind->block * kind->bytes;
    for (size_t i = 0; i < INPUTS; i++) {
        fill(&samples[i], kind, seed);
        inputs[i] = input_of(&samples[i]);
    }
    for (size_t row = 0; row < ROWS; row++) {
        memcpy(matrix + row * bytes, samples[row % INPUTS].row + row / INPUTS * kind->bytes, bytes);
    }
    dot_multiply(
        kind, &(struct dot_task){(const char *)matrix, bytes, ROWS, n, inputs, count, out, ROWS});
    for (size_t i = 0; i < count; i++) {
        for (size_t row = 0; row < ROWS; row++) {
            float want = dot_row(kind, matrix + row * bytes, &inputs[i], n);
            if (memcmp(&out[i * ROWS + row], &want, sizeof want) != 0) {
                fail_msg("%s: row %zu with input %zu of %zu gives %f, not %f", kind->name, row, i,
                         count, (double)out[i * ROWS + row], (double)want);
            }
        }
    }
}

/* Of quantised weights that is what the plain functions say, by whatever functions the machine has. */
static void matrices_give_the_same_bits_as_their_rows(void **state)
{
    (void)state;
    const struct dot_ops *all[] = {dot_plain(), dot_avx2(), dot_vnni()};
    uint32_t seed = 11;
    for (size_t o = 0; o < sizeof all / sizeof all[0]; o++) {
        if (all[o] == NULL) {
            print_message("SKIPPED: %s: this machine has no such instructions\n", names[o]);
        }
        for (size_t k = 0; all[o] != NULL && k < all[o]->kind_count; k++) {
            const struct dot_kind *kind = &all[o]->kinds[k];
            size_t step = kind->block == 1 ? DOT_BLOCK : kind->block;
            for (size_t n = step; n <= LENGTH - DOT_SUPER; n += step) {
                for (size_t count = 1; count <= INPUTS; count++) {
                    expect_rows(kind, n, count, &seed);
                }
            }
        }
    }
}

static void few_rows_are_computed_too(void **state)
{
    (void)state;
    static struct sample s;
    const struct dot_kind *kind = dot_find(dot_best(), 2);
    uint32_t seed = 17;
    float out = 0;
    fill(&s, kind, &seed);
    struct dot_input input = input_of(&s);

    dot_multiply(kind, &(struct dot_task){(const char *)s.row, kind->bytes, 1, DOT_BLOCK, &input, 1,
                                          &out, 1});

    assert_float_equal(out, dot_row(kind, s.row, &input, DOT_BLOCK), 0);
}

struct talk { /* some heads over random keys and values */
    uint16_t keys[TALK * HEAD_MAX];
    uint16_t values[TALK * HEAD_MAX + DOT_LANES];
    float queries[DOT_MANY][HEAD_MAX];
    float scores[DOT_MANY * TALK];
    float out[DOT_MANY][HEAD_MAX];
};

static struct dot_heads heads_of(struct talk *talk, size_t width, size_t first, size_t many,
                                 size_t count)
{
    struct dot_heads heads = {.keys = talk->keys,
                              .values = talk->values,
                              .width = width,
                              .many = many,
                              .scores = talk->scores,
                              .stride = TALK};
    for (size_t q = 0; q < many; q++) {
        heads.queries[q] = talk->queries[first + q];
        heads.counts[q] = count + first + q;
        heads.out[q] = talk->out[first + q];
    }
    return heads;
}

static void invent(struct talk *talk, uint32_t *seed)
{
    for (size_t i = 0; i < TALK * HEAD_MAX; i++) {
        talk->keys[i] = dot_to_half(next_real(seed));
        talk->values[i] = dot_to_half(next_real(seed));
    }
    for (size_t i = 0; i < DOT_MANY * HEAD_MAX; i++) {
        talk->queries[i / HEAD_MAX][i % HEAD_MAX] = next_real(seed) * 3;
    }
}

static void fast_attention_says_what_the_plain_one_says(void **state)
{
    (void)state;
    static const size_t widths[] = {8, 16, 24, 64, 80, HEAD_MAX};
    static const size_t counts[] = {1, 2, 31, 32, 33, 70, TALK - DOT_MANY};
    static struct talk talk;
    static float want[DOT_MANY][HEAD_MAX];
    const struct dot_ops *all[] = {dot_avx2(), dot_vnni()};
    uint32_t seed = 19;
    invent(&talk, &seed);
    for (size_t i = 0; i < 2 * sizeof widths / sizeof widths[0] * sizeof counts / sizeof counts[0];
         i++) {
        const struct dot_ops *fast = all[i % 2];
        size_t width = widths[i / 2 % (sizeof widths / sizeof widths[0])];
        size_t count = counts[i / 2 / (sizeof widths / sizeof widths[0])];
        struct dot_heads heads = heads_of(&talk, width, 0, DOT_MANY, count);
        dot_plain()->attend(&heads);
        memcpy(want, talk.out, sizeof want);
        if (fast == NULL) {
            continue;
        }
        fast->attend(&heads);
        for (size_t k = 0; k < DOT_MANY * width; k++) {
            assert_float_equal(talk.out[k / width][k % width], want[k / width][k % width], 1e-5F);
        }
    }
}

static void attention_gives_one_query_the_same_bits_as_many(void **state)
{
    (void)state;
    static struct talk talk;
    static float want[DOT_MANY][HEAD_MAX];
    const struct dot_ops *all[] = {dot_plain(), dot_avx2(), dot_vnni()};
    uint32_t seed = 23;
    invent(&talk, &seed);
    struct dot_heads heads = heads_of(&talk, HEAD_MAX, 0, DOT_MANY, 40);
    for (size_t o = 0; o < 3; o++) {
        for (size_t many = 1; all[o] != NULL && many <= DOT_MANY; many++) {
            all[o]->attend(&heads);
            memcpy(want, talk.out, sizeof want);
            memset(talk.out, 0, sizeof talk.out);
            for (size_t q = 0; q < DOT_MANY; q += many) {
                size_t n = DOT_MANY - q < many ? DOT_MANY - q : many;
                struct dot_heads some = heads_of(&talk, HEAD_MAX, q, n, 40);
                all[o]->attend(&some);
            }
            assert_memory_equal(talk.out, want, sizeof want);
        }
    }
}

/* All fast functions give the same bits, whichever the machine has. */
static void attention_gives_the_same_bits_with_vnni_and_avx2(void **state)
{
    (void)state;
    static struct talk talk;
    static float want[DOT_MANY][HEAD_MAX];
    uint32_t seed = 29;
    if (dot_vnni() == NULL) {
        print_message("SKIPPED: this machine has no AVX-512 VNNI\n");
        skip();
    }
    for (size_t width = 8; width <= HEAD_MAX; width += 8) {
        invent(&talk, &seed);
        struct dot_heads heads = heads_of(&talk, width, 0, DOT_MANY, width + 1);
        dot_avx2()->attend(&heads);
        memcpy(want, talk.out, sizeof want);
        dot_vnni()->attend(&heads);
        assert_memory_equal(talk.out, want, sizeof want);
    }
}

static void gates_are_what_their_equation_says(void **state)
{
    (void)state;
    static const float edges[] = {0, -0.0F, 1e-30F, -20, 20, -87, 87, -90, 90, -1e30F, 1e30F};
    const struct dot_ops *all[] = {dot_plain(), dot_avx2(), dot_vnni()};
    uint32_t seed = 31;
    for (size_t o = 0; o < 3; o++) {
        for (size_t n = 1; all[o] != NULL && n < 70; n++) {
            float gate[70];
            float up[70];
            float want[70];
            for (size_t i = 0; i < 70; i++) {
                gate[i] = i < sizeof edges / sizeof edges[0] ? edges[i] : next_real(&seed) * 9;
                up[i] = next_real(&seed);
                double g = (double)gate[i];
                want[i] = i < n ? (float)(g / (1 + exp(-g)) * (double)up[i]) : gate[i];
            }
            all[o]->swish(gate, up, n);
            for (size_t i = 0; i < 70; i++) {
                assert_float_equal(gate[i], want[i], 1e-6F * (1 + fabsf(want[i])));
            }
        }
    }
}

static void fast_helpers_say_what_plain_ones_say(void **state)
{
    (void)state;
    static struct sample s;
    static struct sample t;
    static uint16_t halves[2][LENGTH];
    const struct dot_ops *fast = dot_avx2();
    const struct dot_ops *plain = dot_plain();
    uint32_t seed = 3;
    if (fast == NULL) {
        print_message("SKIPPED: this machine has no AVX2, FMA and F16C\n");
        skip();
    }
    for (size_t n = 1; n <= LENGTH; n++) {
        fill(&s, &plain->kinds[0], &seed);
        plain->to_half(s.values, halves[0], n);
        fast->to_half(s.values, halves[1], n);
        assert_memory_equal(halves[0], halves[1], n * sizeof halves[0][0]);
    }
    fill(&s, &plain->kinds[0], &seed);
    t = s;
    memset(t.quants, 0, sizeof t.quants);
    fast->quantise(s.values, LENGTH, t.quants, t.scales);
    assert_memory_equal(s.quants, t.quants, sizeof s.quants);
    assert_memory_equal(s.scales, t.scales, sizeof s.scales);
}

static void numbers_that_are_none_are_quantised_to_nothing(void **state)
{
    (void)state;
    static const float strange[] = {NAN, INFINITY, -INFINITY, 1e-38F, 0, 3e38F};
    const struct dot_ops *all[] = {dot_plain(), dot_best()};
    for (size_t o = 0; o < 2; o++) {
        for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
            float values[DOT_BLOCK] = {0};
            int8_t quants[DOT_BLOCK];
            float scales[DOT_SCALES] = {-1, -1, -1, -1};
            values[7] = strange[i];
            all[o]->quantise(values, DOT_BLOCK, quants, scales);
            assert_true(isfinite(scales[0] + scales[1] + scales[2] + scales[3]));
            assert_true(quants[7] == 0 || strange[i] > 1);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(halves_convert_there_and_back),
        cmocka_unit_test(halves_round_to_nearest_even),
        cmocka_unit_test(every_kind_of_weights_means_what_it_expands_to),
        cmocka_unit_test(known_blocks_expand_to_known_weights),
        cmocka_unit_test(blocks_expand_to_what_the_format_says),
        cmocka_unit_test(upper_halves_of_floats_are_numbers),
        cmocka_unit_test(fast_rows_say_what_plain_ones_say),
        cmocka_unit_test(matrices_give_the_same_bits_as_their_rows),
        cmocka_unit_test(few_rows_are_computed_too),
        cmocka_unit_test(fast_attention_says_what_the_plain_one_says),
        cmocka_unit_test(attention_gives_one_query_the_same_bits_as_many),
        cmocka_unit_test(attention_gives_the_same_bits_with_vnni_and_avx2),
        cmocka_unit_test(gates_are_what_their_equation_says),
        cmocka_unit_test(fast_helpers_say_what_plain_ones_say),
        cmocka_unit_test(numbers_that_are_none_are_quantised_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
