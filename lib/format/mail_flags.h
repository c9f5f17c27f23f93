/* mail_flags.h: the flags of a message as one u64. On disk and on the wire: never renumbered.
 *
 * Bits 0..7 are system flags. Bits 8..63 are keywords: bit 8+i is keyword i of the mailbox's own
 * list (its order never changes; a mailbox takes MAIL_KEYWORDS_MAX of them). \Recent is not stored:
 * it belongs to a session. */
#ifndef MAIL_MAIL_FLAGS_H
#define MAIL_MAIL_FLAGS_H

#ifdef __cplusplus
extern "C" {
#endif

#define MAIL_FLAG_SEEN     (1ull << 0)
#define MAIL_FLAG_ANSWERED (1ull << 1)
#define MAIL_FLAG_FLAGGED  (1ull << 2)
#define MAIL_FLAG_DELETED  (1ull << 3)
#define MAIL_FLAG_DRAFT    (1ull << 4)
#define MAIL_FLAGS_SYSTEM  0xffull
#define MAIL_FLAGS_SETTABLE 0x1full /* the system flags that there are now */

enum { MAIL_KEYWORD_BIT_FIRST = 8, MAIL_KEYWORDS_MAX = 56, MAIL_KEYWORD_MAX_BYTES = 128 };

#ifdef __cplusplus
}
#endif
#endif
