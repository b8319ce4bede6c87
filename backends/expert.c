/* See expert.h. Owns the YAML block `experts.NAME`. */
#include "backends/expert.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "backends/http1.h"
#include "backends/kernel.h"
#include "backends/kernel_open.h"
#include "backends/managed.h"
#include "base/file.h"

static const char *const dialects[] = {"openai", NULL};
static const char *const localities[] = {"local", "remote", "unset", NULL};

static const struct {
    struct str name;
    unsigned bit;
} capability_table[] = {
    {{"tools", 5}, EXPERT_TOOLS}, {{"json", 4}, EXPERT_JSON},   {{"vision", 6}, EXPERT_VISION},
    {{"audio", 5}, EXPERT_AUDIO}, {{"embed", 5}, EXPERT_EMBED},
};

enum {
    CAPABILITY_COUNT = sizeof capability_table / sizeof capability_table[0]
};

enum {
    PROBE_PATH_MAX_BYTES = 1024,
    KEY_FILE_MAX_BYTES = 8192, /* a token of a cloud is 2 kB */
};

enum {
    ALL_CAPABILITIES = EXPERT_TOOLS | EXPERT_JSON | EXPERT_VISION | EXPERT_AUDIO
};

static const struct key price_rows[] = {
    {.name = "input",
     .type = KEY_PRICE,
     .offset = offsetof(struct expert_price, input),
     .unit = "USD per million tokens",
     .fallback = "0",
     .sentence = "price of prompt tokens",
     .example = "0.60"},
    {.name = "output",
     .type = KEY_PRICE,
     .offset = offsetof(struct expert_price, output),
     .unit = "USD per million tokens",
     .fallback = "0",
     .sentence = "price of completion tokens",
     .example = "2.40"},
    {.name = "cached_input",
     .type = KEY_PRICE,
     .offset = offsetof(struct expert_price, cached_input),
     .unit = "USD per million tokens",
     .sentence = "price of prompt tokens that the expert reports as cached; absent: as input",
     .example = "0.06"},
    {.name = "reasoning",
     .type = KEY_PRICE,
     .offset = offsetof(struct expert_price, reasoning),
     .unit = "USD per million tokens",
     .sentence = "price of completion tokens that it reports as reasoning; absent: as output"},
};

static const struct keys price_keys = {"price", sizeof(struct expert_price), price_rows,
                                       sizeof price_rows / sizeof price_rows[0],
                                       "What an expert costs."};

static bool is_given(const struct yaml_node *node, struct str name)
{
    const struct yaml_node *value = yaml_get(node, name);
    return value != NULL && !yaml_is_null(value);
}

/* A block of its own only because an absent cached_input means "as input", and an absent reasoning "as
 * output", which defaults cannot say. */
static enum status decode_price(struct key_reader *reader, const struct yaml_node *node,
                                void *field)
{
    struct expert_price *price = field;
    enum status st = keys_decode(&price_keys, reader, node, price);
    if (!is_given(node, STR("input")) && !is_given(node, STR("output"))) {
        diags_add(
            reader->diags, DIAG_ERROR, node->file, node->pos,
            "this price has neither \"input\" nor \"output\": leave it out where it is not known, "
            "and write {input: 0, output: 0} for free");
    }
    if (!is_given(node, STR("cached_input"))) {
        price->cached_input = price->input;
    }
    if (!is_given(node, STR("reasoning"))) {
        price->reasoning = price->output;
    }
    price->is_set = true;
    return st == ST_NO_MEMORY ? st : ST_OK;
}

static const struct key params_rows[] = {
    {.name = "total",
     .type = KEY_REAL,
     .offset = offsetof(struct expert_params, total),
     .min = 0,
     .max = 100000,
     .unit = "billions",
     .fallback = "0",
     .sentence = "parameters of the model: what it takes in memory"},
    {.name = "active",
     .type = KEY_REAL,
     .offset = offsetof(struct expert_params, active),
     .min = 0,
     .max = 100000,
     .unit = "billions",
     .fallback = "0",
     .sentence = "parameters that work on a token: what it takes in computing"},
};

