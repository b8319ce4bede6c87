/* See sampler.h. The most probable tokens come off a heap one by one, so that nothing sorts a whole
 * vocabulary. */
#include "backends/kernels/tinylm/sampler.h"

#include <math.h>
#include <stdbool.h>

#include "base/mem.h"

enum status sampler_init(struct sampler *s, const struct sampling *sampling, size_t count)
{
    *s = (struct sampler){.sampling = *sampling, .state = sampling->seed, .count = count};
    s->choices = mem_zalloc(count, sizeof *s->choices);
    return s->choices == NULL ? ST_NO_MEMORY : ST_OK;
}

void sampler_fini(struct sampler *s)
{
    mem_free(s->choices);
    s->choices = NULL;
}

/* Uniform in [0, 1): splitmix64 (Steele, Lea, Flood 2014), its upper 53 bits. */
static double chance(struct sampler *s)
{
    s->state += 0x9e3779b97f4a7c15U;
    uint64_t z = s->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static int32_t most_probable(const float *logits, size_t count)
{
    int32_t best = -1;
    for (size_t i = 0; i < count; i++) {
        if (!isnan(logits[i]) && (best < 0 || logits[i] > logits[best])) {
            best = (int32_t)i;
        }
    }
    return best;
}

static bool is_before(const struct sampler_choice *a, const struct sampler_choice *b)
{
    return a->share > b->share || (!(a->share < b->share) && a->id < b->id);
}

static void sink(struct sampler_choice *heap, size_t count, size_t at)
{
    struct sampler_choice moving = heap[at];
    while (2 * at + 1 < count) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!is_before(&heap[child], &moving)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

/* Moves the most probable choices to the end of the array, the best one last: at most `most`, and no
 * more than make up `share`. Returns how many. */
static size_t take_best(struct sampler *s, size_t most, double share)
{
    size_t left = s->count;
    double taken = 0;
    for (size_t i = left / 2; i > 0; i--) {
        sink(s->choices, left, i - 1);
    }
    while (left > 0 && s->count - left < most && (taken < share || left == s->count)) {
        struct sampler_choice best = s->choices[0];
        s->choices[0] = s->choices[--left];
        s->choices[left] = best;
        sink(s->choices, left, 0);
        taken += (double)best.share;
    }
    return s->count - left;
}

static double sum_of(const struct sampler_choice *choices, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++) {
        total += (double)choices[i].share;
    }
    return total;
}

/* From the end, where the best are. */
static int32_t draw(struct sampler *s, size_t from)
{
    double at = chance(s) * sum_of(s->choices + from, s->count - from);
    for (size_t i = s->count; i > from; i--) {
        at -= (double)s->choices[i - 1].share;
        if (at < 0) {
            return s->choices[i - 1].id;
        }
    }
    return s->choices[s->count - 1].id; /* what rounding left over */
}

int32_t sampler_pick(struct sampler *s, const float *logits)
{
    int32_t best = most_probable(logits, s->count);
    if (best < 0 || s->sampling.temperature <= 0 || !isfinite(logits[best])) {
        return best;
    }
    for (size_t i = 0; i < s->count; i++) {
        double above = (double)(logits[i] - logits[best]) / s->sampling.temperature;
        s->choices[i] = (struct sampler_choice){isnan(above) ? 0 : expf((float)above), (int32_t)i};
    }
    size_t kept = s->count;
    if (s->sampling.top_k > 0 && (uint64_t)s->sampling.top_k < kept) {
        kept = take_best(s, (size_t)s->sampling.top_k, (double)INFINITY);
    }
    if (s->sampling.top_p < 1) {
        double share = s->sampling.top_p * sum_of(s->choices + s->count - kept, kept);
        kept = take_best(s, kept, share);
    }
    return draw(s, s->count - kept);
}
