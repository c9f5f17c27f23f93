/* What this client has been told about the selected mailbox.
 *
 * SELECT takes the counters only. The map from sequence numbers to UIDs is made when a command
 * needs it: from the UIDs of now, less what has come since, plus what has gone since. */
#include <stdlib.h>

#include "check.h"
#include "imap_private.h"

void imap_view_close(struct imap_session *session)
{
    struct imap_view *view = session->view;
    if (view == NULL) return;
    uid_set_free(&view->uids);
    uid_set_free(&view->saved);
    free(view->keywords);
    free(view);
    session->view = NULL;
}

void imap_view_seen(struct imap_view *view, uint64_t highestmodseq)
{
    if (view != NULL && highestmodseq > view->newer) view->newer = highestmodseq;
}

/* A change of ours that follows at once upon what is known leaves nothing to ask for. With others'
 * changes in between, a message may have both: only when all its flags were told is it passed over
 * in the news. */
void imap_view_own(struct imap_view *view, uint64_t modseq, bool told)
{
    if (modseq == 0) return;
    if (modseq == view->modseq + 1) {
        view->modseq = modseq;
        imap_view_seen(view, modseq);
        return;
    }
    imap_view_seen(view, modseq);
    if (!told) return;
    for (size_t i = 0; i < IMAP_OWN_MAX; i++) {
        if (view->own[i] != 0 && view->own[i] > view->modseq) continue;
        view->own[i] = modseq;
        return;
    }
}

bool imap_view_is_own(const struct imap_view *view, uint64_t modseq)
{
    for (size_t i = 0; i < IMAP_OWN_MAX; i++) {
        if (view->own[i] == modseq) return true;
    }
    return false;
}

uint32_t imap_view_star(const struct imap_view *view)
{
    return view->uids.count == 0 ? 0 : view->uids.ranges[view->uids.count - 1].last;
}

/* ---- loading */

struct imap_load {
    struct store_uids_request uids;
    struct store_changes_request changes;
    uint64_t highestmodseq;
    struct err err; /* while a reply was taken */
};

static void load_uids_reply(struct imap_session *session, const void *reply)
{
    const struct store_uids_reply *uids = reply;
    struct imap_load *load = session->run->load;
    load->highestmodseq = uids->highestmodseq;
}

static const struct imap_call_user load_uids_user = { load_uids_reply, imap_data_set };

static enum imap_step load_uids(struct imap_session *session)
{
    struct imap_load *load = arena_alloc(&session->run->arena, sizeof(*load));
    if (load == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "UIDs"), SPAN(""));
    session->run->load = load;
    load->uids = (struct store_uids_request){ session->identity.tenant, session->identity.account,
                                              session->view->mailbox };
    uid_set_remove(&session->run->set, 1, UINT32_MAX);
    imap_call(session, STORE_METHOD_UIDS, &load->uids, &load_uids_user);
    return IMAP_NEXT;
}

static void load_changes_reply(struct imap_session *session, const void *reply)
{
    const struct store_changes_reply *changes = reply;
    struct imap_run *run = session->run;
    struct err err = uid_set_read(&run->fetched, changes->expunged);
    if (err.code != ERR_OK) run->load->err = err;
}

static const struct imap_call_user load_changes_user = { load_changes_reply, NULL };

static enum imap_step load_changes(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_load *load = run->load;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    uid_set_remove(&run->fetched, 1, UINT32_MAX);
    if (load->highestmodseq == session->view->modseq) return IMAP_NEXT;
    imap_view_seen(session->view, load->highestmodseq);
    load->changes = (struct store_changes_request){ .tenant = session->identity.tenant,
                                                    .account = session->identity.account,
                                                    .mailbox = session->view->mailbox,
                                                    .since = session->view->modseq };
    imap_call(session, STORE_METHOD_CHANGES, &load->changes, &load_changes_user);
    return IMAP_NEXT;
}

