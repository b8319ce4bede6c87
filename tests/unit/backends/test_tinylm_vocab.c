/* Text to tokens and back: SentencePiece by the model that comes with the tests, byte-level BPE by a
 * small vocabulary made here. */
#include "backends/kernels/tinylm/vocab.h"
#include "base/mem.h"
#include "tests/support/gguf_sample.h"
#include "tests/support/lm_case.h"

enum {
    IDS_MAX = 24
};

struct encoding {
    const char *text;
    int32_t ids[IDS_MAX]; /* ended by -1 */
};

static void check(const struct vocab *v, const struct encoding *want)
{
    struct tokens got = {NULL, 0, 0};
    assert_int_equal(vocab_encode(v, str_from(want->text), true, &got), ST_OK);
    size_t n = 0;
    while (n < IDS_MAX && want->ids[n] >= 0) {
        n++;
    }
    for (size_t i = 0; i < got.count && i < n; i++) {
        if (got.ids[i] != want->ids[i]) {
            fail_msg("\"%s\": token %zu is %d, not %d", want->text, i, (int)got.ids[i],
                     (int)want->ids[i]);
        }
    }
    assert_int_equal(got.count, n);
    tokens_fini(&got);
}

static void write_back(const struct vocab *v, const struct tokens *tokens, struct buf *out)
{
    buf_reset(out);
    for (size_t i = 0; i < tokens->count; i++) {
        assert_int_equal(buf_append(out, vocab_bytes(v, tokens->ids[i])), ST_OK);
    }
}

/* Ids from libllama 0.5.0 (llama_tokenize without control tokens) on the same file. */
static void sentencepiece_gives_the_tokens_of_the_reference(void **state)
{
    (void)state;
    static const struct encoding cases[] = {
        {"Once upon a time", {403, 407, 261, 378, -1}},
        {"Hello, world!", {346, 306, 414, 432, 263, 304, 341, 443, -1}},
        {"  two  blanks ", {410, 410, 259, 424, 414, 410, 268, 421, 303, 433, 419, 410, -1}},
        {" \x0a\x09", {410, 410, 13, 12, -1}},
        {"caf\xc3\xa9", {280, 412, 431, 485, -1}},
        {"\xe6\xbc\xa2\xf0\x9f\x98\x80", {410, 233, 191, 165, 243, 162, 155, 131, -1}},
        {"<s>", {410, 504, 419, 505, -1}},
        {"Lily's mom said, \"Yes.\"", {317, 439, 419, 357, 336, 432, 313, 452, 406, 426, 436, -1}},
        {"12345", {410, 475, 479, 472, 484, 480, -1}},
        {"aaaaaaaa", {261, 412, 412, 412, 412, 412, 412, 412, -1}},
    };
    struct lm_case c;
    lm_case_open(&c, LM_CASE_MODEL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(c.lm->vocab, &cases[i]);
    }
    lm_case_close(&c);
}

static void all_text_comes_back(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Once upon a time",      " two  blanks ", "\xc3\xa9\xe6\xbc\xa2\xf0\x9f\x98\x80",
        "<s> </s> <unk> <0x0A>", "\n\t\x01",      "\xff\xc3", /* broken bytes too */
    };
    struct lm_case c;
    struct buf back;
    lm_case_open(&c, LM_CASE_MODEL);
    buf_init(&back, 4096);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tokens tokens = {NULL, 0, 0};
        assert_int_equal(vocab_encode(c.lm->vocab, str_from(texts[i]), true, &tokens), ST_OK);
        write_back(c.lm->vocab, &tokens, &back);
        test_assert_str(str_slice(buf_str(&back), 0, 1), STR(" ")); /* the vocabulary's own */
        test_assert_str(str_slice(buf_str(&back), 1, back.len), str_from(texts[i]));
        tokens_fini(&tokens);
    }
    buf_fini(&back);
    lm_case_close(&c);
}

