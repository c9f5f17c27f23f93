// Random commands against a naive model of mailboxes: what a client sees is the same, whatever was
// applied when, and across crashes.
#include <algorithm>
#include <random>
#include <set>

#include "mbox_fixture.h"

namespace {
using namespace mbox_test;

struct Message {
    uint64_t flags; // system
    std::set<std::string> keywords;
    std::string subject, body;
    uint64_t internaldate_ms;
};
struct Box {
    uint32_t id = 0, uidvalidity = 0, uidnext = 1;
    bool no_select = false;
    std::map<uint32_t, Message> messages;
};
struct Account {
    std::map<std::string, Box> boxes;
    std::set<std::string> subscribed;
    uint64_t quota_items = 0, modseq = 0, version = 1;
    uint32_t uidvalidity = 0;
    uint64_t Items() const
    {
        uint64_t items = 0;
        for (auto &[name, box] : boxes) items += box.messages.size();
        return items;
    }
};
using Model = std::map<uint64_t, Account>;

// What a client that synchronises by Changes believes of a mailbox.
struct Client {
    uint64_t account = 0, modseq = 0;
    uint32_t mailbox = 0;
    std::map<uint32_t, std::pair<uint64_t, uint64_t>> messages; // flags, modseq
};

const char *const kNames[] = {"INBOX", "a", "a/b", "a/b/c", "d", "d/e", "INBOX/x", "z z"};
const char *const kWords[] = {"$Junk", "one", "Two", "three"};

void Want(err_code want, err_code code) { EXPECT_EQ(want, code); }

class World {
public:
    explicit World(unsigned seed) : gen(seed)
    {
        for (uint64_t account : {1, 2, 3}) {
            EXPECT_EQ(ERR_OK, shard.MakeAccount(account));
            model[account].boxes["INBOX"].id = 1;
        }
        shard.Apply();
        ReadBack();
        Remember();
    }

    unsigned Draw(unsigned below) { return unsigned(gen() % below); }
    template <typename T, size_t N> T Pick(T const (&from)[N]) { return from[Draw(N)]; }

    void Step();
    void Check();

private:
    uint64_t PickAccount() { return 1 + Draw(3); }
    // Ids and UIDVALIDITY of new mailboxes are what the shard gave; they only have to be new.
    void ReadBack();
    void Remember() { history[shard.last] = model; }
    void Tick(Account &account, const Result &result);
    Uids PickUids(const Box &box);
    uint64_t PickFlags() { return gen() & MAIL_FLAGS_SETTABLE; }
    std::set<std::string> PickWords();
    Box *Make(Account &account, const std::string &name, err_code *code);
    void CheckBox(uint64_t number, const std::string &name, const Box &box);
    void CheckList(uint64_t number);
    void CheckClients();
    void CheckSearch(uint64_t number, const Box &box);

    void Deliver();
    void Append();
    void Flags();
    void Copy();
    void Expunge();
    void Create();
    void Delete();
    void Rename();
    void Subscribe();
    void Maintain();
    void Crash();
    void Quota();
    void Again(unsigned method, const void *request, const proto_type *type, const Result &first);

