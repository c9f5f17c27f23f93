#include "sim_run.h"

#include "sim_client.h"
#include "sim_disk.h"
#include "sim_node.h"

namespace sim {

namespace {

enum {
    kStepsMin = 400,
    kStepsDrawn = 1400,
    kOpenTriesMax = 60,
    kDrainStepsMax = 20000,
    kStuckLooksMax = 2,
    kUnstickTurns = 100,
};

class Driver : private World {
public:
    Driver(uint64_t seed, Mutant mutant)
        : draw(seed), node(draw.Next(), Options(), mutant), clients(*this, draw.Next(), mutant) {}

    Outcome Run()
    {
        Recover(false);
        uint64_t steps = kStepsMin + draw.Below(kStepsDrawn);
        for (uint64_t i = 0; i < steps; i++) {
            Step();
            if (!node.up()) Down(draw.OneIn(2));
            Watch();
            out.steps++;
        }
        Finish();
        out.sent = clients.sent;
        out.acknowledged = clients.acknowledged;
        out.repeated = clients.repeated;
        out.digest = clients.digest;
        out.recoveries = node.recoveries;
        out.refused = node.refusals;
        out.groups = node.groups;
        return out;
    }

private:
    unsigned shards_count() const override { return node.shards_count(); }
    unsigned ShardOf(uint32_t slot) const override { return node.ShardOf(slot); }
    void Slots(unsigned shard, uint32_t *first, uint32_t *end) const override
    {
        shard_slots(node.At(shard), first, end);
    }
    Node *Target(unsigned) override { return &node; }
    uint64_t Now() const override { return node.now_ms; }
    bool copies() const override { return false; }

    NodeOptions Options()
    {
        NodeOptions options;
        options.shards = unsigned(1 + draw.Below(3));
        options.workers = unsigned(1 + draw.Below(2));
        options.queued_max = draw.OneIn(3) ? 2 * options.shards + draw.Below(8) : 1000;
        options.segment_bytes = draw.OneIn(2) ? 64 * 1024 : 128 * 1024;
        return options;
    }

    // What must hold after every step.
    void Watch()
    {
        node.Check();
        clients.Settle(node);
    }

    void Tick()
    {
        uint64_t ms = draw.Below(30);
        if (draw.OneIn(300)) ms += draw.Below(3 * 3600 * 1000);
        node.now_ms += ms;
        node.boot_ms += ms;
    }

    void Step()
    {
        Tick();
        uint64_t kind = draw.Below(100);
        unsigned shard = unsigned(draw.Below(node.shards_count()));
        if (kind < 33 && Doors()) clients.Send();
        else if (kind < 33) node.StepLog(true);
        else if (kind < 68) Worker();
        else if (kind < 90) node.StepLog(draw.OneIn(2));
        else if (kind < 92) node.IdleLog();
        else if (kind < 94) node.Flush(shard);
        else if (kind < 96) node.Collect();
        else if (kind < 97 && Doors()) clients.Maintain(shard);
        else if (kind < 97) node.Pay(shard);
        else if (kind < 98) Look(shard);
        else if (draw.OneIn(calm)) Fault();
    }

    // Nobody can call before every shard has served (store_node_open).
    bool Doors()
    {
        for (unsigned i = 0; i < node.shards_count(); i++)
            if (!node.Serves(i)) return false;
        return true;
    }

    void Worker()
    {
        unsigned worker = unsigned(draw.Below(node.options.workers));
        unsigned turns = unsigned(1 + draw.Below(4));
        for (unsigned i = 0; i < turns && node.up() && node.StepWorker(worker); i++) Watch();
    }

    void Look(unsigned shard)
    {
        if (node.Serves(shard)) clients.Compare(node, shard);
        else if (++stuck > kStuckLooksMax) Unstick();
    }

    // There is space again: every shard serves, without a new start.
    void Unstick()
    {
        stuck = 0;
        out.unstuck++;
        Calm();
        for (unsigned i = 0; i < kUnstickTurns && node.up() && !Doors(); i++) {
            for (unsigned shard = 0; shard < node.shards_count(); shard++) node.Pay(shard);
            node.StepLog(true);
            Watch();
            for (unsigned w = 0; w < node.options.workers && node.up(); w++) {
                while (node.up() && node.StepWorker(w)) Watch();
            }
        }
        Demand(!node.up() || Doors(), "a shard does not serve although there is space");
        if (!node.up()) Down(false);
    }

