// mbox command by command: good requests and bad ones, cuts between batches, retries.
#include <algorithm>
#include <memory>

#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

struct MboxTest : ::testing::Test {
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

TEST_F(MboxTest, Names)
{
    std::string level(255, 'x'), deep = "d";
    for (int i = 1; i < 32; i++) deep += "/d";
    const struct { err_code want; std::string name; } cases[] = {
        {ERR_OK, "a"}, {ERR_OK, "b/c/d"}, {ERR_OK, "with space"}, {ERR_OK, "Entw\xc3\xbcrfe"}, {ERR_OK, "INBOX/x"},
        {ERR_OK, "inboxes"}, {ERR_OK, level}, {ERR_OK, deep}, {ERR_OK, "\xf0\x9f\x93\xa7"}, {ERR_OK, "%*"},
        {ERR_EXISTS, "a"}, {ERR_EXISTS, "INBOX"}, {ERR_SYNTAX, ""}, {ERR_SYNTAX, "/"}, {ERR_SYNTAX, "/a"},
        {ERR_SYNTAX, "a/"}, {ERR_SYNTAX, "a//b"}, {ERR_SYNTAX, "inbox"}, {ERR_SYNTAX, "Inbox/x"},
        {ERR_SYNTAX, std::string("a\0b", 3)}, {ERR_SYNTAX, "a\r\nb"}, {ERR_SYNTAX, "a\x7f"}, {ERR_SYNTAX, "\xc2\x85"},
        {ERR_SYNTAX, "\xff"}, {ERR_SYNTAX, "\xc3"}, {ERR_SYNTAX, "\xc0\xaf"}, {ERR_SYNTAX, "\xed\xa0\x80"},
        {ERR_SYNTAX, "\xf4\x90\x80\x80"}, {ERR_SYNTAX, "\xe0\x80\xaf"}, {ERR_TOO_BIG, level + "x"},
        {ERR_TOO_BIG, deep + "/d"}, {ERR_TOO_BIG, level + "/" + level + "/" + level + "/" + level},
    };
    for (const auto &c : cases) EXPECT_EQ(c.want, Create(c.name)) << ::testing::PrintToString(c.name);
}

TEST_F(MboxTest, BadRequestsChangeNothing)
{
    auto id = shard.Id(), facts = Facts("x"), stamp = Stamp(), future = shard.Id();
    future[0] = '\x7f';
    auto before = shard.Rows();
    auto refused = [&](err_code want, unsigned method, const void *request) {
        Result result;
        EXPECT_EQ(want, shard.Change(method, request, &result)) << method << " " << shard.what;
        EXPECT_EQ(0u, result.r.batches_count);
    };
    store_append_request append = {};
    append.operation_id = S(id), append.tenant = 1, append.account = 1, append.mailbox = SPAN("INBOX");
    append.facts = S(facts), append.scan_stamp = S(stamp);
    auto with = [&](err_code want, auto base, unsigned method, auto change) {
        change(&base);
        refused(want, method, &base);
    };
    auto a = [&](err_code want, auto change) { with(want, append, STORE_METHOD_APPEND, change); };
    std::string infected = stamp;
    infected[2] = SCAN_WHY_SCANNED, infected[1] = 2;
    std::string newer = stamp, newer_facts = facts, short_facts = facts.substr(0, 20), long_word(129, 'w');
    newer[0] = 9, newer_facts[0] = 9;
    span words[] = {SPAN("a b"), S(long_word), SPAN(""), SPAN("a\\"), SPAN("a]")};
    a(ERR_SYNTAX, [&](auto *r) { r->operation_id = SPAN(""); });
    a(ERR_SYNTAX, [&](auto *r) { r->operation_id = SPAN("fifteen bytes.."); });
    a(ERR_SYNTAX, [&](auto *r) { r->operation_id = S(future); });
    a(ERR_NOT_FOUND, [&](auto *r) { r->account = 2; });
    a(ERR_NOT_FOUND, [&](auto *r) { r->tenant = 2; });
    a(ERR_NOT_FOUND, [&](auto *r) { r->mailbox = SPAN("nowhere"); });
    a(ERR_NOT_FOUND, [&](auto *r) { r->mailbox = SPAN(""); });
    a(ERR_DENIED, [&](auto *r) { r->scan_stamp = SPAN(""); });
    a(ERR_DENIED, [&](auto *r) { r->scan_stamp = SPAN("\1"); });
    a(ERR_DENIED, [&](auto *r) { r->scan_stamp = S(infected); });
    a(ERR_UNSUPPORTED, [&](auto *r) { r->scan_stamp = S(newer); });
    a(ERR_SYNTAX, [&](auto *r) { r->facts = SPAN(""); });
    a(ERR_SYNTAX, [&](auto *r) { r->facts = S(short_facts); });
    a(ERR_UNSUPPORTED, [&](auto *r) { r->facts = S(newer_facts); });
    for (auto &word : words) a(ERR_SYNTAX, [&](auto *r) { r->keywords = &word, r->keywords_count = 1; });

    store_flags_set_request flags = {};
    flags.operation_id = S(id), flags.tenant = 1, flags.account = 1, flags.mailbox = 1;
    auto f = [&](err_code want, auto change) { with(want, flags, STORE_METHOD_FLAGS_SET, change); };
    f(ERR_SYNTAX, [&](auto *r) { r->mode = 3; });
    f(ERR_SYNTAX, [&](auto *r) { r->uids = SPAN("1234"); });
    f(ERR_SYNTAX, [&](auto *r) { r->uids = SPAN("\0\0\0\0\1\0\0\0"); });
    f(ERR_SYNTAX, [&](auto *r) { r->uids = SPAN("\2\0\0\0\1\0\0\0"); });
    f(ERR_SYNTAX, [&](auto *r) { r->uids = SPAN("\1\0\0\0\1\0\0\0\2\0\0\0\2\0\0\0"); });
    f(ERR_NOT_FOUND, [&](auto *r) { r->mailbox = 9; });
    f(ERR_NOT_FOUND, [&](auto *r) { r->mailbox = 0; });

    store_deliver_target target = {};
    target.operation_id = S(id), target.tenant = 1, target.account = 1, target.mailbox = SPAN("INBOX");
    store_deliver_target twice[] = {target, target};
    store_deliver_request deliver = {};
    deliver.targets = &target, deliver.targets_count = 1, deliver.facts = S(facts), deliver.scan_stamp = S(stamp);
    auto d = [&](err_code want, auto change) { with(want, deliver, STORE_METHOD_DELIVER, change); };
    d(ERR_SYNTAX, [&](auto *r) { r->targets_count = 0; });
    d(ERR_TOO_BIG, [&](auto *r) { r->targets_count = 1001; });
    d(ERR_SYNTAX, [&](auto *r) { r->targets = twice, r->targets_count = 2; });
    d(ERR_DENIED, [&](auto *r) { r->scan_stamp = SPAN("\1x"); });

    store_mailbox_rename_request rename = {S(id), 1, 1, SPAN("nowhere"), SPAN("b")};
    refused(ERR_NOT_FOUND, STORE_METHOD_MAILBOX_RENAME, &rename);
    rename.from = SPAN("INBOX"), rename.to = SPAN("b//c");
    refused(ERR_SYNTAX, STORE_METHOD_MAILBOX_RENAME, &rename);
    store_mailbox_subscribe_request subscribe = {S(id), 1, 1, SPAN("a//"), true};
    refused(ERR_SYNTAX, STORE_METHOD_MAILBOX_SUBSCRIBE, &subscribe);
    store_mailbox_create_request create = {S(id), 1, 1, SPAN("x"), 9, 0};
    refused(ERR_SYNTAX, STORE_METHOD_MAILBOX_CREATE, &create);
    create.kind = 0, create.special_use = 9;
    refused(ERR_SYNTAX, STORE_METHOD_MAILBOX_CREATE, &create);
    store_account_create_request account = {};
    account.operation_id = S(id);
    refused(ERR_SYNTAX, STORE_METHOD_ACCOUNT_CREATE, &account);
    account.has_account = true, account.account.tenant = 1, account.account.account = 1, account.account.address = SPAN("a@b");
    refused(ERR_EXISTS, STORE_METHOD_ACCOUNT_CREATE, &account);
    account.account.account = 7, account.account.state = STORE_ACCOUNT_DELETED;
    refused(ERR_SYNTAX, STORE_METHOD_ACCOUNT_CREATE, &account);
    account.account.state = 0, account.account.role = 4;
    refused(ERR_SYNTAX, STORE_METHOD_ACCOUNT_CREATE, &account);
    refused(ERR_UNSUPPORTED, STORE_METHOD_FETCH, &account);
    refused(ERR_UNSUPPORTED, 9999, &account);
    shard.Apply();
    EXPECT_EQ(before, shard.Rows());
}

TEST_F(MboxTest, SlotsOfOtherShardsAreRefused)
{
    auto id = shard.Id();
    store_mailbox_create_request request = {S(id), 1, 1, SPAN("x"), 0, 0};
    auto context = shard.Prepare();
    context.slot_first = slot_of_account(1) + 1u;
    Result result;
    EXPECT_EQ(ERR_MOVED, mbox_change(&context, STORE_METHOD_MAILBOX_CREATE, &request, nullptr, &result.r).code);
    context.slot_first = 0, context.slot_end = slot_of_account(1);
    EXPECT_EQ(ERR_MOVED, mbox_change(&context, STORE_METHOD_MAILBOX_CREATE, &request, nullptr, &result.r).code);
    EXPECT_FALSE(mbox_is_change(STORE_METHOD_FETCH));
    EXPECT_TRUE(mbox_is_change(STORE_METHOD_COPY));
}

TEST_F(MboxTest, AnIdBelongsToOneMethod)
{
    auto id = shard.Id();
    store_mailbox_create_request create = {S(id), 1, 1, SPAN("x"), 0, 0};
    store_mailbox_delete_request remove = {S(id), 1, 1, SPAN("x")};
    Result first, second;
    EXPECT_EQ(ERR_OK, shard.Change(STORE_METHOD_MAILBOX_CREATE, &create, &first));
    EXPECT_EQ(ERR_CONFLICT, shard.Change(STORE_METHOD_MAILBOX_DELETE, &remove, &second));
}

TEST_F(MboxTest, QuotaInBytesAndItems)
{
    ASSERT_EQ(ERR_OK, shard.MakeAccount(2, 100, 3));
    Shard::Mail mail;
    mail.size = 60;
    EXPECT_EQ(ERR_OK, shard.Append(2, "INBOX", mail));
    EXPECT_EQ(ERR_QUOTA, shard.Append(2, "INBOX", mail));
    mail.size = 40;
    EXPECT_EQ(ERR_OK, shard.Append(2, "INBOX", mail));
    mail.size = 0, mail.body = "";
    EXPECT_EQ(ERR_QUOTA, shard.Append(2, "INBOX", mail)); // full is full
    auto facts = Facts("x"), stamp = Stamp(), id = shard.Id(), other = shard.Id();
    store_deliver_target targets[2] = {};
    targets[0].operation_id = S(id), targets[0].tenant = 1, targets[0].account = 2, targets[0].mailbox = SPAN("INBOX");
    targets[1].operation_id = S(other), targets[1].tenant = 1, targets[1].account = 1, targets[1].mailbox = SPAN("INBOX");
    store_deliver_request request = {};
    request.targets = targets, request.targets_count = 2, request.facts = S(facts), request.size = 1, request.scan_stamp = S(stamp);
    Result result, again;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &result));
    EXPECT_EQ(unsigned(ERR_QUOTA), result.Reply<store_deliver_reply>().results[0].status);
    EXPECT_EQ(0u, result.Reply<store_deliver_reply>().results[1].status);
    request.ignore_quota = true; // the fan-out was promised: the other one stays delivered once
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &again));
    EXPECT_EQ(0u, again.Reply<store_deliver_reply>().results[0].status);
    EXPECT_FALSE(again.Reply<store_deliver_reply>().results[0].duplicate);
    EXPECT_TRUE(again.Reply<store_deliver_reply>().results[1].duplicate);
    EXPECT_FALSE(again.r.duplicate);
    EXPECT_EQ(3u, Usage(2).items);
    EXPECT_EQ(101u, Usage(2).bytes);
    EXPECT_EQ(1u, Usage(1).items);
    shard.Apply();
    EXPECT_EQ(0u, CheckRows(shard));
}

