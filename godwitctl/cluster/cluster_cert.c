/* A program's three files: made, and made again before they are of no use any more. */
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "buf.h"
#include "certificate.h"
#include "client.h"
#include "clock.h"
#include "file.h"
#include "cluster_private.h"
#include "rpc.h"

enum { PATH_BYTES = 4096, FILE_MAX_BYTES = AUTHORITIES_MAX * AUTHORITY_CERT_MAX_BYTES };
#define ETCD_ROLE "etcd"
#define DAY_MS (24 * 3600 * UINT64_C(1000))

/* What is to be there. */
struct wish {
    const char *out, *user;
    enum rpc_role role; /* 0: a member of etcd, who is nobody to our programs */
    const char *names[CERTIFICATE_NAMES_MAX]; /* NAME, then the hosts */
    unsigned names_count;
    unsigned days, renew_days;
    uid_t uid; /* 0: the files stay ours */
    gid_t gid;
};

struct made {
    char uri[RPC_URI_MAX_BYTES + 1];
    char bundle[FILE_MAX_BYTES];
    size_t bundle_len;
    struct certificate_options options;
};

static struct err refuse(char problem[CLUSTER_PROBLEM_BYTES], enum err_code code, const char *about,
                         const char *why)
{
    snprintf(problem, CLUSTER_PROBLEM_BYTES, "%.300s: %.200s", about, why);
    return err_make(code, "certificate of a program");
}

/* ---- options */

static struct err take_user(const char *user, struct wish *wish,
                            char problem[CLUSTER_PROBLEM_BYTES])
{
    if (user[0] == '\0' || geteuid() != 0) return err_ok();
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) return refuse(problem, ERR_SYNTAX, user, "there is no such user");
    wish->uid = entry->pw_uid;
    wish->gid = entry->pw_gid;
    return err_ok();
}

static struct err take_wish(const struct boot *boot, struct wish *wish,
                            char problem[CLUSTER_PROBLEM_BYTES])
{
    const char *role = boot_text(boot, "role"), *name = boot_text(boot, "name");
    uint64_t days = boot_number(boot, "days"), renew = boot_number(boot, "renew-before");
    wish->out = boot_text(boot, "out");
    wish->role = rpc_role_of(span_of(role, strlen(role)));
    if (wish->role == 0 && strcmp(role, ETCD_ROLE) != 0) {
        return refuse(problem, ERR_SYNTAX, role,
                      "--role is frontend, storage-node, scanner, router, operator or etcd");
    }
    if (!rpc_name_fits(span_of(name, strlen(name)))) {
        return refuse(problem, ERR_SYNTAX, name, "--name is 1 to 63 of a-z 0-9 - .");
    }
    if (days == 0 || days > AUTHORITY_DAYS) {
        return refuse(problem, ERR_SYNTAX, boot_text(boot, "name"), "--days is from 1 to 3650");
    }
    if (renew >= days) {
        return refuse(problem, ERR_SYNTAX, name, "--renew-before is less than --days");
    }
    if (strlen(wish->out) > PATH_BYTES - 16) {
        return refuse(problem, ERR_SYNTAX, "--out", "too long");
    }
    wish->days = (unsigned)days;
    wish->renew_days = (unsigned)renew;
    wish->names[wish->names_count++] = name;
    for (size_t i = 0; i < boot_list_count(boot, "host"); i++) {
        if (wish->names_count == CERTIFICATE_NAMES_MAX) {
            return refuse(problem, ERR_SYNTAX, "--host", "15 at most");
        }
        wish->names[wish->names_count++] = boot_list(boot, "host", i);
    }
    return take_user(boot_text(boot, "user"), wish, problem);
}

/* ---- what is there */

static void file_path(const struct wish *wish, const char *name, char to[PATH_BYTES])
{
    snprintf(to, PATH_BYTES, "%s/%s", wish->out, name);
}

static struct span read_file(const struct wish *wish, const char *name, char to[FILE_MAX_BYTES])
{
    char path[PATH_BYTES];
    file_path(wish, name, path);
    size_t len;
    struct err err = file_read(path, to, FILE_MAX_BYTES, &len);
    return span_of(to, err.code == ERR_OK ? len : 0);
}