static const struct keys params_keys = {"params_b", sizeof(struct expert_params), params_rows, 2,
                                        "The size of an expert's model."};

#define DEADLINE(member, most, value, text)                                                        \
    {                                                                                              \
        .name = #member, .type = KEY_INT, .offset = offsetof(struct expert_deadlines, member),     \
        .min = 1, .max = (most), .unit = "ms", .fallback = (value), .sentence = (text)             \
    }

static const struct key deadline_rows[] = {
    DEADLINE(connect_ms, 600000, "1000",
             "how long a connection may take, name look-up and TLS included"),
    DEADLINE(first_token_ms, 3600000, "60000",
             "how long the first content of the answer may take; of plain answers the first byte"),
    DEADLINE(idle_ms, 3600000, "30000", "the longest silence inside an answer"),
    DEADLINE(total_ms, 86400000, "600000", "how long one call may take altogether"),
};

static const struct keys deadline_keys = {"deadlines", sizeof(struct expert_deadlines),
                                          deadline_rows, 4, "How long a call may take."};

static const struct kernel_builtin *find_builtin(struct str name)
{
    for (size_t i = 0; kernel_builtin(i) != NULL; i++) {
        if (str_eq(name, str_from(kernel_builtin(i)->name))) {
            return kernel_builtin(i);
        }
    }
    return NULL;
}

static void complain_about_kernel(struct key_reader *reader, const struct yaml_node *node)
{
    struct str names = STR("");
    for (size_t i = 0; kernel_builtin(i) != NULL; i++) {
        struct str longer = arena_printf(reader->arena, "%.*s%s%s", STR_ARG(names),
                                         i == 0 ? "" : ", ", kernel_builtin(i)->name);
        names = longer.ptr == NULL ? names : longer;
    }
    diags_add(reader->diags, DIAG_ERROR, node->file, node->pos,
              "\"kernel\" must be one of %.*s with its options, as in kernel: {calc: {}}",
              STR_ARG(names));
}

/* kernel: {NAME: OPTIONS} or kernel: NAME */
static enum status decode_kernel(struct key_reader *reader, const struct yaml_node *node,
                                 void *field)
{
    struct expert_kernel *spec = field;
    struct str name = STR("");
    const struct yaml_node *options = NULL;
    if (yaml_get(node, STR("file")) != NULL) {
        spec->options = node;
        spec->is_file = true;
        return ST_OK;
    }
    if (node->kind == YAML_SCALAR) {
        name = node->text;
    } else if (node->kind == YAML_MAPPING && node->count == 1) {
        name = node->keys[0]->text;
        options = yaml_is_null(node->items[0]) ? NULL : node->items[0];
    }
    spec->builtin = find_builtin(name);
    spec->options = options;
    if (spec->builtin == NULL) {
        complain_about_kernel(reader, node);
    }
    return ST_OK;
}

