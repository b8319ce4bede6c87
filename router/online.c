/* See online.h. Does not know categories, requests or files. */
#include "router/online.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "router/softmax.h"

enum {
    SLOTS = 2 * ONLINE_ROWS_MAX, /* of the hash table: half empty */
    NO_ROW = UINT16_MAX,
    HALVINGS = 3,
    MOVED_MIN = 256, /* decisions that a share of all of them needs to mean anything */
    LABELS = CLASSIFIER_LABELS_MAX,
    SIEVE_BITS = 15,
};

_Static_assert((SLOTS & (SLOTS - 1)) == 0 && (int)ONLINE_ROWS_MAX < (int)NO_ROW,
               "a table of indices");

static const double OTHERS_MAX = 0.005; /* of the reservoir: routes that nobody asked to change */
static const double MOVED_MAX = 0.05;   /* of the reservoir: all routes that change */
static const double KNOWN = 0.9; /* probability of the right label that needs no correction */

/* Most hashes are in no table: a bit for the top of each says so without a search. */
struct sieve {
    uint64_t bits[1 << (SIEVE_BITS - 6)];
};

static bool sieve_may_hold(const struct sieve *s, uint32_t hash)
{
    uint32_t bit = hash >> (32 - SIEVE_BITS);
    return (s->bits[bit / 64] >> bit % 64 & 1) != 0;
}

static void sieve_put(struct sieve *s, uint32_t hash)
{
    uint32_t bit = hash >> (32 - SIEVE_BITS);
    s->bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

struct table { /* hash -> row; copied whole */
    uint32_t hashes[ONLINE_ROWS_MAX];
    uint16_t slots[SLOTS]; /* row, or NO_ROW */
    struct sieve sieve;
    size_t rows;
    size_t labels;
    float *values; /* rows * labels */
};

struct online_delta {
    atomic_uint refs; /* every holder writes; default order */
    uint64_t weights;
    struct table table;
};

struct replay { /* a past decision */
    uint32_t count;
    uint32_t hashes[ONLINE_HASHES_MAX];
    float p[LABELS];
};

struct online {
    struct online_options options;
    struct table table;
    uint64_t wanted[LABELS]; /* bit b of [a]: somebody said that what went to a belongs to b */
    struct replay *replay;
    size_t filled;
    uint64_t offered;
    uint64_t random;
};

/* ---------------------------------------------------------------- table */

static size_t home_of(uint32_t hash)
{
    return (size_t)(hash * 2654435761U >> 7) & (SLOTS - 1); /* Knuth's multiplicative hash */
}

/* The slot that holds the hash, or the empty one where it would go. */
static size_t slot_of(const struct table *t, uint32_t hash)
{
    size_t slot = home_of(hash);
    while (t->slots[slot] != NO_ROW && t->hashes[t->slots[slot]] != hash) {
        slot = (slot + 1) & (SLOTS - 1);
    }
    return slot;
}

static float *row_of(const struct table *t, uint32_t hash)
{
    if (!sieve_may_hold(&t->sieve, hash)) {
        return NULL;
    }
    uint16_t row = t->slots[slot_of(t, hash)];
    return row == NO_ROW ? NULL : t->values + row * t->labels;
}

/* The row of a hash, made if it is not there. NULL: no room. */
static float *make_row(struct table *t, uint32_t hash)
{
    size_t slot = slot_of(t, hash);
    if (t->slots[slot] == NO_ROW) {
        if (t->rows == ONLINE_ROWS_MAX) {
            return NULL;
        }
        sieve_put(&t->sieve, hash);
        t->slots[slot] = (uint16_t)t->rows;
        t->hashes[t->rows] = hash;
        memset(t->values + t->rows * t->labels, 0, t->labels * sizeof *t->values);
        t->rows++;
    }
    return t->values + t->slots[slot] * t->labels;
}

static void clear(struct table *t)
{
    t->rows = 0;
    memset(t->slots, 0xff, sizeof t->slots);
    memset(&t->sieve, 0, sizeof t->sieve);
}

static enum status table_init(struct table *t, size_t labels)
{
    clear(t);
    t->labels = labels;
    t->values = mem_zalloc(ONLINE_ROWS_MAX * labels, sizeof *t->values);
    return t->values == NULL ? ST_NO_MEMORY : ST_OK;
}

/* Drops the rows from `rows` on: the last ones that were made. */
static void shrink(struct table *t, size_t rows)
{
    clear(t);
    t->rows = rows;
    for (size_t i = 0; i < rows; i++) {
        sieve_put(&t->sieve, t->hashes[i]);
        t->slots[slot_of(t, t->hashes[i])] = (uint16_t)i;
    }
}

static double norm_of(const struct table *t)
{
    double sum = 0.0;
    for (size_t i = 0; i < t->rows * t->labels; i++) {
        sum += (double)t->values[i] * (double)t->values[i];
    }
    return sqrt(sum);
}

/* What the features add to each logit. False: nothing is known about any of them. */
static bool add_up(const struct table *t, const uint32_t *hashes, size_t count, double sum[LABELS])
{
    bool is_known = false;
    memset(sum, 0, t->labels * sizeof *sum);
    for (size_t i = 0; i < count; i++) {
        const float *row = row_of(t, hashes[i]);
        if (row == NULL) {
            continue;
        }
        is_known = true;
        for (size_t k = 0; k < t->labels; k++) {
            sum[k] += (double)row[k];
        }
    }
    return is_known;
}

/* p[k] * exp(sum[k]), with sum 1. */
static void shift(float *p, const double *sum, size_t labels)
{
    double total = 0.0;
    double shifted[LABELS];
    for (size_t k = 0; k < labels; k++) {
        shifted[k] = (double)p[k] * softmax_exp(sum[k]);
        total += shifted[k];
    }
    for (size_t k = 0; k < labels; k++) {
        p[k] = (float)(shifted[k] / total);
    }
}

static size_t best_of(const float *p, size_t count)
{
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        best = p[i] > p[best] ? i : best;
    }
    return best;
}

