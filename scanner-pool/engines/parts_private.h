/* parts_private.h: a mail, part by part and then whole. Only workers run this. */
#ifndef MAIL_PARTS_PRIVATE_H
#define MAIL_PARTS_PRIVATE_H

#include "engines.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct clam;

/* Each leaf of the MIME tree without its transfer encoding, named as IMAP numbers it (as
 * mime_replace_part understands it), then the message as it is, by libclamav's own reader of mail,
 * since two readers of broken MIME are harder to deceive than one. When a part holds a virus the
 * rest of the parts is still looked at, the whole no more. All together in `scan_ms`. */
void parts_scan(struct clam *clam, struct span message, uint32_t scan_ms,
                struct engines_result *result);

#ifdef __cplusplus
}
#endif
#endif
