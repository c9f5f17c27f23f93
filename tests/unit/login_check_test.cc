// Log-in against a store that answers from memory: who gets in, when a hash is stored anew, and who is locked out.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "arena.h"
#include "clock.h"
#include "crew.h"
#include "directory.h"
#include "directory_resolve.h"
#include "id.h"
#include "later.h"
#include "login_cache.h"
#include "login_check.h"
#include "login_remake.h"
#include "loop.h"
#include "mapping_pool.h"
#include "meter.h"
#include "place_map.h"
#include "proto_message.h"
#include "route.h"
#include "store_msg.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.len == 0 ? "" : s.ptr, s.len); }

// The store: one account, alice@example.org.
struct Store {
    std::string address = "alice@example.org", directory_dn, password, full_name = "Alice", description = "who", further = "al@example.org";
    uint64_t version = 7;
    std::vector<std::string> log;             // methods, in order
    std::vector<std::string> set;             // hashes that were set
    std::function<void(const std::string &method)> before;
    enum err_code set_code = ERR_OK, get_code = ERR_OK;
    // Counters, by kind and key; a held one stays held.
    struct Counter { uint32_t count = 0, reserved = 0; bool held = false; };
    std::map<std::pair<unsigned, std::string>, Counter> counters;
    enum err_code tally_code = ERR_OK;        // of each check
};
Store *store;
struct place_map *the_map;

void Reserve(Store::Counter &counter, uint32_t limit, uint64_t *reservation, bool *busy)
{
    *busy = counter.count + counter.reserved >= limit;
    if (*busy) return;
    counter.reserved++;
    *reservation = 77;
}

store_tally_answer Count(const store_tally_item &item)
{
    store_tally_answer answer = {};
    auto &counter = store->counters[{ item.kind, Str(item.key) }];
    if (store->tally_code != ERR_OK) {
        answer.status = store->tally_code;
        return answer;
    }
    if (item.clear) counter.count = 0, counter.held = false;
    if (item.release != 0) {
        EXPECT_EQ(77u, item.release);
        EXPECT_GT(counter.reserved, 0u);
        counter.reserved--;
    }
    bool was_held = counter.held;
    if (!was_held) counter.count += item.add;
    counter.held = counter.count >= item.limit;
    answer.count = counter.count;
    answer.began = counter.held && !was_held;
    answer.held_ms = counter.held ? item.hold_ms : 0;
    if (item.more > 0 && !counter.held) Reserve(counter, item.limit, &answer.reservation, &answer.busy);
    return answer;
}

// A call of the fake route, which answers on the loop's next turn.
struct Call {
    struct later later;
    const struct proto_method *method;
    const void *request;
    const struct route_call_user *user;
    void *holder;
};
struct loop *the_loop;

