// The calls of store.proto over a unix socket, answered by real shards: what each says, what is refused and
// how, streams with a slow or vanishing receiver, watches, and the end of the server.
#include "node_fixture.h"

#include "buf.h"
#include "mail_stream.h"
#include "uid_set.h"

namespace {

constexpr uint64_t kAccount = 77, kOther = 78;

class StoreServe : public NodeTest {
protected:
    void SetUp() override
    {
        NodeTest::SetUp();
        PutAccount(kAccount, "u@example.org");
    }
    // The id of a mailbox of kAccount.
    uint32_t Id(const std::string &name)
    {
        store_mailbox_open_request open = {};
        open.tenant = 1;
        open.account = kAccount;
        open.name = S(name);
        auto call = Ask(STORE_METHOD_MAILBOX_OPEN, open);
        EXPECT_EQ(ERR_OK, call->err.code) << name;
        return call->Reply<store_mailbox_open_reply>().mailbox.id;
    }
    void MakeMailbox(const std::string &name)
    {
        std::string operation = Operation();
        store_mailbox_create_request create = {};
        create.operation_id = S(operation);
        create.tenant = 1;
        create.account = kAccount;
        create.name = S(name);
        ASSERT_EQ(ERR_OK, Ask(STORE_METHOD_MAILBOX_CREATE, create)->err.code);
    }
    store_fetch_request Fetch(uint32_t items)
    {
        store_fetch_request fetch = {};
        fetch.tenant = 1;
        fetch.account = kAccount;
        fetch.mailbox = Id("INBOX");
        fetch.items = items;
        return fetch;
    }
    static std::vector<mail_record> Records(const std::string &data)
    {
        std::vector<mail_record> records;
        size_t used = 0, need = 0;
        for (size_t at = 0; at < data.size(); at += used) {
            mail_record record;
            if (mail_record_take(span_skip(S(data), at), &record, &used, &need) != MAIL_RECORD_OK) {
                ADD_FAILURE() << "a record is cut";
                break;
            }
            records.push_back(record);
        }
        return records;
    }
    static std::string Uids(struct span bytes)
    {
        uid_set set;
        uid_set_init(&set, 1000);
        EXPECT_EQ(ERR_OK, uid_set_read(&set, bytes).code);
        char text[1000];
        buf out;
        buf_init(&out, text, sizeof(text));
        uid_set_text(&set, &out);
        uid_set_free(&set);
        return Str(buf_span(&out));
    }
    static std::string SetOf(uint32_t first, uint32_t last)
    {
        uid_set set;
        uid_set_init(&set, 10);
        EXPECT_EQ(ERR_OK, uid_set_add(&set, first, last).code);
        std::string bytes = Str(uid_set_bytes(&set));
        uid_set_free(&set);
        return bytes;
    }
    // A queue entry that lies in `slot`.
    std::unique_ptr<store_call> QueuePut(const std::string &id, uint32_t slot, uint64_t due_ms, bool with_body = true)
    {
        std::string operation = Operation(), stamp = Stamp();
        store_queue_recipient to = {};
        to.address = SPAN("b@there.test");
        to.due_ms = due_ms;
        store_queue_put_request put = {};
        put.operation_id = S(operation);
        put.has_entry = true;
        put.entry.id = S(id);
        put.entry.slot = slot;
        put.entry.sender = SPAN("a@here.test");
        put.entry.recipients = &to;
        put.entry.recipients_count = 1;
        put.entry.created_ms = put.entry.due_ms = due_ms;
        put.entry.size = 5;
        put.entry.scan_stamp = S(stamp);
        struct body *body = with_body ? Stored("hello") : nullptr;
        auto call = Ask(STORE_METHOD_QUEUE_PUT, put, body);
        body_unref(body);
        return call;
    }
};

TEST_F(StoreServe, AMessageIsAppendedFoundReadChangedCopiedAndExpunged)
{
    const std::string message = "From: a@b\r\nSubject: needle\r\n\r\nhay\r\n";
    for (int i = 0; i < 3; i++) {
        auto append = Append(kAccount, "INBOX", message);
        ASSERT_EQ(ERR_OK, append->err.code);
        EXPECT_EQ(i + 1u, append->Reply<store_append_reply>().uid);
    }
    auto fetch = Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_DATES | STORE_FETCH_FACTS | STORE_FETCH_BODY));
    auto records = Records(fetch->data);
    ASSERT_EQ(3u, records.size());
    EXPECT_EQ(3u, fetch->Reply<store_fetch_reply>().records);
    for (unsigned i = 0; i < 3; i++) {
        std::string plain(message.size(), '\0');
        EXPECT_EQ(i + 1, records[i].uid);
        EXPECT_EQ(message.size(), records[i].size);
        EXPECT_EQ(FactsOf(message), Str(records[i].facts));
        ASSERT_EQ(ERR_OK, stored_body_open(records[i].body, plain.data(), plain.size()).code);
        EXPECT_EQ(message, plain);
    }
    EXPECT_EQ(3u, Records(Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_INDEX))->data).size());

    store_search_key key = {};
    key.op = STORE_SEARCH_HEADER;
    key.name = SPAN("subject");
    key.text = SPAN("NEEDLE");
    store_search_request search = {};
    search.tenant = 1;
    search.account = kAccount;
    search.mailbox = Id("INBOX");
    search.keys = &key;
    search.keys_count = 1;
    auto found = Ask(STORE_METHOD_SEARCH, search);
    EXPECT_EQ("1:3", Uids(S(found->data)));
    key.op = STORE_SEARCH_BODY;
    key.text = SPAN("needle"); // stands in the header only
    auto none = Ask(STORE_METHOD_SEARCH, search);
    EXPECT_EQ(ERR_OK, none->err.code);
    EXPECT_EQ("", none->data);

    std::string operation = Operation(), second = SetOf(2, 2);
    store_flags_set_request flags = {};
    flags.operation_id = S(operation);
    flags.tenant = 1;
    flags.account = kAccount;
    flags.mailbox = search.mailbox;
    flags.uids = S(second);
    flags.mode = STORE_FLAGS_ADD;
    flags.flags = MAIL_FLAG_DELETED;
    auto set = Ask(STORE_METHOD_FLAGS_SET, flags);
    records = Records(set->data);
    ASSERT_EQ(1u, records.size());
    EXPECT_EQ(MAIL_FLAG_DELETED, records[0].flags);
    auto again = Ask(STORE_METHOD_FLAGS_SET, flags); // a retry gets the first answer
    EXPECT_EQ(set->Reply<store_flags_set_reply>().modseq, again->Reply<store_flags_set_reply>().modseq);

    MakeMailbox("Other");
    std::string copying = Operation();
    store_copy_request copy = {};
    copy.operation_id = S(copying);
    copy.tenant = 1;
    copy.account = kAccount;
    copy.mailbox = search.mailbox;
    copy.uids = S(second);
    copy.to = SPAN("Other");
    EXPECT_EQ("1", Uids(Ask(STORE_METHOD_COPY, copy)->Reply<store_copy_reply>().to_uids));

    std::string expunging = Operation();
    store_expunge_request expunge = {};
    expunge.operation_id = S(expunging);
    expunge.tenant = 1;
    expunge.account = kAccount;
    expunge.mailbox = search.mailbox;
    EXPECT_EQ("2", Uids(Ask(STORE_METHOD_EXPUNGE, expunge)->Reply<store_expunge_reply>().expunged));

    store_uids_request uids = {};
    uids.tenant = 1;
    uids.account = kAccount;
    uids.mailbox = search.mailbox;
    EXPECT_EQ("1,3", Uids(S(Ask(STORE_METHOD_UIDS, uids)->data)));
    store_changes_request changes = {};
    changes.tenant = 1;
    changes.account = kAccount;
    changes.mailbox = search.mailbox;
    changes.since = set->Reply<store_flags_set_reply>().modseq;
    auto changed = Ask(STORE_METHOD_CHANGES, changes);
    EXPECT_EQ("", changed->data);
    EXPECT_EQ("2", Uids(changed->Reply<store_changes_reply>().expunged));
}

