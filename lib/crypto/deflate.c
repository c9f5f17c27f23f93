#include "deflate.h"

#include <limits.h>
#include <stdlib.h>
#define ZLIB_CONST /* next_in points to what zlib does not write to */
#include <zlib.h>

#include "check.h"

enum {
    /* Replies of IMAP pack to about the same size from 3 on, and a window of 8 KiB holds several
     * of them; 2^(bits + 2) + 2^(level + 9) bytes are what it costs. */
    PACK_LEVEL = 3,
    PACK_WINDOW_BITS = 13,
    PACK_MEMORY_LEVEL = 6,
    UNPACK_WINDOW_BITS = 15, /* what the peer may use */
};

struct deflate {
    z_stream unpack, pack;
    bool packs;   /* `pack` holds memory */
    bool ended;   /* the peer has ended its stream */
};

struct err deflate_new(struct deflate **ret)
{
    struct deflate *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) return err_make(ERR_NOMEM, "compression");
    if (inflateInit2(&stream->unpack, -UNPACK_WINDOW_BITS) != Z_OK) {
        free(stream);
        return err_make(ERR_NOMEM, "compression");
    }
    *ret = stream;
    return err_ok();
}

void deflate_free(struct deflate *stream)
{
    if (stream == NULL) return;
    deflate_rest(stream);
    inflateEnd(&stream->unpack);
    free(stream);
}

/* zlib counts in unsigned int. */
static unsigned some(size_t len) { return len > INT_MAX ? INT_MAX : (unsigned)len; }

static struct err pack_begin(struct deflate *stream)
{
    if (stream->packs) return err_ok();
    stream->pack = (z_stream){ .next_in = NULL };
    int done = deflateInit2(&stream->pack, PACK_LEVEL, Z_DEFLATED, -PACK_WINDOW_BITS,
                            PACK_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (done != Z_OK) return err_make(ERR_NOMEM, "compression");
    stream->packs = true;
    return err_ok();
}

struct err deflate_pack(struct deflate *stream, struct span *in, char *to, size_t *len,
                        bool *more)
{
    TRY(pack_begin(stream));
    unsigned shown = some(in->len), room = some(*len);
    CHECK(room >= DEFLATE_ROOM_MIN_BYTES);
    stream->pack.next_in = (const Bytef *)in->ptr;
    stream->pack.avail_in = shown;
    stream->pack.next_out = (Bytef *)to;
    stream->pack.avail_out = room;
    int done = deflate(&stream->pack, shown == in->len ? Z_SYNC_FLUSH : Z_NO_FLUSH);
    CHECK(done == Z_OK || done == Z_BUF_ERROR); /* the second: there was nothing left to flush */
    *in = span_skip(*in, shown - stream->pack.avail_in);
    *len = room - stream->pack.avail_out;
    *more = in->len > 0 || stream->pack.avail_out == 0;
    return err_ok();
}

void deflate_rest(struct deflate *stream)
{
    if (stream->packs) deflateEnd(&stream->pack);
    stream->packs = false;
}

struct err deflate_unpack(struct deflate *stream, struct span *in, char *to, size_t *len)
{
    unsigned shown = some(in->len), room = some(*len);
    *len = 0;
    if (stream->ended) {
        return shown == 0 ? err_ok() : err_make(ERR_SYNTAX, "bytes behind the end of DEFLATE");
    }
    stream->unpack.next_in = (const Bytef *)in->ptr;
    stream->unpack.avail_in = shown;
    stream->unpack.next_out = (Bytef *)to;
    stream->unpack.avail_out = room;
    int done = inflate(&stream->unpack, Z_SYNC_FLUSH);
    *in = span_skip(*in, shown - stream->unpack.avail_in);
    *len = room - stream->unpack.avail_out;
    stream->ended = done == Z_STREAM_END;
    if (done == Z_MEM_ERROR) return err_make(ERR_NOMEM, "compression");
    bool good = done == Z_OK || done == Z_STREAM_END || done == Z_BUF_ERROR;
    return good ? err_ok() : err_make(ERR_SYNTAX, "no DEFLATE");
}
