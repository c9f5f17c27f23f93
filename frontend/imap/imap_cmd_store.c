/* STORE (RFC 3501 6.4.6; UNCHANGEDSINCE RFC 7162 3.1.3).
 *
 * What the store has changed comes back as records, up to STORE_KEPT_MAX of which are kept: mostly
 * they are all that is to be told. When there are more, or messages that already were as asked, the
 * flags of the whole set are fetched. */
#include "imap_private.h"
#include "mail_stream.h"

enum { STORE_KEPT_MAX = 256 };

struct store_kept {
    uint32_t uid;
    uint64_t flags, modseq;
};

struct store_state {
    struct span set; /* as written */
    bool silent;
    struct store_flags_set_request request;
    struct store_fetch_request fetch;
    struct store_kept *kept;
    size_t kept_count, told;
    uint64_t changed, expected, fetched;
    uint64_t modseq;
    struct span modified; /* uid_set.h, in the arena */
    size_t modified_at;
    bool keywords_grew, code_begun;
};

static enum imap_step store_resolve(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    struct err err = imap_view_uids(session->view, store->set, run->uid, &run->set);
    if (err.code == ERR_SYNTAX) {
        imap_bad(session, span_of(err.what, strlen(err.what)));
        return IMAP_FINISH;
    }
    if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
    if (run->set.count == 0) return imap_ok(session, SPAN(""));
    store->expected = imap_view_count(session->view, &run->set);
    return IMAP_NEXT;
}

static size_t store_data(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    struct span rest = in;
    struct mail_record record;
    while (imap_record_next(session, &rest, &record)) {
        run->gather.len = 0;
        store->changed++;
        if (store->kept_count == STORE_KEPT_MAX) continue;
        store->kept[store->kept_count++] = (struct store_kept){ record.uid, record.flags,
                                                                record.modseq };
    }
    return in.len;
}

static void store_reply(struct imap_session *session, const void *reply)
{
    const struct store_flags_set_reply *set = reply;
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    store->modseq = set->modseq;
    struct err err = arena_copy(&run->arena, set->modified, &store->modified);
    if (err.code == ERR_OK && set->keywords_count > session->view->keywords_count) {
        err = imap_view_keywords(session->view, set->keywords, set->keywords_count);
        store->keywords_grew = true;
    }
    if (err.code != ERR_OK) run->err = err;
}

static const struct imap_call_user store_user = { store_reply, store_data };

static enum imap_step store_call(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    store->kept = arena_alloc(&run->arena, STORE_KEPT_MAX * sizeof(*store->kept));
    if (store->kept == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "flags"), SPAN(""));
    store->request.operation_id = imap_operation_id(session);
    store->request.tenant = session->identity.tenant;
    store->request.account = session->identity.account;
    store->request.mailbox = session->view->mailbox;
    store->request.uids = uid_set_bytes(&run->set);
    imap_call(session, STORE_METHOD_FLAGS_SET, &store->request, &store_user);
    return IMAP_NEXT;
}

static enum imap_step store_after(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    imap_view_own(session->view, store->modseq, !store->silent);
    if (store->keywords_grew) imap_put_flags_lines(session);
    return IMAP_NEXT;
}

static void tell(struct imap_session *session, const struct mail_record *record)
{
    const struct store_state *store = session->run->state;
    uint32_t number = imap_walk(session->view, &session->run->walker, record->uid);
    /* .SILENT tells only the mod-sequences of what it has changed (RFC 7162 3.1.3). */
    if (store->silent && record->modseq != store->modseq) return;
    if (number > 0) imap_put_fetch_flags(session, record, number, !store->silent);
}

static size_t store_fetch_data(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    struct span rest = in;
    struct mail_record record;
    for (;;) {
        if (!imap_has_room(session)) {
            run->blocked = rest.len > 0 || run->gather.len > 0;
            return in.len - rest.len;
        }
        if (!imap_record_next(session, &rest, &record)) return in.len;
        run->gather.len = 0;
        store->fetched++;
        tell(session, &record);
    }
}

static const struct imap_call_user store_fetch_user = { NULL, store_fetch_data };

