// Visits to LDAP directories with hosts that the test plays.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

#include "directory.h"
#include "directory_mapping.h"
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
    size_t host = 0;
    bool stuck = false;
    unsigned visits = 0;
    std::vector<std::string> asked;
};
Hosts *hosts;

struct err Check(struct mapping_visit *visit, struct span dn, struct span password)
{
    std::unique_lock guard(hosts->lock);
    hosts->visits++;
    hosts->asked.push_back(Str(dn) + " " + Str(password) + " " + Str(visit->mapping->hosts[0]) + " " + std::to_string(visit->first));
    hosts->changed.notify_all();
    hosts->changed.wait(guard, [] { return !hosts->stuck; });
    visit->host = hosts->host;
    return err_make(hosts->code, "test");
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
    Hosts the_hosts;
    directory_mapping mapping = {};
    directory_domain domain = {};
    std::vector<enum err_code> answers;
    std::vector<std::string> found;

    void SetUp() override
    {
        hosts = &the_hosts;
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        ASSERT_EQ(ERR_OK, mapping_pool_new(&calls, &pool).code);
        mapping.hosts[0] = SPAN("one"), mapping.hosts[1] = SPAN("two");
        mapping.hosts_count = 2;
        mapping.filter = SPAN("(mail=*@{domain})");
        mapping.mark = 1;
        domain.name = SPAN("corp.lab");
        domain.mapping = &mapping;
    }
    void TearDown() override
    {
        mapping_pool_free(pool);
        loop_free(loop);
    }
    static void Checked(void *holder, struct err err) { static_cast<MappingPool *>(holder)->answers.push_back(err.code); }
    static void Searched(void *holder, struct err err, const char *said, struct mapping_found *found)
    {
        auto *self = static_cast<MappingPool *>(holder);
        self->answers.push_back(err.code);
        EXPECT_EQ(err.code == ERR_OK, found != nullptr);
        EXPECT_STREQ("said", said);
        if (found == nullptr) return;
        struct mapping_found taken = mapping_found_take(found);
        for (size_t i = 0; i < taken.count; i++) self->found.push_back(Str(taken.entries[i].dn));
        arena_clear(&taken.arena);
    }
    enum err_code Ask(const std::string &dn, const std::string &password, struct mapping_job **job = nullptr)
    {
        struct mapping_job *own;
        mapping_question question = { loop, &domain, S(dn), S(password) };
        return mapping_check_start(pool, &question, Checked, this, job != nullptr ? job : &own).code;
    }
    enum err_code Look(const std::string &password)
    {
        struct mapping_job *job;
        mapping_question question = { loop, &domain, SPAN(""), S(password) };
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
    EXPECT_EQ(std::vector<std::string>({ "cn=a secret one 0", "cn=a secret one 0" }), the_hosts.asked);
}

TEST_F(MappingPool, AwayIsHeardAtOnceUntilOneTriesAgain)
{
    the_hosts.code = ERR_UNREACHABLE;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(ERR_UNREACHABLE, Ask("cn=a", "x"));
    EXPECT_EQ(1u, the_hosts.visits);
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
    the_hosts.host = 1;
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(ERR_OK, Ask("cn=a", "x"));
    loop_run(loop);
    EXPECT_EQ(std::vector<std::string>({ "cn=a x one 0", "cn=a x one 1" }), the_hosts.asked);
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
    for (const char *host : { "", ":389", "[]" }) {
        mapping.hosts[0] = span_of(host, strlen(host));
        EXPECT_EQ(ERR_UNREACHABLE, mapping_ldap_check(&visit, SPAN("cn=a,dc=b"), SPAN("x")).code) << host;
    }
}

} // namespace
