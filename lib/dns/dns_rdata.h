/* dns_rdata.h: the data of a record as RFC 1035 and its followers put them on the wire. Pure. */
#ifndef MAIL_DNS_RDATA_H
#define MAIL_DNS_RDATA_H

#include <stdbool.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;
struct dns_item;

/* Whether `name` may be asked for: labels of 1 to 63 letters, digits, "-" and "_", at most
 * DNS_NAME_MAX_BYTES, with or without the root's dot. */
bool dns_name_is_valid(struct span name);

/* Reads the data of a record of `type` (enum dns_type) into `*item`, its text into `arena`.
 * ERR_SYNTAX: malformed, or a host name that no host can have; ERR_TOO_BIG: a text; ERR_NOMEM. */
MUST_USE struct err dns_rdata_read(int type, struct span rdata, struct arena *arena,
                                   struct dns_item *item);

#ifdef __cplusplus
}
#endif
#endif
