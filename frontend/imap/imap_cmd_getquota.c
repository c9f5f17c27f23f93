/* GETQUOTA, GETQUOTAROOT and SETQUOTA (RFC 9208). Each account has one quota root, "": all its
 * mailboxes. What has no limit is not named (4.2.1), so that the list may be empty. */
#include "imap_private.h"

enum { QUOTA_UNIT_BYTES = 1024 }; /* of STORAGE */

struct quota {
    struct span name; /* of the root or, with `root` to be told, of the mailbox */
    bool tell_root;
    struct store_account_get_request request;
    uint64_t limit_bytes, limit_items, used_bytes, used_items;
};

static void quota_reply(struct imap_session *session, const void *reply)
{
    const struct store_account_reply *got = reply;
    struct quota *quota = session->run->state;
    quota->limit_bytes = got->account.quota_bytes;
    quota->limit_items = got->account.quota_items;
    quota->used_bytes = got->usage.bytes;
    quota->used_items = got->usage.items;
}

static const struct imap_call_user quota_user = { quota_reply, NULL };

static enum imap_step quota_call(struct imap_session *session)
{
    struct quota *quota = session->run->state;
    if (!quota->tell_root && quota->name.len > 0) {
        imap_no(session, SPAN("NONEXISTENT"), SPAN("there is no such quota root"));
        return IMAP_FINISH;
    }
    quota->request = (struct store_account_get_request){ session->identity.tenant,
                                                         session->identity.account };
    imap_call(session, STORE_METHOD_ACCOUNT_GET, &quota->request, &quota_user);
    return IMAP_NEXT;
}

/* Both are rounded up: a limit below one unit is not 0, which would forbid everything. */
static uint64_t units(uint64_t bytes)
{
    return bytes / QUOTA_UNIT_BYTES + (bytes % QUOTA_UNIT_BYTES != 0);
}

static void put_resource(struct imap_session *session, struct span name, uint64_t used,
                         uint64_t limit)
{
    imap_put(session, name);
    IMAP_SAY(session, " ");
    imap_put_number(session, used);
    IMAP_SAY(session, " ");
    imap_put_number(session, limit);
}

static enum imap_step quota_end(struct imap_session *session)
{
    const struct quota *quota = session->run->state;
    bool both = quota->limit_bytes > 0 && quota->limit_items > 0;
    if (session->run->err.code != ERR_OK) return imap_no_err(session, session->run->err, SPAN(""));
    if (quota->tell_root) {
        IMAP_SAY(session, "* QUOTAROOT ");
        imap_put_name(session, quota->name);
        IMAP_SAY(session, " \"\"\r\n");
    }
    IMAP_SAY(session, "* QUOTA \"\" (");
    if (quota->limit_bytes > 0) {
        put_resource(session, SPAN("STORAGE"), units(quota->used_bytes),
                     units(quota->limit_bytes));
    }
    if (both) IMAP_SAY(session, " ");
    if (quota->limit_items > 0) {
        put_resource(session, SPAN("MESSAGE"), quota->used_items, quota->limit_items);
    }
    IMAP_SAY(session, ")\r\n");
    return imap_ok(session, SPAN(""));
}

static imap_step_run *const quota_steps[] = { quota_call, quota_end, NULL };

struct err imap_cmd_getquota(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct quota *quota;
    TRY(imap_state_new(session, sizeof(*quota), &quota));
    TRY(imap_take_space(args));
    TRY(imap_take_astring(args, &quota->name));
    TRY(imap_take_end(args));
    imap_steps(session, quota_steps);
    return err_ok();
}

/* The mailbox need not be there (4.1.2). */
struct err imap_cmd_getquotaroot(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct quota *quota;
    TRY(imap_state_new(session, sizeof(*quota), &quota));
    quota->tell_root = true;
    TRY(imap_take_space(args));
    TRY(imap_take_mailbox(session, &quota->name));
    TRY(imap_take_end(args));
    imap_steps(session, quota_steps);
    return err_ok();
}

/* setquota-list = "(" [resource-name SP number *(SP resource-name SP number)] ")". Limits are set
 * by administrators, so QUOTASET is not offered. */
struct err imap_cmd_setquota(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct span word;
    uint64_t limit;
    TRY(imap_take_space(args));
    TRY(imap_take_astring(args, &word));
    TRY(imap_take_space(args));
    TRY(imap_take_char(args, '(', "resources stand in parentheses"));
    if (!imap_take(args, ')')) {
        do {
            TRY(imap_take_atom(args, &word));
            TRY(imap_take_space(args));
            TRY(imap_take_number64(args, &limit));
        } while (imap_take(args, ' '));
        TRY(imap_take_char(args, ')', "a list has no end"));
    }
    TRY(imap_take_end(args));
    imap_no(session, SPAN("NOPERM"), SPAN("only an administrator sets limits"));
    return err_ok();
}
