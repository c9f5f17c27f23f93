#include "checkpoint_serve.h"

#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "checkpoint_files_private.h"
#include "checkpoint_rate.h"
#include "clock.h"
#include "crew.h"
#include "hash.h"
#include "id.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "replica_msg.h"
#include "replica_step.h"
#include "rpc.h"
#include "rpc_callers.h"
#include "shard.h"
#include "shard_install.h"
#include "store_node.h"
#include "store_open.h"
#include "timer.h"

enum { PATH_BYTES = 1024 };

/* A checkpoint on the disk. A place in the table is free while `state` is FREE. */
enum served_state { SERVED_FREE, SERVED_MAKING, SERVED_READY, SERVED_REMOVING };
struct served {
    enum served_state state;
    uint8_t id[CHECKPOINT_ID_BYTES];
    char name[STORE_CHECKPOINT_NAME_BYTES], path[PATH_BYTES];
    uint32_t shard, files_count;
    struct checkpoint_file *files;
    unsigned users;
    uint64_t used_ms;
    struct crew_job job; /* to remove it */
    struct checkpoint_serve *serve;
};

/* A call. */
struct stream {
    struct crew_job job;
    struct timer timer;
    struct checkpoint_serve *serve;
    struct rpc_serving *serving;
    struct served *served;
    struct checkpoint_open open;
    struct checkpoint_piece piece; /* the next one */
    uint32_t crc;
    struct err err;
    char bytes[CHECKPOINT_PIECE_BYTES];
};

struct checkpoint_serve {
    struct loop *loop;
    struct checkpoint_serve_options options;
    struct checkpoint_rate rate;
    struct served served[CHECKPOINT_SERVED_MAX];
    struct timer look;
    unsigned streams, removing;
    bool closing;
    struct later over; /* nothing is under way any more */
};

static void serve_over(struct later *later)
{
    struct checkpoint_serve *serve = LIST_ITEM(later, struct checkpoint_serve, over);
    void (*closed)(void *) = serve->options.closed;
    void *holder = serve->options.holder;
    for (unsigned i = 0; i < CHECKPOINT_SERVED_MAX; i++) free(serve->served[i].files);
    free(serve);
    if (closed != NULL) closed(holder);
}

static void serve_end_if_over(struct checkpoint_serve *serve)
{
    if (!serve->closing || serve->streams > 0 || serve->removing > 0) return;
    if (!later_is_posted(&serve->over))
        later_post(loop_later(serve->loop), &serve->over, serve_over);
}

/* ---- the table */

static void removed(struct crew_job *job)
{
    struct served *served = LIST_ITEM(job, struct served, job);
    struct checkpoint_serve *serve = served->serve;
    free(served->files);
    memset(served, 0, sizeof(*served));
    serve->removing--;
    loop_release(serve->loop);
    serve_end_if_over(serve);
}

static void remove_run(struct crew_job *job)
{
    struct served *served = LIST_ITEM(job, struct served, job);
    store_checkpoint_remove(served->serve->options.node, served->name);
}

static void served_remove(struct checkpoint_serve *serve, struct served *served)
{
    served->serve = serve;
    served->job = (struct crew_job){ .run = remove_run, .done = removed, .loop = serve->loop };
    if (crew_run(serve->options.crew, &served->job).code != ERR_OK) return; /* the next look */
    served->state = SERVED_REMOVING;
    serve->removing++;
    loop_hold(serve->loop);
}

static bool is_idle(const struct served *served)
{
    return served->state == SERVED_READY && served->users == 0;
}

static void look(void *holder)
{
    struct checkpoint_serve *serve = holder;
    uint64_t now = loop_now_ms(serve->loop);
    bool any = false;
    for (unsigned i = 0; i < CHECKPOINT_SERVED_MAX; i++) {
        struct served *served = &serve->served[i];
        if (is_idle(served) && now - served->used_ms >= CHECKPOINT_IDLE_MS)
            served_remove(serve, served);
        any = any || served->state == SERVED_READY || served->state == SERVED_MAKING;
    }
    if (any) timer_start(serve->loop, &serve->look, CHECKPOINT_LOOK_MS, look, serve);
}

