/* See sha256.h. Names of the working variables are those of FIPS 180-4, section 6.2.2. */
#include "base/sha256.h"

#include <string.h>

enum {
    ROUNDS = 64,
    LENGTH_AT = SHA256_BLOCK_BYTES - 8, /* the length in bits closes the last block */
};

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (4.2.2). */
static const uint32_t k[ROUNDS] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t read_word(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void mix(struct sha256 *s)
{
    uint32_t w[ROUNDS];
    uint32_t v[8]; /* a to h */
    for (size_t t = 0; t < 16; t++) {
        w[t] = read_word(s->block + 4 * t);
    }
    for (size_t t = 16; t < ROUNDS; t++) {
        uint32_t s0 = rotate(w[t - 15], 7) ^ rotate(w[t - 15], 18) ^ w[t - 15] >> 3;
        uint32_t s1 = rotate(w[t - 2], 17) ^ rotate(w[t - 2], 19) ^ w[t - 2] >> 10;
        w[t] = w[t - 16] + s0 + w[t - 7] + s1;
    }
    memcpy(v, s->state, sizeof v);
    for (size_t t = 0; t < ROUNDS; t++) {
        uint32_t s1 = rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25);
        uint32_t s0 = rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22);
        uint32_t ch = (v[4] & v[5]) ^ (~v[4] & v[6]);
        uint32_t maj = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        uint32_t t1 = v[7] + s1 + ch + k[t] + w[t];
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + s0 + maj;
    }
    for (size_t i = 0; i < 8; i++) {
        s->state[i] += v[i];
    }
}

void sha256_init(struct sha256 *s)
{
    static const uint32_t initial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->state, initial, sizeof initial);
    s->total = 0;
}

void sha256_add(struct sha256 *s, struct str bytes)
{
    size_t done = 0;
    while (done < bytes.len) {
        size_t at = s->total % SHA256_BLOCK_BYTES;
        size_t n = SHA256_BLOCK_BYTES - at;
        n = n < bytes.len - done ? n : bytes.len - done;
        memcpy(s->block + at, bytes.ptr + done, n);
        s->total += n;
        done += n;
        if (s->total % SHA256_BLOCK_BYTES == 0) {
            mix(s);
        }
    }
}

void sha256_end(struct sha256 *s, uint8_t ret[SHA256_BYTES])
{
    uint64_t bits = s->total * 8;
    size_t at = s->total % SHA256_BLOCK_BYTES;
    s->block[at++] = 0x80;
    if (at > LENGTH_AT) {
        memset(s->block + at, 0, SHA256_BLOCK_BYTES - at);
        mix(s);
        at = 0;
    }
    memset(s->block + at, 0, LENGTH_AT - at);
    for (size_t i = 0; i < 8; i++) {
        s->block[LENGTH_AT + i] = (uint8_t)(bits >> (56 - 8 * i));
    }
    mix(s);
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret[i] = (uint8_t)(s->state[i / 4] >> (24 - i % 4 * 8));
    }
}

void sha256_of(struct str bytes, uint8_t ret[SHA256_BYTES])
{
    struct sha256 s;
    sha256_init(&s);
    sha256_add(&s, bytes);
    sha256_end(&s, ret);
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char ret[SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        ret[2 * i] = digits[digest[i] >> 4];
        ret[2 * i + 1] = digits[digest[i] & 15];
    }
    ret[SHA256_HEX_BYTES - 1] = '\0';
}
