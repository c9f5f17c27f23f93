/* enroll_park.h: what a data directory does about a shard that it has something of and that is not
 * wanted here any more (REPLICATION 6.9 R4). Pure: rows and time in, a wish out.
 *
 * A copy that neither the shard's row nor its place names is parked: closed to everything. After
 * `replica.drop.delay` its row is read linearizably; if that does not name it either, it is
 * deleted. Not deleted is what may be the last of its kind: while the rows are not known, while
 * nobody leads the shard, or when this copy has promised a later epoch than the row has (the
 * cluster's rows were restored from a copy). */
#ifndef MAIL_ENROLL_PARK_H
#define MAIL_ENROLL_PARK_H

#include <stdbool.h>
#include <stdint.h>

#include "roster.h"

#ifdef __cplusplus
extern "C" {
#endif

enum enroll_park_wish {
    ENROLL_PARK_NOTHING,
    ENROLL_PARK_CLOSE, /* store_node_park_shard() (storage-node/replica) */
    ENROLL_PARK_ASK,   /* read the shard's row linearizably, and step again with it */
    ENROLL_PARK_DROP,  /* store_node_drop_shard() */
};

/* Of one shard; zeroed at first. */
struct enroll_park {
    bool is_parked;
    uint64_t since_ms;
};

struct enroll_park_seen {
    struct roster_id sid;             /* of this directory */
    const struct roster_shard *row;   /* as last seen; NULL: not known, or there is none */
    const struct roster_place *place; /* the same */
    bool is_closed;                   /* PARK_CLOSE was done since it is parked */
    uint64_t accepted_epoch;          /* that this copy has promised */
    /* The answer to PARK_ASK that was begun at `read_ms`; NULL: none. */
    const struct roster_shard *read;
    uint64_t read_ms;
    uint64_t now_ms, delay_ms;        /* clock_boot_ms() */
};

enum enroll_park_wish enroll_park_step(struct enroll_park *park,
                                       const struct enroll_park_seen *seen);

#ifdef __cplusplus
}
#endif
#endif
