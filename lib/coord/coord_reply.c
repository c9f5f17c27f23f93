#include "coord_reply.h"

#include <jansson.h>

#include "base64.h"
#include "buf.h"

static struct err bad(void) { return err_make(ERR_SYNTAX, "answer of etcd"); }

/* ---- members */

/* A number, as a string or not; left out is 0. Watches that were refused are number -1. */
static bool number_of(const json_t *object, const char *name, uint64_t *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = 0;
    if (value == NULL) return true;
    if (json_is_integer(value)) {
        if (json_integer_value(value) < 0) return false;
        *ret = (uint64_t)json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (text == NULL || text[0] == '\0') return false;
    for (; *text != '\0'; text++) {
        unsigned digit = (unsigned char)*text - (unsigned)'0';
        if (digit > 9 || *ret > (UINT64_MAX - digit) / 10) return false;
        *ret = *ret * 10 + digit;
    }
    return true;
}

static bool bool_of(const json_t *object, const char *name, bool *ret)
{
    const json_t *value = json_object_get(object, name);
    *ret = json_is_true(value);
    return value == NULL || json_is_boolean(value);
}

/* Bytes from base64, in the arena; left out is empty, though never NULL. */
static struct err bytes_of(struct coord_reply *reply, const json_t *object, const char *name,
                           struct span *ret)
{
    const json_t *value = json_object_get(object, name);
    if (value != NULL && !json_is_string(value)) return bad();
    struct span text = span_of(json_string_value(value), json_string_length(value));
    struct buf out;
    size_t size = text.len / 4 * 3 + 1;
    char *bytes = arena_alloc(&reply->arena, size);
    if (bytes == NULL) return err_make(ERR_TOO_BIG, "answer of etcd");
    buf_init(&out, bytes, size);
    if (base64_decode_strict(&out, text).code != ERR_OK) return bad();
    *ret = buf_span(&out);
    return err_ok();
}

static struct err read_header(struct coord_reply *reply, const json_t *object)
{
    const json_t *header = json_object_get(object, "header");
    if (header == NULL) return err_ok();
    if (!json_is_object(header)) return bad();
    bool good = number_of(header, "cluster_id", &reply->cluster) &&
                number_of(header, "revision", &reply->revision);
    return good ? err_ok() : bad();
}

/* ---- rows */

/* `kv` of a reading or an event. */
static struct err read_kv(struct coord_reply *reply, struct coord_space space, const json_t *kv,
                          bool deleted)
{
    struct coord_row *row = &reply->rows[reply->rows_count];
    if (!json_is_object(kv) || !number_of(kv, "mod_revision", &row->revision)) return bad();
    TRY(bytes_of(reply, kv, "key", &row->key));
    if (row->revision == 0 || row->key.len <= space.prefix.len ||
        row->key.len - space.prefix.len > COORD_KEY_MAX_BYTES ||
        !span_eq(span_head(row->key, space.prefix.len), space.prefix)) {
        return bad();
    }
    row->key = span_skip(row->key, space.prefix.len);
    row->value = span_of(NULL, 0);
    if (!deleted) TRY(bytes_of(reply, kv, "value", &row->value));
    /* Larger than what we write: another program's, and not to be cut. */
    if (row->value.len > COORD_VALUE_MAX_BYTES) return err_make(ERR_TOO_BIG, "value in etcd");
    reply->rows_count++;
    return err_ok();
}

static struct err read_event(struct coord_reply *reply, struct coord_space space,
                             const json_t *event)
{
    const json_t *type = json_object_get(event, "type");
    bool deleted = false;
    if (type != NULL) {
        const char *name = json_string_value(type);
        if (name == NULL) return bad();
        deleted = strcmp(name, "DELETE") == 0;
        if (!deleted && strcmp(name, "PUT") != 0) return bad();
    }
    return read_kv(reply, space, json_object_get(event, "kv"), deleted);
}

static struct err rows_room(struct coord_reply *reply, size_t count)
{
    if (count > COORD_REPLY_ROWS_MAX) return err_make(ERR_TOO_BIG, "answer of etcd");
    reply->rows = arena_alloc(&reply->arena, (count + 1) * sizeof(*reply->rows));
    return reply->rows == NULL ? err_make(ERR_TOO_BIG, "answer of etcd") : err_ok();
}

/* `kvs` of a reading, behind the rows that are there; there is room. */
static struct err read_kvs(struct coord_reply *reply, struct coord_space space, const json_t *range)
{
    const json_t *kvs = json_object_get(range, "kvs"), *kv;
    size_t i;
    if (kvs != NULL && !json_is_array(kvs)) return bad();
    json_array_foreach(kvs, i, kv) TRY(read_kv(reply, space, kv, false));
    return err_ok();
}

static struct err read_range(struct coord_reply *reply, struct coord_space space,
                             const json_t *object)
{
    TRY(rows_room(reply, json_array_size(json_object_get(object, "kvs"))));
    TRY(read_kvs(reply, space, object));
    return bool_of(object, "more", &reply->more) ? err_ok() : bad();
}

static struct err read_txn(struct coord_reply *reply, struct coord_space space,
                           const json_t *object)
{
    const json_t *responses = json_object_get(object, "responses"), *response;
    size_t i, count = 0;
    if (!bool_of(object, "succeeded", &reply->succeeded)) return bad();
    if (responses != NULL && !json_is_array(responses)) return bad();
    json_array_foreach(responses, i, response) {
        const json_t *range = json_object_get(response, "response_range");
        count += json_array_size(json_object_get(range, "kvs"));
    }
    TRY(rows_room(reply, count));
    json_array_foreach(responses, i, response) {
        const json_t *range = json_object_get(response, "response_range");
        if (!json_is_object(response) || (range != NULL && !json_is_object(range))) return bad();
        TRY(read_kvs(reply, space, range));
    }
    return err_ok();
}

static struct err read_lease(struct coord_reply *reply, const json_t *object)
{
    bool good = number_of(object, "ID", &reply->lease) && number_of(object, "TTL", &reply->seconds);
    return good ? err_ok() : bad();
}

static struct err read_login(struct coord_reply *reply, const json_t *object)
{
    const json_t *token = json_object_get(object, "token");
    if (!json_is_string(token) || json_string_length(token) == 0) return bad();
    return arena_copy(&reply->arena,
                      span_of(json_string_value(token), json_string_length(token)), &reply->token);
}

/* ---- refusals */

/* gRPC code and a part of the text (empty: any) -> what it means; the first that fits. The texts
 * are those of etcd's api/v3rpc/rpctypes/error.go. */
static const struct {
    unsigned code;
    const char *text;
    enum coord_refusal refusal;
    enum err_code err;
    const char *what;
} refusals[] = {
    { 16, "", COORD_REFUSED_LOGIN, ERR_DENIED, "token of etcd" },
    { 3, "user name is empty", COORD_REFUSED_LOGIN, ERR_DENIED, "etcd without log-in" },
    { 3, "revision in header is old", COORD_REFUSED_LOGIN, ERR_DENIED, "token of etcd" },
    { 3, "invalid user ID or password", COORD_REFUSED, ERR_DENIED, "log-in to etcd" },
    { 3, "request is too large", COORD_REFUSED, ERR_TOO_BIG, "request to etcd" },
    { 3, "too many operations", COORD_REFUSED, ERR_TOO_BIG, "transaction of etcd" },
    { 3, "", COORD_REFUSED, ERR_SYNTAX, "request to etcd" },
    { 7, "", COORD_REFUSED, ERR_DENIED, "permission in etcd" },
    { 5, "", COORD_REFUSED, ERR_NOT_FOUND, "lease in etcd" },
    { 9, "lease already exists", COORD_REFUSED, ERR_EXISTS, "lease in etcd" },
    { 9, "authentication is not enabled", COORD_REFUSED, ERR_DENIED, "log-in to etcd" },
    { 8, "database space exceeded", COORD_REFUSED, ERR_FULL, "etcd" },
    { 8, "too many requests", COORD_REFUSED_BUSY, ERR_BUSY, "etcd" },
    { 11, "", COORD_REFUSED, ERR_NOT_FOUND, "revision in etcd" },
    { 14, "no leader", COORD_REFUSED_UNSURE, ERR_UNREACHABLE, "leader of etcd" },
};

static void refuse(struct coord_reply *reply, uint64_t code, const char *text)
{
    reply->refusal = COORD_REFUSED_UNSURE;
    reply->err = err_make_detail(ERR_UNREACHABLE, (int)(code & 0xff), "etcd");
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (refusals[i].code != code || strstr(text, refusals[i].text) == NULL) continue;
        reply->refusal = refusals[i].refusal;
        reply->err = err_make_detail(refusals[i].err, (int)code, refusals[i].what);
        break;
    }
    reply->compacted = code == 11 && strstr(text, "compacted") != NULL;
}

