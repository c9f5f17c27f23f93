#include "param.h"

#include <stdint.h>

#include "buf.h"
#include "header.h"
#include "utf8.h"

static bool is_white(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* token of RFC 2045 without its tspecials; 8-bit bytes pass. */
static bool is_token(char c)
{
    unsigned char u = (unsigned char)c;
    return u > ' ' && u != 0x7f && strchr("()<>@,;:\\\"/[]?=", c) == NULL;
}

/* White space and comments at the front. An open comment goes to the end. */
static struct span skip_space(struct span in)
{
    unsigned depth = 0;
    while (in.len > 0) {
        char c = in.ptr[0];
        if (c == '(') depth++;
        else if (c == ')' && depth > 0) depth--;
        else if (c == '\\' && depth > 0) in = span_skip(in, 1);
        else if (depth == 0 && !is_white(c)) break;
        in = span_skip(in, 1);
    }
    return in;
}

static struct span token(struct span *in)
{
    size_t len = 0;
    while (len < in->len && is_token(in->ptr[len])) len++;
    struct span ret = span_head(*in, len);
    *in = span_skip(*in, len);
    return ret;
}

struct span param_take_word(struct span *in)
{
    *in = skip_space(*in);
    return token(in);
}

bool param_take_type(struct span *in, struct span *type, struct span *subtype)
{
    struct span at = *in;
    struct span first = param_take_word(&at);
    at = skip_space(at);
    if (first.len == 0 || at.len == 0 || at.ptr[0] != '/') return false;
    at = span_skip(at, 1);
    struct span second = param_take_word(&at);
    at = skip_space(at);
    if (second.len == 0 || (at.len > 0 && at.ptr[0] != ';')) return false;
    *type = first;
    *subtype = second;
    *in = at;
    return true;
}

/* Behind the closing quote, or 0 when it stays open. */
static size_t quoted_bytes(struct span in)
{
    for (size_t i = 1; i < in.len; i++) {
        if (in.ptr[i] == '\\') i++;
        else if (in.ptr[i] == '"') return i + 1;
    }
    return 0;
}

/* Not only a token: senders write names of files with spaces in them and no quotes around. */
static struct span bare_value(struct span in)
{
    const char *end = in.len == 0 ? NULL : memchr(in.ptr, ';', in.len);
    struct span value = header_trim(end == NULL ? in : span_head(in, (size_t)(end - in.ptr)));
    struct span rest = value, word = token(&rest);
    /* A comment behind a token is one; within other text it belongs to that. */
    if (word.len > 0 && skip_space(rest).len == 0) return word;
    return value;
}

static struct span next_semicolon(struct span in)
{
    const char *end = in.len == 0 ? NULL : memchr(in.ptr, ';', in.len);
    return span_skip(in, end == NULL ? in.len : (size_t)(end - in.ptr));
}

static void take_value(struct span *in, struct param *param)
{
    size_t quoted = in->len > 0 && in->ptr[0] == '"' ? quoted_bytes(*in) : 0;
    param->quoted = quoted > 0;
    if (quoted > 0) {
        param->value = span_of(in->ptr + 1, quoted - 2);
        *in = span_skip(*in, quoted);
        return;
    }
    if (in->len > 0 && in->ptr[0] == '"') *in = span_skip(*in, 1);
    param->value = bare_value(*in);
}

bool param_take(struct span *in, struct param *ret)
{
    struct param param = { .quoted = false };
    struct span at = skip_space(*in);
    while (at.len > 0) {
        while (at.len > 0 && (at.ptr[0] == ';' || is_white(at.ptr[0]))) at = span_skip(at, 1);
        at = skip_space(at);
        param.name = token(&at);
        at = skip_space(at);
        bool found = param.name.len > 0 && at.len > 0 && at.ptr[0] == '=';
        if (found) {
            at = skip_space(span_skip(at, 1));
            take_value(&at, &param);
        }
        at = next_semicolon(at);
        if (!found) continue;
        *in = at;
        *ret = param;
        return true;
    }
    *in = at;
    return false;
}

void param_unquote(struct buf *out, const struct param *param)
{
    struct span value = param->value;
    size_t plain = 0;
    while (plain < value.len) {
        char c = value.ptr[plain];
        bool escape = param->quoted && c == '\\' && plain + 1 < value.len;
        bool end = c == '\r' || c == '\n' || c == '\0';
        if (!escape && !end) {
            plain++;
            continue;
        }
        buf_put(out, span_head(value, plain));
        value = span_skip(value, plain + 1);
        /* The escaped byte stands as itself, whatever it is. */
        plain = escape && strchr("\r\n", value.ptr[0]) == NULL ? 1 : 0;
    }
    buf_put(out, value);
}

/* ---- RFC 2231 */

/* name [ "*" number ] [ "*" ]: whether it is a piece of `name`, which, and whether with %XX. */
static bool piece_of(struct span whole, struct span name, unsigned *number, bool *encoded)
{
    if (!span_starts_nocase(whole, name)) return false;
    struct span rest = span_skip(whole, name.len);
    *number = 0;
    *encoded = false;
    if (rest.len == 0 || rest.ptr[0] != '*') return false;
    if (rest.len == 1) {
        *encoded = true;
        return true;
    }
    size_t i = 1;
    for (; i < rest.len && rest.ptr[i] >= '0' && rest.ptr[i] <= '9'; i++) {
        *number = *number * 10 + (unsigned)(rest.ptr[i] - '0');
        if (*number >= PARAM_COUNT_MAX) return false;
    }
    *encoded = i + 1 == rest.len && rest.ptr[i] == '*';
    return i > 1 && (i == rest.len || *encoded);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
    return -1;
}

static void put_percent_decoded(struct buf *out, struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        int high = c == '%' && text.len - i > 2 ? hex_value(text.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_value(text.ptr[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(unsigned char)(high << 4 | low);
            i += 2;
        }
        buf_put(out, span_of(&c, 1));
    }
}

struct pieces {
    struct param params[PARAM_COUNT_MAX];
    bool encoded[PARAM_COUNT_MAX], there[PARAM_COUNT_MAX];
};

static void collect(struct span params, struct span name, struct pieces *pieces)
{
    struct param param;
    for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&params, &param); i++) {
        unsigned number;
        bool encoded;
        if (!piece_of(param.name, name, &number, &encoded) || pieces->there[number]) continue;
        pieces->params[number] = param;
        pieces->encoded[number] = encoded;
        pieces->there[number] = true;
    }
}

