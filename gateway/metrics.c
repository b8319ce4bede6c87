/* See metrics.h. */
#include "gateway/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

enum {
    NAME_BYTES = 129,
    HISTOGRAMS = METRICS_OVERHEAD + 1,
    OUTCOMES = METRICS_INTERNAL + 1,
    FAULTS = PROBLEM_FAULT_OPERATOR + 1,
};

static const char *const outcome_texts[OUTCOMES] = {
#define METRICS_TEXT(name, label, sentence) [METRICS_##name] = label,
    METRICS_OUTCOMES(METRICS_TEXT)
#undef METRICS_TEXT
};

/* Upper bounds in microseconds; the last bucket is +Inf. From the cost of a classification to the
 * length of a long answer. */
static const int64_t bounds_us[] = {20,       50,       100,      250,     500,     1000,
                                    2500,     5000,     10000,    25000,   50000,   100000,
                                    250000,   500000,   1000000,  2500000, 5000000, 10000000,
                                    30000000, 60000000, 300000000};

enum {
    BUCKETS = sizeof bounds_us / sizeof bounds_us[0] + 1
};

struct histogram {
    atomic_uint_fast64_t buckets[BUCKETS];
    atomic_uint_fast64_t sum_us;
};

enum charge { /* what is counted of attempts */
    CHARGE_PROMPT,
    CHARGE_COMPLETION,
    CHARGE_COST, /* nano-USD */
    CHARGE_ESTIMATED,
    CHARGE_UNPRICED,
};

enum {
    CHARGES = CHARGE_UNPRICED + 1,
    ROW_RESULTS = METRICS_ROW_LATE + 1,
    HEDGE_RESULTS = METRICS_HEDGE_NONE + 1,
    CACHE_RESULTS = METRICS_CACHE_SHARED + 1,
    REFUSALS = METRICS_REFUSED_MEMORY + 1,
    PAUSES_FROM = METRICS_REFUSED_OWN_DESCRIPTORS, /* what makes accepting pause */
};

struct row { /* counts of one category */
    atomic_uint_fast64_t counts[METRICS_SLOTS][OUTCOMES];
    atomic_uint_fast64_t charges[METRICS_SLOTS][CHARGES];
};

/* Written by one worker with relaxed order, read by the scraper: each number is right by itself, a
 * page may be a few requests apart between numbers. */
struct metrics_shard {
    _Atomic(struct row *) rows[METRICS_SLOTS];
    struct row other; /* rows[METRICS_SLOT_OTHER]: there even when memory is short */
    struct histogram histograms[HISTOGRAMS];
    atomic_uint_fast64_t ledger_rows[ROW_RESULTS];
    atomic_uint_fast64_t languages[METRICS_SLOTS];
    atomic_uint_fast64_t hedges[HEDGE_RESULTS];
    atomic_uint_fast64_t cache[CACHE_RESULTS];
    atomic_uint_fast64_t refused[REFUSALS];
    atomic_uint_fast64_t pauses[REFUSALS];
    atomic_uint_fast64_t faults[FAULTS];
    atomic_int_fast64_t exchanges;
    atomic_uint_fast64_t generation;
};

enum {
    LABELS = METRICS_LANGUAGE + 1
};

struct names {
    char items[METRICS_SLOTS][NAME_BYTES];
    size_t count;
    atomic_size_t
        holds[METRICS_SLOTS]; /* configurations that have the name; the last release happens
                                           before the slot is given to another name */
};

struct metrics {
    size_t shard_count;           /* of workers */
    struct metrics_shard *shards; /* and one more for what is gone: the loading thread's */
    pthread_mutex_t lock; /* names, and who moves counts: pages see all of that or nothing */
    struct names names[LABELS];
    atomic_uint_fast64_t reloads;
    atomic_uint_fast64_t failed_reloads;
    atomic_uint_fast64_t breaches;
};

static void names_init(struct names *names)
{
    memcpy(names->items[METRICS_SLOT_OTHER], "_other", sizeof "_other");
    memcpy(names->items[METRICS_SLOT_GONE], "_gone", sizeof "_gone");
    names->count = METRICS_SLOT_GONE + 1;
}

