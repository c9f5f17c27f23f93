// The scanner: its calls served in this process, and the real program, asked by a pool.
#include "scan_call_fixture.h"

namespace {

// ---- the calls served in this process, so that its workers can be reached

class ScanServe : public ScanCall {
protected:
    struct engines *engines = nullptr;
    struct scan_serve *serve = nullptr;
    struct engines_options engine_options;
    std::string signatures, work, address;
    bool closed = false;

    static void Changed(void *holder)
    {
        auto *self = static_cast<ScanServe *>(holder);
        if (self->serve != nullptr) scan_serve_changed(self->serve);
    }
    static constexpr struct engines_user kUser = { Changed, nullptr };

    void SetUp() override
    {
        ScanCall::SetUp();
        signatures = dir + "/signatures";
        work = dir + "/work";
        fs::create_directories(signatures);
        fs::create_directories(work);
        fs::copy(MAIL_ROOT "/deploy/signatures/godwit.ndb", signatures);
        engines_options_init(&engine_options);
        engine_options.program = open(GODWIT_SCANNER, O_RDONLY | O_CLOEXEC);
        ASSERT_GE(engine_options.program, 0);
        engine_options.signature_dir = signatures.c_str();
        engine_options.work_dir = work.c_str();
        engine_options.workers = 1;
        ASSERT_EQ(ERR_OK, engines_open(loop, &engine_options, &kUser, this, &engines).code);
        address = "unix:" + dir + "/serve";
        struct scan_serve_options serve_options = {};
        const char *addresses[] = { address.c_str() };
        serve_options.addresses = addresses;
        serve_options.addresses_count = 1;
        serve_options.self = scanner_self.get();
        serve_options.budget = &budget;
        serve_options.waiting_max = 1;
        ASSERT_EQ(ERR_OK, scan_serve_open(loop, engines, &serve_options, &serve).code);
        options.patience_ms = 300;
        OpenPool({ address.c_str() });
        ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 1; }));
    }
    void TearDown() override
    {
        auto *closing = serve;
        serve = nullptr;
        scan_serve_close(closing, [](void *holder) { *static_cast<bool *>(holder) = true; }, &closed);
        EXPECT_TRUE(Until([&] { return closed; }));
        engines_close(engines);
        close(engine_options.program);
        EXPECT_TRUE(fs::is_empty(work));
        ScanCall::TearDown();
    }
    struct engines_status Status() const
    {
        struct engines_status status;
        engines_status(engines, &status);
        return status;
    }
    // The only worker; 0 while it is being replaced.
    pid_t Worker() const
    {
        pid_t worker = 0;
        return engines_pids(engines, &worker, 1) == 1 ? worker : 0;
    }
    // Stops the worker, and sees to it that a message is in its hands.
    pid_t HandOver(Call *call)
    {
        pid_t worker = Worker();
        EXPECT_EQ(0, kill(worker, SIGSTOP));
        Start(call);
        EXPECT_TRUE(Until([&] { return Status().busy == 1; }));
        return worker;
    }
};

TEST_F(ScanServe, AMessageWhoseWorkerDiesIsScannedAgain)
{
    Call call;
    ASSERT_EQ(0, kill(HandOver(&call), SIGKILL));
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_OK, call.err.code);
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), call.verdict);
    EXPECT_EQ(1u, Status().workers_lost);
}

TEST_F(ScanServe, AMessageThatEndsTwoWorkersGetsNoVerdict)
{
    // So large that each worker is still at it when it is killed.
    struct body *large = Body(BigMail(20 << 20));
    Call call;
    Start(&call, large);
    std::vector<pid_t> killed;
    ASSERT_TRUE(Until([&] {
        pid_t worker = Worker();
        if (worker != 0 && Status().busy == 1 && (killed.empty() || killed.back() != worker)) {
            kill(worker, SIGKILL);
            killed.push_back(worker);
        }
        return call.dones > 0;
    }));
    EXPECT_EQ(ERR_UNREACHABLE, call.err.code);
    EXPECT_EQ(2u, killed.size());
    EXPECT_EQ(2u, Status().workers_lost);
    body_unref(large);
    // The next message finds a worker again.
    Call next;
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 1 && Worker() != 0; }));
    Start(&next);
    ASSERT_TRUE(Ended(&next));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), next.verdict);
}

