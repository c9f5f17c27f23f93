/* dns_record.h: names and records of the DNS between bytes and structs. Pure. */
#ifndef MAIL_DNS_RECORD_H
#define MAIL_DNS_RECORD_H

#include "dns.h"

#ifdef __cplusplus
extern "C" {
#endif

struct arena;

/* Whether the text may be asked for: labels of 1 to 63 letters, digits, hyphens, underscores, stars
 * and slashes (RFC 2317), DNS_NAME_MAX_BYTES in all. Writes it with a NUL. */
bool dns_name_check(struct span name, char ret[DNS_NAME_MAX_BYTES + 1]);

/* A name in the form of RFC 1035 3.1, not compressed, off the front of `*in`, as lower-case text in
 * the arena. The root is the empty text. ERR_SYNTAX: not well formed, or bytes that no host name
 * has; ERR_NOMEM. */
MUST_USE struct err dns_name_take(struct span *in, struct arena *arena, struct span *ret);

/* The data of a record of the type. ERR_SYNTAX, ERR_NOMEM. */
MUST_USE struct err dns_record_read(enum dns_type type, struct span data, struct arena *arena,
                                    struct dns_record *ret);

#ifdef __cplusplus
}
#endif
#endif