/* ---------------------------------------------------------------- delta */

struct online_delta *online_delta_ref(struct online_delta *d)
{
    (void)atomic_fetch_add(&d->refs, 1); /* only the last unref looks at the value */
    return d;
}

void online_delta_unref(struct online_delta *d)
{
    if (d != NULL && atomic_fetch_sub(&d->refs, 1) == 1) {
        mem_free(d->table.values);
        mem_free(d);
    }
}

uint64_t online_delta_weights(const struct online_delta *d)
{
    return d->weights;
}

size_t online_delta_rows(const struct online_delta *d)
{
    return d->table.rows;
}

double online_delta_norm(const struct online_delta *d)
{
    return norm_of(&d->table);
}

float online_apply(const struct online_delta *d, const uint32_t *hashes, size_t count,
                   struct classifier_result *r)
{
    double sum[LABELS];
    if (r->count != d->table.labels || !add_up(&d->table, hashes, count, sum)) {
        return 0.0F;
    }
    shift(r->p, sum, r->count);
    for (size_t k = 0; k < r->count; k++) {
        r->logit[k] += (float)sum[k];
    }
    r->best = best_of(r->p, r->count);
    r->entropy = softmax_entropy(r->p, r->count);
    return (float)sum[r->best];
}

/* ---------------------------------------------------------------- learner */

struct online *online_create(const struct online_options *options)
{
    ASSERT(options->labels >= 2 && options->labels <= LABELS && options->reservoir > 0);
    struct online *o = mem_zalloc(1, sizeof *o);
    if (o == NULL) {
        return NULL;
    }
    o->options = *options;
    o->replay = mem_zalloc(options->reservoir, sizeof *o->replay);
    if (o->replay == NULL || table_init(&o->table, options->labels) != ST_OK) {
        online_destroy(o);
        return NULL;
    }
    return o;
}

void online_destroy(struct online *o)
{
    if (o != NULL) {
        mem_free(o->table.values);
        mem_free(o->replay);
        mem_free(o);
    }
}

