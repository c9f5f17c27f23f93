#include "cluster.h"

#include <stdio.h>
#include <string.h>

#include "boot.h"
#include "buf.h"
#include "client.h"
#include "cluster_private.h"

enum { USAGE_BYTES = 8 * 1024 };

extern char **environ;

static const struct boot_option init_options[] = {
    CLUSTER_OPTIONS,
    { "node", BOOT_TEXT, "", "address of the storage node; empty: the map is not made" },
    { "shards", BOOT_NUMBER, "64", "shards of the map, for ever" },
    { "token-file", BOOT_TEXT, "", "file with an operator's token, made when missing" },
    { "cluster-id", BOOT_TEXT, "", "id of a cluster that was there before; empty: a new one" },
    { "incarnation", BOOT_NUMBER, "1", "of a store that was made anew: higher than it was" },
};

static const struct boot_option cert_options[] = {
    CLUSTER_OPTIONS,
    { "role", BOOT_TEXT, NULL, "frontend, storage-node, scanner, router, operator or etcd" },
    { "name", BOOT_TEXT, NULL, "of this instance, like storage-node-1" },
    { "out", BOOT_TEXT, NULL, "folder for ca.pem, cert.pem and key.pem" },
    { "days", BOOT_NUMBER, "90", "for which it is good" },
    { "renew-before", BOOT_NUMBER, "0", "days before its end from which on; 0: a third of them" },
    { "host", BOOT_LIST, "", "further names or addresses in it" },
    { "user", BOOT_TEXT, "", "whose the files are, when we are root" },
    { "keep", BOOT_SWITCH, "false", "stay, and renew it in time" },
    { "keep-every", BOOT_NUMBER, "3600", "seconds between two looks" },
};

static const struct boot_option access_options[] = {
    { "cluster", BOOT_TEXT, "default", "name of the cluster: its keys are /godwit/NAME/" },
};

static const struct boot_option ca_options[] = { CLUSTER_OPTIONS };

#define TABLE(options) options, sizeof(options) / sizeof(options[0])

static const struct {
    const char *noun, *verb; /* verb NULL: none */
    bool has_id;
    const struct boot_option *options;
    size_t options_count;
    const char *text;
} commands[] = {
    { "init", NULL, false, TABLE(init_options), "make what is missing of a new cluster" },
    { "cert", "issue", false, TABLE(cert_options), "make or renew a program's certificate" },
    { "coord", "access", false, TABLE(access_options), "what each program may do in etcd" },
    { "ca", "list", false, TABLE(ca_options), "the certificate authorities" },
    { "ca", "add", false, TABLE(ca_options), "one more, which is trusted at once" },
    { "ca", "use", true, TABLE(ca_options), "let another one sign" },
    { "ca", "remove", true, TABLE(ca_options), "one that does not sign any more" },
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

bool cluster_knows(const char *word)
{
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].noun, word) == 0) return true;
    }
    return false;
}

void cluster_usage(bool to_stderr)
{
    for (unsigned i = 0; i < COMMANDS; i++) {
        char head[64];
        snprintf(head, sizeof(head), "cluster %s%s%s%s", commands[i].noun,
                 commands[i].verb == NULL ? "" : " ",
                 commands[i].verb == NULL ? "" : commands[i].verb, commands[i].has_id ? " id" : "");
        fprintf(to_stderr ? stderr : stdout, "  %-36s %s\n", head, commands[i].text);
    }
}

/* The row of a command; `*used` is how many words it takes. */
static int find(int count, char **words, int *used)
{
    for (int i = 0; i < (int)COMMANDS; i++) {
        int takes = commands[i].verb == NULL ? 1 : 2;
        if (count < takes || strcmp(commands[i].noun, words[0]) != 0) continue;
        if (takes == 2 && strcmp(commands[i].verb, words[1]) != 0) continue;
        *used = takes;
        return i;
    }
    return -1;
}

static int run(int command, const struct boot *boot, const char *id, bool json)
{
    if (strcmp(commands[command].noun, "init") == 0) return cluster_init(boot);
    if (strcmp(commands[command].noun, "cert") == 0) return cluster_cert_issue(boot);
    if (strcmp(commands[command].noun, "coord") == 0) return cluster_access(boot);
    if (strcmp(commands[command].verb, "list") == 0) return cluster_ca_list(boot, json);
    return cluster_ca_change(boot, commands[command].verb, id);
}

int cluster_run(int count, char **words, bool json)
{
    char problem[BOOT_PROBLEM_BYTES] = "", usage[USAGE_BYTES];
    struct boot *boot;
    int used = 0, command = find(count, words, &used);
    const char *id = NULL;
    if (command >= 0 && commands[command].has_id && count > used && words[used][0] != '-') {
        id = words[used++];
    }
    if (command < 0 || (commands[command].has_id && id == NULL)) {
        fprintf(stderr, "usage: godwitctl COMMAND [--help], one of\n");
        cluster_usage(true);
        return CLIENT_USAGE;
    }
    /* The last word of the command stands where boot_read() looks for the program's name. */
    const struct boot_input input = { commands[command].options, commands[command].options_count,
                                      count - used + 1, words + used - 1, environ };
    struct err err = boot_read(&input, &boot, problem);
    if (err.code == ERR_NOT_FOUND) {
        struct buf out;
        buf_init(&out, usage, sizeof(usage));
        boot_usage(&input, &out);
        printf("%.*s", (int)out.len, usage);
        return CLIENT_OK;
    }
    if (err.code != ERR_OK) {
        fprintf(stderr, "godwitctl cluster: %s\n", problem);
        return CLIENT_USAGE;
    }
    int status = run(command, boot, id, json);
    boot_free(boot);
    return status;
}
