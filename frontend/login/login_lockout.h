/* login_lockout.h: a log-in's counters of failures, which hold for the whole cluster: by the name
 * that was tried, and by the client's address. Too many lock the name, or the address, for a time.
 *
 * Before a password is looked at both are asked; a log-in goes on only when both are heard and
 * neither is locked. The name's comes with the read of its address row, so what a log-in costs more
 * is one call, beside those that it makes anyway. A failure is counted in both and then answered; a
 * name's failures are forgotten when a log-in by it works, an address's are not: its owner could
 * have an account of his own.
 *
 * Who is locked out hears the same whatever the password: it is not looked at. And no password is
 * looked at without a place in both counters, reserved with the question (store.proto, TallyItem):
 * failures and places together are never more than the limit, so of any number of guesses at once,
 * at any number of frontends, no more than the limit are looked at before the lock holds. Who finds
 * no place free waits for one, or for the lock. A place is given back, or becomes a failure, when
 * it is known whether the password was right. */
#ifndef MAIL_LOGIN_LOCKOUT_H
#define MAIL_LOGIN_LOCKOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct meter;
struct meter_check;
struct store_address_get_request;
struct store_address_reply;

enum { LOGIN_LOCKOUT_MS = 10000 }; /* for a counter to be heard */

/* From login.lockout.*. */
struct login_lockout_options {
    uint64_t user_window_ms, user_hold_ms, address_window_ms, address_hold_ms;
    uint32_t user_failures, address_failures; /* 0: never */
    /* Whether this client is neither counted nor refused (IPv4 as ::ffff:a.b.c.d). NULL: none. */
    bool (*is_exempt)(void *holder, const uint8_t ip[16]);
    void *holder;
};

/* What a failure has locked. */
enum { LOGIN_LOCKED_USER = 1, LOGIN_LOCKED_ADDRESS = 2 };

typedef void login_lockout_done(void *holder, struct err err);

/* Stands in its log-in. */
struct login_lockout {
    struct meter *meter;        /* NULL: nothing is counted */
    const struct login_lockout_options *options;
    struct meter_check *user, *address; /* under way */
    login_lockout_done *done;   /* of that */
    void *holder;
    struct err err;             /* what went wrong in it */
    struct span name;           /* canonical; empty: none that could be there */
    uint32_t tenant;
    uint8_t ip[16];             /* the client's network */
    unsigned began;             /* LOGIN_LOCKED_: by this failure */
    bool had_failures, is_held; /* the name, as its row's reply said */
    uint64_t user_place, address_place; /* reservations; 0: none */
    bool is_busy;               /* there was no place */
};

/* `name` lives as long as the log-in; `meter` may be NULL. */
void login_lockout_begin(struct login_lockout *lockout, struct meter *meter,
                         const struct login_lockout_options *options, const uint8_t client[16]);
void login_lockout_name(struct login_lockout *lockout, uint32_t tenant, struct span name);

/* Whether the name or the address was locked as of a moment ago. */
bool login_lockout_is_held(const struct login_lockout *lockout);

/* Asks the address's counter; `done` comes on a later turn: OK, LOCKED, or it was not heard. False:
 * there is nothing to ask for, or an error in `*err`; nothing is called then. */
bool login_lockout_ask(struct login_lockout *lockout, login_lockout_done *done, void *holder,
                       struct err *err);
/* Has the name's counter come with its row, if it is needed; and what was said there. */
void login_lockout_ask_name(const struct login_lockout *lockout,
                            struct store_address_get_request *request);
void login_lockout_heard(struct login_lockout *lockout, const struct store_address_reply *reply);

/* Whether a place was missing. */
bool login_lockout_is_busy(const struct login_lockout *lockout);
/* Gives back what there is: who kept one place and waited for the other would keep others
 * waiting. */
void login_lockout_give_back(struct login_lockout *lockout);
/* Asks for both again, as with _ask. */
bool login_lockout_look(struct login_lockout *lockout, login_lockout_done *done, void *holder,
                        struct err *err);

/* Counts a failure; the rest as with _ask. `began` says then what it has locked. */
bool login_lockout_failed(struct login_lockout *lockout, login_lockout_done *done, void *holder,
                          struct err *err);
void login_lockout_worked(struct login_lockout *lockout);

/* `done` is not called any more, and places are given back. */
void login_lockout_cancel(struct login_lockout *lockout);

#ifdef __cplusplus
}
#endif
#endif
