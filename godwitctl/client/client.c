#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_private.h"

enum { CLIENT_PASSWORD_MAX_BYTES = 1024 };

enum client_kind { TEXT, SIZE, NUMBER, FLAG, NOFLAG, LIST };

struct client_command {
    const char *noun, *verb, *method, *path, *arguments, *text;
};
static const struct client_command commands[] = {
#define CLIENT_COMMAND(noun, verb, method, path, arguments, text) \
    { noun, verb, method, path, arguments, text },
#include "client_commands.def"
};

struct client_option {
    const char *noun, *name, *member;
    enum client_kind kind;
    const char *text;
};
static const struct client_option options[] = {
#define CLIENT_OPTION(noun, name, member, kind, text) { noun, name, member, kind, text },
#include "client_commands.def"
};

static const struct client_column columns[] = {
#define CLIENT_COLUMN(noun, member, heading) { noun, member, heading },
#include "client_commands.def"
};

enum {
    COMMANDS = sizeof(commands) / sizeof(commands[0]),
    OPTIONS = sizeof(options) / sizeof(options[0]),
    COLUMNS = sizeof(columns) / sizeof(columns[0]),
};

size_t client_columns(const char *noun, const struct client_column *ret[CLIENT_COLUMNS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < COLUMNS && count < CLIENT_COLUMNS_MAX; i++) {
        if (strcmp(columns[i].noun, noun) == 0) ret[count++] = &columns[i];
    }
    return count;
}

bool client_size(struct span text, unsigned long long *ret_bytes)
{
    static const char units[] = "kMGT";
    unsigned long long value = 0;
    size_t i = 0;
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        if (value > (1ull << 60) / 10) return false;
        value = value * 10 + (unsigned)(text.ptr[i] - '0');
    }
    if (i == 0) return false;
    if (i < text.len) {
        char unit = text.ptr[i] == 'K' ? 'k' : text.ptr[i];
        const char *at = memchr(units, unit, sizeof(units) - 1);
        if (at == NULL || i + 1 != text.len) return false;
        for (const char *u = units; u <= at; u++) {
            if (value > (1ull << 50)) return false;
            value *= 1024;
        }
    }
    *ret_bytes = value;
    return true;
}

void client_usage(bool to_stderr)
{
    FILE *to = to_stderr ? stderr : stdout;
    fprintf(to, "usage: godwitctl [--output table|json] [--endpoints-file FILE] COMMAND\n\n"
                "  up [--data DIR] [--port-offset N] [--domain D] [--user U]   run a whole node\n"
                "     [--updater PROGRAM]               which brings virus signatures into its "
                "argument\n"
                "  user import FILE.csv                 make many users; a repeat goes on\n"
                "  domain import FILE.csv               make many domains\n"
                "  cluster coord migrate --data DIR --etcd URL [--help]   configuration to etcd\n");
    for (size_t i = 0; i < COMMANDS; i++) {
        const struct client_command *c = &commands[i];
        char head[64];
        snprintf(head, sizeof(head), "%s %s %s", c->noun, c->verb, c->arguments);
        fprintf(to, "  %-36s %s\n", head, c->text);
    }
    fprintf(to, "\noptions:\n");
    for (size_t i = 0; i < OPTIONS; i++) {
        char head[64];
        snprintf(head, sizeof(head), "%s %s", options[i].noun, options[i].name);
        fprintf(to, "  %-36s %s\n", head, options[i].text);
    }
    fprintf(to, "\nGODWIT_API and GODWIT_TOKEN, or --endpoints-file, say where the API is.\n"
                "Exit status: 0 done, 1 refused, 2 usage, 3 not reachable.\n");
}

