#include <gtest/gtest.h>

#include <string>

#include "base64.h"
#include "buf.h"
#include "hash.h"
#include "login_cache.h"
#include "login_policy.h"
#include "login_sasl.h"
#include "login_throttle.h"

namespace {

using namespace std::string_literals;
struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string T(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

TEST(LoginBase64, Table)
{
    const struct { std::string plain, text; } good[] = {{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\0\xff\xfe"s, "AP/+"}};
    for (const auto &row : good) {
        char bytes[64];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        base64_encode(&out, S(row.plain));
        EXPECT_EQ(row.text, T(buf_span(&out)));
        out.len = 0;
        EXPECT_EQ(ERR_OK, base64_decode_strict(&out, S(row.text)).code);
        EXPECT_EQ(row.plain, T(buf_span(&out)));
    }
    for (const char *bad : {"Z", "Zg", "Zg=", "Zg===", "====", "=Zg=", "Zh==", "Zm9=", "Z\n==", "Zg==Zg==", "Z g=", "-_-_", "Zm9v=", "Z===", "\xff\xff\xff\xff"}) {
        char bytes[64];
        struct buf out;
        buf_init(&out, bytes, sizeof bytes);
        EXPECT_EQ(ERR_SYNTAX, base64_decode_strict(&out, S(bad)).code) << bad;
        EXPECT_EQ(0u, out.len);
    }
    char bytes[2];
    struct buf out;
    buf_init(&out, bytes, sizeof bytes);
    EXPECT_EQ(ERR_TOO_BIG, base64_decode_strict(&out, SPAN("Zm9v")).code);
}

class LoginSasl : public testing::Test {
protected:
    void SetUp() override { ASSERT_EQ(ERR_OK, login_sasl_new(&sasl).code); }
    void TearDown() override { login_sasl_free(sasl); }
    // Responses as bytes; "-" first: no initial response. "authcid|authzid|password" or what was wrong.
    std::string Talk(const char *mechanism, std::vector<std::string> responses)
    {
        login_exchange *exchange = nullptr;
        if (login_sasl_start(sasl, S(mechanism), &exchange).code != ERR_OK) return "none";
        std::string result;
        struct span challenge;
        for (size_t i = 0; i < responses.size(); i++) {
            bool has = i > 0 || responses[0] != "-";
            auto step = login_exchange_step(exchange, has, S(responses[i]), &challenge);
            if (step == LOGIN_CHALLENGE) {
                result += "<" + T(challenge) + ">";
                continue;
            }
            if (step == LOGIN_CREDENTIALS) {
                auto found = login_exchange_credentials(exchange);
                result += T(found.authcid) + "|" + T(found.authzid) + "|" + T(found.password);
            } else {
                result += "failed";
            }
            break;
        }
        login_exchange_free(exchange);
        return result;
    }
    login_sasl *sasl = nullptr;
};

TEST_F(LoginSasl, Exchanges)
{
    std::string name(320, 'n'), password(1024, 'p');
    EXPECT_EQ("u||p", Talk("PLAIN", {"\0u\0p"s}));
    EXPECT_EQ("u|z|p", Talk("plain", {"z\0u\0p"s}));
    EXPECT_EQ("<>u||p", Talk("PLAIN", {"-", "\0u\0p"s}));
    EXPECT_EQ("<Username:><Password:>u||p", Talk("LOGIN", {"-", "u", "p"}));
    EXPECT_EQ("<Password:>u||p", Talk("LOGIN", {"u", "p"}));
    EXPECT_EQ("\xc3\xbc||\xc3\xbc", Talk("PLAIN", {"\0\xc3\xbc\0\xc3\xbc"s}));
    EXPECT_EQ(name + "||" + password, Talk("PLAIN", {"\0"s + name + "\0"s + password}));
    // Bad ones.
    EXPECT_EQ("failed", Talk("PLAIN", {"\0"s + name + "n\0p"s}));
    EXPECT_EQ("failed", Talk("PLAIN", {"\0u\0"s + password + "p"}));
    EXPECT_EQ("failed", Talk("PLAIN", {""}));
    EXPECT_EQ("<>failed", Talk("PLAIN", {"-", ""}));
    EXPECT_EQ("failed", Talk("PLAIN", {"u"}));
    EXPECT_EQ("failed", Talk("PLAIN", {"\0u"s}));
    EXPECT_EQ("failed", Talk("PLAIN", {"\0u\0"s}));
    EXPECT_EQ("failed", Talk("PLAIN", {"\0\0p"s}));
    EXPECT_EQ("failed", Talk("PLAIN", {"\0u\0p\0x"s}));
    EXPECT_EQ("failed", Talk("PLAIN", {std::string(5000, 'x')}));
    EXPECT_EQ("<Password:>failed", Talk("LOGIN", {"u", ""}));
    EXPECT_EQ("failed", Talk("LOGIN", {""}));
    EXPECT_EQ("failed", Talk("LOGIN", {"u\0v"s}));
    EXPECT_EQ("<Password:>failed", Talk("LOGIN", {"u", "p\0q"s}));
    for (const char *none : {"", "PLAI", "PLAINX", "CRAM-MD5", "EXTERNAL", "ANONYMOUS", "SCRAM-SHA-256", "GSSAPI", "\0PLAIN"}) EXPECT_EQ("none", Talk(none, {"-"})) << none;
}

TEST_F(LoginSasl, ManyExchangesAtATime)
{
    std::vector<login_exchange *> all(200);
    struct span challenge;
    for (auto &one : all) {
        ASSERT_EQ(ERR_OK, login_sasl_start(sasl, SPAN("LOGIN"), &one).code);
        ASSERT_EQ(LOGIN_CHALLENGE, login_exchange_step(one, false, SPAN(""), &challenge));
    }
    for (size_t i = 0; i < all.size(); i++) ASSERT_EQ(LOGIN_CHALLENGE, login_exchange_step(all[i], true, S("u" + std::to_string(i)), &challenge));
    for (size_t i = 0; i < all.size(); i++) {
        ASSERT_EQ(LOGIN_CREDENTIALS, login_exchange_step(all[i], true, SPAN("p"), &challenge));
        EXPECT_EQ("u" + std::to_string(i), T(login_exchange_credentials(all[i]).authcid));
        login_exchange_free(all[i]);
    }
    login_exchange_free(nullptr);
}

TEST(LoginThrottle, DoublesUpToItsMost)
{
    const login_throttle_options options{1000, 6000, 4};
    login_throttle throttle{};
    EXPECT_FALSE(login_throttle_waits(&throttle, 0));
    EXPECT_EQ(101000u, login_throttle_failed(&throttle, &options, 100000));
    EXPECT_TRUE(login_throttle_waits(&throttle, 100999));
    EXPECT_FALSE(login_throttle_waits(&throttle, 101000));
    EXPECT_EQ(102000u, login_throttle_failed(&throttle, &options, 100000));
    EXPECT_EQ(104000u, login_throttle_failed(&throttle, &options, 100000));
    EXPECT_FALSE(login_throttle_is_over(&throttle, &options));
    EXPECT_EQ(106000u, login_throttle_failed(&throttle, &options, 100000));
    EXPECT_TRUE(login_throttle_is_over(&throttle, &options));
    EXPECT_EQ(106000u, login_throttle_failed(&throttle, &options, 100000));
    login_throttle_worked(&throttle);
    EXPECT_EQ(101000u, login_throttle_failed(&throttle, &options, 100000));
    const login_throttle_options none{0, 0, 1}, endless{UINT64_MAX, UINT64_MAX, 1}, odd{9000, 6000, 1};
    EXPECT_EQ(5u, login_throttle_failed(&throttle, &none, 5));
    EXPECT_EQ(UINT64_MAX, login_throttle_failed(&throttle, &endless, 5));
    EXPECT_EQ(6005u, login_throttle_failed(&throttle, &odd, 5));
}

// Not a MAC, but it tells all inputs apart that the tests use.
struct err FakeMac(struct span key, struct span bytes, uint8_t ret[LOGIN_MAC_BYTES])
{
    for (uint64_t i = 0; i < 4; i++) {
        const uint64_t sip[2] = {static_cast<unsigned char>(key.ptr[0]), i};
        uint64_t hash = hash_sip(sip, bytes);
        memcpy(ret + 8 * i, &hash, 8);
    }
    return err_ok();
}
struct err BrokenMac(struct span, struct span, uint8_t *) { return err_make(ERR_NOMEM, "mac"); }

// password.length.min, password.classes.min and password.names, on both sides of each.
TEST(LoginPolicy, Table)
{
    const login_names alice = {SPAN("alice"), SPAN("example.org"), SPAN("Dr. Alice \xc3\x84hrenfeld-Li")}, nobody = {SPAN(""), SPAN(""), SPAN("")};
    const struct { login_policy policy; const char *password; login_fault want; } rows[] = {
        {{1, 1, true}, "", LOGIN_FAULT_SHORT}, {{1, 1, true}, "a", LOGIN_FAULT_NONE},
        {{6, 1, true}, "12345", LOGIN_FAULT_SHORT}, {{6, 1, true}, "123456", LOGIN_FAULT_NONE},
        {{3, 1, true}, "\xc3\xa4\xc3\xb6", LOGIN_FAULT_SHORT}, {{3, 1, true}, "\xc3\xa4\xc3\xb6\xc3\xbc", LOGIN_FAULT_NONE},
        {{128, 1, true}, "short", LOGIN_FAULT_SHORT},
        {{1, 2, true}, "abc", LOGIN_FAULT_CLASSES}, {{1, 2, true}, "aBc", LOGIN_FAULT_NONE}, {{1, 2, true}, "123", LOGIN_FAULT_CLASSES},
        {{1, 3, true}, "abcDEF", LOGIN_FAULT_CLASSES}, {{1, 3, true}, "abcDEF1", LOGIN_FAULT_NONE},
        {{1, 4, true}, "aA1", LOGIN_FAULT_CLASSES}, {{1, 4, true}, "aA1-", LOGIN_FAULT_NONE}, {{1, 4, true}, "aA1 ", LOGIN_FAULT_NONE},
        {{1, 4, true}, "aA1\xc3\xa4", LOGIN_FAULT_NONE},
        {{1, 1, true}, "alice", LOGIN_FAULT_NONE},
        {{1, 1, false}, "alice", LOGIN_FAULT_NAME}, {{1, 1, false}, "xxALICExx", LOGIN_FAULT_NAME}, {{1, 1, false}, "alic", LOGIN_FAULT_NONE},
        {{1, 1, false}, "example.org", LOGIN_FAULT_NAME}, {{1, 1, false}, "an-Example", LOGIN_FAULT_NAME}, {{1, 1, false}, "organic", LOGIN_FAULT_NONE},
        {{1, 1, false}, "\xc3\x84hrenfeld!", LOGIN_FAULT_NAME}, {{1, 1, false}, "drli", LOGIN_FAULT_NONE}, // two letters are found anywhere
        {{9, 4, false}, "alice", LOGIN_FAULT_SHORT}, {{1, 4, false}, "alice", LOGIN_FAULT_CLASSES},
    };
    for (const auto &row : rows) EXPECT_EQ(row.want, login_policy_check(&row.policy, S(row.password), &alice)) << row.password;
    const login_policy strict = {1, 1, false};
    EXPECT_EQ(LOGIN_FAULT_NONE, login_policy_check(&strict, SPAN("alice"), &nobody));
}

struct err Sum(struct span, struct span bytes, uint8_t ret[LOGIN_MAC_BYTES])
{
    memset(ret, 0, LOGIN_MAC_BYTES);
    for (size_t i = 0; i < bytes.len; i++) ret[i % LOGIN_MAC_BYTES] = uint8_t(ret[i % LOGIN_MAC_BYTES] * 31 + uint8_t(bytes.ptr[i]));
    return err_ok();
}

// login.cache.seconds and login.cache.entries, on both sides.
TEST(LoginCacheOptions, LifeAndEntries)
{
    const struct { size_t entries; uint64_t life_ms; unsigned put; size_t kept; } rows[] = {
        {0, 1000, 3, 0}, {1, 1000, 3, 1}, {3, 1000, 3, 3}, {3, 1000, 4, 3}, {10, 0, 3, 0}, {10, 1, 3, 3},
    };
    for (const auto &row : rows) {
        login_cache_options options = {Sum, {}, row.life_ms, row.entries};
        login_cache *cache = nullptr;
        ASSERT_EQ(ERR_OK, login_cache_new(&options, &cache).code);
        for (unsigned i = 0; i < row.put; i++) {
            login_subject subject = {1, i, 1};
            login_cache_put(cache, &subject, SPAN("p"), 100);
        }
        EXPECT_EQ(row.kept, login_cache_count(cache)) << row.entries << " " << row.life_ms;
        login_subject last = {1, row.put - 1, 1};
        EXPECT_EQ(row.kept > 0, login_cache_has(cache, &last, SPAN("p"), 100 + row.life_ms - (row.life_ms > 0)));
        EXPECT_FALSE(login_cache_has(cache, &last, SPAN("p"), 100 + row.life_ms));
        login_cache_free(cache);
    }
}

// A changed life forgets, be it longer or shorter: nobody is known by the old one.
TEST(LoginCacheOptions, LifeChanges)
{
    login_cache_options options = {Sum, {}, 1000, 10};
    login_cache *cache = nullptr;
    ASSERT_EQ(ERR_OK, login_cache_new(&options, &cache).code);
    const login_subject subject = {1, 2, 3};
    const struct { uint64_t life_ms; bool kept; } rows[] = {{1000, true}, {10, false}, {5000, false}, {5000, true}, {0, false}, {0, false}};
    for (const auto &row : rows) {
        login_cache_put(cache, &subject, SPAN("p"), 100);
        login_cache_life(cache, row.life_ms);
        EXPECT_EQ(row.kept, login_cache_has(cache, &subject, SPAN("p"), 101)) << row.life_ms;
    }
    login_cache_free(cache);
}

class LoginCache : public testing::Test {
protected:
    void Open(login_mac *mac, uint64_t life_ms, size_t entries_max)
    {
        login_cache_options options{mac, {1}, life_ms, entries_max};
        ASSERT_EQ(ERR_OK, login_cache_new(&options, &cache).code);
    }
    void TearDown() override { login_cache_free(cache); }
    login_cache *cache = nullptr;
};

TEST_F(LoginCache, OnlyTheSameForAShortTime)
{
    Open(FakeMac, 60000, 100);
    const login_subject one{1, 7, 3};
    EXPECT_FALSE(login_cache_has(cache, &one, SPAN("secret"), 0));
    login_cache_put(cache, &one, SPAN("secret"), 1000);
    EXPECT_TRUE(login_cache_has(cache, &one, SPAN("secret"), 1000));
    EXPECT_TRUE(login_cache_has(cache, &one, SPAN("secret"), 60999));
    const login_subject others[] = {{2, 7, 3}, {1, 8, 3}, {1, 7, 4}};
    for (const auto &other : others) EXPECT_FALSE(login_cache_has(cache, &other, SPAN("secret"), 1000));
    for (const char *wrong : {"", "Secret", "secret ", "secre"}) EXPECT_FALSE(login_cache_has(cache, &one, S(wrong), 1000)) << wrong;
    // Use does not lengthen it; verification does.
    EXPECT_FALSE(login_cache_has(cache, &one, SPAN("secret"), 61000));
    EXPECT_EQ(0u, login_cache_count(cache));
    login_cache_put(cache, &one, SPAN("secret"), 62000);
    login_cache_put(cache, &one, SPAN("secret"), 100000);
    EXPECT_EQ(1u, login_cache_count(cache));
    EXPECT_TRUE(login_cache_has(cache, &one, SPAN("secret"), 159999));
}

TEST_F(LoginCache, IsBoundedAndDropsTheOldest)
{
    Open(FakeMac, 60000, 3);
    for (uint64_t account = 0; account < 50; account++) {
        const login_subject subject{1, account, 1};
        login_cache_put(cache, &subject, SPAN("p"), account);
        EXPECT_LE(login_cache_count(cache), 3u);
    }
    for (uint64_t account = 0; account < 50; account++) {
        const login_subject subject{1, account, 1};
        EXPECT_EQ(account >= 47, login_cache_has(cache, &subject, SPAN("p"), 100)) << account;
    }
}

TEST_F(LoginCache, OffWithoutLifeRoomOrMac)
{
    const login_subject subject{1, 1, 1};
    const struct { login_mac *mac; uint64_t life; size_t entries; } table[] = {{FakeMac, 0, 10}, {FakeMac, 1000, 0}, {BrokenMac, 1000, 10}};
    for (const auto &row : table) {
        Open(row.mac, row.life, row.entries);
        login_cache_put(cache, &subject, SPAN("p"), 0);
        EXPECT_FALSE(login_cache_has(cache, &subject, SPAN("p"), 0));
        login_cache_free(cache);
        cache = nullptr;
    }
    Open(FakeMac, 1000, 10);
    std::string longer(LOGIN_PASSWORD_MAX_BYTES + 1, 'p');
    login_cache_put(cache, &subject, S(longer), 0);
    EXPECT_FALSE(login_cache_has(cache, &subject, S(longer), 0));
    EXPECT_EQ(0u, login_cache_count(cache));
}

}  // namespace