void online_rollback(struct online *o)
{
    clear(&o->table);
    memset(o->wanted, 0, sizeof o->wanted);
}

struct online_delta *online_delta(const struct online *o)
{
    const struct table *t = &o->table;
    struct online_delta *d = mem_zalloc(1, sizeof *d);
    float *values = mem_zalloc(t->rows * t->labels, sizeof *values);
    if (d == NULL || values == NULL) {
        mem_free(d);
        mem_free(values);
        return NULL;
    }
    atomic_init(&d->refs, 1);
    d->weights = o->options.weights;
    d->table = *t;
    d->table.values = values;
    memcpy(values, t->values, t->rows * t->labels * sizeof *values);
    return d;
}

static void keep(struct online *o, size_t slot, const struct online_example *e)
{
    struct replay *r = &o->replay[slot];
    size_t count = e->hash_count < ONLINE_HASHES_MAX ? e->hash_count : ONLINE_HASHES_MAX;
    r->count = (uint32_t)count;
    memcpy(r->hashes, e->hashes, count * sizeof *r->hashes);
    memcpy(r->p, e->p, o->options.labels * sizeof *r->p);
}

/* Algorithm R; the generator's seed is always the same. */
size_t online_observe(struct online *o, const struct online_example *example)
{
    size_t slot = o->filled;
    o->offered++;
    if (o->filled < o->options.reservoir) {
        o->filled++;
    } else {
        o->random = o->random * 6364136223846793005U + 1442695040888963407U;
        uint64_t at = (o->random >> 11) % o->offered;
        slot = at < o->filled ? (size_t)at : SIZE_MAX;
    }
    if (slot != SIZE_MAX) {
        keep(o, slot, example);
    }
    return slot;
}

size_t online_observed(const struct online *o)
{
    return o->filled;
}

/* ---------------------------------------------------------------- learn */

struct step { /* the features that a correction moves */
    uint32_t hashes[ONLINE_ROWS_STEP];
    double weights[ONLINE_ROWS_STEP]; /* rarity; in the end shares of 1 */
    size_t count;
    double gradient[LABELS];
};

/* In how many replayed decisions each of the features occurs. */
static void count_replayed(const struct online *o, const struct online_example *e, uint32_t *ret)
{
    uint16_t slots[1024]; /* twice ONLINE_HASHES_MAX: half empty */
    struct sieve sieve = {0};
    memset(slots, 0xff, sizeof slots);
    memset(ret, 0, e->hash_count * sizeof *ret);
    for (size_t i = 0; i < e->hash_count; i++) {
        size_t at = home_of(e->hashes[i]) & 1023;
        while (slots[at] != NO_ROW) {
            at = (at + 1) & 1023;
        }
        slots[at] = (uint16_t)i;
        sieve_put(&sieve, e->hashes[i]);
    }
    for (size_t i = 0; i < o->filled; i++) {
        const struct replay *r = &o->replay[i];
        for (size_t k = 0; k < r->count; k++) {
            if (!sieve_may_hold(&sieve, r->hashes[k])) {
                continue;
            }
            size_t at = home_of(r->hashes[k]) & 1023;
            while (slots[at] != NO_ROW && e->hashes[slots[at]] != r->hashes[k]) {
                at = (at + 1) & 1023;
            }
            if (slots[at] != NO_ROW) {
                ret[slots[at]]++;
            }
        }
    }
}

/* The rarest features, heaviest first, with weights that let the whole move the logits by 1. */
static void choose(const struct online *o, const struct online_example *e, struct step *s)
{
    uint32_t seen[ONLINE_HASHES_MAX];
    count_replayed(o, e, seen);
    s->count = 0;
    for (size_t i = 0; i < e->hash_count; i++) {
        double weight = softmax_log((double)(o->filled + 2) / (double)(seen[i] + 1));
        size_t at = s->count < ONLINE_ROWS_STEP ? s->count++ : ONLINE_ROWS_STEP - 1;
        if (at == ONLINE_ROWS_STEP - 1 && s->count == ONLINE_ROWS_STEP && i >= ONLINE_ROWS_STEP &&
            s->weights[at] >= weight) {
            continue;
        }
        while (at > 0 && s->weights[at - 1] < weight) {
            s->weights[at] = s->weights[at - 1];
            s->hashes[at] = s->hashes[at - 1];
            at--;
        }
        s->weights[at] = weight;
        s->hashes[at] = e->hashes[i];
    }
    double total = 0.0;
    for (size_t i = 0; i < s->count; i++) {
        total += s->weights[i];
    }
    for (size_t i = 0; i < s->count; i++) {
        s->weights[i] /= total;
    }
}

