#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "facts.h"
#include "imap_fake.h"

namespace imap_fake {
namespace {

std::string Lower(std::string s)
{
    for (auto &c : s) c = static_cast<char>(tolower(static_cast<unsigned char>(c)));
    return s;
}

bool Contains(const std::string &text, struct span what)
{
    return Lower(text).find(Lower(Str(what))) != std::string::npos;
}

std::string HeaderOf(const std::string &text)
{
    auto end = text.find("\r\n\r\n");
    return end == std::string::npos ? text : text.substr(0, end + 4);
}

// Facts with one part, the kept fields, and texts that show which message they belong to.
std::string FactsOf(const std::string &text, uint32_t uid)
{
    std::string header = HeaderOf(text), fields;
    size_t at = 0;
    while (at < header.size()) {
        auto end = header.find("\r\n", at);
        if (end == std::string::npos || end == at) break;
        std::string line = header.substr(at, end + 2 - at), name = line.substr(0, line.find(':'));
        if (facts_field_is_kept(S(name))) fields += line;
        at = end + 2;
    }
    std::string envelope = "(\"date\" \"subject " + std::to_string(uid) + "\" NIL NIL NIL NIL NIL NIL NIL NIL)";
    std::string structure = "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\") NIL NIL \"7BIT\" " +
                            std::to_string(text.size() - header.size()) + " 1 NIL NIL NIL NIL)";
    std::string part(FACTS_PART_BYTES, '\0');
    uint16_t section = 1;
    uint32_t body_at = static_cast<uint32_t>(header.size()), end_at = static_cast<uint32_t>(text.size());
    memcpy(&part[3], &section, 2);
    memcpy(&part[9], &body_at, 4);
    memcpy(&part[13], &end_at, 4);
    struct facts facts = {};
    facts.date_ms = INT64_MIN;
    facts.header_bytes = body_at;
    facts.parts_count = 1;
    facts.envelope = S(envelope);
    facts.structure = S(structure);
    facts.fields = S(fields);
    facts.parts = S(part);
    std::string preview = text.substr(header.size(), 40);
    facts.preview = S(preview);
    auto encoding = Lower(header).find("content-transfer-encoding: ");
    if (encoding != std::string::npos) {
        char first = Lower(header)[encoding + 27];
        part[2] = first == 'b' ? FACTS_ENCODING_BASE64 : first == 'q' ? FACTS_ENCODING_QP : first == 'x' ? FACTS_ENCODING_OTHER : FACTS_ENCODING_7BIT;
    }
    std::string row(facts_bytes(&facts), '\0');
    facts_write(&facts, row.data());
    return row;
}

// The facts row of a message without the pieces that nobody needs, as a storage node sends it.
std::string FactsOf(const Message &message, uint32_t unused)
{
    struct facts facts;
    if (facts_read(S(message.facts), &facts).code != ERR_OK) return message.facts;
    facts_leave_out(&facts, unused);
    std::string row(facts_bytes(&facts), '\0');
    facts_write(&facts, row.data());
    return row;
}

std::string RecordOf(const Message &message, uint32_t items, uint32_t facts_unused = 0)
{
    auto facts = FactsOf(message, facts_unused);
    struct mail_record record = {};
    record.items = static_cast<uint8_t>(items);
    record.uid = message.uid;
    record.flags = message.flags;
    record.modseq = message.modseq;
    record.internaldate_ms = message.date_ms;
    record.savedate_ms = message.saved_ms;
    record.size = static_cast<uint32_t>(message.text.size());
    record.email_id = message.uid + 1000;
    record.thread_id = message.uid + 2000;
    record.facts = S(facts);
    record.body = S(message.text);
    std::string head(mail_record_head_bytes(&record), '\0');
    mail_record_head(&record, head.data());
    if ((items & MAIL_RECORD_BODY) != 0) head += message.text;
    return head;
}

template <typename T> std::function<void(struct imap_session *)> Reply(const T &reply)
{
    return [reply](struct imap_session *session) { imap_session_reply(session, &reply); };
}

Answer Fail(enum err_code code)
{
    Answer answer;
    answer.code = code;
    return answer;
}

} // namespace

Store::Store() { Make("INBOX").subscribed = true; }

Mailbox &Store::Make(const std::string &name)
{
    auto &mailbox = mailboxes[name];
    mailbox.id = next_id++;
    mailbox.uidvalidity = 1000 + mailbox.id;
    mailbox.modseq = ++modseq;
    return mailbox;
}

uint32_t Store::Add(const std::string &name, const std::string &text, uint64_t flags, uint64_t date_ms)
{
    auto &mailbox = mailboxes.at(name);
    Message message;
    message.uid = mailbox.uidnext++;
    message.flags = flags;
    message.modseq = mailbox.modseq = ++modseq;
    message.date_ms = date_ms;
    message.saved_ms = 837593065000 + message.uid * 86400000ull;
    message.text = text;
    message.facts = FactsOf(text, message.uid);
    mailbox.messages[message.uid] = message;
    return message.uid;
}

Mailbox *Store::ById(uint32_t id)
{
    for (auto &[name, mailbox] : mailboxes) {
        if (mailbox.id == id) return &mailbox;
    }
    return nullptr;
}

void Store::Expunge(const std::string &name, uint32_t uid)
{
    auto &mailbox = mailboxes.at(name);
    if (mailbox.messages.erase(uid) == 0) return;
    mailbox.expunged[uid] = mailbox.modseq = ++modseq;
}

void Store::SetFlags(const std::string &name, uint32_t uid, uint64_t flags)
{
    auto &mailbox = mailboxes.at(name);
    auto &message = mailbox.messages.at(uid);
    message.flags = flags;
    message.modseq = mailbox.modseq = ++modseq;
}

int Store::Keyword(Mailbox &mailbox, const std::string &name)
{
    for (size_t i = 0; i < mailbox.keywords.size(); i++) {
        if (Lower(mailbox.keywords[i]) == Lower(name)) return static_cast<int>(i);
    }
    if (mailbox.keywords.size() == MAIL_KEYWORDS_MAX) return -1;
    mailbox.keywords.push_back(name);
    mailbox.keywords_modseq = modseq + 1;
    return static_cast<int>(mailbox.keywords.size() - 1);
}

Answer Store::Call(unsigned method, const void *request)
{
    calls[method]++;
    if (fail_next != ERR_OK && (fail_method == 0 || fail_method == method)) {
        auto answer = Fail(fail_next);
        fail_next = ERR_OK;
        return answer;
    }
    switch (method) {
    case STORE_METHOD_MAILBOX_LIST: return List(*static_cast<const store_mailbox_list_request *>(request));
    case STORE_METHOD_MAILBOX_CREATE: return Create(*static_cast<const store_mailbox_create_request *>(request));
    case STORE_METHOD_MAILBOX_DELETE: return Delete(*static_cast<const store_mailbox_delete_request *>(request));
    case STORE_METHOD_MAILBOX_RENAME: return Rename(*static_cast<const store_mailbox_rename_request *>(request));
    case STORE_METHOD_MAILBOX_SUBSCRIBE: return Subscribe(*static_cast<const store_mailbox_subscribe_request *>(request));
    case STORE_METHOD_MAILBOX_OPEN: return Open(*static_cast<const store_mailbox_open_request *>(request));
    case STORE_METHOD_FETCH: return Fetch(*static_cast<const store_fetch_request *>(request));
    case STORE_METHOD_CHANGES: return Changes(*static_cast<const store_changes_request *>(request));
    case STORE_METHOD_UIDS: return Uids(*static_cast<const store_uids_request *>(request));
    case STORE_METHOD_FLAGS_SET: return FlagsSet(*static_cast<const store_flags_set_request *>(request));
    case STORE_METHOD_COPY: return Copy(*static_cast<const store_copy_request *>(request));
    case STORE_METHOD_EXPUNGE: return ExpungeCall(*static_cast<const store_expunge_request *>(request));
    case STORE_METHOD_SORT: return Sort(*static_cast<const store_sort_request *>(request));
    case STORE_METHOD_THREAD: return Thread(*static_cast<const store_thread_request *>(request));
    case STORE_METHOD_ACCOUNT_GET: return Account();
    case STORE_METHOD_SEARCH: return Search(*static_cast<const store_search_request *>(request));
    default: return Fail(ERR_UNSUPPORTED);
    }
}

struct store_mailbox Store::Row(const std::string &name, const Mailbox &mailbox)
{
    struct store_mailbox row = {};
    row.id = mailbox.id;
    row.name = S(name);
    row.special_use = mailbox.special_use;
    row.subscribed = mailbox.subscribed;
    row.no_select = mailbox.no_select;
    row.uidvalidity = mailbox.uidvalidity;
    row.uidnext = mailbox.uidnext;
    row.messages = static_cast<uint32_t>(mailbox.messages.size());
    row.highestmodseq = mailbox.modseq;
    for (const auto &[uid, message] : mailbox.messages) {
        if ((message.flags & MAIL_FLAG_SEEN) == 0) row.unseen++;
        if (uid >= mailbox.recent_from) row.recent++;
        row.size_bytes += message.text.size();
        if ((message.flags & MAIL_FLAG_DELETED) == 0) continue;
        row.deleted++;
        row.deleted_bytes += message.text.size();
    }
    for (const auto &[other, unused] : mailboxes) {
        if (other.rfind(name + "/", 0) == 0) row.has_children = true;
    }
    return row;
}

Answer Store::List(const struct store_mailbox_list_request &request)
{
    std::vector<struct store_mailbox> rows;
    for (const auto &[name, mailbox] : mailboxes) {
        if (request.name.len != 0 && Str(request.name) != name) continue;
        rows.push_back(Row(name, mailbox));
        if (!request.deleted_bytes) rows.back().deleted_bytes = 0;
    }
    Answer answer;
    answer.reply = [rows](struct imap_session *session) {
        auto copy = rows;
        struct store_mailbox_list_reply reply = {copy.data(), copy.size()};
        imap_session_reply(session, &reply);
    };
    return answer;
}

Answer Store::Create(const struct store_mailbox_create_request &request)
{
    std::string name = Str(request.name);
    if (name.empty()) return Fail(ERR_SYNTAX);
    auto found = mailboxes.find(name);
    if (found != mailboxes.end() && found->second.id != 0) return Fail(ERR_EXISTS);
    for (size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1)) {
        if (mailboxes.count(name.substr(0, at)) == 0) Make(name.substr(0, at));
    }
    Make(name).special_use = request.special_use;
    auto id = "F2a-" + std::to_string(mailboxes.at(name).id);
    Answer answer;
    answer.reply = [id](struct imap_session *session) {
        struct store_mailbox_reply reply = {};
        reply.has_mailbox = true;
        reply.mailbox.mailbox_id = S(id);
        imap_session_reply(session, &reply);
    };
    return answer;
}

