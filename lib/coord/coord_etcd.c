/* A store in etcd, through the JSON gateway of its members: each key stands behind
 * /godwit/CLUSTER/. What is known of etcd's ways, and was measured, is in the design's document on
 * replication, section 4; the rules for unknown outcomes are in coord_settle.h.
 *
 * One endpoint is in use at a time, for calls and for the watch. A call that gets no answer, or one
 * that says that the member is of no use, moves on to the next; so does a look at the member every
 * few seconds that fails. An answer that is older than what we have heard before it was sent, or of
 * another cluster, is none. */
#include <stdlib.h>

#include "buf.h"
#include "check.h"
#include "coord_etcd_private.h"
#include "file.h"
#include "loop.h"

static struct etcd *etcd_of(struct coord_back *back) { return LIST_ITEM(back, struct etcd, back); }

static const struct coord_options *options_of(const struct etcd *etcd)
{
    return &etcd->options->options;
}

const char *etcd_endpoint(const struct etcd *etcd)
{
    return options_of(etcd)->endpoints[etcd->endpoint];
}

uint64_t etcd_retry_ms(unsigned tries)
{
    uint64_t wait_ms = ETCD_RETRY_MS;
    while (tries-- > 0 && wait_ms < ETCD_RETRY_MAX_MS) wait_ms *= 2;
    return wait_ms < ETCD_RETRY_MAX_MS ? wait_ms : (uint64_t)ETCD_RETRY_MAX_MS;
}

void etcd_rotate(struct etcd *etcd, unsigned rotation)
{
    if (rotation != etcd->rotation) return;
    etcd->rotation++;
    etcd->endpoint = (etcd->endpoint + 1) % options_of(etcd)->endpoints_count;
    etcd_follow_moved(etcd);
}

/* ---- ends of calls */

static void pump(struct etcd *etcd);

/* Its owner may have freed it when this returns. */
static void call_end(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd *etcd = call->etcd;
    call->etcd = NULL;
    free(call->body);
    call->body = NULL;
    call->done(call, answer);
    pump(etcd);
}

/* What both a refusal and a loss without a word come to. */
static void call_fail(struct etcd_call *call, enum etcd_outcome outcome, struct err err)
{
    const struct etcd_answer answer = { .outcome = outcome, .err = err };
    call_end(call, &answer);
}

static void call_unsent(struct later *later)
{
    struct etcd_call *call = LIST_ITEM(later, struct etcd_call, later);
    call_fail(call, ETCD_UNSENT, call->unsent_err);
}

/* Notes what the header says. A reading or a transaction sees all that was there when it was sent;
 * one that does not comes from a member that was put back to an older state. */
static struct err take_header(struct etcd *etcd, const struct etcd_call *call,
                              const struct coord_reply *reply)
{
    bool reads = call->kind == COORD_REPLY_RANGE || call->kind == COORD_REPLY_TXN;
    if (reply->cluster != 0) {
        if (etcd->cluster == 0) etcd->cluster = reply->cluster;
        if (etcd->cluster != reply->cluster) {
            return err_make(ERR_CORRUPT, "endpoint of another etcd cluster");
        }
    }
    if (reads && reply->revision < call->floor) {
        return err_make(ERR_CORRUPT, "etcd went back behind what it had said");
    }
    if (reply->revision > etcd->highest) etcd->highest = reply->revision;
    return err_ok();
}

/* Sends it again behind a new log-in; false: not again. */
static bool login_again(struct etcd_call *call)
{
    struct etcd *etcd = call->etcd;
    etcd_token_drop(etcd, call->token);
    if (options_of(etcd)->user[0] == '\0' || call->logins == ETCD_LOGINS_MAX) return false;
    call->logins++;
    list_add(&etcd->waiting, &call->link);
    pump(etcd);
    return true;
}

