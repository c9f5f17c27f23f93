/* What keeps the rows in memory up to date. The happy path: a look whether the member answers
 * and has a leader; all rows at one revision; one stream with a watch for each prefix from
 * behind that revision; while it is there, a look at the member every few seconds.
 *
 *   the stream ends, or the member does     again from behind what was seen: nothing is missed and
 *                                           nothing comes twice; on the next endpoint
 *   what would come next was compacted      all rows are read again
 *   etcd cancels a watch                    it stays open and silent: as if it ended
 *   a change that we know of does not come  the stream is stuck: all rows are read again
 *   the stream makes no sense               all rows are read again */
#include <stdlib.h>

#include "buf.h"
#include "clock.h"
#include "coord_etcd_private.h"
#include "loop.h"

/* Etcd's gateway is Go's HTTP/1.1 server: when it begins its answer it throws away what it has not
 * read of the request yet, and with that all watches but the first few, unless that is more than
 * 256 KiB. So blanks follow the requests, which JSON does not mind. */
enum { WATCH_BLANKS_BYTES = 257 * 1024 };

static void look(struct etcd *etcd);

static const struct coord_options *options_of(const struct etcd *etcd)
{
    return &etcd->options->options;
}

/* ---- ends */

static void stop_all(struct etcd_follow *follow)
{
    etcd_call_cancel(&follow->look);
    etcd_call_cancel(&follow->alive);
    etcd_read_cancel(&follow->read);
    coord_http_cancel(follow->http);
    follow->http = NULL;
    free(follow->body);
    follow->body = NULL;
    coord_stream_free(&follow->stream);
    for (size_t i = 0; i < COORD_PREFIXES_MAX; i++) coord_mirror_free(&follow->fresh[i]);
    timer_stop(&follow->timer);
    timer_stop(&follow->alive_timer);
}

static void on_wait(void *holder) { look(holder); }

/* All of it from the beginning, in a while. */
static void follow_end(struct etcd *etcd, struct err err)
{
    struct etcd_follow *follow = &etcd->follow;
    stop_all(follow);
    follow->state = FOLLOW_WAIT;
    follow->err = err;
    timer_start(etcd->loop, &follow->timer, etcd_retry_ms(follow->tries++), on_wait, etcd);
}

void etcd_follow_moved(struct etcd *etcd)
{
    enum etcd_follow_state state = etcd->follow.state;
    if (state != FOLLOW_OPEN && state != FOLLOW_LIVE) return;
    follow_end(etcd, err_make(ERR_UNREACHABLE, "etcd"));
}

/* ---- the stream */

static struct err take_changes(struct etcd *etcd, const struct coord_stream_event *event)
{
    size_t i = event->watch;
    uint64_t seen = etcd->seen[i];
    for (size_t row = 0; row < event->rows_count; row++) {
        const struct coord_row *is = &event->rows[row];
        TRY(coord_mirror_take(&etcd->mirror, etcd->seen[i], is));
        if (is->revision > seen) seen = is->revision;
    }
    etcd->seen[i] = seen;
    if (seen > etcd->mirror.rows.revision) etcd->mirror.rows.revision = seen;
    coord_mirror_seen(&etcd->mirror, options_of(etcd)->prefixes[i], seen);
    return err_ok();
}

static void alive_plan(struct etcd *etcd);

static void stream_live(struct etcd *etcd)
{
    struct etcd_follow *follow = &etcd->follow;
    follow->state = FOLLOW_LIVE;
    follow->err = err_ok();
    follow->current_ms = follow->alive_sent_ms;
    timer_stop(&follow->timer);
    alive_plan(etcd);
    if (!follow->ever) coord_next_ready(etcd->back.coord);
    follow->ever = true;
}

/* What an end by etcd means; on_stream_end() goes on. */
static void stream_ended(struct etcd *etcd, const struct coord_stream_event *event)
{
    struct etcd_follow *follow = &etcd->follow;
    follow->stream_err = event->err;
    if (event->compacted) follow->read_all = true;
    if (event->refusal == COORD_REFUSED_LOGIN) etcd_token_drop(etcd, follow->token);
}

/* Within libcurl. */
static bool on_stream(void *holder, struct span bytes)
{
    struct etcd *etcd = holder;
    struct etcd_follow *follow = &etcd->follow;
    struct coord_stream_event event = { .kind = COORD_STREAM_NOTHING };
    do {
        struct err err = coord_stream_feed(&follow->stream, &bytes, &event);
        if (err.code == ERR_OK && event.kind == COORD_STREAM_CHANGES) {
            err = take_changes(etcd, &event);
        }
        if (err.code != ERR_OK) {
            follow->stream_err = err;
            follow->read_all = true;
            return false;
        }
        if (event.kind == COORD_STREAM_CREATED) stream_live(etcd);
        if (event.kind == COORD_STREAM_ENDED) {
            stream_ended(etcd, &event);
            return false;
        }
    } while (event.kind != COORD_STREAM_NOTHING);
    return true;
}