Answer Store::Delete(const struct store_mailbox_delete_request &request)
{
    return mailboxes.erase(Str(request.name)) == 0 ? Fail(ERR_NOT_FOUND) : Answer();
}

Answer Store::Rename(const struct store_mailbox_rename_request &request)
{
    auto from = mailboxes.find(Str(request.from));
    if (from == mailboxes.end()) return Fail(ERR_NOT_FOUND);
    if (mailboxes.count(Str(request.to)) != 0) return Fail(ERR_EXISTS);
    mailboxes[Str(request.to)] = from->second;
    mailboxes.erase(Str(request.from));
    return Answer();
}

Answer Store::Subscribe(const struct store_mailbox_subscribe_request &request)
{
    mailboxes[Str(request.name)].subscribed = request.subscribed;
    return Answer();
}

Answer Store::Open(const struct store_mailbox_open_request &request)
{
    auto found = mailboxes.find(Str(request.name));
    if (found == mailboxes.end() || found->second.id == 0) return Fail(ERR_NOT_FOUND);
    auto &mailbox = found->second;
    struct store_mailbox_open_reply reply = {};
    reply.has_mailbox = true;
    reply.mailbox = Row(found->first, mailbox);
    reply.recent_from = mailbox.recent_from;
    reply.keywords_max = MAIL_KEYWORDS_MAX;
    uint32_t number = 0;
    for (const auto &[uid, message] : mailbox.messages) {
        number++;
        if (reply.first_unseen == 0 && (message.flags & MAIL_FLAG_SEEN) == 0) reply.first_unseen = number;
    }
    if (request.claim_recent) mailbox.recent_from = mailbox.uidnext;
    auto keywords = mailbox.keywords;
    Answer answer;
    answer.reply = [reply, keywords](struct imap_session *session) {
        std::vector<struct span> spans;
        for (const auto &keyword : keywords) spans.push_back(S(keyword));
        auto copy = reply;
        copy.keywords = spans.data();
        copy.keywords_count = spans.size();
        imap_session_reply(session, &copy);
    };
    return answer;
}