/* Ranges of `from` below `uidnext` go into `to`. */
static struct err add_below(struct uid_set *to, const struct uid_set *from, uint32_t uidnext)
{
    for (size_t i = 0; i < from->count && from->ranges[i].first < uidnext; i++) {
        uint32_t last = from->ranges[i].last;
        if (last >= uidnext) last = uidnext - 1;
        TRY(uid_set_add(to, from->ranges[i].first, last));
    }
    return err_ok();
}

static enum imap_step load_end(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct imap_view *view = session->view;
    struct err err = run->err.code != ERR_OK ? run->err : run->load->err;
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    uid_set_remove(&view->uids, 1, UINT32_MAX);
    err = add_below(&view->uids, &run->set, view->uidnext);
    if (err.code == ERR_OK) err = add_below(&view->uids, &run->fetched, view->uidnext);
    uid_set_remove(&run->set, 1, UINT32_MAX);
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    if (uid_set_count(&view->uids) != view->exists) {
        /* Too long ago: the store has forgotten what was expunged since. */
        imap_hang_up(session, SPAN("[UNAVAILABLE] the mailbox has changed too much; log in again"));
        return IMAP_FINISH;
    }
    view->loaded = true;
    return IMAP_NEXT;
}

enum imap_step imap_step_view(struct imap_session *session)
{
    static imap_step_run *const steps[] = { load_uids, load_changes, load_end, NULL };
    if (!session->view->loaded) imap_steps_into(session, steps);
    return IMAP_NEXT;
}

/* ---- sequence numbers */

uint32_t imap_walk(const struct imap_view *view, struct imap_walker *walker, uint32_t uid)
{
    const struct uid_set *uids = &view->uids;
    while (walker->range < uids->count && uids->ranges[walker->range].last < uid) {
        const struct uid_range *range = &uids->ranges[walker->range++];
        walker->before += range->last - range->first + 1;
    }
    if (walker->range == uids->count || uids->ranges[walker->range].first > uid) return 0;
    return walker->before + (uid - uids->ranges[walker->range].first) + 1;
}

/* The UID at a sequence number that rises from call to call. */
static uint32_t walk_to(const struct imap_view *view, struct imap_walker *walker, uint32_t number)
{
    const struct uid_set *uids = &view->uids;
    for (; walker->range < uids->count; walker->range++) {
        const struct uid_range *range = &uids->ranges[walker->range];
        uint32_t count = range->last - range->first + 1;
        if (number - walker->before <= count) return range->first + (number - walker->before - 1);
        walker->before += count;
    }
    return 0;
}

/* A range of numbers becomes the range between its ends: what lies between them in the store is
 * in the view too, since UIDs only grow. */
struct err imap_view_uids(const struct imap_view *view, struct span text, bool uid,
                          struct uid_set *ret)
{
    struct uid_set asked;
    bool star;
    if (span_eq(text, SPAN("$"))) return add_below(ret, &view->saved, view->uidnext);
    uid_set_init(&asked, IMAP_SET_RANGES_MAX);
    struct err err = imap_set_read(text, uid ? imap_view_star(view) : view->exists, &asked, &star);
    struct imap_walker walker = { 0, 0 };
    for (size_t i = 0; err.code == ERR_OK && i < asked.count; i++) {
        struct uid_range range = asked.ranges[i];
        if (uid) {
            if (range.first >= view->uidnext) break;
            if (range.last >= view->uidnext) range.last = view->uidnext - 1;
        } else if (range.last > view->exists) {
            err = err_make(ERR_SYNTAX, "there is no message with that number");
            break;
        } else {
            range.first = walk_to(view, &walker, range.first);
            range.last = walk_to(view, &walker, range.last);
        }
        err = uid_set_add(ret, range.first, range.last);
    }
    uid_set_free(&asked);
    return err;
}

static struct uid_range range_at(struct span set, size_t at)
{
    struct uid_range range;
    memcpy(&range, set.ptr + at, sizeof(range));
    return range;
}

