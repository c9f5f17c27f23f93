#include "certificate.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 1024, SECONDS_A_DAY = 86400 };

/* "DNS:mail.example.org,IP:127.0.0.1" */
static void alternative_names(const char *const *names, unsigned count, char *to, size_t size)
{
    unsigned char ip[16];
    size_t at = 0;
    to[0] = '\0';
    for (unsigned i = 0; i < count && at < size; i++) {
        bool is_ip = inet_pton(AF_INET, names[i], ip) == 1 || inet_pton(AF_INET6, names[i], ip) == 1;
        int n = snprintf(to + at, size - at, "%s%s:%s", i == 0 ? "" : ",", is_ip ? "IP" : "DNS",
                         names[i]);
        at += n > 0 ? (size_t)n : 0;
    }
}

static bool add_extension(X509 *cert, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static X509 *make(EVP_PKEY *key, const char *const *names, unsigned count)
{
    char alternatives[2048];
    unsigned char serial[16];
    X509 *cert = X509_new();
    BIGNUM *number = NULL;
    bool ok = cert != NULL && RAND_bytes(serial, sizeof(serial)) == 1;
    serial[0] &= 0x7f;
    if (ok) number = BN_bin2bn(serial, sizeof(serial), NULL);
    alternative_names(names, count, alternatives, sizeof(alternatives));
    ok = ok && number != NULL && X509_set_version(cert, 2) == 1 &&
         BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL &&
         X509_gmtime_adj(X509_getm_notBefore(cert), -SECONDS_A_DAY) != NULL &&
         X509_gmtime_adj(X509_getm_notAfter(cert), (long)CERTIFICATE_DAYS * SECONDS_A_DAY) != NULL &&
         X509_set_pubkey(cert, key) == 1;
    if (ok) {
        X509_NAME *name = X509_get_subject_name(cert);
        const unsigned char *text = (const unsigned char *)names[0];
        ok = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, text, -1, -1, 0) == 1 &&
             X509_set_issuer_name(cert, name) == 1 &&
             add_extension(cert, NID_subject_alt_name, alternatives) &&
             add_extension(cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
             add_extension(cert, NID_key_usage, "critical,digitalSignature,keyCertSign") &&
             add_extension(cert, NID_ext_key_usage, "serverAuth") &&
             add_extension(cert, NID_subject_key_identifier, "hash") &&
             X509_sign(cert, key, EVP_sha256()) > 0;
    }
    BN_free(number);
    if (!ok) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

/* Writes what is in the BIO to a new file and moves it to its place. */
static struct err write_bio(BIO *bio, const char *path, mode_t mode)
{
    char new_path[PATH_BYTES + 8];
    char *bytes;
    long len = BIO_get_mem_data(bio, &bytes);
    snprintf(new_path, sizeof(new_path), "%s.new", path);
    unlink(new_path);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return err_make_detail(ERR_IO, errno, "write a certificate");
    bool ok = fchmod(fd, mode) == 0 && write(fd, bytes, (size_t)len) == len && fsync(fd) == 0;
    int number = errno;
    close(fd);
    if (!ok || rename(new_path, path) != 0) {
        unlink(new_path);
        return err_make_detail(ERR_IO, number, "write a certificate");
    }
    return err_ok();
}

struct err certificate_self_signed(const char *const *names, unsigned names_count,
                                   const char *cert_path, const char *key_path)
{
    if (names_count == 0 || names_count > CERTIFICATE_NAMES_MAX) {
        return err_make(ERR_TOO_BIG, "names of a certificate");
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = key == NULL ? NULL : make(key, names, names_count);
    BIO *key_bio = BIO_new(BIO_s_mem()), *cert_bio = BIO_new(BIO_s_mem());
    struct err err = err_make(ERR_NOMEM, "make a certificate");
    if (cert != NULL && key_bio != NULL && cert_bio != NULL &&
        PEM_write_bio_PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        PEM_write_bio_X509(cert_bio, cert) == 1) {
        err = write_bio(key_bio, key_path, 0600);
        if (err.code == ERR_OK) err = write_bio(cert_bio, cert_path, 0644);
    }
    BIO_free(key_bio);
    BIO_free(cert_bio);
    X509_free(cert);
    EVP_PKEY_free(key);
    return err;
}
