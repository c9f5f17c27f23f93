// Questions to a DNS server that the test is itself: records, names that are not there, failures,
// silence, cancelling, another resolver.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "arena.h"
#include "clock.h"
#include "dns.h"
#include "dns_record.h"
#include "loop.h"

namespace {

constexpr unsigned kDeadlineMs = 20000;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

std::string Wire(const std::string &name)
{
    std::string wire;
    for (size_t at = 0; at < name.size();) {
        size_t dot = std::min(name.find('.', at), name.size());
        wire += char(dot - at) + name.substr(at, dot - at);
        at = dot + 1;
    }
    return wire + '\0';
}

std::string U16(unsigned n) { return { char(n >> 8), char(n) }; }
std::string U32(unsigned n) { return U16(n >> 16) + U16(n & 0xffff); }

// A server on 127.0.0.1 that knows what it is told. An address that is not known is NXDOMAIN.
struct Server {
    struct Zone {
        int rcode = 0;
        bool silent = false;
        std::vector<std::pair<int, std::string>> records; // type, data
    };

    Server()
    {
        fd = socket(AF_INET, SOCK_DGRAM, 0);
        struct sockaddr_in address = {};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, bind(fd, reinterpret_cast<struct sockaddr *>(&address), sizeof(address)));
        socklen_t size = sizeof(address);
        getsockname(fd, reinterpret_cast<struct sockaddr *>(&address), &size);
        resolver = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
        thread = std::thread([this] { Run(); });
    }
    ~Server()
    {
        stop = true;
        thread.join();
        close(fd);
    }

    void Run()
    {
        while (!stop) {
            struct pollfd wait = { fd, POLLIN, 0 };
            if (poll(&wait, 1, 20) <= 0) continue;
            char packet[4096];
            struct sockaddr_in from;
            socklen_t size = sizeof(from);
            ssize_t n = recvfrom(fd, packet, sizeof(packet), 0, reinterpret_cast<struct sockaddr *>(&from), &size);
            if (n < 17) continue;
            std::string reply = Reply(std::string(packet, size_t(n)));
            if (!reply.empty()) sendto(fd, reply.data(), reply.size(), 0, reinterpret_cast<struct sockaddr *>(&from), size);
        }
    }

    std::string Reply(const std::string &query)
    {
        std::string name;
        size_t at = 12;
        while (at < query.size() && query[at] != 0) {
            if (!name.empty()) name += '.';
            size_t len = uint8_t(query[at]);
            name += query.substr(at + 1, len);
            at += 1 + len;
        }
        for (char &c : name) c = char(tolower(c));
        std::string question = query.substr(12, at + 5 - 12);
        int type = uint8_t(query[at + 1]) << 8 | uint8_t(query[at + 2]);
        std::lock_guard<std::mutex> lock(mutex);
        asked[name]++;
        auto zone = zones.find(name);
        if (zone != zones.end() && zone->second.silent) return "";
        int rcode = zone == zones.end() ? 3 : zone->second.rcode, count = 0;
        std::string answers;
        if (zone != zones.end()) {
            for (const auto &[is, data] : zone->second.records) {
                if (is != type && is != 5) continue;
                answers += "\xc0\x0c" + U16(unsigned(is)) + U16(1) + U32(300) + U16(unsigned(data.size())) + data;
                count++;
            }
        }
        // Without an answer a SOA says for how long that holds.
        std::string authority;
        if (count == 0 && rcode != 2) {
            std::string soa = Wire("ns") + Wire("admin") + U32(1) + U32(60) + U32(60) + U32(60) + U32(60);
            authority = std::string(1, '\0') + U16(6) + U16(1) + U32(60) + U16(unsigned(soa.size())) + soa;
        }
        return query.substr(0, 2) + char(0x85) + char(0x80 | rcode) + U16(1) + U16(unsigned(count)) + U16(authority.empty() ? 0 : 1) + U16(0) +
               question + answers + authority;
    }

    int Asked(const std::string &name)
    {
        std::lock_guard<std::mutex> lock(mutex);
        return asked[name];
    }

    int fd;
    std::string resolver;
    std::map<std::string, Zone> zones;
    std::map<std::string, int> asked;
    std::mutex mutex;
    std::atomic<bool> stop{ false };
    std::thread thread;
};

struct Asked {
    int calls = 0;
    struct err err = {};
    struct dns_answer answer = {};
    struct dns_query *query = nullptr;
};
void OnAnswer(void *holder, struct err err, const struct dns_answer *answer)
{
    auto *asked = static_cast<Asked *>(holder);
    asked->calls++;
    asked->err = err;
    if (answer != nullptr) asked->answer = *answer;
}