    Shard shard;
    Model model;
    std::map<uint64_t, Model> history; // by the last index
    std::vector<Client> clients;
    std::set<uint32_t> seen_ids[4];
    std::mt19937 gen;
    unsigned bodies = 0;
};

// The answer of a retry is the first one, byte for byte, and nothing is written.
void World::Again(unsigned method, const void *request, const proto_type *type, const Result &first)
{
    if (first.r.batches_count == 0 || Draw(4) != 0) return;
    Result again;
    ASSERT_EQ(ERR_OK, shard.Change(method, request, &again));
    EXPECT_EQ(0u, again.r.batches_count);
    EXPECT_TRUE(again.r.duplicate);
    arena arena;
    arena_init(&arena, 1 << 24);
    span a, b;
    ASSERT_EQ(ERR_OK, proto_pack(type, first.r.reply, &arena, &a).code);
    ASSERT_EQ(ERR_OK, proto_pack(type, again.r.reply, &arena, &b).code);
    EXPECT_EQ(Str(a), Str(b));
    EXPECT_EQ(std::string(first.r.data, first.r.data_len), std::string(again.r.data, again.r.data_len));
    arena_clear(&arena);
}

// MODSEQ of the account strictly rises with every command that changes it.
void World::Tick(Account &account, const Result &result)
{
    for (size_t i = 0; i < result.r.touched_count; i++) {
        if (&model[result.r.touched[i].account] != &account) continue;
        EXPECT_GT(result.r.touched[i].modseq, account.modseq);
    }
    for (size_t i = 0; i < result.r.touched_count; i++) {
        if (&model[result.r.touched[i].account] != &account) continue;
        account.modseq = std::max(account.modseq, result.r.touched[i].modseq);
    }
}

// Looks up id and UIDVALIDITY of what the model has just made. Reads the overlay: this is what the
// next command sees.
void World::ReadBack()
{
    for (auto &[number, account] : model) {
        for (auto &[name, box] : account.boxes) {
            if (box.uidvalidity != 0) continue;
            auto context = shard.Prepare();
            store_mailbox_list_request request = {1, number, S(name)};
            const void *reply;
            arena arena;
            arena_init(&arena, 1 << 20);
            ASSERT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_MAILBOX_LIST, &request, &arena, &reply).code);
            auto *list = static_cast<const store_mailbox_list_reply *>(reply);
            ASSERT_EQ(1u, list->mailboxes_count) << name;
            box.id = list->mailboxes[0].id;
            box.uidvalidity = list->mailboxes[0].uidvalidity;
            EXPECT_TRUE(seen_ids[number].insert(box.id).second) << "mailbox id used again";
            EXPECT_GT(box.uidvalidity, account.uidvalidity) << "UIDVALIDITY must rise";
            arena_clear(&arena);
        }
        for (auto &[name, box] : account.boxes) account.uidvalidity = std::max(account.uidvalidity, box.uidvalidity);
    }
}

Uids World::PickUids(const Box &box)
{
    Uids uids;
    unsigned mode = Draw(4);
    for (uint32_t uid = 1; uid < box.uidnext + 3; uid++)
        if (mode == 0 || Draw(3) == 0) uids.push_back(uid);
    return uids;
}

std::set<std::string> World::PickWords()
{
    std::set<std::string> words;
    for (auto word : kWords)
        if (Draw(4) == 0) words.insert(word);
    return words;
}

// CREATE with parents; a name that can't be selected becomes a mailbox.
Box *World::Make(Account &account, const std::string &name, err_code *code)
{
    auto found = account.boxes.find(name);
    if (found != account.boxes.end() && !found->second.no_select) {
        *code = ERR_EXISTS;
        return nullptr;
    }
    for (size_t at = name.find('/'); at != std::string::npos; at = name.find('/', at + 1))
        account.boxes.emplace(name.substr(0, at), Box());
    *code = ERR_OK;
    return &(account.boxes[name] = Box());
}

struct Spans {
    explicit Spans(const std::set<std::string> &from)
    {
        for (auto &word : from) spans.push_back(S(word));
    }
    std::vector<span> spans;
};

