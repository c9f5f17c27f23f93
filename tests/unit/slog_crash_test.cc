// A history is crashed at each of its calls that change something, and recovered: what had been
// acknowledged is there, byte for byte, once and in order; what was on its way is there whole or
// not at all.
#include <algorithm>

#include "slog_log.h"

namespace {

// What a shard holds: the fold of what was written.
struct Shard {
    uint64_t accepted = 0, first = 1, last = 0, last_epoch = 0, commit = 0;
    std::map<uint64_t, std::pair<uint64_t, std::string>> entries;
    uint64_t needed = 1;  // entries below were given to slog_gc as persisted: they may be gone
};
using Model = std::map<uint32_t, Shard>;

void Fold(Model *model, const Group &group)
{
    for (const auto &r : group) {
        auto &s = (*model)[r.shard];
        switch (r.type) {
        case SLOG_DATA:
        case SLOG_EPOCH:
            s.entries[r.index] = {r.epoch, r.payload};
            s.last = r.index, s.last_epoch = r.epoch;
            s.accepted = std::max(s.accepted, r.epoch);
            break;
        case SLOG_ACCEPT: s.accepted = std::max(s.accepted, r.epoch); break;
        case SLOG_COMMIT: s.commit = std::max(s.commit, r.index); break;
        case SLOG_TRUNC:
            s.entries.erase(s.entries.upper_bound(r.index), s.entries.end());
            s.last = r.index, s.last_epoch = r.epoch;
            break;
        case SLOG_INSTALL:
            s.entries.clear();
            s.last = s.commit = r.index, s.last_epoch = r.epoch;
            s.accepted = std::max(s.accepted, r.epoch);
            s.needed = r.index + 1;
            break;
        case SLOG_DROP: s = Shard(); break;
        case SLOG_GROUP:
        case SLOG_STATE: FAIL();
        }
    }
}

// Empty when the log holds just this.
std::string Difference(Log &log, const Model &model)
{
    size_t shards = 0;
    slog_shard_view view;
    for (uint32_t at = 0; slog_shard_next(log.log, at, &view); at = view.shard + 1) shards++;
    size_t known = 0;
    for (const auto &[number, s] : model) {
        auto name = "shard " + std::to_string(number) + ": ";
        known += s.accepted != 0 || s.last != 0;
        view = log.View(number);
        if (view.last_index != s.last || view.last_epoch != s.last_epoch) return name + "last " + std::to_string(view.last_index) + ", not " + std::to_string(s.last);
        if (view.accepted_epoch != s.accepted) return name + "accepted";
        if (view.commit != s.commit) return name + "commit";
        if (s.last != 0 && view.first_index > std::min(s.needed, s.last + 1)) return name + "first " + std::to_string(view.first_index) + " but needed " + std::to_string(s.needed);
        if (s.last == 0) continue;
        for (auto i = view.first_index; i <= s.last; i++) {
            auto at = s.entries.find(i);
            if (at == s.entries.end()) return name + "too many entries";
            if (log.Read(number, i) != std::to_string(at->second.first) + ":" + at->second.second) return name + "entry " + std::to_string(i) + " is " + log.Read(number, i).substr(0, 40);
            uint64_t epoch = 0;
            if (slog_epoch_at(log.log, number, i, &epoch).code != ERR_OK || epoch != at->second.first) return name + "epoch of " + std::to_string(i);
        }
        if (log.Read(number, s.last + 1) != "(NOT_FOUND)") return name + "entry past the last";
    }
    return shards == known ? "" : "number of shards";
}

struct Step {
    Group group;
    bool gc = false;
};

// Groups of all types and sizes over three shards, the same for the same seed.
std::vector<Step> Script(uint64_t seed, int steps)
{
    std::mt19937_64 random(seed);
    std::vector<Step> script;
    Model model;
    for (int n = 0; n < steps; n++) {
        Step step;
        step.gc = n % 9 == 8;
        Model next = model;
        for (uint64_t records = step.gc ? 0 : random() % 5; records > 0; records--) {
            uint32_t shard = 1 + (uint32_t)(random() % 3);
            auto &s = next[shard];
            Record r = {SLOG_DATA, shard, std::max<uint64_t>(s.last_epoch, 1), s.last + 1, ""};
            auto kind = random() % 20;
            if (kind < 12) r.payload = std::string(random() % 4 ? random() % 300 : random() % 20000, (char)('a' + random() % 26));
            else if (kind < 14) r.type = SLOG_EPOCH, r.epoch = s.accepted + 1, r.payload = "e";
            else if (kind == 14) r = {SLOG_ACCEPT, shard, s.accepted + 1, 0, ""};
            else if (kind == 15 || kind == 16) r = {SLOG_COMMIT, shard, 0, s.last, ""};
            else if (kind == 17 && s.entries.count(s.last - 1) && s.last - 1 >= s.commit) r = {SLOG_TRUNC, shard, s.entries[s.last - 1].first, s.last - 1, ""};
            else if (kind == 18 && random() % 3 == 0) r = {SLOG_INSTALL, shard, s.accepted + 1, s.last + 5, ""};
            else if (kind == 19 && shard == 3) r = {SLOG_DROP, shard, 0, 0, ""};
            step.group.push_back(r);
            Fold(&next, {r});
        }
        model = next;
        script.push_back(step);
    }
    return script;
}

// Runs the script until it is done or the directory is dead. `*sure` is what was acknowledged,
// `*maybe` that and the group that was on its way.
void Play(FakeFiles *files, const std::vector<Step> &script, Model *sure, Model *maybe)
{
    Log log(files);
    if (log.opened.code != ERR_OK) return;
    for (const auto &step : script) {
        if (step.gc) {
            std::vector<slog_kept> kept;
            for (auto &[number, s] : *sure) {
                s.needed = std::max(s.needed, s.commit + 1);
                kept.push_back({number, s.commit, UINT64_MAX});
            }
            *maybe = *sure;
            slog_pins pins;
            if (slog_gc(log.log, kept.data(), kept.size(), 0, &pins).code != ERR_OK) return;
            continue;
        }
        Fold(maybe, step.group);
        auto results = log.Append(step.group);
        if (log.failed.code != ERR_OK) return;
        for (auto code : results) ASSERT_EQ(ERR_OK, code);
        *sure = *maybe;
    }
}

class SlogCrash : public testing::TestWithParam<int> {};

TEST_P(SlogCrash, AtEveryCall)
{
    const auto seed = (uint64_t)GetParam();
    const auto script = Script(seed, 70);
    FakeFiles whole(seed);
    Model all, unused;
    Play(&whole, script, &all, &unused);
    const auto ops = whole.ops;
    {
        Log log(&whole);
        ASSERT_EQ("", Difference(log, all));
        ASSERT_GT(log.Stats().log_bytes, kSmallSegment) << "the history has no roll in it";
    }
    int whole_groups = 0, cuts = 0;
    for (uint64_t op = 1; op <= ops; op++) {
        for (int kind = 0; kind < 3; kind++) {
            SCOPED_TRACE("call " + std::to_string(op) + " kind " + std::to_string(kind));
            FakeFiles files(seed * 1000003 + op * 7 + (uint64_t)kind);
            files.FaultAt(op, FakeFiles::kDie);
            Model sure, maybe;
            Play(&files, script, &sure, &maybe);
            ASSERT_TRUE(files.Dead());
            files.Restart(kind != 0);
            if (kind == 2) {  // and once more while it recovers
                files.FaultAt(files.ops + 1 + files.random() % 6, FakeFiles::kDie);
                Log again(&files);
                if (files.Dead()) files.Restart(files.random() % 2);
                files.FaultAt(0, FakeFiles::kNone);
            }
            Log log(&files);
            ASSERT_EQ(ERR_OK, log.opened.code) << log.opened.what;
            auto without = Difference(log, sure), with = Difference(log, maybe);
            ASSERT_TRUE(without.empty() || with.empty()) << without << "; " << with;
            const auto &now = without.empty() ? sure : maybe;
            cuts += with.empty() ? 0 : 1;
            whole_groups += without.empty() ? 0 : 1;
            // It goes on from there, and what comes then lasts.
            Model next = now;
            auto last = next[1];
            Group more = {{SLOG_DATA, 1, std::max<uint64_t>(last.last_epoch, 1), last.last + 1, std::string(5000, 'm')}, {SLOG_EPOCH, 77, 1, 1, ""}};
            log.Good(more);
            Fold(&next, more);
            ASSERT_EQ("", Difference(log, next));
            files.Restart(true);
            Log third(&files);
            ASSERT_EQ(ERR_OK, third.opened.code) << third.opened.what;
            ASSERT_EQ("", Difference(third, next));
            Log fourth(&files);
            ASSERT_EQ("", Difference(fourth, next)) << "replaying twice is the same";
        }
    }
    EXPECT_GT(cuts, 10);
    EXPECT_GT(whole_groups, 10);
}

// The writes fail one after another and the history goes on with what was refused.
TEST_P(SlogCrash, NoSpaceAtEveryCall)
{
    const auto seed = (uint64_t)GetParam();
    std::mt19937_64 random(seed);
    FakeFiles files(seed);
    Model model;
    uint64_t index = 1;
    int full = 0;
    {
        Log log(&files);
        while (index <= 60) {
            if (random() % 2) files.FaultAt(files.ops + 1, FakeFiles::kWriteFull);
            Group group = {{SLOG_DATA, 1, 1, index, std::string(random() % 20000, (char)('a' + random() % 26))}};
            auto result = log.Append(group)[0];
            ASSERT_EQ(ERR_OK, log.failed.code);
            ASSERT_TRUE(result == ERR_OK || result == ERR_FULL);
            files.FaultAt(0, FakeFiles::kNone);
            if (result == ERR_FULL) full++;
            else Fold(&model, group), index++;
        }
        EXPECT_EQ("", Difference(log, model));
    }
    EXPECT_GT(full, 10);
    Log again(&files);
    ASSERT_EQ(ERR_OK, again.opened.code);
    EXPECT_EQ("", Difference(again, model));
}

INSTANTIATE_TEST_SUITE_P(Seeds, SlogCrash, testing::Range(1, 7));

}  // namespace
