/* mime_out.h: IMAP text that grows up to a limit (RFC 3501 9: nstring, literal). */
#ifndef MAIL_MIME_OUT_H
#define MAIL_MIME_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Once a put does not fit `failed` stays set. */
struct mime_out {
    char *bytes;
    size_t len, size, limit;
    bool failed;
};

void mime_out_put(struct mime_out *out, struct span bytes);
static inline void mime_out_char(struct mime_out *out, char c)
{
    if (out->len < out->size) out->bytes[out->len++] = c;
    else mime_out_put(out, span_of(&c, 1));
}
void mime_out_number(struct mime_out *out, uint64_t number);
/* A quoted string, or a literal when the text has 8-bit, CR, LF or is long. NULs become '?'. */
void mime_out_string(struct mime_out *out, struct span text);
/* A header field's value unfolded and trimmed as a string; NIL when `ptr` is NULL. */
void mime_out_field(struct mime_out *out, struct span value);
/* An address-list field as ENVELOPE has it; NIL when there is none in it. */
void mime_out_addresses(struct mime_out *out, struct span value);

#ifdef __cplusplus
}
#endif
#endif