static const struct key rows[] = {
    {.name = "url",
     .type = KEY_TEXT,
     .offset = offsetof(struct expert, url),
     .sentence = "root of the expert's API; /chat/completions or /embeddings is added to it",
     .example = "https://med.example/v1"},
    {.name = "kernel",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct expert, kernel_spec),
     .sentence =
         "an expert on this machine instead of a url: calc, lookup, constant, refuse, tinylm, words, fault or echo "
         "with its options, or a file",
     .example = "{calc: {}}",
     .decode = decode_kernel,
     .custom_type = "object"},
    {.name = "process",
     .type = KEY_BLOCK,
     .offset = offsetof(struct expert, process_spec),
     .sentence =
         "a model server on this machine that the gateway starts and stops, instead of a url",
     .block = &process_keys},
    {.name = "dialect",
     .type = KEY_CHOICE,
     .offset = offsetof(struct expert, dialect),
     .fallback = "openai",
     .choices = dialects,
     .sentence = "the API that the url speaks"},
    {.name = "model",
     .type = KEY_TEXT,
     .offset = offsetof(struct expert, model),
     .sentence = "what the expert calls its model; absent: the expert's name",
     .example = "medical-70b"},
    {.name = "key",
     .type = KEY_SECRET,
     .offset = offsetof(struct expert, key),
     .sentence = "API key that is sent to the expert as a bearer token",
     .example = "${MED_API_KEY}"},
    {.name = "key_file",
     .type = KEY_PATH,
     .offset = offsetof(struct expert, key_file),
     .sentence =
         "file with the API key on one line, instead of \"key\"; others may have no rights to it",
     .example = "${CREDENTIALS_DIRECTORY}/med"},
    {.name = "forward_headers",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct expert, forward_headers),
     .sentence = "headers of the client that are passed on; absent: none are",
     .example = "[traceparent, openai-organization]"},
    {.name = "tls",
     .type = KEY_BLOCK,
     .offset = offsetof(struct expert, tls),
     .sentence = "whom to believe behind an https url, and who we are",
     .block = &expert_tls_keys},
    {.name = "title",
     .type = KEY_TEXT,
     .offset = offsetof(struct expert, title),
     .sentence = "what the expert is good at, for people"},
    {.name = "locality",
     .type = KEY_CHOICE,
     .offset = offsetof(struct expert, locality),
     .fallback = "unset",
     .choices = localities,
     .sentence =
         "where prompts go: local or remote; unset: kernels and processes are local, urls remote"},
    {.name = "price",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct expert, price),
     .sentence = "what it costs; absent: not known, and counted as free",
     .decode = decode_price,
     .block = &price_keys,
     .custom_type = "object"},
    {.name = "context",
     .type = KEY_INT,
     .offset = offsetof(struct expert, context_tokens),
     .min = 0,
     .max = 100000000,
     .unit = "tokens",
     .fallback = "0",
     .sentence = "longest prompt and answer together; 0: not known, never a reason to drop it",
     .example = "32768"},
    {.name = "capabilities",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct expert, capability_names),
     .sentence =
         "what it can do of tools, json, vision, audio, embed; absent: everything but embed, "
         "which kernels know of themselves",
     .example = "[tools, json]"},
    {.name = "space",
     .type = KEY_TEXT,
     .offset = offsetof(struct expert, space),
     .sentence = "name of the space that its embeddings lie in: of an alias only experts of one "
                 "space stand in for each other; absent: nobody does",
     .example = "minilm-l6-384"},
    {.name = "languages",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct expert, languages),
     .sentence =
         "languages that it answers in, as ISO 639-1 codes; prompts that are surely in another "
         "go elsewhere; absent: all. Needs router.languages",
     .example = "[en, de]"},
    {.name = "params_b",
     .type = KEY_BLOCK,
     .offset = offsetof(struct expert, params_b),
     .sentence = "the size of its model",
     .block = &params_keys},
    {.name = "deadlines",
     .type = KEY_BLOCK,
     .offset = offsetof(struct expert, deadlines),
     .sentence = "how long a call may take",
     .block = &deadline_keys},
    {.name = "reply_bytes",
     .type = KEY_BYTES,
     .offset = offsetof(struct expert, reply_bytes),
     .min = 1024,
     .max = 1073741824,
     .fallback = "8MiB",
     .sentence = "largest answer that is accepted, streams included"},
    EDITS_ROWS(struct expert),
    CACHING_ROW(struct expert),
    LIMITS_ROWS(struct expert),
    {.name = "health",
     .type = KEY_BLOCK,
     .offset = LIMITS_AT(struct expert, probe),
     .sentence = "how a remote expert is asked whether it is well; absent: it is not",
     .block = &limits_probe_keys},
};

const struct keys expert_keys = {"expert", sizeof(struct expert), rows,
                                 sizeof rows / sizeof rows[0], "One model that can answer."};

