/* rpc.h: calls between programs: one request, a reply or a stream of them, raw data beside both.
 *
 * A connection carries many calls at once, in frames of at most 64 KiB that are interleaved, so
 * that a large body delays nobody. Frames and their numbers are described in rpc_frame.c. Over TCP
 * it is always mutual TLS with certificates of the cluster's own CA, and the URI in a certificate
 * says which program of which cluster it is (rpc_name.h); over a unix socket of this machine it is
 * plain, and the role is what the hello says (the socket's directory is the guard). Who may call
 * whom is in rpc_callers.def; who we are, in rpc_self.h.
 *
 * Everything here belongs to one loop: calls are started and answered on the loop's own thread. A
 * link on which nothing happens sends nothing; a dead peer is found by the calls' deadlines, and by
 * PING while calls without one are open. */
#ifndef MAIL_RPC_H
#define MAIL_RPC_H

enum {
    RPC_FRAME_MAX_BYTES = 64 * 1024,
    RPC_MESSAGE_MAX_BYTES = 4 * 1024 * 1024,  /* a protobuf message, all frames of it together */
    RPC_MESSAGES_MAX_BYTES = 64 * 1024 * 1024, /* of those coming in on one connection together */
    RPC_BODY_MAX_BYTES = 256 * 1024 * 1024,   /* raw data of one request */
    RPC_CALLS_MAX = 4096,                     /* open on one connection; BUSY beyond */
    RPC_CREDIT_BYTES = 256 * 1024,            /* of a reply, sent before the receiver took it */
    RPC_REPLIES_MAX_BYTES = 16 * 1024 * 1024, /* waiting on one call; it is ended beyond */
    RPC_CLIENTS_MAX = 1024,                   /* connections of a server that have said hello */
    RPC_STRANGERS_MAX = 256,                  /* that have not; the oldest makes room */
    RPC_LISTENERS_MAX = 8,                    /* of a server */
    RPC_VERSION = 1,
    RPC_CONNECT_MS = 2000,
    RPC_HELLO_MS = 5000,                      /* for a client to say hello */
    RPC_PING_MS = 10000,
    RPC_BACKOFF_MIN_MS = 20,                  /* between attempts to connect; doubles ... */
    RPC_BACKOFF_MAX_MS = 1000,                /* ... up to this, and each is 3/4 to 5/4 of it */
};

#include "rpc_client.h"
#include "rpc_name.h"
#include "rpc_self.h"
#include "rpc_server.h"

#endif
