/* A link carries frames in both directions, one behind the other. Numbers are big-endian.
 *
 *   head     u32 bytes behind the head, at most 64 KiB - 12
 *            u32 call; 0 in frames about the link. Chosen by the client; its low 12 bits are free
 *                among the calls that are open on the link, until their END has come
 *            u8  kind (enum rpc_kind)
 *            u8  flags: 1 FIRST, 2 LAST, 4 ANSWER; those not named for the kind below are 0
 *            u16 method number in REQUEST, else 0
 *
 *   HELLO    "GODWITR1", u16 lowest and u16 highest version spoken, u32 role bit (enum rpc_role),
 *            16 bytes cluster id and u32 incarnation of the cluster's store (0 where they are not
 *            known), then up to 256 bytes for later versions, which this one does not look at.
 *            The client sends its own first; the server answers with lowest = highest = the highest
 *            version that both speak. Everything else comes behind it.
 *   REQUEST  FIRST: u32 deadline in ms from now or 0, u32 bytes of the message, u64 bytes of raw
 *            data that follow in DATA frames, 16 bytes trace id; then the message's bytes. Frames
 *            without FIRST go on with them; LAST is in the frame that ends them.
 *   DATA     bytes. To the server: the request's body, after its message; LAST ends it. To the
 *            client: as much as there is credit for (RPC_CREDIT_BYTES at first).
 *   REPLY    FIRST: u32 bytes of the message; then its bytes, as in REQUEST.
 *   END      u16 error number of lib/base/err.h, then up to 1024 bytes of information.
 *   CANCEL   nothing.
 *   CREDIT   u32 bytes.
 *   PING     nothing; ANSWER in the answer.
 *   GOAWAY   u16 error number; 0: begin no more calls here, those that are open go on. Else the
 *            link is refused, and up to 1024 bytes of text say why.
 *
 * Version 1. A peer that speaks a newer version still sends this head and this HELLO. */
#include "rpc_frame.h"

#include "check.h"
#include "rpc.h"

static const char rpc_magic[8] = { 'G', 'O', 'D', 'W', 'I', 'T', 'R', '1' };

enum {
    RPC_HELLO_BYTES = sizeof(rpc_magic) + 8 + RPC_CLUSTER_BYTES + 4,
    RPC_HELLO_REST_MAX_BYTES = 256,
    RPC_REQUEST_BYTES = 16 + RPC_TRACE_BYTES,
    RPC_LENGTH_MAX = RPC_FRAME_MAX_BYTES - RPC_HEAD_BYTES,
};

static void put_u16(char *to, uint16_t value)
{
    to[0] = (char)(value >> 8);
    to[1] = (char)(value & 0xff);
}

static void put_u32(char *to, uint32_t value)
{
    value = __builtin_bswap32(value);
    memcpy(to, &value, sizeof(value));
}

static void put_u64(char *to, uint64_t value)
{
    value = __builtin_bswap64(value);
    memcpy(to, &value, sizeof(value));
}

static uint16_t get_u16(const char *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof(value));
    return __builtin_bswap16(value);
}

static uint32_t get_u32(const char *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return __builtin_bswap32(value);
}

static uint64_t get_u64(const char *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return __builtin_bswap64(value);
}

/* What the kind has at the front of its payload, and what may stand in its head. */
struct rpc_shape {
    uint8_t fixed_bytes, flags;
    bool is_call, in_pieces;
    uint32_t rest_max; /* behind the fixed bytes */
};

/* False: there is no such kind. */
static bool rpc_shape(const struct rpc_frame *frame, struct rpc_shape *ret)
{
    bool first = (frame->flags & RPC_FLAG_FIRST) != 0;
    const uint8_t parts = RPC_FLAG_FIRST | RPC_FLAG_LAST;
    struct rpc_shape shape = { .is_call = true };
    switch (frame->kind) {
    case RPC_HELLO:
        shape = (struct rpc_shape){ .fixed_bytes = RPC_HELLO_BYTES,
                                    .rest_max = RPC_HELLO_REST_MAX_BYTES };
        break;
    case RPC_REQUEST:
        shape = (struct rpc_shape){ first ? RPC_REQUEST_BYTES : 0, parts, true, true,
                                    RPC_LENGTH_MAX };
        break;
    case RPC_DATA:
        shape = (struct rpc_shape){ 0, RPC_FLAG_LAST, true, true, RPC_LENGTH_MAX };
        break;
    case RPC_REPLY:
        shape = (struct rpc_shape){ first ? 4 : 0, parts, true, true, RPC_LENGTH_MAX };
        break;
    case RPC_END: shape = (struct rpc_shape){ 2, 0, true, false, RPC_INFO_MAX_BYTES }; break;
    case RPC_CANCEL: break;
    case RPC_CREDIT: shape.fixed_bytes = 4; break;
    case RPC_PING: shape = (struct rpc_shape){ .flags = RPC_FLAG_ANSWER }; break;
    case RPC_GOAWAY:
        shape = (struct rpc_shape){ .fixed_bytes = 2, .rest_max = RPC_INFO_MAX_BYTES };
        break;
    default: return false;
    }
    *ret = shape;
    return true;
}

