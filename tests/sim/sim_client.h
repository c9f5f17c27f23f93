// Clients of the node: they send commands, wait, give up, and send the same command again. What
// they must be told, and what the shard must hold afterwards, goes to the oracle (sim_mail.h).
#ifndef GODWIT_SIM_CLIENT_H
#define GODWIT_SIM_CLIENT_H

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "body.h"
#include "sim_mail.h"
#include "sim_node.h"

struct mbox_due;

namespace sim {

// A command as its client knows it; sent until it is answered, always with the same ids.
struct Operation {
    unsigned method = 0, shard = 0;
    uint64_t made_ms = 0;
    std::string id;
    uint64_t account = 0;
    std::vector<std::pair<std::string, uint64_t>> targets; // Deliver: id, account
    std::string mailbox, to, uids, owner;
    uint32_t box = 0;
    uint64_t flags = 0, internaldate_ms = 0, unchanged_since = 0;
    unsigned mode = 0, limit = 0;
    bool move = false, remove = false;
    Body body;
    std::string queue_id;
    uint32_t slot = 0;
    uint64_t version = 0, due_ms = 0, lease_ms = 0;

    // The answers given or on their way: one, but for those of leaders whose entries were lost.
    struct First { uint64_t epoch, index; std::string text; bool lost; };
    std::vector<First> firsts;
    bool answered = false; // with OK, once at least
    unsigned under_way = 0;
};
using OperationPtr = std::shared_ptr<Operation>;

// The answer to one sending, in a form that can be compared.
struct Answer {
    err_code code = ERR_OK;
    bool duplicate = false, changes = false;
    std::string text;                // the reply, packed; Lease: the ids
    std::vector<Touched> touched;
    struct Result { uint32_t status, uid, uidvalidity; bool duplicate; };
    std::vector<Result> results;     // Deliver
    uint32_t uid = 0, uidvalidity = 0, mailbox = 0;
    uint64_t modseq = 0;
    Uids from_uids, to_uids;         // Copy; Expunge and FlagsSet (modified): from_uids
    struct Leased { std::string id; uint64_t version, lease_until_ms; };
    std::vector<Leased> leased;
    bool more = false;
};

// What clients call: one node, or several of which they find the one that leads.
class World {
public:
    virtual ~World() = default;
    virtual unsigned shards_count() const = 0;
    virtual unsigned ShardOf(uint32_t slot) const = 0;
    virtual void Slots(unsigned shard, uint32_t *first, uint32_t *end) const = 0;
    virtual Node *Target(unsigned shard) = 0; // NULL: nobody says that it serves
    virtual uint64_t Now() const = 0;
    virtual bool copies() const = 0;
    virtual void Acknowledged(Node &, unsigned, uint64_t /* index */) {}
};

class Clients {
public:
    Clients(World &world, uint64_t seed, Mutant mutant);
    ~Clients();

    void Send();          // a new command, or one of those that wait to be sent again
    bool SendOpen();      // one whose answer never came; false: there is none
    void Maintain(unsigned shard);
    // After each step: what has been applied has happened.
    void Settle(Node &node);
    // After a recovery: what the log did not keep has not.
    void Recovered(Node &node);
    // All memory of the node is gone; nobody is answered.
    void Crashed(Node *of);
    void Compare(Node &node, unsigned shard);
    Mail &MailOf(unsigned shard) { return mails[shard]; }
    bool waits() const { return !attempts.empty(); }
    uint64_t sent = 0, acknowledged = 0, repeated = 0, digest = 14695981039346656037u;

private:
    struct Attempt;
    friend struct Attempt;
    OperationPtr Make();
    void MakeMessage(Operation &op);
    void MakeQueue(Operation &op);
    std::string Id();
    Body MakeBody();
    const Box *PickBox(uint64_t account, std::string *name);
    Uids PickUids(const Box &box);
    void Start(const OperationPtr &op);
    void Run(Attempt &attempt);
    void Expect(Attempt &attempt, const Answer &answer, uint64_t index);
    void Done(Attempt &attempt, err e);
    void Drop(Attempt &attempt);
    mbox_context Context(Node &node, unsigned shard, bool ahead);
    bool FirstAgain(const Attempt &attempt, const Answer &answer, uint64_t epoch);
    void Note(const std::string &text, uint64_t number);
    // sim_effect.cc: what an executed command does to the model, and whether its answer fits.
    static void Happen(Mail &mail, const Operation &op, const Answer &answer, uint64_t time_ms);

    World &world;
    Draw draw;
    Mutant mutant;
    std::vector<Mail> mails; // by shard
    std::vector<std::vector<uint64_t>> accounts;
    std::vector<OperationPtr> again; // not answered, or answered and sent again for no reason
    std::vector<Attempt *> attempts; // in the order of their sending
    body_budget budget = {1ull << 30, 1ull << 30, 0, 0, "/tmp"};
    uint64_t ids = 0, bodies = 0;
    bool has_big;
    std::string stamp, facts;
};

// sim_request.cc: has the command prepared on `context`.
err Prepare(const mbox_context &context, const Operation &op, body_budget *budget,
            const std::string &stamp, const std::string &facts, mbox_result *result);
// The answer out of a result.
Answer Understand(const Operation &op, const mbox_result &result);

}  // namespace sim
#endif
