/* SEARCH (RFC 3501 6.4.4), ESEARCH's RETURN (RFC 4731), MODSEQ (RFC 7162 3.1.5), SAVE (RFC 5182).
 */
#include "imap_search_private.h"

enum search_return {
    RETURN_MIN = 1,
    RETURN_MAX = 2,
    RETURN_COUNT = 4,
    RETURN_ALL = 8,
    RETURN_ESEARCH = 16, /* RETURN was there */
    RETURN_SAVE = 32,
    RETURN_TELLS = RETURN_MIN | RETURN_MAX | RETURN_COUNT | RETURN_ALL,
};

struct search {
    struct imap_search parsed;
    unsigned returns;
    struct store_search_request request;
    uint64_t modseq_max;
    /* the reply under way */
    struct span found; /* numbers or UIDs, as a uid_set */
    bool begun;
    size_t at;
    uint32_t next; /* the number to come in the range at `at`, 0: its first */
};

static enum imap_step search_view(struct imap_session *session)
{
    const struct search *search = session->run->state;
    return imap_search_view(session, &search->parsed);
}

static enum imap_step search_resolve(struct imap_session *session)
{
    struct search *search = session->run->state;
    return imap_search_resolve(session, &search->parsed);
}

static void search_reply(struct imap_session *session, const void *reply)
{
    const struct store_search_reply *found = reply;
    struct search *search = session->run->state;
    search->modseq_max = found->modseq_max;
    imap_view_seen(session->view, found->highestmodseq);
}

static const struct imap_call_user search_user = { search_reply, imap_data_set };

static enum imap_step search_call(struct imap_session *session)
{
    struct search *search = session->run->state;
    search->request = (struct store_search_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->view->mailbox,
        .keys = search->parsed.keys,
        .keys_count = search->parsed.count,
    };
    imap_call(session, STORE_METHOD_SEARCH, &search->request, &search_user);
    return IMAP_NEXT;
}

/* RFC 5182 2.4: with MIN or MAX alone only that message. The set keeps UIDs: one that goes away is
 * never there again, so that nothing has to be taken out of it. False: there are too many. */
static bool search_save(struct imap_session *session, const struct search *search)
{
    struct uid_set *saved = &session->view->saved;
    const struct uid_set *found = &session->run->set;
    struct err err = err_ok();
    bool all = (search->returns & (RETURN_MIN | RETURN_MAX)) == 0
            || (search->returns & (RETURN_ALL | RETURN_COUNT)) != 0;
    uid_set_remove(saved, 1, UINT32_MAX);
    for (size_t i = 0; i < found->count && err.code == ERR_OK; i++) {
        struct uid_range range = found->ranges[i];
        if (all) {
            err = uid_set_add(saved, range.first, range.last);
            continue;
        }
        if (i == 0 && (search->returns & RETURN_MIN) != 0) {
            err = uid_set_add(saved, range.first, range.first);
        }
        bool last = i + 1 == found->count && (search->returns & RETURN_MAX) != 0;
        if (last && err.code == ERR_OK) err = uid_set_add(saved, range.last, range.last);
    }
    if (err.code == ERR_OK) return true;
    uid_set_free(saved);
    uid_set_init(saved, IMAP_SAVED_RANGES_MAX);
    return false;
}

/* What the client has not been told of is not found; numbers take the place of UIDs. */
static enum imap_step search_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct search *search = run->state;
    bool saves = (search->returns & RETURN_SAVE) != 0;
    if (run->err.code != ERR_OK) {
        if (saves) uid_set_remove(&session->view->saved, 1, UINT32_MAX);
        return imap_no_err(session, run->err, SPAN(""));
    }
    uid_set_remove(&run->set, session->view->uidnext, UINT32_MAX);
    if (saves && !search_save(session, search)) {
        imap_no(session, SPAN("NOTSAVED"), SPAN("the result is too long to be saved"));
        return IMAP_FINISH;
    }
    search->found = uid_set_bytes(&run->set);
    if (run->uid) return IMAP_NEXT;
    uid_set_remove(&run->fetched, 1, UINT32_MAX);
    struct err err = imap_view_numbers(session->view, search->found, &run->fetched);
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    search->found = uid_set_bytes(&run->fetched);
    return IMAP_NEXT;
}

static struct uid_range found_range(const struct search *search, size_t at)
{
    struct uid_range range;
    memcpy(&range, search->found.ptr + at, sizeof(range));
    return range;
}

/* " 2 84 882": true when all are out. */
static bool put_numbers(struct imap_session *session, struct search *search)
{
    struct buf *out = session->out;
    while (search->at < search->found.len) {
        struct uid_range range = found_range(search, search->at);
        uint32_t number = search->next == 0 ? range.first : search->next;
        char *to = out->bytes + out->len;
        const char *end = out->bytes + out->size - 256;
        for (;; number++) {
            if (to >= end) {
                out->len = (size_t)(to - out->bytes);
                search->next = number;
                return false;
            }
            *to++ = ' ';
            to = imap_put_u32(to, number);
            if (number == range.last) break;
        }
        out->len = (size_t)(to - out->bytes);
        search->next = 0;
        search->at += sizeof(range);
    }
    return true;
}

