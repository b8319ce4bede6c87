/* See snapshot.h. Parse, validate, build, prove, test: five passes, each only after the one before. */
#include "gateway/snapshot.h"

#include <stdatomic.h>

#include "backends/cage.h"
#include "backends/kernel_pool.h"
#include "backends/kernel_turn.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/mem.h"
#include "gateway/snapshot_fence.h"
#include "router/prove.h"

enum {
    ARENA_BLOCK_BYTES = 64 * 1024,
    ARENA_MAX_BYTES = 256 * 1024 * 1024,
};

struct snapshot_box {
    struct snapshot snapshot;
    atomic_size_t refs; /* any thread; the last one destroys */
    struct arena *arena;
};

static struct snapshot_box *box_of(struct snapshot *s)
{
    return CONTAINER_OF(s, struct snapshot_box, snapshot);
}

static void release_slots(const struct snapshot *s)
{
    const struct routes *routes = &s->conf.routes;
    for (size_t i = 0; s->category_slots != NULL && i < routes->categories.count; i++) {
        metrics_release(s->metrics, METRICS_CATEGORY, s->category_slots[i]);
    }
    for (size_t i = 0; s->expert_slots != NULL && i < routes->experts.count; i++) {
        metrics_release(s->metrics, METRICS_EXPERT, s->expert_slots[i]);
    }
    for (size_t i = 0; s->language_slots != NULL && i < language_count(routes->languages); i++) {
        metrics_release(s->metrics, METRICS_LANGUAGE, s->language_slots[i]);
    }
}

/* What the process keeps by name may be given to others. */
static void release_names(struct snapshot *s)
{
    const struct tenant *tenants = s->conf.tenants.list.items;
    release_slots(s);
    for (size_t i = 0; i < s->conf.tenants.list.count; i++) {
        if (tenants[i].quota != NULL) {
            quotas_put(tenants[i].quota);
        }
    }
    if (s->health != NULL) {
        healths_leave(s->health, s->conf.routes.experts.count);
    }
    budgets_unbind(&s->conf.budgets);
}

static void destroy(struct snapshot_box *box)
{
    release_names(&box->snapshot);
    conf_fini(&box->snapshot.conf);
    tenants_fini(&box->snapshot.conf.tenants);
    privacy_fini(&box->snapshot.conf.privacy);
    routes_fini(&box->snapshot.conf.routes);
    arena_wipe(box->arena); /* keys of experts, and the file with what it may hold */
    arena_destroy(box->arena);
    mem_free(box);
}

/* What single experts cannot know: groups and memory of all. */
static enum status check_processes(const struct conf *conf, struct key_reader *reader,
                                   struct str file)
{
    const struct expert *experts = conf->routes.experts.items;
    enum status st = ST_OK;
    for (size_t i = 0; i < conf->routes.experts.count; i++) {
        if (expert_is_managed(&experts[i]) &&
            process_spec_check(&experts[i].process_spec, &experts[i].id, &conf->local, reader,
                               file) != ST_OK) {
            st = ST_INVALID;
        }
    }
    return st;
}

static struct snapshot_time time_now(void)
{
    return (struct snapshot_time){clock_now_us(clock_system()), clock_thread_cpu_us()};
}

/* The time since the last pass is this one's. */
static void lap(struct snapshot_box *box, enum snapshot_pass pass, struct snapshot_time *since)
{
    struct snapshot_time now = time_now();
    box->snapshot.took[pass] =
        (struct snapshot_time){now.wall_us - since->wall_us, now.cpu_us - since->cpu_us};
    *since = now;
}

static enum status check(struct conf *conf, struct key_reader *reader, const struct yaml_node *root)
{
    enum status st = keys_decode(conf_keys(), reader, root, conf);
    if (st == ST_OK) {
        st = budgets_add_tenants(&conf->budgets, &conf->tenants, reader);
    }
    return st == ST_OK ? conf_check(conf, reader, root) : st;
}

