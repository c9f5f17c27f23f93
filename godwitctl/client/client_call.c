#include "client_call_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLIENT_CONNECT_SECONDS = 5, CLIENT_SECONDS = 120 };

size_t client_receive(char *bytes, size_t size, size_t count, void *user)
{
    struct client_received *received = user;
    size_t more = size * count;
    if (more > CLIENT_REPLY_MAX_BYTES - received->len) return 0;
    char *grown = realloc(received->bytes, received->len + more + 1);
    if (grown == NULL) return 0;
    memcpy(grown + received->len, bytes, more);
    received->bytes = grown;
    received->len += more;
    grown[received->len] = '\0';
    return more;
}

struct curl_slist *client_headers(const struct client *client)
{
    char line[1024];
    struct curl_slist *list = curl_slist_append(NULL, "Content-Type: application/json");
    list = curl_slist_append(list, "Expect:");
    if (client->token != NULL) {
        snprintf(line, sizeof(line), "Authorization: Bearer %s", client->token);
        list = curl_slist_append(list, line);
    }
    return list;
}

bool client_prepare(const struct client *client, CURL *curl, const char *path,
                    struct client_received *received)
{
    char url[CLIENT_URL_MAX_BYTES];
    int len = snprintf(url, sizeof(url), "%s%s", client->api, path);
    if (len < 0 || (size_t)len >= sizeof(url)) {
        fprintf(stderr, "godwitctl: the argument is too long\n");
        return false;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CLIENT_CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)CLIENT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, client_receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, received);
    if (client->ca_file != NULL) curl_easy_setopt(curl, CURLOPT_CAINFO, client->ca_file);
    return true;
}

bool client_call(const struct client *client, const char *method, const char *path,
                 const char *body, long *status, char **reply)
{
    char error[CURL_ERROR_SIZE] = "";
    struct client_received received = { NULL, 0 };
    CURL *curl = curl_easy_init();
    if (curl == NULL) return false;
    if (!client_prepare(client, curl, path, &received)) {
        curl_easy_cleanup(curl);
        return false;
    }
    struct curl_slist *headers = client_headers(client);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    if (body != NULL) curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    CURLcode code = curl_easy_perform(curl);
    if (code == CURLE_OK) curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    if (code != CURLE_OK) {
        fprintf(stderr, "godwitctl: %s is not reachable: %s\n", client->api,
                error[0] != '\0' ? error : curl_easy_strerror(code));
        free(received.bytes);
        return false;
    }
    *reply = received.bytes != NULL ? received.bytes : calloc(1, 1);
    return *reply != NULL;
}
