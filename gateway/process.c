/* See process.h. The main thread only starts things and waits for signals. */
#include "gateway/process.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/cage.h"
#include "backends/kernel.h"
#include "backends/kernel_pool.h"
#include "backends/managed.h"
#include "backends/transport.h"
#include "base/cert.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/access_log.h"
#include "gateway/cache.h"
#include "gateway/learner.h"
#include "gateway/listener.h"
#include "gateway/metrics.h"
#include "gateway/peers.h"
#include "gateway/prefetch.h"
#include "gateway/quota.h"
#include "gateway/recent.h"
#include "gateway/revoked.h"
#include "gateway/sandbox.h"
#include "gateway/sessions.h"
#include "gateway/snapshot.h"
#include "gateway/state.h"
#include "gateway/supervisor.h"
#include "gateway/worker.h"
#include "policies/retry_budget.h"
#include "router/drift.h"

enum {
    KERNEL_END_MS = 3000, /* for kernels from files to unload */
    SESSIONS = 65536,     /* conversations that keep their expert: 1 MB, touched as it fills */
    PATH_BYTES = 4096,
    ACCESS_LOG_MODE = 0640,
    PROMPT_LOG_MODE = 0600,
    OWN_DESCRIPTORS = 64,
    SPARE_PEERS = 64,                     /* connections of a worker above its limit */
    MALLOC_KEEP_BYTES = 64 * 1024 * 1024, /* measured: -16 % CPU at 100 kB bodies */
};

struct process {
    const char *conf_path;
    FILE *out; /* for what is wrong with the configuration */
    struct supervisor supervisor;
    struct snapshot *snapshot;
    struct metrics *metrics;
    struct access_log *access_log;
    struct access_log *prompt_log; /* NULL: prompts are not logged */
    struct kernel_pool *kernels;
    struct state *state; /* NULL: nothing is stored */
    struct recent *recent;
    struct budgets *budgets;
    struct drift *drift;
    struct learner *learner; /* NULL: online learning is off */
    struct sessions *sessions;
    struct prefetch *prefetch;
    struct retry_budget retries;
    struct retry_budget hedges;
    struct quotas *quotas;
    struct managed_set *managed; /* NULL: no expert was ever a process */
    struct cache *cache;
    struct healths *healths;
    struct peers *peers; /* NULL: no cap per address */
    bool is_exposed;     /* the listener of this start takes clients from other machines */
    bool is_admin_exposed;
    struct worker_thread **workers;
    size_t worker_count; /* planned */
    size_t started;
    uint16_t port; /* of clients, once they can connect */
};

static size_t count_workers(const struct conf_server *server)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (server->workers > 0) {
        return (size_t)server->workers;
    }
    return cores < 1 ? 1 : (size_t)cores;
}

/* Twice the streams, and some: as many descriptors as we are allowed. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* less is less, not wrong */
    }
}

/* Each client takes one descriptor, and one more towards its expert. */
static void warn_of_few_descriptors(const struct conf_server *server)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 &&
        limit.rlim_cur < (rlim_t)server->limits.connections + OWN_DESCRIPTORS) {
        log_write(LOG_WARN, "process",
                  "limits.connections is %" PRId64 ", but the process may have %" PRIu64
                  " descriptors: raise its limit of open files (LimitNOFILE, ulimit -n)",
                  server->limits.connections, (uint64_t)limit.rlim_cur);
    }
}

static struct http_limits limits_of(const struct process *p)
{
    const struct conf_server *server = &p->snapshot->conf.server;
    int64_t share = server->limits.connections / (int64_t)p->worker_count;
    return (struct http_limits){
        .head_ms = server->limits.head_ms,
        .body_ms = server->limits.body_ms,
        .idle_ms = server->limits.idle_ms,
        .write_ms = server->limits.write_ms,
        .head_bytes = server->limits.head_bytes,
        .body_bytes = server->limits.body_bytes,
        .connections = share < 1 ? 1 : share,
        .peers = p->peers,
        .half_close_is_gone = server->half_close_is_gone,
    };
}

