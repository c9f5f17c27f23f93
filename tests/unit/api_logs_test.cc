// /api/v1/logs: whose events one sees, filters, cursors, and other programs' events.
#include "api_fixture.h"

#include "admin_peer.h"
#include "log.h"

namespace {

class ApiLogs : public ApiTest {
protected:
    std::unique_ptr<admin_peer> peer;

    void SetUp() override
    {
        ApiTest::SetUp();
        log_options log = {};
        log.program = "frontend-1";
        log.level = LOG_LEVEL_INFO;
        ASSERT_EQ(ERR_OK, log_start(&log).code);
        peer = std::make_unique<admin_peer>(loop, dir + "/peer", RPC_ROLE_STORAGE_NODE);
    }
    void TearDown() override
    {
        peer->Close([&] { loop_step(loop, 1); });
        log_stop();
        ApiTest::TearDown();
    }
    static void Mail(const std::string &sender, const std::string &recipient, const std::string &host = "h")
    {
        const log_value values[] = { log_text(S(sender)), log_text(S(recipient)), log_words("192.0.2.1"), log_text(S(host)) };
        log_event(LOG_EVENT_MAIL_REFUSED, nullptr, values, 4);
    }
    static void Login(const std::string &user)
    {
        const log_value values[] = { log_words("IMAP"), log_text(S(user)), log_words("192.0.2.1"), log_words("PLAIN") };
        log_event(LOG_EVENT_LOGIN_FAILED, nullptr, values, 4);
    }
    static std::string Of(const Response &r, const char *member, const char *list = "items")
    {
        json_t *json = r.Json(), *item;
        std::string all;
        size_t i;
        json_array_foreach(json_object_get(json, list), i, item) {
            all += (i > 0 ? "," : "") + Response::Text(json_object_get(item, member));
        }
        json_decref(json);
        return all;
    }
    std::string Seen(const std::string &path, const char *member, const std::string &token = kOperator)
    {
        return Of(Good(200, "GET", "/api/v1/logs/" + path, "", token), member);
    }
    void Program(const std::string &name, const std::string &at)
    {
        Put("programs/" + name, "{\"boot\":\"00000000000000000000000000000001\",\"version\":\"0.1\",\"address\":\"\",\"admin\":\"" + at + "\"}");
        ASSERT_EQ(ERR_OK, coord_refresh(coord).code);
    }
};

TEST_F(ApiLogs, EventsAreShownToWhomTheyBelong)
{
    const struct { const char *sender, *recipient; bool one, two; } cases[] = {
        { "x@out.side", "a@a.test", true, false },
        { "a@A.Test", "x@out.side", true, false },
        { "x@out.side", "z@z.test", false, true },
        { "a@a.test", "z@z.test", false, false }, // of both: the operator's
        { "x@out.side", "y@out.side", false, false },
        { "", "", false, false },
        { "x@out.side", "a@a.test, z@z.test", false, false },
        { "x@out.side", "a@a.test,b@a.test", true, false },
        { "<a@a.test>", "postmaster", true, false },
        { "x@out.side", "a@a.test,z@z.te...", false, false }, // cut: not to be told
        { "x@b\xc3\xbc.test", "a@a.test", false, false },
        { "a@a.test@z.test", "x@out.side", false, true },
        { "x@", "a@a.test", false, false },
    };
    for (const auto &c : cases) Mail(c.sender, c.recipient, std::to_string(&c - cases));
    std::string all, one, two;
    for (const auto &c : cases) {
        std::string n = std::to_string(&c - cases);
        all += (all.empty() ? "" : ",") + n;
        if (c.one) one += (one.empty() ? "" : ",") + n;
        if (c.two) two += (two.empty() ? "" : ",") + n;
    }
    EXPECT_EQ(all, Seen("mail", "reply"));
    EXPECT_EQ(one, Seen("mail", "reply", kAdmin));
    EXPECT_EQ(two, Seen("mail", "reply", kOther));
    Login("a@a.test");
    Login("somebody");
    EXPECT_EQ("a@a.test,somebody", Seen("security", "user"));
    EXPECT_EQ("a@a.test", Seen("security", "user", kAdmin));
    EXPECT_EQ("", Seen("security", "user", kOther));
    const log_value values[] = { log_words("reason") };
    log_event(LOG_EVENT_PROGRAM_FAILED, nullptr, values, 1);
    EXPECT_EQ("program-failed", Seen("error", "event"));
    EXPECT_EQ("", Seen("error", "event", kAdmin));
}

TEST_F(ApiLogs, LinesAndFilters)
{
    for (const char *user : { "anna@a.test", "bert@a.test", "anna@z.test" }) Login(user);
    EXPECT_EQ("anna@a.test,bert@a.test,anna@z.test", Seen("security", "user"));
    EXPECT_EQ("bert@a.test,anna@z.test", Seen("security?lines=2", "user"));
    EXPECT_EQ("anna@a.test,anna@z.test", Seen("security?filter=ANNA", "user"));
    EXPECT_EQ("anna@z.test", Seen("security?filter=anna&lines=1", "user"));
    EXPECT_EQ("anna@a.test", Seen("security?filter=user%3Danna@A.test", "user"));
    EXPECT_EQ("", Seen("security?filter=user%3Danna", "user"));
    EXPECT_EQ("bert@a.test", Seen("security?filter=event%3Dlogin-failed%20%20bert", "user"));
    EXPECT_EQ("", Seen("security?filter=wings%3D5", "user"));
    EXPECT_EQ("anna@a.test", Seen("security?filter=anna", "user", kAdmin));
    EXPECT_EQ("frontend-1,frontend-1,frontend-1", Seen("security?filter=program%3Dfrontend-1", "program"));
}

TEST_F(ApiLogs, BehindACursorAndWaiting)
{
    Login("a");
    auto first = Good(200, "GET", "/api/v1/logs/security");
    EXPECT_EQ(0u, first["next"].find("frontend/frontend-1="));
    EXPECT_EQ("", Seen("security?after=" + first["next"], "user"));
    Login("b");
    Login("c");
    EXPECT_EQ("b,c", Seen("security?after=" + first["next"], "user"));
    EXPECT_EQ("b,c", Seen("security?lines=1&after=" + first["next"], "user")); // nothing is passed over
    auto second = Good(200, "GET", "/api/v1/logs/security?after=" + first["next"]);
    auto waits = Begin("GET", "/api/v1/logs/security?wait=20&after=" + second["next"]);
    Turn();
    EXPECT_FALSE(waits->done);
    Login("d");
    Until([&] { return waits->done; });
    EXPECT_EQ("d", Of(*waits, "user"));
    auto nothing = Good(200, "GET", "/api/v1/logs/security?wait=1&after=" + (*waits)["next"]);
    EXPECT_EQ("", Of(nothing, "user"));
    EXPECT_EQ((*waits)["next"], nothing["next"]);
}

TEST_F(ApiLogs, NoMoreWaitThanAreAllowed)
{
    std::vector<std::unique_ptr<Response>> waiting;
    for (unsigned i = 0; i < 16; i++) waiting.push_back(Begin("GET", "/api/v1/logs/security?wait=20"));
    Turn();
    Refused(503, "GET", "/api/v1/logs/security?wait=20");
    Good(200, "GET", "/api/v1/logs/security");
    Login("a");
    for (auto &one : waiting) Until([&] { return one->done; });
    EXPECT_EQ("a", Seen("security?wait=20", "user"));
}

TEST_F(ApiLogs, OtherProgramsEventsAreMergedByTime)
{
    Login("a");
    peer->answer = [](const admin_peer::Asked &asked) {
        std::string numbers = asked.after == 0 ? "100" : "200";
        return std::string("{\"events\":[{\"time\":\"2000-01-01T00:00:00.000Z\",\"program\":\"n\",\"user\":\"old " + numbers + "\"},"
                                         "{\"time\":\"2999-01-01T00:00:00.000Z\",\"program\":\"n\",\"user\":\"new\"},7],\"missed\":true,\"next\":") + numbers + "}";
    };
    Program("storage-node/n", peer->address);
    auto r = Good(200, "GET", "/api/v1/logs/security");
    EXPECT_EQ("old 100,a,new", Of(r, "user"));
    EXPECT_EQ("true", r["missed"]);
    EXPECT_EQ("", r["unreachable"]);
    EXPECT_NE(std::string::npos, r["next"].find(",storage-node/n=100"));
    ASSERT_EQ(1u, peer->asked.size());
    EXPECT_EQ("security", peer->asked[0].name);
    EXPECT_EQ(0u, peer->asked[0].after);
    EXPECT_EQ(1000u, peer->asked[0].lines);
    EXPECT_EQ("old 200,new", Seen("security?after=" + r["next"], "user"));
    EXPECT_EQ(100u, peer->asked[1].after);
    EXPECT_EQ("", Seen("security", "user", kAdmin)); // what names nobody is the operator's
}

TEST_F(ApiLogs, WhoCouldNotBeAskedIsNamed)
{
    Login("a");
    Program("scanner/s", "unix:" + dir + "/nobody");
    Program("router/silent", "");
    auto r = Good(200, "GET", "/api/v1/logs/security");
    EXPECT_EQ("a", Of(r, "user"));
    EXPECT_EQ("router/silent,scanner/s", Of(r, "program", "unreachable"));
    EXPECT_EQ("it says no address,it is not reachable", Of(r, "why", "unreachable"));
    // What answers as another kind of program than its row says is not believed.
    Program("router/silent", peer->address);
    Program("scanner/s", peer->address);
    EXPECT_EQ("it refuses,it refuses", Of(Good(200, "GET", "/api/v1/logs/security"), "why", "unreachable"));
    EXPECT_TRUE(peer->asked.empty());
    Program("storage-node/n", peer->address);
    for (const char *answer : { "", "junk", "[]", R"({"events":[]})", R"({"events":{},"next":1})", R"({"events":[],"next":-1})" }) {
        peer->answer = [answer](const admin_peer::Asked &) { return answer; };
        EXPECT_EQ("it refuses,it refuses,its answer is none", Of(Good(200, "GET", "/api/v1/logs/security"), "why", "unreachable")) << answer;
    }
    for (int i = 0; i < 70; i++) Program("frontend/f" + std::to_string(i), "");
    r = Good(200, "GET", "/api/v1/logs/security");
    EXPECT_NE(std::string::npos, Of(r, "why", "unreachable").find("more programs than are asked"));
    EXPECT_EQ("a", Of(r, "user"));
}

TEST_F(ApiLogs, Refusals)
{
    for (const char *token : { "user-1", "auditor-1", "accounts-1" }) Refused(403, "GET", "/api/v1/logs/mail", "", token);
    EXPECT_EQ(401u, Call("GET", "/api/v1/logs/mail", "", "").status);
    for (const char *name : { "nosuch", "Mail", "events", "..", "%00" }) {
        EXPECT_NE(std::string::npos, Refused(404, "GET", std::string("/api/v1/logs/") + name)
                                         .find("there are config, debug, error, mail, operations, security, spam and warning")) << name;
    }
    const struct { const char *query, *says; } cases[] = {
        { "lines=0", "lines: a number from 1 to 1000" }, { "lines=1001", "lines:" }, { "lines=x", "lines:" },
        { "wait=21", "wait: a number from 0 to 20" }, { "wait=-1", "wait:" },
        { "after=x", "after: what an answer has" }, { "after=a=", "after:" }, { "after=a=1x", "after:" },
        { "after=a=1,,", "after:" }, { "after==1", "" }, { "after=a=1000000000000000000000", "after:" },
        { "filter=a%20b%20c%20d%20e%20f%20g%20h%20i", "filter: at most 8 words and 512 bytes" },
    };
    for (const auto &c : cases) {
        auto r = Call("GET", std::string("/api/v1/logs/mail?") + c.query);
        EXPECT_EQ(c.says[0] == '\0' ? 200u : 400u, r.status) << c.query;
        if (c.says[0] != '\0') EXPECT_EQ(0u, r["detail"].find(c.says)) << c.query << ": " << r["detail"];
    }
    Refused(400, "GET", "/api/v1/logs/mail?filter=" + std::string(513, 'x'));
    std::string many = "a=1";
    for (int i = 0; i < 70; i++) many += ",a" + std::to_string(i) + "=1";
    Refused(400, "GET", "/api/v1/logs/mail?after=" + many);
    Refused(400, "GET", "/api/v1/logs/mail?after=" + std::string(100, 'a') + "=1");
}

}  // namespace
