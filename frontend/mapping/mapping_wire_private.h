/* mapping_wire_private.h: the bytes of a connection to a directory, under libldap and its TLS, so
 * that nothing waits beyond a deadline: by itself libldap 2.5 turns in its TLS handshake for ever
 * when the other end says nothing, whatever its timeouts are set to.
 *
 * Whoever asks libldap for something sets the deadline first. Behind it each read and write fails,
 * and so what libldap was doing. */
#ifndef MAIL_MAPPING_WIRE_PRIVATE_H
#define MAIL_MAPPING_WIRE_PRIVATE_H

#include <ldap.h>
#include <stdbool.h>
#include <stdint.h>

#include "span.h"

struct mapping_visit;

struct mapping_wire {
    int fd; /* -1: not connected */
    uint64_t until_ms;
};

/* "host", "host:port", "[2001:db8::1]:port": the host, without brackets, is a part of `text`;
 * `*port` stays as it is without one. False: it is none of them. */
enum { MAPPING_HOST_MAX_BYTES = 261 };
bool mapping_wire_split(struct span text, struct span *host, uint16_t *port);

/* Connects to the first of the visit's addresses that takes it, by `until_ms`; each has an equal
 * part of what is left. NULL: it did; else why not. */
const char *mapping_wire_connect(struct mapping_wire *wire, const struct mapping_visit *visit,
                                 uint16_t port);
/* Puts it under a connection of libldap's. False: no memory. */
bool mapping_wire_attach(struct mapping_wire *wire, LDAP *ldap);
/* Takes one that is not connected. */
void mapping_wire_close(struct mapping_wire *wire);

#endif