void World::Deliver()
{
    std::string facts, stamp = Stamp(), subject = "mail " + std::to_string(bodies), text;
    text = std::string(Draw(150) == 0 ? 2500000 : 20 + Draw(300), 'b') + std::to_string(bodies++);
    facts = Facts(subject);
    std::vector<std::string> ids, names;
    std::vector<store_deliver_target> targets;
    std::vector<Spans> words;
    std::vector<std::set<std::string>> sets;
    size_t count = 1 + Draw(3);
    for (size_t i = 0; i < count; i++) {
        ids.push_back(shard.Id());
        names.push_back(Draw(2) ? "INBOX" : Pick(kNames));
        sets.push_back(PickWords());
    }
    for (auto &set : sets) words.emplace_back(set);
    for (size_t i = 0; i < count; i++) {
        store_deliver_target t = {};
        t.operation_id = S(ids[i]);
        t.tenant = 1;
        t.account = Draw(20) == 0 ? 99 : PickAccount();
        t.mailbox = S(names[i]);
        t.flags = PickFlags();
        t.keywords = words[i].spans.data();
        t.keywords_count = words[i].spans.size();
        targets.push_back(t);
    }
    store_deliver_request request = {};
    request.targets = targets.data();
    request.targets_count = count;
    request.facts = S(facts);
    request.size = uint32_t(text.size());
    request.scan_stamp = S(stamp);
    request.internaldate_ms = 1600000000000 + bodies;
    body *b = shard.bodies.Make(text);
    Result result;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &result, b)) << shard.what;
    auto &reply = result.Reply<store_deliver_reply>();
    ASSERT_EQ(count, reply.results_count);
    for (size_t i = 0; i < count; i++) {
        if (targets[i].account == 99) {
            EXPECT_EQ(unsigned(ERR_NOT_FOUND), reply.results[i].status);
            continue;
        }
        Account &account = model[targets[i].account];
        if (account.quota_items != 0 && account.Items() >= account.quota_items) {
            EXPECT_EQ(unsigned(ERR_QUOTA), reply.results[i].status);
            continue;
        }
        ASSERT_EQ(0u, reply.results[i].status) << shard.what;
        auto found = account.boxes.find(names[i]);
        err_code code;
        Box *box = found != account.boxes.end() && !found->second.no_select ? &found->second
                                                                           : Make(account, names[i], &code);
        EXPECT_EQ(box->uidnext, reply.results[i].uid);
        box->messages[box->uidnext++] = {targets[i].flags, sets[i], subject, text, request.internaldate_ms};
    }
    ReadBack();
    for (size_t i = 0; i < count; i++) {
        if (reply.results[i].status != 0) continue;
        EXPECT_EQ(model[targets[i].account].boxes[names[i]].uidvalidity, reply.results[i].uidvalidity);
    }
    for (auto &[number, account] : model) Tick(account, result);
    Result again; // each target by itself
    for (auto &target : targets)
        if (target.account == 99) target.account = 1, target.operation_id = targets[0].operation_id;
    bool all = true;
    for (size_t i = 0; i < count; i++) all = all && reply.results[i].status == 0;
    if (all && Draw(3) == 0) {
        ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_DELIVER, &request, &again, b)) << shard.what;
        EXPECT_EQ(0u, again.r.batches_count);
        EXPECT_TRUE(again.r.duplicate);
        for (size_t i = 0; i < count; i++) {
            EXPECT_TRUE(again.Reply<store_deliver_reply>().results[i].duplicate);
            EXPECT_EQ(reply.results[i].uid, again.Reply<store_deliver_reply>().results[i].uid);
        }
    }
    body_unref(b);
}

void World::Append()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    std::string name = Pick(kNames), id = shard.Id();
    Shard::Mail mail;
    auto words = PickWords();
    mail.subject = "append " + std::to_string(bodies);
    mail.body = "body " + std::to_string(bodies++);
    mail.flags = PickFlags();
    mail.keywords.assign(words.begin(), words.end());
    mail.internaldate_ms = 1500000000000 + bodies;
    uint32_t uid = 0;
    auto code = shard.Append(number, name, mail, &uid);
    auto found = account.boxes.find(name);
    if (found == account.boxes.end()) return Want(ERR_NOT_FOUND, code);
    if (found->second.no_select) return Want(ERR_DENIED, code);
    if (account.quota_items != 0 && account.Items() >= account.quota_items)
        return Want(ERR_QUOTA, code);
    ASSERT_EQ(ERR_OK, code) << shard.what;
    Box &box = found->second;
    EXPECT_EQ(box.uidnext, uid);
    box.messages[box.uidnext++] = {mail.flags, words, mail.subject, mail.body, mail.internaldate_ms};
    account.modseq++;
}

void World::Flags()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    auto at = std::next(account.boxes.begin(), Draw(unsigned(account.boxes.size())));
    Box &box = at->second;
    auto uids = PickUids(box);
    std::string set = SetOf(uids), id = shard.Id();
    auto words = PickWords();
    Spans spans(words);
    store_flags_set_request request = {};
    request.operation_id = S(id);
    request.tenant = 1;
    request.account = number;
    request.mailbox = box.id;
    request.uids = S(set);
    request.mode = Draw(3);
    request.flags = PickFlags();
    request.keywords = spans.spans.data();
    request.keywords_count = spans.spans.size();
    Result result;
    auto code = shard.Change(STORE_METHOD_FLAGS_SET, &request, &result);
    if (box.no_select) return Want(ERR_DENIED, code);
    ASSERT_EQ(ERR_OK, code) << shard.what;
    Uids changed, told;
    for (uint32_t uid : uids) {
        auto found = box.messages.find(uid);
        if (found == box.messages.end()) continue;
        Message &m = found->second;
        Message before = m;
        if (request.mode == STORE_FLAGS_REPLACE) m.flags = request.flags, m.keywords = words;
        if (request.mode == STORE_FLAGS_ADD) m.flags |= request.flags, m.keywords.insert(words.begin(), words.end());
        if (request.mode == STORE_FLAGS_REMOVE) {
            m.flags &= ~request.flags;
            for (auto &word : words) m.keywords.erase(word);
        }
        if (before.flags != m.flags || before.keywords != m.keywords) changed.push_back(uid);
    }
    for (span data = span_of(result.r.data, result.r.data_len); data.len > 0;) {
        mail_record record;
        size_t used, needed;
        ASSERT_EQ(MAIL_RECORD_OK, mail_record_take(data, &record, &used, &needed));
        told.push_back(record.uid);
        EXPECT_EQ(box.messages[record.uid].flags, record.flags & MAIL_FLAGS_SYSTEM);
        EXPECT_EQ(result.Reply<store_flags_set_reply>().modseq, record.modseq);
        data = span_skip(data, used);
    }
    EXPECT_EQ(changed, told);
    Tick(account, result);
    Again(STORE_METHOD_FLAGS_SET, &request, &store_flags_set_reply_type, result);
}

