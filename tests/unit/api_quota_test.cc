// Quotas of tenants and domains hold; lists come in pages; versions of rows are compared.
#include "api_fixture.h"

namespace {

class ApiQuota : public ApiTest {
protected:
    void Limit(const std::string &body)
    {
        Good(200, "PATCH", "/api/v1/tenants/one", body);
        ReadDomains();
    }
    unsigned MakeUser(const std::string &address, const std::string &more = "")
    {
        return Call("POST", "/api/v1/users", R"({"address":")" + address + "\"" + more + "}", kAdmin).status;
    }
};

TEST_F(ApiQuota, UsersOfATenantAndOfADomain)
{
    Good(201, "POST", "/api/v1/domains", R"({"name":"b.test","users_max":1})", kAdmin);
    Limit(R"({"users_max":2})");
    EXPECT_EQ(201u, MakeUser("one@b.test"));
    auto over = Call("POST", "/api/v1/users", R"({"address":"two@b.test"})", kAdmin);
    EXPECT_EQ(409u, over.status);
    EXPECT_EQ("Over quota", over["title"]);
    EXPECT_EQ("the domain has as many users as it may", over["detail"]);
    EXPECT_EQ(201u, MakeUser("one@a.test"));
    over = Call("POST", "/api/v1/users", R"({"address":"two@a.test"})", kAdmin);
    EXPECT_EQ(409u, over.status);
    EXPECT_EQ("the tenant has as many users as it may", over["detail"]);
    auto shown = Good(200, "GET", "/api/v1/tenants/one");
    EXPECT_EQ("2", shown["users"]);
    EXPECT_EQ("2", shown["users_max"]);
    EXPECT_EQ("2", shown["domains"]);
    // What is refused leaves nothing: its address is free, and the place that a removed one leaves too.
    Refused(404, "GET", "/api/v1/users/two@a.test");
    Good(204, "DELETE", "/api/v1/users/one@a.test", "", kAdmin);
    EXPECT_EQ(201u, MakeUser("two@a.test"));
    EXPECT_EQ(409u, MakeUser("two@a.test")); // taken, and counted once
    EXPECT_EQ("2", Good(200, "GET", "/api/v1/tenants/one")["users"]);
    // Another tenant's are not counted.
    Good(201, "POST", "/api/v1/users", R"({"address":"eve@z.test"})");
    EXPECT_EQ("1", Good(200, "GET", "/api/v1/tenants/two")["users"]);
    Limit(R"({"users_max":0})");
    EXPECT_EQ(201u, MakeUser("three@a.test"));
}

TEST_F(ApiQuota, ManyAtTheSameTimeAreNotOneTooMany)
{
    Limit(R"({"users_max":5})");
    std::vector<std::unique_ptr<Response>> calls;
    for (int i = 0; i < 20; i++) calls.push_back(Begin("POST", "/api/v1/users", R"({"address":"u)" + std::to_string(i) + R"(@a.test"})", kAdmin));
    unsigned made = 0;
    for (auto &call : calls) {
        Until([&] { return call->done; });
        made += call->status == 201;
        EXPECT_TRUE(call->status == 201 || call->status == 409) << call->text;
    }
    EXPECT_EQ(5u, made);
    EXPECT_EQ("5", Good(200, "GET", "/api/v1/tenants/one")["users"]);
}

