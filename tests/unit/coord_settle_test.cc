// What became of a change without an answer; and what a loop knows of rows, from sources that
// overtake each other.
#include <gtest/gtest.h>
#include <string.h>

#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "buf.h"
#include "coord_mirror.h"
#include "coord_options.h"
#include "coord_settle.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
struct span S(const char *s) { return span_of(s, strlen(s)); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

struct coord_item Item(enum coord_action action, const char *key, uint64_t revision, const char *value = "")
{
    struct coord_item item = {};
    item.key = S(key);
    item.value = S(value);
    item.revision = revision;
    item.action = action;
    return item;
}

struct Row {
    const char *key;
    uint64_t revision;
    const char *value;
};

// What etcd says, and what is then wanted: "send", "read" or an error's name.
struct Step {
    char say; // s succeeded, r rows, R refused, f full, b busy, u unknown, l late, L late with an answer owed
    std::vector<Row> rows;
    const char *want;
};

std::string Wish(const struct coord_settle &settle)
{
    if (settle.wish == COORD_SETTLE_SEND) return "send";
    return settle.wish == COORD_SETTLE_READ ? "read" : err_name(settle.err.code);
}

void Tell(struct coord_settle *settle, const Step &step)
{
    std::vector<struct coord_row> rows;
    for (const auto &row : step.rows) rows.push_back({ S(row.key), S(row.value), row.revision });
    switch (step.say) {
    case 's': coord_settle_succeeded(settle, 9); break;
    case 'r': coord_settle_rows(settle, rows.data(), rows.size()); break;
    case 'R': coord_settle_refused(settle, err_make(ERR_DENIED, "test"), false); break;
    case 'f': coord_settle_full(settle, err_make(ERR_FULL, "test")); break;
    case 'b': coord_settle_refused(settle, err_make(ERR_UNREACHABLE, "test"), true); break;
    case 'u': coord_settle_unknown(settle, err_make(ERR_TIMEOUT, "test")); break;
    case 'l': coord_settle_late(settle, false); break;
    case 'L': coord_settle_late(settle, true); break;
    }
}

TEST(CoordSettle, Stories)
{
    const struct coord_item put = Item(COORD_PUT, "a", 5, "mine"), fresh = Item(COORD_PUT, "a", 0, "mine"), any = Item(COORD_PUT, "a", COORD_ANY, "mine");
    const struct coord_item del = Item(COORD_DELETE, "a", 5), del_b = Item(COORD_DELETE, "b", 6), put_b = Item(COORD_PUT, "b", 6, "also"), cmp = Item(COORD_COMPARE, "c", 7);
    const struct { const char *what; std::vector<struct coord_item> items; const char *first; std::vector<Step> steps; uint64_t revision; } cases[] = {
        { "it works", { put }, "send", { { 's', {}, "OK" } }, 9 },
        { "it is lost", { put }, "send", { { 'r', { { "a", 6, "theirs" } }, "CONFLICT" } }, 0 },
        { "lost to the same value: not ours, for every answer came", { fresh }, "send", { { 'r', { { "a", 6, "mine" } }, "CONFLICT" } }, 0 },
        { "unknown, made", { put }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 6, "mine" } }, "OK" } }, 6 },
        { "unknown, not made, made", { put }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "old" } }, "send" }, { 's', {}, "OK" } }, 9 },
        { "unknown, not made yet, made by the first", { put }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "old" } }, "send" }, { 'r', { { "a", 6, "mine" } }, "OK" } }, 6 },
        { "unknown, lost", { put }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 6, "theirs" } }, "CONFLICT" } }, 0 },
        { "unknown, gone", { put }, "send", { { 'u', {}, "read" }, { 'r', {}, "CONFLICT" } }, 0 },
        { "the same value as before is not ours yet", { Item(COORD_PUT, "a", 5, "same") }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "same" } }, "send" } }, 0 },
        { "unknown again and again", { put }, "send", { { 'u', {}, "read" }, { 'u', {}, "read" }, { 'b', {}, "read" }, { 'r', { { "a", 5, "old" } }, "send" }, { 'u', {}, "read" }, { 'l', {}, "UNKNOWN" } }, 0 },
        { "unknown, and then we may not even read", { put }, "send", { { 'u', {}, "read" }, { 'R', {}, "UNKNOWN" } }, 0 },
        { "unknown, sent again, refused", { put }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "old" } }, "send" }, { 'R', {}, "UNKNOWN" } }, 0 },
        { "refused", { put }, "send", { { 'R', {}, "DENIED" } }, 0 },
        { "full, made all the same", { put }, "send", { { 'f', {}, "read" }, { 'r', { { "a", 6, "mine" } }, "OK" } }, 6 },
        { "full, not made", { put }, "send", { { 'f', {}, "read" }, { 'r', { { "a", 5, "old" } }, "FULL" } }, 0 },
        { "full, not made, after a busy reading", { fresh }, "send", { { 'f', {}, "read" }, { 'b', {}, "read" }, { 'u', {}, "read" }, { 'r', {}, "FULL" } }, 0 },
        { "full, and another's is there", { put }, "send", { { 'f', {}, "read" }, { 'r', { { "a", 6, "theirs" } }, "CONFLICT" } }, 0 },
        { "full, and no time to see", { put }, "send", { { 'f', {}, "read" }, { 'l', {}, "UNKNOWN" } }, 0 },
        { "full, and a reading refused", { put }, "send", { { 'f', {}, "read" }, { 'R', {}, "UNKNOWN" } }, 0 },
        { "full, and so says the reading", { put }, "send", { { 'f', {}, "read" }, { 'f', {}, "UNKNOWN" } }, 0 },
        { "unknown, sent again, full, not made", { put }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "old" } }, "send" }, { 'f', {}, "read" }, { 'r', { { "a", 5, "old" } }, "UNKNOWN" } }, 0 },
        { "full for any revision, overwritten, sent anew", { any }, "read", { { 'r', {}, "send" }, { 'f', {}, "read" }, { 'r', { { "a", 6, "theirs" } }, "send" }, { 's', {}, "OK" } }, 9 },
        { "not sent, late", { put }, "send", { { 'b', {}, "send" }, { 'b', {}, "send" }, { 'l', {}, "UNREACHABLE" } }, 0 },
        { "late at once", { put }, "send", { { 'l', {}, "TIMEOUT" } }, 0 },
        { "late, with an answer owed", { put }, "send", { { 'L', {}, "UNKNOWN" } }, 0 },
        { "late while first reading", { any }, "read", { { 'L', {}, "TIMEOUT" } }, 0 },
        { "any", { any }, "read", { { 'r', { { "a", 8, "x" } }, "send" }, { 's', {}, "OK" } }, 9 },
        { "any, not there", { any }, "read", { { 'r', {}, "send" }, { 's', {}, "OK" } }, 9 },
        { "any, overtaken, again", { any }, "read", { { 'r', {}, "send" }, { 'r', { { "a", 8, "x" } }, "send" }, { 'r', { { "a", 9, "y" } }, "send" }, { 's', {}, "OK" } }, 9 },
        { "any, the reading is unknown", { any }, "read", { { 'u', {}, "read" }, { 'r', {}, "send" }, { 'l', {}, "TIMEOUT" } }, 0 },
        { "any, unknown, overwritten: made again", { any }, "read", { { 'r', {}, "send" }, { 'u', {}, "read" }, { 'r', { { "a", 8, "theirs" } }, "send" }, { 's', {}, "OK" } }, 9 },
        { "any with a comparison that fails", { any, cmp }, "read", { { 'r', { { "c", 8, "x" } }, "CONFLICT" } }, 0 },
        { "any with a comparison that fails later", { any, cmp }, "read", { { 'r', { { "c", 7, "x" } }, "send" }, { 'r', { { "c", 8, "x" } }, "CONFLICT" } }, 0 },
        { "several, one overwritten since", { put, put_b }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 9, "theirs" }, { "b", 8, "also" } }, "OK" } }, 8 },
        { "several, all overwritten", { put, put_b }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 9, "theirs" }, { "b", 9, "theirs" } }, "CONFLICT" } }, 0 },
        { "several, half there is not ours", { put, put_b }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "old" }, { "b", 6, "old" } }, "send" } }, 0 },
        { "a deletion, unknown, gone", { del }, "send", { { 'u', {}, "read" }, { 'r', {}, "OK" } }, 0 },
        { "a deletion, unknown, there", { del }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 5, "old" } }, "send" } }, 0 },
        { "a deletion, unknown, made anew", { del }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 9, "theirs" } }, "CONFLICT" } }, 0 },
        { "two deletions, unknown, one gone", { del, del_b }, "send", { { 'u', {}, "read" }, { 'r', { { "b", 6, "old" } }, "CONFLICT" } }, 0 },
        { "a put and a deletion, unknown: the put tells", { put, del_b }, "send", { { 'u', {}, "read" }, { 'r', { { "a", 8, "mine" }, { "b", 9, "theirs" } }, "OK" } }, 8 },
    };
    for (const auto &c : cases) {
        struct coord_settle settle;
        const struct coord_change change = { c.items.data(), c.items.size(), 0 };
        coord_settle_start(&settle, &change);
        EXPECT_EQ(c.first, Wish(settle)) << c.what;
        for (size_t i = 0; i < c.steps.size(); i++) {
            Tell(&settle, c.steps[i]);
            ASSERT_EQ(c.steps[i].want, Wish(settle)) << c.what << ", step " << i;
        }
        EXPECT_EQ(c.revision, settle.revision) << c.what;
        for (size_t i = 0; settle.wish == COORD_SETTLE_SEND && i < settle.now.count; i++) EXPECT_NE(COORD_ANY, settle.now.items[i].revision) << c.what;
    }
}

