#include "mbox_cmd_private.h"
#include "mbox_directory_private.h"
#include "slot.h"
#include "store_msg.h"

enum { GRANT_BYTES_MAX_SHIFT = 60 };

/* A row with the key that it has and what it holds, nothing when it is not there. */
struct grant_row {
    struct kv_key key;
    struct mbox_grant now;
    bool is_there;
};

static struct err load(struct mbox_work *work, const struct store_grant_put_request *request,
                       struct span group, struct span name, struct grant_row *ret)
{
    static const char end[1] = { 0 };
    struct kv_owner owner = { slot_of_account(request->tenant), request->tenant, 0 };
    struct kv_value value = { 0 };
    *ret = (struct grant_row){ .is_there = false };
    kv_key_begin(&ret->key, &owner, KV_GRANT);
    kv_key_bytes(&ret->key, group);
    kv_key_bytes(&ret->key, span_of(end, sizeof(end)));
    kv_key_bytes(&ret->key, name);
    struct err err = mbox_get(work->context->rows, &ret->key, &value);
    if (err.code == ERR_NOT_FOUND) return err_ok();
    TRY(err);
    err = mbox_grant_read(value.bytes, &ret->now);
    kv_value_free(&value);
    ret->is_there = err.code == ERR_OK;
    return err;
}

static void store(struct mbox_work *work, struct grant_row *row)
{
    char bytes[MBOX_GRANT_BYTES];
    mbox_grant_write(&row->now, bytes);
    kv_batch_put(&work->batch, kv_key_span(&row->key), span_of(bytes, sizeof(bytes)));
}

static void replace(struct mbox_grant *total, const struct mbox_grant *old,
                    const struct mbox_grant *new)
{
    total->count += new->count - old->count;
    total->bytes += new->bytes - old->bytes;
    total->unlimited += new->unlimited - old->unlimited;
}

/* Only what grows can be too much: who has a part too many may still give some back. */
static struct err check(const struct store_grant_put_request *request,
                        const struct grant_row *tenant, const struct grant_row *group,
                        const struct grant_row *one)
{
    bool is_more = !one->is_there || request->bytes == 0 || request->bytes > one->now.bytes;
    if (request->remove) return err_ok();
    if (!one->is_there && request->count_max != 0 && tenant->now.count > request->count_max)
        return err_make(ERR_QUOTA, "the tenant has as many users as it may");
    if (!one->is_there && request->group_count_max != 0 &&
        group->now.count > request->group_count_max)
        return err_make(ERR_QUOTA, "the domain has as many users as it may");
    if (request->bytes_max == 0 || !is_more) return err_ok();
    if (request->bytes == 0 || tenant->now.bytes > request->bytes_max)
        return err_make(ERR_QUOTA, "the tenant's quota of bytes does not hold it");
    return err_ok();
}

static struct err put(struct mbox_work *work, const struct store_grant_put_request *request,
                      struct store_grant_reply *reply)
{
    struct grant_row tenant, group, one;
    struct mbox_grant new = { 0 };
    if (!request->remove) new = (struct mbox_grant){ 1, request->bytes, request->bytes == 0 };
    TRY(load(work, request, SPAN(""), SPAN(""), &tenant));
    TRY(load(work, request, request->group, SPAN(""), &group));
    TRY(load(work, request, request->group, request->name, &one));
    if (request->name.len > 0) {
        replace(&tenant.now, &one.now, &new);
        replace(&group.now, &one.now, &new);
        TRY(check(request, &tenant, &group, &one));
        one.now = new;
        store(work, &tenant);
        store(work, &group);
        if (!request->remove) store(work, &one);
        else kv_batch_delete(&work->batch, kv_key_span(&one.key));
    }
    *reply = (struct store_grant_reply){ .count = tenant.now.count, .bytes = tenant.now.bytes,
                                         .unlimited = tenant.now.unlimited,
                                         .group_count = group.now.count,
                                         .is_there = one.is_there };
    return err_ok();
}

static struct err check_request(const struct store_grant_put_request *request)
{
    if (request->tenant == 0) return err_make(ERR_SYNTAX, "tenant");
    if (request->group.len > MBOX_DOMAIN_MAX_BYTES || request->name.len > MBOX_LOCAL_MAX_BYTES ||
        memchr(request->group.len == 0 ? "" : request->group.ptr, 0, request->group.len) != NULL)
        return err_make(ERR_SYNTAX, "group or name");
    if (request->name.len > 0 && request->group.len == 0) return err_make(ERR_SYNTAX, "group");
    if (request->bytes >> GRANT_BYTES_MAX_SHIFT != 0) return err_make(ERR_SYNTAX, "bytes");
    return err_ok();
}

struct err mbox_cmd_grant_put(struct mbox_work *work,
                              const struct store_grant_put_request *request, struct body *body)
{
    struct mbox_done done;
    uint16_t slot = slot_of_account(request->tenant);
    (void)body;
    TRY(check_request(request));
    TRY(mbox_operation_find(work, slot, request->operation_id, STORE_METHOD_GRANT_PUT,
                            &store_grant_reply_type, &done));
    if (done.found) {
        mbox_answer_again(work, &done);
        return err_ok();
    }
    struct store_grant_reply *reply = mbox_work_alloc(work, sizeof(*reply));
    if (reply == NULL) return err_make(ERR_NOMEM, "reply");
    TRY(put(work, request, reply));
    if (request->name.len == 0) {
        work->result->reply = reply;
        return err_ok();
    }
    return mbox_answer(work, slot, request->operation_id, STORE_METHOD_GRANT_PUT,
                       &store_grant_reply_type, reply);
}