void World::Copy()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    auto at = std::next(account.boxes.begin(), Draw(unsigned(account.boxes.size())));
    Box &from = at->second;
    std::string to_name = Pick(kNames), set = SetOf(PickUids(from)), id = shard.Id();
    auto uids = UidsOf(S(set));
    store_copy_request request = {};
    request.operation_id = S(id);
    request.tenant = 1;
    request.account = number;
    request.mailbox = from.id;
    request.uids = S(set);
    request.to = S(to_name);
    request.move = Draw(2);
    Result result;
    auto code = shard.Change(STORE_METHOD_COPY, &request, &result);
    auto to = account.boxes.find(to_name);
    if (from.no_select) return Want(ERR_DENIED, code);
    if (to == account.boxes.end()) return Want(ERR_NOT_FOUND, code);
    if (to->second.no_select) return Want(ERR_DENIED, code);
    Uids from_uids, to_uids;
    for (uint32_t uid : uids)
        if (from.messages.count(uid)) from_uids.push_back(uid);
    if (!request.move && account.quota_items != 0 && account.Items() + from_uids.size() > account.quota_items &&
        !from_uids.empty())
        return Want(ERR_QUOTA, code);
    ASSERT_EQ(ERR_OK, code) << shard.what;
    for (uint32_t uid : from_uids) {
        Message m = from.messages[uid];
        if (request.move) from.messages.erase(uid);
        to_uids.push_back(to->second.uidnext);
        to->second.messages[to->second.uidnext++] = m;
    }
    auto &reply = result.Reply<store_copy_reply>();
    EXPECT_EQ(from_uids, UidsOf(reply.from_uids));
    EXPECT_EQ(to_uids, UidsOf(reply.to_uids));
    EXPECT_EQ(to->second.uidvalidity, reply.uidvalidity);
    Tick(account, result);
    Again(STORE_METHOD_COPY, &request, &store_copy_reply_type, result);
}

void World::Expunge()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    auto at = std::next(account.boxes.begin(), Draw(unsigned(account.boxes.size())));
    Box &box = at->second;
    std::string set = Draw(2) ? "" : SetOf(PickUids(box)), id = shard.Id();
    store_expunge_request request = {};
    request.operation_id = S(id);
    request.tenant = 1;
    request.account = number;
    request.mailbox = box.id;
    request.uids = S(set);
    request.any_flags = Draw(8) == 0;
    Result result;
    auto code = shard.Change(STORE_METHOD_EXPUNGE, &request, &result);
    if (box.no_select) return Want(ERR_DENIED, code);
    ASSERT_EQ(ERR_OK, code) << shard.what;
    Uids expunged;
    auto uids = UidsOf(S(set));
    for (auto m = box.messages.begin(); m != box.messages.end();) {
        bool wanted = set.empty() || std::count(uids.begin(), uids.end(), m->first);
        if (wanted && (request.any_flags || (m->second.flags & MAIL_FLAG_DELETED))) {
            expunged.push_back(m->first);
            m = box.messages.erase(m);
        } else {
            ++m;
        }
    }
    EXPECT_EQ(expunged, UidsOf(result.Reply<store_expunge_reply>().expunged));
    Tick(account, result);
    Again(STORE_METHOD_EXPUNGE, &request, &store_expunge_reply_type, result);
}

