/* See digest.h. */
#include "base/digest.h"

#include <nettle/base64.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>

static const struct str prefix = STR_INIT("sha256:");

_Static_assert((int)DIGEST_BYTES == (int)SHA256_DIGEST_SIZE, "one digest");

void digest_of(struct str text, struct digest *ret_digest)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, text.len, (const uint8_t *)text.ptr);
    sha256_digest(&ctx, sizeof ret_digest->bytes, ret_digest->bytes);
    digest_wipe(&ctx, sizeof ctx); /* holds the last block of the text */
}

bool digest_eq(const struct digest *a, const struct digest *b)
{
    return memeql_sec(a->bytes, b->bytes, sizeof a->bytes) != 0;
}

static int nibble(char c)
{
    static const char digits[] = "0123456789abcdef";
    char lower = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
    const char *at = memchr(digits, lower, sizeof digits - 1);
    return at == NULL ? -1 : (int)(at - digits);
}

enum status digest_parse(struct str text, struct digest *ret_digest)
{
    struct digest d;
    if (!str_starts_with(text, prefix) || text.len != DIGEST_TEXT_BYTES - 1) {
        return ST_INVALID;
    }
    for (size_t i = 0; i < sizeof d.bytes; i++) {
        int high = nibble(text.ptr[prefix.len + 2 * i]);
        int low = nibble(text.ptr[prefix.len + 2 * i + 1]);
        if (high < 0 || low < 0) {
            return ST_INVALID;
        }
        d.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_digest = d;
    return ST_OK;
}

void digest_write(const struct digest *digest, char ret_text[DIGEST_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    memcpy(ret_text, prefix.ptr, prefix.len);
    for (size_t i = 0; i < sizeof digest->bytes; i++) {
        ret_text[prefix.len + 2 * i] = digits[digest->bytes[i] >> 4];
        ret_text[prefix.len + 2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    ret_text[DIGEST_TEXT_BYTES - 1] = '\0';
}

void digest_write_base64(const struct digest *digest, char ret_text[DIGEST_BASE64_BYTES])
{
    char padded[BASE64_ENCODE_LENGTH(DIGEST_BYTES) + BASE64_ENCODE_FINAL_LENGTH];
    struct base64_encode_ctx ctx;
    base64url_encode_init(&ctx);
    size_t n = base64_encode_update(&ctx, padded, sizeof digest->bytes, digest->bytes);
    (void)base64_encode_final(&ctx, padded + n); /* the rest and '=' */
    memcpy(ret_text, padded, DIGEST_BASE64_BYTES - 1);
    ret_text[DIGEST_BASE64_BYTES - 1] = '\0';
    digest_wipe(padded, sizeof padded);
    digest_wipe(&ctx, sizeof ctx);
}

void digest_wipe(void *memory, size_t size)
{
    explicit_bzero(memory, size);
}
