/* replica_wire.h: messages between copies as bytes of a call to another storage node (pure). The
 * form is described in replica_wire.c. */
#ifndef MAIL_REPLICA_WIRE_H
#define MAIL_REPLICA_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arena.h"
#include "err.h"
#include "replica_message.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_tell_request;
struct slog_record;

enum {
    REPLICA_NOTES_MAX = 4096,                        /* of one call: ROSTER_SHARDS_MAX */
    REPLICA_CALL_ENTRIES_MAX = 4096,                 /* of all of its notes */
    REPLICA_CALL_HEAD_MAX_BYTES = 1024 * 1024,       /* the message */
    REPLICA_CALL_DATA_MAX_BYTES = 16 * 1024 * 1024,  /* the entries beside it */
};

struct replica_note {
    uint32_t shard;
    struct replica_message message;
    const struct slog_record *entries; /* message.count of them, in the order of their indexes */
};

struct replica_call {
    struct roster_id store, boot, to;
    const struct replica_note *notes;
    size_t notes_count;
};

/* Writes the call's message, in `arena`, to `*head`. The entries' payloads follow as they are:
 * replica_wire_data() tells how many bytes they are. ERR_NOMEM; ERR_TOO_BIG: over a limit above. */
MUST_USE struct err replica_wire_put(const struct replica_call *call, struct arena *arena,
                                     struct span *head);
size_t replica_wire_data(const struct replica_call *call);
/* The same as the struct that lib/rpc packs; it points into `call` and `arena`. Errors as above. */
MUST_USE struct err replica_wire_make(const struct replica_call *call, struct arena *arena,
                                      struct peer_tell_request *ret);

/* Reads a call. What `*ret` points to lies in `arena`, payloads in `data`. ERR_SYNTAX: not one that
 * replica_wire_put() makes; `*ret` is then untouched. */
MUST_USE struct err replica_wire_take(struct span head, struct span data, struct arena *arena,
                                      struct replica_call *ret);
/* The same from the struct that lib/rpc unpacked; nothing of `*ret` lies in `request`. */
MUST_USE struct err replica_wire_read(const struct peer_tell_request *request, struct span data,
                                      struct arena *arena, struct replica_call *ret);

#ifdef __cplusplus
}
#endif
#endif
