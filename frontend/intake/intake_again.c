/* The store has had the same message before: is this a repeat of it, or one of its own? Whoever
 * took the earlier one knows whether its client was heard after the answer (ARCHITECTURE section
 * 2). When that is another loop, here or elsewhere, or one that has died, what it told the store
 * says so.
 *
 * Until it is known the client waits: it would be wrong to lose the message and wrong to deliver it
 * twice. */
#include <string.h>

#include "intake_private.h"
#include "loop.h"
#include "route.h"
#include "slot.h"
#include "uid_set.h"

enum {
    AGAIN_MAX = 4,              /* earlier ones that may turn up one after the other */
    AGAIN_ASK_MS = 200,         /* between two looks at what the other has told */
    AGAIN_WAIT_MAX_MS = 20 * 1000,
    AGAIN_TURNS = 2, /* the report of the second was made after we began to look */
};

void intake_again_note(struct intake *intake, const struct store_transaction *earlier)
{
    struct intake_again *again = &intake->again;
    bool is_whole = earlier->id.len == OPERATION_ID_BYTES && earlier->intake.len == ID_BYTES;
    if (!is_whole) {
        intake->result = err_make(ERR_CORRUPT, "earlier transaction");
        return;
    }
    again->is_noted = true;
    again->number = earlier->number;
    memcpy(again->id, earlier->id.ptr, sizeof(again->id));
    memcpy(again->intake, earlier->intake.ptr, sizeof(again->intake));
}

/* It is another message, which the client has sent on purpose. */
static void again_as_new(struct intake *intake)
{
    intake->transaction.instead_of = span_of(intake->again.id, sizeof(intake->again.id));
    intake_store_go(intake);
}

/* It is the earlier one: what of that is not done yet is done now, and it is answered for. */
static void again_as_repeat(struct intake *intake)
{
    memcpy(intake->id, intake->again.id, sizeof(intake->id));
    intake->transaction.instead_of = SPAN("");
    intake->is_repeat = true;
    intake_store_go(intake);
}

static void again_end(struct intake *intake, struct err err) { flow_next(&intake->flow, err); }

/* ---- asking what another has told */

static void again_ask(void *holder);

static void on_state(void *holder, struct route_call *call, const void *message)
{
    struct intake *intake = holder;
    struct intake_again *again = &intake->again;
    const struct store_intake_state_reply *reply = message;
    size_t ended = 0, broken = 0;
    (void)call;
    again->seen_turn = reply->turn;
    again->state = uid_set_walk(reply->broken, &broken, again->number)  ? INTAKE_BROKEN
                   : uid_set_walk(reply->ended, &ended, again->number) ? INTAKE_ENDED
                                                                       : INTAKE_OPEN;
}

/* It told nothing yet of that transaction. */
static void again_look_on(struct intake *intake)
{
    struct intake_again *again = &intake->again;
    struct loop *loop = intake->services->loop;
    uint64_t now = loop_now_ms(loop);
    if (again->asked == 1) {
        again->first_turn = again->last_turn = again->seen_turn;
        again->since_ms = again->heard_ms = now;
    } else if (again->seen_turn != again->last_turn) {
        again->last_turn = again->seen_turn;
        again->heard_ms = now;
    }
    if (again->seen_turn >= again->first_turn + AGAIN_TURNS) {
        again_as_new(intake); /* it lives, and so does that connection */
    } else if (now - again->heard_ms >= INTAKE_SILENT_MS) {
        again_as_repeat(intake); /* it is dead, and so is that connection */
    } else if (now - again->since_ms >= AGAIN_WAIT_MAX_MS) {
        again_end(intake, err_make(ERR_BUSY, "same message"));
    } else {
        timer_start(loop, &again->timer, AGAIN_ASK_MS, again_ask, intake);
    }
}

static void on_state_done(void *holder, struct route_call *call, struct err err, struct span info)
{
    struct intake *intake = holder;
    (void)call;
    (void)info;
    intake->call = NULL;
    if (err.code != ERR_OK) {
        again_end(intake, err);
        return;
    }
    intake->again.asked++;
    switch (intake->again.state) {
    case INTAKE_ENDED: again_as_new(intake); break;
    case INTAKE_BROKEN: again_as_repeat(intake); break;
    case INTAKE_OPEN: again_look_on(intake); break;
    }
}

static void again_ask(void *holder)
{
    static const struct route_call_user user = { NULL, on_state, on_state_done };
    struct intake *intake = holder;
    struct intake_again *again = &intake->again;
    again->request.intake = span_of(again->intake, sizeof(again->intake));
    struct route_call_options options = { .slot = slot_of_name(again->request.intake),
                                          .deadline_ms = intake->services->store_deadline_ms,
                                          .trace_id = intake->message.trace_id };
    struct err err = route_call_start(intake->services->route,
                                      store_method_find(STORE_METHOD_INTAKE_STATE),
                                      &again->request, &options, &user, intake, &intake->call);
    if (err.code != ERR_OK) again_end(intake, err);
}

void intake_again_find_out(struct intake *intake)
{
    struct intake_again *again = &intake->again;
    const struct intake_transactions *ours = intake->services->transactions;
    again->is_noted = false;
    again->asked = 0;
    if (++again->count > AGAIN_MAX) {
        again_end(intake, err_make(ERR_BUSY, "same message"));
        return;
    }
    if (!span_eq(span_of(again->intake, sizeof(again->intake)), intake_transactions_id(ours))) {
        again_ask(intake);
        return;
    }
    if (intake_transactions_state(ours, again->number) == INTAKE_BROKEN) again_as_repeat(intake);
    else again_as_new(intake);
}