void World::Create()
{
    uint64_t number = PickAccount();
    std::string name = Pick(kNames), id = shard.Id();
    store_mailbox_create_request request = {};
    request.operation_id = S(id);
    request.tenant = 1;
    request.account = number;
    request.name = S(name);
    Result result;
    auto code = shard.Change(STORE_METHOD_MAILBOX_CREATE, &request, &result);
    err_code want;
    Make(model[number], name, &want);
    EXPECT_EQ(want, code) << name;
    ReadBack();
    Tick(model[number], result);
    if (code == ERR_OK) Again(STORE_METHOD_MAILBOX_CREATE, &request, &store_mailbox_reply_type, result);
}

void World::Delete()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    std::string name = Pick(kNames), id = shard.Id();
    store_mailbox_delete_request request = {S(id), 1, number, S(name)};
    Result result;
    auto code = shard.Change(STORE_METHOD_MAILBOX_DELETE, &request, &result);
    auto found = account.boxes.find(name);
    if (name == "INBOX") return Want(ERR_DENIED, code);
    if (found == account.boxes.end()) return Want(ERR_NOT_FOUND, code);
    auto below = account.boxes.lower_bound(name + "/");
    bool children = below != account.boxes.end() && below->first.rfind(name + "/", 0) == 0;
    if (found->second.no_select && children) return Want(ERR_DENIED, code);
    ASSERT_EQ(ERR_OK, code) << shard.what;
    account.boxes.erase(found);
    if (children) account.boxes[name].no_select = true;
    ReadBack();
    Tick(account, result);
    Again(STORE_METHOD_MAILBOX_DELETE, &request, &store_progress_reply_type, result);
}

void World::Rename()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    std::string from = Pick(kNames), to = Pick(kNames), id = shard.Id();
    store_mailbox_rename_request request = {S(id), 1, number, S(from), S(to)};
    Result result;
    auto code = shard.Change(STORE_METHOD_MAILBOX_RENAME, &request, &result);
    if (!account.boxes.count(from)) return Want(ERR_NOT_FOUND, code);
    if (from == to || account.boxes.count(to)) {
        EXPECT_TRUE(code == ERR_EXISTS || code == ERR_DENIED);
        return;
    }
    if (from != "INBOX" && to.rfind(from + "/", 0) == 0) return Want(ERR_DENIED, code);
    ASSERT_EQ(ERR_OK, code) << shard.what << from << " " << to;
    if (from == "INBOX") {
        err_code made;
        Box *box = Make(account, to, &made);
        for (auto &[uid, m] : account.boxes["INBOX"].messages) box->messages[box->uidnext++] = m;
        account.boxes["INBOX"].messages.clear();
    } else {
        for (size_t at = to.find('/'); at != std::string::npos; at = to.find('/', at + 1))
            account.boxes.emplace(to.substr(0, at), Box());
        std::map<std::string, Box> renamed;
        for (auto &[name, box] : account.boxes) {
            bool moves = name == from || name.rfind(from + "/", 0) == 0;
            renamed[moves ? to + name.substr(from.size()) : name] = box;
        }
        account.boxes = renamed;
    }
    ReadBack();
    Tick(account, result);
    Again(STORE_METHOD_MAILBOX_RENAME, &request, &store_mailbox_reply_type, result);
}

void World::Subscribe()
{
    uint64_t number = PickAccount();
    std::string name = Pick(kNames), id = shard.Id();
    store_mailbox_subscribe_request request = {S(id), 1, number, S(name), Draw(2) == 0};
    Result result;
    ASSERT_EQ(ERR_OK, shard.Change(STORE_METHOD_MAILBOX_SUBSCRIBE, &request, &result));
    if (request.subscribed) model[number].subscribed.insert(name);
    else model[number].subscribed.erase(name);
    Tick(model[number], result);
}

void World::Quota()
{
    uint64_t number = PickAccount();
    Account &account = model[number];
    std::string id = shard.Id(), address = "u@example.org";
    store_account_set_request request = {};
    request.operation_id = S(id);
    request.has_account = true;
    request.account.tenant = 1;
    request.account.account = number;
    request.account.address = S(address);
    request.account.quota_items = Draw(2) ? 0 : account.Items() + Draw(6);
    request.if_version = account.version + (Draw(5) == 0 ? 1 : 0);
    Result result;
    auto code = shard.Change(STORE_METHOD_ACCOUNT_SET, &request, &result);
    if (request.if_version != account.version) return Want(ERR_CONFLICT, code);
    ASSERT_EQ(ERR_OK, code);
    account.version++;
    account.quota_items = request.account.quota_items;
    auto &usage = result.Reply<store_account_reply>().usage;
    EXPECT_EQ(account.Items(), usage.items);
    Tick(account, result);
}

