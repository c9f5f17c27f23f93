/* Encoded words (RFC 2047).
 *
 *   encoded-word = "=?" charset [ "*" language ] "?" ( "B" / "Q" ) "?" text "?="
 *
 * RFC 2047 section 2 limits a word to 75 characters; those in daily mail are longer, so the limit
 * here is only that of our buffer. Text with spaces, which the grammar forbids, is common in
 * "Q". */
#include "base64.h"
#include "buf.h"
#include "header.h"
#include "qp.h"
#include "utf8.h"

enum { WORD_MAX_BYTES = 1024, RUN_MAX_BYTES = 4096 };

struct word {
    struct span charset, text;
    bool is_base64;
    size_t len; /* of all of it */
};

/* The encoded word at the front of `in`. */
static bool word_take(struct span in, struct word *ret)
{
    struct span rest, charset, encoding, language;
    in = span_head(in, WORD_MAX_BYTES);
    if (in.len < 8 || in.ptr[0] != '=' || in.ptr[1] != '?') return false;
    if (!span_cut(span_skip(in, 2), '?', &charset, &rest) || charset.len == 0) return false;
    if (!span_cut(rest, '?', &encoding, &rest) || encoding.len != 1) return false;
    char letter = (char)(encoding.ptr[0] | 0x20);
    if (letter != 'b' && letter != 'q') return false;
    (void)span_cut(charset, '*', &charset, &language);
    const char *end = memmem(rest.ptr, rest.len, "?=", 2);
    if (end == NULL) return false;
    ret->charset = charset;
    ret->text = span_head(rest, (size_t)(end - rest.ptr));
    ret->is_base64 = letter == 'b';
    ret->len = (size_t)(end + 2 - in.ptr);
    return true;
}

/* Words of one charset that follow each other. */
struct run {
    struct span charset;
    struct buf bytes;
    char store[RUN_MAX_BYTES];
};

static void run_end(struct run *run, const struct header_charsets *charsets, struct buf *out)
{
    struct span bytes = buf_span(&run->bytes);
    if (bytes.len == 0) return;
    if (!charsets->to_utf8(charsets->user, run->charset, bytes, out)) utf8_put_clean(out, bytes);
    run->bytes.len = 0;
}

static void run_add(struct run *run, const struct word *word,
                    const struct header_charsets *charsets, struct buf *out)
{
    bool fits = word->text.len <= run->bytes.size - run->bytes.len;
    if (!span_eq_nocase(run->charset, word->charset) || !fits) run_end(run, charsets, out);
    run->charset = word->charset;
    if (word->is_base64) base64_decode(&run->bytes, word->text);
    else qp_decode_word(&run->bytes, word->text);
}

/* White space and line ends at the front. */
static size_t white_bytes(struct span in)
{
    size_t len = 0;
    while (len < in.len && memchr(" \t\r\n", in.ptr[len], 4) != NULL) len++;
    return len;
}

/* One line of what stands between words, controls as spaces; a fold is one space. */
static void put_plain(struct buf *out, struct span text)
{
    while (text.len > 0) {
        size_t len = 0;
        while (len < text.len && (unsigned char)text.ptr[len] >= ' ' && text.ptr[len] != 0x7f) {
            len++;
        }
        utf8_put_clean(out, span_head(text, len));
        text = span_skip(text, len);
        if (text.len == 0) return;
        size_t white = white_bytes(text);
        buf_put(out, SPAN(" "));
        text = span_skip(text, white > 0 ? white : 1);
    }
}

void header_decode(struct buf *out, struct span value, const struct header_charsets *charsets)
{
    struct run run;
    struct word word;
    buf_init(&run.bytes, run.store, sizeof(run.store));
    run.charset = span_of(NULL, 0);
    value = header_trim(value);
    while (value.len > 0) {
        /* Between words, what is only white space is left out. */
        size_t white = white_bytes(value);
        if (run.bytes.len > 0 && word_take(span_skip(value, white), &word)) {
            value = span_skip(value, white);
        }
        if (word_take(value, &word)) {
            run_add(&run, &word, charsets, out);
            value = span_skip(value, word.len);
            continue;
        }
        run_end(&run, charsets, out);
        const char *next = value.len < 2 ? NULL
                                         : memmem(value.ptr + 1, value.len - 1, "=?", 2);
        size_t plain = next == NULL ? value.len : (size_t)(next - value.ptr);
        put_plain(out, span_head(value, plain));
        value = span_skip(value, plain);
    }
    run_end(&run, charsets, out);
}