TEST_F(ApiQuota, BytesOfATenant)
{
    EXPECT_EQ(201u, MakeUser("old@a.test"));
    EXPECT_EQ("quota_bytes: 1 users have no quota of their own", Refused(409, "PATCH", "/api/v1/tenants/one", R"({"quota_bytes":1000})"));
    Good(200, "PATCH", "/api/v1/users/old@a.test", R"({"quota_bytes":300})", kAdmin);
    EXPECT_EQ("quota_bytes: the users' quotas are 300 together", Refused(409, "PATCH", "/api/v1/tenants/one", R"({"quota_bytes":299})"));
    Limit(R"({"quota_bytes":1000})");
    EXPECT_EQ(400u, MakeUser("none@a.test"));
    EXPECT_EQ(201u, MakeUser("new@a.test", R"(,"quota_bytes":700)"));
    EXPECT_EQ(409u, MakeUser("more@a.test", R"(,"quota_bytes":1)"));
    auto over = Call("PATCH", "/api/v1/users/old@a.test", R"({"quota_bytes":301})", kAdmin);
    EXPECT_EQ(409u, over.status);
    EXPECT_EQ("the tenant's quota of bytes does not hold it", over["detail"]);
    EXPECT_EQ("300", Good(200, "GET", "/api/v1/users/old@a.test")["quota_bytes"]);
    Refused(400, "PATCH", "/api/v1/users/old@a.test", R"({"quota_bytes":0})", kAdmin);
    Good(200, "PATCH", "/api/v1/users/new@a.test", R"({"quota_bytes":100})", kAdmin);
    EXPECT_EQ("400", Good(200, "GET", "/api/v1/tenants/one")["granted_bytes"]);
    EXPECT_EQ(201u, MakeUser("more@a.test", R"(,"quota_bytes":600)"));
    Good(204, "DELETE", "/api/v1/users/new@a.test", "", kAdmin);
    EXPECT_EQ("900", Good(200, "GET", "/api/v1/tenants/one")["granted_bytes"]);
    // The default of the domain is one of the user's own.
    Good(200, "PATCH", "/api/v1/domains/a.test", R"({"quota_bytes":100})", kAdmin);
    ReadDomains();
    EXPECT_EQ(201u, MakeUser("fit@a.test"));
    EXPECT_EQ(409u, MakeUser("not@a.test"));
    EXPECT_EQ("1000", Good(200, "GET", "/api/v1/tenants/one")["granted_bytes"]);
}

// What can't be read allows nothing.
TEST_F(ApiQuota, OfATenantThatIsNotKnown)
{
    Put("domains/lost.test", R"({"name":"lost.test","tenant":99})");
    ReadDomains();
    EXPECT_EQ("what the tenant may have can't be read", Refused(503, "POST", "/api/v1/users", R"({"address":"joe@lost.test"})"));
    Refused(404, "GET", "/api/v1/users/joe@lost.test");
}

TEST_F(ApiQuota, DomainsOfATenant)
{
    Limit(R"({"domains_max":2})");
    Good(201, "POST", "/api/v1/domains", R"({"name":"b.test"})", kAdmin);
    EXPECT_EQ("the tenant has as many domains as it may: 2", Refused(409, "POST", "/api/v1/domains", R"({"name":"c.test"})", kAdmin));
    EXPECT_EQ("the tenant has as many domains as it may: 2", Refused(409, "POST", "/api/v1/domains", R"({"name":"c.test","tenant":"one"})"));
    Good(201, "POST", "/api/v1/domains", R"({"name":"c.test"})", kOther);
    ReadDomains();
    Good(204, "DELETE", "/api/v1/domains/b.test", "", kOperator);
    Good(201, "POST", "/api/v1/domains", R"({"name":"d.test"})", kAdmin);
}

