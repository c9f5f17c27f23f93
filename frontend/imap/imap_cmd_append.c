/* APPEND (RFC 3501 6.3.11, UIDPLUS RFC 4315). The message goes straight into a body. */
#include "body.h"
#include "imap_date.h"
#include "imap_private.h"

struct append {
    struct store_append_request request;
    struct store_append_reply reply;
    uint64_t size_bytes;
    struct err err; /* why what was read can't be taken */
};

static struct err append_args(struct imap_session *session, struct append *append)
{
    struct imap_cursor *args = &session->run->args;
    struct store_append_request *request = &append->request;
    struct imap_flag_list flags = { 0 };
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &request->mailbox));
    TRY(imap_take_space(args));
    if (imap_next_is(args, '(')) {
        TRY(imap_take_flags(session, false, &flags));
        TRY(imap_take_space(args));
    }
    request->internaldate_ms = session->wall_ms;
    if (imap_next_is(args, '"')) {
        TRY(imap_take_date_time(args, &request->internaldate_ms));
        TRY(imap_take_space(args));
    }
    request->flags = flags.flags;
    request->keywords = flags.keywords;
    request->keywords_count = flags.keywords_count;
    return err_ok();
}

/* APPEND comes here when it did not end in a message. */
struct err imap_cmd_append(struct imap_session *session)
{
    struct append *append;
    TRY(imap_state_new(session, sizeof(*append), &append));
    TRY(append_args(session, append));
    return err_make(ERR_SYNTAX, "a message as a literal is missing");
}

/* Only the words are looked at, and the text is not read past its end: nothing is kept. */
bool imap_append_is_message(struct imap_session *session, struct span before)
{
    struct imap_cursor cursor = { .in = before };
    struct span word;
    struct arena arena;
    arena_init(&arena, session->line_max);
    cursor.arena = &arena;
    bool mailbox = imap_take_tag(&cursor, &word).code == ERR_OK && imap_take(&cursor, ' ')
                && imap_take_word(&cursor, SPAN("APPEND")) && imap_take(&cursor, ' ')
                && imap_take_astring(&cursor, &word).code == ERR_OK && imap_take(&cursor, ' ');
    arena_clear(&arena);
    return mailbox;
}

/* An error in the words is told once the message is there, so that both ends agree where it
 * ends. */
struct err imap_append_begin(struct imap_session *session, uint64_t size_bytes)
{
    struct imap_run *run = session->run;
    struct append *append;
    struct span verb;
    TRY(imap_state_new(session, sizeof(*append), &append));
    run->name = SPAN("APPEND");
    append->size_bytes = size_bytes;
    TRY(imap_take_space(&run->args));
    TRY(imap_take_atom(&run->args, &verb));
    append->err = append_args(session, append);
    if (append->err.code == ERR_OK && !imap_next_is(&run->args, '{')) {
        append->err = err_make(ERR_SYNTAX, "the message is missing");
    }
    if (append->err.code == ERR_OK && size_bytes == 0) {
        append->err = err_make(ERR_UNSUPPORTED, "an empty message");
    }
    if (append->err.code != ERR_OK) return err_ok();
    return body_new(session->options->budget, &run->body);
}

void imap_append_bytes(struct imap_session *session, struct span bytes)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    if (append->err.code != ERR_OK) return;
    /* RFC 3501 4.3.1: NUL can't stand in a literal, and BINARY is not offered. */
    if (memchr(bytes.ptr, 0, bytes.len) != NULL) {
        append->err = err_make(ERR_UNSUPPORTED, "a message with NUL");
    } else {
        append->err = body_put(run->body, bytes);
    }
    if (append->err.code == ERR_OK) return;
    body_unref(run->body);
    run->body = NULL;
}

static void append_reply(struct imap_session *session, const void *reply)
{
    struct append *append = session->run->state;
    append->reply = *(const struct store_append_reply *)reply;
}

static const struct imap_call_user append_user = { append_reply, NULL };

static enum imap_step append_wish(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    struct store_append_request *request = &append->request;
    request->operation_id = imap_operation_id(session);
    request->tenant = session->identity.tenant;
    request->account = session->identity.account;
    imap_wish_for(session, IMAP_WISH_APPEND);
    run->call = &append_user;
    session->wish.method = STORE_METHOD_APPEND;
    session->wish.request = request;
    session->wish.body = run->body;
    return IMAP_NEXT;
}

static enum imap_step append_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    const struct append *append = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN("TRYCREATE"));
    if (session->view != NULL && append->reply.mailbox == session->view->mailbox) {
        imap_view_seen(session->view, append->reply.modseq);
    }
    return IMAP_NEXT;
}

static enum imap_step append_end(struct imap_session *session)
{
    const struct append *append = session->run->state;
    imap_ok_begin(session);
    IMAP_SAY(session, "[APPENDUID ");
    imap_put_number(session, append->reply.uidvalidity);
    IMAP_SAY(session, " ");
    imap_put_number(session, append->reply.uid);
    IMAP_SAY(session, "] ");
    imap_completed(session);
    return IMAP_FINISH;
}

static imap_step_run *const append_steps[] = { append_wish, append_after, imap_step_sync_newer,
                                               append_end, NULL };

void imap_append_end(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    struct err err = append->err;
    if (err.code == ERR_OK) err = body_seal(run->body);
    if (err.code == ERR_OK) {
        imap_steps(session, append_steps);
        return;
    }
    if (err.code == ERR_SYNTAX) {
        imap_bad_err(session, err);
    } else {
        (void)imap_no_err(session, err, SPAN(""));
    }
    if (session->phase == IMAP_RUNS) imap_steps(session, NULL);
}
