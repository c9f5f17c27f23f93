// godwitctl as a client: which request each command makes, what is no command, what is printed, exit statuses.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <jansson.h>

#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "client.h"
#include "http_peer.h"

namespace {

using Words = std::vector<std::string>;

class Client : public testing::Test {
protected:
    http_peer peer;
    std::string url = peer.Url(), token = "t0ken", out, err;
    struct client client = {};

    void SetUp() override
    {
        client.api = url.c_str();
        client.token = token.c_str();
    }
    int Run(Words words)
    {
        std::vector<char *> pointers;
        for (auto &word : words) pointers.push_back(word.data());
        pointers.push_back(nullptr);
        testing::internal::CaptureStdout();
        testing::internal::CaptureStderr();
        int exit = client_run(&client, static_cast<int>(words.size()), pointers.data());
        fflush(stdout);
        out = testing::internal::GetCapturedStdout();
        err = testing::internal::GetCapturedStderr();
        return exit;
    }
    static bool SameJson(const std::string &a, const std::string &b)
    {
        json_t *one = json_loads(a.c_str(), 0, nullptr), *two = json_loads(b.c_str(), 0, nullptr);
        bool same = (a.empty() && b.empty()) || (one != nullptr && json_equal(one, two));
        json_decref(one);
        json_decref(two);
        return same;
    }
};

TEST_F(Client, EachCommandIsARequest)
{
    const struct { Words words; const char *method, *target, *body; } cases[] = {
        { { "tenant", "create", "one" }, "POST", "/api/v1/tenants", R"({"name":"one"})" },
        { { "tenant", "list" }, "GET", "/api/v1/tenants", "" },
        { { "tenant", "delete", "one" }, "DELETE", "/api/v1/tenants/one", "" },
        { { "domain", "create", "a.test", "--also", "b.test", "--also", "c.test", "--subaddress", "", "--quota", "2G", "--users-max", "5" },
          "POST", "/api/v1/domains", R"({"name":"a.test","also":["b.test","c.test"],"subaddress":"","quota_bytes":2147483648,"users_max":5})" },
        { { "domain", "set", "a.test", "--also", "" }, "PATCH", "/api/v1/domains/a.test", R"({"also":[]})" },
        { { "user", "create", "joe@a.test", "--password", "p w", "--full-name", "J\xc3\xb6", "--disable", "--address", "j@a.test" },
          "POST", "/api/v1/users", R"({"address":"joe@a.test","password":"p w","full_name":"Jö","enabled":false,"addresses":["j@a.test"]})" },
        { { "user", "set", "joe@a.test", "--enable", "--role", "admin" }, "PATCH", "/api/v1/users/joe@a.test", R"({"enabled":true,"role":"admin"})" },
        { { "user", "list", "--domain", "a.test", "--limit", "10", "--after", "x+y" }, "GET", "/api/v1/users?domain=a.test&limit=10&after=x%2By", "" },
        { { "user", "show", "o'neil/x@a.test" }, "GET", "/api/v1/users/o%27neil%2Fx@a.test", "" },
        { { "user", "delete", "j\xc3\xb6@a.test" }, "DELETE", "/api/v1/users/j%C3%B6@a.test", "" },
        { { "group", "create", "g@a.test", "--member", "a@a.test", "--member", "b@a.test" }, "POST", "/api/v1/groups", R"({"address":"g@a.test","members":["a@a.test","b@a.test"]})" },
        { { "alias", "create", "?ime@a.test", "--target", "joe@a.test" }, "POST", "/api/v1/aliases", R"({"address":"?ime@a.test","targets":["joe@a.test"]})" },
        { { "alias", "show", "?ime@a.test" }, "GET", "/api/v1/aliases/%3Fime@a.test", "" },
        { { "alias", "check", "time@a.test" }, "GET", "/api/v1/check-address?address=time@a.test", "" },
        { { "config", "set", "smtp.size.max", "2M" }, "PUT", "/api/v1/config/smtp.size.max", R"({"value":"2M"})" },
        { { "config", "set", "smtp.banner", "" }, "PUT", "/api/v1/config/smtp.banner", R"({"value":""})" },
        { { "config", "describe", "smtp.size.max" }, "GET", "/api/v1/config/smtp.size.max?describe=1", "" },
        { { "tenant", "list", "--limit", "7", "--after", "x" }, "GET", "/api/v1/tenants?limit=7&after=x", "" },
        { { "cluster", "shards", "--after", "63" }, "GET", "/api/v1/cluster/shards?after=63", "" },
        { { "cluster", "openapi" }, "GET", "/api/v1/openapi.json", "" },
        { { "cluster", "health" }, "GET", "/healthz", "" },
        { { "cluster", "ready" }, "GET", "/readyz", "" },
        { { "cluster", "metrics" }, "GET", "/metrics", "" },
        { { "log", "tail", "mail", "--lines", "5", "--filter", "user=a b" }, "GET", "/api/v1/logs/mail?lines=5&filter=user%3Da%20b", "" },
        { { "api", "DELETE", "/api/v1/tenants/x?y=1" }, "DELETE", "/api/v1/tenants/x?y=1", "" },
        { { "queue", "retry", "0005" }, "POST", "/api/v1/queue/0005/retry", "" },
        { { "cluster", "status" }, "GET", "/api/v1/cluster", "" },
    };
    for (const auto &c : cases) {
        SCOPED_TRACE(c.words[0] + " " + c.words[1]);
        peer.Forget();
        EXPECT_EQ(CLIENT_OK, Run(c.words)) << err;
        auto requests = peer.Requests();
        ASSERT_EQ(1u, requests.size());
        EXPECT_EQ(c.method, requests[0].method);
        EXPECT_EQ(c.target, requests[0].target);
        EXPECT_TRUE(SameJson(c.body, requests[0].body)) << requests[0].body;
        EXPECT_NE(std::string::npos, requests[0].head.find("Authorization: Bearer t0ken\r\n"));
    }
    client.token = nullptr;
    peer.Forget();
    Run({ "tenant", "list" });
    EXPECT_EQ(std::string::npos, peer.Requests()[0].head.find("Authorization"));
}

TEST_F(Client, WhatIsNoCommandAsksNobody)
{
    const std::string longest(5000, 'x');
    const struct { Words words; const char *says; } cases[] = {
        { {}, "usage: godwitctl" },
        { { "user" }, "usage: godwitctl" },
        { { "user", "fly" }, "no such command: user fly" },
        { { "plane", "list" }, "no such command: plane list (see godwitctl help)" },
        { { "user", "lst" }, "no such command: user lst; did you mean user list?" },
        { { "usr", "list" }, "no such command: usr list; did you mean user list?" },
        { { "domian" }, "no such command: domian; did you mean domain?" },
        { { "xyzzy" }, "no such command: xyzzy (see godwitctl help)" },
        { { std::string(5000, 'u'), "list" }, "no such command: uuu" },
        { { "user", "create", "a@b", "--quotas", "1" }, "no such option: --quotas; did you mean --quota?" },
        { { "user", "create", "a@b", "--limit", "1", "--xyzzy" }, "no such option: --xyzzy" },
        { { "cluster", "status", "--limit", "1" }, "no such option: --limit" },
        { { "api" }, "expected are: METHOD PATH" },
        { { "api", "GET" }, "expected are: METHOD PATH" },
        { { "api", "HEAD", "/healthz" }, "allowed are GET, POST, PUT, PATCH and DELETE: HEAD" },
        { { "api", "get", "/healthz" }, "allowed are GET, POST, PUT, PATCH and DELETE: get" },
        { { "api", "GET", "healthz" }, "a path begins with /: healthz" },
        { { "api", "POST", "/x", "--data", "/nowhere/at/all" }, "can't be read, or is above 16 MiB: /nowhere/at/all" },
        { { "completion" }, "a shell is missing: bash, zsh or fish" },
        { { "completion", "csh" }, "csh: bash, zsh or fish" },
        { { "completion", "bash", "zsh" }, "zsh: bash, zsh or fish" },
        { { "manual", "me" }, "me: nothing, or options" },
        { { "log", "tail" }, "an argument is missing: name" },
        { { "log", "tail", "mail", "--lines", "many" }, "a number is expected" },
        { { "USER", "list" }, "no such command: USER list" },
        { { "user", "create" }, "an argument is missing: address" },
        { { "config", "set", "smtp.banner" }, "an argument is missing: value" },
        { { "user", "create", "a@b", "c@d" }, "one argument too many: c@d" },
        { { "tenant", "list", "x" }, "one argument too many: x" },
        { { "user", "create", "a@b", "--wings" }, "no such option: --wings" },
        { { "tenant", "create", "x", "--size-max", "5" }, "no such option: --size-max" },
        { { "user", "create", "a@b", "--quota" }, "a value is missing behind: --quota" },
        { { "user", "create", "a@b", "--quota", "much" }, "a number is expected, like 100 or 2G: much" },
        { { "user", "create", "a@b", "--quota", "-1" }, "a number is expected" },
        { { "user", "create", "a@b", "--quota", "" }, "a number is expected" },
        { { "user", "create", "a@b", "--full-name", "\xff\xfe" }, "not UTF-8" },
        { { "user", "create", "a@b", "--address", "\xff" }, "not UTF-8" },
        { { "user", "create", "\xff@b" }, "not UTF-8" },
        { { "user", "show", longest }, "too long" },
        { { "user", "list", "--after", longest }, "too long" },
        { { "user", "import", "/nowhere/at/all.csv" }, "/nowhere/at/all.csv: No such file" },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(CLIENT_USAGE, Run(c.words)) << c.says;
        EXPECT_NE(std::string::npos, err.find(c.says)) << c.says << " in " << err.substr(0, 300);
        EXPECT_EQ("", out);
    }
    EXPECT_TRUE(peer.Requests().empty());
}

TEST_F(Client, AnswersDecideTheExitStatus)
{
    const struct { const char *what; std::string answer; int exit; const char *out, *err; } cases[] = {
        { "made", http_peer::Json("201 Created", R"({"name":"one","id":5})"), CLIENT_OK, "name             one\nid               5\n", "" },
        { "gone", "HTTP/1.1 204 No Content\r\n\r\n", CLIENT_OK, "", "" },
        { "refused", http_peer::Json("400 Bad Request", R"({"title":"Bad value","detail":"name: 1 to 60"})"), CLIENT_REFUSED, "", "godwitctl: Bad value: name: 1 to 60 (400)\n" },
        { "no title", http_peer::Json("403 Forbidden", "{}"), CLIENT_REFUSED, "", "godwitctl: refused (403)\n" },
        { "no JSON", http_peer::Json("500 Oops", "<html>"), CLIENT_REFUSED, "", "godwitctl: refused (500)\n" },
        { "an array", http_peer::Json("404 Not Found", "[1,2]"), CLIENT_REFUSED, "", "godwitctl: refused (404)\n" },
        { "busy", http_peer::Json("503 Busy", R"({"title":"Not available now"})"), CLIENT_UNREACHABLE, "", "godwitctl: Not available now (503)\n" },
        { "a gateway", http_peer::Json("502 Bad Gateway", ""), CLIENT_UNREACHABLE, "", "godwitctl: refused (502)\n" },
        { "redirected", http_peer::Json("302 Found", ""), CLIENT_REFUSED, "", "godwitctl: refused (302)\n" },
        { "escapes", http_peer::Json("400 Bad", "{\"title\":\"\\u001b[2Jx\\u009b\",\"detail\":\"a\\nb\"}"), CLIENT_REFUSED, "", "godwitctl: ?[2Jx?: a?b (400)\n" },
    };
    for (const auto &c : cases) {
        peer.answer = [&](const http_peer::Request &) { return c.answer; };
        EXPECT_EQ(c.exit, Run({ "tenant", "create", "one" })) << c.what;
        EXPECT_EQ(c.out, out) << c.what;
        EXPECT_EQ(c.err, err) << c.what;
    }
    for (const std::string &broken : { std::string(""), std::string("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
                                       std::string("220 mx ESMTP\r\n"), std::string(200000, 'x') }) {
        peer.answer = [&](const http_peer::Request &) { return broken; };
        EXPECT_EQ(CLIENT_UNREACHABLE, Run({ "tenant", "list" })) << broken.substr(0, 30);
        EXPECT_NE(std::string::npos, err.find("is not reachable")) << err;
    }
    for (const char *api : { "http://127.0.0.1:1", "file:///etc/passwd", "nonsense://x", "" }) {
        client.api = api;
        EXPECT_EQ(CLIENT_UNREACHABLE, Run({ "tenant", "list" })) << api;
    }
}

TEST_F(Client, ListsAreTablesOrJson)
{
    peer.answer = [](const http_peer::Request &) {
        return http_peer::Json("200 OK", "{\"items\":[{\"address\":\"a@a.test\",\"targets\":[\"x@y\",\"z@y\"]},"
                                         "{\"address\":\"longer@a.test\",\"targets\":[\"\\u001b[31m\"],\"more\":5},{}],\"next\":\"longer\"}");
    };
    EXPECT_EQ(CLIENT_OK, Run({ "alias", "list", "--limit", "3" }));
    EXPECT_EQ("ADDRESS        TARGETS\na@a.test       x@y,z@y\nlonger@a.test  ?[31m\n               \n(more: --after longer)\n", out);
    client.json = true;
    EXPECT_EQ(CLIENT_OK, Run({ "alias", "list", "--limit", "3" }));
    json_t *json = json_loads(out.c_str(), 0, nullptr);
    EXPECT_EQ(3u, json_array_size(json_object_get(json, "items")));
    json_decref(json);
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("400 Bad", R"({"title":"Bad"})"); };
    EXPECT_EQ(CLIENT_REFUSED, Run({ "alias", "list" }));
    EXPECT_TRUE(SameJson(R"({"title":"Bad"})", out)) << out;
}

TEST(ClientSize, NumbersWithUnits)
{
    const struct { const char *text; bool good; unsigned long long bytes; } cases[] = {
        { "0", true, 0 },          { "500", true, 500 },       { "1k", true, 1024 },     { "1K", true, 1024 },
        { "30M", true, 31457280 }, { "2G", true, 2147483648 }, { "1T", true, 1ull << 40 },
        { "", false, 0 },          { "k", false, 0 },          { "-1", false, 0 },       { "1.5G", false, 0 },
        { "1GB", false, 0 },       { "1g", false, 0 },         { " 1", false, 0 },       { "1 ", false, 0 },
        { "0x10", false, 0 },      { "99999999999999999999", false, 0 }, { "9000000000000T", false, 0 },
    };
    for (const auto &c : cases) {
        unsigned long long bytes = 7;
        EXPECT_EQ(c.good, client_size(span_of(c.text, strlen(c.text)), &bytes)) << c.text;
        EXPECT_EQ(c.good ? c.bytes : 7, bytes) << c.text;
    }
}

// ---- import

class ClientImport : public Client {
protected:
    std::string path;
    int failures = 0; // answers of 503 that are still to come
    void SetUp() override
    {
        Client::SetUp();
        char name[] = "/tmp/godwit_test_XXXXXX";
        close(mkstemp(name));
        path = name;
        peer.answer = [this](const http_peer::Request &request) { return Answer(request); };
    }
    void TearDown() override
    {
        for (const char *end : { "", ".rejects", ".progress", ".progress.new" }) unlink((path + end).c_str());
    }
    // As the API: an answer for each row, by what its first member is.
    std::string Answer(const http_peer::Request &request)
    {
        if (failures > 0) {
            failures--;
            return http_peer::Json("503 Service Unavailable", R"({"title":"busy","status":503})");
        }
        if (request.body.find("forbidden") != std::string::npos) {
            return http_peer::Json("403 Forbidden", R"({"title":"Not allowed","detail":"the token's role is not enough"})");
        }
        if (request.body.find("nonsense") != std::string::npos) return http_peer::Json("200 OK", R"({"rows":[7]})");
        json_t *json = json_loads(request.body.c_str(), 0, nullptr);
        const json_t *rows = json_object_get(json, request.target == "/api/v1/domains/import" ? "domains" : "users");
        std::string answer;
        for (size_t i = 0; i < json_array_size(rows); i++) {
            char *text = json_dumps(json_array_get(rows, i), JSON_COMPACT);
            std::string row = text, result = R"({"result":"made"})";
            free(text);
            if (row.find("there") != std::string::npos) result = R"({"result":"unchanged"})";
            if (row.find("taken") != std::string::npos) {
                result = R"({"result":"refused","status":409,"member":"address","detail":"address: \"taken\" is taken"})";
            }
            if (row.find("later") != std::string::npos && later++ == 0) result = R"({"result":"failed","status":503})";
            answer += (i == 0 ? "" : ",") + result;
        }
        json_decref(json);
        return http_peer::Json("200 OK", R"({"rows":[)" + answer + "]}");
    }
    int later = 0;
    int Import(const std::string &text, const std::string &noun = "user")
    {
        std::ofstream(path, std::ios::binary) << text;
        peer.Forget();
        return Run({ noun, "import", path });
    }
    std::vector<std::string> Bodies(const std::string &target = "/api/v1/users/import")
    {
        std::vector<std::string> bodies;
        for (const auto &request : peer.Requests()) {
            EXPECT_EQ("POST " + target, request.method + " " + request.target);
            bodies.push_back(request.body);
        }
        return bodies;
    }
    std::string File(const std::string &end)
    {
        std::ifstream file(path + end, std::ios::binary);
        return file ? std::string(std::istreambuf_iterator<char>(file), {}) : "(none)";
    }
    std::string Rejected() { return "; see " + path + ".rejects\n"; }
};

