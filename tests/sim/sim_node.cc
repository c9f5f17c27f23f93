#include "sim_node.h"

#include <algorithm>

#include "clock.h"
#include "kv.h"
#include "kv_key.h"
#include "kv_memory.h"
#include "mbox_rows.h"
#include "sim_shell.h"
#include "slog_append.h"
#include "slot.h"
extern "C" {
#include "store_node_private.h"
}

namespace sim {

Node *running;

namespace {
const uint8_t kStoreId[16] = {'s', 'i', 'm'};
enum { kReserveBytes = 16 * 1024, kGroupBytes = 12 * 1024 * 1024 };

std::string Text(err e) { return std::string(err_name(e.code)) + " " + (e.what ? e.what : ""); }
}  // namespace

Node::Node(uint64_t seed, const NodeOptions &options_, Mutant mutant_, Copies *copies_)
    : disk(seed ^ 0xd15c), draw(seed), options(options_), mutant(mutant_), handle{this}, copies(copies_),
      fault(0)
{
    for (auto &row : kMutants)
        if (row.mutant == mutant) fault = sim_shell_fault(row.name);
    disk.sync_lies = mutant == Mutant::IGNORE_FAILED_SYNC;
    disk.forget_lies = mutant == Mutant::TRUST_PAGE_CACHE;
    disk.directory_lies = mutant == Mutant::SKIP_DIRECTORY_SYNC;
    for (unsigned i = 0; i < options.workers; i++) workers.push_back(std::make_unique<shard_worker>());
    shards.resize(options.shards);
    for (unsigned i = 0; i < options.shards; i++) {
        Shard &shard = shards[i];
        shard.kv = kv_memory_new();
        shard.fold = kv_memory_new();
        if (draw.OneIn(2)) kv_memory_flush_seed(shard.kv, draw.Next() | 1);
        shard.slot_first = uint32_t(uint64_t(i) * SLOT_COUNT / options.shards);
        shard.slot_end = uint32_t(uint64_t(i + 1) * SLOT_COUNT / options.shards);
    }
}

Node::~Node()
{
    if (log != nullptr || is_up) Crash(false);
    for (auto &shard : shards) {
        shard.kv->calls->close(shard.kv);
        if (shard.old != nullptr) shard.old->calls->close(shard.old);
        shard.fold->calls->close(shard.fold);
    }
    running = nullptr;
}

std::string Node::Name(const Shard &shard) const
{
    return "shard " + std::to_string(&shard - shards.data());
}

unsigned Node::ShardOf(uint32_t slot) const
{
    unsigned number = 0;
    while (shards[number].slot_end <= slot) number++;
    return number;
}

const replica &Node::Replica(unsigned shard) const { return *sim_shell_replica(shards[shard].shell); }
bool Node::Serves(unsigned shard) const
{
    return is_up && Replica(shard).role == REPLICA_SERVING;
}

// ---- beginning and end

err Node::Open()
{
    slog_options log_options = {options.segment_bytes, kReserveBytes};
    Run();
    recoveries++;
    err e = slog_open(disk.files(), kStoreId, &log_options, &log);
    if (e.code != ERR_OK) {
        log = nullptr;
        return e;
    }
    for (unsigned i = 0; i < shards.size(); i++) {
        e = OpenShard(i);
        if (e.code != ERR_OK) return e;
    }
    is_up = true;
    return err_ok();
}

err Node::OpenShard(unsigned number)
{
    Shard &shard = shards[number];
    err finished = FinishInstall(number);
    if (finished.code != ERR_OK) return finished;
    if (copies != nullptr) CheckRecoveredCopy(number);
    else CheckRecovered(number);
    if (mutant == Mutant::REUSE_UIDS) ReuseUids(shard.kv);
    sim_shell_place place = {&handle, workers[number % workers.size()].get(), log,
                             number, shard.slot_first, shard.slot_end,
                             copies != nullptr ? copies->PeersOf(*this) : nullptr, sid, boot, fault};
    err e = sim_shell_open(&place, shard.kv, &shard.shell);
    if (e.code != ERR_OK) return e;
    const replica &r = *sim_shell_replica(shard.shell);
    shard.before = {r.applied_index, r.commit_index, r.durable_index, r.accepted_epoch};
    return e;
}

// R1, R2, I2, I3, I5: what the log says after a crash is what was put into it, and at least what
// was acknowledged.
void Node::CheckRecovered(unsigned number)
{
    Shard &shard = shards[number];
    slog_shard_view view = {};
    if (slog_shard_get(log, number, &view).code != ERR_OK) view.first_index = 1;
    if (mutant == Mutant::DROP_LAST_ENTRY && view.last_index > view.first_index) {
        uint64_t epoch = 0;
        if (slog_epoch_at(log, number, view.last_index - 1, &epoch).code == ERR_OK) {
            slog_entry cut = {};
            cut.record.type = SLOG_TRUNC;
            cut.record.shard = number;
            cut.record.index = view.last_index - 1;
            cut.record.epoch = epoch;
            list ring;
            list_init(&ring);
            list_add(&ring, &cut.link);
            if (slog_append(log, &ring, boot_ms, now_ms).code != ERR_OK) return;
            if (slog_shard_get(log, number, &view).code != ERR_OK) return;
        }
    }
    Demand(view.last_index >= shard.on_disk,
           Name(shard) + ": acknowledged entries are gone from the log: " +
               std::to_string(view.last_index) + " of " + std::to_string(shard.on_disk));
    Demand(view.accepted_epoch >= shard.accepted, Name(shard) + ": I5, a promise is forgotten");
    Demand(view.last_index <= shard.entries.size(), Name(shard) + ": entries nobody proposed");
    slog_room room = {};
    for (uint64_t i = view.first_index; i <= view.last_index; i++) {
        slog_record record;
        const LogEntry &entry = shard.entries[i - 1];
        err e = slog_read(log, number, i, &room, &record);
        if (e.code != ERR_OK && disk.dead()) break;
        Demand(e.code == ERR_OK, Name(shard) + ": an entry can't be read: " + Text(e));
        Demand(record.epoch == entry.epoch && record.type == entry.type &&
               span_eq(record.payload, span_of(entry.batch.data(), entry.batch.size())),
               Name(shard) + ": I2, entry " + std::to_string(i) + " is another one");
    }
    slog_room_free(&room);
    shard.on_disk = view.last_index;
    shard.entries.resize(view.last_index);
}

// The same for a copy: each entry is the one that its leader made. A cut that was being written may
// be there or not.
void Node::CheckRecoveredCopy(unsigned number)
{
    Shard &shard = shards[number];
    slog_shard_view view = {};
    if (slog_shard_get(log, number, &view).code != ERR_OK) view.first_index = 1;
    Demand(view.last_index >= shard.on_disk,
           Name(shard) + ": acknowledged entries are gone from the log: " +
               std::to_string(view.last_index) + " of " + std::to_string(shard.on_disk));
    Demand(view.accepted_epoch >= shard.accepted, Name(shard) + ": I5, a promise is forgotten");
    slog_room room = {};
    shard.disk_epochs.resize(view.last_index);
    for (uint64_t i = view.first_index; i <= view.last_index; i++) {
        slog_record record;
        err e = slog_read(log, number, i, &room, &record);
        if (e.code != ERR_OK && disk.dead()) break;
        Demand(e.code == ERR_OK, Name(shard) + ": an entry can't be read: " + Text(e));
        copies->Given(record);
        shard.disk_epochs[i - 1] = record.epoch;
    }
    slog_room_free(&room);
    shard.on_disk = view.last_index;
}

uint64_t Node::DiskEpoch(unsigned shard, uint64_t index) const
{
    auto &epochs = shards[shard].disk_epochs;
    return index == 0 || index > epochs.size() ? 0 : epochs[index - 1];
}

// The planted fault: what a recovery does that works UIDNEXT out from the messages there are.
void Node::ReuseUids(struct kv *kv)
{
    kv_batch batch;
    kv_batch_init(&batch);
    kv_iter *it;
    uint64_t epoch = 0, index = 0;
    Demand(kv->calls->applied(kv, false, &epoch, &index).code == ERR_OK, "applied");
    Demand(kv_iter_new(kv->calls->reader(kv), &it).code == ERR_OK, "iterator");
    std::map<std::pair<uint64_t, uint32_t>, uint32_t> highest;
    std::vector<std::pair<std::string, std::string>> boxes;
    for (it->calls->seek(it, SPAN("")); it->calls->valid(it); it->calls->next(it)) {
        span key = it->calls->key(it), value = it->calls->value(it), tail;
        kv_owner owner;
        unsigned kind;
        uint32_t box = 0, uid = 0;
        if (kv_key_read(key, &owner, &kind, &tail).code != ERR_OK) continue;
        if (kind != KV_MESSAGE && kind != KV_MAILBOX) continue;
        kv_key_take_u32(&tail, &box);
        if (kind == KV_MESSAGE && kv_key_take_u32(&tail, &uid)) highest[{owner.account, box}] = uid;
        else boxes.emplace_back(std::string(key.ptr, key.len), std::string(value.ptr, value.len));
    }
    it->calls->free(it);
    for (auto &[key, value] : boxes) {
        kv_owner owner;
        unsigned kind;
        span tail;
        uint32_t box = 0;
        mbox_mailbox row;
        span bytes = span_of(value.data(), value.size());
        if (kv_key_read(span_of(key.data(), key.size()), &owner, &kind, &tail).code != ERR_OK) continue;
        kv_key_take_u32(&tail, &box);
        if (mbox_mailbox_read(bytes, &row).code != ERR_OK) continue;
        row.uidnext = highest[{owner.account, box}] + 1;
        mbox_mailbox_write(&row, kv_batch_put_room(&batch, span_of(key.data(), key.size()),
                                                   mbox_mailbox_bytes(&row)));
    }
    if (batch.count > 0) {
        Demand(kv->calls->apply(kv, span_of(batch.bytes, batch.len), epoch, index).code == ERR_OK,
               "apply");
    }
    kv_batch_free(&batch);
}

void Node::Crash(bool power)
{
    Run();
    is_up = false;
    for (slog_entry *entry : queue) sim_shell_drop_entry(entry);
    queue.clear();
    for (auto &worker : workers) worker->jobs.clear();
    for (auto &shard : shards) {
        sim_shell_drop(shard.shell);
        shard.shell = nullptr;
    }
    slog_close(log);
    log = nullptr;
    if (power) disk.PowerLoss();
    else disk.ProcessExit();
    for (auto &shard : shards) kv_memory_crash(shard.kv);
}

void Node::FlushAll()
{
    for (unsigned i = 0; i < shards.size(); i++) Flush(i);
}

// ---- threads

bool Node::StepWorker(unsigned worker)
{
    auto &jobs = workers[worker]->jobs;
    if (jobs.empty()) return false;
    Run();
    shard_job *job = jobs.front();
    jobs.pop_front();
    job->run(job);
    return true;
}

void Node::Settle(std::deque<slog_entry *> &taken, err result)
{
    if (result.code != ERR_OK || disk.dead()) {
        // R6: what the disk has is not known. The process ends; nobody is told anything.
        queue.insert(queue.begin(), taken.begin(), taken.end());
        is_up = false;
        return;
    }
    for (slog_entry *entry : taken) {
        Shard &shard = shards[entry->record.shard];
        if (entry->result.code == ERR_OK) {
            // An entry of an epoch promises it as ACCEPT does.
            shard.accepted = std::max(shard.accepted, entry->record.epoch);
            Synced(entry->record);
            epoch_entries += entry->record.type == SLOG_EPOCH;
        } else {
            refusals++;
            if (mutant == Mutant::KEEP_REFUSED) entry->result = err_ok();
        }
        if (copies != nullptr) shard.on_disk = shard.disk_epochs.size();
    }
    for (slog_entry *entry : taken) entry->durable(entry, entry->result);
}

void Node::Synced(const slog_record &record)
{
    Shard &shard = shards[record.shard];
    if (record.type == SLOG_ACCEPT) return;
    if (copies != nullptr) copies->Given(record);
    if (record.type == SLOG_INSTALL) return Installed(shard, record.shard, record.index);
    shard.on_disk = record.index;
    shard.disk_epochs.resize(record.index);
    if (record.type != SLOG_TRUNC) shard.disk_epochs[record.index - 1] = record.epoch;
}

bool Node::StepLog(bool all)
{
    if (queue.empty()) return false;
    Run();
    std::deque<slog_entry *> taken;
    list ring;
    list_init(&ring);
    size_t count = all ? queue.size() : 1 + draw.Below(queue.size()), bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += slog_record_bytes(queue.front()->record.payload.len);
        if (i > 0 && bytes > kGroupBytes) break;
        const slog_record &record = queue.front()->record;
        Shard &shard = shards[record.shard];
        // It is on its way: the disk may have it or not.
        if (record.type == SLOG_TRUNC || record.type == SLOG_INSTALL) shard.on_disk = std::min(shard.on_disk, record.index);
        taken.push_back(queue.front());
        list_add(&ring, &queue.front()->link);
        queue.pop_front();
    }
    groups++;
    Settle(taken, slog_append(log, &ring, boot_ms, now_ms));
    return true;
}