/* The charset and language at the front of an encoded first piece: charset'language'text. */
static struct span take_charset(struct span *value)
{
    struct span charset, language, rest;
    if (!span_cut(*value, '\'', &charset, &rest) || !span_cut(rest, '\'', &language, &rest)) {
        return span_of(NULL, 0);
    }
    *value = rest;
    return charset;
}

static void put_pieces(struct pieces *pieces, const struct header_charsets *charsets,
                       struct buf *out)
{
    char store[PARAM_VALUE_MAX_BYTES];
    struct buf bytes;
    struct span charset = span_of(NULL, 0);
    buf_init(&bytes, store, sizeof(store));
    for (unsigned i = 0; i < PARAM_COUNT_MAX && pieces->there[i]; i++) {
        struct param *param = &pieces->params[i];
        if (pieces->encoded[i]) {
            if (i == 0) charset = take_charset(&param->value);
            put_percent_decoded(&bytes, param->value);
        } else {
            param_unquote(&bytes, param);
        }
    }
    bool known = charset.len > 0
        && charsets->to_utf8(charsets->user, charset, buf_span(&bytes), out);
    if (!known) utf8_put_clean(out, buf_span(&bytes));
}

bool param_find(struct span params, struct span name, const struct header_charsets *charsets,
                struct buf *out)
{
    struct pieces pieces = { .there = { false } };
    struct param param;
    struct span rest = params;
    collect(params, name, &pieces);
    if (pieces.there[0]) {
        put_pieces(&pieces, charsets, out);
        return true;
    }
    for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&rest, &param); i++) {
        if (!span_eq_nocase(param.name, name)) continue;
        char store[PARAM_VALUE_MAX_BYTES];
        struct buf bytes;
        buf_init(&bytes, store, sizeof(store));
        param.value = span_head(param.value, sizeof(store));
        param_unquote(&bytes, &param);
        header_decode(out, buf_span(&bytes), charsets);
        return true;
    }
    return false;
}
