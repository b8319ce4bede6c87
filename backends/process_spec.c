/* See process_spec.h. Owns the YAML blocks `experts.NAME.process` and `local`. */
#include "backends/process_spec.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/residency.h"
#include "base/mem.h"

enum {
    COMMAND_MAX_BYTES = 1024 * 1024,
    WORDS_MAX = 4096,
    HEALTH_MAX_BYTES = 256, /* with the rest of it a knock's request has to have room, */
    PATH_MAX_BYTES = 64,    /* and a url */
};

static enum status decode_env(struct key_reader *reader, const struct yaml_node *node, void *field)
{
    struct process_env *env = field;
    if (node->kind != YAML_MAPPING) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"env\" must be a mapping of names to text");
        return ST_OK;
    }
    env->names = arena_alloc(reader->arena, (node->count + 1) * sizeof *env->names);
    env->values = arena_alloc(reader->arena, (node->count + 1) * sizeof *env->values);
    if (env->names == NULL || env->values == NULL) {
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < node->count; i++) {
        struct str name = node->keys[i]->text;
        if (node->items[i]->kind != YAML_SCALAR || name.len == 0 ||
            str_find_char(name, '=') < name.len) {
            diags_add(reader->diags, DIAG_ERROR, node->file, node->keys[i]->pos,
                      "an environment variable must be a name and a text");
            continue;
        }
        env->names[env->count] = name;
        env->values[env->count++] = node->items[i]->text;
    }
    return ST_OK;
}

#define MS_ROW(member, least, most, value, text)                                                   \
    {                                                                                              \
        .name = #member, .type = KEY_INT, .offset = offsetof(struct process_spec, member),         \
        .min = (least), .max = (most), .unit = "ms", .fallback = (value), .sentence = (text)       \
    }

static const struct key limits_rows[] = {
    {.name = "memory",
     .type = KEY_BYTES,
     .offset = offsetof(struct process_limits, memory_bytes),
     .min = 0,
     .max = -1,
     .fallback = "0",
     .sentence = "memory, with the files that it has mapped; one that takes more is killed; 0: no "
                 "limit",
     .example = "7GiB"},
    {.name = "cpus",
     .type = KEY_REAL,
     .offset = offsetof(struct process_limits, cpus),
     .min = 0,
     .max = 1024,
     .fallback = "0",
     .sentence = "processor time, as so many cores'; one that wants more waits; 0: no limit",
     .example = "2.5"},
    {.name = "pids",
     .type = KEY_INT,
     .offset = offsetof(struct process_limits, pids),
     .min = 0,
     .max = 4194304,
     .fallback = "0",
     .sentence = "processes and threads; one that wants more gets an error; 0: no limit",
     .example = "256"},
    {.name = "required",
     .type = KEY_BOOL,
     .offset = offsetof(struct process_limits, required),
     .fallback = "false",
     .sentence = "the gateway does not start where these limits do not hold; false: it warns"},
};

static const struct keys limits_keys = {
    "limits", sizeof(struct process_limits), limits_rows,
    sizeof limits_rows / sizeof limits_rows[0],
    "What a process and all that it starts may take; needs control groups (server.cgroup)."};

