// Stored bodies and password hashes: round trips, and what is refused.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "body.h"
#include "buf.h"
#include "password.h"
#include "stored_body.h"
#include "stored_body_reader.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

std::string Read(const struct body *body)
{
    std::string all(size_t(body_size(body)), '\0');
    EXPECT_EQ(all.size(), body_copy(body, 0, all.data(), all.size()));
    return all;
}

struct body_budget Budget() { return { 64 << 20, 512 << 20, 0, 0, "/tmp" }; }

std::string Make(const std::string &plain)
{
    struct body_budget budget = Budget();
    struct body *body = nullptr;
    EXPECT_EQ(ERR_OK, stored_body_make(S(plain), &budget, &body).code);
    std::string stored = Read(body);
    body_unref(body);
    EXPECT_EQ(0u, budget.memory_bytes);
    return stored;
}

enum err_code Open(const std::string &stored, std::string *plain)
{
    uint64_t length = 0;
    struct err err = stored_body_length(S(stored), &length);
    if (err.code != ERR_OK) return err.code;
    plain->assign(size_t(length), '\0');
    return stored_body_open(S(stored), plain->data(), length).code;
}

// The same, piece by piece with little room; what came before an error stands in `plain` too.
enum err_code ReadPieces(const std::string &stored, size_t piece, size_t room, std::string *plain)
{
    struct stored_body_reader *reader;
    struct err err = stored_body_reader_new(stored.size(), &reader);
    if (err.code != ERR_OK) return err.code;
    plain->clear();
    struct span in = span_of(stored.data(), 0);
    size_t seen = 0;
    std::string bytes(room, '\0');
    while (err.code == ERR_OK && !stored_body_reader_is_done(reader)) {
        struct buf out;
        buf_init(&out, bytes.data(), room);
        err = stored_body_read(reader, &in, &out);
        plain->append(bytes, 0, out.len);
        if (out.len == room || err.code != ERR_OK) continue;
        EXPECT_EQ(0u, in.len);
        if (seen == stored.size() && !stored_body_reader_is_done(reader)) {
            ADD_FAILURE() << "neither done nor refused";
            break;
        }
        size_t more = std::min(piece, stored.size() - seen);
        in = span_of(stored.data() + seen, more);
        seen += more;
    }
    stored_body_reader_free(reader);
    return err.code;
}

std::string Mail(size_t size)
{
    std::string mail = "From: a@example.org\r\nTo: b@example.org\r\nSubject: hello\r\n\r\n";
    for (unsigned i = 0; mail.size() < size; i++) {
        mail += "Line " + std::to_string(i * i) + " of a message like many others.\r\n";
    }
    mail.resize(size);
    return mail;
}

std::string Noise(size_t size)
{
    std::string noise;
    uint64_t state = 88172645463325252ull;
    while (noise.size() < size) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise += char(state);
    }
    return noise;
}

TEST(StoredBody, ComesBackAsItWas)
{
    for (size_t size : { 0, 1, 63, 64, 65, 4096, 10000, 65536, 300000, 5000000 }) {
        for (const std::string &plain : { Mail(size), Noise(size), std::string(size, '\0') }) {
            std::string again, stored = Make(plain);
            ASSERT_EQ(ERR_OK, Open(stored, &again)) << size;
            EXPECT_TRUE(plain == again) << size;
            EXPECT_LE(stored.size(), plain.size() + STORED_BODY_HEAD_BYTES);
        }
    }
}

TEST(StoredBody, PacksOnlyWhereItPays)
{
    struct span plain;
    EXPECT_FALSE(stored_body_is_plain(S(Make(Mail(4096))), &plain));
    std::string noise = Noise(4096), stored = Make(noise);
    ASSERT_TRUE(stored_body_is_plain(S(stored), &plain));
    EXPECT_TRUE(span_eq(S(noise), plain));
    EXPECT_LT(Make(Mail(4096)).size(), 2048u);
}

