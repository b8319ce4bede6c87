/* What stands for what: values that were taken out of one request, and the placeholders, `[EMAIL_1]`,
 * that went out in their stead. The same value gets the same placeholder; numbers begin after the
 * highest one that the request itself contains, so that no text of the client's is mistaken for one.
 *
 * Life: one attempt of one request; not thread-safe. Values are copied and never leave but by
 * redact_vault_restore. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "policies/redact.h"

enum {
    REDACT_LABELS_MAX = 64,      /* kinds and own patterns of one request */
    REDACT_VALUES_MAX = 100000,  /* different values of one request */
    REDACT_PLACEHOLDER_MAX = 48, /* bytes of the longest one */
    REDACT_LABEL_MAX = 32,       /* bytes of the longest label */
};

struct redact_vault;

/* labels: of kinds and patterns by number, borrowed for the vault's life, at most REDACT_LABELS_MAX,
 * each A-Z 0-9 _ and at most REDACT_LABEL_MAX bytes. NULL: no memory. */
struct redact_vault *redact_vault_create(const struct str *labels, size_t count,
                                         struct arena *arena);
void redact_vault_destroy(struct redact_vault *v); /* NULL allowed */

/* Takes note of text that goes out with the request: numbers of placeholders in it are not used. All
 * of it must be shown before the first value is put. */
void redact_vault_avoid(struct redact_vault *v, struct str text);

/* The placeholder of a value; lives as long as the vault. ST_NO_MEMORY, ST_TOO_BIG (too many). */
MUST_CHECK enum status redact_vault_put(struct redact_vault *v, unsigned label, struct str value,
                                        struct str *ret_placeholder);

/* How often values of this label were put. */
size_t redact_vault_count(const struct redact_vault *v, unsigned label);
bool redact_vault_is_empty(const struct redact_vault *v);

enum redact_restore {
    REDACT_WHOLE,   /* the text ends here */
    REDACT_GOES_ON, /* more follows: what may be the start of a placeholder is left over */
};

/* Appends the text with placeholders replaced by their values; is_nested: the text is JSON itself, and
 * values are escaped for a string in it. *ret_left: bytes at the end that were not looked at (fewer
 * than REDACT_PLACEHOLDER_MAX; none with REDACT_WHOLE); they are to come first in the next text.
 * What is no placeholder of this vault stays as it is. ST_NO_MEMORY, ST_TOO_BIG. */
MUST_CHECK enum status redact_vault_restore(const struct redact_vault *v, struct str text,
                                            enum redact_restore how, bool is_nested,
                                            struct buf *out, size_t *ret_left);
