#include "imap_put.h"

#include "imap_date.h"

enum { IMAP_QUOTED_MAX_BYTES = 1000 };

static const char digit_pairs[] =
    "00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    "40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    "8081828384858687888990919293949596979899";

char *imap_put_u64(char *to, uint64_t value)
{
    char digits[IMAP_U64_MAX_BYTES];
    char *at = digits + sizeof(digits);
    while (value >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        at -= 2;
        memcpy(at, digit_pairs + value * 2, 2);
    } else {
        *--at = (char)('0' + value);
    }
    size_t len = (size_t)(digits + sizeof(digits) - at);
    memcpy(to, at, len);
    return to + len;
}

char *imap_put_u32(char *to, uint32_t value)
{
    unsigned digits = 1;
    for (uint32_t rest = value; rest >= 10; rest /= 10) digits++;
    char *end = to + digits, *at = end;
    while (value >= 100) {
        at -= 2;
        memcpy(at, digit_pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        memcpy(at - 2, digit_pairs + value * 2, 2);
    } else {
        at[-1] = (char)('0' + value);
    }
    return end;
}

static char *put_two(char *to, unsigned value)
{
    memcpy(to, digit_pairs + value % 100 * 2, 2);
    return to + 2;
}

char *imap_put_date_time(char *to, uint64_t ms_since_1970)
{
    uint64_t seconds = ms_since_1970 / 1000, days = seconds / 86400;
    unsigned of_day = (unsigned)(seconds % 86400);
    struct imap_day day = imap_day_of(days);
    *to++ = '"';
    /* date-day-fixed: a single digit has a space before it. */
    *to++ = (char)(day.day < 10 ? ' ' : '0' + day.day / 10);
    *to++ = (char)('0' + day.day % 10);
    *to++ = '-';
    memcpy(to, imap_month_names + 3 * (day.month - 1), 3);
    to += 3;
    *to++ = '-';
    to = put_two(to, day.year / 100);
    to = put_two(to, day.year);
    *to++ = ' ';
    to = put_two(to, of_day / 3600);
    *to++ = ':';
    to = put_two(to, of_day / 60 % 60);
    *to++ = ':';
    to = put_two(to, of_day % 60);
    return IMAP_PUT(to, " +0000\"");
}

static int fits_quoted(struct span bytes, size_t *escapes)
{
    if (bytes.len > IMAP_QUOTED_MAX_BYTES) return 0;
    *escapes = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c == 0 || c == '\r' || c == '\n' || c >= 0x80) return 0;
        *escapes += c == '"' || c == '\\';
    }
    return 1;
}

void imap_put_string(struct buf *out, struct span bytes)
{
    size_t escapes;
    if (!fits_quoted(bytes, &escapes)) {
        buf_put(out, SPAN("{"));
        imap_buf_u64(out, bytes.len);
        buf_put(out, SPAN("}\r\n"));
        buf_put(out, bytes);
        return;
    }
    buf_put(out, SPAN("\""));
    for (size_t i = 0; escapes > 0 && i < bytes.len; i++) {
        if (bytes.ptr[i] == '"' || bytes.ptr[i] == '\\') buf_put(out, SPAN("\\"));
        buf_put(out, span_of(bytes.ptr + i, 1));
    }
    if (escapes == 0) buf_put(out, bytes);
    buf_put(out, SPAN("\""));
}

void imap_buf_u64(struct buf *out, uint64_t value)
{
    char digits[IMAP_U64_MAX_BYTES];
    char *end = imap_put_u64(digits, value);
    buf_put(out, span_of(digits, (size_t)(end - digits)));
}
