#include "certificate.h"

#include <arpa/inet.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <sodium.h>
#include <stdlib.h>

#include "certificate_private.h"
#include "crypto_private.h"

enum { SERIAL_BYTES = 16, COMMON_NAME_MAX_BYTES = 64, VERSION_3 = 2 };

/* ---- names */

/* Letters, digits, hyphens, dots, underscores and a star: nothing that means something else. */
static bool is_dns_name(const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '.' || c == '_' || c == '*';
        if (!fits) return false;
    }
    return len > 0 && len <= CERTIFICATE_NAME_MAX_BYTES;
}

/* The bytes of an address: 4, 16, or 0 when it is none. */
static int ip_of(const char *name, uint8_t ip[16])
{
    if (inet_pton(AF_INET, name, ip) == 1) return 4;
    return inet_pton(AF_INET6, name, ip) == 1 ? 16 : 0;
}

static struct err check_names(const struct certificate_options *options)
{
    uint8_t ip[16];
    if (options->names_count == 0 || options->names_count > CERTIFICATE_NAMES_MAX ||
        options->days == 0 || options->days > CERTIFICATE_DAYS) {
        return err_make(ERR_TOO_BIG, "names or days of a certificate");
    }
    if (options->uri != NULL && strlen(options->uri) > CERTIFICATE_URI_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "URI of a certificate");
    }
    for (unsigned i = 0; i < options->names_count; i++) {
        const char *name = options->names[i];
        if (ip_of(name, ip) == 0 && !is_dns_name(name)) {
            return err_make(ERR_SYNTAX, "name of a certificate");
        }
    }
    return err_ok();
}

/* Adds one name; takes what it makes. */
static bool add_general(GENERAL_NAMES *names, int type, ASN1_STRING *value, const void *bytes,
                        size_t len)
{
    GENERAL_NAME *name = GENERAL_NAME_new();
    if (name == NULL || value == NULL || ASN1_STRING_set(value, bytes, (int)len) != 1) {
        GENERAL_NAME_free(name);
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0) return true;
    GENERAL_NAME_free(name);
    return false;
}

GENERAL_NAMES *certificate_names(const struct certificate_options *options)
{
    uint8_t ip[16];
    GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
    bool ok = names != NULL;
    for (unsigned i = 0; ok && i < options->names_count; i++) {
        const char *name = options->names[i];
        int len = ip_of(name, ip);
        ok = len > 0 ? add_general(names, GEN_IPADD, ASN1_OCTET_STRING_new(), ip, (size_t)len)
                     : add_general(names, GEN_DNS, ASN1_IA5STRING_new(), name, strlen(name));
    }
    if (ok && options->uri != NULL) {
        ok = add_general(names, GEN_URI, ASN1_IA5STRING_new(), options->uri, strlen(options->uri));
    }
    if (ok) return names;
    GENERAL_NAMES_free(names);
    return NULL;
}

static bool add_names(X509 *cert, const struct certificate_options *options)
{
    GENERAL_NAMES *names = certificate_names(options);
    bool ok = names != NULL &&
              X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return ok;
}

/* ---- the certificate */

/* Who signs: for one that is signed by itself, it and its key. */
struct issuer {
    X509 *cert;
    EVP_PKEY *key;
};

static bool add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(cert, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static bool add_uses(X509 *cert, X509 *issuer, enum certificate_kind kind)
{
    static const struct {
        const char *constraints, *use, *purpose;
    } kinds[] = {
        /* A trust anchor as well, so that a client can be told to trust just this one. */
        [CERTIFICATE_SERVER] = { "critical,CA:TRUE,pathlen:0",
                                 "critical,digitalSignature,keyCertSign", "serverAuth" },
        [CERTIFICATE_CA] = { "critical,CA:TRUE,pathlen:0", "critical,keyCertSign,cRLSign", NULL },
        [CERTIFICATE_MEMBER] = { "critical,CA:FALSE", "critical,digitalSignature",
                                 "serverAuth,clientAuth" },
    };
    return add_extension(cert, issuer, NID_basic_constraints, kinds[kind].constraints) &&
           add_extension(cert, issuer, NID_key_usage, kinds[kind].use) &&
           (kinds[kind].purpose == NULL ||
            add_extension(cert, issuer, NID_ext_key_usage, kinds[kind].purpose)) &&
           add_extension(cert, issuer, NID_subject_key_identifier, "hash") &&
           (issuer == cert ||
            add_extension(cert, issuer, NID_authority_key_identifier, "keyid:always"));
}

static bool set_serial(X509 *cert)
{
    unsigned char serial[SERIAL_BYTES];
    if (RAND_bytes(serial, sizeof(serial)) != 1) return false;
    serial[0] &= 0x7f; /* positive */
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) != NULL;
    BN_free(number);
    return ok;
}

/* A common name has at most 64 characters (RFC 5280, A.1): a longer one is left out, and then
 * clients look at the subjectAltName alone, as they should. A member has none at all: etcd takes it
 * for the name of a user, and its JSON gateway then takes nobody who logs in. */
static bool set_subject(X509 *cert, const struct certificate_options *options)
{
    const char *name = options->names[0];
    bool is_member = options->kind == CERTIFICATE_MEMBER;
    if (!is_member && strlen(name) > COMMON_NAME_MAX_BYTES) return true;
    const char *text = is_member ? "Godwit" : name;
    return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), is_member ? "O" : "CN",
                                      MBSTRING_UTF8, (const unsigned char *)text,
                                      (int)strlen(text), -1, 0) == 1;
}

