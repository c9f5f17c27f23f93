/* coord_lease.h: a promise to be here, renewed again and again, on which rows of a store depend:
 * when its holder is gone for as long as it was given, its rows are deleted. */
#ifndef MAIL_COORD_LEASE_H
#define MAIL_COORD_LEASE_H

#include "coord.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    COORD_LEASES_MAX = 16,   /* on one loop */
    COORD_LEASE_MIN_S = 2,   /* etcd makes 2 of 1 */
    COORD_LEASE_MAX_S = 600,
    COORD_LEASE_RENEWALS = 3, /* within its time */
};

enum coord_lease_state { COORD_LEASE_ASKED, COORD_LEASE_HELD, COORD_LEASE_LOST };

/* Asks for a lease and renews it until it is stopped. `changed` is called on a later turn when it
 * is held, and once when it is lost: it was never given within COORD_WAIT_MS, the store says it is
 * gone, or it could not be renewed in time. Time counts from when a renewal was sent, by the clock
 * that goes on while the machine sleeps, so that the holder hears of the loss no later than others
 * do. A lost lease stays so: stop it and ask for another. A lease may end up to twice as late for
 * others as it was given (an election of etcd). ERR_BUSY: COORD_LEASES_MAX; ERR_SYNTAX: the time;
 * ERR_NOMEM. */
MUST_USE struct err coord_lease_start(struct coord *coord, unsigned seconds,
                                      void (*changed)(void *holder), void *holder,
                                      struct coord_lease **ret);
/* Gives it back: its rows are deleted soon. Nothing is called any more. Takes NULL. */
void coord_lease_stop(struct coord_lease *lease);

/* Looks at the clock: what ran out in this turn is lost, though `changed` comes later. */
enum coord_lease_state coord_lease_state(const struct coord_lease *lease);

#ifdef __cplusplus
}
#endif
#endif
