/* bytes.h: little-endian integers of the formats of this folder, at any alignment. */
#ifndef MAIL_BYTES_H
#define MAIL_BYTES_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "integers are copied as they lie in memory"
#endif

/* Written where `to` points; the caller has made sure of the room. They return where they ended. */
static inline char *bytes_put_u8(char *to, uint8_t value)
{
    *to = (char)value;
    return to + 1;
}

#define BYTES_PUT(bits)                                                     \
    static inline char *bytes_put_u##bits(char *to, uint##bits##_t value)   \
    {                                                                       \
        memcpy(to, &value, (bits) / 8);                                     \
        return to + (bits) / 8;                                             \
    }
BYTES_PUT(16)
BYTES_PUT(32)
BYTES_PUT(64)
#undef BYTES_PUT

static inline char *bytes_put_span(char *to, struct span from)
{
    if (from.len > 0) memcpy(to, from.ptr, from.len);
    return to + from.len;
}

/* Takes an integer off the front of `*in`; false, with all untouched, when it is not whole. */
#define BYTES_TAKE(bits)                                                    \
    static inline bool bytes_take_u##bits(struct span *in, uint##bits##_t *ret) \
    {                                                                       \
        if (in->len < (bits) / 8) return false;                             \
        memcpy(ret, in->ptr, (bits) / 8);                                   \
        *in = span_skip(*in, (bits) / 8);                                   \
        return true;                                                        \
    }
BYTES_TAKE(8)
BYTES_TAKE(16)
BYTES_TAKE(32)
BYTES_TAKE(64)
#undef BYTES_TAKE

/* The same for a run of `len` bytes. */
static inline bool bytes_take_span(struct span *in, uint64_t len, struct span *ret)
{
    if (in->len < len) return false;
    *ret = span_head(*in, (size_t)len);
    *in = span_skip(*in, (size_t)len);
    return true;
}

#ifdef __cplusplus
}
#endif
#endif
