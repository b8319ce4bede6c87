/* See conf.h. Owns the YAML block `server`. */
#include "gateway/conf.h"

#include <arpa/inet.h>
#include <stddef.h>

#include "base/cgroup.h"
#include "base/cores.h"
#include "gateway/peers.h"
#include "gateway/sandbox.h"
#include "gateway/words.h"

enum {
    THREADS_LEAST = 2, /* of the kernel pool */
};

static enum status decode_address(struct key_reader *reader, const struct yaml_node *node,
                                  void *field);

static enum status decode_workers(struct key_reader *reader, const struct yaml_node *node,
                                  void *field);

static const struct key limit_rows[] = {
    {.name = "head_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, head_ms),
     .min = 1,
     .max = 3600000,
     .unit = "ms",
     .fallback = "10000",
     .sentence = "how long a request head may take to arrive"},
    {.name = "body_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, body_ms),
     .min = 1,
     .max = 3600000,
     .unit = "ms",
     .fallback = "30000",
     .sentence = "how long a request body may take to arrive"},
    {.name = "idle_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, idle_ms),
     .min = 1,
     .max = 3600000,
     .unit = "ms",
     .fallback = "60000",
     .sentence =
         "how long a connection may stay open between requests; at the limit of connections those "
         "that are idle make room"},
    {.name = "write_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, write_ms),
     .min = 1,
     .max = 3600000,
     .unit = "ms",
     .fallback = "30000",
     .sentence = "how long a client may take nothing of an answer that waits for it"},
    {.name = "head_bytes",
     .type = KEY_BYTES,
     .offset = offsetof(struct conf_limits, head_bytes),
     .min = 4096,
     .max = 1048576,
     .fallback = "16384",
     .sentence = "memory of a connection for heads and for reading; a longer head is refused"},
    {.name = "body_bytes",
     .type = KEY_BYTES,
     .offset = offsetof(struct conf_limits, body_bytes),
     .min = 1024,
     .max = 1073741824,
     .fallback = "4194304",
     .sentence = "largest request body"},
    {.name = "connections",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, connections),
     .min = 1,
     .max = 1000000,
     .fallback = "10000",
     .sentence = "open client connections, all workers together; more are refused"},
    {.name = "connections_per_address",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, connections_per_address),
     .min = 0,
     .max = 1000000,
     .fallback = "1024",
     .sentence = "open connections of one address (of IPv6, of its first 64 bits), but for "
                 "server.trusted_proxies; 0: any"},
    {.name = "exchanges",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, overload.exchanges),
     .min = 0,
     .max = 10000000,
     .fallback = "0",
     .sentence =
         "requests in work, all workers together, after which further ones get 503 at once; "
         "low priority after 3/4 of them, high after 5/4; 0: any number",
     .example = "2000"},
    {.name = "lag_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_limits, overload.lag_ms),
     .min = 0,
     .max = 600000,
     .unit = "ms",
     .fallback = "0",
     .sentence =
         "how long a worker may be busy with what came before, until it refuses requests in "
         "the same way; 0: any time",
     .example = "200"},
};

static const struct keys limit_keys = {"limits", sizeof(struct conf_limits), limit_rows,
                                       sizeof limit_rows / sizeof limit_rows[0],
                                       "What one client may take."};

static const struct key cors_rows[] = {
    {.name = "origins",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct conf_cors, origins),
     .sentence = "web origins whose pages may call the API, or \"*\"; none: CORS is off",
     .example = "[https://app.example]"},
};

static const struct keys cors_keys = {"cors", sizeof(struct conf_cors), cors_rows, 1,
                                      "Calls from web pages."};

