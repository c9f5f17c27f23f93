// A domain's LDAP directory, played by the test: what the API takes of it, who its users become, and who does it.
#include "api_fixture.h"

#include <mutex>
#include <sstream>

#include "mapping_pool.h"
#include "sync.h"

namespace {

struct Entry {
    std::string dn, name, full_name, address;
};

// The directory of the test; threads ask it.
struct Outside {
    std::mutex lock;
    std::vector<Entry> entries;
    enum err_code code = ERR_OK;
    unsigned searches = 0;
    std::string password;
};
Outside *outside;

struct err Search(struct mapping_visit *visit, struct span, struct span password, struct mapping_found *ret)
{
    std::lock_guard guard(outside->lock);
    outside->searches++;
    outside->password.assign(password.len == 0 ? "" : password.ptr, password.len);
    snprintf(visit->said, sizeof(visit->said), "the test said so");
    if (outside->code != ERR_OK) return err_make(outside->code, "test");
    ret->entries = static_cast<mapping_entry *>(arena_alloc(&ret->arena, (outside->entries.size() + 1) * sizeof(mapping_entry)));
    auto copy = [&](const std::string &from, struct span *to) { EXPECT_EQ(ERR_OK, arena_copy(&ret->arena, span_of(from.data(), from.size()), to).code); };
    for (const auto &entry : outside->entries) {
        auto &to = ret->entries[ret->count++];
        copy(entry.dn, &to.dn), copy(entry.name, &to.name), copy(entry.full_name, &to.full_name);
        to.addresses = static_cast<struct span *>(arena_alloc(&ret->arena, sizeof(struct span)));
        if (!entry.address.empty()) copy(entry.address, &to.addresses[to.addresses_count++]);
    }
    return err_ok();
}
const mapping_calls calls = { nullptr, Search };

class SyncTest : public ApiTest {
protected:
    static constexpr char kDirectory[] = R"("directory_hosts":["192.0.2.1","[2001:db8::1]:389"],"directory_base":"dc=a,dc=test",
        "directory_bind_dn":"cn=reader","directory_password":"reader-secret")";
    Outside the_outside;
    struct mapping_pool *pool = nullptr;
    struct sync *sync = nullptr, *other = nullptr;

    void SetUp() override
    {
        ApiTest::SetUp();
        outside = &the_outside;
        ASSERT_EQ(ERR_OK, mapping_pool_new(&calls, &pool).code);
    }
    void TearDown() override
    {
        sync_stop(sync);
        sync_stop(other);
        for (int i = 0; i < 50; i++) loop_step(loop, 10); // what is under way ends
        mapping_pool_free(pool);
        ApiTest::TearDown();
    }
    void Start(struct sync **ret, const char *name)
    {
        sync_options options = {};
        options.loop = loop, options.coord = coord, options.crew = crew, options.api = api, options.mapping = pool;
        options.name = name, options.holder = this;
        options.directory = [](void *holder) { return static_cast<SyncTest *>(holder)->resolver.directory; };
        options.unseal = kept_options.unseal;
        ASSERT_EQ(ERR_OK, sync_new(&options, ret).code);
        sync_configure(*ret);
    }
    void Change(const std::string &members)
    {
        Good(200, "PATCH", "/api/v1/domains/a.test", "{" + members + "}", kAdmin);
        ReadDomains();
        if (sync != nullptr) sync_configure(sync);
    }
    void Set(const std::vector<Entry> &entries, enum err_code code = ERR_OK)
    {
        std::lock_guard guard(the_outside.lock);
        the_outside.entries = entries;
        the_outside.code = code;
    }
    unsigned Searches()
    {
        std::lock_guard guard(the_outside.lock);
        return the_outside.searches;
    }
    // A look that began after now is over.
    void Look()
    {
        unsigned from = Searches();
        Until([&] { return Searches() >= from + 2; });
    }
    // address and, in brackets, full name; of the disabled ones in lower case "off".
    std::string Users(const std::string &domain = "a.test")
    {
        auto list = Good(200, "GET", "/api/v1/users?domain=" + domain);
        json_t *json = list.Json(), *items = json_object_get(json, "items");
        std::string all;
        for (size_t i = 0; i < json_array_size(items); i++) {
            const json_t *user = json_array_get(items, i);
            all += std::string(all.empty() ? "" : " ") + json_string_value(json_object_get(user, "address")) + "(" +
                   json_string_value(json_object_get(user, "full_name")) + ")" + (json_is_true(json_object_get(user, "enabled")) ? "" : "off") +
                   (json_is_true(json_object_get(user, "directory_gone")) ? "gone" : "");
        }
        json_decref(json);
        return all;
    }
    void UntilUsers(const std::string &wanted)
    {
        std::string users;
        Until([&] { return (users = Users()) == wanted; });
        EXPECT_EQ(wanted, users);
        std::stringstream all(wanted); // listed a moment before the address is one
        for (std::string one; all >> one;) {
            std::string path = "/api/v1/users/" + one.substr(0, one.find('('));
            if (one.find('@') != std::string::npos) Until([&] { return Call("GET", path).status == 200; });
        }
    }
};