static void announce(const char *what, const struct conf_address *address, uint16_t port,
                     const struct cert *cert)
{
    log_write(LOG_INFO, "process", address->is_ipv6 ? "%s [%.*s]:%u%s" : "%s %.*s:%u%s", what,
              STR_ARG(address->host), (unsigned)port, cert == NULL ? "" : " with TLS");
}

static enum status start_worker(struct process *p, size_t index, uint16_t *port)
{
    const struct conf_server *server = &p->snapshot->conf.server;
    uint16_t admin_port = 0;
    struct worker_setup setup = {
        .index = index,
        .clients = {-1, server->tls.pair, server->tls.min_version == TLS_SETTINGS_1_3},
        .admin = {-1, server->admin_tls.pair, server->admin_tls.min_version == TLS_SETTINGS_1_3},
        .limits = limits_of(p),
        .snapshot = p->snapshot,
        .kernels = p->kernels,
        .metrics = p->metrics,
        .access_log = p->access_log,
        .prompt_log = p->prompt_log,
        .state = p->state,
        .recent = p->recent,
        .learner = p->learner,
        .drift = p->drift,
        .sessions = p->sessions,
        .prefetch = p->prefetch,
        .cache = p->cache,
        .retries = &p->retries,
        .hedges = &p->hedges,
        .quotas = p->quotas,
        .healths = p->healths,
    };
    enum status st =
        listener_open(&p->supervisor, "clients", index, &server->listen, port, &setup.clients.fd);
    if (st == ST_OK && index == 0) {
        admin_port = server->admin.port;
        st =
            listener_open(&p->supervisor, "admin", 0, &server->admin, &admin_port, &setup.admin.fd);
        if (st != ST_OK) {
            (void)close(setup.clients.fd);
        }
    }
    if (st != ST_OK) {
        return st;
    }
    st = worker_start(&setup, &p->workers[index]);
    if (st == ST_OK && index == 0) {
        announce("listening on", &server->listen, *port, server->tls.pair);
        announce("admin on", &server->admin, admin_port, server->admin_tls.pair);
    }
    return st;
}

static enum status start_workers(struct process *p)
{
    const struct conf_server *server = &p->snapshot->conf.server;
    uint16_t port = server->listen.port;
    if (listener_is_taken(&p->supervisor, "clients", &server->listen) ||
        listener_is_taken(&p->supervisor, "admin", &server->admin)) {
        return ST_IO;
    }
    p->workers = mem_zalloc(p->worker_count, sizeof(struct worker_thread *));
    if (p->workers == NULL) {
        return ST_NO_MEMORY;
    }
    for (p->started = 0; p->started < p->worker_count; p->started++) {
        enum status st = start_worker(p, p->started, &port);
        if (st != ST_OK) {
            return st;
        }
    }
    p->port = port;
    return ST_OK;
}

/* After the state file was opened; through a connection of its own, which only reads. */
static enum status open_learner(struct process *p)
{
    const struct routes *routes = &p->snapshot->conf.routes;
    char why[DB_WHY_BYTES] = "";
    struct db *db = NULL;
    if (!routes->router.online.enabled || routes->classifier == NULL) {
        return ST_OK;
    }
    enum status st = state_open_file(p->snapshot->conf.state.path.ptr, DB_READ, &db, why);
    if (st == ST_OK) {
        st = learner_create(&routes->router.online, routes->classifier, p->recent, db, &p->learner);
    }
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "cannot load what was learned: %s",
                  db == NULL ? why : db_why(db));
    }
    db_close(db);
    return st;
}

static enum status open_state(struct process *p)
{
    const struct state_settings *settings = &p->snapshot->conf.state;
    char why[DB_WHY_BYTES];
    if (settings->path.len == 0) {
        return ST_OK;
    }
    enum status st = state_open(settings, &p->state, why);
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "cannot use the state file \"%.*s\": %s",
                  STR_ARG(settings->path), why);
        return st;
    }
    p->recent = recent_create(p->worker_count, (size_t)settings->recent_bytes);
    return p->recent == NULL ? ST_NO_MEMORY : open_learner(p);
}

