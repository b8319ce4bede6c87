/* Configuration keys as tables. A module exports one `struct keys` per YAML block that it owns;
 * decoding, defaults, ranges, did-you-mean, docs/configuration.md, the JSON Schema and the reference
 * YAML all come from the rows, so a key that is not documented cannot exist.
 *
 *     static const struct key rows[] = {
 *         {.name = "connect_ms", .type = KEY_INT, .offset = offsetof(struct deadlines, connect_ms),
 *          .min = 1, .max = 600000, .unit = "ms", .fallback = "1000",
 *          .sentence = "how long a connection may take"},
 *     };
 *     const struct keys deadlines_keys = {"deadlines", sizeof(struct deadlines), rows, 1, NULL};
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/str.h"
#include "base/yaml.h"

enum key_type {    /* field type in the struct */
    KEY_TEXT,      /* struct str */
    KEY_SECRET,    /* struct str; never printed, not even by "show config" or in an error */
    KEY_PATH,      /* struct str; relative paths are taken from the file's folder's root, see
                            key_reader.root */
    KEY_INT,       /* int64_t, min..max */
    KEY_REAL,      /* double, min..max */
    KEY_BOOL,      /* bool; true or false, nothing else */
    KEY_BYTES,     /* int64_t bytes; "4194304", "512KiB", "6GiB", "8MB" */
    KEY_PRICE,     /* int64_t nano-USD per million tokens, from a decimal number of USD; exact */
    KEY_CHOICE,    /* int, index into choices */
    KEY_TEXT_LIST, /* struct key_texts; a sequence of scalars, or one scalar for a list of one */
    KEY_BLOCK,     /* the nested struct itself; `block` names its table; absent: its defaults */
    KEY_MAP,       /* struct key_array; mapping NAME -> block; each element starts with key_id */
    KEY_LIST,      /* struct key_array; sequence of blocks; each element starts with key_id */
    KEY_CUSTOM,    /* whatever `decode` makes of the node */
};

struct key_id {      /* first member of the elements of KEY_MAP and KEY_LIST */
    struct str name; /* the mapping's key; empty in lists */
    struct pos pos;
};

struct key_texts {
    struct str *items;
    size_t count;
};

struct key_array {
    void *items; /* count elements of the block's size, in file order */
    size_t count;
};

struct key_path { /* a file that the configuration names; in the arena */
    struct str path;
    const struct key_path *next;
};

/* What a configuration that is only tried may read. Whoever builds from it stops at facts: makes no
 * kernel, reads no secret, opens no file but by keys_may_read. */
struct key_trial {
    bool (*may_read)(const void *ctx, const char *path); /* NULL: whatever it names */
    const void *ctx;
};

struct key_reader { /* what decoding needs; lent for the call */
    struct arena *arena;
    struct diags *diags;
    struct str root; /* folder that relative paths are taken from: where the server was started */
    const struct key_path **paths; /* files are noted here, newest first; NULL: they are not */
    const struct key_trial *trial; /* NULL: it is to be served */
};

/* Whether a file that the configuration names may be opened now; if not, a diagnostic says so. */
bool keys_may_read(const struct key_reader *reader, const char *path);

/* Notes a file, where the reader wants it; values of KEY_PATH are noted by themselves. ST_NO_MEMORY. */
MUST_CHECK enum status keys_note_path(const struct key_reader *reader, struct str path);

struct key {
    const char *name;
    enum key_type type;
    size_t offset;
    double min;       /* KEY_INT, KEY_REAL, KEY_BYTES, KEY_PRICE (in USD): both 0 means no range, */
    double max;       /* max below min: no upper end */
    const char *unit; /* for the docs; NULL: none */
    const char *fallback;       /* default as YAML text; NULL: zero value, see is_required */
    bool is_required;           /* absent is an error */
    const char *sentence;       /* one sentence, no full stop */
    const char *example;        /* for the reference YAML where the default says too little; NULL */
    const char *const *choices; /* KEY_CHOICE: NULL-terminated */
    const struct keys *block; /* KEY_BLOCK, KEY_MAP, KEY_LIST; KEY_CUSTOM: for the docs, or NULL */
    /* KEY_CUSTOM; diagnostics go to reader->diags; ST_NO_MEMORY or ST_OK (errors are counted there) */
    enum status (*decode)(struct key_reader *reader, const struct yaml_node *node, void *field);
    const char *custom_type; /* KEY_CUSTOM: JSON Schema type for the docs: "object", "array", ... */
};

struct keys {
    const char *name; /* of the block, for messages and headings: "expert" */
    size_t size;      /* of the struct that it fills */
    const struct key *rows;
    size_t count;
    const char *sentence; /* what the block is, for the docs; NULL allowed */
};

/* Fills the struct at `ret` (keys->size bytes, zeroed first): defaults, then the node's values. All
 * mistakes of the block are reported: unknown key ("unknown key \"treshold\" in router, did you mean
 * \"threshold\"?"), wrong type, out of range (with the range and unit), missing required key.
 * node NULL means an empty block. A null value means that the key is not given. A nested block that
 * is not given gets its defaults, and its required keys are not missed. Numbers and booleans in
 * quotes are text, unless they come from the environment. ST_INVALID if anything was reported,
 * ST_NO_MEMORY. */
MUST_CHECK enum status keys_decode(const struct keys *keys, struct key_reader *reader,
                                   const struct yaml_node *node, void *ret);

/* Generators over the whole tree that starts at `keys`. */
void keys_print_markdown(const struct keys *keys, FILE *out);
void keys_print_schema(const struct keys *keys, FILE *out); /* JSON Schema 2020-12 */
void keys_print_reference(const struct keys *keys,
                          FILE *out); /* YAML, each key with its sentence */