struct Dns : ::testing::Test {
    void SetUp() override
    {
        std::lock_guard<std::mutex> lock(server.mutex);
        auto &z = server.zones;
        z["host.test"].records = { { 1, std::string("\x7f\0\0\x05", 4) }, { 1, std::string("\xc0\0\x02\x01", 4) },
                                   { 28, std::string(15, '\0') + "\x01" } };
        z["mail.test"].records = { { 15, U16(20) + Wire("mx2.mail.test") }, { 15, U16(10) + Wire("MX1.Mail.Test") }, { 15, U16(5) + Wire("not a host") } };
        z["null.test"].records = { { 15, U16(0) + std::string(1, '\0') } };
        z["text.test"].records = { { 16, std::string("\x04v=sp\x04" "f1 -", 10) }, { 16, std::string("\0", 1) } };
        z["_25._tcp.mail.test"].records = { { 52, std::string("\x03\x01\x01", 3) + std::string(32, '\xab') } };
        z["5.0.0.127.in-addr.arpa"].records = { { 12, Wire("host.test") } };
        z["alias.test"].records = { { 5, Wire("host.test") } };
        z["fails.test"].rcode = 2;
        z["refuses.test"].rcode = 5;
        z["silent.test"].silent = true;
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        arena_init(&arena, 1 << 20);
        Open(server.resolver, nullptr);
    }
    void TearDown() override
    {
        dns_free(dns);
        for (int i = 0; i < 3; i++) loop_step(loop, 0);
        loop_free(loop);
        arena_clear(&arena);
    }
    void Open(const std::string &resolver, const char *anchors)
    {
        const struct dns_options options = { loop, S(resolver), anchors };
        ASSERT_EQ(ERR_OK, dns_new(&options, &dns).code);
    }
    void Start(const std::string &name, enum dns_type type, Asked *asked, uint64_t deadline_ms = kDeadlineMs)
    {
        const struct dns_question question = { S(name), type, deadline_ms, &arena };
        ASSERT_EQ(ERR_OK, dns_query_start(dns, &question, OnAnswer, asked, &asked->query).code) << name;
        EXPECT_EQ(0, asked->calls);
    }
    bool Until(const std::function<bool()> &reached)
    {
        for (uint64_t until = clock_boot_ms() + kDeadlineMs; clock_boot_ms() < until;) {
            if (reached()) return true;
            loop_step(loop, 50);
        }
        return reached();
    }
    Asked Ask(const std::string &name, enum dns_type type, uint64_t deadline_ms = kDeadlineMs)
    {
        Asked asked;
        Start(name, type, &asked, deadline_ms);
        EXPECT_TRUE(Until([&] { return asked.calls > 0; })) << name;
        EXPECT_EQ(1, asked.calls);
        return asked;
    }
    Server server;
    struct loop *loop = nullptr;
    struct dns *dns = nullptr;
    struct arena arena;
};

TEST_F(Dns, RecordsOfEveryType)
{
    auto a = Ask("Host.Test.", DNS_A);
    ASSERT_EQ(ERR_OK, a.err.code);
    EXPECT_EQ(DNS_FOUND, a.answer.status);
    EXPECT_EQ(DNS_INSECURE, a.answer.security);
    EXPECT_GT(a.answer.ttl_seconds, 0u);
    EXPECT_LE(a.answer.ttl_seconds, 300u);
    ASSERT_EQ(2u, a.answer.count);
    const uint8_t mapped[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 5 };
    EXPECT_TRUE(memcmp(mapped, a.answer.records[0].as.ip, 16) == 0 || memcmp(mapped, a.answer.records[1].as.ip, 16) == 0);
    auto aaaa = Ask("host.test", DNS_AAAA);
    ASSERT_EQ(1u, aaaa.answer.count);
    EXPECT_EQ(1, aaaa.answer.records[0].as.ip[15]);
    EXPECT_EQ(0, aaaa.answer.records[0].as.ip[10]);
    auto mx = Ask("mail.test", DNS_MX);
    ASSERT_EQ(ERR_OK, mx.err.code);
    ASSERT_EQ(2u, mx.answer.count); // the third is no host
    EXPECT_EQ(10, mx.answer.records[0].as.mx.preference);
    EXPECT_EQ("mx1.mail.test", Str(mx.answer.records[0].as.mx.host));
    EXPECT_EQ("mx2.mail.test", Str(mx.answer.records[1].as.mx.host));
    auto null = Ask("null.test", DNS_MX);
    ASSERT_EQ(1u, null.answer.count);
    EXPECT_EQ("", Str(null.answer.records[0].as.mx.host));
    auto txt = Ask("text.test", DNS_TXT);
    ASSERT_EQ(2u, txt.answer.count);
    EXPECT_EQ("v=spf1 -", Str(txt.answer.records[0].as.text) + Str(txt.answer.records[1].as.text));
    auto tlsa = Ask("_25._tcp.mail.test", DNS_TLSA);
    ASSERT_EQ(1u, tlsa.answer.count);
    EXPECT_EQ(3, tlsa.answer.records[0].as.tlsa.usage);
    EXPECT_EQ(std::string(32, '\xab'), Str(tlsa.answer.records[0].as.tlsa.data));
    char reverse[DNS_REVERSE_MAX_BYTES];
    dns_reverse_name(mapped, reverse);
    EXPECT_STREQ("5.0.0.127.in-addr.arpa", reverse);
    auto ptr = Ask(reverse, DNS_PTR);
    ASSERT_EQ(ERR_OK, ptr.err.code);
    ASSERT_EQ(1u, ptr.answer.count);
    EXPECT_EQ("host.test", Str(ptr.answer.records[0].as.host));
}