void Answer(struct later *later)
{
    auto *call = reinterpret_cast<Call *>(later);
    std::string method = call->method->name;
    store->log.push_back(method);
    if (store->before) store->before(method);
    enum err_code code = store->get_code;
    if (code == ERR_OK && method == "AddressGet") {
        auto *request = static_cast<const store_address_get_request *>(call->request);
        store_address_reply reply = {};
        if (Str(request->address) == store->address) {
            reply.kind = STORE_ADDRESS_ACCOUNT, reply.state = STORE_ADDRESS_ACTIVE, reply.tenant = 1, reply.account = 42;
        }
        if (request->login) {
            EXPECT_EQ(60000u, request->login_window_ms);
            EXPECT_EQ(300000u, request->login_hold_ms);
            auto &counter = store->counters[{ STORE_TALLY_LOGIN_USER, Str(request->address) }];
            reply.login_failures = counter.count;
            reply.login_held_ms = counter.held ? 1000 : 0;
            if (!counter.held) Reserve(counter, request->login_limit, &reply.login_reservation, &reply.login_busy);
        }
        call->user->reply(call->holder, nullptr, &reply);
    } else if (code == ERR_OK && method == "AccountGet") {
        std::string address = store->address, password = store->password; // die with this call
        struct span further = S(store->further);
        store_account_reply reply = {};
        reply.has_account = true;
        reply.account.tenant = 1, reply.account.account = 42, reply.account.version = store->version;
        reply.account.state = STORE_ACCOUNT_ACTIVE;
        reply.account.address = S(address), reply.account.password = S(password);
        reply.account.directory_dn = S(store->directory_dn);
        reply.account.full_name = S(store->full_name), reply.account.description = S(store->description);
        reply.account.addresses = &further, reply.account.addresses_count = 1;
        reply.account.quota_bytes = 1234;
        call->user->reply(call->holder, nullptr, &reply);
    } else if (method == "Tally") {
        auto *request = static_cast<const store_tally_request *>(call->request);
        std::vector<store_tally_answer> answers;
        for (size_t i = 0; i < request->items_count; i++) answers.push_back(Count(request->items[i]));
        store_tally_reply reply = { answers.data(), answers.size() };
        call->user->reply(call->holder, nullptr, &reply);
    } else if (method == "AccountSet") {
        auto *request = static_cast<const store_account_set_request *>(call->request);
        code = request->if_version == store->version ? store->set_code : ERR_CONFLICT;
        if (code == ERR_OK) {
            EXPECT_EQ(16u, request->operation_id.len);
            EXPECT_EQ(store->address, Str(request->account.address));
            EXPECT_EQ("Alice who al@example.org", Str(request->account.full_name) + " " + Str(request->account.description) + " " + Str(request->account.addresses[0]));
            EXPECT_EQ(1234u, request->account.quota_bytes);
            store->password = Str(request->account.password);
            store->set.push_back(store->password);
            store->version++;
        }
    }
    call->user->done(call->holder, nullptr, err_make(code, "test"), SPAN(""));
    delete call;
}

} // namespace

// In place of router/route's.
extern "C" {
struct err route_call_start(struct route *, const struct proto_method *method, const void *request,
                            const struct route_call_options *, const struct route_call_user *user, void *holder,
                            struct route_call **ret)
{
    auto *call = new Call{ {}, method, request, user, holder };
    later_post(loop_later(the_loop), &call->later, Answer);
    *ret = nullptr;
    return err_ok();
}
void route_call_cancel(struct route_call *) {}
const struct place_map *route_map(const struct route *) { return the_map; }
}

namespace {

// Stored passwords of the test: "memory,passes:password".
std::string Stored(const struct login_cost &cost, const std::string &password)
{
    return std::to_string(cost.memory_kib) + "," + std::to_string(cost.passes) + ":" + password;
}
bool Verify(struct span stored, struct span password)
{
    std::string text = Str(stored);
    return text.substr(text.find(':') + 1) == Str(password);
}
bool IsStale(struct span stored, const struct login_cost *cost)
{
    std::string now = Stored(*cost, "");
    return Str(stored).compare(0, now.size(), now) != 0;
}
struct err Make(struct span password, const struct login_cost *cost, char *ret, size_t *len)
{
    if (Str(password) == "can't be hashed") return err_make(ERR_NOMEM, "hash");
    std::string made = Stored(*cost, Str(password));
    memcpy(ret, made.data(), made.size());
    *len = made.size();
    return err_ok();
}
struct err Mac(struct span key, struct span bytes, uint8_t ret[LOGIN_MAC_BYTES])
{
    (void)key;
    memset(ret, 0, LOGIN_MAC_BYTES);
    for (size_t i = 0; i < bytes.len; i++) ret[i % LOGIN_MAC_BYTES] = uint8_t(ret[i % LOGIN_MAC_BYTES] * 31 + uint8_t(bytes.ptr[i]));
    return err_ok();
}

class LoginCheck : public testing::Test {
protected:
    Store mail;
    struct directory *directory = nullptr;
    directory_resolver resolver = {};
    struct crew *crew = nullptr;
    login_services services = {};
    unsigned remakes = 0;
    struct meter *meter = nullptr;
    std::string decoy = "1,1:nobody knows";

