// What main() of every program does alike: options, the log, followed configuration, health and metrics.
#include <gtest/gtest.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "boot.h"
#include "buf.h"
#include "clock.h"
#include "conf.h"
#include "coord.h"
#include "http_session.h"
#include "log.h"
#include "loop.h"
#include "metrics.h"
#include "metrics_text.h"
#include "program.h"
#include "program_announce.h"
#include "program_monitor.h"
#include "test_directory.h"

namespace {

constexpr unsigned kDeadlineMs = 20000;

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

const struct boot_option kTable[] = {
    PROGRAM_OPTIONS("test"),
    { "data", BOOT_TEXT, nullptr, "where data is" },
    { "count", BOOT_NUMBER, "7", "how many" },
};
const struct program_info kInfo = { "godwit-test", kTable, sizeof(kTable) / sizeof(kTable[0]) };

struct Words {
    explicit Words(std::vector<std::string> given) : words(std::move(given))
    {
        words.insert(words.begin(), "test");
        for (auto &word : words) pointers.push_back(word.data());
        pointers.push_back(nullptr);
    }
    int count() const { return int(words.size()); }
    std::vector<std::string> words;
    std::vector<char *> pointers;
};

TEST(ProgramBoot, HelpAndMistakesEndTheProgram)
{
    const struct { std::vector<std::string> words; bool good; int status; const char *out, *err; } cases[] = {
        { { "--data=/x" }, true, -1, "", "" },
        { { "--help" }, false, 0, "  --data VALUE\n      where data is Has to be given.", "" },
        { { "--version" }, false, 0, "godwit-test 0.", "" },
        { {}, false, 2, "", "godwit-test: data: has to be given\n" },
        { { "--data=/x", "--count=many" }, false, 2, "", "godwit-test: count: not a number\n" },
        { { "--data=/x", "--colour=blue" }, false, 2, "", "godwit-test: colour: there is no such option\n" },
        { { "--data=/x", "stray" }, false, 2, "", "stray: is no option" },
    };
    for (const auto &c : cases) {
        Words words(c.words);
        struct boot *boot = nullptr;
        int status = -1;
        ::testing::internal::CaptureStdout();
        ::testing::internal::CaptureStderr();
        bool good = program_boot(&kInfo, words.count(), words.pointers.data(), &boot, &status);
        fflush(stdout);
        std::string out = ::testing::internal::GetCapturedStdout(), err = ::testing::internal::GetCapturedStderr();
        EXPECT_EQ(c.good, good);
        EXPECT_EQ(c.status, status);
        EXPECT_NE(std::string::npos, out.find(c.out)) << out;
        EXPECT_NE(std::string::npos, err.find(c.err)) << err;
        EXPECT_EQ(c.good, boot != nullptr);
        boot_free(boot);
    }
}

class Program : public ::testing::Test {
protected:
    std::string dir;
    struct loop *loop = nullptr;
    struct boot *boot = nullptr;

