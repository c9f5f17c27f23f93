#include "mbox_pattern.h"

#include <unicode/uchar.h>

#include "buf.h"
#include "utf8.h"

/* Folded text goes through a window; its end is kept for a match across two of them. */
enum { WINDOW_BYTES = 4096, FOLDED_MAX_BYTES = UTF8_MAX_BYTES };

struct window {
    size_t len;
    char bytes[WINDOW_BYTES];
};

static char fold_ascii(char c) { return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c; }

/* Folds the character at `*at`; what is no UTF-8 stands for itself. `to` has FOLDED_MAX_BYTES. */
static size_t fold_one(struct span text, size_t *at, char *to)
{
    uint32_t c = 0;
    struct buf out;
    bool is_ascii = (unsigned char)text.ptr[*at] < 0x80;
    size_t len = is_ascii ? 1 : utf8_take(span_skip(text, *at), &c);
    if (len <= 1) {
        to[0] = fold_ascii(text.ptr[(*at)++]);
        return 1;
    }
    *at += len;
    buf_init(&out, to, FOLDED_MAX_BYTES);
    utf8_put(&out, (uint32_t)u_foldCase((UChar32)c, U_FOLD_CASE_DEFAULT));
    return out.len;
}

struct err mbox_pattern_make(struct span text, struct arena *arena, struct mbox_pattern *ret)
{
    if (text.len > MBOX_PATTERN_MAX_BYTES) return err_make(ERR_TOO_BIG, "text to search for");
    /* A character may take more bytes folded than it did, never more than four. */
    char *folded = arena_alloc(arena, text.len * FOLDED_MAX_BYTES + 1);
    if (folded == NULL) return err_make(ERR_NOMEM, "text to search for");
    size_t len = 0;
    bool ascii = true;
    for (size_t at = 0; at < text.len;) {
        ascii = ascii && (unsigned char)text.ptr[at] < 0x80;
        len += fold_one(text, &at, folded + len);
    }
    if (len > WINDOW_BYTES / 2) return err_make(ERR_TOO_BIG, "text to search for");
    *ret = (struct mbox_pattern){ span_of(folded, len), ascii };
    return err_ok();
}

/* Fills the window from `text`, from `*at` on. */
static void fill_ascii(struct window *window, struct span text, size_t *at, bool unfold)
{
    size_t len = window->len, i = *at;
    for (; i < text.len && len < WINDOW_BYTES; i++) {
        char c = text.ptr[i];
        if (unfold && (c == '\r' || c == '\n')) continue;
        window->bytes[len++] = fold_ascii(c);
    }
    window->len = len;
    *at = i;
}

static void fill_unicode(struct window *window, struct span text, size_t *at, bool unfold)
{
    while (*at < text.len && window->len <= WINDOW_BYTES - FOLDED_MAX_BYTES) {
        char c = text.ptr[*at];
        if (unfold && (c == '\r' || c == '\n')) {
            ++*at;
            continue;
        }
        window->len += fold_one(text, at, window->bytes + window->len);
    }
}

bool mbox_pattern_in(const struct mbox_pattern *pattern, struct span text, bool unfold)
{
    struct window window;
    struct span folded = pattern->folded;
    if (folded.len == 0) return true;
    window.len = 0;
    for (size_t at = 0; at < text.len;) {
        if (pattern->ascii) fill_ascii(&window, text, &at, unfold);
        else fill_unicode(&window, text, &at, unfold);
        if (memmem(window.bytes, window.len, folded.ptr, folded.len) != NULL) return true;
        size_t keep = window.len < folded.len - 1 ? window.len : folded.len - 1;
        memmove(window.bytes, window.bytes + window.len - keep, keep);
        window.len = keep;
    }
    return false;
}
