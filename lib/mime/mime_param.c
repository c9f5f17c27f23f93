/* Content-Type, Content-Disposition: words and parameters (RFC 2045 5.1), as tolerant as mail. */
#include "mime_tree.h"

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* Past white space and comments. */
static struct span skip_space(struct span s)
{
    for (;;) {
        while (s.len > 0 && is_space(s.ptr[0])) s = span_skip(s, 1);
        if (s.len == 0 || s.ptr[0] != '(') return s;
        size_t depth = 0, i = 0;
        for (; i < s.len; i++) {
            if (s.ptr[i] == '\\') i++;
            else if (s.ptr[i] == '(') depth++;
            else if (s.ptr[i] == ')' && --depth == 0) break;
        }
        s = span_skip(s, i + 1);
    }
}

static struct span take_token(struct span *s)
{
    size_t n = 0;
    static const char ends[] = " \t\r\n()<>@,;:\\\"/[]?=";
    while (n < s->len && memchr(ends, s->ptr[n], sizeof(ends) - 1) == NULL) n++;
    struct span token = span_head(*s, n);
    *s = span_skip(*s, n);
    return token;
}

struct span mime_word(struct span value, struct span *rest)
{
    struct span s = skip_space(value);
    struct span word = take_token(&s);
    *rest = skip_space(s);
    return word;
}

bool mime_param_take(struct span *rest, struct span *name, struct span *value, bool *quoted)
{
    struct span s = *rest;
    for (;;) {
        /* To the next semicolon that is not within quotes. */
        while (s.len > 0 && s.ptr[0] != ';') {
            if (s.ptr[0] == '"') {
                size_t i = 1;
                while (i < s.len && s.ptr[i] != '"') i += s.ptr[i] == '\\' ? 2 : 1;
                s = span_skip(s, i + 1);
            } else {
                s = span_skip(s, 1);
            }
        }
        if (s.len == 0) return false;
        s = skip_space(span_skip(s, 1));
        struct span token = take_token(&s);
        s = skip_space(s);
        if (token.len == 0 || s.len == 0 || s.ptr[0] != '=') continue;
        s = skip_space(span_skip(s, 1));
        *name = token;
        *quoted = s.len > 0 && s.ptr[0] == '"';
        size_t n = 0;
        if (*quoted) {
            s = span_skip(s, 1);
            while (n < s.len && s.ptr[n] != '"') n += s.ptr[n] == '\\' ? 2 : 1;
            if (n > s.len) n = s.len;
            *value = span_head(s, n);
            *rest = span_skip(s, n + 1);
        } else {
            while (n < s.len && s.ptr[n] != ';' && !is_space(s.ptr[n])) n++;
            *value = span_head(s, n);
            *rest = span_skip(s, n);
        }
        return true;
    }
}

bool mime_param(struct span params, struct span name, char *to, size_t size, size_t *len)
{
    struct span found, value;
    bool quoted;
    while (mime_param_take(&params, &found, &value, &quoted)) {
        if (!span_eq_nocase(found, name)) continue;
        size_t n = 0;
        for (size_t i = 0; i < value.len && n < size; i++) {
            if (quoted && value.ptr[i] == '\\' && i + 1 < value.len) i++;
            if (value.ptr[i] != '\r' && value.ptr[i] != '\n') to[n++] = value.ptr[i];
        }
        *len = n;
        return true;
    }
    return false;
}