/* Whether the files are as they would be made now, and good for long enough. */
static bool is_good(const struct wish *wish, const struct made *made, uint64_t *until_ms)
{
    static char bytes[FILE_MAX_BYTES];
    char path[PATH_BYTES];
    struct certificate_facts facts;
    struct span bundle = span_of(made->bundle, made->bundle_len);
    file_path(wish, "key.pem", path);
    if (access(path, F_OK) != 0) return false;
    if (!span_eq(read_file(wish, "ca.pem", bytes), bundle)) return false;
    struct span cert = read_file(wish, "cert.pem", bytes);
    if (!certificate_is(cert, &made->options, bundle)) return false;
    if (certificate_look(cert, &facts).code != ERR_OK) return false;
    uint64_t life_days = (facts.until_ms - facts.from_ms) / DAY_MS;
    uint64_t left_ms = wish->renew_days == 0 ? life_days * DAY_MS / 3 : wish->renew_days * DAY_MS;
    *until_ms = facts.until_ms;
    return facts.until_ms > clock_wall_ms() + left_ms;
}

/* ---- making it */

/* No longer than the authority itself is good. */
static struct err life(const struct cluster *cluster, const struct wish *wish, struct made *made,
                       char problem[CLUSTER_PROBLEM_BYTES])
{
    struct certificate_facts facts;
    const struct authority *issuer = authorities_issuer(&cluster->authorities);
    TRY(certificate_look(span_of(issuer->cert, strlen(issuer->cert)), &facts));
    uint64_t now_ms = clock_wall_ms();
    uint64_t days = facts.until_ms > now_ms ? (facts.until_ms - now_ms) / DAY_MS : 0;
    if (days == 0) {
        return refuse(problem, ERR_DENIED, "the authority that signs",
                      "has expired; see `godwitctl cluster ca`");
    }
    made->options.days = days < wish->days ? (unsigned)days : wish->days;
    return err_ok();
}

/* The name in a certificate. That of a member of etcd is none that our programs take. */
static struct err put_uri(const struct cluster *cluster, const struct wish *wish, struct made *made,
                          char problem[CLUSTER_PROBLEM_BYTES])
{
    struct rpc_name name = { .role = wish->role };
    name.name = span_of(wish->names[0], strlen(wish->names[0]));
    if (!rpc_cluster_parse(span_of(cluster->id, strlen(cluster->id)), name.cluster)) {
        return refuse(problem, ERR_CORRUPT, cluster->id, "no id of a cluster");
    }
    if (wish->role != 0) return rpc_name_put(&name, made->uri);
    snprintf(made->uri, sizeof(made->uri), "godwit://%s/" ETCD_ROLE "/%.*s", cluster->id,
             (int)name.name.len, name.name.ptr);
    return err_ok();
}

static struct err plan(const struct cluster *cluster, const struct wish *wish, struct made *made,
                       char problem[CLUSTER_PROBLEM_BYTES])
{
    struct buf bundle;
    TRY(put_uri(cluster, wish, made, problem));
    buf_init(&bundle, made->bundle, sizeof(made->bundle));
    authorities_bundle(&cluster->authorities, &bundle);
    made->bundle_len = bundle.len;
    made->options = (struct certificate_options){ .kind = CERTIFICATE_MEMBER, .names = wish->names,
                                                  .names_count = wish->names_count,
                                                  .uri = made->uri };
    return life(cluster, wish, made, problem);
}

static struct err give_away(const struct wish *wish, char problem[CLUSTER_PROBLEM_BYTES])
{
    static const char *const names[] = { "", "ca.pem", "cert.pem", "key.pem" };
    char path[PATH_BYTES];
    for (size_t i = 0; wish->uid != 0 && i < sizeof(names) / sizeof(names[0]); i++) {
        file_path(wish, names[i], path);
        if (chown(path, wish->uid, wish->gid) != 0) {
            return refuse(problem, ERR_IO, path, strerror(errno));
        }
    }
    return err_ok();
}

