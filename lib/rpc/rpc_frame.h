/* rpc_frame.h: the frames of an RPC connection, to bytes and back. No I/O in here. */
#ifndef MAIL_RPC_FRAME_H
#define MAIL_RPC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rpc_name.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The format is described in rpc_frame.c. */
enum {
    RPC_HEAD_BYTES = 12,
    RPC_HEAD_MAX_BYTES = RPC_HEAD_BYTES + 36, /* with what stands at the front of the payload */
    RPC_PAYLOAD_MAX_BYTES = 64 * 1024 - RPC_HEAD_MAX_BYTES,
    RPC_INFO_MAX_BYTES = 1024,
    RPC_TRACE_BYTES = 16,
};

/* On the wire for ever. */
enum rpc_kind {
    RPC_HELLO = 1,   /* link: versions and role; first in both directions */
    RPC_REQUEST = 2, /* to the server: begins a call, or goes on with a long message */
    RPC_DATA = 3,    /* raw data: of the request to the server, of the reply to the client */
    RPC_REPLY = 4,   /* to the client */
    RPC_END = 5,     /* to the client: the call is over */
    RPC_CANCEL = 6,  /* to the server: nobody waits for the call any more; END still comes */
    RPC_CREDIT = 7,  /* to the server: so many bytes of DATA more may be sent */
    RPC_PING = 8,    /* link: answer with PING and RPC_FLAG_ANSWER */
    RPC_GOAWAY = 9,  /* link: begin no more calls here; with an error: the link is refused */
};

enum { RPC_FLAG_FIRST = 1, RPC_FLAG_LAST = 2, RPC_FLAG_ANSWER = 4 };

struct rpc_frame {
    uint8_t kind, flags; /* FIRST: the message begins here; LAST: message or data end here */
    uint16_t method;     /* REQUEST */
    uint32_t call;       /* 0 for a frame about the link */
    /* Fields of some kinds; 0 in the others. */
    uint16_t version_low, version_high; /* HELLO */
    uint32_t role;                      /* HELLO */
    uint8_t cluster[RPC_CLUSTER_BYTES]; /* HELLO */
    uint32_t incarnation;               /* HELLO */
    uint32_t deadline_ms;               /* REQUEST FIRST: from now; 0: none */
    uint32_t message_bytes;             /* REQUEST FIRST, REPLY FIRST: the whole message */
    uint64_t body_bytes;                /* REQUEST FIRST: DATA that will follow */
    uint8_t trace_id[RPC_TRACE_BYTES];  /* REQUEST FIRST */
    uint32_t credit;                    /* CREDIT */
    uint16_t error;                     /* END, GOAWAY: enum err_code */
    struct span payload;                /* message, data, info, text of a GOAWAY */
};

/* Writes what stands before the payload of `frame`, of which `payload_len` bytes will follow (at
 * most RPC_PAYLOAD_MAX_BYTES; frame->payload is not looked at). Returns how many bytes. */
size_t rpc_frame_head(const struct rpc_frame *frame, size_t payload_len,
                      char to[RPC_HEAD_MAX_BYTES]);

enum rpc_decoded { RPC_DECODED, RPC_MORE, RPC_BAD };

/* Zeroed at first. */
struct rpc_decoder {
    struct rpc_frame frame;
    uint32_t left_bytes; /* of the frame under way; its head has been taken */
};

/* Takes a frame, or the next piece of one, off the front of `in`. Message and data frames are given
 * piece by piece as they come: `*ret` has payload of a piece, FIRST only in a frame's first piece
 * and LAST only in its last, so that a receiver need not know how the bytes were cut. All other
 * frames are given whole. MORE: nothing is used; at most RPC_HEAD_MAX_BYTES + RPC_INFO_MAX_BYTES
 * wait for more. BAD: not our format or over a limit; the link is of no use from there on. */
enum rpc_decoded rpc_frame_take(struct rpc_decoder *decoder, struct span in,
                                struct rpc_frame *ret, size_t *used);

#ifdef __cplusplus
}
#endif
#endif
