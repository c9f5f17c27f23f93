#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "mapping_ldap.h"
#include "mapping_wire_private.h"

enum { PORT_DIGITS_MAX = 5 };

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

static bool port_parse(struct span digits, uint16_t *ret)
{
    unsigned value = 0;
    if (digits.len == 0 || digits.len > PORT_DIGITS_MAX) return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        value = value * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX) return false;
    *ret = (uint16_t)value;
    return true;
}

bool mapping_wire_split(struct span text, struct span *host, uint16_t *port)
{
    struct span name = text;
    size_t colon = text.len;
    while (colon > 0 && text.ptr[colon - 1] != ':' && text.ptr[colon - 1] != ']') colon--;
    if (colon > 0 && text.ptr[colon - 1] == ':') {
        name = span_head(text, colon - 1);
        if (!port_parse(span_skip(text, colon), port)) return false;
    }
    if (name.len >= 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']') {
        name = span_head(span_skip(name, 1), name.len - 2);
    }
    if (name.len == 0 || name.len > MAPPING_HOST_MAX_BYTES) return false;
    if (memchr(name.ptr, '\0', name.len) != NULL) return false;
    *host = name;
    return true;
}

static socklen_t socket_address(const struct mapping_address *address, uint16_t port,
                                struct sockaddr_storage *ret)
{
    if (address->is_ip6) {
        struct sockaddr_in6 ip6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
        memcpy(&ip6.sin6_addr, address->ip, sizeof(ip6.sin6_addr));
        memcpy(ret, &ip6, sizeof(ip6));
        return sizeof(ip6);
    }
    struct sockaddr_in ip4 = { .sin_family = AF_INET, .sin_port = htons(port) };
    memcpy(&ip4.sin_addr, address->ip, sizeof(ip4.sin_addr));
    memcpy(ret, &ip4, sizeof(ip4));
    return sizeof(ip4);
}

static bool connect_to(struct mapping_wire *wire, const struct mapping_address *address,
                       uint16_t port)
{
    int error = 0, at_once = 1;
    struct sockaddr_storage to;
    socklen_t to_size = socket_address(address, port, &to), size = sizeof(error);
    wire->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0) return false;
    (void)setsockopt(wire->fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof(at_once));
    if (connect(wire->fd, (const struct sockaddr *)&to, to_size) == 0) return true;
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

const char *mapping_wire_connect(struct mapping_wire *wire, const struct mapping_visit *visit,
                                 uint16_t port)
{
    uint64_t until_ms = wire->until_ms;
    size_t count = visit->addresses_count;
    wire->fd = -1;
    if (count == 0) return "no address of that name";
    for (size_t i = 0; i < count && wire->fd < 0; i++) {
        uint64_t now = clock_boot_ms();
        if (now < until_ms) wire->until_ms = now + (until_ms - now) / (count - i);
        (void)connect_to(wire, &visit->addresses[i], port);
    }
    wire->until_ms = until_ms;
    if (wire->fd >= 0) return NULL;
    return errno == ETIMEDOUT ? "no connection in time" : "no connection can be made";
}

void mapping_wire_close(struct mapping_wire *wire)
{
    if (wire->fd >= 0) close(wire->fd);
    wire->fd = -1;
}
