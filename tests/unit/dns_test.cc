// libunbound behind lib/dns, asked against a server of our own.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "arena.h"
#include "clock.h"
#include "dns.h"
#include "dns_rdata.h"
#include "dns_server.h"
#include "loop.h"
#include "loop_fixture.h"

namespace {

struct Asked {
    struct dns_query *query = nullptr;
    bool done = false;
    dns_status status = DNS_OK;
    bool secure = false;
    std::vector<std::string> items;
    std::function<void()> then;

    static void Done(void *holder, const dns_answer *answer)
    {
        auto *self = static_cast<Asked *>(holder);
        EXPECT_FALSE(self->done);
        self->done = true;
        self->status = answer->status;
        self->secure = answer->secure;
        for (size_t i = 0; i < answer->count; i++) {
            const auto &item = answer->items[i];
            char ip[64];
            std::string text = std::to_string(item.preference) + " " + Str(item.text);
            if (item.ip[0] != 0) text += std::string(" ") + inet_ntop(item.ip[4] == 0 && item.ip[15] == 0 ? AF_INET : AF_INET6, item.ip, ip, sizeof(ip));
            self->items.push_back(text);
        }
        if (self->then) self->then();
    }
};

class Dns : public LoopTest {
protected:
    struct dns *dns = nullptr;
    dns_server server;

    void SetUp() override
    {
        LoopTest::SetUp();
        Open(10000);
    }
    void TearDown() override
    {
        dns_free(dns);
        LoopTest::TearDown();
    }
    void Open(uint64_t deadline_ms, const char *anchors = nullptr)
    {
        dns_free(dns);
        dns = nullptr;
        std::string address = server.Address();
        dns_options options{};
        options.resolver = S(address);
        options.deadline_ms = deadline_ms;
        options.anchors_path = anchors;
        ASSERT_EQ(ERR_OK, dns_new(loop, &options, &dns).code);
    }
    Asked Ask(dns_type type, const std::string &name)
    {
        Asked asked;
        EXPECT_EQ(ERR_OK, dns_query_start(dns, type, S(name), Asked::Done, &asked, &asked.query).code) << name;
        EXPECT_FALSE(asked.done);
        Until([&] { return asked.done; });
        return asked;
    }
};

using Items = std::vector<std::string>;

TEST_F(Dns, EachTypeIsAnswered)
{
    server.Address4("host.test", "192.0.2.7");
    server.Address6("host.test", "2001:db8::5");
    server.Mx("mail.test", 10, "mx1.mail.test");
    server.Mx("mail.test", 20, "MX2.mail.test");
    server.Mx("null.test", 0, "");
    server.Raw("text.test", dns_server::TXT, "\x06v=spf1\x05 -all");
    server.Raw("7.2.0.192.in-addr.arpa", dns_server::PTR, dns_server::Wire("host.test"));
    server.Raw("1.0.0.10.in-addr.arpa", dns_server::PTR, dns_server::Wire("lan.test"));
    server.Raw("_25._tcp.host.test", dns_server::TLSA, std::string("\x03\x01\x01") + "digest");
    server.Address4("localhost", "192.0.2.9");
    EXPECT_EQ((Items{ "0  192.0.2.7" }), Ask(DNS_A, "host.test").items);
    EXPECT_EQ((Items{ "0  192.0.2.7" }), Ask(DNS_A, "HOST.test.").items);
    EXPECT_EQ((Items{ "0  2001:db8::5" }), Ask(DNS_AAAA, "host.test").items);
    auto mx = Ask(DNS_MX, "mail.test").items;
    std::sort(mx.begin(), mx.end());
    EXPECT_EQ((Items{ "10 mx1.mail.test", "20 MX2.mail.test" }), mx);
    EXPECT_EQ((Items{ "0 " }), Ask(DNS_MX, "null.test").items);
    EXPECT_EQ((Items{ "0 v=spf1 -all" }), Ask(DNS_TXT, "text.test").items);
    EXPECT_EQ((Items{ "0 host.test" }), Ask(DNS_PTR, "7.2.0.192.in-addr.arpa").items);
    EXPECT_EQ((Items{ "0 lan.test" }), Ask(DNS_PTR, "1.0.0.10.in-addr.arpa").items);
    EXPECT_EQ((Items{ "0 digest" }), Ask(DNS_TLSA, "_25._tcp.host.test").items);
    EXPECT_EQ((Items{ "0  192.0.2.9" }), Ask(DNS_A, "localhost").items);
}

TEST_F(Dns, NothingThereIsToldApart)
{
    server.Address4("host.test", "192.0.2.7");
    server.Servfail("broken.test");
    EXPECT_EQ(DNS_NXDOMAIN, Ask(DNS_A, "gone.test").status);
    EXPECT_EQ(DNS_NODATA, Ask(DNS_MX, "host.test").status);
    EXPECT_EQ(DNS_TEMPORARY, Ask(DNS_A, "broken.test").status);
    EXPECT_FALSE(Ask(DNS_A, "host.test").secure);
}

TEST_F(Dns, AnswersAreCached)
{
    server.Address4("host.test", "192.0.2.7");
    Ask(DNS_A, "host.test");
    unsigned asked = server.Asked();
    for (int i = 0; i < 10; i++) EXPECT_EQ(1u, Ask(DNS_A, "host.test").items.size());
    EXPECT_EQ(asked, server.Asked());
}

TEST_F(Dns, SilenceEndsAtTheDeadline)
{
    server.Silent("silent.test");
    server.Address4("host.test", "192.0.2.7");
    Open(200);
    uint64_t from = clock_boot_ms();
    EXPECT_EQ(DNS_TEMPORARY, Ask(DNS_A, "silent.test").status);
    EXPECT_GE(clock_boot_ms() - from, 190u);
    EXPECT_LT(clock_boot_ms() - from, 5000u);
    Open(10000);
    EXPECT_EQ(DNS_OK, Ask(DNS_A, "host.test").status);
}

// dns.deadline changes while the resolver runs: queries that begin later go by it.
TEST_F(Dns, DeadlineChanges)
{
    server.Silent("silent.test");
    Open(3600 * 1000);
    Asked first;
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_A, SPAN("silent.test"), Asked::Done, &first, &first.query).code);
    for (uint64_t deadline_ms : { 100, 300 }) {
        dns_deadline(dns, deadline_ms);
        uint64_t from = clock_boot_ms();
        EXPECT_EQ(DNS_TEMPORARY, Ask(DNS_MX, "silent.test").status);
        EXPECT_GE(clock_boot_ms() - from, deadline_ms - 10);
        EXPECT_LT(clock_boot_ms() - from, 5000u);
    }
    EXPECT_FALSE(first.done);
    dns_query_cancel(first.query);
}

