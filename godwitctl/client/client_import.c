#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client_private.h"

enum { LINE_MAX_BYTES = 16 * 1024, FIELDS_MAX = 16, BAR_CELLS = 40 };

/* The members a column may be, and their order when the file has no heading. */
static const char *const members[] = { "address", "password", "full_name", "quota" };
enum { MEMBERS = sizeof(members) / sizeof(members[0]) };

/* Cuts a line of RFC 4180 into fields, in place: "a","b ""c""",d. False: a quote is not closed, or
 * there are too many. */
static bool csv_cut(char *line, char *fields[FIELDS_MAX], size_t *ret_count)
{
    size_t count = 0;
    char *at = line;
    for (;;) {
        if (count == FIELDS_MAX) return false;
        char *to = at;
        fields[count++] = at;
        bool quoted = *at == '"';
        if (quoted) at++;
        for (;; at++) {
            if (quoted && at[0] == '"' && at[1] == '"') {
                at++;
            } else if (quoted && at[0] == '"') {
                quoted = false;
                continue;
            } else if (at[0] == '\0') {
                if (quoted) return false;
                *to = '\0';
                *ret_count = count;
                return true;
            } else if (!quoted && at[0] == ',') {
                break;
            }
            *to++ = *at;
        }
        at++;
        *to = '\0';
    }
}

struct import {
    const struct client *client;
    size_t columns[FIELDS_MAX]; /* field -> member */
    size_t columns_count;
    unsigned long done, failed, line;
    long long bytes, bytes_all;
};

static void progress(const struct import *import, bool end)
{
    if (!isatty(STDERR_FILENO)) return;
    long long all = import->bytes_all > 0 ? import->bytes_all : 1;
    int cells = (int)(import->bytes * BAR_CELLS / all);
    fprintf(stderr, "\r[%.*s%*s] %3lld%%  %lu made, %lu refused%s", cells,
            "########################################", BAR_CELLS - cells, "",
            import->bytes * 100 / all, import->done, import->failed, end ? "\n" : "");
}

/* Whether the first line names columns; then they are in that order. */
static bool heading(struct import *import, char **fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t m = 0;
        while (m < MEMBERS && strcmp(fields[i], members[m]) != 0) m++;
        if (m == MEMBERS) return false;
        import->columns[i] = m;
    }
    import->columns_count = count;
    return true;
}

static json_t *user_of(const struct import *import, char **fields, size_t count)
{
    json_t *user = json_object();
    unsigned long long bytes = 0;
    for (size_t i = 0; i < count && i < import->columns_count; i++) {
        const char *member = members[import->columns[i]];
        if (fields[i][0] == '\0') continue;
        if (strcmp(member, "quota") == 0) {
            if (!client_size(span_of(fields[i], strlen(fields[i])), &bytes)) {
                json_decref(user);
                return NULL;
            }
            json_object_set_new(user, "quota_bytes", json_integer((json_int_t)bytes));
        } else if (json_object_set_new(user, member, json_string(fields[i])) != 0) {
            json_decref(user);
            return NULL;
        }
    }
    return user;
}

/* One line. False: the API can't be reached. */
static bool import_user(struct import *import, char **fields, size_t count)
{
    json_t *user = user_of(import, fields, count);
    if (user == NULL) {
        import->failed++;
        fprintf(stderr, "\ngodwitctl: line %lu: a quota is a number like 500M, a text is UTF-8\n",
                import->line);
        return true;
    }
    char *body = json_dumps(user, JSON_COMPACT), *reply = NULL;
    long status = 0;
    bool reached = client_call(import->client, "POST", "/api/v1/users", body, &status, &reply);
    if (reached && status >= 200 && status < 300) {
        import->done++;
    } else if (reached) {
        json_t *problem = json_loads(reply, 0, NULL);
        fprintf(stderr, "\nline %lu: ", import->line);
        client_print_problem(status, problem);
        json_decref(problem);
        import->failed++;
    }
    free(reply);
    free(body);
    json_decref(user);
    return reached;
}

/* Reads on to the end of a line that has no room: what is left of it is no line of its own. */
static void skip_line(struct import *import, FILE *file)
{
    for (int c = fgetc(file); c != EOF; c = fgetc(file)) {
        import->bytes++;
        if (c == '\n') return;
    }
}

static enum client_exit import_lines(struct import *import, FILE *file)
{
    static char line[LINE_MAX_BYTES];
    char *fields[FIELDS_MAX];
    size_t count;
    while (fgets(line, sizeof(line), file) != NULL) {
        import->line++;
        size_t len = strlen(line);
        import->bytes += (long long)len;
        bool is_cut = len + 1 == sizeof(line) && line[len - 1] != '\n';
        if (is_cut) skip_line(import, file);
        line[strcspn(line, "\r\n")] = '\0';
        if (line[0] == '\0' || line[0] == '#') continue;
        if (is_cut || !csv_cut(line, fields, &count)) {
            fprintf(stderr, "\ngodwitctl: line %lu is not CSV (RFC 4180) of at most %d bytes\n",
                    import->line, LINE_MAX_BYTES - 2);
            import->failed++;
            continue;
        }
        if (import->line == 1 && heading(import, fields, count)) continue;
        if (!import_user(import, fields, count)) return CLIENT_UNREACHABLE;
        progress(import, false);
    }
    progress(import, true);
    return import->failed == 0 ? CLIENT_OK : CLIENT_REFUSED;
}

enum client_exit client_import(const struct client *client, const char *file_name)
{
    struct import import = { .client = client, .columns = { 0, 1, 2, 3 },
                             .columns_count = MEMBERS };
    FILE *file = fopen(file_name, "r");
    if (file == NULL) {
        fprintf(stderr, "godwitctl: %s: %s\n", file_name, strerror(errno));
        return CLIENT_USAGE;
    }
    if (fseek(file, 0, SEEK_END) == 0) import.bytes_all = ftell(file);
    rewind(file);
    enum client_exit exit = import_lines(&import, file);
    fclose(file);
    printf("%lu made, %lu refused\n", import.done, import.failed);
    return exit;
}
