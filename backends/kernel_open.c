/* See kernel_open.h.
 *
 *   kernel_open                              a thread of the crew
 *   -----------                              --------------------
 *   check, load ------------ pool ---------> begin: create, self_test -> seat
 *   waits for the seats <--- changed -------   |
 *                                            jobs of kernel_call.c
 *   kernel_unref (the last, any thread) ---> end: destroy
 *                                            gone (the last thread): the memory goes */
#include "backends/kernel_open.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "backends/kernel_child.h"
#include "backends/kernel_file.h"
#include "backends/kernel_inside.h"
#include "backends/kernel_job.h"
#include "backends/kernel_options.h"
#include "backends/kernel_pool.h"
#include "backends/kernel_turn.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/log.h"
#include "base/mem.h"

enum {
    ARENA_BLOCK_BYTES = 4096,
    CONFIG_MAX_BYTES = 16 * 1024 * 1024,
    CHILD_SPARE_MS =
        30000, /* children keep load_ms themselves, and say more about it when they miss it */
};

enum isolation {
    ISOLATION_PROCESS,
    ISOLATION_INPROCESS,
};

static const char *const isolations[] = {"process", "inprocess", NULL};

struct file_options {
    struct str file;
    int isolation;
    const struct yaml_node *options;
    int64_t memory;
    int64_t instances;
    int64_t threads;
    int64_t queue;
    int64_t load_ms;
    int64_t grace_ms;
};

static enum status decode_options(struct key_reader *reader, const struct yaml_node *node,
                                  void *field)
{
    const struct yaml_node **options = field;
    if (node->kind != YAML_MAPPING) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"options\" must be a mapping");
    }
    *options = node;
    return ST_OK;
}

#define FIELD(member) offsetof(struct file_options, member)

static const struct key rows[] = {
    {.name = "file",
     .type = KEY_TEXT,
     .offset = FIELD(file),
     .is_required = true,
     .sentence = "absolute path of the shared object; it and its folder must belong to root or to "
                 "the running user, and nobody else may write them",
     .example = "/usr/lib/expertd/tiny.so"},
    {.name = "isolation",
     .type = KEY_CHOICE,
     .offset = FIELD(isolation),
     .fallback = "process",
     .choices = isolations,
     .sentence = "process: in a child that has no network, writes no file and may crash; "
                 "inprocess: in the gateway, which dies with it"},
    {.name = "options",
     .type = KEY_CUSTOM,
     .offset = FIELD(options),
     .sentence = "the kernel's own options",
     .example = "{path: /srv/models/tiny.bin}",
     .decode = decode_options,
     .custom_type = "object"},
    {.name = "memory",
     .type = KEY_BYTES,
     .offset = FIELD(memory),
     .min = 16777216,
     .max = -1,
     .fallback = "1GiB",
     .sentence = "ceiling of an instance's address space; with inprocess only told to the kernel",
     .example = "512MiB"},
    {.name = "instances",
     .type = KEY_INT,
     .offset = FIELD(instances),
     .min = 1,
     .max = 64,
     .fallback = "1",
     .sentence =
         "how many requests it works on at once, each with a thread (and a child) of its own"},
    {.name = "threads",
     .type = KEY_INT,
     .offset = FIELD(threads),
     .min = 0,
     .max = 256,
     .fallback = "1",
     .sentence = "threads that compute a request; requests of all kernels wait until so many of "
                 "server.kernel_cpus are free; 0: it answers at once and waits for none",
     .example = "2"},
    {.name = "queue",
     .type = KEY_INT,
     .offset = FIELD(queue),
     .min = 1,
     .max = 100000,
     .unit = "requests",
     .fallback = "64",
     .sentence = "requests that may wait for an instance"},
    {.name = "load_ms",
     .type = KEY_INT,
     .offset = FIELD(load_ms),
     .min = 100,
     .max = 3600000,
     .unit = "ms",
     .fallback = "30000",
     .sentence = "how long loading and the self-test may take"},
    {.name = "grace_ms",
     .type = KEY_INT,
     .offset = FIELD(grace_ms),
     .min = 100,
     .max = 3600000,
     .unit = "ms",
     .fallback = "10000",
     .sentence = "with inprocess: a call that has not returned so long after its deadline or its "
                 "client's leaving loses its turn to others, and until it returns there are no "
                 "further ones; a child is killed after five seconds"},
};