// An etcd of one key that loses requests, answers and copies them, and another writer: whatever is said
// is true, in the end.
TEST(CoordSettle, NeverSaysWhatIsNotSo)
{
    std::map<enum err_code, unsigned> said;
    for (unsigned seed = 0; seed < 20000; seed++) {
        std::mt19937 random(seed);
        uint64_t revision = 10, key_revision = random() % 2 ? 10 : 0;
        std::string value = key_revision ? "old" : "";
        bool made = false;
        std::vector<uint64_t> copies; // of our transaction, still under way: what they compare with
        struct coord_item item = Item(COORD_PUT, "a", random() % 3 == 0 ? COORD_ANY : key_revision, "mine");
        const struct coord_change change = { &item, 1, 0 };
        struct coord_settle settle;
        auto execute = [&](uint64_t compared) {
            if (compared != key_revision) return false;
            key_revision = ++revision;
            value = "mine";
            return made = true;
        };
        coord_settle_start(&settle, &change);
        for (int steps = 0; settle.wish != COORD_SETTLE_DONE; steps++) {
            if (random() % 6 == 0) { key_revision = ++revision; value = "theirs" + std::to_string(revision); }
            if (!copies.empty() && random() % 4 == 0) { execute(copies.back()); copies.pop_back(); }
            if (steps > int(seed % 12)) {
                bool owed = settle.wish == COORD_SETTLE_SEND && random() % 2;
                if (owed) copies.push_back(settle.items[0].revision);
                coord_settle_late(&settle, owed);
                break;
            }
            const struct coord_row row = { S("a"), S(value), key_revision };
            size_t rows = key_revision ? 1 : 0;
            unsigned luck = random() % 6;
            if (settle.wish == COORD_SETTLE_READ) {
                if (luck == 0) coord_settle_unknown(&settle, err_make(ERR_TIMEOUT, "test"));
                else coord_settle_rows(&settle, &row, rows);
                continue;
            }
            uint64_t compared = settle.items[0].revision;
            if (luck == 0) coord_settle_refused(&settle, err_make(ERR_UNREACHABLE, "test"), true);
            else if (luck == 1) { copies.push_back(compared); coord_settle_unknown(&settle, err_make(ERR_TIMEOUT, "test")); }
            else if (luck == 2) { execute(compared); coord_settle_unknown(&settle, err_make(ERR_TIMEOUT, "test")); }
            else if (luck == 3) {
                if (random() % 2) execute(compared);
                coord_settle_full(&settle, err_make(ERR_FULL, "test"));
            }
            else if (execute(compared)) coord_settle_succeeded(&settle, revision);
            else { const struct coord_row now = { S("a"), S(value), key_revision }; coord_settle_rows(&settle, &now, key_revision ? 1 : 0); }
        }
        bool before = made;
        while (!copies.empty()) { execute(copies.back()); copies.pop_back(); }
        said[settle.err.code]++;
        if (settle.err.code == ERR_OK) EXPECT_TRUE(before) << seed;
        // Certain that nothing has changed: nothing has, and no copy does so later. A conflict may be one
        // that we were overwritten by (then it was made, and is gone); no copy does so later either.
        if (settle.err.code == ERR_CONFLICT) EXPECT_EQ(before, made) << seed;
        if (settle.err.code == ERR_TIMEOUT || settle.err.code == ERR_UNREACHABLE || settle.err.code == ERR_FULL) EXPECT_FALSE(made) << seed;
    }
    for (auto code : { ERR_OK, ERR_CONFLICT, ERR_UNKNOWN, ERR_TIMEOUT, ERR_UNREACHABLE, ERR_FULL }) EXPECT_LT(100u, said[code]) << err_name(code);
}

