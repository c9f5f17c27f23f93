/* Address lists for ENVELOPE (RFC 5322 3.4, with the obsolete forms), as tolerant as mail is. */
#include <stdlib.h>

#include "mime_out.h"

enum { ADDRESSES_MAX = 2000, WORD_MAX_BYTES = 2048 };

/* Text put together from words. */
struct words {
    char bytes[WORD_MAX_BYTES];
    size_t len;
    bool any;
};

struct reader {
    struct span rest;
    struct words phrase, comment, route;
    struct words local, domain;
    bool in_group;
};

static void words_clear(struct words *words)
{
    words->len = 0;
    words->any = false;
}

static void words_add(struct words *words, char c)
{
    words->any = true;
    if (words->len < sizeof(words->bytes)) words->bytes[words->len++] = c;
}

static struct span words_span(const struct words *words)
{
    size_t len = words->len;
    while (len > 0 && words->bytes[len - 1] == ' ') len--;
    return span_of(words->bytes, len);
}

static void put_words(struct mime_out *out, const struct words *words)
{
    struct span text = words_span(words);
    if (text.len == 0 && !words->any) mime_out_put(out, SPAN("NIL"));
    else mime_out_string(out, text);
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

/* "(text)": kept as a name when there is no other. */
static void read_comment(struct reader *reader)
{
    size_t depth = 0, i = 0;
    struct span s = reader->rest;
    words_clear(&reader->comment);
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '(' && depth++ == 0) continue;
        if (c == ')' && --depth == 0) break;
        if (c == '\\' && i + 1 < s.len) c = s.ptr[++i];
        if (c != '\r' && c != '\n') words_add(&reader->comment, c);
    }
    reader->rest = span_skip(s, i + 1);
}

static void skip_space(struct reader *reader)
{
    for (;;) {
        while (reader->rest.len > 0 && is_space(reader->rest.ptr[0])) {
            reader->rest = span_skip(reader->rest, 1);
        }
        if (reader->rest.len == 0 || reader->rest.ptr[0] != '(') return;
        read_comment(reader);
    }
}

/* One atom or quoted string, added to `to`. False: the next character is neither. */
static bool read_word(struct reader *reader, struct words *to)
{
    struct span s = reader->rest;
    size_t i = 0;
    if (s.len == 0) return false;
    if (s.ptr[0] == '"') {
        to->any = true;
        for (i = 1; i < s.len && s.ptr[i] != '"'; i++) {
            char c = s.ptr[i];
            if (c == '\\' && i + 1 < s.len) c = s.ptr[++i];
            if (c != '\r' && c != '\n') words_add(to, c);
        }
        reader->rest = span_skip(s, i + 1);
        return true;
    }
    while (i < s.len && !is_space(s.ptr[i]) && memchr("()<>,;:\"@", s.ptr[i], 9) == NULL) {
        words_add(to, s.ptr[i++]);
    }
    reader->rest = span_skip(s, i);
    return i > 0;
}

/* The domain behind "@": atoms and literals up to a delimiter. */
static void read_domain(struct reader *reader)
{
    words_clear(&reader->domain);
    for (;;) {
        skip_space(reader);
        if (!read_word(reader, &reader->domain)) return;
    }
}

/* "<" [route ":"] local "@" domain ">" */
static void read_angle(struct reader *reader)
{
    reader->rest = span_skip(reader->rest, 1);
    words_clear(&reader->local);
    words_clear(&reader->domain);
    words_clear(&reader->route);
    skip_space(reader);
    const char *end = reader->rest.len == 0 ? NULL : memchr(reader->rest.ptr, '>', reader->rest.len);
    size_t within = end == NULL ? reader->rest.len : (size_t)(end - reader->rest.ptr);
    if (reader->rest.len > 0 && reader->rest.ptr[0] == '@') {
        const char *colon = memchr(reader->rest.ptr, ':', within);
        if (colon != NULL) {
            for (const char *c = reader->rest.ptr; c < colon; c++) words_add(&reader->route, *c);
            reader->rest = span_skip(reader->rest, (size_t)(colon - reader->rest.ptr) + 1);
        }
    }
    while (reader->rest.len > 0 && reader->rest.ptr[0] != '>') {
        skip_space(reader);
        if (reader->rest.len == 0) return;
        if (reader->rest.ptr[0] == '@') {
            reader->rest = span_skip(reader->rest, 1);
            read_domain(reader);
        } else if (reader->rest.ptr[0] != '>' && !read_word(reader, &reader->local)) {
            if (reader->rest.ptr[0] != '>') reader->rest = span_skip(reader->rest, 1);
        }
    }
    reader->rest = span_skip(reader->rest, 1);
}

