/* One text and its footer: decoded, put together, encoded again. */
#include <stdlib.h>

#include "base64.h"
#include "buf.h"
#include "facts.h"
#include "mime_bytes_private.h"
#include "mime_charset_private.h"
#include "mime_decode_private.h"
#include "mime_footer_private.h"
#include "qp.h"
#include "utf8.h"

enum { LINE_BYTES_MAX = 900 }; /* RFC 5322 2.1.1: 998 */

/* A part under way. */
struct part {
    const struct mime_node *node;
    struct span content;     /* decoded */
    char *decoded;           /* it, when it had to be; malloc'd */
    bool is_html, is_raw;    /* in no transfer encoding */
    struct span eol;         /* as its lines end */
    struct mime_out footer;  /* its bytes, without a line end behind them */
    bool to_utf8;
};

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 0x80) return false;
    }
    return true;
}

/* Where `word` stands last, ASCII case aside; SIZE_MAX: nowhere. */
static size_t find_last(struct span text, struct span word)
{
    for (size_t at = text.len >= word.len ? text.len - word.len + 1 : 0; at > 0; at--) {
        if (span_starts_nocase(span_skip(text, at - 1), word)) return at - 1;
    }
    return SIZE_MAX;
}

static struct span trim_end(struct span text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL &&
           text.ptr[text.len - 1] != '\0') {
        text.len--;
    }
    return text;
}

/* ---- what the part says now */

static struct err part_decode(const struct mime_tree *tree, struct part *part)
{
    struct mime_decoder decoder;
    struct span body = mime_tree_body(tree, part->node), piece;
    size_t len = 0;
    part->content = body;
    if (part->is_raw) return err_ok();
    part->decoded = malloc(body.len + 64);
    if (part->decoded == NULL) return err_make(ERR_NOMEM, "footer");
    mime_decoder_init(&decoder, body, part->node->encoding);
    while ((piece = mime_decode(&decoder, part->decoded + len, body.len + 64 - len)).len > 0) {
        len += piece.len;
    }
    part->content = span_of(part->decoded, len);
    return err_ok();
}

/* Lines that begin what PGP has signed or encrypted. */
static bool has_pgp(struct span content)
{
    const struct span begin = SPAN("-----BEGIN PGP ");
    while (content.len >= begin.len) {
        if (span_eq(span_head(content, begin.len), begin)) return true;
        const char *end = memchr(content.ptr, '\n', content.len);
        if (end == NULL) return false;
        content = span_skip(content, (size_t)(end - content.ptr) + 1);
    }
    return false;
}

static struct span eol_of(struct span content)
{
    const char *lf = content.len > 0 ? memchr(content.ptr, '\n', content.len) : NULL;
    bool is_lf = lf != NULL && (lf == content.ptr || lf[-1] != '\r');
    return is_lf ? SPAN("\n") : SPAN("\r\n");
}

/* ---- the footer as the part can say it */

/* With line ends of the part's, and "?" for what is not ASCII if that can't be said. */
static void put_lines(struct part *part, struct span text, bool only_ascii)
{
    text = trim_end(text);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        bool is_crlf = c == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n';
        if (is_crlf) continue;
        if (c == '\n' || c == '\r') mime_out_put(&part->footer, part->eol);
        else if (c < 0x80 || !only_ascii) mime_out_char(&part->footer, (char)c);
        else if ((c & 0xc0) != 0x80) mime_out_char(&part->footer, '?');
    }
}

/* Whether text in the charset is ASCII where it can be, so that there can be added to it. */
static bool charset_fits(struct span charset, bool *is_known)
{
    const struct span sample = SPAN("Az 09-.<&;\r\n");
    char bytes[64];
    struct buf out;
    buf_init(&out, bytes, sizeof(bytes));
    *is_known = mime_from_utf8(charset, sample, &out);
    return !*is_known || span_eq(buf_span(&out), sample);
}

/* The same in a charset that ICU knows. */
static void put_converted(struct part *part, struct span charset)
{
    struct mime_out *footer = &part->footer;
    char *bytes = malloc(4 * footer->len + 64);
    struct buf out;
    if (bytes == NULL) {
        footer->failed = true;
        return;
    }
    buf_init(&out, bytes, 4 * footer->len + 64);
    if (mime_from_utf8(charset, span_of(footer->bytes, footer->len), &out)) {
        footer->len = 0;
        mime_out_put(footer, buf_span(&out));
    }
    free(bytes);
}

static void make_text(struct part *part, struct span text)
{
    char store[MIME_CHARSET_MAX_BYTES];
    struct span charset = mime_charset_of(part->node->params, store);
    bool is_known, is_plain = is_ascii(text);
    bool is_utf8 = span_eq_nocase(charset, SPAN("utf-8")) || span_eq_nocase(charset, SPAN("utf8"));
    bool is_us = span_eq_nocase(charset, SPAN("us-ascii")) ||
                 span_eq_nocase(charset, SPAN("ascii"));
    if (!charset_fits(charset, &is_known)) return;
    if (is_us && !is_plain && utf8_is_valid(part->content)) is_utf8 = part->to_utf8 = true;
    put_lines(part, text, !is_utf8 && (is_us || !is_known));
    if (!is_utf8 && !is_us && is_known && !is_plain) put_converted(part, charset);
}

/* A number for what is not ASCII. */
static void put_reference(struct mime_out *out, uint32_t character)
{
    mime_out_put(out, SPAN("&#"));
    mime_out_number(out, character);
    mime_out_char(out, ';');
}

