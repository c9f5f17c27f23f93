/* door.h: accepts connections, reads a PROXY header where one is due, puts TLS under them, bounds
 * how many there are, and joins each to the session of its protocol. */
#ifndef MAIL_DOOR_H
#define MAIL_DOOR_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct door;
struct front;

/* The listeners a frontend may have. */
enum door_service {
    DOOR_SMTP, DOOR_SUBMISSION, DOOR_SMTPS, DOOR_LMTP, DOOR_IMAP, DOOR_IMAPS, DOOR_POP3, DOOR_POP3S,
    DOOR_HTTP, DOOR_HTTPS,
    DOOR_SERVICES,
};

enum {
    DOOR_HANDSHAKE_MS = 30000,
    DOOR_LEAVING_MS = 2000, /* the same while the program is going down */
};

/* Listens at `address` ("ip:port"; SO_REUSEPORT, so each loop opens the same one). */
MUST_USE struct err door_open(struct front *front, enum door_service service, const char *address,
                              struct door **ret);
uint16_t door_port(const struct door *door);

/* Takes those that wait in the kernel, and no new connections. Those open go on. */
void door_close(struct door *door);

/* Tells every session of the loop to end in its turn (421, BYE); what is under way is finished. A
 * client that is not there yet (PROXY, TLS) has DOOR_LEAVING_MS to come and hear it too. */
void door_drain(struct front *front);

#ifdef __cplusplus
}
#endif
#endif
