/* door_tickets.h: the keys by which clients resume TLS sessions, as all frontends of an
 * installation share them. Pure: time and new keys are arguments.
 *
 * In the configuration store under tls/tickets, the newest first, at most DOOR_TICKETS_MAX lines:
 *
 *   line = digits of milliseconds since 1970 (when it was made) SP sealed key LF
 *
 * A key is the 80 bytes of struct tls_ticket_key (tls.h): name, AES key, MAC key. The first one
 * makes tickets; each is the first for one life (tls.ticket.life), and taken for a second one. */
#ifndef MAIL_DOOR_TICKETS_H
#define MAIL_DOOR_TICKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DOOR_TICKETS_MAX = 4, DOOR_TICKET_KEY_BYTES = 80, DOOR_TICKETS_TEXT_MAX_BYTES = 4096 };

struct door_ticket {
    uint64_t made_ms;
    uint8_t key[DOOR_TICKET_KEY_BYTES];
};

struct door_tickets {
    uint64_t foreign_ms; /* when the newest key was made that we could not open; 0: none */
    unsigned count;
    struct door_ticket tickets[DOOR_TICKETS_MAX];
};

/* Seals a key as printable text without blanks, or opens it: appends to `to`. */
typedef struct err door_tickets_turn_text(void *holder, struct span from, struct buf *to);

/* Keys that can't be opened are left out, and foreign_ms says so. ERR_SYNTAX: not such a text,
 * `*ret` is untouched. */
MUST_USE struct err door_tickets_read(struct span text, door_tickets_turn_text *open, void *holder,
                                      struct door_tickets *ret);
/* Appends the text. Room: DOOR_TICKETS_TEXT_MAX_BYTES. ERR_TOO_BIG, and what `seal` says. */
MUST_USE struct err door_tickets_write(const struct door_tickets *tickets,
                                       door_tickets_turn_text *seal, void *holder, struct buf *to);

/* Puts `fresh` in front when it is time for a new key, and drops those that had their time. A key
 * from the future, of a clock that was wrong, has had its time. As long as a foreign key has not
 * had its time, nothing changes: two frontends with different key files would take each other's
 * away. False: nothing has changed. */
bool door_tickets_turn(struct door_tickets *tickets, uint64_t now_ms, uint64_t life_ms,
                       const uint8_t fresh[DOOR_TICKET_KEY_BYTES]);

/* How long until the next turn; 0: now. */
uint64_t door_tickets_wait_ms(const struct door_tickets *tickets, uint64_t now_ms,
                              uint64_t life_ms);

#ifdef __cplusplus
}
#endif
#endif
