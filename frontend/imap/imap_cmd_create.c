/* CREATE (RFC 3501 6.3.3) with USE (RFC 6154 section 3). */
#include "imap_private.h"

static const struct imap_call_user create_user = { NULL, NULL };

static enum imap_step create_call(struct imap_session *session)
{
    struct store_mailbox_create_request *request = session->run->state;
    request->operation_id = imap_operation_id(session);
    imap_call(session, STORE_METHOD_MAILBOX_CREATE, request, &create_user);
    return IMAP_NEXT;
}

static enum imap_step create_end(struct imap_session *session)
{
    struct err err = session->run->err;
    return err.code == ERR_OK ? imap_ok(session, SPAN("")) : imap_no_err(session, err, SPAN(""));
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
    struct store_mailbox_create_request *request;
    TRY(imap_state_new(session, sizeof(*request), &request));
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