// ---- the mirror

struct Mirror {
    Mirror() { coord_mirror_init(&mirror, [](void *to, struct span key) { static_cast<Mirror *>(to)->told.insert(Str(key)); }, this); }
    ~Mirror() { coord_mirror_free(&mirror); }
    void Take(const std::string &key, const char *value, uint64_t revision)
    {
        const struct coord_row row = { S(key), value == nullptr ? span_of(nullptr, 0) : S(value), revision };
        EXPECT_EQ(ERR_OK, coord_mirror_take(&mirror, seen, &row).code);
    }
    void Seen(uint64_t revision)
    {
        seen = revision;
        coord_mirror_seen(&mirror, SPAN(""), seen);
    }
    void Merge(const char *prefix, uint64_t revision, const std::vector<Row> &rows, bool whole = false)
    {
        struct coord_mirror fresh;
        coord_mirror_init(&fresh, nullptr, nullptr);
        for (const auto &row : rows) {
            const struct coord_row is = { S(row.key), S(row.value), row.revision };
            EXPECT_EQ(ERR_OK, coord_mirror_take(&fresh, 0, &is).code);
        }
        fresh.rows.revision = revision;
        EXPECT_EQ(ERR_OK, coord_mirror_merge(&mirror, S(prefix), seen, &fresh, whole).code);
        EXPECT_EQ(0u, fresh.rows.count);
        if (whole && revision > seen) Seen(revision);
    }
    std::string Text() const
    {
        std::string text;
        size_t bytes = 0;
        for (size_t i = 0; i < mirror.rows.count; i++) {
            const struct coord_row &row = mirror.rows.rows[i];
            text += (i ? " " : "") + Str(row.key) + "=" + Str(row.value) + "@" + std::to_string(row.revision);
            if (i > 0) EXPECT_GT(0, span_order(mirror.rows.rows[i - 1].key, row.key));
            bytes += row.key.len + row.value.len;
        }
        EXPECT_EQ(bytes, mirror.bytes);
        return text;
    }
    struct coord_mirror mirror;
    uint64_t seen = 0;
    std::set<std::string> told;
};

