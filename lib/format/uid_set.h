/* uid_set.h: a set of UIDs as bytes.
 *
 * Format (wire and change log): ranges of 8 bytes, `first u32 LE | last u32 LE`, first <= last,
 * UIDs from 1, in rising order, ranges neither overlapping nor touching. Empty bytes: the empty set
 * (a request's comment says where they mean "all"). The same form serves sequence numbers. */
#ifndef MAIL_UID_SET_H
#define MAIL_UID_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct uid_range { uint32_t first, last; };

/* A growing set; the caller frees it. Ranges as in the format. */
struct uid_set {
    struct uid_range *ranges;
    size_t count, size, count_max;
};

void uid_set_init(struct uid_set *set, size_t ranges_max);
void uid_set_free(struct uid_set *set);

/* Adds; merges what touches. Adding in rising order costs O(1). ERR_TOO_BIG beyond
 * ranges_max, ERR_SYNTAX for no range (from 0, or turned round), ERR_NOMEM; unchanged then. */
MUST_USE struct err uid_set_add(struct uid_set *set, uint32_t first, uint32_t last);
/* A hole in the middle of a range may make one range more than ranges_max. */
void uid_set_remove(struct uid_set *set, uint32_t first, uint32_t last);

bool uid_set_has(const struct uid_set *set, uint32_t uid);
uint64_t uid_set_count(const struct uid_set *set);

/* The position (from 1) of `uid` in the set, 0 when it is not there; and the uid at a position, 0
 * beyond the end. In a mailbox's set of UIDs these are its sequence numbers. O(log ranges) is not
 * promised, O(ranges) is. */
uint32_t uid_set_position(const struct uid_set *set, uint32_t uid);
uint32_t uid_set_at(const struct uid_set *set, uint32_t position);

/* The bytes of the format; they live until the set changes (little-endian machines only, checked
 * at build time). */
struct span uid_set_bytes(const struct uid_set *set);

/* Checks bytes from outside; they take the place of what was in the set. ERR_SYNTAX, ERR_TOO_BIG,
 * ERR_NOMEM; unchanged then. */
MUST_USE struct err uid_set_read(struct uid_set *set, struct span bytes);

/* Membership straight on checked bytes, for walks in rising order: `*at` starts at 0 and is moved
 * on past ranges below `uid`. */
bool uid_set_walk(struct span bytes, size_t *at, uint32_t uid);

/* Appends "1:3,7" (RFC 3501 sequence-set) to buf. */
struct buf;
void uid_set_text(const struct uid_set *set, struct buf *out);

#ifdef __cplusplus
}
#endif
#endif
