#include "proxy.h"

#include <stdbool.h>

static const struct span v1_start = SPAN_INIT("PROXY ");
static const struct span v2_start = SPAN_INIT("\r\n\r\n\0\r\nQUIT\n");

enum { PORT_DIGITS_MAX = 5, IP4_BYTES = 4, IP6_GROUPS = 8, GROUP_DIGITS_MAX = 4 };

/* ---- version 1 */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Decimal of 1 to `digits_max` digits up to `max`, without leading zeros. */
static bool decimal(struct span text, size_t digits_max, uint32_t max, uint32_t *ret)
{
    uint32_t value = 0;
    if (text.len == 0 || text.len > digits_max) return false;
    if (text.ptr[0] == '0' && text.len > 1) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        value = value * 10 + (uint32_t)(text.ptr[i] - '0');
    }
    if (value > max) return false;
    *ret = value;
    return true;
}

static bool ip4(struct span text, uint8_t to[IP4_BYTES])
{
    for (unsigned i = 0; i < IP4_BYTES; i++) {
        struct span part = text;
        uint32_t value;
        if (i + 1 < IP4_BYTES && !span_cut(text, '.', &part, &text)) return false;
        if (!decimal(part, 3, 255, &value)) return false;
        to[i] = (uint8_t)value;
    }
    return true;
}

static bool group(struct span text, uint8_t to[2])
{
    unsigned value = 0;
    if (text.len == 0 || text.len > GROUP_DIGITS_MAX) return false;
    for (size_t i = 0; i < text.len; i++) {
        int digit = digit_value(text.ptr[i]);
        if (digit < 0) return false;
        value = value << 4 | (unsigned)digit;
    }
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)(value & 0xff);
    return true;
}

/* Groups with ':' between them, up to the end or to "::", which `*rest` is left at. The last may
 * be an IPv4 address when nothing comes behind. */
static bool groups(struct span text, uint8_t *to, unsigned *count, struct span *rest)
{
    *count = 0;
    *rest = span_skip(text, text.len);
    while (text.len > 0) {
        struct span part = text, tail = span_skip(text, text.len);
        bool more = span_cut(text, ':', &part, &tail);
        if (!more && memchr(part.ptr, '.', part.len) != NULL) {
            if (*count > IP6_GROUPS - 2 || !ip4(part, to + (size_t)*count * 2)) return false;
            *count += 2;
            return true;
        }
        if (*count == IP6_GROUPS || !group(part, to + (size_t)*count * 2)) return false;
        (*count)++;
        if (more && tail.len == 0) return false;
        if (more && tail.ptr[0] == ':') {
            *rest = span_skip(text, part.len);
            return true;
        }
        text = tail;
    }
    return true;
}

/* RFC 4291 2.2, all three forms. */
static bool ip6(struct span text, uint8_t to[PROXY_ADDRESS_BYTES])
{
    uint8_t head[PROXY_ADDRESS_BYTES] = { 0 }, tail[PROXY_ADDRESS_BYTES] = { 0 };
    unsigned before = 0, after = 0;
    struct span rest = text;
    bool starts_with_gap = text.len >= 2 && text.ptr[0] == ':' && text.ptr[1] == ':';
    if (text.len == 0) return false;
    if (!starts_with_gap && !groups(text, head, &before, &rest)) return false;
    memset(to, 0, PROXY_ADDRESS_BYTES);
    memcpy(to, head, (size_t)before * 2);
    if (rest.len == 0) return before == IP6_GROUPS;
    struct span last;
    if (!groups(span_skip(rest, 2), tail, &after, &last) || last.len > 0) return false;
    if (before + after >= IP6_GROUPS) return false;
    memcpy(to + PROXY_ADDRESS_BYTES - (size_t)after * 2, tail, (size_t)after * 2);
    return true;
}

static bool address(enum proxy_family family, struct span text, uint8_t to[PROXY_ADDRESS_BYTES])
{
    return family == PROXY_IP4 ? ip4(text, to) : ip6(text, to);
}

/* "TCP4 source destination port port", without "PROXY " and CRLF. */
static bool v1_line(struct span line, struct proxy_header *ret)
{
    struct span family = line, source, destination, source_port, destination_port;
    uint32_t from_port, to_port;
    struct proxy_header header = { .family = PROXY_NONE };
    (void)span_cut(line, ' ', &family, &line);
    if (span_eq(family, SPAN("UNKNOWN"))) {
        *ret = header;
        return true;
    }
    if (span_eq(family, SPAN("TCP4"))) header.family = PROXY_IP4;
    else if (span_eq(family, SPAN("TCP6"))) header.family = PROXY_IP6;
    else return false;
    if (!span_cut(line, ' ', &source, &line) || !span_cut(line, ' ', &destination, &line)
        || !span_cut(line, ' ', &source_port, &destination_port)) {
        return false;
    }
    if (!address(header.family, source, header.source)
        || !address(header.family, destination, header.destination)
        || !decimal(source_port, PORT_DIGITS_MAX, UINT16_MAX, &from_port)
        || !decimal(destination_port, PORT_DIGITS_MAX, UINT16_MAX, &to_port)) {
        return false;
    }
    header.source_port = (uint16_t)from_port;
    header.destination_port = (uint16_t)to_port;
    *ret = header;
    return true;
}

