// The pool of scanners: against scripted scanners, and against the real program.
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "buf.h"
#include "clock.h"
#include "coord.h"
#include "engines.h"
#include "loop.h"
#include "metrics.h"
#include "metrics_text.h"
#include "rpc.h"
#include "rpc_server.h"
#include "scan_balance.h"
#include "scan_call.h"
#include "scan_mail.h"
#include "scan_msg.h"
#include "scan_serve.h"
#include "test_self.h"

namespace {

namespace fs = std::filesystem;
constexpr uint64_t kPatienceMs = 30000;

struct Call {
    struct scan_call *call = nullptr;
    unsigned dones = 0;
    struct err err = {};
    uint32_t verdict = 0;
    std::string name, part, file;
    std::function<void()> then;

    static void Done(void *holder, struct err err, const struct scan_scan_reply *reply)
    {
        auto *self = static_cast<Call *>(holder);
        self->dones++;
        self->err = err;
        EXPECT_EQ(err.code == ERR_OK, reply != nullptr);
        if (reply != nullptr) {
            self->verdict = reply->verdict;
            if (reply->findings_count > 0) {
                const auto &finding = reply->findings[0];
                self->name.assign(finding.name.ptr, finding.name.len);
                self->part.assign(finding.part.ptr ? finding.part.ptr : "", finding.part.len);
                self->file.assign(finding.file_name.ptr ? finding.file_name.ptr : "", finding.file_name.len);
            }
        }
        if (self->then) self->then();
    }
};

// A scanner that does what the test says.
struct Fake {
    struct rpc_server *server = nullptr;
    std::string address;
    std::vector<struct rpc_serving *> scans, watches;
    std::function<void(Fake *, struct rpc_serving *)> on_scan;
    bool ready = true, closed = false, is_stopped = false;
    uint32_t workers = 2, busy = 0;
    std::vector<rpc_service_row> rows;
    test_self self = TestSelf(RPC_ROLE_SCANNER);

    void Tell(struct rpc_serving *serving)
    {
        struct scan_capacity_reply reply = {};
        reply.workers = workers;
        reply.busy = busy;
        reply.ready = ready;
        rpc_put_reply(serving, &reply);
    }
    void TellAll()
    {
        for (auto *serving : watches) {
            if (!rpc_serving_cancelled(serving)) Tell(serving);
        }
    }
    static void Scan(void *holder, struct rpc_serving *serving)
    {
        auto *self = static_cast<Fake *>(holder);
        self->scans.push_back(serving);
        if (self->on_scan) self->on_scan(self, serving);
    }
    static void Capacity(void *holder, struct rpc_serving *serving)
    {
        auto *self = static_cast<Fake *>(holder);
        self->watches.push_back(serving);
        if (!self->is_stopped) self->Tell(serving);
    }
    static void Closed(void *holder) { static_cast<Fake *>(holder)->closed = true; }
    void Open(struct loop *loop, struct body_budget *budget, const std::string &at)
    {
        address = at;
        closed = false;
        rows = { { SCAN_METHOD_SCAN, RPC_ROLE_FRONTEND, Scan },
                 { SCAN_METHOD_CAPACITY, RPC_ROLE_FRONTEND, Capacity } };
        struct rpc_server_options options = {};
        const char *addresses[] = { address.c_str() };
        options.addresses = addresses;
        options.addresses_count = 1;
        options.self = self.get();
        options.methods = scan_methods;
        options.methods_count = SCAN_METHODS;
        options.rows = rows.data();
        options.rows_count = unsigned(rows.size());
        options.holder = this;
        options.budget = budget;
        options.closed = Closed;
        ASSERT_EQ(ERR_OK, rpc_server_open(loop, &options, &server).code);
    }
    void Close()
    {
        if (server == nullptr) return;
        auto *closing = server;
        server = nullptr;
        rpc_server_close(closing);
        for (auto *serving : scans) rpc_finish(serving, err_make(ERR_CANCELLED, "test"), span_of(nullptr, 0));
        for (auto *serving : watches) rpc_finish(serving, err_make(ERR_CANCELLED, "test"), span_of(nullptr, 0));
        scans.clear();
        watches.clear();
    }
    void Answer(uint32_t verdict)
    {
        struct scan_scan_reply reply = {};
        reply.verdict = verdict;
        rpc_put_reply(scans.front(), &reply);
        rpc_finish(scans.front(), err_ok(), span_of(nullptr, 0));
        scans.erase(scans.begin());
    }
    void Fail(enum err_code code)
    {
        rpc_finish(scans.front(), err_make(code, "test"), span_of(nullptr, 0));
        scans.erase(scans.begin());
    }
};

class ScanCall : public testing::Test {
protected:
    struct loop *loop = nullptr;
    struct scan_pool *pool = nullptr;
    struct body *body = nullptr;
    struct body_budget budget = {};
    std::string dir;
    Fake fakes[3];
    unsigned opened = 0;
    struct scan_pool_options options = {};
    test_self self = TestSelf(RPC_ROLE_FRONTEND), scanner_self = TestSelf(RPC_ROLE_SCANNER);

