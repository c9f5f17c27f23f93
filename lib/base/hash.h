/* hash.h: SipHash-2-4 (Aumasson, Bernstein 2012) and CRC-32C (RFC 3720 B.4). */
#ifndef MAIL_HASH_H
#define MAIL_HASH_H

#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

uint64_t hash_sip(const uint64_t key[2], struct span bytes);

/* The CRC of `bytes` behind bytes whose CRC is `crc`; begin with 0. Uses SSE4.2 where it is. */
uint32_t hash_crc32c(uint32_t crc, struct span bytes);

#ifdef __cplusplus
}
#endif
#endif
