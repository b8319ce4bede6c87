/* See managed.h. The set: who is in it, who waits for whom, and the thread that acts on what
 * residency.c decides. */
#include "backends/managed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "backends/expert.h"
#include "backends/footprint.h"
#include "backends/managed_private.h"
#include "base/assert.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    MEASURE_MS = 5000,
    ARENA_BLOCK_BYTES = 1024,
    ARENA_MAX_BYTES = 4 * 1024 * 1024,
};

void managed_lock(struct managed_set *set)
{
    (void)pthread_mutex_lock(&set->lock); /* fails for a broken mutex only */
}

void managed_unlock(struct managed_set *set)
{
    (void)pthread_mutex_unlock(&set->lock);
}

int64_t managed_now_ms(const struct managed_set *set)
{
    return clock_now_ms(loop_clock(set->loop)); /* the clock's, not the turn's: workers ask too */
}

void managed_kick(struct managed_set *set)
{
    if (!set->is_kicked) {
        set->is_kicked = true;
        loop_post(set->loop, &set->kick);
    }
}

/* ---------------------------------------------------------------- leases */

static void unlink_lease(struct managed_lease *lease)
{
    struct managed *m = lease->managed;
    struct managed_lease **from = lease->previous == NULL ? &m->first : &lease->previous->next;
    struct managed_lease **back = lease->next == NULL ? &m->last : &lease->next->previous;
    *from = lease->next;
    *back = lease->previous;
    lease->next = NULL;
    lease->previous = NULL;
    resident_unwait(&m->resident, lease->arrival_ms);
    m->resident.oldest_ms = m->first == NULL ? 0 : m->first->arrival_ms;
}

static void on_told(struct loop_task *task)
{
    struct managed_lease *lease = CONTAINER_OF(task, struct managed_lease, task);
    lease->told(lease);
}

static void let_in(struct managed_lease *lease)
{
    lease->serial = lease->managed->serial;
    resident_begin(&lease->managed->resident);
}

void managed_tell_all(struct managed *m, enum managed_verdict verdict)
{
    while (m->first != NULL) {
        struct managed_lease *lease = m->first;
        unlink_lease(lease);
        lease->state = LEASE_TOLD;
        lease->verdict = verdict;
        if (verdict == MANAGED_READY) {
            let_in(lease);
        } else {
            lease->retry_after_ms = m->resident.retry_ms - managed_now_ms(m->set);
        }
        lease->task.run = on_told;
        loop_post(lease->loop, &lease->task);
    }
}

static int64_t wait_ms(struct managed *m, int64_t now_ms)
{
    for (size_t i = 0; i < m->set->count; i++) {
        if (m->set->by_index[i] == m) {
            return residency_wait_ms(&m->set->residency, i, now_ms);
        }
    }
    return 0;
}

/* Where the process is not ready: waits for it, or is refused. */
static enum managed_verdict queue_up(struct managed *m, struct managed_lease *lease, int64_t now_ms)
{
    struct resident *e = &m->resident;
    if (e->state == RESIDENCY_FAILED && now_ms < e->retry_ms) {
        lease->retry_after_ms = e->retry_ms - now_ms;
        return MANAGED_FAILED;
    }
    if (e->waiting >= (size_t)m->spec.queue) {
        lease->retry_after_ms = wait_ms(m, now_ms);
        return MANAGED_FULL;
    }
    lease->state = LEASE_QUEUED;
    lease->arrival_ms = now_ms;
    lease->previous = m->last;
    if (m->last == NULL) {
        m->first = lease;
        e->oldest_ms = now_ms;
    } else {
        m->last->next = lease;
    }
    m->last = lease;
    resident_wait(e, now_ms);
    managed_kick(m->set);
    return MANAGED_WAITS;
}