    void SetUp() override
    {
        char name[] = "/tmp/scan_call_test_XXXXXX";
        ASSERT_NE(nullptr, mkdtemp(name));
        dir = name;
        chmod(name, 0755);
        budget.memory_bytes_max = 64 << 20;
        budget.file_bytes_max = 256 << 20;
        budget.spill_dir = dir.c_str();
        ASSERT_EQ(ERR_OK, loop_new(&loop).code);
        body = Body("Subject: x\r\n\r\nx\r\n");
    }
    struct body *Body(const std::string &text)
    {
        struct body *made;
        EXPECT_EQ(ERR_OK, body_new(&budget, &made).code);
        EXPECT_EQ(ERR_OK, body_put(made, span_of(text.data(), text.size())).code);
        EXPECT_EQ(ERR_OK, body_seal(made).code);
        return made;
    }
    void Open(unsigned count)
    {
        for (unsigned i = 0; i < count; i++) {
            fakes[i].Open(loop, &budget, "unix:" + dir + "/" + std::to_string(i));
        }
        opened = count;
        std::vector<const char *> addresses;
        for (unsigned i = 0; i < count; i++) addresses.push_back(fakes[i].address.c_str());
        OpenPool(addresses);
        ASSERT_TRUE(Until([&] {
            unsigned told = 0;
            for (unsigned i = 0; i < count; i++) told += !fakes[i].watches.empty();
            unsigned ready = 0;
            for (unsigned i = 0; i < count; i++) ready += fakes[i].ready;
            return told == count && scan_pool_ready(pool) == ready;
        }));
    }
    void OpenPool(const std::vector<const char *> &addresses)
    {
        options.addresses = addresses.data();
        options.addresses_count = unsigned(addresses.size());
        options.self = self.get();
        ASSERT_EQ(ERR_OK, scan_pool_new(loop, &options, &pool).code);
    }
    // These of the fakes are the pool from now on.
    void SetPool(const std::vector<unsigned> &which)
    {
        std::vector<struct span> addresses;
        for (unsigned i : which) addresses.push_back(span_of(fakes[i].address.data(), fakes[i].address.size()));
        ASSERT_EQ(ERR_OK, scan_pool_set(pool, addresses.data(), unsigned(addresses.size())).code);
    }
    void TearDown() override
    {
        scan_pool_free(pool);
        for (auto &fake : fakes) {
            bool open = fake.server != nullptr;
            fake.Close();
            EXPECT_TRUE(Until([&] { return !open || fake.closed; }));
        }
        body_unref(body);
        loop_run(loop);
        loop_free(loop);
        EXPECT_EQ(0u, budget.memory_bytes);
        fs::remove_all(dir);
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
    void Start(Call *call, struct body *what = nullptr)
    {
        struct scan_call_request request = {};
        request.sender = SPAN("a@example.org");
        struct body *scanned = what == nullptr ? body : what;
        ASSERT_EQ(ERR_OK, scan_call_start(pool, &request, scanned, Call::Done, call, &call->call).code);
        EXPECT_EQ(0u, call->dones); // never within the start
    }
    Fake *Asked()
    {
        Fake *asked = nullptr;
        EXPECT_TRUE(Until([&] {
            for (auto &fake : fakes) {
                if (!fake.scans.empty()) asked = &fake;
            }
            return asked != nullptr;
        }));
        return asked;
    }
    bool Ended(Call *call)
    {
        return Until([&] { return call->dones > 0; }) && call->dones == 1;
    }
};

TEST_F(ScanCall, VerdictsComeBack)
{
    Open(1);
    for (uint32_t verdict : { SCAN_VERDICT_CLEAN, SCAN_VERDICT_INFECTED, SCAN_VERDICT_UNCHECKABLE }) {
        Call call;
        Start(&call);
        Asked()->Answer(verdict);
        ASSERT_TRUE(Ended(&call));
        EXPECT_EQ(ERR_OK, call.err.code);
        EXPECT_EQ(verdict, call.verdict);
    }
}

TEST_F(ScanCall, EveryFailureMovesOn)
{
    Open(2);
    const struct { const char *what; std::function<void(Fake *)> fail; } cases[] = {
        { "no verdict", [](Fake *fake) { fake->Answer(SCAN_VERDICT_NONE); } },
        { "a verdict of the future", [](Fake *fake) { fake->Answer(99); } },
        { "no reply", [](Fake *fake) {
             rpc_finish(fake->scans.front(), err_ok(), span_of(nullptr, 0));
             fake->scans.clear();
         } },
        { "busy", [](Fake *fake) { fake->Fail(ERR_BUSY); } },
        { "timeout", [](Fake *fake) { fake->Fail(ERR_TIMEOUT); } },
        { "denied", [](Fake *fake) { fake->Fail(ERR_DENIED); } },
    };
    for (const auto &c : cases) {
        Call call;
        Start(&call);
        Fake *first = Asked();
        c.fail(first);
        Fake *second = Asked();
        EXPECT_NE(first, second) << c.what;
        second->Answer(SCAN_VERDICT_CLEAN);
        ASSERT_TRUE(Ended(&call)) << c.what;
        EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), call.verdict) << c.what;
    }
}

