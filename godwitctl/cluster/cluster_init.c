/* Founding a cluster: what its configuration store has before anybody starts. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "boot.h"
#include "buf.h"
#include "client.h"
#include "cluster_private.h"
#include "digest.h"
#include "file.h"
#include "id.h"
#include "json_text.h"
#include "rpc.h"

enum { VALUE_BYTES = 1024, TOKEN_BYTES = 40, TOKEN_MAX_BYTES = 256, SHARDS_MAX = 4096 };

/* A row that stays as it is when it is there. */
static struct err put_missing(const struct cluster *cluster, const char *key, const char *value)
{
    struct err err = cluster_put(cluster, key, span_of(value, strlen(value)), 0);
    return err.code == ERR_CONFLICT ? err_ok() : err;
}

static struct err put_meta(struct cluster *cluster, const struct cluster_founding *founding)
{
    char value[VALUE_BYTES];
    uint8_t id[RPC_CLUSTER_BYTES];
    if (cluster->id[0] != '\0') return err_ok();
    if (founding->cluster != NULL) {
        snprintf(cluster->id, sizeof(cluster->id), "%s", founding->cluster);
    } else {
        id_random(id, sizeof(id));
        id_hex(id, sizeof(id), cluster->id);
        cluster->id[2 * sizeof(id)] = '\0';
    }
    cluster->incarnation = founding->incarnation == 0 ? 1 : founding->incarnation;
    snprintf(value, sizeof(value), "{\"cluster\":\"%s\",\"incarnation\":%u,\"format\":1}",
             cluster->id, cluster->incarnation);
    return cluster_put(cluster, "meta", span_of(value, strlen(value)), 0);
}

static struct err put_authority(struct cluster *cluster)
{
    if (cluster->authorities.count > 0) return err_ok();
    struct span id = span_of(cluster->id, strlen(cluster->id));
    TRY(authorities_add(&cluster->authorities, id, &cluster->keys));
    struct err err = cluster_put_authorities(cluster);
    return err.code == ERR_CONFLICT ? err_ok() : err; /* another start was quicker */
}

struct err cluster_map(unsigned shards, const char *node, char to[CLUSTER_MAP_BYTES])
{
    char head[64];
    struct buf out;
    snprintf(head, sizeof(head), "{\"version\":1,\"shards\":%u,\"node\":", shards);
    buf_init(&out, to, CLUSTER_MAP_BYTES);
    buf_put(&out, span_of(head, strlen(head)));
    json_text_put(&out, span_of(node, strlen(node)));
    buf_put(&out, span_of("}", 2));
    return out.overflow ? err_make(ERR_TOO_BIG, "address of the storage node") : err_ok();
}

static struct err put_rows(const struct cluster *cluster, const struct cluster_founding *founding)
{
    char value[CLUSTER_MAP_BYTES], key[16 + 2 * DIGEST_BYTES] = "tokens/";
    uint8_t digest[DIGEST_BYTES];
    TRY(put_missing(cluster, "tenants/default", "{\"id\":1,\"name\":\"default\"}"));
    if (founding->node != NULL) {
        TRY(cluster_map(founding->shards, founding->node, value));
        TRY(put_missing(cluster, "map/head", value));
    }
    if (founding->token == NULL) return err_ok();
    TRY(digest_sha256(span_of(founding->token, strlen(founding->token)), digest));
    id_hex(digest, sizeof(digest), key + strlen("tokens/"));
    key[strlen("tokens/") + 2 * DIGEST_BYTES] = '\0';
    return put_missing(cluster, key, "{\"role\":\"operator\",\"tenant\":0}");
}

static struct err found(struct cluster *cluster, const struct cluster_founding *founding)
{
    if (cluster->id[0] != '\0' && founding->cluster != NULL &&
        strcmp(cluster->id, founding->cluster) != 0) {
        return err_make(ERR_CONFLICT, "the store is of another cluster");
    }
    TRY(put_meta(cluster, founding));
    TRY(put_authority(cluster));
    return put_rows(cluster, founding);
}

