/* Changes, of which coord_settle.c says what became of them, and refreshes. */
#include <stdlib.h>

#include "buf.h"
#include "clock.h"
#include "coord_etcd_private.h"
#include "loop.h"

/* Freed when it has been told. */
struct etcd_change {
    struct list link;
    struct etcd *etcd;
    struct coord_change_copy *copy;
    struct coord_settle settle;
    struct etcd_call call;
    struct timer deadline, again;
    struct later told;
    unsigned tries;
    coord_changed *changed;
    void *holder;
};

/* ---- a change */

static void change_told(struct later *later)
{
    struct etcd_change *change = LIST_ITEM(later, struct etcd_change, told);
    change->changed(change->holder, change->settle.err, change->settle.revision);
    free(change->copy);
    free(change);
}

static void change_end(struct etcd_change *change)
{
    etcd_call_cancel(&change->call);
    timer_stop(&change->deadline);
    timer_stop(&change->again);
    list_remove(&change->link);
    change->etcd->back.coord->changes_count--;
    later_post(loop_later(change->etcd->loop), &change->told, change_told);
}

static void change_answered(struct etcd_call *call, const struct etcd_answer *answer);

static void change_send(void *holder)
{
    struct etcd_change *change = holder;
    struct etcd *etcd = change->etcd;
    struct buf out;
    size_t size = coord_request_change_size(&change->settle.now);
    char *body = malloc(size);
    buf_init(&out, body, body == NULL ? 0 : size);
    if (body != NULL && change->settle.wish == COORD_SETTLE_SEND) {
        coord_request_change(&out, etcd->space, &change->settle.now, change->copy->leases);
    } else if (body != NULL) {
        coord_request_read(&out, etcd->space, &change->settle.now);
    }
    change->call.path = "/v3/kv/txn";
    change->call.kind = COORD_REPLY_TXN;
    change->call.done = change_answered;
    etcd_call_start(etcd, &change->call, body, out.len);
}

/* What is there now, as an answer shows it, before the caller hears of it. */
static void take_rows(struct etcd_change *change, const struct coord_reply *reply)
{
    for (size_t i = 0; i < reply->rows_count; i++) etcd_take_row(change->etcd, &reply->rows[i]);
    for (size_t i = 0; i < change->settle.now.count; i++) {
        const struct coord_row none = { change->settle.items[i].key, span_of(NULL, 0),
                                        reply->revision };
        bool there = false;
        for (size_t row = 0; row < reply->rows_count && !there; row++) {
            there = span_eq(reply->rows[row].key, none.key);
        }
        if (!there) etcd_take_row(change->etcd, &none);
    }
}

static void take_own(struct etcd_change *change, uint64_t revision)
{
    for (size_t i = 0; i < change->settle.now.count; i++) {
        const struct coord_item *item = &change->settle.items[i];
        struct coord_row row = { item->key, item->value, revision };
        if (item->action == COORD_COMPARE) continue;
        if (item->action == COORD_DELETE) row.value = span_of(NULL, 0);
        etcd_take_row(change->etcd, &row);
    }
}

static void change_take(struct etcd_change *change, const struct coord_reply *reply)
{
    bool succeeded = change->settle.wish == COORD_SETTLE_SEND && reply->succeeded;
    if (succeeded) {
        take_own(change, reply->revision);
        coord_settle_succeeded(&change->settle, reply->revision);
    } else {
        take_rows(change, reply);
        coord_settle_rows(&change->settle, reply->rows, reply->rows_count);
    }
}

static void change_answered(struct etcd_call *call, const struct etcd_answer *answer)
{
    struct etcd_change *change = LIST_ITEM(call, struct etcd_change, call);
    struct coord_settle *settle = &change->settle;
    switch (answer->outcome) {
    case ETCD_ANSWER: change_take(change, answer->reply); break;
    case ETCD_REFUSED:
        if (answer->err.code == ERR_FULL) coord_settle_full(settle, answer->err);
        else coord_settle_refused(settle, answer->err, false);
        break;
    case ETCD_UNSENT: coord_settle_refused(settle, answer->err, true); break;
    case ETCD_UNKNOWN: coord_settle_unknown(settle, answer->err); break;
    }
    if (settle->wish == COORD_SETTLE_DONE) {
        change_end(change);
    } else if (answer->outcome == ETCD_ANSWER) {
        change->tries = 0;
        change_send(change); /* what was read; others may be faster, until the deadline */
    } else {
        timer_start(change->etcd->loop, &change->again, etcd_retry_ms(change->tries++),
                    change_send, change);
    }
}

static void change_late(void *holder)
{
    struct etcd_change *change = holder;
    coord_settle_late(&change->settle, change->call.etcd != NULL && change->call.http != NULL);
    change_end(change);
}