_Static_assert(KERNEL_GRACE_MS == 10000, "the fallback of grace_ms");

const struct keys kernel_file_keys = {"file", sizeof(struct file_options), rows,
                                      sizeof rows / sizeof rows[0],
                                      "a kernel from a shared object: kernel: {file: PATH, ...}"};

/* ---- the crew ---- */

struct seat { /* of one thread */
    struct ek_instance *instance;
    enum ek_status made; /* by create */
    enum ek_status tested;
    struct ek_error error;
};

struct kernel_crew {
    struct kernel kernel;
    struct kernel_pool *pool;
    struct ek_kernel abi;
    struct kernel_child_config config; /* `ek` is for all kernels, the rest for children */
    struct arena *arena;               /* owns what config points to */
    bool is_process;
    _Atomic uint32_t child_capabilities; /* as children say */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t ready; /* seats that are filled; under the lock, like the seats until then */
    size_t count;
    struct seat seats[];
};

struct ek_instance *kernel_crew_instance(const struct kernel_crew *crew, size_t thread)
{
    return crew->seats[thread].instance;
}

struct kernel_pool *kernel_crew_pool(const struct kernel_crew *crew)
{
    return crew->pool;
}

bool kernel_crew_is_child(const struct kernel_crew *crew)
{
    return crew->is_process;
}

uint32_t kernel_crew_capabilities(const struct kernel_crew *crew)
{
    return crew->abi.info()->capabilities | crew->child_capabilities;
}

void kernel_crew_release(struct kernel_crew *crew)
{
    kernel_pool_release(crew->pool);
}

static void begin(void *ctx, size_t thread)
{
    struct kernel_crew *crew = ctx;
    struct seat seat = {.error = {.size = sizeof seat.error, .retry_after_s = -1}};
    seat.made = crew->abi.create(&crew->config.ek, &seat.instance, &seat.error);
    if (seat.made == EK_OK && crew->abi.self_test != NULL) {
        seat.tested = crew->abi.self_test(seat.instance, &seat.error);
    }
    seat.error.message[sizeof seat.error.message - 1] = '\0';
    seat.error.option[sizeof seat.error.option - 1] = '\0';
    (void)pthread_mutex_lock(&crew->lock);
    crew->seats[thread] = seat;
    crew->ready++;
    (void)pthread_cond_broadcast(&crew->changed);
    (void)pthread_mutex_unlock(&crew->lock);
}

static void end(void *ctx, size_t thread)
{
    struct kernel_crew *crew = ctx;
    if (crew->seats[thread].made == EK_OK) {
        crew->abi.destroy(crew->seats[thread].instance);
    }
}

static void gone(void *ctx)
{
    struct kernel_crew *crew = ctx;
    arena_destroy(crew->arena);
    (void)pthread_cond_destroy(&crew->changed);
    (void)pthread_mutex_destroy(&crew->lock);
    mem_free(crew);
}

/* ---- what is lent to kernels in the process ---- */

static void on_log(struct ek_text line)
{
    log_write(LOG_DEBUG, "kernel", "%.*s", STR_ARG(kernel_str(line)));
}

static const struct ek_host services = {
    .size = sizeof services,
    .abi_major = EK_ABI_MAJOR,
    .abi_minor = EK_ABI_MINOR,
    .log = on_log,
    .now_ns = clock_now_ns,
};

/* ---- opening ---- */

struct opening { /* one kernel_open */
    struct key_reader *reader;
    const struct yaml_node *node;
    const struct yaml_node *file; /* where the path stands */
    struct file_options options;
    struct kernel_crew *crew;
};

