// No call of one tenant's token reads or changes another's. One row at least for each route of the table: a new
// route without one fails here.
#include "api_fixture.h"

namespace {

struct Route {
    const char *method, *path, *role;
};
const Route kRoutes[] = {
#define API_ROUTE(method, path, handler, role, members, text) { method, path, #role },
#include "api_routes.def"
#undef API_ROUTE
};

// How a call of tenant one's administrator on what is tenant two's ends.
enum Kind {
    kSame,   // exactly as if it were nobody's: {X} of the request is tried as two's name and as nobody's
    kOwn,    // 2xx, and nothing of the other tenant in it
    kNever,  // 403: not for tenants
    kRefused // 4xx, and nothing of the other tenant in it
};

// {D} a domain of tenant two, {T} its token's ID, {Q} its queue entry, {G} its IP group.
struct Case {
    const char *method, *route, *path, *body;
    Kind kind;
};
const Case kCases[] = {
    { "GET", "/healthz", "/healthz", "", kOwn },
    { "GET", "/readyz", "/readyz", "", kOwn },
    { "GET", "/metrics", "/metrics", "", kOwn },
    { "GET", "/api/v1/openapi.json", "/api/v1/openapi.json", "", kOwn },
    { "GET", "/api/v1/cluster", "/api/v1/cluster", "", kNever },
    { "GET", "/api/v1/cluster/shards", "/api/v1/cluster/shards", "", kNever },
    { "GET", "/api/v1/cluster/plan", "/api/v1/cluster/plan", "", kNever },
    { "POST", "/api/v1/cluster/nodes/{}/drain", "/api/v1/cluster/nodes/node-1/drain", "", kNever },
    { "DELETE", "/api/v1/cluster/nodes/{}/drain", "/api/v1/cluster/nodes/node-1/drain", "", kNever },
    { "POST", "/api/v1/cluster/shards/{}/move", "/api/v1/cluster/shards/0/move", R"({"from":"node-1","to":"node-2"})", kNever },
    { "POST", "/api/v1/cluster/shards/{}/transfer", "/api/v1/cluster/shards/0/transfer", R"({"node":"node-2"})", kNever },
    { "POST", "/api/v1/cluster/shards/{}/release", "/api/v1/cluster/shards/0/release", "", kNever },
    { "POST", "/api/v1/cluster/shards/{}/force-leader", "/api/v1/cluster/shards/0/force-leader", R"({"node":"node-2","accept_loss":true})", kNever },
    { "GET", "/api/v1/logs/{}", "/api/v1/logs/mail", "", kOwn },
    { "GET", "/api/v1/logs/{}", "/api/v1/logs/mail?filter={D}", "", kOwn },
    { "GET", "/api/v1/tenants", "/api/v1/tenants", "", kNever },
    { "POST", "/api/v1/tenants", "/api/v1/tenants", R"({"name":"three"})", kNever },
    { "GET", "/api/v1/tenants/{}", "/api/v1/tenants/two", "", kNever },
    { "PATCH", "/api/v1/tenants/{}", "/api/v1/tenants/two", R"({"users_max":1})", kNever },
    { "DELETE", "/api/v1/tenants/{}", "/api/v1/tenants/two", "", kNever },
    { "GET", "/api/v1/whoami", "/api/v1/whoami", "", kOwn },
    { "GET", "/api/v1/tokens", "/api/v1/tokens", "", kOwn },
    { "GET", "/api/v1/tokens", "/api/v1/tokens?filter={T}", "", kOwn },
    { "POST", "/api/v1/tokens", "/api/v1/tokens", R"({"role":"auditor","domain":"{D}"})", kSame },
    { "POST", "/api/v1/tokens", "/api/v1/tokens", R"({"role":"user","account":"eve@{D}"})", kSame },
    { "POST", "/api/v1/tokens", "/api/v1/tokens", R"({"role":"admin","tenant":"two"})", kNever },
    { "GET", "/api/v1/tokens/{}", "/api/v1/tokens/{T}", "", kSame },
    { "DELETE", "/api/v1/tokens/{}", "/api/v1/tokens/{T}", "", kSame },
    { "GET", "/api/v1/domains", "/api/v1/domains", "", kOwn },
    { "GET", "/api/v1/domains", "/api/v1/domains?filter={D}&prefix={D}", "", kOwn },
    { "POST", "/api/v1/domains", "/api/v1/domains", R"({"name":"new.test","tenant":"two"})", kNever },
    { "POST", "/api/v1/domains/import", "/api/v1/domains/import", R"({"domains":[{"name":"{D}"},{"name":"new.test","tenant":"two"}]})", kOwn },
    { "POST", "/api/v1/domains", "/api/v1/domains", R"({"name":"{D}"})", kRefused },
    { "GET", "/api/v1/domains/{}", "/api/v1/domains/{D}", "", kSame },
    { "PATCH", "/api/v1/domains/{}", "/api/v1/domains/{D}", R"({"users_max":1})", kSame },
    { "DELETE", "/api/v1/domains/{}", "/api/v1/domains/{D}", "", kSame },
    { "GET", "/api/v1/directories", "/api/v1/directories", "", kOwn },
    { "GET", "/api/v1/directories", "/api/v1/directories?filter={D}&prefix={D}", "", kOwn },
    { "GET", "/api/v1/directories/{}", "/api/v1/directories/{D}", "", kSame },
    { "GET", "/api/v1/users", "/api/v1/users", "", kOwn },
    { "GET", "/api/v1/users", "/api/v1/users?domain={D}", "", kSame },
    { "GET", "/api/v1/users", "/api/v1/users?after=a@{D}&filter=eve", "", kOwn },
    { "POST", "/api/v1/users", "/api/v1/users", R"({"address":"new@{D}"})", kSame },
    { "POST", "/api/v1/users", "/api/v1/users", R"({"address":"new@a.test","addresses":["eve@{D}"]})", kSame },
    { "POST", "/api/v1/users/import", "/api/v1/users/import", R"({"users":[{"address":"new@{D}"},{"address":"new@a.test","role":"king"}]})", kOwn },
    { "GET", "/api/v1/users/{}", "/api/v1/users/eve@{D}", "", kSame },
    { "PATCH", "/api/v1/users/{}", "/api/v1/users/eve@{D}", R"({"password":"mine"})", kSame },
    { "POST", "/api/v1/users/{}/unlock", "/api/v1/users/eve@{D}/unlock", "", kSame },
    { "DELETE", "/api/v1/users/{}", "/api/v1/users/eve@{D}", "", kSame },
    { "GET", "/api/v1/groups", "/api/v1/groups", "", kOwn },
    { "GET", "/api/v1/groups", "/api/v1/groups?domain={D}", "", kSame },
    { "POST", "/api/v1/groups", "/api/v1/groups", R"({"address":"new@{D}"})", kSame },
    { "GET", "/api/v1/groups/{}", "/api/v1/groups/ring@{D}", "", kSame },
    { "PATCH", "/api/v1/groups/{}", "/api/v1/groups/ring@{D}", R"({"members":[]})", kSame },
    { "DELETE", "/api/v1/groups/{}", "/api/v1/groups/ring@{D}", "", kSame },
    { "GET", "/api/v1/aliases", "/api/v1/aliases", "", kOwn },
    { "GET", "/api/v1/aliases", "/api/v1/aliases?domain={D}", "", kSame },
    { "POST", "/api/v1/aliases", "/api/v1/aliases", R"({"address":"new@{D}","targets":["joe@a.test"]})", kSame },
    { "POST", "/api/v1/aliases", "/api/v1/aliases", R"({"address":"n?@{D}","targets":["joe@a.test"]})", kSame },
    { "GET", "/api/v1/aliases/{}", "/api/v1/aliases/post@{D}", "", kSame },
    { "GET", "/api/v1/aliases/{}", "/api/v1/aliases/x*@{D}", "", kSame },
    { "PATCH", "/api/v1/aliases/{}", "/api/v1/aliases/post@{D}", R"({"targets":["joe@a.test"]})", kSame },
    { "DELETE", "/api/v1/aliases/{}", "/api/v1/aliases/x*@{D}", "", kSame },
    { "GET", "/api/v1/check-address", "/api/v1/check-address?address=eve@{D}", "", kSame },
    // An own alias that leads there shows no more than what was written into it.
    { "GET", "/api/v1/check-address", "/api/v1/check-address?address=peek@a.test", "", kOwn },
    { "GET", "/api/v1/ip-groups", "/api/v1/ip-groups", "", kOwn },
    { "GET", "/api/v1/ip-groups", "/api/v1/ip-groups?tenant=two", "", kNever },
    { "GET", "/api/v1/ip-groups", "/api/v1/ip-groups?filter={G}", "", kOwn },
    { "POST", "/api/v1/ip-groups", "/api/v1/ip-groups", R"({"name":"mine","tenant":"two"})", kNever },
    { "POST", "/api/v1/ip-groups", "/api/v1/ip-groups", R"({"name":"mine","entries":["group:{G}"]})", kSame },
    { "GET", "/api/v1/ip-groups/{}", "/api/v1/ip-groups/{G}", "", kSame },
    { "GET", "/api/v1/ip-groups/{}", "/api/v1/ip-groups/{G}?address=192.0.2.77", "", kSame },
    { "PATCH", "/api/v1/ip-groups/{}", "/api/v1/ip-groups/{G}", R"({"entries":[]})", kSame },
    { "DELETE", "/api/v1/ip-groups/{}", "/api/v1/ip-groups/{G}", "", kSame },
    { "GET", "/api/v1/config", "/api/v1/config", "", kOwn },
    { "GET", "/api/v1/config", "/api/v1/config?domain={D}", "", kSame },
    { "GET", "/api/v1/config/{}", "/api/v1/config/password.length.min?domain={D}", "", kSame },
    { "PUT", "/api/v1/config/{}", "/api/v1/config/password.length.min", R"({"value":1,"domain":"{D}"})", kSame },
    { "PUT", "/api/v1/config/{}", "/api/v1/config/password.length.min", R"({"value":1})", kNever },
    { "DELETE", "/api/v1/config/{}", "/api/v1/config/password.length.min", R"({"domain":"{D}"})", kSame },
    { "DELETE", "/api/v1/config/{}", "/api/v1/config/password.length.min", "", kNever },
    { "GET", "/api/v1/queue", "/api/v1/queue", "", kOwn },
    { "GET", "/api/v1/queue", "/api/v1/queue?filter=eve", "", kOwn },
    { "GET", "/api/v1/queue/{}", "/api/v1/queue/{Q}", "", kSame },
    { "POST", "/api/v1/queue/{}/retry", "/api/v1/queue/{Q}/retry", "", kSame },
    { "DELETE", "/api/v1/queue/{}", "/api/v1/queue/{Q}", "", kSame },
};

class ApiIsolation : public ApiTest {
protected:
    using Names = std::map<std::string, std::string>;