TEST_F(Dns, AliasesAreFollowed)
{
    auto a = Ask("alias.test", DNS_A);
    ASSERT_EQ(ERR_OK, a.err.code);
    EXPECT_EQ(2u, a.answer.count);
    EXPECT_EQ("host.test", Str(a.answer.canonical));
}

TEST_F(Dns, WhatIsNotThere)
{
    auto none = Ask("none.test", DNS_A);
    EXPECT_EQ(ERR_OK, none.err.code);
    EXPECT_EQ(DNS_NO_NAME, none.answer.status);
    EXPECT_EQ(0u, none.answer.count);
    auto other_type = Ask("host.test", DNS_MX);
    EXPECT_EQ(ERR_OK, other_type.err.code);
    EXPECT_EQ(DNS_NO_DATA, other_type.answer.status);
}

TEST_F(Dns, FailuresAreTemporary)
{
    EXPECT_EQ(ERR_UNREACHABLE, Ask("fails.test", DNS_A).err.code);
    EXPECT_EQ(ERR_UNREACHABLE, Ask("refuses.test", DNS_A).err.code);
    EXPECT_EQ(ERR_OK, Ask("host.test", DNS_A).err.code); // the server is not taken for dead
}

TEST_F(Dns, SilenceEndsAtTheDeadline)
{
    uint64_t began = clock_boot_ms();
    auto silent = Ask("silent.test", DNS_A, 300);
    EXPECT_EQ(ERR_TIMEOUT, silent.err.code);
    EXPECT_GE(clock_boot_ms() - began, 290u);
    EXPECT_GE(server.Asked("silent.test"), 1);
    EXPECT_EQ(ERR_OK, Ask("host.test", DNS_A).err.code);
}

TEST_F(Dns, AnswersAreCached)
{
    EXPECT_EQ(ERR_OK, Ask("host.test", DNS_A).err.code);
    int asked = server.Asked("host.test");
    for (int i = 0; i < 5; i++) EXPECT_EQ(2u, Ask("HOST.test", DNS_A).answer.count);
    EXPECT_EQ(asked, server.Asked("host.test"));
}

TEST_F(Dns, CancelledQueriesSayNothing)
{
    Asked cancelled, other, silent;
    Start("host.test", DNS_A, &cancelled);
    Start("silent.test", DNS_A, &silent);
    Start("mail.test", DNS_MX, &other);
    dns_query_cancel(cancelled.query);
    ASSERT_TRUE(Until([&] { return other.calls == 1; }));
    dns_query_cancel(silent.query);
    dns_query_cancel(nullptr);
    EXPECT_EQ(ERR_OK, Ask("host.test", DNS_A).err.code);
    EXPECT_EQ(0, cancelled.calls);
    EXPECT_EQ(0, silent.calls);
}

TEST_F(Dns, OutstandingQueriesAreBounded)
{
    std::vector<Asked> asked(DNS_QUERIES_MAX);
    for (auto &one : asked) Start("silent.test", DNS_A, &one);
    const struct dns_question question = { S("host.test"), DNS_A, 1000, &arena };
    struct dns_query *query = nullptr;
    EXPECT_EQ(ERR_BUSY, dns_query_start(dns, &question, OnAnswer, &asked[0], &query).code);
    for (auto &one : asked) dns_query_cancel(one.query);
    EXPECT_EQ(ERR_OK, Ask("host.test", DNS_A).err.code);
    for (auto &one : asked) EXPECT_EQ(0, one.calls);
}

