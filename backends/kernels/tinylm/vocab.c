/* Loads a vocabulary from a file's keys. See vocab.h; encoding is vocab_encode.c's part. */
#include "backends/kernels/tinylm/vocab.h"

#include <math.h>
#include <string.h>

#include "backends/kernels/tinylm/vocab_inside.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    ARENA_BLOCK_BYTES = 256 * 1024,
    ARENA_MAX_BYTES = 512 * 1024 * 1024,
    LETTERS = 256 + 68, /* code points that GPT-2 writes bytes as: all are below this */
    ESCAPE_BYTES = 6,   /* <0x0A> */
};

/* Control tokens that end an answer where they exist, beside the file's own end of text. */
static const char *const end_texts[] = {
    "<|im_end|>", "<|eot_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "</s>",
};

struct loading {
    const struct gguf *g;
    struct vocab *v;
    struct str name;
    struct diags *diags;
    const struct gguf_value *texts;
    const struct gguf_value *kinds;  /* NULL: all are normal */
    const struct gguf_value *scores; /* NULL: none */
    int16_t bytes_of[LETTERS];       /* BPE: the byte that a code point stands for, or -1 */
    enum status st;
};

enum status tokens_add(struct tokens *list, int32_t id)
{
    if (list->count == list->cap) {
        size_t cap = list->cap == 0 ? 64 : list->cap * 2;
        int32_t *grown = mem_resize(list->ids, cap * sizeof *grown);
        if (grown == NULL) {
            return ST_NO_MEMORY;
        }
        list->ids = grown;
        list->cap = cap;
    }
    list->ids[list->count++] = id;
    return ST_OK;
}

void tokens_fini(struct tokens *list)
{
    mem_free(list->ids);
    *list = (struct tokens){NULL, 0, 0};
}

__attribute__((format(printf, 2, 3))) static void fail(struct loading *l, const char *format, ...)
{
    va_list args;
    if (l->st != ST_OK) {
        return;
    }
    l->st = ST_INVALID;
    va_start(args, format);
    struct str why = arena_vprintf(l->diags->arena, format, args);
    va_end(args);
    diags_add(l->diags, DIAG_ERROR, l->name, (struct pos){0, 0}, "%.*s", STR_ARG(why));
}

static void *take(struct loading *l, size_t count, size_t size)
{
    void *memory = l->st == ST_OK ? arena_alloc(l->v->arena, count * size) : NULL;
    if (memory == NULL && l->st == ST_OK) {
        l->st = ST_NO_MEMORY;
    }
    return memory;
}

/* An array with an item for each token, or NULL. */
static const struct gguf_value *array_of(struct loading *l, struct str key, enum gguf_type item)
{
    const struct gguf_value *value = gguf_find(l->g, key);
    if (value != NULL && (value->type != GGUF_ARRAY || value->item != item ||
                          (l->v->count > 0 && value->count != l->v->count))) {
        fail(l, "%.*s has the wrong type, or not one item for each token", STR_ARG(key));
        return NULL;
    }
    return value;
}

static int32_t id_of(const struct loading *l, struct str key)
{
    const struct gguf_value *value = gguf_find(l->g, key);
    int64_t id = VOCAB_NONE;
    if (value == NULL || !gguf_to_int(value, &id) || id >= (int64_t)l->v->count) {
        return VOCAB_NONE;
    }
    return (int32_t)id;
}

static bool bool_of(const struct loading *l, struct str key, bool fallback)
{
    const struct gguf_value *value = gguf_find(l->g, key);
    bool is = fallback;
    return value != NULL && gguf_to_bool(value, &is) ? is : fallback;
}

/* ---- what a token writes ---- */

