// When a scanner loads other signatures, and a whole pool of them.
#include "reload_step.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <set>
#include <vector>

namespace {

enum : uint64_t { OLD = 1, NEW = 2, OTHER = 3 };

// In a pool, all well, OLD in use and in the folder.
struct reload_facts Idle()
{
    struct reload_facts facts = {};
    facts.now_ms = 1000;
    facts.in_pool = facts.has_contact = facts.is_live = true;
    facts.folder = facts.live = OLD;
    return facts;
}

template <class F> struct reload_facts With(F change, bool is_new = true)
{
    struct reload_facts facts = Idle();
    if (is_new) facts.folder = NEW;
    change(facts);
    return facts;
}

using Facts = struct reload_facts;

TEST(Reload, EachStateHasItsWish)
{
    auto nothing = [](Facts &) {};
    const struct { const char *what; Facts facts; enum reload_wish wish; bool waits; uint64_t look_ms; } cases[] = {
        { "nothing new", Idle(), RELOAD_NOTHING, false, 0 },
        { "new", With(nothing), RELOAD_TAKE_TURN, false, 0 },
        { "another's turn", With([](Facts &f) { f.turn = RELOAD_ANOTHERS; }), RELOAD_NOTHING, true, 0 },
        { "our turn", With([](Facts &f) { f.turn = RELOAD_OURS; }), RELOAD_LOAD, false, 0 },
        { "our turn, the old one is still there",
          With([](Facts &f) { f.turn = RELOAD_OURS; f.is_replacing = true; }), RELOAD_NOTHING, true, 0 },
        { "no turn is taken before the old one is gone", With([](Facts &f) { f.is_replacing = true; }), RELOAD_NOTHING, true, 0 },
        { "loading", With([](Facts &f) { f.turn = RELOAD_OURS; f.is_loading = true; }), RELOAD_NOTHING, true, 0 },
        { "done", With([](Facts &f) { f.turn = RELOAD_OURS; f.live = NEW; }), RELOAD_GIVE_TURN, false, 0 },
        { "done, old workers are at work",
          With([](Facts &f) { f.turn = RELOAD_OURS; f.live = NEW; f.is_replacing = true; }), RELOAD_NOTHING, false, 0 },
        { "a turn nobody needs any more", With([](Facts &f) { f.turn = RELOAD_OURS; }, false), RELOAD_GIVE_TURN, false, 0 },
        { "no contact", With([](Facts &f) { f.has_contact = false; }), RELOAD_NOTHING, true, 0 },
        { "no contact, nothing new", With([](Facts &f) { f.has_contact = false; }, false), RELOAD_NOTHING, false, 0 },
        { "no contact, done", With([](Facts &f) { f.has_contact = false; f.turn = RELOAD_OURS; f.live = NEW; }),
          RELOAD_NOTHING, false, 0 },
        { "of no pool", With([](Facts &f) { f.in_pool = f.has_contact = false; }), RELOAD_LOAD, false, 0 },
        { "of no pool, refused", With([](Facts &f) { f.in_pool = f.has_contact = false; f.refused = NEW; f.refused_is_bad = f.to_mark = true; }),
          RELOAD_NOTHING, true, 0 },
        { "the folder is not known yet", With([](Facts &f) { f.folder = 0; }), RELOAD_NOTHING, false, 0 },
        { "nothing is in use: the engines load by themselves", With([](Facts &f) { f.is_live = false; f.live = 0; }),
          RELOAD_NOTHING, false, 0 },
        { "what is in use is not known", With([](Facts &f) { f.live = 0; }, false), RELOAD_TAKE_TURN, false, 0 },
        { "known as bad", With([](Facts &f) { f.folder_is_bad = true; }), RELOAD_NOTHING, true, 0 },
        { "known as bad while it is our turn", With([](Facts &f) { f.folder_is_bad = true; f.turn = RELOAD_OURS; }),
          RELOAD_GIVE_TURN, true, 0 },
        { "known as bad, asked for", With([](Facts &f) { f.folder_is_bad = f.asked = true; }), RELOAD_TAKE_TURN, false, 0 },
        { "in use is what others know as bad", With([](Facts &f) { f.folder_is_bad = true; }, false), RELOAD_NOTHING, false, 0 },
        { "asked for what is in use", With([](Facts &f) { f.asked = true; }, false), RELOAD_TAKE_TURN, false, 0 },
        { "asked, our turn", With([](Facts &f) { f.asked = true; f.turn = RELOAD_OURS; }, false), RELOAD_LOAD, false, 0 },
        { "asked, another's turn", With([](Facts &f) { f.asked = true; f.turn = RELOAD_ANOTHERS; }, false), RELOAD_NOTHING, true, 0 },
        { "refused for its own sake, to be marked",
          With([](Facts &f) { f.refused = NEW; f.refused_is_bad = f.to_mark = true; f.turn = RELOAD_OURS; }), RELOAD_MARK, true, 0 },
        { "and marked", With([](Facts &f) { f.refused = NEW; f.refused_is_bad = f.folder_is_bad = true; f.turn = RELOAD_OURS; }),
          RELOAD_GIVE_TURN, true, 0 },
        { "marked and given back", With([](Facts &f) { f.refused = NEW; f.refused_is_bad = f.folder_is_bad = true; }),
          RELOAD_NOTHING, true, 0 },
        { "to be marked, no contact", With([](Facts &f) { f.refused = NEW; f.refused_is_bad = f.to_mark = true; f.has_contact = false; }),
          RELOAD_NOTHING, true, 0 },
        { "marked also when nothing is in use",
          With([](Facts &f) { f.refused = NEW; f.refused_is_bad = f.to_mark = true; f.is_live = false; f.live = 0; }), RELOAD_MARK, false, 0 },
        { "refused for another reason: later", With([](Facts &f) { f.refused = NEW; f.again_ms = 5000; }), RELOAD_NOTHING, true, 5000 },
        { "and then", With([](Facts &f) { f.refused = NEW; f.again_ms = 1000; }), RELOAD_TAKE_TURN, false, 0 },
        { "the turn is not kept meanwhile", With([](Facts &f) { f.refused = NEW; f.again_ms = 5000; f.turn = RELOAD_OURS; }),
          RELOAD_GIVE_TURN, true, 5000 },
        { "refused was another", With([](Facts &f) { f.refused = OTHER; f.refused_is_bad = true; f.again_ms = 5000; }),
          RELOAD_TAKE_TURN, false, 0 },
        { "the old one came back after a refusal", With([](Facts &f) { f.refused = NEW; f.refused_is_bad = true; }, false),
          RELOAD_NOTHING, false, 0 },
        { "good here what others refused", With([](Facts &f) { f.to_unmark = true; f.turn = RELOAD_OURS; }, false), RELOAD_UNMARK, false, 0 },
        { "but without contact", With([](Facts &f) { f.to_unmark = true; f.has_contact = false; }, false), RELOAD_NOTHING, false, 0 },
    };
    for (const auto &c : cases) {
        struct reload_answer answer;
        reload_step(&c.facts, &answer);
        EXPECT_EQ(c.wish, answer.wish) << c.what;
        EXPECT_EQ(c.waits, answer.waits != nullptr) << c.what << " " << (answer.waits ? answer.waits : "");
        EXPECT_EQ(c.look_ms, answer.look_ms) << c.what;
    }
}

// A pool on rows that lose turns, with loads that take their time, scanners that die, and sets that are good, bad or
// unlucky at first.
struct Pool {
    struct Scanner {
        Facts facts = {};
        uint64_t done_ms = 0, replaced_ms = 0;
        uint64_t lease_until_ms = 0;
        bool dead = false;
    };
    std::mt19937_64 random;
    uint64_t now_ms = 0;
    std::vector<Scanner> scanners;
    int holder = -1;
    std::set<uint64_t> bad;
    uint64_t folder = OLD;
    unsigned loads_of_bad = 0, most_loading = 0;

