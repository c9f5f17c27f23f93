// The pool of scanners, against scripted scanners.
#include "scan_call_fixture.h"

namespace {

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

}  // namespace
