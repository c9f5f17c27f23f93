// The pure rooms of scanning: verdict, triage and the choice of a scanner.
#include <gtest/gtest.h>

#include <cstdint>
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "engines.h"
#include "scan_balance.h"
#include "triage.h"
#include "verdict.h"

namespace {

TEST(Verdict, Names)
{
    const struct { const char *name; enum verdict want; } cases[] = {
        { "Eicar-Test-Signature", VERDICT_INFECTED },
        { "Godwit.Test.EICAR.UNOFFICIAL", VERDICT_INFECTED },
        { "Heuristics.Phishing.Email.SpoofedDomain", VERDICT_INFECTED },
        { "Heuristics.Encrypted.Zip", VERDICT_UNCHECKABLE },
        { "Heuristics.Encrypted.PDF", VERDICT_UNCHECKABLE },
        { "Heuristics.Broken.Media.JPEG", VERDICT_UNCHECKABLE },
        { "Heuristics.Limits.Exceeded.MaxFiles", VERDICT_UNCHECKABLE },
        { "Heuristics.Limits.Exceeded.MaxScanTime", VERDICT_NONE },
        // Not to be taken for what they resemble.
        { "Win.Heuristics.Encrypted.Zip", VERDICT_INFECTED },
        { "heuristics.encrypted.zip", VERDICT_INFECTED },
        { "Heuristics.Encrypted", VERDICT_INFECTED },
        { "Heuristics.Limits", VERDICT_INFECTED },
        { "", VERDICT_INFECTED },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.want, verdict_of_name(span_of(c.name, strlen(c.name)))) << c.name;
    }
}

TEST(Verdict, OfTheWhole)
{
    const char *virus = "Eicar", *limit = "Heuristics.Limits.Exceeded.MaxFiles",
               *time = "Heuristics.Limits.Exceeded.MaxScanTime";
    const struct { enum engines_outcome outcome; std::vector<const char *> names; enum verdict want; } cases[] = {
        { ENGINES_DONE, {}, VERDICT_CLEAN },
        { ENGINES_DONE, { virus }, VERDICT_INFECTED },
        { ENGINES_DONE, { limit }, VERDICT_UNCHECKABLE },
        { ENGINES_DONE, { limit, virus }, VERDICT_INFECTED },
        { ENGINES_DONE, { limit, time }, VERDICT_NONE },
        { ENGINES_DONE, { time, limit }, VERDICT_NONE },
        { ENGINES_DONE, { time, virus, limit }, VERDICT_INFECTED },
        { ENGINES_LIMIT, {}, VERDICT_UNCHECKABLE },
        { ENGINES_BROKEN, {}, VERDICT_UNCHECKABLE },
        { ENGINES_LIMIT, { virus }, VERDICT_INFECTED },
        { ENGINES_NO_TIME, {}, VERDICT_NONE },
        { ENGINES_NO_MEMORY, {}, VERDICT_NONE },
        { ENGINES_FAILED, {}, VERDICT_NONE },
        { ENGINES_LOST, {}, VERDICT_NONE },
        { ENGINES_NO_TIME, { limit }, VERDICT_NONE },
        { ENGINES_NO_MEMORY, { virus }, VERDICT_INFECTED },
    };
    for (const auto &c : cases) {
        struct engines_result result = {};
        result.outcome = c.outcome;
        for (const char *name : c.names) {
            auto &finding = result.findings[result.findings_count++];
            finding.name_len = uint16_t(strlen(name));
            memcpy(finding.name, name, finding.name_len);
        }
        EXPECT_EQ(c.want, verdict_of(&result)) << c.outcome << " " << c.names.size();
        EXPECT_EQ(c.want == VERDICT_NONE, verdict_worth_again(&result));
    }
}

