/* endpoint_private.h: endpoints as the kernel's socket addresses. */
#ifndef MAIL_ENDPOINT_PRIVATE_H
#define MAIL_ENDPOINT_PRIVATE_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "endpoint.h"

union endpoint_socket {
    struct sockaddr any;
    struct sockaddr_in ip4;
    struct sockaddr_in6 ip6;
    struct sockaddr_un path;
};

/* "unix:/path" or "ip:port"; `*len` is how much of `*to` is in use. ERR_SYNTAX, ERR_TOO_BIG (the
 * path). */
MUST_USE struct err endpoint_to_socket(const char *address, union endpoint_socket *to,
                                       socklen_t *len);
struct endpoint endpoint_of_socket(const union endpoint_socket *from);

#endif