/* Adds `factor` of the step. False: there was no room for any of its features. */
static bool add_step(struct table *t, const struct step *s, double factor)
{
    bool has_room = false;
    for (size_t i = 0; i < s->count; i++) {
        float *row = make_row(t, s->hashes[i]);
        for (size_t k = 0; row != NULL && k < t->labels; k++) {
            row[k] += (float)(factor * s->weights[i] * s->gradient[k]);
        }
        has_room = has_room || row != NULL;
    }
    return has_room;
}

/* Do the replayed decisions stay where they are, but for what people asked for? */
static bool others_stay(const struct online *o)
{
    size_t others = 0;
    size_t moved = 0;
    double sum[LABELS];
    float p[LABELS];
    for (size_t i = 0; i < o->filled; i++) {
        const struct replay *r = &o->replay[i];
        if (!add_up(&o->table, r->hashes, r->count, sum)) {
            continue;
        }
        memcpy(p, r->p, o->options.labels * sizeof *p);
        shift(p, sum, o->options.labels);
        size_t before = best_of(r->p, o->options.labels);
        size_t after = best_of(p, o->options.labels);
        moved += before != after;
        others += before != after && (o->wanted[before] >> after & 1) == 0;
    }
    return (double)others <= OTHERS_MAX * (double)o->filled &&
           (o->filled < MOVED_MIN || (double)moved <= MOVED_MAX * (double)o->filled);
}

enum online_verdict online_learn(struct online *o, const struct online_example *example,
                                 size_t label)
{
    ASSERT(label < o->options.labels && example->hash_count <= ONLINE_HASHES_MAX);
    struct step s;
    double sum[LABELS];
    float p[LABELS];
    size_t labels = o->options.labels;
    memcpy(p, example->p, labels * sizeof *p);
    if (add_up(&o->table, example->hashes, example->hash_count, sum)) {
        shift(p, sum, labels);
    }
    if ((double)p[label] >= KNOWN) {
        return ONLINE_KNOWN;
    }
    choose(o, example, &s);
    for (size_t k = 0; k < labels; k++) {
        s.gradient[k] = (k == label ? 1.0 : 0.0) - (double)p[k];
    }
    size_t rows = o->table.rows;
    size_t wrong = best_of(example->p, labels);
    uint64_t wanted = o->wanted[wrong];
    o->wanted[wrong] |= (uint64_t)1 << label;
    double factor = o->options.rate;
    enum online_verdict verdict = ONLINE_FULL;
    for (int i = 0; i <= HALVINGS; i++) {
        if (!add_step(&o->table, &s, factor)) {
            break;
        }
        bool is_short = norm_of(&o->table) <= o->options.cap;
        if (is_short && others_stay(o)) {
            return ONLINE_LEARNED;
        }
        verdict = is_short ? ONLINE_REFUSED : ONLINE_FULL;
        (void)add_step(&o->table, &s, -factor); /* takes back: it had room */
        factor /= 2.0;
    }
    o->wanted[wrong] = wanted;
    shrink(&o->table, rows);
    return verdict;
}

/* ---------------------------------------------------------------- bytes */

enum {
    MAGIC = 0x314e4f45, /* "EON1" */
};

static enum status put_u32(struct buf *out, uint32_t value)
{
    const char bytes[] = {(char)(value & 0xff), (char)(value >> 8 & 0xff),
                          (char)(value >> 16 & 0xff), (char)(value >> 24)};
    return buf_append(out, (struct str){bytes, sizeof bytes});
}

static enum status put_f32(struct buf *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put_u32(out, bits);
}