static void complain(const struct opening *o, enum diag_severity severity,
                     const struct yaml_node *at, const char *why)
{
    diags_add(o->reader->diags, severity, at->file, at->pos, "kernel \"%.*s\": %s",
              STR_ARG(o->options.file), why);
}

/* The program that runs children: beside this one. */
static const char *find_program(struct arena *arena)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(self, '/');
    struct str folder = {self, slash != NULL ? (size_t)(slash - self) : 0};
    return arena_printf(arena, "%.*s/expertd-kernel-host", STR_ARG(folder)).ptr;
}

/* Copies what the crew needs of the configuration, which may go before it does. */
static enum status copy_config(struct opening *o, const char *program)
{
    struct kernel_crew *crew = o->crew;
    struct kernel_child_config *config = &crew->config;
    struct buf json;
    buf_init(&json, CONFIG_MAX_BYTES);
    enum status st = kernel_options_write(o->options.options, &json);
    struct str options = st == ST_OK ? arena_copy(crew->arena, buf_str(&json)) : STR("");
    struct str folder = arena_copy(crew->arena, o->reader->root);
    buf_fini(&json);
    config->file = arena_copy_z(crew->arena, o->options.file);
    config->program =
        program != NULL ? arena_copy_z(crew->arena, str_from(program)) : find_program(crew->arena);
    config->load_ms = o->options.load_ms;
    size_t most = kernel_turn_most();
    crew->kernel.threads = (size_t)o->options.threads < most ? (size_t)o->options.threads : most;
    bool is_inside = o->options.isolation == ISOLATION_INPROCESS; /* children are killed before */
    crew->kernel.grace_ms = is_inside ? o->options.grace_ms : KERNEL_GRACE_MS;
    config->ret_capabilities = &crew->child_capabilities;
    config->ek = (struct ek_config){
        .size = sizeof config->ek,
        .options = kernel_text(options),
        .folder = kernel_text(folder),
        .memory_bytes = (uint64_t)o->options.memory,
        .threads = crew->kernel.threads > 0 ? (uint32_t)crew->kernel.threads - 1 : 0};
    bool has_all = st == ST_OK && options.ptr != NULL && folder.ptr != NULL &&
                   config->file != NULL && config->program != NULL;
    return has_all ? ST_OK : ST_NO_MEMORY;
}

/* Checks the file and knows its functions. */
static enum status load(struct opening *o)
{
    struct kernel_crew *crew = o->crew;
    char why[KERNEL_WHY_BYTES];
    enum status st = ST_OK;
    crew->is_process = o->options.isolation == ISOLATION_PROCESS;
    if (crew->is_process) { /* the child loads it */
        crew->abi = kernel_child_abi;
        st = kernel_file_check(crew->config.file, why);
    } else {
        st = kernel_file_load(crew->config.file, &services, &crew->abi, why);
        st = st == ST_OK ? kernel_file_fits(&crew->abi, &crew->config.ek, why) : st;
    }
    if (st == ST_OK && crew->is_process && access(crew->config.program, X_OK) != 0) {
        (void)snprintf(why, sizeof why, "\"%.200s\" is not there to run it", crew->config.program);
        st = ST_INVALID;
    }
    if (st == ST_INVALID) {
        complain(o, DIAG_ERROR, o->file, why);
    }
    return st;
}

/* Waits for all seats. False: it took too long. */
static bool await_seats(struct kernel_crew *crew, int64_t ms)
{
    struct timespec until = clock_in_ms(ms);
    int error = 0;
    (void)pthread_mutex_lock(&crew->lock);
    while (crew->ready < crew->count && error != ETIMEDOUT) {
        error = pthread_cond_timedwait(&crew->changed, &crew->lock, &until);
    }
    bool is_ready = crew->ready == crew->count;
    (void)pthread_mutex_unlock(&crew->lock);
    return is_ready;
}

