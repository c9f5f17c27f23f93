/* SELECT and EXAMINE (RFC 3501 6.3.1, 6.3.2; CONDSTORE and QRESYNC by RFC 7162 3.1.8 and 3.2.5).
 *
 * The mailbox's row has all the counters; the UIDs are loaded only when QRESYNC has something to
 * tell. */
#include <stdlib.h>

#include "imap_private.h"
#include "mail_stream.h"

struct resync {
    bool asked;
    uint32_t uidvalidity;
    uint64_t modseq;
    struct span known;         /* as written; empty: all */
    struct span numbers, uids; /* seq-match-data, or empty */
    struct store_fetch_request fetch;
};

struct select {
    struct span name;
    enum imap_state state;
    bool condstore;
    bool unfinished; /* open already, but not everything is told */
    struct resync resync;
    struct imap_view *view;
    struct span mailbox_id;
    uint32_t uidvalidity, first_unseen;
};

static void select_free(struct imap_session *session, void *state)
{
    struct select *select = state;
    if (select->unfinished) {
        imap_view_close(session);
        if (session->state != IMAP_LOGOUT) session->state = IMAP_AUTHENTICATED;
    }
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
    uid_set_init(&select->view->saved, IMAP_SAVED_RANGES_MAX);
    /* RFC 7162 3.2.11: what follows is no more of the mailbox that was open. */
    if (session->view != NULL) IMAP_SAY(session, "* OK [CLOSED] no longer selected\r\n");
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
    select->unfinished = true;
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

static enum imap_step select_tell(struct imap_session *session)
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
    return IMAP_NEXT;
}

/* ---- QRESYNC */

/* The UID up to which client and mailbox agree: of the last pair of number and UID that is right
 * (RFC 7162 3.2.5.2). Both texts were checked; they have as many members. */
static struct err match_sequence(const struct imap_view *view, const struct resync *resync,
                                 uint32_t *ret)
{
    struct uid_set numbers, uids;
    bool star;
    uid_set_init(&numbers, IMAP_SET_RANGES_MAX);
    uid_set_init(&uids, IMAP_SET_RANGES_MAX);
    struct err err = imap_set_read(resync->numbers, 0, &numbers, &star);
    if (err.code == ERR_OK) err = imap_set_read(resync->uids, 0, &uids, &star);
    struct imap_walker walker = { 0, 0 };
    uint32_t number = 0, uid = 0;
    for (size_t i = 0, k = 0; err.code == ERR_OK && i < numbers.count && k < uids.count;) {
        number = number == 0 ? numbers.ranges[i].first : number + 1;
        uid = uid == 0 ? uids.ranges[k].first : uid + 1;
        if (number > view->exists || uid >= view->uidnext) break;
        if (imap_walk(view, &walker, uid) == number) *ret = uid;
        if (number == numbers.ranges[i].last) {
            number = 0;
            i++;
        }
        if (uid == uids.ranges[k].last) {
            uid = 0;
            k++;
        }
    }
    uid_set_free(&numbers);
    uid_set_free(&uids);
    return err;
}

static bool resync_needed(const struct imap_session *session, const struct select *select)
{
    const struct resync *resync = &select->resync;
    const struct imap_view *view = session->view;
    return resync->asked && resync->uidvalidity == select->uidvalidity
        && resync->modseq < view->modseq && view->uidnext > 1;
}

static enum imap_step resync_view(struct imap_session *session)
{
    const struct select *select = session->run->state;
    return resync_needed(session, select) ? imap_step_view(session) : IMAP_NEXT;
}

static enum imap_step resync_vanished(struct imap_session *session)
{
    const struct select *select = session->run->state;
    const struct resync *resync = &select->resync;
    const struct imap_view *view = session->view;
    struct imap_vanished *vanished;
    bool star;
    if (!resync_needed(session, select)) return IMAP_NEXT;
    struct err err = imap_vanished_new(session, &vanished);
    if (err.code == ERR_OK && resync->known.len > 0) {
        err = imap_set_read(resync->known, 0, &vanished->known, &star);
    } else if (err.code == ERR_OK) {
        err = uid_set_add(&vanished->known, 1, view->uidnext - 1);
    }
    if (err.code == ERR_OK && resync->numbers.len > 0) {
        err = match_sequence(view, resync, &vanished->above);
    }
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    return imap_vanished_earlier(session, resync->modseq);
}

static size_t resync_data(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    struct span rest = in;
    struct mail_record record;
    for (;;) {
        if (!imap_has_room(session)) {
            run->blocked = rest.len > 0 || run->gather.len > 0;
            return in.len - rest.len;
        }
        if (!imap_record_next(session, &rest, &record)) return in.len;
        run->gather.len = 0;
        uint32_t number = imap_walk(session->view, &run->walker, record.uid);
        if (number > 0) imap_put_fetch_flags(session, &record, number, true);
    }
}

