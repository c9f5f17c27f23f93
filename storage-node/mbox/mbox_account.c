#include "mbox_account_private.h"
#include "store_msg.h"

struct err mbox_account_check(const struct store_account *account)
{
    if (account->account == 0) return err_make(ERR_SYNTAX, "account number");
    if (account->kind > STORE_ACCOUNT_LIST || account->state > STORE_ACCOUNT_DELETED ||
        account->role > MBOX_ROLE_MAX)
        return err_make(ERR_SYNTAX, "kind, state or role of an account");
    if (account->address.len == 0 || account->address.len > MBOX_ADDRESS_MAX_BYTES)
        return err_make(ERR_SYNTAX, "address of an account");
    if (account->addresses_count > MBOX_ACCOUNT_ADDRESSES_MAX ||
        account->groups_count > MBOX_ACCOUNT_ADDRESSES_MAX ||
        account->forward_count > MBOX_ACCOUNT_ADDRESSES_MAX)
        return err_make(ERR_TOO_BIG, "addresses of an account");
    return err_ok();
}

struct err mbox_account_get(struct kv_reader *rows, const struct kv_owner *owner,
                            struct arena *arena, struct store_account *ret)
{
    struct kv_key key;
    struct kv_value value = { 0 };
    struct span packed;
    kv_key_begin(&key, owner, KV_ACCOUNT);
    TRY(mbox_get(rows, &key, &value));
    struct err err = mbox_packed_read(value.bytes, &packed);
    if (err.code == ERR_OK) err = proto_unpack(&store_account_type, packed, arena, ret);
    kv_value_free(&value);
    return err.code == ERR_SYNTAX ? err_make(ERR_CORRUPT, "ACCOUNT row") : err;
}

void mbox_account_usage(const struct mbox_context *context, const struct mbox_counters *counters,
                        struct store_account_usage *ret)
{
    *ret = (struct store_account_usage){
        .bytes = counters->used_bytes,
        .items = counters->used_items,
        .modseq = counters->modseq,
        .quota_bytes = counters->quota_bytes != 0 ? counters->quota_bytes : context->quota_bytes,
        .quota_items = counters->quota_items != 0 ? counters->quota_items : context->quota_items,
    };
}

struct err mbox_account_put(struct mbox_work *work, const struct kv_owner *owner,
                            const struct store_account *account)
{
    struct kv_key key;
    struct span packed;
    TRY(proto_pack(&store_account_type, account, work->arena, &packed));
    if (packed.len > MBOX_ACCOUNT_MAX_BYTES) return err_make(ERR_TOO_BIG, "account");
    kv_key_begin(&key, owner, KV_ACCOUNT);
    char *to = kv_batch_put_room(&work->batch, kv_key_span(&key), 1 + packed.len);
    if (to == NULL) return err_make(ERR_TOO_BIG, "batch");
    to[0] = MBOX_ROW_VERSION;
    memcpy(to + 1, packed.ptr, packed.len);
    return err_ok();
}