TEST(Triage, OrderAndBounds)
{
    struct triage triage;
    triage_init(&triage, 2);
    struct triage_item a = {}, b = {}, c = {};
    EXPECT_EQ(nullptr, triage_take(&triage));
    EXPECT_EQ(ERR_TIMEOUT, triage_add(&triage, &a, 100, 100).code);
    ASSERT_EQ(ERR_OK, triage_add(&triage, &a, 100, 10).code);
    ASSERT_EQ(ERR_OK, triage_add(&triage, &b, 100, 10).code);
    EXPECT_EQ(ERR_BUSY, triage_add(&triage, &c, 100, 10).code);
    triage_remove(&triage, &c); // zeroed, in no queue: nothing happens
    EXPECT_EQ(2u, triage.waiting_count);
    EXPECT_EQ(&a, triage_take(&triage));
    EXPECT_EQ(unsigned(TRIAGE_ENGINES_ALL), a.running);
    ASSERT_EQ(ERR_OK, triage_add(&triage, &c, 100, 10).code);
    // Back at the front, although the queue is full.
    triage_put_back(&triage, &a);
    EXPECT_EQ(0u, a.attempts);
    EXPECT_EQ(&a, triage_take(&triage));
    EXPECT_EQ(&b, triage_take(&triage));
    triage_remove(&triage, &c);
    triage_remove(&triage, &c);
    EXPECT_EQ(0u, triage.waiting_count);
    EXPECT_EQ(nullptr, triage_take(&triage));
    EXPECT_EQ(0u, triage_answered(&a, TRIAGE_ENGINE_CLAMAV));
    EXPECT_EQ(0u, a.running);
}

TEST(Triage, OneAttemptMoreAndNotPastTheDeadline)
{
    struct triage triage;
    triage_init(&triage, 1);
    struct triage_item a = {}, late = {};
    ASSERT_EQ(ERR_OK, triage_add(&triage, &a, 100, 10).code);
    ASSERT_EQ(&a, triage_take(&triage));
    ASSERT_EQ(ERR_OK, triage_add(&triage, &late, 50, 10).code);
    EXPECT_EQ(ERR_OK, triage_again(&triage, &a, 20).code);
    ASSERT_EQ(&a, triage_take(&triage));
    EXPECT_EQ(ERR_UNKNOWN, triage_again(&triage, &a, 20).code);
    ASSERT_EQ(&late, triage_take(&triage));
    EXPECT_EQ(ERR_TIMEOUT, triage_again(&triage, &late, 50).code);
    EXPECT_EQ(0u, triage.waiting_count);
}

struct scan_peer Peer(bool told, bool ready, unsigned workers, unsigned busy, unsigned ours = 0,
                      unsigned at_word = 0, uint64_t avoid_ms = 0)
{
    return { told, ready, workers, busy, ours, at_word, avoid_ms, false, false };
}

struct scan_peer Silent(struct scan_peer peer)
{
    peer.silent = true;
    return peer;
}

struct scan_peer Out(struct scan_peer peer)
{
    peer.out = true;
    return peer;
}

