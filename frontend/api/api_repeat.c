/* A request that a client sends again because it lost the answer: with the same Idempotency-Key on
 * a POST it gets the first answer, for an hour at least, whichever frontend it asks.
 *
 * What is known of a key lies in the shard of a hash of it (AnswerKeep of store.proto), beside the
 * first answers of all calls to the store, and goes with them (store.operation.keep). In the
 * configuration each would be news to every program, which keeps all of it in memory. Two things
 * of JSON, each kept once:
 *
 *   claim    {"nonce": hex, "request": hex, "ms": n}   who works on it, on what, and since when
 *   answer   {"status": n, "body": {...}, "sealed": text}   status 0: it broke off, try again
 *
 * `sealed` is the member `token` of the body, which nobody else may read. What the first one did
 * not end within REPEAT_LEASE_MS another attempt does. An operation id begins with an hour: that of
 * now, or the one before, if it was begun then. */
#include <string.h>

#include "api_state_private.h"
#include "buf.h"
#include "clock.h"
#include "digest.h"
#include "id.h"
#include "slot.h"

enum {
    HOUR_SECONDS = 3600,
    REPEAT_KEY_MAX_BYTES = 200,
    REPEAT_LEASE_MS = 120 * 1000,
    REPEAT_ATTEMPTS_MAX = 16,
    REPEAT_ANSWER_MAX_BYTES = 32 * 1024,
    REPEAT_SEALED_BYTES = 1024,
    HASH_TEXT_BYTES = 2 * DIGEST_BYTES,
};

/* ---- names of what is kept */

/* `hour u32 BE | 12 bytes of a hash`; empty: no memory. */
static struct span make_id(struct api_call *call, uint32_t hour, char what)
{
    const struct api_repeat *repeat = &call->repeat;
    uint8_t digest[DIGEST_BYTES], *id = arena_alloc(&call->arena, OPERATION_ID_BYTES);
    uint8_t attempt[2] = { (uint8_t)repeat->attempt, (uint8_t)what };
    uint32_t seconds = hour * HOUR_SECONDS;
    const struct span parts[] = { span_of(repeat->scope, sizeof(repeat->scope)),
                                  span_of(attempt, sizeof(attempt)) };
    if (id == NULL || digest_sha256_parts(parts, 2, digest).code != ERR_OK) return SPAN("");
    for (unsigned i = 0; i < 4; i++) id[i] = (uint8_t)(seconds >> (24 - 8 * i));
    memcpy(id + 4, digest, OPERATION_ID_BYTES - 4);
    return span_of(id, OPERATION_ID_BYTES);
}

static void on_kept(struct api_call *call, const void *message)
{
    const struct store_answer_reply *reply = message;
    if (reply->answer.len > 0) {
        call->repeat.kept = json_loadb(reply->answer.ptr, reply->answer.len, 0, NULL);
    }
}

/* Keeps `text` under a name unless something is kept there; sets `kept` to what is. */
static void ask(struct api_call *call, uint32_t hour, char what, struct span text)
{
    struct span id = make_id(call, hour, what);
    json_decref(call->repeat.kept);
    call->repeat.kept = NULL;
    call->ask.answer_keep =
        (struct store_answer_keep_request){ .operation_id = id, .answer = text };
    if (id.len == 0) api_fail(call, err_make(ERR_NOMEM, "repeat"));
    else api_ask(call, STORE_METHOD_ANSWER_KEEP, slot_of_name(id), on_kept);
}

/* ---- the beginning */

static struct span member(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);
    return span_of(json_string_value(value), json_string_length(value));
}

static void look_before(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    ask(call, call->repeat.hour - 1, 'c', SPAN(""));
}

static void claim(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct api_repeat *repeat = &call->repeat;
    if (repeat->kept != NULL && repeat->attempt == 0) {
        repeat->hour--; /* begun before */
        flow_next(flow, err_ok());
        return;
    }
    char *text = arena_alloc(&call->arena, 256);
    if (text == NULL) {
        api_fail(call, err_make(ERR_NOMEM, "repeat"));
        return;
    }
    int len = snprintf(text, 256, "{\"nonce\":\"%.*s\",\"request\":\"%.*s\",\"ms\":%llu}",
                       (int)sizeof(repeat->nonce), repeat->nonce, HASH_TEXT_BYTES, repeat->request,
                       (unsigned long long)clock_wall_ms());
    ask(call, repeat->hour, 'c', span_of(text, (size_t)len));
}

/* Is it ours to do? */
static void claimed(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    struct api_repeat *repeat = &call->repeat;
    struct span request = span_of(repeat->request, sizeof(repeat->request));
    if (!span_eq(member(repeat->kept, "request"), request)) {
        api_refuse(call, 422, "Key in use", "Idempotency-Key: it came with another request before");
        return;
    }
    if (span_eq(member(repeat->kept, "nonce"), span_of(repeat->nonce, sizeof(repeat->nonce)))) {
        repeat->is_ours = true;
        flow->steps = call->route_steps;
        flow_next(flow, err_ok());
        return;
    }
    repeat->since_ms = (uint64_t)json_integer_value(json_object_get(repeat->kept, "ms"));
    ask(call, repeat->hour, 'a', SPAN(""));
}

/* The secret that was shown, out of its seal. */
static void unseal(struct api_call *call)
{
    const struct api_options *options = &call->api->options;
    struct span sealed = member(call->repeat.kept, "sealed");
    char bytes[REPEAT_SEALED_BYTES];
    struct buf out;
    if (sealed.len == 0) return;
    buf_init(&out, bytes, sizeof(bytes));
    struct err err = options->unseal(options->holder, SPAN("repeat"), sealed, &out);
    if (err.code == ERR_OK) api_set_text(call->out, "token", buf_span(&out));
    explicit_bzero(bytes, sizeof(bytes));
}