Answer Store::Fetch(const struct store_fetch_request &request)
{
    Answer answer;
    auto *mailbox = ById(request.mailbox);
    if (mailbox == nullptr) return Fail(ERR_NOT_FOUND);
    fetch_items = request.items;
    struct store_fetch_reply reply = {mailbox->modseq, 0};
    for (const auto &[uid, message] : mailbox->messages) {
        if (request.uids.len > 0 && !SetHas(request.uids, uid)) continue;
        if (message.modseq <= request.changed_since) continue;
        answer.data += RecordOf(message, request.items, request.facts_unused);
        reply.records++;
    }
    answer.reply = Reply(reply);
    return answer;
}

Answer Store::Changes(const struct store_changes_request &request)
{
    Answer answer;
    auto *mailbox = ById(request.mailbox);
    if (mailbox == nullptr) return Fail(ERR_NOT_FOUND);
    for (const auto &[uid, message] : mailbox->messages) {
        if (message.modseq > request.since && !request.expunged_only) answer.data += RecordOf(message, 0);
    }
    std::vector<uint32_t> gone;
    for (const auto &[uid, modseq] : mailbox->expunged) {
        if (modseq > request.since && !trimmed) gone.push_back(uid);
    }
    for (uint32_t uid = 1; trimmed && uid < mailbox->uidnext; uid++) {
        if (mailbox->messages.count(uid) == 0) gone.push_back(uid);
    }
    auto keywords = mailbox->keywords_modseq > request.since ? mailbox->keywords
                                                             : std::vector<std::string>();
    auto set = SetOf(gone);
    struct store_changes_reply reply = {};
    reply.highestmodseq = mailbox->modseq;
    reply.messages = static_cast<uint32_t>(mailbox->messages.size());
    reply.uidnext = mailbox->uidnext;
    answer.reply = [reply, set, keywords](struct imap_session *session) {
        std::vector<struct span> spans;
        for (const auto &keyword : keywords) spans.push_back(S(keyword));
        auto copy = reply;
        copy.expunged = S(set);
        copy.keywords = spans.data();
        copy.keywords_count = spans.size();
        imap_session_reply(session, &copy);
    };
    return answer;
}