struct metrics *metrics_create(size_t shards)
{
    struct metrics *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->shards = mem_zalloc(shards + 1, sizeof *m->shards);
    if (m->shards == NULL) {
        mem_free(m);
        return NULL;
    }
    m->shard_count = shards;
    for (size_t i = 0; i <= shards; i++) {
        atomic_init(&m->shards[i].rows[METRICS_SLOT_OTHER], &m->shards[i].other);
    }
    for (size_t i = 0; i < LABELS; i++) {
        names_init(&m->names[i]);
    }
    (void)pthread_mutex_init(&m->lock, NULL); /* cannot fail with default attributes */
    return m;
}

void metrics_destroy(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    for (size_t i = 0; i <= m->shard_count; i++) {
        atomic_store(&m->shards[i].rows[METRICS_SLOT_OTHER], NULL);
        for (size_t k = 0; k < METRICS_SLOTS; k++) {
            mem_free(atomic_load(&m->shards[i].rows[k]));
        }
    }
    (void)pthread_mutex_destroy(&m->lock);
    mem_free(m->shards);
    mem_free(m);
}

struct metrics_shard *metrics_shard(struct metrics *m, size_t index)
{
    return &m->shards[index];
}

/* One writer, so that a plain add without a locked instruction is enough. */
static void add(atomic_uint_fast64_t *counter, uint64_t n)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + n, memory_order_relaxed);
}

static struct row *row_of(struct metrics_shard *s, unsigned char category)
{
    struct row *row = atomic_load_explicit(&s->rows[category], memory_order_relaxed);
    if (row == NULL) {
        row = mem_zalloc(1, sizeof *row);
        if (row == NULL) {
            return &s->other;
        }
        atomic_store(&s->rows[category], row);
    }
    return row;
}

/* ---------------------------------------------------------------- names */

static void move(atomic_uint_fast64_t *from, atomic_uint_fast64_t *to)
{
    add(to, atomic_load_explicit(from, memory_order_relaxed));
    atomic_store_explicit(from, 0, memory_order_relaxed);
}

static void move_cell(struct row *from, size_t expert, struct row *to, size_t to_expert)
{
    for (size_t i = 0; i < OUTCOMES; i++) {
        move(&from->counts[expert][i], &to->counts[to_expert][i]);
    }
    for (size_t i = 0; i < CHARGES; i++) {
        move(&from->charges[expert][i], &to->charges[to_expert][i]);
    }
}

/* What was counted for a slot that nobody holds counts for _gone from now on. */
static void retire(struct metrics *m, enum metrics_label what, unsigned char slot)
{
    struct metrics_shard *gone = &m->shards[m->shard_count];
    for (size_t i = 0; i <= m->shard_count; i++) {
        struct metrics_shard *s = &m->shards[i];
        for (unsigned char k = 0; what != METRICS_LANGUAGE && k < METRICS_SLOTS; k++) {
            unsigned char category = what == METRICS_CATEGORY ? slot : k;
            struct row *row = atomic_load(&s->rows[category]);
            if (row != NULL && what == METRICS_CATEGORY) {
                move_cell(row, k, row_of(gone, METRICS_SLOT_GONE), k);
            } else if (row != NULL) {
                move_cell(row, slot, row_of(gone, category), METRICS_SLOT_GONE);
            }
        }
        if (what == METRICS_LANGUAGE) {
            move(&s->languages[slot], &gone->languages[METRICS_SLOT_GONE]);
        }
    }
}

/* A slot for a new name: a new one, else that of a name which nobody has. 0: there is none. */
static size_t free_slot(struct metrics *m, enum metrics_label what)
{
    struct names *names = &m->names[what];
    if (names->count < METRICS_SLOTS) {
        return names->count++;
    }
    for (size_t i = METRICS_SLOT_GONE + 1; i < METRICS_SLOTS; i++) {
        if (atomic_load(&names->holds[i]) == 0) {
            retire(m, what, (unsigned char)i);
            return i;
        }
    }
    return 0;
}

