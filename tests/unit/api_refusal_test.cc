// What the API refuses, and how it says so: tokens, roles, bodies that are none, members and values that are
// wrong, what somebody else changed meanwhile, a store that gives no answer.
#include "api_fixture.h"

namespace {

class ApiRefusal : public ApiTest {};

// Every call that takes a body, with one that is good.
const struct { const char *method, *path, *body; } kBodies[] = {
    { "POST", "/api/v1/tenants", R"({"name":"three"})" },
    { "POST", "/api/v1/domains", R"({"name":"b.test"})" },
    { "PATCH", "/api/v1/domains/a.test", R"({"users_max":1})" },
    { "POST", "/api/v1/users", R"({"address":"u@a.test"})" },
    { "PATCH", "/api/v1/users/joe@a.test", R"({"full_name":"x"})" },
    { "POST", "/api/v1/groups", R"({"address":"g@a.test"})" },
    { "PATCH", "/api/v1/groups/all@a.test", R"({"name":"x"})" },
    { "POST", "/api/v1/aliases", R"({"address":"l@a.test","targets":["joe@a.test"]})" },
    { "PATCH", "/api/v1/aliases/post@a.test", R"({"targets":["joe@a.test"]})" },
    { "PUT", "/api/v1/config/smtp.size.max", R"({"value":"2M"})" },
    { "PATCH", "/api/v1/tenants/one", R"({"users_max":50})" },
    { "POST", "/api/v1/tokens", R"({"role":"operator"})" },
    { "POST", "/api/v1/ip-groups", R"({"name":"office"})" },
    { "PATCH", "/api/v1/ip-groups/office", R"({"entries":[]})" },
};

TEST_F(ApiRefusal, PathsAndMethodsThatAreNotThere)
{
    const struct { const char *method, *path; unsigned status; } cases[] = {
        { "GET", "/", 404 },                   { "GET", "/api/v1", 404 },
        { "GET", "/api/v1/", 404 },            { "GET", "/api/v1/users/", 404 },
        { "GET", "/api/v1/users/a/b", 404 },   { "GET", "/api/v1/usersx", 404 },
        { "GET", "/healthz/", 404 },           { "GET", "/../etc/passwd", 404 },
        { "POST", "/healthz", 405 },           { "PUT", "/api/v1/users", 405 },
        { "POST", "/api/v1/users/u@a.test", 405 }, { "GET", "/api/v1/queue/x/retry", 405 },
        { "get", "/api/v1/users", 405 },
    };
    for (const auto &c : cases) {
        EXPECT_EQ("see /api/v1/openapi.json", Refused(c.status, c.method, c.path)) << c.path;
    }
}

TEST_F(ApiRefusal, AnotherVersionOfTheApi)
{
    for (const char *path : { "/api/v2/users", "/api/v0", "/api/v10/users", "/api/v11", "/api/vx" }) {
        EXPECT_EQ("this is version 1 of the API; see /api/v1/openapi.json", Refused(404, "GET", path)) << path;
    }
}

TEST_F(ApiRefusal, TokensThatAreNone)
{
    PutToken("cut", R"({"role":"operator")");
    PutToken("king", R"({"role":"king","tenant":1})");
    PutToken("nobody", R"({"role":"nobody","tenant":1})");
    PutToken("number", R"({"role":5,"tenant":1})");
    PutToken("homeless", R"({"role":"admin","tenant":0})");
    PutToken("unbound", R"({"role":"admin"})");
    PutToken("list", R"(["operator"])");
    ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
    for (const std::string &token : { std::string(""), std::string("wrong"), std::string("Basic operator"), std::string("Bearer "),
                                      std::string("Bearer  operator"), std::string("Bearer operator "), std::string("cut"),
                                      std::string("king"), std::string("nobody"), std::string("number"), std::string("homeless"),
                                      std::string("unbound"), std::string("list"), std::string(9000, 'x') }) {
        for (const char *path : { "/api/v1/users", "/api/v1/tenants", "/api/v1/config" }) {
            auto r = Call("GET", path, "", token);
            EXPECT_EQ(401u, r.status) << token << " " << path;
            EXPECT_EQ("WWW-Authenticate: Bearer", r.challenge);
            EXPECT_EQ("a valid bearer token is needed", r["detail"]);
        }
    }
    EXPECT_EQ(401u, Call("POST", "/api/v1/users", "junk", "wrong").status); // before the body is looked at
    Good(200, "GET", "/api/v1/users", "", "bearer operator"); // the scheme in any case
}

TEST_F(ApiRefusal, RolesThatAreNotEnough)
{
    const struct { const char *token, *method, *path; } cases[] = {
        { "user-1", "GET", "/api/v1/users" },          { "user-1", "GET", "/api/v1/status" },
        { "user-1", "GET", "/api/v1/config" },         { "auditor-1", "POST", "/api/v1/users" },
        { "auditor-1", "PATCH", "/api/v1/users/joe@a.test" }, { "auditor-1", "DELETE", "/api/v1/groups/all@a.test" },
        { "auditor-1", "POST", "/api/v1/queue/0/retry" }, { "accounts-1", "POST", "/api/v1/domains" },
        { "accounts-1", "PATCH", "/api/v1/domains/a.test" }, { "accounts-1", "DELETE", "/api/v1/queue/0" },
        { "admin-1", "GET", "/api/v1/tenants" },       { "admin-1", "POST", "/api/v1/tenants" },
        { "accounts-1", "PUT", "/api/v1/config/smtp.size.max" }, { "accounts-1", "DELETE", "/api/v1/config/smtp.size.max" },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(0u, Refused(403, c.method, c.path, "", c.token).find("the token's role is not enough")) << c.token << " " << c.path;
    }
    for (const char *method : { "PUT", "DELETE" }) {
        EXPECT_EQ("the token's role is not enough for the whole installation; name a domain",
                  Refused(403, method, "/api/v1/config/smtp.size.max", method[0] == 'P' ? R"({"value":"2M"})" : "", kAdmin));
    }
    // Nobody makes somebody who is more than himself, or changes one who is.
    Good(201, "POST", "/api/v1/users", R"({"address":"boss@a.test","role":"admin"})", kAdmin);
    Refused(403, "POST", "/api/v1/users", R"({"address":"u@a.test","role":"admin"})", "accounts-1");
    Refused(403, "PATCH", "/api/v1/users/boss@a.test", R"({"password":"mine"})", "accounts-1");
    Refused(403, "DELETE", "/api/v1/users/boss@a.test", "", "accounts-1");
    Good(200, "GET", "/api/v1/users/boss@a.test");
}

TEST_F(ApiRefusal, BodiesThatAreNoObjectAreRefusedByEachCall)
{
    std::string deep, deep_objects;
    for (int i = 0; i < 3000; i++) deep += '[', deep_objects += R"({"a":)";
    const struct { std::string body; const char *why; } cases[] = {
        { "[]", "the body is no JSON object" },
        { "\"text\"", "'[' or '{' expected" },
        { "null", "'[' or '{' expected" },
        { "7", "'[' or '{' expected" },
        { "{", "line 1" },
        { R"({"name":)", "line 1" },
        { "{\n\n\"name\" 5}", "line 3" },
        { "{} {}", "line 1" },
        { "{'name':'x'}", "line 1" },
        { R"({"name":"x","name":"y"})", "duplicate" },
        { std::string("{\"name\":\"\xff\xfe\"}"), "line 1" },
        { R"({"name":"a\u0000b"})", "line 1" },
        { R"({"quota_bytes":99999999999999999999})", "too big integer" },
        { deep, "maximum parsing depth" },
        { deep_objects, "maximum parsing depth" },
        { std::string("\0", 1), "line 1" },
    };
    for (const auto &call : kBodies) {
        for (const auto &c : cases) {
            SCOPED_TRACE(std::string(call.method) + " " + call.path + " " + c.body.substr(0, 40));
            auto detail = Refused(400, call.method, call.path, c.body);
            EXPECT_NE(std::string::npos, detail.find(c.why)) << detail;
            EXPECT_EQ(std::string::npos, detail.find("-1")) << detail;
        }
    }
    EXPECT_TRUE(audits.empty());
}

TEST_F(ApiRefusal, MembersThatAreNotKnownAreNamed)
{
    for (const auto &call : kBodies) {
        SCOPED_TRACE(std::string(call.method) + " " + call.path);
        std::string body = call.body;
        body.insert(1, R"("colour":"red",)");
        auto detail = Refused(400, call.method, call.path, body);
        EXPECT_EQ(0u, detail.find("colour: no such member; known: ")) << detail;
    }
    const char *const none[][2] = { { "GET", "/api/v1/users" }, { "DELETE", "/api/v1/users/joe@a.test" },
                                    { "POST", "/api/v1/queue/0/retry" }, { "GET", "/api/v1/config" } };
    for (const auto &call : none) {
        EXPECT_EQ("name: no such member; none is known", Refused(400, call[0], call[1], R"({"name":"x"})"));
        EXPECT_NE(400u, Call(call[0], call[1], "{}").status);
    }
    // Of another call, or cut short, or longer.
    EXPECT_EQ(0u, Refused(400, "PATCH", "/api/v1/domains/a.test", R"({"name":"b.test"})").find("name: no such"));
    EXPECT_EQ(0u, Refused(400, "POST", "/api/v1/users", R"({"quota":5})").find("quota: no such"));
    EXPECT_EQ(0u, Refused(400, "POST", "/api/v1/users", R"({"quota_bytesx":5})").find("quota_bytesx: no such"));
    EXPECT_EQ(0u, Refused(400, "POST", "/api/v1/users", R"({"":5})").find(": no such"));
    EXPECT_EQ(0u, Refused(400, "POST", "/api/v1/users", R"({"full_name description":5})").find("full_name description: no such"));
    EXPECT_TRUE(audits.empty());
}

TEST_F(ApiRefusal, ValuesThatAreWrongNameTheirMember)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    Good(201, "POST", "/api/v1/groups", R"({"address":"all@a.test","members":["joe@a.test"]})");
    Good(201, "POST", "/api/v1/aliases", R"({"address":"post@a.test","targets":["joe@a.test"]})");
    const std::string long_text = "\"" + std::string(2000, 'x') + "\"";
    const struct { const char *method, *path; std::string body; const char *detail; } cases[] = {
        { "POST", "/api/v1/tenants", "{}", "name: 1 to 60 of a-z, 0-9 and -" },
        { "POST", "/api/v1/tenants", R"({"name":5})", "name: a text" },
        { "POST", "/api/v1/tenants", R"({"name":""})", "name: 1 to 60" },
        { "POST", "/api/v1/tenants", R"({"name":"Upper"})", "name: 1 to 60" },
        { "POST", "/api/v1/tenants", R"({"name":"../domains/a.test"})", "name: 1 to 60" },
        { "POST", "/api/v1/tenants", "{\"name\":\"" + std::string(61, 'a') + "\"}", "name: 1 to 60" },
        { "POST", "/api/v1/domains", "{}", "name: a domain name" },
        { "POST", "/api/v1/domains", R"({"name":["a.test"]})", "name: a text" },
        { "POST", "/api/v1/domains", R"({"name":"a..test"})", "name: a domain name" },
        { "POST", "/api/v1/domains", R"({"name":"[127.0.0.1]"})", "name: a domain name" },
        { "POST", "/api/v1/domains", R"({"name":"under_score.test"})", "name: a domain name" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","tenant":7})", "tenant: a text" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","tenant":"nine"})", "tenant: there is none of this name" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","also":"c.test"})", "also: an array of at most 100 names" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","also":[5]})", "also: a domain name" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","also":["-"]})", "also: a domain name" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","subaddress":"++"})", "subaddress: a text of at most 1" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","subaddress":"@"})", "subaddress: empty, or one of" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","subaddress":"a"})", "subaddress: empty, or one of" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","subaddress":"\n"})", "subaddress: empty, or one of" },
        { "POST", "/api/v1/domains", R"({"name":"b.test","quota_bytes":-1})", "quota_bytes: a number from 0" },
        { "PATCH", "/api/v1/domains/a.test", R"({"size_max":1.5})", "size_max: a number from 0" },
        { "PATCH", "/api/v1/domains/a.test", R"({"users_max":"7"})", "users_max: a number from 0" },
        { "POST", "/api/v1/users", "{}", "address: not an address" },
        { "POST", "/api/v1/users", R"({"address":5})", "address: a text" },
        { "POST", "/api/v1/users", "{\"address\":" + long_text + "}", "address: a text of at most 512 bytes" },
        { "POST", "/api/v1/users", R"({"address":"joe"})", "address: not an address" },
        { "POST", "/api/v1/users", R"({"address":"@a.test"})", "address: not an address" },
        { "POST", "/api/v1/users", R"({"address":"u@a..test"})", "domain: not a domain" },
        { "POST", "/api/v1/users", R"({"address":"a*b@a.test"})", "address: * and ? are for aliases" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","password":7})", "password: a text" },
        { "POST", "/api/v1/users", "{\"address\":\"u@a.test\",\"password\":" + long_text + "}", "password: a text of at most 1024" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","role":"operator"})", "role: user, auditor, accounts or admin" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","enabled":"yes"})", "enabled: true or false" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","quota_items":-5})", "quota_items: a number from 0" },
        { "POST", "/api/v1/users", "{\"address\":\"u@a.test\",\"full_name\":" + long_text + "}", "full_name: a text of at most 255" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","addresses":"v@a.test"})", "addresses: an array" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","addresses":[5]})", "addresses: not an address" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","addresses":["v@out.test"]})", "addresses: v@out.test is in no domain of the user's tenant" },
        { "POST", "/api/v1/users", R"({"address":"u@a.test","addresses":["v@a.test","V@a.test"]})", "addresses: v@a.test stands there twice" },
        { "PATCH", "/api/v1/users/joe@a.test", R"({"enabled":0})", "enabled: true or false" },
        { "PATCH", "/api/v1/users/joe@a.test", R"({"description":[]})", "description: a text" },
        { "PATCH", "/api/v1/users/joe@a.test", R"({"password":{}})", "password: a text" },
        { "POST", "/api/v1/groups", R"({"address":"g*@a.test"})", "address: * and ? are for aliases" },
        { "POST", "/api/v1/groups", R"({"address":"g@a.test","members":{}})", "members: an array" },
        { "POST", "/api/v1/groups", R"({"address":"g@a.test","members":["x"]})", "members: not an address: x" },
        { "PATCH", "/api/v1/groups/all@a.test", R"({"name":false})", "name: a text" },
        { "POST", "/api/v1/aliases", R"({"address":"l@a.test"})", "targets: at least one address" },
        { "POST", "/api/v1/aliases", R"({"address":"l@a.test","targets":[]})", "targets: at least one address" },
        { "PATCH", "/api/v1/aliases/post@a.test", R"({"targets":[]})", "targets: at least one address" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":"2M","domain":5})", "domain: a domain's name" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":"2M","domain":""})", "domain: a domain's name" },
        { "DELETE", "/api/v1/config/smtp.size.max", R"({"domain":["a.test"]})", "domain: a domain's name" },
        { "PUT", "/api/v1/config/smtp.size.max", "{}", "smtp.size.max: the member \"value\" is" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":{}})", "smtp.size.max: the member \"value\" is" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":"many"})", "smtp.size.max" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":""})", "smtp.size.max" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":-1})", "smtp.size.max" },
    };
    audits.clear();
    for (const auto &c : cases) {
        SCOPED_TRACE(std::string(c.method) + " " + c.path + " " + c.body.substr(0, 80));
        auto detail = Refused(400, c.method, c.path, c.body);
        EXPECT_EQ(0u, detail.find(c.detail)) << detail;
    }
    EXPECT_TRUE(audits.empty());
}

