// A shard in memory that runs mbox commands as a leader does: prepared on the overlay, applied
// later, and what was not applied lost by a crash.
#ifndef GODWIT_MBOX_FIXTURE_H
#define GODWIT_MBOX_FIXTURE_H

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "body.h"
#include "buf.h"
#include "facts.h"
#include "kv.h"
#include "kv_key.h"
#include "kv_memory.h"
#include "kv_overlay.h"
#include "mail_flags.h"
#include "mail_stream.h"
#include "mbox.h"
#include "mbox_fetch.h"
#include "mbox_index.h"
#include "mbox_maintain.h"
#include "mbox_queue.h"
#include "mbox_read.h"
#include "mbox_rows.h"
#include "mbox_rows_log.h"
#include "mbox_search.h"
#include "scan_stamp.h"
#include "slot.h"
#include "store_msg.h"
#include "uid_set.h"

namespace mbox_test {

inline span S(const std::string &s) { return span_of(s.data(), s.size()); }
inline std::string Str(span s) { return std::string(s.len ? s.ptr : "", s.len); }

// Sets of UIDs as sorted numbers.
using Uids = std::vector<uint32_t>;
inline std::string SetOf(const Uids &uids)
{
    uid_set set;
    uid_set_init(&set, 1000000);
    for (uint32_t uid : uids) EXPECT_EQ(ERR_OK, uid_set_add(&set, uid, uid).code);
    auto bytes = Str(uid_set_bytes(&set));
    uid_set_free(&set);
    return bytes;
}
inline Uids UidsOf(span bytes)
{
    Uids uids;
    EXPECT_EQ(0u, bytes.len % 8);
    for (size_t at = 0; at + 8 <= bytes.len; at += 8) {
        uint32_t range[2];
        memcpy(range, bytes.ptr + at, 8);
        for (uint64_t uid = range[0]; uid <= range[1]; uid++) uids.push_back(uint32_t(uid));
    }
    return uids;
}

inline std::string Facts(const std::string &subject, int64_t date_ms = INT64_MIN, const std::string &more = "",
                         uint8_t flags = 0, const std::string &envelope = "(NIL)")
{
    std::string fields = "Subject: " + subject + "\r\n" + more;
    facts f = {};
    f.flags = flags;
    f.date_ms = date_ms;
    f.fields = S(fields);
    f.envelope = S(envelope);
    f.structure = SPAN("(\"TEXT\" \"PLAIN\")");
    f.preview = SPAN("");
    f.parts = SPAN("");
    std::string row(facts_bytes(&f), '\0');
    facts_write(&f, row.data());
    return row;
}

inline std::string Stamp(scan_why why = SCAN_WHY_OFF)
{
    scan_stamp stamp = {};
    stamp.why = uint8_t(why);
    std::string bytes(SCAN_STAMP_BYTES, '\0');
    scan_stamp_write(&stamp, bytes.data());
    return bytes;
}

struct Bodies {
    body_budget budget = {1ull << 32, 1ull << 32, 0, 0, "/tmp"};
    struct body *Make(const std::string &bytes)
    {
        struct body *b;
        EXPECT_EQ(ERR_OK, body_new(&budget, &b).code);
        EXPECT_EQ(ERR_OK, body_put(b, S(bytes)).code);
        EXPECT_EQ(ERR_OK, body_seal(b).code);
        return b;
    }
};

struct Result {
    Result() { mbox_result_init(&r); }
    ~Result() { mbox_result_free(&r); }
    Result(const Result &) = delete;
    template <typename T> const T &Reply() const { return *static_cast<const T *>(r.reply); }
    mbox_result r;
};

class Shard {
public:
    Shard()
    {
        kv = kv_memory_new();
        overlay = kv_overlay_new(kv->calls->reader(kv));
        index = mbox_index_new(1 << 20);
        due = std::make_unique<mbox_due>();
        mbox_due_init(due.get());
    }
    ~Shard()
    {
        mbox_index_free(index);
        kv_overlay_free(overlay);
        kv->calls->close(kv);
    }

    // What commands are prepared on, and what reads see.
    mbox_context Prepare() { return {kv_overlay_reader(overlay), now_ms, 0, SLOT_COUNT, due.get()}; }
    mbox_context Read() { return {kv->calls->reader(kv), now_ms, 0, SLOT_COUNT, nullptr}; }