// The row's THREADID (RFC 8474): that of the conversation's first message, however it is delivered.
TEST_F(MboxTest, ThreadsAreThoseOfTheirFirstMessage)
{
    auto thread = [&](const std::string &fields, const std::string &subject = "s") {
        Shard::Mail mail;
        mail.fields = fields, mail.subject = subject;
        uint32_t uid = 0;
        EXPECT_EQ(ERR_OK, shard.Append(1, "INBOX", mail, &uid));
        shard.Apply();
        uint64_t found = 0;
        for (auto &[key, value] : shard.Rows()) {
            kv_owner owner;
            unsigned kind;
            span tail;
            uint32_t box, at;
            mbox_message message;
            if (kv_key_read(S(key), &owner, &kind, &tail).code != ERR_OK || kind != KV_MESSAGE) continue;
            kv_key_take_u32(&tail, &box), kv_key_take_u32(&tail, &at);
            EXPECT_EQ(ERR_OK, mbox_message_read(S(value), &message).code);
            if (at == uid) found = message.thread;
        }
        return found;
    };
    uint64_t one = thread("Message-ID: <1@x>\r\n");
    EXPECT_EQ(UINT64_C(8375038618690679082), one); // persisted
    const std::string same[] = {
        "Message-ID: <1@x>\r\n", "Message-ID: <2@x>\r\nIn-Reply-To: <1@x>\r\n",
        "Message-ID: <3@x>\r\nIn-Reply-To: <2@x>\r\nReferences: <1@x> <2@x>\r\n",
        "References: junk\r\n <1@x>\r\n\t<2@x>\r\nMessage-ID: <3@x>\r\n",
        "References: <a b> <> <1@x>\r\n", "references:<1@x>\r\n", "In-Reply-To: Your <of Monday> <1@x>\r\n",
        "References: none\r\nIn-Reply-To: <1@x>\r\n",
    };
    for (auto &fields : same) EXPECT_EQ(one, thread(fields)) << fields;
    const std::string others[] = {
        "References: <2@x> <1@x>\r\n", "Message-ID: 1@x\r\n", "Message-ID: <1@x\r\n", "Message-ID: 1@x>\r\n",
        "Message-ID: <>\r\n", "Message-ID: <1 @x>\r\n", "Subject: <1@x>\r\n",
        "References: <" + std::string(997, 'r') + ">\r\n", "",
    };
    for (auto &fields : others) {
        EXPECT_NE(one, thread(fields)) << fields;
        EXPECT_NE(0u, thread(fields)) << fields;
    }
    EXPECT_EQ(thread("Message-ID: <" + std::string(996, 'r') + ">\r\n"), thread("References: <" + std::string(996, 'r') + ">\r\n"));
    EXPECT_NE(thread("", "a"), thread("", "b")); // without any id it is a thread of its own
}