TEST(StoredBody, BadOnesAreRefused)
{
    const std::string packed = Make(Mail(4096)), plain = Make("short");
    std::string ret;
    auto with = [](std::string s, size_t at, char c) { s[at] = c; return s; };
    const struct { const char *name; enum err_code code; std::string stored; } cases[] = {
        { "empty", ERR_CORRUPT, "" },
        { "half a head", ERR_CORRUPT, packed.substr(0, 15) },
        { "a newer version", ERR_UNSUPPORTED, with(packed, 0, 2) },
        { "another codec", ERR_CORRUPT, with(packed, 1, 2) },
        { "reserved bits", ERR_CORRUPT, with(packed, 2, 1) },
        { "a key", ERR_UNSUPPORTED, with(packed, 4, 1) },
        { "no frame", ERR_CORRUPT, packed.substr(0, 16) },
        { "cut short", ERR_CORRUPT, packed.substr(0, packed.size() - 1) },
        { "a byte more", ERR_CORRUPT, packed + "x" },
        { "two frames", ERR_CORRUPT, packed + packed.substr(16) },
        { "length one more", ERR_CORRUPT, with(packed, 8, 1) },
        { "length of 16 EB", ERR_CORRUPT, with(packed, 15, char(0x80)) },
        { "length of 256 MiB from few bytes", ERR_CORRUPT, with(packed, 11, 0x10) },
        { "plain said to be packed", ERR_CORRUPT, with(plain, 1, 1) },
        { "packed said to be plain", ERR_CORRUPT, with(packed, 1, 0) },
        { "plain cut short", ERR_CORRUPT, plain.substr(0, plain.size() - 1) },
        { "plain with a byte more", ERR_CORRUPT, plain + "x" },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.code, Open(c.stored, &ret)) << c.name;
        EXPECT_EQ(c.code, ReadPieces(c.stored, c.stored.size(), 9000, &ret)) << c.name;
        EXPECT_EQ(c.code, ReadPieces(c.stored, 1, 7, &ret)) << c.name;
    }
    char small[10];
    EXPECT_EQ(ERR_CORRUPT, stored_body_open(S(packed), small, sizeof(small)).code);
    // Any byte changed: another content or an error, never harm.
    for (size_t i = 16; i < packed.size(); i++) Open(with(packed, i, char(packed[i] ^ 0x55)), &ret);
}

TEST(StoredBodyReader, GivesTheSameInPieces)
{
    for (size_t size : { 0, 1, 63, 64, 65, 1000, 4096, 131072, 131073, 3000000 }) {
        for (const auto &plain : { Mail(size), Noise(size) }) {
            std::string stored = Make(plain), got;
            const struct { size_t piece, room; } cuts[] = {
                { stored.size(), plain.size() + 1 }, { 1, 16384 }, { 65536, 1 }, { 7, 13 }, { 262144, 16384 } };
            for (const auto &c : cuts) {
                if (size > 200000 && std::min(c.piece, c.room) < 1000) continue;
                ASSERT_EQ(ERR_OK, ReadPieces(stored, c.piece, c.room, &got)) << size;
                ASSERT_TRUE(got == plain) << size << " in pieces of " << c.piece;
            }
        }
    }
}

TEST(StoredBodyReader, RefusesWhatWouldHaveItsMemory)
{
    // A frame without a content size whose window is 1 GiB (RFC 8878 3.1.1.1.2).
    std::string stored(STORED_BODY_HEAD_BYTES, '\0'), got;
    stored[0] = STORED_BODY_VERSION;
    stored[1] = STORED_BODY_ZSTD;
    stored[8] = 100;
    stored += std::string("\x28\xb5\x2f\xfd\x00\xa0", 6) + std::string("\x01\x00\x00", 3);
    EXPECT_EQ(ERR_CORRUPT, ReadPieces(stored, stored.size(), 1000, &got));
    EXPECT_EQ("", got);
    struct stored_body_reader *reader = nullptr;
    EXPECT_EQ(ERR_CORRUPT, stored_body_reader_new(15, &reader).code);
    EXPECT_EQ(nullptr, reader);
    ASSERT_EQ(ERR_OK, stored_body_reader_new(100, &reader).code);
    struct buf out;
    char bytes[10];
    buf_init(&out, bytes, sizeof(bytes));
    std::string more(101, '\0');
    struct span in = S(more);
    EXPECT_EQ(ERR_CORRUPT, stored_body_read(reader, &in, &out).code); // more than was said
    stored_body_reader_free(reader);
    stored_body_reader_free(nullptr);
}

