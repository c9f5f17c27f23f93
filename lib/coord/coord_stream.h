/* coord_stream.h: the stream that answers a request for watches: bytes in, events out. Pure.
 *
 * One line is one JSON object of at most COORD_STREAM_LINE_MAX_BYTES. What etcd cut into fragments
 * comes out whole, so that a change of several keys is seen at once. */
#ifndef MAIL_COORD_STREAM_H
#define MAIL_COORD_STREAM_H

#include "coord_reply.h"
#include "coord_rows.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    COORD_STREAM_LINE_MAX_BYTES = 4 * 1024 * 1024, /* a fragment is at most about 2.7 MB */
    COORD_STREAM_PARTS_MAX = 64,
};

/* Memory of its own; coord_stream_free() in the end. */
struct coord_stream {
    struct coord_space space;
    struct span prefixes[COORD_PREFIXES_MAX]; /* live as long as the stream */
    size_t count, created;
    char *line;
    size_t line_len, line_size;
    /* Fragments that wait for their last one, all of one watch; after that, what the event
     * shows. */
    struct coord_reply parts[COORD_STREAM_PARTS_MAX];
    size_t parts_count;
    bool parts_shown;
    struct coord_row *rows; /* those of several parts together */
};

enum coord_stream_kind {
    COORD_STREAM_NOTHING, /* more bytes are needed */
    COORD_STREAM_CREATED, /* all watches are there: from now on nothing is missed */
    COORD_STREAM_CHANGES,
    COORD_STREAM_ENDED, /* by etcd, which may leave the connection open; feed no more */
};

struct coord_stream_event {
    enum coord_stream_kind kind;
    size_t watch;
    const struct coord_row *rows; /* in order of revisions; NULL pointer in a value: deleted */
    size_t rows_count;
    enum coord_refusal refusal; /* ENDED */
    struct err err;
    bool compacted;
};

void coord_stream_init(struct coord_stream *stream, struct coord_space space,
                       const struct span *prefixes, size_t count);
void coord_stream_free(struct coord_stream *stream);

/* Takes bytes off the front of `*in` until there is an event or nothing left; what the event before
 * showed is gone. ERR_SYNTAX, ERR_TOO_BIG (a line, fragments), ERR_NOMEM: feed no more. */
MUST_USE struct err coord_stream_feed(struct coord_stream *stream, struct span *in,
                                      struct coord_stream_event *ret);

#ifdef __cplusplus
}
#endif
#endif
