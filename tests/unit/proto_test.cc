// Structs of store.proto to bytes and back, and bytes that are no message.
#include <gtest/gtest.h>

#include <string>

#include "store_msg.h"

namespace {

struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
std::string Str(struct span s) { return std::string(s.ptr == nullptr ? "" : s.ptr, s.len); }

class Proto : public testing::Test {
protected:
    void SetUp() override { arena_init(&arena, 1 << 20); }
    void TearDown() override { arena_clear(&arena); }
    struct arena arena;
};

TEST_F(Proto, RoundTripKeepsEveryKindOfField)
{
    std::string id("0123456789abcdef"), nul("a\0b", 3), junk("$Junk");
    struct span words[] = { S(nul), S(junk) };
    struct store_deliver_target targets[2] = {};
    targets[0].operation_id = S(id);
    targets[0].tenant = 7;
    targets[0].account = 1ull << 60;
    targets[0].keywords = words;
    targets[0].keywords_count = 2;
    struct store_deliver_request request = {};
    request.targets = targets;
    request.targets_count = 2;
    request.ignore_quota = true;
    request.size = 4096;
    struct span bytes;
    ASSERT_EQ(ERR_OK, proto_pack(&store_deliver_request_type, &request, &arena, &bytes).code);
    struct store_deliver_request back;
    ASSERT_EQ(ERR_OK, proto_unpack(&store_deliver_request_type, bytes, &arena, &back).code);
    ASSERT_EQ(2u, back.targets_count);
    EXPECT_EQ(1ull << 60, back.targets[0].account);
    ASSERT_EQ(2u, back.targets[0].keywords_count);
    EXPECT_EQ(nul, Str(back.targets[0].keywords[0]));
    EXPECT_EQ(id, Str(back.targets[0].operation_id));
    EXPECT_EQ(0u, back.targets[1].keywords_count);
    EXPECT_TRUE(back.ignore_quota);
    EXPECT_EQ(4096u, back.size);
}

TEST_F(Proto, SubMessageIsThereOrNot)
{
    struct store_account_reply reply = {}, back;
    struct span bytes;
    ASSERT_EQ(ERR_OK, proto_pack(&store_account_reply_type, &reply, &arena, &bytes).code);
    ASSERT_EQ(ERR_OK, proto_unpack(&store_account_reply_type, bytes, &arena, &back).code);
    EXPECT_FALSE(back.has_account);
    reply.has_account = true;
    reply.account.quota_bytes = 5;
    ASSERT_EQ(ERR_OK, proto_pack(&store_account_reply_type, &reply, &arena, &bytes).code);
    ASSERT_EQ(ERR_OK, proto_unpack(&store_account_reply_type, bytes, &arena, &back).code);
    EXPECT_TRUE(back.has_account);
    EXPECT_EQ(5u, back.account.quota_bytes);
}

TEST_F(Proto, BytesThatAreNoMessageAreRefusedAndLeaveTheOutput)
{
    const std::string bad[] = { std::string("\x0a\xff\xff\xff\xff\x07", 6), "\x0a\x05" "abc", "\xff",
                                std::string("\x0a\x80", 2) };
    for (const auto &bytes : bad) {
        struct store_deliver_request back = {};
        back.size = 99;
        EXPECT_EQ(ERR_SYNTAX, proto_unpack(&store_deliver_request_type, S(bytes), &arena, &back).code);
        EXPECT_EQ(99u, back.size);
    }
}

TEST_F(Proto, ArenaLimitBoundsWhatAPeerCanMakeUsAllocate)
{
    std::string many;
    for (int i = 0; i < 100000; i++) many += std::string("\x0a\x00", 2); // an empty target each
    struct arena small;
    arena_init(&small, 64 * 1024);
    struct store_deliver_request back = {};
    EXPECT_EQ(ERR_SYNTAX, proto_unpack(&store_deliver_request_type, S(many), &small, &back).code);
    arena_clear(&small);
}

TEST_F(Proto, MethodNumbersFindTheirRows)
{
    EXPECT_STREQ("Deliver", store_method_find(STORE_METHOD_DELIVER)->name);
    EXPECT_TRUE(store_method_find(STORE_METHOD_WATCH)->stream);
    EXPECT_EQ(nullptr, store_method_find(9999));
}

} // namespace