static struct err refusal_of(struct etcd *etcd, const struct coord_http_result *result)
{
    struct coord_reply reply;
    struct err err = coord_reply_read(COORD_REPLY_WATCH, etcd->space, result->status, result->body,
                                      &reply);
    if (err.code != ERR_OK) return err;
    err = reply.refusal == COORD_REFUSED_NOT ? err_make(ERR_UNREACHABLE, "watch of etcd")
                                             : reply.err;
    if (reply.refusal == COORD_REFUSED_LOGIN) etcd_token_drop(etcd, etcd->follow.token);
    coord_reply_free(&reply);
    return err;
}

static void on_stream_end(void *holder, const struct coord_http_result *result)
{
    struct etcd *etcd = holder;
    struct etcd_follow *follow = &etcd->follow;
    struct err err = follow->stream_err;
    unsigned rotation = follow->rotation;
    follow->http = NULL;
    if (err.code != ERR_OK) {
        /* on_stream() knows why. */
    } else if (result->outcome != COORD_HTTP_ANSWERED) {
        err = result->err;
    } else if (result->status != 200) {
        err = refusal_of(etcd, result);
    } else {
        err = err_make(ERR_UNREACHABLE, "watch of etcd");
    }
    follow_end(etcd, err);
    /* A refusal is the same everywhere; all else may be this member's. */
    if (err.code != ERR_DENIED) etcd_rotate(etcd, rotation);
}

static void on_open_late(void *holder)
{
    struct etcd *etcd = holder;
    unsigned rotation = etcd->follow.rotation;
    follow_end(etcd, err_make(ERR_TIMEOUT, "watch of etcd"));
    etcd_rotate(etcd, rotation);
}

static void stream_open(struct etcd *etcd)
{
    struct etcd_follow *follow = &etcd->follow;
    const struct coord_options *options = options_of(etcd);
    struct buf out;
    size_t size = coord_request_watch_size(options->prefixes_count) + WATCH_BLANKS_BYTES;
    follow->state = FOLLOW_OPEN;
    follow->stream_err = err_ok();
    follow->rotation = etcd->rotation;
    follow->token = etcd->token_number;
    follow->body = malloc(size);
    if (follow->body == NULL) {
        follow_end(etcd, err_make(ERR_NOMEM, "watch of etcd"));
        return;
    }
    buf_init(&out, follow->body, size);
    coord_request_watch(&out, etcd->space, options->prefixes, etcd->seen, options->prefixes_count);
    memset(out.bytes + out.len, ' ', WATCH_BLANKS_BYTES);
    out.len += WATCH_BLANKS_BYTES;
    coord_stream_init(&follow->stream, etcd->space, options->prefixes, options->prefixes_count);
    const struct coord_http_request request = {
        .endpoint = etcd_endpoint(etcd), .path = "/v3/watch",
        .token = etcd->has_token ? etcd->token : "", .body = buf_span(&out),
        .reply_max = COORD_REQUEST_SMALL_BYTES, .data = on_stream, .done = on_stream_end,
        .holder = etcd,
    };
    struct err err = coord_http_start(etcd->http, &request, &follow->http);
    if (err.code != ERR_OK) follow_end(etcd, err);
    else timer_start(etcd->loop, &follow->timer, ETCD_CALL_MS, on_open_late, etcd);
}

/* ---- reading everything */

static void read_next(struct etcd *etcd, uint64_t revision);

static struct err merge_all(struct etcd *etcd, uint64_t revision)
{
    struct etcd_follow *follow = &etcd->follow;
    const struct coord_options *options = options_of(etcd);
    for (size_t i = 0; i < options->prefixes_count; i++) {
        TRY(coord_mirror_merge(&etcd->mirror, options->prefixes[i], etcd->seen[i],
                               &follow->fresh[i], true));
        if (revision > etcd->seen[i]) etcd->seen[i] = revision;
        coord_mirror_seen(&etcd->mirror, options->prefixes[i], etcd->seen[i]);
    }
    if (revision > etcd->mirror.rows.revision) etcd->mirror.rows.revision = revision;
    return err_ok();
}