    void SetUp() override
    {
        store = &mail;
        ASSERT_EQ(ERR_OK, loop_new(&the_loop).code);
        ASSERT_EQ(ERR_OK, crew_new("test", 1, 100, &crew).code);
        ASSERT_EQ(ERR_OK, directory_new(1, &directory).code);
        struct span why;
        ASSERT_EQ(ERR_OK, directory_add(directory, SPAN("{\"name\":\"example.org\",\"tenant\":1}"), &why).code);
        resolver.loop = the_loop;
        resolver.directory = directory;
        login_cache_options cache = { Mac, {}, 60000, 100 };
        services.loop = the_loop;
        services.resolver = &resolver;
        services.crew = crew;
        services.decoy = S(decoy);
        services.cost = { 64, 2 };
        services.remakes = &remakes;
        services.verify = Verify;
        services.is_stale = IsStale;
        services.make = Make;
        ASSERT_EQ(ERR_OK, login_cache_new(&cache, &services.cache).code);
        ASSERT_EQ(ERR_OK, place_map_one_node(1, 4, SPAN("unix:/nowhere"), &the_map).code);
        ASSERT_EQ(ERR_OK, meter_new(the_loop, nullptr, "owner number one", &meter).code);
        services.lockout.user_window_ms = services.lockout.address_window_ms = 60000;
        services.lockout.user_hold_ms = services.lockout.address_hold_ms = 300000;
        services.lockout.is_exempt = [](void *, const uint8_t ip[16]) { return ip[15] == 99; };
        mail.password = Stored({ 64, 2 }, "secret");
    }
    void TearDown() override
    {
        Until([&] { return remakes == 0; });
        crew_free(crew);
        loop_run(the_loop);
        meter_free(meter);
        place_map_unref(the_map);
        login_cache_free(services.cache);
        directory_unref(directory);
        loop_free(the_loop);
    }
    void Until(const std::function<bool()> &done)
    {
        uint64_t end = clock_boot_ms() + 20000;
        while (!done() && clock_boot_ms() < end) loop_step(the_loop, 20);
        EXPECT_TRUE(done());
    }
    struct Outcome {
        bool done = false;
        enum err_code code = ERR_OK;
        int locked = 0;
        static void Done(void *holder, struct err err, const login_identity *)
        {
            static_cast<Outcome *>(holder)->done = true;
            static_cast<Outcome *>(holder)->code = err.code;
            static_cast<Outcome *>(holder)->locked = err.code == ERR_DENIED ? err.detail : 0;
        }
    };
    // Places that are not given back.
    static bool Reserved()
    {
        for (const auto &[key, counter] : store->counters) {
            if (counter.reserved > 0) return true;
        }
        return false;
    }
    int locked = 0; // by the last one
    enum err_code LogIn(const std::string &password, const std::string &user = "alice@example.org", uint8_t last = 1)
    {
        Outcome outcome;
        struct login_check *check = nullptr;
        login_attempt attempt = { S(user), S(password), { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, last } };
        EXPECT_EQ(ERR_OK, login_check_start(&services, &attempt, Outcome::Done, &outcome, &check).code);
        Until([&] { return outcome.done; });
        locked = outcome.locked;
        return outcome.code;
    }
};

TEST_F(LoginCheck, WhoGetsIn)
{
    const struct { const char *user, *password; enum err_code want; } rows[] = {
        { "alice@example.org", "secret", ERR_OK }, { "ALICE@EXAMPLE.ORG", "secret", ERR_OK },
        { "alice@example.org", "Secret", ERR_DENIED }, { "alice@example.org", "", ERR_DENIED },
        { "bob@example.org", "secret", ERR_DENIED }, { "bob@example.org", "nobody knows", ERR_DENIED },
        { "alice@other.org", "secret", ERR_DENIED }, { "alice", "secret", ERR_DENIED }, { "", "secret", ERR_DENIED },
    };
    for (const auto &row : rows) EXPECT_EQ(row.want, LogIn(row.password, row.user)) << row.user;
    mail.get_code = ERR_UNREACHABLE;
    EXPECT_EQ(ERR_UNREACHABLE, LogIn("secret"));
}

// password.argon2.memory and .passes: what was hashed otherwise is hashed anew at log-in, once.
TEST_F(LoginCheck, HashesAreMadeAnewAtLogIn)
{
    const struct { const char *name; std::string stored; bool anew; } rows[] = {
        { "as it is", Stored({ 64, 2 }, "secret"), false }, { "less memory", Stored({ 63, 2 }, "secret"), true },
        { "more memory", Stored({ 65, 2 }, "secret"), true }, { "fewer passes", Stored({ 64, 1 }, "secret"), true },
        { "more passes", Stored({ 64, 3 }, "secret"), true }, { "another scheme", "$1$:secret", true },
    };
    for (const auto &row : rows) {
        mail.password = row.stored;
        mail.version++; // out of the cache
        mail.set.clear();
        mail.log.clear();
        EXPECT_EQ(ERR_DENIED, LogIn("wrong"));
        EXPECT_EQ(0u, remakes) << row.name; // only who knows the password can have it hashed
        EXPECT_EQ(ERR_OK, LogIn("secret")) << row.name;
        Until([&] { return remakes == 0; });
        EXPECT_EQ(row.anew ? 1u : 0u, mail.set.size()) << row.name;
        if (row.anew) EXPECT_EQ(Stored({ 64, 2 }, "secret"), mail.password);
        mail.set.clear();
        EXPECT_EQ(ERR_OK, LogIn("secret"));
        Until([&] { return remakes == 0; });
        EXPECT_TRUE(mail.set.empty()) << row.name;
    }
}

TEST_F(LoginCheck, ARowThatChangesMeanwhileIsLeftAlone)
{
    const std::string old = Stored({ 1, 1 }, "secret"), other = Stored({ 1, 1 }, "other");
    const struct { const char *name, *at; unsigned nth; } rows[] = {
        { "before it is read again", "AccountGet", 2 }, { "before it is written", "AccountSet", 1 },
    };
    for (const auto &row : rows) {
        unsigned seen = 0;
        mail.password = old;
        mail.version++;
        mail.set.clear();
        mail.before = [&](const std::string &method) {
            if (method != row.at || ++seen != row.nth) return;
            mail.password = other; // the user chose a new one elsewhere
            mail.version++;
        };
        EXPECT_EQ(ERR_OK, LogIn("secret")) << row.name;
        Until([&] { return remakes == 0; });
        EXPECT_TRUE(mail.set.empty()) << row.name;
        EXPECT_EQ(other, mail.password);
        mail.before = nullptr;
    }
}

TEST_F(LoginCheck, WhatFailsIsTriedAgainAtTheNextLogIn)
{
    mail.password = Stored({ 1, 1 }, "secret");
    mail.set_code = ERR_FULL;
    EXPECT_EQ(ERR_OK, LogIn("secret"));
    Until([&] { return remakes == 0; });
    EXPECT_TRUE(mail.set.empty());
    mail.set_code = ERR_OK;
    login_cache_life(services.cache, 0);
    EXPECT_EQ(ERR_OK, LogIn("secret"));
    Until([&] { return remakes == 0; });
    EXPECT_EQ(1u, mail.set.size());
    mail.password = Stored({ 1, 1 }, "can't be hashed");
    mail.version++;
    EXPECT_EQ(ERR_OK, LogIn("can't be hashed"));
    Until([&] { return remakes == 0; });
    EXPECT_EQ(1u, mail.set.size());
    services.make = nullptr;
    EXPECT_EQ(ERR_OK, LogIn("can't be hashed"));
    EXPECT_EQ(0u, remakes);
}

TEST_F(LoginCheck, RemakesHaveABound)
{
    mail.password = Stored({ 1, 1 }, "secret");
    login_subject subject = { 1, 42, 7 };
    for (int i = 0; i < LOGIN_REMAKES_MAX + 5; i++) login_remake(&services, &subject, S(mail.password), SPAN("secret"));
    EXPECT_EQ(unsigned(LOGIN_REMAKES_MAX), remakes);
    Until([&] { return remakes == 0; });
    EXPECT_EQ(1u, mail.set.size()); // the others found a newer row
}

// The decoy may be made anew while a check that took it is under way.
TEST_F(LoginCheck, TheDecoyMayChange)
{
    Outcome outcome;
    struct login_check *check = nullptr;
    std::string first = "1,1:first";
    services.decoy = S(first);
    login_attempt attempt = { SPAN("nobody@example.org"), SPAN("first"), {} };
    ASSERT_EQ(ERR_OK, login_check_start(&services, &attempt, Outcome::Done, &outcome, &check).code);
    mail.before = [&](const std::string &) { services.decoy = S(decoy); };
    first.assign(first.size(), '!');
    Until([&] { return outcome.done; });
    EXPECT_EQ(ERR_DENIED, outcome.code);
}

// ---- lock-out

TEST_F(LoginCheck, ANameIsLockedWhereverItsFailuresComeFrom)
{
    services.meter = meter, services.lockout.user_failures = 3;
    for (const std::string user : { "alice@example.org", "nobody@example.org" }) {
        for (uint8_t i = 1; i <= 3; i++) {
            EXPECT_EQ(ERR_DENIED, LogIn("wrong", user, i));
            EXPECT_EQ(i == 3 ? LOGIN_LOCKED_USER : 0, locked);
        }
        // Right or wrong, there or not: all hear the same, and no password is looked at.
        for (const char *password : { "secret", "wrong" }) EXPECT_EQ(ERR_LOCKED, LogIn(password, user, 5)) << user;
    }
    EXPECT_EQ(ERR_OK, LogIn("secret", "alice@example.org", 99)); // exempt
    EXPECT_EQ(ERR_DENIED, LogIn("wrong", "alice@example.org", 99));
    store->counters.clear();
    Until([&] { return LogIn("secret") == ERR_OK; }); // this loop forgets within a moment
}

TEST_F(LoginCheck, AnAddressIsLockedForAllNames)
{
    services.meter = meter, services.lockout.address_failures = 3;
    EXPECT_EQ(ERR_DENIED, LogIn("wrong", "alice@example.org"));
    EXPECT_EQ(ERR_OK, LogIn("secret")); // takes nothing back
    EXPECT_EQ(ERR_DENIED, LogIn("wrong", "alice@other.org")); // a domain of nobody's
    EXPECT_EQ(ERR_DENIED, LogIn("wrong", "bob@example.org"));
    EXPECT_EQ(LOGIN_LOCKED_ADDRESS, locked);
    EXPECT_EQ(ERR_LOCKED, LogIn("secret"));
    EXPECT_EQ(ERR_LOCKED, LogIn("secret", "alice@other.org"));
    EXPECT_EQ(ERR_OK, LogIn("secret", "alice@example.org", 2));
    EXPECT_EQ(ERR_DENIED, LogIn("wrong", "alice@example.org", 99)); // exempt: not counted
    EXPECT_EQ(3u, (store->counters[{ STORE_TALLY_LOGIN_ADDRESS, std::string("\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\1", 16) }].count));
}

TEST_F(LoginCheck, ALogInThatWorksForgetsTheNamesFailures)
{
    services.meter = meter, services.lockout.user_failures = 3;
    auto &counter = store->counters[{ STORE_TALLY_LOGIN_USER, "alice@example.org" }];
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 2; i++) EXPECT_EQ(ERR_DENIED, LogIn("wrong"));
        EXPECT_EQ(2u, counter.count);
        EXPECT_EQ(ERR_OK, LogIn("secret"));
        Until([&] { return counter.count == 0; });
    }
}

