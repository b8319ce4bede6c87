/* Counters and histograms in Prometheus' text format. Label sets are closed: names of categories and
 * experts come from the configuration, outcomes from a table; what does not fit is `_other`. A name that
 * no configuration has any more keeps its slot until another name needs one: then its counts join those
 * of `_gone`, so that sums go on, and if it comes back it begins at 0.
 * Each worker writes its own shard (relaxed atomics, one writer); whoever scrapes adds them up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"
#include "gateway/problem.h"

/* X(name, label, sentence): how a request ended, seen from the client */
#define METRICS_OUTCOMES(X)                                                                        \
    X(OK, "ok", "answered as the expert answered, 2xx or 3xx")                                     \
    X(CLIENT_ERROR, "client_error", "refused: the request was wrong")                              \
    X(EXPERT_ERROR, "expert_error", "the expert failed or answered with an error")                 \
    X(TIMEOUT, "timeout", "the expert took too long")                                              \
    X(TRUNCATED, "truncated", "the answer broke off after it had begun")                           \
    X(CANCELLED, "cancelled", "the client left")                                                   \
    X(OVERLOADED, "overloaded", "refused: a queue was full or memory was short")                   \
    X(INTERNAL, "internal_error", "the gateway made a mistake")

enum metrics_outcome {
#define METRICS_MEMBER(name, label, sentence) METRICS_##name,
    METRICS_OUTCOMES(METRICS_MEMBER)
#undef METRICS_MEMBER
};

enum metrics_row {      /* what became of a row of the ledger */
    METRICS_ROW_STORED, /* as durably as the configuration promises */
    METRICS_ROW_LOST,   /* the disk failed, or too much waited for it */
    METRICS_ROW_LATE,   /* the answer did not wait any longer */
};

enum metrics_hedge {         /* what became of a call that was late */
    METRICS_HEDGE_WON,       /* the second call answered */
    METRICS_HEDGE_LOST,      /* the first one did after all */
    METRICS_HEDGE_CANCELLED, /* the client left before either did */
    METRICS_HEDGE_NONE,      /* there was no budget for a second one, nobody to ask, or no place */
};

enum metrics_cache { /* what looking for a kept answer found */
    METRICS_CACHE_MISS,
    METRICS_CACHE_HIT,
    METRICS_CACHE_SHARED, /* of another request that was being answered */
};

/* X(name, label, sentence): why a connection was refused, or accepting paused */
#define METRICS_REFUSALS(X)                                                                        \
    X(PER_ADDRESS, "per_address", "connections_per_address")                                       \
    X(TOTAL, "total", "connections")                                                               \
    X(OWN_DESCRIPTORS, "own_descriptors", "the process has no descriptor left (EMFILE)")           \
    X(ALL_DESCRIPTORS, "all_descriptors", "the system has none left (ENFILE)")                     \
    X(MEMORY, "memory", "the system has no memory for it (ENOBUFS, ENOMEM)")

enum metrics_refusal {
#define METRICS_MEMBER(name, label, sentence) METRICS_REFUSED_##name,
    METRICS_REFUSALS(METRICS_MEMBER)
#undef METRICS_MEMBER
};

enum metrics_histogram {
    METRICS_DURATION, /* from the head to the last byte handed over */
    METRICS_TTFT,     /* from the head to the first byte of the expert's answer */
    METRICS_OVERHEAD, /* from the complete body to the first call: parse, classify, decide */
};

enum {
    METRICS_SLOTS = 128, /* distinct categories, experts, and languages at a time */
    METRICS_SLOT_NONE = 0,
    METRICS_SLOT_OTHER = 1,
    METRICS_SLOT_GONE = 2,
};

enum metrics_label { /* what names are of */
    METRICS_CATEGORY,
    METRICS_EXPERT,
    METRICS_LANGUAGE,
};

struct metrics;
struct metrics_shard;

struct metrics *metrics_create(size_t shards); /* NULL: no memory */
void metrics_destroy(struct metrics *m);       /* NULL allowed */
struct metrics_shard *metrics_shard(struct metrics *m, size_t index);

/* The slot of a name, made on first use, held until it is let go as often. By the thread that loads
 * configurations. */
unsigned char metrics_hold(struct metrics *m, enum metrics_label what, struct str name);

/* Nobody counts for it any more. Any thread. */
void metrics_release(struct metrics *m, enum metrics_label what, unsigned char slot);

struct metrics_event {
    enum metrics_outcome outcome;
    enum problem_fault fault;
    unsigned char category_slot;
    unsigned char expert_slot;
    unsigned char language_slot; /* METRICS_SLOT_NONE: not told */
};

struct metrics_bill { /* of one attempt */
    unsigned char category_slot;
    unsigned char expert_slot;
    int64_t prompt_tokens;
    int64_t completion_tokens;
    int64_t cost_nano_usd; /* negative: not known */
    bool is_estimated;
};

/* Counts a request. Lock-free; never fails (short of memory it counts as `_other`). */
void metrics_count(struct metrics_shard *s, const struct metrics_event *event);
/* Counts what an attempt used and cost; in the same way. */
void metrics_charge(struct metrics_shard *s, const struct metrics_bill *bill);

void metrics_count_row(struct metrics_shard *s, enum metrics_row row);
void metrics_count_hedge(struct metrics_shard *s, enum metrics_hedge what);
void metrics_count_cache(struct metrics_shard *s, enum metrics_cache found);
void metrics_count_refused(struct metrics_shard *s, enum metrics_refusal why); /* a connection */
void metrics_count_pause(struct metrics_shard *s, enum metrics_refusal why);   /* of accepting */
void metrics_observe(struct metrics_shard *s, enum metrics_histogram which, int64_t us);

/* Gauges, set by the worker that owns the shard. */
void metrics_set_gauges(struct metrics_shard *s, int64_t exchanges, uint64_t generation);
/* Requests in work at the other workers, as they said last. */
int64_t metrics_in_flight_elsewhere(const struct metrics *m, size_t shard);
void metrics_count_breach(struct metrics *m); /* a call that a guarantee forbids, refused */
void metrics_count_reload(struct metrics *m, int failed);

/* Appends the page. Any thread. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status metrics_write(struct metrics *m, struct buf *out);

const char *metrics_cache_text(enum metrics_cache found);
/* Appends name="value" with escapes. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status metrics_write_label(struct buf *out, const char *name, const char *value);

const char *metrics_outcome_text(enum metrics_outcome outcome);
