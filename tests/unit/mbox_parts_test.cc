// Commands that take several batches, cut between them; and what goes by and by.
#include <algorithm>
#include <memory>

#include "mbox_commands.h"

namespace {
using namespace mbox_test;

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

} // namespace