void Node::IdleLog()
{
    Run();
    std::deque<slog_entry *> none;
    list ring;
    list_init(&ring);
    Settle(none, slog_append(log, &ring, boot_ms, now_ms));
}

void Node::Flush(unsigned shard)
{
    struct kv *kv = shards[shard].kv;
    Demand(kv->calls->flush(kv, true).code == ERR_OK, "flush");
}

void Node::Pay(unsigned shard)
{
    Run();
    sim_shell_pay(shards[shard].shell);
}

void Node::Collect()
{
    Run();
    std::vector<slog_kept> kept;
    slog_pins pins = {};
    for (unsigned i = 0; i < shards.size(); i++) {
        struct kv *kv = shards[i].kv;
        uint64_t epoch = 0, index = 0;
        bool persisted = mutant != Mutant::GC_TOO_EARLY;
        Demand(kv->calls->applied(kv, persisted, &epoch, &index).code == ERR_OK, "applied");
        slog_kept row = {i, index, UINT64_MAX, 0, 0};
        if (copies == nullptr || sim_shell_kept(shards[i].shell, boot_ms, &row)) kept.push_back(row);
    }
    if (slog_gc(log, kept.data(), kept.size(), options.retain_bytes, &pins).code != ERR_OK) {
        is_up = false;
        return;
    }
    for (size_t i = 0; i < pins.count && draw.OneIn(2); i++) Flush(pins.shards[i]);
}