TEST(StoredBody, StaysWithinTheBudget)
{
    struct body_budget budget = { 8192, 0, 0, 0, "/tmp" };
    struct body *body = nullptr;
    EXPECT_EQ(ERR_BUSY, stored_body_make(S(Noise(20000)), &budget, &body).code);
    EXPECT_EQ(ERR_BUSY, stored_body_make(S(Mail(4000000)), &budget, &body).code);
    EXPECT_EQ(nullptr, body);
    EXPECT_EQ(0u, budget.memory_bytes);
}

TEST(StoredBody, ThreadsDoNotDisturbEachOther)
{
    std::vector<std::thread> threads;
    for (size_t t = 0; t < 4; t++) {
        threads.emplace_back([t] {
            for (size_t i = 0; i < 50; i++) {
                std::string again, plain = Mail(1000 * (t + 1) + i);
                EXPECT_EQ(ERR_OK, Open(Make(plain), &again));
                EXPECT_EQ(plain, again);
            }
        });
    }
    for (auto &thread : threads) thread.join();
}

constexpr struct password_cost kCheap = { 8, 1 };

std::string Hash(const std::string &password, struct password_cost cost = kCheap)
{
    char made[PASSWORD_MADE_MAX_BYTES];
    size_t len = 0;
    EXPECT_EQ(ERR_OK, password_make(S(password), &cost, made, &len).code);
    return std::string(made, len);
}

TEST(Password, OursFitTheirPasswordOnly)
{
    for (const std::string &password : { std::string(), std::string("secret"),
                                         std::string("with\0nul", 8), std::string(1024, 'x') }) {
        std::string hash = Hash(password);
        EXPECT_EQ(0u, hash.rfind("$argon2id$v=19$m=8,t=1,p=1$", 0)) << hash;
        EXPECT_NE(hash, Hash(password)); // the salt
        EXPECT_TRUE(password_verify(S(hash), S(password)));
        EXPECT_FALSE(password_verify(S(hash), S(password + "x")));
        EXPECT_FALSE(password_verify(S(hash), S("other")));
    }
}

TEST(Password, OthersFit)
{
    const struct { const char *password, *hash; enum password_scheme scheme; } cases[] = {
        { "pleaseletmein", "$y$j9T$LdJMENpBABJJ3hIHjB1Bi.$iofk68xbXBoXKsxTyMBCh2qkQuzQZ2Zik521F9TsTq6", PASSWORD_YESCRYPT },
        { "U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", PASSWORD_BCRYPT },
        { "Hello world!", "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1", PASSWORD_SHA512 },
        { "Hello world!", "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.", PASSWORD_SHA512 },
        { "password", "$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a.", PASSWORD_MD5 },
        { "password", "$5$saltsalt$gOjOtoMpVhru2uyjeJSEc/JaLQWOXMNmlOnj6T4AtC.", PASSWORD_SHA256 },
        { "password", "$7$86..../....BpECIvVfUpk9ylaEIxmjOGKORupVtxr8AETyRo1DTjB$s170BHYufYuLye1mUECY5qqdSZv.seH.7dYngvTKIt3", PASSWORD_SCRYPT },
        { "password", "$7$BU..../....V7qMYJaNbVKOeh4PhtqPk3bQnFLRqR5S$kAEogkKL87OHiYql3nxE0uEdNlgw.v9.8YwoDRdytc3", PASSWORD_SCRYPT },
    };
    for (const auto &c : cases) {
        enum password_scheme scheme = PASSWORD_ARGON2ID;
        EXPECT_EQ(ERR_OK, password_scheme_of(S(c.hash), &scheme).code) << c.hash;
        EXPECT_EQ(c.scheme, scheme);
        EXPECT_TRUE(password_verify(S(c.hash), S(c.password))) << c.hash;
        EXPECT_FALSE(password_verify(S(c.hash), S("wrong")));
        EXPECT_FALSE(password_verify(S(c.hash), S(std::string(c.password) + std::string("\0x", 2))));
        EXPECT_TRUE(password_needs_rehash(S(c.hash), &kCheap));
        std::string changed = c.hash;
        changed.back() = changed.back() == 'a' ? 'b' : 'a';
        EXPECT_FALSE(password_verify(S(changed), S(c.password)));
        EXPECT_FALSE(password_verify(S(changed.substr(0, changed.size() - 1)), S(c.password)));
    }
}

