/* MailboxLock: answered on the loop, from memory. */
#include "clock.h"
#include "store_serve_private.h"

static struct err lock_run(struct store_serve *serve, const struct store_mailbox_lock_request *ask,
                           struct store_mailbox_lock_reply *reply)
{
    struct serve_lock_name name = { ask->tenant, ask->mailbox, ask->account };
    struct shard *shard = serve_shard(serve, STORE_METHOD_MAILBOX_LOCK, ask);
    if (shard == NULL) return err_make(ERR_MOVED, "not a slot of this node");
    if (!shard_serves(shard)) return serve_refusal(shard);
    TRY(serve_read_err(shard)); /* or another node gives locks already */
    if (ask->release) {
        serve_locks_release(&serve->locks, &name, ask->owner);
        return err_ok();
    }
    reply->lease_ms = ask->lease_ms;
    return serve_locks_take(&serve->locks, &name, ask->owner, clock_boot_ms(), &reply->lease_ms);
}

void serve_mailbox_lock(void *holder, struct rpc_serving *serving)
{
    struct store_mailbox_lock_reply reply = { 0 };
    struct err err = lock_run(holder, rpc_serving_request(serving), &reply);
    if (err.code == ERR_OK) rpc_put_reply(serving, &reply);
    rpc_finish(serving, err, err.code == ERR_OK ? SPAN("") : span_of(err.what, strlen(err.what)));
}