static const struct key process_rows[] = {
    {.name = "argv",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct process_spec, argv),
     .is_required = true,
     .sentence =
         "the program and its arguments, run without a shell; ${PORT} becomes a free port on "
         "127.0.0.1, ${SOCKET} the path of a socket file: it must listen there; ${THREADS}: see threads",
     .example = "[llama-server, --model, m.gguf, --port, \"${PORT}\"]"},
    {.name = "health",
     .type = KEY_TEXT,
     .offset = offsetof(struct process_spec, health),
     .fallback = "/health",
     .sentence =
         "path that answers 2xx once the model is loaded; asked while it starts, and when a "
         "request to it failed"},
    {.name = "path",
     .type = KEY_TEXT,
     .offset = offsetof(struct process_spec, path),
     .fallback = "/v1",
     .sentence = "root of its API; /chat/completions or /embeddings is added to it"},
    {.name = "memory",
     .type = KEY_BYTES,
     .offset = offsetof(struct process_spec, memory_bytes),
     .min = 0,
     .max = -1,
     .fallback = "0",
     .sentence = "what it takes in memory; corrected upwards by what is measured",
     .example = "6GiB"},
    {.name = "ttl_s",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, ttl_s),
     .min = 0,
     .max = 31536000,
     .unit = "s",
     .fallback = "0",
     .sentence = "stopped so long after its last request ended; 0: never for that",
     .example = "600"},
    {.name = "min_resident_s",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, min_resident_s),
     .min = 0,
     .max = 86400,
     .unit = "s",
     .fallback = "0",
     .sentence = "not stopped for another expert before it has been ready so long",
     .example = "30"},
    {.name = "pin",
     .type = KEY_BOOL,
     .offset = offsetof(struct process_spec, pin),
     .fallback = "false",
     .sentence = "once loaded it stays: neither idle time nor other experts stop it"},
    {.name = "preload",
     .type = KEY_BOOL,
     .offset = offsetof(struct process_spec, preload),
     .fallback = "false",
     .sentence = "loaded at the start, where memory is free"},
    {.name = "group",
     .type = KEY_TEXT,
     .offset = offsetof(struct process_spec, group),
     .sentence = "a group of local.groups; its members share a rule",
     .example = "large"},
    MS_ROW(start_ms, 1, 86400000, "60000", "it must be healthy so long after its start"),
    MS_ROW(stop_ms, 0, 3600000, "10000", "time between SIGTERM and SIGKILL"),
    MS_ROW(wait_ms, 1, 86400000, "120000", "the longest wait of a request for it to be ready"),
    {.name = "queue",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, queue),
     .min = 1,
     .max = 100000,
     .fallback = "64",
     .sentence = "requests that may wait for it to be ready; more are refused with 503"},
    {.name = "env",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct process_spec, env),
     .sentence = "its environment, besides PATH, HOME, LANG, TZ and TMPDIR",
     .example = "{CUDA_VISIBLE_DEVICES: \"0\"}",
     .decode = decode_env,
     .custom_type = "object"},
    {.name = "cwd",
     .type = KEY_PATH,
     .offset = offsetof(struct process_spec, cwd),
     .sentence = "folder that it starts in"},
    {.name = "log",
     .type = KEY_PATH,
     .offset = offsetof(struct process_spec, log),
     .sentence = "file that its output is appended to; absent: the last of it is kept in memory"},
    {.name = "threads",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, threads),
     .min = 0,
     .max = 1024,
     .fallback = "0",
     .sentence = "threads that it is told to compute with: ${THREADS} in argv and env, "
                 "OMP_NUM_THREADS and its kin; at most, and with 0, server.kernel_cpus",
     .example = "4"},
    {.name = "limits",
     .type = KEY_BLOCK,
     .offset = offsetof(struct process_spec, limits),
     .sentence = "what it and all that it starts may take",
     .block = &limits_keys},
    {.name = "nice",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, nice),
     .min = 0,
     .max = 19,
     .fallback = "0",
     .sentence = "how much it yields to other processes"},
    {.name = "uid",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, uid),
     .min = -1,
     .max = 2147483647,
     .fallback = "-1",
     .sentence = "user that it runs as, with gid; needs a gateway that may change users; -1: the "
                 "gateway's"},
    {.name = "gid",
     .type = KEY_INT,
     .offset = offsetof(struct process_spec, gid),
     .min = -1,
     .max = 2147483647,
     .fallback = "-1",
     .sentence = "group that it runs as, with uid"},
};

const struct keys process_keys = {"process", sizeof(struct process_spec), process_rows,
                                  sizeof process_rows / sizeof process_rows[0],
                                  "A model server that the gateway starts and stops."};

#define GROUP_ROW(member, text)                                                                    \
    {                                                                                              \
        .name = #member, .type = KEY_BOOL, .offset = offsetof(struct local_group, member),         \
        .fallback = "false", .sentence = (text)                                                    \
    }

