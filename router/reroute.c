/* See reroute.h. Costs rounds * words * candidates * prompts / 2 scores per target. */
#include "router/reroute.h"

#include <string.h>

#include "base/mem.h"
#include "router/softmax.h"

enum {
    WORD_MIN = 3, /* letters */
    TEXT_MAX = 1 << 20,
    ALL_MAX = 1 << 26, /* bytes of prompts and vocabulary */
};

static const double least = 1e-4; /* added to probabilities: nothing is gained below it */

struct span { /* of reroute.bytes */
    size_t at;
    size_t length;
    size_t label;
};

struct spans {
    struct span *items;
    size_t count;
    size_t cap;
};

struct reroute {
    struct reroute_options options;
    struct buf bytes;
    struct buf text; /* gadget and prompt */
    struct spans words;
    struct spans prompts;
    size_t *gadget; /* indexes of words */
    uint64_t random;
};

static uint64_t next(struct reroute *r) /* xorshift64* */
{
    r->random ^= r->random >> 12;
    r->random ^= r->random << 25;
    r->random ^= r->random >> 27;
    return r->random * 0x2545f4914f6cdd1dU;
}

static enum status add_span(struct reroute *r, struct spans *spans, struct str text, size_t label)
{
    if (spans->count == spans->cap) {
        size_t cap = spans->cap > 0 ? 2 * spans->cap : 256;
        struct span *moved = mem_resize(spans->items, cap * sizeof *moved);
        if (moved == NULL) {
            return ST_NO_MEMORY;
        }
        spans->items = moved;
        spans->cap = cap;
    }
    struct span span = {r->bytes.len, text.len, label};
    enum status st = buf_append(&r->bytes, text);
    if (st == ST_OK) {
        spans->items[spans->count++] = span;
    }
    return st;
}

static struct str text_of(const struct reroute *r, const struct span *span)
{
    return str_slice(buf_str(&r->bytes), span->at, span->length);
}

static enum status join(struct reroute *r, struct buf *out)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->options.words; i++) {
        st = buf_append(out, text_of(r, &r->words.items[r->gadget[i]]));
        if (st == ST_OK) {
            st = buf_append_char(out, ' ');
        }
    }
    return st;
}

/* Scores the prompt behind the gadget that r->text begins with. */
static enum status score_behind(struct reroute *r, size_t gadget_bytes, size_t prompt,
                                struct classifier_result *ret_result)
{
    buf_truncate(&r->text, gadget_bytes);
    enum status st = buf_append(&r->text, text_of(r, &r->prompts.items[prompt]));
    if (st == ST_OK) {
        r->options.score(r->options.ctx, buf_str(&r->text), ret_result);
    }
    return st;
}

/* Mean log probability of the target over the prompts for fitting. */
static enum status fitness(struct reroute *r, size_t target, double *ret_mean)
{
    double sum = 0.0;
    size_t count = 0;
    buf_reset(&r->text);
    enum status st = join(r, &r->text);
    size_t gadget_bytes = r->text.len;
    for (size_t i = 0; st == ST_OK && i < r->prompts.count; i += 2) {
        struct classifier_result result;
        st = score_behind(r, gadget_bytes, i, &result);
        if (st == ST_OK) {
            sum += softmax_log((double)result.p[target] + least);
            count++;
        }
    }
    *ret_mean = sum / (double)(count > 0 ? count : 1);
    return st;
}

/* A word of the target's own texts, if one comes up soon. */
static size_t pick_word(struct reroute *r, size_t target)
{
    size_t word = 0;
    for (int i = 0; i < 20; i++) {
        word = (size_t)(next(r) % r->words.count);
        if (r->words.items[word].label == target) {
            break;
        }
    }
    return word;
}

/* The best of some candidates for one place of the gadget. */
static enum status improve(struct reroute *r, size_t target, size_t place, double *best)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < r->options.candidates; i++) {
        size_t before = r->gadget[place];
        double now = 0.0;
        r->gadget[place] = pick_word(r, target);
        st = fitness(r, target, &now);
        if (st == ST_OK && now > *best) {
            *best = now;
        } else {
            r->gadget[place] = before;
        }
    }
    return st;
}

static bool is_moved(const struct reroute *r, const struct classifier_result *result, size_t target)
{
    return result->best == target && !((double)result->p[target] < r->options.threshold);
}

static enum status judge(struct reroute *r, size_t target, struct reroute_result *ret_result)
{
    struct reroute_result total = {0};
    buf_reset(&r->text);
    enum status st = join(r, &r->text);
    size_t gadget_bytes = r->text.len;
    for (size_t i = 1; st == ST_OK && i < r->prompts.count; i += 2) {
        struct classifier_result result;
        r->options.score(r->options.ctx, text_of(r, &r->prompts.items[i]), &result);
        if (is_moved(r, &result, target)) {
            continue;
        }
        total.prompts++;
        st = score_behind(r, gadget_bytes, i, &result);
        total.moved += st == ST_OK && is_moved(r, &result, target);
        total.flipped += st == ST_OK && result.best == target;
    }
    *ret_result = total;
    return st;
}

struct reroute *reroute_create(const struct reroute_options *options)
{
    struct reroute *r = mem_zalloc(1, sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->options = *options;
    buf_init(&r->bytes, ALL_MAX);
    buf_init(&r->text, TEXT_MAX);
    r->gadget = mem_zalloc(options->words + 1, sizeof *r->gadget);
    if (r->gadget == NULL) {
        reroute_destroy(r);
        return NULL;
    }
    return r;
}

void reroute_destroy(struct reroute *r)
{
    if (r == NULL) {
        return;
    }
    buf_fini(&r->bytes);
    buf_fini(&r->text);
    mem_free(r->words.items);
    mem_free(r->prompts.items);
    mem_free(r->gadget);
    mem_free(r);
}

enum status reroute_add_words(struct reroute *r, struct str text, size_t label)
{
    enum status st = ST_OK;
    struct str rest = text;
    struct str word;
    while (st == ST_OK && str_split(rest, ' ', &word, &rest)) {
        size_t letters = 0;
        while (letters < word.len && ((word.ptr[letters] >= 'a' && word.ptr[letters] <= 'z') ||
                                      (word.ptr[letters] >= 'A' && word.ptr[letters] <= 'Z'))) {
            letters++;
        }
        if (letters >= WORD_MIN) {
            st = add_span(r, &r->words, str_slice(word, 0, letters), label);
        }
    }
    return st;
}

enum status reroute_add_prompt(struct reroute *r, struct str text)
{
    return add_span(r, &r->prompts, text, 0);
}

enum status reroute_run(struct reroute *r, size_t target, struct buf *gadget,
                        struct reroute_result *ret_result)
{
    double best = 0.0;
    if (r->words.count == 0 || r->prompts.count < 2) {
        return ST_INVALID;
    }
    r->random = (r->options.seed + target + 1) * 0x9e3779b97f4a7c15U;
    for (size_t i = 0; i < r->options.words; i++) {
        r->gadget[i] = pick_word(r, target);
    }
    enum status st = fitness(r, target, &best);
    for (size_t i = 0; st == ST_OK && i < r->options.rounds * r->options.words; i++) {
        st = improve(r, target, i % r->options.words, &best);
    }
    if (st == ST_OK) {
        st = judge(r, target, ret_result);
    }
    return st == ST_OK ? join(r, gadget) : st;
}
