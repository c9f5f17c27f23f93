#include "conf_file.h"

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) s = span_skip(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

static bool is_key(struct span key)
{
    for (size_t i = 0; i < key.len; i++) {
        char c = key.ptr[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '.' || c == '-' || c == '_';
        if (!fits) return false;
    }
    return key.len > 0;
}

static struct span take_line(struct span *in)
{
    struct span line = *in, rest = span_of(NULL, 0);
    if (!span_cut(*in, '\n', &line, &rest)) rest = span_skip(*in, in->len);
    *in = rest;
    if (line.len > 0 && line.ptr[line.len - 1] == '\r') line.len--;
    return line;
}

struct err conf_file_next(struct span *in, struct conf_line *ret, bool *there)
{
    while (in->len > 0) {
        struct span line = trim(take_line(in));
        ret->number++;
        if (line.len == 0 || line.ptr[0] == '#') continue;
        struct span key, value;
        if (!span_cut(line, '=', &key, &value)) return err_make(ERR_SYNTAX, "a line without =");
        key = trim(key);
        value = trim(value);
        if (!is_key(key)) return err_make(ERR_SYNTAX, "key of an option");
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] == '\0' || value.ptr[i] == '\r') {
                return err_make(ERR_SYNTAX, "NUL or CR in a value");
            }
        }
        ret->key = key;
        ret->value = value;
        *there = true;
        return err_ok();
    }
    *there = false;
    return err_ok();
}
