/* What a certificate says. */
#include <openssl/err.h>
#include <openssl/pem.h>

#include "certificate_private.h"
#include "crypto_private.h"

static bool ms_of(const ASN1_TIME *time, uint64_t *ret)
{
    int days = 0, seconds = 0;
    ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
    bool ok = epoch != NULL && ASN1_TIME_diff(&days, &seconds, epoch, time) == 1;
    ASN1_TIME_free(epoch);
    if (!ok || days < 0 || seconds < 0) return false;
    *ret = ((uint64_t)days * SECONDS_A_DAY + (uint64_t)seconds) * 1000;
    return true;
}

/* The first URI of the subjectAltName; one that is too long or has a NUL in it is none. */
static void take_uri(const X509 *cert, char to[CERTIFICATE_URI_MAX_BYTES + 1])
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) continue;
        const ASN1_STRING *uri = name->d.uniformResourceIdentifier;
        size_t len = (size_t)ASN1_STRING_length(uri);
        const void *bytes = ASN1_STRING_get0_data(uri);
        if (len > CERTIFICATE_URI_MAX_BYTES || memchr(bytes, 0, len) != NULL) break;
        memcpy(to, bytes, len);
        to[len] = '\0';
        break;
    }
    GENERAL_NAMES_free(names);
}

struct err certificate_look(struct span pem, struct certificate_facts *ret)
{
    struct certificate_facts facts = { .uri = "" };
    X509 *cert = certificate_of_pem(pem);
    bool ok = cert != NULL && ms_of(X509_get0_notBefore(cert), &facts.from_ms) &&
              ms_of(X509_get0_notAfter(cert), &facts.until_ms);
    if (ok) take_uri(cert, facts.uri);
    X509_free(cert);
    ERR_clear_error();
    if (!ok) return err_make(ERR_SYNTAX, "certificate");
    *ret = facts;
    return err_ok();
}

static bool same_names(const X509 *cert, const struct certificate_options *options)
{
    unsigned char *ours = NULL, *theirs = NULL;
    GENERAL_NAMES *wanted = certificate_names(options);
    GENERAL_NAMES *there = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int ours_len = wanted == NULL ? -1 : i2d_GENERAL_NAMES(wanted, &ours);
    int theirs_len = there == NULL ? -1 : i2d_GENERAL_NAMES(there, &theirs);
    bool same = ours_len > 0 && ours_len == theirs_len &&
                memcmp(ours, theirs, (size_t)ours_len) == 0;
    OPENSSL_free(ours);
    OPENSSL_free(theirs);
    GENERAL_NAMES_free(wanted);
    GENERAL_NAMES_free(there);
    return same;
}

static bool signed_by(X509 *cert, X509 *issuer)
{
    return X509_check_issued(issuer, cert) == X509_V_OK &&
           X509_verify(cert, X509_get0_pubkey(issuer)) == 1;
}

bool certificate_is_signed_by(struct span pem, struct span cas)
{
    bool is = false;
    X509 *cert = certificate_of_pem(pem), *ca = NULL;
    BIO *bio = cas.len > INT32_MAX ? NULL : BIO_new_mem_buf(cas.ptr, (int)cas.len);
    while (!is && cert != NULL && bio != NULL &&
           (ca = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        is = signed_by(cert, ca);
        X509_free(ca);
    }
    BIO_free(bio);
    X509_free(cert);
    ERR_clear_error();
    return is;
}

bool certificate_is(struct span pem, const struct certificate_options *options, struct span ca)
{
    X509 *cert = certificate_of_pem(pem), *issuer = certificate_of_pem(ca);
    bool is = cert != NULL && issuer != NULL && same_names(cert, options) &&
              signed_by(cert, issuer);
    X509_free(cert);
    X509_free(issuer);
    ERR_clear_error();
    return is;
}

struct err certificate_expires_ms(struct span pem, uint64_t *ret)
{
    struct certificate_facts facts;
    TRY(certificate_look(pem, &facts));
    *ret = facts.until_ms;
    return err_ok();
}