// ---- users of a domain's LDAP directory

std::vector<std::string> asked; // of the directory
enum err_code directory_code = ERR_OK;

struct err AskDirectory(struct mapping_visit *, struct span dn, struct span password)
{
    asked.push_back(Str(dn) + ":" + Str(password));
    if (directory_code != ERR_OK) return err_make(directory_code, "test");
    return err_make(Str(password) == "theirs" ? ERR_OK : ERR_DENIED, "test");
}

class LoginOutside : public LoginCheck {
protected:
    const mapping_calls calls = { AskDirectory, nullptr };
    struct mapping_pool *pool = nullptr;

    void SetUp() override
    {
        LoginCheck::SetUp();
        asked.clear();
        directory_code = ERR_OK;
        ASSERT_EQ(ERR_OK, mapping_pool_new(&calls, &pool).code);
        services.mapping = pool;
        services.meter = meter, services.lockout.user_failures = 3;
        mail.directory_dn = "uid=alice,dc=x";
        mail.password = "";
        UseDomain(R"(,"directory_hosts":["192.0.2.1"],"directory_base":"dc=x")");
    }
    void TearDown() override
    {
        LoginCheck::TearDown();
        mapping_pool_free(pool);
    }
    void UseDomain(const std::string &more)
    {
        struct span why;
        directory_unref(directory);
        ASSERT_EQ(ERR_OK, directory_new(1, &directory).code);
        std::string json = R"({"name":"example.org","tenant":1)" + more + "}";
        ASSERT_EQ(ERR_OK, directory_add(directory, S(json), &why).code);
        resolver.directory = directory;
    }
    unsigned Failures() { return store->counters[{ STORE_TALLY_LOGIN_USER, "alice@example.org" }].count; }
    static std::string Asked(const std::string &password) { return "uid=alice,dc=x:" + password; }
};