static enum imap_step store_tell(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    if (store->silent && !session->condstore) return IMAP_NEXT;
    bool all_kept = store->changed == store->kept_count;
    if (all_kept && (store->silent || store->changed == store->expected)) {
        if (store->told == 0) run->walker = (struct imap_walker){ 0, 0 };
        for (; store->told < store->kept_count; store->told++) {
            if (!imap_has_room(session)) return IMAP_AGAIN;
            const struct store_kept *kept = &store->kept[store->told];
            struct mail_record record = { .uid = kept->uid, .flags = kept->flags,
                                          .modseq = kept->modseq };
            tell(session, &record);
        }
        return IMAP_NEXT;
    }
    store->fetch = (struct store_fetch_request){
        .tenant = session->identity.tenant,
        .account = session->identity.account,
        .mailbox = session->view->mailbox,
        .uids = uid_set_bytes(&run->set),
        .items = STORE_FETCH_INDEX,
    };
    run->walker = (struct imap_walker){ 0, 0 };
    imap_call(session, STORE_METHOD_FETCH, &store->fetch, &store_fetch_user);
    return IMAP_NEXT;
}

static enum imap_step store_told(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    /* MODIFIED names what it was asked with: numbers, or UIDs. */
    if (store->modified.len > 0 && !run->uid) {
        uid_set_remove(&run->fetched, 1, UINT32_MAX);
        struct err err = imap_view_numbers(session->view, store->modified, &run->fetched);
        if (err.code != ERR_OK) return imap_no_err(session, err, SPAN(""));
        store->modified = uid_set_bytes(&run->fetched);
    }
    return run->uid && store->modified.len == 0 ? imap_step_sync_newer(session) : IMAP_NEXT;
}

static enum imap_step store_end(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct store_state *store = run->state;
    bool fetched = store->fetch.mailbox != 0;
    if (store->modified.len == 0 && !run->uid && fetched && store->fetched < store->expected) {
        imap_no(session, SPAN("EXPUNGEISSUED"), SPAN("some of these messages are expunged"));
        return IMAP_FINISH;
    }
    if (store->modified.len == 0) return imap_ok(session, SPAN(""));
    if (!store->code_begun) {
        imap_ok_begin(session);
        IMAP_SAY(session, "[MODIFIED ");
        store->code_begun = run->mid_line = true;
    }
    if (!imap_put_set(session, store->modified, &store->modified_at)) return IMAP_AGAIN;
    IMAP_SAY(session, "] changed meanwhile\r\n");
    run->mid_line = false;
    return IMAP_FINISH;
}

/* store-att-flags, behind the set and the modifier */
static struct err take_action(struct imap_session *session, struct store_state *store)
{
    struct imap_cursor *args = &session->run->args;
    store->request.mode = STORE_FLAGS_REPLACE;
    if (imap_take(args, '+')) {
        store->request.mode = STORE_FLAGS_ADD;
    } else if (imap_take(args, '-')) {
        store->request.mode = STORE_FLAGS_REMOVE;
    }
    store->silent = imap_take_word(args, SPAN("FLAGS.SILENT"));
    if (!store->silent && !imap_take_word(args, SPAN("FLAGS"))) {
        return err_make(ERR_SYNTAX, "FLAGS, +FLAGS or -FLAGS is missing");
    }
    struct imap_flag_list flags;
    TRY(imap_take_space(args));
    TRY(imap_take_flags(session, true, &flags));
    store->request.flags = flags.flags;
    store->request.keywords = flags.keywords;
    store->request.keywords_count = flags.keywords_count;
    return err_ok();
}

static struct err take_unchanged(struct imap_session *session, struct store_state *store)
{
    struct imap_cursor *args = &session->run->args;
    if (!imap_take_word(args, SPAN("UNCHANGEDSINCE"))) {
        return err_make(ERR_SYNTAX, "only UNCHANGEDSINCE can stand there");
    }
    TRY(imap_take_space(args));
    TRY(imap_take_number64(args, &store->request.unchanged_since));
    TRY(imap_take_char(args, ')', "a list has no end"));
    store->request.has_unchanged_since = true;
    return imap_take_space(args);
}

struct err imap_cmd_store(struct imap_session *session)
{
    static imap_step_run *const steps[] = { imap_step_view, store_resolve, store_call, store_after,
                                            store_tell, store_told, store_end, NULL };
    struct imap_cursor *args = &session->run->args;
    struct store_state *store;
    TRY(imap_state_new(session, sizeof(*store), &store));
    TRY(imap_take_space(args));
    TRY(imap_take_set_or_saved(args, &store->set));
    TRY(imap_take_space(args));
    if (imap_take(args, '(')) TRY(take_unchanged(session, store));
    TRY(take_action(session, store));
    TRY(imap_take_end(args));
    if (store->request.has_unchanged_since) imap_enable_condstore(session);
    imap_steps(session, steps);
    return err_ok();
}