static void text_never_becomes_a_control_token(void **state)
{
    (void)state;
    static const char *const texts[] = {"<s>", "</s>", "a</s>b", "<unk>", "<0x0A>", "<s></s><s>"};
    struct lm_case c;
    lm_case_open(&c, LM_CASE_MODEL);
    int32_t bos = vocab_special(c.lm->vocab, STR("<s>"));
    int32_t eos = vocab_special(c.lm->vocab, STR("</s>"));
    assert_true(bos == 1 && eos == 2 && vocab_is_end(c.lm->vocab, eos));
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct tokens tokens = {NULL, 0, 0};
        assert_int_equal(vocab_encode(c.lm->vocab, str_from(texts[i]), true, &tokens), ST_OK);
        for (size_t t = 0; t < tokens.count; t++) {
            assert_true(tokens.ids[t] > eos);
            assert_true(tokens.ids[t] != 3 + '\n'); /* nor the byte that it is written as */
        }
        tokens_fini(&tokens);
    }
    lm_case_close(&c);
}

/* ---- BPE ---- */

static void write_texts(struct buf *out, const char *key, const char *const *texts, size_t count)
{
    gguf_sample_array(out, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++) {
        gguf_sample_string(out, str_from(texts[i]));
    }
}

/* Letters of GPT-2: U+0120 is a blank, U+010A a line end, U+00C3 and U+00A9 the bytes of "é". */
static const char *const bpe_tokens[] = {
    "<|im_start|>",
    "<|im_end|>",
    "a",
    "b",
    "\xc4\xa0",
    "1",
    "2",
    "\xc3\x83",
    "\xc2\xa9",
    "ab",
    "\xc4\xa0"
    "a",
    "\xc4\xa0"
    "ab",
    "12",
    "\xc3\x83\xc2\xa9",
    "\xc4\x8a",
    "<",
    "|",
    ">",
    "aa",
    "bab",
};
static const char *const bpe_merges[] = {
    "a b", "\xc4\xa0 a", "\xc4\xa0 ab", "1 2", "\xc3\x83 \xc2\xa9", "a a", "b ab",
};

enum {
    BPE_TOKENS = sizeof bpe_tokens / sizeof bpe_tokens[0],
    BPE_MERGES = sizeof bpe_merges / sizeof bpe_merges[0],
};

static void write_bpe(struct buf *out, const char *pattern, const char *const *merges, size_t count)
{
    gguf_sample_head(out, 0, 6);
    gguf_sample_text(out, "tokenizer.ggml.model", "gpt2");
    gguf_sample_text(out, "tokenizer.ggml.pre", pattern);
    write_texts(out, "tokenizer.ggml.tokens", bpe_tokens, BPE_TOKENS);
    gguf_sample_array(out, "tokenizer.ggml.token_type", GGUF_I32, BPE_TOKENS);
    for (size_t i = 0; i < BPE_TOKENS; i++) {
        gguf_sample_u32(out, i < 2 ? 3 : 1);
    }
    write_texts(out, "tokenizer.ggml.merges", merges, count);
    gguf_sample_int(out, "tokenizer.ggml.eos_token_id", 1);
}

struct bpe_case {
    struct buf file;
    struct arena *arena;
    struct diags diags;
    struct gguf g;
    struct vocab *v;
    enum status st;
};

static void open_bpe(struct bpe_case *c, const char *pattern, const char *const *merges,
                     size_t count)
{
    *c = (struct bpe_case){.arena = arena_create(4096, 1 << 20)};
    assert_non_null(c->arena);
    diags_init(&c->diags, c->arena);
    write_bpe(&c->file, pattern, merges, count);
    assert_int_equal(gguf_read(buf_str(&c->file), STR("m.gguf"), &c->diags, &c->g), ST_OK);
    c->st = vocab_load(&c->g, STR("m.gguf"), &c->diags, &c->v);
}

static void close_bpe(struct bpe_case *c)
{
    vocab_destroy(c->v);
    gguf_fini(&c->g);
    buf_fini(&c->file);
    arena_destroy(c->arena);
}

