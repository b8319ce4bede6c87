/* A snapshot: one configuration with everything built from it. Immutable, reference-counted, swapped
 * whole on reload; requests keep the one they started with. */
#pragma once

#include <stdio.h>

#include "base/digest.h"
#include "base/status.h"
#include "base/str.h"
#include "gateway/conf.h"
#include "gateway/health.h"
#include "gateway/metrics.h"
#include "gateway/quota.h"

struct managed_set;

enum snapshot_pass {
    SNAPSHOT_PARSE, /* text -> tree */
    SNAPSHOT_CHECK, /* tree -> settings, each by itself */
    SNAPSHOT_BUILD, /* names, weights, examples, kernels, patterns */
    SNAPSHOT_PROVE, /* guarantees, what has no effect */
    SNAPSHOT_TEST,
};

struct snapshot_time {
    int64_t wall_us;
    int64_t cpu_us; /* of the thread that loads */
};

struct snapshot {
    struct conf conf;
    struct str file;                              /* where it came from */
    struct snapshot_time took[SNAPSHOT_TEST + 1]; /* by enum snapshot_pass */
    uint64_t generation;                          /* counts loads in this process, from 1 */
    struct digest digest;          /* of the file as it is written, not of what ${} stand for */
    struct metrics *metrics;       /* that has the slots; set by snapshot_count */
    unsigned char *category_slots; /* by category index: see metrics.h; NULL: they have none */
    unsigned char *expert_slots;   /* by expert index */
    struct managed_set *managed;   /* the process's; NULL: no expert is a process */
    struct health **health;        /* by expert index; set by snapshot_join */
    unsigned char *language_slots; /* by index of the language; NULL without tables */
};

/* Reads, validates, builds and tests a file. Mistakes and warnings are printed to `out` as
 * file:line:column: message. ST_INVALID, ST_IO, ST_NO_MEMORY. The caller holds the one reference. */
MUST_CHECK enum status snapshot_load(const char *path, FILE *out, struct snapshot **ret_snapshot);

/* The same for a text, or a file, that is not to be served, only to be tried: it counts as no load and
 * stops at facts. No kernel is made and none loaded, no process started, no secret, certificate, state
 * or log opened. Of files that decisions need (weights, languages, examples, demonstrations) it reads
 * those that `running` allows, see snapshot_fence.h; NULL: all that it names. Any thread, once
 * snapshot_load or snapshot_try has succeeded. As snapshot_load. */
MUST_CHECK enum status snapshot_try(struct str text, struct str file,
                                    const struct snapshot *running, FILE *out,
                                    struct snapshot **ret_snapshot);
MUST_CHECK enum status snapshot_try_file(const char *path, const struct snapshot *running,
                                         FILE *out, struct snapshot **ret_snapshot);

/* Gives its categories and experts their slots in the counters; before it is shared. The counters must
 * outlive it. ST_NO_MEMORY. */
MUST_CHECK enum status snapshot_count(struct snapshot *s, struct metrics *m);

/* Gives its tenants what they have used, its experts how they are; before it is shared. Both must outlive
 * it. ST_NO_MEMORY. */
MUST_CHECK enum status snapshot_join(struct snapshot *s, struct quotas *quotas,
                                     struct healths *healths);

struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL allowed; any thread */
