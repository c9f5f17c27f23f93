// The real zygote and its workers, with a set of signatures that knows EICAR only.
#include <gtest/gtest.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "clock.h"
#include "engines.h"
#include "loop.h"
#include "sandbox.h"
#include "scan_mail.h"
#include "verdict.h"

namespace {

namespace fs = std::filesystem;
#ifdef MAIL_SANITIZED
constexpr unsigned kSlow = 5;
#else
constexpr unsigned kSlow = 1;
#endif
constexpr uint64_t kPatienceMs = 50000 * kSlow;

struct Job {
    struct engines_job job = {};
    bool done = false;
    struct engines_result result = {};

    static void Done(struct engines_job *job, const struct engines_result *result)
    {
        auto *self = reinterpret_cast<Job *>(job); // the first member
        EXPECT_FALSE(self->done);
        self->done = true;
        self->result = *result;
    }
    ~Job() { body_unref(job.body); }
    std::string Part(unsigned i = 0) const
    {
        return std::string(result.findings[i].part, result.findings[i].part_len);
    }
    enum verdict Verdict() const { return verdict_of(&result); }
    std::string Name(unsigned i = 0) const
    {
        return std::string(result.findings[i].name, result.findings[i].name_len);
    }
    std::string FileName(unsigned i = 0) const
    {
        return std::string(result.findings[i].file_name, result.findings[i].file_name_len);
    }
};

class Engines : public testing::Test {
protected:
    struct loop *loop = nullptr;
    struct engines *engines = nullptr;
    struct engines_options options;
    struct body_budget budget = {};
    std::string dir, signatures, work;
    std::vector<std::string> events;

    static void Changed(void *) {}
    static void Log(void *holder, enum engines_level, const char *event, struct span text)
    {
        static_cast<Engines *>(holder)->events.push_back(std::string(event) + ": " +
                                                         std::string(text.ptr ? text.ptr : "", text.len));
    }
    static constexpr struct engines_user kUser = { Changed, Log };