Answer Store::Uids(const struct store_uids_request &request)
{
    Answer answer;
    auto *mailbox = ById(request.mailbox);
    if (mailbox == nullptr) return Fail(ERR_NOT_FOUND);
    std::vector<uint32_t> uids;
    for (const auto &[uid, message] : mailbox->messages) uids.push_back(uid);
    answer.data = SetOf(uids);
    answer.reply = Reply(store_uids_reply{mailbox->modseq, static_cast<uint32_t>(uids.size())});
    return answer;
}

Answer Store::FlagsSet(const struct store_flags_set_request &request)
{
    auto *mailbox = ById(request.mailbox);
    if (mailbox == nullptr) return Fail(ERR_NOT_FOUND);
    size_t before = mailbox->keywords.size();
    uint64_t flags = request.flags, next = modseq + 1;
    for (size_t i = 0; i < request.keywords_count; i++) {
        int bit = Keyword(*mailbox, Str(request.keywords[i]));
        if (bit < 0) return Fail(ERR_TOO_BIG);
        flags |= 1ull << (MAIL_KEYWORD_BIT_FIRST + bit);
    }
    Answer answer;
    std::vector<uint32_t> modified;
    bool changed = false;
    for (auto &[uid, message] : mailbox->messages) {
        if (!SetHas(request.uids, uid)) continue;
        if (request.has_unchanged_since && message.modseq > request.unchanged_since) {
            modified.push_back(uid);
            continue;
        }
        uint64_t then = request.mode == STORE_FLAGS_REPLACE ? flags
                      : request.mode == STORE_FLAGS_ADD ? message.flags | flags
                                                        : message.flags & ~flags;
        if (then == message.flags) continue;
        message.flags = then;
        message.modseq = next;
        changed = true;
        answer.data += RecordOf(message, 0);
    }
    struct store_flags_set_reply reply = {};
    // A longer list of keywords is a change too: it has to come with somebody's next Changes.
    if (mailbox->keywords.size() > before) changed = true;
    if (changed) reply.modseq = mailbox->modseq = modseq = next;
    auto set = SetOf(modified);
    auto keywords = mailbox->keywords.size() > before ? mailbox->keywords : std::vector<std::string>();
    answer.reply = [reply, set, keywords](struct imap_session *session) {
        std::vector<struct span> spans;
        for (const auto &keyword : keywords) spans.push_back(S(keyword));
        auto copy = reply;
        copy.modified = S(set);
        copy.keywords = spans.data();
        copy.keywords_count = spans.size();
        imap_session_reply(session, &copy);
    };
    return answer;
}

