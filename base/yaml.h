/* A YAML file as a tree of nodes that know line and column. JSON is YAML, so both are read.
 * Refuses what an operator did not mean: duplicate keys, anchors, aliases, tags, several documents,
 * over YAML_DEPTH_MAX levels, over YAML_BYTES_MAX bytes. Nesting is capped while the text streams
 * through the parser (libyaml needs over 20 s for 100,000 brackets; here they take 1 ms).
 * ${NAME} and ${NAME:-default} in scalars are replaced from the environment (after parsing, so a
 * value can never change the structure); $$ is a dollar. A missing name without default is an error.
 * Under the keys argv and env, ${PORT} and ${SOCKET} stay as they are: they are filled in when the
 * command is run.
 * Lifetime: nodes live in the arena that is passed in. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/diag.h"
#include "base/str.h"

enum {
    YAML_DEPTH_MAX = 64,
    YAML_BYTES_MAX = 8 * 1024 * 1024,
};

enum yaml_kind {
    YAML_SCALAR,
    YAML_SEQUENCE,
    YAML_MAPPING,
};

struct yaml_node {
    enum yaml_kind kind;
    struct pos pos;
    struct str file;
    struct str text;  /* scalar: its value after ${} */
    bool is_quoted;   /* scalar in quotes or a block: always text, never a number, bool or null */
    bool is_from_env; /* scalar whose text came, even in part, from ${}: never print it */
    size_t count;
    struct yaml_node **keys;  /* mapping: count scalars, in file order */
    struct yaml_node **items; /* mapping: count values; sequence: count items */
};

/* Reads text (the file's name is for messages). Errors go to diags and give ST_INVALID;
 * ST_NO_MEMORY. An empty document gives an empty mapping. */
MUST_CHECK enum status yaml_parse(struct str text, struct str file, struct arena *arena,
                                  struct diags *diags, struct yaml_node **ret_root);

/* The text of a file, into the arena; of one that is too big, enough for yaml_parse to refuse it. ST_IO
 * with a diagnostic when it cannot be read. */
MUST_CHECK enum status yaml_read(const char *path, struct arena *arena, struct diags *diags,
                                 struct str *ret_text);

/* Reads and parses a file from disk. */
MUST_CHECK enum status yaml_load(const char *path, struct arena *arena, struct diags *diags,
                                 struct yaml_node **ret_root);

/* Value of a mapping's key, or NULL. node may be NULL or no mapping: then NULL. */
const struct yaml_node *yaml_get(const struct yaml_node *node, struct str key);

/* An unquoted null, ~ or empty scalar; from the environment only an empty one. */
bool yaml_is_null(const struct yaml_node *node);

struct yaml_shown { /* text for a message */
    char text[80];  /* terminated */
};

/* Text as a message may show it: one line, control characters as "?", the end cut off as "...". */
struct yaml_shown yaml_shown(struct str text);