TEST_F(ApiRefusal, ParametersThatAreWrong)
{
    for (const char *limit : { "0", "1001", "x", "12x", "-1", "99999999999999999999", "1.5", "%31x" }) {
        EXPECT_EQ("limit: a number from 1 to 1000", Refused(400, "GET", std::string("/api/v1/users?limit=") + limit)) << limit;
    }
    Good(200, "GET", "/api/v1/users?limit=%31");
    EXPECT_EQ("domain: not a domain: -", Refused(400, "GET", "/api/v1/users?domain=-"));
    EXPECT_EQ("no domain b.test", Refused(404, "GET", "/api/v1/groups?domain=b.test"));
    EXPECT_EQ("address: not an address: ", Refused(400, "GET", "/api/v1/check-address"));
    EXPECT_EQ("address: not an address: x", Refused(400, "GET", "/api/v1/check-address?address=x"));
    EXPECT_EQ("address: not an address: joe", Refused(400, "GET", "/api/v1/users/joe"));
    EXPECT_EQ("no user nobody@a.test", Refused(404, "GET", "/api/v1/users/nobody@a.test"));
    EXPECT_EQ("no user nobody@a.test", Refused(404, "PATCH", "/api/v1/users/nobody@a.test", "{}"));
    EXPECT_EQ("no user nobody@a.test", Refused(404, "DELETE", "/api/v1/users/nobody@a.test"));
    EXPECT_EQ("no group nobody@a.test", Refused(404, "PATCH", "/api/v1/groups/nobody@a.test", "{}"));
    EXPECT_EQ("no alias nobody@a.test", Refused(404, "DELETE", "/api/v1/aliases/nobody@a.test"));
    EXPECT_EQ("no alias n?@a.test", Refused(404, "DELETE", "/api/v1/aliases/n%3F@a.test"));
    for (const char *id : { "x", "00051234", "000571717171717171717171717171717171G1", "000571717171717171717171717171717171717" }) {
        EXPECT_EQ("a queue id has 36 hexadecimal digits", Refused(404, "GET", std::string("/api/v1/queue/") + id));
    }
    EXPECT_EQ("no such queue entry", Refused(404, "GET", "/api/v1/queue/" + std::string(36, '0')));
    EXPECT_EQ(0u, Refused(404, "PUT", "/api/v1/config/no.such.key", R"({"value":"1"})").find("no option no.such.key"));
    EXPECT_EQ(0u, Refused(404, "GET", "/api/v1/config/%00").find("no option"));
    // Escapes that are none stay as they are.
    EXPECT_EQ("address: not an address: %4", Refused(400, "GET", "/api/v1/users/%4"));
    EXPECT_EQ("address: not an address: %zz", Refused(400, "GET", "/api/v1/users/%zz"));
}

