/* tally.h: counters that hold for the whole cluster (store.proto, Tally). Pure: the time is an
 * argument.
 *
 * They are memory of the node that leads the key's slot, and nothing of them is logged. When the
 * leader is lost they are gone; what that means stands with each kind in store.proto. A leader that
 * has lost a slot and gets it back may know counts of before; they end like any others, with their
 * window or their lease.
 *
 * Events are counted in TALLY_BUCKETS parts of the window, the first of which begins with the first
 * event: the count at a time is that of the full parts, and of the oldest, which the window has
 * left in part, as much as is left of it, rounded down. So an event counts at least until six
 * sevenths of the window are over, and no longer than eight sevenths; one that stands alone,
 * exactly as long as the window.
 *
 * Places that are reserved (TallyItem) are counted by the third of TALLY_RESERVE_MS in which that
 * was, and the number of this is the reservation: none runs out before its time, and all of a third
 * do together. While a place is reserved the key is not held: the events there are and the places
 * are never more than the limit. Where there is no room for another key a place is granted without
 * being counted, so that a crowd of names keeps nobody out.
 *
 * Memory: an event key takes about 220 bytes, one of open things 170 and 56 more for each owner; a
 * long name adds its length. With every kind full that is about 120 MB (tally_kinds.def). */
#ifndef MAIL_TALLY_H
#define MAIL_TALLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TALLY_KEY_MAX_BYTES = 512,
    TALLY_OWNER_BYTES = 16,
    TALLY_BUCKETS = 8,
    TALLY_OWNERS_MAX = 1024,        /* of one key */
    TALLY_SHARES_MAX = 500000,      /* owners of all keys together */
    TALLY_TIME_MIN_MS = 1000,
    TALLY_WINDOW_MAX_MS = 8 * 24 * 3600 * 1000, /* of a hold too */
    TALLY_LEASE_MAX_MS = 10 * 60 * 1000,
    TALLY_COUNT_MAX = 1000000,      /* of one check; of a limit */
    TALLY_RESERVE_MS = 60000,       /* a place runs out, at most a third later */
    TALLY_RESERVE_PARTS = 4,
};

/* The numbers are those of TallyKind in store.proto. */
enum tally_kind {
    TALLY_NONE,
#define TALLY_KIND(name, text, mode, keys_max) TALLY_##name,
#include "tally_kinds.def"
#undef TALLY_KIND
    TALLY_KINDS
};

struct tally;

/* One check; the words are those of TallyItem. */
struct tally_ask {
    struct span key, owner;
    uint64_t window_ms, hold_ms, lease_ms;
    uint32_t kind, tenant;
    uint32_t add, limit, open, more;
    uint64_t release;
    bool clear;
};

struct tally_answer {
    uint32_t count, granted;
    uint64_t held_ms, reservation;
    bool began, busy;
};

MUST_USE struct err tally_new(struct tally **ret);
void tally_free(struct tally *tally); /* takes NULL */

/* Counts. Times never run back. ERR_SYNTAX: no such kind, no key or a key too long, a number or a
 * time out of its bounds, no owner; ERR_BUSY: it would be one key or owner too many, and none of
 * those looked at has run out; ERR_NOMEM. */
MUST_USE struct err tally_take(struct tally *tally, const struct tally_ask *ask, uint64_t now_ms,
                               struct tally_answer *ret);

/* What is known of a key of events (kind, tenant and key of `ask`), by the window it was counted
 * over. Changes nothing. False: nothing. */
bool tally_look(struct tally *tally, const struct tally_ask *ask, uint64_t now_ms,
                struct tally_answer *ret);

/* Keys of a kind, those that have run out and were not cleared away yet too. */
size_t tally_count(const struct tally *tally, enum tally_kind kind);
const char *tally_kind_text(enum tally_kind kind); /* "login_user" */

#ifdef __cplusplus
}
#endif
#endif
