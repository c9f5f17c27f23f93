// What a tenant gives to its users, and answers that are kept for those who ask again.
#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

struct GrantTest : ::testing::Test {
    err_code Put(const std::string &group, const std::string &name, uint64_t bytes, std::function<void(store_grant_put_request &)> more = {},
                 std::string operation = "")
    {
        if (operation.empty()) operation = shard.Id();
        store_grant_put_request request = {};
        request.operation_id = S(operation);
        request.tenant = 7;
        request.group = S(group), request.name = S(name);
        request.bytes = bytes;
        if (more) more(request);
        Result result;
        auto code = shard.Change(STORE_METHOD_GRANT_PUT, &request, &result);
        if (code == ERR_OK) reply = result.Reply<store_grant_reply>();
        batches = result.r.batches_count;
        return code;
    }
    void Totals(uint64_t count, uint64_t bytes, uint64_t unlimited)
    {
        EXPECT_EQ(ERR_OK, Put("", "", 0));
        EXPECT_EQ(0u, batches);
        EXPECT_EQ(count, reply.count);
        EXPECT_EQ(bytes, reply.bytes);
        EXPECT_EQ(unlimited, reply.unlimited);
    }
    Shard shard;
    store_grant_reply reply = {};
    size_t batches = 0;
};

TEST_F(GrantTest, RowsAndTotals)
{
    Totals(0, 0, 0);
    EXPECT_EQ(ERR_OK, Put("a.test", "joe", 100));
    EXPECT_FALSE(reply.is_there);
    EXPECT_EQ(ERR_OK, Put("a.test", "ann", 0));
    EXPECT_EQ(2u, reply.group_count);
    EXPECT_EQ(ERR_OK, Put("b.test", "joe", 50));
    EXPECT_EQ(1u, reply.group_count);
    Totals(3, 150, 1);
    shard.Apply();
    EXPECT_EQ(ERR_OK, Put("a.test", "joe", 30)); // another size of the same row
    EXPECT_TRUE(reply.is_there);
    EXPECT_EQ(ERR_OK, Put("a.test", "ann", 5));
    Totals(3, 85, 0);
    auto remove = [](store_grant_put_request &r) { r.remove = true; };
    EXPECT_EQ(ERR_OK, Put("a.test", "joe", 0, remove));
    EXPECT_EQ(ERR_OK, Put("a.test", "joe", 0, remove)); // is not there any more
    EXPECT_EQ(ERR_OK, Put("a.test", "nobody", 9, remove));
    Totals(2, 55, 0);
    EXPECT_EQ(ERR_OK, Put("a.test", "", 0));
    EXPECT_EQ(1u, reply.group_count);
    EXPECT_EQ(ERR_OK, Put("", "", 0, [](store_grant_put_request &r) { r.tenant = 8; })); // another tenant
    EXPECT_EQ(0u, reply.count);
}

TEST_F(GrantTest, MaximaHold)
{
    auto max = [](uint64_t count, uint64_t group, uint64_t bytes) {
        return [=](store_grant_put_request &r) { r.count_max = count, r.group_count_max = group, r.bytes_max = bytes; };
    };
    EXPECT_EQ(ERR_OK, Put("a.test", "1", 60, max(3, 2, 100)));
    EXPECT_EQ(ERR_QUOTA, Put("a.test", "2", 41, max(3, 2, 100)));
    EXPECT_EQ("the tenant's quota of bytes does not hold it", shard.what);
    EXPECT_EQ(ERR_QUOTA, Put("a.test", "2", 0, max(3, 2, 100))); // as many as he likes
    EXPECT_EQ(ERR_OK, Put("a.test", "2", 40, max(3, 2, 100)));
    EXPECT_EQ(ERR_QUOTA, Put("a.test", "3", 1, max(9, 2, 0)));
    EXPECT_EQ("the domain has as many users as it may", shard.what);
    EXPECT_EQ(ERR_OK, Put("b.test", "3", 1, max(3, 2, 0)));
    EXPECT_EQ(ERR_QUOTA, Put("b.test", "4", 1, max(3, 2, 0)));
    EXPECT_EQ("the tenant has as many users as it may", shard.what);
    Totals(3, 101, 0);
    // Who is over a maximum that came later may give back, and keep what he has, and not take.
    EXPECT_EQ(ERR_OK, Put("a.test", "1", 50, max(1, 1, 10)));
    EXPECT_EQ(ERR_OK, Put("a.test", "1", 50, max(1, 1, 10)));
    EXPECT_EQ(ERR_QUOTA, Put("a.test", "1", 51, max(1, 1, 10)));
    Totals(3, 91, 0);
}

TEST_F(GrantTest, ARepeatGetsTheFirstAnswerAndACrashLosesNoHalf)
{
    auto id = shard.Id();
    EXPECT_EQ(ERR_OK, Put("a.test", "joe", 10, {}, id));
    shard.Apply();
    EXPECT_EQ(ERR_OK, Put("a.test", "joe", 10, {}, id));
    EXPECT_FALSE(reply.is_there);
    EXPECT_EQ(0u, batches);
    Totals(1, 10, 0);
    EXPECT_EQ(ERR_OK, Put("a.test", "ann", 10));
    shard.Crash();
    Totals(1, 10, 0);
}

TEST_F(GrantTest, RequestsThatAreNone)
{
    EXPECT_EQ(ERR_SYNTAX, Put("a.test", "joe", 1, [](store_grant_put_request &r) { r.tenant = 0; }));
    EXPECT_EQ(ERR_SYNTAX, Put("", "joe", 1));
    EXPECT_EQ(ERR_SYNTAX, Put(std::string("a\0b", 3), "joe", 1));
    EXPECT_EQ(ERR_SYNTAX, Put(std::string(256, 'a'), "joe", 1));
    EXPECT_EQ(ERR_SYNTAX, Put("a.test", std::string(257, 'a'), 1));
    EXPECT_EQ(ERR_SYNTAX, Put("a.test", "joe", uint64_t{ 1 } << 60));
    EXPECT_EQ(ERR_SYNTAX, Put("a.test", "joe", 1, {}, "short"));
    Totals(0, 0, 0);
}

TEST_F(GrantTest, TheFirstAnswerIsKept)
{
    auto keep = [&](const std::string &id, const std::string &answer) {
        store_answer_keep_request request = { S(id), S(answer) };
        Result result;
        auto code = shard.Change(STORE_METHOD_ANSWER_KEEP, &request, &result);
        return code == ERR_OK ? Str(result.Reply<store_answer_reply>().answer) : "error " + std::to_string(code);
    };
    auto one = shard.Id(), two = shard.Id();
    EXPECT_EQ("", keep(one, ""));
    EXPECT_EQ("first", keep(one, "first"));
    EXPECT_EQ("first", keep(one, "second"));
    EXPECT_EQ("first", keep(one, ""));
    shard.Apply();
    EXPECT_EQ("first", keep(one, "third"));
    EXPECT_EQ("", keep(two, ""));
    std::string large(32 * 1024, 'x');
    EXPECT_EQ(large, keep(two, large));
    EXPECT_EQ("error " + std::to_string(ERR_SYNTAX), keep(shard.Id(), large + "x"));
    EXPECT_EQ("error " + std::to_string(ERR_SYNTAX), keep("short", "x"));
}

}  // namespace
