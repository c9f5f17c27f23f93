#include "smtp_data.h"

/* One octet. A CR or LF on its own is part of no line end, so what follows it is never at the
 * start of a line, and a dot there means nothing: "\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r" end no
 * message (SMTP smuggling). Returns whether the octet is, or completes, text of the message. */
static void smtp_data_step(struct smtp_data *data, char c)
{
    bool after_cr = data->at == SMTP_DATA_CR || data->at == SMTP_DATA_DOT_CR;
    if (c == '\n') {
        if (after_cr) {
            data->at = data->at == SMTP_DATA_CR ? SMTP_DATA_LINE_START : SMTP_DATA_END;
            data->line_bytes = 0;
            return;
        }
        data->is_bare = true;
        data->at = SMTP_DATA_TEXT;
        return;
    }
    if (after_cr) data->is_bare = true; /* the CR before got no LF */
    if (c == '\r') {
        data->at = data->at == SMTP_DATA_DOT ? SMTP_DATA_DOT_CR : SMTP_DATA_CR;
        return;
    }
    data->at = data->at == SMTP_DATA_LINE_START && c == '.' ? SMTP_DATA_DOT : SMTP_DATA_TEXT;
    if (++data->line_bytes > SMTP_DATA_LINE_MAX_BYTES) data->is_long = true;
}

/* Nothing of it is kept: octet by octet to the end. */
static size_t smtp_data_discard(struct smtp_data *data, struct span in)
{
    size_t at = 0;
    while (at < in.len && data->at != SMTP_DATA_END) smtp_data_step(data, in.ptr[at++]);
    return at;
}

/* From the start or middle of a line: as many whole lines as there are, up to one that begins with
 * a dot, then what there is of a line. Two searches per line, each over bytes already in cache. */
static size_t smtp_data_lines(struct smtp_data *data, struct span in)
{
    size_t at = 0;
    while (at < in.len) {
        if (data->at == SMTP_DATA_LINE_START && in.ptr[at] == '.') return at;
        struct span rest = span_skip(in, at);
        const char *lf = memchr(rest.ptr, '\n', rest.len);
        size_t line = lf == NULL ? rest.len : (size_t)(lf - rest.ptr);
        const char *cr = line == 0 ? NULL : memchr(rest.ptr, '\r', line);
        size_t text = cr == NULL ? line : (size_t)(cr - rest.ptr);
        data->line_bytes += text;
        data->is_long = data->line_bytes > SMTP_DATA_LINE_MAX_BYTES;
        data->is_bare = lf != NULL ? text + 1 != line : text + 1 < line;
        if (data->is_long || data->is_bare) return at;
        if (lf == NULL) {
            data->at = cr == NULL ? SMTP_DATA_TEXT : SMTP_DATA_CR;
            return in.len;
        }
        data->at = SMTP_DATA_LINE_START;
        data->line_bytes = 0;
        at += line + 1;
    }
    return at;
}

size_t smtp_data_take(struct smtp_data *data, struct span in, struct span *run)
{
    *run = SPAN("");
    if (in.len == 0 || data->at == SMTP_DATA_END) return 0;
    if (data->is_bare || data->is_long) return smtp_data_discard(data, in);
    switch (data->at) {
    case SMTP_DATA_LINE_START:
    case SMTP_DATA_TEXT:
        if (data->at == SMTP_DATA_TEXT || in.ptr[0] != '.') {
            size_t used = smtp_data_lines(data, in);
            *run = span_head(in, used);
            return used;
        }
        break;
    case SMTP_DATA_CR: /* the CR is in a run already */
        if (in.ptr[0] == '\n') *run = span_head(in, 1);
        break;
    case SMTP_DATA_DOT: /* the dot was stuffed, unless a CRLF follows */
        if (in.ptr[0] != '\r') {
            data->at = SMTP_DATA_TEXT;
            return 0;
        }
        break;
    case SMTP_DATA_DOT_CR:
    case SMTP_DATA_END: break;
    }
    smtp_data_step(data, in.ptr[0]);
    return 1;
}