    // A new operation id each time.
    std::string Id()
    {
        uint32_t seconds = uint32_t(now_ms / 1000);
        std::string id(16, '\0');
        for (int i = 0; i < 4; i++) id[i] = char(seconds >> (8 * (3 - i)));
        uint64_t number = ++ids;
        memcpy(&id[8], &number, 8);
        return id;
    }

    err_code Change(unsigned method, const void *request, Result *result, struct body *body = nullptr)
    {
        auto context = Prepare();
        err e = mbox_change(&context, method, request, body, &result->r);
        if (e.code == ERR_OK) Add(result);
        else EXPECT_EQ(0u, result->r.batches_count);
        what = e.what == nullptr ? "" : e.what;
        return e.code;
    }

    // Puts the batches of a result on their way.
    void Add(Result *result)
    {
        for (size_t i = 0; i < result->r.batches_count; i++) {
            auto bytes = span_of(result->r.batches[i].bytes, result->r.batches[i].len);
            pending.push_back(Str(bytes));
            ASSERT_EQ(ERR_OK, kv_overlay_add(overlay, bytes, ++last).code);
            mbox_due_note(due.get(), bytes);
        }
    }

    // Applies the next `count` batches.
    void Apply(size_t count = SIZE_MAX)
    {
        for (; count > 0 && !pending.empty(); count--) {
            ASSERT_EQ(ERR_OK, kv->calls->apply(kv, S(pending.front()), 1, ++applied).code);
            mbox_index_apply(index, S(pending.front()));
            pending.pop_front();
        }
        kv_overlay_applied(overlay, applied);
    }

    // Loses what is not applied.
    void Crash()
    {
        pending.clear();
        kv_overlay_clear(overlay);
        mbox_index_clear(index);
        mbox_due_init(due.get());
        last = applied;
    }

    err_code MakeAccount(uint64_t account, uint64_t quota_bytes = 0, uint64_t quota_items = 0)
    {
        auto id = Id(), address = "u" + std::to_string(account) + "@example.org";
        store_account_create_request request = {};
        request.operation_id = S(id);
        request.has_account = true;
        request.account.tenant = 1;
        request.account.account = account;
        request.account.address = S(address);
        request.account.quota_bytes = quota_bytes;
        request.account.quota_items = quota_items;
        Result result;
        return Change(STORE_METHOD_ACCOUNT_CREATE, &request, &result);
    }

    struct Mail {
        std::string subject = "hello", body = "stored body";
        uint64_t flags = 0;
        std::vector<std::string> keywords;
        uint64_t internaldate_ms = 0;
        int64_t date_ms = INT64_MIN;
        std::string fields;
        uint8_t facts_flags = 0;
        uint32_t size = 0; // that of the body when 0
        std::string envelope = "(NIL)";
    };

    err_code Append(uint64_t account, const std::string &mailbox, const Mail &mail, uint32_t *uid = nullptr)
    {
        auto id = Id(), stamp = Stamp();
        auto facts = Facts(mail.subject, mail.date_ms, mail.fields, mail.facts_flags, mail.envelope);
        std::vector<span> words;
        for (auto &word : mail.keywords) words.push_back(S(word));
        store_append_request request = {};
        request.operation_id = S(id);
        request.tenant = 1;
        request.account = account;
        request.mailbox = S(mailbox);
        request.flags = mail.flags;
        request.keywords = words.data();
        request.keywords_count = words.size();
        request.internaldate_ms = mail.internaldate_ms;
        request.facts = S(facts);
        request.size = mail.size ? mail.size : uint32_t(mail.body.size());
        request.scan_stamp = S(stamp);
        Result result;
        struct body *b = bodies.Make(mail.body);
        auto code = Change(STORE_METHOD_APPEND, &request, &result, b);
        body_unref(b);
        if (code == ERR_OK && uid != nullptr) *uid = result.Reply<store_append_reply>().uid;
        return code;
    }

    // All rows, for checks of what is there.
    std::vector<std::pair<std::string, std::string>> Rows()
    {
        std::vector<std::pair<std::string, std::string>> rows;
        kv_iter *it;
        EXPECT_EQ(ERR_OK, kv_iter_new(kv->calls->reader(kv), &it).code);
        for (it->calls->seek(it, S("")); it->calls->valid(it); it->calls->next(it))
            rows.emplace_back(Str(it->calls->key(it)), Str(it->calls->value(it)));
        it->calls->free(it);
        return rows;
    }

