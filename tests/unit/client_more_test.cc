// godwitctl beside single requests: pages of lists, tails of logs, the status, help, completion, manual pages; and
// that every call of the API can be made with a command.
#include <gtest/gtest.h>

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "client.h"
#include "client_table.h"
#include "cluster.h"
#include "http_peer.h"

namespace {

using Words = std::vector<std::string>;

class ClientMore : public testing::Test {
protected:
    http_peer peer;
    std::string url = peer.Url(), out, err;
    struct client client = {};

    void SetUp() override { client.api = url.c_str(); }
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
    std::vector<std::string> Targets()
    {
        std::vector<std::string> all;
        for (const auto &request : peer.Requests()) all.push_back(request.target);
        return all;
    }
    static std::string Page(const std::string &names, const std::string &next)
    {
        std::string items;
        for (char c : names) items += std::string(items.empty() ? "" : ",") + "{\"address\":\"" + c + "\",\"targets\":[\"x\"]}";
        return http_peer::Json("200 OK", "{\"items\":[" + items + "]" + (next.empty() ? "" : ",\"next\":\"" + next + "\"") + "}");
    }
};

TEST_F(ClientMore, AListIsAskedForPageByPage)
{
    peer.answer = [](const http_peer::Request &request) {
        if (request.target.find("after=b") != std::string::npos) return Page("cd", "d e");
        if (request.target.find("after=d%20e") != std::string::npos) return Page("f", "");
        return Page("ab", "b");
    };
    EXPECT_EQ(CLIENT_OK, Run({ "alias", "list" }));
    EXPECT_EQ("ADDRESS  TARGETS\na        x\nb        x\nc        x\nd        x\nf        x\n", out);
    EXPECT_EQ((std::vector<std::string>{ "/api/v1/aliases", "/api/v1/aliases?after=b", "/api/v1/aliases?after=d%20e" }), Targets());
    client.json = true;
    EXPECT_EQ(CLIENT_OK, Run({ "alias", "list" }));
    json_t *json = json_loads(out.c_str(), 0, nullptr);
    EXPECT_EQ(5u, json_array_size(json_object_get(json, "items"))) << out;
    EXPECT_EQ(nullptr, json_object_get(json, "incomplete"));
    json_decref(json);
    peer.answer = [](const http_peer::Request &) { return Page("", ""); };
    EXPECT_EQ(CLIENT_OK, Run({ "alias", "list" }));
    json = json_loads(out.c_str(), 0, nullptr);
    EXPECT_TRUE(json_is_array(json_object_get(json, "items"))) << out;
    json_decref(json);
}

TEST_F(ClientMore, AListThatBreaksOffSaysSo)
{
    bool json = false;
    for (const std::string &second : { http_peer::Json("503 Busy", R"({"title":"Not now"})"), http_peer::Json("400 Bad", R"({"title":"Bad"})"),
                                       std::string(), Page("zz", "b") }) {
        for (int i = 0; i < 2; i++, json = !json) {
            peer.answer = [&](const http_peer::Request &request) {
                return request.target.find("after=") != std::string::npos ? second : Page("ab", "b");
            };
            client.json = json;
            EXPECT_NE(CLIENT_OK, Run({ "alias", "list" }));
            EXPECT_NE("", err);
            if (!json) continue;
            json_t *whole = json_loads(out.c_str(), 0, nullptr);
            EXPECT_TRUE(json_is_true(json_object_get(whole, "incomplete"))) << out;
            EXPECT_LE(2u, json_array_size(json_object_get(whole, "items")));
            json_decref(whole);
        }
    }
}

TEST_F(ClientMore, TheStatusSaysInItsFirstLineWhetherAllIsWell)
{
    const std::string well = R"({"state":"healthy","why":[],"cluster":"c1","incarnation":2,"map_version":7,"controller":"router-1",
        "store":[{"name":"http://e:1","state":"ok"}],
        "storage_nodes":[{"name":"n1","state":"ready","address":"10.0.0.1:7000","zone":"west","shards_led":64,"copies":192,"capacity_bytes":70000000000,"version":"0.1"}],
        "frontends":[{"name":"f1","state":"ready","http":"10.0.0.2:80","version":"0.1"}],"scanners":[],
        "routers":[{"name":"router-1","state":"ready","http":"10.0.0.3:1","version":"0.1","controller":true}],
        "shards":{"count":64,"led":64,"leader-gone":0}})";
    peer.answer = [&](const http_peer::Request &) { return http_peer::Json("200 OK", well); };
    EXPECT_EQ(CLIENT_OK, Run({ "cluster", "status" }));
    EXPECT_EQ("healthy\ncluster c1, incarnation 2, map version 7, controller router-1\n\n"
              "STORAGE NODE  STATE  ADDRESS        ZONE  LEADS  COPIES  CAPACITY  VERSION\n"
              "n1            ready  10.0.0.1:7000  west  64     192     65.2G     0.1\n\n"
              "FRONTEND  STATE  API          VERSION\nf1        ready  10.0.0.2:80  0.1\n\n"
              "ROUTER    STATE  HTTP        VERSION  CONTROLLER\nrouter-1  ready  10.0.0.3:1  0.1      yes\n\n"
              "CONFIGURATION STORE  STATE\nhttp://e:1           ok\n\nSHARDS 64: 64 led\n",
              out);
    peer.answer = [&](const http_peer::Request &) {
        return http_peer::Json("200 OK", R"({"state":"degraded","why":["node n1 is gone","\u001b[2J"],"shards":{"count":64,"led":0,"leader-gone":64}})");
    };
    EXPECT_EQ(CLIENT_OK, Run({ "cluster", "status" })); // it was asked and told
    EXPECT_EQ("degraded: node n1 is gone; ?[2J\n\nSHARDS 64: 64 leader-gone\n", out);
    client.json = true;
    EXPECT_EQ(CLIENT_OK, Run({ "cluster", "status" }));
    EXPECT_EQ('{', out[0]);
    client.json = false;
    peer.answer = [&](const http_peer::Request &) { return http_peer::Json("200 OK", "{}"); };
    EXPECT_EQ(CLIENT_OK, Run({ "cluster", "status" }));
}

