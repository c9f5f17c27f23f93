// A run of several nodes: faults and clients, then calm, in which everything must come right again.
#include "sim_cluster.h"
#include "sim_run.h"

namespace sim {

namespace {

enum {
    kRunMs = 6000,
    kRunDrawnMs = 12000,
    kCalmMs = 60000,   // within which all is well again
    kStepMs = 3,
};

class ClusterDriver {
public:
    ClusterDriver(uint64_t seed, Mutant mutant) : draw(seed), cluster(draw.Next(), Options(), mutant) {}

    Outcome Run()
    {
        uint64_t end = kRunMs + draw.Below(kRunDrawnMs);
        while (cluster.time < end) Step(true);
        Calm();
        Finish();
        out.sent = cluster.clients->sent;
        out.acknowledged = cluster.clients->acknowledged;
        out.repeated = cluster.clients->repeated;
        out.digest = cluster.clients->digest;
        out.virtual_ms = cluster.time;
        out.messages = cluster.messages;
        out.row_changes = cluster.rows.changes;
        out.leads = cluster.failovers;
        out.installs = cluster.installs;
        for (auto &m : cluster.members) {
            out.recoveries += m->boots;
            out.groups += m->node->groups;
            out.refused += m->node->refusals;
        }
        return out;
    }

private:
    ClusterOptions Options()
    {
        ClusterOptions o = {};
        o.copies = unsigned(draw.OneIn(8) ? 2 : draw.OneIn(8) ? 4 : 3);
        o.nodes = o.copies + unsigned(draw.OneIn(3) ? 1 + draw.Below(2) : 0);
        o.shards = unsigned(1 + draw.OneIn(3));
        o.min_isr = o.copies == 2 ? unsigned(1 + draw.Below(2)) : 2;
        o.collects = !draw.OneIn(4);
        o.retain_bytes = draw.OneIn(2) ? 0 : draw.Below(400000);
        return o;
    }

    void Step(bool with_faults)
    {
        cluster.Advance(1 + draw.Below(kStepMs));
        for (auto &m : cluster.members) cluster.StepNode(*m);
        unsigned shard = unsigned(draw.Below(cluster.options.shards));
        if (draw.OneIn(4)) cluster.clients->Send();
        if (draw.OneIn(60)) cluster.ReadAtFollower(shard);
        if (draw.OneIn(300)) cluster.clients->Maintain(shard);
        if (draw.OneIn(250)) Look(shard);
        if (draw.OneIn(10)) cluster.Watch(shard);
        if (with_faults && draw.OneIn(150 * calm)) Fault(shard);
        cluster.Check();
        out.steps++;
    }

    // Who may be read, and has all that is committed, shows just that.
    void Look(unsigned shard)
    {
        Node *node = cluster.Target(shard);
        if (node == nullptr) return;
        Member &member = *static_cast<Member *>(cluster.PeersOf(*node));
        if (node->boot_ms < shard_read_until(node->At(shard))) cluster.CompareAt(member, shard);
    }

    Member &Any() { return *cluster.members[draw.Below(cluster.members.size())]; }
    // Who leads is hit more often.
    Member &Somebody(unsigned shard)
    {
        Node *node = draw.OneIn(2) ? cluster.Target(shard) : nullptr;
        return node == nullptr ? Any() : *static_cast<Member *>(cluster.PeersOf(*node));
    }

