// What comes into a mailbox: its thread, whether it fits, what is kept of it, where it stands in the index.
#include <algorithm>
#include <memory>

#include "mbox_commands.h"

namespace {
using namespace mbox_test;

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

// What the asker has no use for is not sent; the rest of each row is as it is stored.
TEST_F(MboxTest, FactsWithoutUnusedPieces)
{
    Shard::Mail mail;
    mail.fields = "To: x\r\n", mail.envelope = "(" + std::string(3000, 'e') + ")";
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", Shard::Mail()));
    ASSERT_EQ(ERR_OK, shard.Append(1, "INBOX", mail));
    shard.Apply();
    auto context = shard.Read();
    for (uint32_t unused : {0u, uint32_t(FACTS_PIECE_FIELDS), uint32_t(FACTS_PIECE_ENVELOPE | FACTS_PIECE_PREVIEW),
                            uint32_t(FACTS_PIECES_ALL), ~0u}) {
        store_fetch_request request = {};
        request.tenant = 1, request.account = 1, request.mailbox = 1;
        request.items = STORE_FETCH_FACTS, request.facts_unused = unused;
        mbox_fetch *fetch;
        uint64_t highest;
        ASSERT_EQ(ERR_OK, mbox_fetch_open(&context, &request, &fetch, &highest).code);
        for (bool second : {false, true}) {
            mail_record record;
            span piece;
            facts facts;
            ASSERT_EQ(ERR_OK, mbox_fetch_next(fetch, &record, &piece).code);
            ASSERT_EQ(ERR_OK, facts_read(record.facts, &facts).code) << unused;
            std::string fields = "Subject: hello\r\n" + (second ? mail.fields : ""), envelope = second ? mail.envelope : "(NIL)";
            EXPECT_EQ((unused & FACTS_PIECE_FIELDS) != 0 ? "" : fields, Str(facts.fields)) << unused;
            EXPECT_EQ((unused & FACTS_PIECE_ENVELOPE) != 0 ? "" : envelope, Str(facts.envelope)) << unused;
            EXPECT_EQ((unused & FACTS_PIECE_STRUCTURE) != 0 ? "" : "(\"TEXT\" \"PLAIN\")", Str(facts.structure)) << unused;
        }
        mbox_fetch_close(fetch);
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

} // namespace