    void SetUp() override
    {
        char name[] = "/tmp/engines_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        chmod(name, 0755);
        signatures = dir + "/signatures";
        work = dir + "/work";
        fs::create_directories(signatures);
        fs::create_directories(work);
        for (const char *file : { "godwit.ndb", "godwit.hdb" }) {
            fs::copy(std::string(MAIL_ROOT "/deploy/signatures/") + file, signatures);
        }
        budget.memory_bytes_max = 64 << 20;
        budget.file_bytes_max = 1 << 30;
        budget.spill_dir = dir.c_str();
        engines_options_init(&options);
        options.limits.scan_ms *= 4 * kSlow; // a machine with much else to do
        options.program = open(GODWIT_SCANNER, O_RDONLY | O_CLOEXEC);
        ASSERT_GE(options.program, 0);
        options.signature_dir = signatures.c_str();
        options.work_dir = work.c_str();
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
    }
    void Open(unsigned workers)
    {
        options.workers = workers;
        ASSERT_EQ(ERR_OK, engines_open(loop, &options, &kUser, this, &engines).code);
        ASSERT_TRUE(Until([&] { return Status().ready && AllKnown(workers); })) << Events();
    }
    // A worker says itself that it is ready; its process id comes from the zygote, before or after.
    bool AllKnown(unsigned workers) const
    {
        return Status().workers == workers && Pids().size() == workers;
    }
    void TearDown() override
    {
        engines_close(engines);
        loop_free(loop);
        close(options.program);
        EXPECT_TRUE(fs::is_empty(work));
        fs::remove_all(dir);
        EXPECT_EQ(0u, budget.memory_bytes);
    }
    std::string Events() const
    {
        std::string all;
        for (const auto &event : events) all += event + "\n";
        return all;
    }
    bool Saw(const std::string &start) const
    {
        for (const auto &event : events) {
            if (event.rfind(start, 0) == 0) return true;
        }
        return false;
    }
    struct engines_status Status() const
    {
        struct engines_status status;
        engines_status(engines, &status);
        return status;
    }
    bool Until(const std::function<bool()> &is)
    {
        uint64_t end_ms = clock_boot_ms() + kPatienceMs;
        while (!is()) {
            if (clock_boot_ms() > end_ms) return false;
            loop_step(loop, 20);
        }
        return true;
    }
    std::unique_ptr<Job> Begin(const std::string &message)
    {
        auto job = std::make_unique<Job>();
        EXPECT_EQ(ERR_OK, body_new(&budget, &job->job.body).code);
        EXPECT_EQ(ERR_OK, body_put(job->job.body, span_of(message.data(), message.size())).code);
        EXPECT_EQ(ERR_OK, body_seal(job->job.body).code);
        job->job.done = Job::Done;
        EXPECT_TRUE(Until([&] { return Status().busy < Status().workers; }));
        EXPECT_EQ(ERR_OK, engines_scan(engines, &job->job).code);
        return job;
    }
    std::unique_ptr<Job> Scan(const std::string &message)
    {
        auto job = Begin(message);
        EXPECT_TRUE(Until([&] { return job->done; })) << Events();
        return job;
    }
    std::vector<pid_t> Pids() const
    {
        pid_t pids[64];
        return std::vector<pid_t>(pids, pids + engines_pids(engines, pids, 64));
    }
};

TEST_F(Engines, FindsEicarInEveryWrapping)
{
    Open(1);
    for (const auto &mail : EicarMails()) {
        auto job = Scan(mail.text);
        EXPECT_EQ(VERDICT_INFECTED, job->Verdict()) << mail.what << " outcome " << job->result.outcome;
        ASSERT_GE(job->result.findings_count, 1u) << mail.what;
        EXPECT_EQ(0u, job->Name().find("Godwit.Test.EICAR")) << mail.what << job->Name();
        if (mail.part != nullptr) EXPECT_EQ(mail.part, job->Part()) << mail.what;
        if (mail.file_name != nullptr) EXPECT_EQ(mail.file_name, job->FileName()) << mail.what;
        EXPECT_EQ(Status().signatures_ms, job->result.signatures_ms);
        EXPECT_GT(job->result.version_len, 0u);
    }
    EXPECT_EQ(0u, Status().workers_lost);
}

TEST_F(Engines, HarmlessMailIsClean)
{
    Open(1);
    for (const auto &mail : HarmlessMails()) {
        auto job = Scan(mail.text);
        EXPECT_EQ(VERDICT_CLEAN, job->Verdict()) << mail.what << " " << job->Name();
        EXPECT_EQ(0u, job->result.findings_count) << mail.what;
    }
}

TEST_F(Engines, EncryptedArchivesCanNotBeChecked)
{
    Open(1);
    auto job = Scan(EncryptedZipMail());
    EXPECT_EQ(VERDICT_UNCHECKABLE, job->Verdict()) << job->Name() << job->result.outcome;
}

TEST_F(Engines, ArchiveBombsAreBounded)
{
    options.limits.reach.scan_bytes_max = 32 << 20;
    options.limits.reach.file_bytes_max = 16 << 20;
    Open(1);
    auto job = Scan(ZipBombMail());
    EXPECT_EQ(VERDICT_UNCHECKABLE, job->Verdict()) << job->Name() << job->result.outcome;
    EXPECT_EQ(0u, Status().workers_lost);
    EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: after\r\n\r\nx\r\n")->Verdict());
}

// What is changed counts for the next message, of the same worker.
TEST_F(Engines, TheReachChangesWithTheNextMessage)
{
    Open(1);
    auto pids = Pids();
    const struct { unsigned recursion, files; uint64_t bytes; std::string mail; enum verdict verdict; } cases[] = {
        { 17, 10000, 400u << 20, ArchiveMail(3, 3), VERDICT_CLEAN },
        { 3, 10000, 400u << 20, ArchiveMail(1, 3), VERDICT_CLEAN },
        { 3, 10000, 400u << 20, ArchiveMail(3, 3), VERDICT_UNCHECKABLE }, // too deep
        { 17, 10000, 400u << 20, ArchiveMail(3, 3), VERDICT_CLEAN },
        { 17, 5, 400u << 20, ArchiveMail(1, 20), VERDICT_UNCHECKABLE },   // too many
        { 17, 100, 400u << 20, ArchiveMail(1, 20), VERDICT_CLEAN },
        { 17, 10000, 1u << 20, ZipBombMail(), VERDICT_UNCHECKABLE },      // too much
        { 17, 10000, 400u << 20, ArchiveMail(1, 20), VERDICT_CLEAN },
    };
    for (const auto &c : cases) {
        struct engines_reach reach = { c.bytes, std::min<uint64_t>(c.bytes, ENGINES_FILE_BYTES_MAX), c.files, c.recursion };
        engines_set_reach(engines, &reach);
        auto job = Scan(c.mail);
        EXPECT_EQ(c.verdict, job->Verdict()) << c.recursion << " " << c.files << " " << c.bytes << ": " << job->Name() << job->result.outcome;
    }
    EXPECT_EQ(pids, Pids());
    EXPECT_EQ(0u, Status().workers_lost);
    EXPECT_EQ(1u, Status().idle);
    EXPECT_EQ(0u, Status().at_work + Status().starting + Status().dying);
}

TEST_F(Engines, WorkersCanNotGetOut)
{
    Open(2);
    auto status = Status();
    // The same attempts succeed where nothing holds them, or they would show nothing.
    const uint32_t all = SANDBOX_REACH_NETWORK | SANDBOX_REACH_PROGRAM | SANDBOX_REACH_PROCESS |
                         SANDBOX_REACH_FILE | SANDBOX_REACH_CODE | SANDBOX_REACH_WRITE;
    EXPECT_EQ(all, status.reach_before & all);
    EXPECT_EQ(0u, status.reach_after);
    EXPECT_TRUE(sandbox_is_enough(status.sandbox));
    EXPECT_FALSE(sandbox_is_enough(status.sandbox & ~uint32_t(SANDBOX_SECCOMP)));
    // Seen from outside: filtered, no new privileges, not root, no rights.
    for (pid_t pid : Pids()) {
        std::ifstream file("/proc/" + std::to_string(pid) + "/status");
        std::string line, text;
        while (std::getline(file, line)) text += line + "\n";
        EXPECT_NE(std::string::npos, text.find("Seccomp:\t2")) << text;
        EXPECT_NE(std::string::npos, text.find("NoNewPrivs:\t1")) << text;
        EXPECT_NE(std::string::npos, text.find("CapEff:\t0000000000000000")) << text;
        EXPECT_EQ(std::string::npos, text.find("Uid:\t0\t")) << text;
    }
}

TEST_F(Engines, AKilledWorkerLosesItsMessageAndIsReplaced)
{
    Open(1);
    pid_t pid = Pids().at(0);
    ASSERT_EQ(0, kill(pid, SIGSTOP));
    auto job = Begin("Subject: x\r\n\r\nx\r\n");
    ASSERT_EQ(0, kill(pid, SIGKILL));
    ASSERT_TRUE(Until([&] { return job->done; }));
    EXPECT_EQ(ENGINES_LOST, job->result.outcome);
    EXPECT_EQ(VERDICT_NONE, job->Verdict());
    EXPECT_TRUE(verdict_worth_again(&job->result));
    ASSERT_TRUE(Until([&] { return AllKnown(1); })) << Events();
    EXPECT_NE(pid, Pids()[0]);
    EXPECT_EQ(1u, Status().workers_lost);
    EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: x\r\n\r\nx\r\n")->Verdict());
}

TEST_F(Engines, AKilledZygoteIsReplacedWithItsWorkers)
{
    Open(2);
    auto before = Pids();
    ASSERT_EQ(2u, before.size());
    for (pid_t pid : before) ASSERT_EQ(0, kill(pid, SIGSTOP));
    auto job = Begin("Subject: x\r\n\r\nx\r\n");
    std::ifstream stat("/proc/" + std::to_string(before[0]) + "/stat");
    std::string line;
    std::getline(stat, line);
    // pid (name) state parent
    pid_t zygote = pid_t(std::stol(line.substr(line.rfind(')') + 4)));
    ASSERT_GT(zygote, 1);
    ASSERT_EQ(0, kill(zygote, SIGKILL));
    ASSERT_TRUE(Until([&] { return job->done; })) << Events();
    EXPECT_EQ(ENGINES_LOST, job->result.outcome);
    ASSERT_TRUE(Until([&] { return Status().ready && Status().workers == 2; })) << Events();
    EXPECT_TRUE(Saw("zygote-died")) << Events();
    for (pid_t pid : before) {
        // None is left behind, even a stopped one.
        EXPECT_TRUE(Until([&] {
            std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
            std::string text;
            return !std::getline(file, text) || text[text.rfind(')') + 2] == 'Z';
        })) << pid;
    }
    EXPECT_EQ(VERDICT_INFECTED, Scan(EicarMails()[0].text)->Verdict());
}

TEST_F(Engines, AMessageThatTakesTooLongGetsNoVerdict)
{
    options.limits.scan_ms = 200;
    Open(1);
    pid_t pid = Pids().at(0);
    ASSERT_EQ(0, kill(pid, SIGSTOP));
    auto job = Begin("Subject: x\r\n\r\nx\r\n");
    ASSERT_TRUE(Until([&] { return job->done; }));
    EXPECT_EQ(ENGINES_NO_TIME, job->result.outcome);
    EXPECT_EQ(VERDICT_NONE, job->Verdict());
    ASSERT_TRUE(Until([&] { return Status().workers == 1; }));
    EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: x\r\n\r\nx\r\n")->Verdict());
}

TEST_F(Engines, TheEnginesOwnTimeLimitIsNoVerdict)
{
    options.limits.scan_ms = 100;
    Open(1);
    auto job = Scan(BigMail(40 << 20));
    EXPECT_EQ(VERDICT_NONE, job->Verdict()) << job->Name() << " " << job->result.outcome;
}

TEST_F(Engines, LargeMessages)
{
    Open(1);
    auto job = Scan(BigMail(48 << 20));
    EXPECT_EQ(VERDICT_CLEAN, job->Verdict()) << job->Name() << " " << job->result.outcome;
}

#ifndef MAIL_SANITIZED
TEST_F(Engines, AMessageThatNeedsTooMuchMemoryGetsNoVerdict)
{
    options.limits.memory_bytes = 32 << 20;
    Open(1);
    pid_t pid = Pids().at(0);
    auto job = Scan(BigMail(40 << 20));
    EXPECT_EQ(ENGINES_NO_MEMORY, job->result.outcome);
    EXPECT_EQ(VERDICT_NONE, job->Verdict());
    // What may be left in a bad state is not used again.
    ASSERT_TRUE(Until([&] { return Status().workers == 1 && Pids().at(0) != pid; }));
    EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: x\r\n\r\nx\r\n")->Verdict());
}
#endif

TEST_F(Engines, PartsAreFoundWhateverTheirPlace)
{
    Open(1);
    auto leaf = [](const std::string &more, const std::string &text) {
        return "Content-Type: text/plain" + more + "\r\n\r\n" + text + "\r\n";
    };
    const std::string bad = Eicar(), head = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=";
    const struct { const char *what; std::string text; const char *part, *file_name; } cases[] = {
        { "third of three", head + "a\r\n\r\n--a\r\n" + leaf("", "x") + "--a\r\n" + leaf("", "y") + "--a\r\n" +
              leaf("; name=three.txt", bad) + "--a--\r\n", "3", "three.txt" },
        { "multipart in multipart", head + "a\r\n\r\n--a\r\n" + leaf("", "x") + "--a\r\n" + head + "b\r\n\r\n--b\r\n" +
              leaf("", bad) + "--b--\r\n--a--\r\n", "2.1", "" },
        { "a forwarded message of one part", head + "a\r\n\r\n--a\r\n" + leaf("", "x") + "--a\r\n" +
              "Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\n" + bad + "\r\n--a--\r\n", "2.1", "" },
        { "a boundary that never comes again", head + "a\r\n\r\n--a\r\n" + leaf("", bad), "1", "" },
        { "base64 with junk between", "Content-Transfer-Encoding: base64\r\n\r\nWDVPIVAlQEFQWzRcUFpYNTQoUF4pN0NDKT!!"
              "d9JEVJQ0FSLVNUQU5EQVJELUFOVElW\r\n*%-SVJVUy1URVNULUZJTEUhJEgrSCo=\r\n", "1", "" },
        { "disposition before type", "Content-Type: text/plain; name=b.txt\r\n"
              "Content-Disposition: attachment; filename=\"a b.txt\"\r\n\r\n" + bad + "\r\n", "1", "a b.txt" },
    };
    for (const auto &c : cases) {
        auto job = Scan(c.text);
        EXPECT_EQ(VERDICT_INFECTED, job->Verdict()) << c.what;
        EXPECT_EQ(c.part, job->Part()) << c.what;
        EXPECT_EQ(c.file_name, job->FileName()) << c.what;
        EXPECT_EQ(1u, job->result.findings_count) << c.what;
    }
}

TEST_F(Engines, ACancelledMessageIsForgotten)
{
    Open(1);
    ASSERT_EQ(0, kill(Pids().at(0), SIGSTOP));
    auto job = Begin("Subject: x\r\n\r\nx\r\n");
    engines_cancel(engines, &job->job);
    ASSERT_TRUE(Until([&] { return Status().workers == 1 && Status().busy == 0; }));
    EXPECT_FALSE(job->done);
    engines_cancel(engines, &job->job);
    struct engines_job none = {};
    none.body = job->job.body;
    EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: x\r\n\r\nx\r\n")->Verdict());
}

TEST_F(Engines, AGoodSetReplacesTheOldOneBetweenMessages)
{
    Open(2);
    auto before = Pids();
    EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: x\r\n\r\nTERRIBLE-GODWIT\r\n")->Verdict());
    std::ofstream(signatures + "/more.ndb") << "Godwit.Test.More:0:*:5445525249424c452d474f44574954\n";
    engines_reload(engines);
    unsigned scans = 0;
    ASSERT_TRUE(Until([&] {
        auto job = Scan("Subject: y\r\n\r\nTERRIBLE-GODWIT\r\n");
        scans++;
        EXPECT_NE(VERDICT_NONE, job->Verdict()); // none is lost meanwhile
        return job->Verdict() == VERDICT_INFECTED;
    })) << Events();
    ASSERT_TRUE(Until([&] {
        auto now = Pids();
        for (pid_t pid : before) {
            for (pid_t other : now) {
                if (pid == other) return false;
            }
        }
        return now.size() == 2;
    })) << Events();
    EXPECT_EQ(3u, Status().signatures);
    EXPECT_EQ(0u, Status().workers_lost);
    EXPECT_EQ(engines_folder_stamp(signatures.c_str()), Status().live_stamp);
    EXPECT_EQ(2u, Status().sets_proved);
    ASSERT_TRUE(Until([&] { return !Status().is_replacing; })) << Events();
    EXPECT_EQ(1u, Status().sets);
}

TEST_F(Engines, NeverMoreThanTwoSetsAreInMemory)
{
    Open(1);
    pid_t pid = Pids().at(0);
    ASSERT_EQ(0, kill(pid, SIGSTOP));
    auto held = Begin("Subject: x\r\n\r\nx\r\n"); // keeps its worker, and so its set
    unsigned most = 0;
    engines_reload(engines);
    ASSERT_TRUE(Until([&] { return Status().sets_proved == 2; })) << Events();
    EXPECT_TRUE(Status().is_replacing);
    engines_reload(engines);
    engines_reload(engines);
    for (int i = 0; i < 20; i++) { // it goes on with the one that is proved
        EXPECT_EQ(VERDICT_CLEAN, Scan("Subject: y\r\n\r\ny\r\n")->Verdict());
        most = std::max(most, Status().sets);
    }
    EXPECT_EQ(2u, most);
    EXPECT_TRUE(Status().is_loading);
    EXPECT_EQ(2u, Status().sets_proved);
    ASSERT_EQ(0, kill(pid, SIGCONT));
    ASSERT_TRUE(Until([&] {
        most = std::max(most, Status().sets);
        return Status().sets_proved == 3 && !Status().is_replacing;
    })) << Events();
    EXPECT_EQ(unsigned(ENGINES_SETS_MAX), most);
    EXPECT_TRUE(held->done);
    EXPECT_EQ(VERDICT_CLEAN, held->Verdict());
}

TEST_F(Engines, ASetHasOneNameWhereverItLies)
{
    const std::string other = dir + "/other";
    auto digest = [](const std::string &folder) { return engines_folder_digest(folder.c_str()); };
    uint64_t first = digest(signatures), stamp = engines_folder_stamp(signatures.c_str());
    fs::copy(signatures, other);
    EXPECT_EQ(first, digest(other)); // other dates and inodes
    EXPECT_NE(stamp, engines_folder_stamp(other.c_str()));
    const std::vector<std::function<void()>> changes = {
        [&] { std::ofstream(other + "/godwit.ndb", std::ios::app) << "x"; },
        [&] { std::ofstream(other + "/empty.ndb") << ""; },
        [&] { fs::rename(other + "/empty.ndb", other + "/none.ndb"); },
        [&] { fs::remove(other + "/godwit.hdb"); },
        [&] { std::ofstream(other + "/big.ndb") << std::string((1 << 20) + 7, 'a'); },
        [&] { std::ofstream(other + "/big.ndb") << std::string((1 << 20) + 6, 'a') + "b"; },
        [&] { fs::remove_all(other); }, // no folder has a name too, and no file another
        [&] { fs::create_directories(other); },
    };
    std::vector<uint64_t> seen = { first };
    for (size_t i = 0; i < changes.size(); i++) {
        changes[i]();
        uint64_t now = digest(other), before = engines_folder_stamp(other.c_str());
        EXPECT_EQ(now, digest(other)) << i;
        EXPECT_NE(0u, now);
        EXPECT_NE(0u, before);
        if (i + 1 < changes.size()) {
            EXPECT_EQ(seen.end(), std::find(seen.begin(), seen.end(), now)) << i;
        }
        seen.push_back(now);
    }
}

TEST_F(Engines, BadSetsKeepTheOldOne)
{
    Open(1);
    auto before = Pids();
    const struct { const char *what, *file, *text, *event; } cases[] = {
        { "corrupt", "broken.ndb", "this is no signature\n", "signatures-refused" },
        { "finds everything", "all.ndb", "Godwit.Test.All:0:*:676f64776974\n", "set-refused" },
    };
    for (const auto &c : cases) {
        events.clear();
        unsigned refused = Status().sets_refused;
        std::ofstream(signatures + "/" + c.file) << c.text;
        engines_reload(engines);
        ASSERT_TRUE(Until([&] { return Status().sets_refused == refused + 1; })) << c.what << Events();
        EXPECT_TRUE(Saw(c.event)) << c.what << Events();
        EXPECT_TRUE(Status().refused_is_bad) << c.what;
        EXPECT_EQ(engines_folder_stamp(signatures.c_str()), Status().refused_stamp) << c.what;
        EXPECT_GT(Status().refused_why.len, 0u) << c.what;
        EXPECT_NE(Status().live_stamp, Status().refused_stamp) << c.what;
        EXPECT_TRUE(Status().ready) << c.what;
        EXPECT_EQ(before, Pids()) << c.what;
        EXPECT_EQ(VERDICT_INFECTED, Scan(EicarMails()[0].text)->Verdict()) << c.what;
        fs::remove(signatures + "/" + c.file);
    }
    fs::remove(signatures + "/godwit.ndb");
    fs::remove(signatures + "/godwit.hdb");
    std::ofstream(signatures + "/other.ndb") << "Godwit.Test.Other:0:*:5445525249424c45\n";
    unsigned refused = Status().sets_refused;
    engines_reload(engines);
    ASSERT_TRUE(Until([&] { return Status().sets_refused == refused + 1; })) << Events();
    EXPECT_TRUE(Saw("set-refused: it does not find EICAR")) << Events();
    EXPECT_EQ(before, Pids());
}

TEST_F(Engines, WithoutASetThereIsNoReadiness)
{
    fs::remove(signatures + "/godwit.ndb");
    fs::remove(signatures + "/godwit.hdb");
    options.workers = 1;
    ASSERT_EQ(ERR_OK, engines_open(loop, &options, &kUser, this, &engines).code);
    ASSERT_TRUE(Until([&] { return Status().sets_refused >= 2; })) << Events();
    EXPECT_FALSE(Status().ready);
    Job job;
    EXPECT_EQ(ERR_BUSY, engines_scan(engines, &job.job).code);
    fs::copy(MAIL_ROOT "/deploy/signatures/godwit.ndb", signatures);
    ASSERT_TRUE(Until([&] { return Status().ready; })) << Events();
}

}  // namespace