void World::Maintain()
{
    auto context = shard.Prepare();
    Result result;
    struct mbox_trim_changes trim = {1, PickAccount(), Draw(2) ? 0 : shard.now_ms - 1, Draw(3) ? 1000000u : Draw(20)};
    struct mbox_claim claim = {1, PickAccount(), 1, 1 + Draw(100)};
    switch (Draw(5)) {
    case 0: ASSERT_EQ(ERR_OK, mbox_trim_changes(&context, &trim, &result.r).code); break;
    case 1: ASSERT_EQ(ERR_OK, mbox_sweep(&context, &result.r).code); break;
    case 2: ASSERT_EQ(ERR_OK, mbox_trim_bodies(&context, UINT64_MAX, &result.r).code); break;
    case 3: ASSERT_EQ(ERR_OK, mbox_claim(&context, &claim, &result.r).code); break;
    case 4: ASSERT_EQ(ERR_OK, mbox_trim_operations(&context, shard.now_ms - 7200000, &result.r).code); break;
    }
    shard.Add(&result);
}

// What was not applied is gone. A command of several batches may be cut: only bodies ahead of it are
// left then.
void World::Crash()
{
    shard.Crash();
    auto found = history.upper_bound(shard.applied);
    ASSERT_NE(history.begin(), found);
    model = std::prev(found)->second;
    history.erase(found, history.end());
    auto context = shard.Prepare();
    Result result;
    ASSERT_EQ(ERR_OK, mbox_trim_bodies(&context, UINT64_MAX, &result.r).code);
    shard.Add(&result);
    shard.Apply();
    history[shard.last] = model;
    // Ids and MODSEQs of the lost future were never told to anybody.
    for (auto &[number, account] : model) {
        seen_ids[number].clear();
        for (auto &[name, box] : account.boxes) seen_ids[number].insert(box.id);
    }
    clients.clear();
}

void World::Step()
{
    shard.now_ms += Draw(2000);
    switch (Draw(24)) {
    case 0: case 1: case 2: case 3: case 4: Deliver(); break;
    case 5: case 6: case 7: Append(); break;
    case 8: case 9: case 10: case 11: Flags(); break;
    case 12: case 13: case 14: Copy(); break;
    case 15: case 16: Expunge(); break;
    case 17: Create(); break;
    case 18: Delete(); break;
    case 19: Rename(); break;
    case 20: Subscribe(); break;
    case 21: Quota(); break;
    case 22: Maintain(); break;
    case 23:
        if (Draw(4) == 0) return Crash();
        break;
    }
    Remember();
    if (Draw(3) == 0) shard.Apply(Draw(4));
    history.erase(history.begin(), std::prev(history.upper_bound(shard.applied)));
}

