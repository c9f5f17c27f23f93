// The authorities of a cluster: their row, their changes, what they sign.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "buf.h"
#include "certificate.h"
#include "cluster_authority.h"
#include "sealed.h"

namespace {

const std::string kCluster = "00112233445566778899aabbccddeeff";

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

struct sealed_keys Keys(const std::string &digits)
{
    struct sealed_keys keys = {};
    std::string text = "1 " + digits + "\n";
    EXPECT_EQ(ERR_OK, sealed_keys_parse(S(text), &keys).code);
    return keys;
}
const std::string kHex = std::string(32, '1') + std::string(32, '2');

class Authorities : public testing::Test {
protected:
    std::unique_ptr<struct authorities> all = std::make_unique<struct authorities>();
    struct sealed_keys keys = Keys(kHex);

    std::string Row()
    {
        std::string bytes(AUTHORITIES_MAX_BYTES, '\0');
        struct buf to;
        buf_init(&to, bytes.data(), bytes.size());
        EXPECT_EQ(ERR_OK, authorities_write(all.get(), &to).code);
        bytes.resize(to.len);
        return bytes;
    }
    std::string Bundle()
    {
        std::string bytes(AUTHORITIES_MAX * AUTHORITY_CERT_MAX_BYTES, '\0');
        struct buf to;
        buf_init(&to, bytes.data(), bytes.size());
        authorities_bundle(all.get(), &to);
        EXPECT_FALSE(to.overflow);
        bytes.resize(to.len);
        return bytes;
    }
    void Add(unsigned count)
    {
        while (count-- > 0) ASSERT_EQ(ERR_OK, authorities_add(all.get(), S(kCluster), &keys).code);
    }
    struct err Issue(std::string *cert)
    {
        const char *names[] = { "scanner-1" };
        const struct certificate_options options = { CERTIFICATE_MEMBER, names, 1, nullptr, 30 };
        struct certificate made = {};
        struct err err = authorities_issue(all.get(), &keys, &options, &made);
        if (err.code == ERR_OK) *cert = made.cert;
        certificate_free(&made);
        return err;
    }
    std::string Cert(size_t at) const { return all->each[at].cert; }
};

TEST_F(Authorities, TheFirstSignsAndOthersAreTrusted)
{
    std::string cert;
    EXPECT_EQ(nullptr, authorities_issuer(all.get()));
    EXPECT_EQ(ERR_NOT_FOUND, Issue(&cert).code);
    EXPECT_EQ("", Bundle());
    Add(1);
    EXPECT_EQ(1u, all->issuer);
    ASSERT_EQ(ERR_OK, Issue(&cert).code);
    EXPECT_TRUE(certificate_is_signed_by(S(cert), S(Cert(0))));
    Add(1);
    EXPECT_EQ(1u, all->issuer);
    EXPECT_EQ(Cert(0) + Cert(1), Bundle());
    ASSERT_EQ(ERR_OK, Issue(&cert).code);
    EXPECT_TRUE(certificate_is_signed_by(S(cert), S(Cert(0))));
}

TEST_F(Authorities, OneTakesOverFromAnother)
{
    std::string before, after;
    Add(2);
    ASSERT_EQ(ERR_OK, Issue(&before).code);
    EXPECT_EQ(ERR_NOT_FOUND, authorities_use(all.get(), 3).code);
    EXPECT_EQ(ERR_NOT_FOUND, authorities_use(all.get(), 0).code);
    EXPECT_EQ(ERR_NOT_FOUND, authorities_remove(all.get(), 3).code);
    EXPECT_EQ(ERR_CONFLICT, authorities_remove(all.get(), 1).code);
    ASSERT_EQ(ERR_OK, authorities_use(all.get(), 2).code);
    ASSERT_EQ(ERR_OK, Issue(&after).code);
    EXPECT_TRUE(certificate_is_signed_by(S(after), S(Cert(1))));
    EXPECT_FALSE(certificate_is_signed_by(S(after), S(Cert(0))));
    EXPECT_TRUE(certificate_is_signed_by(S(before), S(Bundle()))); // still trusted
    EXPECT_EQ(Cert(1) + Cert(0), Bundle());
    ASSERT_EQ(ERR_OK, authorities_remove(all.get(), 1).code);
    EXPECT_FALSE(certificate_is_signed_by(S(before), S(Bundle())));
    EXPECT_TRUE(certificate_is_signed_by(S(after), S(Bundle())));
    Add(1);
    EXPECT_EQ(3u, all->each[1].id); // a number is not used again while a higher one is there
    Add(2);
    EXPECT_EQ(ERR_TOO_BIG, authorities_add(all.get(), S(kCluster), &keys).code);
    EXPECT_EQ(unsigned(AUTHORITIES_MAX), all->count);
}

TEST_F(Authorities, TheRowIsReadAsItWasWritten)
{
    Add(AUTHORITIES_MAX);
    ASSERT_EQ(ERR_OK, authorities_use(all.get(), 3).code);
    std::string row = Row(), bundle = Bundle(), cert;
    EXPECT_EQ(std::string::npos, row.find("PRIVATE"));
    *all = {};
    ASSERT_EQ(ERR_OK, authorities_read(S(row), all.get()).code);
    EXPECT_EQ(row, Row());
    EXPECT_EQ(bundle, Bundle());
    ASSERT_EQ(ERR_OK, Issue(&cert).code);
    EXPECT_TRUE(certificate_is_signed_by(S(cert), S(Cert(2))));
}

TEST_F(Authorities, AKeyThatIsNotThisOneDoesNotSign)
{
    std::string cert;
    Add(2);
    struct sealed_keys right = keys;
    keys = Keys(std::string(64, 'f'));
    EXPECT_EQ(ERR_CORRUPT, Issue(&cert).code);
    keys.keys[0].id = 9;
    EXPECT_EQ(ERR_NOT_FOUND, Issue(&cert).code);
    keys = right;
    // Put in the place of another, it is of no use.
    std::swap(all->each[0].key, all->each[1].key);
    EXPECT_EQ(ERR_CORRUPT, Issue(&cert).code);
    std::swap(all->each[0].key, all->each[1].key);
    ASSERT_EQ(ERR_OK, Issue(&cert).code);
    all->each[0].key[40] = all->each[0].key[40] == 'A' ? 'B' : 'A';
    EXPECT_EQ(ERR_CORRUPT, Issue(&cert).code);
    all->each[0].key[40] = '!';
    EXPECT_EQ(ERR_CORRUPT, Issue(&cert).code);
}

TEST_F(Authorities, RowsThatAreNoneAreRefused)
{
    const std::string one = R"({"id":1,"cert":"c","key":"k"})";
    auto with = [](const std::string &list, const std::string &head = "\"format\":1,\"issuer\":1") {
        return "{" + head + ",\"authorities\":[" + list + "]}";
    };
    EXPECT_EQ(ERR_OK, authorities_read(S(with(one)), all.get()).code);
    const struct { std::string row; enum err_code code; } cases[] = {
        { "", ERR_CORRUPT }, { "{}", ERR_CORRUPT }, { "[]", ERR_CORRUPT }, { "junk", ERR_CORRUPT },
        { with(one).substr(0, 30), ERR_CORRUPT },
        { with(one, "\"format\":2,\"issuer\":1"), ERR_UNSUPPORTED },
        { with(one, "\"format\":0,\"issuer\":1"), ERR_CORRUPT },
        { with(one, "\"format\":\"1\",\"issuer\":1"), ERR_CORRUPT },
        { with(one, "\"format\":1"), ERR_CORRUPT },
        { with(one, "\"format\":1,\"issuer\":2"), ERR_CORRUPT },
        { with(one, "\"format\":1,\"issuer\":4294967297"), ERR_CORRUPT },
        { with(""), ERR_CORRUPT },
        { with(one + "," + one), ERR_CORRUPT },
        { with("7"), ERR_CORRUPT },
        { with(R"({"id":0,"cert":"c","key":"k"})"), ERR_CORRUPT },
        { with(R"({"id":1,"cert":"","key":"k"})"), ERR_CORRUPT },
        { with(R"({"id":1,"cert":"c"})"), ERR_CORRUPT },
        { with(R"({"id":1,"cert":7,"key":"k"})"), ERR_CORRUPT },
        { with(R"({"id":1,"cert":"c\u0000d","key":"k"})"), ERR_CORRUPT },
        { with("{\"id\":1,\"cert\":\"" + std::string(AUTHORITY_CERT_MAX_BYTES + 1, 'c') + "\",\"key\":\"k\"}"), ERR_CORRUPT },
        { with("{\"id\":1,\"cert\":\"c\",\"key\":\"" + std::string(AUTHORITY_KEY_MAX_BYTES + 1, 'k') + "\"}"), ERR_CORRUPT },
        { with(one + R"(,{"id":2,"cert":"c","key":"k"},{"id":3,"cert":"c","key":"k"},{"id":4,"cert":"c","key":"k"},{"id":5,"cert":"c","key":"k"})"),
          ERR_CORRUPT },
    };
    for (const auto &c : cases) {
        *all = {};
        EXPECT_EQ(c.code, authorities_read(S(c.row), all.get()).code) << c.row;
        EXPECT_EQ(0u, all->count);
    }
}

}  // namespace