static struct served *served_find(struct checkpoint_serve *serve, uint32_t shard, struct span id)
{
    for (unsigned i = 0; i < CHECKPOINT_SERVED_MAX; i++) {
        struct served *served = &serve->served[i];
        bool same = served->state == SERVED_READY && served->shard == shard &&
                    span_eq(id, span_of(served->id, sizeof(served->id)));
        if (same) return served;
    }
    return NULL;
}

/* A free place. One that nobody uses, and all the same would keep others waiting, goes first. */
static struct err served_new(struct checkpoint_serve *serve, uint32_t shard, struct served **ret)
{
    struct served *found = NULL, *idle = NULL;
    for (unsigned i = 0; i < CHECKPOINT_SERVED_MAX; i++) {
        struct served *served = &serve->served[i];
        if (served->state == SERVED_FREE) found = served;
        if (is_idle(served)) idle = served;
        if (served->state == SERVED_MAKING && served->shard == shard)
            return err_make(ERR_BUSY, "a checkpoint of the shard is being made");
    }
    if (found == NULL) {
        if (idle != NULL) served_remove(serve, idle);
        return err_make(ERR_BUSY, "checkpoints");
    }
    memset(found, 0, sizeof(*found));
    found->state = SERVED_MAKING;
    found->shard = shard;
    id_random(found->id, sizeof(found->id));
    static const char digits[] = "0123456789abcdef";
    for (unsigned i = 0; i < CHECKPOINT_ID_BYTES; i++) {
        found->name[2 * i] = digits[found->id[i] >> 4];
        found->name[2 * i + 1] = digits[found->id[i] & 15];
    }
    *ret = found;
    return err_ok();
}

/* ---- a call */

static void stream_end(struct stream *stream, struct err err)
{
    struct checkpoint_serve *serve = stream->serve;
    struct served *served = stream->served;
    timer_stop(&stream->timer);
    (void)!checkpoint_files_close(&stream->open).code; /* it was only read */
    if (served != NULL) {
        served->users--;
        served->used_ms = loop_now_ms(serve->loop);
        if (served->state == SERVED_MAKING) served->state = SERVED_FREE;
    }
    rpc_finish(stream->serving, err,
               err.code == ERR_OK ? SPAN("") : span_of(err.what, strlen(err.what)));
    free(stream);
    serve->streams--;
    loop_release(serve->loop);
    serve_end_if_over(serve);
}

static struct shard *shard_of(struct checkpoint_serve *serve, uint32_t number)
{
    if (number >= store_node_shards(serve->options.node)) return NULL;
    return store_node_shard(serve->options.node, number);
}

static void pin(struct stream *stream, uint64_t index)
{
    struct shard *shard = shard_of(stream->serve, stream->served->shard);
    if (shard != NULL) shard_pin(shard, index, clock_boot_ms() + CHECKPOINT_IDLE_MS);
}

/* What the next piece is; false: there is none. */
static bool next_piece(struct stream *stream)
{
    const struct served *served = stream->served;
    struct checkpoint_piece *piece = &stream->piece;
    while (piece->file < served->files_count &&
           piece->offset >= served->files[piece->file].bytes) {
        piece->file++;
        piece->offset = 0;
    }
    if (piece->file == served->files_count) return false;
    uint64_t left = served->files[piece->file].bytes - piece->offset;
    piece->bytes.len = left < CHECKPOINT_PIECE_BYTES ? (size_t)left : CHECKPOINT_PIECE_BYTES;
    return true;
}

static void read_run(struct crew_job *job)
{
    struct stream *stream = LIST_ITEM(job, struct stream, job);
    const struct served *served = stream->served;
    stream->err = checkpoint_files_read(&stream->open, served->path, served->files, &stream->piece,
                                        stream->bytes);
    if (stream->err.code == ERR_OK) stream->crc = hash_crc32c(0, stream->piece.bytes);
}

static void stream_go(void *holder);