static void take_reply(struct etcd_call *call, struct coord_reply *reply)
{
    struct etcd *etcd = call->etcd;
    struct etcd_answer answer = { .outcome = ETCD_ANSWER, .reply = reply };
    switch (reply->refusal) {
    case COORD_REFUSED_NOT: answer.err = take_header(etcd, call, reply); break;
    case COORD_REFUSED_LOGIN:
        if (login_again(call)) return;
        answer.outcome = ETCD_REFUSED;
        answer.err = reply->err;
        break;
    case COORD_REFUSED: answer.outcome = ETCD_REFUSED; answer.err = reply->err; break;
    case COORD_REFUSED_BUSY: answer.outcome = ETCD_UNSENT; answer.err = reply->err; break;
    case COORD_REFUSED_UNSURE: answer.outcome = ETCD_UNKNOWN; answer.err = reply->err; break;
    }
    if (answer.outcome == ETCD_ANSWER && answer.err.code != ERR_OK) answer.outcome = ETCD_UNKNOWN;
    unsigned rotation = call->rotation;
    call_end(call, &answer);
    if (answer.outcome == ETCD_UNKNOWN) etcd_rotate(etcd, rotation);
}

static void call_answered(void *holder, const struct coord_http_result *result)
{
    struct etcd_call *call = holder;
    struct etcd *etcd = call->etcd;
    struct coord_reply reply;
    struct err err = result->err;
    call->http = NULL;
    etcd->calls_count--;
    if (result->outcome == COORD_HTTP_ANSWERED) {
        err = coord_reply_read(call->kind, etcd->space, result->status, result->body, &reply);
    }
    if (result->outcome == COORD_HTTP_ANSWERED && err.code == ERR_OK) {
        take_reply(call, &reply);
        coord_reply_free(&reply);
        return;
    }
    unsigned rotation = call->rotation;
    call_fail(call, result->outcome == COORD_HTTP_UNSENT ? ETCD_UNSENT : ETCD_UNKNOWN, err);
    /* One that is too big says nothing against the member. */
    if (err.code != ERR_TOO_BIG) etcd_rotate(etcd, rotation);
}

/* ---- log-in */

void etcd_token_drop(struct etcd *etcd, unsigned token)
{
    if (token == etcd->token_number) etcd->has_token = false;
}

/* All calls that wait for the token have this for an answer. */
static void fail_waiting(struct etcd *etcd, enum etcd_outcome outcome, struct err err)
{
    struct list failed;
    list_init(&failed);
    while (!list_is_empty(&etcd->waiting)) {
        struct list *link = etcd->waiting.next;
        list_remove(link);
        list_add(&failed, link);
    }
    while (!list_is_empty(&failed)) {
        struct etcd_call *call = LIST_ITEM(failed.next, struct etcd_call, link);
        list_remove(&call->link);
        call_fail(call, outcome, err);
    }
}

static struct err take_token(struct etcd *etcd, const struct coord_reply *reply)
{
    if (reply->refusal != COORD_REFUSED_NOT) return reply->err;
    if (reply->token.len >= sizeof(etcd->token) ||
        memchr(reply->token.ptr, '\n', reply->token.len) != NULL ||
        memchr(reply->token.ptr, '\r', reply->token.len) != NULL) {
        return err_make(ERR_SYNTAX, "token of etcd");
    }
    memcpy(etcd->token, reply->token.ptr, reply->token.len);
    etcd->token[reply->token.len] = '\0';
    etcd->token_number++;
    etcd->has_token = true;
    return err_ok();
}

static void login_answered(void *holder, const struct coord_http_result *result)
{
    struct etcd *etcd = holder;
    struct coord_reply reply;
    struct err err = result->err;
    bool refused = false;
    explicit_bzero(etcd->login_body, sizeof(etcd->login_body));
    etcd->login = NULL;
    if (result->outcome == COORD_HTTP_ANSWERED) {
        err = coord_reply_read(COORD_REPLY_LOGIN, etcd->space, result->status, result->body,
                               &reply);
        if (err.code == ERR_OK) {
            err = take_token(etcd, &reply);
            refused = reply.refusal == COORD_REFUSED;
            coord_reply_free(&reply);
        }
    }
    if (err.code == ERR_OK) {
        pump(etcd);
        return;
    }
    if (!refused) etcd_rotate(etcd, etcd->rotation);
    fail_waiting(etcd, refused ? ETCD_REFUSED : ETCD_UNSENT, err);
}

