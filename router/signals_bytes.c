/* Signals as bytes: version, then every number in the order of the struct, then the texts with their
 * lengths, then as many entries of the lists as the counts say. What is written is version 3; receipts
 * have 1 and 2 too: those had purses, states and bans in lists of their own, and 1 no states. */
#include <string.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/little.h"
#include "router/guards.h"
#include "router/signals.h"

enum {
    VERSION = 3,
    VERSION_LISTS = 2,
    VERSION_BARE = 1,
    BYTES_MAX = 2048, /* without facts */
    FACT_BYTES_MAX = 4 + 4 + 4 * 8,
    FACT_BYTES_MIN = 4 + 4,
    NUMBERS = 4,        /* of a fact */
    ANSWERS_SHIFT = 16, /* in the word of the flags: receipts of before have 0 there */
    OLD_LISTS_MAX = 16, /* purses, and states, of the old versions */
    OLD_BANS_MAX = 8,
    OLD_FACTS_MAX = OLD_BANS_MAX + 2 * OLD_LISTS_MAX,
};

struct cursor { /* over bytes that are written or read; past the end nothing happens */
    char *out;  /* NULL: reading */
    const char *in;
    size_t at;
    size_t size;
    bool is_short;
};

static bool has_room(struct cursor *c, size_t bytes)
{
    c->is_short = c->is_short || c->size - c->at < bytes;
    return !c->is_short;
}

static void pass_u32(struct cursor *c, uint32_t *value)
{
    if (!has_room(c, 4)) {
        return;
    }
    if (c->out != NULL) {
        little_put_u32(c->out + c->at, *value);
    } else {
        *value = little_u32(c->in + c->at);
    }
    c->at += 4;
}

static void pass_u64(struct cursor *c, uint64_t *value)
{
    uint32_t low = (uint32_t)*value;
    uint32_t high = (uint32_t)(*value >> 32);
    pass_u32(c, &low);
    pass_u32(c, &high);
    *value = low | (uint64_t)high << 32;
}

static void pass_i64(struct cursor *c, int64_t *value)
{
    uint64_t bits = (uint64_t)*value;
    pass_u64(c, &bits);
    *value = (int64_t)bits;
}

