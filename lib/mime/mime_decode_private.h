/* mime_decode_private.h: the content of a part without its transfer encoding, piece by piece. */
#ifndef MAIL_MIME_DECODE_PRIVATE_H
#define MAIL_MIME_DECODE_PRIVATE_H

#include <stdint.h>

#include "base64.h"
#include "span.h"

struct mime_decoder {
    struct span rest; /* what is not decoded yet */
    uint8_t encoding; /* FACTS_ENCODING_*; of OTHER the bytes are as they are */
    struct base64_state base64;
};

void mime_decoder_init(struct mime_decoder *decoder, struct span body, uint8_t encoding);

/* The next piece, of at most `room` bytes; empty at the end. It points into `store`, or into the
 * body when that needs no decoding. `room` is 16 or more. */
struct span mime_decode(struct mime_decoder *decoder, char *store, size_t room);

#endif