TEST(Password, DigestsOfLdapFit)
{
    const char *const cases[] = {
        "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0",
        "{SHA256}XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=",
        "{SSHA256}eje4XIkY6sGakInA+loqtNzj+QUo3N7sEIsj3fNge5lzYWx0",
        "{SHA512}sQnzu7wkTrgkQZF+0G1hi5AI3Qmzvv0bXgc5THBqi7mAsdd4Xll27ASbRt9fEyavWi6m0QP9B8lThf+rDKy8hg==",
        "{SSHA512}+mohhbPgqahe9B/7Z+88H7b3SYD46/lw5OcuNT7ZU31ZMIPCAd/W5D4cinqsK8jbsRnH37fUuPExEROVvXDpf3NhbHQ=",
    };
    for (const char *text : cases) {
        std::string stored = text;
        enum password_scheme scheme = PASSWORD_ARGON2ID;
        EXPECT_EQ(ERR_OK, password_scheme_of(S(stored), &scheme).code) << stored;
        EXPECT_EQ(PASSWORD_DIGEST, scheme);
        EXPECT_TRUE(password_verify(S(stored), S("password"))) << stored;
        EXPECT_FALSE(password_verify(S(stored), S("Password"))) << stored;
        EXPECT_FALSE(password_verify(S(stored), S(std::string("password\0", 9)))) << stored;
        EXPECT_FALSE(password_verify(S(stored), S(""))) << stored;
        EXPECT_TRUE(password_needs_rehash(S(stored), &kCheap));
        std::string changed = stored;
        char &digit = changed[changed.find('}') + 3];
        digit = digit == 'x' ? 'y' : 'x';
        EXPECT_FALSE(password_verify(S(changed), S("password"))) << changed;
    }
    const std::string bad[] = {
        "{SHA}", "{SSHA}", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9hh",
        "{SSHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{sha}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{SHA1}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
        "{SSHA}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0 ", "{SHA256}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{SSHA}****",
        "{SSHA256}" + std::string(176, 'A'), "{SSHA512}" + std::string(240, 'A'), "{SMD5}yI6cZwQadOA1e+/f+T+H3eCQQhRzYWx0",
    };
    for (const auto &c : bad) {
        enum password_scheme scheme;
        EXPECT_EQ(ERR_UNSUPPORTED, password_scheme_of(S(c), &scheme).code) << c;
        EXPECT_FALSE(password_verify(S(c), S("password"))) << c;
    }
}

