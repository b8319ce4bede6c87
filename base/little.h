/* Little-endian numbers in bytes of any alignment: what all binary files of the project are made of. */
#pragma once

#include <stdint.h>
#include <string.h>

static inline uint32_t little_u32(const void *at)
{
    const unsigned char *p = at;
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t little_u64(const void *at)
{
    return little_u32(at) | (uint64_t)little_u32((const char *)at + 4) << 32;
}

static inline float little_f32(const void *at)
{
    uint32_t bits = little_u32(at);
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline void little_put_u32(void *at, uint32_t value)
{
    unsigned char *p = at;
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(value >> (8 * i));
    }
}

static inline void little_put_u64(void *at, uint64_t value)
{
    little_put_u32(at, (uint32_t)value);
    little_put_u32((char *)at + 4, (uint32_t)(value >> 32));
}

static inline void little_put_f32(void *at, float value)
{
    uint32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    little_put_u32(at, bits);
}