TEST_F(ScanCall, ADyingScannerMovesOn)
{
    Open(2);
    Call call;
    Start(&call);
    Fake *first = Asked();
    first->Close();
    Fake *second = Asked();
    ASSERT_NE(first, second);
    second->Answer(SCAN_VERDICT_INFECTED);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_INFECTED), call.verdict);
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 1 && first->closed; }));
    // It comes back and is found.
    first->Open(loop, &budget, first->address);
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 2; }));
}

TEST_F(ScanCall, NoVerdictFromAnyIsAnError)
{
    Open(2);
    Call call;
    Start(&call);
    Asked()->Answer(SCAN_VERDICT_NONE);
    Asked()->Answer(SCAN_VERDICT_NONE);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_UNREACHABLE, call.err.code);
    EXPECT_EQ(ERR_TEMPORARY, err_class(call.err));
}

TEST_F(ScanCall, ARefusalForGoodEndsAtOnce)
{
    Open(2);
    Call call;
    Start(&call);
    Asked()->Fail(ERR_TOO_BIG);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_TOO_BIG, call.err.code);
}

TEST_F(ScanCall, NobodyThere)
{
    options.patience_ms = 300;
    std::string address = "unix:" + dir + "/nobody";
    OpenPool({ address.c_str() });
    Call call;
    Start(&call);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_UNREACHABLE, call.err.code);
}

TEST_F(ScanCall, WaitsForOneToBeReady)
{
    Open(1);
    fakes[0].ready = false;
    fakes[0].TellAll();
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 0; }));
    Call call;
    Start(&call);
    loop_step(loop, 10);
    EXPECT_TRUE(fakes[0].scans.empty());
    fakes[0].ready = true;
    fakes[0].TellAll();
    Asked()->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_OK, call.err.code);
}

TEST_F(ScanCall, ReadinessIsToldWhenItIsNews)
{
    unsigned told = 0;
    options.changed = [](void *holder) { ++*static_cast<unsigned *>(holder); };
    options.holder = &told;
    Open(2);
    EXPECT_EQ(2u, told);
    fakes[0].busy = 1;
    fakes[0].TellAll(); // no news about readiness
    fakes[1].ready = false;
    fakes[1].TellAll();
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 1; }));
    EXPECT_EQ(3u, told);
    fakes[0].Close();
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 0; }));
    EXPECT_EQ(4u, told);
}

