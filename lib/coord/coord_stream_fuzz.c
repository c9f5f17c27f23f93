/* The same events, and the same end, whole and in pieces of one to some bytes. */
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "coord_stream.h"
#include "hash.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct coord_space space = { SPAN_INIT("/godwit/c/") };
static const struct span prefixes[] = { SPAN_INIT("a/"), SPAN_INIT("b/") };

struct digest {
    uint32_t crc;
    size_t events;
    enum err_code end;
};

static void add_bytes(struct digest *digest, struct span bytes)
{
    digest->crc = hash_crc32c(digest->crc, bytes);
}

static void add_event(struct digest *digest, const struct coord_stream_event *event)
{
    char kind = (char)event->kind;
    digest->events++;
    add_bytes(digest, span_of(&kind, 1));
    add_bytes(digest, span_of(&event->err.code, sizeof(event->err.code)));
    for (size_t i = 0; i < event->rows_count; i++) {
        const struct coord_row *row = &event->rows[i];
        CHECK(event->watch < 2 && coord_key_under(row->key, prefixes[event->watch]));
        CHECK(i == 0 || row->revision >= row[-1].revision);
        add_bytes(digest, row->key);
        add_bytes(digest, row->value);
        add_bytes(digest, span_of(&row->revision, sizeof(row->revision)));
    }
}

/* True: feed no more. */
static bool feed(struct coord_stream *stream, struct span in, struct digest *digest)
{
    struct coord_stream_event event;
    do {
        struct err err = coord_stream_feed(stream, &in, &event);
        digest->end = err.code;
        if (err.code != ERR_OK) return true;
        if (event.kind != COORD_STREAM_NOTHING) add_event(digest, &event);
    } while (event.kind != COORD_STREAM_NOTHING && event.kind != COORD_STREAM_ENDED);
    return event.kind == COORD_STREAM_ENDED;
}

static struct digest feed_by(struct span in, size_t step)
{
    struct digest digest = { .end = ERR_OK };
    struct coord_stream stream;
    bool over = false;
    coord_stream_init(&stream, space, prefixes, 2);
    while (in.len > 0 && !over) {
        struct span piece = span_head(in, step);
        char *copy = malloc(piece.len); /* its own, so that what points into it is found out */
        CHECK(copy != NULL);
        memcpy(copy, piece.ptr, piece.len);
        over = feed(&stream, span_of(copy, piece.len), &digest);
        free(copy);
        in = span_skip(in, step);
    }
    coord_stream_free(&stream);
    return digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span in = span_of(data, size);
    if (size == 0) return 0;
    struct digest whole = feed_by(in, size);
    const size_t steps[] = { 1, 3, 100 };
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct digest cut = feed_by(in, steps[i]);
        CHECK(cut.crc == whole.crc && cut.events == whole.events && cut.end == whole.end);
    }
    return 0;
}