/* The file without the line's end. */
static struct err read_password(const char *path, char *to, size_t size, size_t *len)
{
    struct err err = file_read(path, to, size, len);
    if (err.code != ERR_OK && err.code != ERR_TOO_BIG) {
        return err_make_detail(ERR_IO, err.detail, "password file of etcd");
    }
    while (*len > 0 && (to[*len - 1] == '\n' || to[*len - 1] == '\r')) --*len;
    if (*len == 0 || *len == size) {
        return err_make(ERR_SYNTAX, "password file of etcd: one line of up to 1023 bytes");
    }
    return err_ok();
}

static struct err login_start(struct etcd *etcd)
{
    const struct coord_options *options = options_of(etcd);
    char password[COORD_OPTION_MAX_BYTES];
    size_t len = 0;
    struct buf body;
    TRY(read_password(options->password_file, password, sizeof(password), &len));
    buf_init(&body, etcd->login_body, sizeof(etcd->login_body));
    coord_request_login(&body, span_of(options->user, strlen(options->user)),
                        span_of(password, len));
    explicit_bzero(password, sizeof(password));
    const struct coord_http_request request = {
        .endpoint = etcd_endpoint(etcd), .path = "/v3/auth/authenticate", .token = "",
        .body = buf_span(&body), .reply_max = COORD_REQUEST_LOGIN_BYTES,
        .wait_ms = ETCD_LOGIN_MS, .done = login_answered, .holder = etcd,
    };
    return coord_http_start(etcd->http, &request, &etcd->login);
}

/* ---- sending */

static struct err call_send(struct etcd *etcd, struct etcd_call *call)
{
    call->floor = etcd->highest;
    call->rotation = etcd->rotation;
    call->token = etcd->token_number;
    const struct coord_http_request request = {
        .endpoint = etcd_endpoint(etcd), .path = call->path,
        .token = etcd->has_token ? etcd->token : "",
        .body = span_of(call->body, call->body_len), .reply_max = COORD_REPLY_MAX_BYTES,
        .wait_ms = ETCD_CALL_MS, .done = call_answered, .holder = call,
    };
    TRY(coord_http_start(etcd->http, &request, &call->http));
    etcd->calls_count++;
    return err_ok();
}

static void call_post_unsent(struct etcd_call *call, struct err err)
{
    call->unsent_err = err;
    later_post(loop_later(call->etcd->loop), &call->later, call_unsent);
}

/* Sends what waits, as far as it may. */
static void pump(struct etcd *etcd)
{
    while (!list_is_empty(&etcd->waiting) && etcd->calls_count < ETCD_CALLS_MAX) {
        struct etcd_call *call = LIST_ITEM(etcd->waiting.next, struct etcd_call, link);
        struct err err;
        if (options_of(etcd)->user[0] != '\0' && !etcd->has_token) {
            err = etcd->login == NULL ? login_start(etcd) : err_ok();
            if (err.code == ERR_OK) return; /* login_answered() goes on */
            list_remove(&call->link);
        } else {
            list_remove(&call->link);
            err = call_send(etcd, call);
        }
        if (err.code != ERR_OK) call_post_unsent(call, err);
    }
}

void etcd_call_start(struct etcd *etcd, struct etcd_call *call, char *body, size_t body_len)
{
    CHECK(call->etcd == NULL);
    call->etcd = etcd;
    call->body = body;
    call->body_len = body_len;
    call->logins = 0;
    list_init(&call->link);
    if (body == NULL) {
        call_post_unsent(call, err_make(ERR_NOMEM, "request to etcd"));
        return;
    }
    list_add(&etcd->waiting, &call->link);
    pump(etcd);
}

void etcd_call_cancel(struct etcd_call *call)
{
    if (call->etcd == NULL) return;
    list_remove(&call->link);
    later_cancel(&call->later);
    if (call->http != NULL) {
        coord_http_cancel(call->http);
        call->etcd->calls_count--;
    }
    call->http = NULL;
    call->etcd = NULL;
    free(call->body);
    call->body = NULL;
}

/* ---- rows */

size_t etcd_prefix_of(const struct etcd *etcd, struct span key)
{
    const struct coord_options *options = options_of(etcd);
    size_t i = 0;
    while (i < options->prefixes_count && !coord_key_under(key, options->prefixes[i])) i++;
    return i;
}

