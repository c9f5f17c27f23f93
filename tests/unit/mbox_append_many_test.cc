// AppendMany: all messages or none, with bodies that have room in the commit and those that go ahead.
#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

class AppendManyTest : public ::testing::Test {
protected:
    struct One {
        std::string body = "sssssssssss", stamp = Stamp(), subject = "hello";
        std::vector<std::string> keywords;
        uint64_t flags = 0, internaldate_ms = 0;
        uint32_t size = 0;
        uint64_t stored_bytes = UINT64_MAX; // that of the body
    };

    void SetUp() override
    {
        ASSERT_EQ(ERR_OK, shard.MakeAccount(1, 10000000, 2000));
        shard.Apply();
    }

    err_code Run(const std::vector<One> &ones, const std::string &mailbox = "INBOX", const std::string &again = "")
    {
        std::vector<store_appended_message> messages(ones.size());
        std::deque<std::vector<span>> words;
        std::deque<std::string> facts;
        std::string all;
        for (size_t i = 0; i < ones.size(); i++) {
            const auto &one = ones[i];
            words.emplace_back();
            for (auto &word : one.keywords) words.back().push_back(S(word));
            facts.push_back(Facts(one.subject));
            messages[i].flags = one.flags;
            messages[i].keywords = words.back().data(), messages[i].keywords_count = words.back().size();
            messages[i].internaldate_ms = one.internaldate_ms;
            messages[i].facts = S(facts.back());
            messages[i].size = one.size ? one.size : uint32_t(one.body.size());
            messages[i].scan_stamp = S(one.stamp);
            messages[i].stored_bytes = one.stored_bytes == UINT64_MAX ? one.body.size() : one.stored_bytes;
            all += one.body;
        }
        id = again.empty() ? shard.Id() : again;
        store_append_many_request request = {};
        request.operation_id = S(id), request.tenant = 1, request.account = 1, request.mailbox = S(mailbox);
        request.messages = messages.data(), request.messages_count = messages.size();
        Result result;
        struct body *body = shard.bodies.Make(all);
        auto code = shard.Change(STORE_METHOD_APPEND_MANY, &request, &result, body);
        body_unref(body);
        if (code == ERR_OK) reply = result.Reply<store_append_many_reply>();
        batches = result.r.batches_count;
        return code;
    }

    // UID, flags and stored body of all messages; long bodies by their length.
    std::string All()
    {
        store_fetch_request request = {1, 1, 1, SPAN(""), STORE_FETCH_BODY, 0};
        auto context = shard.Read();
        mbox_fetch *fetch;
        uint64_t modseq;
        std::string text;
        EXPECT_EQ(ERR_OK, mbox_fetch_open(&context, &request, &fetch, &modseq).code);
        mail_record record;
        span piece;
        while (mbox_fetch_next(fetch, &record, &piece).code == ERR_OK) {
            std::string body = Str(piece);
            auto uid = record.uid;
            auto flags = record.flags;
            auto bytes = record.body.len;
            while (mbox_fetch_piece(fetch, &piece).code == ERR_OK) body += Str(piece);
            EXPECT_EQ(bytes, body.size());
            EXPECT_EQ(std::string::npos, body.find_first_not_of(body[0]));
            text += std::to_string(uid) + ":" + std::to_string(flags) + ":" + body.substr(0, 1) + std::to_string(body.size()) + " ";
        }
        mbox_fetch_close(fetch);
        return text;
    }
    Shard shard;
    store_append_many_reply reply = {};
    std::string id;
    size_t batches = 0;
};

TEST_F(AppendManyTest, AllInOneCommit)
{
    std::vector<One> ones(3);
    ones[0].body = "aa", ones[0].flags = MAIL_FLAG_SEEN, ones[0].internaldate_ms = 5000, ones[0].size = 1000;
    ones[1].body = "b", ones[1].keywords = {"$Work", "$Junk"};
    ones[2].body = "ccc", ones[2].keywords = {"$junk"}, ones[2].flags = MAIL_FLAG_DELETED | 1ull << 60;
    ASSERT_EQ(ERR_OK, Run(ones)) << shard.what;
    EXPECT_EQ(1u, batches);
    shard.Apply();
    EXPECT_EQ(1u, reply.first_uid);
    EXPECT_EQ(3u, reply.count);
    EXPECT_EQ(1u, reply.mailbox);
    EXPECT_NE(0u, reply.uidvalidity);
    auto seen = std::to_string(MAIL_FLAG_SEEN), words = std::to_string(3ull << MAIL_KEYWORD_BIT_FIRST);
    auto deleted = std::to_string(MAIL_FLAG_DELETED | 2ull << MAIL_KEYWORD_BIT_FIRST);
    EXPECT_EQ("1:" + seen + ":a2 2:" + words + ":b1 3:" + deleted + ":c3 ", All());
    EXPECT_EQ(0u, CheckRows(shard));
    ASSERT_EQ(ERR_OK, Run({One()}));
    EXPECT_EQ(4u, reply.first_uid);
    EXPECT_EQ(1u, reply.count);
}