static bool fill(X509 *cert, EVP_PKEY *key, const struct certificate_options *options,
                 const struct issuer *issuer)
{
    long life = (long)options->days * SECONDS_A_DAY;
    return X509_set_version(cert, VERSION_3) == 1 && set_serial(cert) &&
           X509_gmtime_adj(X509_getm_notBefore(cert), -SECONDS_A_DAY) != NULL &&
           X509_gmtime_adj(X509_getm_notAfter(cert), life) != NULL &&
           X509_set_pubkey(cert, key) == 1 && set_subject(cert, options) &&
           X509_set_issuer_name(cert, X509_get_subject_name(issuer->cert)) == 1 &&
           add_names(cert, options) && add_uses(cert, issuer->cert, options->kind) &&
           X509_sign(cert, issuer->key, EVP_sha256()) > 0;
}

/* ---- PEM */

/* Takes what the BIO holds as text with a NUL. */
static char *take_text(BIO *bio, size_t *len)
{
    char *bytes = NULL;
    long there = BIO_get_mem_data(bio, &bytes);
    char *copy = there <= 0 ? NULL : malloc((size_t)there + 1);
    if (copy == NULL) return NULL;
    memcpy(copy, bytes, (size_t)there);
    copy[there] = '\0';
    *len = (size_t)there;
    return copy;
}

static struct err to_pem(X509 *cert, EVP_PKEY *key, struct certificate *ret)
{
    struct certificate made = { 0 };
    BIO *cert_bio = BIO_new(BIO_s_mem()), *key_bio = BIO_new(BIO_s_secmem());
    if (cert_bio != NULL && key_bio != NULL && PEM_write_bio_X509(cert_bio, cert) == 1 &&
        PEM_write_bio_PKCS8PrivateKey(key_bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        made.cert = take_text(cert_bio, &made.cert_len);
        made.key = take_text(key_bio, &made.key_len);
    }
    BIO_free(cert_bio);
    BIO_free(key_bio);
    if (made.cert == NULL || made.key == NULL) {
        certificate_free(&made);
        return err_make(ERR_NOMEM, "certificate");
    }
    *ret = made;
    return err_ok();
}

X509 *certificate_of_pem(struct span pem)
{
    BIO *bio = pem.len > INT32_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    X509 *cert = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return cert;
}

static EVP_PKEY *key_of_pem(struct span pem)
{
    char no_password[] = "";
    BIO *bio = pem.len > INT32_MAX ? NULL : BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, no_password);
    BIO_free(bio);
    return key;
}

static struct err make_signed(const struct certificate_options *options,
                              const struct certificate *ca, struct certificate *ret)
{
    struct issuer issuer = { NULL, NULL };
    if (ca != NULL) {
        issuer.cert = certificate_of_pem(span_of(ca->cert, ca->cert_len));
        issuer.key = key_of_pem(span_of(ca->key, ca->key_len));
    }
    bool readable = ca == NULL || (issuer.cert != NULL && issuer.key != NULL &&
                                   X509_check_private_key(issuer.cert, issuer.key) == 1);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    struct err err = readable ? err_make(ERR_NOMEM, "certificate")
                              : err_make(ERR_CORRUPT, "certificate authority");
    const struct issuer itself = { cert, key };
    if (readable && key != NULL && cert != NULL &&
        fill(cert, key, options, ca == NULL ? &itself : &issuer)) {
        err = to_pem(cert, key, ret);
    }
    X509_free(cert);
    EVP_PKEY_free(key);
    X509_free(issuer.cert);
    EVP_PKEY_free(issuer.key);
    if (err.code == ERR_OK) return err;
    err.detail = crypto_err("certificate").detail;
    return err;
}

struct err certificate_make(const struct certificate_options *options, const struct certificate *ca,
                            struct certificate *ret)
{
    TRY(check_names(options));
    return make_signed(options, ca, ret);
}

void certificate_free(struct certificate *certificate)
{
    if (certificate->key != NULL) sodium_memzero(certificate->key, certificate->key_len);
    free(certificate->key);
    free(certificate->cert);
    *certificate = (struct certificate){ 0 };
}

struct err certificate_write(const struct certificate *certificate, const char *cert_path,
                             const char *key_path)
{
    TRY(crypto_file_replace(key_path, span_of(certificate->key, certificate->key_len), 0600));
    return crypto_file_replace(cert_path, span_of(certificate->cert, certificate->cert_len), 0644);
}

struct err certificate_write_pem(struct span pem, const char *path)
{
    return crypto_file_replace(path, pem, 0644);
}

struct err certificate_self_signed(const char *const *names, unsigned names_count,
                                   const char *cert_path, const char *key_path)
{
    const struct certificate_options options = { .kind = CERTIFICATE_SERVER, .names = names,
                                                 .names_count = names_count,
                                                 .days = CERTIFICATE_DAYS };
    struct certificate certificate;
    TRY(certificate_make(&options, NULL, &certificate));
    struct err err = certificate_write(&certificate, cert_path, key_path);
    certificate_free(&certificate);
    return err;
}
