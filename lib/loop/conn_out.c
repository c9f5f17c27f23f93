/* Output of a connection: a list of chunks, written at the end of the turn. */
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "body.h"
#include "check.h"
#include "conn_private.h"

enum { TLS_RECORD_OVERHEAD_MAX_BYTES = 512, TLS_RECORD_PLAIN_BYTES = 16384 };

static_assert((int)LOOP_GATHER_BYTES == (int)TLS_RECORD_PLAIN_BYTES, "a record at a time");

static struct conn_chunk *conn_chunk_new(struct loop *loop, size_t want)
{
    struct conn_chunk *chunk = loop->spares;
    if (want <= CONN_CHUNK_BYTES) {
        if (chunk != NULL) {
            loop->spares = chunk->next;
            loop->spares_count--;
            *chunk = (struct conn_chunk){ .size = CONN_CHUNK_BYTES };
            return chunk;
        }
        want = CONN_CHUNK_BYTES;
    }
    chunk = malloc(sizeof(*chunk) + want);
    if (chunk == NULL) return NULL;
    *chunk = (struct conn_chunk){ .size = (uint32_t)want };
    return chunk;
}

static void conn_chunk_free(struct loop *loop, struct conn_chunk *chunk)
{
    body_unref(chunk->body);
    if (chunk->size != CONN_CHUNK_BYTES || loop->spares_count == LOOP_SPARES_MAX) {
        free(chunk);
        return;
    }
    chunk->next = loop->spares;
    loop->spares = chunk;
    loop->spares_count++;
}

void conn_chunks_free(struct conn_chunk *first)
{
    while (first != NULL) {
        struct conn_chunk *next = first->next;
        free(first);
        first = next;
    }
}

static struct span conn_chunk_span(const struct conn_chunk *chunk, uint64_t skip)
{
    uint64_t at = chunk->at + skip, len = chunk->end - at;
    if (chunk->body == NULL) return span_of(chunk->bytes + at, (size_t)len);
    struct span piece = body_piece(chunk->body, at);
    return span_head(piece, len < SIZE_MAX ? (size_t)len : SIZE_MAX);
}

static void conn_out_add(struct conn *conn, struct conn_chunk *chunk)
{
    chunk->next = NULL;
    if (conn->out_first == NULL) {
        conn->out_first = chunk;
    } else {
        conn->out_last->next = chunk;
    }
    conn->out_last = chunk;
}

static void conn_out_grew(struct conn *conn, uint64_t len)
{
    conn->out_bytes += len;
    if (conn->out_bytes >= CONN_OUT_HIGH_BYTES) conn->was_high = true;
    if (!conn->blocked) conn_post(conn);
}

struct err conn_send(struct conn *conn, struct span out)
{
    if (!conn_is_live(conn)) return err_make(ERR_CANCELLED, "send");
    if (out.len == 0) return err_ok();
    if (out.len > CONN_OUT_MAX_BYTES - conn->copied_bytes) return err_make(ERR_BUSY, "send");
    struct conn_chunk *last = conn->out_last;
    size_t room = 0, len = out.len;
    if (last != NULL && last->body == NULL) room = last->size - (size_t)last->end;
    if (room > len) room = len;
    if (room < len) {
        struct conn_chunk *more = conn_chunk_new(conn->loop, len - room);
        if (more == NULL) {
            conn_end(conn, err_make(ERR_NOMEM, "send"));
            return conn->why;
        }
        memcpy(more->bytes, out.ptr + room, len - room);
        more->end = len - room;
        conn_out_add(conn, more);
    }
    if (room > 0) {
        memcpy(last->bytes + last->end, out.ptr, room);
        last->end += room;
    }
    conn->copied_bytes += len;
    conn_out_grew(conn, len);
    return err_ok();
}

struct err conn_send_body(struct conn *conn, struct body *body, uint64_t offset, uint64_t len)
{
    if (!conn_is_live(conn)) return err_make(ERR_CANCELLED, "send");
    CHECK(offset <= body_size(body) && len <= body_size(body) - offset);
    if (len == 0) return err_ok();
    struct conn_chunk *chunk = malloc(sizeof(*chunk));
    if (chunk == NULL) {
        conn_end(conn, err_make(ERR_NOMEM, "send"));
        return conn->why;
    }
    *chunk = (struct conn_chunk){ .body = body_ref(body), .at = offset, .end = offset + len };
    conn_out_add(conn, chunk);
    conn_out_grew(conn, len);
    return err_ok();
}

uint64_t conn_waiting_bytes(const struct conn *conn) { return conn->out_bytes; }

void conn_out_drop(struct conn *conn)
{
    while (conn->out_first != NULL) {
        struct conn_chunk *next = conn->out_first->next;
        conn_chunk_free(conn->loop, conn->out_first);
        conn->out_first = next;
    }
    conn->out_last = NULL;
    conn->out_bytes = conn->plain_bytes = 0;
    conn->copied_bytes = 0;
}

/* Takes `count` bytes off the front. */
static void conn_out_sent(struct conn *conn, uint64_t count)
{
    conn->out_bytes -= count;
    conn->plain_bytes -= count < conn->plain_bytes ? count : conn->plain_bytes;
    while (count > 0) {
        struct conn_chunk *first = conn->out_first;
        uint64_t part = first->end - first->at;
        if (part > count) part = count;
        first->at += part;
        count -= part;
        if (first->body == NULL) conn->copied_bytes -= (size_t)part;
        if (first->at < first->end) return;
        conn->out_first = first->next;
        if (conn->out_first == NULL) conn->out_last = NULL;
        conn_chunk_free(conn->loop, first);
    }
}