TEST_F(StoreServe, WhatIsThereIsThereAfterARestart)
{
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", "Subject: x\r\n\r\ny\r\n")->err.code);
    CloseNode();
    OpenNode();
    auto fetch = Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_BODY));
    EXPECT_EQ(1u, Records(fetch->data).size());
    store_account_get_request get = { 1, kAccount };
    auto account = Ask(STORE_METHOD_ACCOUNT_GET, get);
    EXPECT_EQ("u@example.org", Str(account->Reply<store_account_reply>().account.address));
    EXPECT_EQ(1u, account->Reply<store_account_reply>().usage.items);
}

TEST_F(StoreServe, TheQueueIsLeasedReadReportedAndListed)
{
    const std::string id(16, 'q');
    uint32_t slot = SLOT_COUNT - 1; // of the last shard
    ASSERT_EQ(ERR_OK, QueuePut(id, slot, 1000)->err.code);
    store_queue_list_request list = {};
    list.shard = kShards - 1;
    list.limit = 10;
    EXPECT_EQ(1u, Ask(STORE_METHOD_QUEUE_LIST, list)->Reply<store_queue_list_reply>().entries_count);
    list.shard = 0;
    EXPECT_EQ(0u, Ask(STORE_METHOD_QUEUE_LIST, list)->Reply<store_queue_list_reply>().entries_count);
    std::string operation = Operation();
    store_queue_lease_request lease = {};
    lease.operation_id = S(operation);
    lease.shard = kShards - 1;
    lease.owner = SPAN("0123456789abcdef");
    lease.lease_ms = 60000;
    lease.limit = 10;
    auto leased = Ask(STORE_METHOD_QUEUE_LEASE, lease);
    ASSERT_EQ(1u, leased->Reply<store_queue_list_reply>().entries_count);
    store_queue_body_request wanted = { slot, S(id) };
    auto body = Ask(STORE_METHOD_QUEUE_BODY, wanted);
    std::string plain(5, '\0');
    EXPECT_EQ(body->data.size(), body->Reply<store_queue_body_reply>().bytes);
    ASSERT_EQ(ERR_OK, stored_body_open(S(body->data), plain.data(), plain.size()).code);
    EXPECT_EQ("hello", plain);
    std::string reporting = Operation();
    store_queue_report_request report = {};
    report.operation_id = S(reporting);
    report.has_entry = true;
    report.entry = leased->Reply<store_queue_list_reply>().entries[0];
    report.remove = true;
    EXPECT_EQ(ERR_OK, Ask(STORE_METHOD_QUEUE_REPORT, report)->err.code);
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_QUEUE_BODY, wanted)->err.code);
}

