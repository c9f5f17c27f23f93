/* CREATE (RFC 3501 6.3.3) with USE (RFC 6154 section 3) and MAILBOXID (RFC 8474 4.1). */
#include "imap_private.h"

struct create {
    struct store_mailbox_create_request request;
    struct span mailbox_id; /* in the arena */
};

static void create_reply(struct imap_session *session, const void *reply)
{
    const struct store_mailbox_reply *made = reply;
    struct create *create = session->run->state;
    struct err err = arena_copy(&session->run->arena, span_head(made->mailbox.mailbox_id, 255),
                                &create->mailbox_id);
    if (err.code != ERR_OK) create->mailbox_id = SPAN("");
}

static const struct imap_call_user create_user = { create_reply, NULL };

static enum imap_step create_call(struct imap_session *session)
{
    struct create *create = session->run->state;
    struct store_mailbox_create_request *request = &create->request;
    request->operation_id = imap_operation_id(session);
    imap_call(session, STORE_METHOD_MAILBOX_CREATE, request, &create_user);
    return IMAP_NEXT;
}

static enum imap_step create_end(struct imap_session *session)
{
    struct err err = session->run->err;
    const struct create *create = session->run->state;
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    imap_ok_begin(session);
    if (create->mailbox_id.len > 0) {
        IMAP_SAY(session, "[MAILBOXID (");
        imap_put(session, create->mailbox_id);
        IMAP_SAY(session, ")] ");
    }
    imap_completed(session);
    return IMAP_FINISH;
}

/* " (USE (\Drafts))": one use at most, since a mailbox has one. */
static struct err create_use(struct imap_session *session, uint32_t *special_use)
{
    struct imap_cursor *args = &session->run->args;
    struct span word;
    TRY(imap_take_char(args, '(', "parameters stand in parentheses"));
    if (!imap_take_word(args, SPAN("USE"))) return err_make(ERR_SYNTAX, "only USE can stand there");
    TRY(imap_take_char(args, ' ', "USE has a list"));
    TRY(imap_take_char(args, '(', "USE has a list"));
    size_t start = args->at;
    TRY(imap_take_flag(args, &word));
    *special_use = imap_special_use(word);
    if (*special_use == STORE_USE_NONE || imap_next_is(args, ' ')) {
        args->at = start;
        return err_make(ERR_UNSUPPORTED, "USEATTR");
    }
    TRY(imap_take_char(args, ')', "a list has no end"));
    return imap_take_char(args, ')', "a list has no end");
}

struct err imap_cmd_create(struct imap_session *session)
{
    static imap_step_run *const steps[] = { create_call, create_end, NULL };
    struct imap_cursor *args = &session->run->args;
    struct create *create;
    TRY(imap_state_new(session, sizeof(*create), &create));
    struct store_mailbox_create_request *request = &create->request;
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &request->name));
    if (imap_take(args, ' ')) {
        struct err err = create_use(session, &request->special_use);
        if (err.code == ERR_UNSUPPORTED) {
            imap_no(session, SPAN("USEATTR"), SPAN("one of the special uses of RFC 6154"));
            return err_ok();
        }
        TRY(err);
    }
    TRY(imap_take_end(args));
    /* A delimiter at the end says that there will be names below it: nothing more than that. */
    while (request->name.len > 1 && request->name.ptr[request->name.len - 1] == '/') {
        request->name.len--;
    }
    request->tenant = session->identity.tenant;
    request->account = session->identity.account;
    request->kind = STORE_KIND_MAIL;
    imap_steps(session, steps);
    return err_ok();
}
