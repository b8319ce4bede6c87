/* Okapi BM25 over short texts of two fields, title and body, in memory.
 *
 *   tf(t, d)    = TITLE * count in the title + count in the body / (1 - B + B * len(body) / mean)
 *   idf(t)      = ln(1 + (N - df(t) + 0.5) / (df(t) + 0.5))
 *   score(q, d) = sum over t in q of w(t) * idf(t) * tf * (K1 + 1) / (tf + K1)
 *   share(q, d) = score / sum over t in q of w(t) * idf(t) * (K1 + 1)
 *
 * The share says how much of what was asked the text speaks about; terms that the index does not have
 * count fully against it. It does not depend on the length of the question.
 *
 * Terms are kept as 64-bit hashes of stemmed words (stem.h). Filled by one thread, then built, then
 * immutable: any number of threads may search. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

struct bm25;

enum {
    BM25_TERMS_MAX = 64, /* different terms of a query; further ones are ignored */
};

struct bm25_query { /* zero-initialise */

    struct {
        uint64_t term;
        double weight;
    } terms[BM25_TERMS_MAX];

    size_t count;
};

struct bm25_hit {
    uint32_t doc;
    double score;
    double share; /* 0 to 1 */
};

struct bm25 *bm25_create(void);        /* NULL: no memory */
void bm25_destroy(struct bm25 *index); /* NULL allowed */

/* Adds the next text, numbered from 0 on. ST_NO_MEMORY. */
MUST_CHECK enum status bm25_add(struct bm25 *index, struct str title, struct str body);

/* After the last text, before the first search. */
void bm25_build(struct bm25 *index);

/* Adds the words of a text to a query; a term that is there already keeps its higher weight. Returns
 * how many new terms there were. */
size_t bm25_query_add(struct bm25_query *query, struct str text, double weight);

/* The best `max` texts with a score above 0, best first; equal ones in the order of their numbers.
 * *ret_count says how many. ST_NO_MEMORY. */
MUST_CHECK enum status bm25_search(const struct bm25 *index, const struct bm25_query *query,
                                   struct bm25_hit *ret_hits, size_t max, size_t *ret_count);