static enum proxy_state v1_take(struct span in, struct proxy_header *ret, size_t *used)
{
    struct span line = span_head(in, PROXY_V1_MAX_BYTES);
    const char *end = memchr(line.ptr, '\n', line.len);
    if (end == NULL) return in.len < PROXY_V1_MAX_BYTES ? PROXY_MORE : PROXY_BAD;
    line.len = (size_t)(end - line.ptr);
    if (line.len == 0 || line.ptr[line.len - 1] != '\r') return PROXY_BAD;
    size_t whole = line.len + 1;
    line = span_skip(span_head(line, line.len - 1), v1_start.len);
    if (memchr(line.ptr, '\r', line.len) != NULL || !v1_line(line, ret)) return PROXY_BAD;
    *used = whole;
    return PROXY_OK;
}

/* ---- version 2 */

static uint16_t u16(struct span in, size_t at)
{
    return (uint16_t)((unsigned char)in.ptr[at] << 8 | (unsigned char)in.ptr[at + 1]);
}

/* `u8 type | u16 BE length | bytes` up to the end. */
static bool tlvs_are_whole(struct span tlvs)
{
    while (tlvs.len > 0) {
        if (tlvs.len < 3) return false;
        size_t len = u16(tlvs, 1);
        if (tlvs.len - 3 < len) return false;
        tlvs = span_skip(tlvs, 3 + len);
    }
    return true;
}

/* Two addresses and two ports of `bytes` each, and the TLVs behind. */
static bool v2_addresses(struct span in, size_t bytes, struct proxy_header *header)
{
    if (in.len < 2 * bytes + 4) return false;
    memcpy(header->source, in.ptr, bytes);
    memcpy(header->destination, in.ptr + bytes, bytes);
    header->source_port = u16(in, 2 * bytes);
    header->destination_port = u16(in, 2 * bytes + 2);
    return tlvs_are_whole(span_skip(in, 2 * bytes + 4));
}

/* Family in the upper half: 0 UNSPEC, 1 IPv4, 2 IPv6, 3 unix; transport in the lower one: 0 UNSPEC,
 * 1 stream, 2 datagram. "The receiver should ignore" the addresses of UNSPEC. */
static bool v2_family(unsigned char family, struct span in, struct proxy_header *header)
{
    enum { UNIX_BYTES = 216 };
    switch (family) {
    case 0x11:
        header->family = PROXY_IP4;
        return v2_addresses(in, IP4_BYTES, header);
    case 0x21:
        header->family = PROXY_IP6;
        return v2_addresses(in, PROXY_ADDRESS_BYTES, header);
    case 0x31: return in.len >= UNIX_BYTES && tlvs_are_whole(span_skip(in, UNIX_BYTES));
    case 0x00: return true;
    default: return false; /* datagrams do not come over a connection */
    }
}

static enum proxy_state v2_take(struct span in, struct proxy_header *ret, size_t *used)
{
    if (in.len < PROXY_V2_HEAD_BYTES) return PROXY_MORE;
    unsigned char command = (unsigned char)in.ptr[12], family = (unsigned char)in.ptr[13];
    size_t whole = PROXY_V2_HEAD_BYTES + (size_t)u16(in, 14);
    struct proxy_header header = { .family = PROXY_NONE };
    if ((command != 0x20 && command != 0x21) || whole > PROXY_MAX_BYTES) return PROXY_BAD;
    if (in.len < whole) return PROXY_MORE;
    /* LOCAL: a health check of the balancer itself; "must discard" whatever follows. */
    struct span rest = span_skip(span_head(in, whole), PROXY_V2_HEAD_BYTES);
    if (command == 0x21 && !v2_family(family, rest, &header)) return PROXY_BAD;
    *ret = header;
    *used = whole;
    return PROXY_OK;
}

/* Both have a start that no mail protocol's client sends. */
static bool may_start_with(struct span in, struct span start)
{
    size_t len = in.len < start.len ? in.len : start.len;
    return span_eq(span_head(in, len), span_head(start, len));
}

enum proxy_state proxy_take(struct span in, struct proxy_header *ret, size_t *used)
{
    if (in.len == 0) return PROXY_MORE;
    bool v1 = may_start_with(in, v1_start), v2 = may_start_with(in, v2_start);
    if (v1) return in.len < v1_start.len ? PROXY_MORE : v1_take(in, ret, used);
    if (v2) return in.len < v2_start.len ? PROXY_MORE : v2_take(in, ret, used);
    return PROXY_BAD;
}