TEST_F(StoreServe, TheStatusNamesEveryShard)
{
    store_node_status_request status = {};
    auto call = Ask(STORE_METHOD_NODE_STATUS, status);
    const auto &reply = call->Reply<store_node_status_reply>();
    EXPECT_EQ(16u, reply.store_id.len);
    EXPECT_EQ(kShards, reply.shard_count);
    ASSERT_EQ(kShards, reply.shards_count);
    EXPECT_FALSE(reply.read_only);
    for (unsigned i = 0; i < kShards; i++) {
        EXPECT_EQ(i, reply.shards[i].shard);
        EXPECT_EQ(reply.shards[i].last_index, reply.shards[i].applied_index);
    }
    SetReserve(UINT64_MAX);
    EXPECT_TRUE(Ask(STORE_METHOD_NODE_STATUS, status)->Reply<store_node_status_reply>().read_only);
}

// ---- what is refused

TEST_F(StoreServe, RequestsThatAreNoneAreRefusedEachWithItsCode)
{
    const std::string operation = Operation();
    const auto ask = [&](unsigned method, const auto &request) { return Ask(method, request)->err.code; };
    store_address_get_request address = {};
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_ADDRESS_GET, address));
    store_address_put_request put = {};
    put.operation_id = S(operation);
    put.tenant = 1;
    put.address = SPAN("x@example.org");
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_ADDRESS_PUT, put)); // of no kind
    put.kind = STORE_ADDRESS_RESOURCE + 1;
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_ADDRESS_PUT, put));
    put.kind = STORE_ADDRESS_ALIAS;
    put.if_version = 9;
    EXPECT_EQ(ERR_CONFLICT, ask(STORE_METHOD_ADDRESS_PUT, put));
    put.operation_id = SPAN("short");
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_ADDRESS_PUT, put));
    store_domain_list_request list = {};
    list.tenant = 1;
    list.domain = SPAN("example.org");
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_DOMAIN_LIST, list)); // of nothing
    list.limit = 1001;
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_DOMAIN_LIST, list));
    list.limit = 1;
    list.domain = SPAN("");
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_DOMAIN_LIST, list));
    store_account_create_request create = {};
    create.operation_id = S(operation);
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_ACCOUNT_CREATE, create)); // none in it
    store_account_set_request set = {};
    set.operation_id = S(operation);
    set.has_account = true;
    set.account.tenant = 1;
    set.account.account = kAccount;
    set.account.address = SPAN("u@example.org");
    set.if_version = 99;
    EXPECT_EQ(ERR_CONFLICT, ask(STORE_METHOD_ACCOUNT_SET, set));
    store_mailbox_create_request mailbox = {};
    mailbox.operation_id = S(operation);
    mailbox.tenant = 1;
    mailbox.account = kAccount;
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_MAILBOX_CREATE, mailbox)); // without a name
    mailbox.name = SPAN("INBOX");
    EXPECT_EQ(ERR_EXISTS, ask(STORE_METHOD_MAILBOX_CREATE, mailbox));
    store_search_request search = {};
    search.tenant = 1;
    search.account = kAccount;
    search.mailbox = Id("INBOX");
    store_search_key key = {};
    key.op = STORE_SEARCH_AND;
    key.count = 2; // and there is none
    search.keys = &key;
    search.keys_count = 1;
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_SEARCH, search));
    key.op = 99;
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_SEARCH, search));
    auto fetch = Fetch(STORE_FETCH_BODY);
    fetch.uids = SPAN("12345");
    EXPECT_EQ(ERR_SYNTAX, ask(STORE_METHOD_FETCH, fetch));
    EXPECT_EQ(ERR_SYNTAX, QueuePut("short", 5, 1000)->err.code);
}