TEST_F(Dns, UnsignedDataUnderAnAnchorIsBogus)
{
    char path[] = "/tmp/dns_test_XXXXXX";
    int fd = mkstemp(path);
    ASSERT_GE(fd, 0);
    const std::string anchor = "signed.test. IN DS 12345 8 2 " + std::string(64, 'a') + "\n";
    ASSERT_EQ(static_cast<ssize_t>(anchor.size()), write(fd, anchor.data(), anchor.size()));
    close(fd);
    server.Address4("signed.test", "192.0.2.7");
    server.Address4("plain.test", "192.0.2.8");
    Open(10000, path);
    auto asked = Ask(DNS_A, "signed.test");
    EXPECT_EQ(DNS_BOGUS, asked.status);
    EXPECT_TRUE(asked.items.empty());
    EXPECT_EQ(DNS_OK, Ask(DNS_A, "plain.test").status);
    unlink(path);
    dns_options options{};
    struct dns *none = nullptr;
    options.anchors_path = "/nonexistent/anchors";
    EXPECT_EQ(ERR_SYNTAX, dns_new(loop, &options, &none).code);
    EXPECT_EQ(nullptr, none);
}

TEST_F(Dns, CancelledOnesAreNotToldAndFreeEndsTheRest)
{
    server.Silent("silent.test");
    server.Address4("host.test", "192.0.2.7");
    Asked cancelled, open, other;
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_A, SPAN("host.test"), Asked::Done, &cancelled, &cancelled.query).code);
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_AAAA, SPAN("silent.test"), Asked::Done, &open, &open.query).code);
    dns_query_cancel(cancelled.query);
    other.then = [&] { EXPECT_EQ(ERR_OK, dns_query_start(dns, DNS_A, SPAN("host.test"), Asked::Done, &cancelled, &cancelled.query).code); };
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_MX, SPAN("host.test"), Asked::Done, &other, &other.query).code);
    Until([&] { return other.done; });
    Until([&] { return cancelled.done; }); // the one that was asked from within a callback
    EXPECT_FALSE(open.done);
    dns_free(dns);
    dns = nullptr;
    EXPECT_FALSE(open.done);
}

