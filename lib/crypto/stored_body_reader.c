#include "stored_body_reader.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "crypto_private.h"
#include "stored_body.h"

/* What stored_body_make() writes has windows of 1 MiB at most; a frame that asks for more than this
 * is none of ours, and would have memory from us. */
enum { WINDOW_LOG_MAX = 23 };
_Static_assert(1 << WINDOW_LOG_MAX == STORED_BODY_WINDOW_BYTES, "the header says it");

struct stored_body_reader {
    ZSTD_DCtx *unpack;       /* NULL while the head is not read, and for plain bodies */
    uint64_t stored_left;    /* bytes still to be shown */
    uint64_t length, written;
    size_t head_len;
    bool has_frame_ended;
    char head[STORED_BODY_HEAD_BYTES];
};

struct err stored_body_reader_new(uint64_t stored_bytes, struct stored_body_reader **ret)
{
    if (stored_bytes < STORED_BODY_HEAD_BYTES) return err_make(ERR_CORRUPT, "stored body");
    struct stored_body_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) return err_make(ERR_NOMEM, "unpack a body");
    reader->stored_left = stored_bytes;
    *ret = reader;
    return err_ok();
}

void stored_body_reader_free(struct stored_body_reader *reader)
{
    if (reader == NULL) return;
    ZSTD_freeDCtx(reader->unpack);
    free(reader);
}

bool stored_body_reader_is_done(const struct stored_body_reader *reader)
{
    return reader->head_len == STORED_BODY_HEAD_BYTES && reader->stored_left == 0
        && reader->written == reader->length
        && (reader->unpack == NULL || reader->has_frame_ended);
}

static bool is_packed(const struct stored_body_reader *reader)
{
    return reader->head[1] == STORED_BODY_ZSTD;
}

static struct err read_head(struct stored_body_reader *reader, struct span *in)
{
    struct span part = span_head(*in, STORED_BODY_HEAD_BYTES - reader->head_len);
    if (part.len > 0) memcpy(reader->head + reader->head_len, part.ptr, part.len);
    reader->head_len += part.len;
    reader->stored_left -= part.len;
    *in = span_skip(*in, part.len);
    if (reader->head_len < STORED_BODY_HEAD_BYTES) return err_ok();
    bool packed;
    struct span head = span_of(reader->head, STORED_BODY_HEAD_BYTES);
    TRY(stored_body_head(head, reader->stored_left, &reader->length, &packed));
    if (!packed) return err_ok();
    reader->unpack = ZSTD_createDCtx();
    if (reader->unpack == NULL) return err_make(ERR_NOMEM, "unpack a body");
    ZSTD_DCtx_setParameter(reader->unpack, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return err_ok();
}

static void read_plain(struct stored_body_reader *reader, struct span *in, struct buf *out)
{
    struct span part = span_head(*in, out->size - out->len);
    buf_put(out, part);
    reader->stored_left -= part.len;
    reader->written += part.len;
    *in = span_skip(*in, part.len);
}

static struct err read_packed(struct stored_body_reader *reader, struct span *in, struct buf *out)
{
    while (!reader->has_frame_ended) {
        ZSTD_inBuffer from = { in->ptr, in->len, 0 };
        ZSTD_outBuffer to = { out->bytes + out->len, out->size - out->len, 0 };
        size_t left = ZSTD_decompressStream(reader->unpack, &to, &from);
        if (ZSTD_isError(left)) return err_make(ERR_CORRUPT, "stored body");
        *in = span_skip(*in, from.pos);
        out->len += to.pos;
        reader->stored_left -= from.pos;
        reader->written += to.pos;
        reader->has_frame_ended = left == 0;
        if (reader->written > reader->length) return err_make(ERR_CORRUPT, "stored body");
        if (from.pos == 0 && to.pos == 0) break;
    }
    return err_ok();
}

struct err stored_body_read(struct stored_body_reader *reader, struct span *in, struct buf *out)
{
    if (in->len > reader->stored_left) return err_make(ERR_CORRUPT, "stored body");
    if (reader->head_len < STORED_BODY_HEAD_BYTES) TRY(read_head(reader, in));
    if (reader->head_len < STORED_BODY_HEAD_BYTES) return err_ok();
    if (!is_packed(reader)) {
        read_plain(reader, in, out);
        return err_ok();
    }
    TRY(read_packed(reader, in, out));
    bool ends = reader->stored_left == 0 || reader->has_frame_ended;
    bool is_full = out->len == out->size;
    if (ends && !is_full && !stored_body_reader_is_done(reader)) {
        return err_make(ERR_CORRUPT, "stored body");
    }
    return err_ok();
}
