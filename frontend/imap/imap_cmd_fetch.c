/* FETCH (RFC 3501 6.4.5). Without PEEK the messages are marked \Seen first, so that the flags that
 * are told are those they have then. */
#include "imap_fetch_private.h"
#include "mail_flags.h"

/* VANISHED comes before what is fetched (RFC 7162 3.2.6). "*" is the last UID ever given out: what
 * has gone may be above the last message. */
static enum imap_step fetch_vanished(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_fetch *fetch = run->state;
    struct imap_vanished *vanished;
    uint32_t last = session->view->uidnext - 1;
    bool star;
    if (!fetch->vanished || last == 0) return IMAP_NEXT;
    struct err err = imap_vanished_new(session, &vanished);
    if (err.code == ERR_OK && span_eq(fetch->set, SPAN("$"))) {
        err = uid_set_read(&vanished->known, uid_set_bytes(&session->view->saved));
    } else if (err.code == ERR_OK) {
        err = imap_set_read(fetch->set, last, &vanished->known, &star);
    }
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    return imap_vanished_earlier(session, fetch->changed_since);
}

static enum imap_step fetch_resolve(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_fetch *fetch = run->state;
    struct err err = imap_view_uids(session->view, fetch->set, run->uid, &run->set);
    if (err.code == ERR_SYNTAX) {
        imap_bad(session, span_of(err.what, strlen(err.what)));
        return IMAP_FINISH;
    }
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    if (run->set.count == 0) return imap_ok(session, SPAN(""));
    fetch->expected = imap_view_count(session->view, &run->set);
    return IMAP_NEXT;
}

static void seen_reply(struct imap_session *session, const void *reply)
{
    struct imap_fetch *fetch = session->run->state;
    fetch->seen_modseq = ((const struct store_flags_set_reply *)reply)->modseq;
}

static const struct imap_call_user seen_user = { seen_reply, NULL };

static enum imap_step fetch_seen(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_fetch *fetch = run->state;
    if (!fetch->seen || session->state != IMAP_SELECTED) return IMAP_NEXT;
    fetch->seen_request = (struct store_flags_set_request){
        .operation_id = imap_operation_id(session),
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->view->mailbox,
        .uids = uid_set_bytes(&run->set),
        .mode = STORE_FLAGS_ADD,
        .flags = MAIL_FLAG_SEEN,
    };
    imap_call(session, STORE_METHOD_FLAGS_SET, &fetch->seen_request, &seen_user);
    return IMAP_NEXT;
}

static void fetch_reply(struct imap_session *session, const void *reply)
{
    imap_view_seen(session->view, ((const struct store_fetch_reply *)reply)->highestmodseq);
}

static const struct imap_call_user fetch_user = { fetch_reply, imap_fetch_data };

static void fetch_ask(struct imap_session *session, const struct uid_set *uids)
{
    struct imap_run *run = session->run;
    struct imap_fetch *fetch = run->state;
    fetch->request = (struct store_fetch_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->view->mailbox,
        .uids = uid_set_bytes(uids),
        .items = fetch->needs,
        .facts_unused = FACTS_PIECES_ALL & ~fetch->pieces,
        .changed_since = fetch->changed_since,
    };
    run->walker = (struct imap_walker){ 0, 0 };
    imap_call(session, STORE_METHOD_FETCH, &fetch->request, &fetch_user);
}

/* When marking has failed (a full disk), mail can be read all the same. */
static enum imap_step fetch_call(struct imap_session *session)
{
    const struct imap_fetch *fetch = session->run->state;
    imap_view_own(session->view, fetch->seen_modseq, true);
    fetch_ask(session, &session->run->set);
    return IMAP_NEXT;
}

/* The messages that were passed over, whose fields only the body has whole. */
static enum imap_step fetch_cut(struct imap_session *session)
{
    struct imap_fetch *fetch = session->run->state;
    if (session->run->err.code != ERR_OK || fetch->cut.count == 0) return IMAP_NEXT;
    fetch->needs |= STORE_FETCH_BODY;
    fetch_ask(session, &fetch->cut);
    return IMAP_NEXT;
}

/* UID FETCH may tell of EXPUNGE, FETCH may not (RFC 3501 7.4.1). */
static enum imap_step fetch_after(struct imap_session *session)
{
    if (session->run->err.code != ERR_OK) return imap_no_err(session, session->run->err, SPAN(""));
    return session->run->uid ? imap_step_sync_newer(session) : IMAP_NEXT;
}

static enum imap_step fetch_end(struct imap_session *session)
{
    const struct imap_run *run = session->run;
    const struct imap_fetch *fetch = run->state;
    if (fetch->unknown_encoding) {
        /* RFC 3516 4.3 */
        imap_no(session, SPAN("UNKNOWN-CTE"), SPAN("a part is in an encoding not known here"));
        return IMAP_FINISH;
    }
    if (fetch->err.code != ERR_OK) return imap_no_err(session, fetch->err, SPAN(""));
    if (!run->uid && fetch->changed_since == 0 && fetch->records < fetch->expected) {
        imap_no(session, SPAN("EXPUNGEISSUED"), SPAN("some of these messages are expunged"));
        return IMAP_FINISH;
    }
    return imap_ok(session, SPAN(""));
}

struct err imap_cmd_fetch(struct imap_session *session)
{
    static imap_step_run *const steps[] = { imap_step_view, fetch_vanished, fetch_resolve,
                                            fetch_seen, fetch_call, fetch_cut, fetch_after,
                                            fetch_end, NULL };
    struct imap_fetch *fetch;
    TRY(imap_state_new(session, sizeof(*fetch), &fetch));
    uid_set_init(&fetch->cut, IMAP_VIEW_RANGES_MAX);
    session->run->state_free = imap_fetch_free;
    TRY(imap_fetch_parse(session, fetch));
    if (fetch->modseq) imap_enable_condstore(session);
    imap_steps(session, steps);
    return err_ok();
}
