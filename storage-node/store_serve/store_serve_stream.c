/* Streams: Fetch, Changes, Uids, QueueBody. A buffer is filled on the crew, sent by the loop, and
 * the next one filled once the receiver has taken enough. */
#include <stdlib.h>

#include "buf.h"
#include "kv.h"
#include "kv_key.h"
#include "loop.h"
#include "mail_stream.h"
#include "mbox_fetch.h"
#include "mbox_index.h"
#include "slot.h"
#include "store_serve_private.h"

struct serve_stream {
    char *bytes;
    size_t len, size;
    bool more;                 /* there is more to fill */
    bool opened;
    bool holds;                /* what it shows was true when it was asked for */
    /* One of these is the source. */
    struct mbox_fetch *fetch;
    struct mbox_view view;
    bool has_view;
    struct mbox_view_at at;
    struct mbox_wanted wanted;
    uint32_t place;
    struct mbox_body_cursor body;
    bool has_body;
    /* A body that did not fit into a buffer goes on in the next. */
    struct span piece;
    bool in_body;
    union {
        struct store_fetch_reply fetch;
        struct store_changes_reply changes;
        struct store_uids_reply uids;
        struct store_queue_body_reply queue_body;
    } reply;
};

static void stream_end(struct serve_call *call, struct err err)
{
    struct serve_stream *stream = call->stream;
    mbox_fetch_close(stream->fetch);
    if (stream->has_view) mbox_view_close(&stream->view);
    if (stream->has_body) mbox_body_close(&stream->body);
    if (err.code == ERR_OK) rpc_put_reply(call->serving, &stream->reply);
    free(stream->bytes);
    free(stream);
    serve_call_end(call, err);
}

static void stream_go(void *holder);

/* While it waits for the receiver: the receiver has gone. */
static void stream_cancelled(void *holder)
{
    struct serve_call *call = holder;
    rpc_serving_on_ready(call->serving, NULL, NULL);
    stream_end(call, err_make(ERR_CANCELLED, "stream"));
}

static void stream_sent(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct serve_stream *stream = call->stream;
    bool room = true;
    if (!stream->holds) {
        /* Once: all that follows is of the same snapshot, or of bodies that never change. */
        struct err holds = serve_read_err(call->shard);
        if (holds.code != ERR_OK) call->err = holds;
        stream->holds = true;
    }
    if (call->err.code == ERR_OK && rpc_serving_cancelled(call->serving)) {
        call->err = err_make(ERR_CANCELLED, "stream");
    }
    if (call->err.code == ERR_OK && stream->len > 0) {
        room = rpc_put_data(call->serving, span_of(stream->bytes, stream->len));
        stream->len = 0;
    }
    if (call->err.code != ERR_OK || !stream->more) {
        stream_end(call, call->err);
    } else if (room) {
        stream_go(call);
    } else {
        rpc_serving_on_ready(call->serving, stream_go, call);
        rpc_serving_on_cancel(call->serving, stream_cancelled, call);
    }
}

static void stream_go(void *holder)
{
    struct serve_call *call = holder;
    rpc_serving_on_cancel(call->serving, NULL, NULL);
    struct err err = crew_run(call->serve->options.reads, &call->crew);
    if (err.code != ERR_OK) stream_end(call, err);
}

static bool stream_room(struct serve_stream *stream, size_t more)
{
    if (more <= stream->size - stream->len) return true;
    size_t size = stream->size * 2;
    while (size - stream->len < more) size *= 2;
    char *grown = realloc(stream->bytes, size);
    if (grown == NULL) return false;
    stream->bytes = grown;
    stream->size = size;
    return true;
}

static struct err stream_put(struct serve_stream *stream, struct span bytes)
{
    if (!stream_room(stream, bytes.len)) return err_make(ERR_NOMEM, "stream");
    memcpy(stream->bytes + stream->len, bytes.ptr, bytes.len);
    stream->len += bytes.len;
    return err_ok();
}

static void stream_start(void *holder, struct rpc_serving *serving, void (*run)(struct crew_job *))
{
    struct serve_call *call = serve_call_new(holder, serving);
    if (call == NULL) return;
    call->stream = calloc(1, sizeof(*call->stream));
    if (call->stream != NULL) {
        call->stream->size = STORE_SERVE_STREAM_BYTES + STORE_SERVE_STREAM_BYTES / 8;
        call->stream->bytes = malloc(call->stream->size);
    }
    if (call->stream == NULL || call->stream->bytes == NULL) {
        free(call->stream);
        serve_call_end(call, err_make(ERR_NOMEM, "stream"));
        return;
    }
    call->stream->more = true;
    call->crew = (struct crew_job){ .run = run, .done = stream_sent, .loop = call->serve->loop };
    stream_go(call);
}

/* ---- views of the index */

static void fill_view(struct serve_stream *stream)
{
    struct buf out;
    buf_init(&out, stream->bytes, STORE_SERVE_STREAM_BYTES);
    stream->more = mbox_view_records(&stream->view, &stream->wanted, &stream->at, &out);
    stream->len = out.len;
}

static void open_owner(uint32_t tenant, uint64_t account, struct kv_owner *owner)
{
    *owner = (struct kv_owner){ slot_of_account(account), tenant, account };
}

/* ---- Fetch */

