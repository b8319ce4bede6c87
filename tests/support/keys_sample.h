/* A configuration table with every type of key, for the tests and the fuzz target of base/keys. */
#pragma once

#include <stddef.h>

#include "base/keys.h"

struct sample_window {
    int64_t ms;
    int64_t bytes;
};

struct sample_expert {
    struct key_id id;
    struct str url;
    struct str key;
    int dialect;
    int64_t price_nano_usd;
    struct key_texts capabilities;
    struct sample_window window;
};

struct sample_tenant {
    struct key_id id;
    struct str name;
    struct sample_window window;
};

struct sample_router {
    struct str model;
    double threshold;
};

struct sample_process {
    struct key_texts argv;
    struct sample_window start;
};

struct sample {
    struct sample_router router;
    struct key_array experts; /* struct sample_expert */
    struct key_array tenants; /* struct sample_tenant */
    struct sample_process process;
    int64_t workers;
    bool is_strict;
    int64_t offset;
    size_t rule_count; /* custom */
    struct str state;
    struct str note;
};

static const struct key sample_window_rows[] = {
    {.name = "ms",
     .type = KEY_INT,
     .offset = offsetof(struct sample_window, ms),
     .max = 60000,
     .unit = "ms",
     .fallback = "250",
     .sentence = "how long to wait"},
    {.name = "bytes",
     .type = KEY_BYTES,
     .offset = offsetof(struct sample_window, bytes),
     .min = 1024,
     .max = 8388608,
     .fallback = "64KiB",
     .sentence = "how much to hold back"},
};

static const struct keys sample_window_keys = {
    "window", sizeof(struct sample_window), sample_window_rows,
    sizeof sample_window_rows / sizeof sample_window_rows[0],
    "What is held back before a decision"};

static const char *const sample_dialects[] = {"openai", "anthropic", "ollama", NULL};

static const struct key sample_expert_rows[] = {
    {.name = "url",
     .type = KEY_TEXT,
     .offset = offsetof(struct sample_expert, url),
     .is_required = true,
     .sentence = "where the expert answers",
     .example = "https://med.example/v1"},
    {.name = "key",
     .type = KEY_SECRET,
     .offset = offsetof(struct sample_expert, key),
     .sentence = "the key that the expert wants",
     .example = "${MED_API_KEY}"},
    {.name = "dialect",
     .type = KEY_CHOICE,
     .offset = offsetof(struct sample_expert, dialect),
     .fallback = "openai",
     .choices = sample_dialects,
     .sentence = "the language that the expert speaks"},
    {.name = "price",
     .type = KEY_PRICE,
     .offset = offsetof(struct sample_expert, price_nano_usd),
     .sentence = "what a million tokens cost",
     .example = "0.60"},
    {.name = "capabilities",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct sample_expert, capabilities),
     .fallback = "[json, 'tools']",
     .sentence = "what the expert can do: a | b"},
    {.name = "window",
     .type = KEY_BLOCK,
     .offset = offsetof(struct sample_expert, window),
     .block = &sample_window_keys,
     .sentence = "the window of this expert"},
};

static const struct keys sample_expert_keys = {
    "expert", sizeof(struct sample_expert), sample_expert_rows,
    sizeof sample_expert_rows / sizeof sample_expert_rows[0], "A model that can answer"};

static const struct key sample_tenant_rows[] = {
    {.name = "name",
     .type = KEY_TEXT,
     .offset = offsetof(struct sample_tenant, name),
     .is_required = true,
     .sentence = "who the key belongs to",
     .example = "alice"},
    {.name = "window",
     .type = KEY_BLOCK,
     .offset = offsetof(struct sample_tenant, window),
     .block = &sample_window_keys,
     .sentence = "the window of this tenant"},
};

static const struct keys sample_tenant_keys = {
    "tenant", sizeof(struct sample_tenant), sample_tenant_rows,
    sizeof sample_tenant_rows / sizeof sample_tenant_rows[0], NULL};

