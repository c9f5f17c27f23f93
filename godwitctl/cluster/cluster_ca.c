/* The authorities of the cluster: seen and changed. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "boot.h"
#include "certificate.h"
#include "client.h"
#include "cluster_private.h"

enum { TIME_BYTES = 32 };

static void time_text(uint64_t ms, char to[TIME_BYTES])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    gmtime_r(&seconds, &parts);
    strftime(to, TIME_BYTES, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static void print_table(const struct cluster *cluster)
{
    char until[TIME_BYTES];
    printf("ID  USE       UNTIL\n");
    for (unsigned i = 0; i < cluster->authorities.count; i++) {
        const struct authority *at = &cluster->authorities.each[i];
        struct certificate_facts facts = { .until_ms = 0 };
        (void)!certificate_look(span_of(at->cert, strlen(at->cert)), &facts).code;
        time_text(facts.until_ms, until);
        printf("%-3u %-9s %s\n", (unsigned)at->id,
               at->id == cluster->authorities.issuer ? "signs" : "trusted", until);
    }
}

static void print_json(const struct cluster *cluster)
{
    char until[TIME_BYTES];
    json_t *list = json_array();
    for (unsigned i = 0; i < cluster->authorities.count; i++) {
        const struct authority *at = &cluster->authorities.each[i];
        struct certificate_facts facts = { .until_ms = 0 };
        (void)!certificate_look(span_of(at->cert, strlen(at->cert)), &facts).code;
        time_text(facts.until_ms, until);
        json_array_append_new(
            list, json_pack("{s:i,s:b,s:s,s:s}", "id", (int)at->id, "signs",
                            at->id == cluster->authorities.issuer, "until", until, "cert",
                            at->cert));
    }
    char *text = json_dumps(list, JSON_INDENT(2));
    printf("%s\n", text == NULL ? "[]" : text);
    free(text);
    json_decref(list);
}

static int complain(const char *problem)
{
    fprintf(stderr, "godwitctl cluster ca: %s\n", problem);
    return CLIENT_REFUSED;
}

int cluster_ca_list(const struct boot *boot, bool json)
{
    struct cluster cluster;
    char problem[CLUSTER_PROBLEM_BYTES];
    if (cluster_open_founded(&cluster, boot, problem).code != ERR_OK) return complain(problem);
    if (json) print_json(&cluster);
    else print_table(&cluster);
    cluster_close(&cluster);
    return CLIENT_OK;
}

static struct err change(struct cluster *cluster, const char *verb, uint32_t id)
{
    struct authorities *all = &cluster->authorities;
    struct span name = span_of(cluster->id, strlen(cluster->id));
    struct err err = strcmp(verb, "add") == 0   ? authorities_add(all, name, &cluster->keys)
                     : strcmp(verb, "use") == 0 ? authorities_use(all, id)
                                                : authorities_remove(all, id);
    return err.code == ERR_OK ? cluster_put_authorities(cluster) : err;
}

static const char *reason(struct err err)
{
    if (err.code == ERR_TOO_BIG) return "there are 4 authorities already; remove one first";
    if (err.code == ERR_NOT_FOUND) return "there is no such authority; see `cluster ca list`";
    if (err.code == ERR_CONFLICT && strcmp(err.what, "authority that signs") == 0) {
        return "it is the one that signs; let another one do so first, with `cluster ca use`";
    }
    if (err.code == ERR_CONFLICT) return "somebody else has changed them at the same time";
    return err_text(err);
}

int cluster_ca_change(const struct boot *boot, const char *verb, const char *id)
{
    struct cluster cluster;
    char problem[CLUSTER_PROBLEM_BYTES], *end = NULL;
    unsigned long number = id == NULL ? 0 : strtoul(id, &end, 10);
    if (id != NULL && (id[0] < '0' || id[0] > '9' || *end != '\0' || number > INT32_MAX)) {
        snprintf(problem, sizeof(problem), "%.100s: no number of an authority", id);
        return complain(problem);
    }
    if (cluster_open_founded(&cluster, boot, problem).code != ERR_OK) return complain(problem);
    struct err err = change(&cluster, verb, (uint32_t)number);
    if (err.code == ERR_OK) print_table(&cluster);
    cluster_close(&cluster);
    if (err.code == ERR_OK) return CLIENT_OK;
    return complain(reason(err));
}
