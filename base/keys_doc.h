/* What the three generators (keys_doc.c, keys_schema.c, keys_reference.c) share: the tables below a
 * root as a flat list, so that none of them recurses. */
#pragma once

#include <stdbool.h>

#include "base/keys.h"

enum {
    KEYS_DOC_PLACES_MAX = 256, /* places of tables in a tree; ours has about 60 */
    KEYS_DOC_DEPTH_MAX = 16,   /* tables inside each other */
};

struct keys_doc_place { /* a table where it appears */
    const struct keys *keys;
    const struct key *via; /* the key that holds it; NULL: the root */
    size_t parent;         /* index of the place of `via`; the root: itself */
    size_t depth;          /* 0: the root */
};

struct keys_doc_tree {
    struct keys_doc_place places[KEYS_DOC_PLACES_MAX]; /* a table before what it holds, in order */
    size_t count;
};

/* Lists all places. A table that holds itself is listed once and not entered again. */
void keys_doc_walk(const struct keys *keys, struct keys_doc_tree *ret_tree);

/* True at the first place of each table. */
bool keys_doc_is_first(const struct keys_doc_tree *tree, size_t index);

/* True when the key is documented by a table: KEY_BLOCK, KEY_MAP, KEY_LIST, KEY_CUSTOM with one. */
bool keys_doc_has_block(const struct key *key);

/* True if the value of the key is a list (of blocks or of texts). */
bool keys_doc_is_list(const struct key *key);