    void SetUp() override
    {
        ApiTest::SetUp();
        Good(201, "POST", "/api/v1/users", R"({"address":"eve@z.test","full_name":"Hidden Name","description":"hidden text"})");
        Good(201, "POST", "/api/v1/groups", R"({"address":"ring@z.test","name":"Hidden Name","members":["eve@z.test","spy@hidden.test"]})");
        Good(201, "POST", "/api/v1/aliases", R"({"address":"post@z.test","targets":["spy@hidden.test"]})");
        Good(201, "POST", "/api/v1/aliases", R"({"address":"x*@z.test","targets":["spy@hidden.test"]})");
        Good(200, "PATCH", "/api/v1/domains/z.test", R"({"also":["hidden-also.test"],"directory_hosts":["hidden.test"],"directory_base":"dc=hidden"})");
        Put("directory/synced/z.test", R"({"tenant":2,"looked_ms":1000,"error":"hidden.test: no answer in time"})");
        Good(200, "PUT", "/api/v1/config/password.length.min", R"({"value":77,"domain":"z.test"})");
        ReadDomains();
        Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
        Good(201, "POST", "/api/v1/aliases", R"({"address":"peek@a.test","targets":["ring@z.test","xy@z.test"]})");
        token = Good(201, "POST", "/api/v1/tokens", R"({"role":"admin","tenant":"two","description":"hidden text"})")["id"];
        Good(201, "POST", "/api/v1/ip-groups", R"({"name":"office","description":"hidden text","entries":["192.0.2.77"]})", kOther);
        PutQueued();
        theirs = { { "{D}", "z.test" }, { "{T}", token }, { "{Q}", queued }, { "{G}", "office" } };
        nobodys = { { "{D}", "nowhere" }, { "{T}", std::string(32, '7') }, { "{Q}", std::string(36, '0') }, { "{G}", "nothing" } };
    }

