#include "mbox_cmd_private.h"
#include "mbox_directory_private.h"
#include "slot.h"
#include "store_msg.h"

enum { TARGETS_MAX = 10000, ROW_MAX_BYTES = 4 * 1024 * 1024 };

static struct err check(const struct store_address_put_request *request)
{
    if (request->address.len == 0 || request->address.len > MBOX_ADDRESS_MAX_BYTES)
        return err_make(ERR_SYNTAX, "address");
    if (request->remove) return err_ok();
    if (request->kind == STORE_ADDRESS_NONE || request->kind > STORE_ADDRESS_RESOURCE ||
        request->state > STORE_ADDRESS_RESERVED)
        return err_make(ERR_SYNTAX, "kind or state of an address");
    if (request->targets_count > TARGETS_MAX) return err_make(ERR_TOO_BIG, "targets");
    for (size_t i = 0; i < request->targets_count; i++)
        if (request->targets[i].len == 0 || request->targets[i].len > MBOX_ADDRESS_MAX_BYTES)
            return err_make(ERR_SYNTAX, "target of an address");
    return err_ok();
}

static struct err write_row(struct mbox_work *work, const struct kv_key *key,
                            const struct store_address_reply *row)
{
    struct span packed;
    TRY(proto_pack(&store_address_reply_type, row, work->arena, &packed));
    if (packed.len > ROW_MAX_BYTES) return err_make(ERR_TOO_BIG, "address");
    char *to = kv_batch_put_room(&work->batch, kv_key_span(key), 1 + packed.len);
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    to[0] = MBOX_ROW_VERSION;
    memcpy(to + 1, packed.ptr, packed.len);
    return err_ok();
}

static struct err put(struct mbox_work *work, uint16_t slot,
                      const struct store_address_put_request *request)
{
    struct store_address_reply before = { 0 };
    struct kv_key key;
    mbox_address_key(request->tenant, request->address, &key);
    struct err err = mbox_address_get(work->context->rows, &key, work->arena, &before);
    if (err.code != ERR_NOT_FOUND) TRY(err);
    if (!request->any_version && before.version != request->if_version)
        return err_make(ERR_CONFLICT, "address");
    struct store_address_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    if (request->remove) {
        if (before.version != 0) kv_batch_delete(&work->batch, kv_key_span(&key));
    } else {
        *reply = (struct store_address_reply){
            .kind = request->kind,
            .state = request->state,
            .tenant = request->tenant,
            .account = request->account,
            .targets = request->targets,
            .targets_count = request->targets_count,
            .name = request->name,
            .version = before.version + 1,
            .reserved_ms = request->state == STORE_ADDRESS_RESERVED ? work->context->time_ms : 0,
        };
        TRY(write_row(work, &key, reply));
    }
    return mbox_answer_copy(work, slot, request->operation_id, STORE_METHOD_ADDRESS_PUT,
                            &store_address_reply_type, reply);
}

struct err mbox_cmd_address_put(struct mbox_work *work,
                                const struct store_address_put_request *request,
                                struct body *body)
{
    struct mbox_done done;
    uint16_t slot = slot_of_name(request->address);
    (void)body;
    TRY(check(request));
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_ADDRESS_PUT,
                            &store_address_reply_type, &done));
    if (!done.found) return put(work, slot, request);
    mbox_answer_again(work, &done);
    return err_ok();
}
