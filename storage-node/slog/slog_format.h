/* slog_format.h: the bytes of the node's log (pure). The format is described in slog_format.c. */
#ifndef MAIL_SLOG_FORMAT_H
#define MAIL_SLOG_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SLOG_PAGE_BYTES = 4096,                             /* groups begin and end at pages */
    SLOG_STORE_ID_BYTES = 16,
    SLOG_RECORD_HEAD_BYTES = 40,
    SLOG_GROUP_HEAD_BYTES = SLOG_RECORD_HEAD_BYTES + 44,
    SLOG_PAYLOAD_MAX_BYTES = 8 * 1024 * 1024 + 64 * 1024, /* a batch and what goes with it */
    SLOG_GROUP_MAX_BYTES = 16 * 1024 * 1024,            /* with head and padding */
    SLOG_SHARDS_MAX = 4096,                             /* on one disk */
};

/* Numbers on disk: they never change. */
enum slog_type {
    SLOG_DATA = 1,    /* an entry: a batch of changes */
    SLOG_EPOCH = 2,   /* an entry: the first of a leader's epoch; it takes an index */
    SLOG_ACCEPT = 3,  /* promise: nothing of an epoch below `epoch` is accepted any more */
    SLOG_COMMIT = 4,  /* hint: entries up to `index` are committed */
    SLOG_TRUNC = 5,   /* entries above `index` are void; `epoch` is that of the entry `index` */
    SLOG_INSTALL = 6, /* a checkpoint stands for everything up to (epoch, index) */
    SLOG_DROP = 7,    /* the shard is gone */
    SLOG_GROUP = 8,   /* head of a group */
    SLOG_STATE = 9,   /* the shards as they are where a segment begins */
};

/* `payload` points into what was decoded, or at what is to be encoded. */
struct slog_record {
    enum slog_type type;
    uint32_t shard;
    uint64_t epoch, index;
    uint64_t time_ms; /* the leader's wall time; for restores to a moment, never for order */
    struct span payload;
};

struct slog_group {
    uint8_t store_id[SLOG_STORE_ID_BYTES];
    uint64_t lsn;          /* of its first byte: bytes of all groups before it */
    uint64_t time_ms;
    uint32_t bytes;        /* whole, with head and padding: a multiple of SLOG_PAGE_BYTES */
    uint32_t used_bytes;   /* without the padding */
    uint32_t records;      /* behind the head */
    uint32_t previous_crc; /* of the group before; 0 for the first of a log */
    uint32_t crc;          /* its own */
};

/* A shard in a STATE record, and what replaying records keeps of one. */
struct slog_state {
    uint32_t shard;
    uint64_t accepted_epoch;
    uint64_t first_index; /* the lowest entry that was kept; last_index + 1: none */
    uint64_t last_epoch, last_index;
    uint64_t commit; /* hint: what is known to be committed */
};

/* Bytes of a record with a payload of `payload_bytes`, and of a group that uses `used_bytes`. */
size_t slog_record_bytes(size_t payload_bytes);
size_t slog_group_bytes(size_t used_bytes);

/* Writes the record, slog_record_bytes() long, payload included (which may stand in its
 * place already). The payload is at most SLOG_PAYLOAD_MAX_BYTES (CHECK). */
void slog_record_put(char *to, const struct slog_record *record);

/* Takes a record off the front of `*in`. ERR_CORRUPT: the bytes fail their checks. ERR_UNSUPPORTED:
 * they pass, and are of a newer version. `*in` and `*ret` are then untouched. */
MUST_USE struct err slog_record_take(struct span *in, struct slog_record *ret);

/* The same for a record that passed before: does not look at the payload's bytes again. */
MUST_USE struct err slog_record_take_checked(struct span *in, struct slog_record *ret);

/* Writes the head of a group into its first SLOG_GROUP_HEAD_BYTES and zeroes its padding. The
 * records stand behind the head up to `group->used_bytes`. Sets bytes, records and crc of
 * `group`. */
void slog_group_seal(char *bytes, struct slog_group *group);

/* The head of a group at the start of `in`; what is behind it is not looked at. Errors as above. */
MUST_USE struct err slog_group_take(struct span in, struct slog_group *ret);

/* Whether the records of the group, whole in `in`, are the ones it was written with. */
MUST_USE struct err slog_group_check(struct span in, const struct slog_group *group);

/* The payload of STATE, slog_state_bytes(count) long, and its rows. */
size_t slog_state_bytes(size_t count);
void slog_state_put(char *to, const struct slog_state *states, size_t count);
/* How many rows there are, and row `at` of them. ERR_CORRUPT for what is no such payload. */
MUST_USE struct err slog_state_count(struct span payload, size_t *count);
void slog_state_get(struct span payload, size_t at, struct slog_state *ret);

#ifdef __cplusplus
}
#endif
#endif
