/* meter.h: counters that hold for the whole cluster, as one loop of a frontend asks for them
 * (store.proto, Tally).
 *
 * A check goes to the leader of hash(key), which keeps the counter in memory. Checks of one turn of
 * the loop for one shard go in one call; while a call is under way, those that come wait for the
 * next: no shard has two calls of a loop at a time, so what it hears of a key comes in its order.
 * Nothing here blocks, and everything that waits has a deadline.
 *
 * When the leader can't be reached in time, a check ends with a temporary error and its user
 * decides. A connection is let in and counted by its own frontend only: the limit protects this
 * frontend's resources, which the local count still does, while to refuse would make one dead node
 * an outage of every protocol for the addresses it counts. */
#ifndef MAIL_METER_H
#define MAIL_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct meter;
struct meter_check;
struct meter_seat;
struct route;

enum {
    METER_KEY_MAX_BYTES = 512,
    METER_WAITING_MAX = 100000, /* checks, and keys of connections, of a loop: BUSY beyond */
    METER_CALL_MS = 3000,       /* a call; what was in it is asked again while its own time lasts */
    METER_KNOWN_MS = 2000,      /* how long meter_is_held() believes what was heard */
    METER_ENTER_MS = 1000,      /* a new connection waits so long for the leader */
    METER_SKIP_MS = 5000,       /* and not at all, so long after one that waited in vain */
};

/* `owner` are 16 random bytes: who reports connections. */
MUST_USE struct err meter_new(struct loop *loop, struct route *route, const char owner[16],
                              struct meter **ret);
/* After route_free(). Whoever waits hears CANCELLED. Takes NULL. */
void meter_free(struct meter *meter);
/* How long connections count that nobody tells of any more: those of a frontend that died. */
void meter_set_lease(struct meter *meter, uint64_t lease_ms);

/* The frontend ends: the leaders are told that none of its connections is open any more. */
void meter_leave_all(struct meter *meter);
/* Whether nothing waits to be told or asked. */
bool meter_is_quiet(const struct meter *meter);

/* The key of an address of the network: IPv6 by its /64. */
void meter_network(const uint8_t ip[16], uint8_t ret[16]);

/* ---- events */

struct meter_limit {
    uint32_t limit; /* 0: none */
    uint64_t window_ms, hold_ms;
};

struct meter_ask {
    unsigned kind; /* STORE_TALLY_LOGIN_USER and so on */
    uint32_t tenant;
    struct span key;
    struct meter_limit limit;
    uint32_t add;  /* events of now; 0: asks only */
    bool clear;    /* forgets what was counted */
    bool reserve;  /* a place for what may become an event (TallyItem); `add` is 0 then */
    uint64_t release; /* a reservation that is given back; 0: none */
    uint64_t deadline_ms;
};

struct meter_result {
    uint64_t held_ms; /* how much longer the key is held, 0: it is not */
    uint32_t count;
    bool began;       /* by these events */
    bool is_busy;     /* no place is free */
    uint64_t reservation; /* the place that was reserved; 0: there is nothing to give back */
};

/* Once, on a later turn. `result` is NULL on an error, which is a temporary one or CANCELLED. */
typedef void meter_answered(void *holder, struct err err, const struct meter_result *result);

/* Asks; `ask` is copied. `done` NULL: nobody waits, `ret` may be NULL. BUSY, NOMEM: nothing is
 * called. Events whose answer was lost may count twice, never less than once if `done` says OK. */
MUST_USE struct err meter_check_start(struct meter *meter, const struct meter_ask *ask,
                                      meter_answered *done, void *holder, struct meter_check **ret);
/* `done` is not called any more; what is under way is counted nevertheless, and what it reserves is
 * given back. Takes NULL. */
void meter_check_cancel(struct meter_check *check);

/* Gives a reservation of the key of `ask` back, soon; 0: none. */
void meter_release(struct meter *meter, const struct meter_ask *ask, uint64_t reservation);

/* Whether the key was held as of a moment ago, as this loop has heard it. */
bool meter_is_held(const struct meter *meter, unsigned kind, uint32_t tenant, struct span key);
/* It was heard otherwise than by a check. */
void meter_note_held(struct meter *meter, const struct meter_ask *ask, uint64_t held_ms);

/* ---- connections */

struct meter_place {
    unsigned kind; /* STORE_TALLY_CONNECTIONS_... */
    uint8_t ip[16];
    uint32_t limit;
};

/* Once, on a later turn. OK: it may stay, until meter_leave(). BUSY: too many are open; the seat is
 * gone. */
typedef void meter_entered(void *holder, struct err err);

/* Counts a connection. BUSY, NOMEM: nothing is called and nothing is counted. */
MUST_USE struct err meter_enter(struct meter *meter, const struct meter_place *place,
                                meter_entered *done, void *holder, struct meter_seat **ret);
/* It is closed; also while it waits, and `done` is not called then. Takes NULL. */
void meter_leave(struct meter_seat *seat);

#ifdef __cplusplus
}
#endif
#endif