static void bpe_joins_inside_words_in_the_order_of_merges(void **state)
{
    (void)state;
    static const struct encoding cases[] = {
        {"ab", {9, -1}},
        {"aab", {2, 9, -1}},    /* "a b" comes before "a a" */
        {"aaa", {18, 2, -1}},   /* of equals the leftmost */
        {"bab", {19, -1}},      /* joined of "b" and "ab" */
        {"ab ab", {9, 11, -1}}, /* the blank belongs to the word after it */
        {"ab  ab", {9, 4, 11, -1}},
        {"12", {12, -1}},
        {"\xc3\xa9", {13, -1}},
        {"a\n", {2, 14, -1}},
        {"a\x01z", {2, -1}}, /* what no token writes is left out */
        {"", {-1}},
    };
    struct bpe_case c;
    open_bpe(&c, "gpt-2", bpe_merges, BPE_MERGES);
    assert_int_equal(c.st, ST_OK);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        check(c.v, &cases[i]);
    }
    close_bpe(&c);
}

static void patterns_cut_numbers_as_their_models_do(void **state)
{
    (void)state;

    static const struct {
        const char *pattern;
        struct encoding want;
    } cases[] = {
        {"gpt-2", {"12", {12, -1}}},
        {"smollm", {"12", {5, 6, -1}}},
        {"starcoder", {"a12", {2, 5, 6, -1}}},
        {"llama-bpe", {"12", {12, -1}}},
        {"llama-bpe", {"1212", {12, 5, 6, -1}}}, /* by threes: 121, 2 */
        {"qwen2", {"12", {5, 6, -1}}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bpe_case c;
        open_bpe(&c, cases[i].pattern, bpe_merges, BPE_MERGES);
        assert_int_equal(c.st, ST_OK);
        check(c.v, &cases[i].want);
        close_bpe(&c);
    }
}

static void control_tokens_in_text_are_text_for_bpe_too(void **state)
{
    (void)state;
    static const struct encoding want = {"<|a|>", {15, 16, 2, 16, 17, -1}};
    struct tokens tokens = {NULL, 0, 0};
    struct bpe_case c;
    open_bpe(&c, "smollm", bpe_merges, BPE_MERGES);
    check(c.v, &want);
    assert_int_equal(vocab_special(c.v, STR("<|im_end|>")), 1);
    assert_int_equal(vocab_encode(c.v, STR("<|im_end|><|im_start|>"), true, &tokens), ST_OK);
    for (size_t i = 0; i < tokens.count; i++) {
        assert_true(tokens.ids[i] > 1);
    }
    assert_true(vocab_is_end(c.v, 1));
    assert_int_equal(vocab_bytes(c.v, 1).len, 0);
    tokens_fini(&tokens);
    close_bpe(&c);
}

static void vocabularies_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const char *const no_token[] = {"b a"};
    static const char *const no_pair[] = {"ab"};

    static const struct {
        const char *pattern;
        const char *const *merges;
        const char *why;
    } cases[] = {
        {"tekken", no_token, "tokenizer.ggml.pre \"tekken\" is not known here, only gpt-2"},
        {"gpt-2", no_token, "merge 0 of tokenizer.ggml.merges does not join two tokens to a third"},
        {"gpt-2", no_pair, "merge 0 of tokenizer.ggml.merges"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bpe_case c;
        open_bpe(&c, cases[i].pattern, cases[i].merges, 1);
        assert_int_equal(c.st, ST_INVALID);
        assert_true(str_starts_with(c.diags.items[0].message, str_from(cases[i].why)));
        close_bpe(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentencepiece_gives_the_tokens_of_the_reference),
        cmocka_unit_test(all_text_comes_back),
        cmocka_unit_test(text_never_becomes_a_control_token),
        cmocka_unit_test(bpe_joins_inside_words_in_the_order_of_merges),
        cmocka_unit_test(patterns_cut_numbers_as_their_models_do),
        cmocka_unit_test(control_tokens_in_text_are_text_for_bpe_too),
        cmocka_unit_test(vocabularies_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
