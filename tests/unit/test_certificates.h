// test_certificates.h: a certificate authority made on the spot.
#ifndef MAIL_TEST_CERTIFICATES_H
#define MAIL_TEST_CERTIFICATES_H

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string>
#include <vector>

struct test_pair {
    std::string chain, key; // PEM
};

class test_ca {
public:
    std::string pem, name;
    // Each has a name of its own unless it is given one.
    explicit test_ca(const std::string &given = "") : name(given)
    {
        static int count = 0;
        if (name.empty()) name = "test CA " + std::to_string(++count);
        key_ = EVP_EC_gen("P-256");
        certificate_ = Make(name, key_);
        Extend(certificate_, NID_basic_constraints, "critical,CA:TRUE");
        X509_sign(certificate_, key_, EVP_sha256());
        pem = Pem(certificate_);
    }
    ~test_ca()
    {
        X509_free(certificate_);
        EVP_PKEY_free(key_);
    }
    test_ca(const test_ca &) = delete;
    test_ca &operator=(const test_ca &) = delete;

    // A host is a name, or an address like "IP:127.0.0.1".
    // `until`: seconds from now at which it ends.
    test_pair Issue(const std::string &subject, const std::vector<std::string> &hosts, const std::string &uri = "", long until = 3600)
    {
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *made = Make(subject, key);
        X509_gmtime_adj(X509_getm_notAfter(made), until);
        std::string names;
        for (const auto &host : hosts) {
            bool ip = host.compare(0, 3, "IP:") == 0;
            names += (names.empty() ? "" : ",") + std::string(ip ? "" : "DNS:") + host;
        }
        if (!uri.empty()) names += (names.empty() ? "URI:" : ",URI:") + uri;
        if (!names.empty()) Extend(made, NID_subject_alt_name, names.c_str());
        X509_set_issuer_name(made, X509_get_subject_name(certificate_));
        X509_sign(made, key_, EVP_sha256());
        test_pair pair{Pem(made), ""};
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
        pair.key = Text(bio);
        X509_free(made);
        EVP_PKEY_free(key);
        return pair;
    }

private:
    EVP_PKEY *key_;
    X509 *certificate_;
    long serial_ = 1;

    static std::string Text(BIO *bio)
    {
        char *bytes;
        long len = BIO_get_mem_data(bio, &bytes);
        std::string text(bytes, static_cast<size_t>(len));
        BIO_free(bio);
        return text;
    }
    static std::string Pem(X509 *certificate)
    {
        BIO *bio = BIO_new(BIO_s_mem());
        PEM_write_bio_X509(bio, certificate);
        return Text(bio);
    }
    static void Extend(X509 *certificate, int nid, const char *value)
    {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(nullptr, nullptr, nid, value);
        X509_add_ext(certificate, extension, -1);
        X509_EXTENSION_free(extension);
    }
    X509 *Make(const std::string &common, EVP_PKEY *key)
    {
        X509 *made = X509_new();
        X509_set_version(made, 2);
        ASN1_INTEGER_set(X509_get_serialNumber(made), serial_++);
        X509_gmtime_adj(X509_getm_notBefore(made), -3600);
        X509_gmtime_adj(X509_getm_notAfter(made), 3600);
        X509_set_pubkey(made, key);
        X509_NAME *subject = X509_get_subject_name(made);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char *>(common.c_str()), -1, -1, 0);
        X509_set_issuer_name(made, subject);
        return made;
    }
};

#endif