    void SetUp() override
    {
        char name[] = "/tmp/program-test-XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
    }
    void TearDown() override
    {
        log_stop();
        boot_free(boot);
        loop_free(loop);
        std::filesystem::remove_all(dir);
    }
    void Boot(std::vector<std::string> more)
    {
        int status;
        more.push_back("--data=" + dir);
        Words words(more);
        ASSERT_TRUE(program_boot(&kInfo, words.count(), words.pointers.data(), &boot, &status));
    }
    bool Until(const std::function<bool()> &is)
    {
        uint64_t end_ms = clock_boot_ms() + kDeadlineMs;
        while (!is()) {
            if (clock_boot_ms() > end_ms) return false;
            loop_step(loop, 20);
        }
        return true;
    }
    void Set(const std::string &json)
    {
        const struct coord_row row = { SPAN("policy/config"), S(json), COORD_ANY };
        ASSERT_EQ(ERR_OK, coord_put((dir + "/coord").c_str(), &row).code);
    }
};

// ---- log

TEST_F(Program, LogsIntoTheFolder)
{
    Boot({ "--name=test-7", "--log=" + dir + "/log" });
    ASSERT_EQ(ERR_OK, program_log_start(boot).code);
    log_event(LOG_EVENT_PROGRAM_READY, nullptr, nullptr, 0);
    log_stop();
    EXPECT_NE(std::string::npos, ReadFile(dir + "/log/operations.log").find("test-7 is ready\n"));
    EXPECT_NE(std::string::npos, ReadFile(dir + "/log/events.json").find("\"program\":\"test-7\""));
}

TEST_F(Program, LogsToStandardErrorWhereTheFolderCannotBeUsed)
{
    std::ofstream(dir + "/file") << "in the way";
    const struct { std::string folder; bool complains; } cases[] = { { dir + "/file", true }, { dir + "/no/where", true }, { "", false } };
    for (const auto &c : cases) {
        boot_free(boot);
        Boot({ "--log=" + c.folder });
        ::testing::internal::CaptureStderr();
        ASSERT_EQ(ERR_OK, program_log_start(boot).code);
        log_event(LOG_EVENT_PROGRAM_READY, nullptr, nullptr, 0);
        log_stop();
        std::string err = ::testing::internal::GetCapturedStderr();
        EXPECT_EQ(c.complains, err.find("\"event\":\"log-unusable\",\"program\":\"test\",\"path\":\"" + c.folder) != std::string::npos) << err;
        EXPECT_NE(std::string::npos, err.find("\"event\":\"program-ready\"")) << err;
    }
}

// ---- configuration

struct Follower {
    struct program_conf *conf = nullptr;
    int changes = 0;
    uint64_t size = 0;
    static void Changed(void *holder)
    {
        auto *self = static_cast<Follower *>(holder);
        self->changes++;
        self->size = conf_number(program_conf_now(self->conf), CONF_SMTP_SIZE_MAX);
    }
};

TEST_F(Program, FollowsTheConfigurationAndKeepsTheLastGoodOne)
{
    struct coord *coord;
    Follower follower;
    Boot({ "--log=" + dir + "/log" });
    ASSERT_EQ(ERR_OK, program_log_start(boot).code);
    ASSERT_EQ(ERR_OK, coord_open(loop, (dir + "/coord").c_str(), &coord).code);
    ASSERT_EQ(ERR_OK, program_conf_open(coord, Follower::Changed, &follower, &follower.conf).code);
    EXPECT_EQ(50u << 20, conf_number(program_conf_now(follower.conf), CONF_SMTP_SIZE_MAX));
    loop_step(loop, 20);
    EXPECT_EQ(0, follower.changes); // what was read first is no change
    Set("{\"smtp.size.max\":\"30M\"}");
    ASSERT_TRUE(Until([&] { return follower.changes == 1; }));
    EXPECT_EQ(30u << 20, follower.size);
    for (const char *bad : { "{\"smtp.size.max\":\"large\"}", "{\"smtp.size.max\":30}", "[]", "{" }) {
        Set(bad);
        ASSERT_TRUE(Until([&] {
            log_flush();
            std::string said = ReadFile(dir + "/log/error.log");
            return said.find("Configuration refused") != std::string::npos;
        })) << bad;
        std::filesystem::remove(dir + "/log/error.log");
        EXPECT_EQ(1, follower.changes) << bad;
        EXPECT_EQ(30u << 20, conf_number(program_conf_now(follower.conf), CONF_SMTP_SIZE_MAX));
    }
    Set("{\"smtp.size.max\":\"40M\",\"log.level\":\"error\"}");
    ASSERT_TRUE(Until([&] { return follower.changes == 2; }));
    EXPECT_EQ(40u << 20, follower.size);
    // The log follows too: a line of this level is not written any more.
    log_event(LOG_EVENT_PROGRAM_READY, nullptr, nullptr, 0);
    log_flush();
    EXPECT_FALSE(std::filesystem::exists(dir + "/log/operations.log"));
    EXPECT_NE(std::string::npos, ReadFile(dir + "/log/config.log").find("is in force"));
    program_conf_close(follower.conf);
    coord_close(coord);
}

TEST_F(Program, ABadConfigurationAtTheStartIsAnError)
{
    struct coord *coord;
    struct program_conf *conf = nullptr;
    std::filesystem::create_directory(dir + "/coord");
    Set("{\"smtp.size.max\":\"-1\"}");
    ASSERT_EQ(ERR_OK, coord_open(loop, (dir + "/coord").c_str(), &coord).code);
    EXPECT_EQ(ERR_SYNTAX, program_conf_open(coord, Follower::Changed, nullptr, &conf).code);
    EXPECT_EQ(nullptr, conf);
    coord_close(coord);
}

// ---- health and metrics

struct State {
    std::string missing, more, detail;
    static struct span Missing(void *holder) { return S(static_cast<State *>(holder)->missing); }
    static struct span Detail(void *holder) { return S(static_cast<State *>(holder)->detail); }
    static void Metrics(void *holder, const struct metrics_text *text)
    {
        auto *self = static_cast<State *>(holder);
        const struct metrics_single row = { "depth", "gauge", "How deep", 42 };
        metrics_text_single(text, &row);
        buf_put(text->to, S(self->more));
    }
    struct program_monitor_source Source()
    {
        struct program_monitor_source source = {};
        source.programs = METRICS_SCANNER;
        source.prefix = SPAN("godwit_test_");
        source.missing = Missing;
        source.metrics = Metrics;
        source.holder = this;
        return source;
    }
};

TEST(ProgramMonitor, Answers)
{
    State state;
    struct program_monitor_source source = state.Source();
    std::vector<char> bytes(PROGRAM_METRICS_MAX_BYTES);
    const struct { const char *method, *path, *missing; size_t more; unsigned status; const char *body; } cases[] = {
        { "GET", "/healthz", "", 0, 200, "ok\n" },
        { "HEAD", "/healthz", "", 0, 200, "ok\n" },
        { "GET", "/healthz", "a shard", 0, 200, "ok\n" }, // it lives all the same
        { "GET", "/readyz", "", 0, 200, "ready\n" },
        { "GET", "/readyz", "a shard is not open", 0, 503, "a shard is not open\n" },
        { "GET", "/metrics", "", 0, 200, "# TYPE godwit_test_depth gauge\ngodwit_test_depth 42\n" },
        { "GET", "/metrics", "", 0, 200, "godwit_test_scans_total{verdict=\"clean\"} " },
        { "GET", "/metrics", "", 0, 200, "godwit_test_cpu_seconds_total 0." },
        { "GET", "/metrics", "", 0, 200, "godwit_test_resident_memory_bytes " },
        { "GET", "/metrics", "", PROGRAM_METRICS_MAX_BYTES, 500, "more than fits into an answer\n" },
        { "POST", "/metrics", "", 0, 405, "GET and HEAD are allowed\n" },
        { "DELETE", "/healthz", "", 0, 405, "GET and HEAD are allowed\n" },
        { "GET", "/", "", 0, 404, "there are /healthz, /readyz and /metrics\n" },
        { "GET", "/metrics/", "", 0, 404, "there are" },
        { "GET", "", "", 0, 404, "there are" },
        { "POST", "/else", "", 0, 404, "there are" },
        { "GET", "/HEALTHZ", "", 0, 404, "there are" },
    };
    for (const auto &c : cases) {
        struct http_request request = {};
        struct buf body;
        request.method = span_of(c.method, strlen(c.method));
        request.path = request.target = span_of(c.path, strlen(c.path));
        state.missing = c.missing;
        state.more = std::string(c.more, '#');
        buf_init(&body, bytes.data(), bytes.size());
        EXPECT_EQ(c.status, program_monitor_answer(&source, &request, &body)) << c.method << " " << c.path;
        EXPECT_NE(std::string::npos, std::string(body.bytes, body.len).find(c.body)) << std::string(body.bytes, body.len);
    }
}

TEST(ProgramMonitor, TellsMoreThanWhetherItIsReady)
{
    State state;
    struct program_monitor_source source = state.Source();
    source.detail = State::Detail;
    const struct { const char *path, *missing, *detail; unsigned status; const char *body; } cases[] = {
        { "/readyz", "", "", 200, "ready\n" },
        { "/readyz", "", "signatures wait", 200, "ready\nsignatures wait\n" },
        { "/readyz", "no engine", "signatures wait", 503, "no engine\nsignatures wait\n" },
        { "/healthz", "", "signatures wait", 200, "ok\n" },
    };
    for (const auto &c : cases) {
        std::vector<char> bytes(PROGRAM_METRICS_MAX_BYTES);
        struct http_request request = {};
        struct buf body;
        request.method = SPAN("GET");
        request.path = request.target = span_of(c.path, strlen(c.path));
        state.missing = c.missing;
        state.detail = c.detail;
        buf_init(&body, bytes.data(), bytes.size());
        EXPECT_EQ(c.status, program_monitor_answer(&source, &request, &body));
        EXPECT_EQ(c.body, std::string(body.bytes, body.len));
    }
}

class Monitor : public Program {
protected:
    State state;
    struct program_monitor *monitor = nullptr;

