/* Online learning in the server: feedback that names a category corrects the router (router/online.h),
 * and the corrections live in the state file. Learning happens on the state file's writer thread, in
 * the transaction of the feedback; workers pick up what is learned at their next turn.
 *
 * If that transaction fails in the end, the running router is ahead of the file until the next
 * correction is stored. A rollback raises the file's epoch: corrections of an older one are void, so
 * that a command beside the server can roll back too. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/db.h"
#include "gateway/recent.h"
#include "router/online.h"
#include "router/routes.h"

struct learner;

/* Loads what the file holds for these weights; the recent decisions, borrowed, feed the reservoir.
 * ST_NO_MEMORY, or a status of the file. */
MUST_CHECK enum status learner_create(const struct router_online *settings,
                                      const struct classifier *classifier, struct recent *recent,
                                      struct db *db, struct learner **ret_learner);
void learner_destroy(struct learner *l); /* NULL allowed */

struct learner_lesson { /* borrowed */
    const struct recent_decision *decision;
    size_t label;     /* SIZE_MAX: none was named */
    uint64_t weights; /* of the classifier in use, and its labels */
    size_t label_count;
};

/* On the writer thread, in a transaction. */
MUST_CHECK enum status learner_take(struct learner *l, struct db *db,
                                    const struct learner_lesson *lesson);
MUST_CHECK enum status learner_rollback(struct learner *l, struct db *db);

/* Notices a rollback by somebody else. */
MUST_CHECK enum status learner_refresh(struct learner *l, struct db *db);

/* The rollback in the file alone. */
MUST_CHECK enum status learner_rollback_file(struct db *db);

/* Any thread. The version changes with the delta; the delta is the caller's reference, or NULL. */
unsigned learner_version(const struct learner *l);
struct online_delta *learner_delta(struct learner *l, unsigned *ret_version);

/* Appends the figures in Prometheus' text format. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status learner_write_metrics(struct learner *l, struct buf *out);
