#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "sync_private.h"

void sync_call_encode(struct buf *to, struct span text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        char encoded[3] = { '%', digits[c >> 4], digits[c & 15] };
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '.' || c == '_' || c == '@';
        buf_put(to, plain ? span_of(&text.ptr[i], 1) : span_of(encoded, sizeof(encoded)));
    }
}

static void call_free(struct sync_call *call)
{
    free(call->body);
    free(call);
}

static void on_answer(void *holder, const struct api_answer *answer)
{
    struct sync_call *call = holder;
    json_t *json = json_loadb(answer->body.len > 0 ? answer->body.ptr : "", answer->body.len, 0,
                              NULL);
    const char *detail = json_string_value(json_object_get(json, "detail"));
    call->done(call, answer->status, json, detail != NULL ? detail : "the API gave no reason");
    json_decref(json);
    call_free(call);
}

struct err sync_call_start(struct sync_run *run, const struct sync_ask *ask)
{
    struct buf path;
    struct sync_call *call = calloc(1, sizeof(*call));
    if (call != NULL && ask->body != NULL) call->body = json_dumps(ask->body, JSON_COMPACT);
    json_decref(ask->body);
    if (call == NULL || (ask->body != NULL && call->body == NULL)) {
        free(call);
        return err_make(ERR_NOMEM, "directory");
    }
    buf_init(&path, call->path, sizeof(call->path));
    buf_put(&path, ask->path);
    sync_call_encode(&path, ask->argument);
    size_t query = ask->query.len;
    if (path.overflow || query > sizeof(call->query)) {
        call_free(call);
        return err_make(ERR_TOO_BIG, "directory");
    }
    if (query > 0) memcpy(call->query, ask->query.ptr, query);
    call->run = run;
    call->done = ask->done;
    call->change = ask->change;
    call->request = (struct http_request){
        .method = ask->method, .target = buf_span(&path), .path = buf_span(&path),
        .query = span_of(call->query, query),
        .body = call->body != NULL ? span_of(call->body, strlen(call->body)) : SPAN("")
    };
    struct err err = api_start_own(run->sync->options.api, &run->own, &call->request, on_answer,
                                   call);
    if (err.code != ERR_OK) call_free(call);
    return err;
}