static const struct key server_rows[] = {
    {.name = "listen",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct conf_server, listen),
     .fallback = "127.0.0.1:8080",
     .sentence = "address and port for clients; port 0 takes a free one",
     .decode = decode_address,
     .custom_type = "string"},
    {.name = "admin",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct conf_server, admin),
     .fallback = "127.0.0.1:8081",
     .sentence = "address and port for operations: /healthz /readyz /metrics /admin",
     .decode = decode_address,
     .custom_type = "string"},
    {.name = "admin_key",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct conf_server, admin_key),
     .sentence = "digest of the key for the admin address, but for /healthz; absent: it must be on "
                 "the loopback, and is open",
     .example = "${EXPERTD_ADMIN_DIGEST}",
     .decode = api_key_decode,
     .custom_type = "string"},
    {.name = "tls",
     .type = KEY_BLOCK,
     .offset = offsetof(struct conf_server, tls),
     .sentence = "HTTPS for clients",
     .block = &tls_settings_keys},
    {.name = "admin_tls",
     .type = KEY_BLOCK,
     .offset = offsetof(struct conf_server, admin_tls),
     .sentence = "HTTPS for the admin address",
     .block = &tls_settings_keys},
    {.name = "workers",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct conf_server, workers),
     .fallback = "auto",
     .sentence = "threads that serve clients; auto: one per core",
     .decode = decode_workers},
    {.name = "limits",
     .type = KEY_BLOCK,
     .offset = offsetof(struct conf_server, limits),
     .sentence = "what one client may take",
     .block = &limit_keys},
    {.name = "cors",
     .type = KEY_BLOCK,
     .offset = offsetof(struct conf_server, cors),
     .sentence = "calls from web pages",
     .block = &cors_keys},
    {.name = "half_close_is_gone",
     .type = KEY_BOOL,
     .offset = offsetof(struct conf_server, half_close_is_gone),
     .fallback = "true",
     .sentence = "a client that shuts its sending side counts as gone, and its call is cancelled"},
    {.name = "behind_proxy",
     .type = KEY_BOOL,
     .offset = offsetof(struct conf_server, behind_proxy),
     .fallback = "false",
     .sentence =
         "a proxy in front speaks TLS with clients: no warning that this listener does not"},
    {.name = "trusted_proxies",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct conf_server, trusted_proxies),
     .fallback = "[127.0.0.0/8, \"::1\"]",
     .sentence = "addresses, or networks as in 10.0.0.0/8, with the clients of which others are "
                 "served: their connections are not counted by address"},
    {.name = "sandbox",
     .type = KEY_CHOICE,
     .offset = offsetof(struct conf_server, sandbox),
     .fallback = "auto",
     .choices = sandbox_modes,
     .sentence =
         "what the process gives up at its start: files, system calls, memory dumps; auto: as "
         "far as the kernel helps, on: all of it or no start"},
    {.name = "sandbox_read",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct conf_server, sandbox_read),
     .sentence = "more folders that may be read, for files that a reload will name",
     .example = "[/srv/weights]"},
    {.name = "sandbox_exec",
     .type = KEY_BOOL,
     .offset = offsetof(struct conf_server, sandbox_exec),
     .fallback = "false",
     .sentence = "programs may be started even where no expert needs one yet: for managed experts "
                 "and kernels in children that a reload will name"},
    {.name = "access_log",
     .type = KEY_TEXT,
     .offset = offsetof(struct conf_server, access_log),
     .fallback = "\"-\"",
     .sentence = "file for one JSON line per request, \"-\" for standard output, or \"off\""},
    {.name = "drain_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_server, drain_ms),
     .min = 0,
     .max = 86400000,
     .unit = "ms",
     .fallback = "30000",
     .sentence = "how long running requests may take to finish after SIGTERM"},
    {.name = "kernel_threads",
     .type = KEY_INT,
     .offset = offsetof(struct conf_server, kernel_threads),
     .min = 0,
     .max = 256,
     .fallback = "0",
     .sentence = "threads on which experts inside the process work; 0: as many as kernel_cpus, and "
                 "at least 2, because one may wait for a slow client"},
    {.name = "kernel_cpus",
     .type = KEY_INT,
     .offset = offsetof(struct conf_server, kernel_cpus),
     .min = 0,
     .max = 1024,
     .fallback = "0",
     .sentence = "cores for all kernels and managed processes together: they run on the first so "
                 "many, and are told so; 0: told all but one, kept from none"},
    {.name = "kernel_nice",
     .type = KEY_INT,
     .offset = offsetof(struct conf_server, kernel_nice),
     .min = 0,
     .max = 19,
     .fallback = "5",
     .sentence = "how much threads of kernels, and kernels in children, yield to the workers"},
    {.name = "cgroup",
     .type = KEY_TEXT,
     .offset = offsetof(struct conf_server, cgroup),
     .fallback = "auto",
     .sentence = "folder of a control group (version 2) in which each program that the gateway "
                 "starts gets a group of its own; auto: the one that the gateway was started in, "
                 "if it is delegated to it; off: none",
     .example = "/sys/fs/cgroup/expertd"},
    {.name = "kernel_queue",
     .type = KEY_INT,
     .offset = offsetof(struct conf_server, kernel_queue),
     .min = 1,
     .max = 100000,
     .fallback = "1024",
     .sentence = "requests that may wait for those threads"},
};