/* Somebody else's: his answer, or his turn goes to us. */
static void answered(struct flow *flow)
{
    static const struct flow_step end[] = { { NULL, NULL } };
    static const struct flow_step again[] = {
        { "claim", claim }, { "claimed", claimed }, { "answered", answered }, { NULL, NULL },
    };
    struct api_call *call = api_of(flow);
    struct api_repeat *repeat = &call->repeat;
    unsigned status = (unsigned)json_integer_value(json_object_get(repeat->kept, "status"));
    bool is_late = repeat->since_ms + REPEAT_LEASE_MS < clock_wall_ms();
    if (status != 0) {
        call->status = status;
        call->is_problem = status >= 400;
        call->out = json_incref(json_object_get(repeat->kept, "body"));
        unseal(call);
        flow->steps = end;
        flow_next(flow, err_ok());
    } else if ((repeat->kept != NULL || is_late) && ++repeat->attempt < REPEAT_ATTEMPTS_MAX) {
        flow->steps = again;
        flow_next(flow, err_ok());
    } else {
        api_header(call, "Retry-After", SPAN("1"));
        api_refuse(call, 409, "Under way", "Idempotency-Key: the request is being worked on");
    }
}

static const struct flow_step begin_steps[] = {
    { "look", look_before }, { "claim", claim },     { "claimed", claimed },
    { "answered", answered }, { NULL, NULL },
};

/* Of method, path, query and body. */
static struct err hash_request(struct api_call *call, char ret[HASH_TEXT_BYTES])
{
    const struct http_request *request = call->request;
    uint8_t digest[DIGEST_BYTES];
    const struct span parts[] = { request->method, SPAN(" "), request->path, SPAN("?"),
                                  request->query, SPAN("\n"), request->body };
    TRY(digest_sha256_parts(parts, sizeof(parts) / sizeof(parts[0]), digest));
    id_hex(digest, sizeof(digest), ret);
    return err_ok();
}

const struct flow_step *api_repeat_begin(struct api_call *call, const struct flow_step *steps)
{
    struct span key = http_request_header(call->request, SPAN("idempotency-key"));
    struct api_repeat *repeat = &call->repeat;
    bool good = key.len <= REPEAT_KEY_MAX_BYTES;
    uint8_t nonce[ID_BYTES];
    if (key.len == 0 || !span_eq(call->request->method, SPAN("POST"))) return steps;
    for (size_t i = 0; i < key.len; i++) good = good && key.ptr[i] > ' ' && key.ptr[i] < 0x7f;
    if (!good) {
        snprintf(call->detail, sizeof(call->detail),
                 "Idempotency-Key: 1 to %d visible characters of ASCII", REPEAT_KEY_MAX_BYTES);
        return NULL;
    }
    const struct span parts[] = { call->token.id, SPAN("\n"), key };
    if (digest_sha256_parts(parts, 3, repeat->scope).code != ERR_OK ||
        hash_request(call, repeat->request).code != ERR_OK) {
        snprintf(call->detail, sizeof(call->detail), "no memory");
        return NULL;
    }
    id_random(nonce, sizeof(nonce));
    id_hex(nonce, sizeof(nonce), repeat->nonce);
    repeat->hour = (uint32_t)(clock_wall_ms() / 1000 / HOUR_SECONDS);
    call->route_steps = steps;
    return begin_steps;
}

/* ---- the end */

/* The answer as it is kept, malloc'd; NULL: it is kept that it broke off. */
static char *answer_text(struct api_call *call)
{
    const struct api_options *options = &call->api->options;
    const json_t *token = json_object_get(call->out, "token");
    char bytes[REPEAT_SEALED_BYTES], *text = NULL;
    struct buf sealed;
    buf_init(&sealed, bytes, sizeof(bytes));
    if (call->status >= 500) return NULL;
    json_t *kept = json_object(), *body = json_copy(call->out);
    struct err err = err_ok();
    if (token != NULL) {
        struct span secret = span_of(json_string_value(token), json_string_length(token));
        err = options->seal(options->holder, SPAN("repeat"), secret, &sealed);
        api_set_text(kept, "sealed", buf_span(&sealed));
        json_object_del(body, "token");
    }
    api_set(kept, "status", json_integer((json_int_t)call->status));
    api_set(kept, "body", body);
    if (err.code == ERR_OK && !sealed.overflow) text = json_dumps(kept, JSON_COMPACT);
    json_decref(kept);
    return text;
}

static void keep_answer(struct flow *flow)
{
    struct api_call *call = api_of(flow);
    char *text = answer_text(call);
    struct span kept = SPAN("{\"status\":0}");
    if (text != NULL && strlen(text) <= REPEAT_ANSWER_MAX_BYTES) {
        if (arena_copy(&call->arena, span_of(text, strlen(text)), &kept).code != ERR_OK)
            kept = SPAN("{\"status\":0}");
    }
    free(text);
    /* The call's own status and detail stay what they are, whatever comes of this. */
    struct span id = make_id(call, call->repeat.hour, 'a');
    call->ask.answer_keep =
        (struct store_answer_keep_request){ .operation_id = id, .answer = kept };
    api_ask_quietly(call, STORE_METHOD_ANSWER_KEEP, slot_of_name(id));
}

const struct flow_step api_repeat_end[] = { { "keep", keep_answer }, { NULL, NULL } };