// ---- what must hold

void Node::CheckShard(Shard &shard)
{
    const replica &now = *sim_shell_replica(shard.shell);
    auto &before = shard.before;
    auto hold = [&](bool holds, const char *what) {
        if (!holds) Fail(Name(shard) + what);
    };
    hold(now.role != REPLICA_QUARANTINED, ": in quarantine for nothing");
    hold(now.applied_index <= now.commit_index, ": I4, applied and not committed");
    hold(now.commit_index <= now.durable_index, ": I4, committed and not durable");
    hold(now.durable_index <= now.last_index, ": I4, durable and not logged");
    hold(now.applied_index >= before.applied, ": I4, applied falls");
    hold(now.commit_index >= before.commit, ": I4, commit falls");
    hold(copies != nullptr || now.durable_index >= before.durable, ": I4, durable falls");
    hold(now.accepted_epoch >= before.accepted, ": I5, epoch falls");
    // While a checkpoint takes its place the log is either one; the copy says nothing.
    hold(now.installing || now.durable_index <= shard.on_disk, ": said to be durable, not on the disk");
    if (now.role == REPLICA_SERVING) {
        hold(now.commit_index >= shard.committed, ": I4, commit is behind that before the crash");
        hold(now.accepted_epoch <= shard.accepted, ": I5, serves an epoch not promised");
    }
    shard.committed = std::max(shard.committed, now.commit_index);
    before = {now.applied_index, now.commit_index, now.durable_index, now.accepted_epoch};
}

