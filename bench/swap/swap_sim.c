/* Swap traces, simulated: eight experts, memory for three, the scheduler of the server (residency.c) with
 * its rules, and with those of first come, first served and least recently used, and of one at a time.
 * Time is counted, not measured: the same arguments give the same figures on every machine.
 *
 *     swap_sim [SEED]
 *
 * An expert serves up to SLOTS requests at once, each SERVICE_MS long; a load takes LOAD_MS, a stop
 * STOP_MS. Conversations stay with their expert from turn to turn with STAY in a hundred; whose turn it
 * is else follows Zipf's law (skewed) or goes round (alternating). Arrivals are Poisson. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/residency.h"
#include "base/assert.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    EXPERTS = 8,
    FIT = 3, /* in memory together */
    SLOTS = 4,
    SERVICE_MS = 200,
    LOAD_MS = 2000,
    STOP_MS = 100,
    STAY = 50,
    CONVERSATIONS = 40,
    REQUESTS = 20000,
    GAP_MS = 150, /* between arrivals, on average */
};

struct scheduler {
    const char *name;
    enum residency_order order;
    int64_t starve_ms;
    double patience;
    bool is_alone; /* all in one group that swaps: the default of llama-swap */
};

static const struct scheduler schedulers[] = {
    {"first come, least recently used", RESIDENCY_BY_AGE, 0, 0.0, false},
    {"the same, one at a time", RESIDENCY_BY_AGE, 0, 0.0, true},
    {"`patience: 0`", RESIDENCY_BY_VALUE, 30000, 0.0, false},
    {"`patience: 1`", RESIDENCY_BY_VALUE, 30000, 1.0, false},
    {"`patience: 2`", RESIDENCY_BY_VALUE, 30000, 2.0, false},
    {"`patience: 4`", RESIDENCY_BY_VALUE, 30000, 4.0, false},
    {"`patience: 8`", RESIDENCY_BY_VALUE, 30000, 8.0, false},
    {"`patience: 16`", RESIDENCY_BY_VALUE, 30000, 16.0, false},
    {"`patience: 8, starve_ms: 12000`", RESIDENCY_BY_VALUE, 12000, 8.0, false},
    {"`patience: 8, starve_ms: 6000`", RESIDENCY_BY_VALUE, 6000, 8.0, false},
};

struct request {
    int64_t arrival_ms;
    int64_t began_ms;
    size_t expert;
};

struct trace {
    const char *name;
    bool is_skewed;
};

static const struct trace traces[] = {{"skewed", true}, {"alternating", false}};

struct queue { /* of indexes of requests; never wraps: as long as the trace */
    size_t *items;
    size_t head;
    size_t tail;
};

struct house {
    struct resident experts[EXPERTS];
    struct resident *list[EXPERTS];
    struct residency r;
    struct queue queues[EXPERTS];
    int64_t event_ms[EXPERTS];       /* the end of a load or stop */
    int64_t ends_ms[EXPERTS][SLOTS]; /* of running requests; 0: free */
    size_t loads;
    size_t busy_stops;
    size_t done;
};

static double draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Zipf with exponent 1 over the experts. */
static size_t draw_zipf(uint64_t *state)
{
    double sum = 0.0;
    for (int i = 1; i <= EXPERTS; i++) {
        sum += 1.0 / i;
    }
    double u = draw(state) * sum;
    size_t i = 0;
    while (i < EXPERTS - 1 && u >= 1.0 / (double)(i + 1)) {
        u -= 1.0 / (double)(i + 1);
        i++;
    }
    return i;
}

static void write_trace(struct request *list, const struct trace *t, uint64_t seed)
{
    size_t with[CONVERSATIONS];
    size_t turn = 0;
    double now = 0.0;
    uint64_t state = seed * 0x9e3779b97f4a7c15U + 1;
    for (size_t i = 0; i < CONVERSATIONS; i++) {
        with[i] = t->is_skewed ? draw_zipf(&state) : i % EXPERTS;
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        size_t c = (size_t)(draw(&state) * CONVERSATIONS);
        now += -log1p(-draw(&state)) * GAP_MS;
        if (draw(&state) * 100 >= STAY) {
            with[c] = t->is_skewed ? draw_zipf(&state) : turn++ % EXPERTS;
        }
        list[i] = (struct request){.arrival_ms = (int64_t)now, .expert = with[c]};
    }
}

static void build(struct house *h, const struct scheduler *s)
{
    static const struct residency_group swap = {.is_swap = true};
    memset(h, 0, sizeof *h);
    for (size_t i = 0; i < EXPERTS; i++) {
        h->experts[i].rule.bytes = 1;
        h->experts[i].rule.group = s->is_alone ? &swap : NULL;
        h->list[i] = &h->experts[i];
        h->queues[i].items = mem_zalloc(REQUESTS, sizeof(size_t));
        ASSERT(h->queues[i].items != NULL);
    }
    h->r = (struct residency){h->list, EXPERTS, FIT, s->starve_ms, s->patience, s->order};
}

