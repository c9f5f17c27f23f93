// Many users in one call: what becomes of each row, whatever an earlier attempt has left behind.
#include "api_fixture.h"

namespace {

constexpr char kHash[] = "$6$saltsalt$qFmFH.bQmmtXzyBY0s9v7Oicd2z4XSIecDzlB5KiA2/jctKu9YterLp8wwnSq.qc.eoxqOmSuNp2xS0ktL3nh/";

class ApiImport : public ApiTest {
protected:
    // The rows' results in a line: "made", "unchanged", "refused quota_bytes: a number from 0".
    Texts Import(const std::string &rows, const std::string &token = kAdmin)
    {
        auto reply = Good(200, "POST", "/api/v1/users/import", R"({"users":[)" + rows + "]}", token);
        json_t *json = reply.Json();
        const json_t *list = json_object_get(json, "rows");
        Texts texts;
        std::map<std::string, int> counts = { { "made", 0 }, { "unchanged", 0 }, { "refused", 0 }, { "failed", 0 } };
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *row = json_array_get(list, i);
            std::string text = Response::Text(json_object_get(row, "result"));
            counts[text]++;
            member = Response::Text(json_object_get(row, "member"));
            std::string detail = Response::Text(json_object_get(row, "detail"));
            texts.push_back(text + (detail.empty() ? "" : " " + detail));
        }
        for (const auto &count : counts) {
            EXPECT_EQ(count.second, json_integer_value(json_object_get(json, count.first.c_str()))) << reply.text;
        }
        json_decref(json);
        return texts;
    }
    static std::string User(const std::string &name, const std::string &more = "")
    {
        return R"({"address":")" + name + R"(@a.test")" + more + "}";
    }
    store_address_reply Address(const std::string &address)
    {
        store_address_get_request get = { 1, S(address) };
        auto row = Ask(STORE_METHOD_ADDRESS_GET, get);
        auto reply = row->Reply<store_address_reply>();
        reply.targets = nullptr; // dies with the call, as the name does
        reply.name = SPAN("");
        return reply;
    }
    std::unique_ptr<store_call> Account(const std::string &address)
    {
        store_account_get_request get = { 1, Address(address).account };
        return Ask(STORE_METHOD_ACCOUNT_GET, get);
    }
    std::string Password(const std::string &address)
    {
        return Str(Account(address)->Reply<store_account_reply>().account.password);
    }
    std::string Operation()
    {
        std::string id(OPERATION_ID_BYTES, '\0');
        id_operation(1, reinterpret_cast<uint8_t *>(id.data()));
        return id;
    }
    // What a frontend that dies in the middle leaves behind.
    void LeaveReserved(const std::string &address, uint64_t account, bool with_account)
    {
        std::string one = Operation(), two = Operation();
        store_address_put_request put = {};
        put.operation_id = S(one);
        put.tenant = 1;
        put.address = S(address);
        put.kind = STORE_ADDRESS_ACCOUNT;
        put.state = STORE_ADDRESS_RESERVED;
        put.account = account;
        ASSERT_EQ(ERR_OK, Ask(STORE_METHOD_ADDRESS_PUT, put)->err.code);
        if (!with_account) return;
        store_account_create_request create = {};
        create.operation_id = S(two);
        create.has_account = true;
        create.account.tenant = 1;
        create.account.account = account;
        create.account.address = S(address);
        create.account.full_name = SPAN("half made");
        ASSERT_EQ(ERR_OK, Ask(STORE_METHOD_ACCOUNT_CREATE, create)->err.code);
    }
    std::string member;
};

