/* What the first start makes, and what every start checks. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "buf.h"
#include "certificate.h"
#include "client.h"
#include "cluster.h"
#include "coord.h"
#include "id.h"
#include "json_text.h"
#include "sealed.h"
#include "up_private.h"

enum {
    SECRET_BYTES = 24,
    PASSWORD_LETTERS = 16,
    SHARDS = 16,
    BODY_BYTES = 8 * 1024,
};

static struct err complain(const char *what, const char *path)
{
    fprintf(stderr, "godwitctl up: %s %s: %s\n", what, path, strerror(errno));
    return err_make_detail(ERR_IO, errno, "bootstrap");
}

/* A folder of the data directory, owned by the programs' user. */
static struct err folder(const struct up *up, const char *name, mode_t mode)
{
    char path[UP_PATH_MAX_BYTES * 2];
    snprintf(path, sizeof(path), "%s/%s", up->data, name);
    struct stat info;
    if (mkdir(path, mode) != 0 && errno != EEXIST) return complain("cannot make", path);
    if (stat(path, &info) != 0) return complain("cannot use", path);
    if (!S_ISDIR(info.st_mode)) {
        errno = ENOTDIR;
        return complain("cannot use", path);
    }
    if (up->uid != 0 && chown(path, up->uid, up->gid) != 0)
        return complain("cannot give away", path);
    return err_ok();
}

/* The programs' user must reach the data directory from the root on. */
static struct err reach(const struct up *up)
{
    if (up->uid == 0) return err_ok();
    struct stat info;
    if (stat(up->data, &info) != 0) return complain("cannot use", up->data);
    if (chown(up->data, up->uid, up->gid) != 0) return complain("cannot give away", up->data);
    return err_ok();
}

static void random_letters(char *to, size_t count)
{
    static const char letters[] = "abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    unsigned char bytes[64];
    id_random(bytes, count);
    for (size_t i = 0; i < count; i++) to[i] = letters[bytes[i] % (sizeof(letters) - 1)];
    to[count] = '\0';
}

/* A secret kept in a file; made when it is not there. */
static struct err secret(const struct up *up, const char *name, char value[UP_SECRET_MAX_BYTES],
                         bool *made)
{
    char path[UP_PATH_MAX_BYTES * 2];
    snprintf(path, sizeof(path), "%s/secret/%s", up->data, name);
    struct err err = up_file_read(path, value);
    *made = err.code == ERR_NOT_FOUND;
    if (!*made) return err;
    random_letters(value, strcmp(name, "api.token") == 0 ? 40 : PASSWORD_LETTERS);
    return up_file_write(path, value, 0600);
}

/* What a new cluster's store has: this node is a cluster of one. */
static struct err configuration(const struct up *up)
{
    char coord[UP_PATH_MAX_BYTES * 2], kek[UP_PATH_MAX_BYTES * 2], node[UP_PATH_MAX_BYTES * 2],
        id[CLUSTER_ID_BYTES], problem[CLUSTER_PROBLEM_BYTES];
    snprintf(coord, sizeof(coord), "%s/coord", up->data);
    snprintf(kek, sizeof(kek), "%s/secret/keys", up->data);
    snprintf(node, sizeof(node), "unix:%s/run/storage-node-1.sock", up->data);
    const struct coord_options store = { .directory = coord };
    const struct cluster_founding founding = { .store = &store, .kek_file = kek, .node = node,
                                               .shards = SHARDS, .token = up->token };
    struct err err = cluster_found(&founding, id, problem);
    if (err.code == ERR_OK) return err;
    fprintf(stderr, "godwitctl up: %s\n", problem);
    return err;
}

/* {name: text, ...} with what stands in the texts escaped; pairs end with a NULL. */
static void put_object(struct buf *out, const char *const *pairs)
{
    buf_put(out, SPAN("{"));
    for (size_t i = 0; pairs[i] != NULL; i += 2) {
        if (i > 0) buf_put(out, SPAN(","));
        json_text_put(out, span_of(pairs[i], strlen(pairs[i])));
        buf_put(out, SPAN(":"));
        json_text_put(out, span_of(pairs[i + 1], strlen(pairs[i + 1])));
    }
    buf_put(out, SPAN("}"));
    buf_put(out, span_of("", 1));
}

/* A data directory that was moved: the map names where it was. */
static struct err follow_move(const struct up *up)
{
    char directory[UP_PATH_MAX_BYTES * 2], node[UP_PATH_MAX_BYTES * 2], value[CLUSTER_MAP_BYTES];
    snprintf(directory, sizeof(directory), "%s/coord", up->data);
    snprintf(node, sizeof(node), "unix:%s/run/storage-node-1.sock", up->data);
    TRY(cluster_map(SHARDS, node, value));
    const struct coord_options store = { .directory = directory };
    struct coord_row row = { SPAN("map/head"), span_of(value, strlen(value)), COORD_ANY };
    return coord_put_options(&store, &row);
}

static struct err certificate(const struct up *up)
{
    char cert[UP_PATH_MAX_BYTES * 2], key[UP_PATH_MAX_BYTES * 2], host[256] = "localhost",
                                                                  mail[300];
    snprintf(cert, sizeof(cert), "%s/tls/cert.pem", up->data);
    snprintf(key, sizeof(key), "%s/tls/key.pem", up->data);
    if (access(cert, F_OK) != 0 || access(key, F_OK) != 0) {
        gethostname(host, sizeof(host) - 1);
        snprintf(mail, sizeof(mail), "mail.%.255s", up->options.domain);
        const char *const names[] = { host,        "localhost", mail, up->options.domain,
                                      "127.0.0.1", "::1" };
        TRY(certificate_self_signed(names, sizeof(names) / sizeof(names[0]), cert, key));
    }
    if (up->uid != 0 && chown(key, up->uid, up->gid) != 0) return complain("cannot give away", key);
    return err_ok();
}

