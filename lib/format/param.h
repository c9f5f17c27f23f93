/* param.h: values with parameters: Content-Type, Content-Disposition (RFC 2045 5.1, RFC 2183, RFC
 * 2231). Pure, and as tolerant as mail is. */
#ifndef MAIL_PARAM_H
#define MAIL_PARAM_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;
struct header_charsets;

enum {
    PARAM_COUNT_MAX = 64,        /* parameters beyond it are not seen */
    PARAM_VALUE_MAX_BYTES = 4096 /* of a value put together from RFC 2231 pieces */
};

struct param {
    struct span name;  /* as written: "filename*0*" */
    struct span value; /* without quotes around it; with backslashes, see param_unquote() */
    bool quoted;
};

/* Takes `type "/" subtype` off the front of a Content-Type value. False, with all untouched, when
 * there is none, or more than that before the first ";". */
bool param_take_type(struct span *in, struct span *type, struct span *subtype);

/* Takes a word off the front: "attachment" of a Content-Disposition. May be empty. */
struct span param_take_word(struct span *in);

/* Takes the next parameter of what the two above left. What is none is passed over. False: no
 * more. */
bool param_take(struct span *in, struct param *ret);

/* Appends the value on one line without backslashes: never more bytes than it has. */
void param_unquote(struct buf *out, const struct param *param);

/* Appends the value of parameter `name` in UTF-8: RFC 2231 pieces put together and decoded, else
 * encoded words decoded, which RFC 2047 forbids there but mail has. `params` is as the functions
 * above leave it. False, with nothing appended, when there is no such parameter. */
bool param_find(struct span params, struct span name, const struct header_charsets *charsets,
                struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