static enum imap_step put_search(struct imap_session *session, struct search *search)
{
    if (!search->begun) IMAP_SAY(session, "* SEARCH");
    search->begun = session->run->mid_line = true;
    if (!put_numbers(session, search)) return IMAP_AGAIN;
    if (search->parsed.modseq && search->found.len > 0) {
        IMAP_SAY(session, " (MODSEQ ");
        imap_put_number(session, search->modseq_max);
        IMAP_SAY(session, ")");
    }
    IMAP_SAY(session, "\r\n");
    session->run->mid_line = false;
    return IMAP_NEXT;
}

static void put_pair(struct imap_session *session, struct span name, uint64_t number)
{
    IMAP_SAY(session, " ");
    imap_put(session, name);
    IMAP_SAY(session, " ");
    imap_put_number(session, number);
}

static uint64_t found_count(const struct search *search)
{
    uint64_t count = 0;
    for (size_t at = 0; at < search->found.len; at += sizeof(struct uid_range)) {
        struct uid_range range = found_range(search, at);
        count += (uint64_t)range.last - range.first + 1;
    }
    return count;
}

static void begin_esearch(struct imap_session *session, const struct search *search)
{
    bool any = search->found.len > 0;
    IMAP_SAY(session, "* ESEARCH (TAG \"");
    imap_put(session, span_of(session->tag, session->tag_len));
    IMAP_SAY(session, "\")");
    if (session->run->uid) IMAP_SAY(session, " UID");
    if (any && (search->returns & RETURN_MIN) != 0) {
        put_pair(session, SPAN("MIN"), found_range(search, 0).first);
    }
    if (any && (search->returns & RETURN_MAX) != 0) {
        size_t last = search->found.len - sizeof(struct uid_range);
        put_pair(session, SPAN("MAX"), found_range(search, last).last);
    }
    if ((search->returns & RETURN_COUNT) != 0) {
        put_pair(session, SPAN("COUNT"), found_count(search));
    }
    if (any && (search->returns & RETURN_ALL) != 0) IMAP_SAY(session, " ALL ");
}

static enum imap_step put_esearch(struct imap_session *session, struct search *search)
{
    if (!search->begun) begin_esearch(session, search);
    search->begun = session->run->mid_line = true;
    bool all = (search->returns & RETURN_ALL) != 0;
    if (all && !imap_put_set(session, search->found, &search->at)) return IMAP_AGAIN;
    if (search->parsed.modseq && search->found.len > 0) {
        put_pair(session, SPAN("MODSEQ"), search->modseq_max);
    }
    IMAP_SAY(session, "\r\n");
    session->run->mid_line = false;
    return IMAP_NEXT;
}

static enum imap_step search_tell(struct imap_session *session)
{
    struct search *search = session->run->state;
    if (search->returns == 0) return put_search(session, search);
    return (search->returns & RETURN_TELLS) != 0 ? put_esearch(session, search) : IMAP_NEXT;
}

/* Neither EXPUNGE nor VANISHED while sequence numbers are in use (RFC 7162 3.2.10.2). */
static enum imap_step search_end(struct imap_session *session)
{
    const struct search *search = session->run->state;
    bool may = session->run->uid && !search->parsed.numbers;
    return may ? imap_step_sync_newer(session) : IMAP_NEXT;
}

static struct err take_returns(struct imap_cursor *args, unsigned *returns)
{
    TRY(imap_take_space(args));
    TRY(imap_take_char(args, '(', "return options stand in parentheses"));
    unsigned wanted = 0;
    if (!imap_take(args, ')')) {
        do {
            if (imap_take_word(args, SPAN("MIN"))) wanted |= RETURN_MIN;
            else if (imap_take_word(args, SPAN("MAX"))) wanted |= RETURN_MAX;
            else if (imap_take_word(args, SPAN("COUNT"))) wanted |= RETURN_COUNT;
            else if (imap_take_word(args, SPAN("ALL"))) wanted |= RETURN_ALL;
            else if (imap_take_word(args, SPAN("SAVE"))) wanted |= RETURN_SAVE;
            else return err_make(ERR_SYNTAX, "return options are MIN MAX COUNT ALL SAVE");
        } while (imap_take(args, ' '));
        TRY(imap_take_char(args, ')', "a list has no end"));
    }
    /* RFC 4731 3.1: nothing named is ALL. */
    *returns = RETURN_ESEARCH | (wanted == 0 ? RETURN_ALL : wanted);
    return imap_take_space(args);
}

struct err imap_cmd_search(struct imap_session *session)
{
    static imap_step_run *const steps[] = { search_view, search_resolve, search_call, search_after,
                                            search_tell, search_end, imap_step_ok, NULL };
    struct imap_cursor *args = &session->run->args;
    struct search *search;
    TRY(imap_state_new(session, sizeof(*search), &search));
    TRY(imap_take_space(args));
    if (imap_take_word(args, SPAN("RETURN"))) TRY(take_returns(args, &search->returns));
    TRY(imap_search_parse(session, &search->parsed));
    if (search->parsed.bad_charset) {
        /* RFC 5182 2.1: NO empties what was saved. */
        if ((search->returns & RETURN_SAVE) != 0) {
            uid_set_remove(&session->view->saved, 1, UINT32_MAX);
        }
        imap_search_bad_charset(session);
        return err_ok();
    }
    imap_steps(session, steps);
    return err_ok();
}
