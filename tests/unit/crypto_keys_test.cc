// Digests against published vectors, sealed secrets, and certificates as OpenSSL reads them.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "buf.h"
#include "certificate.h"
#include "clock.h"
#include "digest.h"
#include "id.h"
#include "sealed.h"
#include "test_directory.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }

std::string Hex(const uint8_t *bytes, size_t size)
{
    std::string hex(2 * size, '\0');
    id_hex(bytes, size, hex.data());
    return hex;
}

TEST(Digest, PublishedVectors)
{
    uint8_t made[DIGEST_BYTES];
    ASSERT_EQ(ERR_OK, digest_sha256(S("abc"), made).code);
    EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Hex(made, 32));
    ASSERT_EQ(ERR_OK, digest_sha256(span_of(nullptr, 0), made).code);
    EXPECT_EQ("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", Hex(made, 32));
    const struct span parts[] = { S("a"), span_of(nullptr, 0), S("bc") };
    ASSERT_EQ(ERR_OK, digest_sha256_parts(parts, 3, made).code);
    EXPECT_EQ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", Hex(made, 32));
    // RFC 4231, cases 2 and 6 (a key longer than a block).
    ASSERT_EQ(ERR_OK, digest_hmac(S("Jefe"), S("what do ya want for nothing?"), made).code);
    EXPECT_EQ("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", Hex(made, 32));
    ASSERT_EQ(ERR_OK, digest_hmac(S(std::string(131, '\xaa')), S("Test Using Larger Than Block-Size Key - Hash Key First"), made).code);
    EXPECT_EQ("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54", Hex(made, 32));
    // RFC 5869, cases 1 and 3.
    uint8_t derived[42];
    std::string secret(22, '\x0b'), salt, info;
    for (int i = 0; i <= 12; i++) salt += char(i);
    for (int i = 0xf0; i <= 0xf9; i++) info += char(i);
    ASSERT_EQ(ERR_OK, digest_derive(S(secret), S(salt), S(info), derived, sizeof(derived)).code);
    EXPECT_EQ("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865", Hex(derived, 42));
    ASSERT_EQ(ERR_OK, digest_derive(S(secret), S(""), S(""), derived, sizeof(derived)).code);
    EXPECT_EQ("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8", Hex(derived, 42));
}

TEST(Digest, SameComparesAllBytes)
{
    uint8_t a[32] = {}, b[32] = {};
    EXPECT_TRUE(digest_same(a, b, 32));
    for (size_t i = 0; i < 32; i++) {
        b[i] = 1;
        EXPECT_FALSE(digest_same(a, b, 32)) << i;
        b[i] = 0;
    }
}

struct sealed_keys Keys(const std::string &text)
{
    struct sealed_keys keys = {};
    EXPECT_EQ(ERR_OK, sealed_keys_parse(S(text), &keys).code);
    return keys;
}

const std::string kOne = "1 " + std::string(64, 'a'), kTwo = "2 " + std::string(64, 'B');

std::string Seal(const struct sealed_keys &keys, const std::string &whose, const std::string &secret)
{
    std::string room(secret.size() + SEALED_OVERHEAD_BYTES, '\0');
    struct buf to;
    buf_init(&to, room.data(), room.size());
    EXPECT_EQ(ERR_OK, sealed_make(&keys, S(whose), S(secret), &to).code);
    EXPECT_EQ(room.size(), to.len);
    return room;
}

enum err_code Open(const struct sealed_keys &keys, const std::string &whose, const std::string &sealed, std::string *secret)
{
    std::string room(sealed.size() + 1, 'x');
    struct buf to;
    buf_init(&to, room.data(), room.size());
    enum err_code code = sealed_open(&keys, S(whose), S(sealed), &to).code;
    if (code == ERR_OK) *secret = room.substr(0, to.len);
    else EXPECT_EQ(0u, to.len);
    return code;
}