// Two frontends at once, each with a view of the store of its own: never one more than is allowed.
TEST_F(ApiQuota, DomainsOfATenantAreExactInARace)
{
    struct api *other = nullptr;
    api_options options = kept_options;
    ASSERT_EQ(ERR_OK, coord_open(loop, coord_dir.c_str(), &options.coord).code);
    ASSERT_EQ(ERR_OK, api_new(&options, &other).code);
    Limit(R"({"domains_max":6})"); // and it has one
    for (int round = 0; round < 3; round++) {
        std::vector<std::unique_ptr<Response>> all;
        for (int i = 0; i < 12; i++) {
            if (i % 2 == 1) std::swap(api, other);
            all.push_back(Begin("POST", "/api/v1/domains", "{\"name\":\"d" + std::to_string(round) + "-" + std::to_string(i) + ".test\"}", kAdmin));
            if (i % 2 == 1) std::swap(api, other);
        }
        Texts made;
        for (auto &one : all) {
            Until([&] { return one->done; });
            if (one->status == 201) made.push_back((*one)["name"]);
            else EXPECT_EQ("the tenant has as many domains as it may: 6", (*one)["detail"]) << one->text;
        }
        EXPECT_EQ(5u, made.size());
        EXPECT_EQ("6", Good(200, "GET", "/api/v1/tenants/one")["domains"]);
        // They go at once too, through both, and the count follows.
        ReadDomains();
        all.clear();
        for (size_t i = 0; i < made.size(); i++) {
            if (i % 2 == 1) std::swap(api, other);
            all.push_back(Begin("DELETE", "/api/v1/domains/" + made[i]));
            if (i % 2 == 1) std::swap(api, other);
        }
        for (auto &one : all) {
            Until([&] { return one->done; });
            EXPECT_EQ(204u, one->status) << one->text;
        }
        ReadDomains();
    }
    // The same domain from both: one makes it, and it is counted once.
    auto one = Begin("POST", "/api/v1/domains", R"({"name":"same.test"})", kAdmin);
    std::swap(api, other);
    auto two = Begin("POST", "/api/v1/domains", R"({"name":"same.test"})", kAdmin);
    std::swap(api, other);
    Until([&] { return one->done && two->done; });
    EXPECT_EQ(610u, one->status + two->status) << one->text << two->text; // 201 and 409
    Limit(R"({"domains_max":2})");
    EXPECT_EQ("the tenant has as many domains as it may: 2", Refused(409, "POST", "/api/v1/domains", R"({"name":"more.test"})", kAdmin));
    ReadDomains();
    Good(204, "DELETE", "/api/v1/domains/same.test");
    Good(201, "POST", "/api/v1/domains", R"({"name":"more.test"})", kAdmin);
    api_free(other);
    coord_close(options.coord);
}

// A count that is wrong (a version that does not count made or took away domains) refuses nothing that may be.
TEST_F(ApiQuota, AWrongCountIsMadeRight)
{
    Put("counts/domains/0000000001", R"({"count":9})");
    Limit(R"({"domains_max":2})");
    Good(201, "POST", "/api/v1/domains", R"({"name":"b.test"})", kAdmin);
    EXPECT_EQ(R"({"count":2})", Row("counts/domains/0000000001"));
    Refused(409, "POST", "/api/v1/domains", R"({"name":"c.test"})", kAdmin);
    for (const char *junk : { "{}", "junk", R"({"count":-1})", R"({"count":"2"})", "[]" }) {
        Put("counts/domains/0000000001", junk);
        Refused(409, "POST", "/api/v1/domains", R"({"name":"c.test"})", kAdmin);
    }
    Limit(R"({"domains_max":0})"); // any number: it is counted on
    Good(201, "POST", "/api/v1/domains", R"({"name":"c.test"})", kAdmin);
    EXPECT_EQ(R"({"count":3})", Row("counts/domains/0000000001"));
    EXPECT_EQ("", Row("counts/domains/0000000002")); // nobody counts where no limit ever was
    Good(201, "POST", "/api/v1/domains", R"({"name":"y.test"})", kOther);
    EXPECT_EQ("", Row("counts/domains/0000000002"));
}

TEST_F(ApiQuota, OfATenantIsTheOperatorsAlone)
{
    for (const char *token : { kAdmin, "accounts-1", "auditor-1", kOther }) {
        Refused(403, "PATCH", "/api/v1/tenants/one", R"({"users_max":9})", token);
        Refused(403, "GET", "/api/v1/tenants/one", "", token);
    }
    for (const char *member : { "quota_bytes", "users_max", "domains_max" }) {
        for (const char *value : { "-1", "\"5\"", "1.5", "null", "[]" }) {
            auto detail = Refused(400, "PATCH", "/api/v1/tenants/one", std::string("{\"") + member + "\":" + value + "}");
            EXPECT_EQ(std::string(member) + ": a number from 0", detail);
        }
    }
    Refused(404, "PATCH", "/api/v1/tenants/nine", R"({"users_max":9})");
    EXPECT_EQ(0u, Refused(400, "PATCH", "/api/v1/tenants/one", R"({"name":"uno"})").find("name: no such member"));
}

