/* Keys of clients. A key is "sk-expertd-" and 256 random bits as base64url; what is kept of it, in the
 * configuration and in memory, is its SHA-256 alone.
 *
 * A plain, fast hash is right here, other than for passwords: nobody can try 2^256 keys, so there is
 * nothing that salt or slowness would protect. For the same reason keys are found by their digest in
 * an ordinary table: the time of a lookup may tell how much of a digest fits, but to use that one
 * would have to choose the digests one sends, which is what SHA-256 prevents, and a digest does not
 * give its key. The last comparison is in constant time all the same. */
#pragma once

#include <stdbool.h>

#include "base/digest.h"
#include "base/keys.h"

enum {
    API_KEY_BYTES = 11 + DIGEST_BASE64_BYTES
};

/* A new key, from the kernel's generator. ST_IO: it gave nothing. */
MUST_CHECK enum status api_key_make(char ret_key[API_KEY_BYTES]);

struct api_key_digest {
    struct digest digest;
    bool is_set;
};

/* For KEY_CUSTOM rows whose field is a struct api_key_digest. A value that is no digest is never shown:
 * it may be the key itself. */
MUST_CHECK enum status api_key_decode(struct key_reader *reader, const struct yaml_node *node,
                                      void *field);

/* What a client sent as its key, from the values of Authorization ("Bearer KEY"), x-api-key and
 * api-key: the first that is there. Empty: none. */
struct str api_key_of(struct str authorization, struct str x_api_key, struct str api_key);

/* Whether the key is the one that the digest belongs to. */
bool api_key_fits(struct str key, const struct api_key_digest *digest);
