// Visits to LDAP directories with hosts that the test plays.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "clock.h"
#include "directory.h"
#include "directory_mapping.h"
#include "dns.h"
#include "dns_server.h"
#include "loop.h"
#include "mapping_health.h"
#include "mapping_pool.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.len == 0 ? "" : s.ptr, s.len); }

// ---- which host first, and whether at all

TEST(MappingHealth, HostsAndAbsence)
{
    struct mapping_health health = {};
    size_t first = 9;
    auto begin = [&](uint64_t now, size_t hosts = 2) { return mapping_health_begin(&health, now, hosts, &first); };
    EXPECT_EQ(MAPPING_GO, begin(1000));
    EXPECT_EQ(0u, first);
    EXPECT_EQ(MAPPING_NEWS_NONE, mapping_health_end(&health, 1000, true, 1)); // the primary was passed over
    EXPECT_EQ(MAPPING_GO, begin(1001));
    EXPECT_EQ(1u, first);
    EXPECT_EQ(MAPPING_NEWS_NONE, mapping_health_end(&health, 1001, true, 1));
    EXPECT_EQ(MAPPING_GO, begin(1000 + MAPPING_FIRST_MS)); // the primary again
    EXPECT_EQ(0u, first);
    EXPECT_EQ(MAPPING_NEWS_AWAY, mapping_health_end(&health, 50000, false, 0));
    EXPECT_EQ(MAPPING_GO_AWAY, begin(50000 + MAPPING_AWAY_MS - 1));
    EXPECT_EQ(MAPPING_GO, begin(50000 + MAPPING_AWAY_MS)); // one tries
    EXPECT_EQ(MAPPING_GO_AWAY, begin(50000 + MAPPING_AWAY_MS + 1)); // and no other
    EXPECT_EQ(MAPPING_NEWS_NONE, mapping_health_end(&health, 53000, false, 0));
    EXPECT_EQ(MAPPING_GO, begin(53000 + MAPPING_AWAY_MS));
    EXPECT_EQ(MAPPING_NEWS_BACK, mapping_health_end(&health, 56000, true, 0));
    EXPECT_EQ(MAPPING_GO, begin(56000));
    EXPECT_EQ(MAPPING_NEWS_NONE, mapping_health_end(&health, 56000, true, 1));
    EXPECT_EQ(MAPPING_GO, begin(56001, 1)); // it has one host now
    EXPECT_EQ(0u, first);
    for (unsigned i = 1; i < MAPPING_UNDER_WAY_MAX; i++) EXPECT_EQ(MAPPING_GO, begin(56002));
    EXPECT_EQ(MAPPING_GO_BUSY, begin(56002));
    EXPECT_EQ(MAPPING_NEWS_NONE, mapping_health_end(&health, 56003, true, 0));
    EXPECT_EQ(MAPPING_GO, begin(56004));
}

// ---- the pool

struct Hosts {
    std::mutex lock;
    std::condition_variable changed;
    enum err_code code = ERR_OK;
    bool stuck = false;
    std::vector<std::string> away; // hosts that do not answer
    unsigned visits = 0;
    std::vector<std::string> asked;
};
Hosts *hosts;

std::string Addresses(const struct mapping_visit *visit)
{
    std::string all;
    for (size_t i = 0; i < visit->addresses_count; i++) {
        char text[INET6_ADDRSTRLEN];
        const auto &address = visit->addresses[i];
        all += std::string(i == 0 ? "" : ",") + inet_ntop(address.is_ip6 ? AF_INET6 : AF_INET, address.ip, text, sizeof(text));
    }
    return all;
}

struct err Check(struct mapping_visit *visit, struct span dn, struct span password)
{
    std::string host = Str(visit->mapping->hosts[visit->host]);
    std::unique_lock guard(hosts->lock);
    hosts->visits++;
    hosts->asked.push_back(Str(dn) + " " + Str(password) + " " + host + " at " + Addresses(visit));
    hosts->changed.notify_all();
    hosts->changed.wait(guard, [] { return !hosts->stuck; });
    bool is_away = std::find(hosts->away.begin(), hosts->away.end(), host) != hosts->away.end();
    return err_make(is_away ? ERR_UNREACHABLE : hosts->code, "test");
}

struct err Search(struct mapping_visit *visit, struct span filter, struct span password, struct mapping_found *ret)
{
    std::unique_lock guard(hosts->lock);
    hosts->asked.push_back("search " + Str(filter) + " " + Str(password));
    snprintf(visit->said, sizeof(visit->said), "said");
    if (hosts->code != ERR_OK) return err_make(hosts->code, "test");
    ret->entries = static_cast<mapping_entry *>(arena_alloc(&ret->arena, sizeof(mapping_entry)));
    ret->count = 1;
    return arena_copy(&ret->arena, SPAN("cn=a"), &ret->entries[0].dn);
}
const mapping_calls calls = { Check, Search };

