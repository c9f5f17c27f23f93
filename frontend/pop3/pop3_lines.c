/* A message as it goes out (RFC 1939 section 3): lines end in CRLF, one that begins with a dot gets
 * another in front of it, and a line with a dot alone ends it all.
 *
 * A LF on its own, which a message put in by APPEND may have, becomes CRLF: what a client that ends
 * lines there would take for ".", the end, can't stand in a message then. A CR on its own stays. */
#include "check.h"
#include "pop3_private.h"

static void end_line(struct pop3_lines *lines)
{
    bool is_empty = !lines->line_has_text;
    lines->line_is_begun = lines->line_has_text = lines->after_cr = false;
    if (!lines->is_top) return;
    if (lines->in_body) lines->lines_left--;
    else lines->in_body = is_empty;
    lines->is_over = lines->in_body && lines->lines_left == 0;
}

size_t pop3_lines_put(struct pop3_lines *lines, struct span in, struct buf *out)
{
    size_t done = 0;
    while (done < in.len && !lines->is_over && out->size - out->len >= POP3_LINES_GROWTH) {
        struct span rest = span_skip(in, done);
        if (!lines->line_is_begun && rest.ptr[0] == '.') buf_put(out, SPAN("."));
        lines->line_is_begun = true;
        if (rest.ptr[0] == '\n') {
            buf_put(out, lines->after_cr ? SPAN("\n") : SPAN("\r\n"));
            end_line(lines);
            done++;
            continue;
        }
        struct span run = span_head(rest, out->size - out->len);
        const char *end = memchr(run.ptr, '\n', run.len);
        if (end != NULL) run.len = (size_t)(end - run.ptr);
        buf_put(out, run);
        bool is_cr = run.len == 1 && run.ptr[0] == '\r' && !lines->after_cr;
        lines->line_has_text = lines->line_has_text || !is_cr;
        lines->after_cr = run.ptr[run.len - 1] == '\r';
        done += run.len;
    }
    return done;
}

void pop3_lines_end(struct pop3_lines *lines, struct buf *out)
{
    CHECK(out->size - out->len >= POP3_LINES_END_BYTES);
    if (lines->line_is_begun) buf_put(out, lines->after_cr ? SPAN("\n") : SPAN("\r\n"));
    buf_put(out, SPAN(".\r\n"));
}
