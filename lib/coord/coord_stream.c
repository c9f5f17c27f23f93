#include "coord_stream.h"

#include <stdlib.h>

#include "check.h"

enum { LINE_FIRST_BYTES = 4096 };

static struct err bad(void) { return err_make(ERR_SYNTAX, "watch of etcd"); }

void coord_stream_init(struct coord_stream *stream, struct coord_space space,
                       const struct span *prefixes, size_t count)
{
    CHECK(count > 0 && count <= COORD_PREFIXES_MAX);
    *stream = (struct coord_stream){ .space = space, .count = count };
    memcpy(stream->prefixes, prefixes, count * sizeof(*prefixes));
}

static void parts_drop(struct coord_stream *stream)
{
    for (size_t i = 0; i < stream->parts_count; i++) coord_reply_free(&stream->parts[i]);
    stream->parts_count = 0;
    stream->parts_shown = false;
    free(stream->rows);
    stream->rows = NULL;
}

void coord_stream_free(struct coord_stream *stream)
{
    parts_drop(stream);
    free(stream->line);
    stream->line = NULL;
}

/* ---- lines */

static struct err line_add(struct coord_stream *stream, struct span bytes)
{
    size_t wanted = stream->line_len + bytes.len;
    if (wanted > COORD_STREAM_LINE_MAX_BYTES) return err_make(ERR_TOO_BIG, "line of etcd's watch");
    if (wanted > stream->line_size) {
        size_t size = stream->line_size == 0 ? LINE_FIRST_BYTES : stream->line_size;
        while (size < wanted) size *= 2;
        char *grown = realloc(stream->line, size);
        if (grown == NULL) return err_make(ERR_NOMEM, "line of etcd's watch");
        stream->line = grown;
        stream->line_size = size;
    }
    if (bytes.len > 0) memcpy(stream->line + stream->line_len, bytes.ptr, bytes.len);
    stream->line_len = wanted;
    return err_ok();
}

/* The next line without its end; `*whole` is false when there is none yet. It lives until the next
 * call, or as long as the input. */
static struct err line_take(struct coord_stream *stream, struct span *in, struct span *line,
                            bool *whole)
{
    struct span head = *in, tail = span_of(NULL, 0);
    *whole = span_cut(*in, '\n', &head, &tail);
    if (*whole && stream->line_len == 0) {
        if (head.len > COORD_STREAM_LINE_MAX_BYTES) {
            return err_make(ERR_TOO_BIG, "line of etcd's watch");
        }
        *line = head;
    } else {
        TRY(line_add(stream, head));
        *line = span_of(stream->line, stream->line_len);
    }
    *in = *whole ? tail : span_skip(*in, in->len);
    return err_ok();
}

/* ---- events */

/* The rows of all parts: of one as they are, of several put together. */
static struct err show_parts(struct coord_stream *stream, struct coord_stream_event *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < stream->parts_count; i++) count += stream->parts[i].rows_count;
    ret->kind = COORD_STREAM_CHANGES;
    ret->watch = (size_t)stream->parts[0].watch;
    ret->rows_count = count;
    ret->rows = stream->parts[0].rows;
    stream->parts_shown = true;
    if (stream->parts_count == 1) return err_ok();
    stream->rows = malloc((count + 1) * sizeof(*stream->rows));
    if (stream->rows == NULL) return err_make(ERR_NOMEM, "watch of etcd");
    count = 0;
    for (size_t i = 0; i < stream->parts_count; i++) {
        const struct coord_reply *part = &stream->parts[i];
        if (part->rows_count == 0) continue;
        memcpy(&stream->rows[count], part->rows, part->rows_count * sizeof(*part->rows));
        count += part->rows_count;
    }
    ret->rows = stream->rows;
    return err_ok();
}

static struct err check_changes(const struct coord_stream *stream, const struct coord_reply *reply)
{
    uint64_t revision = 0;
    if (reply->watch >= stream->count) return bad();
    if (stream->parts_count > 0 && stream->parts[0].watch != reply->watch) return bad();
    for (size_t i = 0; i < reply->rows_count; i++) {
        const struct coord_row *row = &reply->rows[i];
        if (!coord_key_under(row->key, stream->prefixes[reply->watch])) return bad();
        if (row->revision < revision) return bad();
        revision = row->revision;
    }
    if (stream->parts_count == COORD_STREAM_PARTS_MAX) {
        return err_make(ERR_TOO_BIG, "fragments of etcd's watch");
    }
    return err_ok();
}

/* Takes `reply` over. */
static struct err take_changes(struct coord_stream *stream, struct coord_reply *reply,
                               struct coord_stream_event *ret)
{
    struct err err = check_changes(stream, reply);
    if (err.code != ERR_OK) {
        coord_reply_free(reply);
        return err;
    }
    bool fragment = reply->fragment;
    stream->parts[stream->parts_count++] = *reply;
    return fragment ? err_ok() : show_parts(stream, ret);
}

static struct err take_reply(struct coord_stream *stream, struct coord_reply *reply,
                             struct coord_stream_event *ret)
{
    if (reply->refusal != COORD_REFUSED_NOT) {
        ret->kind = COORD_STREAM_ENDED;
        ret->refusal = reply->refusal;
        ret->err = reply->err;
        ret->compacted = reply->compacted;
    } else if (reply->created) {
        /* In the order they were asked for; one of another number would not be known again. */
        if (stream->created == stream->count || reply->watch != stream->created) {
            coord_reply_free(reply);
            return bad();
        }
        if (++stream->created == stream->count) ret->kind = COORD_STREAM_CREATED;
    } else if (reply->rows_count > 0 || reply->fragment || stream->parts_count > 0) {
        return take_changes(stream, reply, ret);
    }
    coord_reply_free(reply); /* said, or word that nothing has happened */
    return err_ok();
}

struct err coord_stream_feed(struct coord_stream *stream, struct span *in,
                             struct coord_stream_event *ret)
{
    *ret = (struct coord_stream_event){ .kind = COORD_STREAM_NOTHING };
    if (stream->parts_shown) parts_drop(stream);
    while (in->len > 0 && ret->kind == COORD_STREAM_NOTHING) {
        struct span line = span_of(NULL, 0);
        struct coord_reply reply;
        bool whole;
        TRY(line_take(stream, in, &line, &whole));
        if (!whole) break;
        stream->line_len = 0;
        if (line.len == 0) continue;
        TRY(coord_reply_read(COORD_REPLY_WATCH, stream->space, 200, line, &reply));
        TRY(take_reply(stream, &reply, ret));
    }
    return err_ok();
}