static const struct key sample_router_rows[] = {
    {.name = "model",
     .type = KEY_PATH,
     .offset = offsetof(struct sample_router, model),
     .sentence = "the file with the weights",
     .example = "models/a.edm"},
    {.name = "threshold",
     .type = KEY_REAL,
     .offset = offsetof(struct sample_router, threshold),
     .min = 0,
     .max = 1,
     .fallback = "0.55",
     .sentence = "below this confidence the category is \"general\""},
};

static const struct keys sample_router_keys = {
    "router", sizeof(struct sample_router), sample_router_rows,
    sizeof sample_router_rows / sizeof sample_router_rows[0], "How prompts are classified"};

static const struct key sample_process_rows[] = {
    {.name = "argv",
     .type = KEY_TEXT_LIST,
     .offset = offsetof(struct sample_process, argv),
     .is_required = true,
     .sentence = "the program and its arguments",
     .example = "[server, --port, \"8001\"]"},
    {.name = "start",
     .type = KEY_BLOCK,
     .offset = offsetof(struct sample_process, start),
     .block = &sample_window_keys,
     .sentence = "how long a start may take"},
};

static const struct keys sample_process_keys = {
    "process", sizeof(struct sample_process), sample_process_rows,
    sizeof sample_process_rows / sizeof sample_process_rows[0], NULL};

/* Counts the items of a sequence; anything else is a mistake. */
static inline enum status sample_decode_rules(struct key_reader *reader,
                                              const struct yaml_node *node, void *field)
{
    if (node->kind != YAML_SEQUENCE) {
        diags_add(reader->diags, DIAG_ERROR, node->file, node->pos, "rules must be a list");
        return ST_OK;
    }
    *(size_t *)field = node->count;
    return ST_OK;
}

static const struct key sample_rows[] = {
    {.name = "router",
     .type = KEY_BLOCK,
     .offset = offsetof(struct sample, router),
     .block = &sample_router_keys,
     .sentence = "the router"},
    {.name = "experts",
     .type = KEY_MAP,
     .offset = offsetof(struct sample, experts),
     .is_required = true,
     .block = &sample_expert_keys,
     .sentence = "the experts by name",
     .example = "med-70b"},
    {.name = "tenants",
     .type = KEY_LIST,
     .offset = offsetof(struct sample, tenants),
     .block = &sample_tenant_keys,
     .sentence = "who may call"},
    {.name = "process",
     .type = KEY_BLOCK,
     .offset = offsetof(struct sample, process),
     .block = &sample_process_keys,
     .sentence = "a process to run; left out where there is none"},
    {.name = "workers",
     .type = KEY_INT,
     .offset = offsetof(struct sample, workers),
     .min = 1,
     .max = 64,
     .fallback = "4",
     .sentence = "threads that serve"},
    {.name = "strict",
     .type = KEY_BOOL,
     .offset = offsetof(struct sample, is_strict),
     .fallback = "true",
     .sentence = "refuse what is not known"},
    {.name = "offset",
     .type = KEY_INT,
     .offset = offsetof(struct sample, offset),
     .min = -5,
     .max = -10,
     .sentence = "a number from minus five up"},
    {.name = "rules",
     .type = KEY_CUSTOM,
     .offset = offsetof(struct sample, rule_count),
     .fallback = "[]",
     .decode = sample_decode_rules,
     .custom_type = "array",
     .sentence = "rules in order"},
    {.name = "state",
     .type = KEY_PATH,
     .offset = offsetof(struct sample, state),
     .fallback = "state/a.db",
     .sentence = "the file that keeps the state"},
    {.name = "note",
     .type = KEY_TEXT,
     .offset = offsetof(struct sample, note),
     .fallback = "\"\"",
     .sentence = "a remark"},
};

static const struct keys sample_keys = {"configuration", sizeof(struct sample), sample_rows,
                                        sizeof sample_rows / sizeof sample_rows[0],
                                        "A configuration with every type of key"};