static void complain(struct key_reader *reader, struct str file, const struct expert *e,
                     const char *message)
{
    diags_add(reader->diags, DIAG_ERROR, file, e->id.pos, "expert \"%.*s\" %s", STR_ARG(e->id.name),
              message);
}

/* HOST, HOST:PORT or [HOST]:PORT. The host itself is for the resolver to judge. */
static bool check_authority(struct str authority)
{
    bool is_bracketed = str_starts_with(authority, STR("["));
    size_t host = str_find_char(authority, is_bracketed ? ']' : ':');
    struct str rest = str_slice(authority, host + (is_bracketed ? 1 : 0), authority.len);
    if (host < (is_bracketed ? 2 : 1) || (is_bracketed && host == authority.len)) {
        return false;
    }
    int64_t port = 0;
    return rest.len == 0 ||
           (rest.ptr[0] == ':' && str_to_int(str_slice(rest, 1, rest.len), &port) == ST_OK &&
            port >= 1 && port <= 65535);
}

static bool check_url(struct str url)
{
    size_t scheme = str_starts_with(url, STR("http://"))    ? 7
                    : str_starts_with(url, STR("https://")) ? 8
                                                            : 0;
    if (scheme == 0 || url.len > 2000) {
        return false;
    }
    for (size_t i = 0; i < url.len; i++) {
        unsigned char c = (unsigned char)url.ptr[i];
        if (c <= 0x20 || c >= 0x7f || c == '#' || c == '?' || c == '@' || c == '\\') {
            return false;
        }
    }
    struct str rest = str_slice(url, scheme, url.len);
    return check_authority(str_slice(rest, 0, str_find_char(rest, '/')));
}

static bool check_header_value(struct str value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return true;
}

/* A file with a mistake has no key: expert_build says so. ST_NO_MEMORY. */
static enum status read_key_file(struct expert *e, struct key_reader *reader, struct str file)
{
    if (e->key_file.len == 0 || (reader->trial != NULL && e->key.len == 0)) {
        return ST_OK;
    }
    if (e->key.len > 0) {
        complain(reader, file, e, "has both a key and a key_file");
        return ST_OK;
    }
    char text[KEY_FILE_MAX_BYTES];
    char why[FILE_WHY_BYTES];
    struct str key = STR("");
    if (file_read_secret(e->key_file.ptr, text, sizeof text, &key, why) != ST_OK) {
        diags_add(reader->diags, DIAG_ERROR, file, e->id.pos, "key_file of expert \"%.*s\": %s",
                  STR_ARG(e->id.name), why);
        return ST_OK;
    }
    e->key = arena_copy(reader->arena, str_trim(key));
    explicit_bzero(text, sizeof text);
    if (e->key.len == 0) {
        complain(reader, file, e, "has an empty key_file");
    }
    return e->key.ptr == NULL ? ST_NO_MEMORY : ST_OK;
}

/* What the gateway says itself, what holds for one connection alone, what is a secret between the client
 * and the gateway. */
