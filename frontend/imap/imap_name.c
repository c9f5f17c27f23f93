/* Mailbox names and flags: what the client writes <-> what the store holds. */
#include <stdlib.h>

#include "buf.h"
#include "imap_private.h"
#include "mail_flags.h"
#include "utf7.h"

enum { IMAP_NAME_MAX_BYTES = 1024, IMAP_FLAG_WORDS_MAX = 100 };

struct err imap_take_mailbox(struct imap_session *session, struct span *ret)
{
    struct imap_run *run = session->run;
    struct span word;
    size_t start = run->args.at;
    TRY(imap_take_astring(&run->args, &word));
    struct err err = imap_name_decode(&run->arena, word, ret);
    if (err.code == ERR_SYNTAX) run->args.at = start;
    return err;
}

struct system_flag {
    struct span name;
    uint64_t bit;
};
static const struct system_flag system_flags[] = {
    { SPAN_INIT("\\Answered"), MAIL_FLAG_ANSWERED }, { SPAN_INIT("\\Flagged"), MAIL_FLAG_FLAGGED },
    { SPAN_INIT("\\Deleted"), MAIL_FLAG_DELETED },   { SPAN_INIT("\\Seen"), MAIL_FLAG_SEEN },
    { SPAN_INIT("\\Draft"), MAIL_FLAG_DRAFT },
};
enum { SYSTEM_FLAGS = sizeof(system_flags) / sizeof(system_flags[0]) };

static struct err add_flag(struct imap_flag_list *list, struct span word)
{
    for (size_t i = 0; i < SYSTEM_FLAGS; i++) {
        if (!span_eq_nocase(system_flags[i].name, word)) continue;
        list->flags |= system_flags[i].bit;
        return err_ok();
    }
    if (word.ptr[0] == '\\') return err_make(ERR_SYNTAX, "there is no such system flag");
    if (word.len > MAIL_KEYWORD_MAX_BYTES) return err_make(ERR_SYNTAX, "keyword too long");
    for (size_t i = 0; i < list->keywords_count; i++) {
        if (span_eq_nocase(list->keywords[i], word)) return err_ok();
    }
    if (list->keywords_count == MAIL_KEYWORDS_MAX) return err_make(ERR_TOO_BIG, "keywords");
    list->keywords[list->keywords_count++] = word;
    return err_ok();
}

struct err imap_take_flags(struct imap_session *session, bool bare, struct imap_flag_list *ret)
{
    struct imap_run *run = session->run;
    struct imap_cursor *args = &run->args;
    struct imap_flag_list list = { 0 };
    bool open = imap_take(args, '(');
    if (!open && !bare) return err_make(ERR_SYNTAX, "flags stand in parentheses");
    list.keywords = arena_alloc(&run->arena, MAIL_KEYWORDS_MAX * sizeof(struct span));
    if (list.keywords == NULL) return err_make(ERR_NOMEM, "flags");
    if (open && imap_take(args, ')')) {
        *ret = list;
        return err_ok();
    }
    unsigned words = 0;
    do {
        struct span word;
        size_t start = args->at;
        TRY(imap_take_flag(args, &word));
        struct err err = add_flag(&list, word);
        if (err.code == ERR_SYNTAX) args->at = start;
        TRY(err);
        if (++words > IMAP_FLAG_WORDS_MAX) return err_make(ERR_TOO_BIG, "flags");
    } while (imap_take(args, ' '));
    if (open) TRY(imap_take_char(args, ')', "a flag list has no end"));
    *ret = list;
    return err_ok();
}

struct span imap_view_keyword(const struct imap_view *view, unsigned index)
{
    const char *at = view->keywords;
    for (unsigned i = 0; i < index; i++) at += 1 + (unsigned char)*at;
    return span_of(at + 1, (unsigned char)*at);
}

struct err imap_view_keywords(struct imap_view *view, const struct span *keywords, size_t count)
{
    size_t bytes = 0;
    if (count > MAIL_KEYWORDS_MAX) return err_make(ERR_CORRUPT, "keywords of a mailbox");
    for (size_t i = 0; i < count; i++) {
        if (keywords[i].len == 0 || keywords[i].len > MAIL_KEYWORD_MAX_BYTES) {
            return err_make(ERR_CORRUPT, "keyword of a mailbox");
        }
        bytes += keywords[i].len + 1;
    }
    char *text = malloc(bytes + 1);
    if (text == NULL) return err_make(ERR_NOMEM, "keywords");
    char *to = text;
    for (size_t i = 0; i < count; i++) {
        *to++ = (char)(unsigned char)keywords[i].len;
        to = imap_put_span(to, keywords[i]);
    }
    free(view->keywords);
    view->keywords = text;
    view->keywords_bytes = (uint16_t)bytes;
    view->keywords_count = (uint8_t)count;
    return err_ok();
}