static const struct key group_rows[] = {
    GROUP_ROW(swap, "one member is loaded at a time"),
    GROUP_ROW(exclusive, "a member that loads has all other groups unloaded"),
    GROUP_ROW(persistent, "its members are never unloaded for others"),
};

static const struct keys group_keys = {"group", sizeof(struct local_group), group_rows, 3,
                                       "Experts that share a rule."};

static const struct key prefetch_rows[] = {
    {.name = "min_probability",
     .type = KEY_REAL,
     .offset = offsetof(struct local_prefetch, min_probability),
     .min = 0,
     .max = 1,
     .fallback = "0",
     .sentence = "how likely a category must be, by what followed in conversations so far, for its "
                 "best expert to be loaded before it is asked for; 0: nothing is loaded on a guess",
     .example = "0.5"},
};

static const struct keys prefetch_keys = {"prefetch", sizeof(struct local_prefetch), prefetch_rows,
                                          1, "What is loaded before it is asked for."};

static const struct key local_rows[] = {
    {.name = "memory",
     .type = KEY_BYTES,
     .offset = offsetof(struct local_settings, memory_bytes),
     .min = 0,
     .max = -1,
     .fallback = "0",
     .sentence = "memory for all managed processes together; 0: no bound",
     .example = "16GiB"},
    {.name = "starve_ms",
     .type = KEY_INT,
     .offset = offsetof(struct local_settings, starve_ms),
     .min = 0,
     .max = 3600000,
     .unit = "ms",
     .fallback = "30000",
     .sentence =
         "so long a request waits at most for experts that are in use to make room; then one "
         "of them takes no more requests until it has gone"},
    {.name = "patience",
     .type = KEY_REAL,
     .offset = offsetof(struct local_settings, patience),
     .min = 0,
     .max = 100,
     .fallback = "4",
     .sentence =
         "how much requests for an expert that is not loaded gather before one in use goes, "
         "in loads of that one: higher, loads are fewer and waits longer; 0: at once"},
    {.name = "evict",
     .type = KEY_CHOICE,
     .offset = offsetof(struct local_settings, evict),
     .fallback = "value",
     .choices = residency_orders,
     .sentence = "who leaves first: value, the one that is missed least for the memory that it "
                 "takes; lru, the one that was used longest ago"},
    {.name = "prefetch",
     .type = KEY_BLOCK,
     .offset = offsetof(struct local_settings, prefetch),
     .sentence = "loads the expert that is likely next in a conversation, where memory is free",
     .block = &prefetch_keys},
    {.name = "groups",
     .type = KEY_MAP,
     .offset = offsetof(struct local_settings, groups),
     .sentence = "groups of managed experts, by name",
     .block = &group_keys},
};

const struct keys local_keys = {"local", sizeof(struct local_settings), local_rows,
                                sizeof local_rows / sizeof local_rows[0],
                                "What managed processes may take together."};

/* ---------------------------------------------------------------- checks */

static bool contains(const struct process_spec *spec, struct str place)
{
    for (size_t i = 0; i < spec->argv.count; i++) {
        if (str_find(spec->argv.items[i], place) < spec->argv.items[i].len) {
            return true;
        }
    }
    for (size_t i = 0; i < spec->env.count; i++) {
        if (str_find(spec->env.values[i], place) < spec->env.values[i].len) {
            return true;
        }
    }
    return false;
}

bool process_spec_uses_socket(const struct process_spec *spec)
{
    return contains(spec, STR("${SOCKET}"));
}

static bool has_group(const struct local_settings *local, struct str name)
{
    const struct local_group *groups = local->groups.items;
    for (size_t i = 0; i < local->groups.count; i++) {
        if (str_eq(groups[i].id.name, name)) {
            return true;
        }
    }
    return name.len == 0;
}

static bool is_path(struct str path)
{
    bool is_good = str_starts_with(path, STR("/"));
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.ptr[i];
        is_good = is_good && c > 0x20 && c < 0x7f;
    }
    return is_good;
}

