/* DELE and RSET (RFC 1939 section 5): marks of this session; QUIT makes them true. */
#include "pop3_private.h"

void pop3_cmd_dele(struct pop3_session *session, const struct pop3_args *args)
{
    struct pop3_message *message = pop3_message_at(session, args->message);
    message->is_deleted = 1;
    session->box->left--;
    session->box->left_octets -= message->octets;
    pop3_say(session, POP3_OK);
}

void pop3_cmd_rset(struct pop3_session *session, const struct pop3_args *args)
{
    struct pop3_box *box = session->box;
    (void)args;
    for (uint32_t i = 0; i < box->count; i++) {
        if (!box->messages[i].is_deleted) continue;
        box->messages[i].is_deleted = 0;
        box->left++;
        box->left_octets += box->messages[i].octets;
    }
    pop3_say(session, POP3_OK);
}