TEST(ScanBalance, Choice)
{
    const auto unknown = Peer(false, false, 0, 0), down = Peer(true, false, 4, 0);
    const struct {
        const char *what;
        std::vector<struct scan_peer> peers;
        uint64_t tried;
        unsigned turn;
        int want;
    } cases[] = {
        { "none at all", {}, 0, 0, SCAN_BALANCE_NONE },
        { "one", { Peer(true, true, 1, 0) }, 0, 7, 0 },
        { "not ready", { down }, 0, 0, SCAN_BALANCE_NONE },
        { "tried", { Peer(true, true, 1, 0) }, 1, 0, SCAN_BALANCE_NONE },
        { "avoided", { Peer(true, true, 1, 0, 0, 0, 1001) }, 0, 0, SCAN_BALANCE_NONE },
        { "avoided until now", { Peer(true, true, 1, 0, 0, 0, 1000) }, 0, 0, 0 },
        { "least busy", { Peer(true, true, 2, 2), Peer(true, true, 2, 1) }, 0, 0, 1 },
        { "more workers", { Peer(true, true, 2, 1), Peer(true, true, 8, 2) }, 0, 0, 1 },
        { "sent since its last word", { Peer(true, true, 2, 0, 3, 0), Peer(true, true, 2, 2) }, 0, 0, 1 },
        { "got back since", { Peer(true, true, 2, 3, 0, 3), Peer(true, true, 2, 2) }, 0, 0, 0 },
        { "second when the first was tried", { Peer(true, true, 2, 0), Peer(true, true, 2, 9) }, 1, 0, 1 },
        { "equals take turns", { Peer(true, true, 2, 0), Peer(true, true, 2, 0) }, 0, 1, 1 },
        { "and again", { Peer(true, true, 2, 0), Peer(true, true, 2, 0) }, 0, 2, 0 },
        { "the known one first", { unknown, Peer(true, true, 1, 9) }, 0, 0, 1 },
        { "an unknown one rather than none", { down, unknown }, 0, 0, 1 },
        { "a silent one is asked after the others", { Silent(Peer(true, true, 9, 0)), Peer(true, true, 1, 9) }, 0, 0, 1 },
        { "and after an unknown one", { Silent(Peer(true, true, 9, 0)), unknown }, 0, 0, 1 },
        { "but rather than none", { Silent(Peer(true, true, 9, 0)), down }, 0, 1, 0 },
        { "not when it was tried", { Silent(Peer(true, true, 9, 0)), down }, 1, 0, SCAN_BALANCE_NONE },
        { "one that left gets nothing", { Out(Peer(true, true, 9, 0)), Out(unknown) }, 0, 0, SCAN_BALANCE_NONE },
        { "turns are taken over gaps", { Out(down), Peer(true, true, 1, 0), Out(down), Peer(true, true, 1, 0) }, 0, 3, 3 },
        { "in order", { Out(down), Peer(true, true, 1, 0), Out(down), Peer(true, true, 1, 0) }, 0, 4, 1 },
        { "only among the least busy", { Peer(true, true, 1, 0), Peer(true, true, 1, 1), Peer(true, true, 1, 0) }, 0, 1, 2 },
        { "no workers is one", { Peer(true, true, 0, 0), Peer(true, true, 1, 1) }, 0, 0, 0 },
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.want, scan_balance_choose(c.peers.data(), unsigned(c.peers.size()), c.tried, 1000, c.turn))
            << c.what;
    }
    std::vector<struct scan_peer> many(SCAN_BALANCE_PEERS_MAX, Peer(true, true, 1, 5));
    EXPECT_EQ(63, scan_balance_choose(many.data(), 64, ~(uint64_t(1) << 63), 0, 5));
    EXPECT_EQ(SCAN_BALANCE_NONE, scan_balance_choose(many.data(), 64, ~uint64_t(0), 0, 5));
}

// Scanners of different speed, and frontends each of which sees its own messages at once and those of the others in the
// scanners' words, which come at most every 100 ms. One step is a millisecond.
struct PoolSim {
    struct Job { unsigned frontend; uint64_t come_ms; };
    struct Scanner {
        uint64_t cost_ms = 0;      // of one message, of one worker
        unsigned workers = 1, said = 0;
        std::vector<Job> waiting;
        std::vector<std::pair<uint64_t, Job>> working; // until when
        uint64_t done = 0, word_ms = 0;
        bool stopped = false;
    };
    std::vector<Scanner> scanners;
    std::vector<std::vector<struct scan_peer>> known; // of each frontend
    std::vector<uint64_t> served, turns;
    std::vector<uint64_t> waits_ms;