static unsigned char slot_of(struct metrics *m, enum metrics_label what, struct str name)
{
    struct names *names = &m->names[what];
    for (size_t i = METRICS_SLOT_OTHER; i < names->count; i++) {
        if (str_eq(str_from(names->items[i]), name)) {
            return (unsigned char)i;
        }
    }
    size_t slot = name.len >= NAME_BYTES ? 0 : free_slot(m, what);
    if (slot == 0) {
        return METRICS_SLOT_OTHER;
    }
    memcpy(names->items[slot], name.ptr, name.len);
    names->items[slot][name.len] = '\0';
    return (unsigned char)slot;
}

unsigned char metrics_hold(struct metrics *m, enum metrics_label what, struct str name)
{
    (void)pthread_mutex_lock(&m->lock);
    unsigned char slot = slot_of(m, what, name);
    (void)atomic_fetch_add(&m->names[what].holds[slot], 1);
    (void)pthread_mutex_unlock(&m->lock);
    return slot;
}

void metrics_release(struct metrics *m, enum metrics_label what, unsigned char slot)
{
    (void)atomic_fetch_sub(&m->names[what].holds[slot], 1);
}

/* ---------------------------------------------------------------- counting */

void metrics_count(struct metrics_shard *s, const struct metrics_event *event)
{
    struct row *row = row_of(s, event->category_slot);
    add(&row->counts[event->expert_slot][event->outcome], 1);
    add(&s->languages[event->language_slot], 1);
    add(&s->faults[event->fault], 1);
}

void metrics_charge(struct metrics_shard *s, const struct metrics_bill *bill)
{
    atomic_uint_fast64_t *charges = row_of(s, bill->category_slot)->charges[bill->expert_slot];
    add(&charges[CHARGE_PROMPT], (uint64_t)bill->prompt_tokens);
    add(&charges[CHARGE_COMPLETION], (uint64_t)bill->completion_tokens);
    add(&charges[CHARGE_COST], bill->cost_nano_usd < 0 ? 0 : (uint64_t)bill->cost_nano_usd);
    add(&charges[CHARGE_ESTIMATED], bill->is_estimated);
    add(&charges[CHARGE_UNPRICED], bill->cost_nano_usd < 0);
}

void metrics_count_row(struct metrics_shard *s, enum metrics_row row)
{
    add(&s->ledger_rows[row], 1);
}

void metrics_count_hedge(struct metrics_shard *s, enum metrics_hedge what)
{
    add(&s->hedges[what], 1);
}

void metrics_count_cache(struct metrics_shard *s, enum metrics_cache found)
{
    add(&s->cache[found], 1);
}

void metrics_count_refused(struct metrics_shard *s, enum metrics_refusal why)
{
    add(&s->refused[why], 1);
}

void metrics_count_pause(struct metrics_shard *s, enum metrics_refusal why)
{
    add(&s->pauses[why], 1);
}

void metrics_observe(struct metrics_shard *s, enum metrics_histogram which, int64_t us)
{
    struct histogram *h = &s->histograms[which];
    size_t i = 0;
    while (i < BUCKETS - 1 && us > bounds_us[i]) {
        i++;
    }
    add(&h->buckets[i], 1);
    add(&h->sum_us, us < 0 ? 0 : (uint64_t)us);
}

void metrics_set_gauges(struct metrics_shard *s, int64_t exchanges, uint64_t generation)
{
    atomic_store_explicit(&s->exchanges, exchanges, memory_order_relaxed);
    atomic_store_explicit(&s->generation, generation, memory_order_relaxed);
}

int64_t metrics_in_flight_elsewhere(const struct metrics *m, size_t shard)
{
    int64_t sum = 0;
    for (size_t i = 0; i < m->shard_count; i++) {
        sum += i == shard ? 0 : atomic_load_explicit(&m->shards[i].exchanges, memory_order_relaxed);
    }
    return sum;
}

