/* APPEND: scanned, then stored. Several messages are scanned and packed one by one and stored
 * together: their stored bodies become one body, one behind the other. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "door_imap_private.h"
#include "intake.h"

void imap_prepared_free(struct door_imap_conn *imap)
{
    struct imap_prepared *prepared = imap->prepared;
    if (prepared == NULL) return;
    imap->prepared = NULL;
    for (size_t i = 0; i < prepared->count; i++) body_unref(prepared->messages[i].stored);
    arena_clear(&prepared->arena);
    free(prepared);
}

/* The wish has ended without a call to the store. */
static void imap_append_ended(struct door_imap_conn *imap, struct err err)
{
    imap->call->done = true;
    imap->call->err = err;
    IMAP_WITH_OUT(imap, (void)0);
}

/* ---- one message */

static void on_append(void *holder, struct err err, const struct intake_append *made)
{
    struct door_imap_conn *imap = holder;
    struct imap_call *call = imap->call;
    call->intake = NULL;
    if (err.code == ERR_OK) {
        struct span facts = SPAN(""), stamp = SPAN("");
        call->stored = made->stored;
        call->append.size = made->size;
        err = arena_copy(&call->arena, made->facts, &facts);
        if (err.code == ERR_OK) err = arena_copy(&call->arena, made->scan_stamp, &stamp);
        call->append.facts = facts;
        call->append.scan_stamp = stamp;
        if (err.code == ERR_OK) err = imap_call_start(imap, &call->append, call->stored);
        if (err.code == ERR_OK) return;
    }
    imap_append_ended(imap, err);
}

static struct err imap_append_one(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    TRY(imap_call_new(imap, STORE_METHOD_APPEND));
    memcpy(&imap->call->append, wish->request, sizeof(imap->call->append));
    return intake_append_start(imap->door.front->intake, wish->body, on_append, imap,
                               &imap->call->intake);
}

/* ---- several */

static struct err imap_prepared_add(struct imap_prepared *prepared,
                                    const struct intake_append *made)
{
    struct imap_prepared_message *message = &prepared->messages[prepared->count];
    if (body_size(made->stored) > RPC_BODY_MAX_BYTES - prepared->stored_bytes) {
        return err_make(ERR_TOO_BIG, "messages at a time");
    }
    struct err err = arena_copy(&prepared->arena, made->facts, &message->facts);
    if (err.code == ERR_OK) {
        err = arena_copy(&prepared->arena, made->scan_stamp, &message->scan_stamp);
    }
    if (err.code != ERR_OK) return err_make(ERR_TOO_BIG, "messages at a time");
    message->stored = made->stored;
    message->size = made->size;
    prepared->stored_bytes += body_size(made->stored);
    prepared->count++;
    return err_ok();
}

static void on_prepared(void *holder, struct err err, const struct intake_append *made)
{
    struct door_imap_conn *imap = holder;
    imap->call->intake = NULL;
    if (err.code == ERR_OK) {
        err = imap_prepared_add(imap->prepared, made);
        if (err.code != ERR_OK) body_unref(made->stored);
    }
    imap_append_ended(imap, err);
}

static struct err imap_prepare(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    if (wish->index == 0) imap_prepared_free(imap);
    if (imap->prepared == NULL) {
        imap->prepared = calloc(1, sizeof(*imap->prepared));
        if (imap->prepared == NULL) return err_make(ERR_NOMEM, "messages");
        arena_init(&imap->prepared->arena, IMAP_PREPARED_ARENA_BYTES);
    }
    if (imap->prepared->count != wish->index || wish->index == IMAP_PREPARED_MAX) {
        return err_make(ERR_TOO_BIG, "messages at a time");
    }
    TRY(imap_call_new(imap, STORE_METHOD_APPEND_MANY));
    return intake_append_start(imap->door.front->intake, wish->body, on_prepared, imap,
                               &imap->call->intake);
}

/* All stored bodies in one. */
static struct err imap_join(struct door_imap_conn *imap, struct body **ret)
{
    const struct imap_prepared *prepared = imap->prepared;
    struct body *joined;
    TRY(body_new(imap->door.front->budget, &joined));
    struct err err = err_ok();
    for (size_t i = 0; i < prepared->count && err.code == ERR_OK; i++) {
        struct body *stored = prepared->messages[i].stored;
        struct span piece;
        for (uint64_t at = 0; err.code == ERR_OK; at += piece.len) {
            piece = body_piece(stored, at);
            if (piece.len == 0) break;
            err = body_put(joined, piece);
        }
    }
    if (err.code == ERR_OK) err = body_seal(joined);
    if (err.code != ERR_OK) body_unref(joined);
    else *ret = joined;
    return err;
}

static struct err imap_append_many(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    const struct imap_prepared *prepared = imap->prepared;
    TRY(imap_call_new(imap, STORE_METHOD_APPEND_MANY));
    struct imap_call *call = imap->call;
    struct store_append_many_request *request = &call->append_many;
    memcpy(request, wish->request, sizeof(*request));
    if (prepared == NULL || prepared->count != request->messages_count) {
        return err_make(ERR_CONFLICT, "messages");
    }
    struct store_appended_message *messages =
        arena_alloc(&call->arena, request->messages_count * sizeof(*messages));
    if (messages == NULL) return err_make(ERR_NOMEM, "messages");
    for (size_t i = 0; i < prepared->count; i++) {
        const struct imap_prepared_message *from = &prepared->messages[i];
        messages[i] = request->messages[i];
        messages[i].facts = from->facts;
        messages[i].scan_stamp = from->scan_stamp;
        messages[i].size = from->size;
        messages[i].stored_bytes = body_size(from->stored);
    }
    request->messages = messages;
    TRY(imap_join(imap, &call->stored));
    return imap_call_start(imap, request, call->stored);
}

struct err imap_append_start(struct door_imap_conn *imap, const struct imap_wish *wish)
{
    if (wish->kind == IMAP_WISH_PREPARE) return imap_prepare(imap, wish);
    if (wish->kind == IMAP_WISH_APPEND_MANY) return imap_append_many(imap, wish);
    return imap_append_one(imap, wish);
}