TEST_F(ApiImport, EachRowIsMadeAndARepeatChangesNothing)
{
    const std::string rows = User("ann", R"(,"password":"secret","full_name":"Ann","quota_bytes":1000)") + "," +
                             User("bob", std::string(R"(,"password_hash":"{SHA512-CRYPT})") + kHash + R"(","addresses":["rob@a.test"])") +
                             "," + User("cid", R"(,"enabled":false,"role":"auditor","description":"x")");
    EXPECT_EQ((Texts{ "made", "made", "made" }), Import(rows));
    EXPECT_EQ((Texts{ "POST /api/v1/users/import" }), audits);
    EXPECT_EQ("ann@a.test,bob@a.test,cid@a.test", Good(200, "GET", "/api/v1/users?domain=a.test")["items"]);
    EXPECT_EQ("hash of secret", Password("ann@a.test"));
    EXPECT_EQ(kHash, Password("bob@a.test"));
    EXPECT_EQ(Address("bob@a.test").account, Address("rob@a.test").account);
    store_mailbox_list_request boxes = {};
    boxes.tenant = 1;
    boxes.account = Address("ann@a.test").account;
    EXPECT_EQ(6u, Ask(STORE_METHOD_MAILBOX_LIST, boxes)->Reply<store_mailbox_list_reply>().mailboxes_count);
    audits.clear();
    EXPECT_EQ((Texts{ "unchanged", "unchanged", "unchanged" }), Import(rows));
    EXPECT_EQ(Texts{}, audits);
    // A password that was changed since is no difference; each other member is.
    EXPECT_EQ((Texts{ "unchanged" }), Import(User("ann", R"(,"password":"another")")));
    EXPECT_EQ("hash of secret", Password("ann@a.test"));
    const struct { const char *name, *more, *member; } others[] = {
        { "ann", R"(,"full_name":"Anna")", "full_name" }, { "ann", R"(,"quota_bytes":1001)", "quota_bytes" },
        { "ann", R"(,"quota_items":5)", "quota_items" }, { "ann", R"(,"role":"auditor")", "role" },
        { "cid", R"(,"enabled":true)", "enabled" }, { "cid", R"(,"description":"y")", "description" },
        { "bob", R"(,"addresses":[])", "addresses" }, { "bob", R"(,"addresses":["bobby@a.test"])", "addresses" },
    };
    for (const auto &c : others) {
        EXPECT_EQ((Texts{ std::string("refused ") + c.member + ": the user is there with another value" }),
                  Import(User(c.name, c.more)));
        EXPECT_EQ(c.member, member);
    }
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, Address("bobby@a.test").kind);
}

TEST_F(ApiImport, BadRowsAreNamedAndTheOthersMade)
{
    Good(201, "POST", "/api/v1/groups", R"({"address":"all@a.test"})");
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test","addresses":["further@a.test"]})");
    const struct { std::string row, member, detail; } cases[] = {
        { "7", "users", "users: an array of objects" },
        { "{}", "address", "address: not an address: " },
        { User("x", R"(,"nickname":"y")"), "nickname", "nickname: no such member" },
        { R"({"address":"nobody"})", "address", "address: not an address: nobody" },
        { R"({"address":"x@z.test"})", "address", "no domain z.test" }, // another tenant's
        { R"({"address":"x@nowhere.test"})", "address", "no domain nowhere.test" },
        { R"({"address":7})", "address", "address: a text" },
        { User("a*"), "address", "address: * and ?" },
        { User("x", R"(,"quota_bytes":-1)"), "quota_bytes", "quota_bytes: a number from 0" },
        { User("x", R"(,"role":"king")"), "role", "role: user, auditor" },
        { User("x", R"(,"enabled":"yes")"), "enabled", "enabled: true or false" },
        { User("x", R"(,"password":"short")"), "password", "password: at least" },
        { User("x", R"(,"password_hash":"secret")"), "password_hash", "password_hash: one of $argon2id$" },
        { User("x", R"(,"password_hash":"{PLAIN}secret")"), "password_hash", "password_hash: one of $argon2id$" },
        { User("x", R"(,"password_hash":"$6$rounds=999999999$s$x")"), "password_hash", "password_hash: one of $argon2id$" },
        { User("x", R"(,"password_hash":7)"), "password_hash", "password_hash: a text" },
        { User("x", std::string(R"(,"password":"secret","password_hash":")") + kHash + "\""), "password_hash", "password_hash: not together" },
        { User("x", R"(,"addresses":["x@a.test"])"), "addresses", "addresses: x@a.test is the user's own" },
        { User("x", R"(,"addresses":["joe@a.test"])"), "addresses", "addresses: joe@a.test is taken" },
        { User("x", R"(,"addresses":["y@z.test"])"), "addresses", "addresses: y@z.test is in no domain" },
        { User("all"), "address", "address: all@a.test is taken" },
        { User("further"), "address", "address: another user has it as a further one" },
    };
    std::string rows;
    for (const auto &c : cases) rows += c.row + "," + User("good" + std::to_string(&c - cases)) + ",";
    auto results = Import(rows + User("last"));
    ASSERT_EQ(2 * std::size(cases) + 1, results.size());
    for (size_t i = 0; i < results.size(); i++) {
        if (i % 2 == 1 || i + 1 == results.size()) {
            EXPECT_EQ("made", results[i]);
            continue;
        }
        const auto &c = cases[i / 2];
        EXPECT_EQ(0u, results[i].find("refused " + c.detail)) << results[i];
        Import(c.row);
        EXPECT_EQ(c.member, member) << c.row;
    }
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, Address("x@a.test").kind);
}

