/* http_session.h: one HTTP/1.1 conversation as a machine without I/O (RFC 9110, 9112).
 *
 * Bytes go in; response bytes and at most one wish come out. libhttp-parser reads the requests. One
 * request is worked on at a time: what a client pipelines behind it waits in the shell's buffer. */
#ifndef MAIL_HTTP_SESSION_H
#define MAIL_HTTP_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    HTTP_TARGET_MAX_BYTES = 8 * 1024,      /* 414 beyond */
    HTTP_HEADERS_MAX = 100,                /* 431 beyond */
    HTTP_HEADERS_MAX_BYTES = 32 * 1024,    /* 431 beyond */
    HTTP_BODY_MAX_BYTES = 4 * 1024 * 1024, /* 413 beyond, unless http_session_body_max() */
    HTTP_HEAD_MAX_BYTES = 2 * 1024,        /* of a response, without its body */
};

enum http_wish {
    HTTP_WISH_NOTHING,
    HTTP_WISH_ANSWER, /* a request is whole: answer it with http_session_answer() */
    HTTP_WISH_CLOSE,  /* after what is in `out` */
};

struct http_header {
    struct span name, value;
};

/* A request as it was received; lives until it is answered. */
struct http_request {
    struct span method, target; /* target: path and query as sent */
    struct span path, query;    /* of it; query without '?' */
    const struct http_header *headers;
    size_t headers_count;
    struct span body;
};

struct http_response {
    unsigned status;
    struct span content_type;      /* empty with an empty body */
    struct span body;              /* sent by the caller behind the head */
    const struct http_header *headers; /* further ones; ours, without CR or LF */
    size_t headers_count;
};

struct http_session;

/* `secure`: the connection is TLS (adds Strict-Transport-Security). */
MUST_USE struct err http_session_new(bool secure, struct http_session **ret);
/* Longer bodies are refused with 413, from the next request on. */
void http_session_body_max(struct http_session *session, uint64_t body_bytes_max);
void http_session_free(struct http_session *session);

enum http_wish http_session_wish(const struct http_session *session);

/* Works through `in` until it needs more or has a wish; returns how many bytes are done with.
 * Responses to what is no request are appended to `out` (room: HTTP_HEAD_MAX_BYTES + 512). */
size_t http_session_feed(struct http_session *session, struct span in, struct buf *out);

/* The request of HTTP_WISH_ANSWER. */
const struct http_request *http_session_request(const struct http_session *session);

/* Answers it: the head is appended to `out` (room: HTTP_HEAD_MAX_BYTES); the caller sends the body
 * behind it, unless http_session_is_head() says that the request was HEAD. The wish is then
 * NOTHING or CLOSE. */
void http_session_answer(struct http_session *session, const struct http_response *response,
                         struct buf *out);
bool http_session_is_head(const struct http_session *session);

/* The value of a request header, empty when it is not there. */
struct span http_request_header(const struct http_request *request, struct span name);

/* The text of a status code, like "Not Found". */
const char *http_status_text(unsigned status);

#ifdef __cplusplus
}
#endif
#endif