static const struct keys server_keys = {"server", sizeof(struct conf_server), server_rows,
                                        sizeof server_rows / sizeof server_rows[0],
                                        "How the gateway listens and what it allows."};

static const struct key cache_rows[] = {
    {.name = "max_bytes",
     .type = KEY_BYTES,
     .offset = offsetof(struct conf_cache, max_bytes),
     .min = 65536,
     .max = 68719476736,
     .fallback = "64MiB",
     .sentence = "memory for answers, of all tenants together, in eight equal parts; the one that "
                 "was used longest ago leaves first, one that is larger than a part is not kept"},
    {.name = "wait_ms",
     .type = KEY_INT,
     .offset = offsetof(struct conf_cache, wait_ms),
     .min = 1,
     .max = 3600000,
     .fallback = "60000",
     .sentence = "how long a request waits for the same one that is being answered before it asks "
                 "for itself"},
};

static const struct keys cache_keys = {"cache", sizeof(struct conf_cache), cache_rows,
                                       sizeof cache_rows / sizeof cache_rows[0],
                                       "Answers that are kept."};

static void complain_address(struct key_reader *reader, const struct yaml_node *node)
{
    diags_add(
        reader->diags, DIAG_ERROR, node->file, node->pos,
        "an address must be HOST:PORT with a numeric host, as in 127.0.0.1:8080 or [::1]:8080");
}

static enum status decode_address(struct key_reader *reader, const struct yaml_node *node,
                                  void *field)
{
    struct conf_address *address = field;
    struct str text = node->kind == YAML_SCALAR ? node->text : STR("");
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':') {
        colon--;
    }
    int64_t port = -1;
    if (colon == 0 || str_to_int(str_slice(text, colon, text.len), &port) != ST_OK || port < 0 ||
        port > 65535) {
        complain_address(reader, node);
        return ST_OK;
    }
    struct str host = str_slice(text, 0, colon - 1);
    address->is_ipv6 = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (address->is_ipv6) {
        host = str_slice(host, 1, host.len - 2);
    }
    char *host_z = arena_copy_z(reader->arena, host);
    if (host_z == NULL) {
        return ST_NO_MEMORY;
    }
    unsigned char bytes[sizeof(struct in6_addr)];
    if (inet_pton(address->is_ipv6 ? AF_INET6 : AF_INET, host_z, bytes) != 1) {
        complain_address(reader, node);
    }
    address->text = text;
    address->host = (struct str){host_z, host.len};
    address->port = (uint16_t)port;
    return ST_OK;
}

static enum status decode_workers(struct key_reader *reader, const struct yaml_node *node,
                                  void *field)
{
    int64_t *workers = field;
    if (node->kind == YAML_SCALAR && str_eq(node->text, STR("auto"))) {
        *workers = 0;
        return ST_OK;
    }
    if (node->kind != YAML_SCALAR || str_to_int(node->text, workers) != ST_OK || *workers < 1 ||
        *workers > 256) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
                  "\"workers\" must be auto or a number from 1 to 256");
    }
    return ST_OK;
}