TEST_F(Dns, ARetiredOneAnswersWhatIsOpenAndGoes)
{
    server.Silent("silent.test");
    server.Address4("host.test", "192.0.2.7");
    Asked answered, late, cancelled;
    Open(300);
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_A, SPAN("host.test"), Asked::Done, &answered, &answered.query).code);
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_A, SPAN("silent.test"), Asked::Done, &late, &late.query).code);
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_AAAA, SPAN("silent.test"), Asked::Done, &cancelled, &cancelled.query).code);
    dns_retire(dns);
    dns = nullptr;
    dns_query_cancel(cancelled.query);
    loop_run(loop); // until nothing is open
    EXPECT_EQ((Items{ "0  192.0.2.7" }), answered.items);
    EXPECT_TRUE(late.done);
    EXPECT_EQ(DNS_TEMPORARY, late.status);
    EXPECT_FALSE(cancelled.done);
    Open(300);
    dns_retire(dns); // nothing is open
    dns = nullptr;
    Open(300);
    ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_A, SPAN("silent.test"), Asked::Done, &cancelled, &cancelled.query).code);
    dns_retire(dns);
    dns = nullptr;
    dns_query_cancel(cancelled.query); // the last one
    loop_run(loop);
    EXPECT_FALSE(cancelled.done);
}

TEST_F(Dns, ThereIsABoundOnOpenQueries)
{
    std::vector<std::unique_ptr<Asked>> all;
    for (unsigned i = 0; i < DNS_QUERIES_MAX; i++) {
        all.push_back(std::make_unique<Asked>());
        std::string name = "n" + std::to_string(i) + ".test";
        ASSERT_EQ(ERR_OK, dns_query_start(dns, DNS_A, S(name), Asked::Done, all.back().get(), &all.back()->query).code);
    }
    Asked over;
    EXPECT_EQ(ERR_BUSY, dns_query_start(dns, DNS_A, SPAN("x.test"), Asked::Done, &over, &over.query).code);
    Until([&] {
        for (const auto &one : all) {
            if (!one->done) return false;
        }
        return true;
    });
    for (const auto &one : all) EXPECT_EQ(DNS_NXDOMAIN, one->status);
    EXPECT_EQ(DNS_NXDOMAIN, Ask(DNS_A, "x.test").status);
}

TEST_F(Dns, BadNamesAndServersAreRefused)
{
    const std::string label(63, 'a');
    const struct { std::string name; bool good; } rows[] = {
        { "a", true }, { "a.b", true }, { "a.b.", true }, { "_dmarc.x-y.test", true }, { label, true },
        { label + "." + label + "." + label + "." + std::string(61, 'a'), true },
        { "", false }, { ".", false }, { ".a", false }, { "a..b", false }, { "a..", false }, { label + "a", false },
        { label + "." + label + "." + label + "." + std::string(62, 'a'), false },
        { "a b", false }, { "a\\b", false }, { std::string("a\0b", 3), false }, { "m\xc3\xbc.test", false }, { "[192.0.2.1]", false }, { "a\n", false },
    };
    for (const auto &row : rows) {
        Asked asked;
        struct err err = dns_query_start(dns, DNS_A, S(row.name), Asked::Done, &asked, &asked.query);
        EXPECT_EQ(row.good ? ERR_OK : ERR_SYNTAX, err.code) << row.name;
        if (row.good) dns_query_cancel(asked.query);
    }
    for (const char *resolver : { "127.0.0.1", "name:53", "127.0.0.1:x", "127.0.0.1@53" }) {
        dns_options options{};
        struct dns *none = nullptr;
        options.resolver = span_of(resolver, strlen(resolver));
        EXPECT_EQ(ERR_SYNTAX, dns_new(loop, &options, &none).code) << resolver;
        EXPECT_EQ(nullptr, none);
    }
}