    uint64_t now_ms = 1700000000000;
    struct kv *kv;
    kv_overlay *overlay;
    struct mbox_index *index;
    std::unique_ptr<mbox_due> due;
    std::deque<std::string> pending;
    uint64_t last = 0, applied = 0, ids = 0;
    std::string what; // of the last error
    Bodies bodies;
};

// References, facts and bodies are exactly those of the messages that are there. Returns how many
// marks of unfinished work were seen.
inline size_t CheckRows(Shard &shard)
{
    std::map<std::pair<uint64_t, uint64_t>, uint32_t> refs; // account, email
    std::map<std::pair<uint64_t, uint64_t>, mbox_email> emails;
    std::map<std::pair<uint64_t, uint64_t>, size_t> facts, chunks, bytes;
    std::map<uint64_t, std::pair<uint64_t, uint64_t>> used; // bytes, items
    std::map<uint64_t, mbox_counters> counters;
    std::map<std::pair<uint64_t, uint32_t>, mbox_mailbox> boxes;
    std::map<std::pair<uint64_t, uint32_t>, mbox_mailbox> counted;
    size_t marks = 0;
    for (auto &[key, value] : shard.Rows()) {
        kv_owner owner;
        unsigned kind;
        span tail;
        if (kv_key_read(S(key), &owner, &kind, &tail).code != ERR_OK) continue;
        uint64_t number = 0;
        uint32_t id = 0, uid = 0;
        if (kind == KV_MESSAGE) {
            mbox_message m;
            EXPECT_EQ(ERR_OK, mbox_message_read(S(value), &m).code);
            kv_key_take_u32(&tail, &id);
            kv_key_take_u32(&tail, &uid);
            refs[{owner.account, m.email}]++;
            used[owner.account].first += m.size;
            used[owner.account].second++;
            auto &c = counted[{owner.account, id}];
            c.messages++;
            c.size_bytes += m.size;
            c.unseen += !(m.flags & MAIL_FLAG_SEEN);
            c.deleted += (m.flags & MAIL_FLAG_DELETED) != 0;
        } else if (kind == KV_EMAIL) {
            kv_key_take_u64(&tail, &number);
            EXPECT_EQ(ERR_OK, mbox_email_read(S(value), &emails[{owner.account, number}]).code);
        } else if (kind == KV_FACTS) {
            kv_key_take_u64(&tail, &number);
            facts[{owner.account, number}]++;
        } else if (kind == KV_BODY) {
            kv_key_take_u64(&tail, &number);
            chunks[{owner.account, number}]++;
            bytes[{owner.account, number}] += value.size();
        } else if (kind == KV_COUNTERS) {
            EXPECT_EQ(ERR_OK, mbox_counters_read(S(value), &counters[owner.account]).code);
        } else if (kind == KV_MAILBOX) {
            kv_key_take_u32(&tail, &id);
            EXPECT_EQ(ERR_OK, mbox_mailbox_read(S(value), &boxes[{owner.account, id}]).code);
        } else if (kind == KV_PENDING_BODY || kind == KV_PENDING_QUEUE || kind == KV_DYING) {
            marks++;
        }
    }
    for (auto &[email, count] : refs) EXPECT_EQ(count, emails[email].refs) << "email " << email.second;
    for (auto &[email, row] : emails) {
        EXPECT_EQ(refs[email], row.refs) << "email " << email.second;
        EXPECT_EQ(1u, facts[email]);
        EXPECT_EQ(row.chunks, chunks[email]);
        EXPECT_EQ(row.stored_bytes, bytes[email]);
    }
    EXPECT_EQ(facts.size(), emails.size());
    if (marks == 0) {
        for (auto &[email, count] : chunks) EXPECT_TRUE(emails.count(email)) << "leaked body " << email.second;
    }
    for (auto &[account, c] : counters) {
        EXPECT_EQ(used[account].first, c.used_bytes) << account;
        EXPECT_EQ(used[account].second, c.used_items) << account;
    }
    for (auto &[box, row] : boxes) {
        if (row.state & MBOX_MAILBOX_DYING) continue;
        EXPECT_EQ(counted[box].messages, row.messages) << "mailbox " << box.second;
        EXPECT_EQ(counted[box].unseen, row.unseen) << "mailbox " << box.second;
        EXPECT_EQ(counted[box].deleted, row.deleted) << "mailbox " << box.second;
        EXPECT_EQ(counted[box].size_bytes, row.size_bytes) << "mailbox " << box.second;
    }
    for (auto &[box, c] : counted) EXPECT_TRUE(boxes.count(box)) << "messages without mailbox " << box.second;
    return marks;
}

}  // namespace mbox_test
#endif
