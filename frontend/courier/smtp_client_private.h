/* smtp_client_private.h: what the client's files share. */
#ifndef MAIL_SMTP_CLIENT_PRIVATE_H
#define MAIL_SMTP_CLIENT_PRIVATE_H

#include "smtp_client.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A reply of our own, for what is known before the server is asked. */
#define SMTP_CLIENT_OWN(code, subject, detail, text) \
    ((struct smtp_client_reply){ (code), (subject), (detail), SPAN(text) })

/* Ends the conversation: what is open is deferred with `why`. */
void smtp_client_fail(struct smtp_client *client, struct smtp_client_reply why);

/* Gives every recipient in `from` this result and reply. */
void smtp_client_result_all(struct smtp_client *client, enum smtp_client_result from,
                            enum smtp_client_result to, struct smtp_client_reply why);
void smtp_client_result_one(struct smtp_client *client, struct smtp_client_recipient *recipient,
                            enum smtp_client_result to, struct smtp_client_reply why);

/* A copy that lives until the next message. */
struct span smtp_client_keep(struct smtp_client *client, struct span text);

/* ---- smtp_client_send.c: replies within a transaction */
void smtp_client_got_envelope(struct smtp_client *client);
void smtp_client_got_body(struct smtp_client *client);

/* Room for the longest command. */
bool smtp_client_has_room(const struct smtp_client *client);

#ifdef __cplusplus
}
#endif
#endif
