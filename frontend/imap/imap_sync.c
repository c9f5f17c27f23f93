/* News of the selected mailbox: Changes since what has been told -> FETCH, EXPUNGE, EXISTS, RECENT.
 *
 * Records come first and are told as they come, with the numbers that hold before any EXPUNGE.
 * What is expunged, and new keywords, are known with the reply; then EXPUNGE, then EXISTS. When the
 * records needed what was not there yet (the map of numbers, a keyword's name) the map is loaded
 * and Changes asked once more. */
#include "check.h"
#include "imap_private.h"
#include "mail_stream.h"

enum { SYNC_TRIES_MAX = 3 };

static imap_step_run sync_call, sync_answered, sync_end;

static imap_step_run *const sync_steps[] = { sync_call, sync_answered, imap_step_expunge, sync_end,
                                             NULL };

bool imap_record_next(struct imap_session *session, struct span *in, struct mail_record *record)
{
    struct imap_run *run = session->run;
    struct imap_gather *gather = &run->gather;
    size_t used, need = 0;
    while (run->err.code == ERR_OK) {
        struct span from = gather->len > 0 ? span_of(gather->bytes, gather->len) : *in;
        if (from.len == 0) return false;
        switch (mail_record_take(from, record, &used, &need)) {
        case MAIL_RECORD_OK:
            if (gather->len == 0) *in = span_skip(*in, used);
            return true;
        case MAIL_RECORD_BAD:
            run->err = err_make(ERR_CORRUPT, "record of a message");
            return false;
        case MAIL_RECORD_MORE:
            break;
        }
        /* Taken up to its own end and not a byte further, so that the next one lies in `in`. */
        if (in->len == 0) return false;
        size_t want = need > gather->len ? need - gather->len : 1;
        if (need == 0 && gather->len < MAIL_RECORD_HEAD_BYTES) {
            want = MAIL_RECORD_HEAD_BYTES - gather->len;
        }
        struct span part = span_head(*in, want);
        run->err = imap_gather_put(gather, part);
        *in = span_skip(*in, part.len);
    }
    return false;
}

void imap_put_fetch_flags(struct imap_session *session, const struct mail_record *record,
                          uint32_t number, bool with_flags)
{
    struct imap_view *view = session->view;
    struct imap_run *run = session->run;
    struct buf *out = session->out;
    char *to = out->bytes + out->len;
    to = IMAP_PUT(to, "* ");
    to = imap_put_u32(to, number);
    to = IMAP_PUT(to, " FETCH (");
    char *start = to;
    if (run->uid || session->condstore) {
        to = IMAP_PUT(to, "UID ");
        to = imap_put_u32(to, record->uid);
    }
    if (with_flags) {
        if (to != start) *to++ = ' ';
        to = IMAP_PUT(to, "FLAGS ");
        to = imap_put_flags(run, view, record->flags, record->uid >= view->recent_from, to);
    }
    if (session->condstore) {
        to = IMAP_PUT(to, " MODSEQ (");
        to = imap_put_u64(to, record->modseq);
        *to++ = ')';
    }
    to = IMAP_PUT(to, ")\r\n");
    out->len = (size_t)(to - out->bytes);
}

static void sync_record(struct imap_session *session, const struct mail_record *record)
{
    struct imap_view *view = session->view;
    struct imap_run *run = session->run;
    struct imap_sync *sync = &run->sync;
    if (record->uid >= view->uidnext) {
        struct err err = uid_set_add(&sync->fresh, record->uid, record->uid);
        if (err.code != ERR_OK) run->err = err;
        return;
    }
    if (imap_view_is_own(view, record->modseq)) return;
    if (!view->loaded || !imap_flags_known(view, record->flags)) {
        sync->again = true;
        return;
    }
    uint32_t number = imap_walk(view, &run->walker, record->uid);
    if (number > 0) imap_put_fetch_flags(session, record, number, true);
}