static void rpc_put_fixed(const struct rpc_frame *frame, char *to)
{
    switch (frame->kind) {
    case RPC_HELLO:
        memcpy(to, rpc_magic, sizeof(rpc_magic));
        put_u16(to + 8, frame->version_low);
        put_u16(to + 10, frame->version_high);
        put_u32(to + 12, frame->role);
        memcpy(to + 16, frame->cluster, RPC_CLUSTER_BYTES);
        put_u32(to + 16 + RPC_CLUSTER_BYTES, frame->incarnation);
        break;
    case RPC_REQUEST:
        if (!(frame->flags & RPC_FLAG_FIRST)) break;
        put_u32(to, frame->deadline_ms);
        put_u32(to + 4, frame->message_bytes);
        put_u64(to + 8, frame->body_bytes);
        memcpy(to + 16, frame->trace_id, RPC_TRACE_BYTES);
        break;
    case RPC_REPLY:
        if (frame->flags & RPC_FLAG_FIRST) put_u32(to, frame->message_bytes);
        break;
    case RPC_CREDIT: put_u32(to, frame->credit); break;
    case RPC_END:
    case RPC_GOAWAY: put_u16(to, frame->error); break;
    default: break;
    }
}

size_t rpc_frame_head(const struct rpc_frame *frame, size_t payload_len,
                      char to[RPC_HEAD_MAX_BYTES])
{
    struct rpc_shape shape;
    CHECK(rpc_shape(frame, &shape) && payload_len <= shape.rest_max);
    CHECK(payload_len + shape.fixed_bytes <= RPC_LENGTH_MAX);
    put_u32(to, (uint32_t)(shape.fixed_bytes + payload_len));
    put_u32(to + 4, frame->call);
    to[8] = (char)frame->kind;
    to[9] = (char)frame->flags;
    put_u16(to + 10, frame->method);
    rpc_put_fixed(frame, to + RPC_HEAD_BYTES);
    return RPC_HEAD_BYTES + (size_t)shape.fixed_bytes;
}

/* False: bytes that no version writes there. */
static bool rpc_get_fixed(struct rpc_frame *frame, const char *from)
{
    switch (frame->kind) {
    case RPC_HELLO:
        frame->version_low = get_u16(from + 8);
        frame->version_high = get_u16(from + 10);
        frame->role = get_u32(from + 12);
        memcpy(frame->cluster, from + 16, RPC_CLUSTER_BYTES);
        frame->incarnation = get_u32(from + 16 + RPC_CLUSTER_BYTES);
        return memcmp(from, rpc_magic, sizeof(rpc_magic)) == 0 &&
               frame->version_low <= frame->version_high;
    case RPC_REQUEST:
        if (!(frame->flags & RPC_FLAG_FIRST)) return true;
        frame->deadline_ms = get_u32(from);
        frame->message_bytes = get_u32(from + 4);
        frame->body_bytes = get_u64(from + 8);
        memcpy(frame->trace_id, from + 16, RPC_TRACE_BYTES);
        return frame->message_bytes <= RPC_MESSAGE_MAX_BYTES;
    case RPC_REPLY:
        if (!(frame->flags & RPC_FLAG_FIRST)) return true;
        frame->message_bytes = get_u32(from);
        return frame->message_bytes <= RPC_MESSAGE_MAX_BYTES;
    case RPC_CREDIT: frame->credit = get_u32(from); return true;
    case RPC_END:
    case RPC_GOAWAY: frame->error = get_u16(from); return true;
    default: return true;
    }
}

/* The next piece of the frame whose head is in the decoder. */
static void rpc_take_piece(struct rpc_decoder *decoder, struct span in, struct rpc_frame *ret,
                           size_t *used)
{
    struct span piece = span_head(in, decoder->left_bytes);
    decoder->left_bytes -= (uint32_t)piece.len;
    *ret = decoder->frame;
    ret->payload = piece;
    if (decoder->left_bytes > 0) ret->flags &= (uint8_t)~RPC_FLAG_LAST;
    decoder->frame.flags &= (uint8_t)~RPC_FLAG_FIRST;
    *used += piece.len;
}

enum rpc_decoded rpc_frame_take(struct rpc_decoder *decoder, struct span in,
                                struct rpc_frame *ret, size_t *used)
{
    size_t taken = 0;
    if (decoder->left_bytes > 0) {
        if (in.len == 0) return RPC_MORE;
        rpc_take_piece(decoder, in, ret, &taken);
        *used = taken;
        return RPC_DECODED;
    }
    if (in.len < RPC_HEAD_BYTES) return RPC_MORE;
    uint32_t length = get_u32(in.ptr);
    struct rpc_frame frame = { .kind = (uint8_t)in.ptr[8], .flags = (uint8_t)in.ptr[9] };
    frame.call = get_u32(in.ptr + 4);
    frame.method = get_u16(in.ptr + 10);
    struct rpc_shape shape;
    if (!rpc_shape(&frame, &shape) || (frame.flags & ~shape.flags) != 0) return RPC_BAD;
    if ((frame.call != 0) != shape.is_call) return RPC_BAD;
    if (frame.method != 0 && frame.kind != RPC_REQUEST) return RPC_BAD;
    if (length > RPC_LENGTH_MAX || length < shape.fixed_bytes) return RPC_BAD;
    if (length - shape.fixed_bytes > shape.rest_max) return RPC_BAD;
    size_t whole = RPC_HEAD_BYTES + (shape.in_pieces ? shape.fixed_bytes : length);
    if (in.len < whole) return RPC_MORE;
    if (!rpc_get_fixed(&frame, in.ptr + RPC_HEAD_BYTES)) return RPC_BAD;
    taken = RPC_HEAD_BYTES + (size_t)shape.fixed_bytes;
    decoder->frame = frame;
    decoder->left_bytes = length - shape.fixed_bytes;
    rpc_take_piece(decoder, span_skip(in, taken), ret, &taken);
    *used = taken;
    return RPC_DECODED;
}
