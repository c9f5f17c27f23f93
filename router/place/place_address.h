/* place_address.h: the one form of an address that everything is looked up and stored by.
 *
 * Canonical address: local part '@' domain.
 *   domain      IDNA 2008 (RFC 5891, non-transitional UTS 46 mapping) to A-labels, lower case; an
 *               address literal [..] in lower case
 *   local part  without quotes and quoted pairs (RFC 5321 4.1.2: they are not part of the name),
 *               NFC; then as the domain's rules say. Any byte may stand in it, '@' too: the last
 *               '@' is the one before the domain. */
#ifndef MAIL_PLACE_ADDRESS_H
#define MAIL_PLACE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    PLACE_LOCAL_MAX_BYTES = 64,   /* as sent, quotes aside; RFC 5321 4.5.3.1.1 */
    PLACE_DOMAIN_MAX_BYTES = 255, /* as sent and as A-labels */
    PLACE_ADDRESS_MAX_BYTES = 3 * PLACE_LOCAL_MAX_BYTES + 1 + PLACE_DOMAIN_MAX_BYTES,
};

/* How a domain reads local parts; fixed when the domain is made. */
struct place_rules {
    bool fold_case;      /* Unicode default case folding, then NFC again */
    bool cut_dots;       /* "j.doe" is "jdoe" */
    char cut_subaddress; /* '+': "joe+lists" is "joe"; 0: kept */
};

/* Splits at the last '@'. False when there is none or a side is empty; both then untouched. */
bool place_address_split(struct span address, struct span *local, struct span *domain);

/* Appends the canonical domain to `out`. ERR_SYNTAX: not a domain. */
MUST_USE struct err place_domain(struct span domain, struct buf *out);

/* Appends the canonical local part to `out`. ERR_SYNTAX: empty, too long, not UTF-8. */
MUST_USE struct err place_local(struct span local, const struct place_rules *rules,
                                struct buf *out);

/* Both, with '@' between. `out` has room for PLACE_ADDRESS_MAX_BYTES. */
MUST_USE struct err place_address(struct span address, const struct place_rules *rules,
                                  struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
