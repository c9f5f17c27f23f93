// The queue and the directory of a shard.
#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

struct QueueTest : ::testing::Test {
    std::string Entry(unsigned number) { return "queue-entry-" + std::to_string(1000 + number); }
    // Puts an entry with one recipient per due time.
    err_code Put(const std::string &id, uint32_t slot, const std::vector<uint64_t> &dues, const std::string &text = "body",
                 std::string operation = "")
    {
        std::string facts = Facts("queued"), stamp = Stamp();
        if (operation.empty()) operation = shard.Id();
        std::vector<store_queue_recipient> recipients(dues.size());
        for (size_t i = 0; i < dues.size(); i++) {
            recipients[i].address = SPAN("joe@example.org");
            recipients[i].due_ms = dues[i];
        }
        store_queue_put_request request = {};
        request.operation_id = S(operation);
        request.has_entry = true;
        request.entry.id = S(id), request.entry.slot = slot, request.entry.facts = S(facts), request.entry.scan_stamp = S(stamp);
        request.entry.recipients = recipients.data(), request.entry.recipients_count = recipients.size();
        request.entry.lease_owner = S(put_owner), request.entry.lease_until_ms = put_until_ms;
        struct body *b = shard.bodies.Make(text);
        put = std::make_unique<Result>();
        auto code = shard.Change(STORE_METHOD_QUEUE_PUT, &request, put.get(), b);
        body_unref(b);
        return code;
    }
    err_code Lease(uint32_t limit, const std::string &owner, Result *result, std::string operation = "")
    {
        if (operation.empty()) operation = shard.Id();
        store_queue_lease_request request = {};
        request.operation_id = S(operation), request.owner = S(owner), request.lease_ms = 60000, request.limit = limit;
        return shard.Change(STORE_METHOD_QUEUE_LEASE, &request, result);
    }
    err_code LeaseThis(const std::string &id, uint32_t slot, const std::string &owner, Result *result)
    {
        auto operation = shard.Id();
        store_queue_lease_request request = {};
        request.operation_id = S(operation), request.owner = S(owner), request.lease_ms = 60000;
        request.id = S(id), request.slot = slot;
        return shard.Change(STORE_METHOD_QUEUE_LEASE, &request, result);
    }
    err_code Report(const store_queue_entry &entry, bool remove = false)
    {
        auto operation = shard.Id();
        store_queue_report_request request = {S(operation), true, entry, remove};
        Result result;
        return shard.Change(STORE_METHOD_QUEUE_REPORT, &request, &result);
    }
    uint64_t NextDue()
    {
        uint64_t hinted = 1, walked = 2;
        auto context = shard.Prepare();
        EXPECT_EQ(ERR_OK, mbox_queue_next_due(&context, &hinted).code);
        context.due = nullptr;
        EXPECT_EQ(ERR_OK, mbox_queue_next_due(&context, &walked).code);
        EXPECT_EQ(walked, hinted);
        return walked;
    }
    size_t QueueRows()
    {
        size_t rows = 0;
        shard.Apply();
        for (auto &[key, value] : shard.Rows())
            rows += key[0] != '\xff' && uint8_t(key[14]) >= KV_QUEUE && uint8_t(key[14]) <= KV_QUEUE_BODY;
        return rows;
    }
    Shard shard;
    std::unique_ptr<Result> put;
    std::string put_owner; // and the lease that Put() asks for
    uint64_t put_until_ms = 0;
};

