/* VANISHED: UIDs of messages that are gone, in place of EXPUNGE once QRESYNC is enabled, and
 * (EARLIER) for a client that comes back (RFC 7162 3.2.10). */
#include "imap_private.h"

struct err imap_vanished_new(struct imap_session *session, struct imap_vanished **ret)
{
    struct imap_run *run = session->run;
    if (run->vanished == NULL) {
        run->vanished = arena_alloc(&run->arena, sizeof(*run->vanished));
        if (run->vanished == NULL) return err_make(ERR_NOMEM, "messages that are gone");
        uid_set_init(&run->vanished->gone, IMAP_VIEW_RANGES_MAX);
        uid_set_init(&run->vanished->known, IMAP_VIEW_RANGES_MAX);
    }
    uid_set_remove(&run->vanished->gone, 1, UINT32_MAX);
    uid_set_remove(&run->vanished->known, 1, UINT32_MAX);
    run->vanished->at = 0;
    run->vanished->begun = false;
    run->vanished->above = 0;
    *ret = run->vanished;
    return err_ok();
}

static struct uid_range range_at(struct span set, size_t at)
{
    struct uid_range range;
    memcpy(&range, set.ptr + at, sizeof(range));
    return range;
}

/* What is in both. */
static struct err intersect(struct span a, struct span b, struct uid_set *ret)
{
    size_t i = 0, k = 0;
    while (i < a.len && k < b.len) {
        struct uid_range x = range_at(a, i), y = range_at(b, k);
        uint32_t first = x.first > y.first ? x.first : y.first;
        uint32_t last = x.last < y.last ? x.last : y.last;
        if (first <= last) TRY(uid_set_add(ret, first, last));
        if (x.last < y.last) i += sizeof(x);
        else k += sizeof(y);
    }
    return err_ok();
}

/* The UIDs from `first` on that the view knows to be no messages. */
static struct err gaps(const struct imap_view *view, uint32_t first, struct uid_set *ret)
{
    uint32_t behind = first;
    for (size_t i = 0; i < view->uids.count; i++) {
        struct uid_range range = view->uids.ranges[i];
        if (range.last < behind) continue;
        if (range.first > behind) TRY(uid_set_add(ret, behind, range.first - 1));
        behind = range.last + 1;
    }
    return view->uidnext > behind ? uid_set_add(ret, behind, view->uidnext - 1) : err_ok();
}

/* "* VANISHED ... set", as far as there is room: true when it is all out. */
static bool put_vanished(struct imap_session *session, struct span start)
{
    struct imap_vanished *vanished = session->run->vanished;
    if (vanished->gone.count == 0) return true;
    if (!vanished->begun) imap_put(session, start);
    vanished->begun = session->run->mid_line = true;
    if (!imap_put_set(session, uid_set_bytes(&vanished->gone), &vanished->at)) return false;
    IMAP_SAY(session, "\r\n");
    vanished->begun = session->run->mid_line = false;
    return true;
}

/* ---- (EARLIER) */

static void earlier_reply(struct imap_session *session, const void *reply)
{
    const struct store_changes_reply *changes = reply;
    struct imap_run *run = session->run;
    imap_view_seen(session->view, changes->highestmodseq);
    struct err err = arena_copy(&run->arena, changes->expunged, &run->vanished->expunged);
    if (err.code != ERR_OK) run->err = err;
}

static const struct imap_call_user earlier_user = { earlier_reply, NULL };

static enum imap_step earlier_call(struct imap_session *session)
{
    imap_call(session, STORE_METHOD_CHANGES, &session->run->vanished->request, &earlier_user);
    return IMAP_NEXT;
}

/* Those that this client still counts are told by EXPUNGE or VANISHED without EARLIER. */
static struct err find_earlier(struct imap_session *session, bool asked)
{
    struct imap_vanished *vanished = session->run->vanished;
    struct uid_set absent, among;
    uid_set_init(&absent, IMAP_VIEW_RANGES_MAX);
    uid_set_init(&among, IMAP_VIEW_RANGES_MAX);
    struct err err = gaps(session->view, vanished->above + 1, &absent);
    if (err.code == ERR_OK) {
        err = intersect(uid_set_bytes(&absent), uid_set_bytes(&vanished->known),
                        asked ? &among : &vanished->gone);
    }
    if (err.code == ERR_OK && asked) {
        err = intersect(uid_set_bytes(&among), vanished->expunged, &vanished->gone);
    }
    uid_set_free(&absent);
    uid_set_free(&among);
    return err;
}

static enum imap_step earlier_after(struct imap_session *session)
{
    struct err err = find_earlier(session, session->run->err.code == ERR_OK);
    return err.code == ERR_OK ? IMAP_NEXT : imap_no_err(session, err, SPAN(""));
}

static enum imap_step earlier_tell(struct imap_session *session)
{
    return put_vanished(session, SPAN("* VANISHED (EARLIER) ")) ? IMAP_NEXT : IMAP_AGAIN;
}

enum imap_step imap_vanished_earlier(struct imap_session *session, uint64_t since)
{
    static imap_step_run *const steps[] = { imap_step_view, earlier_call, earlier_after,
                                            earlier_tell, NULL };
    const struct imap_view *view = session->view;
    struct imap_vanished *vanished = session->run->vanished;
    if (since >= view->modseq || vanished->known.count == 0) return IMAP_NEXT;
    vanished->request = (struct store_changes_request){ .tenant = session->identity.tenant,
                                                        .account = session->identity.account,
                                                        .mailbox = view->mailbox,
                                                        .since = since,
                                                        .expunged_only = true };
    imap_steps_into(session, steps);
    return IMAP_NEXT;
}

/* ---- instead of EXPUNGE */

enum imap_step imap_vanished_tell(struct imap_session *session, struct span uids)
{
    struct imap_view *view = session->view;
    struct imap_vanished *vanished = session->run->vanished;
    if (vanished == NULL || !vanished->begun) {
        struct err err = imap_vanished_new(session, &vanished);
        if (err.code == ERR_OK) err = intersect(uid_set_bytes(&view->uids), uids, &vanished->gone);
        if (err.code != ERR_OK) {
            imap_hang_up(session, SPAN("[UNAVAILABLE] out of memory"));
            return IMAP_FINISH;
        }
    }
    if (!put_vanished(session, SPAN("* VANISHED "))) return IMAP_AGAIN;
    for (size_t i = 0; i < vanished->gone.count; i++) {
        struct uid_range range = vanished->gone.ranges[i];
        uint32_t first = range.first > view->recent_from ? range.first : view->recent_from;
        uint32_t recent = range.last >= first ? range.last - first + 1 : 0;
        view->exists -= range.last - range.first + 1;
        view->recent -= recent < view->recent ? recent : view->recent;
    }
    if (vanished->gone.count > 0) imap_view_remove(view, uid_set_bytes(&vanished->gone));
    return IMAP_NEXT;
}
