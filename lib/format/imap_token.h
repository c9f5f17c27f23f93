/* imap_token.h: the words of IMAP commands (RFC 3501 section 9). Pure.
 *
 * A cursor walks over one whole command, literals inline as they came ("{3}\r\nabc"). The spans
 * it gives point into the command, or into the arena for a quoted string with escapes. On an error
 * `at` stands where the fault is, and err.what says what was expected there. */
#ifndef MAIL_IMAP_TOKEN_H
#define MAIL_IMAP_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    IMAP_TAG_MAX_BYTES = 64,
    IMAP_SET_RANGES_MAX = 65536, /* of a sequence set, as fits into a command line */
};

struct imap_cursor {
    struct span in;
    size_t at;
    struct arena *arena;
};

static inline bool imap_at_end(const struct imap_cursor *cursor)
{
    return cursor->at >= cursor->in.len;
}

/* Whether the next byte is `c`; the second one takes it too. */
bool imap_next_is(const struct imap_cursor *cursor, char c);
bool imap_take(struct imap_cursor *cursor, char c);

/* `c` or an error that says `what` was expected. */
MUST_USE struct err imap_take_char(struct imap_cursor *cursor, char c, const char *what);
MUST_USE struct err imap_take_space(struct imap_cursor *cursor);
MUST_USE struct err imap_take_end(struct imap_cursor *cursor);

/* Takes `word` when the next atom is it, ASCII case aside; else nothing. */
bool imap_take_word(struct imap_cursor *cursor, struct span word);

MUST_USE struct err imap_take_tag(struct imap_cursor *cursor, struct span *ret);
/* 1*ATOM-CHAR */
MUST_USE struct err imap_take_atom(struct imap_cursor *cursor, struct span *ret);
/* quoted or literal */
MUST_USE struct err imap_take_string(struct imap_cursor *cursor, struct span *ret);
MUST_USE struct err imap_take_astring(struct imap_cursor *cursor, struct span *ret);
/* 1*list-char or a string: astring that may have % and * */
MUST_USE struct err imap_take_list_mailbox(struct imap_cursor *cursor, struct span *ret);
/* string or NIL, which gives an empty span with a NULL pointer */
MUST_USE struct err imap_take_nstring(struct imap_cursor *cursor, struct span *ret);
MUST_USE struct err imap_take_number(struct imap_cursor *cursor, uint32_t *ret);
MUST_USE struct err imap_take_number64(struct imap_cursor *cursor, uint64_t *ret);
/* "\Seen" with its backslash, or a keyword */
MUST_USE struct err imap_take_flag(struct imap_cursor *cursor, struct span *ret);
/* sequence-set as text, checked */
MUST_USE struct err imap_take_set(struct imap_cursor *cursor, struct span *ret);

/* The same, or "$": what the last SEARCH saved (RFC 5182). */
MUST_USE struct err imap_take_set_or_saved(struct imap_cursor *cursor, struct span *ret);

/* Puts a checked sequence-set into `set`, with `star` in place of "*" (0: ranges that have one are
 * left out). ERR_TOO_BIG, ERR_NOMEM. `*has_star` says whether there was one. */
struct uid_set;
MUST_USE struct err imap_set_read(struct span text, uint32_t star, struct uid_set *set,
                                  bool *has_star);

/* Whether a command line (without CRLF) ends in "{n}" or "{n+}": `*size_bytes` is n, UINT64_MAX
 * when it is beyond; `*start` is where the brace stands. `*waits` is false for "{n+}" (RFC 7888):
 * the client does not wait for a continuation request. */
bool imap_literal_at_end(struct span line, uint64_t *size_bytes, bool *waits, size_t *start);

#ifdef __cplusplus
}
#endif
#endif