static void put_html(struct part *part, struct span text, bool is_text)
{
    struct mime_out *out = &part->footer;
    uint32_t character;
    text = trim_end(text);
    while (text.len > 0) {
        size_t used = utf8_take(text, &character);
        if (used == 0) {
            character = '?';
            used = 1;
        }
        text = span_skip(text, used);
        bool is_end = character == '\n' || (character == '\r' && text.ptr[0] != '\n');
        if (is_end && is_text) mime_out_put(out, SPAN("<br>"));
        if (is_end) mime_out_put(out, part->eol);
        else if (character >= 0x80) put_reference(out, character);
        else if (is_text && character == '<') mime_out_put(out, SPAN("&lt;"));
        else if (is_text && character == '>') mime_out_put(out, SPAN("&gt;"));
        else if (is_text && character == '&') mime_out_put(out, SPAN("&amp;"));
        else if (character != '\r') mime_out_char(out, (char)character);
    }
}

static void make_html(struct part *part, const struct mime_footer *footer)
{
    char store[MIME_CHARSET_MAX_BYTES];
    bool is_known;
    if (!charset_fits(mime_charset_of(part->node->params, store), &is_known)) return;
    if (footer->html.len > 0) {
        put_html(part, footer->html, false);
    } else if (footer->text.len > 0) {
        mime_out_put(&part->footer, SPAN("<div>"));
        put_html(part, footer->text, true);
        mime_out_put(&part->footer, SPAN("</div>"));
    }
}

/* ---- together */

/* Before the end of the HTML's body, or at the end. */
static size_t place_of(const struct part *part)
{
    if (!part->is_html) return part->content.len;
    size_t at = find_last(part->content, SPAN("</body"));
    if (at == SIZE_MAX) at = find_last(part->content, SPAN("</html"));
    return at == SIZE_MAX ? part->content.len : at;
}

static bool is_there(const struct part *part, size_t place)
{
    struct span head = trim_end(span_head(part->content, place));
    struct span footer = trim_end(span_of(part->footer.bytes, part->footer.len));
    return head.len >= footer.len && span_eq(span_skip(head, head.len - footer.len), footer);
}

/* The content with its footer, an empty line before it in a text. */
static void put_together(const struct part *part, size_t place, struct mime_out *to)
{
    struct span head = span_head(part->content, place);
    bool at_line = head.len == 0 || head.ptr[head.len - 1] == '\n';
    bool is_last = place == part->content.len;
    mime_out_put(to, head);
    if (!at_line) mime_out_put(to, part->eol);
    if (!part->is_html && head.len > 0) mime_out_put(to, part->eol);
    mime_out_put(to, span_of(part->footer.bytes, part->footer.len));
    /* The line end behind the last line of a part belongs to the boundary. */
    if (!is_last || at_line || part->node->level == 0) mime_out_put(to, part->eol);
    mime_out_put(to, span_skip(part->content, place));
}

static bool has_long_line(struct span text)
{
    size_t line = 0;
    for (size_t i = 0; i < text.len; i++) {
        line = text.ptr[i] == '\n' ? 0 : line + 1;
        if (line > LINE_BYTES_MAX) return true;
    }
    return false;
}

/* Whether a part without transfer encoding needs one to have the footer. */
static bool needs_qp(const struct part *part)
{
    struct span footer = span_of(part->footer.bytes, part->footer.len);
    if (!part->is_raw) return false;
    return has_long_line(footer) || (!is_ascii(footer) && is_ascii(part->content));
}

static void encode(struct span content, bool is_qp, struct mime_out *to)
{
    struct buf out;
    size_t most = is_qp ? QP_GROWTH * content.len + 64 : 2 * content.len + 64;
    if (!mime_out_reserve(to, most)) return;
    buf_init(&out, to->bytes + to->len, most);
    if (is_qp) qp_encode(&out, content);
    else base64_encode_lines(&out, content);
    if (out.overflow) to->failed = true;
    else to->len += out.len;
}

static void part_write(const struct part *part, size_t place, struct footer_edit *edit)
{
    bool is_qp = part->node->encoding == FACTS_ENCODING_QP;
    struct mime_out whole = { .bytes = NULL };
    edit->to_utf8 = part->to_utf8;
    edit->to_qp = needs_qp(part);
    if (part->is_raw && !edit->to_qp) {
        put_together(part, place, &edit->body);
        return;
    }
    put_together(part, place, &whole);
    if (whole.failed) edit->body.failed = true;
    else encode(span_of(whole.bytes, whole.len), is_qp || edit->to_qp, &edit->body);
    free(whole.bytes);
}

struct err footer_edit_make(const struct mime_tree *tree, const struct mime_node *node,
                            const struct mime_footer *footer, struct footer_edit *edit,
                            bool *changed)
{
    struct part part = { .node = node, .is_html = mime_node_is(node, "text", "html"),
                         .is_raw = node->encoding != FACTS_ENCODING_QP &&
                                   node->encoding != FACTS_ENCODING_BASE64 };
    *changed = false;
    *edit = (struct footer_edit){ .node = node };
    if (node->encoding == FACTS_ENCODING_OTHER) return err_ok();
    if (node->end_at - node->body_at > MIME_FOOTER_TEXT_MAX_BYTES) return err_ok();
    TRY(part_decode(tree, &part));
    part.eol = part.node->encoding == FACTS_ENCODING_BASE64 ? eol_of(part.content) : SPAN("\r\n");
    if (!has_pgp(part.content)) {
        if (part.is_html) make_html(&part, footer);
        else make_text(&part, footer->text);
    }
    size_t place = place_of(&part);
    bool failed = part.footer.failed;
    if (!failed && part.footer.len > 0 && !is_there(&part, place)) {
        part_write(&part, place, edit);
        *changed = true;
        failed = edit->body.failed;
    }
    free(part.decoded);
    free(part.footer.bytes);
    return failed ? err_make(ERR_NOMEM, "footer") : err_ok();
}