void World::CheckBox(uint64_t number, const std::string &name, const Box &box)
{
    auto context = shard.Read();
    arena arena;
    arena_init(&arena, 1 << 24);
    store_mailbox_open_request open = {1, number, S(name), false};
    const void *reply;
    for (auto *index : {shard.index, static_cast<mbox_index *>(nullptr)}) {
        err e = mbox_read(&context, index, STORE_METHOD_MAILBOX_OPEN, &open, &arena, &reply);
        if (box.no_select) {
            EXPECT_EQ(ERR_DENIED, e.code);
            return arena_clear(&arena);
        }
        ASSERT_EQ(ERR_OK, e.code) << name;
        auto &opened = *static_cast<const store_mailbox_open_reply *>(reply);
        uint32_t first = 0, seq = 0;
        for (auto &[uid, m] : box.messages)
            if (++seq, !(m.flags & MAIL_FLAG_SEEN) && first == 0) first = seq;
        EXPECT_EQ(first, opened.first_unseen) << name << (index ? " index" : " rows");
        EXPECT_EQ(box.messages.size(), opened.mailbox.messages);
        EXPECT_EQ(box.uidnext, opened.mailbox.uidnext);
        EXPECT_EQ(box.uidvalidity, opened.mailbox.uidvalidity);
    }
    auto &opened = *static_cast<const store_mailbox_open_reply *>(reply);
    store_fetch_request request = {1, number, box.id, S(""), 7, 0};
    mbox_fetch *fetch;
    uint64_t highest;
    ASSERT_EQ(ERR_OK, mbox_fetch_open(&context, &request, &fetch, &highest).code);
    EXPECT_EQ(opened.mailbox.highestmodseq, highest);
    kv_owner owner = {slot_of_account(number), 1, number};
    mbox_view view;
    ASSERT_EQ(ERR_OK, mbox_view_open(shard.index, context.rows, &owner, box.id, &view).code);
    EXPECT_EQ(box.messages.size(), view.messages);
    EXPECT_EQ(highest, view.highestmodseq);
    EXPECT_EQ(box.uidnext, view.uidnext);
    mail_record record;
    span piece;
    uint32_t place = 0;
    for (auto &[uid, m] : box.messages) {
        ASSERT_EQ(ERR_OK, mbox_fetch_next(fetch, &record, &piece).code) << name << " " << uid;
        EXPECT_EQ(uid, record.uid);
        EXPECT_EQ(m.flags, record.flags & MAIL_FLAGS_SYSTEM);
        std::set<std::string> words;
        for (size_t i = 0; i < opened.keywords_count; i++)
            if (record.flags & (1ull << (8 + i))) words.insert(Str(opened.keywords[i]));
        EXPECT_EQ(m.keywords, words);
        EXPECT_EQ(m.body.size(), record.size);
        EXPECT_EQ(m.internaldate_ms, record.internaldate_ms);
        EXPECT_LE(record.modseq, highest);
        EXPECT_EQ(Facts(m.subject), Str(record.facts));
        std::string body = Str(piece);
        EXPECT_EQ(m.body.size(), record.body.len);
        while (mbox_fetch_piece(fetch, &piece).code == ERR_OK) body += Str(piece);
        EXPECT_EQ(m.body, body);
        while (place < view.places && view.modseqs[place] == 0) place++;
        ASSERT_LT(place, view.places);
        EXPECT_EQ(uid, view.uids[place]);
        EXPECT_EQ(record.flags, view.flags[place]);
        EXPECT_EQ(record.modseq, view.modseqs[place++]);
    }
    EXPECT_EQ(ERR_NOT_FOUND, mbox_fetch_next(fetch, &record, &piece).code);
    mbox_fetch_close(fetch);
    mbox_view_close(&view);
    arena_clear(&arena);
    CheckSearch(number, box);
}

err Decode(void *, span value, arena *arena, span *ret) { return arena_copy(arena, value, ret); }
err Content(void *, const mbox_search_mail *, mbox_search_part, span, mbox_search_sink *) { return err_make(ERR_NOT_FOUND, ""); }

void World::CheckSearch(uint64_t number, const Box &box)
{
    static const mbox_search_calls calls = {Decode, Content};
    mbox_searcher searcher = {&calls, nullptr};
    std::string text = std::to_string(Draw(30));
    // (SUBJECT text OR SEEN) AND NOT DELETED
    store_search_key keys[6] = {};
    keys[0].op = STORE_SEARCH_AND, keys[0].count = 2;
    keys[1].op = STORE_SEARCH_OR;
    keys[2].op = STORE_SEARCH_HEADER, keys[2].name = SPAN("subject"), keys[2].text = S(text);
    keys[3].op = STORE_SEARCH_FLAGS_SET, keys[3].number = MAIL_FLAG_SEEN;
    keys[4].op = STORE_SEARCH_NOT;
    keys[5].op = STORE_SEARCH_FLAGS_SET, keys[5].number = MAIL_FLAG_DELETED;
    store_search_request request = {1, number, box.id, keys, 6};
    uid_set matches;
    uid_set_init(&matches, 100000);
    store_search_reply reply;
    auto context = shard.Read();
    ASSERT_EQ(ERR_OK, mbox_search(&context, shard.index, &request, &searcher, &matches, &reply).code);
    Uids want;
    for (auto &[uid, m] : box.messages) {
        bool found = m.subject.find(text) != std::string::npos || (m.flags & MAIL_FLAG_SEEN);
        if (found && !(m.flags & MAIL_FLAG_DELETED)) want.push_back(uid);
    }
    EXPECT_EQ(want, UidsOf(uid_set_bytes(&matches)));
    EXPECT_EQ(want.size(), reply.count);
    uid_set_free(&matches);
}