void etcd_expect(struct etcd *etcd, size_t prefix, uint64_t revision)
{
    if (revision > etcd->expected[prefix]) etcd->expected[prefix] = revision;
}

void etcd_take_row(struct etcd *etcd, const struct coord_row *row)
{
    size_t i = etcd_prefix_of(etcd, row->key);
    if (i == options_of(etcd)->prefixes_count) return;
    struct err err = coord_mirror_take(&etcd->mirror, etcd->seen[i], row);
    if (row->value.ptr != NULL) {
        etcd_expect(etcd, i, row->revision);
        if (row->revision > etcd->mirror.rows.revision) etcd->mirror.rows.revision = row->revision;
    }
    if (err.code != ERR_OK) etcd_follow_anew(etcd, err);
}

static void on_changed(void *holder, struct span key)
{
    struct etcd *etcd = holder;
    /* While it is not the store yet nobody has seen a row of it. */
    if (etcd->back.coord->back == &etcd->back) coord_tell(etcd->back.coord, key);
}

/* ---- the back end */

static struct err etcd_state(struct coord_back *back) { return etcd_of(back)->follow.err; }

static uint64_t etcd_current_ms(struct coord_back *back)
{
    return etcd_of(back)->follow.current_ms;
}

static const struct coord_rows *etcd_rows(struct coord_back *back)
{
    return &etcd_of(back)->mirror.rows;
}

static void etcd_close(struct coord_back *back)
{
    struct etcd *etcd = etcd_of(back);
    etcd_follow_stop(etcd);
    etcd_changes_close(etcd);
    etcd_revokes_close(etcd);
    coord_http_free(etcd->http);
    coord_mirror_free(&etcd->mirror);
    explicit_bzero(etcd->login_body, sizeof(etcd->login_body));
    explicit_bzero(etcd->token, sizeof(etcd->token));
    free(etcd->options);
    free(etcd);
}

static void etcd_speaking(struct coord_back *back, struct coord_speaking *ret)
{
    struct etcd *etcd = etcd_of(back);
    ret->http = etcd->http;
    ret->token = etcd->token;
    ret->options = options_of(etcd);
}

static const struct coord_ops etcd_ops = {
    .close = etcd_close,
    .state = etcd_state,
    .current_ms = etcd_current_ms,
    .rows = etcd_rows,
    .refresh = etcd_state,
    .refresh_start = etcd_refresh_start,
    .change_start = etcd_change_start,
    .lease_start = etcd_lease_start,
    .lease_stop = etcd_lease_stop,
    .speaking = etcd_speaking,
};

static void set_space(struct etcd *etcd)
{
    struct buf out;
    const char *cluster = options_of(etcd)->cluster;
    buf_init(&out, etcd->prefix, sizeof(etcd->prefix));
    buf_put(&out, SPAN("/godwit/"));
    buf_put(&out, span_of(cluster, strlen(cluster)));
    buf_put(&out, SPAN("/"));
    CHECK(!out.overflow);
    etcd->space.prefix = buf_span(&out);
}

struct err coord_etcd_open(struct coord *coord, const struct coord_options *options,
                           struct coord_back **ret)
{
    struct etcd *etcd = calloc(1, sizeof(*etcd));
    if (etcd == NULL) return err_make(ERR_NOMEM, "etcd");
    etcd->back = (struct coord_back){ .ops = &etcd_ops, .coord = coord };
    etcd->loop = coord->loop;
    etcd->filling = coord->filling;
    list_init(&etcd->waiting);
    list_init(&etcd->changes);
    list_init(&etcd->refreshes);
    list_init(&etcd->revokes);
    coord_mirror_init(&etcd->mirror, on_changed, etcd);
    struct err err = coord_options_copy(options, &etcd->options);
    if (err.code == ERR_OK) err = coord_http_new(coord->loop, options_of(etcd), &etcd->http);
    if (err.code != ERR_OK) {
        free(etcd->options);
        free(etcd);
        return err;
    }
    set_space(etcd);
    etcd_follow_start(etcd);
    *ret = &etcd->back;
    return err_ok();
}