/* Loads, stops and requests whose time has come; then free slots take the longest waits. */
static void advance(struct house *h, struct request *list, int64_t now_ms)
{
    for (size_t i = 0; i < EXPERTS; i++) {
        struct resident *e = &h->experts[i];
        struct queue *q = &h->queues[i];
        if (e->state == RESIDENCY_STARTING && now_ms >= h->event_ms[i]) {
            resident_enter(e, RESIDENCY_READY, now_ms);
            for (size_t k = q->head; k < q->tail; k++) { /* as in the server: all get in */
                resident_unwait(e, list[q->items[k]].arrival_ms);
                resident_begin(e);
            }
        } else if (e->state == RESIDENCY_STOPPING && now_ms >= h->event_ms[i]) {
            resident_enter(e, RESIDENCY_COLD, now_ms);
        }
        for (size_t k = 0; k < SLOTS; k++) {
            if (h->ends_ms[i][k] != 0 && now_ms >= h->ends_ms[i][k]) {
                h->ends_ms[i][k] = 0;
                resident_end(e, now_ms);
                h->done++;
            }
            size_t in = e->busy; /* in the process, running or behind others there */
            size_t running = 0;
            for (size_t j = 0; j < SLOTS; j++) {
                running += h->ends_ms[i][j] != 0;
            }
            if (h->ends_ms[i][k] == 0 && in > running) {
                list[q->items[q->head++]].began_ms = now_ms;
                h->ends_ms[i][k] = now_ms + SERVICE_MS;
            }
        }
    }
}

static void arrive(struct house *h, const struct request *list, size_t index)
{
    size_t i = list[index].expert;
    struct resident *e = &h->experts[i];
    struct queue *q = &h->queues[i];
    resident_arrive(e, list[index].arrival_ms);
    q->items[q->tail++] = index;
    if (e->state == RESIDENCY_READY) {
        resident_begin(e);
        return;
    }
    if (e->waiting == 0) {
        e->oldest_ms = list[index].arrival_ms;
    }
    resident_wait(e, list[index].arrival_ms);
}

static void decide(struct house *h, int64_t now_ms)
{
    for (;;) {
        struct residency_step step = residency_next(&h->r, now_ms);
        struct resident *e = &h->experts[step.index];
        switch (step.act) {
        case RESIDENCY_NOTHING:
            return;
        case RESIDENCY_LOAD:
            resident_enter(e, RESIDENCY_STARTING, now_ms);
            h->event_ms[step.index] = now_ms + LOAD_MS;
            h->loads++;
            break;
        case RESIDENCY_DRAIN:
            resident_enter(e, RESIDENCY_DRAINING, now_ms);
            break;
        case RESIDENCY_STOP:
            h->busy_stops += e->busy > 0;
            resident_enter(e, RESIDENCY_STOPPING, now_ms);
            h->event_ms[step.index] = now_ms + STOP_MS;
            break;
        }
    }
}

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print(const struct house *h, const struct request *list, const struct trace *t,
                  const struct scheduler *s, int64_t end_ms)
{
    static int64_t waits[REQUESTS];
    int64_t sum = 0;
    for (size_t i = 0; i < REQUESTS; i++) {
        waits[i] = list[i].began_ms - list[i].arrival_ms;
        sum += waits[i];
    }
    qsort(waits, REQUESTS, sizeof waits[0], by_size);
    printf(
        "{\"trace\": \"%s\", \"scheduler\": \"%s\", \"requests\": %d, \"loads\": %zu, "
        "\"wait_ms_mean\": %lld, \"wait_ms_p50\": %lld, \"wait_ms_p99\": %lld, \"wait_ms_max\": %lld, "
        "\"requests_per_s\": %.2f, \"busy_stopped\": %zu}\n",
        t->name, s->name, REQUESTS, h->loads, (long long)(sum / REQUESTS),
        (long long)waits[REQUESTS / 2], (long long)waits[REQUESTS * 99 / 100],
        (long long)waits[REQUESTS - 1], REQUESTS * 1000.0 / (double)end_ms, h->busy_stops);
}

static void play(const struct trace *t, const struct scheduler *s, uint64_t seed)
{
    static struct request list[REQUESTS];
    static struct house h;
    size_t next = 0;
    int64_t now_ms = 1;
    write_trace(list, t, seed);
    build(&h, s);
    for (; h.done < REQUESTS; now_ms += 5) {
        while (next < REQUESTS && list[next].arrival_ms <= now_ms) {
            arrive(&h, list, next++);
        }
        advance(&h, list, now_ms);
        decide(&h, now_ms);
    }
    print(&h, list, t, s, now_ms);
    for (size_t i = 0; i < EXPERTS; i++) {
        mem_free(h.queues[i].items);
    }
}

int main(int argc, char **argv)
{
    int64_t seed = 1;
    if (argc > 1 && str_to_int(str_from(argv[1]), &seed) != ST_OK) {
        return 2;
    }
    for (size_t t = 0; t < sizeof traces / sizeof traces[0]; t++) {
        for (size_t s = 0; s < sizeof schedulers / sizeof schedulers[0]; s++) {
            play(&traces[t], &schedulers[s], (uint64_t)seed);
        }
    }
    return 0;
}
