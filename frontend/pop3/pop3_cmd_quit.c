/* QUIT and the UPDATE state (RFC 1939 section 6): what is marked goes in one call to the store, all
 * of it or nothing; then the lock is given back, and only then the client told, who may log in
 * again at once.
 *
 * The store does tens of thousands of messages in one entry of its log. More are several, proposed
 * together: should it die between them, the call is tried again with the same operation id and goes
 * on; if it stays away, the client hears that the outcome is not known. */
#include <stdlib.h>

#include "id.h"
#include "pop3_private.h"
#include "uid_set.h"

struct pop3_update {
    struct store_expunge_request request;
    struct uid_set uids;
    struct err err;
    uint8_t operation_id[OPERATION_ID_BYTES];
};

void pop3_update_free(struct pop3_session *session)
{
    if (session->update == NULL) return;
    uid_set_free(&session->update->uids);
    free(session->update);
    session->update = NULL;
}

/* The call may have done its work though its answer is lost. */
static bool is_unknown(struct err err)
{
    return err.code == ERR_UNKNOWN || err.code == ERR_TIMEOUT || err.code == ERR_UNREACHABLE
        || err.code == ERR_CANCELLED;
}

static void update_say(struct pop3_session *session, struct err unlocked)
{
    struct err err = session->update->err;
    (void)unlocked; /* its lease ends it at last */
    if (err.code == ERR_OK) {
        pop3_put(session, SPAN("+OK bye, "));
        pop3_put_number(session, session->box->count - session->box->left);
        pop3_put(session, SPAN(" messages deleted\r\n"));
    } else if (is_unknown(err)) {
        pop3_say(session, POP3_UPDATE_UNKNOWN);
    } else {
        pop3_say_err(session, SPAN("nothing was deleted"), err);
    }
    pop3_close(session);
}

static void updated(struct pop3_session *session, struct err err)
{
    session->update->err = err;
    pop3_wish_for(session, POP3_WISH_UNLOCK, update_say);
}

static struct err update_make(struct pop3_session *session, struct pop3_update *update)
{
    const struct pop3_box *box = session->box;
    for (uint32_t i = 0; i < box->count; i++) {
        uint32_t uid = box->messages[i].uid;
        if (box->messages[i].is_deleted) TRY(uid_set_add(&update->uids, uid, uid));
    }
    session->options->operation_id(session->options->holder, session->wall_ms,
                                   update->operation_id);
    update->request = (struct store_expunge_request){
        .operation_id = span_of(update->operation_id, OPERATION_ID_BYTES),
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = box->mailbox,
        .uids = uid_set_bytes(&update->uids),
        .any_flags = true,
    };
    return err_ok();
}

static void say_bye(struct pop3_session *session, struct err unlocked)
{
    (void)unlocked;
    pop3_hang_up(session, POP3_OK_BYE);
}

void pop3_cmd_quit(struct pop3_session *session, const struct pop3_args *args)
{
    static const struct pop3_call_user user = { NULL, NULL };
    (void)args;
    if (session->state != POP3_IN_TRANSACTION) {
        pop3_hang_up(session, POP3_OK_BYE);
        return;
    }
    if (session->box->left == session->box->count) {
        pop3_wish_for(session, POP3_WISH_UNLOCK, say_bye);
        return;
    }
    struct pop3_update *update = session->update = calloc(1, sizeof(*update));
    if (update == NULL) {
        pop3_say_err(session, SPAN("nothing was deleted"), err_make(ERR_NOMEM, "QUIT"));
        pop3_close(session);
        return;
    }
    uid_set_init(&update->uids, POP3_MESSAGES_MAX / 2);
    struct err err = update_make(session, update);
    if (err.code != ERR_OK) {
        updated(session, err);
        return;
    }
    pop3_call(session, STORE_METHOD_EXPUNGE, &update->request, &user, updated);
}
