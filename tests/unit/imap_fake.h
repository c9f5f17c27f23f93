// A store in memory and a shell without sockets, for the tests of the IMAP session.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "body.h"
#include "facts.h"
#include "imap_session.h"
#include "mail_flags.h"
#include "mail_stream.h"
#include "store_msg.h"
#include "uid_set.h"

namespace imap_fake {

inline struct span S(const std::string &s) { return span_of(s.data(), s.size()); }
inline std::string Str(struct span s) { return s.len == 0 ? "" : std::string(s.ptr, s.len); }

// Ranges of uid_set.h out of single UIDs in rising order.
inline std::string SetOf(const std::vector<uint32_t> &uids)
{
    std::string bytes;
    struct uid_set set;
    uid_set_init(&set, 1 << 20);
    for (uint32_t uid : uids) (void)uid_set_add(&set, uid, uid).code;
    bytes = Str(uid_set_bytes(&set));
    uid_set_free(&set);
    return bytes;
}

inline bool SetHas(struct span set, uint32_t uid)
{
    for (size_t at = 0; at + 8 <= set.len; at += 8) {
        struct uid_range range;
        memcpy(&range, set.ptr + at, 8);
        if (uid >= range.first && uid <= range.last) return true;
    }
    return false;
}

struct Message {
    uint32_t uid = 0;
    uint64_t flags = 0, modseq = 0, date_ms = 0, saved_ms = 0;
    std::string text, facts;
};

struct Mailbox {
    uint32_t id = 0, uidvalidity = 0, uidnext = 1, special_use = 0, recent_from = 1;
    bool subscribed = false, no_select = false;
    uint64_t modseq = 1;
    std::vector<std::string> keywords;
    uint64_t keywords_modseq = 0;
    std::map<uint32_t, Message> messages;
    std::map<uint32_t, uint64_t> expunged;
};

// What a call gives: raw data, a reply, an error.
struct Answer {
    std::string data;
    std::function<void(struct imap_session *)> reply;
    enum err_code code = ERR_OK;
};

class Store {
public:
    Store();
    Mailbox &Make(const std::string &name);
    uint32_t Add(const std::string &mailbox, const std::string &text, uint64_t flags = 0,
                 uint64_t date_ms = 0);
    Answer Call(unsigned method, const void *request);
    Answer Append(const struct store_append_request &request, const std::string &text);
    Answer AppendMany(const struct store_append_many_request &request, const std::vector<std::string> &texts);
    Mailbox *ById(uint32_t id);
    void Expunge(const std::string &mailbox, uint32_t uid);
    void SetFlags(const std::string &mailbox, uint32_t uid, uint64_t flags);
    int Keyword(Mailbox &mailbox, const std::string &name);

    std::map<std::string, Mailbox> mailboxes;
    uint64_t modseq = 10;
    enum err_code fail_next = ERR_OK;
    unsigned fail_method = 0;
    std::map<unsigned, int> calls; // how often each
    uint64_t fetch_items = 0;      // of the last Fetch
    bool trimmed = false;          // Changes: tombstones are gone, every UID that is not there is told
    uint64_t quota_bytes = 0, quota_items = 0;
    std::vector<uint32_t> threads; // what Thread gives; empty: each message found alone
    std::vector<store_sort_criterion> criteria; // of the last Sort
    uint32_t algorithm = 0;        // of the last Thread

private:
    Answer List(const struct store_mailbox_list_request &request);
    Answer Create(const struct store_mailbox_create_request &request);
    Answer Delete(const struct store_mailbox_delete_request &request);
    Answer Rename(const struct store_mailbox_rename_request &request);
    Answer Subscribe(const struct store_mailbox_subscribe_request &request);
    Answer Open(const struct store_mailbox_open_request &request);
    Answer Fetch(const struct store_fetch_request &request);
    Answer Changes(const struct store_changes_request &request);
    Answer Uids(const struct store_uids_request &request);
    Answer FlagsSet(const struct store_flags_set_request &request);
    Answer Copy(const struct store_copy_request &request);
    Answer ExpungeCall(const struct store_expunge_request &request);
    Answer Search(const struct store_search_request &request);
    Answer Sort(const struct store_sort_request &request);
    Answer Thread(const struct store_thread_request &request);
    Answer Account();
    std::vector<uint32_t> Find(const struct store_search_request &request, struct store_search_reply *reply);
    bool Matches(const Message &message, const Mailbox &mailbox,
                 const struct store_search_request &request, size_t *at);
    struct store_mailbox Row(const std::string &name, const Mailbox &mailbox);
    uint32_t next_id = 1;
};

struct Cut {
    size_t feed = SIZE_MAX, out = 64 * 1024, data = SIZE_MAX;
};

// What options say of limits.
struct Limits {
    uint64_t message = 1 << 20;
    uint32_t line = 64 * 1024, failures = 5;
};

// One connection.
class Client {
public:
    Client(Store *store, Cut cut = Cut(), bool tls = true, bool early = false,
           Limits limits = Limits());
    ~Client();
    // Shows the bytes to the session as it reads, and returns all that came back.
    std::string Say(const std::string &bytes);
    // Hands news of the mailbox watched on, if any.
    std::string News();
    std::string Take();

    struct imap_session *session = nullptr;
    Store *store;
    Cut cut;
    bool closed = false;
    uint32_t watched = 0;
    unsigned tls_started = 0, compressed = 0;
    std::vector<std::string> prepared;
    enum err_code fail_prepare = ERR_OK;
    uint64_t now = 1700000000000;
    std::string user = "alice", password = "secret";
    struct imap_options options = {};

private:
    void Settle();
    void Fulfil(const struct imap_wish &wish);
    void Deliver(const Answer &answer);
    void Drain();
    std::string got;
    std::vector<char> bytes;
    struct buf out;
    struct body_budget budget = {1 << 28, 1 << 30, 0, 0, "/tmp"};
};

}  // namespace imap_fake