// Both sides of each bound, and with everything else that is still on its way counted in.
TEST_F(MboxTest, ADeliveryFitsOrIsRefused)
{
    auto facts = Facts("x"), stamp = Stamp();
    uint64_t account = 10;
    auto deliver = [&](uint32_t size, bool ignore = false) {
        auto id = shard.Id();
        store_deliver_target target = {};
        target.operation_id = S(id), target.tenant = 1, target.account = account, target.mailbox = SPAN("INBOX");
        store_deliver_request request = {};
        request.targets = &target, request.targets_count = 1, request.facts = S(facts), request.size = size;
        request.scan_stamp = S(stamp), request.ignore_quota = ignore;
        Result result;
        EXPECT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &result));
        auto status = result.Reply<store_deliver_reply>().results[0].status;
        EXPECT_EQ(status == ERR_OK, result.r.batches_count > 0);
        return status;
    };
    const struct { const char *what; uint64_t bytes, items; std::vector<std::pair<uint32_t, err_code>> sizes; } cases[] = {
        {"one byte less", 100, 0, {{60, ERR_OK}, {39, ERR_OK}, {1, ERR_OK}, {1, ERR_QUOTA}}},
        {"exactly", 100, 0, {{60, ERR_OK}, {40, ERR_OK}, {0, ERR_QUOTA}}},
        {"one byte more", 100, 0, {{60, ERR_OK}, {41, ERR_QUOTA}, {40, ERR_OK}}},
        {"at once", 100, 0, {{101, ERR_QUOTA}, {100, ERR_OK}, {1, ERR_QUOTA}}},
        {"items", 0, 2, {{5000, ERR_OK}, {0, ERR_OK}, {0, ERR_QUOTA}}},
        {"items before bytes", 100, 1, {{10, ERR_OK}, {10, ERR_QUOTA}}},
        {"bytes before items", 100, 9, {{90, ERR_OK}, {11, ERR_QUOTA}, {10, ERR_OK}}},
        {"none", 0, 0, {{UINT32_MAX, ERR_OK}, {UINT32_MAX, ERR_OK}, {UINT32_MAX, ERR_OK}}},
    };
    for (auto &c : cases) {
        for (bool applied : {false, true}) { // in one group of the log, or each after the other
            ASSERT_EQ(ERR_OK, shard.MakeAccount(++account, c.bytes, c.items));
            if (applied) shard.Apply();
            uint64_t bytes = 0, items = 0;
            for (auto &[size, want] : c.sizes) {
                EXPECT_EQ(unsigned(want), deliver(size)) << c.what << ", " << size;
                if (want == ERR_OK) bytes += size, items++;
                if (applied) shard.Apply();
            }
            shard.Apply();
            EXPECT_EQ(bytes, Usage(account).bytes) << c.what;
            EXPECT_EQ(items, Usage(account).items) << c.what;
        }
    }
    EXPECT_EQ(unsigned(ERR_OK), deliver(7, true)); // a fan-out that was promised
    // Two in one command: the second finds what the first took.
    ASSERT_EQ(ERR_OK, shard.MakeAccount(++account, 100, 0));
    auto id = shard.Id(), other = shard.Id();
    store_deliver_target targets[2] = {};
    targets[0].operation_id = S(id), targets[0].tenant = 1, targets[0].account = account, targets[0].mailbox = SPAN("INBOX");
    targets[1] = targets[0], targets[1].operation_id = S(other), targets[1].mailbox = SPAN("other");
    store_deliver_request request = {};
    request.targets = targets, request.targets_count = 2, request.facts = S(facts), request.size = 51, request.scan_stamp = S(stamp);
    Result result;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &result));
    EXPECT_EQ(unsigned(ERR_OK), result.Reply<store_deliver_reply>().results[0].status);
    EXPECT_EQ(unsigned(ERR_QUOTA), result.Reply<store_deliver_reply>().results[1].status);
    shard.Apply();
    EXPECT_EQ(51u, Usage(account).bytes);
    EXPECT_EQ(0u, CheckRows(shard));
}