    void PutQueued()
    {
        const std::string id(16, 'q'), operation = Operation(), stamp = Stamp();
        store_queue_recipient to = {};
        to.address = SPAN("spy@hidden.test");
        to.due_ms = clock_wall_ms() + 3600 * 1000;
        store_queue_put_request put = {};
        put.operation_id = S(operation);
        put.has_entry = true;
        put.entry.id = S(id);
        put.entry.slot = 5;
        put.entry.tenant = 2;
        put.entry.sender = SPAN("eve@z.test");
        put.entry.recipients = &to;
        put.entry.recipients_count = 1;
        put.entry.created_ms = clock_wall_ms();
        put.entry.due_ms = to.due_ms;
        put.entry.size = 5;
        put.entry.scan_stamp = S(stamp);
        struct body *body = Stored("hello");
        ASSERT_EQ(ERR_OK, Ask(STORE_METHOD_QUEUE_PUT, put, body)->err.code);
        body_unref(body);
        queued = "0005";
        for (int i = 0; i < 16; i++) queued += "71";
    }

    static std::string Filled(std::string text, const Names &names)
    {
        for (const auto &name : names) {
            for (size_t at; (at = text.find(name.first)) != std::string::npos;) text.replace(at, name.first.size(), name.second);
        }
        return text;
    }
    // Everything of tenant two, as an operator sees it.
    std::string State()
    {
        std::string all;
        for (const char *path : { "/api/v1/tenants/two", "/api/v1/domains/z.test", "/api/v1/users?domain=z.test", "/api/v1/groups?domain=z.test",
                                  "/api/v1/aliases?domain=z.test", "/api/v1/config?domain=z.test", "/api/v1/queue", "/api/v1/ip-groups?tenant=two", "/api/v1/tokens?filter=" }) {
            std::string full = path;
            if (full.back() == '=') full += token;
            auto r = Good(200, "GET", full);
            all += r.text + r.headers["ETag"];
        }
        return all + Row("domains/z.test") + Row("tenants/two");
    }
    static void ExpectNothingHidden(const Response &r)
    {
        for (const char *word : { "hidden", "Hidden", "eve@", "spy", "hello", "192.0.2.77" }) {
            EXPECT_EQ(std::string::npos, r.text.find(word)) << word << " in " << r.text;
        }
    }
    // What the answer says, without the names that came from the request.
    static std::string Said(const Response &r, const Names &names)
    {
        std::string said = std::to_string(r.status) + " " + r["title"] + ": " + r["detail"];
        for (const auto &name : names) {
            for (size_t at; (at = said.find(name.second)) != std::string::npos;) said.replace(at, name.second.size(), name.first);
        }
        return said;
    }
    void Check(const Case &c, const std::string &by)
    {
        auto r = Call(c.method, Filled(c.path, theirs), Filled(c.body, theirs), by);
        std::string method = c.method;
        if (c.kind != kSame) ExpectNothingHidden(r);
        if (c.kind == kOwn) EXPECT_LT(r.status, 300u) << r.text;
        if (c.kind == kNever) EXPECT_EQ(403u, r.status) << r.text;
        if (c.kind == kRefused) EXPECT_EQ(4u, r.status / 100) << r.text;
        if (c.kind != kSame) return;
        EXPECT_TRUE(r.status == 404 || r.status == 400) << r.text;
        auto nobody = Call(c.method, Filled(c.path, nobodys), Filled(c.body, nobodys), by);
        EXPECT_EQ(Said(nobody, nobodys), Said(r, theirs));
        EXPECT_EQ(nobody.headers, r.headers);
    }
    std::string token, queued;
    Names theirs, nobodys;
};

TEST_F(ApiIsolation, EveryRouteHasARow)
{
    std::set<std::pair<std::string, std::string>> rows, routes;
    for (const auto &c : kCases) rows.insert({ c.method, c.route });
    for (const auto &route : kRoutes) {
        routes.insert({ route.method, route.path });
        EXPECT_EQ(1u, rows.count({ route.method, route.path })) << route.method << " " << route.path << " has no row of this test";
    }
    for (const auto &row : rows) EXPECT_EQ(1u, routes.count(row)) << row.first << " " << row.second << " is no route";
}

TEST_F(ApiIsolation, NoCallOfAnAdministratorReadsOrChangesWhatIsAnothersTenant)
{
    std::string before = State();
    audits.clear();
    for (const auto &c : kCases) {
        SCOPED_TRACE(std::string(c.method) + " " + c.path + " " + c.body);
        Check(c, kAdmin);
    }
    EXPECT_EQ(before, State());
    EXPECT_TRUE(audits.empty());
}

TEST_F(ApiIsolation, NorOfAnyOtherRoleOrOfADomain)
{
    const std::string domain = Good(201, "POST", "/api/v1/tokens", R"({"role":"domain-admin","domain":"a.test"})")["token"];
    const std::string user = Good(201, "POST", "/api/v1/tokens", R"({"role":"user","account":"joe@a.test"})")["token"];
    std::string before = State();
    audits.clear();
    for (const std::string &by : { std::string("auditor-1"), std::string("accounts-1"), domain, user }) {
        for (const auto &c : kCases) {
            SCOPED_TRACE(std::string(c.method) + " " + c.path + " " + c.body);
            auto r = Call(c.method, Filled(c.path, theirs), Filled(c.body, theirs), by);
            if (c.kind == kSame || c.kind == kNever || c.kind == kRefused) EXPECT_EQ(4u, r.status / 100) << r.text;
            if (r.status < 300 || c.kind != kSame) ExpectNothingHidden(r);
        }
    }
    EXPECT_EQ(before, State());
    EXPECT_TRUE(audits.empty());
}

// A domain's token is to the other domains of its tenant what a tenant's is to other tenants.
TEST_F(ApiIsolation, ATokenOfADomainIsInsideIt)
{
    Good(201, "POST", "/api/v1/domains", R"({"name":"b.test"})", kAdmin);
    ReadDomains();
    const std::string domain = Good(201, "POST", "/api/v1/tokens", R"({"role":"domain-admin","domain":"b.test"})", kAdmin)["token"];
    theirs["{D}"] = "a.test";
    for (const auto &c : kCases) {
        if (c.kind != kSame || std::string(c.path).find("{D}") == std::string::npos) continue;
        SCOPED_TRACE(std::string(c.method) + " " + c.path);
        auto r = Call(c.method, Filled(c.path, theirs), Filled(c.body, theirs), domain);
        auto nobody = Call(c.method, Filled(c.path, nobodys), Filled(c.body, nobodys), domain);
        EXPECT_EQ(4u, r.status / 100) << r.text;
        EXPECT_EQ(Said(nobody, nobodys), Said(r, theirs));
    }
    EXPECT_EQ("b.test", Good(200, "GET", "/api/v1/domains", "", domain)["items"]);
    EXPECT_EQ("", Good(200, "GET", "/api/v1/users", "", domain)["items"]);
}

// Without a token: what programs that watch ask for, and nothing of a tenant in it.
TEST_F(ApiIsolation, WithoutATokenThereIsNothingOfATenant)
{
    for (const auto &route : kRoutes) {
        std::string path = route.path;
        if (size_t at = path.find("{}"); at != std::string::npos) path.replace(at, 2, "z.test");
        auto r = Call(route.method, path, "", "");
        SCOPED_TRACE(path);
        if (std::string(route.role) != "NOBODY") {
            EXPECT_EQ(401u, r.status);
            EXPECT_EQ("WWW-Authenticate: Bearer", r.challenge);
            continue;
        }
        EXPECT_EQ(200u, r.status);
        ExpectNothingHidden(r);
        for (const char *name : { "z.test", "a.test" }) EXPECT_EQ(std::string::npos, r.text.find(name));
    }
}

}  // namespace
