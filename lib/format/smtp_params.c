#include "smtp_params.h"

#include "buf.h"
#include "smtp_path.h"

static bool is_alnum(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

struct err smtp_param_take(struct span *rest, struct smtp_param *param)
{
    struct span in = *rest;
    if (in.len == 0) return err_make(ERR_NOT_FOUND, "parameter");
    if (in.ptr[0] != ' ') return err_make(ERR_SYNTAX, "parameter");
    while (in.len > 0 && in.ptr[0] == ' ') in = span_skip(in, 1);
    if (in.len == 0) return err_make(ERR_NOT_FOUND, "parameter");
    size_t key = 0;
    while (key < in.len && (is_alnum(in.ptr[key]) || (key > 0 && in.ptr[key] == '-'))) key++;
    if (key == 0) return err_make(ERR_SYNTAX, "parameter");
    struct smtp_param found = { .key = span_head(in, key), .value = SPAN("") };
    in = span_skip(in, key);
    if (in.len > 0 && in.ptr[0] == '=') {
        in = span_skip(in, 1);
        size_t value = 0;
        /* esmtp-value: anything but "=", space and controls; 8-bit bytes by RFC 6531 3.3. "=" is
         * let through: AUTH=<> and older clients' values hold it, and the value's own rule
         * decides. */
        while (value < in.len && (unsigned char)in.ptr[value] > 32 && in.ptr[value] != 127) value++;
        if (value == 0) return err_make(ERR_SYNTAX, "parameter without its value");
        found.value = span_head(in, value);
        found.has_value = true;
        in = span_skip(in, value);
    }
    if (in.len > 0 && in.ptr[0] != ' ') return err_make(ERR_SYNTAX, "parameter");
    *param = found;
    *rest = in;
    return err_ok();
}

struct err smtp_number_parse(struct span digits, uint64_t *ret)
{
    uint64_t number = 0;
    if (digits.len == 0) return err_make(ERR_SYNTAX, "number");
    for (size_t i = 0; i < digits.len; i++) {
        char c = digits.ptr[i];
        if (c < '0' || c > '9') return err_make(ERR_SYNTAX, "number");
        uint64_t digit = (uint64_t)(c - '0');
        if (i >= 20 || number > (UINT64_MAX - digit) / 10) return err_make(ERR_TOO_BIG, "number");
        number = number * 10 + digit;
    }
    *ret = number;
    return err_ok();
}

struct err smtp_notify_parse(struct span value, uint8_t *ret)
{
    static const struct { struct span word; uint8_t bit; } words[] = {
        { SPAN_INIT("SUCCESS"), SMTP_NOTIFY_SUCCESS },
        { SPAN_INIT("FAILURE"), SMTP_NOTIFY_FAILURE },
        { SPAN_INIT("DELAY"), SMTP_NOTIFY_DELAY },
    };
    if (span_eq_nocase(value, SPAN("NEVER"))) {
        *ret = SMTP_NOTIFY_NEVER;
        return err_ok();
    }
    uint8_t bits = 0;
    struct span word, rest = value;
    for (bool more = true; more;) {
        more = span_cut(rest, ',', &word, &rest);
        if (!more) word = rest;
        uint8_t bit = 0;
        for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
            if (span_eq_nocase(word, words[i].word)) bit = words[i].bit;
        }
        if (bit == 0) return err_make(ERR_SYNTAX, "NOTIFY");
        bits |= bit;
    }
    *ret = bits;
    return err_ok();
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* One byte of xtext off the front: xchar, or "+" and two upper-case hexadecimal digits. */
static bool xtext_byte(struct span xtext, size_t *at, char *byte)
{
    char c = xtext.ptr[*at];
    if (c == '+') {
        if (xtext.len - *at < 3) return false;
        int high = hex_value(xtext.ptr[*at + 1]), low = hex_value(xtext.ptr[*at + 2]);
        if (high < 0 || low < 0) return false;
        *byte = (char)(high << 4 | low);
        *at += 3;
        return true;
    }
    if (c < 33 || c > 126 || c == '=') return false;
    *byte = c;
    *at += 1;
    return true;
}

bool smtp_xtext_is_valid(struct span xtext)
{
    char byte;
    for (size_t at = 0; at < xtext.len;) {
        if (!xtext_byte(xtext, &at, &byte)) return false;
    }
    return true;
}

struct err smtp_xtext_decode(struct span xtext, struct buf *out)
{
    char byte;
    for (size_t at = 0; at < xtext.len;) {
        if (!xtext_byte(xtext, &at, &byte)) return err_make(ERR_SYNTAX, "xtext");
        buf_put(out, span_of(&byte, 1));
    }
    return err_ok();
}

void smtp_xtext_encode(struct span bytes, struct buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.ptr[i];
        if (c >= 33 && c <= 126 && c != '+' && c != '=') {
            buf_put(out, span_of(&bytes.ptr[i], 1));
            continue;
        }
        char coded[3] = { '+', digits[c >> 4], digits[c & 15] };
        buf_put(out, span_of(coded, sizeof(coded)));
    }
}

bool smtp_orcpt_is_valid(struct span value)
{
    struct span type, address;
    if (value.len > SMTP_ORCPT_MAX_BYTES || !span_cut(value, ';', &type, &address)) return false;
    if (type.len == 0 || address.len == 0) return false;
    for (size_t i = 0; i < type.len; i++) {
        if (!is_alnum(type.ptr[i]) && type.ptr[i] != '-') return false;
    }
    if (!span_eq_nocase(type, SPAN("utf-8"))) return smtp_xtext_is_valid(address);
    /* utf-8-addr-xtext writes code points as \x{HEX}, utf-8-addr-unitext as they are. */
    for (size_t i = 0; i < address.len; i++) {
        unsigned char c = (unsigned char)address.ptr[i];
        if (c <= 32 || c == 127 || c == '+' || c == '=') return false;
    }
    return smtp_is_utf8(address);
}
