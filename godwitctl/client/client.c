#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_private.h"
#include "client_table.h"

enum { CLIENT_PASSWORD_MAX_BYTES = 1024 };

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

static bool usage_error(const char *what, const char *word)
{
    fprintf(stderr, "godwitctl: %s: %s\n", what, word);
    return false;
}

static bool is_password(const char *member)
{
    return strcmp(member, "password") == 0 || strcmp(member, "directory_password") == 0;
}

static bool member_text(json_t *members, const char *member, const char *value)
{
    char password[CLIENT_PASSWORD_MAX_BYTES];
    if (is_password(member) && strcmp(value, "-") == 0) {
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

bool client_read_words(struct client_asking *asking, int count, char **words)
{
    size_t positional = 0;
    char name[32];
    bool in_path = strstr(asking->command->path, "{}") != NULL;
    for (int i = 0; i < count; i++) {
        if (strncmp(words[i], "--", 2) == 0) {
            const struct client_option *option = client_option_find(asking->command, words[i]);
            if (option == NULL) {
                client_no_option(asking->command, words[i]);
                return false;
            }
            bool bare = client_option_is_bare(option);
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
bool client_make_path(const struct client_asking *asking, char *to, size_t size)
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
        const char *text = json_is_true(value) ? "true" : json_string_value(value);
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