TEST_F(ApiImport, TheCallItselfMayBeRefused)
{
    const struct { const char *body; const char *detail; } cases[] = {
        { "{}", "users: an array of 1 to 1000 objects" }, { R"({"users":[]})", "users: an array of 1 to 1000 objects" },
        { R"({"users":{}})", "users: an array of 1 to 1000 objects" }, { R"({"users":7})", "users: an array of 1 to 1000 objects" },
        { R"({"people":[]})", "people: no such member" }, { R"([])", "the body is no JSON object" },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(0u, Refused(400, "POST", "/api/v1/users/import", c.body, kAdmin).find(c.detail)) << c.body;
    }
    std::string many;
    for (int i = 0; i < 1001; i++) many += std::string(i == 0 ? "" : ",") + "7";
    Refused(400, "POST", "/api/v1/users/import", R"({"users":[)" + many + "]}", kAdmin);
    Refused(403, "POST", "/api/v1/users/import", R"({"users":[7]})", "auditor-1");
    Refused(401, "POST", "/api/v1/users/import", R"({"users":[7]})", "");
    Refused(405, "POST", "/api/v1/users/imports", R"({"users":[7]})");
}

TEST_F(ApiImport, OneAddressInManyRowsIsMadeOnce)
{
    std::string rows;
    for (int i = 0; i < 200; i++) rows += std::string(i == 0 ? "" : ",") + User("same", R"(,"full_name":"One")");
    std::map<std::string, int> counts;
    for (const auto &result : Import(rows)) counts[result.substr(0, result.find(' '))]++;
    // Those that were at it at the same time may be asked to repeat it.
    EXPECT_EQ(0, counts["refused"]);
    EXPECT_GE(counts["made"], 1);
    EXPECT_EQ(200, counts["made"] + counts["unchanged"] + counts["failed"]);
    EXPECT_EQ((Texts{ "unchanged" }), Import(User("same", R"(,"full_name":"One")")));
    EXPECT_EQ("same@a.test", Good(200, "GET", "/api/v1/users?domain=a.test")["items"]);
}

// Two that are at the same row, as after godwitctl was killed and started again: what one has written already is not in
// the other's way, further addresses neither.
TEST_F(ApiImport, TwoAtTheSameRowDoNotRefuseEachOther)
{
    std::string rows;
    constexpr size_t kUsers = 50;
    for (size_t i = 0; i < 4 * kUsers; i++) {
        auto name = std::to_string(i / 4);
        rows += (i > 0 ? "," : "") + User("two" + name, R"(,"addresses":["further)" + name + R"(@a.test","more)" + name + R"(@a.test"])");
    }
    std::map<std::string, size_t> counts;
    for (const auto &result : Import(rows)) {
        counts[result.substr(0, result.find(' '))]++;
        EXPECT_NE(0u, result.find("refused")) << result;
    }
    EXPECT_GE(counts["made"], 1u);
    EXPECT_EQ(4 * kUsers, counts["made"] + counts["unchanged"] + counts["failed"]);
    for (size_t i = 0; i < kUsers; i++) {
        auto name = std::to_string(i);
        EXPECT_EQ(Address("two" + name + "@a.test").account, Address("further" + name + "@a.test").account);
    }
}