static void resync_reply(struct imap_session *session, const void *reply)
{
    imap_view_seen(session->view, ((const struct store_fetch_reply *)reply)->highestmodseq);
}

static const struct imap_call_user resync_user = { resync_reply, resync_data };

static enum imap_step resync_fetch(struct imap_session *session)
{
    struct select *select = session->run->state;
    struct resync *resync = &select->resync;
    if (!resync_needed(session, select)) return IMAP_NEXT;
    resync->fetch = (struct store_fetch_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->view->mailbox,
        .items = STORE_FETCH_INDEX,
        .changed_since = resync->modseq,
    };
    if (resync->known.len > 0) {
        resync->fetch.uids = uid_set_bytes(&session->run->vanished->known);
    }
    session->run->walker = (struct imap_walker){ 0, 0 };
    imap_call(session, STORE_METHOD_FETCH, &resync->fetch, &resync_user);
    return IMAP_NEXT;
}

/* NO leaves nothing selected (RFC 3501 6.3.1): a client that was not told all must not go on. */
static enum imap_step select_end(struct imap_session *session)
{
    struct select *select = session->run->state;
    if (session->run->err.code != ERR_OK) return imap_no_err(session, session->run->err, SPAN(""));
    select->unfinished = false;
    return imap_ok(session, session->state == IMAP_SELECTED ? SPAN("READ-WRITE")
                                                            : SPAN("READ-ONLY"));
}

static imap_step_run *const select_steps[] = { select_call,  select_flags,    select_tell,
                                               resync_view,  resync_vanished, resync_fetch,
                                               select_end,   NULL };

/* ---- arguments */

/* A set in which "*" can't stand; `*count` is how many members it has. */
static struct err take_known(struct imap_cursor *args, struct span *ret, uint64_t *count)
{
    struct uid_set set;
    bool star = false;
    size_t start = args->at;
    TRY(imap_take_set(args, ret));
    uid_set_init(&set, IMAP_SET_RANGES_MAX);
    struct err err = imap_set_read(*ret, 0, &set, &star);
    *count = uid_set_count(&set);
    uid_set_free(&set);
    TRY(err);
    if (!star) return err_ok();
    args->at = start;
    return err_make(ERR_SYNTAX, "* can't stand in a known set");
}

/* "(" known-sequence-set SP known-uid-set ")" */
static struct err take_match(struct imap_cursor *args, struct resync *resync)
{
    uint64_t numbers, uids;
    TRY(imap_take_char(args, '(', "sets that match stand in parentheses"));
    TRY(take_known(args, &resync->numbers, &numbers));
    TRY(imap_take_space(args));
    TRY(take_known(args, &resync->uids, &uids));
    if (numbers != uids) return err_make(ERR_SYNTAX, "as many UIDs as numbers are wanted");
    return imap_take_char(args, ')', "a list has no end");
}

/* SP "(" uidvalidity SP mod-sequence-value [SP known-uids] [SP seq-match-data] ")" */
static struct err take_resync(struct imap_session *session, struct resync *resync)
{
    struct imap_cursor *args = &session->run->args;
    uint64_t count;
    if (!session->qresync) return err_make(ERR_SYNTAX, "QRESYNC needs ENABLE QRESYNC");
    resync->asked = true;
    TRY(imap_take_space(args));
    TRY(imap_take_char(args, '(', "QRESYNC has a list"));
    TRY(imap_take_number(args, &resync->uidvalidity));
    if (resync->uidvalidity == 0) return err_make(ERR_SYNTAX, "a UIDVALIDITY is not 0");
    TRY(imap_take_space(args));
    TRY(imap_take_number64(args, &resync->modseq));
    if (resync->modseq == 0) return err_make(ERR_SYNTAX, "a mod-sequence is not 0");
    bool more = imap_take(args, ' ');
    if (more && !imap_next_is(args, '(')) {
        TRY(take_known(args, &resync->known, &count));
        more = imap_take(args, ' ');
    }
    if (more) TRY(take_match(args, resync));
    return imap_take_char(args, ')', "a list has no end");
}

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
            if (imap_take_word(args, SPAN("CONDSTORE"))) select->condstore = true;
            else if (imap_take_word(args, SPAN("QRESYNC"))) {
                TRY(take_resync(session, &select->resync));
            } else {
                return err_make(ERR_SYNTAX, "parameters are CONDSTORE and QRESYNC");
            }
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
