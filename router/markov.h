/* What follows what: a table of states (categories, by a hash of their name) and how often one came
 * after another in the same talk (a conversation, or all that one tenant asks). Learns from each turn,
 * forgets slowly, takes a fixed amount of memory: states beyond the table are not learned, of talks that
 * fall on the same place the newest is remembered. Pure: no clock, no randomness; not locked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MARKOV_STATES = 64,
    MARKOV_TALKS = 1024,
};

struct markov_talk {
    uint64_t talk;
    uint32_t state;
};

struct markov { /* zero: nothing was seen; members are markov.c's */
    uint32_t names[MARKOV_STATES];
    size_t count;
    double next[MARKOV_STATES][MARKOV_STATES]; /* [from][to]: turns, older ones counting less */
    struct markov_talk talks[MARKOV_TALKS];
};

/* A turn of a talk was in a state; neither is 0. False: the first of its talk, nothing was learned. */
bool markov_see(struct markov *m, uint64_t talk, uint32_t state);

/* The likeliest other state of the turn after one in `state`; 0: nothing is known. *ret_probability is its
 * share of the turns that were seen to follow, one more counted for what was never seen. */
uint32_t markov_guess(const struct markov *m, uint32_t state, double *ret_probability);