TEST_F(AppendManyTest, TheSameOperationIsDoneOnce)
{
    ASSERT_EQ(ERR_OK, Run(std::vector<One>(2)));
    auto first = reply;
    auto op = id;
    shard.Apply();
    ASSERT_EQ(ERR_OK, Run(std::vector<One>(2), "INBOX", op));
    EXPECT_EQ(0, memcmp(&first, &reply, sizeof(first)));
    EXPECT_EQ(0u, batches);
    shard.Apply();
    EXPECT_EQ("1:0:s11 2:0:s11 ", All());
    EXPECT_EQ(0u, CheckRows(shard));
}

TEST_F(AppendManyTest, NoneWhenOneIsBad)
{
    const auto before = shard.Rows();
    auto with = [](auto change) {
        std::vector<One> ones(3);
        change(ones[2]);
        return ones;
    };
    const struct { err_code want; std::vector<One> ones; std::string mailbox; } cases[] = {
        {ERR_SYNTAX, {}, "INBOX"},
        {ERR_NOT_FOUND, std::vector<One>(2), "nowhere"},
        {ERR_SYNTAX, with([](One &one) { one.stored_bytes = 10; }), "INBOX"},
        {ERR_SYNTAX, with([](One &one) { one.stored_bytes = 12; }), "INBOX"},
        {ERR_SYNTAX, with([](One &one) { one.stored_bytes = UINT64_MAX - 1; }), "INBOX"},
        {ERR_TOO_BIG, std::vector<One>(1001), "INBOX"},
        {ERR_QUOTA, with([](One &one) { one.size = 9999979; }), "INBOX"},
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.want, Run(c.ones, c.mailbox)) << &c - cases;
        shard.Apply();
        EXPECT_TRUE(before == shard.Rows()) << &c - cases;
    }
    // Without a stamp that says that it was scanned nothing is stored.
    for (const auto &stamp : {std::string(), std::string("x"), std::string(SCAN_STAMP_BYTES, '\xff')}) {
        EXPECT_NE(ERR_OK, Run(with([&](One &one) { one.stamp = stamp; })));
        shard.Apply();
        EXPECT_TRUE(before == shard.Rows());
    }
    ASSERT_EQ(ERR_OK, Run(with([](One &one) { one.size = 9999978; })));
}

TEST_F(AppendManyTest, QuotaOfItems)
{
    std::vector<One> ones(1000);
    ASSERT_EQ(ERR_OK, Run(ones)) << shard.what;
    EXPECT_EQ(1u, batches);
    shard.Apply();
    ASSERT_EQ(ERR_OK, Run(std::vector<One>(999)));
    shard.Apply();
    EXPECT_EQ(ERR_QUOTA, Run(std::vector<One>(2)));
    ASSERT_EQ(ERR_OK, Run({One()}));
    shard.Apply();
    EXPECT_EQ(ERR_QUOTA, Run({One()}));
    EXPECT_EQ(0u, CheckRows(shard));
}

// What has no room goes ahead; the messages come with the last batch, whatever was lost before it.
TEST_F(AppendManyTest, LargeBodiesGoAhead)
{
    std::vector<One> ones(4);
    ones[0].body = std::string(3 << 20, 'a'), ones[1].body = "b", ones[2].body = std::string(2 << 20, 'c'), ones[3].body = std::string(70000, 'd');
    for (auto &one : ones) one.size = 10;
    ASSERT_EQ(ERR_OK, Run(ones)) << shard.what;
    ASSERT_GT(batches, 1u);
    auto op = id;
    shard.Apply(batches - 1);
    EXPECT_EQ("", All());
    EXPECT_GT(CheckRows(shard), 0u); // marked as nobody's
    shard.Crash();
    ASSERT_EQ(ERR_OK, Run(ones, "INBOX", op)) << shard.what;
    shard.Apply();
    EXPECT_EQ("1:0:a3145728 2:0:b1 3:0:c2097152 4:0:d70000 ", All());
    EXPECT_EQ(4u, reply.count);
}

}  // namespace
