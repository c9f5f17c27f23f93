/* Property: the same wishes, requests and responses whether input comes whole or in two pieces. */
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "hash.h"
#include "http_session.h"

enum { OUT_BYTES = 64 * 1024, FUZZ_BODY_MAX_BYTES = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint64_t key[2] = { 1, 2 };

/* Feeds all of `in`, cut at `cut`; returns a hash of all that came out. */
static uint64_t run(struct span in, size_t cut, char *out_bytes)
{
    struct http_session *session;
    struct buf out;
    uint64_t requests = 0;
    buf_init(&out, out_bytes, OUT_BYTES);
    if (http_session_new(false, &session).code != ERR_OK) abort();
    http_session_body_max(session, FUZZ_BODY_MAX_BYTES);
    size_t done = 0, shown = cut;
    while (http_session_wish(session) != HTTP_WISH_CLOSE) {
        if (http_session_wish(session) == HTTP_WISH_ANSWER) {
            const struct http_request *request = http_session_request(session);
            requests = requests * 31 + hash_sip(key, request->body) + hash_sip(key, request->path);
            struct http_response response = { .status = 204 };
            http_session_answer(session, &response, &out);
            if (out.len > OUT_BYTES - 4096) break;
            continue;
        }
        size_t used = http_session_feed(session, span_of(in.ptr + done, shown - done), &out);
        CHECK(used <= shown - done);
        done += used;
        if (http_session_wish(session) != HTTP_WISH_NOTHING) continue;
        if (shown == in.len) break;
        shown = in.len;
    }
    uint64_t all = requests ^ hash_sip(key, buf_span(&out));
    http_session_free(session);
    return all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 8192) return 0;
    static char a[OUT_BYTES], b[OUT_BYTES];
    struct span in = span_of(data, size);
    uint64_t whole = run(in, size, a);
    /* 100 Continue depends on what has come so far, so such inputs are only run. */
    bool expects = memmem(data, size, "100-", 4) != NULL;
    for (size_t cut = 0; cut <= size; cut += 1 + size / 16) {
        uint64_t pieces = run(in, cut, b);
        CHECK(expects || pieces == whole);
    }
    return 0;
}
