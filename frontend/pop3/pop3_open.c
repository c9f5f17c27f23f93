/* From a log-in that worked to the TRANSACTION state (RFC 1939 section 4): the mailbox is looked
 * up, locked, and its messages are listed, in this order, so that the list is not that of a session
 * which ends in between. */
#include <stdlib.h>

#include "pop3_private.h"
#include "store_msg.h"

enum { LISTED_BYTES = MAIL_RECORD_INDEX_BYTES + 36 /* of items MAIL_RECORD_DATES */ };

struct pop3_open {
    struct store_mailbox_open_request open;
    struct store_fetch_request fetch;
    uint32_t expected;
    struct err err;       /* found in a reply or in data, or why it has failed */
    size_t gathered;      /* of a record that was cut */
    char gather[LISTED_BYTES];
};

void pop3_open_free(struct pop3_session *session)
{
    free(session->opening);
    session->opening = NULL;
}

void pop3_box_free(struct pop3_session *session)
{
    if (session->box == NULL) return;
    free(session->box->messages);
    free(session->box);
    session->box = NULL;
}

/* ---- failure: back to AUTHORIZATION, as if nothing had been */

static void open_failed(struct pop3_session *session, struct err unlocked)
{
    struct err err = session->opening->err;
    (void)unlocked; /* its lease ends it at last */
    pop3_open_free(session);
    pop3_box_free(session);
    session->identity = (struct pop3_identity){ 0 };
    if (err.code == ERR_CONFLICT) {
        pop3_say(session, POP3_IN_USE);
    } else if (err.code == ERR_TOO_BIG) {
        pop3_say(session, POP3_TOO_MANY_MESSAGES);
    } else {
        pop3_say_err(session, SPAN("INBOX can't be opened"), err);
    }
}

static void open_fail(struct pop3_session *session, struct err err)
{
    session->opening->err = err;
    open_failed(session, err_ok());
}

/* ---- the list */

static struct err box_add(struct pop3_box *box, const struct mail_record *record)
{
    uint32_t last = box->count == 0 ? 0 : box->messages[box->count - 1].uid;
    if (record->items != MAIL_RECORD_DATES || record->uid <= last) {
        return err_make(ERR_CORRUPT, "record of a message");
    }
    if (record->size > MAIL_RECORD_MAX_BYTES) return err_make(ERR_CORRUPT, "size of a message");
    if (box->count == POP3_MESSAGES_MAX) return err_make(ERR_TOO_BIG, "messages");
    if (box->count == box->size) {
        uint32_t size = box->size < 16 ? 16 : box->size + box->size / 2;
        struct pop3_message *grown = realloc(box->messages, size * sizeof(*grown));
        if (grown == NULL) return err_make(ERR_NOMEM, "messages");
        box->messages = grown;
        box->size = size;
    }
    box->messages[box->count++] =
        (struct pop3_message){ .uid = record->uid, .octets = record->size & 0x7fffffffu };
    box->left_octets += record->size;
    return err_ok();
}

/* Takes one record off the front of `*in`, through `gather` when it is cut. False: there is none
 * that is whole, or opening->err. */
static bool record_next(struct pop3_open *opening, struct span *in, struct mail_record *record)
{
    size_t used = 0, need = 0, had = opening->gathered;
    struct span from = *in;
    if (had > 0) {
        struct span part = span_head(*in, sizeof(opening->gather) - had);
        memcpy(opening->gather + had, part.ptr, part.len);
        from = span_of(opening->gather, had + part.len);
    }
    switch (mail_record_take(from, record, &used, &need)) {
    case MAIL_RECORD_OK:
        opening->gathered = 0;
        *in = span_skip(*in, used - had);
        return true;
    case MAIL_RECORD_MORE:
        break;
    case MAIL_RECORD_BAD:
        opening->err = err_make(ERR_CORRUPT, "record of a message");
        return false;
    }
    if (need > sizeof(opening->gather)) {
        opening->err = err_make(ERR_CORRUPT, "record of a message");
        return false;
    }
    if (had == 0) memcpy(opening->gather, from.ptr, from.len);
    opening->gathered = from.len;
    *in = span_skip(*in, in->len);
    return false;
}