const struct keys *conf_keys(void)
{
    enum {
        OWN_ROWS = 7,
        ROWS = OWN_ROWS + ROUTES_ROW_COUNT
    };

    static struct key rows[ROWS];
    static const struct keys keys = {"configuration", sizeof(struct conf), rows, ROWS,
                                     "The whole file."};
    if (rows[0].name == NULL) {
        kernel_lend(&words_kernel);
        rows[0] = (struct key){.name = "server",
                               .type = KEY_BLOCK,
                               .offset = offsetof(struct conf, server),
                               .sentence = "how the gateway listens and what it allows",
                               .block = &server_keys};
        rows[1] =
            (struct key){.name = "state",
                         .type = KEY_BLOCK,
                         .offset = offsetof(struct conf, state),
                         .sentence = "what outlives the process; without it nothing is stored",
                         .block = &state_keys};
        rows[2] = (struct key){.name = "budgets",
                               .type = KEY_LIST,
                               .offset = offsetof(struct conf, budgets),
                               .sentence = "what may be spent, and on what",
                               .block = &budget_keys};
        rows[3] =
            (struct key){.name = "tenants",
                         .type = KEY_LIST,
                         .offset = offsetof(struct conf, tenants) + offsetof(struct tenants, list),
                         .sentence = "who may use the gateway, with their keys and limits",
                         .block = &tenant_keys};
        rows[4] = (struct key){.name = "privacy",
                               .type = KEY_BLOCK,
                               .offset = offsetof(struct conf, privacy),
                               .sentence = "what leaves the house and what is written down",
                               .block = &privacy_keys};
        rows[5] = (struct key){.name = "cache",
                               .type = KEY_BLOCK,
                               .offset = offsetof(struct conf, cache),
                               .sentence = "the answers that categories and experts keep",
                               .block = &cache_keys};
        rows[6] = (struct key){.name = "local",
                               .type = KEY_BLOCK,
                               .offset = offsetof(struct conf, local),
                               .sentence = "what managed processes may take together",
                               .block = &local_keys};
        for (size_t i = 0; i < ROUTES_ROW_COUNT; i++) {
            rows[OWN_ROWS + i] = routes_rows[i];
            rows[OWN_ROWS + i].offset += offsetof(struct conf, routes);
        }
    }
    return &keys;
}

size_t conf_kernel_cpus(const struct conf_server *server)
{
    size_t all = cores_allowed();
    if (server->kernel_cpus > 0) {
        return (size_t)server->kernel_cpus < all ? (size_t)server->kernel_cpus : all;
    }
    return all > 1 ? all - 1 : 1;
}

size_t conf_kernel_threads(const struct conf_server *server)
{
    size_t cpus = conf_kernel_cpus(server);
    if (server->kernel_threads > 0) {
        return (size_t)server->kernel_threads;
    }
    return cpus < THREADS_LEAST ? THREADS_LEAST : cpus;
}

size_t conf_kernel_turns(const struct conf_server *server)
{
    return server->kernel_cpus > 0 ? conf_kernel_cpus(server) : conf_kernel_threads(server);
}

bool conf_is_loopback(const struct conf_address *address)
{
    return address->is_ipv6 ? str_eq(address->host, STR("::1"))
                            : str_starts_with(address->host, STR("127."));
}

static enum status check_budgets(const struct conf *conf, struct key_reader *reader,
                                 const struct yaml_node *root)
{
    const struct str wanted = conf->routes.policies.degrade.budget;
    size_t errors = reader->diags->errors;
    if (conf->budgets.count > 0 && conf->state.path.len == 0) {
        const struct yaml_node *budgets = yaml_get(root, STR("budgets"));
        budgets = budgets == NULL ? yaml_get(root, STR("tenants")) : budgets;
        diags_add(reader->diags, DIAG_ERROR, root->file, budgets->pos,
                  "\"budgets\" needs a \"state\" block: what was spent must be kept");
    }
    if (wanted.len > 0 && !budgets_have(&conf->budgets, wanted)) {
        const struct yaml_node *policies = yaml_get(root, STR("policies"));
        diags_add(reader->diags, DIAG_ERROR, root->file, yaml_get(policies, STR("degrade"))->pos,
                  "policies.degrade needs a budget \"%.*s\" with a window of time",
                  STR_ARG(wanted));
    }
    return reader->diags->errors == errors ? ST_OK : ST_INVALID;
}

static enum status check_proxies(const struct conf *conf, struct key_reader *reader,
                                 const struct yaml_node *root)
{
    const struct key_texts *proxies = &conf->server.trusted_proxies;
    struct peers_net net;
    enum status st = ST_OK;
    for (size_t i = 0; i < proxies->count; i++) {
        if (peers_parse(proxies->items[i], &net) != ST_OK) {
            const struct yaml_node *node =
                yaml_get(yaml_get(root, STR("server")), STR("trusted_proxies"));
            diags_add(reader->diags, DIAG_ERROR, root->file, node->pos,
                      "\"%.*s\" is no address and no network, as in 10.0.0.7 or 10.0.0.0/8",
                      STR_ARG(proxies->items[i]));
            st = ST_INVALID;
        }
    }
    return st;
}