/* (name route mailbox host) */
static void put_address(struct mime_out *out, struct reader *reader)
{
    const struct words *name = reader->phrase.any ? &reader->phrase : &reader->comment;
    mime_out_char(out, '(');
    put_words(out, name);
    mime_out_char(out, ' ');
    put_words(out, &reader->route);
    mime_out_char(out, ' ');
    if (reader->local.any) put_words(out, &reader->local);
    else mime_out_put(out, SPAN("\"MISSING_MAILBOX\""));
    mime_out_char(out, ' ');
    if (reader->domain.any) put_words(out, &reader->domain);
    else mime_out_put(out, SPAN("\"MISSING_DOMAIN\""));
    mime_out_char(out, ')');
}

static void begin(struct reader *reader)
{
    words_clear(&reader->phrase);
    words_clear(&reader->comment);
    words_clear(&reader->route);
    words_clear(&reader->local);
    words_clear(&reader->domain);
}

/* The group's name, or its end when `name` is NULL: (NIL NIL name NIL). */
static void put_group(struct mime_out *out, const struct words *name)
{
    mime_out_put(out, SPAN("(NIL NIL "));
    if (name == NULL) mime_out_put(out, SPAN("NIL"));
    else mime_out_string(out, words_span(name));
    mime_out_put(out, SPAN(" NIL)"));
}

/* One entry of the list. Returns how many addresses it put. */
static unsigned read_entry(struct reader *reader, struct mime_out *out)
{
    begin(reader);
    for (;;) {
        skip_space(reader);
        char c = reader->rest.len == 0 ? ',' : reader->rest.ptr[0];
        if (c == ',' || c == ';') {
            if (!reader->phrase.any) return 0;
            /* Words and no address: a mailbox without a domain. */
            reader->local = reader->phrase;
            words_clear(&reader->phrase);
            put_address(out, reader);
            return 1;
        }
        if (c == '<') {
            read_angle(reader);
            put_address(out, reader);
            return 1;
        }
        if (c == '@') {
            reader->local = reader->phrase;
            words_clear(&reader->phrase);
            reader->rest = span_skip(reader->rest, 1);
            read_domain(reader);
            put_address(out, reader);
            return 1;
        }
        if (c == ':') {
            reader->rest = span_skip(reader->rest, 1);
            if (!reader->in_group) put_group(out, &reader->phrase);
            reader->in_group = true;
            begin(reader);
            continue;
        }
        if (reader->phrase.any && reader->phrase.len > 0) words_add(&reader->phrase, ' ');
        if (!read_word(reader, &reader->phrase)) reader->rest = span_skip(reader->rest, 1);
    }
}

void mime_out_addresses(struct mime_out *out, struct span value)
{
    struct reader reader;
    unsigned count = 0;
    size_t begin_at = out->len;
    reader.rest = value;
    reader.in_group = false;
    mime_out_char(out, '(');
    while (reader.rest.len > 0 && count < ADDRESSES_MAX) {
        count += read_entry(&reader, out);
        while (reader.rest.len > 0 && (reader.rest.ptr[0] == ',' || reader.rest.ptr[0] == ';' ||
                                       is_space(reader.rest.ptr[0]) || reader.rest.ptr[0] == '>')) {
            if (reader.rest.ptr[0] == ';' && reader.in_group) {
                put_group(out, NULL);
                reader.in_group = false;
            }
            reader.rest = span_skip(reader.rest, 1);
        }
    }
    if (reader.in_group) put_group(out, NULL);
    if (out->failed) return;
    if (out->len == begin_at + 1) {
        out->len = begin_at;
        mime_out_put(out, SPAN("NIL"));
    } else {
        mime_out_char(out, ')');
    }
}
