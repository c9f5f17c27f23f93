/* Search, Sort and Thread, on the crew. What mail says is decoded by lib/mime, in here and not in
 * mbox. */
#include <stdlib.h>
#include <string.h>

#include "kv.h"
#include "kv_key.h"
#include "mbox_fetch.h"
#include "mbox_search.h"
#include "mbox_sort.h"
#include "mime_text.h"
#include "store_serve_private.h"
#include "stored_body.h"
#include "uid_set.h"


/* The message content of one search; kept from message to message. */
struct searching {
    struct serve_call *call;
    char *stored, *message;
    size_t stored_size, message_size;
};

static bool grow(char **bytes, size_t *size, size_t wanted)
{
    if (wanted <= *size) return true;
    char *grown = realloc(*bytes, wanted);
    if (grown == NULL) return false;
    *bytes = grown;
    *size = wanted;
    return true;
}

/* The whole message, unpacked. */
static struct err read_message(struct searching *searching, const struct mbox_search_mail *mail,
                               struct span *ret)
{
    struct mbox_body_cursor cursor;
    struct span piece, stored;
    size_t len = 0;
    uint64_t length;
    if (!grow(&searching->stored, &searching->stored_size, mail->stored_bytes + 1ull)) {
        return err_make(ERR_NOMEM, "search");
    }
    TRY(mbox_body_open(mail->rows, mail->owner, mail->email, mail->stored_bytes, &cursor));
    struct err err;
    while ((err = mbox_body_next(&cursor, &piece)).code == ERR_OK) {
        memcpy(searching->stored + len, piece.ptr, piece.len);
        len += piece.len;
    }
    mbox_body_close(&cursor);
    if (err.code != ERR_NOT_FOUND) return err;
    stored = span_of(searching->stored, len);
    TRY(stored_body_length(stored, &length));
    if (!grow(&searching->message, &searching->message_size, length + 1)) {
        return err_make(ERR_NOMEM, "search");
    }
    TRY(stored_body_open(stored, searching->message, length));
    *ret = span_of(searching->message, length);
    return err_ok();
}

static bool give(void *holder, struct span text)
{
    struct mbox_search_sink *sink = holder;
    return sink->take(sink, text);
}

static struct err search_content(void *holder, const struct mbox_search_mail *mail,
                                 enum mbox_search_part part, struct span name,
                                 struct mbox_search_sink *sink)
{
    struct searching *searching = holder;
    struct span message = SPAN("");
    if (rpc_serving_cancelled(searching->call->serving)) return err_make(ERR_CANCELLED, "search");
    TRY(read_message(searching, mail, &message));
    switch (part) {
    case MBOX_SEARCH_FIELD:
        return mime_text_fields(message, name, give, sink);
    case MBOX_SEARCH_HEADER:
        return mime_text_header(message, give, sink);
    case MBOX_SEARCH_BODY:
        return mime_text_body(message, give, sink);
    }
    return err_ok();
}

static struct err search_decode(void *holder, struct span value, struct arena *arena,
                                struct span *ret)
{
    (void)holder;
    return mime_text_decode(value, arena, ret);
}

/* What is found, until it is sent. */
struct serve_stream {
    struct uid_set matches;  /* Search */
    struct mbox_order order; /* Sort, Thread */
    struct store_search_reply reply;
};

static struct err search_do(struct serve_call *call, const struct mbox_searcher *searcher)
{
    struct serve_stream *stream = call->stream;
    struct mbox_index *index = shard_index(call->shard);
    struct mbox_context context;
    serve_context(call->shard, shard_rows(call->shard), &context);
    if (call->method == STORE_METHOD_SORT) {
        return mbox_sort(&context, index, call->request, searcher, &stream->order, &stream->reply);
    }
    if (call->method == STORE_METHOD_THREAD) {
        return mbox_threads(&context, index, call->request, searcher, &stream->order,
                            &stream->reply);
    }
    return mbox_search(&context, index, call->request, searcher, &stream->matches,
                       &stream->reply);
}

static void search_run(struct crew_job *job)
{
    static const struct mbox_search_calls calls = { search_decode, search_content };
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct searching searching = { .call = call };
    struct mbox_searcher searcher = { &calls, &searching };
    call->err = search_do(call, &searcher);
    free(searching.stored);
    free(searching.message);
}

static void search_end(struct serve_call *call, struct err err)
{
    uid_set_free(&call->stream->matches);
    mbox_order_free(&call->stream->order);
    free(call->stream);
    serve_call_end(call, err);
}

static void search_done(struct crew_job *job)
{
    struct serve_call *call = LIST_ITEM(job, struct serve_call, crew);
    struct serve_stream *stream = call->stream;
    struct err holds = serve_read_err(call->shard);
    if (holds.code != ERR_OK) call->err = holds;
    if (call->err.code == ERR_OK) {
        struct span bytes = uid_set_bytes(&stream->matches);
        if (call->method != STORE_METHOD_SEARCH) {
            bytes = span_of(stream->order.numbers, stream->order.count * sizeof(uint32_t));
        }
        if (bytes.len > 0) rpc_put_data(call->serving, bytes);
        rpc_put_reply(call->serving, &stream->reply);
    }
    search_end(call, call->err);
}

void serve_search(void *holder, struct rpc_serving *serving)
{
    struct serve_call *call = serve_call_new(holder, serving);
    if (call == NULL) return;
    call->stream = calloc(1, sizeof(*call->stream));
    if (call->stream == NULL) {
        serve_call_end(call, err_make(ERR_NOMEM, "search"));
        return;
    }
    uid_set_init(&call->stream->matches, MBOX_COMMAND_RANGES_MAX);
    call->crew = (struct crew_job){ .run = search_run, .done = search_done,
                                    .loop = call->serve->loop };
    struct err err = crew_run(call->serve->options.reads, &call->crew);
    if (err.code != ERR_OK) search_end(call, err);
}