    void Fault(unsigned shard)
    {
        Member &m = Somebody(shard);
        uint64_t short_ms = 100 + draw.Below(1500), long_ms = 1500 + draw.Below(4000);
        switch (draw.Below(21)) {
        case 0:
        case 1:
            if (m.up()) cluster.Down(m, draw.OneIn(2), draw.OneIn(2) ? short_ms : long_ms);
            out.crashes++;
            return;
        case 2: m.paused_until = cluster.time + (draw.OneIn(2) ? short_ms : long_ms); return;
        case 3: m.node->disk.DieAfter(draw.Below(12)); return;
        case 4: m.node->disk.FailSyncs(draw.OneIn(2) ? 1 + draw.Below(6) : 0); return;
        case 5: m.node->disk.SetCapacity(m.node->disk.used() + draw.Below(200000)); return;
        case 6: m.node->disk.SetCapacity(UINT64_MAX); return;
        case 7:
        case 8: return Cut(m);
        case 9: return cluster.Join();
        case 10: cluster.rows_away_until = cluster.time + long_ms; return;
        case 11: m.rows_away = !m.rows_away; return;
        case 12:
            cluster.loss_in = draw.OneIn(2) ? unsigned(2 + draw.Below(30)) : 0;
            cluster.double_in = draw.OneIn(2) ? unsigned(2 + draw.Below(30)) : 0;
            cluster.delay_ms = draw.OneIn(4) ? 100 + draw.Below(300) : 1 + draw.Below(20);
            return;
        case 13: m.disk_ill_until = cluster.time + short_ms; return;
        case 14:
        case 15: return cluster.Transfer(shard);
        case 16:
        case 17:
        case 18: {
            Node *leader = cluster.Target(shard);
            if (leader != nullptr) cluster.Ambush(*static_cast<Member *>(cluster.PeersOf(*leader)));
            return;
        }
        case 19:
            if (cluster.options.nodes > cluster.options.copies) cluster.Move(shard);
            return;
        default:
            if (draw.OneIn(3)) Replace(m);
        }
    }

    // Only one at a time, and not one that others need: all copies lost is another matter.
    void Replace(Member &m)
    {
        if (!cluster.Settled()) return;
        Trace("%llu replace %u", (unsigned long long)cluster.time, m.number);
        cluster.ReplaceStore(m);
    }

    // One-way or both, from one or from all.
    void Cut(Member &m)
    {
        bool in = !draw.OneIn(3), out_ = !in || !draw.OneIn(3), all = draw.OneIn(2);
        unsigned other = unsigned(draw.Below(cluster.members.size()));
        for (unsigned i = 0; i < cluster.members.size(); i++) {
            if (!all && i != other) continue;
            if (in) cluster.cut[i][m.number] = true;
            if (out_) cluster.cut[m.number][i] = true;
        }
        if (draw.OneIn(3)) m.rows_away = true;
    }

    void Calm()
    {
        Trace("%llu calm", (unsigned long long)cluster.time);
        cluster.Join();
        cluster.loss_in = cluster.double_in = 0;
        cluster.delay_ms = 5;
        cluster.rows_away_until = 0;
        for (auto &m : cluster.members) {
            m->paused_until = m->disk_ill_until = 0;
            m->node->disk.FailSyncs(0);
            m->node->disk.SetCapacity(UINT64_MAX);
            m->node->disk.DieAfter(UINT64_MAX);
        }
        uint64_t end = cluster.time + kCalmMs;
        while (cluster.time < end && !(cluster.Settled() && !cluster.clients->waits())) {
            cluster.Advance(1 + draw.Below(kStepMs));
            for (auto &m : cluster.members) cluster.StepNode(*m);
            if (draw.OneIn(10)) cluster.Watch(unsigned(draw.Below(cluster.options.shards)));
            cluster.Check();
        }
        std::string why = cluster.Unsettled();
        if (!why.empty()) cluster.Tell();
        Demand(why.empty(), "it does not come right again: " + why);
        Demand(!cluster.clients->waits(), "a change is never answered");
    }

    // All that is open is asked for again; then every copy holds what was acknowledged.
    void Finish()
    {
        while (cluster.clients->SendOpen()) {
            if (draw.OneIn(3)) Calm();
        }
        Calm();
        for (unsigned shard = 0; shard < cluster.options.shards; shard++) {
            for (auto &m : cluster.members) {
                bool has = m->up() && m->node->Replica(shard).applied_index > 0;
                if (has) cluster.CompareAt(*m, shard);
            }
        }
    }

    Draw draw;
    Cluster cluster;
    Outcome out;
    uint64_t calm = 1 + draw.Below(4);
};

}  // namespace

Outcome RunCluster(uint64_t seed, Mutant mutant) { return ClusterDriver(seed, mutant).Run(); }

}  // namespace sim
