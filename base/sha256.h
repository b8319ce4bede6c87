/* SHA-256 (FIPS 180-4). For digests of keys and for chains of rows; not for passwords. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum {
    SHA256_BYTES = 32,
    SHA256_BLOCK_BYTES = 64,
    SHA256_HEX_BYTES = 2 * SHA256_BYTES + 1,
};

struct sha256 { /* a digest in the making; sha256_init before use */
    uint32_t state[8];
    uint64_t total; /* bytes added */
    uint8_t block[SHA256_BLOCK_BYTES];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, struct str bytes);
void sha256_end(struct sha256 *s, uint8_t ret[SHA256_BYTES]); /* s is used up */

/* The digest of one text. */
void sha256_of(struct str bytes, uint8_t ret[SHA256_BYTES]);

/* As lower-case hexadecimal digits, terminated. */
void sha256_hex(const uint8_t digest[SHA256_BYTES], char ret[SHA256_HEX_BYTES]);