Answer Store::Copy(const struct store_copy_request &request)
{
    auto *from = ById(request.mailbox);
    auto to = mailboxes.find(Str(request.to));
    if (from == nullptr || to == mailboxes.end()) return Fail(ERR_NOT_FOUND);
    std::vector<uint32_t> from_uids, to_uids;
    uint64_t next = ++modseq;
    std::vector<Message> moved;
    for (const auto &[uid, message] : from->messages) {
        if (SetHas(request.uids, uid)) moved.push_back(message);
    }
    for (auto &message : moved) {
        from_uids.push_back(message.uid);
        if (request.move) {
            from->messages.erase(message.uid);
            from->expunged[message.uid] = from->modseq = next;
        }
        message.uid = to->second.uidnext++;
        message.modseq = to->second.modseq = next;
        to->second.messages[message.uid] = message;
        to_uids.push_back(message.uid);
    }
    auto from_set = SetOf(from_uids), to_set = SetOf(to_uids);
    uint32_t uidvalidity = to->second.uidvalidity;
    Answer answer;
    answer.reply = [=](struct imap_session *session) {
        struct store_copy_reply reply = {uidvalidity, S(from_set), S(to_set), next};
        imap_session_reply(session, &reply);
    };
    return answer;
}

Answer Store::ExpungeCall(const struct store_expunge_request &request)
{
    auto *mailbox = ById(request.mailbox);
    if (mailbox == nullptr) return Fail(ERR_NOT_FOUND);
    std::vector<uint32_t> gone;
    uint64_t next = modseq + 1;
    for (const auto &[uid, message] : mailbox->messages) {
        if (request.uids.len > 0 && !SetHas(request.uids, uid)) continue;
        if ((message.flags & MAIL_FLAG_DELETED) != 0) gone.push_back(uid);
    }
    for (uint32_t uid : gone) {
        mailbox->messages.erase(uid);
        mailbox->expunged[uid] = mailbox->modseq = modseq = next;
    }
    auto set = SetOf(gone);
    uint64_t done = gone.empty() ? 0 : next;
    Answer answer;
    answer.reply = [set, done](struct imap_session *session) {
        struct store_expunge_reply reply = {S(set), done};
        imap_session_reply(session, &reply);
    };
    return answer;
}

Answer Store::Append(const struct store_append_request &request, const std::string &text)
{
    calls[STORE_METHOD_APPEND]++;
    if (fail_next != ERR_OK) {
        auto answer = Fail(fail_next);
        fail_next = ERR_OK;
        return answer;
    }
    auto to = mailboxes.find(Str(request.mailbox));
    if (to == mailboxes.end()) return Fail(ERR_NOT_FOUND);
    uint64_t flags = request.flags;
    for (size_t i = 0; i < request.keywords_count; i++) {
        flags |= 1ull << (MAIL_KEYWORD_BIT_FIRST + Keyword(to->second, Str(request.keywords[i])));
    }
    uint32_t uid = Add(to->first, text, flags, request.internaldate_ms);
    Answer answer;
    answer.reply = Reply(store_append_reply{uid, to->second.uidvalidity, modseq, to->second.id});
    return answer;
}

Answer Store::AppendMany(const struct store_append_many_request &request, const std::vector<std::string> &texts)
{
    calls[STORE_METHOD_APPEND_MANY]++;
    if (fail_next != ERR_OK) {
        auto answer = Fail(fail_next);
        fail_next = ERR_OK;
        return answer;
    }
    auto to = mailboxes.find(Str(request.mailbox));
    if (to == mailboxes.end()) return Fail(ERR_NOT_FOUND);
    if (texts.size() != request.messages_count) return Fail(ERR_CONFLICT);
    struct store_append_many_reply reply = {to->second.uidnext, static_cast<uint32_t>(texts.size()), to->second.uidvalidity, 0, to->second.id};
    for (size_t i = 0; i < texts.size(); i++) {
        const auto &message = request.messages[i];
        uint64_t flags = message.flags;
        for (size_t k = 0; k < message.keywords_count; k++) {
            flags |= 1ull << (MAIL_KEYWORD_BIT_FIRST + Keyword(to->second, Str(message.keywords[k])));
        }
        Add(to->first, texts[i], flags, message.internaldate_ms);
    }
    reply.modseq = modseq;
    Answer answer;
    answer.reply = Reply(reply);
    return answer;
}