void metrics_count_breach(struct metrics *m)
{
    (void)atomic_fetch_add(&m->breaches, 1);
}

void metrics_count_reload(struct metrics *m, int failed)
{
    (void)atomic_fetch_add(failed ? &m->failed_reloads : &m->reloads, 1);
}

/* ---------------------------------------------------------------- page */

static uint64_t get(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A label value: backslash, quote and line feed escaped. */
enum status metrics_write_label(struct buf *out, const char *name, const char *value)
{
    enum status st = buf_printf(out, "%s=\"", name);
    for (const char *p = value; st == ST_OK && *p != '\0'; p++) {
        if (*p == '\\' || *p == '"') {
            st = buf_append_char(out, '\\');
        }
        if (st == ST_OK) {
            st = *p == '\n' ? buf_append(out, STR("\\n")) : buf_append_char(out, *p);
        }
    }
    return st == ST_OK ? buf_append_char(out, '"') : st;
}

static uint64_t sum_of(const struct metrics *m, size_t category, size_t expert, size_t outcome)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= m->shard_count; i++) {
        const struct row *row = atomic_load(&m->shards[i].rows[category]);
        sum += row == NULL ? 0 : get(&row->counts[expert][outcome]);
    }
    return sum;
}

static uint64_t charge_of(const struct metrics *m, size_t category, size_t expert, size_t charge)
{
    uint64_t sum = 0;
    for (size_t i = 0; i <= m->shard_count; i++) {
        const struct row *row = atomic_load(&m->shards[i].rows[category]);
        sum += row == NULL ? 0 : get(&row->charges[expert][charge]);
    }
    return sum;
}

/* NAME{LABEL="VALUE",category="...",expert="..."} , without the first label where it is NULL. */
static enum status write_name(const struct metrics *m, struct buf *out, const char *name,
                              const char *const label[2], const size_t slots[2])
{
    enum status st = buf_printf(out, "%s{", name);
    if (st == ST_OK && label != NULL) {
        st = buf_printf(out, "%s=\"%s\",", label[0], label[1]);
    }
    if (st == ST_OK) {
        st = metrics_write_label(out, "category", m->names[METRICS_CATEGORY].items[slots[0]]);
    }
    if (st == ST_OK) {
        st = buf_append_char(out, ',');
    }
    if (st == ST_OK) {
        st = metrics_write_label(out, "expert", m->names[METRICS_EXPERT].items[slots[1]]);
    }
    return st == ST_OK ? buf_append(out, STR("} ")) : st;
}

static enum status write_series(const struct metrics *m, struct buf *out, size_t category,
                                size_t expert, size_t outcome)
{
    const char *const label[2] = {"outcome", outcome_texts[outcome]};
    const size_t slots[2] = {category, expert};
    uint64_t n = sum_of(m, category, expert, outcome);
    if (n == 0) {
        return ST_OK;
    }
    enum status st = write_name(m, out, "expertd_requests_total", label, slots);
    return st == ST_OK ? buf_printf(out, "%" PRIu64 "\n", n) : st;
}

static const struct {
    const char *name;
    const char *sentence; /* NULL: a further label of the one before */
    const char *label[2]; /* label[0] NULL: none */
} charge_texts[CHARGES] = {
    [CHARGE_PROMPT] = {"expertd_tokens_total",
                       "Tokens of attempts, reported or estimated.",
                       {"kind", "prompt"}},
    [CHARGE_COMPLETION] = {"expertd_tokens_total", NULL, {"kind", "completion"}},
    [CHARGE_COST] = {"expertd_cost_usd_total",
                     "What the tokens cost, where that is known.",
                     {NULL, NULL}},
    [CHARGE_ESTIMATED] = {"expertd_attempts_estimated_total",
                          "Attempts whose tokens the expert did not report, or not credibly.",
                          {NULL, NULL}},
    [CHARGE_UNPRICED] = {"expertd_attempts_unpriced_total",
                         "Attempts at experts without a price: what they cost is not known.",
                         {NULL, NULL}},
};