struct err cluster_found(const struct cluster_founding *founding, char id[CLUSTER_ID_BYTES],
                         char problem[CLUSTER_PROBLEM_BYTES])
{
    struct cluster cluster;
    struct sealed_keys keys;
    struct err err = sealed_keys_load(founding->kek_file, &keys); /* makes it */
    if (err.code != ERR_OK) return cluster_problem(problem, err, founding->kek_file);
    sealed_keys_clear(&keys);
    TRY(cluster_open(&cluster, founding->store, founding->kek_file, problem));
    err = found(&cluster, founding);
    memcpy(id, cluster.id, CLUSTER_ID_BYTES);
    cluster_close(&cluster);
    return err.code == ERR_OK ? err
                              : cluster_problem(problem, err, cluster_store_name(founding->store));
}

/* ---- the command */

static int complain(const char *what, const char *why)
{
    fprintf(stderr, "godwitctl cluster init: %s: %s\n", what, why);
    return CLIENT_REFUSED;
}

/* The token of a file; one is made when there is no file. */
static bool token_of(const char *path, char to[TOKEN_MAX_BYTES])
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    uint8_t random[TOKEN_BYTES];
    size_t len;
    struct err err = file_read(path, to, TOKEN_MAX_BYTES - 1, &len);
    if (err.code == ERR_OK) {
        to[len] = '\0';
        to[strcspn(to, "\r\n")] = '\0';
        return to[0] != '\0';
    }
    if (err.code != ERR_NOT_FOUND) return false;
    id_random(random, sizeof(random));
    for (size_t i = 0; i < TOKEN_BYTES; i++) to[i] = letters[random[i] % (sizeof(letters) - 1)];
    to[TOKEN_BYTES] = '\0';
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool good = fd >= 0 && write(fd, to, TOKEN_BYTES) == TOKEN_BYTES && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    return good;
}

int cluster_init(const struct boot *boot)
{
    char token[TOKEN_MAX_BYTES], id[CLUSTER_ID_BYTES], problem[CLUSTER_PROBLEM_BYTES];
    uint8_t bytes[RPC_CLUSTER_BYTES];
    const char *node = boot_text(boot, "node"), *cluster = boot_text(boot, "cluster-id");
    const char *token_file = boot_text(boot, "token-file");
    uint64_t shards = boot_number(boot, "shards"), incarnation = boot_number(boot, "incarnation");
    struct boot_address address;
    if (shards == 0 || shards > SHARDS_MAX) return complain("--shards", "a number from 1 to 4096");
    if (incarnation == 0 || incarnation > UINT32_MAX) {
        return complain("--incarnation", "a number from 1 to 4294967295");
    }
    if (cluster[0] != '\0' && !rpc_cluster_parse(span_of(cluster, strlen(cluster)), bytes)) {
        return complain("--cluster-id", "32 digits 0-9 a-f, not all 0");
    }
    if (node[0] != '\0' && (!boot_address_parse(span_of(node, strlen(node)), &address) ||
                            address.host.len == 0 || strpbrk(node, "\"\\") != NULL)) {
        return complain("--node", "unix:/path, ip:port or name:port");
    }
    if (token_file[0] != '\0' && !token_of(token_file, token)) {
        return complain(token_file, "no token can be read from it or written to it");
    }
    struct coord_options store;
    if (coord_boot_read(boot, &store).code != ERR_OK)
        return complain("--etcd", "too many endpoints");
    const struct cluster_founding founding = {
        .store = &store,
        .kek_file = boot_text(boot, "kek-file"),
        .node = node[0] == '\0' ? NULL : node,
        .shards = (unsigned)shards,
        .token = token_file[0] == '\0' ? NULL : token,
        .cluster = cluster[0] == '\0' ? NULL : cluster,
        .incarnation = (unsigned)incarnation,
    };
    if (cluster_found(&founding, id, problem).code != ERR_OK) {
        fprintf(stderr, "godwitctl cluster init: %s\n", problem);
        return CLIENT_REFUSED;
    }
    printf("%s\n", id);
    return CLIENT_OK;
}
