/* See bm25.h. The index is one array of postings, sorted by term and text. */
#include "backends/kernels/bm25.h"

#include <math.h>
#include <stdlib.h>

#include "backends/kernels/stem.h"
#include "base/mem.h"

/* Chosen on 74 questions to conf/corpora/first-aid and web-security, 134 to neither. */
static const double K1 = 2.0;
static const double B = 0.6;
static const double TITLE = 4.0;

struct posting {
    uint64_t term;
    uint32_t doc;
    float tf; /* title and body; once built, normalised */
};

struct bm25 {
    struct posting *postings;
    size_t count;
    size_t cap;
    float *lengths; /* of each body, in words */
    size_t docs;
    size_t docs_cap;
};

struct bm25 *bm25_create(void)
{
    return mem_zalloc(1, sizeof(struct bm25));
}

void bm25_destroy(struct bm25 *index)
{
    if (index != NULL) {
        mem_free(index->postings);
        mem_free(index->lengths);
        mem_free(index);
    }
}

static enum status add_posting(struct bm25 *index, uint64_t term, double tf)
{
    if (index->count == index->cap) {
        size_t cap = index->cap == 0 ? 1024 : index->cap * 2;
        struct posting *grown = mem_resize(index->postings, cap * sizeof *grown);
        if (grown == NULL) {
            return ST_NO_MEMORY;
        }
        index->postings = grown;
        index->cap = cap;
    }
    index->postings[index->count++] = (struct posting){term, (uint32_t)index->docs, (float)tf};
    return ST_OK;
}

static enum status add_field(struct bm25 *index, struct str text, double tf, size_t *ret_words)
{
    struct stem_words words;
    size_t count = 0;
    stem_start(&words, text);
    while (stem_next(&words)) {
        enum status st = add_posting(index, str_hash((struct str){words.word, words.len}), tf);
        if (st != ST_OK) {
            return st;
        }
        count++;
    }
    *ret_words = count;
    return ST_OK;
}

enum status bm25_add(struct bm25 *index, struct str title, struct str body)
{
    if (index->docs == index->docs_cap) {
        size_t cap = index->docs_cap == 0 ? 128 : index->docs_cap * 2;
        float *grown = mem_resize(index->lengths, cap * sizeof *grown);
        if (grown == NULL) {
            return ST_NO_MEMORY;
        }
        index->lengths = grown;
        index->docs_cap = cap;
    }
    /* Body postings are negative until bm25_build: that is how it tells them from titles. */
    size_t words = 0;
    enum status st = add_field(index, title, TITLE, &words);
    st = st == ST_OK ? add_field(index, body, -1, &words) : st;
    if (st == ST_OK) {
        index->lengths[index->docs++] = (float)words;
    }
    return st;
}

static int compare_postings(const void *left, const void *right)
{
    const struct posting *a = left;
    const struct posting *b = right;
    if (a->term != b->term) {
        return a->term < b->term ? -1 : 1;
    }
    return a->doc < b->doc ? -1 : a->doc > b->doc;
}

static double mean_length(const struct bm25 *index)
{
    double sum = 0;
    for (size_t i = 0; i < index->docs; i++) {
        sum += (double)index->lengths[i];
    }
    return sum > 0 ? sum / (double)index->docs : 1;
}

void bm25_build(struct bm25 *index)
{
    double mean = mean_length(index);
    if (index->count == 0) {
        return;
    }
    for (size_t i = 0; i < index->count; i++) {
        struct posting *p = &index->postings[i];
        if (p->tf < 0) {
            p->tf = (float)(1 / (1 - B + B * (double)index->lengths[p->doc] / mean));
        }
    }
    qsort(index->postings, index->count, sizeof index->postings[0], compare_postings);
    size_t kept = 0;
    for (size_t i = 1; i < index->count; i++) {
        struct posting *last = &index->postings[kept];
        const struct posting *next = &index->postings[i];
        if (last->term == next->term && last->doc == next->doc) {
            last->tf += next->tf;
        } else {
            index->postings[++kept] = *next;
        }
    }
    index->count = kept + 1;
}

size_t bm25_query_add(struct bm25_query *query, struct str text, double weight)
{
    struct stem_words words;
    size_t added = 0;
    stem_start(&words, text);
    while (stem_next(&words)) {
        uint64_t term = str_hash((struct str){words.word, words.len});
        size_t i = 0;
        while (i < query->count && query->terms[i].term != term) {
            i++;
        }
        if (i < query->count) {
            double old = query->terms[i].weight;
            query->terms[i].weight = weight > old ? weight : old;
        } else if (query->count < BM25_TERMS_MAX) {
            query->terms[query->count].term = term;
            query->terms[query->count].weight = weight;
            query->count++;
            added++;
        }
    }
    return added;
}

/* Index of the first posting of the term, or where it would be. */
static size_t find_term(const struct bm25 *index, uint64_t term)
{
    size_t low = 0;
    size_t high = index->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (index->postings[middle].term < term) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Adds the scores of one term; returns the most that it can give. */
static double add_term(const struct bm25 *index, uint64_t term, double weight, double *scores)
{
    size_t first = find_term(index, term);
    size_t end = first;
    while (end < index->count && index->postings[end].term == term) {
        end++;
    }
    double df = (double)(end - first);
    double idf = log(1 + ((double)index->docs - df + 0.5) / (df + 0.5));
    for (size_t i = first; i < end; i++) {
        const struct posting *p = &index->postings[i];
        double tf = (double)p->tf;
        scores[p->doc] += weight * idf * tf * (K1 + 1) / (tf + K1);
    }
    return weight * idf * (K1 + 1);
}

/* Keeps `hits` sorted, best first, at most `max`. */
static void insert_hit(struct bm25_hit *hits, size_t max, size_t *count, struct bm25_hit hit)
{
    size_t at = *count;
    while (at > 0 && hits[at - 1].score < hit.score) {
        at--;
    }
    if (at == max) {
        return;
    }
    *count += *count < max ? 1 : 0;
    for (size_t i = *count - 1; i > at; i--) {
        hits[i] = hits[i - 1];
    }
    hits[at] = hit;
}

enum status bm25_search(const struct bm25 *index, const struct bm25_query *query,
                        struct bm25_hit *ret_hits, size_t max, size_t *ret_count)
{
    size_t count = 0;
    double mass = 0;
    double *scores = mem_zalloc(index->docs + 1, sizeof *scores);
    if (scores == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < query->count; i++) {
        mass += add_term(index, query->terms[i].term, query->terms[i].weight, scores);
    }
    for (size_t doc = 0; doc < index->docs; doc++) {
        if (scores[doc] > 0) {
            struct bm25_hit hit = {(uint32_t)doc, scores[doc], scores[doc] / mass};
            insert_hit(ret_hits, max, &count, hit);
        }
    }
    mem_free(scores);
    *ret_count = count;
    return ST_OK;
}
