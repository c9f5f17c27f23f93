// `godwitctl up`: what a data directory is made of, processes that are started again, the first accounts, and a
// whole run with programs of the test's own.
#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "client.h"
#include "clock.h"
#include "coord.h"
#include "digest.h"
#include "http_peer.h"
#include "id.h"
#include "loop.h"
#include "up.h"
extern "C" {
#include "up_private.h"
}

extern char **environ;

namespace {

namespace fs = std::filesystem;
constexpr uint64_t kPatienceMs = 30000;

std::string ReadFile(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void WriteFile(const std::string &path, const std::string &text) { std::ofstream(path, std::ios::binary) << text; }

bool Until(const std::function<bool()> &done)
{
    uint64_t end = clock_boot_ms() + kPatienceMs;
    for (; clock_boot_ms() < end; usleep(2000)) {
        if (done()) return true;
    }
    return false;
}

class Up : public testing::Test {
protected:
    std::string dir, data, said;
    std::unique_ptr<struct up> up = std::make_unique<struct up>();

    void SetUp() override
    {
        char name[] = "/tmp/godwit_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        chmod(name, 0777); // started as root, the programs run as somebody else
        data = dir + "/data";
        *up = {};
        up->options.domain = "a.test";
        up->options.port_offset = 10000;
        snprintf(up->data, sizeof(up->data), "%s", data.c_str());
        snprintf(up->address, sizeof(up->address), "127.0.0.1");
    }
    void TearDown() override { fs::remove_all(dir); }
    enum err_code Bootstrap()
    {
        fs::create_directories(data);
        testing::internal::CaptureStderr();
        auto code = up_bootstrap(up.get()).code;
        said = testing::internal::GetCapturedStderr();
        return code;
    }
    // A row of the configuration store.
    std::string Row(const std::string &key)
    {
        struct loop *loop;
        struct coord *coord;
        struct coord_row row;
        std::string value;
        EXPECT_EQ(ERR_OK, loop_new(&loop).code);
        EXPECT_EQ(ERR_OK, coord_open(loop, (data + "/coord").c_str(), &coord).code);
        if (coord_get(coord, span_of(key.data(), key.size()), &row)) value.assign(row.value.ptr, row.value.len);
        coord_close(coord);
        loop_run(loop);
        loop_free(loop);
        return value;
    }
    static unsigned Mode(const std::string &path)
    {
        struct stat info = {};
        EXPECT_EQ(0, stat(path.c_str(), &info)) << path;
        return info.st_mode & 07777u;
    }
};

TEST_F(Up, FilesAreWrittenWholeAndReadBack)
{
    fs::create_directories(data);
    const std::string path = data + "/secret";
    char value[UP_SECRET_MAX_BYTES];
    EXPECT_EQ(ERR_NOT_FOUND, up_file_read(path.c_str(), value).code);
    ASSERT_EQ(ERR_OK, up_file_write(path.c_str(), "one\r\ntwo\n", 0600).code);
    EXPECT_EQ(0600u, Mode(path));
    ASSERT_EQ(ERR_OK, up_file_read(path.c_str(), value).code);
    EXPECT_STREQ("one", value); // its first line
    ASSERT_EQ(ERR_OK, up_file_write(path.c_str(), "", 0644).code);
    EXPECT_EQ(0644u, Mode(path));
    ASSERT_EQ(ERR_OK, up_file_read(path.c_str(), value).code);
    EXPECT_STREQ("", value);
    WriteFile(path, std::string(UP_SECRET_MAX_BYTES + 1, 'x')); // more than a secret may have
    EXPECT_EQ(ERR_TOO_BIG, up_file_read(path.c_str(), value).code);
    EXPECT_EQ(ERR_IO, up_file_read(data.c_str(), value).code); // a folder
    EXPECT_EQ(ERR_IO, up_file_write((data + "/no/such/file").c_str(), "x", 0600).code);
    EXPECT_EQ(ERR_IO, up_file_write(data.c_str(), "x", 0600).code);
    for (const auto &entry : fs::directory_iterator(dir)) EXPECT_EQ("data", entry.path().filename()) << "left over";
}

TEST_F(Up, TheFirstStartMakesWhatIsMissingAndTheSecondKeepsIt)
{
    ASSERT_EQ(ERR_OK, Bootstrap()) << said;
    EXPECT_TRUE(up->first_start);
    EXPECT_EQ(40u, strlen(up->token));
    EXPECT_EQ(16u, strlen(up->admin_password));
    EXPECT_STREQ("admin@a.test", up->admin_user);
    const struct { const char *name; unsigned mode; } files[] = {
        { "secret", 0700 }, { "store", 0700 }, { "run", 0700 }, { "scan", 0700 }, { "secret/api.token", 0600 },
        { "secret/admin.password", 0600 }, { "tls/key.pem", 0600 }, { "signatures/godwit.hdb", 0644 },
    };
    for (const auto &file : files) EXPECT_EQ(file.mode, Mode(data + "/" + file.name)) << file.name;
    EXPECT_EQ(0u, ReadFile(data + "/tls/cert.pem").find("-----BEGIN CERTIFICATE-----"));
    uint8_t digest[DIGEST_BYTES];
    std::string hex(2 * DIGEST_BYTES, '\0'), token = up->token;
    ASSERT_EQ(ERR_OK, digest_sha256(span_of(up->token, strlen(up->token)), digest).code);
    id_hex(digest, sizeof(digest), hex.data());
    EXPECT_EQ(R"({"role":"operator","tenant":0})", Row("tokens/" + hex));
    EXPECT_EQ(R"({"id":1,"name":"default"})", Row("tenants/default"));
    EXPECT_NE(std::string::npos, Row("map/head").find("unix:" + data + "/run/storage-node-1.sock"));
    std::string certificate = ReadFile(data + "/tls/cert.pem"), password = up->admin_password;
    // Another start: of the same, and moved, with another domain that is not the first any more.
    WriteFile(data + "/secret/admin.user", "admin@a.test");
    WriteFile(data + "/secret/admin.made", "");
    fs::rename(data, dir + "/moved");
    data = dir + "/moved";
    *up = {};
    up->options.domain = "b.test";
    snprintf(up->data, sizeof(up->data), "%s", data.c_str());
    ASSERT_EQ(ERR_OK, Bootstrap()) << said;
    EXPECT_FALSE(up->first_start);
    EXPECT_EQ(token, up->token);
    EXPECT_EQ(password, up->admin_password);
    EXPECT_STREQ("admin@a.test", up->admin_user);
    EXPECT_EQ(certificate, ReadFile(data + "/tls/cert.pem"));
    EXPECT_NE(std::string::npos, Row("map/head").find("unix:" + data + "/run/storage-node-1.sock"));
}

TEST_F(Up, WhatCannotBeMadeIsSaid)
{
    const struct { const char *what; std::function<void(const std::string &)> spoil; } cases[] = {
        { "run is a file", [](const std::string &at) { fs::remove_all(at + "/run"); WriteFile(at + "/run", ""); } },
        { "the token is a folder", [](const std::string &at) { fs::create_directories(at + "/secret/api.token"); } },
        { "the password is too long", [](const std::string &at) { WriteFile(at + "/secret/admin.password", std::string(500, 'x')); } },
        { "the store is broken", [](const std::string &at) { WriteFile(at + "/coord/data", "no store at all, whatever it says here"); } },
        { "the certificate has no place", [](const std::string &at) { fs::remove_all(at + "/tls"); WriteFile(at + "/tls", ""); } },
    };
    for (const auto &c : cases) {
        fs::remove_all(data);
        for (const char *folder : { "run", "secret", "coord", "tls" }) fs::create_directories(data + "/" + folder);
        c.spoil(data);
        EXPECT_NE(ERR_OK, Bootstrap()) << c.what;
        EXPECT_EQ(0u, said.find("godwitctl up: ")) << c.what << ": " << said;
        EXPECT_EQ('\n', said.back());
    }
}

TEST_F(Up, EndpointsNameAddressesSecretsAndProcesses)
{
    fs::create_directories(data);
    snprintf(up->token, sizeof(up->token), "t0ken");
    snprintf(up->admin_user, sizeof(up->admin_user), "admin@a.test");
    snprintf(up->admin_password, sizeof(up->admin_password), "secret");
    up->processes_count = 2;
    up->processes[0].name = "storage-node-1";
    up->processes[0].pid = 4711;
    up->processes[1].name = "frontend-1";
    for (const char *address : { "127.0.0.7", "0.0.0.0" }) {
        snprintf(up->address, sizeof(up->address), "%s", address);
        ASSERT_EQ(ERR_OK, up_endpoints_write(up.get()).code);
        std::string host = strcmp(address, "0.0.0.0") == 0 ? "127.0.0.1" : address, text = ReadFile(data + "/endpoints.env");
        EXPECT_EQ(0600u, Mode(data + "/endpoints.env"));
        for (const std::string &line : { "SMTP=" + host + ":10025", "SUBMISSION=" + host + ":10587", "SMTPS=" + host + ":10465",
                                         "LMTP=" + host + ":10024", "IMAP=" + host + ":10143", "IMAPS=" + host + ":10993",
                                         "HTTP=" + host + ":18080", "HTTPS=" + host + ":18443", "API=http://" + host + ":18080",
                                         std::string("API_TOKEN=t0ken"), "CA_FILE=" + data + "/tls/cert.pem", std::string("ADMIN_USER=admin@a.test"),
                                         std::string("ADMIN_PASSWORD=secret"), std::string("PID_storage_node_1=4711"), std::string("PID_frontend_1=0"),
                                         "ADDR_storage_node_1=unix:" + data + "/run/storage-node-1.sock" }) {
            EXPECT_NE(std::string::npos, ("\n" + text).find("\n" + line + "\n")) << line << " in\n" << text;
        }
    }
    snprintf(up->data, sizeof(up->data), "%s/nowhere", dir.c_str());
    EXPECT_EQ(ERR_IO, up_endpoints_write(up.get()).code);
}

TEST_F(Up, AProcessThatKeepsEndingIsStartedMoreAndMoreSlowly)
{
    struct up_process process = {};
    const struct { uint64_t lived_ms, wait_ms; } steps[] = {
        { 5, 0 }, { 5, 100 }, { 5, 200 }, { 5, 400 }, { 5, 800 }, { 5, 1600 }, { 5, 3200 }, { 5, 5000 }, { 5, 5000 },
        { UP_STABLE_MS - 1, 5000 }, { UP_STABLE_MS, 0 }, { 5, 100 }, { UP_STABLE_MS * 10, 0 },
    };
    uint64_t now = 1000000;
    for (const auto &step : steps) {
        process.pid = 4711;
        process.started_ms = now;
        now += step.lived_ms;
        up_process_ended(&process, now);
        EXPECT_EQ(0, process.pid);
        EXPECT_EQ(step.wait_ms, process.restart_at_ms - now);
    }
}

TEST_F(Up, AProcessWritesIntoItsLogAndHasItsWords)
{
    const struct { std::vector<std::string> words; int status; std::string log; } cases[] = {
        { { "/bin/sh", "-c", "echo out; echo err >&2; cat; exit 7" }, 7, "out\nerr\n" }, // nothing on its input
        { { "/bin/echo", "two words", "a=b" }, 0, "two words a=b\n" },
        { { dir + "/no-such-program" }, 127, dir + "/no-such-program: cannot be started (errno 2)\n" },
    };
    for (const auto &c : cases) {
        struct up_process process = {};
        std::string log = dir + "/log";
        unlink(log.c_str());
        process.name = "test";
        snprintf(process.log_path, sizeof(process.log_path), "%s", log.c_str());
        for (const auto &word : c.words) up_process_word(&process, "%s", word.c_str());
        ASSERT_EQ(ERR_OK, up_process_start(&process, 5).code);
        EXPECT_EQ(5u, process.started_ms);
        int status;
        ASSERT_EQ(process.pid, waitpid(process.pid, &status, 0));
        EXPECT_TRUE(WIFEXITED(status));
        EXPECT_EQ(c.status, WEXITSTATUS(status));
        EXPECT_EQ(c.log, ReadFile(log));
    }
    struct up_process process = {};
    snprintf(process.log_path, sizeof(process.log_path), "%s/no/such/folder", dir.c_str());
    up_process_word(&process, "/bin/true");
    ASSERT_EQ(ERR_OK, up_process_start(&process, 5).code);
    int status;
    ASSERT_EQ(process.pid, waitpid(process.pid, &status, 0));
    EXPECT_EQ(124, WEXITSTATUS(status));
}

TEST_F(Up, TheFirstAccountsAreMadeOnce)
{
    http_peer peer;
    fs::create_directories(data + "/secret");
    up->options.port_offset = peer.port - 8080u;
    snprintf(up->token, sizeof(up->token), "t0ken");
    snprintf(up->admin_user, sizeof(up->admin_user), "admin@a.test");
    snprintf(up->admin_password, sizeof(up->admin_password), "secret");
    int late = 2; // the frontend hears of the domain in a moment
    peer.answer = [&](const http_peer::Request &request) {
        if (request.target == "/api/v1/domains") return http_peer::Json("409 Conflict", "{}"); // there already
        return late-- > 0 ? http_peer::Json("404 Not Found", "{}") : http_peer::Json("201 Created", "{}");
    };
    testing::internal::CaptureStderr();
    EXPECT_EQ(ERR_OK, up_first_accounts(up.get()).code);
    testing::internal::GetCapturedStderr();
    auto requests = peer.Requests();
    ASSERT_EQ(4u, requests.size());
    EXPECT_EQ(R"({"name":"a.test"})", requests[0].body);
    EXPECT_EQ(R"({"address":"admin@a.test","password":"secret","full_name":"Administrator","role":"admin"})", requests[3].body);
    EXPECT_NE(std::string::npos, requests[3].head.find("Authorization: Bearer t0ken\r\n"));
    EXPECT_EQ("admin@a.test", ReadFile(data + "/secret/admin.user"));
    EXPECT_TRUE(fs::exists(data + "/secret/admin.made"));
    // Not made: the next start tries again.
    fs::remove(data + "/secret/admin.made");
    peer.answer = [&](const http_peer::Request &) { return http_peer::Json("400 Bad Request", R"({"title":"no"})"); };
    testing::internal::CaptureStderr();
    EXPECT_EQ(ERR_UNREACHABLE, up_first_accounts(up.get()).code);
    said = testing::internal::GetCapturedStderr();
    EXPECT_NE(std::string::npos, said.find("/api/v1/domains: 400")) << said;
    EXPECT_FALSE(fs::exists(data + "/secret/admin.made"));
}

TEST_F(Up, ADomainIsNoPieceOfJson)
{
    http_peer peer;
    fs::create_directories(data + "/secret");
    up->options.port_offset = peer.port - 8080u;
    up->options.domain = R"(a.test","also":["evil.test)";
    snprintf(up->admin_user, sizeof(up->admin_user), "admin@%s", up->options.domain);
    EXPECT_EQ(ERR_OK, up_first_accounts(up.get()).code);
    auto requests = peer.Requests();
    ASSERT_EQ(2u, requests.size());
    EXPECT_EQ(R"({"name":"a.test\",\"also\":[\"evil.test"})", requests[0].body);
    // Nor is a path.
    up->options.domain = "a.test";
    data = dir + "/a\"b";
    snprintf(up->data, sizeof(up->data), "%s", data.c_str());
    ASSERT_EQ(ERR_OK, Bootstrap()) << said;
    EXPECT_NE(std::string::npos, Row("map/head").find(R"(/a\"b/run/storage-node-1.sock"})")) << Row("map/head");
}

// ---- a whole run, in a process of its own

class UpRun : public Up {
protected:
    std::unique_ptr<http_peer> peer;
    pid_t child = 0;
    int status = 0;

    void SetUp() override
    {
        Up::SetUp();
        // Programs that do nothing but wait; each writes when it ends in its turn.
        for (const char *name : { "godwit-storage-node", "godwit-scanner", "godwit-frontend" }) {
            std::string path = dir + "/" + name;
            WriteFile(path, "#!/bin/sh\ntrap 'echo ended >> " + dir + "/" + name + ".ended; exit 0' TERM\necho \"$@\" >> " + dir + "/" + name +
                                ".words\nwhile :; do sleep 0.05; done\n");
            chmod(path.c_str(), 0755);
        }
        peer = std::make_unique<http_peer>();
        peer->answer = [](const http_peer::Request &request) {
            return http_peer::Json(request.target == "/readyz" ? "200 OK" : "201 Created", "{}");
        };
    }
    void TearDown() override
    {
        if (child != 0) {
            kill(child, SIGKILL);
            waitpid(child, nullptr, 0);
        }
        Up::TearDown();
    }
    void Begin(const std::string &at, const std::string &programs)
    {
        char self[] = "/proc/self/exe", mode[] = "--up";
        std::string offset = std::to_string(peer->port - 8080u), out = dir + "/out", path = at, folder = programs;
        char *arguments[] = { self, mode, path.data(), folder.data(), offset.data(), nullptr };
        posix_spawn_file_actions_t files;
        posix_spawn_file_actions_init(&files);
        posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
        posix_spawn_file_actions_adddup2(&files, STDOUT_FILENO, STDERR_FILENO);
        ASSERT_EQ(0, posix_spawn(&child, self, &files, nullptr, arguments, environ));
        posix_spawn_file_actions_destroy(&files);
    }
    int End()
    {
        bool ended = Until([&] { return waitpid(child, &status, WNOHANG) == child; });
        EXPECT_TRUE(ended) << ReadFile(dir + "/out");
        if (ended) child = 0;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    pid_t Pid(const std::string &name)
    {
        std::string text = "\n" + ReadFile(data + "/endpoints.env"), key = "\nPID_" + name + "=";
        size_t at = text.find(key);
        return at == std::string::npos ? 0 : std::stoi(text.substr(at + key.size()));
    }
};

TEST_F(UpRun, ANodeIsStartedKeptRunningAndStoppedInOrder)
{
    Begin(data, dir);
    ASSERT_TRUE(Until([&] { return ReadFile(dir + "/out").find("Ctrl-C stops it.") != std::string::npos; })) << ReadFile(dir + "/out");
    std::string out = ReadFile(dir + "/out");
    EXPECT_EQ(0u, out.find("Godwit is ready.\n")) << out;
    EXPECT_NE(std::string::npos, out.find("log in as   admin@a.test\n"));
    EXPECT_TRUE(fs::exists(data + "/secret/admin.made"));
    std::set<pid_t> pids = { Pid("storage_node_1"), Pid("scanner_1"), Pid("frontend_1") };
    ASSERT_EQ(3u, pids.size());
    ASSERT_GT(*pids.begin(), 0);
    ASSERT_TRUE(Until([&] { return !ReadFile(dir + "/godwit-frontend.words").empty(); }));
    std::string words = ReadFile(dir + "/godwit-frontend.words");
    EXPECT_NE(std::string::npos, words.find("--imap=127.0.0.1:" + std::to_string(143 + peer->port - 8080))) << words;
    // A second start on the same directory is refused.
    pid_t first = child;
    std::string before = ReadFile(dir + "/out");
    Begin(data, dir);
    EXPECT_EQ(CLIENT_REFUSED, End());
    EXPECT_EQ("godwitctl up: a node is running already on " + data + "\n", ReadFile(dir + "/out").substr(before.size()));
    child = first;
    // One that is killed is started again, and its new number is told.
    pid_t old = Pid("scanner_1");
    kill(old, SIGKILL);
    EXPECT_TRUE(Until([&] { return Pid("scanner_1") != 0 && Pid("scanner_1") != old; }));
    EXPECT_NE(std::string::npos, ReadFile(dir + "/out").find("scanner-1 ended (signal 9); starting it again"));
    kill(child, SIGTERM);
    EXPECT_EQ(CLIENT_OK, End());
    for (const char *name : { "godwit-storage-node", "godwit-scanner", "godwit-frontend" }) {
        EXPECT_EQ("ended\n", ReadFile(dir + "/" + name + ".ended")) << name;
    }
}

TEST_F(UpRun, AProgramThatCannotLiveIsStartedAgainAndTheStopStillComes)
{
    WriteFile(dir + "/godwit-scanner", "#!/bin/sh\necho again >> " + dir + "/again\nexit 3\n");
    Begin(data, dir);
    ASSERT_TRUE(Until([&] { return ReadFile(dir + "/again").size() >= 12; }));
    EXPECT_NE(std::string::npos, ReadFile(dir + "/out").find("scanner-1 ended (status 3); starting it again"));
    kill(child, SIGINT);
    EXPECT_EQ(CLIENT_OK, End());
}

TEST_F(UpRun, WhatIsWrongBeforeItStartsIsSaid)
{
    fs::create_directories(dir + "/empty");
    WriteFile(dir + "/file", "");
    const struct { std::string at, programs, says; } cases[] = {
        { data, dir + "/empty/x", "godwitctl up: no program at " },
        { dir + "/file", dir, "godwitctl up: cannot use " + dir + "/file" },
        { dir + "/no/such/parent", dir, "godwitctl up: cannot make " + dir + "/no/such/parent: No such file or directory\n" },
        { dir + "/" + std::string(200, 'd'), dir, "godwitctl up: " },
    };
    for (const auto &c : cases) {
        unlink((dir + "/out").c_str());
        Begin(c.at, c.programs);
        if (c.at.size() > 200) { // sockets have short names: it is said at once, or it runs
            kill(child, SIGTERM);
            End();
            continue;
        }
        EXPECT_EQ(CLIENT_REFUSED, End()) << c.at;
        EXPECT_EQ(0u, ReadFile(dir + "/out").find(c.says)) << ReadFile(dir + "/out");
    }
}

int RunUp(char **argv)
{
    struct up_options options = {};
    options.data = argv[2];
    options.programs = argv[3];
    options.port_offset = static_cast<unsigned>(strtoul(argv[4], nullptr, 10));
    options.domain = "a.test";
    return up_run(&options);
}

}  // namespace

int main(int argc, char **argv)
{
    if (argc == 5 && strcmp(argv[1], "--up") == 0) return RunUp(argv);
    testing::InitGoogleTest(&argc, argv);
    return RUN_ALL_TESTS();
}
