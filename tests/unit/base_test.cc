// Bodies, maps, hashes and arenas: what holds them within their limits.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>
#include <initializer_list>
#include <string>
#include <vector>

#include "arena.h"
#include "body.h"
#include "file.h"
#include "hash.h"
#include "id.h"
#include "map.h"
#include "span.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }

std::string Read(const struct body *body)
{
    std::string all;
    for (uint64_t at = 0;;) {
        struct span piece = body_piece(body, at);
        if (piece.len == 0) return all;
        all.append(piece.ptr, piece.len);
        at += piece.len;
    }
}

TEST(Body, KeepsItsBytesInMemoryAndInTheFile)
{
    for (size_t size : { size_t(0), size_t(1), size_t(4096), size_t(4097), size_t(BODY_MEMORY_BYTES),
                         size_t(BODY_MEMORY_BYTES) + 1, size_t(3) << 20 }) {
        struct body_budget budget = { 1 << 20, 8 << 20, 0, 0, "/tmp" };
        std::string want;
        for (size_t i = 0; i < size; i++) want += char(i * 7 + i / 251);
        struct body *body;
        ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
        for (size_t at = 0; at < size; at += 1000) {
            ASSERT_EQ(ERR_OK, body_put(body, S(want.substr(at, 1000))).code);
        }
        ASSERT_EQ(ERR_OK, body_seal(body).code);
        EXPECT_EQ(size, body_size(body));
        EXPECT_EQ(want, Read(body));
        char tail[10];
        size_t there = body_copy(body, size > 5 ? size - 5 : 0, tail, sizeof(tail));
        EXPECT_EQ(size > 5 ? want.substr(size - 5) : want, std::string(tail, there));
        EXPECT_LE(budget.memory_bytes, uint64_t(BODY_MEMORY_BYTES) + 128 * 1024);
        body_unref(body_ref(body));
        body_unref(body);
        EXPECT_EQ(0u, budget.memory_bytes);
        EXPECT_EQ(0u, budget.file_bytes);
    }
}

TEST(Body, BudgetRefusesAndTheBodyStaysAsItWas)
{
    struct body_budget budget = { 8192, 0, 0, 0, "/tmp" };
    struct body *body;
    ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
    ASSERT_EQ(ERR_OK, body_put(body, S("hello")).code);
    EXPECT_EQ(ERR_BUSY, body_put(body, S(std::string(20000, 'x'))).code);
    ASSERT_EQ(ERR_OK, body_put(body, S(" there")).code);
    ASSERT_EQ(ERR_OK, body_seal(body).code);
    EXPECT_EQ("hello there", Read(body));
    body_unref(body);
    EXPECT_EQ(0u, budget.memory_bytes);
}

TEST(Body, NoPlaceToSpillIsAnError)
{
    struct body_budget budget = { 1 << 20, 1 << 20, 0, 0, "/nowhere/at/all" };
    struct body *body;
    ASSERT_EQ(ERR_OK, body_new(&budget, &body).code);
    EXPECT_EQ(ERR_IO, body_put(body, S(std::string(BODY_MEMORY_BYTES + 1, 'x'))).code);
    EXPECT_EQ(0u, body_size(body));
    body_unref(body);
    EXPECT_EQ(0u, budget.memory_bytes);
}

TEST(Map, FindsWhatWasPutAndForgetsWhatWasRemoved)
{
    struct map map;
    map_init(&map, 5000);
    std::vector<std::string> keys;
    for (int i = 0; i < 5000; i++) keys.push_back("key" + std::to_string(i));
    for (auto &key : keys) ASSERT_EQ(ERR_OK, map_put(&map, S(key), &key).code);
    EXPECT_EQ(ERR_BUSY, map_put(&map, S("one more"), &map).code);
    for (size_t i = 0; i < keys.size(); i += 2) EXPECT_EQ(&keys[i], map_remove(&map, S(keys[i])));
    for (size_t i = 0; i < keys.size(); i++) {
        EXPECT_EQ(i % 2 ? &keys[i] : nullptr, map_get(&map, S(keys[i])));
    }
    EXPECT_EQ(nullptr, map_remove(&map, S("no such key")));
    size_t at = 0, count = 0;
    while (map_next(&map, &at) != nullptr) count++;
    EXPECT_EQ(2500u, count);
    map_free(&map);
}