TEST_F(ClientImport, EachLineIsAUser)
{
    EXPECT_EQ(CLIENT_OK, Import("address,password,full_name,quota\r\na@a.test,pw,\"Doe, \"\"Jane\"\"\",1M\r\n# a comment\n\nb@a.test,,,\nthere@a.test\n"));
    EXPECT_EQ((std::vector<std::string>{ R"({"users":[{"address":"a@a.test","password":"pw","full_name":"Doe, \"Jane\"","quota_bytes":1048576},)"
                                         R"({"address":"b@a.test"},{"address":"there@a.test"}]})" }), Bodies());
    EXPECT_EQ("2 made, 1 unchanged, 0 refused\n", out);
    EXPECT_EQ("(none)", File(".rejects"));
    EXPECT_EQ("(none)", File(".progress"));
    // In another order, with the columns that are not there without a heading.
    EXPECT_EQ(CLIENT_OK, Import("password_hash,address,addresses,enabled,role,quota_items,description\n$1$x,j@a.test,k@a.test  l@a.test,false,auditor,7,x\n"));
    EXPECT_EQ(R"({"users":[{"password_hash":"$1$x","address":"j@a.test","addresses":["k@a.test","l@a.test"],"enabled":false,"role":"auditor","quota_items":7,"description":"x"}]})",
              Bodies().at(0));
    EXPECT_EQ(CLIENT_OK, Import("a@a.test,pw")); // no heading, no line end
    EXPECT_EQ(R"({"users":[{"address":"a@a.test","password":"pw"}]})", Bodies().at(0));
    EXPECT_EQ(CLIENT_OK, Import(""));
    EXPECT_EQ("0 made, 0 unchanged, 0 refused\n", out);
    EXPECT_EQ(CLIENT_OK, Import("name,tenant,users_max,also\na.test,one,5,b.test\n", "domain"));
    EXPECT_EQ(R"({"domains":[{"name":"a.test","tenant":"one","users_max":5,"also":["b.test"]}]})", Bodies("/api/v1/domains/import").at(0));
    EXPECT_EQ(CLIENT_USAGE, Run({ "group", "import", path }));
}