TEST_F(LoginOutside, TheDirectoryHasThePassword)
{
    EXPECT_EQ(ERR_DENIED, LogIn("wrong"));
    EXPECT_EQ(1u, Failures());
    EXPECT_EQ(ERR_OK, LogIn("theirs"));
    EXPECT_EQ(std::vector<std::string>({ Asked("wrong"), Asked("theirs") }), asked);
    EXPECT_EQ(ERR_OK, LogIn("theirs")); // remembered
    EXPECT_EQ(2u, asked.size());
    mail.version++; // the row has changed
    EXPECT_EQ(ERR_OK, LogIn("theirs"));
    EXPECT_EQ(3u, asked.size());
    EXPECT_EQ(0u, remakes);
    EXPECT_TRUE(mail.set.empty());
}

TEST_F(LoginOutside, WhatTheDirectoryIsNotAskedFor)
{
    EXPECT_EQ(ERR_DENIED, LogIn("")); // it would be let in
    EXPECT_EQ(ERR_DENIED, LogIn("theirs", "bob@example.org"));
    EXPECT_EQ(ERR_DENIED, LogIn("nobody knows")); // the decoy's is nobody's
    EXPECT_EQ(std::vector<std::string>({ Asked("nobody knows") }), asked);
    asked.clear();
    mail.directory_dn = "";
    mail.password = Stored({ 64, 2 }, "secret");
    EXPECT_EQ(ERR_OK, LogIn("secret")); // made here, in the same domain
    EXPECT_EQ(ERR_DENIED, LogIn("theirs"));
    EXPECT_TRUE(asked.empty());
}

