/* The first byte picks the event; the rest is cut into its values at each 0xff. Both lines are one
 * line without control characters, within their limit; the JSON has its quotes closed. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "log_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUES_MAX = 16 };

static void check_line(struct span line)
{
    CHECK(line.len > 0 && line.len <= LOG_LINE_MAX_BYTES && line.ptr[line.len - 1] == '\n');
    for (size_t i = 0; i + 1 < line.len; i++) {
        uint8_t c = (uint8_t)line.ptr[i];
        CHECK(c >= ' ' && c != 0x7f);
    }
}

/* Quotes come in pairs, but for those behind a backslash. */
static void check_json(struct span line)
{
    bool in_text = false;
    for (size_t i = 0; i < line.len; i++) {
        if (in_text && line.ptr[i] == '\\') {
            i++;
            continue;
        }
        if (line.ptr[i] == '"') in_text = !in_text;
    }
    CHECK(!in_text && line.ptr[0] == '{' && line.ptr[line.len - 2] == '}');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char bytes[2 * LOG_LINE_MAX_BYTES];
    struct log_value values[VALUES_MAX] = { 0 };
    if (size == 0) return 0;
    enum log_event event = (enum log_event)(data[0] % LOG_EVENTS);
    struct span rest = span_of(data + 1, size - 1);
    for (unsigned i = 0; i < log_rows[event].count; i++) {
        struct span value = rest, tail = span_of(NULL, 0);
        span_cut(rest, (char)0xff, &value, &tail);
        rest = tail;
        values[i] = value.len == 1 ? log_number((uint8_t)value.ptr[0]) : log_text(value);
    }
    const struct log_line line = { .event = event, .trace = size % 2 == 0 ? NULL : data,
                                   .values = values, .count = log_rows[event].count,
                                   .program = "fuzz", .wall_ms = 1700000000123 };
    if (line.trace != NULL && size < LOG_TRACE_BYTES) return 0;
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    log_line_json(&line, &to);
    CHECK(!to.overflow);
    check_line(buf_span(&to));
    check_json(buf_span(&to));
    size_t json_len = to.len;
    log_line_text(&line, &to);
    CHECK(!to.overflow);
    check_line(span_skip(buf_span(&to), json_len));
    return 0;
}