static enum status check_cgroup(const struct conf_server *server, struct key_reader *reader,
                                const struct yaml_node *node)
{
    struct str where = server->cgroup;
    if (str_eq(where, STR("auto")) || str_eq(where, STR("off")) ||
        (str_starts_with(where, STR("/")) && where.len < CGROUP_PATH_BYTES / 2)) {
        return ST_OK;
    }
    const struct yaml_node *at = yaml_get(node, STR("cgroup"));
    diags_add(reader->diags, DIAG_ERROR, at->file, at->pos,
              "\"cgroup\" must be auto, off or an absolute path, as in /sys/fs/cgroup/expertd");
    return ST_INVALID;
}

enum status conf_check(const struct conf *conf, struct key_reader *reader,
                       const struct yaml_node *root)
{
    const struct yaml_node *server = yaml_get(root, STR("server"));

    const struct {
        const struct conf_address *address;
        struct str key;
        bool has_keys;
        const char *needs;
        bool has_tls;
    } listeners[] = {
        {&conf->server.listen, STR("listen"), conf->tenants.list.count > 0, "\"tenants\"",
         conf->server.tls.cert.len > 0 || conf->server.behind_proxy},
        {&conf->server.admin, STR("admin"), conf->server.admin_key.is_set, "\"admin_key\"",
         conf->server.admin_tls.cert.len > 0 || conf->server.behind_proxy},
    };

    enum status st = ST_OK;
    if (conf->routes.router.online.enabled && conf->state.path.len == 0) {
        diags_add(reader->diags, DIAG_ERROR, root->file, yaml_get(root, STR("router"))->pos,
                  "\"router.online\" needs a \"state\" block: what is learned must be kept");
        st = ST_INVALID;
    }
    st = check_cgroup(&conf->server, reader, server) == ST_OK ? st : ST_INVALID;
    st = check_budgets(conf, reader, root) == ST_OK ? st : ST_INVALID;
    st = check_proxies(conf, reader, root) == ST_OK ? st : ST_INVALID;
    for (size_t i = 0; i < 2; i++) {
        const struct yaml_node *node = yaml_get(server, listeners[i].key);
        struct pos pos = node == NULL ? root->pos : node->pos;
        if (conf_is_loopback(listeners[i].address)) {
            continue;
        }
        if (!listeners[i].has_keys) {
            diags_add(reader->diags, DIAG_ERROR, root->file, pos,
                      "\"%.*s\" must be a loopback address, or needs %s: without keys, anybody who "
                      "reaches it could use it",
                      STR_ARG(listeners[i].key), listeners[i].needs);
            st = ST_INVALID;
        } else if (!listeners[i].has_tls) {
            diags_add(reader->diags, DIAG_WARNING, root->file, pos,
                      "\"%.*s\" takes keys and prompts in the clear from other machines; give "
                      "server.%s, or say server.behind_proxy",
                      STR_ARG(listeners[i].key), i == 0 ? "tls" : "admin_tls");
        }
    }
    if (conf->server.listen.port != 0 && conf->server.listen.port == conf->server.admin.port &&
        str_eq(conf->server.listen.host, conf->server.admin.host)) {
        diags_add(reader->diags, DIAG_ERROR, root->file, server == NULL ? root->pos : server->pos,
                  "\"listen\" and \"admin\" are the same address, \"%.*s\"",
                  STR_ARG(conf->server.listen.text));
        st = ST_INVALID;
    }
    return st;
}

enum status conf_load(struct conf *conf, struct key_reader *reader, const struct yaml_node *root)
{
    const struct yaml_node *server = yaml_get(root, STR("server"));

    const struct {
        struct tls_settings *tls;
        struct str key;
    } listeners[] = {{&conf->server.tls, STR("tls")}, {&conf->server.admin_tls, STR("admin_tls")}};

    for (size_t i = 0; i < 2; i++) {
        const struct yaml_node *node = yaml_get(server, listeners[i].key);
        struct pos pos = node == NULL ? root->pos : node->pos;
        enum status st = tls_settings_load(listeners[i].tls, reader, root->file, pos);
        if (st != ST_OK) {
            return st;
        }
    }
    return ST_OK;
}

void conf_fini(struct conf *conf)
{
    tls_settings_fini(&conf->server.tls);
    tls_settings_fini(&conf->server.admin_tls);
}
