/* See learner.h. */
#include "gateway/learner.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/log.h"
#include "base/mem.h"

enum {
    DELTA_BYTES = 4 * 1024 * 1024,
    SLOT_BYTES = 16 * 1024,
    OBSERVED_MAX = 512, /* recent decisions that one piece of feedback looks at */
    VERDICTS = ONLINE_REFUSED + 1,
};

struct learner {
    /* the writer's own, after learner_create */
    struct router_online settings;
    struct online *online;
    uint64_t weights;
    size_t labels;
    int64_t epoch;
    struct recent *recent;
    uint64_t *cursors;    /* by shard */
    bool is_replay_alien; /* what the file holds was decided with other weights */

    /* written by the writer, read by anyone */
    atomic_uint version;
    atomic_uint_fast64_t verdicts[VERDICTS];
    pthread_mutex_t lock; /* of delta: held for a count of references */
    struct online_delta *delta;
};

/* ---------------------------------------------------------------- for any thread */

unsigned learner_version(const struct learner *l)
{
    return atomic_load_explicit(&l->version, memory_order_relaxed); /* late by a turn is no harm */
}

struct online_delta *learner_delta(struct learner *l, unsigned *ret_version)
{
    (void)pthread_mutex_lock(&l->lock); /* cannot fail: not recursive */
    struct online_delta *d = l->delta == NULL ? NULL : online_delta_ref(l->delta);
    *ret_version = atomic_load(&l->version);
    (void)pthread_mutex_unlock(&l->lock);
    return d;
}

enum status learner_write_metrics(struct learner *l, struct buf *out)
{
    unsigned version = 0;
    struct online_delta *d = learner_delta(l, &version);
    enum status st = buf_printf(
        out,
        "# HELP expertd_online_corrections_total Feedback that named a category, by what was made "
        "of it.\n"
        "# TYPE expertd_online_corrections_total counter\n"
        "expertd_online_corrections_total{result=\"learned\"} %" PRIu64 "\n"
        "expertd_online_corrections_total{result=\"known\"} %" PRIu64 "\n"
        "expertd_online_corrections_total{result=\"full\"} %" PRIu64 "\n"
        "expertd_online_corrections_total{result=\"refused\"} %" PRIu64 "\n"
        "# HELP expertd_online_features Features whose weights are corrected.\n"
        "# TYPE expertd_online_features gauge\n"
        "expertd_online_features %zu\n"
        "# HELP expertd_online_norm L2 norm of the corrections.\n"
        "# TYPE expertd_online_norm gauge\n"
        "expertd_online_norm %.6f\n",
        atomic_load(&l->verdicts[ONLINE_LEARNED]), atomic_load(&l->verdicts[ONLINE_KNOWN]),
        atomic_load(&l->verdicts[ONLINE_FULL]), atomic_load(&l->verdicts[ONLINE_REFUSED]),
        d == NULL ? 0 : online_delta_rows(d), d == NULL ? 0.0 : online_delta_norm(d));
    online_delta_unref(d);
    return st;
}

/* ---------------------------------------------------------------- for the writer */

/* Lets the workers have what was learned. An empty delta is none: nothing is looked up for it. */
static enum status publish(struct learner *l)
{
    struct online_delta *fresh = online_delta(l->online);
    if (fresh == NULL) {
        return ST_NO_MEMORY;
    }
    if (online_delta_rows(fresh) == 0) {
        online_delta_unref(fresh);
        fresh = NULL;
    }
    (void)pthread_mutex_lock(&l->lock);
    struct online_delta *old = l->delta;
    l->delta = fresh;
    (void)atomic_fetch_add(&l->version, 1);
    (void)pthread_mutex_unlock(&l->lock);
    online_delta_unref(old);
    return ST_OK;
}

static enum status save(struct learner *l, struct db *db)
{
    struct buf bytes;
    buf_init(&bytes, DELTA_BYTES);
    enum status st = online_write(l->online, &bytes);
    if (st == ST_OK) {
        struct db_query *q = db_query(db, "UPDATE online SET weights = ?1, delta = ?2");
        db_bind_int(q, 1, (int64_t)l->weights);
        db_bind_blob(q, 2, bytes.data + bytes.head, bytes.len);
        st = db_run(q, NULL);
    }
    buf_fini(&bytes);
    return st;
}

/* Other weights, other labels: what was learned about the old ones is worth nothing. */
static enum status start_over(struct learner *l, uint64_t weights, size_t labels)
{
    struct online_options options = {weights, labels, l->settings.rate, l->settings.cap,
                                     (size_t)l->settings.reservoir};
    struct online *fresh = online_create(&options);
    if (fresh == NULL) {
        return ST_NO_MEMORY;
    }
    online_destroy(l->online);
    l->online = fresh;
    l->weights = weights;
    l->labels = labels;
    l->is_replay_alien = true;
    return publish(l);
}

static enum status read_epoch(struct db *db, int64_t *ret_epoch)
{
    struct db_query *q = db_query(db, "SELECT epoch FROM online");
    enum status st = db_next(q);
    if (st == ST_OK) {
        *ret_epoch = db_int(q, 0);
    }
    enum status ended = db_end(q);
    return st == ST_NOT_FOUND ? ST_INVALID : ended;
}

enum status learner_refresh(struct learner *l, struct db *db)
{
    int64_t epoch = 0;
    enum status st = read_epoch(db, &epoch);
    if (st != ST_OK || epoch == l->epoch) {
        return st;
    }
    l->epoch = epoch;
    online_rollback(l->online);
    log_write(LOG_INFO, "learner", "the corrections were rolled back");
    return publish(l);
}

