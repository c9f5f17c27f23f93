/* checkpoint_take.h: a checkpoint as it comes in: what replies and data of `rpc Checkpoint` say,
 * which bytes of which file are there (pure). The order of replies is described in
 * checkpoint_take.c. */
#ifndef MAIL_CHECKPOINT_TAKE_H
#define MAIL_CHECKPOINT_TAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct peer_checkpoint_reply;

enum {
    CHECKPOINT_ID_BYTES = 16,
    CHECKPOINT_FILES_MAX = 8192,
    CHECKPOINT_NAME_MAX_BYTES = 31,
    CHECKPOINT_PIECE_BYTES = 128 * 1024,
};
static const uint64_t CHECKPOINT_FILE_MAX_BYTES = 1ull << 40;

/* Whether a file may be called so: as RocksDB calls the files of a store, and nothing else. */
bool checkpoint_name_fits(struct span name);

struct checkpoint_file {
    uint64_t bytes;
    uint8_t name_len;
    char name[CHECKPOINT_NAME_MAX_BYTES + 1]; /* with a NUL behind it */
};

/* Zeroed at first. Large: it is allocated. */
struct checkpoint_take {
    bool begun, whole;
    bool open;              /* of this call: its first reply has come */
    uint8_t id[CHECKPOINT_ID_BYTES];
    /* What is wanted next: the first byte that is not there. files_count: nothing more. */
    uint32_t file;
    uint64_t offset;
    uint32_t piece_bytes, piece_crc; /* of the piece under way; 0: none */
    uint32_t piece_len;              /* of it, here */
    uint32_t files_count;
    struct checkpoint_file files[CHECKPOINT_FILES_MAX];
    char piece[CHECKPOINT_PIECE_BYTES];
};

/* A new call goes on where the take is; or, once forgotten, begins a new checkpoint. */
void checkpoint_take_again(struct checkpoint_take *take);
void checkpoint_take_forget(struct checkpoint_take *take);

/* ERR_SYNTAX: no reply that may come here; ERR_CONFLICT: it goes on with another checkpoint. The
 * call is of no use any more then; the take is as it was. */
MUST_USE struct err checkpoint_take_reply(struct checkpoint_take *take,
                                          const struct peer_checkpoint_reply *reply);

/* Bytes of a file to be written, as soon as a piece is whole. */
struct checkpoint_piece {
    uint32_t file;
    uint64_t offset;
    struct span bytes; /* in the take, until its next call */
};
/* Takes data off the front of `*data`: at most to the end of the piece. True: it is whole, `*ret`.
 * ERR_CORRUPT: its checksum fails; ERR_SYNTAX: data that belong to no piece. */
MUST_USE struct err checkpoint_take_data(struct checkpoint_take *take, struct span *data,
                                         bool *whole, struct checkpoint_piece *ret);

#ifdef __cplusplus
}
#endif
#endif
