#include "buf.h"
#include "mail_flags.h"
#include "mail_stream.h"
#include "mbox_bytes_private.h"
#include "mbox_index_private.h"

enum { RANGE_BYTES = 8 };

void mbox_view_close(struct mbox_view *view)
{
    mbox_block_unref(view->block);
    *view = (struct mbox_view){ 0 };
}

uint32_t mbox_view_unseen(const struct mbox_view *view)
{
    uint32_t unseen = 0;
    for (uint32_t i = 0; i < view->places; i++)
        unseen += view->modseqs[i] != 0 && !(view->flags[i] & MAIL_FLAG_SEEN);
    return unseen;
}

uint32_t mbox_view_first_unseen(const struct mbox_view *view)
{
    uint32_t seq = 1;
    for (uint32_t i = 0; i < view->places; i++) {
        if (view->modseqs[i] == 0) continue;
        if (!(view->flags[i] & MAIL_FLAG_SEEN)) return seq;
        seq++;
    }
    return 0;
}

/* The first place from `place` on with a UID >= `uid`; near ones are looked at first. */
static uint32_t skip_to(const struct mbox_view *view, uint32_t place, uint32_t uid)
{
    uint32_t step = 1, low = place, high = place;
    while (high < view->places && view->uids[high] < uid) {
        low = high + 1;
        high = view->places - high > step ? high + step : view->places;
        step *= 2;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (view->uids[middle] < uid) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* Moves `*at` to a place that lies in the set. */
static bool in_set(const struct mbox_view *view, const struct mbox_wanted *wanted,
                   struct mbox_view_at *at)
{
    while (!wanted->all && at->place < view->places) {
        if (at->range >= wanted->uids.len) {
            at->place = view->places;
            break;
        }
        uint32_t first = get_u32(wanted->uids.ptr + at->range);
        uint32_t last = get_u32(wanted->uids.ptr + at->range + 4);
        uint32_t uid = view->uids[at->place];
        if (uid > last) at->range += RANGE_BYTES;
        else if (uid < first) at->place = skip_to(view, at->place, first);
        else break;
    }
    return at->place < view->places;
}

/* The record of mail_stream.h with items 0, as mail_record_head would write it. */
static void put_record(const struct mbox_view *view, uint32_t place, char *to)
{
    put_u32(to, MAIL_RECORD_INDEX_BYTES - MAIL_RECORD_HEAD_BYTES);
    to[4] = 0;
    put_u32(to + 5, view->uids[place]);
    put_u64(to + 9, view->flags[place]);
    put_u64(to + 17, view->modseqs[place]);
}

bool mbox_view_records(const struct mbox_view *view, const struct mbox_wanted *wanted,
                       struct mbox_view_at *at, struct buf *out)
{
    for (; in_set(view, wanted, at); at->place++) {
        uint64_t modseq = view->modseqs[at->place];
        if (modseq == 0 || modseq <= wanted->since) continue;
        if (out->size - out->len < MAIL_RECORD_INDEX_BYTES) return true;
        put_record(view, at->place, out->bytes + out->len);
        out->len += MAIL_RECORD_INDEX_BYTES;
        at->records++;
    }
    return false;
}

bool mbox_view_ranges(const struct mbox_view *view, uint32_t *place, struct buf *out)
{
    uint32_t i = *place;
    while (i < view->places) {
        if (view->modseqs[i] == 0) {
            i++;
            continue;
        }
        if (out->size - out->len < RANGE_BYTES) {
            *place = i;
            return true;
        }
        uint32_t first = view->uids[i], last = first;
        for (i++; i < view->places; i++) {
            if (view->modseqs[i] == 0) continue;
            if (view->uids[i] != last + 1) break;
            last++;
        }
        put_u32(out->bytes + out->len, first);
        put_u32(out->bytes + out->len + 4, last);
        out->len += RANGE_BYTES;
    }
    *place = i;
    return false;
}
