#include "hash.h"

#include <stdbool.h>
#include <stddef.h>

static uint64_t rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

static uint64_t little64(const unsigned char *p, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void sip_rounds(uint64_t v[4], int rounds)
{
    while (rounds-- > 0) {
        v[0] += v[1];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[0] = rotate(v[0], 32);
        v[2] += v[3];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] += v[3];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] += v[1];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[2] = rotate(v[2], 32);
    }
}

uint64_t hash_sip(const uint64_t key[2], struct span bytes)
{
    uint64_t v[4] = { key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du,
                      key[0] ^ 0x6c7967656e657261u, key[1] ^ 0x7465646279746573u };
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    size_t left = bytes.len;
    for (; left >= 8; left -= 8, at += 8) {
        uint64_t word = little64(at, 8);
        v[3] ^= word;
        sip_rounds(v, 2);
        v[0] ^= word;
    }
    uint64_t last = ((uint64_t)bytes.len << 56) | little64(at, left);
    v[3] ^= last;
    sip_rounds(v, 2);
    v[0] ^= last;
    v[2] ^= 0xff;
    sip_rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* Bit by bit, reflected polynomial 0x82f63b78: the reference, and the path without SSE4.2. */
static uint32_t crc_plain(uint32_t crc, const unsigned char *at, size_t left)
{
    for (; left > 0; left--, at++) {
        crc ^= *at;
        for (int i = 0; i < 8; i++) crc = (crc >> 1) ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_sse(uint32_t crc, const unsigned char *at,
                                                          size_t left)
{
    uint64_t wide = crc;
    for (; left >= 8; left -= 8, at += 8) wide = __builtin_ia32_crc32di(wide, little64(at, 8));
    uint32_t narrow = (uint32_t)wide;
    for (; left > 0; left--, at++) narrow = __builtin_ia32_crc32qi(narrow, *at);
    return narrow;
}

uint32_t hash_crc32c(uint32_t crc, struct span bytes)
{
    const unsigned char *at = (const unsigned char *)bytes.ptr;
    bool fast = __builtin_cpu_supports("sse4.2") != 0;
    return ~(fast ? crc_sse(~crc, at, bytes.len) : crc_plain(~crc, at, bytes.len));
}
#else
uint32_t hash_crc32c(uint32_t crc, struct span bytes)
{
    return ~crc_plain(~crc, (const unsigned char *)bytes.ptr, bytes.len);
}
#endif
