#include "ldap_filter.h"

#include <string.h>

#include "buf.h"

static const char digits[] = "0123456789abcdef";

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool is_type(char c)
{
    return is_letter(c) || is_digit(c) || c == '-' || c == '.' || c == ';';
}

bool ldap_attribute_is_valid(struct span name)
{
    if (name.len == 0 || name.len > 64 || !(is_letter(name.ptr[0]) || is_digit(name.ptr[0]))) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!is_type(name.ptr[i])) return false;
    }
    return true;
}

/* The value of an item, up to the ')' that ends it. */
static bool take_value(struct span *in, bool stars)
{
    while (in->len > 0 && in->ptr[0] != ')') {
        char c = in->ptr[0];
        size_t used = 1;
        if (c == '\0' || c == '(' || (c == '*' && !stars)) return false;
        if (c == '\\') {
            if (in->len < 3 || !is_hex(in->ptr[1]) || !is_hex(in->ptr[2])) return false;
            used = 3;
        }
        *in = span_skip(*in, used);
    }
    return true;
}

/* type, operator, value. */
static bool take_item(struct span *in)
{
    size_t type = 0, operator = 0;
    while (type < in->len && (is_type(in->ptr[type]) || in->ptr[type] == ':')) type++;
    operator = type;
    bool is_rule = type > 0 && in->ptr[type - 1] == ':';
    if (!is_rule) {
        for (size_t i = 0; i < type; i++) {
            if (in->ptr[i] == ':') return false;
        }
    }
    if (is_rule) type--;
    bool is_plain = !is_rule;
    if (!is_rule && operator < in->len && memchr("~<>", in->ptr[operator], 3) != NULL) {
        operator++;
        is_plain = false;
    }
    if (type == 0 || operator >= in->len || in->ptr[operator] != '=') return false;
    *in = span_skip(*in, operator + 1);
    return take_value(in, is_plain);
}

/* One filter off the front of `in`. */
static bool take(struct span *in, unsigned depth)
{
    if (depth > LDAP_FILTER_DEPTH_MAX || in->len < 2 || in->ptr[0] != '(') return false;
    char first = in->ptr[1];
    *in = span_skip(*in, 1);
    if (first == '&' || first == '|') {
        *in = span_skip(*in, 1);
        do {
            if (!take(in, depth + 1)) return false;
        } while (in->len > 0 && in->ptr[0] == '(');
    } else if (first == '!') {
        *in = span_skip(*in, 1);
        if (!take(in, depth + 1)) return false;
    } else if (!take_item(in)) {
        return false;
    }
    if (in->len == 0 || in->ptr[0] != ')') return false;
    *in = span_skip(*in, 1);
    return true;
}

bool ldap_filter_is_valid(struct span filter)
{
    return filter.len <= LDAP_FILTER_MAX_BYTES && take(&filter, 1) && filter.len == 0;
}

void ldap_filter_escape(struct buf *out, struct span value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];
        char escaped[3] = { '\\', digits[c >> 4], digits[c & 15] };
        bool is_plain = c >= ' ' && c < 0x7f && memchr("()*\\", c, 4) == NULL;
        buf_put(out, is_plain ? span_of(&value.ptr[i], 1) : span_of(escaped, sizeof(escaped)));
    }
}

void ldap_filter_put(struct buf *out, struct span filter, struct span domain)
{
    static const struct span place = SPAN_INIT("{domain}");
    while (filter.len > 0) {
        bool is_place = span_eq(span_head(filter, place.len), place);
        if (is_place) ldap_filter_escape(out, domain);
        else buf_put(out, span_head(filter, 1));
        filter = span_skip(filter, is_place ? place.len : 1);
    }
}
