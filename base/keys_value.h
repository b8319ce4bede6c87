/* Values of single keys: scalars into fields, and the words for what a key accepts. Used by
 * base/keys.c and the generators. */
#pragma once

#include "base/keys.h"

enum {
    KEYS_WORDS_SIZE = 1024
};

struct keys_words { /* a phrase, cut at the end of the array */
    char text[KEYS_WORDS_SIZE];
    size_t len;
};

/* What the key accepts, for "must be ...": "a whole number from 1 to 600000 ms", "text". */
void keys_value_words(const struct key *key, struct keys_words *ret_words);

/* True for the types that one scalar fills: KEY_TEXT to KEY_CHOICE. */
bool keys_value_is_scalar(enum key_type type);

/* Fills the field of a scalar key from a node that is not null. ST_INVALID: the node is not what
 * keys_value_words says; *ret_hint then holds a remark for the end of the message (" (remove the
 * quotes)") or "". Reports nothing. ST_NO_MEMORY. */
MUST_CHECK enum status keys_value_decode(const struct key *key, const struct key_reader *reader,
                                         const struct yaml_node *node, void *field,
                                         const char **ret_hint);

/* The key's default as a node. key->fallback must not be NULL. Errors of a default that is no YAML
 * go to diags. ST_INVALID, ST_NO_MEMORY. */
MUST_CHECK enum status keys_value_fallback(const struct key *key, struct arena *arena,
                                           struct diags *diags, struct yaml_node **ret_node);
