// What the mailboxes and the queue of a shard must hold, worked out from the commands alone and not
// from rows. A command's effect stands in a queue until its entry is applied; what was neither
// applied nor found in the log by recovery never happened.
#ifndef GODWIT_SIM_MAIL_H
#define GODWIT_SIM_MAIL_H

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "mbox.h"
#include "span.h"

namespace sim {

using Body = std::shared_ptr<const std::string>;
using Uids = std::vector<uint32_t>;

inline span S(const std::string &s) { return span_of(s.data(), s.size()); }
inline std::string Str(span s) { return std::string(s.len ? s.ptr : "", s.len); }
std::string SetOf(const Uids &uids); // uid_set.h
Uids UidsOf(span bytes);

struct Message {
    uint64_t flags, modseq, internaldate_ms;
    Body body;
};
struct Box {
    uint32_t id = 0, uidvalidity = 0, uidnext = 1;
    std::map<uint32_t, Message> messages;
};
struct Account {
    std::map<std::string, Box> boxes;
    uint64_t modseq = 0;
    uint32_t uidvalidity = 0; // highest given
    std::set<uint32_t> ids;   // of mailboxes, ever
    std::set<std::pair<uint32_t, uint32_t>> named; // (UIDVALIDITY, UID), ever
    Box *ById(uint32_t id);
};
struct Queued {
    uint64_t version, due_ms, lease_until_ms;
    std::string owner;
    Body body;
};

// What a command said that it touched.
struct Touched {
    uint64_t account;
    uint32_t mailbox;
    uint64_t modseq;
};

class Mail {
public:
    std::map<uint64_t, Account> accounts;
    std::map<std::string, Queued> queue; // by id

    struct Step {
        uint64_t index; // the shard's last entry then
        uint64_t epoch; // of the leader
        std::function<void()> happens, never;
    };
    void Add(Step step) { steps.push_back(std::move(step)); }
    void Advance(uint64_t applied);
    void DropAfter(uint64_t last);
    bool idle() const { return steps.empty(); }
    // Of several copies: the entry `index` is committed, and is of `epoch`.
    void Decide(uint64_t index, uint64_t epoch);
    // The leader of that epoch has nothing behind `last` any more.
    void DropOf(uint64_t epoch, uint64_t last);
    // A leader that is one no more may prepare what never will be.
    void AddOf(Step step);
    uint64_t decided() const { return decided_epochs.size(); }

    // ---- effects
    void Tick(const std::vector<Touched> &touched); // MODSEQ strictly rises
    void AddBox(Account &account, const std::string &name, uint32_t id, uint32_t uidvalidity);
    // The UIDVALIDITY of an INBOX that was made with its account is first told by something else.
    static void Adopt(Account &account, Box &box, uint32_t uidvalidity);
    void AddMessage(Account &account, Box &box, uint32_t uid, const Message &message);

    // Everything is there once, byte for byte, and nothing else. `context`: rows as committed.
    void Compare(const mbox_context &context, struct mbox_index *index, uint32_t shard);

private:
    void CompareAccount(const mbox_context &context, struct mbox_index *index, uint64_t number);
    void CompareBox(const mbox_context &context, struct mbox_index *index, uint64_t number, const Box &box);
    void CompareQueue(const mbox_context &context, uint32_t shard);
    std::deque<Step> steps;
    std::vector<uint64_t> decided_epochs; // [index - 1]
};

}  // namespace sim
#endif