/* The pieces of the first `max` bytes; how many there are. `*total` is their length. */
static int conn_out_pieces(const struct conn *conn, uint64_t max, struct iovec *pieces,
                           uint64_t *total)
{
    int count = 0;
    *total = 0;
    for (struct conn_chunk *chunk = conn->out_first; chunk != NULL; chunk = chunk->next) {
        uint64_t len = chunk->end - chunk->at;
        for (uint64_t skip = 0; skip < len; count++) {
            if (count == CONN_IOV_MAX || *total == max) return count;
            struct span piece = conn_chunk_span(chunk, skip);
            CHECK(piece.len > 0);
            if (piece.len > max - *total) piece.len = (size_t)(max - *total);
            memcpy(&pieces[count].iov_base, &piece.ptr, sizeof(piece.ptr)); /* it is only read */
            pieces[count].iov_len = piece.len;
            skip += piece.len;
            *total += piece.len;
        }
    }
    return count;
}

/* One write. Bytes taken by the kernel, or CONN_IO_*. */
static ssize_t conn_writev(struct conn *conn, struct iovec *pieces, int count, uint64_t total)
{
    struct msghdr message = { .msg_iov = pieces, .msg_iovlen = (size_t)count };
    ssize_t sent;
    do {
        sent = sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno != EAGAIN) {
        conn->why = conn_errno(errno, "send");
        return CONN_IO_FAILED;
    }
    if (sent < 0 || (uint64_t)sent < total) conn->blocked = true; /* without asking once more */
    return sent < 0 ? CONN_IO_AGAIN : sent;
}

bool conn_cipher_send(struct conn *conn)
{
    struct loop *loop = conn->loop;
    struct span left = conn_tls_left(conn), fresh = span_of(loop->cipher, loop->cipher_len);
    loop->cipher_len = 0;
    struct iovec pieces[2];
    int count = 0;
    size_t sent = 0;
    if (left.len > 0) {
        memcpy(&pieces[count].iov_base, &left.ptr, sizeof(left.ptr));
        pieces[count++].iov_len = left.len;
    }
    if (fresh.len > 0) {
        memcpy(&pieces[count].iov_base, &fresh.ptr, sizeof(fresh.ptr));
        pieces[count++].iov_len = fresh.len;
    }
    if (count == 0) return true;
    if (!conn->blocked) {
        ssize_t taken = conn_writev(conn, pieces, count, left.len + fresh.len);
        if (taken == CONN_IO_FAILED) {
            conn_end(conn, conn->why);
            return false;
        }
        if (taken > 0) sent = (size_t)taken;
    }
    size_t of_left = sent < left.len ? sent : left.len;
    if (of_left > 0) conn_tls_left_sent(conn, of_left);
    fresh = span_skip(fresh, sent - of_left);
    if (fresh.len == 0) return conn_tls_left(conn).len == 0;
    struct err err = conn_tls_left_add(conn, fresh);
    if (err.code != ERR_OK) conn_end(conn, err);
    return false;
}

/* Encrypts as much as one write may carry. False on failure; then the connection has ended. */
static bool conn_encrypt(struct conn *conn)
{
    struct loop *loop = conn->loop;
    while (conn->out_bytes > 0 && LOOP_CIPHER_BYTES - loop->cipher_len >=
                                      TLS_RECORD_PLAIN_BYTES + TLS_RECORD_OVERHEAD_MAX_BYTES) {
        struct iovec pieces[CONN_IOV_MAX];
        uint64_t total;
        int count = conn_out_pieces(conn, TLS_RECORD_PLAIN_BYTES, pieces, &total);
        struct span plain = span_of(pieces[0].iov_base, pieces[0].iov_len);
        if (count > 1) { /* small pieces share a record */
            plain = span_of(loop->gather, 0);
            for (int i = 0; i < count; i++) {
                memcpy(loop->gather + plain.len, pieces[i].iov_base, pieces[i].iov_len);
                plain.len += pieces[i].iov_len;
            }
        }
        ssize_t taken = conn_tls_write(conn, plain);
        if (taken == CONN_IO_AGAIN) break;
        if (taken < 0) {
            conn_end(conn, conn->why);
            return false;
        }
        conn_out_sent(conn, (uint64_t)taken);
    }
    return true;
}

/* One write in plain. False when there is no more to be done for now. */
static bool conn_flush_plain(struct conn *conn)
{
    struct iovec pieces[CONN_IOV_MAX];
    uint64_t total, max = conn->tls != NULL ? conn->plain_bytes : UINT64_MAX;
    int count = conn_out_pieces(conn, max, pieces, &total);
    ssize_t sent = conn_writev(conn, pieces, count, total);
    if (sent == CONN_IO_FAILED) conn_end(conn, conn->why);
    if (sent < 0) return false;
    conn_out_sent(conn, (uint64_t)sent);
    return true;
}

/* Writes until nothing waits, the kernel takes no more, or the turn's share is used up. */
void conn_flush(struct conn *conn)
{
    for (unsigned i = 0; i < CONN_WRITES_MAX && !conn->blocked; i++) {
        bool plain = conn->tls == NULL || conn->plain_bytes > 0;
        if (plain) {
            if (conn->out_bytes == 0 || !conn_flush_plain(conn)) return;
            if (conn->tls != NULL && conn->plain_bytes == 0) {
                conn_post(conn); /* now the handshake begins */
                return;
            }
            continue;
        }
        if (!conn_tls_is_open(conn)) {
            (void)conn_cipher_send(conn);
            return;
        }
        /* What waits goes first; the rest stays unencrypted, and so uncopied, until then. */
        if (conn_tls_left(conn).len == 0 && conn->out_bytes > 0 && !conn_encrypt(conn)) return;
        if (!conn_cipher_send(conn) || conn->out_bytes == 0) return;
    }
}