TEST_F(Dns, NothingRunsWhileNothingIsAsked)
{
    server.Address4("host.test", "192.0.2.7");
    Ask(DNS_A, "host.test");
    rusage before{}, after{};
    getrusage(RUSAGE_SELF, &before);
    uint64_t end = clock_boot_ms() + 500;
    while (clock_boot_ms() < end) loop_step(loop, 500);
    getrusage(RUSAGE_SELF, &after);
    auto us = [](const rusage &r) { return (r.ru_utime.tv_sec + r.ru_stime.tv_sec) * 1000000 + r.ru_utime.tv_usec + r.ru_stime.tv_usec; };
    EXPECT_LT(us(after) - us(before), 50000);
    EXPECT_LT(after.ru_nvcsw - before.ru_nvcsw, 20);
}

TEST(DnsRdata, Tables)
{
    const std::string name255 = dns_server::Wire(std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd'));
    const struct { const char *what; int type; std::string rdata; err_code code; std::string text; } rows[] = {
        { "host", DNS_PTR, dns_server::Wire("a.b"), ERR_OK, "a.b" },
        { "root", DNS_PTR, std::string(1, '\0'), ERR_OK, "" },
        { "longest", DNS_PTR, name255, ERR_OK, std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(61, 'd') },
        { "too long", DNS_PTR, dns_server::Wire(std::string(63, 'a') + "." + std::string(63, 'b') + "." + std::string(63, 'c') + "." + std::string(62, 'd')), ERR_SYNTAX, "" },
        { "nothing", DNS_PTR, "", ERR_SYNTAX, "" },
        { "no end", DNS_PTR, "\x01" "a", ERR_SYNTAX, "" },
        { "label past the end", DNS_PTR, "\x05" "a", ERR_SYNTAX, "" },
        { "bytes behind", DNS_PTR, dns_server::Wire("a") + "x", ERR_SYNTAX, "" },
        { "pointer", DNS_PTR, "\xc0\x0c", ERR_SYNTAX, "" },
        { "dot in a label", DNS_PTR, std::string("\x03" "a.b\0", 5), ERR_SYNTAX, "" },
        { "line end in a label", DNS_PTR, std::string("\x02" "a\n\0", 4), ERR_SYNTAX, "" },
        { "8-bit", DNS_PTR, std::string("\x02" "\xc3\xbc\0", 4), ERR_SYNTAX, "" },
        { "mx", DNS_MX, std::string("\0\x0a", 2) + dns_server::Wire("mx"), ERR_OK, "mx" },
        { "mx short", DNS_MX, std::string("\0\x0a", 2), ERR_SYNTAX, "" },
        { "txt", DNS_TXT, std::string("\x02" "ab\0\x01" "c", 6), ERR_OK, "abc" },
        { "txt cut", DNS_TXT, "\x03" "ab", ERR_SYNTAX, "" },
        { "txt none", DNS_TXT, "", ERR_SYNTAX, "" },
        { "txt huge", DNS_TXT, std::string(5000, '\0'), ERR_TOO_BIG, "" },
        { "a short", DNS_A, "abc", ERR_SYNTAX, "" },
        { "a long", DNS_A, "abcde", ERR_SYNTAX, "" },
        { "aaaa short", DNS_AAAA, "abcd", ERR_SYNTAX, "" },
        { "tlsa short", DNS_TLSA, "abc", ERR_SYNTAX, "" },
        { "tlsa", DNS_TLSA, "abcd", ERR_OK, "d" },
        { "other type", 99, "abcd", ERR_UNSUPPORTED, "" },
    };
    for (const auto &row : rows) {
        struct arena arena;
        dns_item item{};
        arena_init(&arena, 65536);
        EXPECT_EQ(row.code, dns_rdata_read(row.type, S(row.rdata), &arena, &item).code) << row.what;
        EXPECT_EQ(row.text, Str(item.text)) << row.what;
        arena_clear(&arena);
    }
}

} // namespace