TEST_F(LoginOutside, WithoutADirectoryNobodyKnowsThePassword)
{
    UseDomain("");
    EXPECT_EQ(ERR_DENIED, LogIn("theirs"));
    services.mapping = nullptr;
    EXPECT_EQ(ERR_DENIED, LogIn("theirs"));
    EXPECT_TRUE(asked.empty());
}

TEST_F(LoginOutside, ADirectoryThatIsAwayIsNoFailureOfTheUser)
{
    EXPECT_EQ(ERR_OK, LogIn("theirs"));
    directory_code = ERR_UNREACHABLE;
    for (int i = 0; i < 5; i++) EXPECT_EQ(ERR_UNREACHABLE, LogIn("wrong"));
    EXPECT_EQ(0u, Failures());
    EXPECT_EQ(2u, asked.size()); // it is known to be away
    EXPECT_EQ(ERR_OK, LogIn("theirs")); // remembered
    login_cache_life(services.cache, 0);
    EXPECT_EQ(ERR_UNREACHABLE, LogIn("theirs"));
    directory_code = ERR_OK;
    Until([&] { return LogIn("theirs") == ERR_OK; });
    EXPECT_EQ(0u, Failures());
}

TEST_F(LoginCheck, WhatALogInCosts)
{
    auto calls = [&](const char *password) {
        store->log.clear();
        LogIn(password);
        Until([&] { return remakes == 0; });
        Until([&] { return !Reserved() ; });
        std::sort(store->log.begin(), store->log.end());
        std::string all;
        for (const auto &method : store->log) all += method + " ";
        return all;
    };
    EXPECT_EQ("AccountGet AddressGet ", calls("secret"));
    services.meter = meter;
    EXPECT_EQ("AccountGet AddressGet ", calls("secret")); // both switched off
    // The name's comes with its row; that no failure came of it is told later.
    services.lockout.user_failures = 100;
    EXPECT_EQ("AccountGet AddressGet Tally ", calls("secret"));
    services.lockout.address_failures = 100;
    services.lockout.user_failures = 0;
    EXPECT_EQ("AccountGet AddressGet Tally Tally ", calls("secret"));
}