TEST_F(ClientMore, WhatIsNoJsonIsPrintedAsItIs)
{
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("200 OK", "up 1\nload 2\n"); };
    EXPECT_EQ(CLIENT_OK, Run({ "cluster", "metrics" }));
    EXPECT_EQ("up 1\nload 2\n", out);
    EXPECT_EQ(CLIENT_OK, Run({ "api", "GET", "/metrics" }));
    EXPECT_EQ("up 1\nload 2\n", out);
}

TEST_F(ClientMore, AnyCallOfTheApi)
{
    char name[] = "/tmp/godwit_test_XXXXXX";
    close(mkstemp(name));
    std::ofstream(name) << R"({"name":"x"})";
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("201 Created", R"({"name":"x"})"); };
    EXPECT_EQ(CLIENT_OK, Run({ "api", "POST", "/api/v1/tenants", "--data", name }));
    EXPECT_EQ("{\n  \"name\": \"x\"\n}\n", out);
    ASSERT_EQ(1u, peer.Requests().size());
    EXPECT_EQ(R"({"name":"x"})", peer.Requests()[0].body);
    unlink(name);
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("404 No", R"({"title":"Not found"})"); };
    EXPECT_EQ(CLIENT_REFUSED, Run({ "api", "GET", "/x" }));
    EXPECT_EQ("godwitctl: Not found (404)\n", err);
}

// ---- logs

std::string Events(const std::string &users, const std::string &next, const std::string &more = "")
{
    std::string items;
    for (char c : users) {
        items += std::string(items.empty() ? "" : ",") + R"({"time":"2026-11-24T13:05:09.123Z","level":"warning","log":"security","event":"login-failed","program":"f1","user":")" + c +
                 R"(","service":"a b","empty":"","count":5})";
    }
    return http_peer::Json("200 OK", "{\"items\":[" + items + "],\"next\":\"" + next + "\",\"unreachable\":[" + more + "]}");
}

TEST_F(ClientMore, TheTailOfALog)
{
    peer.answer = [](const http_peer::Request &) { return Events("xy", "f=1", R"({"program":"scanner/s","why":"it does not answer"})"); };
    EXPECT_EQ(CLIENT_OK, Run({ "log", "tail", "security" }));
    const std::string line = "2026-11-24T13:05:09.123Z f1 warning login-failed user=";
    EXPECT_EQ(line + "x service=\"a b\" empty=\"\" count=5\n" + line + "y service=\"a b\" empty=\"\" count=5\n", out);
    EXPECT_EQ("godwitctl: events of scanner/s are missing: it does not answer\n", err);
    client.json = true;
    EXPECT_EQ(CLIENT_OK, Run({ "log", "tail", "security" }));
    json_t *json = json_loads(out.c_str(), 0, nullptr);
    EXPECT_EQ(2u, json_array_size(json_object_get(json, "items")));
    json_decref(json);
    client.json = false;
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("404 No", R"({"title":"Not found","detail":"no log x; there are config"})"); };
    EXPECT_EQ(CLIENT_REFUSED, Run({ "log", "tail", "x" }));
    EXPECT_EQ("godwitctl: Not found: no log x; there are config (404)\n", err);
    peer.answer = [](const http_peer::Request &) { return http_peer::Json("200 OK", "junk"); };
    EXPECT_EQ(CLIENT_REFUSED, Run({ "log", "tail", "x" }));
}