void Node::Check()
{
    if (!is_up) return;
    for (auto &shard : shards) CheckShard(shard);
}

void Node::CheckRows(unsigned number)
{
    Shard &shard = shards[number];
    uint64_t applied = Replica(number).applied_index;
    if (Replica(number).installing) return;
    if (applied < shard.folded || mutant == Mutant::REUSE_UIDS) return;
    for (; shard.folded < applied; shard.folded++) {
        const LogEntry &entry = copies != nullptr ? copies->Committed(number, shard.folded + 1)
                                                  : shard.entries[shard.folded];
        span batch = span_of(entry.batch.data(), entry.batch.size());
        err e = shard.fold->calls->apply(shard.fold, batch, entry.epoch, shard.folded + 1);
        Demand(e.code == ERR_OK, "fold");
    }
    kv_iter *a, *b;
    Demand(kv_iter_new(shard.kv->calls->reader(shard.kv), &a).code == ERR_OK, "iterator");
    Demand(kv_iter_new(shard.fold->calls->reader(shard.fold), &b).code == ERR_OK, "iterator");
    a->calls->seek(a, SPAN(""));
    b->calls->seek(b, SPAN(""));
    bool same = true;
    while (same && a->calls->valid(a) && b->calls->valid(b)) {
        same = span_eq(a->calls->key(a), b->calls->key(b)) &&
               span_eq(a->calls->value(a), b->calls->value(b));
        a->calls->next(a);
        b->calls->next(b);
    }
    same = same && !a->calls->valid(a) && !b->calls->valid(b);
    a->calls->free(a);
    b->calls->free(b);
    Demand(same, Name(shard) + ": I8, the rows are not what the entries make");
}

