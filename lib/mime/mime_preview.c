#include "mime_preview_private.h"

#include <stdint.h>

#include "buf.h"
#include "facts.h"
#include "mime_charset_private.h"
#include "mime_decode_private.h"
#include "mime_html_private.h"
#include "mime_tree_private.h"
#include "utf8.h"

enum { PIECE_BYTES = 1024, REFERENCE_MAX_BYTES = 10 };

/* The preview as it grows. */
struct preview {
    struct buf out;
    unsigned characters;
    bool space; /* white space stands before what comes next */
    bool is_html;
    char reference[REFERENCE_MAX_BYTES]; /* "&amp" on its way to ";", perhaps in a later piece */
    size_t reference_len;
};

static bool is_done(const struct preview *preview)
{
    return preview->characters >= MIME_PREVIEW_CHARACTERS;
}

/* White space of Unicode, and what shows nothing: senders pad their first words with these. */
static bool is_white(uint32_t c)
{
    return c <= ' ' || c == 0x7f || (c >= 0x80 && c <= 0xa0) || (c >= 0x2000 && c <= 0x200a)
        || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

static bool is_nothing(uint32_t c)
{
    return (c >= 0x200b && c <= 0x200f) || c == 0xad || c == 0x34f || c == 0x2060 || c == 0xfeff
        || c == UTF8_REPLACEMENT;
}

static void put_character(struct preview *preview, uint32_t c)
{
    if (is_nothing(c) || is_done(preview)) return;
    if (is_white(c)) {
        preview->space = preview->out.len > 0;
        return;
    }
    if (preview->space && ++preview->characters < MIME_PREVIEW_CHARACTERS) {
        buf_put(&preview->out, SPAN(" "));
    }
    preview->space = false;
    if (is_done(preview)) return;
    utf8_put(&preview->out, c);
    preview->characters++;
}

/* "amp", "#228", "#xe4": without "&" and ";". False: it is none that we know. */
static bool reference_value(struct span name, uint32_t *ret)
{
    static const struct { struct span name; uint32_t value; } names[] = {
        { SPAN_INIT("amp"), '&' }, { SPAN_INIT("lt"), '<' }, { SPAN_INIT("gt"), '>' },
        { SPAN_INIT("quot"), '"' }, { SPAN_INIT("apos"), '\'' }, { SPAN_INIT("nbsp"), 0xa0 },
        { SPAN_INIT("zwnj"), 0x200c }, { SPAN_INIT("zwj"), 0x200d }, { SPAN_INIT("shy"), 0xad },
        { SPAN_INIT("ndash"), 0x2013 }, { SPAN_INIT("mdash"), 0x2014 },
        { SPAN_INIT("hellip"), 0x2026 },
        { SPAN_INIT("rsquo"), 0x2019 }, { SPAN_INIT("lsquo"), 0x2018 },
        { SPAN_INIT("rdquo"), 0x201d },
        { SPAN_INIT("ldquo"), 0x201c }, { SPAN_INIT("euro"), 0x20ac }, { SPAN_INIT("copy"), 0xa9 },
        { SPAN_INIT("reg"), 0xae }, { SPAN_INIT("auml"), 0xe4 }, { SPAN_INIT("ouml"), 0xf6 },
        { SPAN_INIT("uuml"), 0xfc }, { SPAN_INIT("szlig"), 0xdf }, { SPAN_INIT("eacute"), 0xe9 },
        { SPAN_INIT("egrave"), 0xe8 }, { SPAN_INIT("agrave"), 0xe0 }, { SPAN_INIT("ccedil"), 0xe7 },
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!span_eq(name, names[i].name)) continue;
        *ret = names[i].value;
        return true;
    }
    if (name.len < 2 || name.ptr[0] != '#') return false;
    bool hex = (name.ptr[1] | 0x20) == 'x';
    uint32_t value = 0;
    for (size_t i = hex ? 2 : 1; i < name.len; i++) {
        char c = name.ptr[i], lower = (char)(c | 0x20);
        uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : UINT32_MAX;
        if (hex && lower >= 'a' && lower <= 'f') digit = (uint32_t)(lower - 'a') + 10;
        if (digit == UINT32_MAX) return false;
        value = value * (hex ? 16 : 10) + digit; /* so few digits can't overflow */
    }
    bool character = value <= 0x10ffff && (value < 0xd800 || value >= 0xe000);
    *ret = character ? value : UTF8_REPLACEMENT;
    return name.len > (hex ? 2u : 1u);
}

