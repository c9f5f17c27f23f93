/* A checkpoint that comes in from any bytes: `u8 kind, u16 LE length, bytes` again and again; kind
 * 0: a reply, 1: data, 2: the call broke and another goes on. Whatever comes, names stay names,
 * files are written from their first byte to their last, and no byte twice. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "check.h"
#include "checkpoint_take.h"
#include "replica_msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ARENA_BYTES = 4 * 1024 * 1024, HEAD_BYTES = 3 };

/* Where the next byte has to be. */
struct cursor {
    uint32_t file;
    uint64_t offset;
};

static void data_check(struct checkpoint_take *take, struct span bytes, struct cursor *at)
{
    struct checkpoint_piece piece;
    bool whole = true;
    while (bytes.len > 0) {
        size_t before = bytes.len;
        if (checkpoint_take_data(take, &bytes, &whole, &piece).code != ERR_OK) return;
        CHECK(bytes.len < before);
        if (!whole) continue;
        while (at->file < piece.file) {
            CHECK(at->offset == take->files[at->file].bytes);
            *at = (struct cursor){ at->file + 1, 0 };
        }
        CHECK(at->file == piece.file && at->offset == piece.offset);
        at->offset += piece.bytes.len;
        CHECK(at->offset <= take->files[at->file].bytes);
    }
}

static void reply_check(struct checkpoint_take *take, struct span bytes)
{
    struct arena arena;
    struct peer_checkpoint_reply reply;
    arena_init(&arena, ARENA_BYTES);
    struct err err = proto_unpack(&peer_checkpoint_reply_type, bytes, &arena, &reply);
    if (err.code == ERR_OK) err = checkpoint_take_reply(take, &reply);
    arena_clear(&arena);
    if (err.code != ERR_OK) return;
    for (uint32_t i = 0; i < take->files_count; i++) {
        const struct checkpoint_file *file = &take->files[i];
        CHECK(strlen(file->name) == file->name_len && strchr(file->name, '/') == NULL);
        CHECK(file->name[0] != '.' && file->bytes <= CHECKPOINT_FILE_MAX_BYTES);
    }
    CHECK(!take->whole || take->file == take->files_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct checkpoint_take *take = calloc(1, sizeof(*take));
    struct cursor at = { 0, 0 };
    CHECK(take != NULL);
    while (size >= HEAD_BYTES) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;
        unsigned kind = data[0] % 3;
        data += HEAD_BYTES;
        size -= HEAD_BYTES;
        if (len > size) len = size;
        struct span bytes = span_of((const char *)data, len);
        if (kind == 0) reply_check(take, bytes);
        else if (kind == 1) data_check(take, bytes, &at);
        else checkpoint_take_again(take);
        data += len;
        size -= len;
    }
    free(take);
    return 0;
}
