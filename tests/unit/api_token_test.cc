// Tokens: their rows, what each role may, who may give what to whom, and that a token that is gone is refused.
#include "api_fixture.h"
#include "api_token.h"
#include "arena.h"
#include "clock.h"

namespace {

// ---- rows

class ApiTokenRow : public testing::Test {
protected:
    void SetUp() override { arena_init(&arena, 1 << 20); }
    void TearDown() override { arena_clear(&arena); }
    static std::string Hex(size_t digits, char c) { return std::string(digits, c); }
    static struct span S(const std::string &text) { return span_of(text.data(), text.size()); }
    static std::string Str(struct span s) { return std::string(s.len > 0 ? s.ptr : "", s.len); }
    struct arena arena;
};

TEST_F(ApiTokenRow, WhatIsWrittenIsReadAgain)
{
    std::string id = Hex(32, 'a'), hash = Hex(64, 'b');
    struct api_token token = {}, again = {};
    token.role = USER;
    token.tenant = 7;
    token.account = 0xfedcba9876543210;
    token.created_ms = 5;
    token.expires_ms = 9;
    token.id = S(id), token.hash = S(hash);
    token.domain = SPAN("a.test"), token.address = SPAN("joe@a.test"), token.description = SPAN("t\xc3\xb6"), token.by = SPAN("x");
    struct span text;
    ASSERT_EQ(ERR_OK, api_token_write(&token, &arena, &text).code);
    ASSERT_EQ(ERR_OK, api_token_read(text, &arena, &again).code) << Str(text);
    EXPECT_EQ(USER, again.role);
    EXPECT_EQ(7u, again.tenant);
    EXPECT_EQ(token.account, again.account);
    EXPECT_EQ(5u, again.created_ms);
    EXPECT_EQ(9u, again.expires_ms);
    EXPECT_EQ("joe@a.test", Str(again.address));
    EXPECT_EQ("t\xc3\xb6", Str(again.description));
    token.description = SPAN("\xff");
    EXPECT_EQ(ERR_SYNTAX, api_token_write(&token, &arena, &text).code);
}

TEST_F(ApiTokenRow, RowsThatAllowNothingAreRefused)
{
    const std::string id = "\"id\":\"" + Hex(32, '1') + "\",", hash = "\"hash\":\"" + Hex(64, '2') + "\",";
    const struct { std::string row; bool good; } cases[] = {
        { R"({"role":"operator","tenant":0})", true },
        { "{" + id + hash + R"("role":"admin","tenant":1})", true },
        { "{" + id + hash + R"("role":"domain-admin","tenant":1,"domain":"a.test"})", true },
        { "{" + id + hash + R"("role":"auditor","tenant":1,"domain":"a.test"})", true },
        { "", false }, { "[]", false }, { "null", false }, { "{}", false }, { R"({"role":"operator"})", true },
        { R"({"role":"operator","tenant":1})", false },
        { R"({"role":"operator","tenant":0,"role":"operator"})", false },
        { R"({"role":"operator","tenant":0,"domain":"a.test"})", false },
        { R"({"role":"admin","tenant":0})", false },
        { R"({"role":"admin","tenant":-1})", false },
        { R"({"role":"admin","tenant":4294967296})", false },
        { R"({"role":"admin","tenant":"1"})", false },
        { R"({"role":"admin","tenant":1.0})", false },
        { R"({"role":"admin","tenant":1,"domain":"a.test"})", false },
        { R"({"role":"domain-admin","tenant":1})", false },
        { R"({"role":"Admin","tenant":1})", false },
        { R"({"role":"nobody","tenant":1})", false },
        { R"({"role":["admin"],"tenant":1})", false },
        { "{" + id + R"("role":"admin","tenant":1})", false }, // an ID without a hash
        { "{" + hash + R"("role":"admin","tenant":1})", false },
        { R"({"id":"xyz","hash":"abc","role":"admin","tenant":1})", false },
        { R"({"role":"admin","tenant":1,"expires_ms":-5})", false },
        { R"({"role":"admin","tenant":1,"expires_ms":"never"})", false },
        { R"({"role":"user","tenant":1,"account":"00000000000000ab"})", false }, // no address, no domain
        { R"({"role":"user","tenant":1,"domain":"a.test","address":"j@a.test","account":"00000000000000ab"})", true },
        { R"({"role":"user","tenant":1,"domain":"a.test","address":"j@a.test","account":"ab"})", false },
        { R"({"role":"user","tenant":1,"domain":"a.test","address":"j@a.test","account":"0000000000000000"})", false },
        { R"({"role":"admin","tenant":1,"address":"j@a.test","account":"00000000000000ab"})", false },
        { R"({"role":"admin","tenant":1,"description":")" + std::string(1001, 'x') + "\"}", false },
    };
    for (const auto &c : cases) {
        struct api_token token;
        EXPECT_EQ(c.good ? ERR_OK : ERR_SYNTAX, api_token_read(S(c.row), &arena, &token).code) << c.row;
    }
}

