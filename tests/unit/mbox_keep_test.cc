// What the installation's options say of accounts: the quota of those without one of their own, and
// how long it is remembered which messages were expunged.
#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

class MboxKeep : public ::testing::Test {
protected:
    Shard shard;

    // A context as the storage node makes it, with the quota for all.
    mbox_context Context(uint64_t quota_bytes, uint64_t quota_items)
    {
        auto context = shard.Prepare();
        context.quota_bytes = quota_bytes;
        context.quota_items = quota_items;
        return context;
    }
    err_code Append(uint64_t account, uint32_t size, uint64_t quota_bytes, uint64_t quota_items)
    {
        auto id = shard.Id(), facts = Facts("x"), stamp = Stamp();
        store_append_request request = {};
        request.operation_id = S(id);
        request.tenant = 1;
        request.account = account;
        request.mailbox = SPAN("INBOX");
        request.facts = S(facts);
        request.size = size;
        request.scan_stamp = S(stamp);
        auto context = Context(quota_bytes, quota_items);
        Result result;
        auto code = mbox_change(&context, STORE_METHOD_APPEND, &request, nullptr, &result.r).code;
        if (code == ERR_OK) shard.Add(&result);
        return code;
    }
    store_account_usage Usage(uint64_t account, uint64_t quota_bytes, uint64_t quota_items)
    {
        shard.Apply();
        auto context = shard.Read();
        context.quota_bytes = quota_bytes;
        context.quota_items = quota_items;
        store_account_get_request request = { 1, account };
        struct arena arena;
        arena_init(&arena, 1 << 20);
        const void *reply = nullptr;
        EXPECT_EQ(ERR_OK, mbox_read(&context, shard.index, STORE_METHOD_ACCOUNT_GET, &request, &arena, &reply).code);
        auto usage = static_cast<const store_account_reply *>(reply)->usage;
        arena_clear(&arena);
        return usage;
    }
    // Makes and expunges a message in an account's INBOX.
    void Expunge(uint64_t account)
    {
        uint32_t uid = 0;
        ASSERT_EQ(ERR_OK, shard.Append(account, "INBOX", {}, &uid));
        auto id = shard.Id(), set = SetOf({ uid });
        store_expunge_request request = { S(id), 1, account, 1, S(set), true };
        Result result;
        ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_EXPUNGE, &request, &result));
        shard.Apply();
    }
    size_t Changes(uint64_t account)
    {
        size_t count = 0;
        for (auto &[key, value] : shard.Rows()) {
            kv_owner owner;
            unsigned kind;
            span tail;
            if (kv_key_read(S(key), &owner, &kind, &tail).code != ERR_OK) continue;
            count += owner.account == account && kind == KV_CHANGE;
        }
        return count;
    }
    // Steps until there is no more; returns how many.
    size_t Trim(uint64_t before_ms)
    {
        mbox_trim_at at = {};
        for (size_t steps = 1;; steps++) {
            auto context = shard.Prepare();
            Result result;
            EXPECT_EQ(ERR_OK, mbox_trim_tombstones(&context, before_ms, &at, &result.r).code);
            shard.Add(&result);
            shard.Apply();
            if (!result.r.more || steps > 1000) return steps;
        }
    }
};

TEST_F(MboxKeep, AnAccountWithoutAQuotaHasThatOfAll)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
    ASSERT_EQ(ERR_OK, shard.MakeAccount(2, 1000, 0));
    const struct { uint64_t account; uint32_t size; uint64_t bytes, items; err_code code; } cases[] = {
        { 1, 60, 0, 0, ERR_OK },       // 60 bytes, 1 message
        { 1, 60, 100, 0, ERR_QUOTA },  // beyond
        { 1, 40, 100, 0, ERR_OK },     // just
        { 1, 1, 100, 0, ERR_QUOTA },   // full
        { 1, 1, 200, 2, ERR_QUOTA },   // as many messages as there may be
        { 1, 1, 200, 3, ERR_OK },
        { 1, 5, 0, 0, ERR_OK },        // the limit was taken away
        { 2, 600, 100, 0, ERR_OK },    // its own is larger ...
        { 2, 600, 10000, 0, ERR_QUOTA }, // ... and smaller
        { 2, 1, 0, 1, ERR_QUOTA },     // of messages it has none of its own
    };
    for (const auto &c : cases) {
        EXPECT_EQ(c.code, Append(c.account, c.size, c.bytes, c.items)) << c.account << " " << c.size << " " << c.bytes << " " << c.items;
    }
    auto usage = Usage(1, 500, 0);
    EXPECT_EQ(106u, usage.bytes);
    EXPECT_EQ(500u, usage.quota_bytes);
    EXPECT_EQ(0u, usage.quota_items);
    usage = Usage(2, 500, 7);
    EXPECT_EQ(1000u, usage.quota_bytes);
    EXPECT_EQ(7u, usage.quota_items);
    CheckRows(shard);
}