bool imap_flags_known(const struct imap_view *view, uint64_t flags)
{
    unsigned known = MAIL_KEYWORD_BIT_FIRST + view->keywords_count;
    return known >= 64 || flags >> known == 0;
}

static char *put_word(char *to, const char *start, struct span word)
{
    if (to != start) *to++ = ' ';
    return imap_put_span(to, word);
}

/* What stands between the parentheses. */
static char *put_flag_words(const struct imap_view *view, uint64_t flags, bool recent, char *to)
{
    char *start = to;
    for (size_t i = 0; i < SYSTEM_FLAGS; i++) {
        if ((flags & system_flags[i].bit) != 0) to = put_word(to, start, system_flags[i].name);
    }
    if (recent) to = put_word(to, start, SPAN("\\Recent"));
    if (flags >> MAIL_KEYWORD_BIT_FIRST == 0) return to;
    for (unsigned i = 0; i < view->keywords_count; i++) {
        if ((flags >> (MAIL_KEYWORD_BIT_FIRST + i) & 1) == 0) continue;
        to = put_word(to, start, imap_view_keyword(view, i));
    }
    return to;
}

char *imap_put_flags(struct imap_run *run, struct imap_view *view, uint64_t flags, bool recent,
                     char *to)
{
    struct imap_flags_text *kept = &run->flags_text;
    if (kept->len > 0 && kept->flags == flags && kept->recent == recent) {
        return imap_put_span(to, span_of(kept->text, kept->len));
    }
    /* A keyword that somebody else has just made is told with the news, this message again. */
    if (!imap_flags_known(view, flags)) memset(view->own, 0, sizeof(view->own));
    char *start = to;
    *to++ = '(';
    to = put_flag_words(view, flags, recent, to);
    *to++ = ')';
    size_t len = (size_t)(to - start);
    kept->len = 0;
    if (len <= sizeof(kept->text)) {
        memcpy(kept->text, start, len);
        kept->len = (uint16_t)len;
        kept->flags = flags;
        kept->recent = recent;
    }
    return to;
}

/* FLAGS and PERMANENTFLAGS (RFC 3501 7.2.6 and 7.1): all that the mailbox has. */
void imap_put_flags_lines(struct imap_session *session)
{
    const struct imap_view *view = session->view;
    struct buf *out = session->out;
    if (session->run != NULL) session->run->flags_text.len = 0;
    char *to = IMAP_PUT(out->bytes + out->len, "* FLAGS (");
    char *words = to;
    to = put_flag_words(view, UINT64_MAX, false, to);
    struct span all = span_of(words, (size_t)(to - words));
    to = IMAP_PUT(to, ")\r\n* OK [PERMANENTFLAGS (");
    if (session->state == IMAP_SELECTED) {
        to = imap_put_span(to, all);
        if (view->keywords_count < view->keywords_max) to = IMAP_PUT(to, " \\*");
    }
    to = IMAP_PUT(to, ")] ");
    to = session->state == IMAP_SELECTED ? IMAP_PUT(to, "kept for good\r\n")
                                         : IMAP_PUT(to, "read-only\r\n");
    out->len = (size_t)(to - out->bytes);
}

/* "INBOX" in any case is INBOX, alone and as the first component (RFC 3501 5.1). */
static void fold_inbox(char *name, size_t len)
{
    static const char inbox[] = "INBOX";
    const size_t inbox_len = sizeof(inbox) - 1;
    if (!span_starts_nocase(span_of(name, len), span_of(inbox, inbox_len))) return;
    if (len > inbox_len && name[inbox_len] != '/') return;
    memcpy(name, inbox, inbox_len);
}

struct err imap_name_decode(struct arena *arena, struct span from, struct span *ret)
{
    if (from.len > IMAP_NAME_MAX_BYTES) return err_make(ERR_SYNTAX, "mailbox name too long");
    struct buf out;
    size_t size = from.len * UTF7_GROWTH + 1;
    char *to = arena_alloc(arena, size);
    if (to == NULL) return err_make(ERR_NOMEM, "mailbox name");
    buf_init(&out, to, size);
    struct err err = utf7_decode(from, &out);
    if (err.code == ERR_SYNTAX) {
        return err_make(ERR_SYNTAX, "a mailbox name is in modified UTF-7 (RFC 3501 5.1.3)");
    }
    TRY(err);
    fold_inbox(out.bytes, out.len);
    *ret = buf_span(&out);
    return err_ok();
}

struct err imap_name_encode(struct arena *arena, struct span from, struct span *ret)
{
    struct buf out;
    size_t size = from.len * UTF7_GROWTH + 1;
    char *to = arena_alloc(arena, size);
    if (to == NULL) return err_make(ERR_NOMEM, "mailbox name");
    buf_init(&out, to, size);
    TRY(utf7_encode(from, &out));
    *ret = buf_span(&out);
    return err_ok();
}
