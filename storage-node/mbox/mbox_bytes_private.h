/* mbox_bytes_private.h: little-endian integers in rows. */
#ifndef MAIL_MBOX_BYTES_PRIVATE_H
#define MAIL_MBOX_BYTES_PRIVATE_H

#include <assert.h>
#include <stdint.h>
#include <string.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "memcpy is the encoding");

static inline uint16_t get_u16(const char *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}
static inline uint32_t get_u32(const char *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}
static inline uint64_t get_u64(const char *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}
static inline void put_u16(char *to, uint16_t value) { memcpy(to, &value, sizeof(value)); }
static inline void put_u32(char *to, uint32_t value) { memcpy(to, &value, sizeof(value)); }
static inline void put_u64(char *to, uint64_t value) { memcpy(to, &value, sizeof(value)); }

#endif
