/* STATUS items, for STATUS itself and for LIST ... RETURN (STATUS ...) (RFC 3501 6.3.10, RFC 5819,
 * RFC 7162 3.1.7, RFC 7889, RFC 8438, RFC 8474, RFC 9208), and special uses (RFC 6154). */
#include "imap_private.h"

struct status_name {
    struct span name;
    unsigned bit;
};
static const struct status_name status_names[] = {
    { SPAN_INIT("MESSAGES"), IMAP_STATUS_MESSAGES },
    { SPAN_INIT("RECENT"), IMAP_STATUS_RECENT },
    { SPAN_INIT("UIDNEXT"), IMAP_STATUS_UIDNEXT },
    { SPAN_INIT("UIDVALIDITY"), IMAP_STATUS_UIDVALIDITY },
    { SPAN_INIT("UNSEEN"), IMAP_STATUS_UNSEEN },
    { SPAN_INIT("HIGHESTMODSEQ"), IMAP_STATUS_HIGHESTMODSEQ },
    { SPAN_INIT("SIZE"), IMAP_STATUS_SIZE },
    { SPAN_INIT("MAILBOXID"), IMAP_STATUS_MAILBOXID },
    { SPAN_INIT("DELETED"), IMAP_STATUS_DELETED },
    { SPAN_INIT("DELETED-STORAGE"), IMAP_STATUS_DELETED_STORAGE },
    { SPAN_INIT("APPENDLIMIT"), IMAP_STATUS_APPENDLIMIT },
};
enum { STATUS_NAMES = sizeof(status_names) / sizeof(status_names[0]) };

struct err imap_take_status_items(struct imap_cursor *args, unsigned *ret)
{
    unsigned items = 0;
    TRY(imap_take_char(args, '(', "status items stand in parentheses"));
    do {
        size_t i = 0;
        while (i < STATUS_NAMES && !imap_take_word(args, status_names[i].name)) i++;
        if (i == STATUS_NAMES) return err_make(ERR_SYNTAX, "there is no such status item");
        items |= status_names[i].bit;
    } while (imap_take(args, ' '));
    TRY(imap_take_char(args, ')', "a list has no end"));
    *ret = items;
    return err_ok();
}

uint64_t imap_append_limit(const struct imap_session *session)
{
    uint64_t max = session->options->message_bytes_max;
    return max > UINT32_MAX ? UINT32_MAX : max; /* a number of RFC 3501 has 32 bits */
}

static uint64_t status_number(const struct imap_session *session,
                              const struct store_mailbox *mailbox, unsigned bit)
{
    if (bit == IMAP_STATUS_APPENDLIMIT) return imap_append_limit(session);
    if (bit == IMAP_STATUS_DELETED) return mailbox->deleted;
    if (bit == IMAP_STATUS_DELETED_STORAGE) return mailbox->deleted_bytes;
    if (bit == IMAP_STATUS_MESSAGES) return mailbox->messages;
    if (bit == IMAP_STATUS_RECENT) return mailbox->recent;
    if (bit == IMAP_STATUS_UIDNEXT) return mailbox->uidnext;
    if (bit == IMAP_STATUS_UIDVALIDITY) return mailbox->uidvalidity;
    if (bit == IMAP_STATUS_UNSEEN) return mailbox->unseen;
    if (bit == IMAP_STATUS_SIZE) return mailbox->size_bytes;
    return mailbox->highestmodseq;
}

void imap_put_status(struct imap_session *session, const struct store_mailbox *mailbox,
                     unsigned items)
{
    IMAP_SAY(session, "* STATUS ");
    imap_put_name(session, mailbox->name);
    IMAP_SAY(session, " (");
    bool first = true;
    for (size_t i = 0; i < STATUS_NAMES; i++) {
        unsigned bit = status_names[i].bit;
        if ((items & bit) == 0) continue;
        if (!first) IMAP_SAY(session, " ");
        first = false;
        imap_put(session, status_names[i].name);
        if (bit == IMAP_STATUS_MAILBOXID) {
            IMAP_SAY(session, " (");
            imap_put(session, span_head(mailbox->mailbox_id, 255));
            IMAP_SAY(session, ")");
            continue;
        }
        IMAP_SAY(session, " ");
        imap_put_number(session, status_number(session, mailbox, bit));
    }
    IMAP_SAY(session, ")\r\n");
    if ((items & IMAP_STATUS_HIGHESTMODSEQ) != 0) imap_enable_condstore(session);
}

static const struct span use_names[] = {
    [STORE_USE_NONE] = SPAN_INIT(""),           [STORE_USE_ALL] = SPAN_INIT("\\All"),
    [STORE_USE_ARCHIVE] = SPAN_INIT("\\Archive"), [STORE_USE_DRAFTS] = SPAN_INIT("\\Drafts"),
    [STORE_USE_FLAGGED] = SPAN_INIT("\\Flagged"), [STORE_USE_JUNK] = SPAN_INIT("\\Junk"),
    [STORE_USE_SENT] = SPAN_INIT("\\Sent"),     [STORE_USE_TRASH] = SPAN_INIT("\\Trash"),
    [STORE_USE_IMPORTANT] = SPAN_INIT("\\Important"),
};
enum { USE_NAMES = sizeof(use_names) / sizeof(use_names[0]) };

uint32_t imap_special_use(struct span name)
{
    for (uint32_t i = 1; i < USE_NAMES; i++) {
        if (span_eq_nocase(use_names[i], name)) return i;
    }
    return STORE_USE_NONE;
}

struct span imap_special_use_name(uint32_t special_use)
{
    return special_use < USE_NAMES ? use_names[special_use] : use_names[STORE_USE_NONE];
}

/* ---- the list of mailboxes, kept while it is told */

static struct err mailboxes_copy(struct imap_session *session, const struct store_mailbox *from,
                                 size_t count, struct imap_mailboxes *to)
{
    struct arena *arena = &session->run->arena;
    if (count == 0) return err_ok();
    to->mailboxes = arena_alloc(arena, count * sizeof(*from));
    if (to->mailboxes == NULL) return err_make(ERR_NOMEM, "list of mailboxes");
    for (size_t i = 0; i < count; i++) {
        to->mailboxes[i] = from[i];
        TRY(arena_copy(arena, from[i].name, &to->mailboxes[i].name));
        TRY(arena_copy(arena, from[i].mailbox_id, &to->mailboxes[i].mailbox_id));
    }
    to->count = count;
    return err_ok();
}

static void mailboxes_reply(struct imap_session *session, const void *reply)
{
    const struct store_mailbox_list_reply *list = reply;
    struct imap_run *run = session->run;
    struct err err = mailboxes_copy(session, list->mailboxes, list->mailboxes_count,
                                    &run->mailboxes);
    if (err.code != ERR_OK) run->err = err;
}

static const struct imap_call_user mailboxes_user = { mailboxes_reply, NULL };

enum imap_step imap_call_mailboxes(struct imap_session *session, struct span name,
                                   unsigned items)
{
    struct imap_run *run = session->run;
    struct store_mailbox_list_request *request = arena_alloc(&run->arena, sizeof(*request));
    if (request == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "list"), SPAN(""));
    *request = (struct store_mailbox_list_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .name = name,
        .deleted_bytes = (items & IMAP_STATUS_DELETED_STORAGE) != 0,
    };
    imap_call(session, STORE_METHOD_MAILBOX_LIST, request, &mailboxes_user);
    return IMAP_NEXT;
}
