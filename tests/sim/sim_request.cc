// Commands as requests of store.proto, and their replies.
#include "sim_client.h"
#include "store_msg.h"

namespace sim {

namespace {

struct Call {
    const mbox_context &context;
    struct body *body;
    mbox_result *result;
    err Do(unsigned method, const void *request)
    {
        return mbox_change(&context, method, request, body, result);
    }
};

err Deliver(Call &call, const Operation &op, const std::string &stamp, const std::string &facts)
{
    std::vector<store_deliver_target> targets;
    for (auto &[id, account] : op.targets) {
        store_deliver_target t = {};
        t.operation_id = S(id);
        t.tenant = 1;
        t.account = account;
        t.mailbox = S(op.mailbox);
        t.flags = op.flags;
        targets.push_back(t);
    }
    store_deliver_request r = {};
    r.targets = targets.data();
    r.targets_count = targets.size();
    r.facts = S(facts);
    r.size = uint32_t(op.body->size());
    r.internaldate_ms = op.internaldate_ms;
    r.scan_stamp = S(stamp);
    return call.Do(op.method, &r);
}

template <typename Request>
Request Of(const Operation &op)
{
    Request r = {};
    r.operation_id = S(op.id);
    r.tenant = 1;
    r.account = op.account;
    return r;
}

err Append(Call &call, const Operation &op, const std::string &stamp, const std::string &facts)
{
    auto r = Of<store_append_request>(op);
    r.mailbox = S(op.mailbox);
    r.flags = op.flags;
    r.internaldate_ms = op.internaldate_ms;
    r.facts = S(facts);
    r.size = uint32_t(op.body->size());
    r.scan_stamp = S(stamp);
    return call.Do(op.method, &r);
}

err OfMailbox(Call &call, const Operation &op)
{
    if (op.method == STORE_METHOD_MAILBOX_CREATE) {
        auto r = Of<store_mailbox_create_request>(op);
        r.name = S(op.mailbox);
        return call.Do(op.method, &r);
    }
    if (op.method == STORE_METHOD_MAILBOX_DELETE) {
        auto r = Of<store_mailbox_delete_request>(op);
        r.name = S(op.mailbox);
        return call.Do(op.method, &r);
    }
    auto r = Of<store_mailbox_rename_request>(op);
    r.from = S(op.mailbox);
    r.to = S(op.to);
    return call.Do(op.method, &r);
}

err OfMessages(Call &call, const Operation &op)
{
    if (op.method == STORE_METHOD_FLAGS_SET) {
        auto r = Of<store_flags_set_request>(op);
        r.mailbox = op.box;
        r.uids = S(op.uids);
        r.mode = op.mode;
        r.flags = op.flags;
        r.has_unchanged_since = op.unchanged_since != 0;
        r.unchanged_since = op.unchanged_since;
        return call.Do(op.method, &r);
    }
    if (op.method == STORE_METHOD_COPY) {
        auto r = Of<store_copy_request>(op);
        r.mailbox = op.box;
        r.uids = S(op.uids);
        r.to = S(op.to);
        r.move = op.move;
        return call.Do(op.method, &r);
    }
    auto r = Of<store_expunge_request>(op);
    r.mailbox = op.box;
    r.uids = S(op.uids);
    r.any_flags = op.remove;
    return call.Do(op.method, &r);
}

err OfQueue(Call &call, const Operation &op, const std::string &stamp)
{
    if (op.method == STORE_METHOD_QUEUE_LEASE) {
        store_queue_lease_request r = {};
        r.operation_id = S(op.id);
        r.shard = op.shard;
        r.owner = S(op.owner);
        r.lease_ms = op.lease_ms;
        r.limit = op.limit;
        return call.Do(op.method, &r);
    }
    store_queue_recipient recipient = {};
    recipient.address = SPAN("somebody@example.org");
    recipient.due_ms = op.due_ms;
    store_queue_entry entry = {};
    entry.id = S(op.queue_id);
    entry.slot = op.slot;
    entry.tenant = 1;
    entry.recipients = &recipient;
    entry.recipients_count = 1;
    entry.scan_stamp = S(stamp);
    entry.version = op.version;
    if (op.method == STORE_METHOD_QUEUE_PUT) {
        store_queue_put_request r = {};
        r.operation_id = S(op.id);
        r.has_entry = true;
        entry.size = uint32_t(op.body->size());
        r.entry = entry;
        return call.Do(op.method, &r);
    }
    store_queue_report_request r = {};
    r.operation_id = S(op.id);
    r.has_entry = true;
    r.entry = entry;
    r.remove = op.remove;
    return call.Do(op.method, &r);
}

err AccountCreate(Call &call, const Operation &op)
{
    store_account_create_request r = {};
    std::string address = "u" + std::to_string(op.account) + "@example.org";
    r.operation_id = S(op.id);
    r.has_account = true;
    r.account.tenant = 1;
    r.account.account = op.account;
    r.account.address = S(address);
    return call.Do(op.method, &r);
}

err Dispatch(Call &call, const Operation &op, const std::string &stamp, const std::string &facts)
{
    switch (op.method) {
    case STORE_METHOD_ACCOUNT_CREATE: return AccountCreate(call, op);
    case STORE_METHOD_DELIVER: return Deliver(call, op, stamp, facts);
    case STORE_METHOD_APPEND: return Append(call, op, stamp, facts);
    case STORE_METHOD_FLAGS_SET:
    case STORE_METHOD_COPY:
    case STORE_METHOD_EXPUNGE: return OfMessages(call, op);
    case STORE_METHOD_QUEUE_PUT:
    case STORE_METHOD_QUEUE_LEASE:
    case STORE_METHOD_QUEUE_REPORT: return OfQueue(call, op, stamp);
    default: return OfMailbox(call, op);
    }
}

}  // namespace

err Prepare(const mbox_context &context, const Operation &op, body_budget *budget,
            const std::string &stamp, const std::string &facts, mbox_result *result)
{
    Call call = {context, nullptr, result};
    if (op.body != nullptr) {
        Demand(body_new(budget, &call.body).code == ERR_OK, "body_new");
        Demand(body_put(call.body, S(*op.body)).code == ERR_OK, "body_put");
        Demand(body_seal(call.body).code == ERR_OK, "body_seal");
    }
    err e = Dispatch(call, op, stamp, facts);
    body_unref(call.body);
    return e;
}

namespace {

template <typename Reply>
const Reply &As(const mbox_result &result) { return *static_cast<const Reply *>(result.reply); }

const proto_type *ReplyType(unsigned method)
{
    switch (method) {
    case STORE_METHOD_ACCOUNT_CREATE: return &store_account_reply_type;
    case STORE_METHOD_APPEND: return &store_append_reply_type;
    case STORE_METHOD_FLAGS_SET: return &store_flags_set_reply_type;
    case STORE_METHOD_COPY: return &store_copy_reply_type;
    case STORE_METHOD_EXPUNGE: return &store_expunge_reply_type;
    case STORE_METHOD_QUEUE_PUT: return &store_queue_reply_type;
    case STORE_METHOD_MAILBOX_CREATE:
    case STORE_METHOD_MAILBOX_RENAME: return &store_mailbox_reply_type;
    default: return &store_progress_reply_type;
    }
}

std::string Packed(unsigned method, const void *reply)
{
    arena arena;
    span bytes;
    arena_init(&arena, 16 << 20);
    Demand(proto_pack(ReplyType(method), reply, &arena, &bytes).code == ERR_OK, "proto_pack");
    std::string text = Str(bytes);
    arena_clear(&arena);
    return text;
}

void OfDeliver(const mbox_result &result, Answer *a)
{
    auto &reply = As<store_deliver_reply>(result);
    for (size_t i = 0; i < reply.results_count; i++) {
        const store_deliver_result &r = reply.results[i];
        a->results.push_back({r.status, r.uid, r.uidvalidity, r.duplicate});
        a->text += std::to_string(r.status) + "/" + std::to_string(r.uid) + "/" +
                   std::to_string(r.uidvalidity) + " ";
    }
}

void OfLease(const mbox_result &result, Answer *a)
{
    auto &reply = As<store_queue_list_reply>(result);
    for (size_t i = 0; i < reply.entries_count; i++) {
        const store_queue_entry &entry = reply.entries[i];
        a->leased.push_back({Str(entry.id), entry.version, entry.lease_until_ms});
        a->text += Str(entry.id);
    }
    a->more = reply.more;
}

}  // namespace

Answer Understand(const Operation &op, const mbox_result &result)
{
    Answer a;
    a.duplicate = result.duplicate;
    a.changes = result.batches_count > 0;
    for (size_t i = 0; i < result.touched_count; i++) {
        const mbox_touched &t = result.touched[i];
        a.touched.push_back({t.account, t.mailbox, t.modseq});
    }
    if (op.method == STORE_METHOD_DELIVER) return OfDeliver(result, &a), a;
    if (op.method == STORE_METHOD_QUEUE_LEASE) return OfLease(result, &a), a;
    a.text = Packed(op.method, result.reply);
    if (op.method == STORE_METHOD_APPEND) {
        auto &r = As<store_append_reply>(result);
        a.uid = r.uid, a.uidvalidity = r.uidvalidity, a.modseq = r.modseq, a.mailbox = r.mailbox;
    } else if (op.method == STORE_METHOD_FLAGS_SET) {
        auto &r = As<store_flags_set_reply>(result);
        a.modseq = r.modseq, a.from_uids = UidsOf(r.modified);
    } else if (op.method == STORE_METHOD_COPY) {
        auto &r = As<store_copy_reply>(result);
        a.uidvalidity = r.uidvalidity, a.modseq = r.modseq;
        a.from_uids = UidsOf(r.from_uids), a.to_uids = UidsOf(r.to_uids);
    } else if (op.method == STORE_METHOD_EXPUNGE) {
        auto &r = As<store_expunge_reply>(result);
        a.modseq = r.modseq, a.from_uids = UidsOf(r.expunged);
    } else if (op.method == STORE_METHOD_MAILBOX_CREATE || op.method == STORE_METHOD_MAILBOX_RENAME) {
        auto &r = As<store_mailbox_reply>(result);
        a.mailbox = r.mailbox.id, a.uidvalidity = r.mailbox.uidvalidity;
    }
    return a;
}

}  // namespace sim