    void SetUp() override
    {
        Program::SetUp();
        struct program_monitor_source source = state.Source();
        ASSERT_EQ(ERR_OK, program_monitor_open(loop, "127.0.0.1:0", &source, &monitor).code);
    }
    void TearDown() override
    {
        program_monitor_close(monitor);
        for (int i = 0; i < 5; i++) loop_step(loop, 1);
        Program::TearDown();
    }
    int Connect()
    {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in to = {};
        to.sin_family = AF_INET;
        to.sin_port = htons(program_monitor_port(monitor));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        EXPECT_EQ(0, connect(fd, reinterpret_cast<struct sockaddr *>(&to), sizeof(to)));
        return fd;
    }
    // Sends in pieces of `step`, and reads until `wanted` answers have come or the other side hangs up.
    std::string Talk(const std::string &out, size_t step, size_t wanted)
    {
        int fd = Connect();
        std::string in;
        bool closed = false;
        for (size_t at = 0; at < out.size(); at += step) {
            EXPECT_GT(send(fd, out.data() + at, std::min(step, out.size() - at), MSG_NOSIGNAL), 0);
            loop_step(loop, 5);
        }
        EXPECT_TRUE(Until([&] {
            char bytes[65536];
            ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
            if (n > 0) in.append(bytes, size_t(n));
            closed = n == 0;
            size_t answers = 0;
            for (size_t at = in.find("HTTP/1.1 "); at != std::string::npos; at = in.find("HTTP/1.1 ", at + 1)) answers++;
            return closed || (answers >= wanted && in.find("\r\n\r\n", in.rfind("HTTP/1.1 ")) != std::string::npos);
        })) << in;
        close(fd);
        return in;
    }
};

TEST_F(Monitor, AnswersOverTheWire)
{
    const std::string health = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    for (size_t step : { health.size(), size_t(1) }) {
        std::string in = Talk(health, step, 1);
        EXPECT_EQ(0u, in.find("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n")) << in;
        EXPECT_NE(std::string::npos, in.find("\r\n\r\nok\n")) << in;
    }
    // Two at once, one behind the other on one connection.
    state.missing = "all of it";
    std::string two = Talk(health + "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n", 4096, 2);
    EXPECT_NE(std::string::npos, two.find("HTTP/1.1 200 OK")) << two;
    EXPECT_NE(std::string::npos, two.find("HTTP/1.1 503 Service Unavailable")) << two;
    // HEAD: no body.
    std::string head = Talk("HEAD /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 4096, 1);
    EXPECT_EQ(head.size() - 4, head.find("\r\n\r\n")) << head;
    std::string post = Talk("POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi", 4096, 1);
    EXPECT_NE(std::string::npos, post.find("\r\nAllow: GET, HEAD\r\n")) << post;
}

TEST_F(Monitor, JunkEndsItsConnectionAndNothingElse)
{
    int idle = Connect();
    for (const char *junk : { "GET / SMTP/1.0\r\n\r\n", "\r\nEHLO x\r\n", "GET /healthz HTTP/1.1\r\n\r\n", "\x16\x03\x01" }) {
        std::string in = Talk(junk, 4096, 1);
        EXPECT_EQ(0u, in.find("HTTP/1.1 400")) << junk << in;
    }
    EXPECT_GT(send(idle, "GET /readyz HTTP/1.0\r\n\r\n", 24, MSG_NOSIGNAL), 0);
    char bytes[512] = "";
    ssize_t n = 0;
    EXPECT_TRUE(Until([&] { return (n = recv(idle, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0; }));
    EXPECT_EQ(0u, std::string(bytes, n > 0 ? size_t(n) : 0).find("HTTP/1.1 200 OK"));
    close(idle);
}

TEST_F(Monitor, HasRoomForSoManyClientsAndNoMore)
{
    std::vector<int> fds;
    for (int i = 0; i < PROGRAM_MONITOR_CLIENTS_MAX; i++) {
        fds.push_back(Connect());
        loop_step(loop, 1);
    }
    int over = Connect();
    char byte;
    EXPECT_TRUE(Until([&] { return recv(over, &byte, 1, MSG_DONTWAIT) >= 0 || errno == ECONNRESET; })); // closed
    close(over);
    close(fds.back());
    fds.pop_back();
    EXPECT_TRUE(Until([&] { // there is room again once that is noticed
        int fd = Connect();
        send(fd, "GET /healthz HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL);
        for (int i = 0; i < 5; i++) loop_step(loop, 5);
        bool answered = recv(fd, &byte, 1, MSG_DONTWAIT) == 1;
        close(fd);
        return answered;
    }));
    for (int fd : fds) close(fd);
}

TEST_F(Monitor, AnAddressInUseIsRefused)
{
    struct program_monitor *second = nullptr;
    struct program_monitor_source source = state.Source();
    std::string taken = "127.0.0.1:" + std::to_string(program_monitor_port(monitor));
    EXPECT_EQ(ERR_EXISTS, program_monitor_open(loop, taken.c_str(), &source, &second).code);
    for (const char *bad : { "here", "127.0.0.1", "127.0.0.1:99999", "300.0.0.1:1" }) {
        EXPECT_NE(ERR_OK, program_monitor_open(loop, bad, &source, &second).code) << bad;
    }
    EXPECT_EQ(nullptr, second);
}

// ---- the row in the cluster

TEST(ProgramAnnounce, Addresses)
{
    const struct { const char *chosen, *listens; uint16_t port; const char *is; } cases[] = {
        { "", "127.0.0.1:9464", 0, "127.0.0.1:9464" }, { "", "127.0.0.1:0", 1234, "127.0.0.1:1234" },
        { "10.0.0.5:80", "0.0.0.0:9464", 0, "10.0.0.5:80" }, { "", "[::1]:9464", 0, "[::1]:9464" },
        { "", "", 0, "" }, { "", "unix:/x", 0, "" }, { "", "nonsense", 0, "" }, { "x", "", 0, "x" },
    };
    for (const auto &c : cases) {
        char text[ROSTER_ADDRESS_MAX_BYTES];
        struct span is = program_announce_address(c.chosen, c.listens, c.port, text);
        EXPECT_EQ(c.is, std::string(is.len ? is.ptr : "", is.len)) << c.chosen << " " << c.listens;
    }
    for (const char *any : { "0.0.0.0:9464", "[::]:9464" }) {
        char text[ROSTER_ADDRESS_MAX_BYTES];
        struct span is = program_announce_address("", any, 0, text);
        std::string address(is.ptr, is.len);
        EXPECT_EQ(address.size() - 5, address.rfind(":9464")) << address;
        EXPECT_EQ(std::string::npos, address.find("0.0.0.0")) << address;
    }
}

TEST(ProgramAnnounce, AddressesOfCalls)
{
    const struct { const char *chosen, *listens; uint16_t port; const char *is; } cases[] = {
        { "", "127.0.0.1:7002", 0, "127.0.0.1:7002" }, { "", "127.0.0.1:0", 1234, "127.0.0.1:1234" },
        { "10.0.0.5:80", "0.0.0.0:7002", 0, "10.0.0.5:7002" }, { "10.0.0.5:80", "0.0.0.0:0", 99, "10.0.0.5:99" },
        { "[fd00::5]:80", "[::]:7002", 0, "[fd00::5]:7002" }, { "10.0.0.5:80", "127.0.0.1:7002", 0, "127.0.0.1:7002" },
        { "10.0.0.5:80", "unix:/x", 0, "unix:/x" }, { "", "nonsense", 0, "" }, { "10.0.0.5:80", "", 0, "" },
    };
    for (const auto &c : cases) {
        char text[ROSTER_ADDRESS_MAX_BYTES];
        struct span is = program_announce_inner(c.chosen, c.listens, c.port, text);
        EXPECT_EQ(c.is, std::string(is.len ? is.ptr : "", is.len)) << c.chosen << " " << c.listens;
    }
    char text[ROSTER_ADDRESS_MAX_BYTES];
    struct span is = program_announce_inner("nonsense", "0.0.0.0:7002", 0, text);
    std::string address(is.ptr, is.len);
    EXPECT_EQ(address.size() - 5, address.rfind(":7002")) << address;
    EXPECT_EQ(std::string::npos, address.find("0.0.0.0")) << address;
}

class Announce : public Program {
protected:
    struct coord *coord = nullptr;

    void SetUp() override
    {
        Program::SetUp();
        ASSERT_EQ(ERR_OK, coord_open(loop, dir.c_str(), &coord).code);
    }
    void TearDown() override
    {
        coord_close(coord);
        for (int i = 0; i < 5; i++) loop_step(loop, 1);
        Program::TearDown();
    }

    struct program_announce_options Options(const char *name, const char *address)
    {
        struct program_announce_options options = {};
        options.loop = loop;
        options.coord = coord;
        options.kind = ROSTER_ROUTER;
        options.name = name;
        options.address = span_of(address, strlen(address));
        options.admin = SPAN("unix:/run/admin.sock");
        return options;
    }
    // The row's address, or "".
    std::string Row(const char *name)
    {
        struct coord_row row;
        static struct roster_program program;
        std::string path = std::string("programs/router/") + name;
        if (!coord_get(coord, span_of(path.data(), path.size()), &row)) return "";
        EXPECT_EQ(ERR_OK, roster_program_read(row.value, &program).code);
        EXPECT_EQ("unix:/run/admin.sock", std::string(program.admin, program.admin_len));
        EXPECT_EQ(program_version(), std::string(program.version.text, program.version.len));
        return std::string(program.address, program.address_len);
    }
};

TEST_F(Announce, TheRowIsThereWhileTheProgramIs)
{
    struct program_announce *announce = nullptr;
    auto options = Options("router-1", "127.0.0.1:9464");
    ASSERT_EQ(ERR_OK, program_announce_start(&options, &announce).code);
    EXPECT_TRUE(Until([&] { return Row("router-1") == "127.0.0.1:9464"; }));
    program_announce_stop(announce);
    EXPECT_TRUE(Until([&] { return Row("router-1").empty(); }));
    program_announce_stop(nullptr);
}

TEST_F(Announce, ARowThatWasTakenAwayIsWrittenAgainAndAnothersIsLeft)
{
    struct program_announce *announce = nullptr, *other = nullptr;
    auto options = Options("router-1", "127.0.0.1:1"), others = Options("router-1", "127.0.0.1:2");
    ASSERT_EQ(ERR_OK, program_announce_start(&options, &announce).code);
    EXPECT_TRUE(Until([&] { return Row("router-1") == "127.0.0.1:1"; }));
    const struct coord_row gone = { SPAN("programs/router/router-1"), { nullptr, 0 }, COORD_ANY };
    ASSERT_EQ(ERR_OK, coord_put(dir.c_str(), &gone).code);
    EXPECT_TRUE(Until([&] { return Row("router-1") == "127.0.0.1:1"; }));
    ASSERT_EQ(ERR_OK, program_announce_start(&others, &other).code); // a start has the name
    EXPECT_TRUE(Until([&] { return Row("router-1") == "127.0.0.1:2"; }));
    for (int i = 0; i < 20; i++) loop_step(loop, 5);
    EXPECT_EQ("127.0.0.1:2", Row("router-1"));
    program_announce_stop(other);
    EXPECT_TRUE(Until([&] { return Row("router-1") == "127.0.0.1:1"; })); // it is free again
    program_announce_stop(announce);
    EXPECT_TRUE(Until([&] { return Row("router-1").empty(); }));
}

TEST_F(Announce, WhatIsRefused)
{
    for (const auto &[name, address] : std::vector<std::pair<const char *, const char *>>{
             { "", "127.0.0.1:1" }, { "a b", "127.0.0.1:1" }, { "a", "localhost:1" }, { "a", "127.0.0.1" }, { "a", "127.0.0.1:99999" },
             { "a", "127.0.0.1:1\"" } }) {
        struct program_announce *announce = nullptr;
        auto options = Options(name, address);
        EXPECT_EQ(ERR_SYNTAX, program_announce_start(&options, &announce).code) << name << " " << address;
    }
}

}  // namespace
