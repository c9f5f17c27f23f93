/* endpoint.h: an IP address with its port, or a unix socket. */
#ifndef MAIL_ENDPOINT_H
#define MAIL_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ENDPOINT_TEXT_BYTES = 56, ENDPOINT_PATH_MAX_BYTES = 107 };

enum endpoint_kind { ENDPOINT_UNIX = 0, ENDPOINT_IP4 = 4, ENDPOINT_IP6 = 6 };

/* By value. An IPv4 address that came mapped into IPv6 is ENDPOINT_IP4. */
struct endpoint {
    uint8_t kind;   /* enum endpoint_kind */
    uint16_t port;  /* 0 with a unix socket */
    uint8_t ip[16]; /* network order; the first 4 for IPv4 */
};

/* "192.0.2.1:25" or "[2001:db8::1]:25": numeric, nothing around it. ERR_SYNTAX. */
MUST_USE struct err endpoint_parse(struct span text, struct endpoint *ret);

/* Writes it like that, or "unix", with a NUL. */
struct span endpoint_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_BYTES]);

/* Only the address, without brackets. */
struct span endpoint_ip_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_BYTES]);

/* Of an address in 16 bytes, IPv4 as ::ffff:a.b.c.d; port 0. */
struct endpoint endpoint_of_ip(const uint8_t ip[16]);

/* Same address, whatever the port. Unix sockets are all the same. */
bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b);

#ifdef __cplusplus
}
#endif
#endif
