#include "checkpoint_fetch.h"

#include <stdlib.h>
#include <string.h>

#include "checkpoint_fetch_private.h"
#include "loop.h"
#include "replica_msg.h"
#include "rpc.h"
#include "shard.h"
#include "store_node.h"
#include "store_open.h"

enum { ADDRESS_BYTES = 512 };

/* ---- beginning and end */

static void over(struct later *later)
{
    struct checkpoint_fetcher *fetcher = LIST_ITEM(later, struct checkpoint_fetcher, over);
    void (*closed)(void *) = fetcher->options.closed;
    void *holder = fetcher->options.holder;
    free(fetcher);
    if (closed != NULL) closed(holder);
}

static void end_if_over(struct checkpoint_fetcher *fetcher)
{
    for (unsigned i = 0; i < CHECKPOINT_FETCHES_MAX; i++) {
        if (fetcher->fetches[i] != NULL) return;
    }
    if (fetcher->closing && !later_is_posted(&fetcher->over))
        later_post(loop_later(fetcher->loop), &fetcher->over, over);
}

static void pieces_free(struct fetch *fetch)
{
    while (fetch->first != NULL) {
        struct fetch_piece *next = fetch->first->next;
        free(fetch->first);
        fetch->first = next;
    }
    fetch->last = NULL;
}

void fetch_end(struct fetch *fetch, struct err err)
{
    struct checkpoint_fetcher *fetcher = fetch->fetcher;
    struct checkpoint_notice notice = { fetch->number, err, fetch->install.epoch,
                                        fetch->install.index };
    timer_stop(&fetch->timer);
    (void)!checkpoint_files_close(&fetch->open).code; /* what was not synced is not used */
    for (unsigned i = 0; i < CHECKPOINT_FETCHES_MAX; i++) {
        if (fetcher->fetches[i] == fetch) fetcher->fetches[i] = NULL;
    }
    rpc_client_free(fetch->client);
    pieces_free(fetch);
    free(fetch->take);
    free(fetch);
    loop_release(fetcher->loop);
    void (*noticed)(void *, const struct checkpoint_notice *) = fetcher->options.noticed;
    if (noticed != NULL) noticed(fetcher->options.holder, &notice);
    end_if_over(fetcher);
}

struct err fetch_work(struct fetch *fetch, void (*run)(struct crew_job *),
                      void (*done)(struct crew_job *))
{
    fetch->job = (struct crew_job){ .run = run, .done = done, .loop = fetch->fetcher->loop };
    struct err err = crew_run(fetch->fetcher->options.crew, &fetch->job);
    fetch->at_work = err.code == ERR_OK;
    return err;
}

void fetch_wait(struct fetch *fetch, uint64_t wait_ms, void (*run)(void *holder))
{
    timer_start(fetch->fetcher->loop, &fetch->timer, wait_ms, run, fetch);
}

void fetch_pause(struct fetch *fetch, void (*run)(void *holder))
{
    fetch_wait(fetch, fetch->fetcher->options.break_ms, run);
}

/* ---- the call */

static void settle(struct fetch *fetch);
static void call_begin(void *holder);

/* Gives the call up; settle() goes on when it is over. */
static void break_off(struct fetch *fetch, struct err why)
{
    if (fetch->bad.code == ERR_OK) fetch->bad = why;
    if (fetch->call != NULL) rpc_call_cancel(fetch->call);
}

/* Pieces that were taken can't be written: what is on the disk has a gap, so nothing goes on. */
static void lose(struct fetch *fetch, struct err why)
{
    pieces_free(fetch);
    fetch->bad = err_make_detail(why.code == ERR_FULL ? ERR_FULL : ERR_IO, why.detail, why.what);
    if (fetch->call != NULL) rpc_call_cancel(fetch->call);
    else settle(fetch);
}

static void stalled(void *holder)
{
    break_off(holder, err_make(ERR_TIMEOUT, "checkpoint: nothing comes"));
}

static void write_run(struct crew_job *job)
{
    struct fetch *fetch = LIST_ITEM(job, struct fetch, job);
    bool full = store_node_is_full(fetch->fetcher->options.node, NULL);
    fetch->err = full ? err_make(ERR_FULL, "disk below the reserve")
                      : checkpoint_files_write(&fetch->open, fetch->path, fetch->take->files,
                                               &fetch->first->piece);
}

static void write_next(struct fetch *fetch);

static void write_done(struct crew_job *job)
{
    struct fetch *fetch = LIST_ITEM(job, struct fetch, job);
    struct fetch_piece *written = fetch->first;
    fetch->at_work = false;
    if (fetch->err.code != ERR_OK) {
        lose(fetch, fetch->err);
        return;
    }
    fetch->breaks = 0;
    if (fetch->call != NULL) rpc_call_took(fetch->call, written->piece.bytes.len);
    fetch->first = written->next;
    if (fetch->first == NULL) fetch->last = NULL;
    free(written);
    write_next(fetch);
}