TEST_F(ScanServe, ACancelledCallFreesItsWorker)
{
    Call call, next;
    HandOver(&call);
    scan_call_cancel(call.call);
    ASSERT_TRUE(Until([&] { return scan_serve_open_calls(serve) == 0; }));
    Start(&next);
    ASSERT_TRUE(Ended(&next));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), next.verdict);
    EXPECT_EQ(0u, call.dones);
}

TEST_F(ScanServe, WhatCanNotWaitIsTurnedAway)
{
    Call first, second, third;
    int64_t busy = metric_get(METRIC_SCAN_BUSY, 0);
    pid_t worker = HandOver(&first);
    Start(&second);
    ASSERT_TRUE(Until([&] { return scan_serve_open_calls(serve) == 2; }));
    Start(&third);
    ASSERT_TRUE(Ended(&third));
    EXPECT_EQ(ERR_UNREACHABLE, third.err.code);
    EXPECT_EQ(0u, first.dones + second.dones);
    EXPECT_GT(metric_get(METRIC_SCAN_BUSY, 0), busy);
    ASSERT_EQ(0, kill(worker, SIGCONT));
    ASSERT_TRUE(Ended(&first));
    ASSERT_TRUE(Ended(&second));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), first.verdict);
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), second.verdict);
}

TEST_F(ScanServe, CountsWhatItDoes)
{
    struct body *infected = Body(EicarMails()[0].text);
    int64_t clean = metric_get(METRIC_SCANS, 0), found = metric_get(METRIC_SCANS, 1), times = metric_get(METRIC_SCAN_TIME, 0);
    Call one, two;
    Start(&one);
    ASSERT_TRUE(Ended(&one));
    Start(&two, infected);
    ASSERT_TRUE(Ended(&two));
    body_unref(infected);
    EXPECT_EQ(clean + 1, metric_get(METRIC_SCANS, 0));
    EXPECT_EQ(found + 1, metric_get(METRIC_SCANS, 1));
    EXPECT_EQ(times + 2, metric_get(METRIC_SCAN_TIME, 0));
    std::vector<char> bytes(METRICS_TEXT_MAX_BYTES);
    struct buf to;
    buf_init(&to, bytes.data(), bytes.size());
    const struct metrics_text text = { SPAN("s_"), &to };
    scan_serve_metrics(serve, &text);
    std::string all(bytes.data(), to.len);
    for (const char *line : { "s_scans_open 0\n", "s_scans_waiting 0\n", "s_ready 1\n", "s_rpc_calls_total{method=\"Scan\",status=\"OK\"} 2\n",
                              "# TYPE s_rpc_calls_total counter\n", "s_rpc_calls_open 1\n", "s_rpc_connections_open 1\n" }) {
        EXPECT_NE(std::string::npos, all.find(line)) << line << all;
    }
}

TEST_F(ScanServe, SignaturesThatAreTooOldEndReadiness)
{
    scan_serve_set_old(serve, true);
    EXPECT_STREQ("the virus signatures are too old", scan_serve_missing(serve).ptr);
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 0; })); // whoever watches was told
    scan_serve_set_old(serve, false);
    EXPECT_EQ(0u, scan_serve_missing(serve).len);
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 1; }));
    // Who did not hear in time is turned away.
    Call call;
    scan_serve_set_old(serve, true);
    Start(&call);
    ASSERT_TRUE(Ended(&call));
    EXPECT_NE(ERR_OK, call.err.code);
}

// ---- the real program

class Scanner : public ScanCall {
protected:
    pid_t pid = 0;
    std::string signatures, address;