TEST_F(SyncTest, SettingsAreChecked)
{
    const std::string path = "/api/v1/domains/a.test";
    const struct { const char *members, *detail; } bad[] = {
        { R"("directory_hosts":"one")", "directory_hosts: at most 4" },
        { R"("directory_hosts":["a b"])", "directory_hosts: at most 4" },
        { R"("directory_hosts":["one:0"])", "directory_hosts: at most 4" },
        { R"("directory_hosts":[1])", "directory_hosts: at most 4" },
        { R"("directory_hosts":["1.2.3.4","b","c","d","e"])", "directory_hosts: at most 4" },
        { R"("directory_hosts":["one"])", "directory_base: needed" },
        { R"("directory_tls":"ssl")", "directory_tls: starttls, ldaps or none" },
        { R"("directory_ca":"no certificate")", "directory_ca: certificates in PEM" },
        { R"("directory_ca":"-----BEGIN CERTIFICATE----- -----BEGIN PRIVATE KEY-----")", "directory_ca: certificates in PEM" },
        { R"("directory_base":"people")", "directory_base: a DN" },
        { R"("directory_bind_dn":"cn=a\n")", "directory_bind_dn: a DN" },
        { R"("directory_filter":"(a=b")", "directory_filter: a filter" },
        { R"("directory_address":"ma il")", "directory_address: the name of an attribute" },
        { R"("directory_name":"a)(b")", "directory_name: the name of an attribute" },
        { R"("directory_sync":0)", "directory_sync: a number from 1 to 86400" },
        { R"("directory_timeout":31)", "directory_timeout: a number from 1 to 30" },
        { R"("directory_users_max":100001)", "directory_users_max: a number from 1 to 100000" },
        { R"("directory_users_max":"many")", "directory_users_max: a number from 0" },
        { R"("directory_password":7)", "directory_password: a text" },
        { R"("directory_hosts":["one"],"directory_base":"dc=a","directory_bind_dn":"cn=b")", "directory_password: needed" },
        { R"("directory_hosts":["one"],"directory_base":"dc=a","directory_password":"b")", "directory_password: needed" },
        { R"("directory_dn":"cn=b")", "directory_dn: no such member" },
    };
    for (const auto &b : bad) {
        std::string detail = Refused(400, "PATCH", path, std::string("{") + b.members + "}", kAdmin);
        EXPECT_EQ(b.detail, detail.substr(0, strlen(b.detail))) << b.members;
    }
    EXPECT_EQ(std::string::npos, Row("domains/a.test").find("directory"));
    Refused(403, "PATCH", path, R"({"directory_sync":5})", "accounts-1");
    Refused(404, "PATCH", path, R"({"directory_sync":5})", kOther);
}

TEST_F(SyncTest, ThePasswordIsSealedAndStaysWhereItWasSent)
{
    const std::string path = "/api/v1/domains/a.test";
    Change(kDirectory);
    EXPECT_EQ("reader-secret", sealed);
    EXPECT_NE(std::string::npos, Row("domains/a.test").find("\"directory_password\":\"sealed:x\""));
    for (const char *method : { "GET", "PATCH" }) {
        auto shown = Good(200, method, path, method[0] == 'P' ? R"({"directory_sync":9})" : "", kAdmin);
        EXPECT_EQ("********", shown["directory_password"]);
        EXPECT_EQ(std::string::npos, shown.text.find("sealed"));
    }
    auto list = Good(200, "GET", "/api/v1/domains", "", kAdmin);
    EXPECT_EQ(std::string::npos, list.text.find("sealed"));
    for (const char *members : { R"("directory_hosts":["evil.test"])", R"("directory_tls":"none")",
                                 R"("directory_ca":"-----BEGIN CERTIFICATE-----")" }) {
        std::string detail = Refused(400, "PATCH", path, std::string("{") + members + "}", kAdmin);
        EXPECT_EQ(0u, detail.find("directory_password: to be given again")) << detail;
    }
    // Not even by way of none; with the password, or without hosts, it goes.
    Change(R"("directory_hosts":[])");
    Refused(400, "PATCH", path, R"({"directory_hosts":["evil.test"]})", kAdmin);
    Change(R"("directory_hosts":["new.test"],"directory_password":"reader-secret")");
    Change(R"("directory_hosts":[],"directory_bind_dn":"","directory_password":"")");
    EXPECT_EQ(std::string::npos, Row("domains/a.test").find("directory_password"));
    Good(201, "POST", "/api/v1/domains", R"({"name":"b.test",)" + std::string(kDirectory) + "}", kAdmin);
    EXPECT_NE(std::string::npos, Row("domains/b.test").find("192.0.2.1"));
}

TEST_F(SyncTest, UsersComeAndGoWithTheirEntries)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"here@a.test","password":"made here 1"})", kAdmin);
    Set({ { "cn=anna", "anna", "Anna", "" }, { "cn=bert", "b", "Bert", "bert@a.test" }, { "cn=here", "here", "H", "" },
          { "cn=zoe", "zoe", "Zoe", "zoe@z.test" } });
    Start(&sync, "frontend-1");
    Change(std::string(kDirectory) + R"(,"directory_sync":1)");
    UntilUsers("anna@a.test(Anna) bert@a.test(Bert) here@a.test()");
    EXPECT_EQ("reader-secret", the_outside.password);
    EXPECT_EQ("", Users("z.test")); // a directory makes users in its own domain only
    EXPECT_EQ("cn=anna", Good(200, "GET", "/api/v1/users/anna@a.test")["directory_dn"]);
    // Another name and DN; one is gone; the other is back.
    Set({ { "cn=anna2", "anna", "Anne", "" } });
    UntilUsers("anna@a.test(Anne) bert@a.test(Bert)offgone here@a.test()");
    EXPECT_EQ("cn=anna2", Good(200, "GET", "/api/v1/users/anna@a.test")["directory_dn"]);
    Set({ { "cn=anna2", "anna", "Anne", "" }, { "cn=bert", "b", "Bert", "bert@a.test" } });
    UntilUsers("anna@a.test(Anne) bert@a.test(Bert) here@a.test()");
    // A search that fails changes nothing, however it does.
    for (enum err_code code : { ERR_UNREACHABLE, ERR_TOO_BIG, ERR_NOT_FOUND, ERR_DENIED }) {
        Set({}, code);
        unsigned from = Searches();
        Change(R"("directory_sync":)" + std::to_string(100 + code)); // it is looked at when settings change
        Until([&] { return Searches() > from; });
        EXPECT_EQ("anna@a.test(Anne) bert@a.test(Bert) here@a.test()", Users());
    }
    // What it did is in the log.
    EXPECT_NE(audits.end(), std::find(audits.begin(), audits.end(), "PATCH /api/v1/users/anna@a.test"));
}