static void stream_cancelled(void *holder)
{
    struct stream *stream = holder;
    rpc_serving_on_ready(stream->serving, NULL, NULL);
    stream_end(stream, err_make(ERR_CANCELLED, "checkpoint"));
}

static void read_done(struct crew_job *job)
{
    struct stream *stream = LIST_ITEM(job, struct stream, job);
    struct checkpoint_serve *serve = stream->serve;
    struct checkpoint_piece *piece = &stream->piece;
    struct err err = stream->err;
    bool over = rpc_serving_cancelled(stream->serving) || serve->closing;
    if (err.code == ERR_OK && over) err = err_make(ERR_CANCELLED, "checkpoint");
    if (err.code != ERR_OK) {
        stream_end(stream, err);
        return;
    }
    struct peer_checkpoint_reply reply = { .file = piece->file, .offset = piece->offset,
                                           .bytes = (uint32_t)piece->bytes.len,
                                           .crc32c = stream->crc };
    pin(stream, UINT64_MAX);
    rpc_put_reply(stream->serving, &reply);
    bool room = rpc_put_data(stream->serving, piece->bytes);
    piece->offset += piece->bytes.len;
    uint64_t now = loop_now_ms(serve->loop);
    serve->rate.bytes_per_s = store_node_checkpoint_rate(serve->options.node);
    uint64_t wait_ms = checkpoint_rate_wait_ms(&serve->rate, piece->bytes.len, now);
    if (room && wait_ms == 0) {
        stream_go(stream);
        return;
    }
    rpc_serving_on_cancel(stream->serving, stream_cancelled, stream);
    if (room) timer_start(serve->loop, &stream->timer, wait_ms, stream_go, stream);
    else rpc_serving_on_ready(stream->serving, stream_go, stream);
}

static void stream_go(void *holder)
{
    struct stream *stream = holder;
    rpc_serving_on_cancel(stream->serving, NULL, NULL);
    if (!next_piece(stream)) {
        struct peer_checkpoint_reply reply = { .last = true };
        rpc_put_reply(stream->serving, &reply);
        stream_end(stream, err_ok());
        return;
    }
    stream->job.run = read_run;
    stream->job.done = read_done;
    struct err err = crew_run(stream->serve->options.crew, &stream->job);
    if (err.code != ERR_OK) stream_end(stream, err);
}

static void stream_begin(struct stream *stream)
{
    const struct served *served = stream->served;
    struct arena *arena = rpc_serving_arena(stream->serving);
    struct peer_checkpoint_file *files = arena_alloc(arena, served->files_count * sizeof(*files));
    if (files == NULL) {
        stream_end(stream, err_make(ERR_NOMEM, "files of a checkpoint"));
        return;
    }
    for (uint32_t i = 0; i < served->files_count; i++) {
        const struct checkpoint_file *file = &served->files[i];
        files[i] = (struct peer_checkpoint_file){ span_of(file->name, file->name_len),
                                                  file->bytes };
    }
    struct peer_checkpoint_reply reply = { .checkpoint = span_of(served->id, sizeof(served->id)),
                                           .files = files,
                                           .files_count = served->files_count };
    rpc_put_reply(stream->serving, &reply);
    stream_go(stream);
}

static void make_run(struct crew_job *job)
{
    struct stream *stream = LIST_ITEM(job, struct stream, job);
    struct served *served = stream->served;
    stream->err = store_checkpoint_make(stream->serve->options.node, served->shard, served->name,
                                        served->path, sizeof(served->path));
    if (stream->err.code != ERR_OK) return;
    stream->err = checkpoint_files_list(served->path, &served->files, &served->files_count);
    if (stream->err.code != ERR_OK)
        store_checkpoint_remove(stream->serve->options.node, served->name);
}

