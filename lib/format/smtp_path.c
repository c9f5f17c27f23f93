#include "smtp_path.h"

#include <stdint.h>

bool smtp_is_ascii(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.ptr[i] >= 0x80) return false;
    }
    return true;
}

/* How many bytes follow a lead byte, and the lowest code point of that length; -1: no lead byte. */
static int utf8_tail(unsigned char lead, uint32_t *code, uint32_t *lowest)
{
    if (lead < 0x80) {
        *code = lead, *lowest = 0;
        return 0;
    }
    if (lead >= 0xc2 && lead < 0xe0) {
        *code = lead & 0x1fu, *lowest = 0x80;
        return 1;
    }
    if (lead >= 0xe0 && lead < 0xf0) {
        *code = lead & 0x0fu, *lowest = 0x800;
        return 2;
    }
    if (lead >= 0xf0 && lead < 0xf5) {
        *code = lead & 0x07u, *lowest = 0x10000;
        return 3;
    }
    return -1;
}

bool smtp_is_utf8(struct span s)
{
    for (size_t i = 0; i < s.len;) {
        uint32_t code = 0, lowest = 0;
        int tail = utf8_tail((unsigned char)s.ptr[i++], &code, &lowest);
        if (tail < 0 || (size_t)tail > s.len - i) return false;
        for (; tail > 0; tail--) {
            unsigned char c = (unsigned char)s.ptr[i++];
            if ((c & 0xc0u) != 0x80u) return false;
            code = code << 6 | (c & 0x3fu);
        }
        if (code < lowest || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) return false;
    }
    return true;
}

static bool is_alnum(char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/* atext of RFC 5322 3.2.3, and the 8-bit bytes of RFC 6531. */
static bool is_atext(char c)
{
    return is_alnum(c) || (unsigned char)c >= 0x80 ||
           (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/* How many bytes Dot-string takes off the front of `s`; 0: none. An empty atom is wrong. */
static size_t dot_string(struct span s)
{
    size_t at = 0, atom = 0;
    for (; at < s.len; at++) {
        if (s.ptr[at] == '.' && atom > 0) {
            atom = 0;
        } else if (is_atext(s.ptr[at])) {
            atom++;
        } else {
            break;
        }
    }
    return atom == 0 ? 0 : at;
}

/* Quoted-string: DQUOTE *( qtextSMTP / "\" %d32-126 ) DQUOTE; 0: none. */
static size_t quoted_string(struct span s)
{
    for (size_t at = 1; at < s.len; at++) {
        unsigned char c = (unsigned char)s.ptr[at];
        if (c == '"') return at + 1;
        if (c == '\\') {
            if (++at == s.len) return 0;
            c = (unsigned char)s.ptr[at];
        }
        if (c < 32 || c == 127) return 0;
    }
    return 0;
}

static size_t local_part(struct span s)
{
    return s.len > 0 && s.ptr[0] == '"' ? quoted_string(s) : dot_string(s);
}

static bool label_is_valid(struct span label)
{
    if (label.len == 0 || label.len > SMTP_LABEL_MAX_BYTES) return false;
    if (label.ptr[0] == '-' || label.ptr[label.len - 1] == '-') return false;
    for (size_t i = 0; i < label.len; i++) {
        char c = label.ptr[i];
        if (!is_alnum(c) && c != '-' && c != '_' && (unsigned char)c < 0x80) return false;
    }
    return true;
}

/* address-literal = "[" 1*dcontent "]", dcontent = %d33-90 / %d94-126 (RFC 5321 4.1.3). */
static bool literal_is_valid(struct span s)
{
    if (s.len < 3 || s.ptr[0] != '[' || s.ptr[s.len - 1] != ']') return false;
    for (size_t i = 1; i + 1 < s.len; i++) {
        char c = s.ptr[i];
        if (!is_alnum(c) && c != '.' && c != ':' && c != '-') return false;
    }
    return true;
}

bool smtp_domain_is_valid(struct span domain)
{
    if (domain.len == 0 || domain.len > SMTP_DOMAIN_MAX_BYTES) return false;
    if (domain.ptr[0] == '[') return literal_is_valid(domain);
    struct span label, rest = domain;
    while (span_cut(rest, '.', &label, &rest)) {
        if (!label_is_valid(label)) return false;
    }
    return label_is_valid(rest) && smtp_is_utf8(domain);
}

static bool at_domain_is_valid(struct span s)
{
    return s.len > 0 && s.ptr[0] == '@' && smtp_domain_is_valid(span_skip(s, 1));
}

/* A-d-l = At-domain *( "," At-domain ), then ":". Takes it off the front of `*in`. */
static struct err route_skip(struct span *in)
{
    struct span route, rest, domain;
    if (in->len == 0 || in->ptr[0] != '@') return err_ok();
    if (!span_cut(*in, ':', &route, &rest)) return err_make(ERR_SYNTAX, "source route");
    while (span_cut(route, ',', &domain, &route)) {
        if (!at_domain_is_valid(domain)) return err_make(ERR_SYNTAX, "source route");
    }
    if (!at_domain_is_valid(route)) return err_make(ERR_SYNTAX, "source route");
    *in = rest;
    return err_ok();
}

/* The end of a mailbox that begins at `in`: the ">" of a path, or the end of the bytes. */
static struct err mailbox_parse(struct span in, char end, struct smtp_path *path, struct span *rest)
{
    size_t local_bytes = local_part(in);
    if (local_bytes == 0) return err_make(ERR_SYNTAX, "local part");
    if (local_bytes > SMTP_LOCAL_PART_MAX_BYTES) return err_make(ERR_TOO_BIG, "local part");
    struct smtp_path found = { .local = span_head(in, local_bytes) };
    struct span after = span_skip(in, local_bytes), behind = span_skip(in, in.len);
    if (end != '\0' && !span_cut(after, end, &after, &behind)) return err_make(ERR_SYNTAX, "path");
    if (after.len == 0) {
        if (end == '\0' || !span_eq_nocase(found.local, SPAN("postmaster"))) {
            return err_make(ERR_SYNTAX, "domain");
        }
        found.domain = SPAN("");
    } else {
        if (after.ptr[0] != '@') return err_make(ERR_SYNTAX, "path");
        found.domain = span_skip(after, 1);
        if (found.domain.len > SMTP_DOMAIN_MAX_BYTES) return err_make(ERR_TOO_BIG, "domain");
        if (!smtp_domain_is_valid(found.domain)) return err_make(ERR_SYNTAX, "domain");
    }
    if (!smtp_is_utf8(found.local)) return err_make(ERR_SYNTAX, "not UTF-8");
    found.is_ascii = smtp_is_ascii(found.local) && smtp_is_ascii(found.domain);
    *path = found;
    *rest = behind;
    return err_ok();
}

struct err smtp_path_parse(struct span in, struct smtp_path *path, struct span *rest)
{
    if (in.len == 0 || in.ptr[0] != '<') return err_make(ERR_SYNTAX, "path");
    struct span inside = span_skip(in, 1);
    if (inside.len > 0 && inside.ptr[0] == '>') {
        *path = (struct smtp_path){ SPAN(""), SPAN(""), true };
        *rest = span_skip(inside, 1);
        return err_ok();
    }
    TRY(route_skip(&inside));
    if ((size_t)(inside.ptr - in.ptr) > SMTP_PATH_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "source route");
    }
    return mailbox_parse(inside, '>', path, rest);
}

struct err smtp_address_parse(struct span in, struct smtp_path *path)
{
    struct span rest;
    return mailbox_parse(in, '\0', path, &rest);
}
