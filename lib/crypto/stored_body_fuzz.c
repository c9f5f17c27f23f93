/* What lies on a disk is opened without harm, and what opens is made again to the same bytes; read
 * piece by piece it is the same, whatever the pieces. */
#include <stdlib.h>
#include <string.h>

#include "body.h"
#include "buf.h"
#include "check.h"
#include "stored_body.h"
#include "stored_body_reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPEN_MAX_BYTES = 4 << 20 }; /* so that the fuzzer is quick */

/* Reads `stored` in pieces of `piece` bytes, with room for as many at a time; what comes out goes
 * to `to`, which has `size` bytes. */
static struct err read_in_pieces(struct span stored, size_t piece, char *to, size_t size)
{
    struct stored_body_reader *reader;
    size_t seen = 0, got = 0;
    struct span in = span_of(stored.ptr, 0);
    struct err err = stored_body_reader_new(stored.len, &reader);
    if (err.code != ERR_OK) return err;
    while (err.code == ERR_OK && !stored_body_reader_is_done(reader)) {
        char bytes[64];
        struct buf out;
        buf_init(&out, bytes, piece < sizeof(bytes) ? piece : sizeof(bytes));
        err = stored_body_read(reader, &in, &out);
        if (err.code != ERR_OK) break;
        CHECK(out.len <= size - got);
        memcpy(to + got, bytes, out.len);
        got += out.len;
        if (out.len == out.size) continue;
        CHECK(in.len == 0);
        size_t more = piece < stored.len - seen ? piece : stored.len - seen;
        CHECK(more > 0 || stored_body_reader_is_done(reader));
        in = span_of(stored.ptr + seen, more);
        seen += more;
    }
    if (err.code == ERR_OK && (got != size || seen != stored.len)) {
        err = err_make(ERR_CORRUPT, "length");
    }
    stored_body_reader_free(reader);
    return err;
}

static void make_and_open(struct span plain)
{
    struct body_budget budget = { 64 << 20, 64 << 20, 0, 0, "/tmp" };
    struct body *body;
    CHECK(stored_body_make(plain, &budget, &body).code == ERR_OK);
    size_t size = (size_t)body_size(body);
    char *stored = malloc(size), *again = malloc(plain.len + 1);
    CHECK(stored != NULL && again != NULL);
    CHECK(body_copy(body, 0, stored, size) == size);
    CHECK(stored_body_open(span_of(stored, size), again, plain.len).code == ERR_OK);
    CHECK(plain.len == 0 || memcmp(again, plain.ptr, plain.len) == 0);
    memset(again, 0, plain.len);
    size_t piece = 1 + size % 50;
    CHECK(read_in_pieces(span_of(stored, size), piece, again, plain.len).code == ERR_OK);
    CHECK(plain.len == 0 || memcmp(again, plain.ptr, plain.len) == 0);
    free(stored);
    free(again);
    body_unref(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    uint64_t length;
    make_and_open(in);
    if (stored_body_length(in, &length).code != ERR_OK || length > OPEN_MAX_BYTES) return 0;
    char *to = malloc((size_t)length + 1);
    CHECK(to != NULL);
    char *read = malloc((size_t)length + 1);
    CHECK(read != NULL);
    bool opens = stored_body_open(in, to, length).code == ERR_OK;
    if (opens) make_and_open(span_of(to, (size_t)length));
    /* Pieces may be refused alone, for a window that is no body of ours. */
    bool reads = read_in_pieces(in, 7, read, (size_t)length).code == ERR_OK;
    if (opens && reads) CHECK(length == 0 || memcmp(to, read, (size_t)length) == 0);
    free(read);
    free(to);
    return 0;
}
