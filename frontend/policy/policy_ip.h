/* policy_ip.h: sets of IP addresses, as IP groups and lists of trusted proxies name them. */
#ifndef MAIL_POLICY_IP_H
#define MAIL_POLICY_IP_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { POLICY_IP_BYTES = 16, POLICY_IP_TEXT_MAX_BYTES = 96 };

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d, so that both compare alike. */
struct policy_ip {
    uint8_t bytes[POLICY_IP_BYTES];
};

/* Addresses from `first` to `last`, both in it. */
struct policy_ip_range {
    struct policy_ip first, last;
};

/* "192.0.2.1" or "2001:db8::1". ERR_SYNTAX. */
MUST_USE struct err policy_ip_parse(struct span text, struct policy_ip *ret);

/* A host "192.0.2.1", a network "10.0.0.0/8" or "10.0.0.0/255.0.0.0" (its host bits need not be
 * 0), or a range "10.0.0.1-10.0.0.9". ERR_SYNTAX: not one of these, a range that runs backwards or
 * is of two kinds, a mask with holes. */
MUST_USE struct err policy_ip_range_parse(struct span text, struct policy_ip_range *ret);

bool policy_ip_is_in(const struct policy_ip *ip, const struct policy_ip_range *ranges,
                     size_t count);

#ifdef __cplusplus
}
#endif
#endif