// Bodies that go ahead of their message: whatever batch the crash comes behind, there is the whole
// mail or none, and what is left over is found.
TEST_F(MboxTest, CutBetweenTheBatchesOfABigBody)
{
    auto facts = Facts("big"), stamp = Stamp();
    std::string text(15 * 1024 * 1024, 'x');
    for (size_t i = 0; i < text.size(); i += 4099) text[i] = char(i);
    body *b = shard.bodies.Make(text);
    ASSERT_EQ(ERR_OK, shard.MakeAccount(2));
    shard.Apply();
    for (size_t cut = 0;; cut++) {
        auto id = shard.Id(), other = shard.Id();
        store_deliver_target targets[2] = {};
        targets[0].operation_id = S(id), targets[0].tenant = 1, targets[0].account = 1, targets[0].mailbox = SPAN("INBOX");
        targets[1].operation_id = S(other), targets[1].tenant = 1, targets[1].account = 2, targets[1].mailbox = SPAN("INBOX");
        store_deliver_request request = {};
        request.targets = targets, request.targets_count = 2, request.facts = S(facts), request.scan_stamp = S(stamp);
        request.size = uint32_t(text.size());
        auto items = Usage().items;
        Result result;
        ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &result, b));
        ASSERT_GT(result.r.batches_count, 5u);
        for (size_t i = 0; i < result.r.batches_count; i++) EXPECT_LE(result.r.batches[i].len, size_t(KV_BATCH_MAX_BYTES));
        shard.Apply(cut);
        if (cut == result.r.batches_count) break;
        shard.Crash();
        EXPECT_EQ(items, Usage().items);
        EXPECT_EQ(cut > 0, CheckRows(shard) > 0);
        auto context = shard.Prepare();
        Result early, trim;
        ASSERT_EQ(ERR_OK, mbox_trim_bodies(&context, shard.now_ms, &early.r).code);
        EXPECT_EQ(0u, early.r.batches_count); // not old enough
        ASSERT_EQ(ERR_OK, mbox_trim_bodies(&context, shard.now_ms + 1, &trim.r).code);
        shard.Add(&trim);
        shard.Apply();
        EXPECT_EQ(0u, CheckRows(shard));
    }
    EXPECT_EQ(0u, CheckRows(shard));
    auto context = shard.Read();
    store_fetch_request fetch_request = {1, 2, 1, S(""), STORE_FETCH_BODY, 0};
    mbox_fetch *fetch;
    uint64_t highest;
    mail_record record;
    span piece;
    ASSERT_EQ(ERR_OK, mbox_fetch_open(&context, &fetch_request, &fetch, &highest).code);
    ASSERT_EQ(ERR_OK, mbox_fetch_next(fetch, &record, &piece).code);
    EXPECT_EQ(text.size(), record.body.len);
    std::string got = Str(piece);
    while (mbox_fetch_piece(fetch, &piece).code == ERR_OK) got += Str(piece);
    EXPECT_TRUE(text == got);
    mbox_fetch_close(fetch);
    body_unref(b);
}

TEST_F(MboxTest, BodiesOfOneCommandAreBounded)
{
    auto facts = Facts("big"), stamp = Stamp();
    body *b = shard.bodies.Make(std::string(100 * 1024 * 1024, 'x'));
    std::vector<std::string> ids;
    std::vector<store_deliver_target> targets(3);
    for (int i = 0; i < 3; i++) ids.push_back(shard.Id());
    for (int i = 0; i < 3; i++) {
        targets[i].operation_id = S(ids[i]), targets[i].tenant = 1, targets[i].account = 1, targets[i].mailbox = SPAN("INBOX");
    }
    store_deliver_request request = {};
    request.targets = targets.data(), request.targets_count = 3, request.facts = S(facts), request.scan_stamp = S(stamp);
    Result result;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &result, b));
    EXPECT_EQ(0u, result.Reply<store_deliver_reply>().results[1].status);
    EXPECT_EQ(unsigned(ERR_TOO_BIG), result.Reply<store_deliver_reply>().results[2].status);
    shard.Apply();
    EXPECT_EQ(2u, Usage().items);
    EXPECT_EQ(0u, CheckRows(shard));
    body_unref(b);
}