/* Gives the budgets of a configuration what was spent; through a connection that only reads. */
static enum status bind_budgets(struct process *p, struct snapshot *s)
{
    struct key_array *list = &s->conf.budgets;
    char why[DB_WHY_BYTES] = "";
    struct db *db = NULL;
    if (list->count == 0) {
        return ST_OK;
    }
    enum status st = state_open_file(p->snapshot->conf.state.path.ptr, DB_READ, &db, why);
    if (st == ST_OK) {
        st = budgets_bind(p->budgets, list, db, clock_wall_s());
    }
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "cannot tell what was spent: %s",
                  db == NULL ? why : db_why(db));
    }
    db_close(db);
    return st;
}

/* Keys that were revoked do not work, whatever the file says. */
static enum status mark_revoked(struct process *p, struct snapshot *s)
{
    struct str path = p->snapshot->conf.state.path;
    char why[DB_WHY_BYTES] = "";
    struct db *db = NULL;
    if (path.len == 0 || s->conf.tenants.list.count == 0) {
        return ST_OK;
    }
    enum status st = state_open_file(path.ptr, DB_READ, &db, why);
    if (st == ST_OK) {
        st = revoked_mark(db, &s->conf.tenants);
    }
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "cannot tell which keys are revoked: %s",
                  db == NULL ? why : db_why(db));
    }
    db_close(db);
    return st;
}

/* Gives a snapshot its places in what outlives it. */
static enum status prepare(struct process *p, struct snapshot *s)
{
    enum status st = snapshot_count(s, p->metrics);
    return st == ST_OK ? snapshot_join(s, p->quotas, p->healths) : st;
}

/* It is in use from now on. */
static void use(struct process *p, const struct snapshot *s)
{
    const struct key_array *experts = &s->conf.routes.experts;
    healths_use(p->healths, experts->items, experts->count, s->health);
}

/* A file that was there before has the rights that it has. */
static bool is_open_to_others(struct str path)
{
    struct stat info;
    char name[PATH_MAX];
    (void)snprintf(name, sizeof name, "%.*s", STR_ARG(path));
    return stat(name, &info) == 0 && S_ISREG(info.st_mode) && (info.st_mode & S_IRWXO) != 0;
}

static enum status open_prompt_log(struct process *p)
{
    struct str path = p->snapshot->conf.privacy.prompt_log.path;
    if (path.len == 0) {
        return ST_OK;
    }
    if (is_open_to_others(path)) {
        log_write(LOG_ERROR, "process",
                  "others have rights to the log of prompts \"%.*s\": chmod 0600 it",
                  STR_ARG(path));
        return ST_IO;
    }
    enum status st = access_log_open(path, PROMPT_LOG_MODE, &p->prompt_log);
    if (st == ST_IO) {
        log_write(LOG_ERROR, "process", "cannot open the log of prompts \"%.*s\"", STR_ARG(path));
    }
    return st;
}

static struct str path_of(struct str log)
{
    bool is_file = !str_eq(log, STR("-")) && !str_eq(log, STR("off"));
    return is_file ? log : STR("");
}

/* Kernels in children are started again when they break down. */
static bool starts_programs(const struct routes *routes)
{
    const struct expert *experts = routes->experts.items;
    bool does = false;
    for (size_t i = 0; i < routes->experts.count; i++) {
        does = does || (experts[i].kernel != NULL && kernel_is_child(experts[i].kernel));
    }
    return does;
}

static bool has_managed(const struct snapshot *s)
{
    const struct expert *experts = s->conf.routes.experts.items;
    for (size_t i = 0; i < s->conf.routes.experts.count; i++) {
        if (expert_is_managed(&experts[i])) {
            return true;
        }
    }
    return false;
}

/* After the configuration, which says what is needed, and before the first thread. */
static enum status confine(const struct process *p)
{
    const struct conf *conf = &p->snapshot->conf;
    struct sandbox_needs needs = {
        .conf_path = p->conf_path,
        .files = conf->files,
        .folders = &conf->server.sandbox_read,
        .state_file = conf->state.path,
        .logs = {path_of(conf->server.access_log), conf->privacy.prompt_log.path},
        .exec =
            conf->server.sandbox_exec || has_managed(p->snapshot) || starts_programs(&conf->routes),
    };
    if (conf->state.path.len > 0) {
        enum status st = db_make_folders(conf->state.path.ptr);
        (void)st; /* whoever opens the file says what is wrong */
    }
    if (needs.exec) {
        needs.groups = cage_tree()->folder;
    }
    return sandbox_enter((enum sandbox_mode)conf->server.sandbox, &needs);
}

