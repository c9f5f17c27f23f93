/* client_sender.h: several requests to the API at a time. */
#ifndef MAIL_CLIENT_SENDER_H
#define MAIL_CLIENT_SENDER_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct client;
struct client_sender;

enum { CLIENT_SENDINGS_MAX = 8, CLIENT_SENT_ERROR_BYTES = 256 };

/* How a request ended. */
struct client_sent {
    void *holder;
    long status; /* of HTTP; 0: no answer came, `error` says why */
    char *reply; /* malloc'd, the caller's; NULL: empty */
    char error[CLIENT_SENT_ERROR_BYTES];
};

/* NULL: no memory. */
struct client_sender *client_sender_new(const struct client *client);
/* Gives up what is under way. Takes NULL. */
void client_sender_free(struct client_sender *sender);

/* Begins a POST; `body`, malloc'd, is taken over in any case. False: no memory, or
 * CLIENT_SENDINGS_MAX are under way. */
bool client_sender_post(struct client_sender *sender, const char *path, char *body, void *holder);
unsigned client_sender_under_way(const struct client_sender *sender);
/* Waits until a request is over. False: none is under way. */
bool client_sender_wait(struct client_sender *sender, struct client_sent *ret);

#ifdef __cplusplus
}
#endif
#endif