TEST_F(ApiTokenRow, AnIdIsInOneFormOnly)
{
    const std::string good = "gwt_" + Hex(32, '0') + "_" + Hex(64, 'f');
    EXPECT_EQ(Hex(32, '0'), Str(api_token_id(S(good))));
    for (std::string bad : { std::string(), good + "0", good.substr(1), "GWT_" + good.substr(4), good.substr(0, 36) + "-" + good.substr(37) }) {
        EXPECT_EQ(0u, api_token_id(S(bad)).len) << bad;
    }
    for (size_t i : { 4, 35, 37, 100 }) {
        std::string bad = good;
        bad[i] = 'F';
        EXPECT_EQ(0u, api_token_id(S(bad)).len) << i;
    }
}

// ---- calls

class ApiToken : public ApiTest {
protected:
    // Makes one and returns its text.
    std::string Make(const std::string &body, const std::string &by = kOperator)
    {
        return Good(201, "POST", "/api/v1/tokens", body, by)["token"];
    }
};

TEST_F(ApiToken, IsMadeUsedListedShownAndRefusedOnceItIsRemoved)
{
    auto made = Good(201, "POST", "/api/v1/tokens", R"({"role":"admin","tenant":"one","description":"console"})");
    std::string token = made["token"], id = made["id"];
    EXPECT_EQ("admin", made["role"]);
    EXPECT_EQ("1", made["tenant"]);
    EXPECT_EQ(id, token.substr(4, 32));
    EXPECT_EQ("a.test", Good(200, "GET", "/api/v1/domains", "", token)["items"]);
    Refused(403, "GET", "/api/v1/tenants", "", token);
    auto who = Good(200, "GET", "/api/v1/whoami", "", token);
    EXPECT_EQ(id, who["id"]);
    EXPECT_EQ("console", who["description"]);
    // The secret is kept nowhere, and is shown in no later answer.
    std::string row = Row("tokens/" + id), secret = token.substr(37);
    ASSERT_NE("", row);
    EXPECT_EQ(std::string::npos, row.find(secret));
    for (const std::string &path : { std::string("/api/v1/tokens"), "/api/v1/tokens/" + id, std::string("/api/v1/whoami") }) {
        auto r = Good(200, "GET", path, "", token);
        EXPECT_EQ(std::string::npos, r.text.find(secret)) << path;
        EXPECT_EQ(std::string::npos, r.text.find("hash")) << path;
    }
    EXPECT_EQ("console", Good(200, "GET", "/api/v1/tokens/" + id)["description"]);
    // One digit of the secret is another: nobody's.
    std::string other = token;
    other.back() = other.back() == '0' ? '1' : '0';
    EXPECT_EQ(401u, Call("GET", "/api/v1/whoami", "", other).status);
    Good(204, "DELETE", "/api/v1/tokens/" + id);
    EXPECT_EQ(401u, Call("GET", "/api/v1/domains", "", token).status);
    EXPECT_EQ("no such token", Refused(404, "GET", "/api/v1/tokens/" + id));
    EXPECT_EQ("no such token", Refused(404, "DELETE", "/api/v1/tokens/" + id));
    EXPECT_EQ((Texts{ "POST /api/v1/tokens", "DELETE /api/v1/tokens/" + id }), audits);
}