TEST_F(QueueTest, AnEntryIsPutWithALease)
{
    put_owner = "courier-1";
    put_until_ms = shard.now_ms + 10000;
    auto operation = shard.Id();
    ASSERT_EQ(ERR_OK, Put(Entry(1), 5, {shard.now_ms}, "body", operation));
    auto first = std::move(put); // what its entry points to is used below
    auto entry = first->Reply<store_queue_reply>().entry;
    EXPECT_EQ("courier-1", Str(entry.lease_owner));
    EXPECT_EQ(put_until_ms, entry.lease_until_ms);
    EXPECT_EQ(1u, entry.version);
    EXPECT_EQ(put_until_ms, NextDue());
    Result other, after;
    ASSERT_EQ(ERR_OK, Lease(10, "courier-2", &other)); // due, and taken
    EXPECT_EQ(0u, other.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(ERR_CONFLICT, LeaseThis(Entry(1), 5, "courier-2", &other));
    ASSERT_EQ(ERR_OK, Put(Entry(1), 5, {shard.now_ms}, "body", operation)); // the answer was lost
    EXPECT_TRUE(put->r.duplicate);
    EXPECT_EQ("courier-1", Str(put->Reply<store_queue_reply>().entry.lease_owner));
    shard.now_ms = put_until_ms; // its owner is gone
    ASSERT_EQ(ERR_OK, Lease(10, "courier-2", &after));
    ASSERT_EQ(1u, after.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(ERR_CONFLICT, Report(entry, true));
    EXPECT_EQ(ERR_OK, Report(after.Reply<store_queue_list_reply>().entries[0], true));
    EXPECT_EQ(0u, QueueRows());
}

TEST_F(QueueTest, WhoPutsAnEntryMayReportIt)
{
    put_owner = "courier-1";
    put_until_ms = shard.now_ms + 10000;
    ASSERT_EQ(ERR_OK, Put(Entry(1), 5, {shard.now_ms}));
    EXPECT_EQ(ERR_OK, Report(put->Reply<store_queue_reply>().entry, true));
    EXPECT_EQ(0u, QueueRows());
    EXPECT_EQ(0u, NextDue());
}

TEST_F(QueueTest, ALeaseFromPutIsBounded)
{
    uint64_t now = shard.now_ms, most = now + MBOX_PUT_LEASE_MS_MAX;
    const struct { std::string owner; uint64_t until, want; err_code code; } cases[] = {
        {"c", now + 1, now + 1, ERR_OK}, {"c", most - 1, most - 1, ERR_OK}, {"c", most, most, ERR_OK},
        {"c", most + 1, most, ERR_OK}, {"c", UINT64_MAX, most, ERR_OK}, {std::string(255, 'c'), now + 5, now + 5, ERR_OK},
        {"c", now, 0, ERR_OK}, {"c", now - 1, 0, ERR_OK}, {"c", 0, 0, ERR_OK}, {"", now + 1000, 0, ERR_OK},
        {std::string(256, 'c'), now + 5, 0, ERR_SYNTAX},
    };
    unsigned number = 0;
    for (auto &c : cases) {
        put_owner = c.owner, put_until_ms = c.until;
        ASSERT_EQ(c.code, Put(Entry(++number), 5, {now})) << number;
        if (c.code != ERR_OK) continue;
        auto &entry = put->Reply<store_queue_reply>().entry;
        EXPECT_EQ(c.want, entry.lease_until_ms) << number;
        EXPECT_EQ(c.want == 0 ? "" : c.owner, Str(entry.lease_owner)) << number;
    }
}

TEST_F(QueueTest, AnEntryFromPutToItsEnd)
{
    auto id = Entry(1);
    uint64_t soon = shard.now_ms + 1000, later = shard.now_ms + 9000;
    EXPECT_EQ(0u, NextDue());
    ASSERT_EQ(ERR_OK, Put(id, 77, {later, soon}));
    EXPECT_EQ(soon, put->Reply<store_queue_reply>().entry.due_ms);
    EXPECT_EQ(soon, NextDue());
    Result early, leased, again, second;
    ASSERT_EQ(ERR_OK, Lease(10, "courier-1", &early));
    EXPECT_EQ(0u, early.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(0u, early.r.batches_count);
    shard.now_ms = soon;
    auto operation = shard.Id();
    ASSERT_EQ(ERR_OK, Lease(10, "courier-1", &leased, operation));
    auto &list = leased.Reply<store_queue_list_reply>();
    ASSERT_EQ(1u, list.entries_count);
    EXPECT_EQ(id, Str(list.entries[0].id));
    EXPECT_EQ(77u, list.entries[0].slot);
    EXPECT_EQ("courier-1", Str(list.entries[0].lease_owner));
    EXPECT_EQ(Facts("queued"), Str(list.entries[0].facts));
    EXPECT_EQ(soon + 60000, NextDue());
    ASSERT_EQ(ERR_OK, Lease(10, "courier-1", &again, operation)); // the answer was lost
    EXPECT_TRUE(again.r.duplicate);
    ASSERT_EQ(1u, again.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(list.entries[0].version, again.Reply<store_queue_list_reply>().entries[0].version);
    ASSERT_EQ(ERR_OK, Lease(10, "courier-2", &second)); // it is taken
    EXPECT_EQ(0u, second.Reply<store_queue_list_reply>().entries_count);

    auto entry = list.entries[0];
    std::vector<store_queue_recipient> recipients(entry.recipients, entry.recipients + 2);
    entry.recipients = recipients.data();
    recipients[1].state = STORE_RCPT_DONE;
    auto stale = entry;
    stale.version--;
    EXPECT_EQ(ERR_CONFLICT, Report(stale));
    EXPECT_EQ(ERR_OK, Report(entry));
    EXPECT_EQ(ERR_CONFLICT, Report(entry));
    EXPECT_EQ(later, NextDue()); // the other recipient, the lease is over
    entry.version++;
    recipients[0].state = STORE_RCPT_FAILED;
    EXPECT_EQ(3u, QueueRows());
    EXPECT_EQ(ERR_OK, Report(entry));
    EXPECT_EQ(0u, NextDue());
    EXPECT_EQ(0u, QueueRows());
    EXPECT_EQ(ERR_NOT_FOUND, Report(entry));
}

TEST_F(QueueTest, ALeaseThatRunsOutIsGivenAgain)
{
    ASSERT_EQ(ERR_OK, Put(Entry(1), 5, {shard.now_ms}));
    Result first, second, old_again;
    auto operation = shard.Id();
    ASSERT_EQ(ERR_OK, Lease(1, "a", &first, operation));
    auto entry = first.Reply<store_queue_list_reply>().entries[0];
    shard.now_ms += 60001;
    ASSERT_EQ(ERR_OK, Lease(1, "b", &second));
    ASSERT_EQ(1u, second.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(ERR_CONFLICT, Report(entry, true)); // the first owner comes too late
    ASSERT_EQ(ERR_OK, Lease(1, "a", &old_again, operation));
    EXPECT_EQ(0u, old_again.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(ERR_OK, Report(second.Reply<store_queue_list_reply>().entries[0], true));
    EXPECT_EQ(0u, QueueRows());
}

TEST_F(QueueTest, OneAskedForByItsId)
{
    ASSERT_EQ(ERR_OK, Put(Entry(1), 5, {shard.now_ms + 100000}));
    Result first, other, same;
    ASSERT_EQ(ERR_OK, LeaseThis(Entry(1), 5, "a", &first)); // not due: all the same
    EXPECT_EQ(1u, first.Reply<store_queue_list_reply>().entries_count);
    EXPECT_EQ(ERR_CONFLICT, LeaseThis(Entry(1), 5, "b", &other));
    EXPECT_EQ(ERR_OK, LeaseThis(Entry(1), 5, "a", &same));
    EXPECT_EQ(ERR_NOT_FOUND, LeaseThis(Entry(2), 5, "a", &other));
    EXPECT_EQ(ERR_NOT_FOUND, LeaseThis(Entry(1), 6, "a", &other));
    EXPECT_EQ(ERR_SYNTAX, LeaseThis("short", 5, "a", &other));
    EXPECT_EQ(ERR_SYNTAX, LeaseThis(Entry(1), 16384, "a", &other));
}

TEST_F(QueueTest, ManyInOrderAndPages)
{
    for (unsigned i = 0; i < 250; i++) {
        ASSERT_EQ(ERR_OK, Put(Entry(i), i * 60, {shard.now_ms + i}));
        if (i % 7 == 0) shard.Apply();
    }
    EXPECT_EQ(shard.now_ms, NextDue());
    Result first;
    shard.now_ms += 149;
    std::set<std::string> leased;
    for (bool more = true; more;) {
        Result result;
        ASSERT_EQ(ERR_OK, Lease(40, "courier", &result));
        auto &reply = result.Reply<store_queue_list_reply>();
        more = reply.more;
        for (size_t i = 0; i < reply.entries_count; i++) EXPECT_TRUE(leased.insert(Str(reply.entries[i].id)).second);
    }
    EXPECT_EQ(150u, leased.size());
    EXPECT_EQ(shard.now_ms + 1, NextDue());
    std::string after;
    std::set<std::string> listed;
    auto context = shard.Prepare();
    arena arena;
    arena_init(&arena, 1 << 24);
    for (bool more = true; more;) {
        store_queue_list_request request = {0, S(after), 33};
        const void *made;
        ASSERT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_QUEUE_LIST, &request, &arena, &made).code);
        auto &reply = *static_cast<const store_queue_list_reply *>(made);
        ASSERT_GT(reply.entries_count, 0u);
        for (size_t i = 0; i < reply.entries_count; i++) EXPECT_TRUE(listed.insert(Str(reply.entries[i].id)).second);
        auto &last = reply.entries[reply.entries_count - 1];
        after = std::string{char(last.slot >> 8), char(last.slot & 0xff)} + Str(last.id);
        more = reply.more;
    }
    EXPECT_EQ(250u, listed.size());
    const void *made;
    const struct { err_code want; std::string after; uint32_t limit; } bad[] = {
        {ERR_SYNTAX, "", 0}, {ERR_SYNTAX, "", 1001}, {ERR_SYNTAX, "short", 5}, {ERR_SYNTAX, "\xff\xff" + Entry(1), 5},
    };
    for (auto &c : bad) {
        store_queue_list_request request = {0, S(c.after), c.limit};
        EXPECT_EQ(c.want, mbox_read(&context, nullptr, STORE_METHOD_QUEUE_LIST, &request, &arena, &made).code);
    }
    arena_clear(&arena);
}

TEST_F(QueueTest, BadEntries)
{
    Result result;
    std::string text(2000000, 'x');
    EXPECT_EQ(ERR_SYNTAX, Put("short", 5, {1}));
    EXPECT_EQ(ERR_SYNTAX, Put(Entry(1), 16384, {1}));
    EXPECT_EQ(ERR_SYNTAX, Put(Entry(1), 5, {}));
    EXPECT_EQ(ERR_TOO_BIG, Put(Entry(1), 5, std::vector<uint64_t>(10001, 1)));
    auto operation = shard.Id();
    EXPECT_EQ(ERR_OK, Put(Entry(1), 5, {1}, text, operation));
    EXPECT_EQ(ERR_OK, Put(Entry(1), 5, {1}, text, operation));
    EXPECT_TRUE(put->r.duplicate);
    EXPECT_EQ(ERR_EXISTS, Put(Entry(1), 5, {1}, text));
    EXPECT_EQ(ERR_SYNTAX, Lease(0, "a", &result));
    EXPECT_EQ(ERR_SYNTAX, Lease(101, "a", &result));
    EXPECT_EQ(ERR_SYNTAX, Lease(1, "", &result));
    EXPECT_EQ(ERR_SYNTAX, Lease(1, std::string(256, 'o'), &result));
}

TEST_F(QueueTest, ABigBodyIsWholeOrGone)
{
    std::string text(9 * 1024 * 1024, 'q'), id = Entry(1);
    for (size_t i = 0; i < text.size(); i += 997) text[i] = char(i);
    ASSERT_EQ(ERR_OK, Put(id, 5, {shard.now_ms}, text));
    ASSERT_GT(put->r.batches_count, 1u);
    shard.Apply(1);
    shard.Crash();
    EXPECT_EQ(0u, NextDue());
    EXPECT_GT(QueueRows(), 0u);
    auto context = shard.Prepare();
    Result trim;
    ASSERT_EQ(ERR_OK, mbox_trim_bodies(&context, shard.now_ms + 1, &trim.r).code);
    shard.Add(&trim);
    EXPECT_EQ(0u, QueueRows());
    ASSERT_EQ(ERR_OK, Put(id, 5, {shard.now_ms}, text));
    shard.Apply();
    context = shard.Read();
    mbox_body_cursor cursor;
    uint64_t bytes;
    ASSERT_EQ(ERR_OK, mbox_queue_body_open(&context, 5, S(id), &cursor, &bytes).code);
    EXPECT_EQ(text.size(), bytes);
    std::string got;
    for (span piece; mbox_body_next(&cursor, &piece).code == ERR_OK;) got += Str(piece);
    EXPECT_TRUE(text == got);
    mbox_body_close(&cursor);
    EXPECT_EQ(ERR_NOT_FOUND, mbox_queue_body_open(&context, 6, S(id), &cursor, &bytes).code);
    EXPECT_EQ(ERR_SYNTAX, mbox_queue_body_open(&context, 5, SPAN("x"), &cursor, &bytes).code);
    EXPECT_EQ(ERR_MOVED, mbox_queue_body_open(&context, 16384, S(id), &cursor, &bytes).code);
}

// ---- the directory

struct DirectoryTest : ::testing::Test {
    void SetUp() override { arena_init(&arena, 1 << 24); }
    void TearDown() override { arena_clear(&arena); }
    store_address_reply Get(const std::string &address, uint32_t tenant = 1)
    {
        auto context = shard.Prepare();
        store_address_get_request request = {tenant, S(address)};
        const void *made;
        EXPECT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_ADDRESS_GET, &request, &arena, &made).code);
        return *static_cast<const store_address_reply *>(made);
    }
    err_code Put(store_address_put_request request)
    {
        auto id = shard.Id();
        request.operation_id = S(id);
        Result result;
        return shard.Change(STORE_METHOD_ADDRESS_PUT, &request, &result);
    }
    err_code Index(const std::string &local, uint32_t kind, bool remove = false, const std::string &domain = "example.org")
    {
        auto id = shard.Id();
        store_domain_index_put_request request = {S(id), 1, S(domain), S(local), kind, 5, remove};
        Result result;
        return shard.Change(STORE_METHOD_DOMAIN_INDEX_PUT, &request, &result);
    }
    Shard shard;
    struct arena arena;
};

TEST_F(DirectoryTest, AddressesWithVersions)
{
    EXPECT_EQ(0u, Get("joe@example.org").version);
    span targets[] = {SPAN("a@x.org"), SPAN("b@y.org")};
    store_address_put_request put = {};
    put.tenant = 1, put.address = SPAN("joe@example.org"), put.kind = STORE_ADDRESS_ALIAS;
    put.targets = targets, put.targets_count = 2;
    EXPECT_EQ(ERR_OK, Put(put));
    EXPECT_EQ(ERR_CONFLICT, Put(put)); // if_version 0: must not exist
    auto row = Get("joe@example.org");
    EXPECT_EQ(1u, row.version);
    ASSERT_EQ(2u, row.targets_count);
    EXPECT_EQ("b@y.org", Str(row.targets[1]));
    EXPECT_EQ(0u, Get("joe@example.org", 2).version); // another tenant has none
    put.if_version = 1, put.state = STORE_ADDRESS_RESERVED;
    EXPECT_EQ(ERR_OK, Put(put));
    EXPECT_EQ(shard.now_ms, Get("joe@example.org").reserved_ms);
    put.any_version = true, put.if_version = 77, put.state = 0;
    EXPECT_EQ(ERR_OK, Put(put));
    EXPECT_EQ(3u, Get("joe@example.org").version);
    put.any_version = false, put.remove = true;
    EXPECT_EQ(ERR_CONFLICT, Put(put));
    put.if_version = 3;
    EXPECT_EQ(ERR_OK, Put(put));
    EXPECT_EQ(0u, Get("joe@example.org").version);
    std::string long_address(513, 'a');
    span bad[] = {S(long_address), SPAN("")};
    for (auto address : bad) {
        put.address = address;
        EXPECT_EQ(ERR_SYNTAX, Put(put));
    }
    put = {};
    put.address = SPAN("x@y"), put.kind = 0;
    EXPECT_EQ(ERR_SYNTAX, Put(put));
    put.kind = 6;
    EXPECT_EQ(ERR_SYNTAX, Put(put));
    put.kind = 1, put.state = 2;
    EXPECT_EQ(ERR_SYNTAX, Put(put));
    put.state = 0, put.targets = bad + 1, put.targets_count = 1;
    EXPECT_EQ(ERR_SYNTAX, Put(put));
    put.targets_count = 10001;
    EXPECT_EQ(ERR_TOO_BIG, Put(put));
}

TEST_F(DirectoryTest, DomainsAreListedInPages)
{
    for (int i = 0; i < 57; i++) ASSERT_EQ(ERR_OK, Index("user" + std::to_string(100 + i), i % 3 == 0 ? STORE_ADDRESS_ALIAS : STORE_ADDRESS_ACCOUNT));
    ASSERT_EQ(ERR_OK, Index("other", 1, false, "example.org2"));
    ASSERT_EQ(ERR_OK, Index("user103", 0, true));
    for (uint32_t kind : {0u, 1u, 2u}) {
        std::string after;
        size_t count = 0;
        for (bool more = true; more;) {
            auto context = shard.Prepare();
            store_domain_list_request request = {1, SPAN("example.org"), kind, S(after), 10};
            const void *made;
            ASSERT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_DOMAIN_LIST, &request, &arena, &made).code);
            auto &reply = *static_cast<const store_domain_list_reply *>(made);
            for (size_t i = 0; i < reply.entries_count; i++) {
                EXPECT_LT(after, Str(reply.entries[i].local));
                after = Str(reply.entries[i].local);
                if (kind != 0) EXPECT_EQ(kind, reply.entries[i].kind);
                count++;
            }
            more = reply.more;
        }
        EXPECT_EQ(kind == 0 ? 56u : kind == 1 ? 38u : 18u, count);
    }
    EXPECT_EQ(ERR_SYNTAX, Index("", 1));
    EXPECT_EQ(ERR_SYNTAX, Index(std::string(257, 'x'), 1));
    EXPECT_EQ(ERR_SYNTAX, Index("x", 6));
    EXPECT_EQ(ERR_SYNTAX, Index("x", 1, false, ""));
    EXPECT_EQ(ERR_SYNTAX, Index("x", 1, false, std::string("a\0b", 3)));
    auto context = shard.Prepare();
    const void *made;
    for (uint32_t limit : {0u, 1001u}) {
        store_domain_list_request request = {1, SPAN("example.org"), 0, SPAN(""), limit};
        EXPECT_EQ(ERR_SYNTAX, mbox_read(&context, nullptr, STORE_METHOD_DOMAIN_LIST, &request, &arena, &made).code);
    }
}