TEST_F(SyncTest, WhatAnAdministratorMayDoToThem)
{
    Set({ { "cn=anna", "anna", "Anna", "" }, { "cn=bert", "bert", "Bert", "" } });
    Start(&sync, "frontend-1");
    Change(std::string(kDirectory) + R"(,"directory_sync":1)");
    UntilUsers("anna@a.test(Anna) bert@a.test(Bert)");
    const std::string anna = "/api/v1/users/anna@a.test", bert = "/api/v1/users/bert@a.test";
    EXPECT_EQ(0u, Refused(400, "PATCH", anna, R"({"password":"something 1"})", kAdmin).find("password: it is that of"));
    EXPECT_EQ(0u, Refused(400, "PATCH", anna, R"({"directory_gone":false})", kAdmin).find("directory_gone: no such member"));
    EXPECT_EQ(0u, Refused(409, "DELETE", anna, "", kAdmin).find("the domain's directory has the user"));
    Good(200, "PATCH", anna, R"({"enabled":false,"quota_bytes":5000})", kAdmin);
    Good(200, "PATCH", bert, R"({"role":"admin"})", kAdmin);
    // Who is disabled here stays so; whatever his role, who is gone is disabled, and not enabled here.
    Set({ { "cn=anna", "anna", "Anna B", "" } });
    UntilUsers("anna@a.test(Anna B)off bert@a.test(Bert)offgone");
    EXPECT_EQ(0u, Refused(409, "PATCH", bert, R"({"enabled":true})", kAdmin).find("enabled: the domain's directory"));
    EXPECT_EQ("5000", Good(200, "GET", anna)["quota_bytes"]);
    Good(204, "DELETE", bert, "", kAdmin);
    // Without a directory they are users like others, once they have a password.
    Change(R"("directory_hosts":[])");
    Good(200, "PATCH", anna, R"({"password":"something 1","enabled":true})", kAdmin);
    auto shown = Good(200, "GET", anna);
    EXPECT_EQ("", shown["directory_dn"]);
    EXPECT_EQ("true", shown["enabled"]);
}