TEST_F(ApiToken, RemovedElsewhereItIsRefusedAsSoonAsTheNewsIsHere)
{
    std::string token = Make(R"({"role":"auditor","tenant":"one"})"), id = token.substr(4, 32);
    Good(200, "GET", "/api/v1/domains", "", token);
    coord_row row = { {}, span_of(nullptr, 0), COORD_ANY };
    std::string key = "tokens/" + id;
    row.key = S(key);
    ASSERT_EQ(ERR_OK, coord_put(coord_dir.c_str(), &row).code); // another program
    // No refresh is asked for: the store's own news.
    Until([&] { return Call("GET", "/api/v1/whoami", "", token).status == 401; });
}

TEST_F(ApiToken, EndsWhenItsTimeIsOverAndThoseMadeByItToo)
{
    std::string id(32, 'e'), text = "gwt_" + id + "_" + std::string(64, '0');
    uint8_t digest[DIGEST_BYTES];
    std::string hash(64, '\0');
    ASSERT_EQ(ERR_OK, digest_sha256(S(text), digest).code);
    id_hex(digest, sizeof(digest), hash.data());
    Put("tokens/" + id, "{\"id\":\"" + id + "\",\"hash\":\"" + hash + R"(","role":"admin","tenant":1,"expires_ms":)" + std::to_string(clock_wall_ms() - 1) + "}");
    ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
    auto r = Call("GET", "/api/v1/domains", "", text);
    EXPECT_EQ(401u, r.status);
    EXPECT_EQ("the token has expired", r["detail"]);
    EXPECT_EQ("WWW-Authenticate: Bearer", r.challenge);
    auto hour = Good(201, "POST", "/api/v1/tokens", R"({"role":"admin","tenant":"one","expires_seconds":3600})");
    uint64_t ends = std::stoull(hour["expires_ms"]);
    EXPECT_NEAR(static_cast<double>(clock_wall_ms() + 3600 * 1000), static_cast<double>(ends), 60000.0);
    for (const char *body : { R"({"role":"auditor"})", R"({"role":"auditor","expires_seconds":7200})" }) {
        EXPECT_EQ(ends, std::stoull(Good(201, "POST", "/api/v1/tokens", body, hour["token"])["expires_ms"]));
    }
}

// One row a role: what it may at most, and the first that it may not.
TEST_F(ApiToken, EachRoleMayWhatItsRowSays)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    const std::string user = Make(R"({"role":"user","account":"joe@a.test"})"), domain = Make(R"({"role":"domain-admin","domain":"a.test"})");
    enum { kUser, kAuditor, kAccounts, kDomain, kAdmin1, kAll, kCount };
    const std::string tokens[kCount] = { user, "auditor-1", "accounts-1", domain, kAdmin, kOperator };
    const struct { const char *method, *path, *body; int lowest; unsigned status; } cases[] = {
        { "GET", "/api/v1/whoami", "", kUser, 200 },
        { "GET", "/api/v1/users/joe@a.test", "", kUser, 200 },
        { "GET", "/api/v1/users", "", kAuditor, 200 },
        { "GET", "/api/v1/domains", "", kAuditor, 200 },
        { "GET", "/api/v1/config", "", kAuditor, 200 },
        { "GET", "/api/v1/queue", "", kAuditor, 200 },
        { "GET", "/api/v1/status", "", kAuditor, 200 },
        { "PATCH", "/api/v1/users/joe@a.test", R"({"full_name":"x"})", kAccounts, 200 },
        { "GET", "/api/v1/tokens", "", kDomain, 200 },
        { "PUT", "/api/v1/config/password.length.min", R"({"value":7,"domain":"a.test"})", kDomain, 200 },
        { "PATCH", "/api/v1/domains/a.test", R"({"users_max":7})", kAdmin1, 200 },
        { "PUT", "/api/v1/config/smtp.size.max", R"({"value":"2M"})", kAll, 200 },
        { "GET", "/api/v1/tenants", "", kAll, 200 },
        { "PATCH", "/api/v1/tenants/one", R"({"users_max":7})", kAll, 200 },
    };
    for (const auto &c : cases) {
        for (int role = 0; role < kCount; role++) {
            SCOPED_TRACE(std::string(c.method) + " " + c.path + " as " + std::to_string(role));
            if (role >= c.lowest) Good(c.status, c.method, c.path, c.body, tokens[role]);
            else Refused(403, c.method, c.path, c.body, tokens[role]);
        }
    }
}