enum managed_verdict managed_enter(struct managed *m, struct managed_lease *lease)
{
    enum managed_verdict verdict = MANAGED_READY;
    managed_lock(m->set);
    int64_t now_ms = managed_now_ms(m->set);
    lease->managed = m;
    resident_arrive(&m->resident, now_ms);
    m->prefetches_used += m->is_guess && resident_is_loaded(&m->resident);
    m->is_guess = false;
    if (m->resident.state == RESIDENCY_READY && !m->resident.is_unwished) {
        lease->state = LEASE_HELD;
        let_in(lease);
    } else {
        verdict = queue_up(m, lease, now_ms);
    }
    managed_unlock(m->set);
    return verdict;
}

/* Held. A process that ended has forgotten its requests already. */
static void let_out(struct managed_lease *lease, bool is_suspect)
{
    struct managed *m = lease->managed;
    bool is_same = lease->serial == m->serial && (m->resident.state == RESIDENCY_READY ||
                                                  m->resident.state == RESIDENCY_DRAINING ||
                                                  m->resident.state == RESIDENCY_STOPPING);
    lease->state = LEASE_OVER;
    if (!is_same || m->resident.busy == 0) {
        return;
    }
    resident_end(&m->resident, managed_now_ms(m->set));
    m->is_suspect = m->is_suspect || is_suspect;
    if (m->resident.busy == 0 || is_suspect) {
        managed_kick(m->set);
    }
}

void managed_leave(struct managed_lease *lease, bool is_suspect)
{
    struct managed_set *set = lease->managed->set;
    managed_lock(set);
    ASSERT(lease->state == LEASE_HELD);
    let_out(lease, is_suspect);
    managed_unlock(set);
}

bool managed_give_up(struct managed_lease *lease)
{
    if (lease->managed == NULL) { /* never entered */
        return true;
    }
    struct managed_set *set = lease->managed->set;
    bool is_free = true;
    managed_lock(set);
    switch (lease->state) {
    case LEASE_OVER:
        break;
    case LEASE_QUEUED:
        unlink_lease(lease);
        lease->state = LEASE_OVER;
        break;
    case LEASE_TOLD:
        if (lease->verdict == MANAGED_READY) {
            let_out(lease, false);
        }
        lease->is_given_up = true;
        is_free = false;
        break;
    case LEASE_HELD:
        let_out(lease, false);
        break;
    }
    managed_unlock(set);
    return is_free;
}

/* ---------------------------------------------------------------- deciding */

void managed_waste(struct managed *m)
{
    m->prefetches_wasted += m->is_guess;
    m->resident.is_wished =
        m->resident.is_wished && !m->is_guess; /* a failed guess is not retried */
    m->is_guess = false;
}

static void count_reason(struct managed *m, const char *reason)
{
    m->evictions += strcmp(reason, "memory") == 0 || strcmp(reason, "group") == 0 ||
                    strcmp(reason, "drained") == 0;
    m->expiries += strcmp(reason, "ttl") == 0;
}

/* Held. A guess that found no room is forgotten: when there is some, another will be likelier. */
static void forget_guesses(struct managed_set *set)
{
    for (struct managed *m = set->list; m != NULL; m = m->next) {
        if (m->is_guess && !resident_is_loaded(&m->resident)) {
            m->is_guess = false;
            m->resident.is_wished = false;
        }
    }
}

/* One step: decided under the lock, carried out without. False: there is none. */
static bool take_step(struct managed_set *set)
{
    managed_lock(set);
    int64_t now_ms = managed_now_ms(set);
    struct managed *suspect = NULL;
    for (struct managed *m = set->list; m != NULL; m = m->next) {
        bool is_ready = m->resident.state == RESIDENCY_READY;
        m->resident.is_unwished |= is_ready && m->is_retired && m->first == NULL;
        if (m->is_suspect) {
            suspect = is_ready ? m : suspect;
            m->is_suspect = false;
        }
    }
    struct residency_step step = residency_next(&set->residency, now_ms);
    struct managed *m = step.act == RESIDENCY_NOTHING ? NULL : set->by_index[step.index];
    if (m == NULL) {
        forget_guesses(set);
    } else if (step.act == RESIDENCY_LOAD) {
        resident_enter(&m->resident, RESIDENCY_STARTING, now_ms);
        m->starts++;
        m->prefetches += m->is_guess;
    } else if (step.act == RESIDENCY_DRAIN) {
        resident_enter(&m->resident, RESIDENCY_DRAINING, now_ms);
    } else if (step.act == RESIDENCY_STOP) {
        resident_enter(&m->resident, RESIDENCY_STOPPING, now_ms);
        count_reason(m, step.reason);
        managed_waste(m);
    }
    managed_unlock(set);
    if (suspect != NULL) {
        managed_child_suspect(suspect);
    }
    if (m == NULL) {
        return false;
    }
    log_write(LOG_INFO, "managed", "expert %.*s: %s (%s)", STR_ARG(m->name),
              residency_state_text(m->resident.state), step.reason);
    if (step.act == RESIDENCY_LOAD) {
        managed_child_start(m);
    } else if (step.act == RESIDENCY_STOP) {
        managed_child_stop(m);
    }
    return true;
}