static void read_done(struct etcd_read *read, struct err err)
{
    struct etcd *etcd = LIST_ITEM(read, struct etcd, follow.read);
    struct etcd_follow *follow = &etcd->follow;
    uint64_t revision = read->rows.rows.revision;
    if (err.code != ERR_OK) {
        coord_mirror_free(&read->rows);
        follow_end(etcd, err);
        return;
    }
    follow->fresh[follow->reading++] = read->rows;
    coord_mirror_init(&read->rows, NULL, NULL);
    if (follow->reading < options_of(etcd)->prefixes_count) {
        read_next(etcd, revision);
        return;
    }
    err = merge_all(etcd, revision);
    if (err.code != ERR_OK) {
        follow_end(etcd, err);
        return;
    }
    follow->read_all = false;
    stream_open(etcd);
}

static void read_next(struct etcd *etcd, uint64_t revision)
{
    struct etcd_follow *follow = &etcd->follow;
    follow->state = FOLLOW_READ;
    follow->read.prefix = options_of(etcd)->prefixes[follow->reading];
    follow->read.done = read_done;
    etcd_read_start(etcd, &follow->read, revision, clock_boot_ms() + COORD_WAIT_MS);
}

/* ---- the look at the member, at first and while it is watched */

static void moving_ask(struct etcd *etcd, struct etcd_call *call,
                       void (*done)(struct etcd_call *, const struct etcd_answer *))
{
    struct buf out;
    char *body = malloc(COORD_REQUEST_SMALL_BYTES);
    buf_init(&out, body, body == NULL ? 0 : (size_t)COORD_REQUEST_SMALL_BYTES);
    if (body != NULL) coord_request_get(&out, etcd->space, SPAN(COORD_MOVING_KEY));
    call->path = "/v3/kv/range";
    call->kind = COORD_REPLY_RANGE;
    call->done = done;
    etcd->follow.alive_sent_ms = loop_now_ms(etcd->loop);
    etcd_call_start(etcd, call, body, out.len);
}

/* Why what the answer says keeps us from using the store. */
static struct err moving_check(const struct etcd *etcd, const struct etcd_answer *answer)
{
    if (answer->outcome != ETCD_ANSWER) return answer->err;
    if (answer->reply->rows_count == 0 || etcd->filling) return err_ok();
    return err_make(ERR_BUSY, "store in etcd is being filled by a migration");
}

static void looked(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd *etcd = LIST_ITEM(call, struct etcd, follow.look);
    struct etcd_follow *follow = &etcd->follow;
    struct err err = moving_check(etcd, answer);
    if (err.code != ERR_OK) {
        follow_end(etcd, err);
    } else if (follow->read_all) {
        follow->reading = 0;
        read_next(etcd, answer->reply->revision);
    } else {
        stream_open(etcd);
    }
}

static void look(struct etcd *etcd)
{
    etcd->follow.state = FOLLOW_LOOK;
    moving_ask(etcd, &etcd->follow.look, looked);
}

/* A change that we heard of at the look before this one, and that has not come yet. */
static bool is_stuck(struct etcd *etcd)
{
    bool stuck = false;
    for (size_t i = 0; i < options_of(etcd)->prefixes_count; i++) {
        if (etcd->overdue[i] > etcd->seen[i]) stuck = true;
        etcd->overdue[i] = etcd->expected[i];
    }
    return stuck;
}

static void alive_answered(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd *etcd = LIST_ITEM(call, struct etcd, follow.alive);
    struct err err = moving_check(etcd, answer);
    if (err.code != ERR_OK) {
        follow_end(etcd, err);
    } else if (is_stuck(etcd)) {
        etcd_follow_anew(etcd, err_make(ERR_TIMEOUT, "watch of etcd"));
    } else {
        etcd->follow.tries = 0; /* it holds */
        etcd->follow.current_ms = etcd->follow.alive_sent_ms;
        alive_plan(etcd);
    }
}

static void on_alive_timer(void *holder)
{
    struct etcd *etcd = holder;
    moving_ask(etcd, &etcd->follow.alive, alive_answered);
}

static void alive_plan(struct etcd *etcd)
{
    timer_start(etcd->loop, &etcd->follow.alive_timer, ETCD_ALIVE_MS, on_alive_timer, etcd);
}

/* ---- the whole */

void etcd_follow_anew(struct etcd *etcd, struct err err)
{
    etcd->follow.read_all = true;
    if (etcd->follow.state == FOLLOW_OPEN || etcd->follow.state == FOLLOW_LIVE) {
        follow_end(etcd, err);
    }
}

void etcd_follow_start(struct etcd *etcd)
{
    etcd->follow.err = err_make(ERR_UNREACHABLE, "etcd");
    etcd->follow.read_all = true;
    etcd->follow.current_ms = loop_now_ms(etcd->loop);
    look(etcd);
}

void etcd_follow_stop(struct etcd *etcd) { stop_all(&etcd->follow); }