TEST_F(Dns, AnotherResolver)
{
    Server second;
    {
        std::lock_guard<std::mutex> lock(second.mutex);
        second.zones["host.test"].records = { { 1, std::string("\x01\x02\x03\x04", 4) } };
    }
    EXPECT_EQ(2u, Ask("host.test", DNS_A).answer.count);
    Asked silent;
    Start("silent.test", DNS_A, &silent, 400);
    ASSERT_EQ(ERR_OK, dns_configure(dns, S(second.resolver)).code);
    ASSERT_EQ(ERR_OK, dns_configure(dns, S(second.resolver)).code);
    EXPECT_EQ(1u, Ask("host.test", DNS_A).answer.count);
    ASSERT_TRUE(Until([&] { return silent.calls == 1; })); // of the old one, to its end
    EXPECT_EQ(ERR_TIMEOUT, silent.err.code);
    for (const char *bad : { "127.0.0.1", "localhost:53", "127.0.0.1:0", "127.0.0.1:65536", ":53", "::1:53", "[::1]", "[127.0.0.1]:53", "1.2.3.4:5x", "x" }) {
        EXPECT_EQ(ERR_SYNTAX, dns_configure(dns, S(bad)).code) << bad;
    }
    EXPECT_EQ(ERR_SYNTAX, dns_configure(dns, S(std::string(100, '1') + ":53")).code);
    EXPECT_EQ(1u, Ask("host.test", DNS_A).answer.count); // it stays as it was
    EXPECT_EQ(ERR_OK, dns_configure(dns, S("[::1]:53")).code);
    EXPECT_EQ(ERR_OK, dns_configure(dns, S("")).code);
}

// Under a trust anchor that signs nothing we are shown: an answer is worse than none.
TEST_F(Dns, UnsignedAnswersUnderAnAnchorAreRefused)
{
    char path[] = "/tmp/dns-test-XXXXXX";
    close(mkstemp(path));
    std::ofstream(path) << "test. IN DS 12345 13 2 " << std::string(64, 'a') << "\n";
    dns_free(dns);
    Open(server.resolver, path);
    EXPECT_EQ(ERR_CORRUPT, Ask("host.test", DNS_A).err.code);
    std::filesystem::remove(path);
}

TEST_F(Dns, BadNamesAreRefused)
{
    const std::string label(63, 'a'), bad[] = { "", ".", "..", "a..b", ".a", "a b", "a\nb", std::string("a\0b", 3), "m\xc3\xbc.test", label + "a.test",
                                                label + "." + label + "." + label + "." + label, "a\\.b", "(a)", "a.test.." };
    for (const auto &name : bad) {
        Asked asked;
        const struct dns_question question = { S(name), DNS_A, 1000, &arena };
        EXPECT_EQ(ERR_SYNTAX, dns_query_start(dns, &question, OnAnswer, &asked, &asked.query).code) << name;
    }
    struct arena small;
    arena_init(&small, 8);
    Asked asked;
    const struct dns_question question = { S("mail.test"), DNS_MX, kDeadlineMs, &small };
    ASSERT_EQ(ERR_OK, dns_query_start(dns, &question, OnAnswer, &asked, &asked.query).code);
    ASSERT_TRUE(Until([&] { return asked.calls == 1; }));
    EXPECT_EQ(ERR_NOMEM, asked.err.code);
    arena_clear(&small);
}

TEST(DnsRecord, BadDataIsRefused)
{
    const std::string long_name = Wire(std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(62, 'd'));
    const struct { enum dns_type type; std::string data; } cases[] = {
        { DNS_A, "" }, { DNS_A, "abc" }, { DNS_A, "abcde" }, { DNS_AAAA, "abcd" }, { DNS_MX, "" }, { DNS_MX, "a" }, { DNS_MX, "ab" }, { DNS_MX, "ab\x05xyz" },
        { DNS_MX, std::string("ab\0x", 4) }, { DNS_MX, std::string("ab\xc0\x0c", 4) }, { DNS_MX, std::string("ab\x03x y\0", 7) }, { DNS_MX, "ab" + long_name },
        { DNS_PTR, "" }, { DNS_PTR, std::string("\0", 1) }, { DNS_PTR, std::string("\x01\xff\0", 3) }, { DNS_PTR, "\x01" "a" }, { DNS_PTR, Wire("a") + "x" },
        { DNS_TXT, "" }, { DNS_TXT, "\x05" "abc" }, { DNS_TXT, std::string("\x01" "a\x01", 3) }, { DNS_TLSA, "" }, { DNS_TLSA, "abc" },
    };
    for (const auto &c : cases) {
        struct arena arena;
        struct dns_record record;
        arena_init(&arena, 4096);
        EXPECT_EQ(ERR_SYNTAX, dns_record_read(c.type, S(c.data), &arena, &record).code) << c.type << " " << c.data;
        arena_clear(&arena);
    }
    uint8_t ip[16] = { 0x20, 0x01, 0x0d, 0xb8 };
    ip[15] = 0x1f;
    char reverse[DNS_REVERSE_MAX_BYTES];
    dns_reverse_name(ip, reverse);
    EXPECT_STREQ("f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", reverse);
}

}  // namespace
