/* APPEND (RFC 3501 6.3.11, UIDPLUS RFC 4315), of several messages too (RFC 3502).
 *
 * A message goes straight into a body. One alone is scanned and stored with one wish. Of several,
 * each is scanned as soon as it is there, before the next one is read; the last wish stores all of
 * them or none. */
#include "body.h"
#include "imap_date.h"
#include "imap_private.h"

enum { APPEND_MESSAGES_MAX = 1000 }; /* = store.proto */

struct append {
    struct span mailbox;
    struct store_append_request one;
    struct store_append_many_request many;
    struct store_appended_message *messages; /* of `many`, in the arena */
    struct store_appended_message next;      /* the one that is read */
    size_t count;                            /* messages prepared */
    uint64_t size_bytes;                     /* of the one that is read */
    bool binary, waits;                      /* it is a literal8; the client waits for "+" */
    bool has_nul;                            /* the reason for `err` */
    struct err err;                          /* why what was read can't be taken */
    /* the reply */
    uint32_t uidvalidity, first_uid, uid_count, in_mailbox;
    uint64_t modseq;
};

/* [SP flag-list] [SP date-time] SP literal, from behind the first SP on. */
static struct err message_args(struct imap_session *session, struct append *append)
{
    struct imap_cursor *args = &session->run->args;
    struct imap_flag_list flags = { 0 };
    uint64_t date_ms = session->wall_ms;
    if (imap_next_is(args, '(')) {
        TRY(imap_take_flags(session, false, &flags));
        TRY(imap_take_space(args));
    }
    if (imap_next_is(args, '"')) {
        TRY(imap_take_date_time(args, &date_ms));
        TRY(imap_take_space(args));
    }
    append->next = (struct store_appended_message){ .flags = flags.flags,
                                                    .keywords = flags.keywords,
                                                    .keywords_count = flags.keywords_count,
                                                    .internaldate_ms = date_ms };
    append->binary = imap_take(args, '~'); /* literal8 (RFC 3516) */
    if (!imap_next_is(args, '{')) return err_make(ERR_SYNTAX, "a message as a literal is missing");
    if (append->size_bytes == 0) return err_make(ERR_UNSUPPORTED, "an empty message");
    return err_ok();
}

static struct err append_args(struct imap_session *session, struct append *append)
{
    TRY(imap_take_space(&session->run->args));
    TRY(imap_take_mailbox(session, &append->mailbox));
    TRY(imap_take_space(&session->run->args));
    return message_args(session, append);
}

/* APPEND comes here when it did not end in a message. */
struct err imap_cmd_append(struct imap_session *session)
{
    struct append *append;
    TRY(imap_state_new(session, sizeof(*append), &append));
    append->size_bytes = 1;
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
    if (append->err.code != ERR_OK) return err_ok();
    return body_new(session->options->budget, &run->body);
}

static void append_refuse(struct imap_session *session, struct err err)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    append->err = err;
    body_unref(run->body);
    run->body = NULL;
}

void imap_append_bytes(struct imap_session *session, struct span bytes)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    if (append->err.code != ERR_OK) return;
    /* RFC 3501 4.3.1: NUL can't stand in a literal. It can in a literal8, but BODY could not give
     * it back (RFC 3516 section 6). */
    append->has_nul = memchr(bytes.ptr, 0, bytes.len) != NULL;
    struct err err = append->has_nul ? err_make(ERR_UNSUPPORTED, "a message with NUL")
                                     : body_put(run->body, bytes);
    if (err.code != ERR_OK) append_refuse(session, err);
}

/* ---- the end, in one wish or in two */

static void append_reply(struct imap_session *session, const void *reply)
{
    const struct store_append_reply *one = reply;
    struct append *append = session->run->state;
    append->uidvalidity = one->uidvalidity;
    append->first_uid = one->uid;
    append->uid_count = 1;
    append->modseq = one->modseq;
    append->in_mailbox = one->mailbox;
}

static void append_many_reply(struct imap_session *session, const void *reply)
{
    const struct store_append_many_reply *many = reply;
    struct append *append = session->run->state;
    append->uidvalidity = many->uidvalidity;
    append->first_uid = many->first_uid;
    append->uid_count = many->count;
    append->modseq = many->modseq;
    append->in_mailbox = many->mailbox;
}

static const struct imap_call_user append_user = { append_reply, NULL };
static const struct imap_call_user append_many_user = { append_many_reply, NULL };

static enum imap_step append_wish(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    append->one = (struct store_append_request){
        .operation_id = imap_operation_id(session),
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = append->mailbox,
        .flags = append->next.flags,
        .keywords = append->next.keywords,
        .keywords_count = append->next.keywords_count,
        .internaldate_ms = append->next.internaldate_ms,
    };
    imap_wish_for(session, IMAP_WISH_APPEND);
    run->call = &append_user;
    session->wish.method = STORE_METHOD_APPEND;
    session->wish.request = &append->one;
    session->wish.body = run->body;
    return IMAP_NEXT;
}

static enum imap_step append_many_wish(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    append->many = (struct store_append_many_request){
        .operation_id = imap_operation_id(session),
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = append->mailbox,
        .messages = append->messages,
        .messages_count = append->count,
    };
    imap_wish_for(session, IMAP_WISH_APPEND_MANY);
    run->call = &append_many_user;
    session->wish.method = STORE_METHOD_APPEND_MANY;
    session->wish.request = &append->many;
    return IMAP_NEXT;
}

