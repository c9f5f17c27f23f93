// The pure half of kv: batches, keys, rows in memory, the overlay.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "kv.h"
#include "kv_key.h"
#include "kv_memory.h"
#include "kv_overlay.h"

namespace {

using Rows = std::map<std::string, std::string>;

span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(span s) { return std::string(s.ptr, s.len); }

struct Batch {
    Batch() { kv_batch_init(&batch); }
    ~Batch() { kv_batch_free(&batch); }
    span Bytes() const { return span_of(batch.bytes, batch.len); }
    kv_batch batch;
};

TEST(KvBatch, ChangesComeBackInOrder)
{
    Batch b;
    kv_batch_put(&b.batch, S("a"), S("1"));
    kv_batch_delete(&b.batch, S("b"));
    kv_batch_delete_range(&b.batch, S("c"), S("d"));
    char *room = kv_batch_put_room(&b.batch, S("e"), 70000);
    ASSERT_NE(nullptr, room);
    memset(room, 'x', 70000);
    kv_batch_put(&b.batch, S("f"), span{nullptr, 0});
    ASSERT_FALSE(b.batch.failed);
    EXPECT_EQ(5u, b.batch.count);

    span rest = b.Bytes();
    kv_change c;
    const struct { kv_op op; std::string key, value; } want[] = {
        {KV_PUT, "a", "1"}, {KV_DELETE, "b", ""}, {KV_DELETE_RANGE, "c", "d"},
        {KV_PUT, "e", std::string(70000, 'x')}, {KV_PUT, "f", ""},
    };
    for (const auto &w : want) {
        ASSERT_EQ(ERR_OK, kv_batch_next(&rest, &c).code);
        EXPECT_EQ(w.op, c.op);
        EXPECT_EQ(w.key, Str(c.key));
        if (w.op != KV_DELETE) EXPECT_EQ(w.value, Str(c.value));
    }
    EXPECT_EQ(ERR_NOT_FOUND, kv_batch_next(&rest, &c).code);
}

TEST(KvBatch, WhatIsNoneIsCorrupt)
{
    const std::string cases[] = {
        std::string("\x00", 1), "\x04\x01", std::string("\x01", 1), std::string("\x01\x01", 2),
        std::string("\x01\x00\x00", 3), std::string("\x01\x01\x00", 3), std::string("\x01\x01\x00k", 4),
        std::string("\x01\x01\x00k\x01\x00\x00", 7), std::string("\x01\x01\x00k\x01\x00\x00\x00", 8),
        std::string("\x01\x01\x00k\xff\xff\xff\xff" "v", 9), std::string("\x02\x02\x00k", 4),
        std::string("\x03\x01\x00k", 4), std::string("\x03\x01\x00k\x00\x00", 6),
        std::string("\x03\x01\x00k\x02\x00x", 7), std::string("\x02\x01\x04", 3) + std::string(1025, 'k'),
    };
    for (const auto &bytes : cases) {
        span rest = S(bytes);
        kv_change c;
        EXPECT_EQ(ERR_CORRUPT, kv_batch_next(&rest, &c).code) << ::testing::PrintToString(bytes);
        EXPECT_EQ(bytes.size(), rest.len);
    }
}

TEST(KvBatch, TheBoundFailsTheBatch)
{
    Batch b;
    std::string value(3 * 1024 * 1024, 'v');
    kv_batch_put(&b.batch, S("a"), S(value));
    kv_batch_put(&b.batch, S("b"), S(value));
    EXPECT_FALSE(b.batch.failed);
    kv_batch_put(&b.batch, S("c"), S(value));
    EXPECT_TRUE(b.batch.failed);
    EXPECT_EQ(nullptr, kv_batch_put_room(&b.batch, S("d"), 1));
    kv_batch_clear(&b.batch);
    kv_batch_put(&b.batch, S("a"), S(value));
    EXPECT_FALSE(b.batch.failed);
}

TEST(KvKey, EncodesAsDescribed)
{
    kv_owner owner = {0x0102, 0x03040506, 0x0708090a0b0c0d0e};
    kv_key key;
    kv_key_begin(&key, &owner, KV_MESSAGE);
    kv_key_u32(&key, 0x11121314);
    kv_key_u32(&key, 7);
    EXPECT_EQ(std::string("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x06"
                          "\x11\x12\x13\x14\x00\x00\x00\x07", 23), Str(kv_key_span(&key)));
    kv_owner back;
    unsigned kind;
    span tail;
    uint32_t mailbox, uid;
    ASSERT_EQ(ERR_OK, kv_key_read(kv_key_span(&key), &back, &kind, &tail).code);
    EXPECT_EQ(owner.slot, back.slot);
    EXPECT_EQ(owner.tenant, back.tenant);
    EXPECT_EQ(owner.account, back.account);
    EXPECT_EQ(unsigned(KV_MESSAGE), kind);
    ASSERT_TRUE(kv_key_take_u32(&tail, &mailbox));
    ASSERT_TRUE(kv_key_take_u32(&tail, &uid));
    EXPECT_FALSE(kv_key_take_u32(&tail, &uid));
    EXPECT_EQ(0x11121314u, mailbox);
    EXPECT_EQ(7u, uid);
}

TEST(KvKey, EndIsBehindEveryKeyOfThePrefix)
{
    const struct { kv_owner owner; uint32_t part; std::string end; } cases[] = {
        {{1, 1, 1}, 5, std::string("\0\1\0\0\0\1\0\0\0\0\0\0\0\1\3\0\0\0\6", 19)},
        {{1, 1, 1}, 0xffffffff, std::string("\0\1\0\0\0\1\0\0\0\0\0\0\0\1\4", 15)},
        {{1, 1, 1}, 0xff, std::string("\0\1\0\0\0\1\0\0\0\0\0\0\0\1\3\0\0\1", 18)},
    };
    for (const auto &c : cases) {
        kv_key key;
        kv_key_begin(&key, &c.owner, KV_MAILBOX);
        kv_key_u32(&key, c.part);
        kv_key_end(&key);
        EXPECT_EQ(c.end, Str(kv_key_span(&key)));
    }
}

TEST(KvKey, BadKeysAreCorrupt)
{
    kv_owner owner;
    unsigned kind;
    span tail;
    EXPECT_EQ(ERR_CORRUPT, kv_key_read(S(std::string()), &owner, &kind, &tail).code);
    EXPECT_EQ(ERR_CORRUPT, kv_key_read(S(std::string(14, '\0')), &owner, &kind, &tail).code);
    EXPECT_EQ(ERR_CORRUPT, kv_key_read(S(std::string(15, '\x40')), &owner, &kind, &tail).code);
    EXPECT_EQ(ERR_NOT_FOUND, kv_key_read(S(std::string("\xff" "applied")), &owner, &kind, &tail).code);
    EXPECT_EQ(ERR_OK, kv_key_read(S(std::string(15, '\x3f')), &owner, &kind, &tail).code);
}

// ---- stores and overlays against a std::map

Rows All(kv_reader *reader, const std::string &from = "")
{
    Rows rows;
    kv_iter *it;
    EXPECT_EQ(ERR_OK, kv_iter_new(reader, &it).code);
    std::string before;
    for (it->calls->seek(it, S(from)); it->calls->valid(it); it->calls->next(it)) {
        auto key = Str(it->calls->key(it));
        if (key[0] == '\xff') continue;
        EXPECT_LT(before, key);
        before = key;
        rows[key] = Str(it->calls->value(it));
    }
    EXPECT_EQ(ERR_OK, it->calls->status(it).code);
    it->calls->free(it);
    return rows;
}

void Play(span bytes, Rows *rows)
{
    kv_change c;
    while (kv_batch_next(&bytes, &c).code == ERR_OK) {
        if (c.op == KV_PUT) (*rows)[Str(c.key)] = Str(c.value);
        if (c.op == KV_DELETE) rows->erase(Str(c.key));
        if (c.op == KV_DELETE_RANGE && Str(c.key) < Str(c.value))
            rows->erase(rows->lower_bound(Str(c.key)), rows->lower_bound(Str(c.value)));
    }
}

struct Random {
    explicit Random(unsigned seed) : gen(seed) {}
    unsigned operator()(unsigned below) { return unsigned(gen() % below); }
    // Few and short keys, with bytes at the edges, so that they meet.
    std::string Key()
    {
        std::string key(1, char('a' + (*this)(3)));
        for (unsigned n = (*this)(4); n > 0; n--) key += "\x00\x01k\xfe\xff"[(*this)(5)];
        return key;
    }
    void Fill(kv_batch *batch)
    {
        for (unsigned n = 1 + (*this)(8); n > 0; n--) {
            auto key = Key(), other = Key();
            unsigned what = (*this)(10);
            if (what < 6) kv_batch_put(batch, S(key), S(std::to_string((*this)(100000))));
            else if (what < 9) kv_batch_delete(batch, S(key));
            else kv_batch_delete_range(batch, S(key), S(other));
        }
    }
    std::mt19937 gen;
};

void ExpectSame(kv_reader *reader, const Rows &want, Random &random)
{
    ASSERT_EQ(want, All(reader));
    for (int i = 0; i < 5; i++) {
        auto key = random.Key();
        auto from = want.lower_bound(key);
        EXPECT_EQ(Rows(from, want.end()), All(reader, key));
        kv_value value;
        err err = kv_get(reader, S(key), &value);
        EXPECT_EQ(want.count(key) ? ERR_OK : ERR_NOT_FOUND, err.code);
        if (err.code == ERR_OK) {
            EXPECT_EQ(want.at(key), Str(value.bytes));
            kv_value_free(&value);
        }
        kv_iter *it;
        ASSERT_EQ(ERR_OK, kv_iter_new(reader, &it).code);
        it->calls->seek_last(it, S(key));
        auto last = want.upper_bound(key);
        if (last == want.begin()) {
            EXPECT_FALSE(it->calls->valid(it)) << ::testing::PrintToString(key);
        } else {
            --last;
            ASSERT_TRUE(it->calls->valid(it));
            EXPECT_EQ(last->first, Str(it->calls->key(it)));
            EXPECT_EQ(last->second, Str(it->calls->value(it)));
            it->calls->next(it);
            if (++last != want.end()) {
                ASSERT_TRUE(it->calls->valid(it));
                EXPECT_EQ(last->first, Str(it->calls->key(it)));
            }
        }
        it->calls->free(it);
        auto prefix = key.substr(0, 1 + key.size() / 2);
        ASSERT_EQ(ERR_OK, kv_iter_within(reader, S(prefix), &it).code);
        Rows within;
        for (it->calls->seek(it, S(prefix)); it->calls->valid(it); it->calls->next(it)) {
            auto at = Str(it->calls->key(it));
            if (at.compare(0, prefix.size(), prefix) != 0) break;
            within[at] = Str(it->calls->value(it));
        }
        EXPECT_EQ(ERR_OK, it->calls->status(it).code);
        it->calls->free(it);
        auto begin = want.lower_bound(prefix), end = begin;
        while (end != want.end() && end->first.compare(0, prefix.size(), prefix) == 0) ++end;
        EXPECT_EQ(Rows(begin, end), within) << ::testing::PrintToString(prefix);
    }
}

TEST(KvMemory, IsAMapWithVersionsAndCrashes)
{
    for (unsigned seed = 1; seed <= 20; seed++) {
        Random random(seed);
        kv *kv = kv_memory_new();
        std::vector<Rows> history(1);
        std::vector<std::pair<kv_iter *, Rows>> open;
        kv_memory_flush_seed(kv, seed % 2 ? seed : 0);
        for (uint64_t index = 1; index <= 150; index++) {
            Batch b;
            random.Fill(&b.batch);
            history.resize(index);
            history.push_back(history.back());
            Play(b.Bytes(), &history.back());
            ASSERT_EQ(ERR_OK, kv->calls->apply(kv, b.Bytes(), 3, index).code);
            ExpectSame(kv->calls->reader(kv), history.back(), random);
            if (random(10) == 0) {
                kv_iter *it;
                ASSERT_EQ(ERR_OK, kv_iter_new(kv->calls->reader(kv), &it).code);
                open.emplace_back(it, history.back());
            }
            if (random(12) == 0) ASSERT_EQ(ERR_OK, kv->calls->flush(kv, random(2) == 0).code);
            if (random(20) == 0) {
                uint64_t epoch, persisted, now;
                ASSERT_EQ(ERR_OK, kv->calls->applied(kv, true, &epoch, &persisted).code);
                kv_memory_crash(kv);
                ASSERT_EQ(ERR_OK, kv->calls->applied(kv, false, &epoch, &now).code);
                EXPECT_EQ(persisted, now);
                ExpectSame(kv->calls->reader(kv), history[now], random);
                index = now;
            }
        }
        for (auto &[it, want] : open) {
            Rows rows;
            for (it->calls->seek(it, S("")); it->calls->valid(it); it->calls->next(it))
                if (Str(it->calls->key(it))[0] != '\xff') rows[Str(it->calls->key(it))] = Str(it->calls->value(it));
            EXPECT_EQ(want, rows);
            it->calls->free(it);
        }
        kv->calls->close(kv);
    }
}

TEST(KvMemory, OfABadBatchNothingIsApplied)
{
    kv *kv = kv_memory_new();
    Batch b;
    kv_batch_put(&b.batch, S("a"), S("1"));
    std::string bytes = Str(b.Bytes()) + "\x07";
    EXPECT_EQ(ERR_CORRUPT, kv->calls->apply(kv, S(bytes), 1, 1).code);
    EXPECT_TRUE(All(kv->calls->reader(kv)).empty());
    EXPECT_EQ(0u, kv_memory_rows(kv));
    kv->calls->close(kv);
}

TEST(KvMemory, ACopyIsAStoreOfItsOwn)
{
    auto put = [](kv *kv, const char *key, const char *value, uint64_t index) {
        Batch b;
        kv_batch_put(&b.batch, S(key), S(value));
        EXPECT_EQ(ERR_OK, kv->calls->apply(kv, b.Bytes(), 1, index).code);
    };
    auto get = [](kv *kv, const char *key) {
        kv_value value;
        if (kv_get(kv->calls->reader(kv), S(key), &value).code != ERR_OK) return std::string("(none)");
        std::string found = Str(value.bytes);
        kv_value_free(&value);
        return found;
    };
    uint64_t epoch, index;
    kv *kv = kv_memory_new();
    put(kv, "a", "1", 1);
    EXPECT_EQ(ERR_OK, kv->calls->flush(kv, true).code);
    put(kv, "a", "2", 2);
    struct kv *copy = kv_memory_copy(kv), *flushed = kv_memory_copy_flushed(kv);
    put(kv, "a", "3", 3);
    put(copy, "b", "x", 9);
    EXPECT_EQ("3", get(kv, "a"));
    EXPECT_EQ("(none)", get(kv, "b"));
    EXPECT_EQ("2", get(copy, "a"));
    EXPECT_EQ("1", get(flushed, "a"));
    kv_memory_crash(copy); // what it was copied with is flushed
    EXPECT_EQ("2", get(copy, "a"));
    EXPECT_EQ("(none)", get(copy, "b"));
    EXPECT_EQ(ERR_OK, flushed->calls->applied(flushed, true, &epoch, &index).code);
    EXPECT_EQ(1u, index);
    kv->calls->close(kv);
    EXPECT_EQ("2", get(copy, "a"));
    copy->calls->close(copy);
    flushed->calls->close(flushed);
}

TEST(KvOverlay, ReadsAsIfAllWereApplied)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        Random random(seed);
        kv *kv = kv_memory_new();
        kv_overlay *overlay = kv_overlay_new(kv->calls->reader(kv));
        Rows want;
        std::vector<std::string> pending; // batches behind `applied`
        uint64_t applied = 0, told = 0;
        for (uint64_t index = 1; index <= 100; index++) {
            Batch b;
            random.Fill(&b.batch);
            Play(b.Bytes(), &want);
            pending.push_back(Str(b.Bytes()));
            ASSERT_EQ(ERR_OK, kv_overlay_add(overlay, b.Bytes(), index).code);
            // The store moves on by itself, and the overlay hears of it later.
            while (!pending.empty() && random(2) == 0) {
                ASSERT_EQ(ERR_OK, kv->calls->apply(kv, S(pending.front()), 1, ++applied).code);
                pending.erase(pending.begin());
            }
            if (random(3) == 0) kv_overlay_applied(overlay, told = applied);
            ExpectSame(kv_overlay_reader(overlay), want, random);
        }
        EXPECT_LE(told, applied);
        kv_overlay_clear(overlay);
        EXPECT_TRUE(kv_overlay_is_empty(overlay));
        EXPECT_EQ(All(kv->calls->reader(kv)), All(kv_overlay_reader(overlay)));
        kv_overlay_free(overlay);
        kv->calls->close(kv);
    }
}