static struct err fetch_open(struct serve_call *call, struct serve_stream *stream)
{
    const struct store_fetch_request *request = call->request;
    struct mbox_context context;
    struct kv_owner owner;
    if (request->items != 0) {
        serve_context(call->shard, shard_rows(call->shard), &context);
        return mbox_fetch_open(&context, request, &stream->fetch,
                               &stream->reply.fetch.highestmodseq);
    }
    open_owner(request->tenant, request->account, &owner);
    TRY(mbox_view_open(shard_index(call->shard), shard_rows(call->shard), &owner, request->mailbox,
                       &stream->view));
    stream->has_view = true;
    stream->at = (struct mbox_view_at)MBOX_VIEW_START;
    stream->wanted = (struct mbox_wanted){ request->uids, request->uids.len == 0,
                                           request->changed_since };
    stream->reply.fetch.highestmodseq = stream->view.highestmodseq;
    return err_ok();
}

/* Records until the buffer is full. */
static struct err fetch_fill(struct serve_stream *stream)
{
    while (stream->len < STORE_SERVE_STREAM_BYTES) {
        struct err err;
        if (stream->in_body) {
            err = mbox_fetch_piece(stream->fetch, &stream->piece);
            if (err.code == ERR_OK) {
                TRY(stream_put(stream, stream->piece));
                continue;
            }
            stream->in_body = false;
            if (err.code != ERR_NOT_FOUND) return err;
        }
        struct mail_record record;
        err = mbox_fetch_next(stream->fetch, &record, &stream->piece);
        if (err.code == ERR_NOT_FOUND) {
            stream->more = false;
            return err_ok();
        }
        if (err.code != ERR_OK) return err;
        size_t head = mail_record_head_bytes(&record);
        if (!stream_room(stream, head)) return err_make(ERR_NOMEM, "stream");
        mail_record_head(&record, stream->bytes + stream->len);
        stream->len += head;
        stream->reply.fetch.records++;
        if ((record.items & MAIL_RECORD_BODY) == 0) continue;
        TRY(stream_put(stream, stream->piece));
        stream->in_body = true;
    }
    return err_ok();
}

static void fetch_run(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct serve_stream *stream = call->stream;
    if (!stream->opened) {
        stream->opened = true;
        call->err = fetch_open(call, stream);
    }
    if (call->err.code != ERR_OK) return;
    if (stream->has_view) {
        fill_view(stream);
        stream->reply.fetch.records = stream->at.records;
    } else {
        call->err = fetch_fill(stream);
    }
}

void serve_fetch(void *holder, struct rpc_serving *serving)
{
    stream_start(holder, serving, fetch_run);
}

/* ---- Changes */

static void changes_run(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct serve_stream *stream = call->stream;
    const struct store_changes_request *request = call->request;
    struct mbox_context context;
    if (!stream->opened) {
        stream->opened = true;
        serve_context(call->shard, shard_rows(call->shard), &context);
        call->err = mbox_changes(&context, shard_index(call->shard), request, &call->arena,
                                 &stream->reply.changes, &stream->view);
        if (call->err.code != ERR_OK) return;
        stream->has_view = true;
        stream->at = (struct mbox_view_at)MBOX_VIEW_START;
        stream->wanted = (struct mbox_wanted){ SPAN(""), true, request->since };
    }
    if (request->expunged_only) stream->more = false;
    else fill_view(stream);
}

void serve_changes(void *holder, struct rpc_serving *serving)
{
    stream_start(holder, serving, changes_run);
}

/* ---- Uids */

static void uids_run(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct serve_stream *stream = call->stream;
    const struct store_uids_request *request = call->request;
    struct kv_owner owner;
    struct buf out;
    if (!stream->opened) {
        stream->opened = true;
        open_owner(request->tenant, request->account, &owner);
        call->err = mbox_view_open(shard_index(call->shard), shard_rows(call->shard), &owner,
                                   request->mailbox, &stream->view);
        if (call->err.code != ERR_OK) return;
        stream->has_view = true;
        stream->reply.uids = (struct store_uids_reply){ stream->view.highestmodseq,
                                                        stream->view.messages };
    }
    buf_init(&out, stream->bytes, STORE_SERVE_STREAM_BYTES);
    stream->more = mbox_view_ranges(&stream->view, &stream->place, &out);
    stream->len = out.len;
}

void serve_uids(void *holder, struct rpc_serving *serving)
{
    stream_start(holder, serving, uids_run);
}

/* ---- QueueBody */

static void queue_body_run(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct serve_stream *stream = call->stream;
    const struct store_queue_body_request *request = call->request;
    struct mbox_context context;
    if (!stream->opened) {
        stream->opened = true;
        serve_context(call->shard, shard_rows(call->shard), &context);
        call->err = mbox_queue_body_open(&context, request->slot, request->id, &stream->body,
                                         &stream->reply.queue_body.bytes);
        if (call->err.code != ERR_OK) return;
        stream->has_body = true;
    }
    while (stream->len < STORE_SERVE_STREAM_BYTES && call->err.code == ERR_OK) {
        struct span piece;
        struct err err = mbox_body_next(&stream->body, &piece);
        if (err.code == ERR_NOT_FOUND) {
            stream->more = false;
            return;
        }
        call->err = err.code == ERR_OK ? stream_put(stream, piece) : err;
    }
}

void serve_queue_body(void *holder, struct rpc_serving *serving)
{
    stream_start(holder, serving, queue_body_run);
}
