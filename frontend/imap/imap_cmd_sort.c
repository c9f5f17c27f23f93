/* SORT and THREAD (RFC 5256). The store does both; here the answer is written, with sequence
 * numbers in place of UIDs unless UIDs were asked for. */
#include <stdlib.h>

#include "imap_search_private.h"

enum { SORT_CRITERIA_MAX = 16, NUMBER_ROOM = 256 }; /* = store.proto */
enum { THREAD_OPEN = 0 };
#define THREAD_CLOSE UINT32_MAX

struct sort {
    struct imap_search parsed;
    bool thread;
    struct store_sort_criterion criteria[SORT_CRITERIA_MAX];
    size_t criteria_count;
    union {
        struct store_sort_request sort;
        struct store_thread_request thread;
    } request;
    uint32_t algorithm;
    uint64_t modseq_max;
    struct imap_gather order; /* u32 each */
    const uint32_t *before;   /* of the view, for sequence numbers */
    size_t at;
    bool begun, behind_number;
};

static void sort_free(struct imap_session *session, void *state)
{
    struct sort *sort = state;
    (void)session;
    free(sort->order.bytes);
    sort->order = (struct imap_gather){ NULL, 0, 0 };
}

static enum imap_step sort_view(struct imap_session *session)
{
    const struct sort *sort = session->run->state;
    return imap_search_view(session, &sort->parsed);
}

static enum imap_step sort_resolve(struct imap_session *session)
{
    struct sort *sort = session->run->state;
    return imap_search_resolve(session, &sort->parsed);
}

static size_t sort_data(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    struct sort *sort = run->state;
    if (run->err.code != ERR_OK) return in.len;
    if (in.len > IMAP_ORDER_MAX_BYTES - sort->order.len) {
        run->err = err_make(ERR_TOO_BIG, "messages");
    } else {
        run->err = imap_gather_put(&sort->order, in);
    }
    return in.len;
}

static void sort_reply(struct imap_session *session, const void *reply)
{
    const struct store_search_reply *found = reply;
    struct sort *sort = session->run->state;
    sort->modseq_max = found->modseq_max;
    imap_view_seen(session->view, found->highestmodseq);
}

static const struct imap_call_user sort_user = { sort_reply, sort_data };

/* What the client has not been told of is not asked for. */
static enum imap_step sort_call(struct imap_session *session)
{
    struct sort *sort = session->run->state;
    if (sort->thread) {
        sort->request.thread = (struct store_thread_request){
            .tenant = session->identity.tenant,   .account = session->identity.account,
            .mailbox = session->view->mailbox,    .keys = sort->parsed.keys,
            .keys_count = sort->parsed.count,     .algorithm = sort->algorithm,
            .uid_below = session->view->uidnext,
        };
        imap_call(session, STORE_METHOD_THREAD, &sort->request.thread, &sort_user);
        return IMAP_NEXT;
    }
    sort->request.sort = (struct store_sort_request){
        .tenant = session->identity.tenant,     .account = session->identity.account,
        .mailbox = session->view->mailbox,      .keys = sort->parsed.keys,
        .keys_count = sort->parsed.count,       .criteria = sort->criteria,
        .criteria_count = sort->criteria_count, .uid_below = session->view->uidnext,
    };
    imap_call(session, STORE_METHOD_SORT, &sort->request.sort, &sort_user);
    return IMAP_NEXT;
}

static enum imap_step sort_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct sort *sort = run->state;
    struct err err = run->err;
    if (err.code == ERR_OK && sort->order.len % sizeof(uint32_t) != 0) {
        err = err_make(ERR_CORRUPT, "order of messages");
    }
    if (err.code == ERR_OK && !run->uid) {
        err = imap_view_index(session->view, &run->arena, &sort->before);
    }
    return err.code == ERR_OK ? IMAP_NEXT : imap_no_err(session, err, SPAN(""));
}

/* One number or parenthesis of the answer. What is not in the view has no number. */
static char *put_one(const struct imap_session *session, struct sort *sort, uint32_t one, char *to)
{
    if (sort->thread && (one == THREAD_OPEN || one == THREAD_CLOSE)) {
        if (one == THREAD_OPEN && sort->behind_number) *to++ = ' ';
        *to++ = one == THREAD_OPEN ? '(' : ')';
        sort->behind_number = false;
        return to;
    }
    uint32_t number = sort->before == NULL ? one
                                           : imap_view_number(session->view, sort->before, one);
    if (number == 0) return to;
    if (!sort->thread || sort->behind_number) *to++ = ' ';
    sort->behind_number = true;
    return imap_put_u32(to, number);
}

