/* slot.h: which slot an account, an address or a domain belongs to (ARCHITECTURE section 3).
 *
 * Format, fixed for ever, since keys on disk begin with the slot:
 *
 *   slot = SipHash-2-4(key, bytes) mod 16384
 *   key = the 16 bytes "godwit slot key!" (k0 and k1 are its halves, read little-endian)
 *   bytes = the account number as u64 little-endian; or the canonical address, local part, '@' and
 *           domain; or the canonical domain; or the queue id
 */
#ifndef MAIL_SLOT_H
#define MAIL_SLOT_H

#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SLOT_COUNT = 16384 };

uint16_t slot_of_account(uint64_t account);

/* `name` is a canonical address (router/place), a canonical domain, or an id. */
uint16_t slot_of_name(struct span name);

#ifdef __cplusplus
}
#endif
#endif