TEST(Sealed, OpensAsItWasAndOnlyThere)
{
    auto one = Keys(kOne), both = Keys(kOne + "\n" + kTwo + "\n"), two = Keys(kTwo);
    for (const std::string &secret : { std::string(), std::string("hunter2"), std::string(100000, 'x') }) {
        std::string sealed = Seal(one, "tenant 1 password", secret), opened;
        EXPECT_NE(sealed, Seal(one, "tenant 1 password", secret)); // the nonce
        EXPECT_EQ(std::string::npos, secret.empty() ? std::string::npos : sealed.find(secret.substr(0, 7)));
        ASSERT_EQ(ERR_OK, Open(one, "tenant 1 password", sealed, &opened));
        EXPECT_EQ(secret, opened);
        EXPECT_EQ(ERR_OK, Open(both, "tenant 1 password", sealed, &opened)); // an older key
        EXPECT_EQ(ERR_CORRUPT, Open(one, "tenant 2 password", sealed, &opened));
        EXPECT_EQ(ERR_CORRUPT, Open(one, "", sealed, &opened));
        EXPECT_EQ(ERR_NOT_FOUND, Open(two, "tenant 1 password", sealed, &opened));
        EXPECT_EQ(ERR_NOT_FOUND, Open(one, "x", Seal(both, "x", secret), &opened)); // the newest seals
    }
}

TEST(Sealed, AnyChangeIsFound)
{
    auto keys = Keys(kOne);
    std::string sealed = Seal(keys, "x", "secret"), opened;
    for (size_t i = 0; i < sealed.size(); i++) {
        std::string changed = sealed;
        changed[i] = char(changed[i] ^ 1);
        enum err_code want = i == 0 ? ERR_UNSUPPORTED : i >= 4 && i < 8 ? ERR_NOT_FOUND : ERR_CORRUPT;
        EXPECT_EQ(want, Open(keys, "x", changed, &opened)) << i;
        EXPECT_NE(ERR_OK, Open(keys, "x", sealed.substr(0, i), &opened));
    }
    EXPECT_EQ(ERR_CORRUPT, Open(keys, "x", sealed + "x", &opened));
    char small[10];
    struct buf to;
    buf_init(&to, small, sizeof(small));
    EXPECT_EQ(ERR_TOO_BIG, sealed_make(&keys, S("x"), S("secret"), &to).code);
    buf_init(&to, small, 5);
    EXPECT_EQ(ERR_TOO_BIG, sealed_open(&keys, S("x"), S(sealed), &to).code);
    const struct sealed_keys none = {};
    EXPECT_EQ(ERR_NOT_FOUND, sealed_make(&none, S("x"), S("secret"), &to).code);
}

TEST(Sealed, KeyFiles)
{
    const std::string hex(64, '0');
    std::string many;
    for (int i = 1; i <= SEALED_KEYS_MAX + 1; i++) many += std::to_string(i) + " " + hex + "\n";
    const struct { std::string text; enum err_code code; } cases[] = {
        { kOne, ERR_OK }, { "\n" + kOne + "\n\n", ERR_OK }, { "4294967295 " + hex, ERR_OK }, { "", ERR_SYNTAX }, { "\n", ERR_SYNTAX },
        { "0 " + hex, ERR_SYNTAX }, { "4294967296 " + hex, ERR_SYNTAX }, { "1" + hex, ERR_SYNTAX }, { "1 " + hex + "0", ERR_SYNTAX },
        { "1 " + hex.substr(1), ERR_SYNTAX }, { "1 " + hex.substr(1) + "g", ERR_SYNTAX }, { kOne + "\n" + kOne, ERR_SYNTAX },
        { " " + hex, ERR_SYNTAX }, { "x " + hex, ERR_SYNTAX }, { many, ERR_TOO_BIG },
    };
    for (const auto &c : cases) {
        struct sealed_keys keys = {};
        EXPECT_EQ(c.code, sealed_keys_parse(S(c.text), &keys).code) << c.text;
    }
}

