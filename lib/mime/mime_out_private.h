/* mime_out_private.h: IMAP text that grows (RFC 3501 section 9: nstring, literal). */
#ifndef MAIL_MIME_OUT_PRIVATE_H
#define MAIL_MIME_OUT_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

/* Once there was no memory `failed` stays set, and puts do nothing. The owner frees `bytes`. */
struct mime_out {
    char *bytes;
    size_t len, size;
    bool failed;
};

/* Makes room for `bytes` more. */
bool mime_out_reserve(struct mime_out *out, size_t bytes);

void mime_out_put(struct mime_out *out, struct span bytes);
static inline void mime_out_char(struct mime_out *out, char c)
{
    if (out->len < out->size || mime_out_reserve(out, 1)) out->bytes[out->len++] = c;
}
void mime_out_number(struct mime_out *out, uint64_t number);

/* `text` as a quoted string, or as a literal when it has 8-bit bytes. It is one line already: other
 * controls than tabs, NUL among them, become spaces. */
void mime_out_string(struct mime_out *out, struct span text);

/* The same in capitals: types, names of parameters, encodings. */
void mime_out_upper(struct mime_out *out, struct span text);

/* The value of a header field unfolded, as a string; NIL when `ptr` is NULL. What is beyond
 * `max_bytes` of the value is cut off. */
void mime_out_field(struct mime_out *out, struct span value, size_t max_bytes);

#endif
