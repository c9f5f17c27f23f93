/* The configuration store as these commands use it, and the key-encryption keys. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot.h"
#include "buf.h"
#include "cluster_private.h"
#include "coord.h"
#include "loop.h"
#include "rpc.h"

struct err cluster_problem(char problem[CLUSTER_PROBLEM_BYTES], struct err err, const char *about)
{
    snprintf(problem, CLUSTER_PROBLEM_BYTES, "%.300s: %.100s: %.60s%s%.40s", about, err.what,
             err_text(err), err.code == ERR_IO && err.detail > 0 ? ": " : "",
             err.code == ERR_IO && err.detail > 0 ? strerror(err.detail) : "");
    return err;
}

static struct err read_meta(struct cluster *cluster)
{
    struct coord_row row;
    uint8_t id[RPC_CLUSTER_BYTES];
    if (!coord_get(cluster->coord, SPAN("meta"), &row)) return err_ok();
    json_t *json = json_loadb(row.value.ptr, row.value.len, 0, NULL);
    const char *text = json_string_value(json_object_get(json, "cluster"));
    json_int_t number = json_integer_value(json_object_get(json, "incarnation"));
    struct err err = err_make(ERR_CORRUPT, "row `meta`");
    if (text != NULL && number > 0 && number <= UINT32_MAX &&
        rpc_cluster_parse(span_of(text, strlen(text)), id)) {
        snprintf(cluster->id, sizeof(cluster->id), "%s", text);
        cluster->incarnation = (unsigned)number;
        err = err_ok();
    }
    json_decref(json);
    return err;
}

static struct err read_authorities(struct cluster *cluster)
{
    struct coord_row row;
    if (!coord_get(cluster->coord, SPAN("certs/ca"), &row)) return err_ok();
    cluster->authorities_revision = row.revision;
    return authorities_read(row.value, &cluster->authorities);
}

const char *cluster_store_name(const struct coord_options *store)
{
    return store->endpoints_count > 0 ? store->endpoints[0] : store->directory;
}

struct err cluster_open(struct cluster *cluster, const struct coord_options *store,
                        const char *kek_file, char problem[CLUSTER_PROBLEM_BYTES])
{
    memset(cluster, 0, sizeof(*cluster));
    cluster->store = *store;
    if (access(kek_file, R_OK) != 0) {
        snprintf(problem, CLUSTER_PROBLEM_BYTES, "%.300s: %s", kek_file, strerror(errno));
        return err_make_detail(ERR_IO, errno, "key-encryption keys");
    }
    struct err err = sealed_keys_load(kek_file, &cluster->keys);
    if (err.code != ERR_OK) return cluster_problem(problem, err, kek_file);
    err = loop_new(&cluster->loop);
    if (err.code == ERR_OK) err = coord_open_options(cluster->loop, store, &cluster->coord);
    if (err.code == ERR_OK) err = read_meta(cluster);
    if (err.code == ERR_OK) err = read_authorities(cluster);
    if (err.code == ERR_OK) return err;
    cluster_close(cluster);
    return cluster_problem(problem, err, cluster_store_name(store));
}

struct err cluster_open_founded(struct cluster *cluster, const struct boot *boot,
                                char problem[CLUSTER_PROBLEM_BYTES])
{
    struct coord_options store;
    struct err err = coord_boot_read(boot, &store);
    if (err.code != ERR_OK) return cluster_problem(problem, err, "--etcd");
    TRY(cluster_open(cluster, &store, boot_text(boot, "kek-file"), problem));
    if (cluster->id[0] != '\0' && cluster->authorities.count > 0) return err_ok();
    cluster_close(cluster);
    snprintf(problem, CLUSTER_PROBLEM_BYTES, "%.300s: there is no cluster in this store; "
             "`godwitctl cluster init` makes one", cluster_store_name(&store));
    return err_make(ERR_NOT_FOUND, "cluster");
}

void cluster_close(struct cluster *cluster)
{
    coord_close(cluster->coord);
    if (cluster->loop != NULL) {
        loop_run(cluster->loop);
        loop_free(cluster->loop);
    }
    sealed_keys_clear(&cluster->keys);
    cluster->coord = NULL;
    cluster->loop = NULL;
}

struct err cluster_put(const struct cluster *cluster, const char *key, struct span value,
                       uint64_t revision)
{
    struct coord_row row = { span_of(key, strlen(key)), value, revision };
    return coord_put_options(&cluster->store, &row);
}

struct err cluster_put_authorities(const struct cluster *cluster)
{
    struct buf text;
    char *bytes = malloc(AUTHORITIES_MAX_BYTES);
    if (bytes == NULL) return err_make(ERR_NOMEM, "authorities of the cluster");
    buf_init(&text, bytes, AUTHORITIES_MAX_BYTES);
    struct err err = authorities_write(&cluster->authorities, &text);
    if (err.code == ERR_OK) {
        err = cluster_put(cluster, "certs/ca", buf_span(&text), cluster->authorities_revision);
    }
    free(bytes);
    return err;
}