TEST_F(ApiToken, NobodyGivesMoreThanHeHas)
{
    Good(201, "POST", "/api/v1/domains", R"({"name":"b.test"})", kAdmin);
    ReadDomains();
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    Good(201, "POST", "/api/v1/users", R"({"address":"bob@b.test"})");
    const std::string domain = Make(R"({"role":"domain-admin","domain":"a.test"})");
    const struct { std::string by; const char *body; unsigned status; } cases[] = {
        { kOperator, R"({"role":"operator"})", 201 },
        { kOperator, R"({"role":"admin","tenant":"two"})", 201 },
        { kAdmin, R"({"role":"operator"})", 400 },  // where he is, there is none
        { kAdmin, R"({"role":"admin"})", 201 },
        { kAdmin, R"({"role":"admin","tenant":"one"})", 403 },
        { kAdmin, R"({"role":"admin","tenant":"two"})", 403 },
        { kAdmin, R"({"role":"auditor","domain":"z.test"})", 404 },
        { kAdmin, R"({"role":"auditor","domain":"b.test"})", 201 },
        { kAdmin, R"({"role":"domain-admin","domain":"b.test"})", 201 },
        { kAdmin, R"({"role":"user","account":"bob@b.test"})", 201 },
        { kAdmin, R"({"role":"user","account":"eve@z.test"})", 404 },
        { domain, R"({"role":"domain-admin"})", 201 },
        { domain, R"({"role":"accounts"})", 201 },
        { domain, R"({"role":"user","account":"joe@a.test"})", 201 },
        { domain, R"({"role":"admin"})", 400 },
        { domain, R"({"role":"operator"})", 400 },
        { domain, R"({"role":"domain-admin","domain":"b.test"})", 404 },
        { domain, R"({"role":"user","account":"bob@b.test"})", 404 },
        { domain, R"({"role":"auditor","tenant":"one"})", 403 },
        { "accounts-1", R"({"role":"accounts"})", 403 },
        { "auditor-1", R"({"role":"auditor"})", 403 },
    };
    for (const auto &c : cases) {
        auto r = Call("POST", "/api/v1/tokens", c.body, c.by);
        EXPECT_EQ(c.status, r.status) << c.body << ": " << r.text;
    }
    // What was made inside a domain is of that domain.
    auto inside = Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor"})", domain);
    EXPECT_EQ("a.test", inside["domain"]);
    EXPECT_EQ("a.test", Good(200, "GET", "/api/v1/domains", "", inside["token"])["items"]);
    Refused(404, "GET", "/api/v1/users/bob@b.test", "", inside["token"]);
    // A role of an account holds in the whole tenant, so whoever is for a domain cannot give it, nor take such an account over.
    for (const char *role : { "auditor", "accounts", "admin" }) {
        Refused(403, "POST", "/api/v1/users", std::string(R"({"address":"x@a.test","role":")") + role + "\"}", domain);
    }
    Good(201, "POST", "/api/v1/users", R"({"address":"boss@a.test","role":"auditor"})", kAdmin);
    EXPECT_EQ("the user's role is higher than your own",
              Refused(403, "PATCH", "/api/v1/users/boss@a.test", R"({"password":"mine123"})", domain));
    Refused(403, "DELETE", "/api/v1/users/boss@a.test", "", domain);
    Refused(403, "POST", "/api/v1/users", R"({"address":"y@a.test","role":"admin"})", "accounts-1");
}

