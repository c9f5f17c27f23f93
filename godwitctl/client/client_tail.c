/* godwitctl log tail NAME: events as lines, merged by the API from all programs. With --follow, one
 * long request after the other; with --output json then one event a line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_private.h"
#include "client_table.h"

enum { FOLLOW_WAIT_SECONDS = 15, VALUE_MAX_BYTES = 2100 };

/* "2026-11-24T13:05:09.123Z frontend-1 mail-received sender=a@b ..." */
static void print_event(json_t *event)
{
    static const char *const first[] = { "time", "program", "level", "event" };
    char text[VALUE_MAX_BYTES];
    const char *key;
    json_t *value;
    for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
        client_cell_text(json_object_get(event, first[i]), text, sizeof(text));
        printf("%s%s", i > 0 ? " " : "", text);
        json_object_del(event, first[i]);
    }
    json_object_del(event, "log");
    json_object_foreach(event, key, value) {
        client_cell_text(value, text, sizeof(text));
        bool quote = text[0] == '\0' || strchr(text, ' ') != NULL;
        printf(" %s=%s%s%s", key, quote ? "\"" : "", text, quote ? "\"" : "");
    }
    printf("\n");
}

static void print_events(const struct client *client, const json_t *items)
{
    size_t i;
    json_t *event;
    json_array_foreach(items, i, event) {
        if (client->json) {
            char *text = json_dumps(event, JSON_COMPACT);
            if (text != NULL) printf("%s\n", text);
            free(text);
        } else if (json_is_object(event)) {
            print_event(event);
        }
    }
}

/* Which programs could not be asked, unless that was said of the same ones before. */
static void say_unreachable(const json_t *reply, json_t **said)
{
    const json_t *list = json_object_get(reply, "unreachable");
    char program[128], why[256];
    size_t i;
    json_t *one;
    if (json_is_true(json_object_get(reply, "missed"))) {
        fprintf(stderr, "godwitctl: a program had more events than it keeps: some are missing\n");
    }
    if (json_equal(list, *said)) return;
    json_array_foreach(list, i, one) {
        client_cell_text(json_object_get(one, "program"), program, sizeof(program));
        client_cell_text(json_object_get(one, "why"), why, sizeof(why));
        fprintf(stderr, "godwitctl: events of %s are missing: %s\n", program, why);
    }
    json_decref(*said);
    *said = json_deep_copy(list);
}

static enum client_exit ask(const struct client *client, const struct client_asking *asking,
                            json_t **ret)
{
    char path[CLIENT_CURSOR_MAX_BYTES], *text = NULL;
    if (!client_make_path(asking, path, sizeof(path))) {
        fprintf(stderr, "godwitctl: an argument is too long for: %s\n", asking->command->path);
        return CLIENT_USAGE;
    }
    enum client_exit exit =
        client_get(client, asking->command->method, path, NULL, ret, &text);
    if (exit == CLIENT_OK && *ret == NULL) {
        fprintf(stderr, "godwitctl: the answer is no JSON\n");
        exit = CLIENT_REFUSED;
    }
    free(text);
    return exit;
}

static enum client_exit follow(const struct client *client, const struct client_asking *asking,
                               json_t **said)
{
    for (;;) {
        json_t *reply = NULL;
        enum client_exit exit = ask(client, asking, &reply);
        if (exit != CLIENT_OK) return exit;
        say_unreachable(reply, said);
        print_events(client, json_object_get(reply, "items"));
        int failed = fflush(stdout);
        json_t *next = json_incref(json_object_get(reply, "next"));
        json_decref(reply);
        if (failed != 0 || !json_is_string(next)) {
            json_decref(next);
            return failed != 0 ? CLIENT_OK : CLIENT_REFUSED; /* nobody reads it any more */
        }
        if (json_string_length(next) > 0) json_object_set(asking->members, "after", next);
        json_object_set_new(asking->members, "wait", json_integer(FOLLOW_WAIT_SECONDS));
        json_decref(next);
    }
}

enum client_exit client_tail(const struct client *client, const struct client_asking *asking)
{
    json_t *reply = NULL, *said = json_array();
    bool follows = json_is_true(json_object_get(asking->members, "follow"));
    enum client_exit exit;
    json_object_del(asking->members, "follow");
    if (follows) {
        exit = follow(client, asking, &said);
    } else {
        exit = ask(client, asking, &reply);
        if (exit == CLIENT_OK) {
            say_unreachable(reply, &said);
            if (client->json) client_print(client, "log", reply);
            else print_events(client, json_object_get(reply, "items"));
        }
    }
    json_decref(reply);
    json_decref(said);
    return exit;
}