TEST_F(LoginCheck, ACounterThatIsNotHeardIsATemporaryError)
{
    services.meter = meter, services.lockout.address_failures = 3;
    store->tally_code = ERR_NOMEM;
    for (const char *password : { "secret", "wrong" }) EXPECT_EQ(ERR_NOMEM, LogIn(password)) << password;
    store->tally_code = ERR_SYNTAX;
    EXPECT_EQ(ERR_IO, LogIn("secret"));
    // A failure that can't be counted is none: what the client hears does not tell.
    services.lockout.address_failures = 0, services.lockout.user_failures = 3;
    EXPECT_EQ(ERR_IO, LogIn("wrong"));
    EXPECT_EQ(ERR_OK, LogIn("secret"));
}

TEST_F(LoginCheck, ALockHoldsForPasswordsThatAreBeingHashed)
{
    services.meter = meter, services.lockout.user_failures = 3;
    store->before = [&](const std::string &method) {
        meter_ask ask = {};
        ask.kind = STORE_TALLY_LOGIN_USER, ask.tenant = 1, ask.key = SPAN("alice@example.org");
        if (method == "AccountGet") meter_note_held(meter, &ask, 60000);
    };
    EXPECT_EQ(ERR_LOCKED, LogIn("secret"));
}

// Whatever a check waits for, it can be given up.
TEST_F(LoginCheck, ALogInIsGivenUpAtAnyTime)
{
    services.meter = meter, services.lockout.user_failures = services.lockout.address_failures = 1000;
    for (const std::string user : { "alice@example.org", "bob@example.org", "alice@other.org" }) {
        for (int turns = 0; turns < 12; turns++) {
            Outcome outcome;
            struct login_check *check = nullptr;
            login_attempt attempt = { S(user), SPAN("wrong"), {} };
            ASSERT_EQ(ERR_OK, login_check_start(&services, &attempt, Outcome::Done, &outcome, &check).code);
            for (int i = 0; i < turns && !outcome.done; i++) loop_step(the_loop, 1);
            if (outcome.done) continue;
            login_check_cancel(check);
            for (int i = 0; i < 20; i++) loop_step(the_loop, 1);
            EXPECT_FALSE(outcome.done);
        }
    }
    Until([] { return !Reserved(); });
}