    void SetUp() override
    {
        ScanCall::SetUp();
        signatures = dir + "/signatures";
        fs::create_directories(signatures);
        fs::copy(MAIL_ROOT "/deploy/signatures/godwit.ndb", signatures);
        address = "unix:" + dir + "/data/scanner";
    }
    void Run(std::vector<std::string> more = {})
    {
        std::vector<std::string> arguments = { GODWIT_SCANNER, "--listen", address, "--data", dir + "/data",
                                               "--signatures", signatures, "--workers", "2" };
        arguments.insert(arguments.end(), more.begin(), more.end());
        std::vector<char *> pointers;
        for (auto &argument : arguments) pointers.push_back(argument.data());
        pointers.push_back(nullptr);
        pid = fork();
        if (pid == 0) {
            int null = open("/dev/null", O_WRONLY);
            dup2(null, STDERR_FILENO);
            execv(GODWIT_SCANNER, pointers.data());
            _exit(127);
        }
        ASSERT_GT(pid, 0);
    }
    int Stop(int number)
    {
        if (pid == 0) return -1;
        kill(pid, number);
        int status = 0;
        waitpid(pid, &status, 0);
        pid = 0;
        return status;
    }
    void TearDown() override
    {
        Stop(SIGKILL);
        ScanCall::TearDown();
    }
    void Connect()
    {
        OpenPool({ address.c_str() });
        ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 1; }));
    }
};

TEST_F(Scanner, ScansAndEndsCleanly)
{
    Run();
    Connect();
    for (const auto &mail : EicarMails()) {
        struct body *infected = Body(mail.text);
        Call call;
        Start(&call, infected);
        ASSERT_TRUE(Ended(&call));
        EXPECT_EQ(ERR_OK, call.err.code);
        EXPECT_EQ(uint32_t(SCAN_VERDICT_INFECTED), call.verdict) << mail.what;
        EXPECT_EQ(0u, call.name.find("Godwit.Test.EICAR")) << call.name;
        body_unref(infected);
    }
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < 50; i++) {
        calls.push_back(std::make_unique<Call>());
        Start(calls.back().get());
    }
    for (auto &call : calls) {
        ASSERT_TRUE(Ended(call.get()));
        EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), call->verdict);
    }
    int status = Stop(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
    EXPECT_TRUE(fs::is_empty(dir + "/data/workers"));
}

TEST_F(Scanner, ReloadsAtSighupWithoutLosingAScan)
{
    Run();
    Connect();
    std::ofstream(signatures + "/more.ndb") << "Godwit.Test.More:0:*:5445525249424c452d474f44574954\n";
    kill(pid, SIGHUP);
    struct body *terrible = Body("Subject: y\r\n\r\nTERRIBLE-GODWIT\r\n");
    ASSERT_TRUE(Until([&] {
        Call call;
        Start(&call, terrible);
        EXPECT_TRUE(Ended(&call));
        EXPECT_EQ(ERR_OK, call.err.code);
        return call.verdict == SCAN_VERDICT_INFECTED;
    }));
    body_unref(terrible);
}

TEST_F(Scanner, ASecondStartOnTheSameDataIsRefused)
{
    Run();
    Connect();
    pid_t first = pid;
    Run();
    int status = 0;
    ASSERT_EQ(pid, waitpid(pid, &status, 0));
    pid = first;
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 1) << status;
    EXPECT_EQ(1u, scan_pool_ready(pool));
}

// A port that nobody listens on.
unsigned FreePort()
{
    struct sockaddr_in at = {};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(0, bind(fd, reinterpret_cast<struct sockaddr *>(&at), size));
    EXPECT_EQ(0, getsockname(fd, reinterpret_cast<struct sockaddr *>(&at), &size));
    close(fd);
    return ntohs(at.sin_port);
}