TEST_F(ApiImport, WhatAnEarlierAttemptLeftIsBroughtToItsEnd)
{
    LeaveReserved("early@a.test", 77, false);
    LeaveReserved("late@a.test", 78, true);
    LeaveReserved("taken@a.test", 79, false);
    LeaveReserved("owner@a.test", 80, true);
    // A number that is somebody else's by now: a new one is taken.
    LeaveReserved("strange@a.test", 80, false);
    EXPECT_EQ("hash of secret", (Import(User("early", R"(,"password":"secret","full_name":"E")")), Password("early@a.test")));
    EXPECT_EQ((Texts{ "made", "made", "made" }),
              Import(User("late", R"(,"password":"secret","full_name":"L")") + "," +
                     User("taken", R"(,"addresses":["t2@a.test"])") + "," + User("strange")));
    EXPECT_EQ(77u, Address("early@a.test").account);
    EXPECT_EQ(78u, Address("late@a.test").account);
    EXPECT_EQ("hash of secret", Password("late@a.test"));
    EXPECT_EQ("L", Good(200, "GET", "/api/v1/users/late@a.test")["full_name"]);
    EXPECT_EQ(79u, Address("t2@a.test").account);
    EXPECT_NE(80u, Address("strange@a.test").account);
    EXPECT_EQ(unsigned{ STORE_ADDRESS_ACTIVE }, Address("strange@a.test").state);
    EXPECT_EQ("half made", Str(Account("owner@a.test")->Reply<store_account_reply>().account.full_name));
    EXPECT_EQ((Texts{ "made" }), Import(User("owner")));
    EXPECT_EQ("early@a.test,late@a.test,owner@a.test,strange@a.test,taken@a.test",
              Good(200, "GET", "/api/v1/users?domain=a.test")["items"]);
    // Whoever was still at it finds that it is not his any more.
    std::string id = Operation();
    store_address_put_request put = {};
    put.operation_id = S(id);
    put.tenant = 1;
    put.address = SPAN("late@a.test");
    put.kind = STORE_ADDRESS_ACCOUNT;
    put.account = 78;
    put.if_version = 1;
    EXPECT_EQ(ERR_CONFLICT, Ask(STORE_METHOD_ADDRESS_PUT, put)->err.code);
}