Answer Store::Account()
{
    struct store_account_reply reply = {};
    reply.has_account = reply.has_usage = true;
    reply.account.quota_bytes = quota_bytes;
    reply.account.quota_items = quota_items;
    for (const auto &[name, mailbox] : mailboxes) {
        for (const auto &[uid, message] : mailbox.messages) reply.usage.bytes += message.text.size();
        reply.usage.items += mailbox.messages.size();
    }
    Answer answer;
    answer.reply = Reply(reply);
    return answer;
}

bool Store::Matches(const Message &message, const Mailbox &mailbox,
                    const struct store_search_request &request, size_t *at)
{
    const auto &key = request.keys[(*at)++];
    bool result;
    switch (key.op) {
    case STORE_SEARCH_AND:
        result = true;
        for (uint32_t i = 0; i < key.count; i++) result = Matches(message, mailbox, request, at) && result;
        return result;
    case STORE_SEARCH_OR:
        result = Matches(message, mailbox, request, at);
        return Matches(message, mailbox, request, at) || result;
    case STORE_SEARCH_NOT: return !Matches(message, mailbox, request, at);
    case STORE_SEARCH_ALL: return true;
    case STORE_SEARCH_UIDS: return SetHas(key.text, message.uid);
    case STORE_SEARCH_FLAGS_SET: return (message.flags & key.number) == key.number;
    case STORE_SEARCH_KEYWORD:
        for (size_t i = 0; i < mailbox.keywords.size(); i++) {
            if (Lower(mailbox.keywords[i]) == Lower(Str(key.text))) {
                return (message.flags >> (MAIL_KEYWORD_BIT_FIRST + i) & 1) != 0;
            }
        }
        return false;
    case STORE_SEARCH_RECENT: return message.uid >= key.number;
    case STORE_SEARCH_LARGER: return message.text.size() > key.number;
    case STORE_SEARCH_SMALLER: return message.text.size() < key.number;
    case STORE_SEARCH_BEFORE: return message.date_ms / 86400000 < key.number;
    case STORE_SEARCH_ON: return message.date_ms / 86400000 == key.number;
    case STORE_SEARCH_SINCE: return message.date_ms / 86400000 >= key.number;
    case STORE_SEARCH_HEADER: {
        std::string header = "\r\n" + HeaderOf(message.text);
        auto found = Lower(header).find("\r\n" + Lower(Str(key.name)) + ":");
        if (found == std::string::npos) return false;
        return Contains(header.substr(found, header.find("\r\n", found + 2) - found), key.text);
    }
    case STORE_SEARCH_BODY: return Contains(message.text.substr(HeaderOf(message.text).size()), key.text);
    case STORE_SEARCH_TEXT: return Contains(message.text, key.text);
    case STORE_SEARCH_MODSEQ: return message.modseq >= key.number;
    case STORE_SEARCH_SAVED_BEFORE: return message.saved_ms / 86400000 < key.number;
    case STORE_SEARCH_SAVED_ON: return message.saved_ms / 86400000 == key.number;
    case STORE_SEARCH_SAVED_SINCE: return message.saved_ms / 86400000 >= key.number;
    case STORE_SEARCH_OLDER: return message.date_ms / 1000 <= key.number;
    case STORE_SEARCH_YOUNGER: return message.date_ms / 1000 >= key.number;
    case STORE_SEARCH_EMAIL_ID: return message.uid + 1000 == key.number;
    case STORE_SEARCH_THREAD_ID: return message.uid + 2000 == key.number;
    default: return false;
    }
}

std::vector<uint32_t> Store::Find(const struct store_search_request &request, struct store_search_reply *reply)
{
    auto *mailbox = ById(request.mailbox);
    std::vector<uint32_t> found;
    *reply = {mailbox->modseq, 0, 0};
    for (const auto &[uid, message] : mailbox->messages) {
        size_t at = 0;
        if (!Matches(message, *mailbox, request, &at)) continue;
        found.push_back(uid);
        reply->modseq_max = std::max(reply->modseq_max, message.modseq);
    }
    return found;
}