TEST_F(StoreServe, WhatIsNotThereIsNotFound)
{
    const std::string operation = Operation(), id(16, 'x');
    store_address_get_request address = { 1, SPAN("nobody@example.org") };
    auto nobody = Ask(STORE_METHOD_ADDRESS_GET, address);
    EXPECT_EQ(ERR_OK, nobody->err.code);
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE }, nobody->Reply<store_address_reply>().kind);
    store_account_get_request account = { 1, kOther };
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_ACCOUNT_GET, account)->err.code);
    store_mailbox_open_request open = {};
    open.tenant = 1;
    open.account = kAccount;
    open.name = SPAN("Nowhere");
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_MAILBOX_OPEN, open)->err.code);
    EXPECT_EQ(ERR_NOT_FOUND, Append(kAccount, "Nowhere", "x\r\n")->err.code);
    EXPECT_EQ(ERR_NOT_FOUND, Append(kOther, "INBOX", "x\r\n")->err.code);
    auto fetch = Fetch(STORE_FETCH_INDEX);
    fetch.mailbox = 4711;
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_FETCH, fetch)->err.code);
    fetch.items = STORE_FETCH_BODY;
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_FETCH, fetch)->err.code);
    store_queue_body_request body = { 5, S(id) };
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_QUEUE_BODY, body)->err.code);
}