TEST_F(SyncTest, WhoDoesNotFitIsToldAndTheOthersCome)
{
    Good(200, "PATCH", "/api/v1/tenants/one", R"({"users_max":2})");
    ReadDomains();
    Set({ { "cn=a", "a", "A", "" }, { "cn=a2", "a", "A", "" }, { "cn=b", "b", "B", "" }, { "cn=c", "c", "C", "" }, { "cn=d", "d*", "D", "" } });
    Start(&sync, "frontend-1");
    Change(std::string(kDirectory) + R"(,"directory_sync":1)");
    UntilUsers("b@a.test(B) c@a.test(C)");
    Look();
    EXPECT_EQ("b@a.test(B) c@a.test(C)", Users());
}

// What came of the last look: of a whole one, of one that failed, of a domain that is another tenant's now.
TEST_F(SyncTest, TheApiShowsWhatCameOfIt)
{
    const std::string path = "/api/v1/directories/a.test";
    EXPECT_EQ(0u, Refused(404, "GET", path, "", kAdmin).find("the domain has no LDAP directory"));
    Good(201, "POST", "/api/v1/users", R"({"address":"old@a.test","password":"made here 1"})", kAdmin);
    unsigned seconds = 1000; // a look comes when the settings change, and not before
    auto look_again = [&] { Change(R"("directory_sync":)" + std::to_string(++seconds)); };
    Change(std::string(kDirectory) + R"(,"directory_sync":1000)");
    auto shown = Good(200, "GET", path, "", kAdmin);
    EXPECT_EQ("waiting", shown["state"]);
    EXPECT_EQ("", shown["looked"]);
    auto until = [&](const std::string &entries, const std::string &made, const std::string &changed, const std::string &disabled, const std::string &refused) {
        const std::string wanted = "ok a.test " + entries + " " + made + " " + changed + " " + disabled + " " + refused + " ";
        std::string now;
        Until([&] {
            shown = Good(200, "GET", path, "", kAdmin);
            now = shown["state"] + " " + shown["name"] + " " + shown["entries"] + " " + shown["made"] + " " + shown["changed"] + " " + shown["disabled"] + " " +
                  shown["refused"] + " " + shown["error"];
            return now == wanted;
        });
        EXPECT_EQ(wanted, now);
    };
    Set({ { "cn=anna", "anna", "Anna", "" }, { "cn=bert", "bert", "Bert", "" }, { "cn=bad", "b*d", "B", "" } });
    Start(&sync, "frontend-1");
    until("3", "2", "0", "0", "1");
    EXPECT_EQ('Z', shown["looked"].back());
    EXPECT_EQ(shown["looked"], shown["synced"]);
    Set({ { "cn=anna", "anna", "Anne", "" } });
    look_again();
    until("1", "0", "1", "1", "0");
    look_again();
    until("1", "0", "0", "0", "0");
    // What says nothing new is not written.
    const std::string row = Row("directory/synced/a.test");
    for (int i = 0; i < 2; i++) {
        unsigned from = Searches();
        look_again();
        Until([&] { return Searches() > from; });
    }
    EXPECT_EQ(row, Row("directory/synced/a.test"));
    // A look that fails: what is known of the last whole one stays.
    Set({}, ERR_UNREACHABLE);
    look_again();
    Until([&] { return (shown = Good(200, "GET", path))["state"] == "failed"; });
    EXPECT_EQ("the test said so", shown["error"]);
    EXPECT_EQ("1", shown["entries"]);
    EXPECT_NE("", shown["synced"]);
    EXPECT_EQ("a.test", Good(200, "GET", "/api/v1/directories", "", kAdmin)["items"]);
    EXPECT_EQ("", Good(200, "GET", "/api/v1/directories", "", kOther)["items"]);
    // What was told of another tenant's domain of that name is not shown.
    std::string other_row = row;
    other_row.replace(other_row.find("\"tenant\":1"), 10, "\"tenant\":7");
    sync_stop(sync);
    sync = nullptr;
    Put("directory/synced/a.test", other_row);
    EXPECT_EQ("waiting", Good(200, "GET", path)["state"]);
    // And it goes with the directory.
    Set({});
    Start(&sync, "frontend-1");
    until("0", "0", "0", "1", "0");
    Change(R"("directory_hosts":[])");
    Until([&] { return Row("directory/synced/a.test").empty(); });
}