static void write_next(struct fetch *fetch)
{
    if (fetch->at_work) return;
    if (fetch->first == NULL) {
        if (fetch->call == NULL) settle(fetch);
        return;
    }
    struct err err = fetch_work(fetch, write_run, write_done);
    if (err.code != ERR_OK) lose(fetch, err);
}

static struct err keep(struct fetch *fetch, const struct checkpoint_piece *piece)
{
    struct fetch_piece *kept = malloc(sizeof(*kept) + piece->bytes.len);
    if (kept == NULL) return err_make(ERR_NOMEM, "piece of a checkpoint");
    memcpy(kept->bytes, piece->bytes.ptr, piece->bytes.len);
    kept->next = NULL;
    kept->piece = *piece;
    kept->piece.bytes = span_of(kept->bytes, piece->bytes.len);
    if (fetch->last == NULL) fetch->first = kept;
    else fetch->last->next = kept;
    fetch->last = kept;
    return err_ok();
}

static void on_data(void *holder, struct rpc_call *call, struct span bytes)
{
    struct fetch *fetch = holder;
    (void)call;
    while (bytes.len > 0 && fetch->bad.code == ERR_OK) {
        struct checkpoint_piece piece;
        bool whole = false;
        struct err err = checkpoint_take_data(fetch->take, &bytes, &whole, &piece);
        if (err.code == ERR_OK && whole) err = keep(fetch, &piece);
        if (err.code != ERR_OK) break_off(fetch, err);
    }
    fetch_wait(fetch, CHECKPOINT_STALL_MS, stalled);
    if (fetch->first != NULL) write_next(fetch);
}

static void on_reply(void *holder, struct rpc_call *call, const void *reply)
{
    struct fetch *fetch = holder;
    (void)call;
    if (fetch->bad.code != ERR_OK) return;
    struct err err = checkpoint_take_reply(fetch->take, reply);
    if (err.code != ERR_OK) break_off(fetch, err);
    fetch_wait(fetch, CHECKPOINT_STALL_MS, stalled);
}

static void on_done(void *holder, struct rpc_call *call, struct err err, struct span info)
{
    struct fetch *fetch = holder;
    (void)call, (void)info;
    fetch->call = NULL;
    timer_stop(&fetch->timer);
    bool cut = err.code == ERR_OK && !fetch->take->whole;
    if (cut) err = err_make(ERR_SYNTAX, "end of a checkpoint before its end");
    if (fetch->bad.code == ERR_OK) fetch->bad = err;
    write_next(fetch);
}

static void call_begin(void *holder)
{
    static const struct rpc_call_user user = { on_data, on_reply, on_done };
    struct fetch *fetch = holder;
    const struct checkpoint_take *take = fetch->take;
    struct rpc_call_options options = { .deadline_ms = 0 };
    struct roster_id sid;
    store_node_id(fetch->fetcher->options.node, sid.bytes);
    struct peer_checkpoint_request request = {
        .store = span_of(sid.bytes, sizeof(sid.bytes)),
        .boot = span_of(fetch->fetcher->options.boot->bytes, sizeof(sid.bytes)),
        .to = span_of(fetch->from.bytes, sizeof(fetch->from.bytes)),
        .shard = fetch->number,
        .checkpoint = take->begun ? span_of(take->id, sizeof(take->id)) : SPAN(""),
        .file = take->file, .offset = take->offset,
    };
    if (fetch->fetcher->closing) {
        fetch_end(fetch, err_make(ERR_CANCELLED, "checkpoint"));
        return;
    }
    checkpoint_take_again(fetch->take);
    fetch->bad = err_ok();
    struct err err = rpc_call_start(fetch->client, peer_method_find(PEER_METHOD_CHECKPOINT),
                                    &request, &options, &user, fetch, &fetch->call);
    if (err.code != ERR_OK) fetch_end(fetch, err);
    else fetch_wait(fetch, CHECKPOINT_STALL_MS, stalled);
}

/* ---- what to do after a call */

static void begin_run(struct crew_job *job)
{
    struct fetch *fetch = LIST_ITEM(job, struct fetch, job);
    fetch->err = checkpoint_files_close(&fetch->open);
    if (fetch->err.code == ERR_OK)
        fetch->err = store_incoming_begin(fetch->fetcher->options.node, fetch->number, fetch->path,
                                          sizeof(fetch->path));
}

static void begin_done(struct crew_job *job)
{
    struct fetch *fetch = LIST_ITEM(job, struct fetch, job);
    fetch->at_work = false;
    if (fetch->err.code != ERR_OK) fetch_end(fetch, fetch->err);
    else call_begin(fetch);
}

static void begin_again(void *holder)
{
    struct err err = fetch_work(holder, begin_run, begin_done);
    if (err.code != ERR_OK) fetch_end(holder, err);
}

static bool may_go_on(struct fetch *fetch, struct err why)
{
    bool closing = fetch->fetcher->closing;
    if (!closing && ++fetch->breaks <= CHECKPOINT_BREAKS_MAX) return true;
    fetch_end(fetch, closing ? err_make(ERR_CANCELLED, "checkpoint") : why);
    return false;
}