// The number of an account is no key to another tenant's.
TEST_F(StoreServe, AnotherTenantSeesNothing)
{
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", "Subject: secret\r\n\r\nx\r\n")->err.code);
    store_account_get_request account = { 2, kAccount };
    EXPECT_EQ(ERR_NOT_FOUND, Ask(STORE_METHOD_ACCOUNT_GET, account)->err.code);
    store_address_get_request address = { 2, SPAN("u@example.org") };
    EXPECT_EQ(unsigned{ STORE_ADDRESS_NONE },
              Ask(STORE_METHOD_ADDRESS_GET, address)->Reply<store_address_reply>().kind);
    auto fetch = Fetch(STORE_FETCH_BODY);
    fetch.tenant = 2;
    auto fetched = Ask(STORE_METHOD_FETCH, fetch);
    EXPECT_EQ(ERR_NOT_FOUND, fetched->err.code);
    EXPECT_EQ("", fetched->data);
    store_mailbox_list_request list = {};
    list.tenant = 2;
    list.account = kAccount;
    auto listed = Ask(STORE_METHOD_MAILBOX_LIST, list);
    EXPECT_TRUE(listed->err.code == ERR_NOT_FOUND || listed->Reply<store_mailbox_list_reply>().mailboxes_count == 0);
    EXPECT_EQ(ERR_NOT_FOUND, Append(kAccount, "INBOX", "x\r\n", [](store_append_request *append) {
                  append->tenant = 2;
              })->err.code);
}

TEST_F(StoreServe, SlotsAndShardsOfNoNodeAreMoved)
{
    const std::string id(16, 'x'), operation = Operation();
    EXPECT_EQ(ERR_MOVED, QueuePut(id, SLOT_COUNT, 1000)->err.code);
    EXPECT_EQ(ERR_MOVED, QueuePut(id, UINT32_MAX, 1000)->err.code);
    store_queue_body_request body = { SLOT_COUNT, S(id) };
    EXPECT_EQ(ERR_MOVED, Ask(STORE_METHOD_QUEUE_BODY, body)->err.code);
    store_queue_list_request list = {};
    list.shard = kShards;
    list.limit = 1;
    EXPECT_EQ(ERR_MOVED, Ask(STORE_METHOD_QUEUE_LIST, list)->err.code);
    store_queue_lease_request lease = {};
    lease.operation_id = S(operation);
    lease.shard = UINT32_MAX;
    lease.limit = 1;
    EXPECT_EQ(ERR_MOVED, Ask(STORE_METHOD_QUEUE_LEASE, lease)->err.code);
    store_deliver_request deliver = {};
    EXPECT_EQ(ERR_MOVED, Ask(STORE_METHOD_DELIVER, deliver)->err.code); // to nobody
    // Of one shard by its number and of another by its slot.
    lease.shard = 0;
    lease.id = S(id);
    lease.slot = SLOT_COUNT - 1;
    lease.owner = SPAN("0123456789abcdef");
    EXPECT_EQ(ERR_SYNTAX, Ask(STORE_METHOD_QUEUE_LEASE, lease)->err.code);
}

// Each target stands by itself: what lies in another shard is said so, and is not lost silently.
TEST_F(StoreServe, ATargetInAnotherShardIsMovedByItself)
{
    uint64_t far = kOther;
    while (place_map_shard(map, slot_of_account(far)) == place_map_shard(map, slot_of_account(kAccount))) far++;
    PutAccount(far, "far@example.org");
    const std::string message = "Subject: x\r\n\r\ny\r\n", facts = FactsOf(message), stamp = Stamp();
    std::string operations[2] = { Operation(), Operation() };
    store_deliver_target targets[2] = {};
    for (unsigned i = 0; i < 2; i++) {
        targets[i].operation_id = S(operations[i]);
        targets[i].tenant = 1;
        targets[i].account = i == 0 ? kAccount : far;
        targets[i].mailbox = SPAN("INBOX");
    }
    store_deliver_request deliver = {};
    deliver.targets = targets;
    deliver.targets_count = 2;
    deliver.facts = S(facts);
    deliver.size = static_cast<uint32_t>(message.size());
    deliver.scan_stamp = S(stamp);
    struct body *body = Stored(message);
    auto delivered = Ask(STORE_METHOD_DELIVER, deliver, body);
    ASSERT_EQ(2u, delivered->Reply<store_deliver_reply>().results_count);
    EXPECT_EQ(0u, delivered->Reply<store_deliver_reply>().results[0].status);
    EXPECT_EQ(uint32_t{ ERR_MOVED }, delivered->Reply<store_deliver_reply>().results[1].status);
    deliver.targets_count = 1;
    auto again = Ask(STORE_METHOD_DELIVER, deliver, body);
    EXPECT_TRUE(again->Reply<store_deliver_reply>().results[0].duplicate);
    EXPECT_EQ(1u, Records(Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_INDEX))->data).size());
    body_unref(body);
}

