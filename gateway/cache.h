/* Answers that were given before, and those that are being given: for requests that are the same to the
 * last byte (cache_answer.h makes the key), of the same tenant, at the same expert. One per process.
 *
 * Whoever asks first while nothing is kept leads: it asks the expert. Whoever asks the same meanwhile
 * waits in a seat and is woken on its own loop when the leader has ended.
 *
 *     cache_ask --> CACHE_HIT          an entry, counted for the caller
 *               --> CACHE_LEADS --.--> cache_end: kept | failed | unfit
 *               --> CACHE_WAITS   |      kept:   all seats get the entry      -> CACHE_TOLD
 *                       ^---------'      failed: the first seat leads now     -> CACHE_LEADS
 *                                        unfit:  all seats ask for themselves -> CACHE_ALONE
 *
 * Kept answers leave when they are older than their time, and the one that was used longest ago when
 * there are too many bytes. The store has CACHE_PARTS parts, each with its lock, its share of the bytes
 * and its requests; no lock is held across a wait. Any thread, but a seat belongs to its loop's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/loop.h"
#include "base/status.h"
#include "base/str.h"

enum {
    CACHE_PARTS = 8
};

struct cache;
struct cache_seat;
struct cache_entry; /* an answer; immutable, counted */

enum cache_found {
    CACHE_HIT,   /* the answer is there */
    CACHE_LEADS, /* ask the expert, then say cache_end */
    CACHE_WAITS, /* somebody is asking: `wake` comes, unless cache_leave does before */
    CACHE_TOLD,  /* of a seat: the leader's answer is cache_seat_entry */
    CACHE_ALONE, /* of a seat: ask the expert; nobody waits for it */
};

enum cache_end {
    CACHE_KEPT,   /* this answer is for all */
    CACHE_FAILED, /* nothing came of it: somebody else may try */
    CACHE_UNFIT,  /* an answer, but none for others */
};

struct cache_asker { /* lent for cache_ask */
    struct loop *loop;
    void (*wake)(void *owner); /* on the loop's thread */
    void *owner;
    size_t *seats; /* the loop's thread counts its seats here: the loop must outlive them */
    int64_t now_ms;
    bool is_fresh_wanted; /* what is kept does not do; what is being asked does */
};

struct cache_figures {
    uint64_t bytes;
    uint64_t entries;
    uint64_t evicted; /* for want of room */
};

/* NULL: no memory. No seat may be left at destroy; NULL allowed. */
struct cache *cache_create(void);
void cache_destroy(struct cache *cache);

/* The most bytes that are kept, of all parts; 0: nothing is. Less takes effect with the next answer. */
void cache_limit(struct cache *cache, uint64_t max_bytes);

struct cache_reply {
    enum cache_found found;    /* CACHE_HIT, CACHE_LEADS or CACHE_WAITS */
    struct cache_entry *entry; /* of CACHE_HIT: cache_entry_unref */
    struct cache_seat *seat;   /* else: cache_leave */
};

/* Asks for the answer to `key`. ST_NO_MEMORY. */
MUST_CHECK enum status cache_ask(struct cache *cache, const struct digest *key,
                                 const struct cache_asker *asker, struct cache_reply *ret_reply);

/* What has become of a seat: CACHE_LEADS, CACHE_WAITS, CACHE_TOLD or CACHE_ALONE. */
enum cache_found cache_seat_state(const struct cache_seat *seat);
const struct cache_entry *
cache_seat_entry(const struct cache_seat *seat); /* while the seat lives */

/* Whether others wait for what this leader asks. */
bool cache_has_followers(const struct cache_seat *seat);

/* A leader's end; the seat is then CACHE_ALONE. CACHE_KEPT copies `body` and keeps it until then; one
 * that has no room, or no memory, is as CACHE_UNFIT. */
void cache_end(struct cache_seat *seat, enum cache_end end, struct str body, int64_t expires_ms);

/* Gives up a seat, whatever its state; a leader's is ended as CACHE_FAILED. NULL allowed. The memory may
 * go later, on the same loop. */
void cache_leave(struct cache_seat *seat);

struct str cache_entry_body(const struct cache_entry *entry);
void cache_entry_unref(struct cache_entry *entry); /* NULL allowed */

void cache_read(struct cache *cache, struct cache_figures *ret_figures);

/* Appends the figures in Prometheus' text format. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status cache_write_metrics(struct cache *cache, struct buf *out);