/* What is trusted first, so that nobody has a certificate that he would not take himself. */
static struct err write_files(const struct wish *wish, const struct made *made,
                              const struct certificate *certificate,
                              char problem[CLUSTER_PROBLEM_BYTES])
{
    char ca[PATH_BYTES], cert[PATH_BYTES], key[PATH_BYTES];
    if (mkdir(wish->out, 0755) != 0 && errno != EEXIST) {
        return refuse(problem, ERR_IO, wish->out, strerror(errno));
    }
    file_path(wish, "ca.pem", ca);
    file_path(wish, "cert.pem", cert);
    file_path(wish, "key.pem", key);
    struct err err = certificate_write_pem(span_of(made->bundle, made->bundle_len), ca);
    if (err.code == ERR_OK) err = certificate_write(certificate, cert, key);
    if (err.code != ERR_OK) return cluster_problem(problem, err, wish->out);
    return give_away(wish, problem);
}

static void say(const struct made *made, const char *what, uint64_t until_ms)
{
    char until[32];
    struct tm parts;
    time_t seconds = (time_t)(until_ms / 1000);
    gmtime_r(&seconds, &parts);
    strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &parts);
    printf("%s: %s, good until %s\n", made->uri, what, until);
    fflush(stdout);
}

static struct err make_files(const struct cluster *cluster, const struct wish *wish,
                             char problem[CLUSTER_PROBLEM_BYTES])
{
    static struct made made; /* too large for a stack */
    struct certificate certificate;
    struct certificate_facts facts = { .until_ms = 0 };
    uint64_t until_ms = 0;
    made.uri[0] = '\0';
    TRY(plan(cluster, wish, &made, problem));
    if (is_good(wish, &made, &until_ms)) {
        say(&made, "is there", until_ms);
        return err_ok();
    }
    struct err err =
        authorities_issue(&cluster->authorities, &cluster->keys, &made.options, &certificate);
    if (err.code != ERR_OK) return cluster_problem(problem, err, "the authority that signs");
    err = write_files(wish, &made, &certificate, problem);
    if (err.code == ERR_OK) {
        err = certificate_look(span_of(certificate.cert, certificate.cert_len), &facts);
    }
    if (err.code == ERR_OK) say(&made, "made", facts.until_ms);
    certificate_free(&certificate);
    return err;
}

static struct err issue(const struct boot *boot, const struct wish *wish,
                        char problem[CLUSTER_PROBLEM_BYTES])
{
    static struct cluster cluster;
    TRY(cluster_open_founded(&cluster, boot, problem));
    snprintf(problem, CLUSTER_PROBLEM_BYTES, "it can't be made");
    struct err err = make_files(&cluster, wish, problem);
    cluster_close(&cluster);
    return err;
}

/* Until told to end; what goes wrong is said and tried again the next time. */
static int keep(const struct boot *boot, const struct wish *wish)
{
    char problem[CLUSTER_PROBLEM_BYTES];
    const struct timespec pause = { (time_t)boot_number(boot, "keep-every"), 0 };
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    for (;;) {
        int number = sigtimedwait(&signals, NULL, &pause);
        if (number == SIGINT || number == SIGTERM) return CLIENT_OK;
        if (issue(boot, wish, problem).code == ERR_OK) continue;
        fprintf(stderr, "godwitctl cluster cert: %s\n", problem);
    }
}

int cluster_cert_issue(const struct boot *boot)
{
    struct wish wish = { .names_count = 0 };
    char problem[CLUSTER_PROBLEM_BYTES];
    uint64_t every = boot_number(boot, "keep-every");
    struct err err = take_wish(boot, &wish, problem);
    if (err.code == ERR_OK && (every == 0 || every > 30 * 86400)) {
        err = refuse(problem, ERR_SYNTAX, "--keep-every", "seconds from 1 to 2592000");
    }
    bool usage = err.code != ERR_OK;
    if (!usage) err = issue(boot, &wish, problem);
    if (err.code == ERR_OK) return boot_switch(boot, "keep") ? keep(boot, &wish) : CLIENT_OK;
    fprintf(stderr, "godwitctl cluster cert: %s\n", problem);
    return usage ? CLIENT_USAGE : CLIENT_REFUSED;
}
