// mbox command by command: good requests and bad ones, bounds.
#include <algorithm>
#include <memory>

#include "mbox_commands.h"

namespace {
using namespace mbox_test;

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

} // namespace
