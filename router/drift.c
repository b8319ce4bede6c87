/* See drift.h. */
#include "router/drift.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

/* With a spread of confidences of 0.25 the first false alarm is expected after some ten million
 * requests, and a fall by 0.1 is seen after about 550. */
static const double PH_TOLERANCE = 0.01;
static const double PH_LIMIT = 50.0;
static const double PH_MAX = 100.0; /* so that it comes down again in reasonable time */

static const double SMOOTHING = 0.5; /* added to each bin, so that an empty one is no infinity */

enum {
    LABELS_AT = 0,
    CONFIDENCE_AT = CLASSIFIER_LABELS_MAX,
    UNKNOWN_AT = CONFIDENCE_AT + DRIFT_BINS,
    COUNTS = UNKNOWN_AT + DRIFT_BINS,
};

static const struct {
    const char *text;
    size_t at;
    size_t bins;
} parts[DRIFT_WHATS] = {
    [DRIFT_LABEL] = {"label", LABELS_AT, CLASSIFIER_LABELS_MAX},
    [DRIFT_CONFIDENCE] = {"confidence", CONFIDENCE_AT, DRIFT_BINS},
    [DRIFT_UNKNOWN] = {"unknown", UNKNOWN_AT, DRIFT_BINS},
};

struct shard {
    /* one writer, relaxed order: each number is right by itself */
    atomic_uint_fast64_t counts[COUNTS];
    atomic_uint_fast64_t weights;
    _Atomic double page_hinkley;
    /* the writer's own */
    uint64_t seen; /* with these weights */
    double sum;    /* of confidences, of the reference */
};

struct drift {
    struct shard *shards;
    size_t shard_count;
    /* the looker's own */
    uint64_t weights;
    uint64_t base[COUNTS];      /* when these weights came */
    uint64_t reference[COUNTS]; /* after that */
    uint64_t window_start[COUNTS];
    bool has_reference;
    double psi[DRIFT_WHATS];
    bool is_alarm[DRIFT_WHATS];
};

struct drift *drift_create(size_t shards)
{
    struct drift *d = mem_zalloc(1, sizeof *d);
    if (d == NULL) {
        return NULL;
    }
    d->shards = mem_zalloc(shards, sizeof *d->shards);
    d->shard_count = shards;
    if (d->shards == NULL) {
        mem_free(d);
        return NULL;
    }
    return d;
}

void drift_destroy(struct drift *d)
{
    if (d != NULL) {
        mem_free(d->shards);
        mem_free(d);
    }
}

const char *drift_what_text(enum drift_what what)
{
    return parts[what].text;
}

/* ---------------------------------------------------------------- count */

static void add_one(atomic_uint_fast64_t *counter)
{
    uint64_t old = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, old + 1, memory_order_relaxed);
}

static size_t bin_of(float share)
{
    float scaled = share * (float)DRIFT_BINS;
    if (!(scaled > 0.0F)) {
        return 0;
    }
    return scaled >= (float)DRIFT_BINS ? DRIFT_BINS - 1 : (size_t)scaled;
}

static enum drift_news watch_confidence(struct shard *s, double x)
{
    s->seen++;
    if (s->seen <= DRIFT_REFERENCE) {
        s->sum += x;
        return DRIFT_SAME;
    }
    double before = atomic_load_explicit(&s->page_hinkley, memory_order_relaxed);
    double now = before + s->sum / DRIFT_REFERENCE - x - PH_TOLERANCE;
    now = now < 0.0 ? 0.0 : now;
    now = now > PH_MAX ? PH_MAX : now;
    atomic_store_explicit(&s->page_hinkley, now, memory_order_relaxed);
    if ((before > PH_LIMIT) == (now > PH_LIMIT)) {
        return DRIFT_SAME;
    }
    return now > PH_LIMIT ? DRIFT_ALARM : DRIFT_ALL_OK;
}