TEST(Sealed, OneKeyFileIsMadeHoweverManyProcessesStart)
{
    TestDirectory directory;
    std::string path = directory.path + "/kek";
    std::vector<pid_t> children;
    for (int i = 0; i < 8; i++) {
        pid_t child = fork();
        if (child == 0) {
            struct sealed_keys keys;
            if (sealed_keys_load(path.c_str(), &keys).code != ERR_OK) _exit(1);
            std::ofstream(path + ".saw" + std::to_string(i)) << Hex(keys.keys[0].bytes, 32);
            _exit(0);
        }
        children.push_back(child);
    }
    for (pid_t child : children) {
        int status = 1;
        waitpid(child, &status, 0);
        EXPECT_EQ(0, status);
    }
    struct sealed_keys keys = {};
    ASSERT_EQ(ERR_OK, sealed_keys_load(path.c_str(), &keys).code);
    for (int i = 0; i < 8; i++) EXPECT_EQ(Hex(keys.keys[0].bytes, 32), ReadFile(path + ".saw" + std::to_string(i)));
    struct stat info;
    ASSERT_EQ(0, stat(path.c_str(), &info));
    EXPECT_EQ(0600u, info.st_mode & 07777);
    EXPECT_EQ(9, std::distance(std::filesystem::directory_iterator(directory.path), {})); // no spare file stays
    EXPECT_EQ(ERR_IO, sealed_keys_load((directory.path + "/none/kek").c_str(), &keys).code);
    std::ofstream(path) << "nonsense";
    EXPECT_EQ(ERR_SYNTAX, sealed_keys_load(path.c_str(), &keys).code);
    std::ofstream(path) << std::string(SEALED_FILE_MAX_BYTES + 1, '\n');
    EXPECT_EQ(ERR_TOO_BIG, sealed_keys_load(path.c_str(), &keys).code);
}

struct Pem {
    explicit Pem(const std::string &text)
    {
        BIO *bio = BIO_new_mem_buf(text.data(), int(text.size()));
        cert = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
        BIO_free(bio);
    }
    ~Pem() { X509_free(cert); }
    X509 *cert;
};

bool Verifies(X509 *cert, X509 *anchor, int purpose)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, anchor);
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    X509_STORE_CTX_init(context, store, cert, nullptr);
    X509_STORE_CTX_set_purpose(context, purpose);
    bool ok = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    return ok;
}

std::string Uri(X509 *cert)
{
    auto *names = static_cast<GENERAL_NAMES *>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
    std::string uri;
    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI) continue;
        uri.assign(reinterpret_cast<const char *>(ASN1_STRING_get0_data(name->d.ia5)), size_t(ASN1_STRING_length(name->d.ia5)));
    }
    GENERAL_NAMES_free(names);
    return uri;
}

TEST(Certificate, SelfSignedInFiles)
{
    TestDirectory directory;
    std::string cert_path = directory.path + "/cert.pem", key_path = directory.path + "/key.pem";
    std::string long_name = std::string(60, 'a') + "." + std::string(60, 'b') + ".example.org";
    const char *names[] = { "mail.example.org", "127.0.0.1", "::1", "*.example.net", long_name.c_str() };
    mode_t before = umask(0);
    ASSERT_EQ(ERR_OK, certificate_self_signed(names, 5, cert_path.c_str(), key_path.c_str()).code);
    umask(before);
    struct stat info;
    ASSERT_EQ(0, stat(key_path.c_str(), &info));
    EXPECT_EQ(0600u, info.st_mode & 07777);
    ASSERT_EQ(0, stat(cert_path.c_str(), &info));
    EXPECT_EQ(0644u, info.st_mode & 07777);
    EXPECT_EQ(2, std::distance(std::filesystem::directory_iterator(directory.path), {}));
    Pem pem(ReadFile(cert_path));
    ASSERT_NE(nullptr, pem.cert);
    for (const char *host : { "mail.example.org", "x.example.net", long_name.c_str() }) EXPECT_EQ(1, X509_check_host(pem.cert, host, 0, 0, nullptr)) << host;
    for (const char *host : { "example.org", "x.mail.example.org" }) EXPECT_EQ(0, X509_check_host(pem.cert, host, 0, 0, nullptr)) << host;
    for (const char *ip : { "127.0.0.1", "::1" }) EXPECT_EQ(1, X509_check_ip_asc(pem.cert, ip, 0)) << ip;
    EXPECT_EQ(0, X509_check_ip_asc(pem.cert, "127.0.0.2", 0));
    EXPECT_TRUE(Verifies(pem.cert, pem.cert, X509_PURPOSE_SSL_SERVER));
    uint64_t expires = 0, want = clock_wall_ms() + uint64_t(CERTIFICATE_DAYS) * 86400000;
    ASSERT_EQ(ERR_OK, certificate_expires_ms(S(ReadFile(cert_path)), &expires).code);
    EXPECT_NEAR(double(expires), double(want), 60000);
    std::string first = ReadFile(key_path);
    ASSERT_EQ(ERR_OK, certificate_self_signed(names, 1, cert_path.c_str(), key_path.c_str()).code);
    EXPECT_NE(first, ReadFile(key_path));
    EXPECT_EQ(ERR_IO, certificate_self_signed(names, 1, cert_path.c_str(), (directory.path + "/none/key").c_str()).code);
}

