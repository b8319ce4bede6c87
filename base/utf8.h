/* UTF-8 (RFC 3629): validation and coding. Does no normalisation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* Length of the longest valid prefix: s.len when all of s is valid. Overlong forms, surrogates and
 * values above U+10FFFF are invalid. Skips ASCII 16 bytes at a time. */
size_t utf8_valid_prefix(struct str s);

/* Length of the run of valid multi-byte sequences that s starts with: up to the first ASCII or
 * invalid byte. For scanners that look at ASCII themselves. */
size_t utf8_multibyte_run(struct str s);

/* Decodes one code point at the start of s (not empty). Returns its length in bytes, or 0 for an
 * invalid sequence. */
size_t utf8_decode(struct str s, uint32_t *ret_code_point);

/* Writes 1-4 bytes; code_point must be a scalar value. Returns the length. */
size_t utf8_encode(uint32_t code_point, char out[4]);

/* s shortened to at most max bytes without cutting a code point in two. */
struct str utf8_truncate(struct str s, size_t max);

/* What a look at both ends of a text shows: all of it when it has at most head + tail bytes (ret_tail
 * is empty then), else that much of its start and of its end, cut between code points. */
void utf8_window(struct str s, size_t head, size_t tail, struct str *ret_head,
                 struct str *ret_tail);
