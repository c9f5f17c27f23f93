#include "sim_mail.h"

#include <algorithm>

#include "sim_draw.h"
#include "uid_set.h"

namespace sim {

std::string SetOf(const Uids &uids)
{
    uid_set set;
    uid_set_init(&set, 1000000);
    for (uint32_t uid : uids) Demand(uid_set_add(&set, uid, uid).code == ERR_OK, "uid_set_add");
    auto bytes = Str(uid_set_bytes(&set));
    uid_set_free(&set);
    return bytes;
}

Uids UidsOf(span bytes)
{
    Uids uids;
    for (size_t at = 0; at + 8 <= bytes.len; at += 8) {
        uint32_t range[2];
        memcpy(range, bytes.ptr + at, 8);
        Demand(range[1] - range[0] < 100000, "a set of UIDs is out of bounds");
        for (uint64_t uid = range[0]; uid <= range[1]; uid++) uids.push_back(uint32_t(uid));
    }
    return uids;
}

Box *Account::ById(uint32_t id)
{
    for (auto &[name, box] : boxes)
        if (box.id == id) return &box;
    return nullptr;
}

void Mail::Advance(uint64_t applied)
{
    while (!steps.empty() && steps.front().index <= applied) {
        Step step = std::move(steps.front());
        steps.pop_front();
        step.happens();
    }
}

void Mail::DropAfter(uint64_t last)
{
    while (!steps.empty() && steps.back().index > last) {
        Step step = std::move(steps.back());
        steps.pop_back();
        if (step.never) step.never();
    }
}

void Mail::AddOf(Step step)
{
    uint64_t last = decided_epochs.empty() ? 0 : decided_epochs.back();
    bool open = step.index > decided() && step.epoch >= last;
    bool now = step.index == decided() && step.epoch == last;
    if (now) step.happens();
    else if (open) Add(std::move(step));
    else if (step.never) step.never();
}

void Mail::DropOf(uint64_t epoch, uint64_t last)
{
    auto is_gone = [&](const Step &step) { return step.epoch == epoch && step.index > last; };
    if (steps.empty() || std::none_of(steps.begin(), steps.end(), is_gone)) return;
    std::deque<Step> kept;
    for (auto &step : steps) {
        if (!is_gone(step)) kept.push_back(std::move(step));
        else if (step.never) step.never();
    }
    steps = std::move(kept);
}

void Mail::Decide(uint64_t index, uint64_t epoch)
{
    std::deque<Step> kept;
    std::vector<Step> due;
    Demand(index == decided() + 1, "entries are committed out of order");
    decided_epochs.push_back(epoch);
    for (auto &step : steps) {
        bool is_due = step.index == index && step.epoch == epoch;
        bool is_open = step.index > index && step.epoch >= epoch;
        if (is_due) due.push_back(std::move(step));
        else if (is_open) kept.push_back(std::move(step));
        else if (step.never) step.never();
    }
    steps = std::move(kept);
    for (auto &step : due) step.happens();
}

void Mail::Tick(const std::vector<Touched> &touched)
{
    for (auto &t : touched) {
        auto found = accounts.find(t.account);
        if (found == accounts.end()) continue;
        Demand(t.modseq > found->second.modseq,
               "MODSEQ does not rise in account " + std::to_string(t.account));
    }
    for (auto &t : touched) {
        auto found = accounts.find(t.account);
        if (found == accounts.end()) continue;
        found->second.modseq = std::max(found->second.modseq, t.modseq);
    }
}

void Mail::AddBox(Account &account, const std::string &name, uint32_t id, uint32_t uidvalidity)
{
    Demand(account.boxes.count(name) == 0, "mailbox " + name + " was made a second time");
    Demand(account.ids.insert(id).second, "a mailbox id is used again");
    Demand(uidvalidity > account.uidvalidity, "UIDVALIDITY does not rise");
    account.uidvalidity = uidvalidity;
    Box box;
    box.id = id;
    box.uidvalidity = uidvalidity;
    account.boxes[name] = box;
}

void Mail::Adopt(Account &account, Box &box, uint32_t uidvalidity)
{
    if (box.uidvalidity != 0) return;
    box.uidvalidity = uidvalidity;
    account.uidvalidity = std::max(account.uidvalidity, uidvalidity);
}

void Mail::AddMessage(Account &account, Box &box, uint32_t uid, const Message &message)
{
    Demand(account.named.insert({box.uidvalidity, uid}).second,
           "UID " + std::to_string(uid) + " names two messages");
    Demand(uid >= box.uidnext, "UIDs do not rise");
    Demand(uid == box.uidnext, "UIDs have a gap");
    box.uidnext = uid + 1;
    box.messages[uid] = message;
}

}  // namespace sim