TEST_F(StoreServe, MailWithoutAStampFactsOrABodyIsRefused)
{
    using Change = std::function<void(store_append_request *)>;
    static const std::string infected = [] {
        scan_stamp stamp = {};
        stamp.verdict = 2; // INFECTED of scan.proto
        std::string bytes(SCAN_STAMP_BYTES, '\0');
        scan_stamp_write(&stamp, bytes.data());
        return bytes;
    }();
    const struct { const char *what; Change change; } cases[] = {
        { "no stamp", [](store_append_request *a) { a->scan_stamp = SPAN(""); } },
        { "half a stamp", [](store_append_request *a) { a->scan_stamp.len /= 2; } },
        { "an infected one's", [](store_append_request *a) { a->scan_stamp = S(infected); } },
        { "no facts", [](store_append_request *a) { a->facts = SPAN(""); } },
        { "facts cut", [](store_append_request *a) { a->facts.len--; } },
        { "no operation", [](store_append_request *a) { a->operation_id = SPAN(""); } },
    };
    for (const auto &c : cases) {
        auto append = Append(kAccount, "INBOX", "x\r\n", c.change);
        EXPECT_TRUE(append->err.code == ERR_SYNTAX || append->err.code == ERR_DENIED)
            << c.what << ": " << append->err.code;
    }
    std::string operation = Operation(), facts = FactsOf("x\r\n"), stamp = Stamp();
    store_append_request append = {};
    append.operation_id = S(operation);
    append.tenant = 1;
    append.account = kAccount;
    append.mailbox = SPAN("INBOX");
    append.facts = S(facts);
    append.size = 3;
    append.scan_stamp = S(stamp);
    EXPECT_EQ(ERR_SYNTAX, Ask(STORE_METHOD_APPEND, append)->err.code); // no body beside it
    EXPECT_EQ(ERR_SYNTAX, QueuePut(std::string(16, 'n'), 5, 1000, false)->err.code);
    EXPECT_EQ("", Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_INDEX))->data);
}

TEST_F(StoreServe, RolesThatMayNotCallAreDenied)
{
    const struct { uint32_t role; enum err_code get, status; } cases[] = {
        { RPC_ROLE_FRONTEND, ERR_OK, ERR_OK },
        { RPC_ROLE_ROUTER, ERR_DENIED, ERR_OK },
        { RPC_ROLE_OPERATOR, ERR_DENIED, ERR_DENIED },
        { RPC_ROLE_SCANNER, ERR_DENIED, ERR_DENIED },
        { RPC_ROLE_STORAGE_NODE, ERR_DENIED, ERR_DENIED },
    };
    for (const auto &c : cases) {
        struct rpc_client *by;
        rpc_client_options options = {};
        options.address = address.c_str();
        test_self self = TestSelf(static_cast<enum rpc_role>(c.role));
        options.self = self.get();
        ASSERT_EQ(ERR_OK, rpc_client_new(loop, &options, &by).code);
        store_account_get_request get = { 1, kAccount };
        store_node_status_request status = {};
        auto got = Start(STORE_METHOD_ACCOUNT_GET, get, nullptr, 20000, by);
        auto told = Start(STORE_METHOD_NODE_STATUS, status, nullptr, 20000, by);
        Until([&] { return got->done && told->done; });
        EXPECT_EQ(c.get, got->err.code) << c.role;
        EXPECT_EQ(c.status, told->err.code) << c.role;
        rpc_client_free(by);
    }
}

