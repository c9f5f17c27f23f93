/* The three files, from the disk to a pair of TLS contexts. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "certificate.h"
#include "clock.h"
#include "digest.h"
#include "file.h"
#include "member_private.h"
#include "tls.h"

enum { CA, CERT, KEY, FILES };

static const char *const names[FILES] = { [CA] = "ca.pem", [CERT] = "cert.pem", [KEY] = "key.pem" };

struct files {
    char *bytes[FILES];
    size_t len[FILES];
};

static struct span file_span(const struct files *files, unsigned which)
{
    return span_of(files->bytes[which], files->len[which]);
}

static struct err refuse(char problem[MEMBER_PROBLEM_BYTES], enum err_code code, const char *what,
                         const char *about)
{
    snprintf(problem, MEMBER_PROBLEM_BYTES, "%.300s: %.180s", about, what);
    return err_make(code, "certificate files");
}

static struct err read_file(const char *path, char **ret, size_t *ret_len,
                            char problem[MEMBER_PROBLEM_BYTES])
{
    *ret = malloc(MEMBER_FILE_MAX_BYTES);
    if (*ret == NULL) return refuse(problem, ERR_NOMEM, "out of memory", path);
    struct err err = file_read(path, *ret, MEMBER_FILE_MAX_BYTES, ret_len);
    if (err.code == ERR_OK) return err;
    if (err.code == ERR_TOO_BIG) return refuse(problem, err.code, "larger than 256 KiB", path);
    return refuse(problem, ERR_IO, strerror(err.detail), path);
}

static void files_free(struct files *files)
{
    for (unsigned i = 0; i < FILES; i++) {
        if (files->bytes[i] != NULL) explicit_bzero(files->bytes[i], files->len[i]);
        free(files->bytes[i]);
    }
}

static struct err files_read(const struct member *member, struct files *files,
                             char problem[MEMBER_PROBLEM_BYTES])
{
    char path[MEMBER_PATH_MAX_BYTES + 16];
    for (unsigned i = 0; i < FILES; i++) {
        snprintf(path, sizeof(path), "%s/%s", member->certs, names[i]);
        TRY(read_file(path, &files->bytes[i], &files->len[i], problem));
    }
    return err_ok();
}

static struct err files_digest(const struct files *files, uint8_t ret[DIGEST_BYTES])
{
    uint8_t each[FILES][DIGEST_BYTES];
    for (unsigned i = 0; i < FILES; i++) TRY(digest_sha256(file_span(files, i), each[i]));
    return digest_sha256(span_of(each, sizeof(each)), ret);
}

/* ---- what the certificate says */

static struct err check(const struct member *member, const struct files *files,
                        struct certificate_facts *facts, struct rpc_name *name,
                        char problem[MEMBER_PROBLEM_BYTES])
{
    char why[128];
    uint8_t cluster[RPC_CLUSTER_BYTES];
    uint32_t incarnation;
    if (certificate_look(file_span(files, CERT), facts).code != ERR_OK) {
        return refuse(problem, ERR_SYNTAX, "no certificate in PEM", names[CERT]);
    }
    struct span uri = span_of(facts->uri, strlen(facts->uri));
    if (rpc_name_parse(uri, name).code != ERR_OK) {
        return refuse(problem, ERR_DENIED, "has no URI like godwit://CLUSTER/ROLE/NAME",
                      names[CERT]);
    }
    if (name->role != member->role) {
        struct span theirs = rpc_role_text(name->role), ours = rpc_role_text(member->role);
        snprintf(why, sizeof(why), "is for a %.*s, and this is a %.*s", (int)theirs.len, theirs.ptr,
                 (int)ours.len, ours.ptr);
        return refuse(problem, ERR_DENIED, why, names[CERT]);
    }
    rpc_self_cluster(member->self, cluster, &incarnation);
    if (rpc_cluster_is_known(cluster) && memcmp(cluster, name->cluster, sizeof(cluster)) != 0) {
        return refuse(problem, ERR_DENIED, "is of another cluster", names[CERT]);
    }
    uint64_t now_ms = clock_wall_ms();
    if (facts->until_ms <= now_ms) return refuse(problem, ERR_DENIED, "has expired", names[CERT]);
    if (facts->from_ms > now_ms) {
        return refuse(problem, ERR_DENIED, "is not valid yet", names[CERT]);
    }
    if (!certificate_is_signed_by(file_span(files, CERT), file_span(files, CA))) {
        return refuse(problem, ERR_DENIED, "no authority in ca.pem has signed it", names[CERT]);
    }
    return err_ok();
}

static struct err contexts(const struct files *files, struct tls_context *ret[2],
                           char problem[MEMBER_PROBLEM_BYTES])
{
    const struct tls_certificate certificate = { file_span(files, CERT), file_span(files, KEY) };
    struct tls_options options = { .certificates = &certificate, .certificates_count = 1,
                                   .verify = TLS_VERIFY_REQUIRED, .ca = file_span(files, CA),
                                   .min = TLS_MIN_1_3, .bulk = true }; /* both ends are ours */
    struct err err = tls_context_new(&options, &ret[0]);
    options.client = true;
    if (err.code == ERR_OK) err = tls_context_new(&options, &ret[1]);
    if (err.code == ERR_OK) return err;
    return refuse(problem, err.code, "can't be used or do not fit each other",
                  err.detail == 0 ? names[CA] : "cert.pem and key.pem");
}

static struct err use(struct member *member, const struct files *files,
                      char problem[MEMBER_PROBLEM_BYTES])
{
    struct certificate_facts facts;
    struct rpc_name name;
    struct tls_context *made[2] = { NULL, NULL };
    uint8_t cluster[RPC_CLUSTER_BYTES];
    uint32_t incarnation;
    TRY(check(member, files, &facts, &name, problem));
    struct err err = contexts(files, made, problem);
    if (err.code == ERR_OK) {
        rpc_self_set_tls(member->self, made[0], made[1]);
        rpc_self_cluster(member->self, cluster, &incarnation);
        rpc_self_set_cluster(member->self, name.cluster, incarnation);
        (void)!rpc_name_put(&name, member->name).code;
        member->from_ms = facts.from_ms;
        member->until_ms = facts.until_ms;
    }
    tls_context_unref(made[0]);
    tls_context_unref(made[1]);
    return err;
}

struct err member_load(struct member *member, bool *ret_news, char problem[MEMBER_PROBLEM_BYTES])
{
    struct files files = { .len = { 0 } };
    uint8_t digest[DIGEST_BYTES];
    struct err err = files_read(member, &files, problem);
    if (err.code == ERR_OK) {
        err = files_digest(&files, digest);
        if (err.code != ERR_OK) snprintf(problem, MEMBER_PROBLEM_BYTES, "%s", err_text(err));
    }
    bool news = err.code == ERR_OK && memcmp(digest, member->digest, sizeof(digest)) != 0;
    if (news) err = use(member, &files, problem);
    files_free(&files);
    if (err.code != ERR_OK) return err;
    if (news) memcpy(member->digest, digest, sizeof(digest));
    *ret_news = news;
    return err_ok();
}
