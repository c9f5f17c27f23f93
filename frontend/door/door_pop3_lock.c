/* The lock of a POP3 session on its mailbox, at the leader of the account's slot: taken at log-in,
 * renewed three times in a lease, given back at QUIT or when the connection is gone. A renewal that
 * does not get through is tried again; one that finds another owner ends the session. */
#include "door_pop3_private.h"
#include "slot.h"

enum { RENEWALS = 3 };

static void lock_renew(void *holder);

static void lock_wait(struct door_pop3_conn *pop3)
{
    uint64_t lease_ms = pop3->lock.lease_ms;
    timer_start(pop3->door.front->loop, &pop3->lock.renew, lease_ms / RENEWALS, lock_renew, pop3);
}

static void on_lock_reply(void *holder, struct route_call *route, const void *reply)
{
    struct door_pop3_conn *pop3 = holder;
    if (pop3->lock.call != route) return;
    pop3->lock.lease_ms = ((const struct store_mailbox_lock_reply *)reply)->lease_ms;
}

static void on_lock_done(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct door_pop3_conn *pop3 = holder;
    struct door_pop3_lock *lock = &pop3->lock;
    (void)info;
    pop3->routes--;
    if (pop3->door.conn == NULL || lock->call != route) { /* given up meanwhile */
        if (lock->call == route) lock->call = NULL;
        door_pop3_end_if_over(pop3);
        return;
    }
    lock->call = NULL;
    if (err.code == ERR_CONFLICT) lock->may_be_held = false;
    else if (err.code == ERR_OK || !lock->is_wished) lock_wait(pop3);
    if (lock->is_wished) {
        lock->is_wished = false;
        POP3_WITH_OUT(pop3, door_pop3_answer(pop3, err, &out));
    } else if (err.code == ERR_CONFLICT) {
        door_hang_up(&pop3->door);
    }
}

static struct err lock_ask(struct door_pop3_conn *pop3)
{
    static const struct route_call_user user = { NULL, on_lock_reply, on_lock_done };
    struct route_call_options options = { .slot = slot_of_account(pop3->identity.account),
                                          .deadline_ms = POP3_CALL_MS };
    TRY(route_call_start(pop3->door.front->route, store_method_find(STORE_METHOD_MAILBOX_LOCK),
                         &pop3->lock.take, &options, &user, pop3, &pop3->lock.call));
    pop3->routes++;
    return err_ok();
}

static void lock_renew(void *holder)
{
    struct door_pop3_conn *pop3 = holder;
    if (lock_ask(pop3).code != ERR_OK) lock_wait(pop3);
}

struct err door_pop3_lock_take(struct door_pop3_conn *pop3, uint32_t mailbox)
{
    struct door_pop3_lock *lock = &pop3->lock;
    lock->take = (struct store_mailbox_lock_request){
        .tenant = pop3->identity.tenant,
        .account = pop3->identity.account,
        .mailbox = mailbox,
        .owner = span_of(lock->owner, sizeof(lock->owner)),
        .lease_ms = pop3->door.settings->pop3_lease_ms,
    };
    lock->give_back = lock->take;
    lock->give_back.release = true;
    lock->lease_ms = lock->take.lease_ms;
    TRY(lock_ask(pop3));
    lock->is_wished = lock->may_be_held = true;
    return err_ok();
}

/* ---- giving it back */

static void on_given_back(void *holder, struct route_call *route, struct err err, struct span info)
{
    struct door_pop3_conn *pop3 = holder;
    (void)route;
    (void)err; /* the lease ends it at last */
    (void)info;
    pop3->routes--;
    if (pop3->door.conn == NULL) {
        door_pop3_end_if_over(pop3);
    } else if (pop3->lock.is_wished) {
        pop3->lock.is_wished = false;
        POP3_WITH_OUT(pop3, door_pop3_answer(pop3, err_ok(), &out));
    }
}

bool door_pop3_lock_give_back(struct door_pop3_conn *pop3, bool is_wished)
{
    static const struct route_call_user user = { NULL, on_lock_reply, on_given_back };
    struct door_pop3_lock *lock = &pop3->lock;
    struct route_call_options options = { .slot = slot_of_account(pop3->identity.account),
                                          .deadline_ms = POP3_UNLOCK_MS };
    struct route_call *call;
    timer_stop(&lock->renew);
    if (lock->call != NULL) route_call_cancel(lock->call);
    lock->call = NULL;
    if (!lock->may_be_held) return false;
    lock->may_be_held = false;
    struct err err = route_call_start(pop3->door.front->route,
                                      store_method_find(STORE_METHOD_MAILBOX_LOCK),
                                      &lock->give_back, &options, &user, pop3, &call);
    if (err.code != ERR_OK) return false;
    pop3->routes++;
    lock->is_wished = is_wished;
    return true;
}
