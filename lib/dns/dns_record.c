#include "dns_record.h"

#include <stdio.h>

#include "arena.h"

enum { LABEL_MAX_BYTES = 63, IPV4_PREFIX_BYTES = 12 };

static struct err bad(void) { return err_make(ERR_SYNTAX, "record of the DNS"); }

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '-' || c == '_' || c == '/' || c == '*';
}

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

bool dns_name_check(struct span name, char ret[DNS_NAME_MAX_BYTES + 1])
{
    size_t label = 0;
    if (name.len > 0 && name.ptr[name.len - 1] == '.') name.len--;
    if (name.len == 0 || name.len > DNS_NAME_MAX_BYTES) return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] == '.') {
            if (label == 0) return false;
            label = 0;
        } else if (!is_name_byte(name.ptr[i]) || ++label > LABEL_MAX_BYTES) {
            return false;
        }
    }
    if (label == 0) return false;
    memcpy(ret, name.ptr, name.len);
    ret[name.len] = '\0';
    return true;
}

struct err dns_name_take(struct span *in, struct arena *arena, struct span *ret)
{
    char text[DNS_NAME_MAX_BYTES];
    size_t len = 0, at = 0;
    for (;;) {
        if (at == in->len) return bad();
        size_t label = (uint8_t)in->ptr[at++];
        if (label == 0) break;
        /* A pointer has its two highest bits set, and so is over the limit. */
        if (label > LABEL_MAX_BYTES || label > in->len - at) return bad();
        if (label + (len > 0 ? 1 : 0) > sizeof(text) - len) return bad();
        if (len > 0) text[len++] = '.';
        for (size_t i = 0; i < label; i++) {
            char c = in->ptr[at++];
            if (!is_name_byte(c)) return bad();
            text[len++] = lower(c);
        }
    }
    TRY(arena_copy(arena, span_of(text, len), ret));
    *in = span_skip(*in, at);
    return err_ok();
}

static struct err read_ip(struct span data, size_t size, struct dns_record *record)
{
    static const uint8_t ipv4_prefix[IPV4_PREFIX_BYTES] = { [10] = 0xff, [11] = 0xff };
    if (data.len != size) return bad();
    memcpy(record->as.ip, ipv4_prefix, sizeof(ipv4_prefix));
    memcpy(record->as.ip + (sizeof(record->as.ip) - size), data.ptr, size);
    return err_ok();
}

static struct err read_mx(struct span data, struct arena *arena, struct dns_record *record)
{
    if (data.len < 2) return bad();
    const uint8_t *bytes = (const uint8_t *)data.ptr;
    record->as.mx.preference = (uint16_t)(bytes[0] << 8 | bytes[1]);
    data = span_skip(data, 2);
    TRY(dns_name_take(&data, arena, &record->as.mx.host));
    return data.len == 0 ? err_ok() : bad();
}

/* Strings with their length before them (RFC 1035 3.3.14). */
static struct err read_txt(struct span data, struct arena *arena, struct dns_record *record)
{
    size_t whole = 0;
    if (data.len == 0) return bad();
    for (size_t at = 0; at < data.len;) {
        size_t len = (uint8_t)data.ptr[at++];
        if (len > data.len - at) return bad();
        whole += len;
        at += len;
    }
    char *text = arena_alloc(arena, whole + 1);
    if (text == NULL) return err_make(ERR_NOMEM, "record of the DNS");
    size_t done = 0;
    for (size_t at = 0; at < data.len;) {
        size_t len = (uint8_t)data.ptr[at++];
        memcpy(text + done, data.ptr + at, len);
        done += len;
        at += len;
    }
    record->as.text = span_of(text, whole);
    return err_ok();
}

static struct err read_tlsa(struct span data, struct arena *arena, struct dns_record *record)
{
    if (data.len < 4) return bad();
    record->as.tlsa.usage = (uint8_t)data.ptr[0];
    record->as.tlsa.selector = (uint8_t)data.ptr[1];
    record->as.tlsa.matching = (uint8_t)data.ptr[2];
    return arena_copy(arena, span_skip(data, 3), &record->as.tlsa.data);
}

struct err dns_record_read(enum dns_type type, struct span data, struct arena *arena,
                           struct dns_record *ret)
{
    struct dns_record record = { 0 };
    switch (type) {
    case DNS_A: TRY(read_ip(data, 4, &record)); break;
    case DNS_AAAA: TRY(read_ip(data, 16, &record)); break;
    case DNS_MX: TRY(read_mx(data, arena, &record)); break;
    case DNS_TXT: TRY(read_txt(data, arena, &record)); break;
    case DNS_TLSA: TRY(read_tlsa(data, arena, &record)); break;
    case DNS_PTR:
        TRY(dns_name_take(&data, arena, &record.as.host));
        if (data.len > 0 || record.as.host.len == 0) return bad();
        break;
    }
    *ret = record;
    return err_ok();
}

void dns_reverse_name(const uint8_t ip[16], char ret[DNS_REVERSE_MAX_BYTES])
{
    static const uint8_t ipv4_prefix[IPV4_PREFIX_BYTES] = { [10] = 0xff, [11] = 0xff };
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;
    if (memcmp(ip, ipv4_prefix, sizeof(ipv4_prefix)) == 0) {
        snprintf(ret, DNS_REVERSE_MAX_BYTES, "%u.%u.%u.%u.in-addr.arpa", ip[15], ip[14], ip[13],
                 ip[12]);
        return;
    }
    for (unsigned i = 16; i > 0; i--) {
        ret[at++] = digits[ip[i - 1] & 15];
        ret[at++] = '.';
        ret[at++] = digits[ip[i - 1] >> 4];
        ret[at++] = '.';
    }
    snprintf(ret + at, DNS_REVERSE_MAX_BYTES - at, "ip6.arpa");
}