class MappingPool : public ::testing::Test {
protected:
    struct loop *loop = nullptr;
    struct mapping_pool *pool = nullptr;
    struct dns *dns = nullptr;
    Hosts the_hosts;
    directory_mapping mapping = {};
    directory_domain domain = {};
    std::vector<enum err_code> answers;
    std::vector<std::string> found;
    std::string said;

    void SetUp() override
    {
        hosts = &the_hosts;
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        ASSERT_EQ(ERR_OK, mapping_pool_new(&calls, &pool).code);
        mapping.hosts[0] = SPAN("192.0.2.1"), mapping.hosts[1] = SPAN("[2001:db8::2]:1389");
        mapping.hosts_count = 2;
        mapping.timeout_s = 1;
        mapping.filter = SPAN("(mail=*@{domain})");
        mapping.mark = 1;
        domain.name = SPAN("corp.lab");
        domain.mapping = &mapping;
    }
    void TearDown() override
    {
        loop_run(loop);
        mapping_pool_free(pool);
        dns_free(dns);
        loop_free(loop);
    }
    // A resolver that the test plays.
    void UseDns(dns_server *server)
    {
        std::string address = server->Address();
        dns_options options{};
        options.resolver = S(address), options.deadline_ms = 20000;
        ASSERT_EQ(ERR_OK, dns_new(loop, &options, &dns).code);
    }
    static void Checked(void *holder, struct err err) { static_cast<MappingPool *>(holder)->answers.push_back(err.code); }
    static void Searched(void *holder, struct err err, const char *said, struct mapping_found *found)
    {
        auto *self = static_cast<MappingPool *>(holder);
        self->answers.push_back(err.code);
        EXPECT_EQ(err.code == ERR_OK, found != nullptr);
        self->said = said;
        if (found == nullptr) return;
        struct mapping_found taken = mapping_found_take(found);
        for (size_t i = 0; i < taken.count; i++) self->found.push_back(Str(taken.entries[i].dn));
        arena_clear(&taken.arena);
    }
    enum err_code Ask(const std::string &dn, const std::string &password, struct mapping_job **job = nullptr)
    {
        struct mapping_job *own;
        mapping_question question = { loop, &dns, &domain, S(dn), S(password) };
        return mapping_check_start(pool, &question, Checked, this, job != nullptr ? job : &own).code;
    }
    enum err_code Look(const std::string &password)
    {
        struct mapping_job *job;
        mapping_question question = { loop, &dns, &domain, SPAN(""), S(password) };
        return mapping_search_start(pool, &question, Searched, this, &job).code;
    }
};

TEST_F(MappingPool, AnswersOnTheLoop)
{
    for (enum err_code code : { ERR_OK, ERR_DENIED }) {
        the_hosts.code = code;
        EXPECT_EQ(ERR_OK, Ask("cn=a", "secret"));
        EXPECT_TRUE(answers.empty());
        loop_run(loop);
        EXPECT_EQ(std::vector<enum err_code>({ code }), answers);
        answers.clear();
    }
    EXPECT_EQ(std::vector<std::string>({ "cn=a secret 192.0.2.1 at 192.0.2.1", "cn=a secret 192.0.2.1 at 192.0.2.1" }), the_hosts.asked);
}

TEST_F(MappingPool, AwayIsHeardAtOnceUntilOneTriesAgain)
{
    the_hosts.code = ERR_UNREACHABLE;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(ERR_UNREACHABLE, Ask("cn=a", "x"));
    EXPECT_EQ(2u, the_hosts.visits);
    // Other settings are another directory.
    the_hosts.code = ERR_OK;
    mapping.mark = 2;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(std::vector<enum err_code>({ ERR_UNREACHABLE, ERR_OK }), answers);
    // A search asks in any case.
    the_hosts.code = ERR_UNREACHABLE;
    EXPECT_EQ(ERR_OK, Look(""));
    EXPECT_EQ(ERR_OK, Look(""));
    loop_run(loop);
    EXPECT_EQ(4u, answers.size());
}

TEST_F(MappingPool, TheHostThatAnsweredIsFirst)
{
    the_hosts.away = { "192.0.2.1" };
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    const std::string backup = "cn=a x [2001:db8::2]:1389 at 2001:db8::2";
    EXPECT_EQ(std::vector<std::string>({ "cn=a x 192.0.2.1 at 192.0.2.1", backup, backup }), the_hosts.asked);
    // A password that is wrong at one is not tried at the next.
    the_hosts.code = ERR_DENIED;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(4u, the_hosts.asked.size());
    EXPECT_EQ(std::vector<enum err_code>({ ERR_OK, ERR_OK, ERR_DENIED }), answers);
}