TEST_F(ScanCall, TheDeadlineIsOverAll)
{
    options.deadline_ms = 200;
    Open(1);
    Call call;
    Start(&call);
    Asked();
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_TIMEOUT, call.err.code);
}

TEST_F(ScanCall, ASlowScannerIsOvertaken)
{
    options.hedge_ms = 30;
    Open(2);
    Call call;
    Start(&call);
    Fake *slow = Asked();
    Fake *fast = slow == &fakes[0] ? &fakes[1] : &fakes[0];
    ASSERT_TRUE(Until([&] { return !fast->scans.empty(); }));
    fast->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), call.verdict);
    // The slow one is told that nobody waits any more.
    ASSERT_TRUE(Until([&] { return rpc_serving_cancelled(slow->scans.front()); }));
}

TEST_F(ScanCall, WorkGoesWhereThereIsLess)
{
    fakes[0].busy = 20;
    Open(2);
    std::vector<std::unique_ptr<Call>> calls;
    for (int i = 0; i < 10; i++) {
        calls.push_back(std::make_unique<Call>());
        Start(calls.back().get());
    }
    ASSERT_TRUE(Until([&] { return fakes[0].scans.size() + fakes[1].scans.size() == 10; }));
    EXPECT_EQ(10u, fakes[1].scans.size());
    while (!fakes[1].scans.empty()) fakes[1].Answer(SCAN_VERDICT_CLEAN);
    for (auto &call : calls) EXPECT_TRUE(Ended(call.get()));
}

// ---- scanners come and go

TEST_F(ScanCall, OneMoreIsUsedWithinAMoment)
{
    Open(1);
    fakes[0].busy = 5;
    fakes[0].TellAll();
    fakes[1].Open(loop, &budget, "unix:" + dir + "/1");
    SetPool({ 0, 1 });
    EXPECT_EQ(2u, scan_pool_known(pool));
    ASSERT_TRUE(Until([&] { return scan_pool_ready(pool) == 2; }));
    Call call;
    Start(&call);
    Fake *asked = Asked();
    EXPECT_EQ(&fakes[1], asked);
    asked->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
}

TEST_F(ScanCall, OneThatLeavesFinishesWhatItHasAndGetsNothingNew)
{
    Open(2);
    Call old;
    Start(&old);
    Fake *leaving = Asked();
    Fake *staying = leaving == &fakes[0] ? &fakes[1] : &fakes[0];
    staying->busy = 50; // it would get nothing if the other could
    staying->TellAll();
    SetPool({ staying == &fakes[0] ? 0u : 1u });
    EXPECT_EQ(1u, scan_pool_known(pool));
    EXPECT_EQ(1u, scan_pool_ready(pool));
    Call next;
    Start(&next);
    ASSERT_TRUE(Until([&] { return !staying->scans.empty(); }));
    EXPECT_EQ(1u, leaving->scans.size());
    EXPECT_FALSE(rpc_serving_cancelled(leaving->watches.front())); // still connected
    leaving->Answer(SCAN_VERDICT_INFECTED);
    ASSERT_TRUE(Ended(&old));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_INFECTED), old.verdict);
    ASSERT_TRUE(Until([&] { return rpc_serving_cancelled(leaving->watches.front()); })); // now it is not
    staying->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&next));
}

TEST_F(ScanCall, OneThatLeavesAndFailsHasItsMessageGivenToAnother)
{
    Open(2);
    Call call;
    Start(&call);
    Fake *leaving = Asked();
    Fake *staying = leaving == &fakes[0] ? &fakes[1] : &fakes[0];
    SetPool({ staying == &fakes[0] ? 0u : 1u });
    leaving->Close();
    ASSERT_TRUE(Until([&] { return !staying->scans.empty(); }));
    staying->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), call.verdict);
    EXPECT_TRUE(Until([&] { return leaving->closed; }));
}

