// mbox_commands.h: a shard with one account, and commands of its user.
#ifndef GODWIT_MBOX_COMMANDS_H
#define GODWIT_MBOX_COMMANDS_H

#include <algorithm>

#include "mbox_fixture.h"

namespace mbox_test {

class MboxTest : public ::testing::Test {
protected:
    void SetUp() override
    {
        arena_init(&arena, 1 << 24);
        ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
        shard.Apply();
    }
    err_code Create(const std::string &name, uint64_t account = 1)
    {
        auto id = shard.Id();
        store_mailbox_create_request request = {S(id), 1, account, S(name), 0, 0};
        Result result;
        return shard.Change(STORE_METHOD_MAILBOX_CREATE, &request, &result);
    }
    store_mailbox Open(const std::string &name, err_code want = ERR_OK)
    {
        auto context = shard.Prepare();
        store_mailbox_open_request request = {1, 1, S(name), false};
        const void *reply;
        arena_clear(&arena);
        arena_init(&arena, 1 << 24);
        EXPECT_EQ(want, mbox_read(&context, nullptr, STORE_METHOD_MAILBOX_OPEN, &request, &arena, &reply).code);
        if (want != ERR_OK) return {};
        opened = *static_cast<const store_mailbox_open_reply *>(reply);
        return opened.mailbox;
    }
    store_account_usage Usage(uint64_t account = 1)
    {
        auto context = shard.Prepare();
        store_account_get_request request = {1, account};
        const void *reply;
        EXPECT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_ACCOUNT_GET, &request, &arena, &reply).code);
        return static_cast<const store_account_reply *>(reply)->usage;
    }
    // Fills a mailbox with `count` rows that share one email, as many copies of a message do.
    void Fill(uint32_t count)
    {
        uint32_t uid = 0;
        ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}, &uid));
        shard.Apply();
        for (uint32_t have = 1; have < count;) {
            auto id = shard.Id();
            uint32_t more = std::min(have, count - have);
            std::string set(8, '\0');
            uint32_t range[2] = {1, more};
            memcpy(set.data(), range, 8);
            store_copy_request request = {S(id), 1, 1, 1, S(set), SPAN("INBOX"), false};
            Result result;
            ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &request, &result));
            shard.Apply();
            have += more;
        }
        ASSERT_EQ(count, Open("INBOX").messages);
    }
    static std::string All(uint32_t last)
    {
        std::string set(8, '\0');
        uint32_t range[2] = {1, last};
        memcpy(set.data(), range, 8);
        return set;
    }
    void TearDown() override { arena_clear(&arena); }

    Shard shard;
    struct arena arena = {};
    store_mailbox_open_reply opened = {};
};

} // namespace mbox_test

#endif
