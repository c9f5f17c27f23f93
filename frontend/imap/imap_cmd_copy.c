/* COPY (RFC 3501 6.4.7) and MOVE (RFC 6851), with COPYUID (RFC 4315). */
#include "imap_private.h"

enum copy_stage { COPY_BEGIN, COPY_FROM, COPY_TO };

struct copy {
    struct span set; /* as written */
    struct store_copy_request request;
    uint32_t uidvalidity;
    uint64_t modseq;
    struct span from, to; /* uid_set.h, in the arena */
    enum copy_stage stage;
    size_t at;
};

static enum imap_step copy_resolve(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct copy *copy = run->state;
    struct err err = imap_view_uids(session->view, copy->set, run->uid, &run->set);
    if (err.code == ERR_SYNTAX) {
        imap_bad(session, span_of(err.what, strlen(err.what)));
        return IMAP_FINISH;
    }
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    return run->set.count == 0 ? imap_ok(session, SPAN("")) : IMAP_NEXT;
}

static void copy_reply(struct imap_session *session, const void *reply)
{
    const struct store_copy_reply *copied = reply;
    struct imap_run *run = session->run;
    struct copy *copy = run->state;
    copy->uidvalidity = copied->uidvalidity;
    copy->modseq = copied->modseq;
    struct err err = arena_copy(&run->arena, copied->from_uids, &copy->from);
    if (err.code == ERR_OK) err = arena_copy(&run->arena, copied->to_uids, &copy->to);
    if (err.code != ERR_OK) run->err = err;
}

static const struct imap_call_user copy_user = { copy_reply, NULL };

static enum imap_step copy_call(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct copy *copy = run->state;
    copy->request.operation_id = imap_operation_id(session);
    copy->request.tenant = session->identity.tenant;
    copy->request.account = session->identity.account;
    copy->request.mailbox = session->view->mailbox;
    copy->request.uids = uid_set_bytes(&run->set);
    imap_call(session, STORE_METHOD_COPY, &copy->request, &copy_user);
    return IMAP_NEXT;
}

static enum imap_step copy_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN("TRYCREATE"));
    return IMAP_NEXT;
}

/* "[COPYUID 38505 304,319:320 3956:3958] ", as long as it is. */
static bool put_copyuid(struct imap_session *session, struct copy *copy)
{
    if (copy->stage == COPY_BEGIN) {
        IMAP_SAY(session, "[COPYUID ");
        imap_put_number(session, copy->uidvalidity);
        IMAP_SAY(session, " ");
        session->run->mid_line = true;
        copy->stage = COPY_FROM;
    }
    if (copy->stage == COPY_FROM) {
        if (!imap_put_set(session, copy->from, &copy->at)) return false;
        IMAP_SAY(session, " ");
        copy->stage = COPY_TO;
        copy->at = 0;
    }
    if (!imap_put_set(session, copy->to, &copy->at)) return false;
    IMAP_SAY(session, "] ");
    session->run->mid_line = false;
    return true;
}

static enum imap_step copy_end(struct imap_session *session)
{
    struct copy *copy = session->run->state;
    if (copy->stage == COPY_BEGIN) imap_ok_begin(session);
    if (copy->from.len > 0 && !put_copyuid(session, copy)) return IMAP_AGAIN;
    imap_completed(session);
    return IMAP_FINISH;
}

/* RFC 6851 4.3: COPYUID in an untagged OK, before the EXPUNGEs. */
static enum imap_step move_told(struct imap_session *session)
{
    struct copy *copy = session->run->state;
    if (copy->from.len == 0) return IMAP_NEXT;
    if (copy->stage == COPY_BEGIN) IMAP_SAY(session, "* OK ");
    if (!put_copyuid(session, copy)) return IMAP_AGAIN;
    IMAP_SAY(session, "moved\r\n");
    imap_expunge_begin(session, copy->from);
    imap_view_own(session->view, copy->modseq, true);
    return IMAP_NEXT;
}

static struct err copy_parse(struct imap_session *session, bool move)
{
    struct imap_cursor *args = &session->run->args;
    struct copy *copy;
    TRY(imap_state_new(session, sizeof(*copy), &copy));
    copy->request.move = move;
    TRY(imap_take_space(args));
    TRY(imap_take_set_or_saved(args, &copy->set));
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &copy->request.to));
    return imap_take_end(args);
}

struct err imap_cmd_copy(struct imap_session *session)
{
    static imap_step_run *const steps[] = { imap_step_view, copy_resolve, copy_call, copy_after,
                                            copy_end, NULL };
    TRY(copy_parse(session, false));
    imap_steps(session, steps);
    return err_ok();
}

struct err imap_cmd_move(struct imap_session *session)
{
    static imap_step_run *const steps[] = { imap_step_view,    copy_resolve,         copy_call,
                                            copy_after,        move_told,
                                            imap_step_expunge, imap_step_sync_newer,
                                            imap_step_ok_modseq, NULL };
    TRY(copy_parse(session, true));
    imap_steps(session, steps);
    return err_ok();
}
