/* Borrowed text: bytes and a length, not terminated. The way text travels through the program.
 * A struct str never owns; where a function hands out memory its header says who frees it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct str {
    const char *ptr; /* may be NULL when len is 0 */
    size_t len;
};

/* A string literal as struct str: STR in expressions, STR_INIT in the initialisers of static objects
 * (where gcc, pedantic, takes no compound literal). */
#define STR(literal) ((struct str){("" literal ""), sizeof(literal) - 1})
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        ("" literal ""), sizeof(literal) - 1                                                       \
    }

/* For printf("%.*s"): printf("%.*s", STR_ARG(s)). */
#define STR_ARG(s) (int)(s).len, (s).ptr

struct str str_from(const char *terminated); /* NULL gives the empty string */
bool str_is_empty(struct str s);
bool str_eq(struct str a, struct str b);
bool str_eq_nocase(struct str a, struct str b); /* ASCII only */
int str_cmp(struct str a, struct str b);        /* bytewise order, <0 0 >0 */
bool str_starts_with(struct str s, struct str prefix);
bool str_starts_with_nocase(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);

/* The part of s from `start` on, at most `len` bytes; both are clamped to s. */
struct str str_slice(struct str s, size_t start, size_t len);

/* Offset of the first occurrence, or s.len when there is none. */
size_t str_find(struct str s, struct str needle);
size_t str_find_char(struct str s, char c);

/* s without ASCII blanks, tabs, CR and LF at both ends. */
struct str str_trim(struct str s);

/* Cuts s at the first `separator`: ret_head gets what stands before it, ret_rest what stands after
 * (empty when there is none). Returns false when s is empty and nothing was cut. */
bool str_split(struct str s, char separator, struct str *ret_head, struct str *ret_rest);

/* Decimal integers and reals with nothing before or after. ST_INVALID, ST_TOO_BIG (out of range). */
MUST_CHECK enum status str_to_int(struct str s, int64_t *ret_value);
MUST_CHECK enum status str_to_real(struct str s, double *ret_value);

/* Levenshtein distance in bytes, capped at `limit` (returns limit when it is more, or when the parts
 * that differ are both over 255 bytes long); for did-you-mean. */
size_t str_distance(struct str a, struct str b, size_t limit);

/* FNV-1a folded through a finaliser; stable across builds and machines. */
uint64_t str_hash(struct str s);
