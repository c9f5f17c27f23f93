#include "policy_ip.h"

#include <arpa/inet.h>

static const uint8_t v4_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_v4(const struct policy_ip *ip)
{
    return memcmp(ip->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

struct err policy_ip_parse(struct span text, struct policy_ip *ret)
{
    char copy[POLICY_IP_TEXT_MAX_BYTES + 1];
    struct policy_ip found;
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL) {
        return err_make(ERR_SYNTAX, "IP address");
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    memcpy(found.bytes, v4_prefix, sizeof(v4_prefix));
    if (inet_pton(AF_INET, copy, found.bytes + sizeof(v4_prefix)) != 1 &&
        inet_pton(AF_INET6, copy, found.bytes) != 1) {
        return err_make(ERR_SYNTAX, "IP address");
    }
    *ret = found;
    return err_ok();
}

/* "/24" or "/255.255.255.0": how many bits of the 128 are fixed. */
static struct err prefix_parse(struct span text, bool for_v4, unsigned *bits)
{
    struct policy_ip mask;
    unsigned number = 0, base = for_v4 ? 96 : 0;
    if (text.len > 3) {
        TRY(policy_ip_parse(text, &mask));
        if (is_v4(&mask) != for_v4) return err_make(ERR_SYNTAX, "mask");
        for (unsigned i = base; i < 128; i++) {
            bool is_set = (mask.bytes[i / 8] >> (7 - i % 8) & 1) != 0;
            if (is_set && number != i - base) return err_make(ERR_SYNTAX, "mask with holes");
            number += is_set ? 1 : 0;
        }
        *bits = base + number;
        return err_ok();
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return err_make(ERR_SYNTAX, "prefix length");
        number = number * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (text.len == 0 || number > 128 - base) return err_make(ERR_SYNTAX, "prefix length");
    *bits = base + number;
    return err_ok();
}

static struct policy_ip_range network(struct policy_ip ip, unsigned bits)
{
    struct policy_ip_range range = { ip, ip };
    for (unsigned i = bits; i < 128; i++) {
        uint8_t bit = (uint8_t)(1u << (7 - i % 8));
        range.first.bytes[i / 8] = (uint8_t)(range.first.bytes[i / 8] & ~bit);
        range.last.bytes[i / 8] = (uint8_t)(range.last.bytes[i / 8] | bit);
    }
    return range;
}

struct err policy_ip_range_parse(struct span text, struct policy_ip_range *ret)
{
    struct policy_ip_range range;
    struct span head, tail;
    if (span_cut(text, '/', &head, &tail)) {
        unsigned bits = 0;
        TRY(policy_ip_parse(head, &range.first));
        TRY(prefix_parse(tail, is_v4(&range.first), &bits));
        *ret = network(range.first, bits);
        return err_ok();
    }
    if (!span_cut(text, '-', &head, &tail)) head = tail = text;
    TRY(policy_ip_parse(head, &range.first));
    TRY(policy_ip_parse(tail, &range.last));
    if (is_v4(&range.first) != is_v4(&range.last) ||
        memcmp(range.first.bytes, range.last.bytes, POLICY_IP_BYTES) > 0) {
        return err_make(ERR_SYNTAX, "range of addresses");
    }
    *ret = range;
    return err_ok();
}

bool policy_ip_is_in(const struct policy_ip *ip, const struct policy_ip_range *ranges,
                     size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (memcmp(ip->bytes, ranges[i].first.bytes, POLICY_IP_BYTES) >= 0 &&
            memcmp(ip->bytes, ranges[i].last.bytes, POLICY_IP_BYTES) <= 0) {
            return true;
        }
    }
    return false;
}