TEST(CoordMirror, SourcesOvertakeEachOther)
{
    Mirror m;
    m.Take("b", "1", 3);
    m.Take("a", "1", 2);
    m.Seen(3);
    EXPECT_EQ("a=1@2 b=1@3", m.Text());
    m.Take("a", "old", 1); // older than what was seen
    m.Take("c", "old", 3);
    EXPECT_EQ("a=1@2 b=1@3", m.Text());
    m.Take("a", "ours", 9); // an answer is ahead of the watch
    m.Take("a", "theirs", 7);
    EXPECT_EQ("a=ours@9 b=1@3", m.Text());
    m.told.clear();
    m.Take("b", nullptr, 10); // an answer says: gone by 10
    EXPECT_EQ(std::set<std::string>{ "b" }, m.told);
    m.Take("b", "late", 8); // the watch comes after it
    m.Take("b", nullptr, 8);
    m.Seen(8);
    EXPECT_EQ("a=ours@9", m.Text());
    EXPECT_EQ(1u, m.mirror.gone.count);
    m.Take("b", "anew", 11);
    EXPECT_EQ("a=ours@9 b=anew@11", m.Text());
    EXPECT_EQ(0u, m.mirror.gone.count);
    m.Take("a", nullptr, 12);
    m.Seen(12);
    EXPECT_EQ(0u, m.mirror.gone.count);
    m.Take("a", "late", 12);
    EXPECT_EQ("b=anew@11", m.Text());
    m.told.clear();
    m.Take("b", "anew", 11);
    m.Take("none", nullptr, 13);
    EXPECT_TRUE(m.told.empty());
}