TEST(Certificate, MembersOfAClusterAreSignedByItsOwnAuthority)
{
    const char *ca_names[] = { "Cluster" }, *names[] = { "scanner-1", "127.0.0.3" };
    const struct certificate_options ca_options = { CERTIFICATE_CA, ca_names, 1, nullptr, CERTIFICATE_DAYS };
    const struct certificate_options options = { CERTIFICATE_MEMBER, names, 2, "godwit://00112233445566778899aabbccddeeff/scanner/s-1", 365 };
    struct certificate ca = {}, other_ca = {}, member = {};
    ASSERT_EQ(ERR_OK, certificate_make(&ca_options, nullptr, &ca).code);
    ASSERT_EQ(ERR_OK, certificate_make(&ca_options, nullptr, &other_ca).code);
    ASSERT_EQ(ERR_OK, certificate_make(&options, &ca, &member).code);
    {
        Pem anchor(ca.cert), other(other_ca.cert), pem(member.cert);
        EXPECT_TRUE(Verifies(pem.cert, anchor.cert, X509_PURPOSE_SSL_SERVER));
        EXPECT_TRUE(Verifies(pem.cert, anchor.cert, X509_PURPOSE_SSL_CLIENT));
        EXPECT_FALSE(Verifies(pem.cert, other.cert, X509_PURPOSE_SSL_SERVER));
        EXPECT_EQ("godwit://00112233445566778899aabbccddeeff/scanner/s-1", Uri(pem.cert));
        EXPECT_EQ(1, X509_check_ip_asc(pem.cert, "127.0.0.3", 0));
        // etcd would take a common name for that of a user.
        EXPECT_EQ(-1, X509_NAME_get_index_by_NID(X509_get_subject_name(pem.cert), NID_commonName, -1));
        EXPECT_EQ(0, X509_NAME_get_index_by_NID(X509_get_subject_name(anchor.cert), NID_commonName, -1));
        EXPECT_EQ(1, X509_check_ca(anchor.cert));
        EXPECT_EQ(0, X509_check_ca(pem.cert));
    }
    // A member can't sign: what it signs is not trusted.
    struct certificate below = {};
    ASSERT_EQ(ERR_OK, certificate_make(&options, &member, &below).code);
    {
        Pem anchor(ca.cert), pem(below.cert);
        EXPECT_FALSE(Verifies(pem.cert, anchor.cert, X509_PURPOSE_SSL_SERVER));
    }
    certificate_free(&below);
    const struct certificate crossed = { ca.cert, other_ca.key, ca.cert_len, other_ca.key_len };
    EXPECT_EQ(ERR_CORRUPT, certificate_make(&options, &crossed, &below).code);
    char junk[] = "junk";
    const struct certificate unreadable = { junk, junk, 4, 4 };
    EXPECT_EQ(ERR_CORRUPT, certificate_make(&options, &unreadable, &below).code);
    for (struct certificate *c : { &ca, &other_ca, &member }) certificate_free(c);
}