TEST_F(MappingPool, NamesAreLookedUpAtTheResolver)
{
    dns_server server;
    server.Address4("ldap.test", "192.0.2.7");
    server.Address4("ldap.test", "192.0.2.8");
    server.Address6("ldap.test", "2001:db8::7");
    for (unsigned i = 10; i < 30; i++) server.Address4("many.test", ("192.0.2." + std::to_string(i)).c_str());
    UseDns(&server);
    mapping.hosts[0] = SPAN("ldap.test:1389");
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    EXPECT_TRUE(answers.empty());
    loop_run(loop);
    ASSERT_EQ(1u, the_hosts.asked.size());
    const std::string head = "cn=a x ldap.test:1389 at ";
    EXPECT_TRUE(the_hosts.asked[0] == head + "192.0.2.7,192.0.2.8,2001:db8::7" || the_hosts.asked[0] == head + "192.0.2.8,192.0.2.7,2001:db8::7")
        << the_hosts.asked[0];
    mapping.hosts[0] = SPAN("many.test"), mapping.mark = 2;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(MAPPING_HOST_ADDRESSES_MAX / 2 - 1, std::count(the_hosts.asked[1].begin(), the_hosts.asked[1].end(), ','));
    EXPECT_EQ(std::vector<enum err_code>({ ERR_OK, ERR_OK }), answers);
}

// What can't be looked up is passed over, and the thread is not asked to wait for it.
TEST_F(MappingPool, NamesWithoutAnAddress)
{
    dns_server server;
    server.Silent("silent.test");
    server.Servfail("broken.test");
    UseDns(&server);
    const struct { const char *host, *said; } rows[] = {
        { "gone.test", "gone.test: no address of that name" },
        { "broken.test", "broken.test: no answer of the DNS" },
        { "silent.test", "silent.test: no answer of the DNS in time" },
        { "a b.test", "a b.test: that is no host" },
        { "192.0.2.1:0", "192.0.2.1:0: that is no host" },
        { "192.0.2.1:65536", "192.0.2.1:65536: that is no host" },
        { "192.0.2.1:x", "192.0.2.1:x: that is no host" },
        { "192.0.2.1:", "192.0.2.1:: that is no host" },
        { "2001:db8::x:1389", "2001:db8::x:1389: that is no host" },
        { "", ": that is no host" },
        { ":389", ":389: that is no host" },
        { "[]", "[]: that is no host" },
    };
    for (const auto &row : rows) {
        answers.clear();
        mapping.hosts_count = 1;
        mapping.hosts[0] = span_of(row.host, strlen(row.host));
        uint64_t from = clock_boot_ms();
        EXPECT_EQ(ERR_OK, Look("")) << row.host;
        EXPECT_TRUE(answers.empty());
        loop_run(loop);
        EXPECT_EQ(std::vector<enum err_code>({ ERR_UNREACHABLE }), answers) << row.host;
        EXPECT_EQ(row.said, said);
        EXPECT_LT(clock_boot_ms() - from, 15000u) << row.host; // timeout_s, not the resolver's
        mapping.hosts_count = 2;
        EXPECT_EQ(ERR_OK, Ask("cn=a", "x")) << row.host;
        mapping.mark++;
        loop_run(loop);
        EXPECT_EQ(std::vector<enum err_code>({ ERR_UNREACHABLE, ERR_OK }), answers) << row.host;
    }
    EXPECT_EQ(sizeof(rows) / sizeof(rows[0]), the_hosts.asked.size());
    for (const auto &asked : the_hosts.asked) EXPECT_EQ("cn=a x [2001:db8::2]:1389 at 2001:db8::2", asked);
}

TEST_F(MappingPool, WithoutAResolverOrGivenUpWhileItIsAsked)
{
    mapping.hosts[0] = SPAN("ldap.test"), mapping.hosts_count = 1;
    EXPECT_EQ(ERR_OK, Look(""));
    loop_run(loop);
    EXPECT_EQ("ldap.test: there is no DNS to ask", said);
    dns_server server;
    server.Silent("ldap.test");
    UseDns(&server);
    struct mapping_job *job;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x", &job));
    mapping_job_cancel(job);
    dns_retire(dns); // another resolver is named meanwhile
    dns = nullptr;
    loop_run(loop);
    EXPECT_EQ(std::vector<enum err_code>({ ERR_UNREACHABLE }), answers);
    EXPECT_TRUE(the_hosts.asked.empty());
}