TEST_F(MboxKeep, OldTombstonesOfAllAccountsGo)
{
    const uint64_t many = 200; // several steps
    for (uint64_t account = 1; account <= many; account++) {
        ASSERT_EQ(ERR_OK, shard.MakeAccount(account));
        Expunge(account);
    }
    shard.now_ms += 3600 * 1000;
    uint64_t before = shard.now_ms;
    for (uint64_t account = 1; account <= many; account += 2) Expunge(account);
    std::map<uint64_t, size_t> then;
    for (uint64_t account = 1; account <= many; account++) then[account] = Changes(account);
    // Nothing is that old.
    EXPECT_GE(Trim(before - 2 * 3600 * 1000), many / 64);
    for (uint64_t account = 1; account <= many; account++) EXPECT_EQ(then[account], Changes(account));
    EXPECT_GE(Trim(before), many / 64);
    for (uint64_t account = 1; account <= many; account++) {
        EXPECT_EQ(account % 2 == 1 ? 2u : 0u, Changes(account)) << account; // of the new message
    }
    CheckRows(shard);
    // Who asks from before that is told all the same, by what is there and what is not.
    EXPECT_EQ(ERR_OK, shard.Append(2, "INBOX", {}));
}

TEST_F(MboxKeep, AnAccountWithManyTakesSeveralSteps)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(7));
    ASSERT_EQ(ERR_OK, shard.MakeAccount(8));
    for (int i = 0; i < 2500; i++) {
        ASSERT_EQ(ERR_OK, shard.Append(7, "INBOX", {}));
        ASSERT_EQ(ERR_OK, shard.Append(7, "INBOX", {}));
        shard.Apply();
    }
    Expunge(8);
    ASSERT_GT(Changes(7), 4096u);
    EXPECT_GE(Trim(shard.now_ms + 1), 2u);
    EXPECT_EQ(0u, Changes(7));
    EXPECT_EQ(0u, Changes(8));
    CheckRows(shard);
}

TEST_F(MboxKeep, NothingAndDeletedAccountsAreNoFault)
{
    EXPECT_EQ(1u, Trim(shard.now_ms + 1)); // an empty shard
    ASSERT_EQ(ERR_OK, shard.MakeAccount(1));
    ASSERT_EQ(ERR_OK, shard.MakeAccount(2));
    Expunge(1);
    Expunge(2);
    auto id = shard.Id();
    store_account_delete_request request = { S(id), 1, 1 };
    Result result;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_ACCOUNT_DELETE, &request, &result));
    shard.Apply();
    Trim(shard.now_ms + 1);
    EXPECT_EQ(0u, Changes(1));
    EXPECT_EQ(0u, Changes(2));
    CheckRows(shard);
}

// The last account that a shard can have, and slots of others beside it.
TEST_F(MboxKeep, StaysWithinTheShard)
{
    for (uint64_t account = 1; account <= 50; account++) {
        ASSERT_EQ(ERR_OK, shard.MakeAccount(account));
        Expunge(account);
    }
    mbox_trim_at at = {};
    auto context = shard.Prepare();
    context.slot_first = slot_of_account(7);
    context.slot_end = context.slot_first + 1;
    Result result;
    EXPECT_EQ(ERR_OK, mbox_trim_tombstones(&context, shard.now_ms + 1, &at, &result.r).code);
    EXPECT_FALSE(result.r.more);
    shard.Add(&result);
    shard.Apply();
    for (uint64_t account = 1; account <= 50; account++) {
        EXPECT_EQ(slot_of_account(account) == slot_of_account(7), Changes(account) == 0) << account;
    }
}

TEST_F(MboxKeep, ADamagedRowIsTold)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(3));
    Expunge(3);
    for (auto &[key, value] : shard.Rows()) {
        if (key.size() <= 14 || uint8_t(key[14]) != KV_CHANGE) continue;
        kv_batch batch;
        kv_batch_init(&batch);
        kv_batch_put(&batch, S(key), SPAN("\1"));
        ASSERT_EQ(ERR_OK, kv_overlay_add(shard.overlay, span_of(batch.bytes, batch.len), 1000000).code);
        kv_batch_free(&batch);
    }
    mbox_trim_at at = {};
    auto context = shard.Prepare();
    Result result;
    EXPECT_EQ(ERR_CORRUPT, mbox_trim_tombstones(&context, shard.now_ms + 1, &at, &result.r).code);
    kv_overlay_clear(shard.overlay);
}

}  // namespace