TEST_F(ClientImport, LinesThatAreRefusedAreNamedAndTheOthersMade)
{
    // The tail of a line that is too long is no line of its own.
    std::string longest = "long@a.test,pw," + std::string(16 * 1024 - 16, 'x') + "\nevil@a.test,pw\n";
    EXPECT_EQ(CLIENT_REFUSED, Import("a@a.test,pw\ntaken@a.test,pw\n\"open,pw\nb@a.test,pw,,lots\n\xff@a.test,pw\n" + longest +
                                     "c@a.test,pw,,,,\nd@a.test,pw\n"));
    EXPECT_EQ("3 made, 0 unchanged, 6 refused" + Rejected(), out) << err;
    EXPECT_EQ("2,address,\"\"\"taken\"\" is taken\"\n3,,\"not CSV (RFC 4180) of at most 16382 bytes a line, 16 fields\"\n4,quota,\"a number like 500M is expected\"\n"
              "5,address,\"a text is UTF-8\"\n6,,\"not CSV (RFC 4180) of at most 16382 bytes a line, 16 fields\"\n"
              "8,,\"more fields than columns\"\n", File(".rejects"));
    EXPECT_NE(std::string::npos, err.find("line 4,quota,")) << err;
    EXPECT_EQ("(none)", File(".progress"));
    auto bodies = Bodies();
    ASSERT_EQ(1u, bodies.size());
    EXPECT_LT(bodies[0].size(), 200u);
    EXPECT_EQ(CLIENT_REFUSED, Import("long@a.test,pw," + std::string(40000, 'x') + ",evil@a.test,pw\nb@a.test,pw\n"));
    EXPECT_EQ("1 made, 0 unchanged, 1 refused" + Rejected(), out) << err;
    std::string many = "a";
    for (int i = 0; i < 20; i++) many += ",b";
    EXPECT_EQ(CLIENT_REFUSED, Import(many + "\n"));
    EXPECT_EQ(CLIENT_REFUSED, Import("address,enabled\na@a.test,maybe\n"));
    EXPECT_EQ("2,enabled,\"true or false is expected\"\n", File(".rejects"));
    EXPECT_EQ(CLIENT_OK, Import("a@a.test\n")); // the file of rejects is of the last one
    EXPECT_EQ("(none)", File(".rejects"));
}

