#include "mime_charset_private.h"

#include <stdint.h>
#include <stdlib.h>
#include <unicode/ucnv.h>
#include <unicode/ustring.h>

#include "buf.h"
#include "param.h"
#include "utf8.h"

/* 0x80 to 0x9f (WHATWG Encoding, windows-1252); the rest is as in Unicode. */
static const uint16_t windows_1252[32] = {
    0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
    0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
    0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178,
};

static void put_windows_1252(struct buf *out, struct span bytes)
{
    while (bytes.len > 0) {
        size_t plain = 0;
        while (plain < bytes.len && (unsigned char)bytes.ptr[plain] < 0x80) plain++;
        buf_put(out, span_head(bytes, plain));
        bytes = span_skip(bytes, plain);
        if (bytes.len == 0) return;
        unsigned char c = (unsigned char)bytes.ptr[0];
        utf8_put(out, c < 0xa0 ? windows_1252[c - 0x80] : c);
        bytes = span_skip(bytes, 1);
    }
}

static void put_guessed(struct buf *out, struct span bytes)
{
    if (utf8_is_valid(bytes)) buf_put(out, bytes);
    else put_windows_1252(out, bytes);
}

static bool is_one_of(struct span charset, const struct span *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_eq_nocase(charset, names[i])) return true;
    }
    return false;
}

static const struct span guessed_names[] = {
    SPAN_INIT("us-ascii"), SPAN_INIT("ascii"), SPAN_INIT("iso-8859-1"), SPAN_INIT("latin1"),
    SPAN_INIT("windows-1252"), SPAN_INIT("unknown-8bit"), SPAN_INIT("x-unknown"),
};

/* False: it can be no charset's name. */
static bool name_of(struct span charset, char name[MIME_CHARSET_MAX_BYTES])
{
    if (charset.len == 0 || charset.len >= MIME_CHARSET_MAX_BYTES) return false;
    for (size_t i = 0; i < charset.len; i++) {
        if (charset.ptr[i] <= ' ' || charset.ptr[i] == 0x7f) return false;
    }
    memcpy(name, charset.ptr, charset.len);
    name[charset.len] = '\0';
    return true;
}

/* False, with `out` as it was: ICU does not know it, or the bytes say nothing in it. */
static bool convert(struct span charset, struct span bytes, struct buf *out)
{
    char name[MIME_CHARSET_MAX_BYTES];
    UErrorCode code = U_ZERO_ERROR;
    size_t room = out->size - out->len;
    if (bytes.len > INT32_MAX || !name_of(charset, name)) return false;
    if (room > INT32_MAX) room = INT32_MAX;
    int32_t len = ucnv_convert("UTF-8", name, out->bytes + out->len, (int32_t)room, bytes.ptr,
                               (int32_t)bytes.len, &code);
    if (U_FAILURE(code) || len < 0 || (size_t)len > room) return false;
    out->len += (size_t)len;
    return true;
}

bool mime_from_utf8(struct span charset, struct span text, struct buf *out)
{
    enum { TEXT_MAX_BYTES = 64 * 1024 };
    char name[MIME_CHARSET_MAX_BYTES];
    UErrorCode code = U_ZERO_ERROR;
    size_t room = out->size - out->len;
    int32_t units = 0, len = 0;
    if (text.len > TEXT_MAX_BYTES || room > INT32_MAX || !name_of(charset, name)) return false;
    UConverter *converter = ucnv_open(name, &code);
    UChar *wide = malloc((text.len + 1) * sizeof(*wide)); /* UTF-16 has no more units than UTF-8 */
    if (wide != NULL && U_SUCCESS(code)) {
        ucnv_setSubstChars(converter, "?", 1, &code);
        code = U_FAILURE(code) ? U_ZERO_ERROR : code; /* where "?" is no byte: ICU's own */
        u_strFromUTF8WithSub(wide, (int32_t)text.len + 1, &units, text.ptr, (int32_t)text.len,
                             0xfffd, NULL, &code);
        len = ucnv_fromUChars(converter, out->bytes + out->len, (int32_t)room, wide, units, &code);
    }
    bool good = wide != NULL && U_SUCCESS(code) && (size_t)len <= room;
    if (good) out->len += (size_t)len;
    free(wide);
    ucnv_close(converter);
    return good;
}

void mime_to_utf8(struct span charset, struct span bytes, struct buf *out)
{
    if (span_eq_nocase(charset, SPAN("utf-8")) || span_eq_nocase(charset, SPAN("utf8"))) {
        utf8_put_clean(out, bytes);
        return;
    }
    bool guessed = is_one_of(charset, guessed_names,
                             sizeof(guessed_names) / sizeof(guessed_names[0]));
    if (guessed || !convert(charset, bytes, out)) put_guessed(out, bytes);
}

static bool for_words(void *user, struct span charset, struct span bytes, struct buf *out)
{
    (void)user;
    mime_to_utf8(charset, bytes, out);
    return true;
}

const struct header_charsets mime_charsets = { for_words, NULL };

struct span mime_charset_of(struct span params, char store[MIME_CHARSET_MAX_BYTES])
{
    struct param param;
    for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&params, &param); i++) {
        if (!span_eq_nocase(param.name, SPAN("charset"))) continue;
        struct buf out;
        buf_init(&out, store, MIME_CHARSET_MAX_BYTES);
        param.value = header_trim(span_head(param.value, MIME_CHARSET_MAX_BYTES));
        param_unquote(&out, &param);
        return buf_span(&out);
    }
    return SPAN("us-ascii");
}