Answer Store::Search(const struct store_search_request &request)
{
    if (ById(request.mailbox) == nullptr) return Fail(ERR_NOT_FOUND);
    struct store_search_reply reply;
    Answer answer;
    answer.data = SetOf(Find(request, &reply));
    answer.reply = Reply(reply);
    return answer;
}

std::string Numbers(const std::vector<uint32_t> &numbers)
{
    return std::string(reinterpret_cast<const char *>(numbers.data()), numbers.size() * 4);
}

// By size or by internal date; that is enough to see that the order is kept.
Answer Store::Sort(const struct store_sort_request &request)
{
    auto *mailbox = ById(request.mailbox);
    if (mailbox == nullptr) return Fail(ERR_NOT_FOUND);
    struct store_search_reply reply;
    auto found = Find({request.tenant, request.account, request.mailbox, request.keys, request.keys_count}, &reply);
    criteria.assign(request.criteria, request.criteria + request.criteria_count);
    found.erase(std::remove_if(found.begin(), found.end(), [&](uint32_t uid) { return request.uid_below != 0 && uid >= request.uid_below; }), found.end());
    std::stable_sort(found.begin(), found.end(), [&](uint32_t a, uint32_t b) {
        const auto &left = mailbox->messages.at(a), &right = mailbox->messages.at(b);
        uint64_t x = criteria[0].key == STORE_SORT_SIZE ? left.text.size() : left.date_ms;
        uint64_t y = criteria[0].key == STORE_SORT_SIZE ? right.text.size() : right.date_ms;
        return criteria[0].reverse ? y < x : x < y;
    });
    Answer answer;
    answer.data = Numbers(found);
    answer.reply = Reply(reply);
    return answer;
}

Answer Store::Thread(const struct store_thread_request &request)
{
    if (ById(request.mailbox) == nullptr) return Fail(ERR_NOT_FOUND);
    struct store_search_reply reply;
    auto found = Find({request.tenant, request.account, request.mailbox, request.keys, request.keys_count}, &reply);
    algorithm = request.algorithm;
    std::vector<uint32_t> tokens = threads;
    for (uint32_t uid : found) {
        if (!threads.empty() || (request.uid_below != 0 && uid >= request.uid_below)) continue;
        for (uint32_t token : {0u, uid, UINT32_MAX}) tokens.push_back(token);
    }
    Answer answer;
    answer.data = Numbers(tokens);
    answer.reply = Reply(reply);
    return answer;
}

// ---- the shell

namespace {
void OperationId(void *holder, uint64_t wall_ms, uint8_t id[16])
{
    auto *count = static_cast<unsigned *>(holder);
    memset(id, 0, 16);
    memcpy(id, &wall_ms, 8);
    memcpy(id + 8, count, sizeof(*count));
    ++*count;
}

struct err BodyOpen(void *, struct span stored, struct imap_opened *ret)
{
    if (stored.len > 0 && stored.ptr[0] == '!') return err_make(ERR_CORRUPT, "stored body");
    // Memory of its own, so that a use after close is found by the sanitizer.
    ret->memory = malloc(stored.len + 1);
    if (stored.len > 0) memcpy(ret->memory, stored.ptr, stored.len);
    ret->bytes = span_of(ret->memory, stored.len);
    return err_ok();
}
void BodyClose(void *, struct imap_opened *opened) { free(opened->memory); }
unsigned operation_count;
} // namespace

Client::Client(Store *store_, Cut cut_, bool tls, bool early, Limits limits)
    : store(store_), cut(cut_)
{
    options.holder = &operation_count;
    options.operation_id = OperationId;
    options.body_open = BodyOpen;
    options.body_close = BodyClose;
    options.budget = &budget;
    options.message_bytes_max = limits.message;
    options.line_bytes_max = limits.line;
    options.login_failures_max = limits.failures;
    options.name = SPAN("Godwit");
    options.version = SPAN("1");
    options.starttls = true;
    options.login_without_tls = early;
    bytes.resize(std::max<size_t>(cut.out, IMAP_OUT_ROOM));
    buf_init(&out, bytes.data(), bytes.size());
    (void)imap_session_new(&options, tls, &out, &session).code;
    Drain();
}

Client::~Client() { imap_session_free(session); }