static void destroy(struct managed *m)
{
    ASSERT(m->first == NULL);
    if (m->log_fd >= 0) {
        (void)close(m->log_fd);
    }
    arena_destroy(m->arena);
    mem_free(m);
}

/* Held. */
static void index_all(struct managed_set *set)
{
    set->count = 0;
    for (struct managed *m = set->list; m != NULL; m = m->next) {
        set->residents[set->count] = &m->resident;
        set->by_index[set->count++] = m;
    }
    set->residency.count = set->count;
}

/* Frees what nobody has any more. */
static void collect(struct managed_set *set)
{
    managed_lock(set);
    bool has_changed = false;
    for (struct managed **at = &set->list; *at != NULL;) {
        struct managed *m = *at;
        if (m->is_retired && m->refs == 0 && !managed_child_is_running(m) &&
            !resident_is_loaded(&m->resident)) {
            *at = m->next;
            loop_timer_cancel(set->loop, &m->deadline);
            loop_timer_cancel(set->loop, &m->next_knock);
            destroy(m);
            has_changed = true;
        } else {
            at = &m->next;
        }
    }
    if (has_changed) {
        index_all(set);
    }
    managed_unlock(set);
}

void managed_settle(struct managed_set *set)
{
    while (!set->is_ending && take_step(set)) {
    }
    collect(set);
    managed_lock(set);
    int64_t due_ms = residency_due_ms(&set->residency, managed_now_ms(set));
    managed_unlock(set);
    if (due_ms == INT64_MAX) {
        loop_timer_cancel(set->loop, &set->timer);
    } else if (loop_timer_set(set->loop, &set->timer, due_ms) != ST_OK) {
        log_write(LOG_ERROR, "managed", "no memory for a timer");
    }
}

static void on_kick(struct loop_task *task)
{
    struct managed_set *set = CONTAINER_OF(task, struct managed_set, kick);
    managed_lock(set);
    set->is_kicked = false;
    managed_unlock(set);
    managed_settle(set);
}

static void on_timer(struct loop_timer *timer)
{
    managed_settle(CONTAINER_OF(timer, struct managed_set, timer));
}

/* Those of now, for the set's thread, which alone destroys them; others may join meanwhile. */
static size_t list_all(struct managed_set *set, struct managed *ret[MANAGED_EXPERTS_MAX])
{
    managed_lock(set);
    size_t count = set->count;
    memcpy(ret, set->by_index, count * sizeof *ret);
    managed_unlock(set);
    return count;
}

/* What the running children take; slow, so without the lock. */
static void on_measure(struct loop_timer *timer)
{
    struct managed_set *set = CONTAINER_OF(timer, struct managed_set, measure);
    struct managed *all[MANAGED_EXPERTS_MAX];
    size_t count = list_all(set, all);
    for (size_t i = 0; i < count; i++) {
        struct managed *m = all[i];
        int64_t bytes = managed_child_is_running(m) ? footprint_bytes(m->child.pid) : 0;
        if (bytes > 0) {
            managed_lock(set);
            int64_t known = m->resident.measured_bytes;
            m->resident.measured_bytes = bytes > known ? bytes : known;
            managed_unlock(set);
        }
    }
    managed_settle(set);
    if (loop_timer_set(set->loop, timer, loop_now_ms(set->loop) + MEASURE_MS) != ST_OK) {
        log_write(LOG_ERROR, "managed", "no memory for a timer: memory is not measured any more");
    }
}

