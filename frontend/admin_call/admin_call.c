#include "admin_call.h"

#include <stdlib.h>
#include <string.h>

#include "admin_call_private.h"
#include "admin_msg.h"
#include "later.h"
#include "list.h"
#include "loop.h"
#include "rpc_client.h"

struct question {
    struct admin_call *call;
    struct admin_peer *peer; /* NULL: not under way */
    char *bytes;             /* the answer */
    size_t len;
    const char *why;
};

struct admin_call {
    struct admin_pool *pool;
    struct later later; /* the end */
    struct question *questions;
    size_t count, open;
    void (*done)(void *holder);
    void *holder;
};

static const char *why_of(enum err_code code)
{
    if (code == ERR_TIMEOUT) return "it does not answer";
    if (code == ERR_DENIED) return "it refuses";
    if (code == ERR_UNREACHABLE || code == ERR_UNKNOWN) return "it is not reachable";
    return err_text(err_make(code, ""));
}

static void call_end(struct later *later)
{
    struct admin_call *call = LIST_ITEM(later, struct admin_call, later);
    call->done(call->holder);
}

static void end_when_all_have(struct admin_call *call)
{
    if (call->open > 0) return;
    later_post(loop_later(call->pool->loop), &call->later, call_end);
}

static void on_reply(void *holder, struct rpc_call *rpc, const void *message)
{
    struct question *question = holder;
    const struct admin_log_recent_reply *reply = message;
    (void)rpc;
    if (question->bytes != NULL || reply->events.len > ADMIN_CALL_REPLY_MAX_BYTES) {
        question->why = "its answer is too long";
        return;
    }
    question->bytes = malloc(reply->events.len + 1);
    if (question->bytes == NULL) {
        question->why = "out of memory";
        return;
    }
    if (reply->events.len > 0) memcpy(question->bytes, reply->events.ptr, reply->events.len);
    question->len = reply->events.len;
}

static void on_done(void *holder, struct rpc_call *rpc, struct err err, struct span info)
{
    struct question *question = holder;
    (void)rpc;
    (void)info;
    question->peer->open--;
    question->peer = NULL;
    if (err.code != ERR_OK) question->why = why_of(err.code);
    else if (question->bytes == NULL && question->why == NULL) question->why = "its answer is none";
    question->call->open--;
    end_when_all_have(question->call);
}

static void ask_one(struct question *question, const struct admin_call_ask *ask,
                    const struct admin_call_target *target)
{
    static const struct rpc_call_user user = { NULL, on_reply, on_done };
    const struct rpc_call_options options = { .deadline_ms = ADMIN_CALL_WAIT_MS };
    const struct admin_log_recent_request request = { .name = ask->log, .after = target->after,
                                                      .lines = ask->lines };
    struct admin_peer *peer = NULL;
    struct rpc_call *rpc;
    if (target->address[0] == '\0') {
        question->why = "it says no address";
        return;
    }
    struct err err = admin_peer_get(question->call->pool, target, &peer);
    if (err.code == ERR_OK) {
        err = rpc_call_start(peer->client, admin_method_find(ADMIN_METHOD_LOG_RECENT), &request,
                             &options, &user, question, &rpc);
    }
    if (err.code != ERR_OK) {
        question->why = why_of(err.code);
        return;
    }
    question->peer = peer;
    peer->open++;
    question->call->open++;
}

struct err admin_call_logs(struct admin_pool *pool, const struct admin_call_ask *ask,
                           struct admin_call **ret)
{
    if (ask->count > ADMIN_CALL_TARGETS_MAX) return err_make(ERR_TOO_BIG, "programs to ask");
    struct admin_call *call = calloc(1, sizeof(*call));
    if (call == NULL) return err_make(ERR_NOMEM, "programs to ask");
    call->questions = calloc(ask->count + 1, sizeof(*call->questions));
    if (call->questions == NULL) {
        free(call);
        return err_make(ERR_NOMEM, "programs to ask");
    }
    call->pool = pool;
    call->count = ask->count;
    call->done = ask->done;
    call->holder = ask->holder;
    for (size_t i = 0; i < ask->count; i++) {
        call->questions[i].call = call;
        ask_one(&call->questions[i], ask, &ask->targets[i]);
    }
    end_when_all_have(call);
    *ret = call;
    return err_ok();
}

struct admin_call_answer admin_call_answer(const struct admin_call *call, size_t target)
{
    const struct question *question = &call->questions[target];
    if (question->why != NULL) return (struct admin_call_answer){ SPAN(""), question->why };
    return (struct admin_call_answer){ span_of(question->bytes, question->len), NULL };
}

void admin_call_free(struct admin_call *call)
{
    if (call == NULL) return;
    for (size_t i = 0; i < call->count; i++) free(call->questions[i].bytes);
    free(call->questions);
    free(call);
}