/* No JSON: this is not etcd, its gateway is off, or it was asked with a certificate that names
 * somebody, which it refuses as long as it has users. */
static void refuse_plain(struct coord_reply *reply, unsigned status, struct span text)
{
    static const char name[] = "CommonName";
    bool named = text.len > 0 && memmem(text.ptr, text.len, name, sizeof(name) - 1) != NULL;
    reply->refusal = COORD_REFUSED;
    reply->err = named ? err_make(ERR_DENIED, "certificate for etcd: a CommonName is not allowed")
                       : err_make_detail(ERR_UNSUPPORTED, (int)status, "gateway of etcd");
}

/* {"error": "text", "code": 5} or, on a stream, {"error": {"grpc_code": 14, "message": "text"}}; of
 * etcd 3.6 {"code": 5, "message": "text"}. */
static bool read_error(struct coord_reply *reply, const json_t *object, unsigned status)
{
    const json_t *error = json_object_get(object, "error");
    const json_t *from = json_is_object(error) ? error : object;
    uint64_t code = 0;
    if (error == NULL && status == 200) return false;
    const char *text = json_string_value(json_object_get(from, "message"));
    if (text == NULL) text = json_string_value(error);
    if (!number_of(from, "grpc_code", &code) || (code == 0 && !number_of(from, "code", &code))) {
        code = 0;
    }
    refuse(reply, code, text == NULL ? "" : text);
    return true;
}

