/* However the bytes are cut, the same frames come out; and a frame written again is what it was. */
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "rpc.h"
#include "rpc_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a receiver makes of the pieces: frames put together again. */
struct heard {
    char *bytes;
    size_t len;
    bool bad;
};

static void heard_put(struct heard *heard, const void *bytes, size_t len)
{
    if (len > 0) memcpy(heard->bytes + heard->len, bytes, len);
    heard->len += len;
}

/* One kind, call, flags and so on behind each other, then payload bytes; a piece that goes on with
 * a message or data adds payload only, but LAST is a mark. */
static void heard_frame(struct heard *heard, const struct rpc_frame *frame, bool goes_on)
{
    struct rpc_frame copy = *frame;
    char head[RPC_HEAD_MAX_BYTES];
    copy.flags &= (uint8_t)~RPC_FLAG_LAST;
    if (!goes_on) heard_put(heard, head, rpc_frame_head(&copy, 0, head));
    heard_put(heard, frame->payload.ptr, frame->payload.len);
    if (frame->flags & RPC_FLAG_LAST) heard_put(heard, "L", 1);
}

static void hear(struct span in, size_t piece_bytes, struct heard *heard)
{
    struct rpc_decoder decoder = { .left_bytes = 0 };
    size_t seen = 0, done = 0;
    for (;;) {
        struct rpc_frame frame;
        size_t used = 0;
        bool goes_on = decoder.left_bytes > 0;
        enum rpc_decoded decoded =
            rpc_frame_take(&decoder, span_of(in.ptr + done, seen - done), &frame, &used);
        if (decoded == RPC_BAD) heard->bad = true;
        if (decoded == RPC_BAD) return;
        if (decoded == RPC_DECODED) {
            CHECK(used > 0 && used <= seen - done);
            done += used;
            heard_frame(heard, &frame, goes_on);
            continue;
        }
        CHECK(seen - done < RPC_HEAD_MAX_BYTES + RPC_INFO_MAX_BYTES);
        if (seen == in.len) return;
        seen += piece_bytes < in.len - seen ? piece_bytes : in.len - seen;
    }
}

/* Each frame that is whole in `in`, written again, gives its bytes. */
static void write_again(struct span in)
{
    struct rpc_decoder decoder = { .left_bytes = 0 };
    struct rpc_frame frame;
    size_t used = 0;
    while (rpc_frame_take(&decoder, in, &frame, &used) == RPC_DECODED && decoder.left_bytes == 0) {
        char head[RPC_HEAD_MAX_BYTES];
        size_t len = rpc_frame_head(&frame, frame.payload.len, head);
        CHECK(len + frame.payload.len == used);
        CHECK(span_eq(span_of(head, len), span_head(in, len)));
        CHECK(span_eq(frame.payload, span_skip(span_head(in, used), len)));
        in = span_skip(in, used);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    struct span in = span_of(data + 1, size - 1);
    size_t bytes_max = size * 2 + 1; /* a frame's head again, and LAST marks */
    struct heard whole = { .bytes = malloc(bytes_max) }, cut = { .bytes = malloc(bytes_max) };
    CHECK(whole.bytes != NULL && cut.bytes != NULL);
    hear(in, in.len, &whole);
    hear(in, 1u + data[0] % 64u, &cut);
    CHECK(whole.bad == cut.bad);
    CHECK(span_eq(span_of(whole.bytes, whole.len), span_of(cut.bytes, cut.len)));
    write_again(in);
    free(whole.bytes);
    free(cut.bytes);
    return 0;
}
