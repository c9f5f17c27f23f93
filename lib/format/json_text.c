#include "json_text.h"

#include "buf.h"
#include "utf8.h"

static bool stands_as_it_is(uint32_t c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7f && c != 0x2028 && c != 0x2029;
}

static void put_escape(struct buf *out, uint32_t c)
{
    static const char hex[] = "0123456789abcdef";
    switch (c) {
    case '"': buf_put(out, SPAN("\\\"")); return;
    case '\\': buf_put(out, SPAN("\\\\")); return;
    case '\n': buf_put(out, SPAN("\\n")); return;
    case '\r': buf_put(out, SPAN("\\r")); return;
    case '\t': buf_put(out, SPAN("\\t")); return;
    default: break;
    }
    char text[6] = {
        '\\', 'u', hex[c >> 12 & 15], hex[c >> 8 & 15], hex[c >> 4 & 15], hex[c & 15],
    };
    buf_put(out, span_of(text, sizeof(text)));
}

void json_text_put(struct buf *out, struct span bytes)
{
    size_t good = 0;
    buf_put(out, SPAN("\""));
    while (good < bytes.len) {
        uint32_t c = UTF8_REPLACEMENT;
        size_t len = utf8_take(span_skip(bytes, good), &c);
        if (len > 0 && stands_as_it_is(c)) {
            good += len;
            continue;
        }
        buf_put(out, span_head(bytes, good));
        if (len > 0) put_escape(out, c);
        else utf8_put(out, c);
        bytes = span_skip(bytes, good + (len > 0 ? len : 1));
        good = 0;
    }
    buf_put(out, bytes);
    buf_put(out, SPAN("\""));
}
