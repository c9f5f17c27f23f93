#include "sim_client.h"

#include <algorithm>

#include "facts.h"
#include "kv.h"
#include "kv_key.h"
#include "mail_flags.h"
#include "mbox_index.h"
#include "mbox_maintain.h"
#include "scan_stamp.h"
#include "sim_shell.h"
#include "slot.h"
#include "store_msg.h"

namespace sim {

namespace {
enum : uint64_t {
    kBigBytes = 6 * 1024 * 1024, // MBOX_PART_BYTES: a message is two batches
    kHourMs = 3600 * 1000,
    kRepeatMs = kHourMs, // clients send again so long
    kKeepMs = 2 * kHourMs,
};
const char *const kNames[] = {"INBOX", "a", "b", "c", "d"};

std::string MakeFacts()
{
    facts f = {};
    f.date_ms = INT64_MIN;
    f.fields = SPAN("Subject: simulated\r\n");
    f.envelope = SPAN("(NIL)");
    f.structure = SPAN("(\"TEXT\" \"PLAIN\")");
    f.preview = f.parts = SPAN("");
    std::string row(facts_bytes(&f), '\0');
    facts_write(&f, row.data());
    return row;
}

std::string MakeStamp()
{
    scan_stamp s = {};
    s.why = SCAN_WHY_OFF;
    std::string bytes(SCAN_STAMP_BYTES, '\0');
    scan_stamp_write(&s, bytes.data());
    return bytes;
}

// The planted fault `forget-dedupe`.
void DropFirstAnswers(mbox_result *result)
{
    for (size_t i = 0; i < result->batches_count; i++) {
        kv_batch kept;
        kv_batch_init(&kept);
        span bytes = span_of(result->batches[i].bytes, result->batches[i].len), tail;
        kv_change change;
        while (kv_batch_next(&bytes, &change).code == ERR_OK) {
            kv_owner owner;
            unsigned kind = 0;
            bool ok = kv_key_read(change.key, &owner, &kind, &tail).code == ERR_OK;
            if (ok && kind == KV_OPERATION) continue;
            if (change.op == KV_PUT) kv_batch_put(&kept, change.key, change.value);
            if (change.op == KV_DELETE) kv_batch_delete(&kept, change.key);
            if (change.op == KV_DELETE_RANGE) kv_batch_delete_range(&kept, change.key, change.value);
        }
        kv_batch_free(&result->batches[i]);
        result->batches[i] = kept;
    }
}
}  // namespace

// One sending of a command; without one: a chore of the keeper.
struct Clients::Attempt {
    struct Job : shard_job { Attempt *self; } job;
    struct Change : shard_change { Attempt *self; } change;
    Clients *clients;
    OperationPtr op;
    Node &node; // that was called
    unsigned shard, chore = 0;
    mbox_result result;
    Answer answer;

