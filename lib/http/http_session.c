#include "http_session.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "check.h"

/* What one request may make us hold: its head, its body, and growing room for both. */
enum { HTTP_BODY_FIRST_BYTES = 4096, HTTP_TEXT_FIRST_BYTES = 1024 };

/* Bytes that grow up to a limit. */
struct http_bytes {
    char *ptr;
    size_t len, size;
};

struct http_session {
    http_parser parser;
    enum http_wish wish;
    bool secure, last_was_value, head_done, expects_continue, whole, keep_alive;
    unsigned refuse;         /* status with which the request under way is refused, 0: none */
    struct http_bytes head;  /* target, names and values, one behind the other */
    struct http_bytes body;
    uint64_t body_max, next_body_max; /* of the request under way, and of the next one */
    size_t target_len;
    /* Names and values lie at offsets until the head is whole, since `head` may move. */
    struct { uint32_t name_at, name_len, value_at, value_len; } spots[HTTP_HEADERS_MAX];
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t headers_count;
    struct http_request request;
};

static bool bytes_add(struct http_bytes *bytes, struct span more, uint64_t max, size_t first)
{
    if (more.len > max - bytes->len) return false;
    if (more.len > bytes->size - bytes->len) {
        size_t size = bytes->size == 0 ? first : bytes->size;
        while (size - bytes->len < more.len) size *= 2;
        char *grown = realloc(bytes->ptr, size);
        if (grown == NULL) return false;
        bytes->ptr = grown;
        bytes->size = size;
    }
    if (more.len > 0) memcpy(bytes->ptr + bytes->len, more.ptr, more.len);
    bytes->len += more.len;
    return true;
}

static void bytes_free(struct http_bytes *bytes)
{
    free(bytes->ptr);
    *bytes = (struct http_bytes){ 0 };
}

static struct http_session *session_of(http_parser *parser) { return parser->data; }

static int refuse(struct http_session *session, unsigned status)
{
    session->refuse = status;
    return -1; /* makes http-parser stop (1 has a meaning of its own for heads) */
}

static int on_begin(http_parser *parser)
{
    struct http_session *session = session_of(parser);
    session->head.len = session->body.len = session->headers_count = session->target_len = 0;
    session->last_was_value = session->head_done = session->whole = false;
    session->expects_continue = false;
    session->body_max = session->next_body_max;
    return 0;
}

static int on_url(http_parser *parser, const char *at, size_t len)
{
    struct http_session *session = session_of(parser);
    if (!bytes_add(&session->head, span_of(at, len), HTTP_TARGET_MAX_BYTES,
                   HTTP_TEXT_FIRST_BYTES)) {
        return refuse(session, 414);
    }
    session->target_len = session->head.len;
    return 0;
}

static int on_field(http_parser *parser, const char *at, size_t len)
{
    struct http_session *session = session_of(parser);
    if (session->head_done) return 0; /* trailers are read and dropped */
    if (session->headers_count == 0 || session->last_was_value) {
        if (session->headers_count == HTTP_HEADERS_MAX) return refuse(session, 431);
        session->spots[session->headers_count].name_at = (uint32_t)session->head.len;
        session->spots[session->headers_count].name_len = 0;
        session->spots[session->headers_count].value_at = (uint32_t)session->head.len;
        session->spots[session->headers_count].value_len = 0;
        session->headers_count++;
        session->last_was_value = false;
    }
    if (!bytes_add(&session->head, span_of(at, len), HTTP_HEADERS_MAX_BYTES,
                   HTTP_TEXT_FIRST_BYTES)) {
        return refuse(session, 431);
    }
    session->spots[session->headers_count - 1].name_len += (uint32_t)len;
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t len)
{
    struct http_session *session = session_of(parser);
    if (session->head_done) return 0;
    if (!session->last_was_value) {
        session->spots[session->headers_count - 1].value_at = (uint32_t)session->head.len;
        session->last_was_value = true;
    }
    if (!bytes_add(&session->head, span_of(at, len), HTTP_HEADERS_MAX_BYTES,
                   HTTP_TEXT_FIRST_BYTES)) {
        return refuse(session, 431);
    }
    session->spots[session->headers_count - 1].value_len += (uint32_t)len;
    return 0;
}

/* The head is whole: offsets become spans. */
static int on_head(http_parser *parser)
{
    struct http_session *session = session_of(parser);
    struct http_request *request = &session->request;
    for (size_t i = 0; i < session->headers_count; i++) {
        const char *text = session->head.ptr;
        session->headers[i].name = span_of(text + session->spots[i].name_at,
                                           session->spots[i].name_len);
        session->headers[i].value = span_of(text + session->spots[i].value_at,
                                            session->spots[i].value_len);
    }
    const char *method = http_method_str(parser->method);
    *request = (struct http_request){ .method = span_of(method, strlen(method)),
                                      .target = span_of(session->head.ptr, session->target_len),
                                      .headers = session->headers,
                                      .headers_count = session->headers_count };
    request->path = request->target;
    span_cut(request->target, '?', &request->path, &request->query);
    session->head_done = true;
    if (parser->http_major != 1) return refuse(session, 505);
    if (parser->method == HTTP_CONNECT || parser->upgrade) return refuse(session, 501);
    if ((parser->flags & F_CONTENTLENGTH) != 0 && parser->content_length > session->body_max) {
        return refuse(session, 413);
    }
    struct span host = http_request_header(request, SPAN("host"));
    if (parser->http_major == 1 && parser->http_minor == 1 && host.len == 0) {
        return refuse(session, 400); /* RFC 9112 3.2 */
    }
    struct span expect = http_request_header(request, SPAN("expect"));
    session->expects_continue = span_eq_nocase(expect, SPAN("100-continue"));
    return 0;
}