TEST_F(DirectoryTest, AccountsByVersion)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(4));
    auto context = shard.Prepare();
    store_account_get_request get = {1, 4};
    const void *made;
    ASSERT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_ACCOUNT_GET, &get, &arena, &made).code);
    auto account = static_cast<const store_account_reply *>(made)->account;
    EXPECT_EQ(1u, account.version);
    EXPECT_EQ(shard.now_ms, account.created_ms);
    EXPECT_EQ("u4@example.org", Str(account.address));
    get.account = 5;
    EXPECT_EQ(ERR_NOT_FOUND, mbox_read(&context, nullptr, STORE_METHOD_ACCOUNT_GET, &get, &arena, &made).code);
    EXPECT_EQ(ERR_UNSUPPORTED, mbox_read(&context, nullptr, STORE_METHOD_COPY, &get, &arena, &made).code);
    EXPECT_EQ(ERR_UNSUPPORTED, mbox_read(&context, nullptr, 9999, &get, &arena, &made).code);
    auto id = shard.Id();
    store_account_set_request set = {S(id), true, account, 1};
    set.account.full_name = SPAN("J\xc3\xb6 Doe");
    Result result, again;
    EXPECT_EQ(ERR_OK, shard.Change(STORE_METHOD_ACCOUNT_SET, &set, &result));
    EXPECT_EQ(2u, result.Reply<store_account_reply>().account.version);
    EXPECT_EQ(ERR_OK, shard.Change(STORE_METHOD_ACCOUNT_SET, &set, &again));
    EXPECT_TRUE(again.r.duplicate);
    EXPECT_EQ("J\xc3\xb6 Doe", Str(again.Reply<store_account_reply>().account.full_name));
}

}  // namespace
