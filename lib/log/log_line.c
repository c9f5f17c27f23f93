#include "log_line.h"

#include <stdio.h>
#include <time.h>

#include "id.h"

enum { CUT_BYTES = 64 }; /* kept free for the end of a line that is cut */

const struct log_row log_rows[LOG_EVENTS] = {
#define LOG_EVENT(name, text, log, level, count, keys, line)                                     \
    [LOG_EVENT_##name] = { text, keys, line, LOG_##log, LOG_LEVEL_##level, count },
#include "log_events.def"
#undef LOG_EVENT
};

const char *log_name_text(enum log_name name)
{
    static const char *const texts[LOG_NAMES] = {
        [LOG_CONFIG] = "config", [LOG_DEBUG] = "debug", [LOG_ERROR] = "error",
        [LOG_MAIL] = "mail", [LOG_OPERATIONS] = "operations", [LOG_SECURITY] = "security",
        [LOG_SPAM] = "spam", [LOG_WARNING] = "warning",
    };
    return texts[name];
}

bool log_name_read(struct span text, enum log_name *ret)
{
    for (unsigned i = 0; i < LOG_NAMES; i++) {
        const char *name = log_name_text((enum log_name)i);
        if (!span_eq(text, span_of(name, strlen(name)))) continue;
        *ret = (enum log_name)i;
        return true;
    }
    return false;
}

const char *log_level_text(enum log_level level)
{
    static const char *const texts[] = { "error", "warning", "info", "debug" };
    return texts[level];
}

static void put(struct buf *to, const char *text) { buf_put(to, span_of(text, strlen(text))); }

static void put_number(struct buf *to, uint64_t number)
{
    char digits[24];
    size_t at = sizeof(digits);
    do digits[--at] = (char)('0' + number % 10); while ((number /= 10) > 0);
    buf_put(to, span_of(digits + at, sizeof(digits) - at));
}

/* ---- bytes from outside */

/* Length of the character at the front (RFC 3629) if it may stand in a line: valid UTF-8 and no
 * control character, of ASCII, of Latin-1 or of Unicode's line ends. 0: it may not. */
static size_t good_length(struct span s)
{
    const uint8_t *c = (const uint8_t *)s.ptr;
    if (c[0] < 0x80) return c[0] >= ' ' && c[0] != 0x7f ? 1 : 0;
    size_t len = c[0] >= 0xf0 ? 4 : c[0] >= 0xe0 ? 3 : 2;
    if (c[0] < 0xc2 || c[0] > 0xf4 || s.len < len) return 0;
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xc0) != 0x80) return 0;
    }
    if (c[0] == 0xc2 && c[1] < 0xa0) return 0;
    if ((c[0] == 0xe0 && c[1] < 0xa0) || (c[0] == 0xed && c[1] > 0x9f)) return 0;
    if ((c[0] == 0xf0 && c[1] < 0x90) || (c[0] == 0xf4 && c[1] > 0x8f)) return 0;
    if (c[0] == 0xe2 && c[1] == 0x80 && (c[2] == 0xa8 || c[2] == 0xa9)) return 0;
    return len;
}

/* Appends a value's bytes; `quote`: for within a JSON string. What may not stand there is "?". */
static void put_bytes(struct buf *to, struct span bytes, bool quote)
{
    bool cut = bytes.len > LOG_VALUE_MAX_BYTES;
    bytes = span_head(bytes, LOG_VALUE_MAX_BYTES);
    while (bytes.len > 0 && to->size - to->len > CUT_BYTES) {
        size_t good = 0;
        while (good < bytes.len && good < to->size - to->len - CUT_BYTES) {
            size_t len = good_length(span_skip(bytes, good));
            char c = bytes.ptr[good];
            if (len == 0 || (quote && (c == '"' || c == '\\'))) break;
            good += len;
        }
        if (good > 0) {
            buf_put(to, span_head(bytes, good));
        } else if (quote && (bytes.ptr[0] == '"' || bytes.ptr[0] == '\\')) {
            put(to, "\\");
            buf_put(to, span_head(bytes, 1));
            good = 1;
        } else {
            put(to, "?");
            good = 1;
        }
        bytes = span_skip(bytes, good);
    }
    if (cut || bytes.len > 0) put(to, "...");
}

/* ---- lines */