TEST_F(ApiImport, DomainsToo)
{
    auto import = [&](const std::string &rows, const std::string &token) {
        auto reply = Good(200, "POST", "/api/v1/domains/import", R"({"domains":[)" + rows + "]}", token);
        json_t *json = reply.Json();
        const json_t *list = json_object_get(json, "rows");
        Texts texts;
        for (size_t i = 0; i < json_array_size(list); i++) {
            const json_t *row = json_array_get(list, i);
            std::string detail = Response::Text(json_object_get(row, "detail"));
            texts.push_back(Response::Text(json_object_get(row, "result")) + (detail.empty() ? "" : " " + detail));
        }
        json_decref(json);
        return texts;
    };
    const std::string rows = R"({"name":"B\u00fccher.Test","users_max":5},{"name":"c.test","also":["d.test"],"size_max":0})";
    EXPECT_EQ((Texts{ "made", "made" }), import(rows, kAdmin));
    EXPECT_EQ((Texts{ "POST /api/v1/domains/import" }), audits); // one line, not one each
    ReadDomains();
    EXPECT_EQ((Texts{ "unchanged", "unchanged" }), import(rows, kAdmin));
    EXPECT_EQ((Texts{ "unchanged" }), import(R"({"name":"y.test","tenant":"two"})", kOperator) == Texts{ "made" }
                                          ? import(R"({"name":"y.test","tenant":"two"})", kOperator) : Texts{});
    EXPECT_EQ((Texts{ "refused users_max: the domain is there with another value",
                      "refused also: the domain is there with another value",
                      "refused name: a domain name of letters, digits, hyphens and single dots",
                      "refused name: a text of at most 255 bytes", "refused users_max: a number from 0",
                      "refused domains: an array of objects", "made", "refused there is a domain of this name" }),
              import(R"({"name":"xn--bcher-kva.test","users_max":6},{"name":"c.test","also":[]},{"name":"a b"},{"name":7},)"
                     R"({"name":"e.test","users_max":"x"},8,{"name":"f.test"},{"name":"z.test"})", kAdmin));
    EXPECT_EQ((Texts{ "refused tenant: the domain is there with another value", "refused tenant: there is none of this name" }),
              import(R"({"name":"c.test","tenant":"two"},{"name":"g.test","tenant":"nobody"})", kOperator));
    std::string many;
    for (int i = 0; i < 300; i++) many += std::string(i == 0 ? "" : ",") + R"({"name":"n)" + std::to_string(i) + R"(.test"})";
    EXPECT_EQ(Texts(300, "made"), import(many, kAdmin));
    EXPECT_EQ(Texts(300, "unchanged"), import(many, kAdmin));
    Refused(403, "POST", "/api/v1/domains/import", R"({"domains":[7]})", "accounts-1");
}

TEST_F(ApiImport, QuotasOfTheTenantAndTheDomainHold)
{
    Good(200, "PATCH", "/api/v1/tenants/one", R"({"quota_bytes":1000,"users_max":3})");
    ReadDomains();
    auto results = Import(User("a", R"(,"quota_bytes":400)") + "," + User("b") + "," + User("c", R"(,"quota_bytes":601)"));
    EXPECT_EQ("made", results[0]);
    EXPECT_EQ(0u, results[1].find("refused quota_bytes: not 0")) << results[1];
    EXPECT_EQ(0u, results[2].find("refused the tenant or the domain")) << results[2];
    // What was refused holds nothing, neither the address nor a part of the quota.
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, Address("b@a.test").kind);
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, Address("c@a.test").kind);
    EXPECT_EQ((Texts{ "made", "unchanged" }), (Texts{ Import(User("c", R"(,"quota_bytes":600)"))[0], Import(User("a"))[0] }));
    // A row that is refused for what the user has changes nothing of what he was given.
    Import(User("a", R"(,"quota_bytes":1)"));
    EXPECT_EQ(0u, Import(User("d", R"(,"quota_bytes":1)"))[0].find("refused the tenant")); // 1,000 are given
    Good(200, "PATCH", "/api/v1/tenants/one", R"({"quota_bytes":2000})");
    ReadDomains();
    EXPECT_EQ("made", Import(User("d", R"(,"quota_bytes":1)"))[0]);
    EXPECT_EQ(0u, Import(User("e", R"(,"quota_bytes":1)"))[0].find("refused the tenant")); // the fourth user
}

TEST_F(ApiImport, AHashIsTakenForOneUserToo)
{
    Good(201, "POST", "/api/v1/users", std::string(R"({"address":"ann@a.test","password_hash":")") + kHash + "\"}");
    EXPECT_EQ(kHash, Password("ann@a.test"));
    Good(200, "PATCH", "/api/v1/users/ann@a.test", R"({"password_hash":"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="})");
    EXPECT_EQ("{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", Password("ann@a.test"));
    EXPECT_EQ(0u, Refused(400, "PATCH", "/api/v1/users/ann@a.test", R"({"password_hash":"x"})").find("password_hash: one of "));
    Refused(400, "PATCH", "/api/v1/users/ann@a.test", R"({"password_hash":"x","password":"secret"})");
    Refused(400, "POST", "/api/v1/users", R"({"address":"bob@a.test","password_hash":""})");
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, Address("bob@a.test").kind);
}

}  // namespace