static void make_done(struct crew_job *job)
{
    struct stream *stream = LIST_ITEM(job, struct stream, job);
    struct checkpoint_serve *serve = stream->serve;
    if (stream->err.code != ERR_OK) {
        stream_end(stream, stream->err);
        return;
    }
    stream->served->state = SERVED_READY;
    timer_start(serve->loop, &serve->look, CHECKPOINT_LOOK_MS, look, serve);
    if (rpc_serving_cancelled(stream->serving) || serve->closing)
        stream_end(stream, err_make(ERR_CANCELLED, "checkpoint"));
    else stream_begin(stream);
}

static struct err make(struct stream *stream, uint32_t number)
{
    struct checkpoint_serve *serve = stream->serve;
    struct shard *shard = shard_of(serve, number);
    struct shard_state state;
    if (shard == NULL) return err_make(ERR_MOVED, "shard is not led here");
    shard_state_get(shard, &state);
    if (state.role != REPLICA_SERVING && state.role != REPLICA_RECONCILE)
        return err_make(ERR_MOVED, "shard is not led here");
    TRY(served_new(serve, number, &stream->served));
    stream->served->users = 1;
    /* Before it is made: from then on the log could be trimmed up to what it has. */
    pin(stream, state.applied_index);
    stream->job.run = make_run;
    stream->job.done = make_done;
    return crew_run(serve->options.crew, &stream->job);
}

static struct err start(struct stream *stream, const struct peer_checkpoint_request *request)
{
    struct checkpoint_serve *serve = stream->serve;
    uint8_t id[CHECKPOINT_ID_BYTES];
    store_node_id(serve->options.node, id);
    if (!span_eq(request->to, span_of(id, sizeof(id))))
        return err_make(ERR_NOT_FOUND, "another store is meant");
    if (request->checkpoint.len == 0) return make(stream, request->shard);
    stream->served = served_find(serve, request->shard, request->checkpoint);
    if (stream->served == NULL) return err_make(ERR_NOT_FOUND, "checkpoint is gone");
    stream->served->users++;
    bool fits = request->file <= stream->served->files_count;
    if (fits && request->file < stream->served->files_count)
        fits = request->offset <= stream->served->files[request->file].bytes;
    if (!fits) return err_make(ERR_SYNTAX, "place in a checkpoint");
    stream->piece.file = request->file;
    stream->piece.offset = request->offset;
    stream_begin(stream);
    return err_ok();
}

void checkpoint_serve_call(struct checkpoint_serve *serve, struct rpc_serving *serving)
{
    bool full = serve->streams >= CHECKPOINT_STREAMS_MAX || serve->closing;
    struct stream *stream = full ? NULL : calloc(1, sizeof(*stream));
    if (stream == NULL) {
        rpc_finish(serving, err_make(full ? ERR_BUSY : ERR_NOMEM, "calls for checkpoints"),
                   SPAN("calls for checkpoints"));
        return;
    }
    stream->serve = serve;
    stream->serving = serving;
    stream->open.fd = -1;
    stream->job.loop = serve->loop;
    serve->streams++;
    loop_hold(serve->loop);
    struct err err = start(stream, rpc_serving_request(serving));
    if (err.code != ERR_OK) stream_end(stream, err);
}

static void serve_row(void *holder, struct rpc_serving *serving)
{
    checkpoint_serve_call(holder, serving);
}

const struct rpc_service_row *checkpoint_serve_rows(unsigned *count)
{
    static const struct rpc_service_row rows[] = {
        { PEER_METHOD_CHECKPOINT, RPC_CALLERS_PEER_CHECKPOINT, serve_row },
    };
    *count = sizeof(rows) / sizeof(rows[0]);
    return rows;
}

struct err checkpoint_serve_open(struct loop *loop, const struct checkpoint_serve_options *options,
                                 struct checkpoint_serve **ret)
{
    struct checkpoint_serve *serve = calloc(1, sizeof(*serve));
    if (serve == NULL) return err_make(ERR_NOMEM, "checkpoints");
    serve->loop = loop;
    serve->options = *options;
    *ret = serve;
    return err_ok();
}

void checkpoint_serve_close(struct checkpoint_serve *serve)
{
    if (serve == NULL) return;
    serve->closing = true;
    timer_stop(&serve->look);
    serve_end_if_over(serve);
}
