/* door_limits.h: how many connections of this frontend are open, in all and of each client address.
 * One for all its loops, since a client's connections are spread over them; a lock is held for the
 * time of one look-up. What is within these limits is then counted over all frontends (meter.h). */
#ifndef MAIL_DOOR_LIMITS_H
#define MAIL_DOOR_LIMITS_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { DOOR_LIMITS_ADDRESSES_MAX = 1000000 };

/* Each protocol has a limit of its own. */
enum door_kind { DOOR_KIND_SMTP, DOOR_KIND_IMAP, DOOR_KIND_POP3, DOOR_KIND_HTTP, DOOR_KINDS };

struct door_limits;
struct door_address;

MUST_USE struct err door_limits_new(struct door_limits **ret);
/* No connection is left. Takes NULL. */
void door_limits_free(struct door_limits *limits);

/* Counts a connection. ERR_BUSY: `max` are open. */
MUST_USE struct err door_limits_open(struct door_limits *limits, uint32_t max);
void door_limits_close(struct door_limits *limits);
uint32_t door_limits_count(struct door_limits *limits);

/* Counts it to its client's network as well (meter_network()). ERR_BUSY: `max` of this kind
 * are open from there, or there are too many addresses; ERR_NOMEM. */
MUST_USE struct err door_limits_enter(struct door_limits *limits, const uint8_t ip[16],
                                      enum door_kind kind, uint32_t max,
                                      struct door_address **ret);
/* `address` NULL: it was not counted. */
void door_limits_leave(struct door_limits *limits, struct door_address *address,
                       enum door_kind kind);

#ifdef __cplusplus
}
#endif
#endif
