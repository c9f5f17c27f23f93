/* imap_put.h: pieces of IMAP replies, written by hand because FETCH lives on them.
 *
 * The functions that take `char *` write without looking at the end: the caller has made sure of
 * the room that the comment names. They return where they stopped. */
#ifndef MAIL_IMAP_PUT_H
#define MAIL_IMAP_PUT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "buf.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { IMAP_U32_MAX_BYTES = 10, IMAP_U64_MAX_BYTES = 20, IMAP_DATE_TIME_BYTES = 28 };

/* Decimal. Room: IMAP_U32_MAX_BYTES, IMAP_U64_MAX_BYTES. */
char *imap_put_u32(char *to, uint32_t value);
char *imap_put_u64(char *to, uint64_t value);

static inline char *imap_put_span(char *to, struct span bytes)
{
    if (bytes.len > 0) memcpy(to, bytes.ptr, bytes.len);
    return to + bytes.len;
}

/* A fixed text: the length is known when it is compiled. */
#define IMAP_PUT(to, literal) \
    ((char *)memcpy((to), "" literal "", sizeof(literal) - 1) + (sizeof(literal) - 1))

/* date-time of RFC 3501 with its quotes, in UTC. Room: IMAP_DATE_TIME_BYTES. */
char *imap_put_date_time(char *to, uint64_t ms_since_1970);

/* `bytes` as a quoted string, or as a literal when a quoted one can't hold it. Appends. */
void imap_put_string(struct buf *out, struct span bytes);

void imap_buf_u64(struct buf *out, uint64_t value);

#ifdef __cplusplus
}
#endif
#endif
