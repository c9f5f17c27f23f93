/* http_reply.h: reads what a program of ours answers to a request with "Connection: close" (RFC
 * 9112): a status line, headers with one Content-Length, and so many bytes. Pure. */
#ifndef MAIL_HTTP_REPLY_H
#define MAIL_HTTP_REPLY_H

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { HTTP_REPLY_HEAD_MAX_BYTES = 8 * 1024, HTTP_REPLY_BODY_MAX_BYTES = 64 * 1024 * 1024 };

enum http_reply_state {
    HTTP_REPLY_OK,   /* it is whole; what follows it is not looked at */
    HTTP_REPLY_MORE, /* so far it is right */
    HTTP_REPLY_BAD,  /* it is none: no HTTP/1, no length, or out of the bounds above */
};

struct http_reply {
    unsigned status;  /* 100 to 999 */
    struct span body; /* within what was read */
};

/* `*ret` is set with OK only. */
enum http_reply_state http_reply_read(struct span in, struct http_reply *ret);

#ifdef __cplusplus
}
#endif
#endif