// Rows of domains that lost their directory while nobody looked.
TEST_F(SyncTest, RowsThatAreLeftAreRemoved)
{
    Put("directory/synced/gone.test", R"({"tenant":1})");
    Put("directory/synced/z.test", R"({"tenant":2})");
    Set({});
    Change(std::string(kDirectory) + R"(,"directory_sync":1)");
    Start(&sync, "frontend-1");
    Until([&] { return Row("directory/synced/gone.test").empty() && Row("directory/synced/z.test").empty(); });
    Until([&] { return !Row("directory/synced/a.test").empty(); });
}

TEST_F(SyncTest, OneOfThemDoesIt)
{
    Set({ { "cn=anna", "anna", "Anna", "" } });
    Start(&sync, "frontend-1");
    Start(&other, "frontend-2");
    EXPECT_EQ("", Row("directory/office")); // there is nothing to do
    Change(std::string(kDirectory) + R"(,"directory_sync":1)");
    sync_configure(other);
    UntilUsers("anna@a.test(Anna)");
    const std::string first = Row("directory/office");
    EXPECT_EQ(0u, first.find("{\"name\":\"frontend-"));
    Look();
    EXPECT_EQ(first, Row("directory/office"));
    // The one that holds it goes down.
    bool is_first = first.find("frontend-1") != std::string::npos;
    struct sync **holder = is_first ? &sync : &other;
    sync_stop(*holder);
    *holder = nullptr;
    Set({});
    UntilUsers("anna@a.test(Anna)offgone");
    EXPECT_EQ(0u, Row("directory/office").find(is_first ? "{\"name\":\"frontend-2" : "{\"name\":\"frontend-1"));
    // And nobody asks for it when no domain has a directory.
    Change(R"("directory_hosts":[])");
    if (other != nullptr) sync_configure(other);
    Until([&] { return Row("directory/office").empty(); });
}

} // namespace