TEST(Span, Order)
{
    const std::string sorted[] = { "", std::string(1, '\0'), "A", "a", std::string("a\0", 2), "a.b", "aa", "b", "\x7f", "\x80", "\xff" };
    const size_t count = sizeof(sorted) / sizeof(sorted[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < count; k++) {
            int order = span_order(span_of(sorted[i].data(), sorted[i].size()), span_of(sorted[k].data(), sorted[k].size()));
            EXPECT_EQ((i > k) - (i < k), (order > 0) - (order < 0)) << i << " " << k;
        }
    }
    EXPECT_EQ(0, span_order(span_of(nullptr, 0), SPAN("")));
    EXPECT_GT(0, span_order(span_of(nullptr, 0), SPAN("a")));
}

TEST(Hash, KnownAnswers)
{
    // SipHash paper, appendix A: key 00..0f, input 00..0e.
    const uint64_t key[2] = { 0x0706050403020100u, 0x0f0e0d0c0b0a0908u };
    std::string in;
    for (char c = 0; c < 15; c++) in += c;
    EXPECT_EQ(0xa129ca6149be45e5u, hash_sip(key, S(in)));
    // RFC 3720 B.4.
    EXPECT_EQ(0x8a9136aau, hash_crc32c(0, S(std::string(32, '\0'))));
    EXPECT_EQ(0xe3069283u, hash_crc32c(hash_crc32c(0, S("1234")), S("56789")));
}

TEST(Arena, LimitHolds)
{
    struct arena arena;
    arena_init(&arena, 100);
    EXPECT_NE(nullptr, arena_alloc(&arena, 60));
    EXPECT_EQ(nullptr, arena_alloc(&arena, 41));
    EXPECT_NE(nullptr, arena_alloc(&arena, 40));
    arena_clear(&arena);
    EXPECT_NE(nullptr, arena_alloc(&arena, 100));
    arena_clear(&arena);
}

TEST(File, IsReadWholeOrRefused)
{
    char directory[] = "/tmp/base_test.XXXXXX", bytes[16];
    ASSERT_NE(nullptr, mkdtemp(directory));
    std::string path = std::string(directory) + "/file";
    size_t len = 99;
    EXPECT_EQ(ERR_NOT_FOUND, file_read(path.c_str(), bytes, sizeof(bytes), &len).code);
    EXPECT_EQ(0u, len);
    EXPECT_EQ(ERR_IO, file_read(directory, bytes, sizeof(bytes), &len).code); // a folder
    for (const std::string &text : std::initializer_list<std::string>{ "", "a", std::string(15, 'b'),
                                                                       std::string("c\0\n", 3), std::string(16, 'd'),
                                                                       std::string(17, 'e'), std::string(5000, 'f') }) {
        std::ofstream(path, std::ios::binary) << text;
        enum err_code want = text.size() <= sizeof(bytes) ? ERR_OK : ERR_TOO_BIG;
        EXPECT_EQ(want, file_read(path.c_str(), bytes, sizeof(bytes), &len).code) << text.size();
        EXPECT_EQ(text.substr(0, sizeof(bytes)), std::string(bytes, len));
    }
    unlink(path.c_str());
    rmdir(directory);
}

TEST(Id, OperationIdBeginsWithItsTime)
{
    uint8_t id[OPERATION_ID_BYTES];
    id_operation(0x01020304ull * 1000 + 999, id);
    EXPECT_EQ(std::string("\x01\x02\x03\x04", 4), std::string(reinterpret_cast<char *>(id), 4));
    char hex[8];
    id_hex("\x00\xff\x1a\xb2", 4, hex);
    EXPECT_EQ("00ff1ab2", std::string(hex, 8));
}

} // namespace
