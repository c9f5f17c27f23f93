/* client_call_private.h: what single requests and many at a time have in common. */
#ifndef MAIL_CLIENT_CALL_PRIVATE_H
#define MAIL_CLIENT_CALL_PRIVATE_H

#include <curl/curl.h>

#include "client.h"

struct client_received {
    char *bytes;
    size_t len;
};

/* libcurl's CURLOPT_WRITEFUNCTION: appends to a struct client_received. */
size_t client_receive(char *bytes, size_t size, size_t count, void *user);
struct curl_slist *client_headers(const struct client *client);
/* Address, limits and where the answer goes. False, with a line on stderr: the path is too long. */
bool client_prepare(const struct client *client, CURL *curl, const char *path,
                    struct client_received *received);

#endif
