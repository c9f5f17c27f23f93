/* mapping_lookup_private.h: the addresses of a directory's host, on the loop. An address needs no
 * question; a name is asked for at the loop's resolver (lib/dns), A and AAAA at once, and what has
 * come in time counts. IPv4 comes first: where IPv6 goes nowhere there is still much of it. */
#ifndef MAIL_MAPPING_LOOKUP_PRIVATE_H
#define MAIL_MAPPING_LOOKUP_PRIVATE_H

#include <stdbool.h>

#include "mapping_ldap.h"
#include "timer.h"

struct dns;
struct dns_query;
struct loop;

enum { MAPPING_LOOKUP_EACH_MAX = MAPPING_HOST_ADDRESSES_MAX / 2 }; /* of IPv4, of IPv6 */

/* Stands in its owner, who sets the first five. */
struct mapping_lookup {
    struct loop *loop;
    struct dns *dns;      /* NULL: there is none to ask */
    uint64_t wait_ms;
    void (*done)(void *holder);
    void *holder;
    struct dns_query *queries[2];
    struct timer timer;
    struct mapping_address found[2][MAPPING_LOOKUP_EACH_MAX];
    size_t count[2];
    const char *failure;  /* why there may be no address */
};

/* Whether `host` is an address (without brackets): it is the visit's only one then. */
bool mapping_lookup_literal(struct span host, struct mapping_visit *visit);
/* Asks for the addresses of `host`. `done` comes once, on a later turn, within `wait_ms`. */
void mapping_lookup_start(struct mapping_lookup *lookup, struct span host);
/* When it is done: they become the visit's. NULL, or why there are none. */
const char *mapping_lookup_take(const struct mapping_lookup *lookup, struct mapping_visit *visit);

#endif
