#include "mime_html_private.h"

void mime_html_init(struct mime_html *html)
{
    *html = (struct mime_html){ .state = MIME_HTML_TEXT };
}

static struct span tag_name(const struct mime_html *html)
{
    return span_of(html->name, html->name_len);
}

static bool name_is(const struct mime_html *html, const char *name)
{
    return span_eq_nocase(tag_name(html), span_of(name, strlen(name)));
}

/* Elements within a word: they do not separate what stands before and behind. */
static bool is_inline(const struct mime_html *html)
{
    static const char *const names[] = {
        "a",     "b",   "i",   "u",   "em", "strong", "span", "font",
        "small", "big", "sup", "sub", "s",  "code",   "wbr",  "o:p",
    };
    struct span name = tag_name(html);
    if (name.len > 0 && name.ptr[0] == '/') name = span_skip(name, 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (span_eq_nocase(name, span_of(names[i], strlen(names[i])))) return true;
    }
    return false;
}

/* ">": what the tag does to the text that follows. */
static bool end_tag(struct mime_html *html, mime_html_take *take, void *holder)
{
    static const char *const hidden[] = { "style", "script", "title" };
    html->state = MIME_HTML_TEXT;
    if (html->hidden != NULL) {
        bool closes = html->name_len > 1 && html->name[0] == '/'
            && span_eq_nocase(span_skip(tag_name(html), 1),
                              span_of(html->hidden, strlen(html->hidden)));
        if (closes) html->hidden = NULL;
        return false;
    }
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++) {
        if (name_is(html, hidden[i])) html->hidden = hidden[i];
    }
    return !is_inline(html) && take(holder, SPAN(" "));
}

static void begin_tag(struct mime_html *html)
{
    html->state = MIME_HTML_TAG;
    html->name_len = 0;
    html->name_done = false;
}

/* A byte within a tag. */
static bool in_tag(struct mime_html *html, char c, mime_html_take *take, void *holder)
{
    if (c == '>') return end_tag(html, take, holder);
    if ((c == '"' || c == '\'') && html->name_done && html->hidden == NULL) {
        html->state = MIME_HTML_QUOTED;
        html->quote = c;
        return false;
    }
    /* In a script "<" is most often no tag: the next one begins anew. */
    if (c == '<' && html->hidden != NULL) {
        begin_tag(html);
        return false;
    }
    bool slash = c == '/' && html->name_len == 0;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || (c == '/' && !slash)) {
        html->name_done = true;
    }
    if (html->name_done) return false;
    if (html->name_len == sizeof(html->name)) {
        html->name_len = 0; /* none that we know */
        html->name_done = true;
        return false;
    }
    html->name[html->name_len++] = c;
    if (html->hidden == NULL && html->name_len == 3 && memcmp(html->name, "!--", 3) == 0) {
        html->state = MIME_HTML_COMMENT;
        html->dashes = 2; /* "<!-->" is a whole one */
    }
    return false;
}

static void in_comment(struct mime_html *html, char c)
{
    if (c == '>' && html->dashes >= 2) html->state = MIME_HTML_TEXT;
    html->dashes = c == '-' ? html->dashes + 1 : 0;
}

bool mime_html_feed(struct mime_html *html, struct span piece, mime_html_take *take, void *holder)
{
    while (piece.len > 0) {
        if (html->state == MIME_HTML_TEXT) {
            const char *tag = memchr(piece.ptr, '<', piece.len);
            size_t len = tag == NULL ? piece.len : (size_t)(tag - piece.ptr);
            if (len > 0 && html->hidden == NULL && take(holder, span_head(piece, len))) return true;
            piece = span_skip(piece, len + 1);
            if (tag != NULL) begin_tag(html);
            continue;
        }
        char c = piece.ptr[0];
        piece = span_skip(piece, 1);
        switch ((enum mime_html_state)html->state) {
        case MIME_HTML_TAG:
            if (in_tag(html, c, take, holder)) return true;
            break;
        case MIME_HTML_QUOTED:
            if (c == html->quote) html->state = MIME_HTML_TAG;
            break;
        case MIME_HTML_COMMENT: in_comment(html, c); break;
        case MIME_HTML_TEXT: break;
        }
    }
    return false;
}