// Commands over so many messages that they have several parts: a retry after a crash goes on.
TEST_F(MboxTest, CommandsInPartsGoOnAfterACrash)
{
    const uint32_t count = 100000;
    Fill(count);
    ASSERT_EQ(ERR_OK, Create("to"));
    shard.Apply();
    auto set = All(count), id = shard.Id();
    store_copy_request move = {S(id), 1, 1, 1, S(set), SPAN("to"), true};
    Result begun, moved;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &move, &begun));
    ASSERT_GT(begun.r.batches_count, 1u);
    shard.Apply(1);
    shard.Crash();
    EXPECT_GT(Open("to").messages, 0u);
    EXPECT_EQ(count, Open("to").messages + Open("INBOX").messages); // each is in one of them
    EXPECT_EQ(0u, CheckRows(shard));
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &move, &moved));
    EXPECT_EQ(set, Str(moved.Reply<store_copy_reply>().from_uids));
    EXPECT_EQ(set, Str(moved.Reply<store_copy_reply>().to_uids));
    shard.Apply();
    EXPECT_EQ(count, Open("to").messages);
    EXPECT_EQ(0u, Open("INBOX").messages);
    auto back_id = shard.Id();
    store_copy_request back = {S(back_id), 1, 1, Open("to").id, S(set), SPAN("INBOX"), true};
    Result moved_back;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &back, &moved_back));
    shard.Apply();
    set.clear();
    uint32_t range[2] = {count + 1, 2 * count};
    set.append(reinterpret_cast<const char *>(range), 8);

    store_flags_set_request flags = {};
    auto flags_id = shard.Id();
    flags.operation_id = S(flags_id), flags.tenant = 1, flags.account = 1, flags.mailbox = 1, flags.uids = S(set);
    flags.mode = STORE_FLAGS_ADD, flags.flags = MAIL_FLAG_DELETED;
    Result first, second, third;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_FLAGS_SET, &flags, &first));
    EXPECT_EQ(size_t(count) * MAIL_RECORD_INDEX_BYTES, first.r.data_len);
    shard.Apply(1);
    shard.Crash();
    uint32_t done = Open("INBOX").deleted;
    EXPECT_GT(done, 0u);
    EXPECT_LT(done, count);
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_FLAGS_SET, &flags, &second));
    EXPECT_EQ(size_t(count - done) * MAIL_RECORD_INDEX_BYTES, second.r.data_len);
    shard.Apply();
    EXPECT_EQ(count, Open("INBOX").deleted);
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_FLAGS_SET, &flags, &third));
    EXPECT_TRUE(third.r.duplicate);
    EXPECT_EQ(size_t(count) * MAIL_RECORD_INDEX_BYTES, third.r.data_len); // of every part

    auto expunge_id = shard.Id();
    store_expunge_request expunge = {S(expunge_id), 1, 1, 1, S(""), false};
    Result cut_short, rest;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_EXPUNGE, &expunge, &cut_short));
    shard.Apply();
    EXPECT_EQ(set, Str(cut_short.Reply<store_expunge_reply>().expunged));
    EXPECT_EQ(0u, Open("INBOX").messages);
    EXPECT_EQ(2 * count + 1, Open("INBOX").uidnext);
    EXPECT_EQ(0u, Usage().items);
    EXPECT_EQ(0u, CheckRows(shard));
}

// RFC 3501 6.4.7: a COPY that fails leaves the mailbox as it was. Whatever batch the crash comes
// behind, also while it is undone, and also when the log refuses the rest and the shard goes on.
TEST_F(MboxTest, ACopyIsThereAsAWholeOrNotAtAll)
{
    const uint32_t count = 150000;
    Fill(count);
    ASSERT_EQ(ERR_OK, Create("to"));
    ASSERT_EQ(ERR_OK, shard.Append(1, "to", {}));
    shard.Apply();
    auto marks = [&] {
        size_t found = 0;
        for (auto &[key, value] : shard.Rows()) {
            kv_owner owner;
            unsigned kind;
            span tail;
            found += kv_key_read(S(key), &owner, &kind, &tail).code == ERR_OK && kind == KV_COPYING;
        }
        return found;
    };
    // As the shell does it when it begins to serve; stops after `steps`.
    auto undo = [&](size_t steps = SIZE_MAX) {
        for (bool more = true; more && steps > 0; steps--) {
            auto context = shard.Prepare();
            Result step;
            ASSERT_EQ(ERR_OK, mbox_undo_copies(&context, &step.r).code);
            more = step.r.more;
            shard.Add(&step);
        }
        shard.Apply();
    };
    auto set = All(count);
    for (const std::string name : {"to", "INBOX"}) { // another mailbox, and itself
        for (size_t cut = 0, batches = 1; cut < batches; cut++) {
            auto before = Open(name);
            auto used = Usage();
            auto id = shard.Id();
            store_copy_request request = {S(id), 1, 1, 1, S(set), S(name), false};
            Result result, again;
            ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &request, &result));
            batches = result.r.batches_count;
            ASSERT_GT(batches, 2u);
            shard.Apply(cut);
            EXPECT_EQ(cut == 0 ? 0u : 1u, marks());
            shard.Crash();
            EXPECT_EQ(cut > 0, Open(name).messages > before.messages);
            undo(1); // and a crash in the middle of that
            shard.Crash();
            undo();
            EXPECT_EQ(before.messages, Open(name).messages) << name << ", cut " << cut;
            EXPECT_EQ(before.size_bytes, Open(name).size_bytes);
            EXPECT_EQ(before.unseen, Open(name).unseen);
            EXPECT_GE(Open(name).uidnext, before.uidnext);
            EXPECT_EQ(used.items, Usage().items);
            EXPECT_EQ(used.bytes, Usage().bytes);
            EXPECT_EQ(0u, marks());
            EXPECT_EQ(0u, CheckRows(shard));
            if (cut + 1 < batches) continue;
            uint32_t next = Open(name).uidnext; // not one that somebody may have seen
            ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &request, &again)); // the retry
            shard.Apply();
            EXPECT_EQ(before.messages + count, Open(name).messages);
            EXPECT_EQ(next, UidsOf(again.Reply<store_copy_reply>().to_uids).front());
            EXPECT_EQ(count, UidsOf(again.Reply<store_copy_reply>().to_uids).size());
            EXPECT_EQ(0u, marks());
            undo();
            EXPECT_EQ(before.messages + count, Open(name).messages);
        }
    }
    // The disk is full in the middle; before the rest is undone others have come.
    auto before = Open("to");
    auto id = shard.Id(), other_id = shard.Id();
    store_copy_request request = {S(id), 1, 1, 1, S(set), SPAN("to"), false}, other = request;
    Result result, second;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &request, &result));
    shard.Apply(2);
    shard.Crash();
    uint32_t uid = 0;
    ASSERT_EQ(ERR_OK, shard.Append(1, "to", {}, &uid));
    shard.Apply();
    undo();
    EXPECT_EQ(before.messages + 1, Open("to").messages);
    EXPECT_EQ(uid + 1, Open("to").uidnext);
    // Small ones are one batch, and have no mark.
    auto few = All(10000);
    other.operation_id = S(other_id), other.uids = S(few);
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &other, &second));
    EXPECT_EQ(1u, second.r.batches_count);
    shard.Apply();
    EXPECT_EQ(before.messages + 1 + 10000, Open("to").messages);
    EXPECT_EQ(0u, CheckRows(shard));
}

