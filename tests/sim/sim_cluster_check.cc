// What must hold of all copies of a shard together (REPLICATION 6.10), whatever happens.
#include <algorithm>

#include "sim_cluster.h"
#include "sim_shell.h"

namespace sim {

static std::string Name(unsigned shard) { return "shard " + std::to_string(shard) + ": "; }

// What a leader's log refuses, and nobody was sent, never was: the index may be given again.
void Cluster::Logged(const slog_record &record)
{
    Shard &s = shards[record.shard];
    Shard::Key key = {record.epoch, record.index};
    if (record.type != SLOG_DATA && record.type != SLOG_EPOCH) return;
    if (s.given.count(key) == 0) s.tried.emplace(key, LogEntry{record.epoch, record.type, Str(record.payload)});
}

// I2: (epoch, index) is one entry, wherever it is written.
void Cluster::Given(const slog_record &record)
{
    Shard &s = shards[record.shard];
    Shard::Key key = {record.epoch, record.index};
    if (record.type != SLOG_DATA && record.type != SLOG_EPOCH) return;
    auto same = [&](const LogEntry &entry) {
        return entry.type == record.type && span_eq(record.payload, S(entry.batch));
    };
    std::string what = Name(record.shard) + "I2, entry " + std::to_string(record.index) + " of epoch " +
                       std::to_string(record.epoch);
    auto found = s.given.find(key);
    if (found != s.given.end()) return Demand(same(found->second), what + " was given twice");
    auto [first, end] = s.tried.equal_range(key);
    auto at = std::find_if(first, end, [&](auto &tried) { return same(tried.second); });
    Demand(at != end, what + " was made by nobody");
    s.given.emplace(key, std::move(at->second));
    s.tried.erase(first, end);
}

const LogEntry &Cluster::Committed(unsigned shard, uint64_t index)
{
    auto found = shards[shard].given.find({shards[shard].committed.at(index - 1), index});
    Demand(found != shards[shard].given.end(), "a committed entry that nobody made");
    return found->second;
}

// I2, I3: what a copy takes for committed is the same for all, in one order.
void Cluster::CheckCommit(Member &member, unsigned shard)
{
    Shard &s = shards[shard];
    const replica &r = member.node->Replica(shard);
    bool grew = false;
    while (s.committed.size() < r.commit_index) {
        uint64_t index = s.committed.size() + 1, epoch = member.node->DiskEpoch(shard, index);
        Demand(epoch != 0, Name(shard) + "I4, committed and not on the disk");
        s.committed.push_back(epoch);
        clients->MailOf(shard).Decide(index, epoch);
        grew = true;
    }
    if (r.commit_index > 0) {
        uint64_t here = member.node->DiskEpoch(shard, r.commit_index);
        Demand(here == s.committed[r.commit_index - 1],
               Name(shard) + "I2, node " + std::to_string(member.number) + " takes another entry " +
                   std::to_string(r.commit_index) + " for committed");
    }
    if (grew) CheckSet(shard);
}

// I3: every committed entry is on the disk of every member of the set in the row.
void Cluster::CheckSet(unsigned shard)
{
    Shard &s = shards[shard];
    const roster_copies &isr = rows.Row(shard).row.isr;
    if (s.committed.empty()) return;
    for (uint32_t i = 0; i < isr.count; i++) {
        Member *member = Of(isr.ids[i]);
        if (member == nullptr) continue; // the store is gone, and so is the copy
        uint64_t last = s.committed.size();
        Demand(member->node->DiskEpoch(shard, last) == s.committed[last - 1],
               Name(shard) + "I3, node " + std::to_string(member->number) +
                   " is in the set and lacks committed entry " + std::to_string(last));
    }
}

// I6: whoever is in the row's set is waited for by the leader of its epoch, whatever that knows.
void Cluster::CheckWaited(const replica &r, unsigned shard)
{
    const roster_shard &row = rows.Row(shard).row;
    if (row.epoch != r.epoch) return;
    for (uint32_t i = 0; i < row.isr.count; i++) {
        bool waited = roster_id_eq(&row.isr.ids[i], &r.sid);
        for (unsigned k = 0; k < r.peers_count; k++)
            waited = waited || (roster_id_eq(&row.isr.ids[i], &r.peers[k].sid) && r.peers[k].in_max);
        Demand(waited, Name(shard) + "I6, a member of the row's set is not waited for");
    }
}

// I1, I7: one leads an epoch, and who may be read has all that was ever acknowledged.
void Cluster::CheckLead(Member &member, unsigned shard)
{
    Shard &s = shards[shard];
    const replica &r = member.node->Replica(shard);
    if (r.role != REPLICA_SERVING && r.role != REPLICA_RECONCILE) return;
    auto [at, is_new] = s.leaders.emplace(r.epoch, member.number);
    failovers += is_new;
    Demand(at->second == member.number, Name(shard) + "I1, two lead epoch " + std::to_string(r.epoch));
    CheckWaited(r, shard);
    clients->MailOf(shard).DropOf(r.epoch, r.last_index);
    if (member.node->boot_ms >= shard_read_until(member.node->At(shard))) return;
    leases++;
    Demand(r.applied_index >= s.acknowledged,
           Name(shard) + "I7, node " + std::to_string(member.number) + " may be read and lacks what was "
               "acknowledged");
}

void Cluster::Check()
{
    for (auto &m : members) {
        if (!m->up()) continue;
        m->node->Check();
        for (unsigned i = 0; i < options.shards; i++) {
            CheckCommit(*m, i);
            CheckLead(*m, i);
        }
    }
}

// I9, and the promise itself: it is on as many disks as were asked for.
void Cluster::Acknowledged(Node &node, unsigned shard, uint64_t index)
{
    Shard &s = shards[shard];
    CheckCommit(*static_cast<Member *>(PeersOf(node)), shard);
    Demand(index <= s.committed.size(), Name(shard) + "I9, acknowledged and not committed");
    unsigned copies = 0;
    for (auto &m : members) copies += m->node->DiskEpoch(shard, index) == s.committed[index - 1];
    // It was on that disk when it was asked for; the disk was taken away before the answer.
    for (auto &gone : s.gone) copies += index <= gone.size() && gone[index - 1] == s.committed[index - 1];
    Demand(copies >= options.min_isr, Name(shard) + "acknowledged with " + std::to_string(copies) + " copies");
    s.acknowledged = std::max(s.acknowledged, index);
}

bool Cluster::Settled() const { return Unsettled().empty(); }

std::string Cluster::Unsettled() const
{
    for (unsigned i = 0; i < options.shards; i++) {
        const roster_copies &isr = rows.Row(i).row.isr, &placed = shards[i].place.replicas;
        bool serves = false;
        for (auto &m : members) serves = serves || (m->up() && m->node->Serves(i));
        if (!serves) return Name(i) + "nobody serves";
        for (uint32_t k = 0; k < placed.count; k++) {
            if (!roster_copies_have(&isr, &placed.ids[k])) return Name(i) + "a copy is not in the set";
        }
        if (isr.count != placed.count) return Name(i) + "a copy that is elsewhere is in the set";
        for (auto &m : members) {
            if (!roster_copies_have(&isr, &m->node->sid)) continue;
            if (!m->up() || m->node->Replica(i).applied_index != shards[i].committed.size())
                return Name(i) + "a copy lags";
        }
    }
    return "";
}

void Cluster::Tell() const
{
    auto u = [](uint64_t n) { return static_cast<unsigned long long>(n); };
    for (unsigned i = 0; i < options.shards; i++) {
        Trace("shard %u: row of epoch %llu, %u members; committed %zu", i, u(rows.Row(i).row.epoch),
              rows.Row(i).row.isr.count, shards[i].committed.size());
        for (auto &m : members) {
            if (!m->up()) continue;
            const replica &r = m->node->Replica(i);
            Trace(" node %u (%02x) at %llu: role %d epoch %llu accepted %llu/%llu last %llu:%llu durable %llu commit %llu "
                  "applied %llu match %llu cas %d promise %llu", m->number, r.sid.bytes[0], u(m->node->boot_ms), int(r.role),
                  u(r.epoch), u(r.accepted_epoch), u(r.accepted_durable), u(r.last_epoch), u(r.last_index),
                  u(r.durable_index), u(r.commit_index), u(r.applied_index), u(r.match_index), int(r.cas.change),
                  u(r.promise_until_ms));
            if (r.role != REPLICA_SERVING && r.role != REPLICA_RECONCILE) continue;
            for (unsigned k = 0; k < r.peers_count; k++) {
                const replica_peer &p = r.peers[k];
                Trace("  peer %02x: isr %d max %d placed %d known %d probed %d behind %d refuses %d matched %llu "
                      "next %llu grant %llu back %llu", p.sid.bytes[0], p.in_isr, p.in_max, p.is_placed, p.is_known,
                      p.is_probed, p.is_behind_log, p.refuses, u(p.matched), u(p.next), u(p.grant_until_ms),
                      u(p.back_ms));
            }
        }
    }
}

void Cluster::CompareAt(Member &member, unsigned shard)
{
    const replica &r = member.node->Replica(shard);
    if (r.applied_index != shards[shard].committed.size() || r.installing) return;
    clients->Compare(*member.node, shard);
}

}  // namespace sim