static size_t sync_data(struct imap_session *session, struct span in)
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
        sync_record(session, &record);
        run->gather.len = 0;
    }
}

static void sync_reply(struct imap_session *session, const void *reply)
{
    const struct store_changes_reply *changes = reply;
    struct imap_run *run = session->run;
    struct imap_view *view = session->view;
    struct imap_sync *sync = &run->sync;
    sync->highestmodseq = changes->highestmodseq;
    sync->gone = changes->gone;
    struct err err = arena_copy(&run->arena, changes->expunged, &sync->expunged);
    if (err.code != ERR_OK) run->err = err;
    if (changes->expunged.len > 0 && !view->loaded) sync->again = true;
    if (changes->keywords_count <= view->keywords_count) return;
    err = imap_view_keywords(view, changes->keywords, changes->keywords_count);
    if (err.code != ERR_OK) run->err = err;
    sync->keywords_grew = true;
}

static const struct imap_call_user sync_user = { sync_reply, sync_data };

static enum imap_step sync_call(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_view *view = session->view;
    struct store_changes_request *request = arena_alloc(&run->arena, sizeof(*request));
    if (request == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "changes"), SPAN(""));
    *request = (struct store_changes_request){ .tenant = session->identity.tenant,
                                               .account = session->identity.account,
                                               .mailbox = view->mailbox,
                                               .since = view->modseq };
    uid_set_remove(&run->sync.fresh, 1, UINT32_MAX);
    run->sync.again = false;
    run->sync.tries++;
    run->walker = (struct imap_walker){ 0, 0 };
    imap_call(session, STORE_METHOD_CHANGES, request, &sync_user);
    return IMAP_NEXT;
}

/* Ranges of `uids` below the first one not told yet; those that came and went are none of the
 * client's business. */
static struct span expunged_known(const struct imap_view *view, struct span uids)
{
    size_t len = uids.len - uids.len % sizeof(struct uid_range);
    struct uid_range range;
    while (len > 0) {
        memcpy(&range, uids.ptr + len - sizeof(range), sizeof(range));
        if (range.first < view->uidnext) break;
        len -= sizeof(range);
    }
    return span_head(uids, len);
}

static enum imap_step sync_answered(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_view *view = session->view;
    struct imap_sync *sync = &run->sync;
    if (sync->gone || run->err.code == ERR_NOT_FOUND) {
        imap_hang_up(session, SPAN("[NONEXISTENT] the selected mailbox was deleted"));
        return IMAP_FINISH;
    }
    if (run->err.code != ERR_OK) {
        /* The news can wait; the command that they come with has been done. */
        sync->expunged = span_of(NULL, 0);
        sync->highestmodseq = 0;
        uid_set_remove(&sync->fresh, 1, UINT32_MAX);
    }
    if (sync->keywords_grew) imap_put_flags_lines(session);
    sync->keywords_grew = false;
    sync->expunged = expunged_known(view, sync->expunged);
    bool again = sync->again && run->err.code == ERR_OK && sync->tries < SYNC_TRIES_MAX;
    if (again) {
        static imap_step_run *const more[] = { imap_step_view, sync_call, sync_answered, NULL };
        imap_steps_into(session, more);
        return IMAP_NEXT;
    }
    imap_expunge_begin(session, sync->expunged);
    return IMAP_NEXT;
}