static enum status connect(struct conf *conf, struct key_reader *reader,
                           const struct yaml_node *root)
{
    enum status st = reader->trial == NULL ? conf_load(conf, reader, root) : ST_OK;
    if (st == ST_OK && reader->trial == NULL) {
        const struct conf_server *server = &conf->server;
        cage_rule(server->cgroup);
        kernel_pool_rule(&(struct kernel_pool_rule){
            conf_kernel_cpus(server), server->kernel_cpus > 0, (int)server->kernel_nice});
        kernel_turn_limit(conf_kernel_turns(server));
    }
    if (st == ST_OK) {
        st = routes_build(&conf->routes, reader, root->file);
    }
    if (st == ST_OK) {
        st = check_processes(conf, reader, root->file);
    }
    if (st == ST_OK) {
        st = tenants_build(&conf->tenants, &conf->routes, reader, root->file);
    }
    if (st == ST_OK) {
        st = budgets_check(&conf->budgets, &conf->routes, &conf->tenants, reader, root->file);
    }
    if (st == ST_OK) {
        budgets_advise(&conf->budgets, &conf->routes, &conf->tenants, reader, root->file);
    }
    if (st == ST_OK) {
        st = privacy_build(&conf->privacy, &conf->routes, &conf->tenants, reader, root->file);
    }
    return st;
}

static enum status prove_all(struct conf *conf, struct key_reader *reader,
                             const struct yaml_node *root)
{
    enum status st = routes_prove(&conf->routes, reader, root->file);
    if (st == ST_OK) {
        conf->routes.redaction = privacy_redaction;
        conf->routes.redaction_ctx = &conf->privacy;
        prove_redaction(&conf->routes, reader, root->file);
        st = diags_has_errors(reader->diags) ? ST_INVALID : ST_OK;
    }
    return st;
}

/* trial: NULL for one that is to be served. */
static enum status build(struct snapshot_box *box, struct str text, struct diags *diags,
                         const struct key_trial *trial)
{
    struct yaml_node *root = NULL;
    struct conf *conf = &box->snapshot.conf;
    struct str file = box->snapshot.file;
    struct key_reader reader = {box->arena, diags, STR("."), &conf->files, trial};
    struct snapshot_time since = time_now();
    digest_of(text, &box->snapshot.digest);
    enum status st = yaml_parse(text, file, box->arena, diags, &root);
    lap(box, SNAPSHOT_PARSE, &since);
    if (st == ST_OK) {
        st = check(conf, &reader, root);
        lap(box, SNAPSHOT_CHECK, &since);
    }
    if (st == ST_OK) {
        st = connect(conf, &reader, root);
        lap(box, SNAPSHOT_BUILD, &since);
    }
    if (st == ST_OK) {
        st = prove_all(conf, &reader, root);
        lap(box, SNAPSHOT_PROVE, &since);
    }
    if (st == ST_OK) {
        st = routes_run_tests(&conf->routes, &reader, root->file);
        lap(box, SNAPSHOT_TEST, &since);
    }
    return st;
}

static enum status create(struct str file, struct snapshot_box **ret_box)
{
    struct snapshot_box *box = mem_zalloc(1, sizeof *box);
    if (box == NULL) {
        return ST_NO_MEMORY;
    }
    atomic_init(&box->refs, 1);
    box->arena = arena_create(ARENA_BLOCK_BYTES, ARENA_MAX_BYTES);
    box->snapshot.file = box->arena == NULL ? STR("") : arena_copy(box->arena, file);
    if (box->snapshot.file.ptr == NULL || box->arena == NULL) {
        arena_destroy(box->arena);
        mem_free(box);
        return ST_NO_MEMORY;
    }
    *ret_box = box;
    return ST_OK;
}

/* Where a configuration comes from, and what for. */
struct source {
    struct str file;
    const struct str *text;        /* NULL: the file's */
    const struct key_trial *trial; /* NULL: it is to be served */
};