void Client::Drain()
{
    if (out.overflow) got += "<<OVERFLOW>>";
    got.append(out.bytes, out.len);
    buf_init(&out, bytes.data(), bytes.size());
}

std::string Client::Take()
{
    std::string ret;
    ret.swap(got);
    return ret;
}

void Client::Deliver(const Answer &answer)
{
    size_t at = 0;
    while (at < answer.data.size()) {
        size_t n = std::min(cut.data, answer.data.size() - at);
        // A copy on the heap: what the session must not keep is gone when the call returns.
        std::vector<char> piece(answer.data.data() + at, answer.data.data() + at + n);
        size_t used = imap_session_data(session, span_of(piece.data(), n), &out);
        piece.assign(n, '\xee');
        at += used;
        Drain();
        if (used == n && !imap_session_is_stopped(session)) continue;
        if (!imap_session_is_stopped(session)) {
            got += "<<STUCK>>";
            return;
        }
        imap_session_resume(session, &out);
        Drain();
    }
    if (answer.code == ERR_OK && answer.reply) answer.reply(session);
    imap_session_done(session, err_make(answer.code, "store"), &out);
}

void Client::Fulfil(const struct imap_wish &wish)
{
    switch (wish.kind) {
    case IMAP_WISH_NOTHING:
        break;
    case IMAP_WISH_START_TLS:
        tls_started++;
        imap_session_done(session, err_ok(), &out);
        break;
    case IMAP_WISH_LOGIN: {
        bool good = Str(wish.user) == user && Str(wish.password) == password;
        struct imap_identity identity = {7, 42};
        if (good) imap_session_identity(session, &identity);
        imap_session_done(session, good ? err_ok() : err_make(ERR_DENIED, "log-in"), &out);
        break;
    }
    case IMAP_WISH_CALL:
        Deliver(store->Call(wish.method, wish.request));
        break;
    case IMAP_WISH_APPEND: {
        std::string text(body_size(wish.body), '\0');
        body_copy(wish.body, 0, text.data(), text.size());
        Deliver(store->Append(*static_cast<const store_append_request *>(wish.request), text));
        break;
    }
    case IMAP_WISH_PREPARE: {
        std::string text(body_size(wish.body), '\0');
        body_copy(wish.body, 0, text.data(), text.size());
        if (wish.index == 0) prepared.clear();
        EXPECT_EQ(prepared.size(), wish.index);
        prepared.push_back(text);
        imap_session_done(session, err_make(fail_prepare, "scan"), &out);
        break;
    }
    case IMAP_WISH_APPEND_MANY:
        Deliver(store->AppendMany(*static_cast<const store_append_many_request *>(wish.request), prepared));
        break;
    case IMAP_WISH_COMPRESS:
        compressed++;
        imap_session_done(session, err_ok(), &out);
        break;
    case IMAP_WISH_WATCH_START:
        watched = static_cast<const store_watch_request *>(wish.request)->mailbox;
        imap_session_done(session, err_ok(), &out);
        break;
    case IMAP_WISH_WATCH_STOP:
        watched = 0;
        imap_session_done(session, err_ok(), &out);
        break;
    case IMAP_WISH_CLOSE:
        closed = true;
        break;
    }
}

void Client::Settle()
{
    struct imap_wish wish;
    for (;;) {
        Drain();
        if (imap_session_wish(session, &wish)) {
            Fulfil(wish);
        } else if (imap_session_is_stopped(session)) {
            imap_session_resume(session, &out);
        } else {
            return;
        }
    }
}

std::string Client::Say(const std::string &text)
{
    size_t seen = 0, done = 0;
    Settle();
    while (!closed) {
        size_t n = seen - done;
        std::vector<char> piece(text.begin() + static_cast<long>(done), text.begin() + static_cast<long>(seen));
        size_t used = n == 0 ? 0 : imap_session_feed(session, span_of(piece.data(), n), now, &out);
        done += used;
        Settle();
        if (used > 0 && done < seen) continue;
        if (seen == text.size()) break;
        seen = cut.feed < text.size() - seen ? seen + cut.feed : text.size();
    }
    return Take();
}

std::string Client::News()
{
    if (watched != 0) {
        auto *mailbox = store->ById(watched);
        struct store_watch_reply reply = {watched, mailbox == nullptr ? 0 : mailbox->modseq, mailbox == nullptr};
        imap_session_watch(session, &reply, &out);
        Settle();
    }
    return Take();
}

} // namespace imap_fake