TEST(Password, NamesThatOtherServersPutInFrontAreTakenOff)
{
    const std::string sha512 = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1";
    const struct { std::string given, taken; } cases[] = {
        { sha512, sha512 }, { "{CRYPT}" + sha512, sha512 }, { "{SHA512-CRYPT}" + sha512, sha512 },
        { "{BLF-CRYPT}$2a$05$CCCC", "$2a$05$CCCC" }, { "{MD5-CRYPT}$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a.", "$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a." },
        { "{SHA256-CRYPT}$5$s$x", "$5$s$x" },
        { "{ARGON2ID}$argon2id$v=19$m=8,t=1,p=1$MTIz$MTIz", "$argon2id$v=19$m=8,t=1,p=1$MTIz$MTIz" },
        { "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=" },
        // Bad ones.
        { "", "" }, { "{CRYPT}", "" }, { "{CRYPT}rl0qzKSdz8fQg", "" }, { "{SHA256-CRYPT}" + sha512, "" }, { "{BLF-CRYPT}$1$a$b", "" },
        { "{PLAIN}secret", "" }, { "{SCRYPT}" + sha512, "" }, { "{CRYPT}{CRYPT}" + sha512, "" }, { "{SHA512-CRYPT}", "" },
        { "{ARGON2ID}$argon2i$v=19$m=8,t=1,p=1$MTIz$MTIz", "" }, { "{CRYPT} " + sha512, "" }, { "{CRYPT", "" },
    };
    for (const auto &c : cases) {
        struct span taken = {};
        enum err_code code = password_taken(S(c.given), &taken).code;
        EXPECT_EQ(c.taken.empty() ? ERR_UNSUPPORTED : ERR_OK, code) << c.given;
        EXPECT_EQ(c.taken, std::string(taken.len == 0 ? "" : taken.ptr, taken.len)) << c.given;
    }
}

TEST(Password, StrangeOrCostlyHashesAreRefused)
{
    const std::string salt = "$MTIzNDU2Nzg5MDEyMzQ1Ng$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
    const std::string cases[] = {
        "", "$", "x", "secret", "*", "!", "{PLAIN}secret", "rl0qzKSdz8fQg", "$5$rounds=999999999$salt$x", "$7$x", "$7$U6..../....salt$x", "$argon2id$",
        "$7$C...../....salt$x", "$7$CzzzzzE....salt$x", "$7$C6.....", "$7$.6..../....salt$x", "$7$C6....3....salt$x",
        "$argon2id$v=19$m=4000000,t=2,p=1" + salt, "$argon2id$v=19$m=19456,t=17,p=1" + salt,
        "$argon2id$v=19$m=19456,t=2,p=4" + salt, "$argon2id$v=19$m=99999999999,t=2,p=1" + salt,
        "$argon2id$m=19456,t=2,p=1" + salt, "$argon2d$v=19$m=19456,t=2,p=1" + salt,
        "$6$rounds=999999999$salt$x", "$6$rounds=$salt$x", "$2b$31$CCCCCCCCCCCCCCCCCCCCC.", "$2b$5$x", "$2x$05$x",
        "$y$jMT$salt$x", "$y$j9z$salt$x", "$y$j9T2$salt$x", "$y$", std::string("$1$a\0b$x", 8), "$1$a b$x",
        "$1$" + std::string(300, 'x'),
    };
    for (const auto &c : cases) {
        enum password_scheme scheme;
        EXPECT_EQ(ERR_UNSUPPORTED, password_scheme_of(S(c), &scheme).code) << c;
        EXPECT_FALSE(password_verify(S(c), S(""))) << c;
        EXPECT_FALSE(password_verify(S(c), S(c))) << c;
    }
    char made[PASSWORD_MADE_MAX_BYTES];
    size_t len = 0;
    const struct password_cost huge = { 1 << 30, 2 }, none = { 8, 0 };
    EXPECT_EQ(ERR_TOO_BIG, password_make(S("x"), &huge, made, &len).code);
    EXPECT_EQ(ERR_TOO_BIG, password_make(S("x"), &none, made, &len).code);
    EXPECT_EQ(ERR_TOO_BIG, password_make(S(std::string(1025, 'x')), &kCheap, made, &len).code);
    EXPECT_FALSE(password_verify(S(Hash("x")), S(std::string(1025, 'x'))));
}

TEST(Password, RehashWhenTheCostHasChanged)
{
    std::string hash = Hash("x");
    const struct password_cost more_memory = { 16, 1 }, more_passes = { 8, 2 };
    EXPECT_FALSE(password_needs_rehash(S(hash), &kCheap));
    EXPECT_TRUE(password_needs_rehash(S(hash), &more_memory));
    EXPECT_TRUE(password_needs_rehash(S(hash), &more_passes));
    EXPECT_TRUE(password_needs_rehash(S(""), &kCheap));
}

}  // namespace