// Two who change the same row at the same time: one of them hears that it is not as it was.
TEST_F(ApiRefusal, WhatSomebodyElseChangedMeanwhileIsAConflict)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    Good(201, "POST", "/api/v1/groups", R"({"address":"all@a.test","members":["joe@a.test"]})");
    const struct { const char *method, *path, *one, *two; } cases[] = {
        { "PATCH", "/api/v1/domains/a.test", R"({"users_max":1})", R"({"users_max":2})" },
        { "PATCH", "/api/v1/users/joe@a.test", R"({"full_name":"1"})", R"({"full_name":"2"})" },
        { "PATCH", "/api/v1/groups/all@a.test", R"({"name":"1"})", R"({"name":"2"})" },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":"3M"})", R"({"value":"4M"})" },
        { "POST", "/api/v1/tenants", R"({"name":"three"})", R"({"name":"three"})" },
        { "POST", "/api/v1/users", R"({"address":"new@a.test"})", R"({"address":"new@a.test"})" },
        { "POST", "/api/v1/aliases", R"({"address":"a?@a.test","targets":["joe@a.test"]})", R"({"address":"b?@a.test","targets":["joe@a.test"]})" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(std::string(c.method) + " " + c.path);
        auto one = Begin(c.method, c.path, c.one), two = Begin(c.method, c.path, c.two);
        Until([&] { return one->done && two->done; });
        auto *late = one->status >= 400 ? one.get() : two.get(), *first = late == one.get() ? two.get() : one.get();
        EXPECT_LT(first->status, 300u) << first->text;
        EXPECT_EQ(409u, late->status) << late->text;
        EXPECT_EQ("application/problem+json", late->type);
        EXPECT_EQ("Changed by somebody else meanwhile", (*late)["title"]);
    }
}