TEST(Certificate, WhatItSaysIsSeen)
{
    const char *ca_names[] = { "Cluster" }, *names[] = { "scanner-1", "127.0.0.3" }, *turned[] = { "127.0.0.3", "scanner-1" };
    const char *uri = "godwit://00112233445566778899aabbccddeeff/scanner/s-1";
    const struct certificate_options ca_options = { CERTIFICATE_CA, ca_names, 1, nullptr, CERTIFICATE_DAYS };
    const struct certificate_options options = { CERTIFICATE_MEMBER, names, 2, uri, 30 };
    struct certificate ca = {}, other_ca = {}, member = {};
    ASSERT_EQ(ERR_OK, certificate_make(&ca_options, nullptr, &ca).code);
    ASSERT_EQ(ERR_OK, certificate_make(&ca_options, nullptr, &other_ca).code); // of the same name
    ASSERT_EQ(ERR_OK, certificate_make(&options, &ca, &member).code);
    struct certificate_facts facts;
    ASSERT_EQ(ERR_OK, certificate_look(S(member.cert), &facts).code);
    EXPECT_STREQ(uri, facts.uri);
    EXPECT_NEAR(double(facts.until_ms), double(clock_wall_ms() + 30ull * 86400000), 60000);
    EXPECT_NEAR(double(facts.from_ms), double(clock_wall_ms() - 86400000), 60000);
    ASSERT_EQ(ERR_OK, certificate_look(S(ca.cert), &facts).code);
    EXPECT_STREQ("", facts.uri);
    for (const char *text : { "", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }) {
        EXPECT_EQ(ERR_SYNTAX, certificate_look(S(text), &facts).code) << text;
        EXPECT_FALSE(certificate_is(S(text), &options, S(ca.cert)));
        EXPECT_FALSE(certificate_is(S(member.cert), &options, S(text)));
    }
    EXPECT_TRUE(certificate_is(S(member.cert), &options, S(ca.cert)));
    EXPECT_TRUE(certificate_is(S(member.cert), &options, S(std::string(ca.cert) + other_ca.cert)));
    EXPECT_FALSE(certificate_is(S(member.cert), &options, S(other_ca.cert)));
    EXPECT_FALSE(certificate_is(S(member.cert), &options, S(std::string(other_ca.cert) + ca.cert)));
    EXPECT_TRUE(certificate_is_signed_by(S(member.cert), S(ca.cert)));
    EXPECT_TRUE(certificate_is_signed_by(S(member.cert), S(std::string(other_ca.cert) + ca.cert)));
    EXPECT_FALSE(certificate_is_signed_by(S(member.cert), S(other_ca.cert)));
    for (const char *text : { "", "junk", static_cast<const char *>(member.cert) }) EXPECT_FALSE(certificate_is_signed_by(S(member.cert), S(text)));
    EXPECT_FALSE(certificate_is_signed_by(S("junk"), S(ca.cert)));
    const struct certificate_options others[] = {
        { CERTIFICATE_MEMBER, names, 1, uri, 30 },
        { CERTIFICATE_MEMBER, turned, 2, uri, 30 },
        { CERTIFICATE_MEMBER, names, 2, nullptr, 30 },
        { CERTIFICATE_MEMBER, names, 2, "godwit://00112233445566778899aabbccddeeff/scanner/s-2", 30 },
    };
    for (const auto &other : others) EXPECT_FALSE(certificate_is(S(member.cert), &other, S(ca.cert)));
    for (struct certificate *c : { &ca, &other_ca, &member }) certificate_free(c);
}

TEST(Certificate, BadRequestsAreRefused)
{
    std::string too_long(254, 'a'), long_uri(201, 'u');
    const char *many[CERTIFICATE_NAMES_MAX + 1];
    for (auto &name : many) name = "a";
    for (const char *name : { "", "a b", "a,DNS:evil.example", "a\nb", "m\xc3\xbc.org", too_long.c_str() }) {
        const struct certificate_options options = { CERTIFICATE_SERVER, &name, 1, nullptr, 10 };
        struct certificate made = {};
        EXPECT_EQ(ERR_SYNTAX, certificate_make(&options, nullptr, &made).code) << name;
    }
    const struct certificate_options bad[] = {
        { CERTIFICATE_SERVER, many, 0, nullptr, 10 }, { CERTIFICATE_SERVER, many, CERTIFICATE_NAMES_MAX + 1, nullptr, 10 },
        { CERTIFICATE_SERVER, many, 1, nullptr, 0 }, { CERTIFICATE_SERVER, many, 1, nullptr, CERTIFICATE_DAYS + 1 },
        { CERTIFICATE_SERVER, many, 1, long_uri.c_str(), 10 },
    };
    for (const auto &options : bad) {
        struct certificate made = {};
        EXPECT_EQ(ERR_TOO_BIG, certificate_make(&options, nullptr, &made).code);
        EXPECT_EQ(nullptr, made.key);
    }
    uint64_t expires;
    for (const char *text : { "", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" }) {
        EXPECT_EQ(ERR_SYNTAX, certificate_expires_ms(S(text), &expires).code) << text;
    }
}

}  // namespace
