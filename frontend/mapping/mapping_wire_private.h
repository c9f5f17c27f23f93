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

struct mapping_wire {
    int fd; /* -1: not connected */
    uint64_t until_ms;
};

/* "host", "host:port", "[2001:db8::1]:port": the host, without brackets, into `host`, and the port
 * or `port` into `service`. False: it does not fit. */
enum { MAPPING_HOST_BYTES = 262, MAPPING_SERVICE_BYTES = 8 };
bool mapping_wire_split(struct span text, unsigned port, char host[MAPPING_HOST_BYTES],
                        char service[MAPPING_SERVICE_BYTES]);

/* Connects to one of the host's addresses by `until_ms`. NULL: it did; else why not. */
const char *mapping_wire_connect(struct mapping_wire *wire, const char *host, const char *service);
/* Puts it under a connection of libldap's. False: no memory. */
bool mapping_wire_attach(struct mapping_wire *wire, LDAP *ldap);
/* Takes one that is not connected. */
void mapping_wire_close(struct mapping_wire *wire);

#endif
