/* How a managed expert is run: the YAML blocks `experts.NAME.process` and `local`, and what they become
 * when the process is started. No I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/cgroup.h"
#include "base/keys.h"
#include "base/status.h"
#include "base/str.h"

struct process_env { /* in the order of the file */
    struct str *names;
    struct str *values;
    size_t count;
};

struct process_limits { /* `process.limits`; 0: none */
    int64_t memory_bytes;
    double cpus;
    int64_t pids;
    bool required; /* no start where one of them does not hold */
};

struct process_spec {       /* decoded; lives in its snapshot */
    struct key_texts argv;  /* none: the expert is not managed */
    struct str health;      /* path that answers 2xx once it can serve */
    struct str path;        /* root of its API: /v1 */
    struct process_env env; /* besides a few safe variables of ours */
    struct str cwd;
    struct str log;   /* file for its output; "": kept in memory only */
    struct str group; /* a name in local.groups, or "" */
    int64_t memory_bytes;
    int64_t ttl_s;
    int64_t min_resident_s;
    int64_t start_ms;
    int64_t stop_ms;
    int64_t queue;
    int64_t wait_ms;
    int64_t threads; /* 0: as many as all may have */
    int64_t nice;
    int64_t uid; /* -1: ours */
    int64_t gid;
    struct process_limits limits;
    bool pin;
    bool preload;
};

struct local_group {
    struct key_id id;
    bool swap;
    bool exclusive;
    bool persistent;
};

struct local_prefetch {
    double min_probability; /* 0: off */
};

struct local_settings {   /* `local` */
    int64_t memory_bytes; /* 0: no bound */
    int64_t starve_ms;
    double patience;
    int evict; /* enum residency_order */
    struct local_prefetch prefetch;
    struct key_array groups; /* struct local_group */
};

extern const struct keys process_keys;
extern const struct keys local_keys;

/* Where a started process is reached, and what it is told besides. */
struct process_place {
    unsigned port;   /* 0: by the socket */
    char socket[96]; /* path, or "" */
};

/* Whether it is reached through a socket file: ${SOCKET} stands somewhere. */
bool process_spec_uses_socket(const struct process_spec *spec);

/* Checks one expert's block against the local one: mistakes go to reader->diags as ST_INVALID. */
MUST_CHECK enum status process_spec_check(const struct process_spec *spec,
                                          const struct key_id *expert,
                                          const struct local_settings *local,
                                          struct key_reader *reader, struct str file);

/* A command as execve wants it; one block of memory, freed with mem_free(command->argv). */
struct process_command {
    const char **argv;
    const char **env;
};

/* Fills in ${PORT}, ${SOCKET} and ${THREADS} (`cpus`, or fewer if the operator says so). The environment is PATH, HOME, LANG, TZ and TMPDIR of ours, no more:
 * keys of experts stand there too; limits for thread pools by the same number, passive waiting for OpenMP (a
 * spin barrier on a busy machine is hundreds of times slower), `token` as EXPERTD_CHILD, and the
 * operator's own, which win. ST_NO_MEMORY. */
MUST_CHECK enum status process_spec_command(const struct process_spec *spec,
                                            const struct process_place *place, int64_t cpus,
                                            struct str token, struct process_command *ret_command);

/* Its limits, as a control group has them. */
struct cgroup_limits process_spec_limits(const struct process_spec *spec);

/* Equal for two that would run the same process; scheduling (memory, ttl, queue, ...) does not count. */
uint64_t process_spec_hash(const struct process_spec *spec);
