#include "sim_cluster.h"

#include <algorithm>

#include "replica_wire.h"
#include "sim_shell.h"

namespace sim {

namespace {

enum { kTickMs = 50, kArenaBytes = 32 << 20, kOpenTriesMax = 40 };

Member &As(shard_peers *peers) { return *static_cast<Member *>(peers); }

bool PeerSend(shard_peers *peers, shard *s, const roster_id *to, const replica_message *m,
              const slog_record *entries)
{
    return As(peers).cluster->Send(As(peers), shard_number(s), *to, *m, entries);
}
void PeerCas(shard_peers *peers, shard *s, const replica_cas *cas)
{
    As(peers).cluster->Cas(As(peers), shard_number(s), *cas);
}
void PeerReadRow(shard_peers *peers, shard *s)
{
    As(peers).cluster->ReadRow(As(peers), shard_number(s));
}
void PeerReadReady(shard_peers *peers, shard *s, uint64_t id, bool granted, uint64_t index)
{
    As(peers).cluster->ReadReady(As(peers), shard_number(s), id, granted, index);
}
void PeerBehind(shard_peers *peers, shard *s, const roster_id *from, uint64_t index)
{
    As(peers).cluster->Behind(As(peers), shard_number(s), *from, index);
}
const shard_peers_calls kCalls = {PeerSend, PeerCas, PeerReadRow, PeerReadReady, nullptr, PeerBehind};

NodeOptions OfNode(const ClusterOptions &options, Draw &draw)
{
    NodeOptions o;
    o.shards = options.shards;
    o.workers = 1;
    o.queued_max = draw.OneIn(8) ? 8 + draw.Below(16) : 1000;
    o.segment_bytes = draw.OneIn(2) ? 64 * 1024 : 128 * 1024;
    o.retain_bytes = options.retain_bytes;
    return o;
}

}  // namespace

Cluster::Cluster(uint64_t seed, const ClusterOptions &options_, Mutant mutant_)
    : options(options_), mutant(mutant_), draw(seed), rows(draw.Next(), options_.shards),
      cut(options_.nodes, std::vector<bool>(options_.nodes, false)), shards(options_.shards)
{
    rows.changed = [this](unsigned shard) { CheckSet(shard); };
    for (unsigned i = 0; i < options.nodes; i++) {
        auto member = std::make_unique<Member>();
        member->calls = &kCalls;
        member->cluster = this;
        member->number = i;
        // Any two of them agree within a third: G / L is one and a half.
        member->rate = 0.85 + double(draw.Below(340)) / 1000;
        member->clock_base = 1000 + draw.Below(1000000);
        member->node = std::make_unique<Node>(draw.Next(), OfNode(options, draw), mutant, this);
        member->node->sid = NewId();
        members.push_back(std::move(member));
    }
    for (unsigned i = 0; i < options.shards; i++) {
        roster_place &place = shards[i].place;
        place.target = options.copies;
        place.min_isr = options.min_isr;
        for (unsigned k = 0; k < options.copies; k++) {
            place.replicas.ids[place.replicas.count++] = members[(i + k) % options.nodes]->node->sid;
        }
        rows.Begin(i, place.replicas);
    }
    clients = std::make_unique<Clients>(*this, draw.Next(), mutant);
}

Cluster::~Cluster()
{
    for (auto &m : members) m->node->Crash(false);
    fetches.clear();
    clients.reset();
}

roster_id Cluster::NewId()
{
    roster_id id;
    for (unsigned i = 0; i < sizeof(id.bytes); i++) id.bytes[i] = uint8_t(draw.Below(256));
    return id;
}

Member *Cluster::Of(const roster_id &sid)
{
    for (auto &m : members)
        if (roster_id_eq(&m->node->sid, &sid)) return m.get();
    return nullptr;
}

shard_peers *Cluster::PeersOf(Node &node)
{
    for (auto &m : members)
        if (m->node.get() == &node) return m.get();
    // The node is being made: it is the one without a cluster yet.
    Fail("a node that is nobody's");
}

// ---- time

void Cluster::Advance(uint64_t ms)
{
    for (uint64_t end = time + ms; time < end;) {
        time++;
        for (auto &m : members) {
            m->node->boot_ms = m->clock_base + uint64_t(double(time) * m->rate);
            m->node->now_ms = Now();
        }
        while (!due.empty() && due.begin()->first <= time) {
            Event event = std::move(due.begin()->second);
            due.erase(due.begin());
            event();
        }
        for (auto &m : members) {
            if (m->up() && time >= m->next_tick && time >= m->paused_until) {
                m->next_tick = time + kTickMs - 10 + draw.Below(20);
                replica_event tick = {};
                tick.kind = REPLICA_EVENT_TICK;
                tick.disk_ok = time >= m->disk_ill_until;
                for (unsigned i = 0; i < options.shards; i++) Tell(*m, i, tick);
            }
            if (!m->up() && m->node->log != nullptr) Down(*m, draw.OneIn(2), draw.Below(3000));
            if (!m->up() && time >= m->down_until) Up(*m, true);
        }
    }
}

void Cluster::StepNode(Member &member)
{
    Node &node = *member.node;
    if (!member.up() || time < member.paused_until) return;
    if (draw.OneIn(2)) node.StepLog(draw.OneIn(2));
    for (unsigned i = 0; i < 4 && node.up() && node.StepWorker(0); i++) {
        Check();
    }
    if (!node.up()) return;
    if (draw.OneIn(60)) node.IdleLog();
    if (node.up() && draw.OneIn(40)) node.Pay(unsigned(draw.Below(options.shards)));
    if (node.up() && draw.OneIn(80)) node.Flush(unsigned(draw.Below(options.shards)));
    if (node.up() && options.collects && draw.OneIn(80)) node.Collect();
}

void Cluster::Tell(Member &member, unsigned shard, replica_event event)
{
    if (!member.up()) return;
    member.node->Run();
    shard_copy_event(member.node->At(shard), &event, nullptr);
}

void Cluster::TellPlace(Member &member, unsigned shard)
{
    replica_event event = {};
    event.kind = REPLICA_EVENT_PLACE;
    event.place = &shards[shard].place;
    Tell(member, shard, event);
}

// ---- beginning and end of a node

void Cluster::Down(Member &member, bool power, uint64_t for_ms)
{
    Trace("%llu down %u %s", (unsigned long long)time, member.number, power ? "power" : "process");
    member.node->Crash(power);
    ForgetAll(member);
    clients->Crashed(member.node.get());
    member.reads.clear();
    member.snapshots.clear();
    member.installs.clear();
    member.down_until = time + for_ms;
}

void Cluster::Up(Member &member, bool with_faults)
{
    Node &node = *member.node;
    member.boots++;
    node.boot = NewId();
    for (unsigned tries = 0;; tries++) {
        Demand(tries < kOpenTriesMax, "a node does not come up again");
        if (!with_faults || tries > 2) {
            node.disk.FailSyncs(0);
            node.disk.SetCapacity(UINT64_MAX);
        }
        err e = node.Open();
        if (e.code == ERR_OK) break;
        Demand(e.code == ERR_IO || e.code == ERR_FULL || node.disk.dead(),
               std::string("a node refuses its data: ") + err_name(e.code) + " " + (e.what ? e.what : ""));
        node.Crash(draw.OneIn(2));
    }
    Trace("%llu up %u", (unsigned long long)time, member.number);
    rows.StoreIs(node.sid, node.boot);
    member.next_tick = time + draw.Below(kTickMs);
    for (unsigned i = 0; i < options.shards; i++) TellPlace(member, i);
}

// The directory is empty and has an id of its own; the controller places the shards there instead.
void Cluster::ReplaceStore(Member &member)
{
    if (member.up()) Down(member, true, 500);
    rows.StoreGone(member.node->sid);
    roster_id old = member.node->sid;
    for (unsigned i = 0; i < options.shards; i++) {
        auto &epochs = shards[i].gone.emplace_back();
        for (uint64_t index = 1; index <= member.node->OnDisk(i); index++)
            epochs.push_back(member.node->DiskEpoch(i, index));
    }
    member.node = std::make_unique<Node>(draw.Next(), OfNode(options, draw), mutant, this);
    member.node->sid = NewId();
    for (unsigned i = 0; i < options.shards; i++) {
        roster_copies &copies = shards[i].place.replicas;
        for (unsigned k = 0; k < copies.count; k++)
            if (roster_id_eq(&copies.ids[k], &old)) copies.ids[k] = member.node->sid;
        for (auto &m : members) TellPlace(*m, i);
    }
}

void Cluster::Join()
{
    for (auto &row : cut) std::fill(row.begin(), row.end(), false);
    for (auto &m : members) m->rows_away = false;
}

void Cluster::CutOff(unsigned number, bool in, bool out)
{
    for (unsigned i = 0; i < members.size(); i++) {
        if (i == number) continue;
        cut[i][number] = cut[i][number] || in;
        cut[number][i] = cut[number][i] || out;
    }
}

void Cluster::Ambush(Member &leader)
{
    unsigned number = leader.number;
    switch (draw.Below(4)) {
    case 0: // others start anew meanwhile: they have promised something
        CutOff(number, true, true);
        for (auto &m : members) {
            if (m->number != number && m->up() && draw.OneIn(2)) Down(*m, false, draw.Below(100));
        }
        At(time + 300 + draw.Below(1500), [this] { Join(); });
        return;
    case 1:
    case 2: { // the rows are slow: it is heard again when a takeover is on its way
        uint64_t back = time + 1500 + draw.Below(600), gone = back + 150 + draw.Below(200);
        CutOff(number, true, true);
        leader.rows_away = true;
        rows_slow_until = time + 4000;
        At(back, [this, number] {
            Join();
            members[number]->rows_away = true;
        });
        At(gone, [this, number] { CutOff(number, true, true); });
        At(gone + 1500, [this] { Join(); });
        return;
    }
    default: // what is sent to it comes late, and then nobody hears it any more
        leader.late_until = time + 3500;
        At(time + 200 + draw.Below(400), [this, number] { CutOff(number, false, true); });
        At(time + 3500, [this] { Join(); });
    }
}

void Cluster::Move(unsigned shard)
{
    roster_copies &copies = shards[shard].place.replicas;
    Member &to = *members[draw.Below(members.size())];
    if (roster_copies_have(&copies, &to.node->sid)) return;
    copies.ids[draw.Below(copies.count)] = to.node->sid;
    for (auto &m : members) TellPlace(*m, shard);
}

void Cluster::Transfer(unsigned shard)
{
    Node *leader = Target(shard);
    if (leader == nullptr) return;
    replica_event event = {};
    event.kind = REPLICA_EVENT_TRANSFER;
    event.from = members[draw.Below(members.size())]->node->sid;
    // Half of the time it is the controller that wishes so, and goes on wishing.
    roster_place &place = shards[shard].place;
    place.has_lead = time % 2 != 0 && roster_copies_have(&place.replicas, &event.from);
    place.lead = event.from;
    if (place.has_lead) {
        for (auto &m : members) TellPlace(*m, shard);
        return;
    }
    Tell(As(PeersOf(*leader)), shard, event);
}

// ---- the network

uint64_t Cluster::Delay() { return 1 + draw.Below(draw.OneIn(20) ? delay_ms * 10 : delay_ms); }

bool Cluster::Send(Member &from, unsigned shard, const roster_id &to, const replica_message &m,
                   const slog_record *entries)
{
    Member *there = Of(to);
    replica_note note = {shard, m, entries};
    replica_call call = {from.node->sid, from.node->boot, to, &note, 1};
    arena arena;
    span head;
    if (m.count > 0 && draw.OneIn(50)) return false; // the connection has no room
    arena_init(&arena, kArenaBytes);
    err e = replica_wire_put(&call, &arena, &head);
    Demand(e.code == ERR_OK, "a message can't be written");
    bool lost = there == nullptr || cut[from.number][there->number] || (loss_in != 0 && draw.OneIn(loss_in));
    auto packet = std::make_shared<Packet>();
    packet->head.assign(head.ptr, head.len);
    for (unsigned i = 0; i < m.count; i++) {
        Given(entries[i]);
        if (!lost && entries[i].payload.len > 0) packet->data.append(entries[i].payload.ptr, entries[i].payload.len);
    }
    arena_clear(&arena);
    if (lost) return true;
    messages++;
    packet->from = from.number;
    packet->to = there->number;
    unsigned times = double_in != 0 && draw.OneIn(double_in) ? 2 : 1;
    uint64_t late = time < there->late_until ? 600 + draw.Below(700) : 0;
    for (unsigned i = 0; i < times; i++) {
        At(time + late + Delay(), [this, packet] { Deliver(packet); });
    }
    return true;
}

void Cluster::Deliver(const PacketPtr &packet)
{
    Member &member = *members[packet->to];
    if (!member.up() || cut[packet->from][packet->to]) return;
    if (time < member.paused_until) { // it waits in the socket
        At(member.paused_until + draw.Below(5), [this, packet] { Deliver(packet); });
        return;
    }
    arena arena;
    replica_call call;
    arena_init(&arena, kArenaBytes);
    err e = replica_wire_take(S(packet->head), S(packet->data), &arena, &call);
    Demand(e.code == ERR_OK && call.notes_count == 1, "a message can't be read");
    const replica_note &note = call.notes[0];
    if (roster_id_eq(&call.to, &member.node->sid)) {
        replica_event event = {};
        event.kind = REPLICA_EVENT_MESSAGE;
        event.from = call.store;
        event.boot = call.boot;
        event.message = &note.message;
        member.node->Run();
        shard_copy_event(member.node->At(note.shard), &event, note.entries);
    }
    arena_clear(&arena);
}

// ---- the rows

void Cluster::Cas(Member &from, unsigned shard, const replica_cas &cas)
{
    Member *member = &from;
    unsigned boots = from.boots;
    auto answer = [this, member, shard, boots, cas](err_code code, uint64_t revision) {
        if (member->boots != boots || !member->up()) return;
        replica_event event = {};
        event.kind = REPLICA_EVENT_CAS;
        event.nonce = cas.row.nonce;
        event.code = code;
        event.index = revision;
        Tell(*member, shard, event);
    };
    // Now and then it is done long after it was given up, or a second time.
    bool reaches = !RowsAway(from) && !draw.OneIn(12), late = draw.OneIn(10);
    bool told = reaches && !draw.OneIn(10);
    if (late) {
        uint64_t when = time + draw.Below(6000);
        At(when, [this, shard, cas] { (void)rows.Change(shard, cas); });
    }
    if (!reaches) {
        At(time + 1000 + draw.Below(1000), [answer] { answer(ERR_UNKNOWN, 0); });
        return;
    }
    uint64_t takes = time < rows_slow_until ? 300 + draw.Below(900) : 1 + draw.Below(10);
    At(time + takes, [this, shard, cas, answer, told, member] {
        bool done = rows.Change(shard, cas) == Register::Outcome::DONE;
        uint64_t revision = rows.Row(shard).revision;
        bool lost = !told || RowsAway(*member);
        uint64_t when = time + (lost ? 1000 : 1) + draw.Below(10);
        err_code code = lost ? ERR_UNKNOWN : done ? ERR_OK : ERR_CONFLICT;
        At(when, [answer, code, revision] { answer(code, revision); });
    });
}

void Cluster::ReadRow(Member &from, unsigned shard)
{
    Member *member = &from;
    unsigned boots = from.boots;
    At(time + 1 + draw.Below(10), [this, member, shard, boots] {
        bool away = RowsAway(*member) || draw.OneIn(20);
        replica_config config = rows.Row(shard);
        At(time + (away ? 1000 : 1) + draw.Below(10), [this, member, shard, boots, away, config] {
            if (member->boots != boots || !member->up()) return;
            replica_event event = {};
            event.kind = REPLICA_EVENT_READ_ROW;
            event.code = away ? ERR_TIMEOUT : ERR_OK;
            event.config = &config;
            Tell(*member, shard, event);
        });
    });
}

void Cluster::Watch(unsigned shard)
{
    Member &member = *members[draw.Below(members.size())];
    if (!member.up() || RowsAway(member) || time < member.paused_until) return;
    replica_config config = rows.Seen(shard);
    replica_event event = {};
    event.kind = REPLICA_EVENT_CONFIG;
    event.config = &config;
    Tell(member, shard, event);
}

// ---- clients

// Whoever says that it leads: two may, for a moment.
Node *Cluster::Target(unsigned shard)
{
    std::vector<Node *> found;
    for (auto &m : members) {
        if (m->up() && m->node->Serves(shard) && time >= m->paused_until) found.push_back(m->node.get());
    }
    return found.empty() ? nullptr : found[draw.Below(found.size())];
}

void Cluster::ReadAtFollower(unsigned shard)
{
    Member &member = *members[draw.Below(members.size())];
    if (!member.up()) return;
    uint64_t id = ++read_ids;
    member.reads[id] = {shard, shards[shard].acknowledged};
    replica_event event = {};
    event.kind = REPLICA_EVENT_READ;
    event.index = id;
    Tell(member, shard, event);
}

void Cluster::ReadReady(Member &at, unsigned shard, uint64_t id, bool granted, uint64_t index)
{
    auto found = at.reads.find(id);
    if (found == at.reads.end()) return;
    if (granted) {
        reads++;
        Demand(found->second.shard == shard && index >= found->second.least,
               "a copy is told to read what is old");
    }
    at.reads.erase(found);
}

}  // namespace sim