TEST(CoordMirror, Readings)
{
    Mirror m;
    m.Merge("", 5, { { "a/1", 2, "x" }, { "a/2", 3, "x" }, { "b/1", 4, "x" } }, true);
    EXPECT_EQ("a/1=x@2 a/2=x@3 b/1=x@4", m.Text());
    EXPECT_EQ(5u, m.seen);
    m.told.clear();
    m.Merge("a/", 8, { { "a/1", 2, "x" }, { "a/3", 7, "y" } }); // a/2 went by 8
    EXPECT_EQ("a/1=x@2 a/3=y@7 b/1=x@4", m.Text());
    EXPECT_EQ((std::set<std::string>{ "a/2", "a/3" }), m.told);
    m.Take("a/2", "between", 6); // what the watch tells of the time before the reading
    EXPECT_EQ("a/1=x@2 a/3=y@7 b/1=x@4", m.Text());
    m.Take("a/4", "z", 9);
    m.Take("a/1", nullptr, 10);
    m.Seen(10);
    m.Merge("a/", 8, { { "a/1", 2, "x" }, { "a/3", 7, "y" } }); // a reading that comes late
    EXPECT_EQ("a/3=y@7 a/4=z@9 b/1=x@4", m.Text());
    m.Merge("", 20, {}, true);
    EXPECT_EQ("", m.Text());
    EXPECT_EQ(0u, m.mirror.gone.count);
}

// One history of a store; the watch in order, answers and readings ahead of it at random: the mirror
// never goes back, and ends where the store does.
TEST(CoordMirror, NeverGoesBack)
{
    for (unsigned seed = 0; seed < 300; seed++) {
        std::mt19937 random(seed);
        std::vector<std::map<std::string, std::pair<uint64_t, std::string>>> states(1); // by revision
        std::vector<std::pair<std::string, bool>> history(1);                           // key, deleted
        for (uint64_t r = 1; r <= 60; r++) {
            auto state = states.back();
            std::string key = (random() % 2 ? "a/" : "b/") + std::to_string(random() % 3);
            bool deleted = state.count(key) && random() % 3 == 0;
            if (deleted) state.erase(key);
            else state[key] = { r, "v" + std::to_string(r) };
            states.push_back(state);
            history.push_back({ key, deleted });
        }
        Mirror m;
        std::map<std::string, uint64_t> known; // the newest that was shown of a key
        uint64_t watch = 0;
        while (watch < 60) {
            uint64_t ahead = watch + random() % (61 - watch);
            if (random() % 2) {
                watch++;
                auto &[key, deleted] = history[watch];
                m.Take(key, deleted ? nullptr : ("v" + std::to_string(watch)).c_str(), watch);
                m.Seen(std::max(m.seen, watch));
            } else if (random() % 2) {
                std::string key = history[1 + random() % 60].first;
                auto row = states[ahead].find(key);
                if (ahead == 0) continue;
                if (row == states[ahead].end()) m.Take(key, nullptr, ahead);
                else m.Take(key, row->second.second.c_str(), row->second.first);
            } else {
                bool whole = random() % 3 == 0;
                const char *prefix = whole ? "" : "a/";
                std::vector<Row> rows;
                for (const auto &[key, row] : states[ahead]) if (key.rfind(prefix, 0) == 0) rows.push_back({ key.c_str(), row.first, row.second.c_str() });
                m.Merge(prefix, ahead, rows, whole);
            }
            for (size_t i = 0; i < m.mirror.rows.count; i++) {
                const struct coord_row &row = m.mirror.rows.rows[i];
                EXPECT_EQ("v" + std::to_string(row.revision), Str(row.value));
                EXPECT_GE(row.revision, known[Str(row.key)]) << seed;
                known[Str(row.key)] = row.revision;
            }
            // All that was seen is in: a key's row is at least that of then.
            for (const auto &[key, row] : states[m.seen]) {
                const struct coord_row *is = coord_rows_get(&m.mirror.rows, S(key));
                if (is != nullptr) EXPECT_GE(is->revision, row.first) << seed;
            }
        }
        std::string want;
        for (const auto &[key, row] : states[60]) want += (want.empty() ? "" : " ") + key + "=" + row.second + "@" + std::to_string(row.first);
        EXPECT_EQ(want, m.Text()) << seed;
    }
}