TEST_F(ClientMore, FollowingGoesOnBehindTheCursorUntilTheApiIsAway)
{
    unsigned calls = 0;
    peer.answer = [&](const http_peer::Request &) {
        switch (calls++) {
        case 0: return Events("a", "f=1", R"({"program":"s","why":"gone"})");
        case 1: return Events("", "f=1", R"({"program":"s","why":"gone"})"); // said once
        case 2: return Events("b", "f=2");
        default: return http_peer::Json("503 Busy", R"({"title":"Not now"})");
        }
    };
    client.json = true;
    EXPECT_EQ(CLIENT_UNREACHABLE, Run({ "log", "tail", "security", "--follow", "--lines", "3" }));
    EXPECT_EQ((std::vector<std::string>{ "/api/v1/logs/security?lines=3", "/api/v1/logs/security?lines=3&after=f%3D1&wait=15",
                                         "/api/v1/logs/security?lines=3&after=f%3D1&wait=15", "/api/v1/logs/security?lines=3&after=f%3D2&wait=15" }), Targets());
    EXPECT_EQ(0u, out.find("{\"time\""));
    EXPECT_NE(std::string::npos, out.find("\"user\":\"b\""));
    size_t first = err.find("events of s are missing");
    EXPECT_NE(std::string::npos, first);
    EXPECT_EQ(std::string::npos, err.find("events of s are missing", first + 1));
}

// ---- help, completion, manual pages

TEST_F(ClientMore, HelpOfANoun)
{
    EXPECT_EQ(CLIENT_OK, Run({ "user", "create", "--help" }));
    EXPECT_NE(std::string::npos, out.find("user create address"));
    EXPECT_NE(std::string::npos, out.find("user --full-name"));
    EXPECT_NE(std::string::npos, out.find("(lists) --limit"));
    EXPECT_EQ(std::string::npos, out.find("tenant create"));
    EXPECT_FALSE(client_help("nosuch", false));
}

TEST_F(ClientMore, WhatIsNotOneRequestIsInTheHelpToo)
{
    testing::internal::CaptureStdout();
    cluster_usage(false);
    fflush(stdout);
    std::string lines = testing::internal::GetCapturedStdout();
    Run({ "cluster", "--help" });
    for (size_t at = 0, end; (end = lines.find('\n', at)) != std::string::npos; at = end + 1) {
        EXPECT_NE(std::string::npos, out.find(lines.substr(at, end - at))) << lines.substr(at, end - at);
    }
}

class ClientCompletion : public ClientMore {
protected:
    // What bash completes the last word to, with blanks between.
    std::string Complete(const std::string &script, const Words &line)
    {
        char name[] = "/tmp/godwit_test_XXXXXX";
        close(mkstemp(name));
        {
            std::ofstream file(name);
            file << script << "\nCOMP_WORDS=(";
            for (const auto &word : line) file << "'" << word << "' ";
            file << ")\nCOMP_CWORD=" << line.size() - 1 << "\n_godwitctl\necho \"${COMPREPLY[*]}\"\n";
        }
        FILE *pipe = popen((std::string("bash ") + name + " 2>&1").c_str(), "r");
        char text[16384] = "";
        size_t len = fread(text, 1, sizeof(text) - 1, pipe);
        EXPECT_EQ(0, pclose(pipe)) << text;
        unlink(name);
        while (len > 0 && text[len - 1] == '\n') len--;
        return std::string(text, len);
    }
};

TEST_F(ClientCompletion, InBash)
{
    ASSERT_EQ(CLIENT_OK, Run({ "completion", "bash" }));
    std::string script = out;
    const struct { Words line; const char *words; } cases[] = {
        { { "godwitctl", "tena" }, "tenant" },
        { { "godwitctl", "queue", "" }, "list show retry remove" },
        { { "godwitctl", "--output", "json", "tenant", "cr" }, "create" },
        { { "godwitctl", "--output", "" }, "table json" },
        { { "godwitctl", "cluster", "st" }, "status" },
        { { "godwitctl", "cluster", "ca", "" }, "list add use remove" },
        { { "godwitctl", "cluster", "coord", "" }, "access migrate" },
        { { "godwitctl", "log", "tail", "s" }, "security spam" },
        { { "godwitctl", "log", "tail", "mail", "--f" }, "--follow --filter" },
        { { "godwitctl", "log", "tail", "--lines", "5", "e" }, "error" },
        { { "godwitctl", "log", "tail", "--lines", "" }, "" },
        { { "godwitctl", "user", "create", "--qu" }, "--quota --quota-items" },
        { { "godwitctl", "config", "get", "smtp.size" }, "smtp.size.max" },
        { { "godwitctl", "config", "set", "smtp.size" }, "smtp.size.max" },
        { { "godwitctl", "completion", "" }, "bash zsh fish" },
        { { "godwitctl", "api", "PA" }, "PATCH" },
        { { "godwitctl", "nosuch", "" }, "" },
        { { "godwitctl", "zzz" }, "" },
        { { "godwitctl", "user", "create", "--xyz" }, "" },
    };
    for (const auto &c : cases) EXPECT_EQ(c.words, Complete(script, c.line)) << c.line.back();
}

