/* directory_mapping.h: a domain whose users are those of an LDAP directory, as its row says:
 *
 *   directory_hosts      array  "host" or "host:port", at most 4; the first is asked first, the
 *                               others when it is away. None: the domain has no directory
 *   directory_tls        text   "starttls" (the default), "ldaps", or "none"
 *   directory_ca         text   certificates (PEM) of those who may vouch for the hosts; "": those
 *                               that the machine trusts
 *   directory_bind_dn    text   by whom users are looked for; "": by nobody (anonymous)
 *   directory_password   text   its password, sealed for "domains/NAME/directory_password"
 *   directory_base       text   DN below which users are looked for
 *   directory_filter     text   which of the entries there are users (format/ldap_filter.h)
 *   directory_address, directory_name, directory_full_name   texts: attributes. An entry's address
 *                               is a value of the first one that lies in the domain; of an entry
 *                               without any, the value of the second one in front of '@'
 *   directory_sync       integer  seconds from one look to the next
 *   directory_timeout    integer  seconds that each answer of a host is waited for
 *   directory_users_max  integer  entries; of more of them none is taken over
 *
 * What is missing is as DEFAULT says. */
#ifndef MAIL_DIRECTORY_MAPPING_H
#define MAIL_DIRECTORY_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DIRECTORY_MAPPING_HOSTS_MAX = 4,
    DIRECTORY_MAPPING_TEXT_MAX_BYTES = 1024,   /* of a DN, a filter, a password */
    DIRECTORY_MAPPING_SEALED_MAX_BYTES = 2048, /* of a password as it stands in the row */
    DIRECTORY_MAPPING_CA_MAX_BYTES = 16 * 1024,
    DIRECTORY_MAPPING_SYNC_MIN_S = 1,
    DIRECTORY_MAPPING_SYNC_MAX_S = 24 * 60 * 60,
    DIRECTORY_MAPPING_TIMEOUT_MIN_S = 1,
    DIRECTORY_MAPPING_TIMEOUT_MAX_S = 30,
    DIRECTORY_MAPPING_USERS_MAX = 100000,
};

#define DIRECTORY_MAPPING_FILTER_DEFAULT "(objectClass=person)"
#define DIRECTORY_MAPPING_ADDRESS_DEFAULT "mail"
#define DIRECTORY_MAPPING_NAME_DEFAULT "uid"
#define DIRECTORY_MAPPING_FULL_NAME_DEFAULT "cn"
enum {
    DIRECTORY_MAPPING_SYNC_DEFAULT_S = 300,
    DIRECTORY_MAPPING_TIMEOUT_DEFAULT_S = 3,
    DIRECTORY_MAPPING_USERS_DEFAULT = 10000,
};

enum directory_tls { DIRECTORY_TLS_START, DIRECTORY_TLS_LDAPS, DIRECTORY_TLS_NONE };

struct directory_mapping {
    struct span hosts[DIRECTORY_MAPPING_HOSTS_MAX];
    size_t hosts_count;
    enum directory_tls tls;
    struct span ca, bind_dn, sealed_password, base, filter;
    struct span address, name, full_name; /* attributes */
    uint32_t sync_s, timeout_s, users_max;
    uint64_t mark; /* of all of the above: another one, if anything is */
};

/* The words of directory_tls; false: none of them. */
bool directory_tls_find(struct span word, enum directory_tls *ret);
#define DIRECTORY_TLS_WORDS "starttls, ldaps or none"

#ifdef __cplusplus
}
#endif
#endif
