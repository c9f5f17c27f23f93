#include "gather.h"

#include <stdio.h>
#include <stdlib.h>

#include "conn.h"
#include "http_reply.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "timer.h"

enum { HEAD_BYTES = GATHER_PATH_MAX_BYTES + ROSTER_ADDRESS_MAX_BYTES + 256, FIRST_BYTES = 4096 };

struct question {
    struct gather *gather;
    struct gather_target target;
    struct conn *conn;   /* NULL: not under way */
    struct timer timer;
    char *bytes;         /* what has come */
    size_t len, size;
    struct gather_answer answer;
};

struct gather {
    struct loop *loop;
    struct later later;  /* the next questions, or the end */
    struct question *questions;
    size_t count, begun, ended;
    void (*done)(void *holder);
    void *holder;
};

static void gather_turn(struct later *later);

static void turn_later(struct gather *gather)
{
    if (later_is_posted(&gather->later)) return;
    later_post(loop_later(gather->loop), &gather->later, gather_turn);
}

static const char *why_of(struct err err)
{
    if (err.code == ERR_TIMEOUT) return "it does not answer";
    if (err.code == ERR_TOO_BIG) return "its answer is too long";
    if (err.code == ERR_UNREACHABLE) return "it is not reachable";
    return err.code == ERR_CANCELLED || err.code == ERR_OK ? "its answer is none" : err_text(err);
}

static void question_end(struct question *question, struct err why)
{
    struct http_reply reply;
    struct span in = span_of(question->bytes, question->len);
    timer_stop(&question->timer);
    question->conn = NULL;
    if (http_reply_read(in, &reply) == HTTP_REPLY_OK) {
        question->answer = (struct gather_answer){ reply.status, reply.body, NULL };
    } else {
        question->answer.why = why_of(why);
    }
    question->gather->ended++;
    turn_later(question->gather);
}

/* ---- one connection */

static size_t on_bytes(void *user, struct conn *conn, struct span in)
{
    struct question *question = user;
    size_t need = question->len + in.len, size = question->size;
    while (size < need) size = size == 0 ? FIRST_BYTES : size * 2;
    if (need > GATHER_REPLY_MAX_BYTES) {
        conn_abort(conn, err_make(ERR_TOO_BIG, "answer"));
        return in.len;
    }
    char *bytes = size == question->size ? question->bytes : realloc(question->bytes, size);
    if (bytes == NULL) {
        conn_abort(conn, err_make(ERR_NOMEM, "answer"));
        return in.len;
    }
    question->bytes = bytes;
    question->size = size;
    memcpy(bytes + question->len, in.ptr, in.len);
    question->len = need;
    return in.len;
}

static void on_ready(void *user, struct conn *conn)
{
    struct question *question = user;
    char head[HEAD_BYTES];
    int len = snprintf(head, sizeof(head),
                       "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n",
                       question->target.path, question->target.address);
    struct err err = conn_send(conn, span_of(head, (size_t)len));
    if (err.code == ERR_BUSY) conn_abort(conn, err);
}

static void on_closed(void *user, struct err why) { question_end(user, why); }

static void on_late(void *holder)
{
    struct question *question = holder;
    conn_abort(question->conn, err_make(ERR_TIMEOUT, "answer"));
}

static const struct conn_user calls = { .bytes = on_bytes, .ready = on_ready,
                                        .closed = on_closed };

static void question_begin(struct question *question)
{
    struct gather *gather = question->gather;
    struct conn_target target = { .address = question->target.address,
                                  .connect_ms = GATHER_CONNECT_MS };
    if (question->target.address[0] == '\0') {
        question->answer.why = "it says no address";
        gather->ended++;
        return;
    }
    struct err err = conn_connect(gather->loop, &target, &calls, question, &question->conn);
    if (err.code != ERR_OK) {
        question->answer.why = why_of(err);
        gather->ended++;
        return;
    }
    timer_start(gather->loop, &question->timer, GATHER_WAIT_MS, on_late, question);
}

/* ---- all of them */

static void gather_turn(struct later *later)
{
    struct gather *gather = LIST_ITEM(later, struct gather, later);
    while (gather->begun < gather->count && gather->begun - gather->ended < GATHER_AT_ONCE) {
        question_begin(&gather->questions[gather->begun++]);
    }
    if (gather->ended == gather->count) gather->done(gather->holder);
}

struct err gather_start(struct loop *loop, const struct gather_target *targets, size_t count,
                        void (*done)(void *holder), void *holder, struct gather **ret)
{
    if (count > GATHER_TARGETS_MAX) return err_make(ERR_TOO_BIG, "programs to ask");
    struct gather *gather = calloc(1, sizeof(*gather));
    if (gather == NULL) return err_make(ERR_NOMEM, "programs to ask");
    gather->questions = calloc(count + 1, sizeof(*gather->questions));
    if (gather->questions == NULL) {
        free(gather);
        return err_make(ERR_NOMEM, "programs to ask");
    }
    gather->loop = loop;
    gather->count = count;
    gather->done = done;
    gather->holder = holder;
    for (size_t i = 0; i < count; i++) {
        gather->questions[i].gather = gather;
        gather->questions[i].target = targets[i];
    }
    turn_later(gather);
    *ret = gather;
    return err_ok();
}

struct gather_answer gather_answer(const struct gather *gather, size_t target)
{
    return gather->questions[target].answer;
}

void gather_free(struct gather *gather)
{
    if (gather == NULL) return;
    for (size_t i = 0; i < gather->count; i++) free(gather->questions[i].bytes);
    free(gather->questions);
    free(gather);
}