/* "rpc error: code = PermissionDenied desc = etcdserver: permission denied" */
static void read_cancel(struct coord_reply *reply, const char *reason)
{
    static const struct { const char *text; unsigned code; } codes[] = {
        { "invalid auth token", 16 },       { "user name is empty", 3 },
        { "revision in header is old", 3 }, { "permission denied", 7 },
        { "compacted", 11 },                { "no leader", 14 },
    };
    unsigned code = 0;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]) && code == 0; i++) {
        if (strstr(reason, codes[i].text) != NULL) code = codes[i].code;
    }
    refuse(reply, code, reason);
}

/* ---- watches */

static struct err read_watch(struct coord_reply *reply, struct coord_space space,
                             const json_t *object)
{
    const json_t *events = json_object_get(object, "events"), *event;
    const json_t *reason = json_object_get(object, "cancel_reason");
    uint64_t compacted = 0;
    size_t i;
    if (!bool_of(object, "created", &reply->created) ||
        !bool_of(object, "canceled", &reply->canceled) ||
        !bool_of(object, "fragment", &reply->fragment) ||
        !number_of(object, "compact_revision", &compacted) ||
        (events != NULL && !json_is_array(events)) || (reason != NULL && !json_is_string(reason))) {
        return bad();
    }
    if (reply->canceled) {
        read_cancel(reply, reason == NULL ? "" : json_string_value(reason));
        if (compacted > 0) reply->compacted = true;
        return err_ok(); /* a number of -1 is one of these */
    }
    if (!number_of(object, "watch_id", &reply->watch)) return bad();
    TRY(rows_room(reply, json_array_size(events)));
    json_array_foreach(events, i, event) TRY(read_event(reply, space, event));
    return err_ok();
}

/* ---- all of it */

static struct err read_object(enum coord_reply_kind kind, struct coord_space space,
                              const json_t *object, struct coord_reply *reply)
{
    TRY(read_header(reply, object));
    switch (kind) {
    case COORD_REPLY_RANGE: return read_range(reply, space, object);
    case COORD_REPLY_TXN: return read_txn(reply, space, object);
    case COORD_REPLY_LEASE: return read_lease(reply, object);
    case COORD_REPLY_LOGIN: return read_login(reply, object);
    case COORD_REPLY_WATCH: return read_watch(reply, space, object);
    }
    return bad();
}

struct err coord_reply_read(enum coord_reply_kind kind, struct coord_space space, unsigned status,
                            struct span text, struct coord_reply *ret)
{
    struct coord_reply reply = { 0 };
    if (text.len > COORD_REPLY_MAX_BYTES) return err_make(ERR_TOO_BIG, "answer of etcd");
    arena_init(&reply.arena, COORD_REPLY_MAX_BYTES);
    json_t *json =
        json_loadb(text.len == 0 ? "" : text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    struct err err = status == 200 && !json_is_object(json) ? bad() : err_ok();
    if (json == NULL && status >= 400 && status < 500) {
        refuse_plain(&reply, status, text);
    } else if (err.code == ERR_OK && !read_error(&reply, json, status)) {
        /* Streams wrap what they say. */
        const json_t *result = json_object_get(json, "result");
        if (result != NULL && !json_is_object(result)) err = bad();
        else err = read_object(kind, space, result == NULL ? json : result, &reply);
    }
    json_decref(json);
    if (err.code != ERR_OK) arena_clear(&reply.arena);
    else *ret = reply;
    return err;
}

void coord_reply_free(struct coord_reply *reply)
{
    arena_clear(&reply->arena);
    *reply = (struct coord_reply){ 0 };
}