enum status learner_rollback_file(struct db *db)
{
    return db_run(db_query(db, "UPDATE online SET epoch = epoch + 1, delta = x''"), NULL);
}

enum status learner_rollback(struct learner *l, struct db *db)
{
    enum status st = learner_rollback_file(db);
    return st == ST_OK ? learner_refresh(l, db) : st;
}

static enum status save_slot(struct learner *l, struct db *db, size_t slot)
{
    struct buf bytes;
    buf_init(&bytes, SLOT_BYTES);
    enum status st = online_write_slot(l->online, slot, &bytes);
    if (st == ST_OK) {
        struct db_query *q =
            db_query(db, "INSERT OR REPLACE INTO replay (slot, entry) VALUES (?1, ?2)");
        db_bind_int(q, 1, (int64_t)slot);
        db_bind_blob(q, 2, bytes.data + bytes.head, bytes.len);
        st = db_run(q, NULL);
    }
    buf_fini(&bytes);
    return st;
}

static bool fits(const struct learner *l, const struct recent_decision *d)
{
    return d->weights == l->weights && d->label_count == l->labels && d->hash_count > 0;
}

/* Feeds the reservoir with decisions that came since the last time. */
static enum status observe(struct learner *l, struct db *db)
{
    struct recent_decision d;
    size_t seen = 0;
    enum status st = ST_OK;
    if (l->is_replay_alien) {
        st = db_run(db_query(db, "DELETE FROM replay"), NULL);
        l->is_replay_alien = st != ST_OK;
    }
    for (size_t i = 0; i < recent_shards(l->recent); i++) {
        while (st == ST_OK && seen < OBSERVED_MAX &&
               recent_next(l->recent, i, &l->cursors[i], &d)) {
            struct online_example e = {d.hashes, d.hash_count, d.p};
            size_t slot = fits(l, &d) ? online_observe(l->online, &e) : SIZE_MAX;
            st = slot == SIZE_MAX ? ST_OK : save_slot(l, db, slot);
            seen++;
        }
    }
    return st;
}

enum status learner_take(struct learner *l, struct db *db, const struct learner_lesson *lesson)
{
    const struct recent_decision *d = lesson->decision;
    enum status st = learner_refresh(l, db);
    if (st == ST_OK && lesson->weights != l->weights) {
        st = start_over(l, lesson->weights, lesson->label_count);
    }
    if (st == ST_OK) {
        st = observe(l, db);
    }
    if (st != ST_OK || lesson->label >= l->labels || !fits(l, d)) {
        return st;
    }
    struct online_example e = {d->hashes, d->hash_count, d->p};
    enum online_verdict verdict = online_learn(l->online, &e, lesson->label);
    (void)atomic_fetch_add(&l->verdicts[verdict], 1);
    if (verdict != ONLINE_LEARNED) {
        return ST_OK;
    }
    st = save(l, db);
    return st == ST_OK ? publish(l) : st;
}

/* ---------------------------------------------------------------- life */

static enum status load_replay(struct learner *l, struct db *db)
{
    struct db_query *q = db_query(db, "SELECT entry FROM replay ORDER BY slot");
    enum status st = db_next(q);
    while (st == ST_OK) { /* what does not fit any more is left out, and overwritten in time */
        enum status ignored = online_read_slot(l->online, db_blob(q, 0));
        (void)ignored;
        st = db_next(q);
    }
    return db_end(q);
}

static enum status load(struct learner *l, struct db *db)
{
    struct db_query *q = db_query(db, "SELECT epoch, weights, delta FROM online");
    enum status st = db_next(q);
    bool is_ours = false;
    if (st == ST_OK) {
        struct str delta = db_blob(q, 2);
        l->epoch = db_int(q, 0);
        is_ours = (uint64_t)db_int(q, 1) == l->weights;
        if (is_ours && delta.len > 0 && online_read(l->online, delta) != ST_OK) {
            log_write(LOG_WARN, "learner",
                      "the corrections in the state file are damaged: dropped");
        } else if (!is_ours && delta.len > 0) {
            log_write(LOG_WARN, "learner",
                      "the corrections in the state file belong to other weights: dropped");
        }
    }
    st = db_end(q);
    if (st == ST_OK && is_ours) {
        l->is_replay_alien = false;
        st = load_replay(l, db);
    }
    return st == ST_OK ? publish(l) : st;
}

enum status learner_create(const struct router_online *settings,
                           const struct classifier *classifier, struct recent *recent,
                           struct db *db, struct learner **ret_learner)
{
    struct learner *l = mem_zalloc(1, sizeof *l);
    if (l == NULL) {
        return ST_NO_MEMORY;
    }
    (void)pthread_mutex_init(&l->lock, NULL); /* cannot fail with default attributes */
    l->settings = *settings;
    l->recent = recent;
    l->cursors = mem_zalloc(recent_shards(recent), sizeof *l->cursors);
    enum status st = l->cursors == NULL ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) {
        st = start_over(l, classifier_checksum(classifier), classifier_label_count(classifier));
    }
    if (st == ST_OK) {
        st = load(l, db);
    }
    if (st != ST_OK) {
        learner_destroy(l);
        return st;
    }
    *ret_learner = l;
    return ST_OK;
}

void learner_destroy(struct learner *l)
{
    if (l != NULL) {
        online_delta_unref(l->delta);
        online_destroy(l->online);
        (void)pthread_mutex_destroy(&l->lock);
        mem_free(l->cursors);
        mem_free(l);
    }
}
