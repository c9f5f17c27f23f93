/* godwitctl api METHOD PATH [--data FILE|-]: any call, as it is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client_private.h"

enum { BODY_MAX_BYTES = 16 * 1024 * 1024 };

static enum client_exit usage(const char *what, const char *word)
{
    fprintf(stderr, "godwitctl api: %s: %s\n", what, word);
    return CLIENT_USAGE;
}

/* malloc'd, NUL-ended; NULL: it can't be read. */
static char *read_body(const char *name)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    size_t size = BODY_MAX_BYTES + 1, len = 0;
    char *bytes = file == NULL ? NULL : malloc(size);
    if (bytes != NULL) {
        len = fread(bytes, 1, size, file);
        if (ferror(file) || len == size) {
            free(bytes);
            bytes = NULL;
        } else {
            bytes[len] = '\0';
        }
    }
    if (file != NULL && file != stdin) fclose(file);
    return bytes;
}

static enum client_exit call(const struct client *client, char **words, const char *body)
{
    json_t *json;
    char *text, *shown = NULL;
    enum client_exit exit = client_get(client, words[0], words[1], body, &json, &text);
    if (exit == CLIENT_OK && json != NULL) {
        shown = json_dumps(json, JSON_INDENT(2) | JSON_ENCODE_ANY);
        if (shown != NULL) printf("%s\n", shown);
    } else if (exit == CLIENT_OK && text != NULL) {
        fputs(text, stdout);
    }
    free(shown);
    free(text);
    json_decref(json);
    return exit;
}

enum client_exit client_api(const struct client *client, int count, char **words)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };
    const char *file = NULL;
    bool is_method = false;
    if (count == 4 && strcmp(words[2], "--data") == 0) file = words[3];
    else if (count != 2) return usage("expected are", "METHOD PATH [--data FILE]");
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        is_method = is_method || strcmp(words[0], methods[i]) == 0;
    }
    if (!is_method) return usage("allowed are GET, POST, PUT, PATCH and DELETE", words[0]);
    if (words[1][0] != '/') return usage("a path begins with /", words[1]);
    char *body = file == NULL ? NULL : read_body(file);
    if (file != NULL && body == NULL) return usage("can't be read, or is above 16 MiB", file);
    enum client_exit exit = call(client, words, body);
    free(body);
    return exit;
}
