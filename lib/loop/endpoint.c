#include "endpoint.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

#include "endpoint_private.h"

enum { PORT_MAX = 65535, PORT_DIGITS_MAX = 5 };

static bool endpoint_port(struct span digits, uint16_t *ret)
{
    unsigned value = 0;
    if (digits.len == 0 || digits.len > PORT_DIGITS_MAX) return false;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.ptr[i] < '0' || digits.ptr[i] > '9') return false;
        value = value * 10 + (unsigned)(digits.ptr[i] - '0');
    }
    if (value > PORT_MAX) return false;
    *ret = (uint16_t)value;
    return true;
}

static void endpoint_unmap(struct endpoint *endpoint)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    if (endpoint->kind != ENDPOINT_IP6 || memcmp(endpoint->ip, mapped, sizeof(mapped)) != 0) return;
    memmove(endpoint->ip, endpoint->ip + sizeof(mapped), 4);
    memset(endpoint->ip + 4, 0, sizeof(mapped));
    endpoint->kind = ENDPOINT_IP4;
}

struct err endpoint_parse(struct span text, struct endpoint *ret)
{
    struct endpoint made = { .kind = ENDPOINT_IP4 };
    struct span ip = text, port = text;
    if (text.len > 0 && text.ptr[0] == '[') {
        made.kind = ENDPOINT_IP6;
        if (!span_cut(span_skip(text, 1), ']', &ip, &port) || port.len == 0 || port.ptr[0] != ':') {
            return err_make(ERR_SYNTAX, "address");
        }
        port = span_skip(port, 1);
    } else if (!span_cut(text, ':', &ip, &port)) {
        return err_make(ERR_SYNTAX, "address");
    }
    char copy[ENDPOINT_TEXT_BYTES];
    if (ip.len >= sizeof(copy) || (ip.len > 0 && memchr(ip.ptr, 0, ip.len) != NULL)) {
        return err_make(ERR_SYNTAX, "address");
    }
    if (ip.len > 0) memcpy(copy, ip.ptr, ip.len);
    copy[ip.len] = '\0';
    int family = made.kind == ENDPOINT_IP4 ? AF_INET : AF_INET6;
    if (inet_pton(family, copy, made.ip) != 1 || !endpoint_port(port, &made.port)) {
        return err_make(ERR_SYNTAX, "address");
    }
    endpoint_unmap(&made);
    *ret = made;
    return err_ok();
}

struct endpoint endpoint_of_ip(const uint8_t ip[16])
{
    struct endpoint made = { .kind = ENDPOINT_IP6 };
    memcpy(made.ip, ip, sizeof(made.ip));
    endpoint_unmap(&made);
    return made;
}

struct span endpoint_ip_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_BYTES])
{
    int family = endpoint->kind == ENDPOINT_IP4 ? AF_INET : AF_INET6;
    if (endpoint->kind == ENDPOINT_UNIX) {
        memcpy(text, "unix", sizeof("unix"));
    } else if (inet_ntop(family, endpoint->ip, text, ENDPOINT_TEXT_BYTES) == NULL) {
        text[0] = '\0';
    }
    return span_of(text, strlen(text));
}

struct span endpoint_text(const struct endpoint *endpoint, char text[ENDPOINT_TEXT_BYTES])
{
    char ip[ENDPOINT_TEXT_BYTES];
    (void)endpoint_ip_text(endpoint, ip);
    int len;
    if (endpoint->kind == ENDPOINT_UNIX) {
        len = snprintf(text, ENDPOINT_TEXT_BYTES, "unix");
    } else if (endpoint->kind == ENDPOINT_IP6) {
        len = snprintf(text, ENDPOINT_TEXT_BYTES, "[%.45s]:%u", ip, (unsigned)endpoint->port);
    } else {
        len = snprintf(text, ENDPOINT_TEXT_BYTES, "%.45s:%u", ip, (unsigned)endpoint->port);
    }
    return span_of(text, (size_t)len);
}

bool endpoint_same_ip(const struct endpoint *a, const struct endpoint *b)
{
    return a->kind == b->kind && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

static struct err endpoint_path(struct span path, union endpoint_socket *to, socklen_t *len)
{
    if (path.len == 0) return err_make(ERR_SYNTAX, "path of a socket");
    if (path.len > ENDPOINT_PATH_MAX_BYTES) return err_make(ERR_TOO_BIG, "path of a socket");
    to->path.sun_family = AF_UNIX;
    memcpy(to->path.sun_path, path.ptr, path.len);
    *len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.len + 1);
    return err_ok();
}

struct err endpoint_to_socket(const char *address, union endpoint_socket *to, socklen_t *len)
{
    memset(to, 0, sizeof(*to));
    struct span text = span_of(address, strlen(address));
    if (span_starts_nocase(text, SPAN("unix:"))) return endpoint_path(span_skip(text, 5), to, len);
    struct endpoint endpoint;
    TRY(endpoint_parse(text, &endpoint));
    if (endpoint.kind == ENDPOINT_IP4) {
        to->ip4.sin_family = AF_INET;
        to->ip4.sin_port = htons(endpoint.port);
        memcpy(&to->ip4.sin_addr, endpoint.ip, sizeof(to->ip4.sin_addr));
        *len = sizeof(to->ip4);
    } else {
        to->ip6.sin6_family = AF_INET6;
        to->ip6.sin6_port = htons(endpoint.port);
        memcpy(&to->ip6.sin6_addr, endpoint.ip, sizeof(to->ip6.sin6_addr));
        *len = sizeof(to->ip6);
    }
    return err_ok();
}

struct endpoint endpoint_of_socket(const union endpoint_socket *from)
{
    struct endpoint made = { .kind = ENDPOINT_UNIX };
    if (from->any.sa_family == AF_INET) {
        made.kind = ENDPOINT_IP4;
        made.port = ntohs(from->ip4.sin_port);
        memcpy(made.ip, &from->ip4.sin_addr, sizeof(from->ip4.sin_addr));
    } else if (from->any.sa_family == AF_INET6) {
        made.kind = ENDPOINT_IP6;
        made.port = ntohs(from->ip6.sin6_port);
        memcpy(made.ip, &from->ip6.sin6_addr, sizeof(from->ip6.sin6_addr));
        endpoint_unmap(&made);
    }
    return made;
}
