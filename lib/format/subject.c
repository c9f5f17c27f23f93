/* The grammar of RFC 5256 section 5:
 *
 *   subj-refwd   = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":"
 *   subj-blob    = "[" *BLOBCHAR "]" *WSP        BLOBCHAR: all but "[" and "]"
 *   subj-leader  = (*subj-blob subj-refwd) / WSP
 *   subj-trailer = "(fwd)" / WSP
 *   subj-fwd     = "[fwd:" subject "]"
 *
 * Each step makes the text shorter, so it ends. */
#include "subject.h"

/* Step 1: white space of any kind and length becomes one space. */
static struct span one_space(struct span text, char *store)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool space = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        if (!space) store[len++] = c;
        else if (len == 0 || store[len - 1] != ' ') store[len++] = ' ';
    }
    return span_of(store, len);
}

static struct span skip_space(struct span text)
{
    while (text.len > 0 && text.ptr[0] == ' ') text = span_skip(text, 1);
    return text;
}

/* Step 2 */
static struct span cut_trailers(struct span text, bool *is_reply)
{
    struct span fwd = SPAN("(fwd)");
    for (;;) {
        if (text.len > 0 && text.ptr[text.len - 1] == ' ') {
            text.len--;
            continue;
        }
        if (text.len < fwd.len) return text;
        if (!span_eq_nocase(span_skip(text, text.len - fwd.len), fwd)) return text;
        text.len -= fwd.len;
        *is_reply = true;
    }
}

/* Takes a subj-blob off the front; false when there is none. */
static bool take_blob(struct span *text)
{
    if (text->len == 0 || text->ptr[0] != '[') return false;
    for (size_t i = 1; i < text->len; i++) {
        char c = text->ptr[i];
        if (c == '[') return false;
        if (c != ']') continue;
        *text = skip_space(span_skip(*text, i + 1));
        return true;
    }
    return false;
}

static bool take_refwd(struct span *text)
{
    struct span rest = *text;
    if (span_starts_nocase(rest, SPAN("re"))) rest = span_skip(rest, 2);
    else if (span_starts_nocase(rest, SPAN("fwd"))) rest = span_skip(rest, 3);
    else if (span_starts_nocase(rest, SPAN("fw"))) rest = span_skip(rest, 2);
    else return false;
    rest = skip_space(rest);
    (void)take_blob(&rest);
    if (rest.len == 0 || rest.ptr[0] != ':') return false;
    *text = span_skip(rest, 1);
    return true;
}

/* Steps 3 to 5. Blobs are gone through once: what a run of them is followed by is looked at first,
 * and only when it is no subj-refwd do they go one by one as prefixes. */
static struct span cut_leaders(struct span text, bool *is_reply)
{
    for (;;) {
        text = skip_space(text);
        struct span rest = text;
        while (take_blob(&rest)) continue;
        if (take_refwd(&rest)) {
            *is_reply = true;
            text = rest;
            continue;
        }
        /* Step 4: the last blob stays when nothing else would. */
        rest = text;
        while (take_blob(&rest)) {
            if (rest.len == 0) return text;
            text = rest;
        }
        return text;
    }
}

struct subject subject_base(struct span text, char *store)
{
    struct subject subject = { .base = one_space(text, store) };
    struct span header = SPAN("[fwd:");
    for (;;) {
        subject.base = cut_trailers(subject.base, &subject.is_reply);
        subject.base = cut_leaders(subject.base, &subject.is_reply);
        struct span base = subject.base;
        bool is_fwd = span_starts_nocase(base, header) && base.len > header.len
                   && base.ptr[base.len - 1] == ']';
        if (!is_fwd) return subject;
        /* Step 6 */
        subject.base = span_of(base.ptr + header.len, base.len - header.len - 1);
        subject.is_reply = true;
    }
}