/* ---------------------------------------------------------------- joining a configuration */

static enum status copy_text(struct arena *arena, struct str *text)
{
    if (text->len > 0 || text->ptr != NULL) {
        const char *copy = arena_copy_z(arena, *text);
        if (copy == NULL) {
            return ST_NO_MEMORY;
        }
        text->ptr = copy;
    }
    return ST_OK;
}

static enum status copy_list(struct arena *arena, struct str **items, size_t count)
{
    struct str *copy = arena_alloc(arena, (count + 1) * sizeof *copy);
    if (copy == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = (*items)[i];
        if (copy_text(arena, &copy[i]) != ST_OK) {
            return ST_NO_MEMORY;
        }
    }
    *items = copy;
    return ST_OK;
}

/* The texts outlive the snapshot that they came from. */
static enum status copy_spec(struct managed *m, const struct expert *e)
{
    struct arena *arena = m->arena;
    m->spec = e->process_spec;
    m->name = e->id.name;
    struct str *texts[] = {&m->name,     &m->spec.health, &m->spec.path,
                           &m->spec.cwd, &m->spec.log,    &m->spec.group};
    enum status st = copy_list(arena, &m->spec.argv.items, m->spec.argv.count);
    if (st == ST_OK) {
        st = copy_list(arena, &m->spec.env.names, m->spec.env.count);
    }
    if (st == ST_OK) {
        st = copy_list(arena, &m->spec.env.values, m->spec.env.count);
    }
    for (size_t i = 0; st == ST_OK && i < sizeof texts / sizeof texts[0]; i++) {
        st = copy_text(arena, texts[i]);
    }
    return st;
}

static struct managed *make(struct managed_set *set, const struct expert *e)
{
    struct managed *m = mem_zalloc(1, sizeof *m);
    if (m == NULL) {
        return NULL;
    }
    m->set = set;
    m->log_fd = -1;
    m->hash = process_spec_hash(&e->process_spec);
    m->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    if (m->arena == NULL || copy_spec(m, e) != ST_OK) {
        destroy(m);
        return NULL;
    }
    m->resident.is_wished = m->spec.preload;
    return m;
}

static struct managed *find(const struct managed_set *set, const struct expert *e)
{
    uint64_t hash = process_spec_hash(&e->process_spec);
    for (struct managed *m = set->list; m != NULL; m = m->next) {
        if (!m->is_retired && m->hash == hash && str_eq(m->name, e->id.name)) {
            return m;
        }
    }
    return NULL;
}

/* Held. Made on first use; the last configuration's rules hold. */
static const struct residency_group *intern(struct managed_set *set,
                                            const struct local_settings *local, struct str name)
{
    const struct local_group *groups = local->groups.items;
    size_t i = 0;
    while (i < local->groups.count && !str_eq(groups[i].id.name, name)) {
        i++;
    }
    if (i == local->groups.count) {
        return NULL;
    }
    struct managed_group *g = set->groups;
    while (g != NULL && !str_eq(str_from(g->name), name)) {
        g = g->next;
    }
    if (g == NULL) {
        g = mem_zalloc(1, sizeof *g + name.len + 1);
        if (g == NULL) {
            return NULL; /* then memory alone decides */
        }
        memcpy(g->name, name.ptr, name.len);
        g->next = set->groups;
        set->groups = g;
    }
    g->rule = (struct residency_group){groups[i].swap, groups[i].exclusive, groups[i].persistent};
    return &g->rule;
}

/* Held. What may change while it runs. */
static void take_rules(struct managed *m, const struct process_spec *spec,
                       const struct local_settings *local)
{
    m->spec.queue = spec->queue;
    m->spec.wait_ms = spec->wait_ms;
    m->spec.start_ms = spec->start_ms;
    m->spec.stop_ms = spec->stop_ms;
    m->spec.memory_bytes = spec->memory_bytes;
    m->resident.rule = (struct residency_rule){
        .bytes = spec->memory_bytes,
        .ttl_ms = spec->ttl_s * 1000,
        .min_resident_ms = spec->min_resident_s * 1000,
        .group = intern(m->set, local, spec->group),
        .is_pinned = spec->pin,
    };
}