// ---- what the shell asks for

namespace {
struct Copy {
    slog_entry entry;
    std::string payload;
};
}  // namespace

err Node::Submit(slog_entry *entry)
{
    if (queue.size() >= options.queued_max) return err_make(ERR_BUSY, "log");
    Shard &shard = shards[entry->record.shard];
    const slog_record &record = entry->record;
    if (copies != nullptr) {
        copies->Logged(record);
    } else if (record.type != SLOG_ACCEPT) {
        shard.entries.resize(record.index);
        const span &p = record.payload;
        shard.entries[record.index - 1] = {record.epoch, record.type,
                                           std::string(p.len ? p.ptr : "", p.len)};
    }
    if (mutant == Mutant::APPLY_BEFORE_COMMIT && record.type == SLOG_DATA) {
        err e = shard.kv->calls->apply(shard.kv, record.payload, record.epoch, record.index);
        Demand(e.code == ERR_OK, "apply");
    }
    if (mutant == Mutant::ANSWER_BEFORE_SYNC && record.type == SLOG_DATA) {
        auto *copy = new Copy{*entry, std::string(record.payload.ptr, record.payload.len)};
        copy->entry.record.payload = span_of(copy->payload.data(), copy->payload.size());
        copy->entry.durable = [](slog_entry *, err) {};
        queue.push_back(&copy->entry);
        entry->durable(entry, err_ok());
        return err_ok();
    }
    queue.push_back(entry);
    return err_ok();
}

err Node::Post(shard_worker *worker, shard_job *job)
{
    worker->jobs.push_back(job);
    return err_ok();
}

// The look at the disk may be a moment old.
err Node::Room(size_t)
{
    uint64_t bytes = 0;
    (void)!disk.files()->calls->free_bytes(disk.files(), &bytes).code;
    if (bytes < 2 * kReserveBytes && draw.OneIn(2)) return err_make(ERR_FULL, "disk below the reserve");
    return err_ok();
}

}  // namespace sim

extern "C" {
uint64_t clock_wall_ms(void) { return sim::running == nullptr ? 0 : sim::running->now_ms; }
uint64_t clock_boot_ms(void) { return sim::running == nullptr ? 0 : sim::running->boot_ms; }
struct slog *store_node_log(struct store_node *node) { return node->node->log; }
struct slog_thread *store_node_log_thread(struct store_node *) { return nullptr; }
uint64_t store_node_index_bytes(const struct store_node *) { return 256 * 1024; }
struct err store_node_room(struct store_node *node, size_t bytes) { return node->node->Room(bytes); }
void store_node_wrote(struct store_node *) {}
void store_node_notice(struct store_node *, const struct store_notice *) {}
void store_node_quota(const struct store_node *, uint64_t *bytes, uint64_t *items) { *bytes = *items = 0; }
struct err slog_submit(struct slog_thread *, struct slog_entry *entry)
{
    return sim::running->Submit(entry);
}
struct err shard_worker_post(struct shard_worker *worker, struct shard_job *job, bool must)
{
    (void)must;
    return sim::running->Post(worker, job);
}
}
