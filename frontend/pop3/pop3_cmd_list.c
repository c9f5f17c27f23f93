/* LIST and UIDL (RFC 1939 sections 5 and 7): one line, or one for each message. */
#include "pop3_private.h"

enum { LINE_ROOM = 64 };

static void put_octets(struct pop3_session *session, uint32_t message)
{
    pop3_put_number(session, message);
    pop3_put(session, SPAN(" "));
    pop3_put_number(session, pop3_message_at(session, message)->octets);
    pop3_put(session, SPAN("\r\n"));
}

/* UIDVALIDITY and UID are for ever a message's own, in any copy of the account, and no other's. */
static void put_uid(struct pop3_session *session, uint32_t message)
{
    pop3_put_number(session, message);
    pop3_put(session, SPAN(" "));
    pop3_put_number(session, session->box->uidvalidity);
    pop3_put(session, SPAN("."));
    pop3_put_number(session, pop3_message_at(session, message)->uid);
    pop3_put(session, SPAN("\r\n"));
}

static bool say_all(struct pop3_session *session,
                    void (*put)(struct pop3_session *session, uint32_t message))
{
    for (; session->said < session->box->count; session->said++) {
        if (session->out->size - session->out->len < LINE_ROOM) return false;
        uint32_t message = session->said + 1;
        if (!pop3_message_at(session, message)->is_deleted) put(session, message);
    }
    if (session->out->size - session->out->len < LINE_ROOM) return false;
    pop3_put(session, SPAN(".\r\n"));
    return true;
}

static bool say_octets(struct pop3_session *session) { return say_all(session, put_octets); }
static bool say_uids(struct pop3_session *session) { return say_all(session, put_uid); }

void pop3_cmd_list(struct pop3_session *session, const struct pop3_args *args)
{
    pop3_put(session, SPAN("+OK "));
    if (args->message > 0) {
        put_octets(session, args->message);
        return;
    }
    pop3_put_number(session, session->box->left);
    pop3_put(session, SPAN(" messages ("));
    pop3_put_number(session, session->box->left_octets);
    pop3_put(session, SPAN(" octets)\r\n"));
    pop3_say_long(session, say_octets);
}

void pop3_cmd_uidl(struct pop3_session *session, const struct pop3_args *args)
{
    if (args->message > 0) {
        pop3_put(session, SPAN("+OK "));
        put_uid(session, args->message);
        return;
    }
    pop3_say(session, POP3_OK);
    pop3_say_long(session, say_uids);
}
