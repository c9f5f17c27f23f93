/* From the words of a command to its request and what is printed of the answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_private.h"
#include "client_table.h"

enum client_exit client_get(const struct client *client, const char *method, const char *path,
                            const char *body, json_t **ret, char **text)
{
    char *reply = NULL;
    long status = 0;
    *ret = NULL;
    *text = NULL;
    if (!client_call(client, method, path, body, &status, &reply)) return CLIENT_UNREACHABLE;
    json_t *json = json_loads(reply, JSON_DECODE_ANY, NULL);
    if (status >= 200 && status < 300) {
        *ret = json;
        if (json == NULL) *text = reply;
        else free(reply);
        return CLIENT_OK;
    }
    client_print_problem(status, json);
    if (client->json && json != NULL) client_print(client, "", json);
    json_decref(json);
    free(reply);
    bool is_away = status == 502 || status == 503 || status == 504;
    return is_away ? CLIENT_UNREACHABLE : CLIENT_REFUSED;
}

/* ---- lists, page by page */

/* JSON is written as it comes: one document, whole also when a page is missing at its end. */
struct listing {
    const struct client *client;
    struct client_table table;
    size_t shown;
    bool is_open;
};

static void put_json_items(struct listing *listing, const json_t *items)
{
    size_t i;
    json_t *item;
    if (!listing->is_open) printf("{\n\"items\": [");
    listing->is_open = true;
    json_array_foreach(items, i, item) {
        char *text = json_dumps(item, JSON_INDENT(2) | JSON_ENCODE_ANY);
        if (text != NULL) printf("%s\n%s", listing->shown++ > 0 ? "," : "", text);
        free(text);
    }
}

static enum client_exit listing_end(struct listing *listing, enum client_exit exit)
{
    if (!listing->is_open) return exit;
    printf("\n]%s\n}\n", exit == CLIENT_OK ? "" : ",\n\"incomplete\": true");
    return exit;
}

/* One page; `*next` is where to go on, malloc'd, or NULL. */
static enum client_exit page(struct listing *listing, const struct client_asking *asking,
                             char **next)
{
    char path[CLIENT_PATH_MAX_BYTES], *text;
    json_t *json;
    *next = NULL;
    if (!client_make_path(asking, path, sizeof(path))) {
        fprintf(stderr, "godwitctl: an argument is too long for: %s\n", asking->command->path);
        return CLIENT_USAGE;
    }
    struct client asked = *listing->client;
    if (listing->is_open) asked.json = false; /* a problem is no part of the document */
    enum client_exit exit =
        client_get(&asked, asking->command->method, path, NULL, &json, &text);
    free(text);
    if (exit != CLIENT_OK) return exit;
    const json_t *items = json_object_get(json, "items");
    const char *more = json_string_value(json_object_get(json, "next"));
    if (items == NULL) {
        if (json != NULL) client_print(listing->client, asking->command->noun, json);
    } else {
        if (listing->client->json) put_json_items(listing, items);
        else client_table_put(&listing->table, items);
        if (more != NULL && more[0] != '\0') *next = strdup(more);
    }
    json_decref(json);
    return CLIENT_OK;
}

static enum client_exit all_pages(const struct client *client, const struct client_asking *asking)
{
    struct listing listing = { .client = client, .table = { .noun = asking->command->noun } };
    char *next = NULL, *before = NULL;
    enum client_exit exit;
    for (;;) {
        exit = page(&listing, asking, &next);
        bool stands = next != NULL && before != NULL && strcmp(next, before) == 0;
        free(before);
        before = next;
        if (exit != CLIENT_OK || next == NULL) break;
        if (stands) fprintf(stderr, "godwitctl: the list does not go on behind %s\n", next);
        if (stands || json_object_set_new(asking->members, "after", json_string(next)) != 0) {
            exit = CLIENT_REFUSED;
            break;
        }
    }
    free(before);
    return listing_end(&listing, exit);
}

/* ---- commands */

/* Where the columns of the answer stand: "noun/verb" if it has some of its own. */
static const char *table_of(const struct client_command *command, char to[CLIENT_TABLE_MAX_BYTES])
{
    const struct client_column *columns[CLIENT_COLUMNS_MAX];
    snprintf(to, CLIENT_TABLE_MAX_BYTES, "%s/%s", command->noun, command->verb);
    return client_columns(to, columns) > 0 ? to : command->noun;
}

enum client_exit client_ask(const struct client *client, const struct client_asking *asking)
{
    const struct client_command *command = asking->command;
    char path[CLIENT_PATH_MAX_BYTES], table[CLIENT_TABLE_MAX_BYTES], *text;
    json_t *json;
    bool has_body =
        strcmp(command->method, "GET") != 0 && json_object_size(asking->members) > 0;
    if (client_command_is_list(command) && json_object_get(asking->members, "limit") == NULL) {
        return all_pages(client, asking);
    }
    if (!client_make_path(asking, path, sizeof(path))) {
        fprintf(stderr, "godwitctl: an argument is too long for: %s\n", command->path);
        return CLIENT_USAGE;
    }
    char *body = has_body ? json_dumps(asking->members, JSON_COMPACT) : NULL;
    enum client_exit exit = client_get(client, command->method, path, body, &json, &text);
    free(body);
    bool is_status = strcmp(command->noun, "cluster") == 0 && strcmp(command->verb, "status") == 0;
    if (exit == CLIENT_OK && json != NULL) {
        if (is_status && !client->json) client_print_status(json);
        else client_print(client, table_of(command, table), json);
    } else if (exit == CLIENT_OK && text != NULL) {
        fputs(text, stdout);
    }
    json_decref(json);
    free(text);
    return exit;
}

static bool asks_for_help(int count, char **words)
{
    for (int i = 1; i < count; i++) {
        if (strcmp(words[i], "--help") == 0) return true;
    }
    return false;
}

enum client_exit client_run(const struct client *client, int count, char **words)
{
    if (count == 0) {
        client_usage(true);
        return CLIENT_USAGE;
    }
    if (client_is_noun(words[0]) && asks_for_help(count, words)) {
        client_help(words[0], false);
        return CLIENT_OK;
    }
    if (strcmp(words[0], "api") == 0) return client_api(client, count - 1, words + 1);
    if (strcmp(words[0], "completion") == 0) return client_completion(count - 1, words + 1);
    if (strcmp(words[0], "manual") == 0) return client_manual(count - 1, words + 1);
    if (count == 1) {
        if (!client_help(words[0], true)) client_no_command(words[0], "");
        return CLIENT_USAGE;
    }
    bool has_import = strcmp(words[0], "user") == 0 || strcmp(words[0], "domain") == 0;
    if (has_import && strcmp(words[1], "import") == 0 && count == 3) {
        return client_import(client, words[0], words[2]);
    }
    struct client_asking asking = { .command = client_command_find(words[0], words[1]) };
    if (asking.command == NULL) {
        client_no_command(words[0], words[1]);
        return CLIENT_USAGE;
    }
    asking.members = json_object();
    enum client_exit exit = CLIENT_USAGE;
    if (asking.members != NULL && client_read_words(&asking, count - 2, words + 2)) {
        exit = strcmp(words[0], "log") == 0 ? client_tail(client, &asking)
                                            : client_ask(client, &asking);
    }
    json_decref(asking.members);
    return exit;
}