static size_t list_data(struct pop3_session *session, struct span in)
{
    struct pop3_open *opening = session->opening;
    struct mail_record record;
    struct span rest = in;
    while (rest.len > 0 && opening->err.code == ERR_OK
           && record_next(opening, &rest, &record)) {
        opening->err = box_add(session->box, &record);
    }
    return in.len;
}

static const struct pop3_call_user list_user = { NULL, list_data };

static void listed(struct pop3_session *session, struct err err)
{
    struct pop3_open *opening = session->opening;
    struct pop3_box *box = session->box;
    if (opening->err.code == ERR_OK) opening->err = err;
    if (opening->err.code == ERR_OK && opening->gathered > 0) {
        opening->err = err_make(ERR_CORRUPT, "end of the list");
    }
    if (opening->err.code != ERR_OK) {
        pop3_wish_for(session, POP3_WISH_UNLOCK, open_failed);
        return;
    }
    pop3_open_free(session);
    box->left = box->count;
    session->state = POP3_IN_TRANSACTION;
    pop3_put(session, SPAN("+OK "));
    pop3_put_number(session, box->count);
    pop3_put(session, SPAN(" messages ("));
    pop3_put_number(session, box->left_octets);
    pop3_put(session, SPAN(" octets)\r\n"));
}

static void locked(struct pop3_session *session, struct err err)
{
    struct pop3_open *opening = session->opening;
    if (err.code != ERR_OK) {
        open_fail(session, err);
        return;
    }
    opening->fetch = (struct store_fetch_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->box->mailbox,
        .items = STORE_FETCH_DATES,
    };
    pop3_call(session, STORE_METHOD_FETCH, &opening->fetch, &list_user, listed);
}

/* ---- the mailbox */

static void open_reply(struct pop3_session *session, const void *reply)
{
    const struct store_mailbox_open_reply *open = reply;
    session->box->mailbox = open->mailbox.id;
    session->box->uidvalidity = open->mailbox.uidvalidity;
    session->opening->expected = open->mailbox.messages;
}

static const struct pop3_call_user open_user = { open_reply, NULL };

static void opened(struct pop3_session *session, struct err err)
{
    struct pop3_box *box = session->box;
    uint32_t expected = session->opening->expected;
    if (err.code == ERR_OK && box->mailbox == 0) err = err_make(ERR_NOT_FOUND, "INBOX");
    if (err.code == ERR_OK && expected > POP3_MESSAGES_MAX) err = err_make(ERR_TOO_BIG, "messages");
    if (err.code == ERR_OK && expected > 0) {
        box->messages = malloc(expected * sizeof(*box->messages));
        box->size = expected;
        if (box->messages == NULL) err = err_make(ERR_NOMEM, "messages");
    }
    if (err.code == ERR_CONFLICT) err = err_make(ERR_BUSY, "INBOX"); /* which is not IN-USE */
    if (err.code != ERR_OK) {
        open_fail(session, err);
        return;
    }
    pop3_wish_for(session, POP3_WISH_LOCK, locked);
}

void pop3_open(struct pop3_session *session)
{
    struct pop3_open *opening = session->opening = calloc(1, sizeof(*opening));
    session->box = calloc(1, sizeof(*session->box));
    if (opening == NULL || session->box == NULL) {
        pop3_open_free(session);
        pop3_box_free(session);
        pop3_say_err(session, SPAN("INBOX can't be opened"), err_make(ERR_NOMEM, "INBOX"));
        return;
    }
    opening->open = (struct store_mailbox_open_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .name = SPAN("INBOX"),
    };
    pop3_call(session, STORE_METHOD_MAILBOX_OPEN, &opening->open, &open_user, opened);
}
