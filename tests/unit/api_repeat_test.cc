// A request that is sent again with its Idempotency-Key gets the first answer, and is done once.
#include "api_fixture.h"

namespace {

class ApiRepeat : public ApiTest {
protected:
    void Key(const std::string &key) { send_too = { { "Idempotency-Key", key } }; }
};

TEST_F(ApiRepeat, GetsTheFirstAnswer)
{
    const struct { const char *path, *body; } cases[] = {
        { "/api/v1/tenants", R"({"name":"three"})" },
        { "/api/v1/domains", R"({"name":"b.test"})" },
        { "/api/v1/users", R"({"address":"joe@a.test","full_name":"J\u00f6"})" },
        { "/api/v1/groups", R"({"address":"all@a.test","members":["joe@a.test"]})" },
        { "/api/v1/aliases", R"({"address":"post@a.test","targets":["joe@a.test"]})" },
        { "/api/v1/aliases", R"({"address":"p*@a.test","targets":["joe@a.test"]})" },
        { "/api/v1/ip-groups", R"({"name":"office","entries":["10.0.0.1"]})" },
        { "/api/v1/tokens", R"({"role":"auditor","tenant":"one"})" },
    };
    int number = 0;
    for (const auto &c : cases) {
        SCOPED_TRACE(c.body);
        audits.clear();
        Key("key-" + std::to_string(++number));
        auto first = Good(201, "POST", c.path, c.body);
        for (int i = 0; i < 3; i++) {
            auto again = Good(201, "POST", c.path, c.body);
            json_t *a = first.Json(), *b = again.Json();
            EXPECT_TRUE(json_equal(a, b)) << first.text << again.text;
            json_decref(a);
            json_decref(b);
        }
        EXPECT_EQ(1u, audits.size());
    }
}

// The answer of one who makes a token is what it is for: it is in no row as it stands.
TEST_F(ApiRepeat, ASecretIsKeptInItsSeal)
{
    Key("token");
    auto first = Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor","tenant":"one"})");
    EXPECT_EQ(first["token"], sealed);
    EXPECT_EQ(first["token"], Good(201, "POST", "/api/v1/tokens", R"({"role":"auditor","tenant":"one"})")["token"]);
}

TEST_F(ApiRepeat, OfARefusalToo)
{
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    Key("late");
    auto first = Call("POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    EXPECT_EQ(409u, first.status);
    send_too.clear();
    Good(204, "DELETE", "/api/v1/users/joe@a.test");
    Key("late");
    auto again = Call("POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    EXPECT_EQ(409u, again.status);
    EXPECT_EQ(first.text, again.text);
    Refused(404, "GET", "/api/v1/users/joe@a.test");
}

TEST_F(ApiRepeat, AnotherRequestOfTheSameKeyIsRefused)
{
    Key("one");
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    const char *why = "Idempotency-Key: it came with another request before";
    EXPECT_EQ(why, Refused(422, "POST", "/api/v1/users", R"({"address":"ann@a.test"})"));
    EXPECT_EQ(why, Refused(422, "POST", "/api/v1/users", R"({"address": "joe@a.test"})"));
    EXPECT_EQ(why, Refused(422, "POST", "/api/v1/groups", R"({"address":"joe@a.test"})"));
    EXPECT_EQ(why, Refused(422, "POST", "/api/v1/users?x=1", R"({"address":"joe@a.test"})"));
    // Another's key of the same text is another key.
    EXPECT_EQ(409u, Call("POST", "/api/v1/users", R"({"address":"joe@a.test"})", kAdmin).status);
    Good(201, "POST", "/api/v1/users", R"({"address":"eve@z.test"})", kOther);
    Refused(404, "GET", "/api/v1/users/ann@a.test");
}

TEST_F(ApiRepeat, AtTheSameTimeIsDoneOnce)
{
    Key("both");
    std::vector<std::unique_ptr<Response>> calls;
    for (int i = 0; i < 5; i++) calls.push_back(Begin("POST", "/api/v1/users", R"({"address":"joe@a.test"})"));
    unsigned made = 0, waits = 0;
    for (auto &call : calls) {
        Until([&] { return call->done; });
        made += call->status == 201;
        if (call->status != 409) continue;
        waits++;
        EXPECT_EQ("Under way", (*call)["title"]);
        EXPECT_EQ("1", call->headers["Retry-After"]);
    }
    EXPECT_GE(made, 1u);
    EXPECT_EQ(5u, made + waits);
    EXPECT_EQ(1u, audits.size());
    EXPECT_EQ("joe@a.test", Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})")["address"]);
}

// What is known lies in the store: another frontend, and one that was started again, know it too.
TEST_F(ApiRepeat, IsKnownToAFrontendThatWasNotThere)
{
    Key("far");
    auto first = Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    struct api *other = nullptr, *own = api;
    ASSERT_EQ(ERR_OK, api_new(&kept_options, &other).code);
    api = other;
    EXPECT_EQ(first.text, Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})").text);
    api = own;
    api_free(other);
}

TEST_F(ApiRepeat, KeysThatAreNone)
{
    for (const std::string &key : { std::string(201, 'x'), std::string("a b"), std::string("\xc3\xb6"), std::string("a\x7f") }) {
        Key(key);
        EXPECT_EQ("Idempotency-Key: 1 to 200 visible characters of ASCII", Refused(400, "POST", "/api/v1/users", R"({"address":"joe@a.test"})"));
    }
    Key(std::string(200, 'x'));
    Good(201, "POST", "/api/v1/users", R"({"address":"joe@a.test"})");
    Key("any");
    Good(200, "GET", "/api/v1/users"); // it is for POST alone
    Good(200, "PATCH", "/api/v1/users/joe@a.test", R"({"full_name":"1"})");
    Good(200, "PATCH", "/api/v1/users/joe@a.test", R"({"full_name":"2"})");
    EXPECT_EQ(401u, Call("POST", "/api/v1/users", "{}", "wrong").status);
}

// Without the store nothing can be known, so nothing is done.
TEST_F(ApiRepeat, WithoutTheStoreNothingIsDone)
{
    CloseNode();
    Key("lost");
    auto one = Begin("POST", "/api/v1/tenants", R"({"name":"three"})");
    Good(200, "GET", "/api/v1/domains"); // its call is under way by now
    route_free(route);
    route = nullptr;
    Until([&] { return one->done; });
    EXPECT_EQ(503u, one->status) << one->text;
    EXPECT_EQ("", Row("tenants/three"));
}

}  // namespace
