/* The configuration file: the `server`, `state`, `budgets` and `tenants` blocks and the routing
 * tables, as one root table of keys. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "backends/process_spec.h"
#include "base/keys.h"
#include "gateway/api_key.h"
#include "gateway/budgets.h"
#include "gateway/overload.h"
#include "gateway/privacy.h"
#include "gateway/state.h"
#include "gateway/tenants.h"
#include "gateway/tls_settings.h"
#include "router/routes.h"

struct conf_limits {
    int64_t head_ms;
    int64_t body_ms;
    int64_t idle_ms;
    int64_t write_ms;
    int64_t head_bytes;
    int64_t body_bytes;
    int64_t connections;
    struct overload_limits overload;
    int64_t connections_per_address; /* 0: no cap */
};

struct conf_cors {
    struct key_texts origins; /* exact origins, or "*"; none: CORS is off */
};

struct conf_address { /* HOST:PORT, taken apart */
    struct str text;
    struct str host;
    uint16_t port;
    bool is_ipv6;
};

struct conf_server {
    struct conf_address listen;
    struct conf_address admin;
    struct api_key_digest admin_key;
    struct tls_settings tls;
    struct tls_settings admin_tls;
    int64_t workers; /* 0: one per core */
    struct conf_limits limits;
    struct conf_cors cors;
    bool half_close_is_gone;
    bool behind_proxy;
    struct key_texts trusted_proxies;
    int sandbox; /* enum sandbox_mode */
    struct key_texts sandbox_read;
    bool sandbox_exec;
    struct str access_log; /* a path, "-" (standard output) or "off" */
    int64_t drain_ms;
    int64_t kernel_threads; /* 0: see conf_kernel_threads */
    int64_t kernel_cpus;    /* 0: see conf_kernel_cpus */
    int64_t kernel_nice;
    struct str cgroup; /* a folder, "auto" or "off" */
    int64_t kernel_queue;
};

struct conf_cache {
    int64_t max_bytes;
    int64_t wait_ms;
};

struct conf {
    struct conf_server server;
    struct state_settings state;
    struct privacy privacy;
    struct conf_cache cache;
    struct key_array budgets; /* of struct budget */
    struct tenants tenants;
    struct local_settings local;
    struct routes routes;
    const struct key_path *files; /* that the file names; in its arena */
};

/* The root table; made on first use, from then on constant. Not thread-safe the first time. */
const struct keys *conf_keys(void);

/* Cores for kernels and managed processes, and threads of the kernel pool. */
size_t conf_kernel_cpus(const struct conf_server *server);
size_t conf_kernel_threads(const struct conf_server *server);
size_t conf_kernel_turns(
    const struct conf_server *server); /* threads of kernels that may compute at once */

/* Whether only this machine reaches an address. */
bool conf_is_loopback(const struct conf_address *address);

/* Checks of the server block that span keys. Mistakes go to reader->diags: ST_INVALID. */
MUST_CHECK enum status conf_check(const struct conf *conf, struct key_reader *reader,
                                  const struct yaml_node *root);

/* Reads the files that the server block names, after conf_check. Mistakes as there; ST_NO_MEMORY. */
MUST_CHECK enum status conf_load(struct conf *conf, struct key_reader *reader,
                                 const struct yaml_node *root);

void conf_fini(struct conf *conf); /* lets go of what conf_load made */