TEST_F(ClientCompletion, EveryCommandAndOptionIsInEachScript)
{
    for (const char *shell : { "bash", "zsh", "fish" }) {
        ASSERT_EQ(CLIENT_OK, Run({ "completion", shell }));
        for (size_t i = 0; i < client_commands_count; i++) {
            EXPECT_NE(std::string::npos, out.find(client_commands[i].noun)) << shell;
            std::string verb = client_commands[i].verb;
            EXPECT_NE(std::string::npos, out.find(verb.substr(verb.find(' ') + 1))) << shell << " " << verb;
        }
        for (size_t i = 0; i < client_options_count; i++) {
            EXPECT_NE(std::string::npos, out.find(client_options[i].name + 2)) << shell << " " << client_options[i].name;
        }
    }
}

// Runs groff over what was printed, where it is there, and gives back what it complains of.
std::string Groff(const std::string &page, const char *macros)
{
    if (system("command -v groff >/dev/null 2>&1") != 0) return "";
    char name[] = "/tmp/godwit_test_XXXXXX";
    close(mkstemp(name));
    std::ofstream(name) << page;
    FILE *pipe = popen((std::string("groff ") + macros + " -Tutf8 -ww -z " + name + " 2>&1").c_str(), "r");
    char text[4096] = "";
    size_t len = fread(text, 1, sizeof(text) - 1, pipe);
    EXPECT_EQ(0, pclose(pipe));
    unlink(name);
    return std::string(text, len);
}

TEST_F(ClientMore, ManualPages)
{
    ASSERT_EQ(CLIENT_OK, Run({ "manual" }));
    EXPECT_EQ(0u, out.find(".TH GODWITCTL 1"));
    for (const char *text : { ".SH NAME", "\\fBuser create\\fR \\fIaddress\\fR", "\\fB\\-\\-full\\-name\\fR", "\\fBcluster status\\fR", ".SH EXIT STATUS" }) {
        EXPECT_NE(std::string::npos, out.find(text)) << text;
    }
    EXPECT_EQ("", Groff(out, "-man"));
    ASSERT_EQ(CLIENT_OK, Run({ "manual", "options" }));
    EXPECT_NE(std::string::npos, out.find("smtp.size.max"));
    EXPECT_EQ("", Groff(out, "-mdoc"));
}

// ---- everything the API can do has a command

TEST(ClientRoutes, EveryCallOfTheApiHasACommand)
{
    const struct { const char *method, *path; } routes[] = {
#define API_ROUTE(method, path, handler, role, members, text) { method, path },
#include "api_routes.def"
#undef API_ROUTE
    };
    // Calls of `user import` and `domain import`, which are more than one request (client_import_read.c).
    std::set<std::string> reached = { "POST /api/v1/users/import", "POST /api/v1/domains/import" };
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command &command = client_commands[i];
        if (command.method == nullptr) continue;
        std::string path = command.path;
        reached.insert(std::string(command.method) + " " + path.substr(0, path.find('?')));
    }
    std::set<std::string> calls;
    for (const auto &route : routes) {
        std::string call = std::string(route.method) + " " + route.path;
        calls.insert(call);
        EXPECT_TRUE(reached.count(call)) << call << ": no command of client_commands.def makes this call";
    }
    for (const auto &call : reached) EXPECT_TRUE(calls.count(call)) << call << ": a command asks for what is no call of api_routes.def";
}

TEST(ClientRoutes, EachCommandStandsOnce)
{
    std::set<std::string> seen, options;
    for (size_t i = 0; i < client_commands_count; i++) {
        const struct client_command &command = client_commands[i];
        EXPECT_TRUE(seen.insert(std::string(command.noun) + " " + command.verb).second) << command.noun << " " << command.verb;
        EXPECT_NE('\0', command.text[0]) << command.noun << " " << command.verb;
    }
    for (size_t i = 0; i < client_options_count; i++) {
        const struct client_option &option = client_options[i];
        EXPECT_TRUE(options.insert(std::string(option.noun) + " " + option.name).second) << option.noun << " " << option.name;
        EXPECT_TRUE(strcmp(option.noun, "*") == 0 || client_is_noun(option.noun)) << option.noun;
        EXPECT_EQ(0, strncmp(option.name, "--", 2)) << option.name;
    }
}

}  // namespace
