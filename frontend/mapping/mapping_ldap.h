/* mapping_ldap.h: one visit to a domain's LDAP directory (RFC 4511): is this the password of that
 * entry, and which entries are users. Blocking: on threads of a crew only. The one user of libldap.
 *
 * Of one host, at the addresses that the visit names (mapping_pool.h finds them, and goes from host
 * to host). Each of its answers is waited for `timeout_s`, and so are its TLS and the connection,
 * which is tried at one address after the other.
 *
 * With TLS the host's certificate has to be good for its name, by `ca` or what the machine trusts.
 * Neither the machine's ldap.conf nor a user's .ldaprc is read. Referrals are not followed. */
#ifndef MAIL_MAPPING_LDAP_H
#define MAIL_MAPPING_LDAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct directory_mapping;

enum {
    MAPPING_SAID_BYTES = 256,
    MAPPING_HOST_ADDRESSES_MAX = 8,      /* further ones are not tried */
    MAPPING_DN_MAX_BYTES = 1024,
    MAPPING_TEXT_MAX_BYTES = 512,        /* of an attribute's value */
    MAPPING_ADDRESSES_MAX = 32,          /* of an entry */
    MAPPING_FOUND_MAX_BYTES = 128 << 20, /* of all entries */
    MAPPING_PAGE_ENTRIES = 500,          /* RFC 2696 */
    MAPPING_MESSAGE_MAX_BYTES = 1 << 20, /* of what a host sends at a time */
    MAPPING_SEARCH_MAX_MS = 120 * 1000,  /* of all pages */
};

struct mapping_address {
    bool is_ip6;
    uint8_t ip[16]; /* network order; the first 4 for IPv4 */
};

struct mapping_visit {
    const struct directory_mapping *mapping;
    size_t host;                   /* which of its hosts */
    struct mapping_address addresses[MAPPING_HOST_ADDRESSES_MAX]; /* in this order */
    size_t addresses_count;
    char said[MAPPING_SAID_BYTES]; /* by whom and why not, in words, with a NUL */
};

struct mapping_entry {
    struct span dn, name, full_name; /* empty: it has none */
    struct span *addresses;
    size_t addresses_count;
    bool is_too_big;                 /* a DN, a value or their number is over a bound */
};

struct mapping_found {
    struct arena arena;
    struct mapping_entry *entries;
    size_t count;
};

/* Before any thread uses the rest: how libldap is to behave in this program. */
void mapping_ldap_init(void);

/* OK; DENIED: it is another password, or the directory does not let the entry in; UNREACHABLE: the
 * host has said neither. An empty DN or password is DENIED without a visit: a server would say yes
 * to it without having checked anything (RFC 4513 5.1.2). */
MUST_USE struct err mapping_ldap_check(struct mapping_visit *visit, struct span dn,
                                       struct span password);

/* All entries below the base that fit the filter, those without any of the attributes too. Whole or
 * an error: DENIED: the directory refuses the DN that looks; NOT_FOUND: the base; TOO_BIG: more
 * than `users_max`, or than there is room for; SYNTAX: the filter or a DN; UNREACHABLE: the host
 * gave no answer, or only a part of it. `password` opens bind_dn. Clear the arena of what was
 * found. */
MUST_USE struct err mapping_ldap_search(struct mapping_visit *visit, struct span filter,
                                        struct span password, struct mapping_found *ret);

#ifdef __cplusplus
}
#endif
#endif
