#include "http_reply.h"

#include <stdbool.h>
#include <stdint.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* "HTTP/1.1 200 OK". */
static bool read_status(struct span line, unsigned *ret)
{
    struct span digits = span_head(span_skip(line, 9), 3);
    if (!span_eq(span_head(line, 7), SPAN("HTTP/1."))) return false;
    if (line.len < 12 || !is_digit(line.ptr[7]) || line.ptr[8] != ' ') return false;
    if (line.len > 12 && line.ptr[12] != ' ') return false;
    *ret = 0;
    for (size_t i = 0; i < digits.len; i++) {
        if (!is_digit(digits.ptr[i])) return false;
        *ret = *ret * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    return *ret >= 100;
}

static struct span trim(struct span text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) text = span_skip(text, 1);
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

static bool read_length(struct span text, uint64_t *ret)
{
    uint64_t length = 0;
    if (text.len == 0 || text.len > 10) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (!is_digit(text.ptr[i])) return false;
        length = length * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = length;
    return length <= HTTP_REPLY_BODY_MAX_BYTES;
}

/* A line without its CRLF; false: there is none yet. */
static bool take_line(struct span *in, struct span *line)
{
    for (size_t i = 0; i + 1 < in->len; i++) {
        if (in->ptr[i] != '\r' || in->ptr[i + 1] != '\n') continue;
        *line = span_head(*in, i);
        *in = span_skip(*in, i + 2);
        return true;
    }
    return false;
}

static bool read_header(struct span line, bool *has_length, uint64_t *length)
{
    struct span name, value;
    if (!span_cut(line, ':', &name, &value) || name.len == 0) return false;
    if (span_eq_nocase(name, SPAN("transfer-encoding"))) return false;
    if (!span_eq_nocase(name, SPAN("content-length"))) return true;
    if (*has_length) return false;
    *has_length = true;
    return read_length(trim(value), length);
}

enum http_reply_state http_reply_read(struct span in, struct http_reply *ret)
{
    const enum http_reply_state more =
        in.len > HTTP_REPLY_HEAD_MAX_BYTES ? HTTP_REPLY_BAD : HTTP_REPLY_MORE;
    struct span rest = in, line;
    unsigned status;
    bool has_length = false;
    uint64_t length = 0;
    if (!take_line(&rest, &line)) return more;
    if (!read_status(line, &status)) return HTTP_REPLY_BAD;
    for (;;) {
        if (!take_line(&rest, &line)) return more;
        if (line.len == 0) break;
        if (!read_header(line, &has_length, &length)) return HTTP_REPLY_BAD;
    }
    if (in.len - rest.len > HTTP_REPLY_HEAD_MAX_BYTES || !has_length) return HTTP_REPLY_BAD;
    if (rest.len < length) return HTTP_REPLY_MORE;
    ret->status = status;
    ret->body = span_head(rest, length);
    return HTTP_REPLY_OK;
}