static enum imap_step append_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    const struct append *append = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN("TRYCREATE"));
    if (session->view != NULL && append->in_mailbox == session->view->mailbox) {
        imap_view_seen(session->view, append->modseq);
    }
    return IMAP_NEXT;
}

static enum imap_step append_end(struct imap_session *session)
{
    const struct append *append = session->run->state;
    imap_ok_begin(session);
    IMAP_SAY(session, "[APPENDUID ");
    imap_put_number(session, append->uidvalidity);
    IMAP_SAY(session, " ");
    imap_put_number(session, append->first_uid);
    if (append->uid_count > 1) {
        IMAP_SAY(session, ":");
        imap_put_number(session, (uint64_t)append->first_uid + append->uid_count - 1);
    }
    IMAP_SAY(session, "] ");
    imap_completed(session);
    return IMAP_FINISH;
}

static imap_step_run *const append_steps[] = { append_wish, append_after, imap_step_sync_newer,
                                               append_end, NULL };

/* Tells what is wrong with what was read, and ends the command. */
static void append_fail(struct imap_session *session)
{
    const struct append *append = session->run->state;
    if (append->err.code == ERR_SYNTAX) {
        imap_bad_err(session, append->err);
    } else if (append->has_nul && append->binary) {
        imap_no(session, SPAN("UNKNOWN-CTE"), SPAN("a message with NUL can't be stored"));
    } else {
        (void)imap_no_err(session, append->err, SPAN(""));
    }
    if (session->phase == IMAP_RUNS) imap_steps(session, NULL);
}

/* ---- several messages */

static enum imap_step prepare_wish(struct imap_session *session)
{
    const struct append *append = session->run->state;
    imap_wish_for(session, IMAP_WISH_PREPARE);
    session->wish.body = session->run->body;
    session->wish.index = append->count;
    return IMAP_NEXT;
}

/* The message is prepared: its words go to the others'. */
static enum imap_step prepare_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    struct err err = run->err;
    if (append->messages == NULL) {
        append->messages = arena_alloc(&run->arena,
                                       APPEND_MESSAGES_MAX * sizeof(*append->messages));
    }
    if (err.code == ERR_OK && append->messages == NULL) err = err_make(ERR_NOMEM, "messages");
    body_unref(run->body);
    run->body = NULL;
    append->err = err;
    if (err.code == ERR_OK) append->messages[append->count++] = append->next;
    return IMAP_NEXT;
}

static enum imap_step prepare_last(struct imap_session *session)
{
    const struct append *append = session->run->state;
    if (append->err.code == ERR_OK) return IMAP_NEXT;
    append_fail(session);
    return IMAP_FINISH;
}

static imap_step_run *const many_steps[] = { prepare_wish,     prepare_after, prepare_last,
                                             append_many_wish, append_after,
                                             imap_step_sync_newer, append_end, NULL };

/* Reads the words of the next message, whose line lies in the arena. A client that waits for "+" is
 * answered at once when it would be in vain. */
static enum imap_step next_begin(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    if (append->err.code == ERR_OK && append->count == APPEND_MESSAGES_MAX) {
        append->err = err_make(ERR_TOO_BIG, "messages at a time");
    }
    if (append->err.code == ERR_OK) append->err = message_args(session, append);
    if (append->err.code == ERR_OK) {
        append->err = body_new(session->options->budget, &run->body);
    }
    if (append->err.code != ERR_OK && append->waits) {
        append_fail(session);
        return IMAP_FINISH;
    }
    if (append->waits) IMAP_SAY(session, "+ ready for the message\r\n");
    session->literal_left = append->size_bytes;
    session->phase = IMAP_READS_MESSAGE;
    return IMAP_NEXT;
}

static imap_step_run *const next_steps[] = { prepare_wish, prepare_after, next_begin, NULL };
static imap_step_run *const pass_steps[] = { next_begin, NULL };

/* `line`, without its end, leads to one more message. */
static void append_next(struct imap_session *session, struct span line)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    struct span kept = SPAN("");
    if (append->size_bytes > session->options->message_bytes_max) {
        if (!append->waits) {
            imap_hang_up(session, SPAN("[TOOBIG] literal over the limit"));
            return;
        }
        imap_no(session, SPAN("TOOBIG"), SPAN("literal over the limit"));
        imap_steps(session, NULL);
        return;
    }
    struct err err = arena_copy(&run->arena, line, &kept);
    if (err.code == ERR_OK && append->err.code == ERR_OK) err = body_seal(run->body);
    if (err.code != ERR_OK) append_refuse(session, err);
    run->args = (struct imap_cursor){ .in = kept, .at = 1, .arena = &run->arena };
    imap_steps(session, append->err.code == ERR_OK ? next_steps : pass_steps);
}

void imap_append_tail(struct imap_session *session, struct span line)
{
    struct imap_run *run = session->run;
    struct append *append = run->state;
    size_t start;
    session->phase = IMAP_RUNS;
    bool next = line.len > 0 && line.ptr[0] == ' '
             && imap_literal_at_end(line, &append->size_bytes, &append->waits, &start);
    if (next) {
        append_next(session, line);
        return;
    }
    if (line.len > 0) {
        imap_bad(session, SPAN("CRLF or one more message follows the message of APPEND"));
        if (session->phase == IMAP_RUNS) imap_steps(session, NULL);
        return;
    }
    if (append->err.code == ERR_OK) append->err = body_seal(run->body);
    if (append->err.code != ERR_OK) append_fail(session);
    else imap_steps(session, append->count == 0 ? append_steps : many_steps);
}