static enum status write_charge(const struct metrics *m, struct buf *out, size_t charge,
                                const size_t slots[2])
{
    const char *const *label =
        charge_texts[charge].label[0] == NULL ? NULL : charge_texts[charge].label;
    uint64_t n = charge_of(m, slots[0], slots[1], charge);
    if (n == 0) {
        return ST_OK;
    }
    enum status st = write_name(m, out, charge_texts[charge].name, label, slots);
    if (st != ST_OK) {
        return st;
    }
    return charge == CHARGE_COST ? buf_printf(out, "%.9f\n", (double)n / 1e9)
                                 : buf_printf(out, "%" PRIu64 "\n", n);
}

static enum status write_charges(const struct metrics *m, struct buf *out)
{
    enum status st = ST_OK;
    size_t categories = m->names[METRICS_CATEGORY].count;
    size_t experts = m->names[METRICS_EXPERT].count;
    for (size_t i = 0; st == ST_OK && i < CHARGES; i++) {
        if (charge_texts[i].sentence != NULL) {
            st = buf_printf(out, "# HELP %s %s\n# TYPE %s counter\n", charge_texts[i].name,
                            charge_texts[i].sentence, charge_texts[i].name);
        }
        for (size_t c = 0; st == ST_OK && c < categories; c++) {
            for (size_t e = 0; st == ST_OK && e < experts; e++) {
                const size_t slots[2] = {c, e};
                st = write_charge(m, out, i, slots);
            }
        }
    }
    return st;
}

static enum status write_rows(const struct metrics *m, struct buf *out)
{
    static const char *const results[ROW_RESULTS] = {
        [METRICS_ROW_STORED] = "stored",
        [METRICS_ROW_LOST] = "lost",
        [METRICS_ROW_LATE] = "late",
    };

    enum status st = buf_append(
        out, STR("# HELP expertd_ledger_rows_total Rows of the ledger, by what became of "
                 "them; late ones were not waited for.\n"
                 "# TYPE expertd_ledger_rows_total counter\n"));
    for (size_t r = 0; st == ST_OK && r < ROW_RESULTS; r++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < m->shard_count; i++) {
            sum += get(&m->shards[i].ledger_rows[r]);
        }
        st = buf_printf(out, "expertd_ledger_rows_total{result=\"%s\"} %" PRIu64 "\n", results[r],
                        sum);
    }
    return st;
}

static enum status write_hedges(const struct metrics *m, struct buf *out)
{
    static const char *const results[HEDGE_RESULTS] = {
        [METRICS_HEDGE_WON] = "won",
        [METRICS_HEDGE_LOST] = "lost",
        [METRICS_HEDGE_CANCELLED] = "cancelled",
        [METRICS_HEDGE_NONE] = "none",
    };

    enum status st = buf_append(
        out, STR("# HELP expertd_hedges_total Calls whose first token was late: a second call "
                 "answered (won), or did not (lost, cancelled), or there was none.\n"
                 "# TYPE expertd_hedges_total counter\n"));
    for (size_t r = 0; st == ST_OK && r < HEDGE_RESULTS; r++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < m->shard_count; i++) {
            sum += get(&m->shards[i].hedges[r]);
        }
        st = buf_printf(out, "expertd_hedges_total{result=\"%s\"} %" PRIu64 "\n", results[r], sum);
    }
    return st;
}

static enum status write_cache(const struct metrics *m, struct buf *out)
{
    enum status st = buf_append(
        out, STR("# HELP expertd_cache_requests_total Requests that looked for a kept answer, by "
                 "what they found; shared: the answer of one that was being answered.\n"
                 "# TYPE expertd_cache_requests_total counter\n"));
    for (size_t r = 0; st == ST_OK && r < CACHE_RESULTS; r++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < m->shard_count; i++) {
            sum += get(&m->shards[i].cache[r]);
        }
        st = buf_printf(out, "expertd_cache_requests_total{result=\"%s\"} %" PRIu64 "\n",
                        metrics_cache_text((enum metrics_cache)r), sum);
    }
    return st;
}