static enum imap_step sync_end(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_view *view = session->view;
    struct imap_sync *sync = &run->sync;
    if (sync->fresh.count > 0) {
        for (size_t i = 0; view->loaded && i < sync->fresh.count; i++) {
            struct uid_range range = sync->fresh.ranges[i];
            struct err err = uid_set_add(&view->uids, range.first, range.last);
            if (err.code != ERR_OK) view->loaded = false;
        }
        uint32_t count = (uint32_t)uid_set_count(&sync->fresh);
        view->exists += count;
        view->recent += count;
        view->uidnext = sync->fresh.ranges[sync->fresh.count - 1].last + 1;
        IMAP_SAY(session, "* ");
        imap_put_number(session, view->exists);
        IMAP_SAY(session, " EXISTS\r\n");
    }
    if (sync->fresh.count > 0 || sync->recent_told != view->recent) {
        IMAP_SAY(session, "* ");
        imap_put_number(session, view->recent);
        IMAP_SAY(session, " RECENT\r\n");
    }
    if (run->err.code != ERR_OK) {
        /* Not to ask again at once: the next NOOP or news will. */
        view->newer = view->modseq;
        return IMAP_NEXT;
    }
    if (sync->highestmodseq > view->modseq) view->modseq = sync->highestmodseq;
    view->newer = view->modseq;
    return IMAP_NEXT;
}

enum imap_step imap_step_sync(struct imap_session *session)
{
    if (session->view == NULL) return IMAP_NEXT;
    struct imap_sync *sync = &session->run->sync;
    sync->tries = 0;
    sync->recent_told = session->view->recent;
    imap_steps_into(session, sync_steps);
    return IMAP_NEXT;
}

enum imap_step imap_step_sync_newer(struct imap_session *session)
{
    const struct imap_view *view = session->view;
    return view == NULL || view->newer <= view->modseq ? IMAP_NEXT : imap_step_sync(session);
}

/* ---- EXPUNGE */

void imap_expunge_begin(struct imap_session *session, struct span uids)
{
    struct imap_run *run = session->run;
    run->sync.expunged = expunged_known(session->view, uids);
    run->sync.expunged_at = 0;
    run->sync.expunged_uid = 0;
    run->sync.expunged_told = 0;
    run->walker = (struct imap_walker){ 0, 0 };
}

/* One range of UIDs as far as there is room; false when that ends. */
static bool expunge_range(struct imap_session *session, struct uid_range range)
{
    struct imap_run *run = session->run;
    struct imap_view *view = session->view;
    struct imap_sync *sync = &run->sync;
    uint32_t uid = sync->expunged_uid > range.first ? sync->expunged_uid : range.first;
    for (;; uid++) {
        if (!imap_has_room(session)) {
            sync->expunged_uid = uid;
            return false;
        }
        /* On to the next UID that the view has, past those in gaps of a wide range. */
        uint32_t number = imap_walk(view, &run->walker, uid);
        if (run->walker.range == view->uids.count) return true;
        struct uid_range have = view->uids.ranges[run->walker.range];
        if (number == 0) {
            if (have.first > range.last) return true;
            uid = have.first;
            number = imap_walk(view, &run->walker, uid);
        }
        if (uid > range.last) return true;
        IMAP_SAY(session, "* ");
        imap_put_number(session, number - sync->expunged_told);
        IMAP_SAY(session, " EXPUNGE\r\n");
        sync->expunged_told++;
        view->exists--;
        if (uid >= view->recent_from && view->recent > 0) view->recent--;
        if (uid == range.last) return true;
    }
}

enum imap_step imap_step_expunge(struct imap_session *session)
{
    struct imap_sync *sync = &session->run->sync;
    struct span uids = sync->expunged;
    if (session->qresync) {
        enum imap_step step = uids.len > 0 ? imap_vanished_tell(session, uids) : IMAP_NEXT;
        if (step == IMAP_NEXT) sync->expunged = span_of(NULL, 0);
        return step;
    }
    for (; sync->expunged_at < uids.len; sync->expunged_at += sizeof(struct uid_range)) {
        struct uid_range range;
        memcpy(&range, uids.ptr + sync->expunged_at, sizeof(range));
        if (!expunge_range(session, range)) return IMAP_AGAIN;
        sync->expunged_uid = 0;
    }
    if (sync->expunged_told > 0) imap_view_remove(session->view, uids);
    sync->expunged = span_of(NULL, 0);
    sync->expunged_told = 0;
    return IMAP_NEXT;
}
