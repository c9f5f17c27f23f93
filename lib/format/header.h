/* header.h: the header of a message or of a part (RFC 5322 2.2), field by field. Pure.
 *
 * As tolerant as mail is: LF alone ends a line too, white space may stand before the colon, a line
 * that is no field is passed over but does not end the header. Only an empty line does. */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

struct header_field {
    struct span raw;   /* with its line ends */
    struct span name;  /* empty: this is no field */
    struct span value; /* behind the colon, without the last line end; folded as it came */
};

/* Takes a field with its folded lines off the front of `*in`. False at the end of the header: then
 * `*in` begins behind the empty line, or is empty. Spans point into `*in`. */
bool header_take(struct span *in, struct header_field *ret);

/* The value of the first field of that name. `header` may have the body behind it. */
bool header_find(struct span header, struct span name, struct span *value);

/* Appends the value on one line: line ends that fold are taken out, other control characters but
 * tabs become spaces, white space around is cut. Never more bytes than `value` has. */
void header_unfold(struct buf *out, struct span value);

/* Without the white space, line ends included, before and behind. */
struct span header_trim(struct span value);

/* What turns bytes of a charset into UTF-8: appends to `out` at most 3 * bytes.len bytes and says
 * true, or leaves it as it was and says false when it does not know `charset` (then the caller
 * takes what is valid UTF-8 for that). */
typedef bool header_to_utf8(void *user, struct span charset, struct span bytes, struct buf *out);

struct header_charsets {
    header_to_utf8 *to_utf8;
    void *user;
};

/* Appends `value` unfolded, in UTF-8, with its encoded words (RFC 2047) decoded: at most 3 bytes
 * for each. White space between two encoded words goes; those of one charset are decoded
 * together, since many senders cut characters apart. Words that are not well formed stay. */
void header_decode(struct buf *out, struct span value, const struct header_charsets *charsets);

#ifdef __cplusplus
}
#endif
#endif