    Attempt(Clients *clients_, OperationPtr op_, Node &node_, unsigned shard_)
        : job{}, change{}, clients(clients_), op(std::move(op_)), node(node_), shard(shard_)
    {
        mbox_result_init(&result);
        job.self = change.self = this;
        job.run = [](shard_job *j) {
            Attempt *self = static_cast<Job *>(j)->self;
            self->clients->Run(*self);
        };
        change.done = [](shard_change *c, err e) {
            Attempt *self = static_cast<Change *>(c)->self;
            self->clients->Done(*self, e);
        };
        if (op != nullptr) op->under_way++;
    }
    ~Attempt()
    {
        mbox_result_free(&result);
        if (op != nullptr) op->under_way--;
    }
};

Clients::Clients(World &world_, uint64_t seed, Mutant mutant_)
    : world(world_), draw(seed), mutant(mutant_), mails(world_.shards_count()),
      accounts(world_.shards_count()), has_big(!world_.copies() && draw.OneIn(40)), stamp(MakeStamp()), facts(MakeFacts())
{
    // Two accounts per shard, and one that is never made.
    for (uint64_t number = 1, missing = accounts.size() * 3; missing > 0; number++) {
        auto &of_shard = accounts[world.ShardOf(slot_of_account(number))];
        if (of_shard.size() == 3) continue;
        of_shard.push_back(number);
        missing--;
    }
    for (unsigned shard = 0; shard < accounts.size(); shard++) {
        for (unsigned i = 0; i < 2; i++) {
            auto op = std::make_shared<Operation>();
            op->method = STORE_METHOD_ACCOUNT_CREATE;
            op->shard = shard;
            op->account = accounts[shard][i];
            op->id = Id();
            op->made_ms = world.Now();
            again.push_back(op);
        }
    }
}

Clients::~Clients() { Crashed(nullptr); }

void Clients::Note(const std::string &text, uint64_t number)
{
    for (unsigned char c : text) digest = (digest ^ c) * 1099511628211u;
    digest = (digest ^ number) * 1099511628211u;
}

mbox_context Clients::Context(Node &node, unsigned shard, bool ahead)
{
    mbox_context context = {};
    struct shard *at = node.At(shard);
    context.rows = ahead ? shard_rows_ahead(at) : shard_rows(at);
    context.time_ms = world.Now();
    shard_slots(at, &context.slot_first, &context.slot_end);
    if (ahead) context.due = shard_due(at);
    return context;
}

// ---- sending

void Clients::Start(const OperationPtr &op)
{
    Node *node = world.Target(op->shard);
    if (node == nullptr) return again.push_back(op);
    auto *attempt = new Attempt(this, op, *node, op->shard);
    attempts.push_back(attempt);
    sent++;
    node->Run();
    if (shard_post(node->At(op->shard), &attempt->job).code != ERR_OK) {
        again.push_back(op);
        Drop(*attempt);
    }
}

bool Clients::SendOpen()
{
    while (!again.empty()) {
        size_t at = draw.Below(again.size());
        OperationPtr op = again[at];
        again.erase(again.begin() + long(at));
        if (world.Now() - op->made_ms > kRepeatMs) continue; // its client has given up
        repeated++;
        Start(op);
        return true;
    }
    return false;
}

void Clients::Send()
{
    if (!again.empty() && draw.OneIn(4) && SendOpen()) return;
    OperationPtr op = Make();
    if (op == nullptr) return;
    Start(op);
    if (draw.OneIn(20)) Start(op); // sent twice at once
}

void Clients::Maintain(unsigned shard)
{
    Node *node = world.Target(shard);
    if (node == nullptr) return;
    auto *attempt = new Attempt(this, nullptr, *node, shard);
    attempt->chore = unsigned(draw.Below(4));
    attempts.push_back(attempt);
    node->Run();
    if (shard_post(node->At(shard), &attempt->job).code != ERR_OK) Drop(*attempt);
}

void Clients::Drop(Attempt &attempt)
{
    attempts.erase(std::find(attempts.begin(), attempts.end(), &attempt));
    delete &attempt;
}

// On the shard's thread, as change_run() of store_serve_change.c.
void Clients::Run(Attempt &attempt)
{
    Node &node = attempt.node;
    struct shard *shard = node.At(attempt.shard);
    mbox_result *result = &attempt.result;
    if (world.copies() && !node.Serves(attempt.shard)) { // it was led here when it was called
        if (attempt.op != nullptr) again.push_back(attempt.op);
        return Drop(attempt);
    }
    bool late = attempt.op != nullptr && world.Now() - attempt.op->made_ms > kRepeatMs;
    if (late) return Drop(attempt); // its client has given up, and its first answer may be trimmed
    if (mutant == Mutant::LOSE_OVERLAY) sim_shell_clear_overlay(shard);
    mbox_context context = Context(node, attempt.shard, true);
    uint64_t before = context.time_ms - kKeepMs;
    err e = err_ok();
    if (attempt.op != nullptr) e = Prepare(context, *attempt.op, &budget, stamp, facts, result);
    else if (attempt.chore == 0) e = mbox_trim_operations(&context, before, result);
    else if (attempt.chore == 1) e = mbox_trim_bodies(&context, before, result);
    else if (attempt.chore == 2) e = mbox_sweep(&context, result);
    else e = mbox_trim_transactions(&context, result);
    Demand(e.code != ERR_CORRUPT && e.code != ERR_IO && e.code != ERR_NOMEM,
           std::string("rows are broken: ") + (e.what ? e.what : ""));
    if (mutant == Mutant::FORGET_DEDUPE) DropFirstAnswers(result);
    if (e.code != ERR_OK) {
        attempt.answer.code = e.code;
        uint64_t last = node.Replica(attempt.shard).last_index;
        if (attempt.op != nullptr) Expect(attempt, attempt.answer, last);
        Drop(attempt);
        return;
    }
    if (attempt.op != nullptr) attempt.answer = Understand(*attempt.op, *result);
    e = shard_propose(shard, result->batches, result->batches_count, &attempt.change);
    if (e.code == ERR_OK) {
        if (attempt.op != nullptr) Expect(attempt, attempt.answer, attempt.change.index);
        return;
    }
    bool moved = e.code == ERR_MOVED && world.copies();
    Demand(e.code == ERR_BUSY || e.code == ERR_FULL || e.code == ERR_CONFLICT || moved,
           std::string("a change is refused: ") + err_name(e.code));
    if (attempt.op != nullptr) again.push_back(attempt.op);
    Drop(attempt);
}

// ---- what must come of it

// The answer is said to be the first one again.
bool Clients::FirstAgain(const Attempt &attempt, const Answer &answer, uint64_t epoch)
{
    const Operation &op = *attempt.op;
    for (auto &first : op.firsts) {
        // A leader that is one no more still has what it lost.
        if (first.lost && !(world.copies() && first.epoch == epoch)) continue;
        if (op.method != STORE_METHOD_QUEUE_LEASE) {
            if (answer.text == first.text) return true;
            continue;
        }
        bool all = true;
        for (size_t i = 0; i < answer.leased.size(); i++) {
            bool was = false;
            for (size_t at = 0; at < first.text.size(); at += 16)
                was = was || first.text.compare(at, 16, answer.leased[i].id) == 0;
            all = all && was;
        }
        if (all) return true;
    }
    return false;
}

void Clients::Expect(Attempt &attempt, const Answer &answer, uint64_t index)
{
    Operation &op = *attempt.op;
    std::string what = "method " + std::to_string(op.method) + ": ";
    uint64_t epoch = attempt.node.Replica(op.shard).epoch;
    bool duplicate = answer.duplicate;
    for (auto &result : answer.results) duplicate = duplicate || result.duplicate;
    Note(answer.text, answer.code);
    Trace("method %u of account %llu %s %s -> %s: %s%s, entry %llu of epoch %llu", op.method,
          static_cast<unsigned long long>(op.account), op.mailbox.c_str(), op.to.c_str(),
          duplicate ? "again" : "", err_name(answer.code), answer.changes ? ", changes" : "",
          static_cast<unsigned long long>(index), static_cast<unsigned long long>(epoch));
    if (duplicate) {
        Demand(!op.firsts.empty(), what + "the first answer of something that never happened");
        Demand(!answer.changes, what + "done a second time");
        Demand(FirstAgain(attempt, answer, epoch), what + "a retry gets another answer");
        return;
    }
    for (auto &first : op.firsts) {
        Demand(first.lost || first.epoch > epoch, what + "a retry does not get the first answer");
    }
    size_t number = op.firsts.size();
    bool changes = answer.changes;
    if (changes) op.firsts.push_back({epoch, index, answer.text, false});
    Mail &mail = mails[op.shard];
    OperationPtr kept = attempt.op;
    uint64_t time_ms = world.Now();
    Mail::Step step = {index, epoch,
                       [&mail, kept, answer, time_ms] { Happen(mail, *kept, answer, time_ms); },
                       [kept, changes, number] { if (changes) kept->firsts[number].lost = true; }};
    if (world.copies()) mail.AddOf(std::move(step));
    else mail.Add(std::move(step));
}

void Clients::Done(Attempt &attempt, err e)
{
    if (attempt.op == nullptr) return Drop(attempt);
    OperationPtr op = attempt.op;
    if (e.code == ERR_OK) {
        Node &node = attempt.node;
        uint64_t index = attempt.change.index;
        Demand(index <= node.Replica(op->shard).applied_index, "I9: answered before it is applied");
        Demand(index <= node.OnDisk(op->shard), "I9: answered before it is on the disk");
        op->answered = true;
        world.Acknowledged(node, op->shard, index);
        acknowledged++;
        Note("", index);
    } else {
        bool unknown = e.code == ERR_UNKNOWN && world.copies();
        Demand(e.code == ERR_FULL || e.code == ERR_CONFLICT || e.code == ERR_BUSY || unknown,
               std::string("a change fails: ") + err_name(e.code));
    }
    if (e.code != ERR_OK || draw.OneIn(8)) again.push_back(op);
    Drop(attempt);
}

void Clients::Settle(Node &node)
{
    for (unsigned i = 0; i < mails.size() && node.up(); i++) {
        mails[i].DropAfter(node.Replica(i).last_index);
        mails[i].Advance(node.Replica(i).applied_index);
    }
}

void Clients::Recovered(Node &node)
{
    for (unsigned i = 0; i < mails.size(); i++) mails[i].DropAfter(node.OnDisk(i));
}

void Clients::Crashed(Node *of)
{
    std::vector<Attempt *> others;
    for (Attempt *attempt : attempts) {
        if (of != nullptr && &attempt->node != of) {
            others.push_back(attempt);
            continue;
        }
        if (attempt->op != nullptr) again.push_back(attempt->op);
        delete attempt;
    }
    attempts = others;
}

void Clients::Compare(Node &node, unsigned shard)
{
    node.Run();
    mbox_context context = Context(node, shard, false);
    mails[shard].Compare(context, shard_index(node.At(shard)), shard);
    node.CheckRows(shard);
}

// ---- new commands

// base/id.h, with a number for the random part.
std::string Clients::Id()
{
    std::string id(16, '\0');
    uint32_t seconds = uint32_t(world.Now() / 1000);
    uint64_t number = ++ids;
    for (int i = 0; i < 4; i++) id[size_t(i)] = char(seconds >> (24 - 8 * i));
    memcpy(&id[8], &number, 8);
    return id;
}

Body Clients::MakeBody()
{
    // One of several batches now and then: body chunks are logged ahead of their message.
    bool big = has_big && draw.OneIn(60);
    size_t bytes = big               ? kBigBytes + draw.Below(kBigBytes / 4)
                   : draw.OneIn(60) ? 20000 + draw.Below(20000)
                                     : 1 + draw.Below(700);
    std::string text = "mail " + std::to_string(++bodies) + " ";
    Draw fill(draw.Next());
    while (text.size() < bytes) {
        uint64_t word = fill.Next();
        text.append(reinterpret_cast<const char *>(&word), sizeof(word));
    }
    return std::make_shared<const std::string>(text);
}

const Box *Clients::PickBox(uint64_t account, std::string *name)
{
    auto &boxes = mails[world.ShardOf(slot_of_account(account))].accounts[account].boxes;
    auto at = std::next(boxes.begin(), long(draw.Below(boxes.size())));
    *name = at->first;
    return &at->second;
}

Uids Clients::PickUids(const Box &box)
{
    Uids uids;
    uint64_t one_in = draw.OneIn(3) ? 1 : 4;
    for (uint32_t uid = 1; uid < box.uidnext + 2; uid++)
        if (draw.OneIn(one_in)) uids.push_back(uid);
    if (uids.empty()) uids.push_back(box.uidnext);
    return uids;
}

void Clients::MakeMessage(Operation &op)
{
    std::string name;
    const Box &box = *PickBox(op.account, &name);
    op.box = box.id;
    op.flags = draw.Next() & MAIL_FLAGS_SETTABLE;
    switch (draw.Below(6)) {
    case 0:
    case 1:
        op.method = STORE_METHOD_FLAGS_SET;
        op.uids = SetOf(PickUids(box));
        op.mode = unsigned(draw.Below(3));
        if (draw.OneIn(4)) {
            op.unchanged_since = 1 + draw.Below(mails[op.shard].accounts[op.account].modseq + 2);
        }
        return;
    case 2:
    case 3:
        op.method = STORE_METHOD_COPY;
        op.uids = SetOf(PickUids(box));
        op.to = kNames[draw.Below(5)];
        op.move = box.messages.size() > 40 || draw.OneIn(2);
        return;
    default:
        op.method = STORE_METHOD_EXPUNGE;
        if (!draw.OneIn(3)) op.uids = SetOf(PickUids(box));
        op.remove = draw.OneIn(box.messages.size() > 30 ? 1 : 4);
    }
}

void Clients::MakeQueue(Operation &op)
{
    Mail &mail = mails[op.shard];
    auto at = mail.queue.begin();
    if (!mail.queue.empty()) std::advance(at, long(draw.Below(mail.queue.size())));
    uint64_t mode = draw.Below(4);
    if (mode <= 1 || mail.queue.empty()) {
        op.method = STORE_METHOD_QUEUE_PUT;
        op.queue_id = Id();
        uint32_t first, end;
        world.Slots(op.shard, &first, &end);
        op.slot = uint32_t(first + draw.Below(4) * 37 % (end - first));
        op.queue_id[4] = char(op.slot >> 8);
        op.queue_id[5] = char(op.slot & 0xff);
        op.due_ms = world.Now() + draw.Below(2000);
        op.body = MakeBody();
    } else if (mode == 2) {
        op.method = STORE_METHOD_QUEUE_LEASE;
        op.owner = draw.OneIn(2) ? "courier one" : "courier two";
        op.lease_ms = 1 + draw.Below(5000);
        op.limit = unsigned(1 + draw.Below(4));
    } else {
        op.method = STORE_METHOD_QUEUE_REPORT;
        op.queue_id = at->first;
        op.slot = uint32_t(uint8_t(op.queue_id[4]) << 8 | uint8_t(op.queue_id[5]));
        op.version = at->second.version;
        op.due_ms = world.Now() + draw.Below(5000);
        op.remove = draw.OneIn(2);
    }
}

OperationPtr Clients::Make()
{
    auto op = std::make_shared<Operation>();
    op->shard = unsigned(draw.Below(mails.size()));
    op->made_ms = world.Now();
    op->id = Id();
    op->account = accounts[op->shard][draw.Below(2)];
    op->mailbox = draw.OneIn(2) ? "INBOX" : kNames[draw.Below(5)];
    op->flags = draw.Next() & MAIL_FLAGS_SETTABLE & ~MAIL_FLAG_DELETED;
    op->internaldate_ms = 1 + draw.Below(1000000);
    if (mails[op->shard].accounts.count(op->account) == 0) return nullptr; // not made yet
    uint64_t kind = draw.Below(16);
    if (kind < 4) {
        op->method = STORE_METHOD_DELIVER;
        op->body = MakeBody();
        for (uint64_t number : accounts[op->shard]) {
            // One that is being made might be there for the retry only.
            bool never = number == accounts[op->shard][2];
            bool stays = never || mails[op->shard].accounts.count(number) != 0;
            if (!stays || (draw.OneIn(2) && number != op->account)) continue;
            op->targets.emplace_back(Id(), number);
        }
    } else if (kind < 6) {
        op->method = STORE_METHOD_APPEND;
        op->body = MakeBody();
    } else if (kind < 11) {
        MakeMessage(*op);
    } else if (kind < 14) {
        MakeQueue(*op);
    } else if (kind == 14 || op->mailbox == "INBOX") {
        op->method = STORE_METHOD_MAILBOX_CREATE;
    } else {
        op->to = kNames[1 + draw.Below(4)];
        bool renames = op->to != op->mailbox && draw.OneIn(2);
        op->method = renames ? STORE_METHOD_MAILBOX_RENAME : STORE_METHOD_MAILBOX_DELETE;
    }
    return op;
}

}  // namespace sim