struct err imap_view_numbers(const struct imap_view *view, struct span uids, struct uid_set *ret)
{
    size_t i = 0;
    uint32_t before = 0;
    for (size_t at = 0; at < uids.len; at += sizeof(struct uid_range)) {
        struct uid_range asked = range_at(uids, at);
        while (i < view->uids.count && view->uids.ranges[i].last < asked.first) {
            before += view->uids.ranges[i].last - view->uids.ranges[i].first + 1;
            i++;
        }
        /* The last range that is met may go on into the next one asked for: it is left standing. */
        uint32_t passed = before;
        for (size_t k = i; k < view->uids.count; k++) {
            struct uid_range have = view->uids.ranges[k];
            if (have.first > asked.last) break;
            uint32_t first = asked.first > have.first ? asked.first : have.first;
            uint32_t last = asked.last < have.last ? asked.last : have.last;
            TRY(uid_set_add(ret, passed + (first - have.first) + 1,
                            passed + (last - have.first) + 1));
            if (have.last > asked.last) break;
            passed += have.last - have.first + 1;
            i = k + 1;
            before = passed;
        }
    }
    return err_ok();
}

struct err imap_view_index(const struct imap_view *view, struct arena *arena,
                           const uint32_t **ret)
{
    uint32_t *before = arena_alloc(arena, (view->uids.count + 1) * sizeof(*before));
    if (before == NULL) return err_make(ERR_NOMEM, "sequence numbers");
    uint32_t count = 0;
    for (size_t i = 0; i < view->uids.count; i++) {
        before[i] = count;
        count += view->uids.ranges[i].last - view->uids.ranges[i].first + 1;
    }
    *ret = before;
    return err_ok();
}

uint32_t imap_view_number(const struct imap_view *view, const uint32_t *before, uint32_t uid)
{
    size_t low = 0, high = view->uids.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct uid_range *range = &view->uids.ranges[middle];
        if (range->last < uid) low = middle + 1;
        else if (range->first > uid) high = middle;
        else return before[middle] + (uid - range->first) + 1;
    }
    return 0;
}

uint64_t imap_view_count(const struct imap_view *view, const struct uid_set *uids)
{
    uint64_t count = 0;
    size_t i = 0;
    for (size_t k = 0; k < uids->count; k++) {
        struct uid_range asked = uids->ranges[k];
        while (i < view->uids.count && view->uids.ranges[i].last < asked.first) i++;
        for (size_t j = i; j < view->uids.count; j++) {
            struct uid_range have = view->uids.ranges[j];
            if (have.first > asked.last) break;
            uint32_t first = asked.first > have.first ? asked.first : have.first;
            uint32_t last = asked.last < have.last ? asked.last : have.last;
            count += (uint64_t)last - first + 1;
            if (have.last > asked.last) break;
            i = j;
        }
    }
    return count;
}

/* One pass over both, since an EXPUNGE of a whole mailbox would else be quadratic. */
void imap_view_remove(struct imap_view *view, struct span uids)
{
    struct uid_set left;
    uid_set_init(&left, IMAP_VIEW_RANGES_MAX);
    struct err err = err_ok();
    size_t at = 0;
    for (size_t i = 0; err.code == ERR_OK && i < view->uids.count; i++) {
        struct uid_range have = view->uids.ranges[i];
        bool rest = true;
        while (at < uids.len && range_at(uids, at).last < have.first) at += sizeof(have);
        for (size_t k = at; k < uids.len && err.code == ERR_OK; k += sizeof(have)) {
            struct uid_range gone = range_at(uids, k);
            if (gone.first > have.last) break;
            if (gone.first > have.first) err = uid_set_add(&left, have.first, gone.first - 1);
            at = k;
            rest = gone.last < have.last;
            if (!rest) break;
            have.first = gone.last + 1;
        }
        if (rest && err.code == ERR_OK) err = uid_set_add(&left, have.first, have.last);
    }
    uid_set_free(&view->uids);
    view->uids = left;
    /* Without memory for it the map is made anew when it is needed next; the count is right. */
    if (err.code != ERR_OK) view->loaded = false;
}
