/* enlist.h: this scanner as one of the pool: the rows of lib/coord about it (roster_scanner.h).
 *
 *   scanners/<name>    on a lease, brought up to date as what it says changes; written again when
 *                      the lease was lost. It is gone ENLIST_LEASE_S after the process is
 *   signatures/reload  taken when nobody has it, on the same lease, and given back
 *   signatures/bad     sets that failed their test here are put in, by compare-and-swap
 *
 * One change is under way at a time. When the store of the rows is away nothing here changes, and
 * scanning goes on. One loop. */
#ifndef MAIL_ENLIST_H
#define MAIL_ENLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "roster_scanner.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct coord;
struct crew;
struct enlist;
struct loop;

enum { ENLIST_LEASE_S = 10, ENLIST_RETRY_MS = 500 };

enum enlist_event {
    ENLIST_LISTED,      /* frontends find this scanner */
    ENLIST_LEASE_LOST,  /* they may not */
    ENLIST_NAME_IN_USE, /* another scanner is there under this name; tried again */
    ENLIST_FAILED,      /* `err` of the store; tried again, said once */
};

struct enlist_options {
    struct coord *coord;
    struct crew *crew;   /* writes to the file back end */
    struct span name;    /* copied */
    struct span address; /* where its calls are taken; copied */
    uint32_t workers;
    void (*noticed)(void *holder, enum enlist_event event, struct err err);
    /* Rows or the lease have changed, or what was under way is over. On a turn of its own. */
    void (*changed)(void *holder);
    void *holder;
};

/* ERR_SYNTAX: the name or the address; ERR_BUSY, ERR_NOMEM. */
MUST_USE struct err enlist_start(struct loop *loop, const struct enlist_options *options,
                                 struct enlist **ret);
/* Frontends see at once that this scanner is gone, and what it has taken is given back. Nothing is
 * called any more but `stopped`, on a later turn, when nothing is under way. */
void enlist_stop(struct enlist *enlist, void (*stopped)(void *holder), void *holder);

/* What the row says of signatures from now on: the set and its date (ms since 1970), the version of
 * engine and set for people, and the set that is not used; 0: none. */
struct enlist_signatures {
    uint64_t set, date_ms, refused;
    struct span version;
};
void enlist_say(struct enlist *enlist, const struct enlist_signatures *signatures);

/* Whether frontends find it. */
bool enlist_is_listed(const struct enlist *enlist);
/* Whether what is known of the rows is current and the lease is held. */
bool enlist_has_contact(const struct enlist *enlist);
/* Whether a change is under way: none of those below does anything then. */
bool enlist_is_busy(const struct enlist *enlist);

enum enlist_turn { ENLIST_NOBODYS, ENLIST_OURS, ENLIST_ANOTHERS };
/* Whose turn to load a set it is. */
enum enlist_turn enlist_turn(const struct enlist *enlist);
void enlist_take_turn(struct enlist *enlist, uint64_t set);
void enlist_give_turn(struct enlist *enlist);

/* The list of bad sets as it is known. */
void enlist_bad(const struct enlist *enlist, struct roster_bad *ret);
/* Puts a set into the list, `why` in words, or takes it out. */
void enlist_mark(struct enlist *enlist, uint64_t set, struct span why);
void enlist_unmark(struct enlist *enlist, uint64_t set);

#ifdef __cplusplus
}
#endif
#endif
