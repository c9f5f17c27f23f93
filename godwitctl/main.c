/* godwitctl: the administrator's command. `up` runs a whole node; everything else asks the API. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "cluster.h"
#include "migrate.h"
#include "up.h"

enum { VALUE_MAX_BYTES = 1024 };

/* The value of `name` in a file of NAME=value lines, or false. */
static bool file_value(const char *file_name, const char *name, char to[VALUE_MAX_BYTES])
{
    char line[VALUE_MAX_BYTES * 2];
    size_t len = strlen(name);
    FILE *file = fopen(file_name, "r");
    if (file == NULL) return false;
    bool found = false;
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, name, len) != 0 || line[len] != '=') continue;
        snprintf(to, VALUE_MAX_BYTES, "%s", line + len + 1);
        found = true;
    }
    fclose(file);
    return found;
}

/* True when word `*i` is `name VALUE` or `name=VALUE`; `*i` then stands on its last word. */
static bool take_option(int count, char **words, int *i, const char *name, const char **ret)
{
    size_t len = strlen(name);
    const char *word = words[*i];
    if (strncmp(word, name, len) != 0) return false;
    if (word[len] == '=') {
        *ret = word + len + 1;
        return true;
    }
    if (word[len] != '\0' || *i + 1 >= count) return false;
    *ret = words[++*i];
    return true;
}

static int run_up(int count, char **words)
{
    struct up_options options = { .data = "godwit-data", .domain = "example.org" };
    const char *offset = NULL;
    for (int i = 0; i < count; i++) {
        if (take_option(count, words, &i, "--data", &options.data)) continue;
        if (take_option(count, words, &i, "--domain", &options.domain)) continue;
        if (take_option(count, words, &i, "--user", &options.user)) continue;
        if (take_option(count, words, &i, "--address", &options.address)) continue;
        if (take_option(count, words, &i, "--programs", &options.programs)) continue;
        if (take_option(count, words, &i, "--updater", &options.updater)) continue;
        if (take_option(count, words, &i, "--port-offset", &offset)) continue;
        fprintf(stderr, "godwitctl up: what is %s?\n", words[i]);
        client_usage(true);
        return CLIENT_USAGE;
    }
    unsigned long long number = 0;
    if (offset != NULL &&
        (!client_size(span_of(offset, strlen(offset)), &number) || number > 50000)) {
        fprintf(stderr, "godwitctl up: --port-offset %s: a number from 0 to 50000\n", offset);
        return CLIENT_USAGE;
    }
    options.port_offset = (unsigned)number;
    return up_run(&options);
}

static bool is_migrate(int count, char **words)
{
    return count >= 3 && strcmp(words[0], "cluster") == 0 && strcmp(words[1], "coord") == 0 &&
           strcmp(words[2], "migrate") == 0;
}

int main(int argc, char **argv)
{
    static char api[VALUE_MAX_BYTES], token[VALUE_MAX_BYTES], ca[VALUE_MAX_BYTES];
    struct client client = { .api = getenv("GODWIT_API"), .token = getenv("GODWIT_TOKEN"),
                             .ca_file = getenv("GODWIT_CA_FILE") };
    const char *output = NULL, *endpoints = NULL;
    char **words = calloc((size_t)argc + 1, sizeof(*words));
    int count = 0;
    if (words == NULL) return CLIENT_REFUSED;
    for (int i = 1; i < argc; i++) {
        if (take_option(argc, argv, &i, "--output", &output)) continue;
        if (take_option(argc, argv, &i, "--endpoints-file", &endpoints)) continue;
        words[count++] = argv[i];
    }
    int exit = CLIENT_USAGE;
    client.json = output != NULL && strcmp(output, "json") == 0;
    if (output != NULL && !client.json && strcmp(output, "table") != 0) {
        fprintf(stderr, "godwitctl: --output %s: table or json\n", output);
    } else if (endpoints != NULL && !(file_value(endpoints, "API", api) &&
                                      file_value(endpoints, "API_TOKEN", token))) {
        fprintf(stderr, "godwitctl: %s: no API= and API_TOKEN= in it\n", endpoints);
    } else if (count == 0 || strcmp(words[0], "help") == 0 || strcmp(words[0], "--help") == 0) {
        bool has_noun = count == 2;
        if (!has_noun || !client_help(words[1], false)) client_usage(count == 0);
        exit = count == 0 ? CLIENT_USAGE : CLIENT_OK;
    } else if (strcmp(words[0], "up") == 0 && !(count == 2 && strcmp(words[1], "--help") == 0)) {
        exit = run_up(count - 1, words + 1);
    } else if (is_migrate(count, words)) {
        exit = migrate_run(count - 2, words + 2, client.json);
    } else if (count >= 2 && strcmp(words[0], "cluster") == 0 && cluster_knows(words[1])) {
        exit = cluster_run(count - 1, words + 1, client.json);
    } else {
        if (endpoints != NULL) {
            client.api = api;
            client.token = token;
            if (file_value(endpoints, "CA_FILE", ca)) client.ca_file = ca;
        }
        if (client.api == NULL) client.api = "http://127.0.0.1:8080";
        exit = (int)client_run(&client, count, words);
    }
    free(words);
    return exit;
}