static int on_body(http_parser *parser, const char *at, size_t len)
{
    struct http_session *session = session_of(parser);
    if (!bytes_add(&session->body, span_of(at, len), session->body_max, HTTP_BODY_FIRST_BYTES)) {
        return refuse(session, 413);
    }
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct http_session *session = session_of(parser);
    session->request.body = span_of(session->body.ptr, session->body.len);
    session->keep_alive = http_should_keep_alive(parser) != 0;
    session->whole = true;
    session->wish = HTTP_WISH_ANSWER;
    http_parser_pause(parser, 1); /* the next request waits */
    return 0;
}

static const http_parser_settings settings = {
    .on_message_begin = on_begin,
    .on_url = on_url,
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

struct err http_session_new(bool secure, struct http_session **ret)
{
    struct http_session *session = calloc(1, sizeof(*session));
    if (session == NULL) return err_make(ERR_NOMEM, "http");
    http_parser_init(&session->parser, HTTP_REQUEST);
    session->parser.data = session;
    session->secure = secure;
    http_session_body_max(session, HTTP_BODY_MAX_BYTES);
    *ret = session;
    return err_ok();
}

void http_session_body_max(struct http_session *session, uint64_t body_bytes_max)
{
    session->next_body_max = body_bytes_max;
}

void http_session_free(struct http_session *session)
{
    if (session == NULL) return;
    bytes_free(&session->head);
    bytes_free(&session->body);
    free(session);
}

enum http_wish http_session_wish(const struct http_session *session) { return session->wish; }

const struct http_request *http_session_request(const struct http_session *session)
{
    CHECK(session->wish == HTTP_WISH_ANSWER);
    return &session->request;
}

bool http_session_is_head(const struct http_session *session)
{
    return span_eq(session->request.method, SPAN("HEAD"));
}

static void put_text(struct buf *out, const char *text)
{
    buf_put(out, span_of(text, strlen(text)));
}

static void put_head(struct http_session *session, const struct http_response *response,
                     struct buf *out)
{
    char line[160];
    int len = snprintf(line, sizeof(line), "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n",
                       response->status, http_status_text(response->status), response->body.len);
    buf_put(out, span_of(line, (size_t)len));
    if (response->content_type.len > 0) {
        put_text(out, "Content-Type: ");
        buf_put(out, response->content_type);
        put_text(out, "\r\n");
    }
    put_text(out, "X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n");
    if (session->secure) put_text(out, "Strict-Transport-Security: max-age=31536000\r\n");
    for (size_t i = 0; i < response->headers_count; i++) {
        buf_put(out, response->headers[i].name);
        put_text(out, ": ");
        buf_put(out, response->headers[i].value);
        put_text(out, "\r\n");
    }
    put_text(out, session->keep_alive ? "\r\n" : "Connection: close\r\n\r\n");
}

/* Answers what is no request that we take, and hangs up: where the next one begins is not known. */
static void refuse_whole(struct http_session *session, struct buf *out)
{
    char body[128];
    int len = snprintf(body, sizeof(body), "{\"title\":\"%s\",\"status\":%u}\n",
                       http_status_text(session->refuse), session->refuse);
    struct http_response response = { .status = session->refuse,
                                      .content_type = SPAN("application/problem+json"),
                                      .body = span_of(body, (size_t)len) };
    session->keep_alive = false;
    put_head(session, &response, out);
    buf_put(out, response.body);
    session->wish = HTTP_WISH_CLOSE;
}

size_t http_session_feed(struct http_session *session, struct span in, struct buf *out)
{
    if (session->wish != HTTP_WISH_NOTHING || in.len == 0) return 0;
    size_t used = http_parser_execute(&session->parser, &settings, in.ptr, in.len);
    enum http_errno number = HTTP_PARSER_ERRNO(&session->parser);
    if (session->whole && number == HPE_PAUSED) return used;
    if (number != HPE_OK) {
        if (session->refuse == 0) session->refuse = number == HPE_HEADER_OVERFLOW ? 431 : 400;
        refuse_whole(session, out);
        return in.len;
    }
    if (session->head_done && session->expects_continue) {
        session->expects_continue = false;
        put_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
    }
    return used;
}

void http_session_answer(struct http_session *session, const struct http_response *response,
                         struct buf *out)
{
    CHECK(session->wish == HTTP_WISH_ANSWER);
    put_head(session, response, out);
    session->wish = session->keep_alive ? HTTP_WISH_NOTHING : HTTP_WISH_CLOSE;
    session->whole = false;
    if (session->body.size > HTTP_BODY_FIRST_BYTES) bytes_free(&session->body);
    http_parser_pause(&session->parser, 0);
}

struct span http_request_header(const struct http_request *request, struct span name)
{
    for (size_t i = 0; i < request->headers_count; i++) {
        if (span_eq_nocase(request->headers[i].name, name)) return request->headers[i].value;
    }
    return SPAN("");
}

const char *http_status_text(unsigned status)
{
    static const struct { unsigned status; const char *text; } texts[] = {
#define XX(num, name, string) { num, #string },
        HTTP_STATUS_MAP(XX)
#undef XX
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].status == status) return texts[i].text;
    }
    return "Unknown";
}