TEST(CoordMirror, Bounds)
{
    Mirror m;
    std::string value(COORD_VALUE_MAX_BYTES, 'x');
    size_t rows = COORD_BYTES_MAX / (COORD_VALUE_MAX_BYTES + 5);
    for (size_t i = 0; i < rows; i++) {
        std::string key = std::to_string(10000 + i);
        const struct coord_row row = { S(key), S(value), i + 1 };
        ASSERT_EQ(ERR_OK, coord_mirror_take(&m.mirror, 0, &row).code);
    }
    const struct coord_row more = { S("z"), S(value), 100000 }, smaller = { S("10000"), S("x"), 100001 };
    EXPECT_EQ(ERR_TOO_BIG, coord_mirror_take(&m.mirror, 0, &more).code);
    EXPECT_EQ(rows, m.mirror.rows.count);
    EXPECT_EQ(ERR_OK, coord_mirror_take(&m.mirror, 0, &smaller).code);
    EXPECT_EQ(ERR_OK, coord_mirror_take(&m.mirror, 0, &more).code);
    Mirror gone;
    for (int i = 0; i < COORD_GONE_MAX; i++) gone.Take(std::to_string(i), nullptr, 5);
    const struct coord_row one = { S("z"), span_of(nullptr, 0), 5 };
    EXPECT_EQ(ERR_BUSY, coord_mirror_take(&gone.mirror, 0, &one).code);
    gone.Seen(5);
    EXPECT_EQ(0u, gone.mirror.gone.count);
}

// ---- options

struct coord_options Etcd()
{
    struct coord_options options = {};
    options.endpoints[0] = "https://10.0.0.1:2379";
    options.endpoints[1] = "http://[::1]:1";
    options.endpoints_count = 2;
    options.cluster = "a-1";
    return options;
}

std::string Text(const struct coord_options &options)
{
    std::string text(65536, ' ');
    struct buf out;
    buf_init(&out, text.data(), text.size());
    coord_options_write(&out, &options);
    return text.substr(0, out.len);
}