    PoolSim(unsigned frontends, const std::vector<std::pair<uint64_t, unsigned>> &speeds)
        : known(frontends), served(frontends), turns(frontends)
    {
        for (auto [cost_ms, workers] : speeds) {
            Scanner s;
            s.cost_ms = cost_ms;
            s.workers = workers;
            scanners.push_back(s);
            for (auto &k : known) k.push_back(Peer(true, true, workers, 0));
        }
    }
    void Send(unsigned frontend, uint64_t now_ms)
    {
        auto &peers = known[frontend];
        int to = scan_balance_choose(peers.data(), unsigned(peers.size()), 0, now_ms, unsigned(turns[frontend]++));
        ASSERT_NE(SCAN_BALANCE_NONE, to);
        peers[size_t(to)].ours++;
        scanners[size_t(to)].waiting.push_back({ frontend, now_ms });
    }
    void Step(uint64_t now_ms)
    {
        for (size_t i = 0; i < scanners.size(); i++) {
            Scanner &s = scanners[i];
            if (s.stopped) continue;
            for (size_t w = s.working.size(); w-- > 0;) {
                if (s.working[w].first > now_ms) continue;
                const Job job = s.working[w].second;
                s.working.erase(s.working.begin() + long(w));
                known[job.frontend][i].ours--;
                s.done++;
                served[job.frontend]++;
                waits_ms.push_back(now_ms - job.come_ms);
            }
            while (!s.waiting.empty() && s.working.size() < s.workers) {
                s.working.push_back({ now_ms + s.cost_ms, s.waiting.front() });
                s.waiting.erase(s.waiting.begin());
            }
            unsigned busy = unsigned(s.waiting.size() + s.working.size());
            if (busy == s.said || now_ms < s.word_ms) continue;
            s.said = busy;
            s.word_ms = now_ms + 100;
            for (auto &k : known) {
                k[i].busy = busy;
                k[i].ours_at_word = k[i].ours;
            }
        }
    }
    // Messages that a frontend has under way.
    unsigned UnderWay(unsigned frontend) const
    {
        unsigned sum = 0;
        for (const auto &peer : known[frontend]) sum += peer.ours;
        return sum;
    }
    uint64_t Wait(unsigned percent)
    {
        std::sort(waits_ms.begin(), waits_ms.end());
        return waits_ms[(waits_ms.size() - 1) * percent / 100];
    }
};

TEST(ScanBalance, EachScannerGetsWhatItCanDo)
{
    const struct { const char *what; std::vector<std::pair<uint64_t, unsigned>> speeds; } cases[] = {
        { "equals", { { 20, 1 }, { 20, 1 }, { 20, 1 } } },
        { "slower and slower", { { 10, 1 }, { 20, 1 }, { 40, 1 } } },
        { "more workers", { { 20, 4 }, { 20, 1 }, { 20, 2 } } },
        { "many slow workers beside a fast one", { { 80, 8 }, { 10, 1 } } },
    };
    for (const auto &c : cases) {
        PoolSim sim(2, c.speeds);
        const uint64_t length_ms = 60000;
        double can = 0;
        for (const auto &[cost_ms, workers] : c.speeds) can += double(length_ms) * workers / double(cost_ms);
        for (uint64_t now_ms = 0; now_ms < length_ms; now_ms++) {
            for (unsigned frontend = 0; frontend < 2; frontend++) {
                while (sim.UnderWay(frontend) < 20) sim.Send(frontend, now_ms); // as clients that wait do
            }
            sim.Step(now_ms);
        }
        uint64_t done = sim.served[0] + sim.served[1];
        EXPECT_GE(double(done), 0.95 * can) << c.what;
        EXPECT_NEAR(double(sim.served[0]), double(sim.served[1]), 0.1 * double(done)) << c.what;
        for (size_t i = 0; i < c.speeds.size(); i++) {
            double share = double(length_ms) * c.speeds[i].second / double(c.speeds[i].first);
            EXPECT_GE(double(sim.scanners[i].done), 0.9 * share) << c.what << ", scanner " << i;
        }
    }
}

TEST(ScanBalance, NobodyWaitsLongWhileThereIsRoom)
{
    for (unsigned loads : { 50, 80 }) {
        PoolSim sim(2, { { 20, 1 }, { 20, 1 }, { 40, 1 }, { 40, 1 } });
        const double can_per_ms = 2.0 / 20 + 2.0 / 40;
        double owed[2] = { 0, 0 };
        for (uint64_t now_ms = 0; now_ms < 60000; now_ms++) {
            for (unsigned frontend = 0; frontend < 2; frontend++) {
                // Three of four messages come through the first.
                owed[frontend] += can_per_ms * loads / 100 * (frontend == 0 ? 0.75 : 0.25);
                for (; owed[frontend] >= 1; owed[frontend] -= 1) sim.Send(frontend, now_ms);
            }
            sim.Step(now_ms);
        }
        EXPECT_LE(sim.Wait(50), 60u) << loads;
        EXPECT_LE(sim.Wait(99), 240u) << loads;
    }
}

}  // namespace