// Guesses at the same time, at two frontends: no more are looked at than may be wrong.
TEST_F(LoginCheck, ManyGuessesAtOnceAreNoMoreThanTheLimit)
{
    static std::atomic<unsigned> looked;
    struct meter *other = nullptr;
    ASSERT_EQ(ERR_OK, meter_new(the_loop, nullptr, "owner number two", &other).code);
    services.verify = [](struct span stored, struct span password) {
        looked++;
        return Verify(stored, password);
    };
    login_services second = services;
    struct Row { const char *what; uint32_t user, address; bool one_name, one_client; };
    for (const auto &row : std::initializer_list<Row>{ { "one name from everywhere", 5, 0, true, false },
                                                      { "many names from one address", 0, 5, false, true },
                                                      { "one name from one address", 7, 5, true, true },
                                                      { "the name's limit is the lower one", 3, 50, true, true } }) {
        SCOPED_TRACE(row.what);
        looked = 0;
        store->counters.clear();
        Until([&] { return !meter_is_held(meter, STORE_TALLY_LOGIN_USER, 1, SPAN("alice@example.org")); });
        services.meter = meter, second.meter = other;
        services.lockout.user_failures = row.user, services.lockout.address_failures = row.address;
        second.lockout = services.lockout;
        std::deque<Outcome> outcomes;
        for (uint8_t i = 0; i < 60; i++) {
            struct login_check *check = nullptr;
            std::string user = row.one_name ? "alice@example.org" : "user" + std::to_string(i) + "@example.org";
            login_attempt attempt = { S(user), SPAN("wrong"), { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, uint8_t(row.one_client ? 1 : i) } };
            if (attempt.client[15] == 99) continue; // exempt
            outcomes.emplace_back();
            EXPECT_EQ(ERR_OK, login_check_start(i % 2 == 0 ? &services : &second, &attempt, Outcome::Done, &outcomes.back(), &check).code);
        }
        Until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](const Outcome &one) { return one.done; }); });
        uint32_t limit = row.user == 0 ? row.address : row.address == 0 ? row.user : std::min(row.user, row.address);
        EXPECT_EQ(limit, looked);
        EXPECT_EQ(limit, std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome &one) { return one.code == ERR_DENIED; }));
        EXPECT_EQ(outcomes.size() - limit, size_t(std::count_if(outcomes.begin(), outcomes.end(), [](const Outcome &one) { return one.code == ERR_LOCKED; })));
        Until([] { return !Reserved(); });
        // Both forget what they knew to be held.
        store->counters.clear();
        Until([&] { return LogIn("secret") == ERR_OK; });
        services.meter = other;
        Until([&] { return LogIn("secret") == ERR_OK; });
    }
    // Who knows the password gets in, many at once and from one address: they wait for each other.
    looked = 0;
    store->counters.clear();
    services.meter = meter, second.meter = other;
    services.lockout.user_failures = services.lockout.address_failures = 3;
    second.lockout = services.lockout;
    login_cache_life(services.cache, 0);
    std::deque<Outcome> outcomes;
    for (int i = 0; i < 40; i++) {
        struct login_check *check = nullptr;
        login_attempt attempt = { SPAN("alice@example.org"), SPAN("secret"), {} };
        outcomes.emplace_back();
        EXPECT_EQ(ERR_OK, login_check_start(i % 2 == 0 ? &services : &second, &attempt, Outcome::Done, &outcomes.back(), &check).code);
    }
    Until([&] { return std::all_of(outcomes.begin(), outcomes.end(), [](const Outcome &one) { return one.done && one.code == ERR_OK; }); });
    Until([] { return !Reserved(); });
    meter_free(other);
}

// Whatever it waits for a place for, it can be given up, and then takes none.
TEST_F(LoginCheck, WhoWaitsForAPlaceIsGivenUpOrLockedOut)
{
    services.meter = meter, services.lockout.user_failures = 3;
    auto &counter = store->counters[{ STORE_TALLY_LOGIN_USER, "alice@example.org" }];
    counter.reserved = 3; // guesses of another frontend
    std::deque<Outcome> outcomes(3);
    struct login_check *checks[3] = {};
    login_attempt attempt = { SPAN("alice@example.org"), SPAN("secret"), {} };
    for (int i = 0; i < 3; i++) ASSERT_EQ(ERR_OK, login_check_start(&services, &attempt, Outcome::Done, &outcomes[i], &checks[i]).code);
    for (int i = 0; i < 10; i++) loop_step(the_loop, 5);
    for (const auto &one : outcomes) EXPECT_FALSE(one.done);
    login_check_cancel(checks[0]);
    counter.reserved--; // one of them was right
    Until([&] { return outcomes[1].done && outcomes[2].done; });
    EXPECT_EQ(ERR_OK, outcomes[1].code);
    EXPECT_EQ(ERR_OK, outcomes[2].code);
    Until([&] { return counter.reserved == 2; });
    EXPECT_FALSE(outcomes[0].done);
    // And when what is under way fails, the lock is heard.
    counter.reserved = 3;
    ASSERT_EQ(ERR_OK, login_check_start(&services, &attempt, Outcome::Done, &outcomes[0], &checks[0]).code);
    for (int i = 0; i < 10; i++) loop_step(the_loop, 5);
    EXPECT_FALSE(outcomes[0].done);
    counter.reserved = 0, counter.count = 3, counter.held = true;
    Until([&] { return outcomes[0].done; });
    EXPECT_EQ(ERR_LOCKED, outcomes[0].code);
}

} // namespace