    void Fault()
    {
        switch (draw.Below(8)) {
        case 0: return Down(true);
        case 1: return Down(false);
        case 2:
        case 3: return node.disk.DieAfter(draw.Below(12));
        case 4: return node.disk.FailSyncs(draw.OneIn(2) ? 1 + draw.Below(6) : 0);
        case 5:
        case 6: {
            uint64_t room = draw.Below(3 * node.options.segment_bytes);
            return node.disk.SetCapacity(node.disk.used() + room);
        }
        default: return node.disk.SetCapacity(UINT64_MAX);
        }
    }

    // The process or the machine ends, and begins again.
    void Down(bool power)
    {
        out.crashes++;
        Trace("down: %s", power ? "power" : "process");
        if (node.up() && draw.OneIn(8)) node.FlushAll();
        node.Crash(power);
        clients.Crashed(nullptr);
        if (draw.OneIn(10)) node.now_ms -= draw.Below(5000); // the clock was set
        Recover(true);
    }

    bool Damage()
    {
        bool damaged = draw.OneIn(3) && node.disk.Flip();
        out.damaged += damaged;
        if (damaged && node.mutant == Mutant::DEAF_TO_CORRUPTION) node.disk.CutAtFlip();
        return damaged;
    }

    void Recover(bool with_faults)
    {
        stuck = 0;
        for (unsigned tries = 0;; tries++) {
            Demand(tries < kOpenTriesMax, "the node does not come up again");
            bool faults = with_faults && tries < kOpenTriesMax / 2;
            if (!faults) Calm();
            bool damaged = faults && Damage();
            if (faults && draw.OneIn(3)) node.disk.DieAfter(draw.Below(8));
            err e = node.Open();
            Trace("open: %s %s%s", err_name(e.code), e.what ? e.what : "",
                  node.disk.dead() ? ", dead" : "");
            if (e.code == ERR_OK) {
                // What is damaged is where nobody looks; it must not matter later either, but the
                // next damage is another one.
                node.disk.Unflip();
                clients.Recovered(node);
                Watch();
                return;
            }
            bool died = node.disk.dead();
            bool fails = e.code == ERR_IO || e.code == ERR_FULL;
            Demand(died || fails || (damaged && e.code == ERR_CORRUPT),
                   std::string("the node refuses its data: ") + err_name(e.code) + " " +
                       (e.what ? e.what : ""));
            out.recoveries_cut++;
            node.Crash(draw.OneIn(2));
            node.disk.Unflip();
        }
    }

    void Calm()
    {
        node.disk.FailSyncs(0);
        node.disk.SetCapacity(UINT64_MAX);
    }

    // Does all that is under way.
    void Drain()
    {
        for (unsigned i = 0; i < kDrainStepsMax; i++) {
            bool busy = node.StepLog(true);
            if (!node.up()) Down(false);
            Watch();
            for (unsigned w = 0; w < node.options.workers; w++) {
                busy = node.StepWorker(w) || busy;
                Watch();
            }
            if (!busy && !clients.waits()) return;
            Demand(busy, "a change is never answered");
        }
        Fail("what is under way does not end");
    }

    void CompareAll()
    {
        for (unsigned i = 0; i < node.shards_count(); i++) {
            Demand(node.Serves(i), "a shard does not serve");
            clients.Compare(node, i);
        }
    }

    // No faults any more: all that is open is asked for again, and everything is looked at, also
    // after a last loss of power.
    void Finish()
    {
        Down(true);
        Calm();
        node.disk.DieAfter(UINT64_MAX);
        if (!node.up()) Down(false);
        Drain();
        CompareAll();
        while (clients.SendOpen()) {
            if (draw.OneIn(2)) Drain();
        }
        Drain();
        CompareAll();
        node.Crash(true);
        clients.Crashed(nullptr);
        Recover(false);
        Drain();
        CompareAll();
    }

    Draw draw;
    Node node;
    Clients clients;
    Outcome out;
    unsigned stuck = 0;
    uint64_t calm = 1 + draw.Below(4); // how rare faults are
};

}  // namespace

Outcome Run(uint64_t seed, Mutant mutant) { return Driver(seed, mutant).Run(); }

}  // namespace sim
