/* Text to tokens: neighbours are joined, the best pair first (SentencePiece: highest score of the
 * joined token; BPE: lowest rank of the merge), the leftmost of equals, until no pair can be joined.
 * A heap of pairs makes that n log n. See vocab.h. */
#include <string.h>

#include "backends/kernels/tinylm/vocab_inside.h"
#include "base/mem.h"
#include "base/utf8.h"

enum {
    END = -1, /* no symbol before or after */
};

struct symbol { /* a piece of the text; joined ones have len 0 */
    uint32_t start;
    uint32_t len;
    int32_t before;
    int32_t after;
    int32_t id; /* VOCAB_NONE: no token */
};

struct pair {
    float order; /* lower is joined earlier */
    int32_t left;
    uint32_t len; /* of both together: tells a pair that has changed since */
    int32_t result;
};

struct joining {
    const struct vocab *v;
    struct str text;
    struct symbol *symbols;
    size_t count;
    struct pair *heap;
    size_t pairs;
    struct tokens *out;
};

/* ---- the heap: at most one pair for each symbol, and two for each joint ---- */

static bool is_before(const struct pair *a, const struct pair *b)
{
    if (a->order < b->order || a->order > b->order) {
        return a->order < b->order;
    }
    return a->left < b->left;
}

static void push(struct joining *j, struct pair pair)
{
    size_t at = j->pairs++;
    while (at > 0 && is_before(&pair, &j->heap[(at - 1) / 2])) {
        j->heap[at] = j->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    j->heap[at] = pair;
}

static struct pair pop(struct joining *j)
{
    struct pair top = j->heap[0];
    struct pair last = j->heap[--j->pairs];
    size_t at = 0;
    while (2 * at + 1 < j->pairs) {
        size_t child = 2 * at + 1;
        if (child + 1 < j->pairs && is_before(&j->heap[child + 1], &j->heap[child])) {
            child++;
        }
        if (!is_before(&j->heap[child], &last)) {
            break;
        }
        j->heap[at] = j->heap[child];
        at = child;
    }
    j->heap[at] = last;
    return top;
}

/* ---- joining ---- */

static void consider(struct joining *j, int32_t left, int32_t right)
{
    if (left == END || right == END) {
        return;
    }
    const struct vocab *v = j->v;
    const struct symbol *a = &j->symbols[left];
    const struct symbol *b = &j->symbols[right];
    struct pair pair = {0, left, a->len + b->len, VOCAB_NONE};
    if (v->pretoken == NULL) {
        const struct vocab_token *token =
            table_get(v->texts, str_slice(j->text, a->start, pair.len));
        if (token != NULL) {
            pair.order = -token->score;
            pair.result = (int32_t)(token - v->tokens);
        }
    } else {
        const struct vocab_merge *merge = vocab_find_merge(v, a->id, b->id);
        if (merge != NULL) {
            pair.order = (float)merge->rank; /* exact: below 2^24 */
            pair.result = merge->result;
        }
    }
    if (pair.result != VOCAB_NONE) {
        push(j, pair);
    }
}

static void join_all(struct joining *j)
{
    for (size_t i = 1; i < j->count; i++) {
        consider(j, (int32_t)i - 1, (int32_t)i);
    }
    while (j->pairs > 0) {
        struct pair pair = pop(j);
        struct symbol *left = &j->symbols[pair.left];
        if (left->len == 0 || left->after == END) {
            continue;
        }
        struct symbol *right = &j->symbols[left->after];
        if (left->len + right->len != pair.len) {
            continue; /* one of them has grown meanwhile */
        }
        left->len = pair.len;
        left->id = pair.result;
        left->after = right->after;
        right->len = 0;
        if (left->after != END) {
            j->symbols[left->after].before = pair.left;
        }
        consider(j, left->before, pair.left);
        consider(j, pair.left, left->after);
    }
}

/* A symbol that is no token is written byte by byte. Some BPE vocabularies have no tokens for control
 * characters, which no text of theirs had: these are left out, as in all readers of such files. */
static enum status write_bytes(const struct joining *j, const struct symbol *s)
{
    enum status st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < s->len; i++) {
        int32_t id = j->v->bytes[(unsigned char)j->text.ptr[s->start + i]];
        id = id == VOCAB_NONE ? j->v->unknown : id;
        if (id != VOCAB_NONE) {
            st = tokens_add(j->out, id);
        } else if (j->v->pretoken == NULL) {
            st = ST_INVALID;
        }
    }
    return st;
}