/* Makes what is missing, in a list of its own: e->managed is set in the end. */
static enum status make_missing(struct managed_set *set, struct expert *experts, size_t count,
                                struct managed **ret_fresh)
{
    struct managed *fresh = NULL;
    size_t total = set->count;
    for (size_t i = 0; i < count; i++) {
        if (!expert_is_managed(&experts[i]) || find(set, &experts[i]) != NULL) {
            continue;
        }
        struct managed *m = total < MANAGED_EXPERTS_MAX ? make(set, &experts[i]) : NULL;
        if (m == NULL) {
            while (fresh != NULL) {
                struct managed *next = fresh->next;
                destroy(fresh);
                fresh = next;
            }
            return ST_NO_MEMORY;
        }
        total++;
        m->next = fresh;
        fresh = m;
    }
    *ret_fresh = fresh;
    return ST_OK;
}

void managed_unref(struct managed *m)
{
    if (m == NULL) {
        return;
    }
    struct managed_set *set = m->set;
    managed_lock(set);
    ASSERT(m->refs > 0);
    m->refs--;
    if (m->refs == 0 && !set->is_ending) {
        managed_kick(set);
    }
    managed_unlock(set);
}

/* ---------------------------------------------------------------- wishes */

int64_t managed_wait_ms(struct managed *m)
{
    managed_lock(m->set);
    int64_t ms = wait_ms(m, managed_now_ms(m->set));
    managed_unlock(m->set);
    return ms;
}

void managed_load(struct managed *m)
{
    managed_lock(m->set);
    m->resident.is_wished = !resident_is_loaded(&m->resident);
    m->is_guess = m->is_guess && resident_is_loaded(&m->resident); /* until it is used */
    m->resident.is_unwished = false;
    managed_kick(m->set);
    managed_unlock(m->set);
}

void managed_prefetch(struct managed *m)
{
    struct managed_set *set = m->set;
    managed_lock(set);
    int64_t now_ms = managed_now_ms(set);
    size_t i = 0;
    while (i < set->count && set->by_index[i] != m) {
        i++;
    }
    if (i < set->count && !m->is_retired && !m->resident.is_wished && m->first == NULL &&
        residency_is_free_for(&set->residency, i, now_ms)) {
        m->resident.is_wished = true;
        m->is_guess = true;
        managed_kick(set);
    }
    managed_unlock(set);
}

void managed_unload(struct managed *m)
{
    managed_lock(m->set);
    m->resident.is_wished = false;
    m->resident.is_unwished = m->resident.state == RESIDENCY_READY;
    managed_kick(m->set);
    managed_unlock(m->set);
}

/* ---------------------------------------------------------------- the thread */

/* For good; whatever it is doing. */
static void end(struct managed *m)
{
    managed_lock(m->set);
    bool is_new = resident_is_loaded(&m->resident) && m->resident.state != RESIDENCY_STOPPING;
    if (is_new) {
        resident_enter(&m->resident, RESIDENCY_STOPPING, managed_now_ms(m->set));
    }
    managed_unlock(m->set);
    if (is_new) {
        managed_child_stop(m);
    }
}

static void *run(void *arg)
{
    struct managed_set *set = arg;
    struct managed *all[MANAGED_EXPERTS_MAX];
    bool is_ending = false;
    size_t running = 0;
    while (!is_ending || running > 0) {
        (void)loop_turn(set->loop, -1);
        managed_lock(set);
        bool is_news = set->is_ending && !is_ending;
        is_ending = set->is_ending;
        managed_unlock(set);
        size_t count = is_ending ? list_all(set, all) : 0;
        running = 0;
        for (size_t i = 0; i < count; i++) {
            if (is_news) {
                end(all[i]);
            }
            running += !managed_child_is_over(all[i]);
        }
    }
    return NULL;
}

