/* Tally: answered on the loop, from memory; and what AddressGet says of a log-in's counter. */
#include "loop.h"
#include "slot.h"
#include "store_serve_private.h"
#include "tally.h"

_Static_assert((int)TALLY_LOGIN_USER == (int)STORE_TALLY_LOGIN_USER &&
                   (int)TALLY_LOGIN_ADDRESS == (int)STORE_TALLY_LOGIN_ADDRESS &&
                   (int)TALLY_CONNECTIONS_SMTP == (int)STORE_TALLY_CONNECTIONS_SMTP &&
                   (int)TALLY_CONNECTIONS_IMAP == (int)STORE_TALLY_CONNECTIONS_IMAP &&
                   (int)TALLY_CONNECTIONS_POP3 == (int)STORE_TALLY_CONNECTIONS_POP3,
               "tally_kinds.def has the numbers of store.proto");

static struct err item_run(struct store_serve *serve, const struct shard *shard,
                           const struct store_tally_request *request, size_t number,
                           struct store_tally_answer *ret)
{
    const struct store_tally_item *item = &request->items[number];
    const struct tally_ask ask = {
        .key = item->key, .owner = request->owner, .window_ms = item->window_ms,
        .hold_ms = item->hold_ms, .lease_ms = request->lease_ms, .kind = item->kind,
        .tenant = item->tenant, .add = item->add, .limit = item->limit, .open = item->open,
        .more = item->more, .release = item->release, .clear = item->clear
    };
    struct tally_answer answer;
    uint32_t first, end;
    shard_slots(shard, &first, &end);
    unsigned slot = slot_of_name(item->key);
    if (slot < first || slot >= end) return err_make(ERR_MOVED, "not a key of this shard");
    TRY(tally_take(serve->tally, &ask, loop_now_ms(serve->loop), &answer));
    *ret = (struct store_tally_answer){ .count = answer.count, .granted = answer.granted,
                                        .held_ms = answer.held_ms, .began = answer.began,
                                        .reservation = answer.reservation, .busy = answer.busy };
    return err_ok();
}

static struct err tally_run(struct store_serve *serve, const struct store_tally_request *request,
                            struct arena *arena, struct store_tally_reply *reply)
{
    struct shard *shard = serve_shard(serve, STORE_METHOD_TALLY, request);
    if (shard == NULL) return err_make(ERR_MOVED, "not a slot of this node");
    if (!shard_serves(shard)) return serve_refusal(shard);
    TRY(serve_read_err(shard)); /* or another node counts already */
    if (request->items_count == 0 || request->items_count > STORE_TALLY_ITEMS_MAX) {
        return err_make(ERR_SYNTAX, "number of checks");
    }
    reply->answers = arena_alloc(arena, request->items_count * sizeof(*reply->answers));
    if (reply->answers == NULL) return err_make(ERR_NOMEM, "answers");
    reply->answers_count = request->items_count;
    for (size_t i = 0; i < request->items_count; i++) {
        struct store_tally_answer *answer = &reply->answers[i];
        struct err err = item_run(serve, shard, request, i, answer);
        if (err.code != ERR_OK) *answer = (struct store_tally_answer){ .status = err.code };
    }
    return err_ok();
}

void serve_tally(void *holder, struct rpc_serving *serving)
{
    struct store_tally_reply reply = { 0 };
    struct err err = tally_run(holder, rpc_serving_request(serving), rpc_serving_arena(serving),
                               &reply);
    if (err.code == ERR_OK) rpc_put_reply(serving, &reply);
    rpc_finish(serving, err, err.code == ERR_OK ? SPAN("") : span_of(err.what, strlen(err.what)));
}

void serve_login_state(struct store_serve *serve, const struct store_address_get_request *request,
                       struct store_address_reply *reply)
{
    const struct tally_ask ask = { .kind = TALLY_LOGIN_USER, .tenant = request->tenant,
                                   .key = request->address, .limit = request->login_limit,
                                   .window_ms = request->login_window_ms,
                                   .hold_ms = request->login_hold_ms, .more = 1 };
    uint64_t now_ms = loop_now_ms(serve->loop);
    struct tally_answer answer = { 0 };
    if (request->login_limit == 0) {
        if (!tally_look(serve->tally, &ask, now_ms, &answer)) return;
    } else if (tally_take(serve->tally, &ask, now_ms, &answer).code != ERR_OK) {
        answer.busy = true; /* nobody gets a place that is not counted by an error */
    }
    reply->login_failures = answer.count;
    reply->login_held_ms = answer.held_ms;
    reply->login_reservation = answer.reservation;
    reply->login_busy = answer.busy;
}
