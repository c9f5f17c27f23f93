/* enroll.h: this storage node as a member of its cluster: it makes itself known, and does what the
 * cluster's rows say about its shards (enroll_step.h).
 *
 *   stores/<sid>   written once, at the start
 *   live/<node>    on a lease; written again when the lease was lost
 *   shards/<s>, place/<s>
 *                  copies that they name here are opened, and told what the rows say (peers.h)
 *
 * Nothing is opened before the directory is known. When the store of the rows is away, what is led
 * goes on for as long as the other copies agree (REPLICATION 6.11). */
#ifndef MAIL_ENROLL_H
#define MAIL_ENROLL_H

#include <stdbool.h>
#include <stdint.h>

#include "enroll_step.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coord;
struct crew;
struct enroll;
struct loop;
struct peers;
struct store_node;

enum {
    ENROLL_LEASE_S = 10,
    ENROLL_RETRY_MS = 500,
};

enum enroll_event {
    ENROLL_KNOWN,        /* the directory has its row */
    ENROLL_LIVE,         /* others see this node */
    ENROLL_LEASE_LOST,
    ENROLL_NAME_IN_USE,  /* another directory is live under this node's name; tried again */
    ENROLL_SHARD_FAILED, /* it can't be opened: `shard`, `err` */
    ENROLL_FAILED,       /* `err` of the store of the rows; tried again */
    ENROLL_REFUSED,      /* for good: `err`. The program must end */
};

struct enroll_notice {
    enum enroll_event event;
    uint32_t shard;
    struct err err;
};

struct enroll_options {
    struct coord *coord;
    struct crew *crew;       /* opens shards, and writes to the file back end */
    struct store_node *node; /* of_cluster */
    struct peers *peers;
    struct roster_id boot;   /* of this process */
    struct span name, zone;  /* of this node; zone may be empty */
    struct span address;     /* where its calls are taken */
    uint64_t capacity_bytes;
    void (*noticed)(void *holder, const struct enroll_notice *notice);
    void *holder;
};

/* ERR_SYNTAX: a name or the address; ERR_BUSY, ERR_NOMEM. */
MUST_USE struct err enroll_start(struct loop *loop, const struct enroll_options *options,
                                 struct enroll **ret);
/* Others see at once that this node is gone. Nothing is noticed any more; `stopped` is called on a
 * later turn, when nothing is under way. */
void enroll_stop(struct enroll *enroll, void (*stopped)(void *holder), void *holder);

/* Whether the node is known, live, and has every copy open that it is to have. */
bool enroll_is_ready(const struct enroll *enroll);

/* Whether a shard that could do without this node's copy still counts it, or has it lead. */
bool enroll_is_needed(const struct enroll *enroll);

#ifdef __cplusplus
}
#endif
#endif
