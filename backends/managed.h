/* Managed experts: model servers that the gateway starts, watches and stops. One set per process, with
 * a thread of its own on which all children are started (their parent-death signal watches it), fed
 * with bytes, and ended. Which one comes or goes is residency.c's decision.
 *
 * Shared with the workers: each process's residency facts and its queue, under the set's one lock, which
 * is held for arithmetic only, never across a wait or a system call that may block. A request enters its
 * expert's process (managed_call), waits in that process's bounded queue until it is ready, and leaves
 * when its answer is over. All that wait for one process share one start. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backends/call.h"
#include "backends/process_spec.h"
#include "base/buf.h"
#include "base/loop.h"
#include "base/status.h"

struct expert;
struct managed;     /* one process, running or not; counted references */
struct managed_set; /* all of them */
struct transport;

struct managed_cores { /* of all children together with the kernels */
    size_t count;      /* threads that each child is told to use */
    bool is_kept;      /* children run on the first so many cores only */
};

/* `record` is a file that names the running children, for the sweep after a crash; "": none. Kills what
 * an earlier gateway with this record left behind. The thread starts with the first join. ST_NO_MEMORY. */
MUST_CHECK enum status managed_set_create(struct str record, const struct managed_cores *cores,
                                          struct managed_set **ret_set);

/* Binds a configuration's experts to their processes: what runs for an expert of the same name with the
 * same command stays, whatever else changed; what no expert has any more is stopped once it is idle. By
 * the thread that loads configurations. Each e->managed is a reference. ST_NO_MEMORY: nothing changed. */
MUST_CHECK enum status managed_set_join(struct managed_set *set, struct expert *experts,
                                        size_t count, const struct local_settings *local);

/* Stops all children and the thread. After the last call; references may still be held. */
void managed_set_stop(struct managed_set *set);    /* NULL allowed */
void managed_set_destroy(struct managed_set *set); /* stopped, no references; NULL allowed */

void managed_unref(struct managed *m); /* any thread; NULL allowed */

/* Starts a call to a managed expert, once its process is ready: the process is loaded for it if need be.
 * Ends with CALL_NOT_READY where it cannot be started or takes longer than wait_ms. ST_TOO_BIG: too many
 * wait. ST_NO_MEMORY. */
MUST_CHECK enum status managed_call(struct transport *t, struct loop *loop,
                                    const struct call_request *request, struct call **ret_call);

/* What a request would wait for it now, by what loads took. Any thread. */
int64_t managed_wait_ms(struct managed *m);

/* Wishes: loaded where there is room; unloaded once idle. Any thread. */
void managed_load(struct managed *m);
void managed_unload(struct managed *m);

/* A guess that it will be asked for: loaded if there is room now, forgotten if not; nobody leaves for it,
 * and it counts as not used until a request comes. Any thread. */
void managed_prefetch(struct managed *m);

/* Appends [{"expert":..., "state":..., ...}, ...]. Any thread. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status managed_set_write_json(struct managed_set *set, struct buf *out);
/* Appends their part of the page of metrics. */
MUST_CHECK enum status managed_set_write_metrics(struct managed_set *set, struct buf *out);