TEST_F(ClientImport, ManyLinesGoInSeveralCallsAndEachOnce)
{
    std::string lines;
    for (int i = 0; i < 2345; i++) lines += "u" + std::to_string(i) + "@a.test\n";
    EXPECT_EQ(CLIENT_OK, Import(lines));
    EXPECT_EQ("2345 made, 0 unchanged, 0 refused\n", out);
    std::string all;
    for (const auto &body : Bodies()) {
        EXPECT_LE(body.size(), size_t{ 300 * 1024 });
        all += body;
    }
    EXPECT_EQ(5u, Bodies().size());
    for (int i = 0; i < 2345; i++) {
        std::string address = "\"u" + std::to_string(i) + "@a.test\"";
        size_t at = all.find(address);
        EXPECT_TRUE(at != std::string::npos && all.find(address, at + 1) == std::string::npos) << address;
    }
}

TEST_F(ClientImport, WhatFailsForNowIsRepeated)
{
    failures = 2;
    EXPECT_EQ(CLIENT_OK, Import("a@a.test,pw\nlater@a.test,pw\nthere@a.test,pw\n"));
    EXPECT_EQ("2 made, 1 unchanged, 0 refused\n", out) << err;
    auto bodies = Bodies();
    ASSERT_EQ(4u, bodies.size());
    EXPECT_EQ(R"({"users":[{"address":"later@a.test","password":"pw"}]})", bodies[3]); // it alone
}

