/* See markov.h. */
#include "router/markov.h"

/* A turn counts half after 34 more from the same state: people change what they do within a day, not
 * within a few turns. */
static const double keep = 0.98;

static size_t find(const struct markov *m, uint32_t name)
{
    size_t i = 0;
    while (i < m->count && m->names[i] != name) {
        i++;
    }
    return i;
}

bool markov_see(struct markov *m, uint64_t talk, uint32_t state)
{
    struct markov_talk *place = &m->talks[talk % MARKOV_TALKS];
    size_t to = find(m, state);
    if (to == MARKOV_STATES) {
        return true;
    }
    if (to == m->count) {
        m->names[m->count++] = state;
    }
    bool is_known = place->talk == talk;
    if (is_known) {
        double *row = m->next[find(m, place->state)];
        for (size_t i = 0; i < m->count; i++) {
            row[i] *= keep;
        }
        row[to] += 1.0;
    }
    *place = (struct markov_talk){talk, state};
    return is_known;
}

uint32_t markov_guess(const struct markov *m, uint32_t state, double *ret_probability)
{
    size_t from = find(m, state);
    size_t best = from;
    double sum = 1.0;
    for (size_t i = 0; from < m->count && i < m->count; i++) {
        sum += m->next[from][i];
        if (i != from && (best == from || m->next[from][i] > m->next[from][best])) {
            best = i;
        }
    }
    *ret_probability = best == from ? 0.0 : m->next[from][best] / sum;
    return best == from ? 0 : m->names[best];
}
