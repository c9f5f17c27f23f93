#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "mapping_wire_private.h"

/* ---- waiting */

/* Until the socket can be read or written. False: not by the deadline. */
static bool wire_wait(const struct mapping_wire *wire, short events)
{
    for (;;) {
        uint64_t now = clock_boot_ms();
        struct pollfd one = { .fd = wire->fd, .events = events };
        if (now >= wire->until_ms) break;
        int count = poll(&one, 1, (int)(wire->until_ms - now));
        if (count > 0) return true;
        if (count < 0 && errno != EINTR) return false;
    }
    errno = ETIMEDOUT;
    return false;
}

/* ---- what libldap calls */

static int wire_setup(Sockbuf_IO_Desc *desc, void *wire)
{
    desc->sbiod_pvt = wire;
    return 0;
}

static int wire_remove(Sockbuf_IO_Desc *desc)
{
    (void)desc;
    return 0;
}

static int wire_ctrl(Sockbuf_IO_Desc *desc, int option, void *value)
{
    (void)desc;
    (void)option;
    (void)value;
    return 0;
}

static ber_slen_t wire_read(Sockbuf_IO_Desc *desc, void *bytes, ber_len_t size)
{
    const struct mapping_wire *wire = desc->sbiod_pvt;
    for (;;) {
        if (!wire_wait(wire, POLLIN)) return -1;
        ssize_t got = recv(wire->fd, bytes, size, 0);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN)) return got;
    }
}

static ber_slen_t wire_write(Sockbuf_IO_Desc *desc, void *bytes, ber_len_t size)
{
    const struct mapping_wire *wire = desc->sbiod_pvt;
    for (;;) {
        if (!wire_wait(wire, POLLOUT)) return -1;
        ssize_t put = send(wire->fd, bytes, size, MSG_NOSIGNAL);
        if (put >= 0 || (errno != EINTR && errno != EAGAIN)) return put;
    }
}

/* The socket is its owner's. */
static int wire_closed(Sockbuf_IO_Desc *desc)
{
    (void)desc;
    return 0;
}

bool mapping_wire_attach(struct mapping_wire *wire, LDAP *ldap)
{
    static Sockbuf_IO io = { wire_setup, wire_remove, wire_ctrl, wire_read, wire_write,
                             wire_closed };
    Sockbuf *sockbuf = NULL;
    if (ldap_get_option(ldap, LDAP_OPT_SOCKBUF, &sockbuf) != 0 || sockbuf == NULL) return false;
    return ber_sockbuf_add_io(sockbuf, &io, LBER_SBIOD_LEVEL_PROVIDER, wire) == 0;
}

/* ---- connecting */

bool mapping_wire_split(struct span text, unsigned port, char host[MAPPING_HOST_BYTES],
                        char service[MAPPING_SERVICE_BYTES])
{
    struct span name = text, digits = SPAN("");
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':' && text.ptr[colon - 1] != ']') colon--;
    if (colon > 0 && text.ptr[colon - 1] == ':') {
        name = span_head(text, colon - 1);
        digits = span_skip(text, colon);
    }
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = span_head(span_skip(name, 1), name.len - 2);
    }
    if (name.len == 0 || name.len >= MAPPING_HOST_BYTES) return false;
    if (memchr(name.ptr, '\0', name.len) != NULL || digits.len >= MAPPING_SERVICE_BYTES) {
        return false;
    }
    memcpy(host, name.ptr, name.len);
    host[name.len] = '\0';
    snprintf(service, MAPPING_SERVICE_BYTES, "%u", port);
    if (digits.len == 0) return true;
    memcpy(service, digits.ptr, digits.len);
    service[digits.len] = '\0';
    return true;
}

static bool connect_to(struct mapping_wire *wire, const struct addrinfo *address)
{
    int error = 0, at_once = 1;
    socklen_t size = sizeof(error);
    wire->fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0) return false;
    (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
    if (connect(wire->fd, address->ai_addr, address->ai_addrlen) == 0) return true;
    if (errno == EINPROGRESS && wire_wait(wire, POLLOUT) &&
        getsockopt(wire->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0) {
        return true;
    }
    if (error != 0) errno = error;
    error = errno;
    mapping_wire_close(wire);
    errno = error;
    return false;
}

const char *mapping_wire_connect(struct mapping_wire *wire, const char *host, const char *service)
{
    struct addrinfo wanted = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *all = NULL;
    wire->fd = -1;
    if (getaddrinfo(host, service, &wanted, &all) != 0) return "no address of that name";
    for (const struct addrinfo *at = all; at != NULL && wire->fd < 0; at = at->ai_next) {
        (void)connect_to(wire, at);
    }
    const char *why = wire->fd >= 0        ? NULL
                      : errno == ETIMEDOUT ? "no connection in time"
                                           : "no connection can be made";
    freeaddrinfo(all);
    return why;
}

void mapping_wire_close(struct mapping_wire *wire)
{
    if (wire->fd >= 0) close(wire->fd);
    wire->fd = -1;
}