/* The next number; the caller has checked that it is there. */
static uint32_t take_u32(struct str *in)
{
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        value |= (uint32_t)(uint8_t)in->ptr[i] << 8 * i;
    }
    *in = str_slice(*in, 4, in->len);
    return value;
}

static float take_f32(struct str *in)
{
    uint32_t bits = take_u32(in);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

enum status online_write(const struct online *o, struct buf *out)
{
    const struct table *t = &o->table;
    enum status st = put_u32(out, MAGIC);
    st = st == ST_OK ? put_u32(out, (uint32_t)t->labels) : st;
    st = st == ST_OK ? put_u32(out, (uint32_t)t->rows) : st;
    for (size_t i = 0; st == ST_OK && i < t->labels; i++) {
        st = put_u32(out, (uint32_t)o->wanted[i]);
        st = st == ST_OK ? put_u32(out, (uint32_t)(o->wanted[i] >> 32)) : st;
    }
    for (size_t i = 0; st == ST_OK && i < t->rows; i++) {
        st = put_u32(out, t->hashes[i]);
        for (size_t k = 0; st == ST_OK && k < t->labels; k++) {
            st = put_f32(out, t->values[i * t->labels + k]);
        }
    }
    return st;
}

/* The numbers behind the head. False: one is no number, or a hash stands there twice. */
static bool read_rows(struct online *o, struct str in, size_t rows)
{
    struct table *t = &o->table;
    for (size_t i = 0; i < t->labels; i++) {
        uint64_t low = take_u32(&in);
        o->wanted[i] = low | (uint64_t)take_u32(&in) << 32;
    }
    for (size_t i = 0; i < rows; i++) {
        float *row = make_row(t, take_u32(&in));
        if (t->rows != i + 1) {
            return false;
        }
        for (size_t k = 0; k < t->labels; k++) {
            row[k] = take_f32(&in);
            if (!isfinite(row[k])) {
                return false;
            }
        }
    }
    return true;
}

enum status online_read(struct online *o, struct str bytes)
{
    size_t labels = o->options.labels;
    if (o->table.rows != 0 || bytes.len < 12 || take_u32(&bytes) != MAGIC ||
        take_u32(&bytes) != labels) {
        return ST_INVALID;
    }
    size_t rows = take_u32(&bytes);
    if (rows > ONLINE_ROWS_MAX || bytes.len != 8 * labels + rows * (4 + 4 * labels)) {
        return ST_INVALID;
    }
    if (!read_rows(o, bytes, rows)) {
        online_rollback(o);
        return ST_INVALID;
    }
    return ST_OK;
}

enum status online_write_slot(const struct online *o, size_t slot, struct buf *out)
{
    const struct replay *r = &o->replay[slot];
    enum status st = put_u32(out, (uint32_t)o->options.labels);
    for (size_t k = 0; st == ST_OK && k < o->options.labels; k++) {
        st = put_f32(out, r->p[k]);
    }
    for (size_t i = 0; st == ST_OK && i < r->count; i++) {
        st = put_u32(out, r->hashes[i]);
    }
    return st;
}

enum status online_read_slot(struct online *o, struct str bytes)
{
    size_t labels = o->options.labels;
    uint32_t hashes[ONLINE_HASHES_MAX];
    float p[LABELS];
    if (o->filled == o->options.reservoir || bytes.len % 4 != 0 || bytes.len < 4 + 4 * labels ||
        bytes.len > 4 + 4 * labels + sizeof hashes || take_u32(&bytes) != labels) {
        return ST_INVALID;
    }
    for (size_t k = 0; k < labels; k++) {
        p[k] = take_f32(&bytes);
        if (!(p[k] >= 0.0F && p[k] <= 1.0F)) {
            return ST_INVALID;
        }
    }
    struct online_example e = {hashes, bytes.len / 4, p};
    for (size_t i = 0; i < e.hash_count; i++) {
        hashes[i] = take_u32(&bytes);
    }
    (void)online_observe(o, &e); /* there is a free slot: it takes it */
    return ST_OK;
}
