/* RETR (RFC 1939 section 5) and TOP (section 7): one message, in the pieces in which it comes.
 *
 * Of the stored body there is never more here than its reader holds. While `out` has no room the
 * session stops, so the shell keeps what has come and the store sends no more. What breaks off once
 * "+OK" is said can only be shown by hanging up before the end. */
#include <stdlib.h>

#include "check.h"
#include "pop3_private.h"

enum { PIECE_BYTES = 16 * 1024 };

void pop3_read_free(struct pop3_session *session)
{
    struct pop3_read *read = session->read;
    if (read == NULL) return;
    if (read->unpack != NULL) {
        session->options->unpack_free(session->options->holder, read->unpack);
    }
    free(read);
    session->read = NULL;
}

/* The record that comes before the stored body. OK also when it is not whole yet. */
static struct err take_head(struct pop3_session *session, struct span *in)
{
    struct pop3_read *read = session->read;
    struct mail_record record;
    size_t used;
    struct span part = span_head(*in, sizeof(read->head) - read->head_len);
    if (part.len > 0) memcpy(read->head + read->head_len, part.ptr, part.len);
    read->head_len += part.len;
    *in = span_skip(*in, part.len);
    if (read->head_len < sizeof(read->head)) return err_ok();
    const struct pop3_message *message = pop3_message_at(session, read->message);
    struct span head = span_of(read->head, read->head_len);
    bool good = mail_record_begin(head, &record, &used) == MAIL_RECORD_OK
             && used == sizeof(read->head) && record.uid == message->uid;
    if (!good) return err_make(ERR_CORRUPT, "record of a message");
    read->stored_left = record.body.len;
    TRY(session->options->unpack_new(session->options->holder, record.body.len, &read->unpack));
    read->has_begun = true;
    pop3_put(session, SPAN("+OK "));
    pop3_put_number(session, message->octets);
    pop3_put(session, SPAN(" octets\r\n"));
    return err_ok();
}

/* Unpacks a piece and writes it: as much as there is surely room for when every octet grows.
 * `*more`: there may be more to come out of what is here. */
static struct err put_piece(struct pop3_session *session, struct span *in, bool *more)
{
    struct pop3_read *read = session->read;
    const struct pop3_options *options = session->options;
    struct buf *out = session->out, piece;
    char bytes[PIECE_BYTES];
    size_t room = (out->size - out->len - POP3_LINES_END_BYTES) / POP3_LINES_GROWTH - 1;
    buf_init(&piece, bytes, room < sizeof(bytes) ? room : sizeof(bytes));
    struct span part = span_head(*in, (size_t)(read->stored_left < in->len ? read->stored_left
                                                                           : in->len));
    size_t shown = part.len;
    TRY(options->unpack(options->holder, read->unpack, &part, &piece));
    read->stored_left -= shown - part.len;
    *in = span_skip(*in, shown - part.len);
    size_t put = pop3_lines_put(&read->lines, buf_span(&piece), out);
    CHECK(put == piece.len || read->lines.is_over);
    read->is_over = read->lines.is_over || options->unpack_is_done(options->holder, read->unpack);
    if (read->is_over) pop3_lines_end(&read->lines, out);
    *more = !read->is_over && piece.len == piece.size;
    return err_ok();
}

static size_t read_data(struct pop3_session *session, struct span in)
{
    struct pop3_read *read = session->read;
    struct span rest = in;
    bool more = true;
    while (more && !read->is_over && read->err.code == ERR_OK) {
        read->is_blocked = session->out->size - session->out->len < POP3_OUT_ROOM / 4;
        if (read->is_blocked) return in.len - rest.len;
        if (read->has_begun) {
            read->err = put_piece(session, &rest, &more);
        } else {
            read->err = take_head(session, &rest);
            more = read->has_begun;
        }
    }
    return in.len;
}

static const struct pop3_call_user read_user = { NULL, read_data };

static void read_done(struct pop3_session *session, struct err err)
{
    bool has_begun = session->read->has_begun, is_over = session->read->is_over;
    if (session->read->err.code != ERR_OK) err = session->read->err;
    bool has_nothing = session->read->head_len == 0;
    pop3_read_free(session);
    if (is_over) return;
    if (has_begun) {
        pop3_close(session);
    } else if (err.code == ERR_OK && has_nothing) {
        pop3_say(session, POP3_GONE);
    } else {
        if (err.code == ERR_OK) err = err_make(ERR_CORRUPT, "record of a message");
        pop3_say_err(session, SPAN("the message can't be read"), err);
    }
}

void pop3_read_begin(struct pop3_session *session, uint32_t message, const uint32_t *lines)
{
    struct pop3_read *read = calloc(1, sizeof(*read));
    uint32_t uid = pop3_message_at(session, message)->uid;
    if (read == NULL) {
        pop3_say_err(session, SPAN("the message can't be read"), err_make(ERR_NOMEM, "RETR"));
        return;
    }
    read->err = err_ok();
    read->message = message;
    read->lines.is_top = lines != NULL;
    if (lines != NULL) read->lines.lines_left = *lines;
    memcpy(read->uids, &uid, sizeof(uid));
    memcpy(read->uids + sizeof(uid), &uid, sizeof(uid));
    read->request = (struct store_fetch_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->box->mailbox,
        .uids = span_of(read->uids, sizeof(read->uids)),
        .items = STORE_FETCH_BODY,
    };
    session->read = read;
    pop3_call(session, STORE_METHOD_FETCH, &read->request, &read_user, read_done);
}

void pop3_cmd_retr(struct pop3_session *session, const struct pop3_args *args)
{
    pop3_read_begin(session, args->message, NULL);
}

void pop3_cmd_top(struct pop3_session *session, const struct pop3_args *args)
{
    pop3_read_begin(session, args->message, &args->lines);
}
