#include <string.h>

#include "boot.h"

static bool parse_port(struct span text, uint16_t *ret)
{
    uint32_t port = 0;
    if (text.len == 0 || text.len > 5) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        port = port * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    if (port > 65535) return false;
    *ret = (uint16_t)port;
    return true;
}

/* The colon before the port: the last one. */
static size_t last_colon(struct span text)
{
    size_t at = text.len;
    while (at > 0 && text.ptr[at - 1] != ':') at--;
    return at;
}

bool boot_address_parse(struct span text, struct boot_address *ret)
{
    static const struct span prefix = SPAN_INIT("unix:");
    struct boot_address address = { .is_unix = false };
    if (memchr(text.len == 0 ? "" : text.ptr, '\0', text.len) != NULL) return false;
    if (text.len > prefix.len && memcmp(text.ptr, prefix.ptr, prefix.len) == 0) {
        *ret = (struct boot_address){ .host = span_skip(text, prefix.len), .is_unix = true };
        return true;
    }
    size_t colon = last_colon(text);
    if (colon == 0 || !parse_port(span_skip(text, colon), &address.port)) return false;
    struct span host = span_head(text, colon - 1);
    if (host.len > 1 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        host = span_of(host.ptr + 1, host.len - 2);
        if (host.len == 0 || memchr(host.ptr, ':', host.len) == NULL) return false;
    } else if (host.len > 0 && memchr(host.ptr, ':', host.len) != NULL) {
        return false; /* an IPv6 address without brackets: where its port begins is a guess */
    }
    address.host = host;
    *ret = address;
    return true;
}
