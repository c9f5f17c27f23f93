#include "stored_body.h"

#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "crypto_private.h"

enum {
    /* zstd's level. On 4 KB of real mail: 1 packs to 44 % in 15 us, -1 to 56 % in 12 us, -3 to 61 %
     * in 9 us. Each byte is written twice at least and read back often, so 1 is worth its 3 us. */
    PACK_LEVEL = 1,
    /* Below it a zstd frame's own bytes eat what is gained. */
    PACK_MIN_BYTES = 64,
    /* A block of zstd is at most 128 KiB and at least 3 bytes and a frame has a head: more than
     * this from one packed byte is no body of ours, whatever its head claims. */
    UNPACK_RATIO_MAX = 128 * 1024 / 3 + 1,
};

static void put_head(char *to, enum stored_body_codec codec, uint64_t length)
{
    memset(to, 0, STORED_BODY_HEAD_BYTES);
    to[0] = STORED_BODY_VERSION;
    to[1] = (char)codec;
    for (unsigned i = 0; i < 8; i++) to[8 + i] = (char)(length >> (8 * i) & 0xff);
}

static bool packing_gains(size_t packed, size_t plain) { return packed <= plain - plain / 16; }

/* Appends the zstd frame of `message`, made piece by piece so that it is never in memory whole
 * beside its body. `*gains` false: the body is to be thrown away. */
static struct err pack_into(struct crypto_thread *thread, struct span message, struct body *body,
                            bool *gains)
{
    ZSTD_inBuffer in = { message.ptr, message.len, 0 };
    size_t packed = 0, left;
    ZSTD_CCtx_reset(thread->pack, ZSTD_reset_session_only);
    ZSTD_CCtx_setPledgedSrcSize(thread->pack, message.len);
    do {
        ZSTD_outBuffer out = { thread->scratch, CRYPTO_SCRATCH_BYTES, 0 };
        left = ZSTD_compressStream2(thread->pack, &out, &in, ZSTD_e_end);
        if (ZSTD_isError(left)) return err_make(ERR_NOMEM, "pack a body");
        packed += out.pos;
        if (!packing_gains(packed, message.len)) {
            *gains = false;
            return err_ok();
        }
        TRY(body_put(body, span_of(thread->scratch, out.pos)));
    } while (left > 0);
    *gains = true;
    return err_ok();
}

static struct err pack_prepare(struct crypto_thread **ret)
{
    struct crypto_thread *thread = crypto_thread_get();
    if (thread == NULL) return err_make(ERR_NOMEM, "pack a body");
    if (thread->scratch == NULL) thread->scratch = malloc(CRYPTO_SCRATCH_BYTES);
    if (thread->pack == NULL) {
        thread->pack = ZSTD_createCCtx();
        if (thread->pack != NULL) {
            ZSTD_CCtx_setParameter(thread->pack, ZSTD_c_compressionLevel, PACK_LEVEL);
        }
    }
    if (thread->scratch == NULL || thread->pack == NULL) return err_make(ERR_NOMEM, "pack a body");
    *ret = thread;
    return err_ok();
}

/* Appends head and content. */
static struct err fill(struct span message, bool pack, struct body *body, bool *done)
{
    char head[STORED_BODY_HEAD_BYTES];
    put_head(head, pack ? STORED_BODY_ZSTD : STORED_BODY_PLAIN, message.len);
    TRY(body_put(body, span_of(head, sizeof(head))));
    *done = true;
    if (pack) {
        struct crypto_thread *thread = NULL;
        TRY(pack_prepare(&thread));
        TRY(pack_into(thread, message, body, done));
    } else {
        TRY(body_put(body, message));
    }
    return *done ? body_seal(body) : err_ok();
}

struct err stored_body_make(struct span message, struct body_budget *budget, struct body **ret)
{
    if (message.len > STORED_BODY_MAX_BYTES) return err_make(ERR_TOO_BIG, "body");
    bool pack = message.len >= PACK_MIN_BYTES;
    for (;;) {
        struct body *body;
        bool done = false;
        TRY(body_new(budget, &body));
        struct err err = fill(message, pack, body, &done);
        if (err.code == ERR_OK && done) {
            *ret = body;
            return err_ok();
        }
        body_unref(body);
        if (err.code != ERR_OK) return err;
        pack = false;
    }
}

static uint64_t take_little(const char *from, unsigned count)
{
    uint64_t number = 0;
    for (unsigned i = count; i > 0; i--) number = number << 8 | (uint8_t)from[i - 1];
    return number;
}

/* Whether a zstd frame of `length` bytes unpacked, and nothing else, may be what follows: so that
 * a caller who makes room for `length` bytes is not led on by a few bytes of junk. */
static bool is_frame_of(struct span packed, uint64_t length)
{
    unsigned long long content = ZSTD_getFrameContentSize(packed.ptr, packed.len);
    if (content != length) return false; /* also CONTENTSIZE_UNKNOWN and _ERROR */
    return ZSTD_findFrameCompressedSize(packed.ptr, packed.len) == packed.len;
}

struct err stored_body_head(struct span head, uint64_t rest, uint64_t *length, bool *packed)
{
    if (head.len < STORED_BODY_HEAD_BYTES) return err_make(ERR_CORRUPT, "stored body");
    if (head.ptr[0] != STORED_BODY_VERSION) return err_make(ERR_UNSUPPORTED, "stored body");
    uint8_t codec = (uint8_t)head.ptr[1];
    if (codec > STORED_BODY_ZSTD || take_little(head.ptr + 2, 2) != 0) {
        return err_make(ERR_CORRUPT, "stored body");
    }
    if (take_little(head.ptr + 4, 4) != 0) return err_make(ERR_UNSUPPORTED, "encrypted body");
    uint64_t says = take_little(head.ptr + 8, 8);
    bool fits = says <= STORED_BODY_MAX_BYTES &&
                (codec == STORED_BODY_PLAIN ? says == rest : says / UNPACK_RATIO_MAX <= rest);
    if (!fits) return err_make(ERR_CORRUPT, "stored body");
    *length = says;
    *packed = codec == STORED_BODY_ZSTD;
    return err_ok();
}

struct err stored_body_length(struct span stored, uint64_t *ret)
{
    uint64_t length;
    bool is_packed;
    struct span packed = span_skip(stored, STORED_BODY_HEAD_BYTES);
    TRY(stored_body_head(span_head(stored, STORED_BODY_HEAD_BYTES), packed.len, &length,
                         &is_packed));
    if (is_packed && !is_frame_of(packed, length)) return err_make(ERR_CORRUPT, "stored body");
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
    struct crypto_thread *thread = crypto_thread_get();
    if (thread != NULL && thread->unpack == NULL) thread->unpack = ZSTD_createDCtx();
    if (thread == NULL || thread->unpack == NULL) return err_make(ERR_NOMEM, "unpack a body");
    size_t got = ZSTD_decompressDCtx(thread->unpack, to, (size_t)size, packed.ptr, packed.len);
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