/* Before the sandbox: what a killed gateway left behind can be ended only from outside. The record that
 * names it stands beside the state file. */
static enum status create_managed(struct process *p)
{
    char record[PATH_BYTES] = "";
    struct str path = p->snapshot->conf.state.path;
    if (path.len > 0 && path.len < sizeof record - sizeof ".children") {
        (void)snprintf(record, sizeof record, "%.*s.children", STR_ARG(path));
        enum status st = db_make_folders(record);
        (void)st; /* whoever opens the state file says what is wrong */
    }
    const struct conf_server *server = &p->snapshot->conf.server;
    (void)
        cage_tree(); /* also for those that a reload will name: the sandbox lets it make no more */
    const struct managed_cores cores = {conf_kernel_cpus(server), server->kernel_cpus > 0};
    return managed_set_create(str_from(record), &cores, &p->managed);
}

/* Limits that were asked for and do not hold are said, or are the end. */
static enum status check_limits(const struct snapshot *s)
{
    const struct cage_tree *tree = cage_tree();
    const struct expert *experts = s->conf.routes.experts.items;
    enum status st = ST_OK;
    for (size_t i = 0; i < s->conf.routes.experts.count; i++) {
        const struct process_spec *spec = &experts[i].process_spec;
        const struct cgroup_limits limits = process_spec_limits(spec);
        unsigned missing = cgroup_needs(&limits) & ~tree->controllers;
        if (!expert_is_managed(&experts[i]) || missing == 0) {
            continue;
        }
        log_write(spec->limits.required ? LOG_ERROR : LOG_WARN, "process",
                  "limits of expert %.*s that do not hold: %s; %s", STR_ARG(experts[i].id.name),
                  cgroup_words(missing), tree->why);
        st = spec->limits.required ? ST_INVALID : st;
    }
    return st;
}

/* Gives its managed experts their processes; the last thing before a snapshot is used, because they may
 * start at once. */
static enum status join_managed(struct process *p, struct snapshot *s)
{
    struct key_array *experts = &s->conf.routes.experts;
    if (p->snapshot->managed == NULL && !has_managed(s)) {
        return ST_OK;
    }
    enum status st = ST_OK;
    if (p->managed == NULL && p->snapshot->conf.server.sandbox == SANDBOX_OFF) {
        st = create_managed(p);
    }
    if (p->managed == NULL) {
        log_write(LOG_ERROR, "process",
                  "this gateway was started without managed experts, and has given up starting "
                  "programs: the first one needs a restart, or a start with server.sandbox_exec");
        return st == ST_OK ? ST_INVALID : st;
    }
    s->managed = p->managed;
    st = check_limits(s);
    if (st != ST_OK) {
        return st;
    }
    st = managed_set_join(p->managed, experts->items, experts->count, &s->conf.local);
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "cannot manage processes: %s", status_text(st));
    }
    return st;
}

