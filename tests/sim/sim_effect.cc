// What each command does to mailboxes and queue, and what it must have answered. Called when its
// entry is applied, or, for one that was refused, when everything before it is.
#include <algorithm>

#include "mail_flags.h"
#include "sim_client.h"
#include "store_msg.h"

namespace sim {

namespace {

uint64_t ModseqOf(const Answer &answer, uint64_t account)
{
    uint64_t modseq = 0;
    for (auto &t : answer.touched)
        if (t.account == account) modseq = std::max(modseq, t.modseq);
    return modseq;
}

uint32_t MailboxOf(const Answer &answer, uint64_t account)
{
    for (auto &t : answer.touched)
        if (t.account == account && t.mailbox != 0) return t.mailbox;
    return 0;
}

// The code that the command must have been answered with.
struct Want {
    const Operation &op;
    const Answer &answer;
    // True: it was carried out. Anything but `code` is a violation.
    bool Is(err_code code) const
    {
        Demand(answer.code == code, std::string("method ") + std::to_string(op.method) + " says " +
               err_name(answer.code) + " for " + err_name(code));
        return code == ERR_OK;
    }
};

void Deliver(Mail &mail, const Operation &op, const Answer &answer)
{
    Demand(answer.results.size() == op.targets.size(), "Deliver answers for other targets");
    for (size_t i = 0; i < op.targets.size(); i++) {
        uint64_t number = op.targets[i].second;
        auto &result = answer.results[i];
        auto found = mail.accounts.find(number);
        Demand(result.status == (found == mail.accounts.end() ? unsigned(ERR_NOT_FOUND) : 0u),
               "status of a delivery");
        if (result.status != 0) continue;
        Account &account = found->second;
        if (account.boxes.count(op.mailbox) == 0) {
            mail.AddBox(account, op.mailbox, MailboxOf(answer, number), result.uidvalidity);
        }
        Box &box = account.boxes[op.mailbox];
        mail.Adopt(account, box, result.uidvalidity);
        Demand(result.uidvalidity == box.uidvalidity, "UIDVALIDITY of a delivery");
        mail.AddMessage(account, box, result.uid,
                        {op.flags, ModseqOf(answer, number), op.internaldate_ms, op.body});
    }
}

void Append(Mail &mail, Account &account, const Operation &op, const Answer &answer)
{
    auto found = account.boxes.find(op.mailbox);
    if (!Want{op, answer}.Is(found == account.boxes.end() ? ERR_NOT_FOUND : ERR_OK)) return;
    Box &box = found->second;
    mail.Adopt(account, box, answer.uidvalidity);
    Demand(answer.mailbox == box.id && answer.uidvalidity == box.uidvalidity, "mailbox of an append");
    mail.AddMessage(account, box, answer.uid, {op.flags, answer.modseq, op.internaldate_ms, op.body});
}

void Flags(Account &account, const Operation &op, const Answer &answer)
{
    Box *box = account.ById(op.box);
    if (!Want{op, answer}.Is(box == nullptr ? ERR_NOT_FOUND : ERR_OK)) return;
    Uids modified;
    bool changed = false;
    for (uint32_t uid : UidsOf(S(op.uids))) {
        auto found = box->messages.find(uid);
        if (found == box->messages.end()) continue;
        Message &m = found->second;
        if (op.unchanged_since != 0 && m.modseq > op.unchanged_since) {
            modified.push_back(uid);
            continue;
        }
        uint64_t flags = op.mode == STORE_FLAGS_ADD      ? m.flags | op.flags
                         : op.mode == STORE_FLAGS_REMOVE ? m.flags & ~op.flags
                                                         : op.flags;
        if (flags == m.flags) continue;
        m.flags = flags;
        m.modseq = answer.modseq;
        changed = true;
    }
    Demand(modified == answer.from_uids, "UNCHANGEDSINCE");
    Demand(changed == (answer.modseq != 0), "flags changed or not");
}

void Copy(Mail &mail, Account &account, const Operation &op, const Answer &answer)
{
    Box *from = account.ById(op.box);
    auto to = account.boxes.find(op.to);
    bool none = from == nullptr || to == account.boxes.end();
    if (!Want{op, answer}.Is(none ? ERR_NOT_FOUND : ERR_OK)) return;
    Uids from_uids;
    for (uint32_t uid : UidsOf(S(op.uids)))
        if (from->messages.count(uid)) from_uids.push_back(uid);
    Demand(from_uids == answer.from_uids && answer.to_uids.size() == from_uids.size(), "COPYUID");
    mail.Adopt(account, to->second, answer.uidvalidity);
    Demand(answer.uidvalidity == to->second.uidvalidity, "UIDVALIDITY of a copy");
    for (size_t i = 0; i < from_uids.size(); i++) {
        Message m = from->messages[from_uids[i]];
        if (op.move) from->messages.erase(from_uids[i]);
        m.modseq = answer.modseq;
        mail.AddMessage(account, to->second, answer.to_uids[i], m);
    }
}

void Expunge(Account &account, const Operation &op, const Answer &answer)
{
    Box *box = account.ById(op.box);
    if (!Want{op, answer}.Is(box == nullptr ? ERR_NOT_FOUND : ERR_OK)) return;
    Uids expunged, asked = UidsOf(S(op.uids));
    for (auto &[uid, m] : box->messages) {
        bool is_asked = asked.empty() || std::binary_search(asked.begin(), asked.end(), uid);
        if (is_asked && (op.remove || (m.flags & MAIL_FLAG_DELETED))) expunged.push_back(uid);
    }
    Demand(expunged == answer.from_uids, "expunged others");
    for (uint32_t uid : expunged) box->messages.erase(uid);
}

void OfMailbox(Mail &mail, Account &account, const Operation &op, const Answer &answer)
{
    auto found = account.boxes.find(op.mailbox);
    Want want{op, answer};
    if (op.method == STORE_METHOD_MAILBOX_CREATE) {
        if (!want.Is(found != account.boxes.end() ? ERR_EXISTS : ERR_OK)) return;
        mail.AddBox(account, op.mailbox, answer.mailbox, answer.uidvalidity);
        return;
    }
    if (op.method == STORE_METHOD_MAILBOX_DELETE) {
        if (want.Is(found == account.boxes.end() ? ERR_NOT_FOUND : ERR_OK)) account.boxes.erase(found);
        return;
    }
    err_code code = found == account.boxes.end()      ? ERR_NOT_FOUND
                    : account.boxes.count(op.to) != 0 ? ERR_EXISTS
                                                      : ERR_OK;
    if (!want.Is(code)) return;
    Demand(answer.mailbox == found->second.id, "rename of another mailbox");
    Box box = found->second;
    account.boxes.erase(found);
    account.boxes[op.to] = box;
}

void Lease(Mail &mail, const Operation &op, const Answer &answer, uint64_t time_ms)
{
    if (!Want{op, answer}.Is(ERR_OK)) return;
    size_t due = 0;
    for (auto &[id, q] : mail.queue) due += std::max(q.due_ms, q.lease_until_ms) <= time_ms;
    Demand(answer.leased.size() == std::min<size_t>(due, op.limit), "leased too few or too many");
    for (auto &leased : answer.leased) {
        auto found = mail.queue.find(leased.id);
        Demand(found != mail.queue.end(), "leased what is not in the queue");
        Queued &q = found->second;
        Demand(std::max(q.due_ms, q.lease_until_ms) <= time_ms, "leased what another has");
        Demand(leased.version == q.version + 1, "version of a queue entry");
        q.version++;
        q.lease_until_ms = time_ms + op.lease_ms;
        q.owner = op.owner;
    }
}

void OfQueue(Mail &mail, const Operation &op, const Answer &answer)
{
    auto found = mail.queue.find(op.queue_id);
    if (op.method == STORE_METHOD_QUEUE_PUT) {
        if (!Want{op, answer}.Is(found != mail.queue.end() ? ERR_EXISTS : ERR_OK)) return;
        mail.queue[op.queue_id] = {1, op.due_ms, 0, "", op.body};
        return;
    }
    err_code code = found == mail.queue.end()               ? ERR_NOT_FOUND
                    : found->second.version != op.version ? ERR_CONFLICT
                                                          : ERR_OK;
    if (!Want{op, answer}.Is(code)) return;
    if (op.remove) {
        mail.queue.erase(found);
        return;
    }
    Queued &q = found->second;
    q = {q.version + 1, op.due_ms, 0, "", q.body};
}

void AccountCreate(Mail &mail, const Operation &op, const Answer &answer)
{
    bool there = mail.accounts.count(op.account) != 0;
    if (!Want{op, answer}.Is(there ? ERR_EXISTS : ERR_OK)) return;
    Account &account = mail.accounts[op.account];
    account.modseq = ModseqOf(answer, op.account);
    Box &inbox = account.boxes["INBOX"];
    inbox.id = 1; // of a new account; its UIDVALIDITY shows at the first look
    account.ids.insert(inbox.id);
}

}  // namespace

void Clients::Happen(Mail &mail, const Operation &op, const Answer &answer, uint64_t time_ms)
{
    switch (op.method) {
    case STORE_METHOD_ACCOUNT_CREATE: return AccountCreate(mail, op, answer);
    case STORE_METHOD_QUEUE_LEASE: return Lease(mail, op, answer, time_ms);
    case STORE_METHOD_QUEUE_PUT:
    case STORE_METHOD_QUEUE_REPORT: return OfQueue(mail, op, answer);
    default: break;
    }
    mail.Tick(answer.touched);
    if (op.method == STORE_METHOD_DELIVER) return Deliver(mail, op, answer);
    auto found = mail.accounts.find(op.account);
    Demand(found != mail.accounts.end(), "a command for nobody");
    switch (op.method) {
    case STORE_METHOD_APPEND: return Append(mail, found->second, op, answer);
    case STORE_METHOD_FLAGS_SET: return Flags(found->second, op, answer);
    case STORE_METHOD_COPY: return Copy(mail, found->second, op, answer);
    case STORE_METHOD_EXPUNGE: return Expunge(found->second, op, answer);
    default: return OfMailbox(mail, found->second, op, answer);
    }
}

}  // namespace sim
