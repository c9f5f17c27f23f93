/* COMPRESS=DEFLATE (RFC 4978) under an IMAP session. What comes is unpacked a piece at a time, and
 * the next piece when the session has taken that one, so that its own limits hold for a line or
 * literal however little it was packed into; and only so much in one turn of the loop. */
#include <stdlib.h>

#include "clock.h"
#include "deflate.h"
#include "door_imap_private.h"

struct err imap_packing_begin(struct door_imap_conn *imap)
{
    struct imap_packing *packing = calloc(1, sizeof(*packing));
    if (packing == NULL) return err_make(ERR_NOMEM, "compression");
    struct err err = deflate_new(&packing->deflate);
    if (err.code != ERR_OK) {
        free(packing);
        return err;
    }
    imap->packing = packing;
    return err_ok();
}

void imap_packing_free(struct door_imap_conn *imap)
{
    if (imap->packing == NULL) return;
    timer_stop(&imap->packing->rest);
    deflate_free(imap->packing->deflate);
    free(imap->packing);
    imap->packing = NULL;
}

void imap_packing_idle(struct door_imap_conn *imap)
{
    if (imap->packing != NULL) deflate_rest(imap->packing->deflate);
}

void imap_packing_send(struct door_imap_conn *imap, struct span bytes)
{
    char packed[IMAP_PLAIN_BYTES];
    for (bool more = true; more && imap->door.conn != NULL;) {
        size_t len = sizeof(packed);
        struct err err = deflate_pack(imap->packing->deflate, &bytes, packed, &len, &more);
        if (err.code != ERR_OK) {
            conn_abort(imap->door.conn, err);
            return;
        }
        door_send(&imap->door, span_of(packed, len));
    }
}

bool imap_packing_rests(const struct door_imap_conn *imap)
{
    return imap->packing != NULL && timer_is_armed(&imap->packing->rest);
}

static void on_rested(void *holder)
{
    struct door_imap_conn *imap = holder;
    imap->packing->turn_bytes = 0;
    if (imap->door.conn != NULL) IMAP_WITH_OUT(imap, (void)0);
}

/* Unpacks the next piece. False: it needs more bytes, or the connection has ended. */
static bool imap_packing_next(struct door_imap_conn *imap, struct span *in)
{
    struct imap_packing *packing = imap->packing;
    packing->plain_at = 0;
    packing->plain_len = sizeof(packing->plain);
    struct err err = deflate_unpack(packing->deflate, in, packing->plain, &packing->plain_len);
    if (err.code != ERR_OK) {
        packing->plain_len = 0;
        conn_abort(imap->door.conn, err);
        return false;
    }
    packing->is_full = packing->plain_len == sizeof(packing->plain);
    packing->turn_bytes += packing->plain_len;
    if (packing->turn_bytes > IMAP_PLAIN_TURN_BYTES) {
        timer_start(imap->door.front->loop, &packing->rest, IMAP_PLAIN_REST_MS, on_rested, imap);
    }
    return packing->plain_len > 0;
}

bool imap_packing_feed(struct door_imap_conn *imap, struct buf *out)
{
    struct imap_packing *packing = imap->packing;
    struct span none = span_of(NULL, 0);
    if (packing == NULL) return false;
    /* zlib may hold more than it had room for. */
    if (packing->plain_at == packing->plain_len && packing->is_full) {
        if (imap_packing_rests(imap) || !imap_packing_next(imap, &none)) return false;
    }
    if (packing->plain_at == packing->plain_len) return false;
    struct span rest = span_of(packing->plain + packing->plain_at,
                               packing->plain_len - packing->plain_at);
    size_t used = imap_session_feed(imap->session, rest, clock_wall_ms(), out);
    packing->plain_at += used;
    return used > 0;
}

size_t imap_packing_bytes(struct door_imap_conn *imap, struct span in)
{
    struct imap_packing *packing = imap->packing;
    struct span rest = in;
    while (imap->door.conn != NULL && !imap->waits && !timer_is_armed(&packing->rest)) {
        if (packing->plain_at < packing->plain_len) break; /* the session takes no more */
        if (!imap_packing_next(imap, &rest)) break;
        IMAP_WITH_OUT(imap, (void)0);
    }
    return in.len - rest.len;
}