TEST_F(ApiToken, AreSeenByThoseWhoCouldHaveMadeThem)
{
    const std::string domain = Make(R"({"role":"domain-admin","domain":"a.test","description":"d"})");
    auto mine = Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor"})", domain);
    auto boss = Good(201, "POST", "/api/v1/tokens", R"({"role":"admin"})", kAdmin);
    auto theirs = Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor"})", kOther);
    auto count = [&](const std::string &by) {
        json_t *json = Good(200, "GET", "/api/v1/tokens", "", by).Json();
        size_t n = json_array_size(json_object_get(json, "items"));
        json_decref(json);
        return n;
    };
    EXPECT_EQ(2u, count(domain));
    EXPECT_EQ(3u, count(kAdmin));
    EXPECT_EQ(1u, count(kOther));
    EXPECT_EQ(4u, count(kOperator));
    for (const std::string &id : { boss["id"], theirs["id"], TokenKey(kAdmin).substr(7), std::string("nothing") }) {
        EXPECT_EQ("no such token", Refused(404, "GET", "/api/v1/tokens/" + id, "", domain));
        EXPECT_EQ("no such token", Refused(404, "DELETE", "/api/v1/tokens/" + id, "", domain));
    }
    Good(204, "DELETE", "/api/v1/tokens/" + mine["id"], "", domain);
    EXPECT_EQ("it is the last token of an operator", Refused(409, "DELETE", "/api/v1/tokens/" + TokenKey(kOperator).substr(7)));
    EXPECT_EQ("the domain has tokens", Refused(409, "DELETE", "/api/v1/domains/a.test", "", kAdmin));
}

TEST_F(ApiToken, MembersThatAreWrongAreNamed)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    const struct { const char *body, *detail; } cases[] = {
        { "{}", "role: user, auditor, accounts, domain-admin, admin or operator" },
        { R"({"role":"king"})", "role: user, auditor" },
        { R"({"role":5})", "role: a text" },
        { R"({"role":"admin"})", "tenant: a name; or a domain, or an account" },
        { R"({"role":"admin","tenant":"nine"})", "tenant: there is none of this name" },
        { R"({"role":"admin","tenant":"One"})", "name: 1 to 60" },
        { R"({"role":"admin","domain":"a.test"})", "domain: the role admin is for a tenant" },
        { R"({"role":"domain-admin","tenant":"one"})", "domain: the role domain-admin has one" },
        { R"({"role":"operator","tenant":"one"})", "role: an operator has no tenant" },
        { R"({"role":"user","tenant":"one"})", "account: a token of the role user is for one" },
        { R"({"role":"auditor","account":"joe@a.test"})", "account: it is for the role user" },
        { R"({"role":"auditor","domain":"a.test","tenant":"one"})", "account, domain, tenant: one of them" },
        { R"({"role":"auditor","tenant":"one","expires_seconds":-1})", "expires_seconds: a number from 0" },
        { R"({"role":"auditor","tenant":"one","expires_seconds":999999999999})", "expires_seconds: at most" },
        { R"({"role":"auditor","tenant":"one","description":7})", "description: a text" },
    };
    for (const auto &c : cases) {
        auto detail = Refused(400, "POST", "/api/v1/tokens", c.body);
        EXPECT_EQ(0u, detail.find(c.detail)) << c.body << ": " << detail;
    }
    EXPECT_EQ("no user ann@a.test", Refused(404, "POST", "/api/v1/tokens", R"({"role":"user","account":"ann@a.test"})"));
    EXPECT_TRUE(audits == Texts{ "POST /api/v1/users" });
}

// The address of a user who is gone may be another's: the token is the first one's.
TEST_F(ApiToken, OfAUserSeesHimselfOnly)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test","full_name":"First"})");
    Good(201, "POST", "/api/v1/users", R"({"address":"ann@a.test"})");
    std::string joe = Make(R"({"role":"user","account":"joe@a.test"})");
    EXPECT_EQ("First", Good(200, "GET", "/api/v1/users/joe@a.test", "", joe)["full_name"]);
    std::string why = Refused(403, "GET", "/api/v1/users/ann@a.test", "", joe);
    for (const char *address : { "nobody@a.test", "eve@z.test", "x@nowhere.test", "junk" }) {
        EXPECT_EQ(why, Refused(403, "GET", std::string("/api/v1/users/") + address, "", joe));
    }
    Good(204, "DELETE", "/api/v1/users/joe@a.test");
    Refused(404, "GET", "/api/v1/users/joe@a.test", "", joe);
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test","full_name":"Second"})");
    EXPECT_EQ("no user joe@a.test", Refused(404, "GET", "/api/v1/users/joe@a.test", "", joe));
}

}  // namespace
