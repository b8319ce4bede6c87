/* SHA-256, and what goes with it for keys of clients: digests as text, comparison, unpadded base64url,
 * wiping. The only place that knows nettle. Pure; any thread.
 *
 * SHA-256: FIPS 180-4. base64url: RFC 4648 section 5. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/str.h"

enum {
    DIGEST_BYTES = 32,
    DIGEST_TEXT_BYTES = 7 + 2 * DIGEST_BYTES + 1, /* "sha256:", hexadecimal digits, NUL */
    DIGEST_BASE64_BYTES = 43 + 1,                 /* of 32 bytes, NUL */
};

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

void digest_of(struct str text, struct digest *ret_digest);

/* In a time that does not depend on where they differ. */
bool digest_eq(const struct digest *a, const struct digest *b);

/* "sha256:" and 64 hexadecimal digits of either case. ST_INVALID. */
MUST_CHECK enum status digest_parse(struct str text, struct digest *ret_digest);
void digest_write(const struct digest *digest, char ret_text[DIGEST_TEXT_BYTES]);

/* Any 32 bytes as base64url without padding. */
void digest_write_base64(const struct digest *digest, char ret_text[DIGEST_BASE64_BYTES]);

/* Overwrites memory; the compiler does not leave it out. */
void digest_wipe(void *memory, size_t size);