static bool is_forwardable(struct str name)
{
    static const char *const kept[] = {
        "host",      "connection",        "content-length", "content-type",  "content-encoding",
        "te",        "transfer-encoding", "trailer",        "upgrade",       "keep-alive",
        "expect",    "authorization",     "x-api-key",      "api-key",       "cookie",
        "forwarded", "user-agent",        "accept",         "http2-settings"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        if (str_eq_nocase(name, str_from(kept[i]))) {
            return false;
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        if (!is_alnum && c != '-' && c != '_') {
            return false;
        }
    }
    return name.len > 0 && !str_starts_with_nocase(name, STR("proxy-"));
}

static void check_forwarded(const struct expert *e, struct key_reader *reader, struct str file)
{
    for (size_t i = 0; i < e->forward_headers.count; i++) {
        struct str name = e->forward_headers.items[i];
        if (!is_forwardable(name)) {
            diags_add(reader->diags, DIAG_ERROR, file, e->id.pos,
                      "expert \"%.*s\" cannot get the header \"%.*s\": it is the gateway's own, a "
                      "connection's or a secret, or no name",
                      STR_ARG(e->id.name), STR_ARG(name));
        }
    }
}

static void read_capabilities(struct expert *e, struct key_reader *reader, struct str file)
{
    e->declares_capabilities = e->capability_names.items != NULL;
    e->capabilities = e->declares_capabilities ? 0 : ALL_CAPABILITIES;
    for (size_t i = 0; i < e->capability_names.count; i++) {
        unsigned bit = 0;
        for (size_t k = 0; k < CAPABILITY_COUNT; k++) {
            if (str_eq(capability_table[k].name, e->capability_names.items[i])) {
                bit = capability_table[k].bit;
            }
        }
        e->capabilities |= bit;
        if (bit == 0) {
            diags_add(reader->diags, DIAG_ERROR, file, e->id.pos,
                      "expert \"%.*s\" has the unknown capability \"%.*s\" (known: tools, json, "
                      "vision, audio, embed)",
                      STR_ARG(e->id.name), STR_ARG(e->capability_names.items[i]));
        }
    }
}

uint64_t expert_serial(void)
{
    /* Written by whoever builds a snapshot or starts a process; only uniqueness matters. */
    static atomic_uint_fast64_t next_serial = 1;

    return atomic_fetch_add(&next_serial, 1);
}

bool expert_is_managed(const struct expert *e)
{
    return e->process_spec.argv.count > 0;
}

static bool has_kernel(const struct expert *e)
{
    return e->kernel_spec.builtin != NULL || e->kernel_spec.is_file;
}

/* It answers from exactly one place. */
static void check_place(const struct expert *e, struct key_reader *reader, struct str file)
{
    bool has_process = e->process_spec.argv.items != NULL; /* the block needs one, if it is there */
    int places = (has_kernel(e) ? 1 : 0) + (e->url.len > 0 ? 1 : 0) + (has_process ? 1 : 0);
    if (places != 1) {
        complain(reader, file, e,
                 places > 1 ? "has more than one of url, kernel and process: say one; a process is "
                              "started here, a url leads to what runs elsewhere"
                            : "needs a url, a kernel or a process with argv");
    } else if (has_process && !expert_is_managed(e)) {
        complain(reader, file, e, "has a process with an empty argv: say which program to start");
    } else if (e->url.len > 0 && !check_url(e->url)) {
        complain(reader, file, e,
                 "needs a url like https://host:port/v1, without user, query or fragment");
    }
}

/* Asked by whoever serves, on the url's host. */
static void check_probe(const struct expert *e, struct key_reader *reader, struct str file)
{
    struct str path = e->limits.probe.path;
    bool is_path = str_starts_with(path, STR("/")) &&
                   !str_starts_with(path, STR("//")) && /* which names another host */
                   path.len <= PROBE_PATH_MAX_BYTES;
    for (size_t i = 0; i < path.len; i++) {
        is_path = is_path && path.ptr[i] > ' ' && path.ptr[i] < 127 && path.ptr[i] != '#';
    }
    if (path.len == 0) {
        return;
    }
    if (e->url.len == 0) {
        complain(reader, file, e,
                 "has health.path, which is for experts with a url: a process has process.health");
    } else if (!is_path) {
        complain(reader, file, e, "needs a health.path like /health, from the root of its host");
    }
}

/* A kernel knows whether it embeds. Of a file in a process that did not start nobody does: then what
 * was written down counts. */
static void ask_kernel(struct expert *e, struct key_reader *reader, struct str file)
{
    uint32_t can = e->kernel != NULL ? kernel_capabilities(e->kernel)
                   : e->kernel_spec.builtin != NULL
                       ? e->kernel_spec.builtin->abi->info()->capabilities
                       : 0;
    bool is_declared = e->declares_capabilities && (e->capabilities & EXPERT_EMBED) != 0;
    if (can != 0 && is_declared && (can & EK_CAP_EMBED) == 0) {
        complain(reader, file, e, "has the capability embed, but its kernel does not embed");
    }
    if ((can & EK_CAP_EMBED) != 0) {
        e->capabilities |= EXPERT_EMBED;
    }
}

enum status expert_build(struct expert *e, size_t index, struct key_reader *reader, struct str file)
{
    size_t errors = reader->diags->errors;
    e->index = index;
    e->serial = expert_serial();
    if (e->model.len == 0) {
        e->model = e->id.name;
    }
    check_place(e, reader, file);
    enum status st = read_key_file(e, reader, file);
    if (st != ST_OK) {
        return st;
    }
    if (!check_header_value(e->key)) {
        complain(reader, file, e, "has a key with control characters");
    }
    while (str_ends_with(e->url, STR("/"))) {
        e->url.len--;
    }
    if (e->locality == EXPERT_LOCALITY_UNSET) {
        e->locality = has_kernel(e) || expert_is_managed(e) ? EXPERT_LOCAL : EXPERT_REMOTE;
    }
    if (expert_tls_is_set(&e->tls) && !str_starts_with(e->url, STR("https://"))) {
        complain(reader, file, e, "has a tls block, which needs a url with https://");
    }
    if (reader->trial == NULL) {
        st = expert_tls_load(&e->tls, e->id.name, reader, file, e->id.pos);
    }
    if (st == ST_NO_MEMORY) {
        return st;
    }
    check_forwarded(e, reader, file);
    check_probe(e, reader, file);
    read_capabilities(e, reader, file);
    if (reader->diags->errors != errors) {
        return ST_INVALID;
    }
    if (!has_kernel(e)) {
        e->is_near = expert_is_managed(e) || http1_fits(e);
        return ST_OK;
    }
    e->price.is_set = true;
    st = e->kernel_spec.is_file
             ? kernel_open(reader, e->kernel_spec.options, NULL, &e->kernel)
             : kernel_create(e->kernel_spec.builtin, reader, e->kernel_spec.options, &e->kernel);
    if (st == ST_OK) {
        ask_kernel(e, reader, file);
        st = reader->diags->errors == errors ? ST_OK : ST_INVALID;
    }
    return st;
}

void expert_fini(struct expert *e)
{
    managed_unref(e->managed);
    e->managed = NULL;
    expert_tls_fini(&e->tls);
    if (e->kernel != NULL) {
        kernel_unref(e->kernel);
        e->kernel = NULL;
    }
}

bool expert_is_local(const struct expert *e)
{
    return e->locality == EXPERT_LOCAL;
}

/* Tokens times nano-USD per million tokens needs more than 64 bits. */
__extension__ typedef __int128 wide;

static int64_t at_most(int64_t part, int64_t whole)
{
    return part < whole ? part : whole;
}

int64_t expert_cost_nano_usd(const struct expert *e, const struct expert_tokens *tokens)
{
    const struct expert_price *price = &e->price;
    if (!price->is_set) {
        return EXPERT_COST_UNKNOWN;
    }
    int64_t cached = at_most(tokens->cached, tokens->prompt);
    int64_t reasoning = at_most(tokens->reasoning, tokens->completion);
    wide sum = (wide)(tokens->prompt - cached) * price->input + (wide)cached * price->cached_input +
               (wide)(tokens->completion - reasoning) * price->output +
               (wide)reasoning * price->reasoning;
    wide nano = (sum + 999999) / 1000000;
    return nano > INT64_MAX ? INT64_MAX : (int64_t)nano;
}

int64_t expert_cost_at_most(const struct expert *e, int64_t prompt, int64_t completion)
{
    const struct expert_price *price = &e->price;
    const struct expert_tokens tokens = {
        .prompt = prompt,
        .cached = price->cached_input > price->input ? prompt : 0,
        .completion = completion,
        .reasoning = price->reasoning > price->output ? completion : 0,
    };
    return expert_cost_nano_usd(e, &tokens);
}