/* True when all are out. */
static bool put_order(struct imap_session *session, struct sort *sort)
{
    struct buf *out = session->out;
    char *to = out->bytes + out->len;
    const char *end = out->bytes + out->size - NUMBER_ROOM;
    for (; sort->at < sort->order.len && to < end; sort->at += sizeof(uint32_t)) {
        uint32_t one;
        memcpy(&one, sort->order.bytes + sort->at, sizeof(one));
        to = put_one(session, sort, one, to);
    }
    out->len = (size_t)(to - out->bytes);
    return sort->at == sort->order.len;
}

static enum imap_step sort_tell(struct imap_session *session)
{
    struct sort *sort = session->run->state;
    if (!sort->begun) {
        imap_put(session, sort->thread ? SPAN("* THREAD") : SPAN("* SORT"));
        if (sort->thread && sort->order.len > 0) IMAP_SAY(session, " ");
    }
    sort->begun = session->run->mid_line = true;
    if (!put_order(session, sort)) return IMAP_AGAIN;
    /* RFC 7162 3.1.9: THREAD is unchanged. */
    if (!sort->thread && sort->parsed.modseq && sort->order.len > 0) {
        IMAP_SAY(session, " (MODSEQ ");
        imap_put_number(session, sort->modseq_max);
        IMAP_SAY(session, ")");
    }
    IMAP_SAY(session, "\r\n");
    session->run->mid_line = false;
    return IMAP_NEXT;
}

static enum imap_step sort_end(struct imap_session *session)
{
    const struct sort *sort = session->run->state;
    bool may = session->run->uid && !sort->parsed.numbers;
    return may ? imap_step_sync_newer(session) : IMAP_NEXT;
}

/* ---- arguments */

static struct err take_criterion(struct imap_cursor *args, struct store_sort_criterion *ret)
{
    static const struct span names[] = {
        [STORE_SORT_ARRIVAL] = SPAN_INIT("ARRIVAL"), [STORE_SORT_CC] = SPAN_INIT("CC"),
        [STORE_SORT_DATE] = SPAN_INIT("DATE"),       [STORE_SORT_FROM] = SPAN_INIT("FROM"),
        [STORE_SORT_SIZE] = SPAN_INIT("SIZE"),       [STORE_SORT_SUBJECT] = SPAN_INIT("SUBJECT"),
        [STORE_SORT_TO] = SPAN_INIT("TO"),
    };
    ret->reverse = imap_take_word(args, SPAN("REVERSE"));
    if (ret->reverse) TRY(imap_take_space(args));
    for (uint32_t i = STORE_SORT_ARRIVAL; i <= STORE_SORT_TO; i++) {
        ret->key = i;
        if (imap_take_word(args, names[i])) return err_ok();
    }
    return err_make(ERR_SYNTAX, "sort keys are ARRIVAL CC DATE FROM SIZE SUBJECT TO");
}

static struct err take_criteria(struct imap_cursor *args, struct sort *sort)
{
    TRY(imap_take_char(args, '(', "sort keys stand in parentheses"));
    do {
        if (sort->criteria_count == SORT_CRITERIA_MAX) {
            return err_make(ERR_SYNTAX, "too many sort keys");
        }
        TRY(take_criterion(args, &sort->criteria[sort->criteria_count++]));
    } while (imap_take(args, ' '));
    return imap_take_char(args, ')', "a list has no end");
}

static struct err take_algorithm(struct imap_cursor *args, struct sort *sort)
{
    if (imap_take_word(args, SPAN("ORDEREDSUBJECT"))) {
        sort->algorithm = STORE_THREAD_ORDEREDSUBJECT;
    } else if (imap_take_word(args, SPAN("REFERENCES"))) {
        sort->algorithm = STORE_THREAD_REFERENCES;
    } else {
        return err_make(ERR_SYNTAX, "algorithms are ORDEREDSUBJECT and REFERENCES");
    }
    return err_ok();
}

static struct err sort_parse(struct imap_session *session, bool thread)
{
    static imap_step_run *const steps[] = { sort_view, sort_resolve, sort_call, sort_after,
                                            sort_tell, sort_end, imap_step_ok, NULL };
    struct imap_cursor *args = &session->run->args;
    struct sort *sort;
    TRY(imap_state_new(session, sizeof(*sort), &sort));
    session->run->state_free = sort_free;
    sort->thread = thread;
    sort->parsed.bare_charset = true;
    TRY(imap_take_space(args));
    if (thread) TRY(take_algorithm(args, sort));
    else TRY(take_criteria(args, sort));
    TRY(imap_take_space(args));
    TRY(imap_search_parse(session, &sort->parsed));
    if (sort->parsed.bad_charset) {
        imap_search_bad_charset(session);
        return err_ok();
    }
    imap_steps(session, steps);
    return err_ok();
}

struct err imap_cmd_sort(struct imap_session *session) { return sort_parse(session, false); }

struct err imap_cmd_thread(struct imap_session *session) { return sort_parse(session, true); }
