/* SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2; CONDSTORE by RFC 7162 3.1.8).
 *
 * The mailbox's row has all the counters; the UIDs are not loaded here. */
#include <stdlib.h>

#include "imap_private.h"

struct select {
    struct span name;
    enum imap_state state;
    bool condstore;
    struct imap_view *view;
    struct span mailbox_id;
    uint32_t uidvalidity, first_unseen;
};

static void select_free(struct imap_session *session, void *state)
{
    struct select *select = state;
    (void)session;
    if (select->view == NULL) return;
    free(select->view->keywords);
    free(select->view);
    select->view = NULL;
}

static void select_reply(struct imap_session *session, const void *reply)
{
    const struct store_mailbox_open_reply *open = reply;
    const struct store_mailbox *mailbox = &open->mailbox;
    struct imap_run *run = session->run;
    struct select *select = run->state;
    struct imap_view *view = select->view;
    struct err err = imap_view_keywords(view, open->keywords, open->keywords_count);
    if (err.code == ERR_OK) {
        err = arena_copy(&run->arena, mailbox->mailbox_id, &select->mailbox_id);
    }
    if (err.code != ERR_OK) run->err = err;
    view->mailbox = mailbox->id;
    view->uidnext = mailbox->uidnext == 0 ? 1 : mailbox->uidnext;
    view->exists = mailbox->messages;
    view->recent = mailbox->recent;
    view->recent_from = open->recent_from == 0 ? view->uidnext : open->recent_from;
    view->modseq = view->newer = mailbox->highestmodseq;
    view->keywords_max = (uint16_t)(open->keywords_max > 56 ? 56 : open->keywords_max);
    select->uidvalidity = mailbox->uidvalidity;
    select->first_unseen = open->first_unseen;
}

static const struct imap_call_user select_user = { select_reply, NULL };

/* RFC 3501 6.3.1: the old mailbox is deselected, even when this then fails. */
static enum imap_step select_call(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct select *select = run->state;
    struct store_mailbox_open_request *request = arena_alloc(&run->arena, sizeof(*request));
    select->view = calloc(1, sizeof(*select->view));
    run->state_free = select_free;
    if (request == NULL || select->view == NULL) {
        return imap_no_err(session, err_make(ERR_NOMEM, "mailbox"), SPAN(""));
    }
    uid_set_init(&select->view->uids, IMAP_VIEW_RANGES_MAX);
    imap_view_close(session);
    session->state = IMAP_AUTHENTICATED;
    *request = (struct store_mailbox_open_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .name = select->name,
        .claim_recent = select->state == IMAP_SELECTED,
    };
    imap_call(session, STORE_METHOD_MAILBOX_OPEN, request, &select_user);
    return IMAP_NEXT;
}

static enum imap_step select_flags(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct select *select = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    if (select->view->mailbox == 0) {
        return imap_no_err(session, err_make(ERR_NOT_FOUND, "mailbox"), SPAN(""));
    }
    session->view = select->view;
    select->view = NULL;
    session->state = select->state;
    if (select->condstore) session->condstore = true;
    imap_put_flags_lines(session);
    return IMAP_NEXT;
}

static void put_code(struct imap_session *session, struct span name, uint64_t number)
{
    IMAP_SAY(session, "* OK [");
    imap_put(session, name);
    IMAP_SAY(session, " ");
    imap_put_number(session, number);
    IMAP_SAY(session, "] ok\r\n");
}

static enum imap_step select_end(struct imap_session *session)
{
    const struct select *select = session->run->state;
    const struct imap_view *view = session->view;
    IMAP_SAY(session, "* ");
    imap_put_number(session, view->exists);
    IMAP_SAY(session, " EXISTS\r\n* ");
    imap_put_number(session, view->recent);
    IMAP_SAY(session, " RECENT\r\n");
    if (select->first_unseen > 0) put_code(session, SPAN("UNSEEN"), select->first_unseen);
    put_code(session, SPAN("UIDVALIDITY"), select->uidvalidity);
    put_code(session, SPAN("UIDNEXT"), view->uidnext);
    put_code(session, SPAN("HIGHESTMODSEQ"), view->modseq);
    if (select->mailbox_id.len > 0) {
        IMAP_SAY(session, "* OK [MAILBOXID (");
        imap_put(session, span_head(select->mailbox_id, 255));
        IMAP_SAY(session, ")] ok\r\n");
    }
    return imap_ok(session, session->state == IMAP_SELECTED ? SPAN("READ-WRITE")
                                                            : SPAN("READ-ONLY"));
}

static imap_step_run *const select_steps[] = { select_call, select_flags, select_end, NULL };

static struct err select_parse(struct imap_session *session, enum imap_state state)
{
    struct imap_cursor *args = &session->run->args;
    struct select *select;
    TRY(imap_state_new(session, sizeof(*select), &select));
    select->state = state;
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &select->name));
    if (imap_take(args, ' ')) {
        TRY(imap_take_char(args, '(', "parameters stand in parentheses"));
        do {
            if (!imap_take_word(args, SPAN("CONDSTORE"))) {
                return err_make(ERR_SYNTAX, "only CONDSTORE can stand there");
            }
            select->condstore = true;
        } while (imap_take(args, ' '));
        TRY(imap_take_char(args, ')', "a list has no end"));
    }
    TRY(imap_take_end(args));
    imap_steps(session, select_steps);
    return err_ok();
}

struct err imap_cmd_select(struct imap_session *session)
{
    return select_parse(session, IMAP_SELECTED);
}

struct err imap_cmd_examine(struct imap_session *session)
{
    return select_parse(session, IMAP_EXAMINED);
}