static enum status start(struct process *p)
{
    enum status st = snapshot_load(p->conf_path, p->out, &p->snapshot);
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "the configuration cannot be used: %s", status_text(st));
        return st;
    }
    const struct conf_server *server = &p->snapshot->conf.server;
    if (has_managed(p->snapshot) || server->sandbox_exec) {
        st = create_managed(p);
    }
    if (st == ST_OK) {
        st = confine(p);
    }
    if (st != ST_OK) {
        return st;
    }
    warn_of_few_descriptors(server);
    p->worker_count = count_workers(server);
    p->metrics = metrics_create(p->worker_count);
    p->kernels = kernel_pool_create(conf_kernel_threads(server), (size_t)server->kernel_queue);
    p->drift = drift_create(p->worker_count);
    p->sessions = sessions_create(SESSIONS);
    p->prefetch = prefetch_create();
    retry_budget_init(&p->retries, clock_now_ms(clock_system()));
    retry_budget_init(&p->hedges, clock_now_ms(clock_system()));
    p->quotas = quotas_create();
    p->healths = healths_create();
    p->budgets = budgets_create();
    p->cache = cache_create();
    if (server->limits.connections_per_address > 0) {
        p->peers = peers_create((size_t)server->limits.connections + p->worker_count * SPARE_PEERS,
                                server->limits.connections_per_address, &server->trusted_proxies);
    }
    if (p->budgets == NULL || p->metrics == NULL || p->kernels == NULL || p->drift == NULL ||
        p->sessions == NULL || p->prefetch == NULL || p->quotas == NULL || p->cache == NULL ||
        p->healths == NULL || (server->limits.connections_per_address > 0 && p->peers == NULL)) {
        return ST_NO_MEMORY;
    }
    cache_limit(p->cache, (uint64_t)p->snapshot->conf.cache.max_bytes);
    p->is_exposed = !conf_is_loopback(&server->listen);
    p->is_admin_exposed = !conf_is_loopback(&server->admin);
    st = prepare(p, p->snapshot);
    if (st == ST_OK) {
        st = transport_global_init();
    }
    if (st == ST_OK) {
        st = access_log_open(server->access_log, ACCESS_LOG_MODE, &p->access_log);
        if (st == ST_IO) {
            log_write(LOG_ERROR, "process", "cannot open the access log \"%.*s\"",
                      STR_ARG(server->access_log));
        }
    }
    if (st == ST_OK) {
        st = open_prompt_log(p);
    }
    if (st == ST_OK) {
        st = open_state(p);
    }
    if (st == ST_OK) {
        st = bind_budgets(p, p->snapshot);
    }
    if (st == ST_OK) {
        st = mark_revoked(p, p->snapshot);
    }
    if (st == ST_OK) {
        st = join_managed(p, p->snapshot);
    }
    if (st != ST_OK) {
        return st;
    }
    use(p, p->snapshot);
    return start_workers(p);
}

static bool is_same_state(const struct conf *old_conf, const struct conf *new_conf)
{
    const struct state_settings *old = &old_conf->state;
    const struct state_settings *new = &new_conf->state;
    return memcmp(&old_conf->routes.router.online, &new_conf->routes.router.online,
                  sizeof old_conf->routes.router.online) == 0 &&
           str_eq(old->path, new->path) && old->durability == new->durability &&
           old->interval_ms == new->interval_ms && old->queue == new->queue &&
           old->recent_bytes == new->recent_bytes;
}

/* Whether two loads of a block differ in what a listener keeps for life; the certificate is not. */
static bool is_same_tls(const struct tls_settings *old, const struct tls_settings *new)
{
    return (old->pair == NULL) == (new->pair == NULL) && old->min_version == new->min_version;
}

static bool is_same_texts(const struct key_texts *old, const struct key_texts *new)
{
    bool is_same = old->count == new->count;
    for (size_t i = 0; is_same && i < old->count; i++) {
        is_same = str_eq(old->items[i], new->items[i]);
    }
    return is_same;
}

/* What a reload cannot change is said, not ignored. */
static void warn_of_fixed(const struct conf_server *old, const struct conf_server *new)
{
    bool is_same =
        is_same_tls(&old->tls, &new->tls) && is_same_tls(&old->admin_tls, &new->admin_tls) &&
        str_eq(old->listen.text, new->listen.text) && str_eq(old->admin.text, new->admin.text) &&
        old->workers == new->workers &&memcmp(&old->limits, &new->limits, sizeof old->limits) ==
            0 &&
        is_same_texts(&old->trusted_proxies, &new->trusted_proxies) &&
        str_eq(old->access_log, new->access_log) &&
        old->half_close_is_gone == new->half_close_is_gone &&
        old->kernel_threads == new->kernel_threads && old->kernel_queue == new->kernel_queue &&
        old->kernel_cpus == new->kernel_cpus &&
        old->kernel_nice == new->kernel_nice &&str_eq(old->cgroup, new->cgroup);
    if (!is_same) {
        log_write(
            LOG_WARN, "process",
            "listen, admin, whether they speak TLS, workers, limits, trusted_proxies, access_log, half_close_is_gone, "
            "kernel_threads, "
            "kernel_queue, kernel_cpus, kernel_nice and cgroup change at the next start, not by a reload");
    }
}

struct refresh_job {
    struct state_job job;
    struct learner *learner;
};

static enum status refresh(struct state_job *job, struct db *db)
{
    return learner_refresh(CONTAINER_OF(job, struct refresh_job, job)->learner, db);
}