static void put_time_json(struct buf *to, uint64_t wall_ms)
{
    char text[40];
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, &tm);
    size_t len = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    buf_put(to, span_of(text, len));
    int n = snprintf(text, sizeof(text), ".%03uZ", (unsigned)(wall_ms % 1000));
    buf_put(to, span_of(text, (size_t)n));
}

static void put_time_text(struct buf *to, uint64_t wall_ms)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    char text[64];
    struct tm tm;
    time_t seconds = (time_t)(wall_ms / 1000);
    localtime_r(&seconds, &tm);
    /* strftime's names of months depend on the locale. */
    int n = snprintf(text, sizeof(text), "[%02d/%.3s/%d %02d:%02d:%02d] ", tm.tm_mday,
                     months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    buf_put(to, span_of(text, (size_t)n));
}

/* The next key of a row; empty at the end. */
static struct span take_key(struct span *keys)
{
    struct span key = *keys, rest = span_of(NULL, 0);
    span_cut(*keys, ' ', &key, &rest);
    *keys = rest;
    return key;
}

static struct span keys_of(const struct log_row *row)
{
    return span_of(row->keys, strlen(row->keys));
}

static void put_value(struct buf *to, const struct log_value *value, bool quote)
{
    if (value->is_number) {
        put_number(to, value->number);
    } else {
        put_bytes(to, value->text, quote);
    }
}

/* What is written of a line must end by here, so that its end has room. */
static struct buf body_of(const struct buf *to)
{
    struct buf body;
    size_t room = to->size - to->len;
    buf_init(&body, to->bytes + to->len, room < LOG_LINE_MAX_BYTES ? room : LOG_LINE_MAX_BYTES);
    return body;
}

void log_line_json(const struct log_line *line, struct buf *to)
{
    const struct log_row *row = &log_rows[line->event];
    struct span keys = keys_of(row);
    struct buf body = body_of(to);
    char hex[2 * LOG_TRACE_BYTES];
    put(&body, "{\"time\":\"");
    put_time_json(&body, line->wall_ms);
    put(&body, "\",\"level\":\"");
    put(&body, log_level_text(row->level));
    put(&body, "\",\"log\":\"");
    put(&body, log_name_text(row->log));
    put(&body, "\",\"event\":\"");
    put(&body, row->name);
    put(&body, "\",\"program\":\"");
    put_bytes(&body, span_of(line->program, strlen(line->program)), true);
    put(&body, "\"");
    if (line->trace != NULL) {
        id_hex(line->trace, LOG_TRACE_BYTES, hex);
        put(&body, ",\"trace\":\"");
        buf_put(&body, span_of(hex, sizeof(hex)));
        put(&body, "\"");
    }
    for (size_t i = 0; i < line->count; i++) {
        struct span key = take_key(&keys);
        const struct log_value *value = &line->values[i];
        /* A key without room for itself is left out: the line stays whole JSON. */
        if (body.size - body.len < key.len + 2 * CUT_BYTES) break;
        put(&body, ",\"");
        buf_put(&body, key);
        put(&body, value->is_number ? "\":" : "\":\"");
        put_value(&body, value, true);
        if (!value->is_number) put(&body, "\"");
    }
    put(&body, "}\n");
    to->len += body.len;
}

/* The value of the key, or NULL. */
static const struct log_value *value_of(const struct log_line *line, struct span key)
{
    struct span keys = keys_of(&log_rows[line->event]);
    for (size_t i = 0; i < line->count; i++) {
        if (span_eq(take_key(&keys), key)) return &line->values[i];
    }
    return NULL;
}

void log_line_text(const struct log_line *line, struct buf *to)
{
    const struct log_row *row = &log_rows[line->event];
    struct span rest = span_of(row->text, strlen(row->text)), head, key, tail;
    struct buf body = body_of(to);
    put_time_text(&body, line->wall_ms);
    while (span_cut(rest, '{', &head, &tail) && span_cut(tail, '}', &key, &rest)) {
        if (body.size - body.len < head.len + 2 * CUT_BYTES) {
            rest = SPAN("...");
            break;
        }
        buf_put(&body, head);
        const struct log_value *value = value_of(line, key);
        if (span_eq(key, SPAN("program"))) {
            put_bytes(&body, span_of(line->program, strlen(line->program)), false);
        } else if (value != NULL) {
            put_value(&body, value, false);
        }
    }
    if (body.size - body.len > rest.len) buf_put(&body, rest);
    put(&body, "\n");
    to->len += body.len;
}