TEST_F(MboxTest, AMarkOfAMailboxThatIsGoneGoesToo)
{
    Fill(80000);
    ASSERT_EQ(ERR_OK, Create("to"));
    shard.Apply();
    auto id = shard.Id(), delete_id = shard.Id(), set = All(80000);
    store_copy_request request = {S(id), 1, 1, 1, S(set), SPAN("to"), false};
    store_mailbox_delete_request remove = {S(delete_id), 1, 1, SPAN("to")};
    Result copied, removed;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &request, &copied));
    ASSERT_GT(copied.r.batches_count, 1u);
    shard.Apply(1);
    shard.Crash();
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_MAILBOX_DELETE, &remove, &removed));
    shard.Apply();
    for (bool more = true; more;) {
        auto context = shard.Prepare();
        Result undo, sweep;
        ASSERT_EQ(ERR_OK, mbox_undo_copies(&context, &undo.r).code);
        shard.Add(&undo);
        shard.Apply();
        context = shard.Prepare();
        ASSERT_EQ(ERR_OK, mbox_sweep(&context, &sweep.r).code);
        shard.Add(&sweep);
        shard.Apply();
        more = undo.r.more || sweep.r.more;
    }
    EXPECT_EQ(80000u, Usage().items);
    EXPECT_EQ(0u, CheckRows(shard));
}

TEST_F(MboxTest, ADeletedMailboxGoesInSteps)
{
    Fill(25000);
    ASSERT_EQ(ERR_OK, Create("old/below"));
    auto id = shard.Id(), set = All(25000);
    store_copy_request move = {S(id), 1, 1, 1, S(set), SPAN("old"), true};
    Result moved, deleted;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &move, &moved));
    auto delete_id = shard.Id();
    store_mailbox_delete_request request = {S(delete_id), 1, 1, SPAN("old")};
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_MAILBOX_DELETE, &request, &deleted));
    EXPECT_FALSE(deleted.Reply<store_progress_reply>().more);
    Open("old", ERR_DENIED); // a name with a child is left
    shard.Apply();
    EXPECT_EQ(15000u, Usage().items);
    EXPECT_EQ(1u, CheckRows(shard));
    ASSERT_EQ(ERR_OK, Create("old")); // free at once
    EXPECT_EQ(0u, Open("old").messages);
    for (bool more = true; more;) {
        auto context = shard.Prepare();
        Result step;
        ASSERT_EQ(ERR_OK, mbox_sweep(&context, &step.r).code);
        more = step.r.more;
        shard.Add(&step);
    }
    shard.Apply();
    EXPECT_EQ(0u, Usage().items);
    EXPECT_EQ(0u, CheckRows(shard));
}

TEST_F(MboxTest, UnchangedSince)
{
    for (int i = 0; i < 5; i++) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    auto base = Open("INBOX").highestmodseq;
    auto set = [&](const Uids &uids, uint64_t flags, bool has, uint64_t since, Result *result) {
        auto id = shard.Id(), bytes = SetOf(uids);
        store_flags_set_request request = {};
        request.operation_id = S(id), request.tenant = 1, request.account = 1, request.mailbox = 1, request.uids = S(bytes);
        request.mode = STORE_FLAGS_ADD, request.flags = flags, request.has_unchanged_since = has, request.unchanged_since = since;
        EXPECT_EQ(ERR_OK, shard.Change(STORE_METHOD_FLAGS_SET, &request, result));
    };
    Result one, two, none, same;
    set({2, 4}, MAIL_FLAG_SEEN, false, 0, &one);
    EXPECT_EQ(base + 1, one.Reply<store_flags_set_reply>().modseq);
    set({1, 2, 3, 4, 5, 9}, MAIL_FLAG_FLAGGED, true, base, &two);
    EXPECT_EQ((Uids{2, 4}), UidsOf(two.Reply<store_flags_set_reply>().modified));
    EXPECT_EQ(3u * MAIL_RECORD_INDEX_BYTES, two.r.data_len);
    set({1, 2, 3, 4, 5}, MAIL_FLAG_FLAGGED, true, 0, &none);
    EXPECT_EQ((Uids{1, 2, 3, 4, 5}), UidsOf(none.Reply<store_flags_set_reply>().modified));
    EXPECT_EQ(0u, none.Reply<store_flags_set_reply>().modseq);
    EXPECT_EQ(0u, none.r.batches_count);
    set({2}, MAIL_FLAG_SEEN, false, 0, &same); // has it already: no new MODSEQ
    EXPECT_EQ(0u, same.r.batches_count);
    EXPECT_EQ(base + 2, Open("INBOX").highestmodseq);
}