enum status process_spec_check(const struct process_spec *spec, const struct key_id *expert,
                               const struct local_settings *local, struct key_reader *reader,
                               struct str file)
{
    bool has_port = contains(spec, STR("${PORT}"));
    bool has_socket = process_spec_uses_socket(spec);

    const struct {
        bool is_wrong;
        const char *message;
    } rules[] = {
        {spec->argv.items[0].len == 0, "an empty program name"},
        {spec->argv.count > WORDS_MAX, "too many arguments"},
        {has_port == has_socket,
         "a command that says neither or both of ${PORT} and ${SOCKET}: it must be told where to "
         "listen"},
        {!is_path(spec->health),
         "a health path that does not start with \"/\", or has blanks or other than ASCII characters in it"},
        {spec->path.len > 0 && !is_path(spec->path),
         "an API path that does not start with \"/\", or has blanks or other than ASCII characters in it"},
        {spec->health.len > HEALTH_MAX_BYTES, "a health path of more than 256 bytes"},
        {spec->path.len > PATH_MAX_BYTES, "an API path of more than 64 bytes"},
        {!has_group(local, spec->group), "a group that is not in local.groups"},
        {local->memory_bytes > 0 && spec->memory_bytes == 0,
         "no \"memory\", which local.memory needs to know"},
        {local->memory_bytes > 0 && spec->memory_bytes > local->memory_bytes,
         "more \"memory\" than local.memory allows"},
        {(spec->uid < 0) != (spec->gid < 0), "only one of \"uid\" and \"gid\""},
    };

    enum status st = ST_OK;
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        if (rules[i].is_wrong) {
            diags_add(reader->diags, DIAG_ERROR, file, expert->pos,
                      "the process of expert \"%.*s\" has %s", STR_ARG(expert->name),
                      rules[i].message);
            st = ST_INVALID;
        }
    }
    return st;
}

/* ---------------------------------------------------------------- commands */

struct filling { /* what stands where */
    const struct process_place *place;
    int64_t threads;
};

/* Appends text with its places filled in, and a NUL. */
static enum status write_word(struct buf *out, struct str text, const struct filling *f)
{
    enum status st = ST_OK;
    while (st == ST_OK && text.len > 0) {
        size_t skip = 1;
        if (str_starts_with(text, STR("${PORT}"))) {
            st = buf_printf(out, "%u", f->place->port);
            skip = strlen("${PORT}");
        } else if (str_starts_with(text, STR("${SOCKET}"))) {
            st = buf_append(out, str_from(f->place->socket));
            skip = strlen("${SOCKET}");
        } else if (str_starts_with(text, STR("${THREADS}"))) {
            st = buf_printf(out, "%" PRId64, f->threads);
            skip = strlen("${THREADS}");
        } else {
            st = buf_append_char(out, text.ptr[0]);
        }
        text = str_slice(text, skip, text.len);
    }
    return st == ST_OK ? buf_append_char(out, '\0') : st;
}

static bool is_set(const struct process_spec *spec, struct str name)
{
    for (size_t i = 0; i < spec->env.count; i++) {
        if (str_eq(spec->env.names[i], name)) {
            return true;
        }
    }
    return false;
}

/* Appends NAME=value and a NUL, unless the operator sets it. */
static enum status write_variable(struct buf *out, const struct process_spec *spec,
                                  const char *name, struct str value, size_t *count)
{
    if (value.len == 0 || is_set(spec, str_from(name))) {
        return ST_OK;
    }
    (*count)++;
    enum status st = buf_printf(out, "%s=%.*s", name, STR_ARG(value));
    return st == ST_OK ? buf_append_char(out, '\0') : st;
}

static enum status write_env(struct buf *out, const struct process_spec *spec,
                             const struct filling *f, size_t *count)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < spec->env.count; i++) {
        st = buf_printf(out, "%.*s=", STR_ARG(spec->env.names[i]));
        if (st == ST_OK) {
            st = write_word(out, spec->env.values[i], f);
        }
        (*count)++;
    }
    return st;
}