enum drift_news drift_count(struct drift *d, size_t shard, uint64_t weights,
                            const struct classifier_result *r)
{
    struct shard *s = &d->shards[shard];
    if (atomic_load_explicit(&s->weights, memory_order_relaxed) != weights) {
        atomic_store(&s->weights, weights);
        atomic_store(&s->page_hinkley, 0.0);
        s->seen = 0;
        s->sum = 0.0;
    }
    add_one(&s->counts[LABELS_AT + r->best]);
    add_one(&s->counts[CONFIDENCE_AT + bin_of(r->p[r->best])]);
    add_one(&s->counts[UNKNOWN_AT + bin_of(1.0F - r->known)]);
    return watch_confidence(s, (double)r->p[r->best]);
}

/* ---------------------------------------------------------------- compare */

double drift_psi(const uint64_t *then, const uint64_t *now, size_t bins)
{
    double then_sum = 0.0;
    double now_sum = 0.0;
    for (size_t i = 0; i < bins; i++) { /* bins that nobody uses are no bins */
        bool is_used = then[i] + now[i] > 0;
        then_sum += is_used ? (double)then[i] + SMOOTHING : 0.0;
        now_sum += is_used ? (double)now[i] + SMOOTHING : 0.0;
    }
    double psi = 0.0;
    for (size_t i = 0; i < bins; i++) {
        if (then[i] + now[i] > 0) {
            double a = ((double)then[i] + SMOOTHING) / then_sum;
            double b = ((double)now[i] + SMOOTHING) / now_sum;
            psi += (b - a) * log(b / a);
        }
    }
    return psi;
}

static uint64_t total_of(const uint64_t counts[COUNTS])
{
    uint64_t total = 0;
    for (size_t i = 0; i < DRIFT_BINS; i++) {
        total += counts[CONFIDENCE_AT + i];
    }
    return total;
}

static void subtract(const uint64_t a[COUNTS], const uint64_t b[COUNTS], uint64_t ret[COUNTS])
{
    for (size_t i = 0; i < COUNTS; i++) {
        ret[i] = a[i] - b[i];
    }
}

static void compare(struct drift *d, const uint64_t window[COUNTS], struct drift_figures *f)
{
    for (size_t i = 0; i < DRIFT_WHATS; i++) {
        size_t at = parts[i].at;
        d->psi[i] = drift_psi(d->reference + at, window + at, parts[i].bins);
        bool is_alarm = d->psi[i] > DRIFT_PSI_ALARM;
        if (is_alarm != d->is_alarm[i]) {
            f->news[i] = is_alarm ? DRIFT_ALARM : DRIFT_ALL_OK;
        }
        d->is_alarm[i] = is_alarm;
    }
}

static void start_over(struct drift *d, uint64_t weights, const uint64_t now[COUNTS])
{
    d->weights = weights;
    d->has_reference = false;
    memcpy(d->base, now, sizeof d->base);
    memset(d->psi, 0, sizeof d->psi);
    memset(d->is_alarm, 0, sizeof d->is_alarm);
}

struct drift_figures drift_look(struct drift *d, uint64_t weights)
{
    struct drift_figures f = {0};
    uint64_t now[COUNTS] = {0};
    uint64_t since[COUNTS];
    for (size_t i = 0; i < d->shard_count; i++) {
        struct shard *s = &d->shards[i];
        for (size_t k = 0; k < COUNTS; k++) {
            now[k] += atomic_load_explicit(&s->counts[k], memory_order_relaxed);
        }
        double ph = atomic_load(&s->weights) == weights ? atomic_load(&s->page_hinkley) : 0.0;
        f.page_hinkley = ph > f.page_hinkley ? ph : f.page_hinkley;
    }
    f.is_falling = f.page_hinkley > PH_LIMIT;
    if (weights != d->weights) {
        start_over(d, weights, d->weights == 0 ? d->base : now);
    }
    subtract(now, d->has_reference ? d->window_start : d->base, since);
    if (!d->has_reference && total_of(since) >= DRIFT_REFERENCE) {
        memcpy(d->reference, since, sizeof since);
        memcpy(d->window_start, now, sizeof now);
        d->has_reference = true;
    } else if (d->has_reference && total_of(since) >= DRIFT_WINDOW) {
        compare(d, since, &f);
        memcpy(d->window_start, now, sizeof now);
    }
    f.has_reference = d->has_reference;
    memcpy(f.psi, d->psi, sizeof f.psi);
    return f;
}