/* What looked like a reference, and what it stands for. */
static void end_reference(struct preview *preview, bool whole)
{
    struct span text = span_of(preview->reference, preview->reference_len);
    uint32_t value;
    preview->reference_len = 0;
    if (whole && reference_value(span_skip(text, 1), &value)) {
        put_character(preview, value);
        return;
    }
    for (size_t i = 0; i < text.len; i++) put_character(preview, (unsigned char)text.ptr[i]);
    if (whole) put_character(preview, ';');
}

static void put_html_character(struct preview *preview, uint32_t c)
{
    if (preview->reference_len == 0 && c != '&') {
        put_character(preview, c);
        return;
    }
    bool in_name = c > ' ' && c < 0x7f && c != '&' && c != ';';
    bool fits = preview->reference_len < sizeof(preview->reference);
    if (preview->reference_len > 0 && (!in_name || !fits)) {
        end_reference(preview, c == ';');
        if (c == ';') return;
        put_html_character(preview, c);
        return;
    }
    preview->reference[preview->reference_len++] = (char)c;
}

static bool take_text(void *holder, struct span text)
{
    struct preview *preview = holder;
    while (text.len > 0 && !is_done(preview)) {
        uint32_t c = ' ';
        size_t len = utf8_take(text, &c);
        if (len == 0) c = UTF8_REPLACEMENT; /* half a character, at the end of a piece */
        if (preview->is_html) put_html_character(preview, c);
        else put_character(preview, c);
        text = span_skip(text, len == 0 ? 1 : len);
    }
    return is_done(preview);
}

static void read_part(struct preview *preview, const struct mime_tree *tree,
                      const struct mime_node *node)
{
    char name[MIME_CHARSET_MAX_BYTES], store[PIECE_BYTES], utf8[PIECE_BYTES * MIME_UTF8_GROWTH];
    struct mime_decoder decoder;
    struct mime_html html;
    struct span charset = mime_charset_of(node->params, name), piece;
    size_t looked = 0;
    mime_html_init(&html);
    mime_decoder_init(&decoder, mime_tree_body(tree, node), node->encoding);
    preview->is_html = mime_node_is(node, "text", "html");
    while (looked < MIME_PREVIEW_LOOK_BYTES && !is_done(preview)) {
        piece = mime_decode(&decoder, store, sizeof(store));
        if (piece.len == 0) break;
        looked += piece.len;
        struct buf text;
        buf_init(&text, utf8, sizeof(utf8));
        mime_to_utf8(charset, piece, &text);
        if (preview->is_html) (void)mime_html_feed(&html, buf_span(&text), take_text, preview);
        else (void)take_text(preview, buf_span(&text));
    }
    end_reference(preview, false);
}

size_t mime_preview(const struct mime_tree *tree, char to[MIME_PREVIEW_MAX_BYTES])
{
    struct preview preview = { .characters = 0 };
    buf_init(&preview.out, to, MIME_PREVIEW_MAX_BYTES);
    for (size_t i = 0; i < tree->count && preview.out.len == 0; i++) {
        const struct mime_node *node = &tree->nodes[i];
        struct span params;
        bool text = node->kind == FACTS_PART_LEAF && !node->opaque
            && (mime_node_is(node, "text", "plain") || mime_node_is(node, "text", "html"));
        bool attached = span_eq_nocase(mime_node_disposition(node, &params), SPAN("attachment"));
        if (text && !attached) read_part(&preview, tree, node);
    }
    return preview.out.len;
}
