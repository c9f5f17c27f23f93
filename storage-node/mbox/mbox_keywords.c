#include <assert.h>

#include "mail_flags.h"
#include "mbox_store_private.h"

static_assert((int)MBOX_KEYWORDS_MAX == (int)MAIL_KEYWORDS_MAX, "one bound");

/* An atom of RFC 3501 (no controls, no specials), or UTF-8. */
static bool is_keyword(struct span word)
{
    static const char specials[] = "(){ %*\"\\]";
    if (word.len == 0 || word.len > MAIL_KEYWORD_MAX_BYTES) return false;
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];
        if (c <= 0x20 || c == 0x7f || memchr(specials, c, sizeof(specials) - 1) != NULL)
            return false;
    }
    return true;
}

static unsigned find(const struct mbox_mailbox *row, struct span word)
{
    unsigned i = 0;
    while (i < row->keywords_count && !span_eq_nocase(row->keywords[i], word)) i++;
    return i;
}

static uint64_t bit_of(unsigned keyword) { return 1ull << (MAIL_KEYWORD_BIT_FIRST + keyword); }

static struct err make_keyword(struct mbox_work *work, struct mbox_box *box, struct span word)
{
    struct mbox_mailbox *row = &box->row;
    if (row->keywords_count == MBOX_KEYWORDS_MAX) return err_make(ERR_TOO_BIG, "keywords");
    TRY(arena_copy(work->arena, word, &row->keywords[row->keywords_count]));
    row->keywords_count++;
    row->keywords_modseq = mbox_work_modseq(box->account);
    box->dirty = true;
    return err_ok();
}

struct err mbox_keywords(struct mbox_work *work, struct mbox_box *box, struct mbox_words words,
                         bool make, uint64_t *bits, bool *grown)
{
    uint64_t found = 0;
    for (size_t i = 0; i < words.count; i++) {
        if (!is_keyword(words.words[i])) return err_make(ERR_SYNTAX, "keyword");
        unsigned at = find(&box->row, words.words[i]);
        if (at == box->row.keywords_count) {
            if (!make) continue;
            TRY(make_keyword(work, box, words.words[i]));
            if (grown != NULL) *grown = true;
        }
        found |= bit_of(at);
    }
    *bits = found;
    return err_ok();
}

struct err mbox_keywords_carry(struct mbox_work *work, const struct mbox_box *from,
                               struct mbox_box *to, uint64_t flags, uint64_t *ret)
{
    uint64_t carried = flags & MAIL_FLAGS_SYSTEM;
    if (from == to || flags == carried) {
        *ret = flags;
        return err_ok();
    }
    for (unsigned i = 0; i < from->row.keywords_count; i++) {
        if (!(flags & bit_of(i))) continue;
        unsigned at = find(&to->row, from->row.keywords[i]);
        if (at == MBOX_KEYWORDS_MAX) continue;
        if (at == to->row.keywords_count) TRY(make_keyword(work, to, from->row.keywords[i]));
        carried |= bit_of(at);
    }
    *ret = carried;
    return err_ok();
}
