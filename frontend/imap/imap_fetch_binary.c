/* BINARY and BINARY.SIZE (RFC 3516): a part with its transfer encoding undone.
 *
 * What is decoded lies in a body, so that the budget of all bodies bounds it; parts without an
 * encoding are sent out of the message. */
#include "base64.h"
#include "body.h"
#include "imap_fetch_private.h"
#include "qp.h"

enum { BINARY_STEP_BYTES = 16 * 1024 };

/* The encoding that is to be undone: 7bit when there is none, or no such part. */
static uint8_t encoding_of(const struct imap_fetch *fetch, const struct imap_item *item)
{
    struct facts_part part;
    if (item->path_count == 0) return FACTS_ENCODING_7BIT;
    struct err err = facts_part_find(&fetch->facts, item->path, item->path_count, &part);
    if (err.code != ERR_OK || part.kind != FACTS_PART_LEAF) return FACTS_ENCODING_7BIT;
    return part.encoding;
}

bool imap_binary_is_known(const struct imap_fetch *fetch)
{
    for (size_t i = 0; i < fetch->count; i++) {
        const struct imap_item *item = &fetch->items[i];
        bool binary = item->kind == IMAP_ITEM_BINARY || item->kind == IMAP_ITEM_BINARY_SIZE;
        if (binary && encoding_of(fetch, item) == FACTS_ENCODING_OTHER) return false;
    }
    return true;
}

/* The octets from..to of the message in one piece: where they lie, or in scratch. */
static struct err one_piece(struct imap_fetch *fetch, uint64_t from, uint64_t to, struct span *ret)
{
    size_t len = (size_t)(to - from), have = 0;
    struct span piece = span_head(imap_fetch_piece(fetch, from), len);
    *ret = piece;
    if (piece.len == len) return err_ok();
    TRY(imap_fetch_scratch(fetch, len));
    while (have < len) {
        piece = span_head(imap_fetch_piece(fetch, from + have), len - have);
        if (piece.len == 0) return err_make(ERR_CORRUPT, "message");
        (void)imap_put_span(fetch->scratch + have, piece);
        have += piece.len;
    }
    *ret = span_of(fetch->scratch, len);
    return err_ok();
}

static struct err decode(struct span text, uint8_t encoding, struct body *to)
{
    char bytes[BINARY_STEP_BYTES];
    struct base64_state state = { 0, 0 };
    while (text.len > 0) {
        struct buf out;
        buf_init(&out, bytes, sizeof(bytes));
        if (encoding == FACTS_ENCODING_BASE64) base64_decode_some(&state, &out, &text);
        else qp_decode_some(&out, &text);
        TRY(body_put(to, buf_span(&out)));
    }
    return body_seal(to);
}

static struct err make_decoded(struct imap_session *session, struct imap_fetch *fetch,
                               uint64_t range[2], uint8_t encoding)
{
    struct span text = { NULL, 0 };
    body_unref(fetch->decoded);
    fetch->decoded = NULL;
    TRY(one_piece(fetch, range[0], range[1], &text));
    TRY(body_new(session->options->budget, &fetch->decoded));
    TRY(decode(text, encoding, fetch->decoded));
    range[0] = 0;
    range[1] = body_size(fetch->decoded);
    return err_ok();
}

/* Whether NUL is among what is told: then a literal8 says so (RFC 3516 4.3). */
static bool has_nul(const struct imap_fetch *fetch, enum imap_source source,
                    const uint64_t range[2])
{
    for (uint64_t at = range[0]; at < range[1];) {
        struct span piece = source == IMAP_FROM_DECODED ? body_piece(fetch->decoded, at)
                                                        : imap_fetch_piece(fetch, at);
        if (piece.len > range[1] - at) piece.len = (size_t)(range[1] - at);
        if (piece.len == 0) return false;
        if (memchr(piece.ptr, 0, piece.len) != NULL) return true;
        at += piece.len;
    }
    return false;
}

char *imap_put_binary(struct imap_session *session, struct imap_fetch *fetch,
                      const struct imap_item *item, char *to)
{
    uint64_t range[2] = { 0, 0 };
    uint8_t encoding = encoding_of(fetch, item);
    bool encoded = encoding == FACTS_ENCODING_BASE64 || encoding == FACTS_ENCODING_QP;
    enum imap_source source = encoded ? IMAP_FROM_DECODED : IMAP_FROM_MESSAGE;
    struct err err = err_ok();
    bool found = imap_fetch_section(fetch, item, &range[0], &range[1]);
    if (found && encoded) err = make_decoded(session, fetch, range, encoding);
    if (err.code != ERR_OK && fetch->err.code == ERR_OK) fetch->err = err;
    found = found && err.code == ERR_OK;
    if (item->kind == IMAP_ITEM_BINARY_SIZE) {
        return imap_put_u64(to, found ? range[1] - range[0] : 0);
    }
    if (!found) return IMAP_PUT(to, "NIL");
    imap_item_cut(item, range);
    if (has_nul(fetch, source, range)) *to++ = '~';
    return imap_fetch_string(fetch, source, range, to);
}
