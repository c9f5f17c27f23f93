#include "program_logs.h"

#include "buf.h"
#include "http_session.h"
#include "id.h"
#include "log.h"
#include "log_line.h"

static const struct span folder = SPAN_INIT("/logs/");

bool program_logs_is_path(struct span path)
{
    return span_eq(span_head(path, folder.len), folder);
}

/* In a time that does not depend on where they differ. */
static bool has_key(const struct roster_id *key, const struct http_request *request)
{
    char hex[ID_TEXT_BYTES];
    struct span value = http_request_header(request, SPAN("authorization"));
    unsigned differ = 0;
    if (!span_starts_nocase(value, SPAN("bearer "))) return false;
    struct span given = span_skip(value, 7);
    if (given.len != sizeof(hex)) return false;
    id_hex(key->bytes, ID_BYTES, hex);
    for (size_t i = 0; i < sizeof(hex); i++) differ |= (unsigned)(uint8_t)(given.ptr[i] ^ hex[i]);
    return differ == 0;
}

static bool read_number(struct span text, uint64_t max, uint64_t *ret)
{
    uint64_t number = 0;
    if (text.len == 0 || text.len > 19) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = number;
    return number <= max;
}

static bool read_query(struct span query, struct log_recent *ask)
{
    while (query.len > 0) {
        struct span item = query, rest = SPAN(""), name, value;
        uint64_t number;
        span_cut(query, '&', &item, &rest);
        query = rest;
        if (!span_cut(item, '=', &name, &value)) return false;
        if (span_eq(name, SPAN("after"))) {
            if (!read_number(value, INT64_MAX, &ask->after)) return false;
        } else if (span_eq(name, SPAN("lines"))) {
            if (!read_number(value, LOG_RECENT_LINES_MAX, &number) || number == 0) return false;
            ask->lines_max = (unsigned)number;
        } else {
            return false;
        }
    }
    return true;
}

unsigned program_logs_answer(const struct roster_id *key, const struct http_request *request,
                             struct buf *body)
{
    struct log_recent ask = { .lines_max = LOG_RECENT_LINES_MAX };
    if (!span_eq(request->method, SPAN("GET"))) {
        buf_put(body, SPAN("GET is allowed\n"));
        return 405;
    }
    if (!has_key(key, request)) {
        buf_put(body, SPAN("the key of this program is needed\n"));
        return 401;
    }
    if (!log_name_read(span_skip(request->path, folder.len), &ask.name)) {
        buf_put(body, SPAN("logs are config, debug, error, mail, operations, security, spam and "
                           "warning\n"));
        return 404;
    }
    if (!read_query(request->query, &ask)) {
        buf_put(body, SPAN("allowed are after= with a number and lines= from 1 to 1000\n"));
        return 400;
    }
    log_recent_put(&ask, body);
    return 200;
}