static enum status write_own_env(struct buf *out, const struct process_spec *spec, int64_t cpus,
                                 struct str token, size_t *count)
{
    static const char *const inherited[] = {"PATH", "HOME", "LANG", "TZ", "TMPDIR"};
    static const char *const pools[] = {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS",
                                        "MKL_NUM_THREADS", "LLAMA_ARG_THREADS"};
    char number[24] = "";
    enum status st = write_variable(out, spec, "EXPERTD_CHILD", token, count);
    for (size_t i = 0; st == ST_OK && i < sizeof inherited / sizeof inherited[0]; i++) {
        /* The environment is only read by this program. NOLINTNEXTLINE(concurrency-mt-unsafe) */
        st = write_variable(out, spec, inherited[i], str_from(getenv(inherited[i])), count);
    }
    if (st == ST_OK) {
        st = write_variable(out, spec, "OMP_WAIT_POLICY", STR("passive"), count);
    }
    if (cpus > 0) {
        (void)snprintf(number, sizeof number, "%" PRId64, cpus);
    }
    for (size_t i = 0; st == ST_OK && i < sizeof pools / sizeof pools[0]; i++) {
        st = write_variable(out, spec, pools[i], str_from(number), count);
    }
    return st;
}

enum status process_spec_command(const struct process_spec *spec, const struct process_place *place,
                                 int64_t cpus, struct str token,
                                 struct process_command *ret_command)
{
    struct buf words;
    size_t vars = 0;
    enum status st = ST_OK;
    bool has_own = spec->threads > 0 && (cpus == 0 || spec->threads < cpus);
    const struct filling f = {place, has_own ? spec->threads : cpus};
    buf_init(&words, COMMAND_MAX_BYTES);
    for (size_t i = 0; st == ST_OK && i < spec->argv.count; i++) {
        st = write_word(&words, spec->argv.items[i], &f);
    }
    if (st == ST_OK) {
        st = write_env(&words, spec, &f, &vars);
    }
    if (st == ST_OK) {
        st = write_own_env(&words, spec, f.threads, token, &vars);
    }
    size_t pointers = spec->argv.count + vars + 2;
    char *block = st == ST_OK ? mem_alloc(pointers * sizeof(char *) + words.len) : NULL;
    if (block != NULL) {
        const char **list = (const char **)(void *)block;
        char *text = block + pointers * sizeof(char *);
        memcpy(text, buf_str(&words).ptr, words.len);
        for (size_t i = 0; i < pointers; i++) {
            bool is_end = i == spec->argv.count || i == pointers - 1;
            list[i] = is_end ? NULL : text;
            text += is_end ? 0 : strlen(text) + 1;
        }
        *ret_command = (struct process_command){list, list + spec->argv.count + 1};
    }
    buf_fini(&words);
    return block == NULL ? ST_NO_MEMORY : ST_OK;
}

static uint64_t mix(uint64_t hash, struct str text)
{
    return (hash ^ str_hash(text)) * 0x9e3779b97f4a7c15U + text.len;
}

struct cgroup_limits process_spec_limits(const struct process_spec *spec)
{
    return (struct cgroup_limits){.memory_bytes = spec->limits.memory_bytes,
                                  .cpus = spec->limits.cpus,
                                  .pids = spec->limits.pids};
}

uint64_t process_spec_hash(const struct process_spec *spec)
{
    uint64_t hash = mix(mix(mix(mix(1, spec->health), spec->path), spec->cwd), spec->log);
    for (size_t i = 0; i < spec->argv.count; i++) {
        hash = mix(hash, spec->argv.items[i]);
    }
    for (size_t i = 0; i < spec->env.count; i++) {
        hash = mix(mix(hash, spec->env.names[i]), spec->env.values[i]);
    }
    const int64_t numbers[] = {spec->threads,
                               spec->nice,
                               spec->uid,
                               spec->gid,
                               spec->limits.memory_bytes,
                               (int64_t)(spec->limits.cpus * 1000),
                               spec->limits.pids};
    return mix(hash, (struct str){(const char *)numbers, sizeof numbers});
}