TEST_F(MboxTest, KeywordsAreBounded)
{
    ASSERT_EQ(ERR_OK, Create("to"));
    for (int i = 0; i < MBOX_KEYWORDS_MAX; i++) {
        Shard::Mail mail;
        mail.keywords = {"k" + std::to_string(i)};
        ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", mail));
        if (i > 0) continue;
        mail.keywords = {"other"};
        ASSERT_EQ(ERR_OK, shard.Append(1, "to", mail));
    }
    Shard::Mail mail;
    mail.keywords = {"one.more"};
    EXPECT_EQ(ERR_TOO_BIG, shard.Append(1, "INBOX", mail));
    EXPECT_EQ("keywords", shard.what);
    mail.keywords = {"K7"}; // the same as k7
    EXPECT_EQ(ERR_OK, shard.Append(1, "INBOX", mail));
    (void)Open("INBOX");
    EXPECT_EQ(size_t(MBOX_KEYWORDS_MAX), opened.keywords_count);
    EXPECT_EQ(56u, opened.keywords_max);
    // A copy takes along what there is room for.
    auto id = shard.Id(), set = All(100);
    store_copy_request copy = {S(id), 1, 1, 1, S(set), SPAN("to"), false};
    Result result;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_COPY, &copy, &result));
    EXPECT_EQ(58u, Open("to").messages);
    EXPECT_EQ(size_t(MBOX_KEYWORDS_MAX), opened.keywords_count);
}

TEST_F(MboxTest, MailboxesAreBounded)
{
    auto context = shard.Prepare();
    for (int i = 1; i < MBOX_MAILBOXES_MAX; i++) {
        ASSERT_EQ(ERR_OK, Create("m" + std::to_string(i)));
        if (i % 100 == 0) shard.Apply();
    }
    EXPECT_EQ(ERR_TOO_BIG, Create("one more"));
    EXPECT_EQ("mailboxes", shard.what);
    shard.Apply();
    store_mailbox_list_request request = {1, 1, S("")};
    const void *reply;
    arena_init(&arena, 1 << 26);
    ASSERT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_MAILBOX_LIST, &request, &arena, &reply).code);
    EXPECT_EQ(size_t(MBOX_MAILBOXES_MAX), static_cast<const store_mailbox_list_reply *>(reply)->mailboxes_count);
}

// With the index and without it, and only when it is asked for (RFC 9208 4.1.4).
TEST_F(MboxTest, SizesOfWhatIsDeleted)
{
    ASSERT_EQ(ERR_OK, Create("other"));
    Shard::Mail mail;
    for (uint32_t size : {1000u, 20u, 3u}) {
        mail.size = size;
        mail.flags = size == 20 ? 0 : uint64_t(MAIL_FLAG_DELETED);
        ASSERT_EQ(ERR_OK, shard.Append(1, "other", mail));
    }
    shard.Apply();
    auto context = shard.Read();
    for (auto *index : {shard.index, static_cast<struct mbox_index *>(nullptr)}) {
        for (bool asked : {true, false}) {
            store_mailbox_list_request request = {};
            request.tenant = 1, request.account = 1, request.deleted_bytes = asked;
            const void *reply;
            ASSERT_EQ(ERR_OK, mbox_read(&context, index, STORE_METHOD_MAILBOX_LIST, &request, &arena, &reply).code);
            auto *list = static_cast<const store_mailbox_list_reply *>(reply);
            for (size_t i = 0; i < list->mailboxes_count; i++) {
                bool other = Str(list->mailboxes[i].name) == "other";
                EXPECT_EQ(other ? 2u : 0u, list->mailboxes[i].deleted);
                EXPECT_EQ(other && asked ? 1003u : 0u, list->mailboxes[i].deleted_bytes) << asked << (index != nullptr);
            }
        }
    }
}

// A mailbox that was empty when the index met it is known without loading, one that was not is loaded when it is asked
// for; both show what is there.
TEST_F(MboxTest, IndexBeginsWithTheMailbox)
{
    auto see = [&](uint32_t id, uint64_t hits) {
        struct mbox_index_stats before, after;
        mbox_index_stats_get(shard.index, &before);
        auto context = shard.Read();
        kv_owner owner = {slot_of_account(1), 1, 1};
        mbox_view view = {};
        EXPECT_EQ(ERR_OK, mbox_view_open(shard.index, context.rows, &owner, id, &view).code);
        std::string text;
        for (uint32_t i = 0; i < view.places; i++)
            if (view.modseqs[i] != 0) text += std::to_string(view.uids[i]) + ":" + std::to_string(view.flags[i]) + " ";
        text += "next " + std::to_string(view.uidnext);
        mbox_view_close(&view);
        mbox_index_stats_get(shard.index, &after);
        EXPECT_EQ(hits, after.hits - before.hits) << id;
        return text;
    };
    ASSERT_EQ(ERR_OK, Create("new"));
    shard.Apply();
    auto made = Open("new").id;
    EXPECT_EQ("next 1", see(made, 1));
    for (uint64_t flags : {0, 1, 2}) {
        Shard::Mail mail;
        mail.flags = flags;
        ASSERT_EQ(ERR_OK, shard.Append(1, "new", mail));
    }
    shard.Apply();
    EXPECT_EQ("1:0 2:1 3:2 next 4", see(made, 1));
    mbox_index_clear(shard.index);
    ASSERT_EQ(ERR_OK, shard.Append(1, "new", {}));
    shard.Apply();
    EXPECT_EQ("1:0 2:1 3:2 4:0 next 5", see(made, 0));
    ASSERT_EQ(ERR_OK, Create("parent/child"));
    shard.Apply();
    EXPECT_EQ("next 1", see(Open("parent/child").id, 1));
}