static enum status write_symbols(const struct joining *j)
{
    enum status st = ST_OK;
    for (int32_t i = 0; st == ST_OK && i != END; i = j->symbols[i].after) {
        const struct symbol *s = &j->symbols[i];
        st = s->id == VOCAB_NONE ? write_bytes(j, s) : tokens_add(j->out, s->id);
    }
    return st;
}

/* The symbols that joining starts with: code points (SentencePiece) or bytes (BPE). */
static void cut(struct joining *j)
{
    j->count = 0;
    for (size_t at = 0; at < j->text.len;) {
        struct str rest = str_slice(j->text, at, j->text.len);
        uint32_t code_point = 0;
        size_t n = j->v->pretoken == NULL ? utf8_decode(rest, &code_point) : 1;
        n = n == 0 ? 1 : n; /* a broken byte stands for itself */
        int32_t id = j->v->bytes[(unsigned char)rest.ptr[0]];
        if (j->v->pretoken == NULL) {
            const struct vocab_token *token = table_get(j->v->texts, str_slice(rest, 0, n));
            id = token == NULL ? VOCAB_NONE : (int32_t)(token - j->v->tokens);
        }
        int32_t i = (int32_t)j->count++;
        j->symbols[i] = (struct symbol){(uint32_t)at, (uint32_t)n, i - 1, i + 1, id};
        at += n;
    }
    j->symbols[j->count - 1].after = END;
}

/* Precondition: the text is not empty; symbols and heap have room for its length. */
static enum status encode_run(struct joining *j)
{
    j->pairs = 0;
    cut(j);
    join_all(j);
    return write_symbols(j);
}

static enum status on_word(void *ctx, struct str word)
{
    struct joining *j = ctx;
    if (pretoken_takes_whole_words(j->v->pretoken)) {
        const struct vocab_token *token = table_get(j->v->texts, word);
        if (token != NULL) {
            return tokens_add(j->out, (int32_t)(token - j->v->tokens));
        }
    }
    j->text = word;
    return encode_run(j);
}

/* A copy of the text with the blank that SentencePiece puts before it. */
static struct str with_blank(struct str text)
{
    char *copy = mem_alloc(text.len + 1);
    if (copy == NULL) {
        return (struct str){NULL, 0};
    }
    copy[0] = ' ';
    memcpy(copy + 1, text.ptr, text.len);
    return (struct str){copy, text.len + 1};
}

enum status vocab_encode(const struct vocab *v, struct str text, bool is_start, struct tokens *out)
{
    if (text.len == 0) {
        return ST_OK;
    }
    if (text.len >= INT32_MAX / 4) {
        return ST_NO_MEMORY; /* far beyond what any request may hold */
    }
    struct joining j = {.v = v, .text = text, .out = out};
    bool is_copy = v->adds_blank && is_start;
    j.text = is_copy ? with_blank(text) : text;
    j.symbols = mem_alloc((text.len + 1) * sizeof *j.symbols);
    j.heap = mem_alloc((text.len + 1) * 3 * sizeof *j.heap);
    enum status st = ST_NO_MEMORY;
    struct str run = j.text;
    if (run.ptr != NULL && j.symbols != NULL && j.heap != NULL) {
        st = v->pretoken == NULL ? encode_run(&j) : pretoken_cut(v->pretoken, text, on_word, &j);
    }
    if (is_copy) {
        mem_free((void *)(uintptr_t)run.ptr);
    }
    mem_free(j.symbols);
    mem_free(j.heap);
    return st;
}
