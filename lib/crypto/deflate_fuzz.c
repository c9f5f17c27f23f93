/* Whatever is packed, in pieces and with rests between them, is unpacked to the same bytes; and any
 * bytes are unpacked, or refused, into no more than there is room for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "deflate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ROOM = 97, UNPACKED_MAX_BYTES = 1 << 20 };

static size_t unpack_all(struct deflate *deflate, struct span packed, char *to, size_t size)
{
    size_t have = 0;
    for (;;) {
        size_t len = size - have;
        CHECK(deflate_unpack(deflate, &packed, to + have, &len).code == ERR_OK);
        have += len;
        if (len == 0) break;
    }
    CHECK(packed.len == 0);
    return have;
}

static void there_and_back(struct span plain, size_t piece)
{
    struct deflate *writer, *reader;
    char *back = malloc(plain.len + 16), packed[ROOM];
    size_t have = 0, at = 0;
    CHECK(back != NULL);
    CHECK(deflate_new(&writer).code == ERR_OK && deflate_new(&reader).code == ERR_OK);
    while (at < plain.len) {
        struct span in = span_head(span_skip(plain, at), piece);
        at += in.len;
        for (bool more = true; more;) {
            size_t len = sizeof(packed);
            CHECK(deflate_pack(writer, &in, packed, &len, &more).code == ERR_OK);
            CHECK(len <= sizeof(packed));
            have += unpack_all(reader, span_of(packed, len), back + have, plain.len + 16 - have);
        }
        /* All that went in can be read now. */
        CHECK(have == at && memcmp(back, plain.ptr, have) == 0);
        if (at % 3 == 0) deflate_rest(writer);
    }
    deflate_free(writer);
    deflate_free(reader);
    free(back);
}

static void any_bytes(struct span in)
{
    struct deflate *deflate;
    char to[ROOM];
    size_t all = 0;
    CHECK(deflate_new(&deflate).code == ERR_OK);
    for (size_t len = 1; len > 0 && all < UNPACKED_MAX_BYTES; all += len) {
        len = sizeof(to);
        if (deflate_unpack(deflate, &in, to, &len).code != ERR_OK) break;
        CHECK(len <= sizeof(to));
    }
    deflate_free(deflate);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 64 * 1024) return 0;
    there_and_back(span_of(data, size), 1u + data[0] * 7u);
    any_bytes(span_of(data, size));
    return 0;
}
