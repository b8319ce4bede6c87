/* Bytes as the finders of redact.h see them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

static inline bool redact_char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool redact_char_is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

static inline char redact_char_lower(char c)
{
    return redact_char_is_upper(c) ? (char)(c + ('a' - 'A')) : c;
}

static inline bool redact_char_is_letter(char c)
{
    char low = redact_char_lower(c);
    return low >= 'a' && low <= 'z';
}

static inline bool redact_char_is_alnum(char c)
{
    return redact_char_is_digit(c) || redact_char_is_letter(c);
}

/* Letters, digits and every byte of a code point beyond ASCII. */
static inline bool redact_char_is_word(char c)
{
    return redact_char_is_alnum(c) || (unsigned char)c >= 0x80;
}

/* The byte at `at`, or NUL beyond the end. */
static inline char redact_char_at(struct str text, size_t at)
{
    return at < text.len ? text.ptr[at] : '\0';
}

/* The byte before `at`, or NUL at the start. */
static inline char redact_char_before(struct str text, size_t at)
{
    return at > 0 ? text.ptr[at - 1] : '\0';
}

/* Length of what may separate groups of digits: one of " -./", a tab, or a blank, hyphen or dash beyond
 * ASCII; characters that show nothing may stand beside it, or alone. 0: nothing of that kind stands here. */
size_t redact_char_gap(struct str text, size_t at);