TEST(KvOverlay, RefusesAndStaysAsItWas)
{
    kv *kv = kv_memory_new();
    kv_overlay *overlay = kv_overlay_new(kv->calls->reader(kv));
    Batch b;
    kv_batch_put(&b.batch, S("a"), S("1"));
    std::string bad = Str(b.Bytes()) + "\x01\x01";
    EXPECT_EQ(ERR_CORRUPT, kv_overlay_add(overlay, S(bad), 1).code);
    EXPECT_TRUE(kv_overlay_is_empty(overlay));
    Batch ranges;
    for (int i = 0; i <= KV_OVERLAY_RANGES_MAX; i++) kv_batch_delete_range(&ranges.batch, S("a"), S("b"));
    EXPECT_EQ(ERR_BUSY, kv_overlay_add(overlay, ranges.Bytes(), 1).code);
    EXPECT_TRUE(kv_overlay_is_empty(overlay));
    EXPECT_EQ(ERR_OK, kv_overlay_add(overlay, b.Bytes(), 1).code);
    EXPECT_EQ((Rows{{"a", "1"}}), All(kv_overlay_reader(overlay)));
    kv_overlay_applied(overlay, 0);
    EXPECT_FALSE(kv_overlay_is_empty(overlay));
    kv_overlay_applied(overlay, 1);
    EXPECT_TRUE(kv_overlay_is_empty(overlay));
    kv_overlay_free(overlay);
    kv->calls->close(kv);
}

}  // namespace
