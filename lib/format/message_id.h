/* message_id.h: message identifiers in References, In-Reply-To and Message-ID (RFC 5322 3.6.4),
 * in the one form by which THREAD compares them (RFC 5256 section 3, REFERENCES). Pure. */
#ifndef MAIL_MESSAGE_ID_H
#define MAIL_MESSAGE_ID_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { MESSAGE_ID_MAX_BYTES = 998 }; /* a line (RFC 5322 2.1.1); longer ones are passed over */

/* Takes the next identifier off the front of `*value`, whatever stands before it: what is between
 * "<" and ">", without quotes, backslashes of a quoted left side, and white space of folded lines.
 * False when there is none. `*ret` lies in `store`. */
bool message_id_take(struct span *value, char store[MESSAGE_ID_MAX_BYTES], struct span *ret);

#ifdef __cplusplus
}
#endif
#endif