TEST(CoordOptions, CopiesAndText)
{
    struct coord_options options = Etcd();
    options.user = "u";
    options.password_file = "/p w";
    options.ca_file = "/c=a";
    options.prefixes[0] = S("b/");
    options.prefixes[1] = S("a/");
    options.prefixes_count = 2;
    struct coord_options_copy *copy = nullptr, *again = nullptr;
    ASSERT_EQ(ERR_OK, coord_options_copy(&options, &copy).code);
    EXPECT_EQ("a/", Str(copy->options.prefixes[0]));
    EXPECT_STREQ("", copy->options.directory);
    EXPECT_STREQ("", copy->options.key_file);
    EXPECT_TRUE(coord_options_keep(&copy->options, S("a/x")));
    EXPECT_FALSE(coord_options_keep(&copy->options, S("a")));
    EXPECT_FALSE(coord_options_keep(&copy->options, S("")));
    std::string text = Text(copy->options);
    EXPECT_EQ("endpoint=https://10.0.0.1:2379\nendpoint=http://[::1]:1\ncluster=a-1\nuser=u\npassword-file=/p w\nca-file=/c=a\n", text);
    ASSERT_EQ(ERR_OK, coord_options_read(S(text), &copy->options, &again).code);
    EXPECT_EQ(text, Text(again->options));
    EXPECT_EQ(2u, again->options.prefixes_count);
    EXPECT_EQ("b/", Str(again->options.prefixes[1]));
    free(again);
    free(copy);
    options.prefixes_count = 0;
    ASSERT_EQ(ERR_OK, coord_options_copy(&options, &copy).code);
    EXPECT_TRUE(coord_options_keep(&copy->options, S("")));
    free(copy);
}

TEST(CoordOptions, BadOnes)
{
    struct coord_options_copy *copy = nullptr;
    std::string longer(COORD_OPTION_MAX_BYTES, 'x'), key(COORD_KEY_MAX_BYTES + 1, 'k'), cluster(65, 'a');
    auto refused = [&](enum err_code want, const std::function<void(struct coord_options *)> &spoil) {
        struct coord_options options = Etcd();
        spoil(&options);
        struct err err = coord_options_copy(&options, &copy);
        EXPECT_EQ(want, err.code) << err.what;
    };
    for (const char *endpoint : { "", "10.0.0.1:1", "http://", "http://:1", "http://a", "http://a:", "http://a:x", "http://a:123456", "http://a:1/", "http://a b:1", "http://a?:1", "https//a:1", "unix:/a:1", "http://a:1\n" })
        refused(ERR_SYNTAX, [&](struct coord_options *o) { o->endpoints[1] = endpoint; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->endpoints[1] = nullptr; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->endpoints[1] = longer.c_str(); });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->endpoints_count = 0; });
    refused(ERR_TOO_BIG, [&](struct coord_options *o) { o->endpoints_count = COORD_ENDPOINTS_MAX + 1; });
    for (const char *name : { "", "A", "a/b", "a_b", "a b", "\xc3\xa9", cluster.c_str() }) refused(ERR_SYNTAX, [&](struct coord_options *o) { o->cluster = name; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->cluster = nullptr; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->user = "u"; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->password_file = "/p"; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->cert_file = "/p"; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->key_file = "/p"; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->ca_file = "/p\n"; });
    refused(ERR_TOO_BIG, [&](struct coord_options *o) { o->ca_file = longer.c_str(); });
    refused(ERR_TOO_BIG, [&](struct coord_options *o) { o->directory = longer.c_str(); });
    refused(ERR_TOO_BIG, [&](struct coord_options *o) { o->prefixes_count = COORD_PREFIXES_MAX + 1; });
    refused(ERR_TOO_BIG, [&](struct coord_options *o) { o->prefixes[0] = S(key); o->prefixes_count = 1; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->prefixes[0] = S("ab"); o->prefixes[1] = S("a"); o->prefixes_count = 2; });
    refused(ERR_SYNTAX, [&](struct coord_options *o) { o->prefixes[0] = S("a"); o->prefixes[1] = S("a"); o->prefixes_count = 2; });
    const struct coord_options with = {};
    const std::string good = Text(Etcd());
    ASSERT_EQ(ERR_OK, coord_options_read(S(good), &with, &copy).code);
    free(copy);
    for (const std::string &text : { std::string(""), good + "x", good + "x=y\n", good + "=y\n", good + "\n", good + "cluster=b\n", good + "directory=/d\n", good + std::string("user=\0\n", 7), good.substr(0, good.size() - 1) })
        EXPECT_EQ(ERR_SYNTAX, coord_options_read(S(text), &with, &copy).code) << text;
}

}  // namespace
