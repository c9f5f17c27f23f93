/* smtp_data.h: the octets behind 354, up to <CRLF>.<CRLF> and nothing else (RFC 5321 4.5.2). */
#ifndef MAIL_SMTP_DATA_H
#define MAIL_SMTP_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SMTP_DATA_LINE_MAX_BYTES = 64 * 1024 }; /* without CRLF; the RFC asks for 998 */

/* What came before the next octet. */
enum smtp_data_at {
    SMTP_DATA_LINE_START, /* CRLF, or nothing yet */
    SMTP_DATA_TEXT,
    SMTP_DATA_CR,         /* a CR in a line */
    SMTP_DATA_DOT,        /* a dot at the start of a line */
    SMTP_DATA_DOT_CR,     /* that and a CR: LF ends the message */
    SMTP_DATA_END,
};

/* All zero at first. */
struct smtp_data {
    enum smtp_data_at at;
    bool is_bare;       /* a CR or LF on its own was seen */
    bool is_long;       /* a line was over SMTP_DATA_LINE_MAX_BYTES */
    size_t line_bytes;  /* of the line under way */
};

/* Takes octets off the front of `in` until it has a run of the message's own (the stuffed dots
 * left out), the end, or nothing left. Returns how many it took; `*run` may be empty, and points
 * into `in` or at static bytes. Call until `at` is SMTP_DATA_END or `in` is used up. Once is_bare
 * or is_long is set the message is lost and runs are empty; only the end is looked for. */
size_t smtp_data_take(struct smtp_data *data, struct span in, struct span *run);

#ifdef __cplusplus
}
#endif
#endif