static enum status make(const struct source *source, FILE *out, struct snapshot **ret_snapshot)
{
    struct snapshot_box *box = NULL;
    struct diags diags;
    struct str text = source->text != NULL ? *source->text : STR("");
    enum status st = create(source->file, &box);
    if (st != ST_OK) {
        return st;
    }
    diags_init(&diags, box->arena);
    if (source->text == NULL) {
        st = yaml_read(source->file.ptr, box->arena, &diags, &text);
    }
    if (st == ST_OK) {
        st = build(box, text, &diags, source->trial);
    }
    diags_print(&diags, out);
    if (st != ST_OK) {
        destroy(box);
        return st;
    }
    *ret_snapshot = &box->snapshot;
    return ST_OK;
}

enum status snapshot_load(const char *path, FILE *out, struct snapshot **ret_snapshot)
{
    /* Written by the one thread that loads. */
    static uint64_t generations;

    const struct source source = {.file = str_from(path)};
    enum status st = make(&source, out, ret_snapshot);
    if (st == ST_OK) {
        (*ret_snapshot)->generation = ++generations;
    }
    return st;
}

enum status snapshot_try(struct str text, struct str file, const struct snapshot *running,
                         FILE *out, struct snapshot **ret_snapshot)
{
    const struct key_trial trial = {running == NULL ? NULL : snapshot_fence_admits, running};
    const struct source source = {file, &text, &trial};
    return make(&source, out, ret_snapshot);
}

enum status snapshot_try_file(const char *path, const struct snapshot *running, FILE *out,
                              struct snapshot **ret_snapshot)
{
    const struct key_trial trial = {running == NULL ? NULL : snapshot_fence_admits, running};
    const struct source source = {str_from(path), NULL, &trial};
    return make(&source, out, ret_snapshot);
}

enum status snapshot_count(struct snapshot *s, struct metrics *m)
{
    const struct routes *routes = &s->conf.routes;
    const struct category *categories = routes->categories.items;
    const struct expert *experts = routes->experts.items;
    size_t languages = routes->languages == NULL ? 0 : language_count(routes->languages);
    unsigned char *slots = arena_alloc(box_of(s)->arena, routes->categories.count +
                                                             routes->experts.count + languages + 1);
    if (slots == NULL) {
        return ST_NO_MEMORY;
    }
    s->metrics = m;
    s->category_slots = slots;
    s->expert_slots = slots + routes->categories.count;
    s->language_slots = languages == 0 ? NULL : s->expert_slots + routes->experts.count;
    for (size_t i = 0; i < routes->categories.count; i++) {
        s->category_slots[i] = metrics_hold(m, METRICS_CATEGORY, categories[i].id.name);
    }
    for (size_t i = 0; i < routes->experts.count; i++) {
        s->expert_slots[i] = metrics_hold(m, METRICS_EXPERT, experts[i].id.name);
    }
    for (size_t i = 0; i < languages; i++) {
        s->language_slots[i] =
            metrics_hold(m, METRICS_LANGUAGE, language_code(routes->languages, i));
    }
    return ST_OK;
}

enum status snapshot_join(struct snapshot *s, struct quotas *quotas, struct healths *healths)
{
    struct tenant *tenants = s->conf.tenants.list.items;
    for (size_t i = 0; i < s->conf.tenants.list.count; i++) {
        tenants[i].quota = quotas_get(quotas, tenants[i].name);
        if (tenants[i].quota == NULL) {
            return ST_NO_MEMORY;
        }
    }
    const struct key_array *experts = &s->conf.routes.experts;
    s->health = arena_alloc(box_of(s)->arena, (experts->count + 1) * sizeof(struct health *));
    return s->health == NULL ? ST_NO_MEMORY
                             : healths_join(healths, experts->items, experts->count, s->health);
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    (void)atomic_fetch_add_explicit(&box_of(s)->refs, 1, memory_order_relaxed); /* as shared_ptr */
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (s != NULL && atomic_fetch_sub(&box_of(s)->refs, 1) == 1) {
        destroy(box_of(s));
    }
}