static const struct client_command *command_find(const char *noun, const char *verb)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].noun, noun) == 0 && strcmp(commands[i].verb, verb) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static const struct client_option *option_find(const char *noun, const char *name)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        if (strcmp(options[i].noun, noun) == 0 && strcmp(options[i].name, name) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

/* What the words of one command lead to. */
struct asking {
    const struct client_command *command;
    json_t *members;
    const char *argument; /* the one in the path */
};

static bool usage_error(const char *what, const char *word)
{
    fprintf(stderr, "godwitctl: %s: %s\n", what, word);
    return false;
}

static bool member_text(json_t *members, const char *member, const char *value)
{
    char password[CLIENT_PASSWORD_MAX_BYTES];
    if (strcmp(member, "password") == 0 && strcmp(value, "-") == 0) {
        if (fgets(password, sizeof(password), stdin) == NULL) {
            return usage_error("no password on standard input", value);
        }
        password[strcspn(password, "\r\n")] = '\0';
        value = password;
    }
    json_t *text = json_string(value);
    if (text == NULL) return usage_error("not UTF-8", value);
    return json_object_set_new(members, member, text) == 0;
}

static bool member_set(json_t *members, const struct client_option *option, const char *value)
{
    unsigned long long number = 0;
    json_t *list = json_object_get(members, option->member);
    switch (option->kind) {
    case FLAG:
    case NOFLAG:
        return json_object_set_new(members, option->member,
                                   json_boolean(option->kind == FLAG)) == 0;
    case TEXT:
        return member_text(members, option->member, value);
    case SIZE:
    case NUMBER:
        if (!client_size(span_of(value, strlen(value)), &number)) {
            return usage_error("a number is expected, like 100 or 2G", value);
        }
        return json_object_set_new(members, option->member, json_integer((json_int_t)number)) == 0;
    case LIST:
        if (list == NULL) {
            list = json_array();
            if (json_object_set_new(members, option->member, list) != 0) return false;
        }
        if (value[0] == '\0' || json_array_append_new(list, json_string(value)) == 0) return true;
        return usage_error("not UTF-8", value);
    }
    return false;
}

/* The name of the positional argument `index` of a command, or false. */
static bool argument_name(const struct client_command *command, size_t index, char *to, size_t size)
{
    struct span rest = span_of(command->arguments, strlen(command->arguments)), word = rest;
    for (size_t i = 0; rest.len > 0; i++) {
        word = rest;
        if (!span_cut(rest, ' ', &word, &rest)) rest = SPAN("");
        if (i < index) continue;
        snprintf(to, size, "%.*s", (int)word.len, word.ptr);
        return true;
    }
    return false;
}

static bool read_words(struct asking *asking, int count, char **words)
{
    size_t positional = 0;
    char name[32];
    bool in_path = strstr(asking->command->path, "{}") != NULL;
    for (int i = 0; i < count; i++) {
        if (strncmp(words[i], "--", 2) == 0) {
            const struct client_option *option = option_find(asking->command->noun, words[i]);
            if (option == NULL) return usage_error("no such option", words[i]);
            bool bare = option->kind == FLAG || option->kind == NOFLAG;
            if (!bare && i + 1 == count) return usage_error("a value is missing behind", words[i]);
            if (!member_set(asking->members, option, bare ? "" : words[++i])) return false;
        } else {
            if (!argument_name(asking->command, positional, name, sizeof(name))) {
                return usage_error("one argument too many", words[i]);
            }
            if (positional == 0) asking->argument = words[i];
            if (!(positional == 0 && in_path) && !member_text(asking->members, name, words[i])) {
                return false;
            }
            positional++;
        }
    }
    if (argument_name(asking->command, positional, name, sizeof(name))) {
        return usage_error("an argument is missing", name);
    }
    return true;
}

/* False: no room. */
static bool put_encoded(struct span text, char *to, size_t size, size_t *at)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@";
    for (size_t i = 0; i < text.len; i++) {
        if (*at + 4 >= size) return false;
        if (memchr(plain, text.ptr[i], sizeof(plain) - 1) != NULL) {
            to[(*at)++] = text.ptr[i];
        } else {
            int n = snprintf(to + *at, size - *at, "%%%02X", (unsigned char)text.ptr[i]);
            *at += n > 0 ? (size_t)n : 0;
        }
    }
    to[*at] = '\0';
    return true;
}

/* The path with its argument; for GET the members become the query. False: too long. */
static bool make_path(const struct asking *asking, char *to, size_t size)
{
    size_t at = 0;
    const char *path = asking->command->path, *hole = strstr(path, "{}");
    size_t head = hole == NULL ? strlen(path) : (size_t)(hole - path);
    memcpy(to, path, head);
    to[at = head] = '\0';
    if (hole != NULL && asking->argument != NULL) {
        struct span argument = span_of(asking->argument, strlen(asking->argument));
        if (!put_encoded(argument, to, size, &at)) return false;
        int n = snprintf(to + at, size - at, "%s", hole + 2);
        at += n > 0 ? (size_t)n : 0;
        if (at >= size) return false;
    }
    if (strcmp(asking->command->method, "GET") != 0) return true;
    const char *key;
    json_t *value;
    json_object_foreach(asking->members, key, value) {
        char number[32];
        const char *text = json_string_value(value);
        if (text == NULL) {
            snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
            text = number;
        }
        int n = snprintf(to + at, size - at, "%c%s=", strchr(to, '?') == NULL ? '?' : '&', key);
        at += n > 0 ? (size_t)n : 0;
        if (at >= size || !put_encoded(span_of(text, strlen(text)), to, size, &at)) return false;
    }
    return true;
}

static enum client_exit ask(const struct client *client, const struct asking *asking)
{
    char path[CLIENT_URL_MAX_BYTES / 2], *reply = NULL;
    long status = 0;
    bool has_body = strcmp(asking->command->method, "GET") != 0 &&
                    json_object_size(asking->members) > 0;
    if (!make_path(asking, path, sizeof(path))) {
        usage_error("an argument is too long for", asking->command->path);
        return CLIENT_USAGE;
    }
    char *body = has_body ? json_dumps(asking->members, JSON_COMPACT) : NULL;
    bool reached = client_call(client, asking->command->method, path, body, &status, &reply);
    free(body);
    if (!reached) return CLIENT_UNREACHABLE;
    json_t *json = json_loads(reply, JSON_DECODE_ANY, NULL);
    free(reply);
    enum client_exit exit = status >= 200 && status < 300 ? CLIENT_OK : CLIENT_REFUSED;
    if (exit == CLIENT_REFUSED) {
        client_print_problem(status, json);
        if (client->json && json != NULL) client_print(client, asking->command->noun, json);
        if (status == 503 || status == 502 || status == 504) exit = CLIENT_UNREACHABLE;
    } else if (json != NULL) {
        client_print(client, asking->command->noun, json);
    }
    json_decref(json);
    return exit;
}

enum client_exit client_run(const struct client *client, int count, char **words)
{
    if (count < 2) {
        client_usage(true);
        return CLIENT_USAGE;
    }
    bool has_import = strcmp(words[0], "user") == 0 || strcmp(words[0], "domain") == 0;
    if (has_import && strcmp(words[1], "import") == 0 && count == 3) {
        return client_import(client, words[0], words[2]);
    }
    struct asking asking = { .command = command_find(words[0], words[1]) };
    if (asking.command == NULL) {
        fprintf(stderr, "godwitctl: no such command: %s %s (see godwitctl help)\n", words[0],
                words[1]);
        return CLIENT_USAGE;
    }
    asking.members = json_object();
    enum client_exit exit = CLIENT_USAGE;
    if (asking.members != NULL && read_words(&asking, count - 2, words + 2)) {
        exit = ask(client, &asking);
    }
    json_decref(asking.members);
    return exit;
}