void World::CheckList(uint64_t number)
{
    auto context = shard.Read();
    arena arena;
    arena_init(&arena, 1 << 24);
    store_mailbox_list_request request = {1, number, S("")};
    const void *made;
    ASSERT_EQ(ERR_OK, mbox_read(&context, nullptr, STORE_METHOD_MAILBOX_LIST, &request, &arena, &made).code);
    auto &reply = *static_cast<const store_mailbox_list_reply *>(made);
    const Account &account = model[number];
    std::map<std::string, std::string> got, want;
    for (size_t i = 0; i < reply.mailboxes_count; i++) {
        auto &m = reply.mailboxes[i];
        got[Str(m.name)] = std::to_string(m.id) + (m.subscribed ? "s" : "") + (m.no_select ? "n" : "") + (m.has_children ? "c" : "");
    }
    for (auto &[name, box] : account.boxes) {
        auto below = account.boxes.lower_bound(name + "/");
        bool children = below != account.boxes.end() && below->first.rfind(name + "/", 0) == 0;
        want[name] = std::to_string(box.id) + (account.subscribed.count(name) ? "s" : "") + (box.no_select ? "n" : "") + (children ? "c" : "");
    }
    for (auto &name : account.subscribed)
        if (!account.boxes.count(name)) want[name] = "0s";
    EXPECT_EQ(want, got);
    arena_clear(&arena);
}

// Clients that follow by Changes see what is there; new ones begin with nothing.
void World::CheckClients()
{
    auto context = shard.Read();
    for (auto &client : clients) {
        arena arena;
        arena_init(&arena, 1 << 24);
        store_changes_request request = {1, client.account, client.mailbox, client.modseq};
        store_changes_reply reply;
        mbox_view view;
        ASSERT_EQ(ERR_OK, mbox_changes(&context, shard.index, &request, &arena, &reply, &view).code);
        const Box *box = nullptr;
        for (auto &[name, one] : model[client.account].boxes)
            if (one.id == client.mailbox && !one.no_select) box = &one;
        EXPECT_EQ(box == nullptr, reply.gone);
        for (uint32_t uid : UidsOf(reply.expunged)) client.messages.erase(uid);
        mbox_wanted wanted = {S(""), true, client.modseq};
        mbox_view_at at = MBOX_VIEW_START;
        char bytes[3 * MAIL_RECORD_INDEX_BYTES + 7];
        for (bool more = !reply.gone; more;) {
            buf out;
            buf_init(&out, bytes, sizeof(bytes));
            more = mbox_view_records(&view, &wanted, &at, &out);
            for (span data = buf_span(&out); data.len > 0;) {
                mail_record record;
                size_t used, needed;
                ASSERT_EQ(MAIL_RECORD_OK, mail_record_take(data, &record, &used, &needed));
                EXPECT_GT(record.modseq, client.modseq);
                client.messages[record.uid] = {record.flags, record.modseq};
                data = span_skip(data, used);
            }
        }
        if (box != nullptr) {
            EXPECT_EQ(box->messages.size(), client.messages.size());
            for (auto &[uid, m] : box->messages) {
                ASSERT_TRUE(client.messages.count(uid)) << uid;
                EXPECT_EQ(m.flags, client.messages[uid].first & MAIL_FLAGS_SYSTEM);
            }
            EXPECT_EQ(box->messages.size(), reply.messages);
            EXPECT_EQ(box->uidnext, reply.uidnext);
        }
        client.modseq = reply.highestmodseq;
        mbox_view_close(&view);
        arena_clear(&arena);
    }
    clients.erase(std::remove_if(clients.begin(), clients.end(), [&](auto &) { return Draw(4) == 0; }), clients.end());
    for (auto &[number, account] : model) {
        auto at = std::next(account.boxes.begin(), Draw(unsigned(account.boxes.size())));
        Client client;
        client.account = number;
        client.mailbox = at->second.id;
        clients.push_back(client);
    }
}

void World::Check()
{
    shard.Apply();
    ASSERT_TRUE(kv_overlay_is_empty(shard.overlay));
    for (auto &[number, account] : model) {
        CheckList(number);
        for (auto &[name, box] : account.boxes) CheckBox(number, name, box);
    }
    CheckClients();
    EXPECT_EQ(0u, CheckRows(shard));
}

class Mbox : public ::testing::TestWithParam<unsigned> {};

TEST_P(Mbox, AsTheModel)
{
    World world(GetParam());
    for (int round = 0; round < 25 && !::testing::Test::HasFailure(); round++) {
        for (int i = 0; i < 40 && !::testing::Test::HasFailure(); i++) world.Step();
        world.Check();
    }
}
INSTANTIATE_TEST_SUITE_P(Seeds, Mbox, ::testing::Range(1u, 9u));

}  // namespace