TEST_F(StoreServe, AFullDiskRefusesChangesAndStillReads)
{
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", "x\r\n")->err.code);
    SetReserve(UINT64_MAX);
    EXPECT_EQ(ERR_FULL, Append(kAccount, "INBOX", "x\r\n")->err.code);
    EXPECT_EQ(1u, Records(Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_BODY))->data).size());
    SetReserve(0);
    EXPECT_EQ(ERR_OK, Append(kAccount, "INBOX", "x\r\n")->err.code);
}

// ---- streams

TEST_F(StoreServe, AMessageLargerThanTheBufferStreamsWholeThroughASlowReceiver)
{
    std::string message = "Subject: large\r\n\r\n";
    for (uint32_t i = 1; message.size() < (3 << 20); i = i * 1664525 + 1013904223) {
        message += std::to_string(i) + (i % 7 == 0 ? "\r\n" : " ");
    }
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", message)->err.code);
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", "small\r\n")->err.code);
    auto call = Start(STORE_METHOD_FETCH, Fetch(STORE_FETCH_BODY));
    call->take = false;
    Until([&] { return call->data_bytes == RPC_CREDIT_BYTES; });
    Turn(50);
    EXPECT_EQ(static_cast<size_t>(RPC_CREDIT_BYTES), call->data_bytes); // and not a byte more
    EXPECT_EQ(1u, store_serve_calls(serve));
    EXPECT_TRUE(Ask(STORE_METHOD_FETCH, Fetch(STORE_FETCH_INDEX))->err.code == ERR_OK); // others go on
    call->take = true;
    rpc_call_took(call->call, call->data_bytes);
    Until([&] { return call->done; });
    ASSERT_EQ(ERR_OK, call->err.code);
    auto records = Records(call->data);
    ASSERT_EQ(2u, records.size());
    std::string plain(message.size(), '\0');
    ASSERT_EQ(ERR_OK, stored_body_open(records[0].body, plain.data(), plain.size()).code);
    EXPECT_TRUE(plain == message);
}

TEST_F(StoreServe, AReceiverThatGoesAwayEndsItsStream)
{
    std::string message = "Subject: large\r\n\r\n";
    for (uint32_t i = 1; message.size() < (3 << 20); i = i * 1664525 + 1013904223) message += std::to_string(i);
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", message)->err.code);
    for (bool cancels : { true, false }) {
        auto call = Start(STORE_METHOD_FETCH, Fetch(STORE_FETCH_BODY));
        call->take = false;
        Until([&] { return call->data_bytes == RPC_CREDIT_BYTES; });
        if (cancels) {
            rpc_call_cancel(call->call);
        } else {
            rpc_client_free(client);
            client = nullptr;
        }
        Until([&] { return call->done && store_serve_calls(serve) == 0; });
        EXPECT_EQ(ERR_CANCELLED, call->err.code);
    }
}

// ---- watches

TEST_F(StoreServe, AWatchTellsTheStateAndThenEachChangeOfItsMailbox)
{
    MakeMailbox("Other");
    store_watch_request inbox = { 1, kAccount, Id("INBOX") }, all = { 1, kAccount, 0 };
    auto one = Watch(STORE_METHOD_WATCH, inbox), any = Watch(STORE_METHOD_WATCH, all);
    Until([&] { return one->replies.size() == 1 && any->replies.size() == 1; });
    EXPECT_EQ(inbox.mailbox, one->Reply<store_watch_reply>().mailbox);
    uint64_t before = one->Reply<store_watch_reply>().highestmodseq;
    ASSERT_EQ(ERR_OK, Append(kAccount, "INBOX", "x\r\n")->err.code);
    Until([&] { return one->replies.size() == 2 && any->replies.size() == 2; });
    EXPECT_GT(one->Reply<store_watch_reply>().highestmodseq, before);
    ASSERT_EQ(ERR_OK, Append(kAccount, "Other", "x\r\n")->err.code);
    Until([&] { return any->replies.size() == 3; });
    EXPECT_EQ(Id("Other"), any->Reply<store_watch_reply>().mailbox);
    EXPECT_EQ(2u, one->replies.size());
    store_watch_request gone = { 1, kAccount, Id("Other") };
    auto other = Watch(STORE_METHOD_WATCH, gone);
    Until([&] { return other->replies.size() == 1; });
    std::string operation = Operation();
    store_mailbox_delete_request remove = {};
    remove.operation_id = S(operation);
    remove.tenant = 1;
    remove.account = kAccount;
    remove.name = SPAN("Other");
    ASSERT_EQ(ERR_OK, Ask(STORE_METHOD_MAILBOX_DELETE, remove)->err.code);
    Until([&] { return other->replies.size() == 2; });
    EXPECT_TRUE(other->Reply<store_watch_reply>().gone);
    for (auto *call : { one.get(), any.get(), other.get() }) Cancel(call);
}