// ---- pages

class ApiPage : public ApiTest {
protected:
    // All pages of a list, one behind the other, by `next` and by the Link header.
    Texts Pages(std::string path, const std::string &token = kOperator)
    {
        Texts pages;
        for (int i = 0; i < 50; i++) {
            auto r = Good(200, "GET", path, "", token);
            pages.push_back(r["items"]);
            std::string link = r.headers["Link"];
            EXPECT_EQ(r["next"].empty(), link.empty()) << r.text;
            if (link.empty()) return pages;
            size_t end = link.find('>');
            EXPECT_EQ("; rel=\"next\"", link.substr(end + 1));
            path = link.substr(1, end - 1);
        }
        ADD_FAILURE() << "no end";
        return pages;
    }
};

TEST_F(ApiPage, OfDomains)
{
    for (const char *name : { "b", "c", "d", "big-b" }) Good(201, "POST", "/api/v1/domains", std::string(R"({"name":")") + name + R"(.test"})", kAdmin);
    EXPECT_EQ((Texts{ "a.test,b.test", "big-b.test,c.test", "d.test,z.test" }), Pages("/api/v1/domains?limit=2"));
    EXPECT_EQ((Texts{ "a.test,b.test,big-b.test", "c.test,d.test" }), Pages("/api/v1/domains?limit=3", kAdmin));
    EXPECT_EQ((Texts{ "b.test,big-b.test" }), Pages("/api/v1/domains?prefix=B"));
    EXPECT_EQ((Texts{ "b.test", "big-b.test" }), Pages("/api/v1/domains?filter=B.&limit=1"));
    EXPECT_EQ((Texts{ "" }), Pages("/api/v1/domains?filter=%00"));
    EXPECT_EQ((Texts{ "z.test" }), Pages("/api/v1/domains?after=d.test"));
    EXPECT_EQ((Texts{ "" }), Pages("/api/v1/domains?after=zz"));
    // Another tenant's is not found by a filter either.
    EXPECT_EQ((Texts{ "" }), Pages("/api/v1/domains?filter=z.test", kAdmin));
    for (const char *limit : { "0", "1001", "x", "-1", "99999999999999999999" }) {
        EXPECT_EQ("limit: a number from 1 to 1000", Refused(400, "GET", std::string("/api/v1/domains?limit=") + limit));
    }
    EXPECT_EQ("prefix, filter: a text of at most 255 bytes", Refused(400, "GET", "/api/v1/domains?filter=" + std::string(256, 'x')));
}

TEST_F(ApiPage, OfUsersGroupsAndAliases)
{
    for (const char *name : { "ann", "bob", "cid", "dan", "bobby" }) {
        Good(201, "POST", "/api/v1/users", std::string(R"({"address":")") + name + R"(@a.test"})");
        Good(201, "POST", "/api/v1/groups", std::string(R"({"address":"g-)") + name + R"(@a.test"})");
        Good(201, "POST", "/api/v1/aliases", std::string(R"({"address":"l-)") + name + R"(@a.test","targets":["ann@a.test"]})");
    }
    Good(201, "POST", "/api/v1/aliases", R"({"address":"l-*@a.test","targets":["ann@a.test"]})");
    EXPECT_EQ((Texts{ "ann@a.test,bob@a.test", "bobby@a.test,cid@a.test", "dan@a.test" }), Pages("/api/v1/users?domain=a.test&limit=2"));
    EXPECT_EQ((Texts{ "bob@a.test,bobby@a.test" }), Pages("/api/v1/users?prefix=BO"));
    // Pages are of what is looked at: one without anything that fits has a next one all the same.
    EXPECT_EQ((Texts{ "bob@a.test", "bobby@a.test", "" }), Pages("/api/v1/users?filter=bo&limit=2"));
    EXPECT_EQ((Texts{ "g-ann@a.test,g-bob@a.test,g-bobby@a.test", "g-cid@a.test,g-dan@a.test" }), Pages("/api/v1/groups?limit=3"));
    EXPECT_EQ((Texts{ "l-*@a.test,l-ann@a.test,l-bob@a.test,l-bobby@a.test", "l-cid@a.test,l-dan@a.test" }), Pages("/api/v1/aliases?limit=3"));
    EXPECT_EQ((Texts{ "l-bob@a.test,l-bobby@a.test" }), Pages("/api/v1/aliases?filter=bo"));
}

TEST_F(ApiPage, OfTokensAndTenants)
{
    for (const char *name : { "three", "tool" }) Good(201, "POST", "/api/v1/tenants", std::string(R"({"name":")") + name + R"("})");
    EXPECT_EQ((Texts{ "one,three,tool", "two" }), Pages("/api/v1/tenants?limit=3"));
    EXPECT_EQ((Texts{ "three,tool,two" }), Pages("/api/v1/tenants?prefix=t"));
    for (int i = 0; i < 5; i++) Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor"})", kAdmin);
    EXPECT_EQ(3u, Pages("/api/v1/tokens?limit=2", kAdmin).size());
    EXPECT_EQ(1u, Pages("/api/v1/tokens?limit=2", kOther).size());
}

// ---- versions

TEST_F(ApiPage, AVersionThatIsNotThatOfNowIsRefused)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    Good(201, "POST", "/api/v1/groups", R"({"address":"all@a.test"})");
    Good(201, "POST", "/api/v1/aliases", R"({"address":"x*@a.test","targets":["joe@a.test"]})");
    Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor"})", kAdmin);
    const struct { const char *path, *method, *body; } cases[] = {
        { "/api/v1/tenants/one", "PATCH", R"({"users_max":50})" },
        { "/api/v1/domains/a.test", "PATCH", R"({"users_max":60})" },
        { "/api/v1/users/joe@a.test", "PATCH", R"({"full_name":"x"})" },
        { "/api/v1/groups/all@a.test", "PATCH", R"({"name":"x"})" },
        { "/api/v1/aliases/x*@a.test", "PATCH", R"({"targets":["all@a.test"]})" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(c.path);
        send_too.clear();
        std::string tag = Good(200, "GET", c.path).headers["ETag"];
        ASSERT_GT(tag.size(), 2u);
        send_too = { { "If-Match", "\"99\", \"x\"" } };
        auto r = Call(c.method, c.path, c.body);
        EXPECT_EQ(412u, r.status);
        EXPECT_EQ("If-Match: it was changed meanwhile; its version is " + tag + " now", r["detail"]);
        EXPECT_EQ(412u, Call("DELETE", c.path).status);
        send_too = { { "if-match", "\"99\", " + tag } };
        auto changed = Good(200, c.method, c.path, c.body);
        EXPECT_EQ(412u, Call(c.method, c.path, c.body).status); // it is another one now
        std::string now = changed.headers["ETag"];
        ASSERT_NE("", now);
        EXPECT_NE(tag, now);
        send_too = { { "If-Match", now } };
        Good(200, c.method, c.path, c.body);
        send_too = { { "If-Match", "*" } };
        Good(200, c.method, c.path, c.body);
    }
    send_too.clear();
    Good(200, "PUT", "/api/v1/config/smtp.errors.max", R"({"value":5})");
    std::string tag = Good(200, "GET", "/api/v1/config/smtp.errors.max").headers["ETag"];
    send_too = { { "If-Match", tag } };
    EXPECT_NE(tag, Good(200, "PUT", "/api/v1/config/smtp.errors.max", R"({"value":6})").headers["ETag"]);
    EXPECT_EQ(412u, Call("PUT", "/api/v1/config/smtp.errors.max", R"({"value":7})").status);
    EXPECT_EQ(412u, Call("DELETE", "/api/v1/config/smtp.errors.max").status);
    send_too = { { "If-Match", "\"1\"" } };
    EXPECT_EQ("If-Match: there is no such row yet", Refused(412, "POST", "/api/v1/domains", R"({"name":"new.test"})"));
    EXPECT_EQ("If-Match: there is no such row yet", Refused(412, "POST", "/api/v1/tenants", R"({"name":"three"})"));
}

}  // namespace
