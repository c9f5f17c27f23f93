// Checkpoints: how a copy gets one, piece by piece, over a network that breaks, and puts it in the
// place of its rows, with crashes at every step.
#include <algorithm>

#include "kv.h"
#include "kv_memory.h"
#include "sim_cluster.h"
#include "sim_shell.h"
#include "slog_append.h"

namespace sim {

namespace {
enum { kBreaksMax = 6, kTriesMax = 100, kPinMs = 60000 };
}

Snapshot::~Snapshot() { kv->calls->close(kv); }

// ---- a node's directories

void Node::Swap(unsigned number, struct kv *fresh)
{
    Shard &shard = shards[number];
    Demand(shard.old == nullptr, Name(shard) + ": rows of before are still there");
    Flush(number); // as closing does
    shard.old = shard.kv;
    shard.kv = fresh;
    if (draw.OneIn(2)) kv_memory_flush_seed(shard.kv, draw.Next() | 1);
}

void Node::Drop(unsigned number)
{
    Shard &shard = shards[number];
    shard.old->calls->close(shard.old);
    shard.old = nullptr;
}

// Rows and log are a checkpoint up to the index: what all have committed.
void Node::Installed(Shard &shard, unsigned number, uint64_t index)
{
    shard.disk_epochs.resize(index);
    for (uint64_t i = index; i > 0; i--) {
        uint64_t epoch = copies->Committed(number, i).epoch;
        if (shard.disk_epochs[i - 1] == epoch && i < index / 2) break; // the rest is the same
        shard.disk_epochs[i - 1] = epoch;
    }
    shard.on_disk = index;
}

// What store_open.c does about rows of before.
err Node::FinishInstall(unsigned number)
{
    Shard &shard = shards[number];
    if (shard.old == nullptr) return err_ok();
    uint64_t epoch = 0, index = 0;
    slog_shard_view view = {};
    Demand(shard.kv->calls->applied(shard.kv, false, &epoch, &index).code == ERR_OK, "applied");
    if (slog_shard_get(log, number, &view).code != ERR_OK) view.first_index = 1;
    if (view.first_index <= index && mutant != Mutant::INSTALL_UNLOGGED) {
        slog_entry entry = {};
        entry.record.type = SLOG_INSTALL;
        entry.record.shard = number;
        entry.record.epoch = epoch;
        entry.record.index = index;
        entry.into_reserve = true;
        list ring;
        list_init(&ring);
        list_add(&ring, &entry.link);
        shard.on_disk = std::min(shard.on_disk, index);
        err e = slog_append(log, &ring, boot_ms, now_ms);
        if (e.code == ERR_OK) e = entry.result;
        if (e.code != ERR_OK) return e;
    }
    Installed(shard, number, index);
    Drop(number);
    return err_ok();
}

// ---- on its way

void Cluster::ForgetAll(const Member &member)
{
    for (auto at = fetches.begin(); at != fetches.end();) {
        if (at->first.first == member.number) at = fetches.erase(at);
        else ++at;
    }
}

void Cluster::Later(Fetch &fetch, uint64_t ms, void (Cluster::*step)(Fetch &))
{
    Fetch *expected = &fetch;
    FetchKey key = {fetch.to, fetch.number};
    unsigned boots = members[fetch.to]->boots;
    At(time + ms, [this, key, expected, boots, step] {
        auto found = fetches.find(key);
        Member &member = *members[key.first];
        if (found == fetches.end() || found->second.get() != expected || member.boots != boots) return;
        if (!member.up()) return Forget(*expected);
        if (time < member.paused_until) return Later(*expected, member.paused_until - time + 1, step);
        (this->*step)(*expected);
    });
}

void Cluster::Behind(Member &at, unsigned shard, const roster_id &from, uint64_t index)
{
    Member *source = Of(from);
    FetchKey key = {at.number, shard};
    auto last = at.installs.find(shard);
    if (last != at.installs.end() && source != nullptr && roster_id_eq(&last->second.source, &from) &&
        last->second.source_boots == source->boots && time < last->second.until) {
        Demand(index <= last->second.index, "a checkpoint does not reach to what is in the log");
    }
    if (source == nullptr || fetches.count(key) != 0) return;
    auto fetch = std::make_unique<Fetch>();
    static_cast<shard_install &>(*fetch) = {at.node->At(shard), 0, 0, nullptr, Begun, Logged, Done, nullptr};
    fetch->cluster = this;
    fetch->to = at.number;
    fetch->from = source->number;
    fetch->number = shard;
    fetch->source = from;
    Fetch &made = *fetch;
    fetches[key] = std::move(fetch);
    Later(made, Delay(), &Cluster::Move);
}

bool Cluster::Reaches(Fetch &fetch)
{
    Member &source = *members[fetch.from];
    bool lost = loss_in != 0 && draw.OneIn(loss_in);
    return source.up() && time >= source.paused_until && roster_id_eq(&source.node->sid, &fetch.source) &&
           !cut[fetch.from][fetch.to] && !cut[fetch.to][fetch.from] && !lost;
}

// It goes on where it was, if what it was fetching is still there.
void Cluster::Broke(Fetch &fetch)
{
    if (++fetch.breaks > kBreaksMax) return Forget(fetch);
    Later(fetch, 50 + draw.Below(400), &Cluster::Move);
}

// The source's side of a beginning: rows as they are now, and a pin for what comes behind them.
void Cluster::Take(Fetch &fetch)
{
    Member &source = *members[fetch.from];
    unsigned number = fetch.number;
    const replica &r = source.node->Replica(number);
    struct kv *rows = source.node->Rows(number);
    if (r.role != REPLICA_SERVING && r.role != REPLICA_RECONCILE) return;
    uint64_t epoch = 0, index = 0;
    Demand(rows->calls->applied(rows, false, &epoch, &index).code == ERR_OK, "applied");
    source.node->Run();
    if (mutant != Mutant::NO_PIN) shard_pin(source.node->At(number), index, source.node->boot_ms + kPinMs);
    struct kv *copy = kv_memory_copy(rows);
    if (mutant == Mutant::CHECKPOINT_WITHOUT_TAIL) {
        copy->calls->close(copy);
        copy = kv_memory_copy_flushed(rows);
        Demand(copy->calls->apply(copy, SPAN(""), epoch, index).code == ERR_OK, "apply");
        Demand(copy->calls->flush(copy, true).code == ERR_OK, "flush");
    }
    source.snapshots[number] = fetch.snapshot = std::make_shared<Snapshot>(copy);
    fetch.from_boots = source.boots;
    fetch.pieces = unsigned(1 + draw.Below(6));
    fetch.piece_ms = draw.OneIn(4) ? 1500 : 60;
    fetch.piece = 0;
}

void Cluster::Move(Fetch &fetch)
{
    Member &source = *members[fetch.from];
    if (!Reaches(fetch)) return Broke(fetch);
    bool same = fetch.snapshot != nullptr && source.boots == fetch.from_boots &&
                source.snapshots[fetch.number] == fetch.snapshot;
    if (!same) {
        fetch.snapshot = nullptr;
        Take(fetch);
        if (fetch.snapshot == nullptr) return Forget(fetch); // it leads no more
    }
    source.node->Run();
    if (mutant != Mutant::NO_PIN)
        shard_pin(source.node->At(fetch.number), UINT64_MAX, source.node->boot_ms + kPinMs);
    if (fetch.piece++ < fetch.pieces) return Later(fetch, 1 + draw.Below(fetch.piece_ms), &Cluster::Move);
    struct kv *kv = fetch.snapshot->kv;
    Demand(kv->calls->applied(kv, true, &fetch.epoch, &fetch.index).code == ERR_OK, "applied");
    if (fetch.index == 0) return Forget(fetch);
    // Looking at it may take long; the copy may hear of another leader meanwhile.
    Later(fetch, draw.OneIn(3) ? draw.Below(6000) : draw.Below(50), &Cluster::Begin);
}

// ---- in its place

bool Cluster::Crashes(Fetch &fetch)
{
    if (!draw.OneIn(8)) return false;
    Down(*members[fetch.to], draw.OneIn(2), draw.Below(1000)); // forgets the fetch
    return true;
}

void Cluster::Begin(Fetch &fetch)
{
    Running(fetch);
    Demand(shard_install_begin(&fetch).code == ERR_OK, "memory");
}

void Cluster::Begun(shard_install *install, err e)
{
    Fetch &fetch = *static_cast<Fetch *>(install);
    Cluster &cluster = *fetch.cluster;
    if (e.code == ERR_OK) return cluster.Later(fetch, cluster.draw.Below(40), &Cluster::Swap);
    if (e.code != ERR_BUSY || ++fetch.tries > kTriesMax) return cluster.Forget(fetch);
    cluster.Later(fetch, 20 + cluster.draw.Below(60), &Cluster::Begin);
}

void Cluster::Swap(Fetch &fetch)
{
    Member &member = *members[fetch.to];
    if (Crashes(fetch)) return;
    Running(fetch);
    if (draw.OneIn(20)) return shard_install_undone(&fetch, fetch.old); // the disk would not
    member.node->Swap(fetch.number, kv_memory_copy(fetch.snapshot->kv));
    if (Crashes(fetch)) return;
    shard_install_opened(&fetch, member.node->Rows(fetch.number), err_ok());
}

void Cluster::Logged(shard_install *install, err e)
{
    Fetch &fetch = *static_cast<Fetch *>(install);
    Cluster &cluster = *fetch.cluster;
    if (e.code == ERR_OK) return cluster.Later(fetch, cluster.draw.Below(20), &Cluster::Finish);
    Demand(e.code == ERR_FULL || e.code == ERR_BUSY || e.code == ERR_NOMEM, "INSTALL is refused");
    cluster.Later(fetch, 50 + cluster.draw.Below(100), &Cluster::Log);
}

void Cluster::Finish(Fetch &fetch)
{
    if (Crashes(fetch)) return;
    members[fetch.to]->node->Drop(fetch.number);
    if (Crashes(fetch)) return;
    Running(fetch);
    shard_install_finish(&fetch);
}

void Cluster::Done(shard_install *install, err e)
{
    Fetch &fetch = *static_cast<Fetch *>(install);
    Trace("%llu installed %u: %llu %s", (unsigned long long)fetch.cluster->time, fetch.to,
          (unsigned long long)fetch.index, err_name(e.code));
    fetch.cluster->installs += e.code == ERR_OK;
    if (e.code == ERR_OK) {
        uint64_t until = fetch.cluster->time + kPinMs / 2;
        fetch.cluster->members[fetch.to]->installs[fetch.number] = {fetch.source, fetch.from_boots, fetch.index, until};
    }
    fetch.cluster->Forget(fetch);
}

}  // namespace sim