TEST_F(ScanCall, OneThatComesBackBeforeItWasGoneStays)
{
    Open(1);
    Call call;
    Start(&call);
    Asked();
    SetPool({});
    EXPECT_EQ(0u, scan_pool_ready(pool));
    SetPool({ 0 });
    EXPECT_EQ(1u, scan_pool_ready(pool));
    fakes[0].Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
    loop_step(loop, 20);
    EXPECT_EQ(1u, fakes[0].watches.size()); // by the same connection
    EXPECT_FALSE(rpc_serving_cancelled(fakes[0].watches.front()));
    SetPool({});
    SetPool({ 0 }); // with nothing under way
    loop_step(loop, 20);
    EXPECT_EQ(1u, scan_pool_ready(pool));
    Call next;
    Start(&next);
    Asked()->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&next));
}

TEST_F(ScanCall, AMessageWaitsForTheFirstScanner)
{
    OpenPool({});
    EXPECT_EQ(0u, scan_pool_known(pool));
    Call call;
    Start(&call);
    loop_step(loop, 20);
    EXPECT_EQ(0u, call.dones);
    fakes[0].Open(loop, &budget, "unix:" + dir + "/0");
    SetPool({ 0 });
    Asked()->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(ERR_OK, call.err.code);
}

TEST_F(ScanCall, NoneLeftIsAnErrorAtOnceOrAfterAWhile)
{
    options.patience_ms = 300;
    Open(1);
    Call under_way, late;
    Start(&under_way);
    Asked();
    SetPool({});
    fakes[0].Fail(ERR_BUSY);
    ASSERT_TRUE(Ended(&under_way));
    EXPECT_EQ(ERR_UNREACHABLE, under_way.err.code);
    Start(&late);
    ASSERT_TRUE(Ended(&late));
    EXPECT_EQ(ERR_UNREACHABLE, late.err.code);
    EXPECT_EQ(ERR_TEMPORARY, err_class(late.err));
}

TEST_F(ScanCall, APlaceIsUsedAgainAlsoByMessagesThatTriedTheOneBefore)
{
    options.patience_ms = 20000;
    Open(1);
    Call call;
    Start(&call);
    Asked();
    fakes[1].Open(loop, &budget, "unix:" + dir + "/1");
    fakes[1].ready = false;
    fakes[1].on_scan = [](Fake *fake, struct rpc_serving *) { fake->Fail(ERR_BUSY); }; // before it has told that
    SetPool({ 1 }); // the first place is kept until the message is back
    fakes[0].Answer(SCAN_VERDICT_NONE);
    ASSERT_TRUE(Until([&] { return rpc_serving_cancelled(fakes[0].watches.front()); }));
    EXPECT_EQ(0u, call.dones);
    fakes[2].Open(loop, &budget, "unix:" + dir + "/2"); // in the first place
    SetPool({ 1, 2 });
    ASSERT_TRUE(Until([&] { return !fakes[2].scans.empty(); }));
    fakes[2].Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_CLEAN), call.verdict);
}

TEST_F(ScanCall, BadListsAreRefusedAndTheRestOfThemIsTaken)
{
    Open(1);
    const std::string good = fakes[0].address, bad = "no address", large(SCAN_CALL_ADDRESS_MAX_BYTES + 1, 'x');
    auto set = [&](const std::vector<std::string> &list) {
        std::vector<struct span> spans;
        for (const auto &one : list) spans.push_back(span_of(one.data(), one.size()));
        return scan_pool_set(pool, spans.data(), unsigned(spans.size())).code;
    };
    EXPECT_EQ(ERR_SYNTAX, set({ bad, good }));
    EXPECT_EQ(1u, scan_pool_known(pool));
    EXPECT_EQ(ERR_SYNTAX, set({ large, good }));
    EXPECT_EQ(ERR_OK, set({ good, good }));
    EXPECT_EQ(1u, scan_pool_known(pool));
    EXPECT_EQ(1u, scan_pool_ready(pool));
    std::vector<std::string> many = { good };
    for (unsigned i = 0; i < SCAN_BALANCE_PEERS_MAX; i++) many.push_back("unix:" + dir + "/none-" + std::to_string(i));
    EXPECT_EQ(ERR_TOO_BIG, set(many));
    EXPECT_EQ(unsigned(SCAN_BALANCE_PEERS_MAX), scan_pool_known(pool));
    // Others in place of those that are still leaving: as there is room.
    for (auto &one : many) one += "-b";
    many[0] = good;
    many.pop_back();
    EXPECT_EQ(ERR_OK, set(many));
    EXPECT_TRUE(Until([&] { return scan_pool_known(pool) == SCAN_BALANCE_PEERS_MAX; }));
    EXPECT_EQ(ERR_OK, set({ good }));
    EXPECT_EQ(1u, scan_pool_ready(pool));
}

