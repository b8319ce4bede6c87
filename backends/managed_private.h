/* What the files managed*.c share. Nobody else includes this.
 *
 * managed.c        the set: thread, lock, references, what is decided next
 * managed_child.c  the life of one child: start, health, output, end
 * managed_call.c   a call that waits for its process
 * managed_record.c children that a killed gateway left behind
 * managed_page.c   what operators see */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "backends/cage.h"
#include "backends/knock.h"
#include "backends/managed.h"
#include "backends/residency.h"
#include "base/arena.h"
#include "base/spawn.h"

enum {
    MANAGED_LOG_BYTES = 8192, /* of a child's last output */
    MANAGED_REASON_BYTES = 240,
    MANAGED_TOKEN_BYTES = 33,
    MANAGED_EXPERTS_MAX = 1024,
};

enum managed_verdict {
    MANAGED_READY,  /* the lease is held */
    MANAGED_WAITS,  /* in the queue */
    MANAGED_FULL,   /* the queue is */
    MANAGED_FAILED, /* it cannot be started now */
};

enum managed_lease_state {
    LEASE_OVER,
    LEASE_QUEUED,
    LEASE_TOLD, /* the task is on its way to the loop */
    LEASE_HELD,
};

struct managed_lease { /* embedded in a call; all but the first two under the set's lock */
    struct loop *loop;
    void (*told)(struct managed_lease *lease); /* on the loop, unless it was given up before */
    struct managed *managed;
    struct managed_lease *next;
    struct managed_lease *previous;
    struct loop_task task;
    enum managed_lease_state state;
    enum managed_verdict verdict;
    bool is_given_up; /* told, but nobody listens */
    int64_t arrival_ms;
    uint64_t serial; /* of the start it was let in to */
    int64_t retry_after_ms;
};

struct managed {
    struct managed_set *set;
    struct managed *next;
    struct resident resident;
    struct process_spec spec; /* copied into the arena */
    struct arena *arena;
    struct str name;
    uint64_t hash;
    size_t refs;
    bool is_retired; /* no configuration has it any more */
    bool is_suspect; /* a request to it failed: to be knocked at */
    struct managed_lease *first;
    struct managed_lease *last;
    char url[128];
    struct process_place place;
    uint64_t serial;
    char reason[MANAGED_REASON_BYTES]; /* of the last failure */
    uint64_t starts;
    uint64_t failures;
    uint64_t evictions; /* stopped for another */
    uint64_t expiries;  /* stopped by its ttl */
    uint64_t prefetches;
    uint64_t prefetches_used;
    uint64_t prefetches_wasted; /* gone before anybody asked */
    bool is_guess;              /* loaded, or to be, on a guess; nobody has asked for it yet */

    /* the set's thread only */
    struct spawn_child child;
    struct loop_io child_io;
    struct cage cage;
    struct loop_io cage_io; /* watched while the child has ended and others in the cage have not */
    bool lingers;           /* that is so */
    bool is_short;          /* its limit had left it no memory */
    int end_status;         /* of the child, until then */
    struct loop_io output_io;
    bool has_output;
    int log_fd;                 /* -1: none */
    struct loop_timer deadline; /* of start or stop */
    struct loop_timer next_knock;
    struct knock knock;
    int64_t knock_pause_ms;
    int health_status;   /* that the last knock brought; 0: none */
    unsigned suspicions; /* knocks in a row that a suspect did not answer */
    unsigned port_tries;
    bool is_killed;
    bool fails;     /* the end that is awaited is a failure, for `reason` */
    size_t log_len; /* written ever, at log[log_len % size]; under the lock */
    char log[MANAGED_LOG_BYTES];
};

struct managed_group { /* interned by name: its address is its identity */
    struct residency_group rule;
    struct managed_group *next;
    char name[];
};

struct managed_set {
    pthread_mutex_t lock;
    pthread_t thread;
    struct loop *loop;
    struct loop_task kick;
    bool is_kicked;  /* under the lock */
    bool is_started; /* the thread; by the thread that loads configurations */
    bool is_ending;  /* under the lock */
    struct managed *list;
    size_t count;
    struct resident *residents[MANAGED_EXPERTS_MAX];
    struct managed *by_index[MANAGED_EXPERTS_MAX];
    struct residency residency;
    struct managed_cores cores;
    struct managed_group *groups;
    struct loop_timer timer;
    struct loop_timer measure;
    char token[MANAGED_TOKEN_BYTES];
    char folder[64]; /* for sockets; "" until one is needed */
};

/* managed.c; lock held where it says so */
void managed_lock(struct managed_set *set);
void managed_unlock(struct managed_set *set);
int64_t managed_now_ms(const struct managed_set *set);
void managed_kick(struct managed_set *set); /* held: decide again */
void managed_waste(struct managed *m);      /* held: it goes or fails; unasked? */
void managed_tell_all(struct managed *m, enum managed_verdict v); /* held: the queue empties */
enum managed_verdict managed_enter(struct managed *m, struct managed_lease *lease);
void managed_leave(struct managed_lease *lease, bool is_suspect);
/* Gives up a lease in any state. False: its task is on the way, and must find the memory. */
bool managed_give_up(struct managed_lease *lease);
void managed_settle(struct managed_set *set); /* not held; the set's thread: decides and acts */

/* managed_record.c: the token in the file's gateway marks its children; kills those of a dead one, and
 * writes down ours. */
void managed_record_take(struct str path, struct str token);

/* managed_child.c; the set's thread, lock not held */
void managed_child_start(struct managed *m);
void managed_child_stop(struct managed *m); /* SIGTERM, later SIGKILL */
void managed_child_suspect(struct managed *m);
bool managed_child_is_running(const struct managed *m);
bool managed_child_is_over(const struct managed *m); /* nor does what it started */