static void on_refreshed(struct state_job *job)
{
    mem_free(CONTAINER_OF(job, struct refresh_job, job));
}

/* A rollback by `expertd feedback` takes effect. */
static void refresh_learner(struct process *p)
{
    struct refresh_job *j = p->learner == NULL ? NULL : mem_zalloc(1, sizeof *j);
    if (j == NULL) {
        return; /* nothing to refresh; or no memory: the next feedback does it */
    }
    j->job.run = refresh;
    j->job.done = on_refreshed;
    j->learner = p->learner;
    if (state_submit(p->state, &j->job) != ST_OK) {
        mem_free(j);
    }
}

/* The listeners stay as they were at the start, whatever a new file says of them: so it must have keys
 * for what other machines reach. */
static enum status check_exposure(const struct process *p, const struct conf *fresh)
{
    bool is_open = p->is_exposed && fresh->tenants.list.count == 0;
    bool is_admin_open = p->is_admin_exposed && !fresh->server.admin_key.is_set;
    if (is_open || is_admin_open) {
        log_write(
            LOG_ERROR, "process",
            "the %s is reached from other machines until the next start: a reload cannot take "
            "away %s",
            is_open ? "listener" : "admin listener", is_open ? "all tenants" : "its key");
        return ST_INVALID;
    }
    return ST_OK;
}

/* Frees what is kept for names that configurations have not had for long. */
static void sweep(struct process *p)
{
    quotas_sweep(p->quotas);
    healths_sweep(p->healths);
    budgets_sweep(p->budgets);
}

static void reload(struct process *p)
{
    int64_t started_us = clock_now_us(clock_system());
    struct snapshot *fresh = NULL;
    enum status st = snapshot_load(p->conf_path, p->out, &fresh);
    if (st == ST_OK) {
        st = check_exposure(p, &fresh->conf);
    }
    if (st == ST_OK) {
        st = prepare(p, fresh);
    }
    if (st == ST_OK) {
        st = bind_budgets(p, fresh);
    }
    if (st == ST_OK) {
        st = mark_revoked(p, fresh);
    }
    if (st == ST_OK) {
        st = join_managed(p, fresh);
    }
    if (st == ST_OK) {
        use(p, fresh);
    }
    for (size_t i = 0; st == ST_OK && i < p->started; i++) {
        worker_switch(p->workers[i], fresh);
    }
    metrics_count_reload(p->metrics, st != ST_OK);
    if (st != ST_OK) {
        log_write(LOG_ERROR, "process", "reload failed (%s), the old configuration stays",
                  status_text(st));
        supervisor_tell(&p->supervisor,
                        "STATUS=serving; the last reload failed, the old configuration stays");
        if (fresh == NULL && sandbox_confines_files()) {
            log_write(LOG_INFO, "process",
                      "files outside the folders that were named at the start, and outside "
                      "server.sandbox_read, cannot be read");
        }
        snapshot_unref(fresh);
        return;
    }
    warn_of_fixed(&p->snapshot->conf.server, &fresh->conf.server);
    if (!is_same_state(&p->snapshot->conf, &fresh->conf)) {
        log_write(LOG_WARN, "process",
                  "state and router.online change at the next start, not by a reload: the running "
                  "server keeps its file");
    }
    if (!str_eq(p->snapshot->conf.privacy.prompt_log.path, fresh->conf.privacy.prompt_log.path)) {
        log_write(LOG_WARN, "process",
                  "privacy.prompt_log.path changes at the next start, not by a reload");
    }
    cache_limit(p->cache, (uint64_t)fresh->conf.cache.max_bytes);
    refresh_learner(p);
    snapshot_unref(p->snapshot);
    p->snapshot = fresh;
    sweep(p);
    supervisor_tell(&p->supervisor, "STATUS=serving");
    log_write(LOG_INFO, "process", "reloaded, generation %" PRIu64 ", in %" PRId64 " us",
              fresh->generation, clock_now_us(clock_system()) - started_us);
}

