/* The preview of a message (RFC 8970): the first text part's beginning on one line. */
#include "buf.h"
#include "mime_private.h"
#include "mime_tree.h"
#include "utf8.h"

/* How much of a part is looked at; HTML has a head before its text. */
enum { PLAIN_LOOK_BYTES = 2048, HTML_LOOK_BYTES = 8192 };

/* The first text part; plain text before HTML. */
static const struct mime_node *text_part(const struct mime_tree *tree, bool *is_html)
{
    const struct mime_node *html = NULL;
    for (size_t i = 0; i < tree->count; i++) {
        const struct mime_node *node = &tree->nodes[i];
        if (node->kind != MIME_LEAF || !span_eq_nocase(node->type, SPAN("text"))) continue;
        *is_html = false;
        if (span_eq_nocase(node->subtype, SPAN("plain"))) return node;
        if (html == NULL && span_eq_nocase(node->subtype, SPAN("html"))) html = node;
    }
    *is_html = true;
    return html;
}

/* Text on one line: white space becomes one space between words. */
struct line {
    struct buf *out;
    unsigned characters;
    bool space;
};

static bool is_full(const struct line *line) { return line->characters >= MIME_PREVIEW_CHARACTERS; }

static void put_character(struct line *line, uint32_t character)
{
    if (character <= ' ' || character == 0x7f || character == 0xa0) {
        line->space = line->characters > 0;
        return;
    }
    if (line->space) {
        line->space = false;
        line->characters++;
        utf8_put(line->out, ' ');
        if (is_full(line)) return;
    }
    line->characters++;
    utf8_put(line->out, character);
}

/* A tag, or an element that shows no text, at the front of `in`: its bytes. */
static size_t tag_bytes(struct span in)
{
    static const struct { struct span begin, end; } hidden[] = {
        { SPAN_INIT("<style"), SPAN_INIT("</style") },
        { SPAN_INIT("<script"), SPAN_INIT("</script") },
        { SPAN_INIT("<head"), SPAN_INIT("</head") },
        { SPAN_INIT("<!--"), SPAN_INIT("--") },
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        if (!span_starts_nocase(in, hidden[i].begin)) continue;
        at = hidden[i].begin.len;
        while (at < in.len && !span_starts_nocase(span_skip(in, at), hidden[i].end)) at++;
        break;
    }
    while (at < in.len && in.ptr[at] != '>') at++;
    return at < in.len ? at + 1 : in.len;
}

/* A character reference at the front of `in`: its bytes, or 0. */
static size_t reference_bytes(struct span in, uint32_t *character)
{
    static const struct { struct span name; uint32_t character; } named[] = {
        { SPAN_INIT("amp"), '&' }, { SPAN_INIT("lt"), '<' }, { SPAN_INIT("gt"), '>' },
        { SPAN_INIT("quot"), '"' }, { SPAN_INIT("apos"), '\'' }, { SPAN_INIT("nbsp"), ' ' },
    };
    struct span name, rest;
    if (!span_cut(span_head(span_skip(in, 1), 10), ';', &name, &rest)) return 0;
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (!span_eq(name, named[i].name)) continue;
        *character = named[i].character;
        return name.len + 2;
    }
    uint32_t number = 0;
    if (name.len < 2 || name.len > 8 || name.ptr[0] != '#') return 0;
    for (size_t i = 1; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') return 0;
        number = number * 10 + (uint32_t)(name.ptr[i] - '0');
    }
    *character = number;
    return name.len + 2;
}

static void put_text(struct line *line, struct span text, bool is_html)
{
    while (text.len > 0 && !is_full(line)) {
        uint32_t character = UTF8_REPLACEMENT;
        size_t used = 0;
        if (is_html && text.ptr[0] == '<') {
            used = tag_bytes(text);
            character = ' ';
        } else if (is_html && text.ptr[0] == '&') {
            used = reference_bytes(text, &character);
        }
        if (used == 0) used = utf8_take(text, &character);
        put_character(line, character);
        text = span_skip(text, used == 0 ? 1 : used);
    }
}

void mime_preview(const struct mime_tree *tree, struct buf *out)
{
    char plain_bytes[HTML_LOOK_BYTES], utf8_bytes[HTML_LOOK_BYTES * MIME_UTF8_GROWTH];
    char charset[MIME_CHARSET_MAX_BYTES];
    bool is_html;
    const struct mime_node *node = text_part(tree, &is_html);
    if (node == NULL) return;
    struct buf plain, utf8;
    struct line line = { .out = out };
    struct span raw = span_of(tree->message.ptr + node->body_at, node->end_at - node->body_at);
    buf_init(&plain, plain_bytes, sizeof(plain_bytes));
    buf_init(&utf8, utf8_bytes, sizeof(utf8_bytes));
    mime_decode(node, span_head(raw, is_html ? HTML_LOOK_BYTES : PLAIN_LOOK_BYTES), &plain);
    struct span text = buf_span(&plain), name = mime_charset(node, charset);
    /* Nearly all mail is UTF-8 or says nothing, and is read where it lies. */
    if (!span_eq_nocase(name, SPAN("utf-8")) && !span_eq_nocase(name, SPAN("us-ascii"))) {
        mime_put_utf8(name, text, &utf8);
        text = buf_span(&utf8);
    }
    /* A character that was cut at the end is none that the sender wrote. */
    while (raw.len > text.len && text.len > 0 && (unsigned char)text.ptr[text.len - 1] >= 0x80) {
        uint32_t character;
        size_t last = 1;
        while (last < UTF8_MAX_BYTES && last < text.len &&
               ((unsigned char)text.ptr[text.len - last] & 0xc0) == 0x80) last++;
        if (utf8_take(span_skip(text, text.len - last), &character) == last) break;
        text.len--;
    }
    put_text(&line, text, is_html);
}