TEST_F(MboxTest, RecentBelongsToWhoClaimsIt)
{
    for (int i = 0; i < 3; i++) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    EXPECT_EQ(3u, Open("INBOX").recent);
    EXPECT_EQ(1u, opened.recent_from);
    auto uidnext = opened.mailbox.uidnext;
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {})); // while it was being opened
    auto claim = [&](uint32_t mailbox, uint32_t next) {
        auto context = shard.Prepare();
        struct mbox_claim one = {1, 1, mailbox, next};
        Result result;
        EXPECT_EQ(ERR_OK, mbox_claim(&context, &one, &result.r).code);
        shard.Add(&result);
        return result.r.batches_count;
    };
    EXPECT_EQ(1u, claim(1, uidnext));
    EXPECT_EQ(1u, Open("INBOX").recent);
    EXPECT_EQ(4u, opened.recent_from);
    EXPECT_EQ(0u, claim(1, uidnext)); // nothing new to write
    EXPECT_EQ(0u, claim(9, 5));       // gone meanwhile
    EXPECT_EQ(1u, claim(1, 100));     // not beyond what there is
    EXPECT_EQ(5u, (Open("INBOX"), opened.recent_from));
}

TEST_F(MboxTest, AccountsEnd)
{
    for (int i = 0; i < 3; i++) ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    ASSERT_EQ(ERR_OK, shard.MakeAccount(2));
    auto id = shard.Id(), again_id = shard.Id();
    store_account_delete_request request = {S(id), 1, 1};
    Result result, retry, again;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_ACCOUNT_DELETE, &request, &result));
    ASSERT_EQ(1u, result.r.touched_count);
    EXPECT_TRUE(result.r.touched[0].gone);
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_ACCOUNT_DELETE, &request, &retry));
    EXPECT_TRUE(retry.r.duplicate);
    request.operation_id = S(again_id);
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_ACCOUNT_DELETE, &request, &again));
    EXPECT_EQ(0u, again.r.batches_count);
    EXPECT_EQ(ERR_NOT_FOUND, shard.Append(1, "INBOX", {}));
    EXPECT_EQ(ERR_EXISTS, shard.MakeAccount(1)); // the number is used up
    EXPECT_EQ(ERR_OK, shard.Append(2, "INBOX", {}));
    shard.Apply();
    size_t rows = 0;
    for (auto &[key, value] : shard.Rows()) {
        kv_owner owner;
        unsigned kind;
        span tail;
        if (kv_key_read(S(key), &owner, &kind, &tail).code != ERR_OK || owner.account != 1) continue;
        rows++;
        EXPECT_EQ(unsigned(KV_ACCOUNT), kind);
    }
    EXPECT_EQ(1u, rows);
}

TEST_F(MboxTest, OldOperationsAndChangesAreForgotten)
{
    auto id = shard.Id();
    store_mailbox_create_request create = {S(id), 1, 1, SPAN("x"), 0, 0};
    Result first, again, trim, keep;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_MAILBOX_CREATE, &create, &first));
    shard.now_ms += 3 * 3600 * 1000;
    ASSERT_EQ(ERR_OK, Create("y"));
    auto context = shard.Prepare();
    ASSERT_EQ(ERR_OK, mbox_trim_operations(&context, shard.now_ms - 4 * 3600 * 1000, &keep.r).code);
    EXPECT_EQ(0u, keep.r.batches_count);
    ASSERT_EQ(ERR_OK, mbox_trim_operations(&context, shard.now_ms - 3600 * 1000, &trim.r).code);
    EXPECT_EQ(1u, trim.r.batches_count);
    shard.Add(&trim);
    shard.Apply();
    size_t operations = 0;
    for (auto &[key, value] : shard.Rows()) operations += key.size() > 14 && uint8_t(key[14]) == KV_OPERATION;
    EXPECT_EQ(1u, operations);
    EXPECT_EQ(ERR_EXISTS, shard.Change(STORE_METHOD_MAILBOX_CREATE, &create, &again)); // it is new now

    struct mbox_trim_changes changes = {1, 1, shard.now_ms, 1000};
    Result by_time, by_rows;
    ASSERT_EQ(ERR_OK, mbox_trim_changes(&context, &changes, &by_time.r).code);
    shard.Add(&by_time);
    changes = {1, 1, 0, 0};
    ASSERT_EQ(ERR_OK, mbox_trim_changes(&context, &changes, &by_rows.r).code);
    shard.Add(&by_rows);
    shard.Apply();
    for (auto &[key, value] : shard.Rows()) EXPECT_FALSE(key.size() > 14 && key[14] == KV_CHANGE);
}

TEST_F(MboxTest, CorruptRowsAreToldAndNeverCrash)
{
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", {}));
    ASSERT_EQ(ERR_OK, Create("to"));
    shard.Apply();
    for (auto &[key, value] : shard.Rows()) {
        if (key[0] == '\xff' || uint8_t(key[14]) == KV_OPERATION) continue;
        for (const std::string bad : {std::string(), std::string("\1"), value + "x", value.substr(0, value.size() / 2), std::string(90, '\1')}) {
            kv_batch batch;
            kv_batch_init(&batch);
            kv_batch_put(&batch, S(key), S(bad));
            ASSERT_EQ(ERR_OK, kv_overlay_add(shard.overlay, span_of(batch.bytes, batch.len), 1000000).code);
            kv_batch_free(&batch);
            auto id = shard.Id(), set = All(5), expunge_id = shard.Id();
            store_copy_request copy = {S(id), 1, 1, 1, S(set), SPAN("to"), false};
            store_expunge_request expunge = {S(expunge_id), 1, 1, 1, S(set), true};
            auto context = shard.Prepare();
            Result one, two;
            for (auto code : {mbox_change(&context, STORE_METHOD_COPY, &copy, nullptr, &one.r).code,
                              mbox_change(&context, STORE_METHOD_EXPUNGE, &expunge, nullptr, &two.r).code})
                EXPECT_TRUE(code == ERR_OK || code == ERR_CORRUPT || code == ERR_NOT_FOUND || code == ERR_UNSUPPORTED) << code;
            kv_overlay_clear(shard.overlay);
        }
    }
}

}  // namespace