TEST_F(ScanCall, ASilentScannerIsAvoidedUntilItIsHeardAgain)
{
    options.hedge_ms = 60000; // far: it is the silence that is noticed
    Open(2);
    Call first;
    Start(&first);
    Fake *silent = Asked();
    Fake *other = silent == &fakes[0] ? &fakes[1] : &fakes[0];
    silent->is_stopped = true;
    other->busy = 40;
    other->TellAll();
    ASSERT_TRUE(Until([&] { return !other->scans.empty(); })); // after SCAN_CALL_SILENT_MS
    EXPECT_EQ(1u, scan_pool_silent(pool));
    other->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&first));
    for (int i = 0; i < 5; i++) {
        Call call;
        Start(&call);
        ASSERT_TRUE(Until([&] { return !other->scans.empty(); }));
        EXPECT_EQ(1u, silent->scans.size()); // though it has less to do
        other->Answer(SCAN_VERDICT_CLEAN);
        ASSERT_TRUE(Ended(&call));
    }
    EXPECT_EQ(1u, scan_pool_ready(pool));
    ASSERT_TRUE(Until([&] { return silent->watches.size() == 2; })); // it was asked for a word
    silent->is_stopped = false;
    silent->TellAll(); // and says it when it goes on, though it has nothing else to say
    ASSERT_TRUE(Until([&] { return scan_pool_silent(pool) == 0 && scan_pool_ready(pool) == 2; }));
    Call back;
    Start(&back);
    ASSERT_TRUE(Until([&] { return silent->scans.size() == 2; }));
    std::swap(silent->scans[0], silent->scans[1]);
    silent->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&back));
}

TEST_F(ScanCall, ASlowScannerThatSaysSoIsNotSilent)
{
    options.hedge_ms = 60000;
    Open(2);
    Call call;
    Start(&call);
    Fake *slow = Asked();
    uint64_t end_ms = clock_boot_ms() + 2 * SCAN_CALL_SILENT_MS;
    while (clock_boot_ms() < end_ms) {
        slow->TellAll();
        loop_step(loop, 50);
    }
    EXPECT_EQ(0u, scan_pool_silent(pool));
    EXPECT_EQ(1u, fakes[0].scans.size() + fakes[1].scans.size());
    slow->Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&call));
}

TEST_F(ScanCall, TwoSilentOnesMakePlaceForAThird)
{
    options.hedge_ms = 60000;
    fakes[2].busy = 40; // asked last
    Open(3);
    fakes[0].is_stopped = fakes[1].is_stopped = true;
    Call call;
    Start(&call);
    ASSERT_TRUE(Until([&] { return !fakes[2].scans.empty(); }));
    EXPECT_EQ(1u, fakes[0].scans.size());
    EXPECT_EQ(1u, fakes[1].scans.size());
    EXPECT_EQ(2u, scan_pool_silent(pool));
    fakes[2].Answer(SCAN_VERDICT_INFECTED);
    ASSERT_TRUE(Ended(&call));
    EXPECT_EQ(uint32_t(SCAN_VERDICT_INFECTED), call.verdict);
}

TEST_F(ScanCall, CancelsAndEnds)
{
    Open(1);
    Call cancelled, ended, inside;
    Start(&cancelled);
    Start(&ended);
    ended.then = [&] { Start(&inside); };
    ASSERT_TRUE(Until([&] { return fakes[0].scans.size() == 2; }));
    scan_call_cancel(cancelled.call);
    ASSERT_TRUE(Until([&] { return rpc_serving_cancelled(fakes[0].scans.front()); }));
    std::swap(fakes[0].scans[0], fakes[0].scans[1]);
    fakes[0].Answer(SCAN_VERDICT_CLEAN);
    ASSERT_TRUE(Ended(&ended));
    scan_pool_free(pool);
    pool = nullptr;
    EXPECT_EQ(0u, cancelled.dones);
    EXPECT_EQ(1u, inside.dones);
    EXPECT_EQ(ERR_CANCELLED, inside.err.code);
}

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