struct err etcd_change_start(struct coord_back *back, struct crew *crew,
                             struct coord_change_copy *copy, coord_changed *changed, void *holder)
{
    struct etcd *etcd = LIST_ITEM(back, struct etcd, back);
    struct etcd_change *change = calloc(1, sizeof(*change));
    (void)crew;
    if (change == NULL) return err_make(ERR_NOMEM, "configuration row");
    change->etcd = etcd;
    change->copy = copy;
    change->changed = changed;
    change->holder = holder;
    list_add(&etcd->changes, &change->link);
    back->coord->changes_count++;
    coord_settle_start(&change->settle, &copy->change);
    timer_start(etcd->loop, &change->deadline, copy->change.wait_ms, change_late, change);
    change_send(change);
    return err_ok();
}

/* ---- refreshes */

/* Freed when it has been told. */
struct etcd_refresh {
    struct list link;
    struct etcd *etcd;
    struct etcd_read read;
    struct later told;
    struct err err;
    coord_done *done;
    void *holder;
    size_t prefix_len;
    char prefix[COORD_KEY_MAX_BYTES];
};

static void refresh_told(struct later *later)
{
    struct etcd_refresh *refresh = LIST_ITEM(later, struct etcd_refresh, told);
    refresh->done(refresh->holder, refresh->err);
    free(refresh);
}

static void refresh_end(struct etcd_refresh *refresh, struct err err)
{
    etcd_read_cancel(&refresh->read);
    refresh->err = err;
    list_remove(&refresh->link);
    refresh->etcd->back.coord->changes_count--;
    later_post(loop_later(refresh->etcd->loop), &refresh->told, refresh_told);
}

/* What was read of a whole prefix that is kept counts as seen. */
static struct err refresh_merge(struct etcd *etcd, struct etcd_read *read)
{
    const struct coord_options *options = &etcd->options->options;
    uint64_t revision = read->rows.rows.revision;
    size_t i = etcd_prefix_of(etcd, read->prefix);
    bool whole = span_eq(options->prefixes[i], read->prefix);
    for (size_t row = 0; row < read->rows.rows.count; row++) {
        etcd_expect(etcd, i, read->rows.rows.rows[row].revision);
    }
    TRY(coord_mirror_merge(&etcd->mirror, read->prefix, etcd->seen[i], &read->rows, whole));
    if (!whole || revision <= etcd->seen[i]) return err_ok();
    etcd->seen[i] = revision;
    coord_mirror_seen(&etcd->mirror, read->prefix, revision);
    return err_ok();
}

static void refresh_read(struct etcd_read *read, struct err err)
{
    struct etcd_refresh *refresh = LIST_ITEM(read, struct etcd_refresh, read);
    struct etcd *etcd = refresh->etcd;
    if (err.code == ERR_OK) {
        err = refresh_merge(etcd, read);
        if (err.code != ERR_OK) etcd_follow_anew(etcd, err);
    }
    coord_mirror_free(&read->rows);
    if (err.code == ERR_CONFLICT && clock_boot_ms() < read->until_ms) {
        etcd_read_start(etcd, read, 0, read->until_ms); /* compacted under its reading */
    } else {
        refresh_end(refresh, err);
    }
}

struct err etcd_refresh_start(struct coord_back *back, struct span prefix, coord_done *done,
                              void *holder)
{
    struct etcd *etcd = LIST_ITEM(back, struct etcd, back);
    struct etcd_refresh *refresh = calloc(1, sizeof(*refresh));
    if (refresh == NULL) return err_make(ERR_NOMEM, "configuration rows");
    refresh->etcd = etcd;
    refresh->done = done;
    refresh->holder = holder;
    refresh->prefix_len = prefix.len;
    if (prefix.len > 0) memcpy(refresh->prefix, prefix.ptr, prefix.len);
    list_add(&etcd->refreshes, &refresh->link);
    back->coord->changes_count++;
    refresh->read.prefix = span_of(refresh->prefix, prefix.len);
    refresh->read.done = refresh_read;
    etcd_read_start(etcd, &refresh->read, 0, clock_boot_ms() + COORD_WAIT_MS);
    return err_ok();
}

/* ---- the end */

void etcd_changes_close(struct etcd *etcd)
{
    while (!list_is_empty(&etcd->changes)) {
        change_late(LIST_ITEM(etcd->changes.next, struct etcd_change, link));
    }
    while (!list_is_empty(&etcd->refreshes)) {
        struct etcd_refresh *refresh =
            LIST_ITEM(etcd->refreshes.next, struct etcd_refresh, link);
        refresh_end(refresh, err_make(ERR_CANCELLED, "configuration rows"));
    }
}