    explicit Pool(uint64_t seed, unsigned count) : random(seed), scanners(count)
    {
        for (auto &s : scanners) {
            s.facts = Idle();
        }
    }
    bool IsBad(uint64_t set) const { return set == OTHER; }
    void Load(Scanner &s)
    {
        s.facts.is_loading = true;
        s.facts.asked = false;
        s.done_ms = now_ms + 200 + random() % 3000;
        if (IsBad(folder)) loads_of_bad++;
    }
    void Loaded(Scanner &s)
    {
        s.facts.is_loading = false;
        if (IsBad(s.facts.folder)) {
            s.facts.refused = s.facts.folder;
            s.facts.refused_is_bad = s.facts.to_mark = true;
        } else if (random() % 8 == 0) {
            s.facts.refused = s.facts.folder; // no memory
            s.facts.refused_is_bad = s.facts.to_mark = false;
            s.facts.again_ms = now_ms + RELOAD_AGAIN_MS;
        } else {
            s.facts.live = s.facts.folder;
            s.facts.refused = 0;
            s.facts.is_replacing = true;
            s.replaced_ms = now_ms + random() % 2000;
        }
    }
    void Step(int i)
    {
        Scanner &s = scanners[size_t(i)];
        s.facts.now_ms = now_ms;
        if (!s.facts.is_loading) s.facts.folder = folder;
        if (s.facts.is_loading && now_ms >= s.done_ms) Loaded(s);
        if (s.facts.is_replacing && now_ms >= s.replaced_ms) s.facts.is_replacing = false;
        s.facts.turn = holder == i ? RELOAD_OURS : holder < 0 ? RELOAD_NOBODYS : RELOAD_ANOTHERS;
        s.facts.folder_is_bad = bad.count(s.facts.folder) > 0;
        struct reload_answer answer;
        reload_step(&s.facts, &answer);
        switch (answer.wish) {
        case RELOAD_NOTHING: break;
        case RELOAD_LOAD:
            EXPECT_EQ(i, holder);
            Load(s);
            break;
        case RELOAD_TAKE_TURN:
            EXPECT_EQ(-1, holder);
            holder = i;
            break;
        case RELOAD_GIVE_TURN:
            EXPECT_EQ(i, holder);
            holder = -1;
            break;
        case RELOAD_MARK:
            bad.insert(s.facts.refused);
            s.facts.to_mark = false;
            break;
        case RELOAD_UNMARK: ADD_FAILURE(); break;
        }
    }
    void Run(uint64_t until_ms, bool deaths)
    {
        for (; now_ms < until_ms; now_ms += 10) {
            Step(int(random() % scanners.size()));
            unsigned loading = 0;
            for (auto &s : scanners) loading += s.facts.is_loading && !s.dead;
            most_loading = std::max(most_loading, loading);
            if (!deaths || random() % 200 != 0 || holder < 0) continue;
            // It dies with its turn, which its lease gives back, and starts anew with what lies there.
            Scanner &s = scanners[size_t(holder)];
            s = Scanner();
            s.facts = Idle();
            s.facts.live = IsBad(folder) ? uint64_t(OLD) : folder;
            holder = -1;
        }
    }
};

TEST(Reload, APoolGetsAGoodSetOneAtATime)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        Pool pool(seed, 1 + seed % 9);
        pool.Run(1000, false);
        pool.folder = NEW;
        pool.Run(1000000, seed % 2 == 0);
        EXPECT_EQ(1u, pool.most_loading) << seed;
        pool.Run(2000000, false);
        EXPECT_EQ(-1, pool.holder) << seed;
        for (auto &s : pool.scanners) EXPECT_EQ(uint64_t(NEW), s.facts.live) << seed;
    }
}

TEST(Reload, ABadSetIsTriedByOneAndTheOldOneStays)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        Pool pool(seed, 2 + seed % 8);
        pool.folder = OTHER;
        pool.Run(600000, false);
        EXPECT_EQ(1u, pool.loads_of_bad) << seed;
        EXPECT_EQ(-1, pool.holder) << seed;
        for (auto &s : pool.scanners) EXPECT_EQ(uint64_t(OLD), s.facts.live) << seed;
        pool.folder = NEW; // replaced: all take it
        pool.Run(3000000, false);
        for (auto &s : pool.scanners) EXPECT_EQ(uint64_t(NEW), s.facts.live) << seed;
        EXPECT_EQ(1u, pool.loads_of_bad) << seed;
    }
}

}  // namespace