void fetch_anew(struct fetch *fetch, struct err why)
{
    checkpoint_take_forget(fetch->take);
    if (may_go_on(fetch, why)) fetch_pause(fetch, begin_again);
}

/* The call is over, and everything that came is written. */
static void settle(struct fetch *fetch)
{
    struct err why = fetch->bad;
    if (why.code == ERR_OK) {
        fetch_look(fetch);
        return;
    }
    switch ((unsigned)why.code) {
    case ERR_NOT_FOUND: /* gone */
    case ERR_CONFLICT:
    case ERR_CORRUPT:
    case ERR_SYNTAX: fetch_anew(fetch, why); break;
    case ERR_BUSY:
    case ERR_TIMEOUT:
    case ERR_UNKNOWN:
    case ERR_UNREACHABLE:
        if (may_go_on(fetch, why)) fetch_pause(fetch, call_begin);
        break;
    default: fetch_end(fetch, why); /* it leads no more, or there is no room here */
    }
}

/* ---- who wants one */

static struct err client_new(struct fetch *fetch, struct span address)
{
    char text[ADDRESS_BYTES];
    if (address.len >= sizeof(text) || memchr(address.ptr, 0, address.len) != NULL)
        return err_make(ERR_SYNTAX, "address of a storage node");
    memcpy(text, address.ptr, address.len);
    text[address.len] = '\0';
    struct rpc_client_options options = { .address = text, .self = fetch->fetcher->options.self,
                                          .peer_roles = RPC_ROLE_STORAGE_NODE };
    return rpc_client_new(fetch->fetcher->loop, &options, &fetch->client);
}

static struct err place_find(struct checkpoint_fetcher *fetcher, uint32_t shard,
                             struct fetch ***ret)
{
    struct fetch **place = NULL;
    for (unsigned i = 0; i < CHECKPOINT_FETCHES_MAX; i++) {
        struct fetch *other = fetcher->fetches[i];
        if (other != NULL && other->number == shard) return err_make(ERR_EXISTS, "checkpoint");
        if (other == NULL) place = &fetcher->fetches[i];
    }
    if (place == NULL || fetcher->closing) return err_make(ERR_BUSY, "checkpoints");
    *ret = place;
    return err_ok();
}

struct err checkpoint_fetcher_want(struct checkpoint_fetcher *fetcher, uint32_t number,
                                   const struct roster_id *from, struct span address)
{
    struct store_node *node = fetcher->options.node;
    struct shard *shard = number < store_node_shards(node) ? store_node_shard(node, number) : NULL;
    struct fetch **place = NULL;
    if (shard == NULL) return err_make(ERR_NOT_FOUND, "shard");
    TRY(place_find(fetcher, number, &place));
    struct fetch *fetch = calloc(1, sizeof(*fetch));
    if (fetch == NULL) return err_make(ERR_NOMEM, "checkpoint");
    fetch->fetcher = fetcher;
    fetch->shard = shard;
    fetch->number = number;
    fetch->from = *from;
    fetch->open.fd = -1;
    fetch->bad = fetch->err = fetch->said = err_ok();
    fetch->take = calloc(1, sizeof(*fetch->take));
    struct err err = fetch->take == NULL ? err_make(ERR_NOMEM, "checkpoint")
                                         : client_new(fetch, address);
    if (err.code != ERR_OK) {
        free(fetch->take);
        free(fetch);
        return err;
    }
    *place = fetch;
    loop_hold(fetcher->loop);
    fetch_wait(fetch, TIMER_WAIT_MIN_MS, begin_again);
    return err_ok();
}

struct err checkpoint_fetcher_open(struct loop *loop,
                                   const struct checkpoint_fetcher_options *options,
                                   struct checkpoint_fetcher **ret)
{
    struct checkpoint_fetcher *fetcher = calloc(1, sizeof(*fetcher));
    if (fetcher == NULL) return err_make(ERR_NOMEM, "checkpoints");
    fetcher->loop = loop;
    fetcher->options = *options;
    if (fetcher->options.break_ms == 0) fetcher->options.break_ms = CHECKPOINT_BREAK_MS;
    *ret = fetcher;
    return err_ok();
}

void checkpoint_fetcher_close(struct checkpoint_fetcher *fetcher)
{
    if (fetcher == NULL) return;
    fetcher->closing = true;
    for (unsigned i = 0; i < CHECKPOINT_FETCHES_MAX; i++) {
        struct fetch *fetch = fetcher->fetches[i];
        if (fetch != NULL && fetch->call != NULL)
            break_off(fetch, err_make(ERR_CANCELLED, "checkpoint"));
        /* What only waits for its time waits no longer. */
        else if (fetch != NULL && timer_is_armed(&fetch->timer))
            timer_start(fetcher->loop, &fetch->timer, TIMER_WAIT_MIN_MS, fetch->timer.run, fetch);
    }
    end_if_over(fetcher);
}