TEST_F(StoreServe, AWatchOfWhatIsNotThereSaysGone)
{
    store_watch_request watch = { 1, kAccount, 4711 };
    auto call = Watch(STORE_METHOD_WATCH, watch);
    Until([&] { return call->replies.size() == 1; });
    EXPECT_TRUE(call->Reply<store_watch_reply>().gone);
    Cancel(call.get());
}

TEST_F(StoreServe, ADueTimeIsToldWhenItChanges)
{
    store_queue_watch_request request = {};
    auto watch = Watch(STORE_METHOD_QUEUE_WATCH, request);
    uint64_t due = clock_wall_ms() + 3600 * 1000;
    ASSERT_EQ(ERR_OK, QueuePut(std::string(16, 'q'), 5, due)->err.code);
    Until([&] {
        return !watch->replies.empty() && watch->Reply<store_queue_watch_reply>().due_ms == due;
    });
    EXPECT_EQ(place_map_shard(map, 5), watch->Reply<store_queue_watch_reply>().shard);
    auto later = Watch(STORE_METHOD_QUEUE_WATCH, request); // hears of it although nothing changes
    Until([&] {
        return !later->replies.empty() && later->Reply<store_queue_watch_reply>().due_ms == due;
    });
    Cancel(watch.get());
    Cancel(later.get());
}

// ---- the end

TEST_F(StoreServe, ADrainAnswersWhatIsUnderWayAndTakesNoMore)
{
    std::string operation = Operation(), facts = FactsOf("x\r\n"), stamp = Stamp();
    store_append_request append = {};
    append.operation_id = S(operation);
    append.tenant = 1;
    append.account = kAccount;
    append.mailbox = SPAN("INBOX");
    append.facts = S(facts);
    append.size = 3;
    append.scan_stamp = S(stamp);
    struct body *body = Stored("x\r\n");
    auto before = Start(STORE_METHOD_APPEND, append, body);
    Until([&] { return store_serve_calls(serve) == 1 || before->done; });
    store_serve_drain(serve);
    auto after = Start(STORE_METHOD_APPEND, append, body);
    Until([&] { return before->done && after->done; });
    EXPECT_EQ(ERR_OK, before->err.code);
    EXPECT_EQ(ERR_UNREACHABLE, after->err.code);
    body_unref(body);
}

// Watches are no calls that a drain waits for: they are open when the server closes.
TEST_F(StoreServe, WatchesThatAreOpenAtTheEndAreCancelled)
{
    store_watch_request inbox = { 1, kAccount, Id("INBOX") };
    store_queue_watch_request queue = {};
    auto one = Watch(STORE_METHOD_WATCH, inbox);
    auto two = Watch(STORE_METHOD_QUEUE_WATCH, queue);
    auto other = Watch(STORE_METHOD_WATCH, inbox);
    Until([&] { return one->replies.size() == 1 && other->replies.size() == 1; });
    CloseNode();
    Until([&] { return one->done && two->done && other->done; });
    for (auto *call : { one.get(), two.get(), other.get() }) EXPECT_NE(ERR_OK, call->err.code);
}

}  // namespace
