#include "coord_settle.h"

#include "check.h"

static bool resolved(const struct coord_settle *settle)
{
    for (size_t i = 0; i < settle->now.count; i++) {
        if (settle->items[i].revision == COORD_ANY) return false;
    }
    return true;
}

void coord_settle_start(struct coord_settle *settle, const struct coord_change *change)
{
    CHECK(change->count > 0 && change->count <= COORD_CHANGE_ITEMS_MAX);
    *settle = (struct coord_settle){ .change = change, .full = err_ok(),
                                     .err = err_make(ERR_TIMEOUT, "etcd") };
    memcpy(settle->items, change->items, change->count * sizeof(*change->items));
    settle->now = (struct coord_change){ settle->items, change->count, change->wait_ms };
    settle->wish = resolved(settle) ? COORD_SETTLE_SEND : COORD_SETTLE_READ;
}

static void done(struct coord_settle *settle, struct err err, uint64_t revision)
{
    settle->wish = COORD_SETTLE_DONE;
    settle->err = err;
    settle->revision = revision;
}

void coord_settle_succeeded(struct coord_settle *settle, uint64_t revision)
{
    done(settle, err_ok(), revision);
}

static const struct coord_row *row_of(struct span key, const struct coord_row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (span_eq(rows[i].key, key)) return &rows[i];
    }
    return NULL;
}

/* Whether our change is what is there. Of several keys that were put one that nobody has changed
 * since is enough: they were put together. After mere deletions all keys are gone. */
static bool is_ours(const struct coord_settle *settle, const struct coord_row *rows, size_t count,
                    uint64_t *revision)
{
    bool puts = false, left = false;
    *revision = 0;
    for (size_t i = 0; i < settle->now.count; i++) {
        const struct coord_item *item = &settle->items[i];
        const struct coord_row *row = row_of(item->key, rows, count);
        if (item->action == COORD_PUT) puts = true;
        if (item->action == COORD_DELETE && row != NULL) left = true;
        if (item->action == COORD_PUT && row != NULL && row->revision > item->revision &&
            span_eq(row->value, item->value)) {
            *revision = row->revision;
        }
    }
    return puts ? *revision > 0 : !left;
}

static bool as_compared(const struct coord_settle *settle, const struct coord_row *rows,
                        size_t count)
{
    for (size_t i = 0; i < settle->now.count; i++) {
        const struct coord_row *row = row_of(settle->items[i].key, rows, count);
        if ((row == NULL ? 0 : row->revision) != settle->items[i].revision) return false;
    }
    return true;
}

/* Gives items without a revision the one that was read; false when another item's is wrong. */
static bool resolve(struct coord_settle *settle, const struct coord_row *rows, size_t count)
{
    for (size_t i = 0; i < settle->now.count; i++) {
        const struct coord_row *row = row_of(settle->items[i].key, rows, count);
        uint64_t is = row == NULL ? 0 : row->revision, wanted = settle->change->items[i].revision;
        if (wanted != COORD_ANY && wanted != is) return false;
        settle->items[i].revision = is;
    }
    return true;
}

void coord_settle_rows(struct coord_settle *settle, const struct coord_row *rows, size_t count)
{
    uint64_t revision;
    struct err full = settle->full;
    settle->full = err_ok();
    if (settle->unsure && is_ours(settle, rows, count, &revision)) {
        done(settle, err_ok(), revision);
    } else if (full.code != ERR_OK && as_compared(settle, rows, count)) {
        coord_settle_refused(settle, full, false);
    } else if (settle->unsure && as_compared(settle, rows, count)) {
        settle->wish = COORD_SETTLE_SEND;
    } else if (resolve(settle, rows, count)) {
        settle->unsure = false; /* the one before can't succeed any more */
        if (full.code != ERR_OK) settle->ever_unsure = true;
        settle->wish = COORD_SETTLE_SEND;
    } else {
        done(settle, err_make(ERR_CONFLICT, "configuration row"), 0);
    }
}

void coord_settle_refused(struct coord_settle *settle, struct err err, bool again)
{
    settle->err = err;
    if (again) return;
    if (settle->ever_unsure || settle->full.code != ERR_OK) {
        err = err_make_detail(ERR_UNKNOWN, err.detail, err.what);
    }
    done(settle, err, 0);
}

void coord_settle_full(struct coord_settle *settle, struct err err)
{
    if (settle->wish != COORD_SETTLE_SEND) {
        coord_settle_refused(settle, err, false);
        return;
    }
    settle->err = settle->full = err;
    settle->unsure = true;
    settle->wish = COORD_SETTLE_READ;
}

void coord_settle_unknown(struct coord_settle *settle, struct err err)
{
    settle->err = err;
    if (settle->wish == COORD_SETTLE_SEND) settle->unsure = settle->ever_unsure = true;
    settle->wish = COORD_SETTLE_READ;
}

void coord_settle_late(struct coord_settle *settle, bool under_way)
{
    bool unsure = settle->ever_unsure || settle->full.code != ERR_OK ||
                  (under_way && settle->wish == COORD_SETTLE_SEND);
    struct err err = settle->err;
    done(settle, unsure ? err_make_detail(ERR_UNKNOWN, err.detail, err.what) : err, 0);
}