static void pass_f32(struct cursor *c, float *value)
{
    uint32_t bits = 0;
    memcpy(&bits, value, sizeof bits);
    pass_u32(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void pass_f64(struct cursor *c, double *value)
{
    uint64_t bits = 0;
    memcpy(&bits, value, sizeof bits);
    pass_u64(c, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void pass_text(struct cursor *c, char *text, uint32_t size)
{
    uint32_t len = c->out == NULL ? 0 : (uint32_t)strlen(text);
    pass_u32(c, &len);
    c->is_short = c->is_short || len >= size;
    if (!has_room(c, len)) {
        return;
    }
    if (c->out != NULL) {
        memcpy(c->out + c->at, text, len);
    } else {
        memcpy(text, c->in + c->at, len);
        text[len] = '\0';
    }
    c->at += len;
}

static void pass_count(struct cursor *c, uint32_t *count, uint32_t max)
{
    pass_u32(c, count);
    if (*count > max) {
        c->is_short = true;
        *count = 0;
    }
}

/* One way for both directions: they cannot differ. */
static void pass(struct cursor *c, struct signals *s)
{
    uint32_t word = s->flags | (uint32_t)s->more_answers << ANSWERS_SHIFT;
    pass_u32(c, &word);
    s->flags = word & ((1U << ANSWERS_SHIFT) - 1);
    s->more_answers = word >> ANSWERS_SHIFT;
    pass_u64(c, &s->weights);
    pass_u64(c, &s->rule);
    pass_u64(c, &s->kind_labels);
    pass_u64(c, &s->kind_examples);
    pass_i64(c, &s->text_bytes);
    pass_i64(c, &s->max_tokens);
    pass_i64(c, &s->max_price_nano_usd);
    uint32_t *const words[] = {&s->tenant, &s->known, &s->needs, &s->turns, &s->guard, &s->seed};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        pass_u32(c, words[i]);
    }
    float *const reals[] = {&s->guard_score, &s->language_p, &s->english_p};
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        pass_f32(c, reals[i]);
    }
    pass_text(c, s->model, sizeof s->model);
    pass_text(c, s->language, sizeof s->language);
    pass_count(c, &s->label_count, CLASSIFIER_LABELS_MAX);
    for (size_t i = 0; i < s->label_count; i++) {
        pass_f32(c, &s->p[i]);
    }
    pass_count(c, &s->head_count, HEADS_MAX);
    for (size_t i = 0; i < s->head_count; i++) {
        pass_f32(c, &s->heads[i]);
    }
    pass_count(c, &s->custom_count, CUSTOM_MAX);
    for (size_t i = 0; i < s->custom_count; i++) {
        pass_u32(c, &s->custom[i].name);
        pass_f32(c, &s->custom[i].p);
    }
}

/* A fact: its name, its flags with a bit for each number that is not 0, these numbers. */
static void pass_fact(struct cursor *c, struct signals_fact *fact)
{
    static const unsigned first = 1U << 8;
    int64_t *const numbers[NUMBERS] = {&fact->left_nano_usd, &fact->opens_ms, &fact->wait_us,
                                       &fact->wait_ms};
    uint32_t flags = fact->flags;
    for (size_t i = 0; c->out != NULL && i < NUMBERS; i++) {
        flags |= *numbers[i] != 0 ? first << i : 0;
    }
    pass_u32(c, &fact->name);
    pass_u32(c, &flags);
    for (size_t i = 0; i < NUMBERS; i++) {
        if ((flags & first << i) != 0) {
            pass_i64(c, numbers[i]);
        }
    }
    fact->flags = flags & (first - 1);
}

/* ---------------------------------------------------------------- writing */

_Static_assert(BYTES_MAX >= sizeof(struct signals) + 64,
               "the bytes hold what the struct holds, and lengths of texts");

enum status signals_write(const struct signals *s, struct buf *out)
{
    struct signals copy = *s;
    bool is_cut = signals_is_cut(s);
    const struct signals_fact *facts = s->all != NULL ? s->all : s->facts;
    copy.flags |= is_cut ? (unsigned)SIGNALS_CUT : 0U;
    copy.fact_count = is_cut ? SIGNALS_FACTS_MAX : s->fact_count;
    size_t size = BYTES_MAX + (size_t)copy.fact_count * FACT_BYTES_MAX;
    struct cursor c = {buf_reserve(out, size), NULL, 0, size, false};
    if (c.out == NULL) {
        return ST_NO_MEMORY;
    }
    uint32_t version = VERSION;
    pass_u32(&c, &version);
    pass(&c, &copy);
    pass_f64(&c, &copy.pressure);
    pass_u32(&c, &copy.key);
    pass_count(&c, &copy.rule_count, SIGNALS_RULES_MAX);
    for (size_t i = 0; i < copy.rule_count; i++) {
        pass_u32(&c, &copy.rules[i]);
    }
    pass_u32(&c, &copy.fact_count);
    for (size_t i = 0; i < copy.fact_count; i++) {
        struct signals_fact fact = facts[i];
        pass_fact(&c, &fact);
    }
    buf_commit(out, c.at);
    return ST_OK;
}

/* ---------------------------------------------------------------- reading */

/* Where `count` facts go. NULL: no memory. */
static struct signals_fact *make_room(struct signals *s, size_t count, struct arena *arena)
{
    if (count <= SIGNALS_FACTS_MAX) {
        return s->facts;
    }
    struct signals_fact *room = arena_alloc(arena, count * sizeof *room);
    if (room != NULL) {
        memset(room, 0, count * sizeof *room);
        s->all = room;
    }
    return room;
}

static enum status read_facts(struct cursor *c, struct arena *arena, struct signals *s)
{
    pass_f64(c, &s->pressure);
    pass_u32(c, &s->key);
    pass_count(c, &s->rule_count, SIGNALS_RULES_MAX);
    for (size_t i = 0; i < s->rule_count; i++) {
        pass_u32(c, &s->rules[i]);
    }
    pass_u32(c, &s->fact_count);
    if (c->is_short || !has_room(c, (size_t)s->fact_count * FACT_BYTES_MIN)) {
        return ST_INVALID;
    }
    struct signals_fact *facts = make_room(s, s->fact_count, arena);
    if (facts == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < s->fact_count; i++) {
        pass_fact(c, &facts[i]);
    }
    return ST_OK;
}

/* Purse and state of an expert are one fact. */
static void merge(struct signals_fact *facts, uint32_t *count, const struct signals_fact *state)
{
    for (uint32_t i = 0; i < *count; i++) {
        struct signals_fact *fact = &facts[i];
        if (fact->name == state->name && (fact->flags & SIGNALS_FACT_BAN) == 0) {
            fact->flags |= state->flags;
            fact->opens_ms = state->opens_ms;
            fact->wait_us = state->wait_us;
            fact->wait_ms = state->wait_ms;
            return;
        }
    }
    facts[(*count)++] = *state;
}

/* What the old versions have after the heads, as facts. */
static enum status read_lists(struct cursor *c, uint32_t version, struct arena *arena,
                              struct signals *s)
{
    uint32_t count = 0;
    struct signals_fact *facts = make_room(s, OLD_FACTS_MAX, arena);
    if (facts == NULL) {
        return ST_NO_MEMORY;
    }
    pass_count(c, &count, OLD_BANS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct signals_fact *fact = &facts[s->fact_count++];
        pass_u32(c, &fact->name);
        fact->flags = SIGNALS_FACT_BAN;
    }
    pass_count(c, &count, OLD_LISTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct signals_fact *fact = &facts[s->fact_count++];
        uint32_t is_tight = 0;
        pass_u32(c, &fact->name);
        pass_u32(c, &is_tight);
        pass_i64(c, &fact->left_nano_usd);
        fact->flags = SIGNALS_FACT_PURSE | (is_tight != 0 ? (unsigned)SIGNALS_FACT_TIGHT : 0U);
    }
    if (version == VERSION_BARE) {
        return ST_OK;
    }
    pass_f64(c, &s->pressure);
    pass_count(c, &count, OLD_LISTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        struct signals_fact state = {.name = 0};
        uint32_t is_shut = 0;
        pass_u32(c, &state.name);
        pass_u32(c, &is_shut);
        pass_i64(c, &state.opens_ms);
        pass_i64(c, &state.wait_us);
        pass_i64(c, &state.wait_ms);
        state.flags = is_shut != 0 ? (unsigned)SIGNALS_FACT_SHUT : 0U;
        merge(facts, &s->fact_count, &state);
    }
    return ST_OK;
}

enum status signals_read(struct str bytes, struct arena *arena, struct signals *ret)
{
    struct signals s;
    struct cursor c = {NULL, bytes.ptr, 0, bytes.len, false};
    uint32_t version = 0;
    memset(&s, 0, sizeof s);
    pass_u32(&c, &version);
    if (version < VERSION_BARE || version > VERSION) {
        return ST_INVALID;
    }
    pass(&c, &s);
    enum status st =
        version == VERSION ? read_facts(&c, arena, &s) : read_lists(&c, version, arena, &s);
    if (version != VERSION && s.seed != 0) {
        s.flags |= SIGNALS_SEED;
    }
    if (st == ST_NO_MEMORY) {
        return st;
    }
    if (st != ST_OK || c.is_short || c.at != bytes.len || s.guard > GUARD_EMPTY) {
        return ST_INVALID;
    }
    *ret = s;
    return ST_OK;
}
