#include "stored_body.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "body.h"

enum { LEVEL = -1, SMALL_BYTES = 64 };

/* Contexts are kept per thread: making one costs more than packing a small message. */
static _Thread_local ZSTD_CCtx *pack_context;
static _Thread_local ZSTD_DCtx *unpack_context;

static void put_head(char *to, uint8_t codec, uint64_t length)
{
    memset(to, 0, STORED_BODY_HEAD_BYTES);
    to[0] = STORED_BODY_VERSION;
    to[1] = (char)codec;
    memcpy(to + 8, &length, sizeof(length));
}

static struct err make_body(struct body_budget *budget, struct span head, struct span packed,
                            struct body **ret)
{
    struct body *body;
    TRY(body_new(budget, &body));
    struct err err = body_put(body, head);
    if (err.code == ERR_OK) err = body_put(body, packed);
    if (err.code == ERR_OK) err = body_seal(body);
    if (err.code != ERR_OK) {
        body_unref(body);
        return err;
    }
    *ret = body;
    return err_ok();
}

struct err stored_body_make(struct span message, struct body_budget *budget, struct body **ret)
{
    char head[STORED_BODY_HEAD_BYTES];
    if (message.len > STORED_BODY_MAX_BYTES) return err_make(ERR_TOO_BIG, "body");
    size_t bound = ZSTD_compressBound(message.len), packed = 0;
    char *bytes = NULL;
    if (message.len > SMALL_BYTES) {
        if (pack_context == NULL) pack_context = ZSTD_createCCtx();
        bytes = malloc(bound);
        if (bytes == NULL || pack_context == NULL) {
            free(bytes);
            return err_make(ERR_NOMEM, "pack a body");
        }
        packed = ZSTD_compressCCtx(pack_context, bytes, bound, message.ptr, message.len, LEVEL);
        if (ZSTD_isError(packed) || packed > message.len - message.len / 16) packed = 0;
    }
    put_head(head, packed > 0 ? STORED_BODY_ZSTD : STORED_BODY_PLAIN, message.len);
    struct err err = make_body(budget, span_of(head, sizeof(head)),
                               packed > 0 ? span_of(bytes, packed) : message, ret);
    free(bytes);
    return err;
}

struct err stored_body_length(struct span stored, uint64_t *ret)
{
    uint32_t key;
    uint64_t length;
    if (stored.len < STORED_BODY_HEAD_BYTES) return err_make(ERR_CORRUPT, "stored body");
    if (stored.ptr[0] != STORED_BODY_VERSION) return err_make(ERR_UNSUPPORTED, "stored body");
    memcpy(&key, stored.ptr + 4, sizeof(key));
    memcpy(&length, stored.ptr + 8, sizeof(length));
    if (key != 0) return err_make(ERR_UNSUPPORTED, "key of a stored body");
    if (length > STORED_BODY_MAX_BYTES || (uint8_t)stored.ptr[1] > STORED_BODY_ZSTD) {
        return err_make(ERR_CORRUPT, "stored body");
    }
    if (stored.ptr[1] == STORED_BODY_PLAIN && length != stored.len - STORED_BODY_HEAD_BYTES) {
        return err_make(ERR_CORRUPT, "stored body");
    }
    *ret = length;
    return err_ok();
}

struct err stored_body_open(struct span stored, char *to, uint64_t size)
{
    uint64_t length;
    TRY(stored_body_length(stored, &length));
    if (length != size) return err_make(ERR_CORRUPT, "length of a stored body");
    struct span packed = span_skip(stored, STORED_BODY_HEAD_BYTES);
    if (stored.ptr[1] == STORED_BODY_PLAIN) {
        if (packed.len > 0) memcpy(to, packed.ptr, packed.len);
        return err_ok();
    }
    if (unpack_context == NULL) unpack_context = ZSTD_createDCtx();
    if (unpack_context == NULL) return err_make(ERR_NOMEM, "unpack a body");
    size_t got = ZSTD_decompressDCtx(unpack_context, to, size, packed.ptr, packed.len);
    if (ZSTD_isError(got) || got != size) return err_make(ERR_CORRUPT, "stored body");
    return err_ok();
}

bool stored_body_is_plain(struct span stored, struct span *ret)
{
    uint64_t length;
    if (stored_body_length(stored, &length).code != ERR_OK) return false;
    if (stored.ptr[1] != STORED_BODY_PLAIN) return false;
    *ret = span_skip(stored, STORED_BODY_HEAD_BYTES);
    return true;
}