/* What the first seat that is not well says. */
static enum status judge_seats(const struct opening *o)
{
    for (size_t i = 0; i < o->crew->count; i++) {
        const struct seat *seat = &o->crew->seats[i];
        bool is_mild = seat->made == EK_OK && o->crew->is_process;
        if (seat->made == EK_OK && seat->tested == EK_OK) {
            continue;
        }
        const struct yaml_node *at =
            kernel_options_find(o->options.options != NULL ? o->options.options : o->file,
                                str_from(seat->error.option));
        complain(o, is_mild ? DIAG_WARNING : DIAG_ERROR,
                 seat->error.option[0] != '\0' ? at : o->file,
                 seat->error.message[0] != '\0' ? seat->error.message
                                                : "it does not say why it cannot start");
        return is_mild ? ST_OK : ST_INVALID;
    }
    return ST_OK;
}

/* Starts the threads. On failure the crew is gone, or goes by itself. */
static enum status man(struct opening *o)
{
    struct kernel_crew *crew = o->crew;
    bool is_gone = false;
    const struct kernel_pool_hooks hooks = {begin, end, gone, crew};
    crew->pool = kernel_pool_open(crew->count, (size_t)o->options.queue, &hooks, &is_gone);
    if (crew->pool == NULL) {
        if (!is_gone) {
            gone(crew);
        }
        return ST_NO_MEMORY;
    }
    int64_t spare_ms = crew->is_process ? CHILD_SPARE_MS : 0;
    enum status st = ST_INVALID;
    if (!await_seats(crew, o->options.load_ms + spare_ms)) {
        complain(o, DIAG_ERROR, o->file, "loading and its self-test took longer than load_ms");
    } else {
        st = judge_seats(o);
    }
    if (st != ST_OK) {
        kernel_pool_release(crew->pool);
    }
    return st;
}

static struct kernel_crew *create_crew(size_t count)
{
    struct kernel_crew *crew = mem_zalloc(1, sizeof *crew + count * sizeof crew->seats[0]);
    struct arena *arena = arena_create(ARENA_BLOCK_BYTES, CONFIG_MAX_BYTES * 2UL);
    if (crew == NULL || arena == NULL) {
        arena_destroy(arena);
        mem_free(crew);
        return NULL;
    }
    pthread_condattr_t monotonic; /* none of these can fail on Linux */
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&crew->lock, NULL);
    (void)pthread_cond_init(&crew->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    crew->arena = arena;
    crew->count = count;
    crew->kernel = (struct kernel){.abi = &crew->abi, .crew = crew, .users = 1};
    return crew;
}

enum status kernel_open(struct key_reader *reader, const struct yaml_node *node,
                        const char *program, struct kernel **ret_kernel)
{
    struct opening o = {.reader = reader, .node = node};
    enum status st = keys_decode(&kernel_file_keys, reader, node, &o.options);
    st = st == ST_OK ? keys_note_path(reader, o.options.file) : st;
    if (st == ST_OK && reader->trial != NULL) {
        *ret_kernel = NULL;
        return ST_OK;
    }
    if (st != ST_OK) {
        return st;
    }
    o.file = yaml_get(node, STR("file"));
    if (kernel_turn_exceeds((size_t)o.options.threads, o.options.instances)) {
        char why[KERNEL_WHY_BYTES];
        (void)snprintf(
            why, sizeof why,
            "%d instances of %d threads, and server.kernel_cpus lets %zu threads compute "
            "at a time: requests take turns",
            (int)o.options.instances, (int)o.options.threads, kernel_turn_most());
        complain(&o, DIAG_WARNING, o.file, why);
    }
    o.crew = create_crew((size_t)o.options.instances);
    if (o.crew == NULL) {
        return ST_NO_MEMORY;
    }
    st = copy_config(&o, program);
    st = st == ST_OK ? load(&o) : st;
    if (st != ST_OK) {
        gone(o.crew);
        return st;
    }
    st = man(&o);
    if (st == ST_OK) {
        *ret_kernel = &o.crew->kernel;
    }
    return st;
}