TEST_F(ApiRefusal, AStoreWithoutAnAnswerIsNotAvailable)
{
    CloseNode();
    auto one = Begin("GET", "/api/v1/users?domain=a.test"), two = Begin("GET", "/api/v1/users/joe@a.test");
    // What needs the configuration alone goes on.
    Good(200, "GET", "/api/v1/domains");
    Good(200, "GET", "/api/v1/config");
    route_free(route); // its calls end; nobody waits for their deadline here
    route = nullptr;
    Until([&] { return one->done && two->done; });
    for (auto *r : { one.get(), two.get() }) {
        EXPECT_EQ(503u, r->status) << r->text;
        EXPECT_EQ("Not available now", (*r)["title"]);
    }
}

TEST_F(ApiRefusal, MoreThanAreTakenAtOnceAreBusy)
{
    std::vector<std::unique_ptr<Response>> calls;
    for (unsigned i = 0; i < API_CALLS_MAX; i++) calls.push_back(Begin("GET", "/healthz"));
    auto over = Begin("GET", "/healthz", "", kOperator, ERR_BUSY);
    Until([&] {
        bool all = true;
        for (auto &call : calls) all = all && call->done;
        return all;
    });
    EXPECT_FALSE(over->done);
    Good(200, "GET", "/healthz");
}

TEST_F(ApiRefusal, ARowThatIsBrokenIsSaidAndNotServed)
{
    Put("domains/broken.test", "no JSON");
    Put("tenants/broken", "{");
    Put("policy/config", R"({"smtp.size.max":"a lot"})");
    EXPECT_EQ(503u, Call("GET", "/api/v1/tenants/broken").status);
    auto detail = Refused(400, "GET", "/api/v1/config/smtp.size.max");
    EXPECT_NE(std::string::npos, detail.find("smtp.size.max")) << detail;
    EXPECT_EQ("one,two", Good(200, "GET", "/api/v1/tenants")["items"]); // the others are shown
}

}  // namespace