static enum status write_requests(const struct metrics *m, struct buf *out)
{
    enum status st = buf_append(
        out, STR("# HELP expertd_requests_total Requests that ended, by how they ended.\n"
                 "# TYPE expertd_requests_total counter\n"));
    size_t categories = m->names[METRICS_CATEGORY].count;
    size_t experts = m->names[METRICS_EXPERT].count;
    for (size_t c = 0; st == ST_OK && c < categories; c++) {
        for (size_t e = 0; st == ST_OK && e < experts; e++) {
            for (size_t o = 0; st == ST_OK && o < OUTCOMES; o++) {
                st = write_series(m, out, c, e, o);
            }
        }
    }
    return st;
}

/* Requests whose language was told; `und`: no letters to tell it from. */
static enum status write_languages(const struct metrics *m, struct buf *out)
{
    enum status st = buf_append(
        out, STR("# HELP expertd_requests_by_language_total Requests, by the prompt's language.\n"
                 "# TYPE expertd_requests_by_language_total counter\n"));
    size_t count = m->names[METRICS_LANGUAGE].count;
    for (size_t i = METRICS_SLOT_OTHER; st == ST_OK && i < count; i++) {
        uint64_t sum = 0;
        for (size_t k = 0; k <= m->shard_count; k++) {
            sum += get(&m->shards[k].languages[i]);
        }
        if (sum > 0) {
            st =
                buf_printf(out, "expertd_requests_by_language_total{language=\"%s\"} %" PRIu64 "\n",
                           m->names[METRICS_LANGUAGE].items[i], sum);
        }
    }
    return st;
}

static enum status write_faults(const struct metrics *m, struct buf *out)
{
    enum status st = buf_append(
        out,
        STR("# HELP expertd_failed_requests_total Requests without a good answer, by whose fault "
            "that is.\n"
            "# TYPE expertd_failed_requests_total counter\n"));
    for (int f = PROBLEM_FAULT_CLIENT; st == ST_OK && f < FAULTS; f++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < m->shard_count; i++) {
            sum += get(&m->shards[i].faults[f]);
        }
        st = buf_printf(out, "expertd_failed_requests_total{fault=\"%s\"} %" PRIu64 "\n",
                        problem_fault_text((enum problem_fault)f), sum);
    }
    return st;
}

static enum status write_refusals(const struct metrics *m, struct buf *out)
{
    static const char *const labels[REFUSALS] = {
#define METRICS_TEXT(name, label, sentence) [METRICS_REFUSED_##name] = label,
        METRICS_REFUSALS(METRICS_TEXT)
#undef METRICS_TEXT
    };

    enum status st =
        buf_append(out, STR("# HELP expertd_connections_refused_total Connections that were turned "
                            "away, by what was used up.\n"
                            "# TYPE expertd_connections_refused_total counter\n"));
    for (size_t r = 0; st == ST_OK && r < REFUSALS; r++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < m->shard_count; i++) {
            sum += get(&m->shards[i].refused[r]);
        }
        st = buf_printf(out, "expertd_connections_refused_total{reason=\"%s\"} %" PRIu64 "\n",
                        labels[r], sum);
    }
    st = st == ST_OK ? buf_append(out, STR("# HELP expertd_accept_pauses_total Pauses of a worker "
                                           "in accepting, by what was used up.\n"
                                           "# TYPE expertd_accept_pauses_total counter\n"))
                     : st;
    for (size_t r = PAUSES_FROM; st == ST_OK && r < REFUSALS; r++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < m->shard_count; i++) {
            sum += get(&m->shards[i].pauses[r]);
        }
        st = buf_printf(out, "expertd_accept_pauses_total{reason=\"%s\"} %" PRIu64 "\n", labels[r],
                        sum);
    }
    return st;
}