// The whole answer, or nothing.
std::string Get(unsigned port, const std::string &path)
{
    struct sockaddr_in to = {};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_family = AF_INET;
    to.sin_port = htons(uint16_t(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string in, out = "GET " + path + " HTTP/1.0\r\n\r\n";
    if (connect(fd, reinterpret_cast<struct sockaddr *>(&to), sizeof(to)) == 0 &&
        send(fd, out.data(), out.size(), MSG_NOSIGNAL) == ssize_t(out.size())) {
        char bytes[4096];
        for (ssize_t n; (n = recv(fd, bytes, sizeof(bytes), 0)) > 0;) in.append(bytes, size_t(n));
    }
    close(fd);
    return in;
}

TEST_F(Scanner, FollowsTheConfigurationAndTellsOfItself)
{
    unsigned port = FreePort();
    std::string script = dir + "/update";
    // Its folder is its one argument; a second run would fail, which is said and harms nothing.
    std::ofstream(script) << "#!/bin/sh\nset -e\ntest $# = 1\ntest ! -e \"$1/more.ndb\"\n"
                             "echo Godwit.Test.More:0:*:5445525249424c452d474f44574954 > \"$1/more.ndb\"\n";
    fs::permissions(script, fs::perms::owner_all | fs::perms::group_exec | fs::perms::others_exec | fs::perms::others_read);
    fs::permissions(signatures, fs::perms::all);
    fs::create_directories(dir + "/coord");
    const struct passwd *nobody = getpwnam("nobody");
    bool root = geteuid() == 0; // then the scanner is nobody, and has to be able to read
    if (root) ASSERT_EQ(0, chown((dir + "/coord").c_str(), nobody->pw_uid, nobody->pw_gid));
    auto set = [&](const std::string &json) {
        pid_t child = fork();
        if (child == 0) {
            const struct coord_row row = { SPAN("policy/config"), span_of(json.data(), json.size()), COORD_ANY };
            if (root && (setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0)) _exit(2);
            _exit(coord_put((dir + "/coord").c_str(), &row).code == ERR_OK ? 0 : 1);
        }
        int status = -1;
        ASSERT_EQ(child, waitpid(child, &status, 0));
        ASSERT_EQ(0, status);
    };
    set("{\"scan.files.max\":\"1000\"}");
    Run({ "--coord", dir + "/coord", "--metrics", "127.0.0.1:" + std::to_string(port), "--updater", script });
    Connect();
    EXPECT_EQ(0u, Get(port, "/healthz").find("HTTP/1.1 200 OK"));
    EXPECT_EQ(0u, Get(port, "/readyz").find("HTTP/1.1 200 OK"));
    // The updater has run, and what it brought is in use without anybody's asking.
    ASSERT_TRUE(Until([&] { return Get(port, "/metrics").find("godwit_scanner_signatures 2\n") != std::string::npos; })) << Get(port, "/metrics");
    auto verdict = [&](struct body *body) {
        Call call;
        Start(&call, body);
        EXPECT_TRUE(Ended(&call));
        return call.err.code == ERR_OK ? call.verdict : 0;
    };
    struct body *archive = Body(ArchiveMail(1, 20));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), verdict(archive));
    set("{\"scan.files.max\":\"5\"}");
    EXPECT_TRUE(Until([&] { return verdict(archive) == SCAN_VERDICT_UNCHECKABLE; }));
    set("{\"scan.files.max\":\"many\"}"); // refused: what was in force stays
    set("{\"scan.signatures.age.max\":\"1s\"}");
    EXPECT_TRUE(Until([&] { return scan_pool_ready(pool) == 0; }));
    EXPECT_EQ(0u, Get(port, "/readyz").find("HTTP/1.1 503 "));
    EXPECT_NE(std::string::npos, Get(port, "/readyz").find("the virus signatures are too old\n"));
    EXPECT_EQ(0u, Get(port, "/healthz").find("HTTP/1.1 200 OK"));
    set("{}");
    EXPECT_TRUE(Until([&] { return scan_pool_ready(pool) == 1; }));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), verdict(archive));
    body_unref(archive);
    std::string metrics = Get(port, "/metrics");
    EXPECT_NE(std::string::npos, metrics.find("godwit_scanner_scans_total{verdict=\"uncheckable\"} ")) << metrics;
    EXPECT_NE(std::string::npos, metrics.find("godwit_scanner_workers{state=\"idle\"} 2\n")) << metrics;
    EXPECT_NE(std::string::npos, metrics.find("godwit_scanner_signatures_version{version=\"")) << metrics;
    int status = Stop(SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST_F(Scanner, BadOptionsAreRefused)
{
    const std::vector<std::vector<std::string>> cases = {
        { "--workers", "1000" }, { "--workers", "x" }, { "--workers", "-1" }, { "--scan-ms", "" },
        { "--sandbox", "none" }, { "--colour", "blue" }, { "stray" },
        { "--waiting", "0" }, { "--poll-ms", "18446744073709551617" }, { "--scan-ms", "99" },
        { "--poll-ms", "86400001" }, { "--user", "root" }, { "--user", "nobody-of-this-name" },
        { "--advertise", "127.0.0.1:7001" }, // without a store there is no list to be in
    };
    for (const auto &more : cases) {
        Run(more);
        int status = 0;
        ASSERT_EQ(pid, waitpid(pid, &status, 0));
        pid = 0;
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 2) << more[0] << " " << status;
    }
}

}  // namespace
