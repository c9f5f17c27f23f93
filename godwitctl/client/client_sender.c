/* Several requests at a time, by libcurl's multi interface. */
#include "client_sender.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_call_private.h"

enum { SENDER_TURN_MS = 1000 };

struct sending {
    CURL *curl;
    struct client_received received;
    char *body;   /* NULL: free */
    void *holder;
    char error[CURL_ERROR_SIZE];
};

struct client_sender {
    const struct client *client;
    CURLM *multi;
    struct curl_slist *headers;
    struct sending sendings[CLIENT_SENDINGS_MAX];
    unsigned under_way;
};

struct client_sender *client_sender_new(const struct client *client)
{
    struct client_sender *sender = calloc(1, sizeof(*sender));
    if (sender == NULL) return NULL;
    sender->client = client;
    sender->multi = curl_multi_init();
    sender->headers = client_headers(client);
    if (sender->multi == NULL || sender->headers == NULL) {
        client_sender_free(sender);
        return NULL;
    }
    return sender;
}

static void sending_end(struct client_sender *sender, struct sending *sending)
{
    curl_multi_remove_handle(sender->multi, sending->curl);
    curl_easy_cleanup(sending->curl);
    free(sending->body);
    free(sending->received.bytes);
    *sending = (struct sending){ .curl = NULL };
    sender->under_way--;
}

void client_sender_free(struct client_sender *sender)
{
    if (sender == NULL) return;
    for (size_t i = 0; i < CLIENT_SENDINGS_MAX; i++) {
        if (sender->sendings[i].body != NULL) sending_end(sender, &sender->sendings[i]);
    }
    curl_slist_free_all(sender->headers);
    curl_multi_cleanup(sender->multi);
    free(sender);
}

unsigned client_sender_under_way(const struct client_sender *sender) { return sender->under_way; }

bool client_sender_post(struct client_sender *sender, const char *path, char *body, void *holder)
{
    size_t i = 0;
    while (i < CLIENT_SENDINGS_MAX && sender->sendings[i].body != NULL) i++;
    CURL *curl = i == CLIENT_SENDINGS_MAX || body == NULL ? NULL : curl_easy_init();
    if (curl == NULL) {
        free(body);
        return false;
    }
    struct sending *sending = &sender->sendings[i];
    *sending = (struct sending){ .curl = curl, .body = body, .holder = holder };
    sender->under_way++;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, sender->headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, sending->error);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(curl, CURLOPT_PRIVATE, sending);
    if (!client_prepare(sender->client, curl, path, &sending->received) ||
        curl_multi_add_handle(sender->multi, curl) != CURLM_OK) {
        sending_end(sender, sending);
        return false;
    }
    return true;
}

/* Whether a request is over. */
static bool sender_take(struct client_sender *sender, struct client_sent *ret)
{
    int left;
    CURLMsg *message = curl_multi_info_read(sender->multi, &left);
    if (message == NULL || message->msg != CURLMSG_DONE) return false;
    struct sending *sending = NULL;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &sending);
    CURLcode code = message->data.result;
    *ret = (struct client_sent){ .holder = sending->holder };
    if (code == CURLE_OK) curl_easy_getinfo(sending->curl, CURLINFO_RESPONSE_CODE, &ret->status);
    snprintf(ret->error, sizeof(ret->error), "%s",
             sending->error[0] != '\0' ? sending->error : curl_easy_strerror(code));
    ret->reply = sending->received.bytes;
    sending->received.bytes = NULL;
    sending_end(sender, sending);
    return true;
}

bool client_sender_wait(struct client_sender *sender, struct client_sent *ret)
{
    int running = 0;
    while (sender->under_way > 0) {
        if (curl_multi_perform(sender->multi, &running) != CURLM_OK) return false;
        if (sender_take(sender, ret)) return true;
        if (curl_multi_poll(sender->multi, NULL, 0, SENDER_TURN_MS, NULL) != CURLM_OK) return false;
    }
    return false;
}
