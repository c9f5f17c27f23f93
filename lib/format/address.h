/* address.h: lists of addresses in a header (RFC 5322 3.4, 4.4; RFC 6532). Pure.
 *
 * Nothing is refused: mail is shown whatever it says. What has no "@" is an address without a
 * domain, what stays open goes to the end. The grammar that is meant:
 *
 *   list    = address *( "," address )
 *   address = mailbox / phrase ":" [ mailbox *( "," mailbox ) ] ";"
 *   mailbox = [ phrase ] "<" [ *( "@" domain "," ) ":" ] local "@" domain ">" / local "@" domain
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { ADDRESS_COUNT_MAX = 10000 }; /* of one list; what is beyond is not seen */

enum address_kind {
    ADDRESS_MAILBOX,
    ADDRESS_GROUP_START, /* its name is in `name` */
    ADDRESS_GROUP_END,   /* also when the list ends within a group */
};

/* On one line, without quotes, backslashes and comments; encoded words stay. */
struct address {
    enum address_kind kind;
    struct span name;   /* phrase, or else the comment that stands for one; may be empty */
    struct span route;  /* "@a,@b", nearly always empty */
    struct span local;  /* empty in "<>" */
    struct span domain; /* empty when there was no "@" */
};

struct address_reader {
    struct span in;
    size_t at, count;
    bool in_group, no_more_quotes, no_more_brackets;
};

void address_reader_init(struct address_reader *reader, struct span value);

/* The next address. Its spans point into `scratch`, which is emptied first; what does not fit is
 * cut off there (an address never needs more room than `value`). False: no more. */
bool address_next(struct address_reader *reader, struct buf *scratch, struct address *ret);

#ifdef __cplusplus
}
#endif
#endif