TEST_F(MappingPool, GivenUpAndTooMany)
{
    struct mapping_job *job;
    EXPECT_EQ(ERR_DENIED, Ask("cn=a", std::string(DIRECTORY_MAPPING_TEXT_MAX_BYTES + 1, 'x')));
    the_hosts.stuck = true;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x", &job));
    mapping_job_cancel(job);
    mapping_job_cancel(nullptr);
    for (unsigned i = 1; i < MAPPING_UNDER_WAY_MAX; i++) EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    EXPECT_EQ(ERR_BUSY, Ask("cn=a", "x"));
    {
        std::unique_lock guard(the_hosts.lock);
        the_hosts.stuck = false;
        the_hosts.changed.notify_all();
    }
    loop_run(loop);
    EXPECT_EQ(MAPPING_UNDER_WAY_MAX - 1u, answers.size()); // not the one that was given up
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
}

TEST_F(MappingPool, SearchesWithTheFilterOfTheDomain)
{
    EXPECT_EQ(ERR_OK, Look("reader"));
    loop_run(loop);
    the_hosts.code = ERR_TOO_BIG;
    EXPECT_EQ(ERR_OK, Look(""));
    loop_run(loop);
    EXPECT_EQ(std::vector<std::string>({ "search (mail=*@corp.lab) reader", "search (mail=*@corp.lab) " }), the_hosts.asked);
    EXPECT_EQ(std::vector<std::string>({ "cn=a" }), found);
    EXPECT_EQ(std::vector<enum err_code>({ ERR_OK, ERR_TOO_BIG }), answers);
    EXPECT_EQ("said", said);
}

// ---- libldap without any host

TEST(MappingLdap, AnEmptyPasswordIsAskedNobody)
{
    mapping_ldap_init();
    directory_mapping mapping = {};
    mapping.hosts[0] = SPAN("127.0.0.1:1");
    mapping.hosts_count = 1, mapping.timeout_s = 1, mapping.tls = DIRECTORY_TLS_NONE, mapping.users_max = 10;
    struct mapping_visit visit = {};
    visit.mapping = &mapping;
    visit.addresses[0] = { false, { 127, 0, 0, 1 } };
    visit.addresses_count = 1;
    EXPECT_EQ(ERR_DENIED, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("")).code);
    EXPECT_EQ(ERR_DENIED, mapping_ldap_check(&visit, SPAN(""), SPAN("x")).code);
    EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("x")).code);
    EXPECT_STREQ("127.0.0.1:1: no connection can be made", visit.said);
    struct mapping_found found;
    mapping.bind_dn = SPAN("cn=reader,dc=b");
    mapping.base = SPAN("dc=b");
    EXPECT_EQ(ERR_DENIED, mapping_ldap_search(&visit, SPAN("(a=b)"), SPAN(""), &found).code);
    EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_search(&visit, SPAN("(a=b)"), SPAN("x"), &found).code);
    std::string long_base(2000, 'b');
    mapping.base = S(long_base);
    EXPECT_EQ(ERR_SYNTAX, mapping_ldap_search(&visit, SPAN("(a=b)"), SPAN("x"), &found).code);
    mapping.hosts[0] = SPAN("[]");
    EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("x")).code);
    EXPECT_STREQ("[]: that is no host", visit.said);
    mapping.hosts[0] = SPAN("ldap.test");
    visit.addresses_count = 0;
    EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("x")).code);
    EXPECT_STREQ("ldap.test: no address of that name", visit.said);
}

// At the first nobody listens; the next takes the connection.
TEST(MappingLdap, AddressesInTurn)
{
    int closed = socket(AF_INET, SOCK_STREAM, 0), other = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at = {};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(0x7f000001);
    socklen_t size = sizeof(at);
    ASSERT_EQ(0, bind(closed, reinterpret_cast<sockaddr *>(&at), size)); // bound, and nobody listens
    ASSERT_EQ(0, getsockname(closed, reinterpret_cast<sockaddr *>(&at), &size));
    sockaddr_in next = at;
    next.sin_addr.s_addr = htonl(0x7f000002);
    ASSERT_EQ(0, bind(other, reinterpret_cast<sockaddr *>(&next), size));
    ASSERT_EQ(0, listen(other, 5)); // takes the connection and says nothing
    directory_mapping mapping = {};
    std::string host = "ldap.test:" + std::to_string(ntohs(at.sin_port));
    mapping.hosts[0] = S(host), mapping.hosts_count = 1, mapping.timeout_s = 1, mapping.tls = DIRECTORY_TLS_NONE;
    struct mapping_visit visit = {};
    visit.mapping = &mapping;
    visit.addresses[0] = { false, { 127, 0, 0, 1 } };
    visit.addresses[1] = { false, { 127, 0, 0, 2 } };
    visit.addresses_count = 1;
    EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("x")).code);
    EXPECT_EQ(host + ": no connection can be made", visit.said);
    visit.addresses_count = 2;
    EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("x")).code);
    EXPECT_EQ(host + ": no answer in time", visit.said);
    close(closed);
    close(other);
}

} // namespace
