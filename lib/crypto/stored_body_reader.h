/* stored_body_reader.h: a stored body (stored_body.h) unpacked piece by piece, for one who can't
 * hold it whole. Beside what the format needs (a window of at most STORED_BODY_WINDOW_BYTES) it
 * keeps nothing. */
#ifndef MAIL_STORED_BODY_READER_H
#define MAIL_STORED_BODY_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct stored_body_reader;

enum { STORED_BODY_WINDOW_BYTES = 8 * 1024 * 1024 };

/* For a stored body of `stored_bytes`. ERR_CORRUPT: shorter than its head; ERR_NOMEM. */
MUST_USE struct err stored_body_reader_new(uint64_t stored_bytes, struct stored_body_reader **ret);
void stored_body_reader_free(struct stored_body_reader *reader);

/* Takes bytes of the stored body off the front of `*in` and appends what they unpack to to `out`,
 * until the one is empty or the other full. When `out` is full, more may come without input. A body
 * that is whole but for its checks is ERR_CORRUPT, as are bytes behind its end; ERR_UNSUPPORTED,
 * ERR_NOMEM. What was appended before an error stands. */
MUST_USE struct err stored_body_read(struct stored_body_reader *reader, struct span *in,
                                     struct buf *out);

/* All of the body has come out, and its length is what the head said. */
bool stored_body_reader_is_done(const struct stored_body_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