/* GPT-2 writes bytes as code points: printable Latin-1 as itself, the other 68 as 256, 257, … */
static void fill_letters(int16_t bytes_of[LETTERS])
{
    int next = 256;
    for (int i = 0; i < LETTERS; i++) {
        bytes_of[i] = -1;
    }
    for (int byte = 0; byte < 256; byte++) {
        bool is_plain =
            (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        bytes_of[is_plain ? byte : next++] = (int16_t)byte;
    }
}

/* The bytes that a BPE token stands for; the text itself where it is not written in letters. */
static struct str from_letters(struct loading *l, struct str text)
{
    char *out = take(l, text.len + 1, 1);
    size_t len = 0;
    for (size_t at = 0; out != NULL && at < text.len;) {
        uint32_t letter = 0;
        size_t n = utf8_decode(str_slice(text, at, text.len), &letter);
        if (n == 0 || letter >= LETTERS || l->bytes_of[letter] < 0) {
            return text;
        }
        out[len++] = (char)l->bytes_of[letter];
        at += n;
    }
    return (struct str){out, len};
}

/* SentencePiece writes blanks as U+2581. */
static struct str from_blanks(struct loading *l, struct str text)
{
    static const struct str blank = STR_INIT("\xe2\x96\x81");
    if (str_find(text, blank) == text.len) {
        return text;
    }
    char *out = take(l, text.len + 1, 1);
    size_t len = 0;
    for (size_t at = 0; out != NULL && at < text.len;) {
        bool is_blank = str_starts_with(str_slice(text, at, text.len), blank);
        out[len++] = is_blank ? ' ' : text.ptr[at];
        at += is_blank ? blank.len : 1;
    }
    return (struct str){out, len};
}

static int hex_digit(char c)
{
    static const struct str digits = STR_INIT("0123456789ABCDEF");
    size_t at = str_find_char(digits, c);
    return at < digits.len ? (int)at : -1;
}

/* The byte of "<0x0A>", or -1. */
static int escaped_byte(struct str text)
{
    if (text.len != ESCAPE_BYTES || !str_starts_with(text, STR("<0x")) || text.ptr[5] != '>') {
        return -1;
    }
    int high = hex_digit(text.ptr[3]);
    int low = hex_digit(text.ptr[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static void put(struct loading *l, struct table *table, struct str text, struct vocab_token *token)
{
    /* of two tokens with the same text the first counts */
    if (l->st == ST_OK && text.len > 0 && table_get(table, text) == NULL &&
        table_put(table, text, token, NULL) != ST_OK) {
        l->st = ST_NO_MEMORY;
    }
}

static void add_byte(struct loading *l, struct vocab_token *token, struct str text)
{
    int byte = escaped_byte(text);
    char *one = take(l, 1, 1);
    if (byte < 0) {
        fail(l, "a byte token is not written as <0x00> to <0xFF>");
    } else if (one != NULL) {
        *one = (char)byte;
        token->bytes = (struct str){one, 1};
        l->v->bytes[byte] = (int32_t)(token - l->v->tokens);
    }
}

static void add_token(struct loading *l, size_t i, struct str text)
{
    struct vocab *v = l->v;
    struct vocab_token *token = &v->tokens[i];
    int32_t kind = l->kinds == NULL ? (int32_t)VOCAB_NORMAL : gguf_item_i32(l->kinds, i);
    token->score = l->scores == NULL ? 0 : gguf_item_f32(l->scores, i);
    if (isnan(token->score)) {
        fail(l, "the score of token %zu is no number", i);
    }
    switch (kind) {
    case VOCAB_BYTE:
        add_byte(l, token, text);
        break;
    case VOCAB_CONTROL:
        put(l, v->specials, text, token);
        break;
    case VOCAB_USER_DEFINED: /* written as they are; text reaches them by joining alone */
    case VOCAB_NORMAL:
        token->bytes = v->pretoken != NULL && kind == VOCAB_NORMAL ? from_letters(l, text)
                       : v->pretoken != NULL                       ? text
                                                                   : from_blanks(l, text);
        put(l, v->texts, token->bytes, token);
        if (v->pretoken != NULL && token->bytes.len == 1) {
            v->bytes[(unsigned char)token->bytes.ptr[0]] = (int32_t)i;
        }
        break;
    case VOCAB_UNKNOWN:
        v->unknown = (int32_t)i;
        break;
    case VOCAB_UNUSED:
        break;
    default:
        fail(l, "token %zu is of the unknown kind %d", i, (int)kind);
    }
    v->longest = token->bytes.len > v->longest ? token->bytes.len : v->longest;
}

static void load_tokens(struct loading *l)
{
    struct vocab *v = l->v;
    l->texts = array_of(l, STR("tokenizer.ggml.tokens"), GGUF_STRING);
    if (l->texts == NULL || l->texts->count < 1 || l->texts->count > VOCAB_TOKENS_MAX) {
        fail(l, "tokenizer.ggml.tokens must be there, with 1 to %d tokens", VOCAB_TOKENS_MAX);
        return;
    }
    v->count = (size_t)l->texts->count;
    l->kinds = array_of(l, STR("tokenizer.ggml.token_type"), GGUF_I32);
    l->scores = array_of(l, STR("tokenizer.ggml.scores"), GGUF_F32);
    if (l->st == ST_OK && v->pretoken == NULL && l->scores == NULL) {
        fail(l, "tokenizer.ggml.scores is missing");
    }
    v->tokens = take(l, v->count, sizeof *v->tokens);
    size_t at = 0;
    v->longest = 1;
    for (size_t i = 0; l->st == ST_OK && i < v->count; i++) {
        add_token(l, i, gguf_next_text(l->texts, &at));
    }
}

/* ---- merges ---- */

static size_t slot_of(const struct vocab *v, int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (size_t)(key * 0x9e3779b97f4a7c15U >> 32) & v->merge_mask;
}

const struct vocab_merge *vocab_find_merge(const struct vocab *v, int32_t left, int32_t right)
{
    size_t slot = slot_of(v, left, right);
    while (v->merges[slot].left != VOCAB_NONE) {
        if (v->merges[slot].left == left && v->merges[slot].right == right) {
            return &v->merges[slot];
        }
        slot = (slot + 1) & v->merge_mask;
    }
    return NULL;
}

static int32_t token_of(const struct vocab *v, struct str bytes)
{
    const struct vocab_token *token = table_get(v->texts, bytes);
    return token == NULL ? VOCAB_NONE : (int32_t)(token - v->tokens);
}

/* "left right", as the file has it. */
static void add_merge(struct loading *l, uint32_t rank, struct str text)
{
    struct vocab *v = l->v;
    size_t blank = text.len > 0 ? 1 + str_find_char(str_slice(text, 1, text.len), ' ') : 0;
    struct str left = from_letters(l, str_slice(text, 0, blank));
    struct str right = from_letters(l, str_slice(text, blank + 1, text.len));
    char *both = take(l, left.len + right.len + 1, 1);
    if (both == NULL) {
        return;
    }
    memcpy(both, left.ptr, left.len);
    memcpy(both + left.len, right.ptr, right.len);
    struct vocab_merge merge = {token_of(v, left), token_of(v, right),
                                token_of(v, (struct str){both, left.len + right.len}), rank};
    if (left.len == 0 || right.len == 0 || merge.left == VOCAB_NONE || merge.right == VOCAB_NONE ||
        merge.result == VOCAB_NONE) {
        fail(l, "merge %u of tokenizer.ggml.merges does not join two tokens to a third",
             (unsigned)rank);
        return;
    }
    size_t slot = slot_of(v, merge.left, merge.right);
    while (v->merges[slot].left != VOCAB_NONE) {
        slot = (slot + 1) & v->merge_mask;
    }
    v->merges[slot] = merge; /* of two equal merges the first is found */
}

static void load_merges(struct loading *l)
{
    struct vocab *v = l->v;
    const struct gguf_value *merges = gguf_find(l->g, STR("tokenizer.ggml.merges"));
    if (merges == NULL || merges->type != GGUF_ARRAY || merges->item != GGUF_STRING ||
        merges->count > VOCAB_TOKENS_MAX) {
        fail(l, "tokenizer.ggml.merges must be there, a list of at most %d texts",
             VOCAB_TOKENS_MAX);
        return;
    }
    size_t slots = 64;
    while (slots < merges->count * 2) {
        slots *= 2;
    }
    v->merge_mask = slots - 1;
    v->merges = take(l, slots, sizeof *v->merges);
    for (size_t i = 0; l->st == ST_OK && i < slots; i++) {
        v->merges[i].left = VOCAB_NONE;
    }
    size_t at = 0;
    for (uint32_t i = 0; l->st == ST_OK && i < merges->count; i++) {
        add_merge(l, i, gguf_next_text(merges, &at));
    }
}

/* ---- all of it ---- */

/* Which kind of vocabulary it is. */
static void load_kind(struct loading *l)
{
    struct str model = STR("");
    struct str pattern = STR("");
    const struct gguf_value *value = gguf_find(l->g, STR("tokenizer.ggml.model"));
    if (value == NULL || !gguf_to_text(value, &model)) {
        fail(l, "tokenizer.ggml.model is missing: which tokenizer the model has");
    } else if (str_eq(model, STR("gpt2"))) {
        value = gguf_find(l->g, STR("tokenizer.ggml.pre"));
        enum status st = ST_NOT_FOUND;
        if (value != NULL && gguf_to_text(value, &pattern)) {
            st = pretoken_create(pattern, &l->v->pretoken);
        }
        if (st == ST_NOT_FOUND) {
            struct str names = pretoken_names();
            fail(l, "tokenizer.ggml.pre \"%.*s\" is not known here, only %.*s",
                 STR_ARG(str_slice(pattern, 0, utf8_valid_prefix(str_slice(pattern, 0, 40)))),
                 STR_ARG(names));
        } else if (st != ST_OK) {
            l->st = st;
        }
    } else if (!str_eq(model, STR("llama"))) {
        fail(l, "tokenizer.ggml.model is neither \"llama\" nor \"gpt2\"");
    }
}

static void load_ends(struct loading *l)
{
    struct vocab *v = l->v;
    bool is_bpe = v->pretoken != NULL;
    v->bos = id_of(l, STR("tokenizer.ggml.bos_token_id"));
    v->eos = id_of(l, STR("tokenizer.ggml.eos_token_id"));
    v->wants_bos = bool_of(l, STR("tokenizer.ggml.add_bos_token"),
                           !is_bpe || pretoken_takes_whole_words(v->pretoken)) &&
                   v->bos != VOCAB_NONE;
    v->adds_blank = !is_bpe && bool_of(l, STR("tokenizer.ggml.add_space_prefix"), true);
    int32_t ends[] = {v->eos, id_of(l, STR("tokenizer.ggml.eot_token_id")),
                      id_of(l, STR("tokenizer.ggml.eom_token_id"))};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        if (ends[i] != VOCAB_NONE) {
            v->tokens[ends[i]].is_end = true;
        }
    }
    for (size_t i = 0; i < sizeof end_texts / sizeof end_texts[0]; i++) {
        struct vocab_token *token = table_get(v->specials, str_from(end_texts[i]));
        if (token != NULL) {
            token->is_end = true;
        }
    }
}

enum status vocab_load(const struct gguf *g, struct str name, struct diags *diags,
                       struct vocab **ret_vocab)
{
    struct vocab *v = mem_zalloc(1, sizeof *v);
    if (v == NULL) {
        return ST_NO_MEMORY;
    }
    v->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    v->texts = table_create();
    v->specials = table_create();
    if (v->arena == NULL || v->texts == NULL || v->specials == NULL) {
        vocab_destroy(v);
        return ST_NO_MEMORY;
    }
    for (int i = 0; i < 256; i++) {
        v->bytes[i] = VOCAB_NONE;
    }
    v->unknown = VOCAB_NONE;
    struct loading l = {.g = g, .v = v, .name = name, .diags = diags, .st = ST_OK};
    fill_letters(l.bytes_of);
    load_kind(&l);
    if (l.st == ST_OK) {
        load_tokens(&l);
    }
    if (l.st == ST_OK && v->pretoken != NULL) {
        load_merges(&l);
    }
    if (l.st != ST_OK) {
        vocab_destroy(v);
        return l.st;
    }
    load_ends(&l);
    *ret_vocab = v;
    return ST_OK;
}

void vocab_destroy(struct vocab *v)
{
    if (v == NULL) {
        return;
    }
    pretoken_destroy(v->pretoken);
    table_destroy(v->texts);
    table_destroy(v->specials);
    arena_destroy(v->arena);
    mem_free(v);
}

size_t vocab_size(const struct vocab *v)
{
    return v->count;
}

size_t vocab_longest(const struct vocab *v)
{
    return v->longest;
}

int32_t vocab_bos(const struct vocab *v)
{
    return v->bos;
}

int32_t vocab_eos(const struct vocab *v)
{
    return v->eos;
}

bool vocab_wants_bos(const struct vocab *v)
{
    return v->wants_bos;
}

int32_t vocab_special(const struct vocab *v, struct str text)
{
    const struct vocab_token *token = table_get(v->specials, text);
    return token == NULL ? VOCAB_NONE : (int32_t)(token - v->tokens);
}

bool vocab_is_end(const struct vocab *v, int32_t id)
{
    return v->tokens[id].is_end;
}

struct str vocab_bytes(const struct vocab *v, int32_t id)
{
    return v->tokens[id].bytes;
}
