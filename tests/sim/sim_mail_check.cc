// The mail oracle: what clients read is exactly what the commands made.
#include "kv.h"
#include "kv_key.h"
#include "mail_flags.h"
#include "mail_stream.h"
#include "mbox_fetch.h"
#include "mbox_index.h"
#include "mbox_read.h"
#include "sim_draw.h"
#include "sim_mail.h"
#include "slot.h"
#include "store_msg.h"

namespace sim {

namespace {

struct Arena {
    Arena() { arena_init(&arena, 64 << 20); }
    ~Arena() { arena_clear(&arena); }
    struct arena arena;
};

template <typename Reply>
const Reply &Read(const mbox_context &context, mbox_index *index, unsigned method, const void *request,
                  Arena &arena)
{
    const void *reply;
    err e = mbox_read(&context, index, method, request, &arena.arena, &reply);
    Demand(e.code == ERR_OK,
           std::string("a read fails: ") + err_name(e.code) + " " + (e.what ? e.what : ""));
    return *static_cast<const Reply *>(reply);
}

std::string AllOf(mbox_body_cursor *cursor)
{
    std::string all;
    span piece;
    err e;
    while ((e = mbox_body_next(cursor, &piece)).code == ERR_OK) all += Str(piece);
    mbox_body_close(cursor);
    Demand(e.code == ERR_NOT_FOUND, "a body is not whole");
    return all;
}

}  // namespace

void Mail::CompareBox(const mbox_context &context, mbox_index *index, uint64_t number, const Box &box)
{
    store_fetch_request request = {};
    request.tenant = 1;
    request.account = number;
    request.mailbox = box.id;
    request.items = MAIL_RECORD_DATES | MAIL_RECORD_BODY;
    mbox_fetch *fetch;
    uint64_t highest;
    Demand(mbox_fetch_open(&context, &request, &fetch, &highest).code == ERR_OK, "a fetch fails");
    auto at = box.messages.begin();
    mail_record record;
    span piece;
    err e;
    std::string where = "account " + std::to_string(number) + " mailbox " + std::to_string(box.id) + ": ";
    while ((e = mbox_fetch_next(fetch, &record, &piece)).code == ERR_OK) {
        Demand(at != box.messages.end() && record.uid >= at->first,
               where + "UID " + std::to_string(record.uid) + " was never put there, or is gone");
        Demand(record.uid == at->first, where + "UID " + std::to_string(at->first) + " is lost");
        const Message &m = at->second;
        Demand(record.flags == m.flags, where + "flags of UID " + std::to_string(record.uid));
        Demand(record.modseq == m.modseq, where + "MODSEQ of UID " + std::to_string(record.uid));
        Demand(record.internaldate_ms == m.internaldate_ms, where + "date");
        std::string body = Str(piece);
        while (body.size() < record.body.len) {
            Demand(mbox_fetch_piece(fetch, &piece).code == ERR_OK, where + "a body breaks off");
            body += Str(piece);
        }
        Demand(body == *m.body && record.size == m.body->size(),
               where + "body of UID " + std::to_string(record.uid));
        ++at;
    }
    mbox_fetch_close(fetch);
    Demand(e.code == ERR_NOT_FOUND, where + "a fetch breaks off");
    Demand(at == box.messages.end(), where + "messages are lost");
    // The index in memory shows the same.
    mbox_view view;
    kv_owner owner = {slot_of_account(number), 1, number};
    Demand(mbox_view_open(index, context.rows, &owner, box.id, &view).code == ERR_OK, "a view fails");
    at = box.messages.begin();
    bool same = view.messages == box.messages.size() && view.uidnext == box.uidnext;
    for (uint32_t i = 0; i < view.places && same; i++) {
        if (view.modseqs[i] == 0) continue;
        same = at != box.messages.end() && view.uids[i] == at->first &&
               view.flags[i] == at->second.flags && view.modseqs[i] == at->second.modseq;
        ++at;
    }
    mbox_view_close(&view);
    Demand(same, where + "the index shows something else");
}

void Mail::CompareAccount(const mbox_context &context, mbox_index *index, uint64_t number)
{
    Account &account = accounts[number];
    store_mailbox_list_request request = {};
    request.tenant = 1;
    request.account = number;
    Arena arena;
    auto &list = Read<store_mailbox_list_reply>(context, index, STORE_METHOD_MAILBOX_LIST, &request, arena);
    size_t there = 0;
    for (size_t i = 0; i < list.mailboxes_count; i++) {
        const store_mailbox &row = list.mailboxes[i];
        if (row.id == 0) continue; // only subscribed
        there++;
        auto found = account.boxes.find(Str(row.name));
        Demand(found != account.boxes.end(), "a mailbox that nobody made: " + Str(row.name));
        Adopt(account, found->second, row.uidvalidity);
        const Box &box = found->second;
        uint32_t unseen = 0, deleted = 0;
        uint64_t bytes = 0;
        for (auto &[uid, m] : box.messages) {
            unseen += !(m.flags & MAIL_FLAG_SEEN);
            deleted += (m.flags & MAIL_FLAG_DELETED) != 0;
            bytes += m.body->size();
        }
        Demand(row.id == box.id && row.uidvalidity == box.uidvalidity, "id of mailbox " + Str(row.name));
        Demand(row.uidnext == box.uidnext, "UIDNEXT of mailbox " + Str(row.name));
        Demand(row.messages == box.messages.size() && row.unseen == unseen && row.deleted == deleted &&
               row.size_bytes == bytes, "counters of mailbox " + Str(row.name));
        CompareBox(context, index, number, box);
    }
    Demand(there == account.boxes.size(), "a mailbox is lost");
    uint64_t modseq = 0;
    Demand(mbox_modseq(&context, 1, number, 0, &modseq).code == ERR_OK, "MODSEQ of an account");
    Demand(modseq == account.modseq, "MODSEQ of account " + std::to_string(number));
}

void Mail::CompareQueue(const mbox_context &context, uint32_t shard)
{
    std::string after;
    std::set<std::string> seen;
    for (bool more = true; more;) {
        Arena arena;
        store_queue_list_request request = {};
        request.shard = shard;
        request.after = S(after);
        request.limit = 100;
        auto &list = Read<store_queue_list_reply>(context, nullptr, STORE_METHOD_QUEUE_LIST, &request, arena);
        for (size_t i = 0; i < list.entries_count; i++) {
            const store_queue_entry &row = list.entries[i];
            std::string id = Str(row.id);
            auto found = queue.find(id);
            Demand(found != queue.end(), "a queue entry that nobody put, or that is done");
            Demand(seen.insert(id).second, "a queue entry is there twice");
            const Queued &q = found->second;
            Demand(row.version == q.version && row.due_ms == q.due_ms &&
                   row.lease_until_ms == q.lease_until_ms && Str(row.lease_owner) == q.owner,
                   "a queue entry's state");
            mbox_body_cursor cursor;
            uint64_t bytes;
            Demand(mbox_queue_body_open(&context, row.slot, row.id, &cursor, &bytes).code == ERR_OK,
                   "body of a queue entry");
            Demand(AllOf(&cursor) == *q.body && bytes == q.body->size(), "body of a queue entry");
            after = {char(row.slot >> 8), char(row.slot & 0xff)};
            after += id;
        }
        more = list.more;
        Demand(!more || list.entries_count > 0, "the queue's list does not end");
    }
    Demand(seen.size() == queue.size(), "a queue entry is lost");
}

void Mail::Compare(const mbox_context &context, mbox_index *index, uint32_t shard)
{
    for (auto &[number, account] : accounts) CompareAccount(context, index, number);
    CompareQueue(context, shard);
}

}  // namespace sim