static enum status write_histogram(const struct metrics *m, struct buf *out, size_t which)
{
    static const char *const texts[HISTOGRAMS][2] = {
        {"expertd_request_duration_seconds", "From the request's head to the end of its reply."},
        {"expertd_time_to_first_token_seconds",
         "From the request's head to the expert's first byte."},
        {"expertd_overhead_seconds",
         "From the complete body to the first call: parse, classify, decide."},
    };

    const char *name = texts[which][0];
    enum status st =
        buf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", name, texts[which][1], name);
    uint64_t count = 0;
    uint64_t sum = 0;
    for (size_t b = 0; st == ST_OK && b < BUCKETS; b++) {
        for (size_t i = 0; i < m->shard_count; i++) {
            count += get(&m->shards[i].histograms[which].buckets[b]);
        }
        st = b + 1 < BUCKETS ? buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name,
                                          (double)bounds_us[b] / 1e6, count)
                             : buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    }
    for (size_t i = 0; i < m->shard_count; i++) {
        sum += get(&m->shards[i].histograms[which].sum_us);
    }
    return st == ST_OK ? buf_printf(out, "%s_sum %.6f\n%s_count %" PRIu64 "\n", name,
                                    (double)sum / 1e6, name, count)
                       : st;
}

static enum status write_totals(const struct metrics *m, struct buf *out)
{
    int64_t exchanges = 0;
    for (size_t i = 0; i < m->shard_count; i++) {
        exchanges += atomic_load(&m->shards[i].exchanges);
    }
    return buf_printf(
        out,
        "# HELP expertd_requests_in_flight Requests in work.\n"
        "# TYPE expertd_requests_in_flight gauge\n"
        "expertd_requests_in_flight %" PRId64 "\n"
        "# HELP expertd_config_generation Configurations loaded since the start; the one in use.\n"
        "# TYPE expertd_config_generation gauge\n"
        "expertd_config_generation %" PRIu64 "\n"
        "# HELP expertd_reloads_total Reloads, by result.\n"
        "# TYPE expertd_reloads_total counter\n"
        "expertd_reloads_total{result=\"ok\"} %" PRIu64 "\n"
        "expertd_reloads_total{result=\"failed\"} %" PRIu64 "\n"
        "# HELP expertd_guarantee_breaches_total Calls refused right before the connect because a "
        "guarantee forbids them; each is a mistake of the gateway.\n"
        "# TYPE expertd_guarantee_breaches_total counter\n"
        "expertd_guarantee_breaches_total %" PRIu64 "\n",
        exchanges, get(&m->shards[0].generation), get(&m->reloads), get(&m->failed_reloads),
        get(&m->breaches));
}

static enum status write_page(const struct metrics *m, struct buf *out)
{
    enum status st = write_requests(m, out);
    if (st == ST_OK) {
        st = write_languages(m, out);
    }
    if (st == ST_OK) {
        st = write_faults(m, out);
    }
    if (st == ST_OK) {
        st = write_charges(m, out);
    }
    if (st == ST_OK) {
        st = write_rows(m, out);
    }
    if (st == ST_OK) {
        st = write_hedges(m, out);
    }
    if (st == ST_OK) {
        st = write_cache(m, out);
    }
    if (st == ST_OK) {
        st = write_refusals(m, out);
    }
    for (size_t i = 0; st == ST_OK && i < HISTOGRAMS; i++) {
        st = write_histogram(m, out, i);
    }
    return st == ST_OK ? write_totals(m, out) : st;
}

enum status metrics_write(struct metrics *m, struct buf *out)
{
    (void)pthread_mutex_lock(&m->lock);
    enum status st = write_page(m, out);
    (void)pthread_mutex_unlock(&m->lock);
    return st;
}

const char *metrics_cache_text(enum metrics_cache found)
{
    static const char *const texts[CACHE_RESULTS] = {
        [METRICS_CACHE_MISS] = "miss",
        [METRICS_CACHE_HIT] = "hit",
        [METRICS_CACHE_SHARED] = "shared",
    };
    return texts[found];
}

const char *metrics_outcome_text(enum metrics_outcome outcome)
{
    return outcome_texts[outcome];
}