static void stop(struct process *p)
{
    for (size_t i = 0; i < p->started; i++) {
        worker_drain(p->workers[i], p->snapshot->conf.server.drain_ms);
    }
    for (size_t i = 0; i < p->started; i++) {
        worker_join(p->workers[i]);
    }
    mem_free(p->workers);
    managed_set_stop(p->managed);
    state_close(p->state);
    learner_destroy(p->learner);
    recent_destroy(p->recent);
    kernel_pool_destroy(p->kernels);
    access_log_close(p->access_log);
    access_log_close(p->prompt_log);
    drift_destroy(p->drift);
    sessions_destroy(p->sessions);
    prefetch_destroy(p->prefetch);
    snapshot_unref(p->snapshot);
    budgets_destroy(p->budgets);
    metrics_destroy(p->metrics);
    managed_set_destroy(p->managed);
    (void)kernel_pool_settle(KERNEL_END_MS); /* what does not end by then ends with the process */
    quotas_destroy(p->quotas);
    cache_destroy(p->cache);
    healths_destroy(p->healths);
    peers_destroy(p->peers);
}

/* Tells the watchdog that all workers take their turns. One that does not stays silent with us, and the
 * supervisor ends the process. */
static void pat_watchdog(struct process *p)
{
    bool is_alive = true;
    for (size_t i = 0; i < p->started; i++) {
        is_alive = worker_is_alive(p->workers[i]) && is_alive;
    }
    if (is_alive) {
        supervisor_tell(&p->supervisor, "WATCHDOG=1");
    }
}

/* The next signal; 0: it is time for the watchdog. */
static int wait_signal(const struct process *p, const sigset_t *signals)
{
    int64_t wait_ms = p->supervisor.watchdog_ms / 3; /* two may be missed */
    struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    for (;;) {
        int number = sigtimedwait(signals, NULL, wait_ms > 0 ? &wait : NULL);
        if (number > 0 || (number < 0 && errno == EAGAIN)) {
            return number > 0 ? number : 0;
        }
    }
}

static void wait_for_end(struct process *p, const sigset_t *signals)
{
    supervisor_tell(&p->supervisor, "READY=1\nSTATUS=serving");
    for (;;) {
        int number = wait_signal(p, signals);
        if (number == 0) {
            pat_watchdog(p);
        } else if (number == SIGHUP) {
            supervisor_tell_reloading(&p->supervisor);
            reload(p);
            supervisor_tell(&p->supervisor, "READY=1");
        } else {
            log_write(LOG_INFO, "process", "signal %d: draining", number);
            supervisor_tell(&p->supervisor, "STOPPING=1\nSTATUS=finishing running requests");
            return;
        }
    }
}

/* A broken connection or a file at its limit is an error of that connection, or file. */
static void ignore_signals(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL);
}

enum status process_open(const char *conf_path, FILE *out, struct process **ret_process)
{
    struct process *p = mem_zalloc(1, sizeof *p);
    if (p == NULL) {
        return ST_NO_MEMORY;
    }
    ignore_signals();
    p->conf_path = conf_path;
    p->out = out;
    p->supervisor = (struct supervisor){.socket = -1, .names = ""}; /* not ours to tell */
    enum status st = start(p);
    if (st != ST_OK) {
        process_close(p);
        return st;
    }
    *ret_process = p;
    return ST_OK;
}

uint16_t process_port(const struct process *p)
{
    return p->port;
}

void process_close(struct process *p)
{
    stop(p);
    mem_free(p);
}

int process_serve(const char *conf_path)
{
    struct process p = {.conf_path = conf_path, .out = stderr};
    sigset_t signals;
    supervisor_init(&p.supervisor);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGHUP);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &signals, NULL); /* before threads: they inherit it */
    ignore_signals();
    (void)mallopt(M_MMAP_THRESHOLD, MALLOC_KEEP_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, MALLOC_KEEP_BYTES);
    raise_descriptor_limit();
    cert_wipe_freed();
    cage_permit();

    enum status st = start(&p);
    if (st == ST_OK) {
        wait_for_end(&p, &signals);
    } else if (st == ST_NO_MEMORY) {
        log_write(LOG_ERROR, "process", "cannot start: %s", status_text(st));
    }
    stop(&p);
    if (st == ST_OK) {
        log_write(LOG_INFO, "process", "stopped");
    }
    return st == ST_OK ? 0 : 1;
}
