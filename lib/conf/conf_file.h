/* conf_file.h: files of "key = value" lines. Pure: bytes in, settings out. */
#ifndef MAIL_CONF_FILE_H
#define MAIL_CONF_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conf_line {
    struct span key, value; /* without blanks around; `value` may be empty */
    size_t number;          /* of the line, from 1 on */
};

/* Takes the next setting off the front of `*in`, past empty lines and comments:
 *
 *   line    = [ blanks key blanks "=" blanks [ value ] blanks ] | blanks "#" anything
 *   key     = letters, digits, "." "-" "_"
 *   value   = anything but NUL, CR and LF
 *
 * Lines end in LF or CRLF, the last one perhaps in nothing. `ret->number` counts on from what it
 * is: 0 at first. `*there` false: the end. ERR_SYNTAX, with ret->number the bad line's. */
MUST_USE struct err conf_file_next(struct span *in, struct conf_line *ret, bool *there);

#ifdef __cplusplus
}
#endif
#endif
