/* mapping_ldap_private.h: a connection to a host of a directory.
 *
 *   mapping_ldap.c         TLS, bind, passwords
 *   mapping_wire.c         bytes and deadlines
 *   mapping_ldap_search.c  entries, page by page */
#ifndef MAIL_MAPPING_LDAP_PRIVATE_H
#define MAIL_MAPPING_LDAP_PRIVATE_H

#include <ldap.h>

#include "mapping_ldap.h"
#include "mapping_wire_private.h"

/* A connection to the host of `visit`. */
struct mapping_host {
    struct mapping_visit *visit;
    LDAP *ldap;
    struct mapping_wire wire;
};

/* What is done with a host once it is connected. */
typedef struct err mapping_host_use(struct mapping_host *host, void *holder);

struct err mapping_at_host(struct mapping_visit *visit, mapping_host_use *use, void *holder);

/* What comes next is waited for as long as the mapping says. */
void mapping_deadline(struct mapping_host *host);
/* A simple bind. OK; DENIED; UNREACHABLE. */
struct err mapping_bind(struct mapping_host *host, struct span dn, struct span password);

/* Waits for the answer to a message, or the next one of `all` of them. */
struct err mapping_answer(struct mapping_host *host, int id, int all, LDAPMessage **ret);

/* Notes who said what, and makes it an error. */
struct err mapping_failed(struct mapping_visit *visit, enum err_code code, const char *why);
/* The same of a result code of LDAP. */
struct err mapping_result(const struct mapping_host *host, enum err_code code, int result);

#endif
