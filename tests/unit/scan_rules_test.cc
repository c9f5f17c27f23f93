// The pure rooms of scanning: verdict, triage and the choice of a scanner.
#include <gtest/gtest.h>

#include <cstdint>
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

}  // namespace