TEST_F(ClientImport, ItGoesOnWhereItWas)
{
    std::string lines = "full_name,address\n";
    for (int i = 0; i < 700; i++) lines += "U,u" + std::to_string(i) + (i == 600 ? "forbidden" : i == 5 ? "taken" : "") + "@a.test\n";
    EXPECT_EQ(CLIENT_REFUSED, Import(lines));
    EXPECT_NE(std::string::npos, err.find("the token's role is not enough")) << err;
    EXPECT_EQ("499 made, 0 unchanged, 1 refused; see " + path + ".rejects; not at the end of the file\n", out) << err;
    std::string rejects = File(".rejects"), progress = File(".progress");
    EXPECT_EQ("7,address,\"\"\"taken\"\" is taken\"\n", rejects);
    EXPECT_EQ(0u, progress.find("godwit-import 1 ")) << progress;
    // A line that was written to the rejects, and no more to the progress, is not there twice.
    std::ofstream(path + ".rejects", std::ios::app) << "half a li";
    peer.answer = [](const http_peer::Request &request) {
        std::string rows;
        for (size_t at = 0; (at = request.body.find("full_name", at)) != std::string::npos; at++) {
            rows += std::string(rows.empty() ? "" : ",") + R"({"result":"made"})";
        }
        return http_peer::Json("200 OK", R"({"rows":[)" + rows + "]}");
    };
    peer.Forget();
    EXPECT_EQ(CLIENT_REFUSED, Run({ "user", "import", path }));
    EXPECT_EQ("699 made, 0 unchanged, 1 refused" + Rejected(), out) << err;
    EXPECT_NE(std::string::npos, err.find("goes on behind line 501")) << err;
    ASSERT_EQ(1u, Bodies().size());
    EXPECT_EQ(0u, Bodies()[0].find(R"({"users":[{"full_name":"U","address":"u500@a.test"})"));
    EXPECT_EQ(rejects, File(".rejects"));
    EXPECT_EQ("(none)", File(".progress"));
    // A progress that is none, or another file's, is no reason to leave lines out.
    const std::string others[] = { "", "x", "godwit-import 1", progress, "godwit-import 1 -1 -1 -1 0 0 0 -1\n" };
    for (const auto &other : others) {
        std::ofstream(path + ".progress", std::ios::binary) << other;
        EXPECT_EQ(CLIENT_OK, Import("full_name,address\nU,a@a.test\n"));
        EXPECT_EQ("1 made, 0 unchanged, 0 refused\n", out) << other;
    }
}

TEST_F(ClientImport, AnAnswerThatIsNoneEndsIt)
{
    EXPECT_EQ(CLIENT_REFUSED, Import("a@a.test,pw\nnonsense@a.test\n"));
    EXPECT_NE(std::string::npos, err.find("the answer can't be understood")) << err;
    EXPECT_EQ("0 made, 0 unchanged, 0 refused; not at the end of the file\n", out);
}

TEST_F(ClientImport, WithoutAnApiItStops)
{
    client.api = "http://127.0.0.1:1";
    EXPECT_EQ(CLIENT_UNREACHABLE, Import("a@a.test,pw\nb@a.test,pw\n"));
    EXPECT_EQ("0 made, 0 unchanged, 0 refused; not at the end of the file\n", out);
}

}  // namespace