/* The keys that secrets in the configuration are sealed with; made when there are none. */
static struct err keys(const struct up *up)
{
    struct sealed_keys loaded;
    char path[UP_PATH_MAX_BYTES * 2];
    snprintf(path, sizeof(path), "%s/secret/keys", up->data);
    TRY(sealed_keys_load(path, &loaded));
    sealed_keys_clear(&loaded);
    return err_ok();
}

/* The few signatures that come with the programs, unless there are others. */
static struct err signatures(const struct up *up)
{
    char path[UP_PATH_MAX_BYTES * 2];
    snprintf(path, sizeof(path), "%s/signatures/godwit.ndb", up->data);
    if (access(path, F_OK) == 0) return err_ok();
    return up_signatures_write(up->data);
}

struct err up_bootstrap(struct up *up)
{
    static const struct { const char *name; mode_t mode; } folders[] = {
        { "coord", 0750 }, { "store", 0700 }, { "run", 0700 }, { "tls", 0755 },
        { "secret", 0700 }, { "log", 0750 }, { "signatures", 0755 }, { "scan", 0700 },
    };
    char path[UP_PATH_MAX_BYTES * 2];
    bool made_token, made_password;
    struct err err = reach(up);
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && err.code == ERR_OK; i++) {
        err = folder(up, folders[i].name, folders[i].mode);
    }
    if (err.code == ERR_OK) err = certificate(up);
    if (err.code == ERR_OK) err = keys(up);
    if (err.code == ERR_OK) err = signatures(up);
    if (err.code == ERR_OK) err = secret(up, "api.token", up->token, &made_token);
    if (err.code == ERR_OK) err = secret(up, "admin.password", up->admin_password, &made_password);
    if (err.code == ERR_OK) err = configuration(up);
    if (err.code == ERR_OK) err = follow_move(up);
    snprintf(path, sizeof(path), "%s/secret/admin.user", up->data);
    if (err.code == ERR_OK && up_file_read(path, up->admin_user).code != ERR_OK) {
        snprintf(up->admin_user, sizeof(up->admin_user), "admin@%.100s", up->options.domain);
    }
    snprintf(path, sizeof(path), "%s/secret/admin.made", up->data);
    up->first_start = access(path, F_OK) != 0;
    if (err.code != ERR_OK && err.code != ERR_IO) {
        fprintf(stderr, "godwitctl up: %s: %s\n", err.what, err_text(err));
    } else if (err.code != ERR_OK) {
        fprintf(stderr, "godwitctl up: %s failed\n", err.what);
    }
    /* Files that we made as root in the programs' folders. */
    if (err.code == ERR_OK) err = up_give_away(up);
    return err;
}

struct err up_give_away(const struct up *up)
{
    static const char *const names[] = { "coord/data", "coord/lock", "signatures/godwit.hdb",
                                         "signatures/godwit.ndb", "secret/keys" };
    char path[UP_PATH_MAX_BYTES * 2];
    for (size_t i = 0; up->uid != 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", up->data, names[i]);
        if (chown(path, up->uid, up->gid) != 0 && errno != ENOENT) {
            return complain("cannot give away", path);
        }
    }
    return err_ok();
}

static struct err ask(const struct up *up, const char *path, const char *body)
{
    char api[128], *reply = NULL;
    long status = 0;
    snprintf(api, sizeof(api), "http://%s:%u",
             strcmp(up->address, "0.0.0.0") == 0 ? "127.0.0.1" : up->address,
             8080 + up->options.port_offset);
    struct client client = { .api = api, .token = up->token };
    bool reached = client_call(&client, "POST", path, body, &status, &reply);
    bool good = reached && ((status >= 200 && status < 300) || status == 409);
    if (reached && !good) fprintf(stderr, "godwitctl up: %s: %ld %s\n", path, status, reply);
    free(reply);
    return good ? err_ok() : err_make(ERR_UNREACHABLE, "first accounts");
}

struct err up_first_accounts(struct up *up)
{
    char body[BODY_BYTES], path[UP_PATH_MAX_BYTES * 2];
    const char *const domain[] = { "name", up->options.domain, NULL };
    const char *const user[] = { "address",   up->admin_user, "password", up->admin_password,
                                 "full_name", "Administrator", "role",    "admin", NULL };
    struct buf out;
    buf_init(&out, body, sizeof(body));
    put_object(&out, domain);
    if (out.overflow) return err_make(ERR_TOO_BIG, "domain");
    TRY(ask(up, "/api/v1/domains", body));
    buf_init(&out, body, sizeof(body));
    put_object(&out, user);
    if (out.overflow) return err_make(ERR_TOO_BIG, "administrator");
    /* The frontend hears of the domain in a moment. */
    struct err err = err_ok();
    for (int i = 0; i < 50; i++) {
        err = ask(up, "/api/v1/users", body);
        if (err.code == ERR_OK) break;
        usleep(100000);
    }
    if (err.code != ERR_OK) return err;
    snprintf(path, sizeof(path), "%s/secret/admin.user", up->data);
    TRY(up_file_write(path, up->admin_user, 0600));
    snprintf(path, sizeof(path), "%s/secret/admin.made", up->data);
    return up_file_write(path, "", 0600);
}