/* On the first join. */
static enum status start_thread(struct managed_set *set)
{
    if (set->is_started) {
        return ST_OK;
    }
    int64_t first_ms = clock_now_ms(clock_system()) + MEASURE_MS;
    set->is_started = loop_timer_set(set->loop, &set->measure, first_ms) == ST_OK &&
                      pthread_create(&set->thread, NULL, run, set) == 0;
    return set->is_started ? ST_OK : ST_NO_MEMORY;
}

enum status managed_set_join(struct managed_set *set, struct expert *experts, size_t count,
                             const struct local_settings *local)
{
    struct managed *fresh = NULL;
    enum status st = start_thread(set);
    if (st != ST_OK) {
        return st;
    }
    managed_lock(set);
    st = make_missing(set, experts, count, &fresh);
    if (st == ST_OK) {
        set->residency.memory_bytes = local->memory_bytes;
        set->residency.starve_ms = local->starve_ms;
        set->residency.patience = local->patience;
        set->residency.order = (enum residency_order)local->evict;
        while (fresh != NULL) {
            struct managed *next = fresh->next;
            fresh->next = set->list;
            set->list = fresh;
            fresh = next;
        }
        for (size_t i = 0; i < count; i++) {
            if (expert_is_managed(&experts[i])) {
                experts[i].managed = find(set, &experts[i]);
                experts[i].managed->refs++;
                take_rules(experts[i].managed, &experts[i].process_spec, local);
            }
        }
        for (struct managed *m = set->list; m != NULL; m = m->next) {
            bool is_kept = false;
            for (size_t i = 0; i < count; i++) {
                is_kept = is_kept || experts[i].managed == m;
            }
            m->is_retired = !is_kept;
        }
        index_all(set);
        managed_kick(set);
    }
    managed_unlock(set);
    return st;
}

static void write_token(char token[MANAGED_TOKEN_BYTES])
{
    uint64_t random[2] = {(uint64_t)clock_now_us(clock_system()), (uint64_t)getpid()};
    (void)!getrandom(random, sizeof random, 0); /* the clock and the pid then */
    (void)snprintf(token, MANAGED_TOKEN_BYTES, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
}

enum status managed_set_create(struct str record, const struct managed_cores *cores,
                               struct managed_set **ret_set)
{
    struct managed_set *set = mem_zalloc(1, sizeof *set);
    if (set == NULL) {
        return ST_NO_MEMORY;
    }
    set->loop = loop_create(clock_system());
    if (set->loop == NULL) {
        mem_free(set);
        return ST_NO_MEMORY;
    }
    (void)pthread_mutex_init(&set->lock, NULL); /* cannot fail without attributes */
    write_token(set->token);
    set->cores = *cores;
    set->residency = (struct residency){.list = set->residents};
    set->kick.run = on_kick;
    set->timer.on_due = on_timer;
    set->measure.on_due = on_measure;
    if (record.len > 0) {
        managed_record_take(record, str_from(set->token));
    }
    *ret_set = set;
    return ST_OK;
}

void managed_set_stop(struct managed_set *set)
{
    if (set == NULL) {
        return;
    }
    managed_lock(set);
    set->is_ending = true;
    managed_kick(set);
    managed_unlock(set);
    if (set->is_started) {
        (void)pthread_join(set->thread, NULL);
    }
    if (set->folder[0] != '\0') {
        (void)rmdir(
            set->folder); /* not empty: a socket that a child forgot; it is in a temporary folder */
    }
}

void managed_set_destroy(struct managed_set *set)
{
    if (set == NULL) {
        return;
    }
    while (set->list != NULL) {
        struct managed *m = set->list;
        set->list = m->next;
        ASSERT(m->refs == 0);
        destroy(m);
    }
    while (set->groups != NULL) {
        struct managed_group *g = set->groups;
        set->groups = g->next;
        mem_free(g);
    }
    loop_destroy(set->loop);
    (void)pthread_mutex_destroy(&set->lock);
    mem_free(set);
}
