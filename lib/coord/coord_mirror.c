#include "coord_mirror.h"

#include <stdlib.h>

enum { SIZE_FIRST = 64 };

static void tell_nobody(void *holder, struct span key)
{
    (void)holder;
    (void)key;
}

void coord_mirror_init(struct coord_mirror *mirror, void (*changed)(void *holder, struct span key),
                       void *holder)
{
    *mirror = (struct coord_mirror){ .changed = changed == NULL ? tell_nobody : changed,
                                     .holder = holder };
}

/* The memory of a row, which begins with its key. */
static void row_free(const struct coord_row *row)
{
    char *bytes;
    memcpy(&bytes, &row->key.ptr, sizeof(bytes)); /* ours to free, though seen as const */
    free(bytes);
}

static void rows_free(struct coord_rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) row_free(&rows->rows[i]);
    free(rows->rows);
    *rows = (struct coord_rows){ 0 };
}

void coord_mirror_free(struct coord_mirror *mirror)
{
    rows_free(&mirror->rows);
    rows_free(&mirror->gone);
    mirror->rows_size = mirror->gone_size = mirror->bytes = 0;
}

static struct err row_copy(const struct coord_row *from, struct coord_row *ret)
{
    char *bytes = malloc(from->key.len + from->value.len + 1);
    if (bytes == NULL) return err_make(ERR_NOMEM, "configuration row");
    memcpy(bytes, from->key.ptr, from->key.len);
    if (from->value.len > 0) memcpy(bytes + from->key.len, from->value.ptr, from->value.len);
    *ret = (struct coord_row){ span_of(bytes, from->key.len),
                               span_of(bytes + from->key.len, from->value.len), from->revision };
    return err_ok();
}

/* Makes room at `at`; the row there is to be set. */
static struct err rows_open(struct coord_rows *rows, size_t *size, size_t at)
{
    if (rows->count == *size) {
        size_t wanted = *size == 0 ? SIZE_FIRST : *size * 2;
        struct coord_row *grown = realloc(rows->rows, wanted * sizeof(*grown));
        if (grown == NULL) return err_make(ERR_NOMEM, "configuration rows");
        rows->rows = grown;
        *size = wanted;
    }
    memmove(&rows->rows[at + 1], &rows->rows[at], (rows->count - at) * sizeof(*rows->rows));
    rows->count++;
    return err_ok();
}

static void rows_close(struct coord_rows *rows, size_t at)
{
    rows->count--;
    memmove(&rows->rows[at], &rows->rows[at + 1], (rows->count - at) * sizeof(*rows->rows));
}

static size_t row_bytes(const struct coord_row *row) { return row->key.len + row->value.len; }

/* What is known of a key: the revision of its row or of its going, 0 for neither. */
struct known {
    size_t row_at, gone_at;
    bool row, gone;
    uint64_t revision;
};

static struct known known_of(const struct coord_mirror *mirror, struct span key)
{
    struct known known = { .row_at = coord_rows_find(&mirror->rows, key),
                           .gone_at = coord_rows_find(&mirror->gone, key) };
    known.row = coord_rows_get(&mirror->rows, key) != NULL;
    known.gone = coord_rows_get(&mirror->gone, key) != NULL;
    if (known.row) known.revision = mirror->rows.rows[known.row_at].revision;
    if (known.gone) known.revision = mirror->gone.rows[known.gone_at].revision;
    return known;
}

static void forget_gone(struct coord_mirror *mirror, size_t at)
{
    row_free(&mirror->gone.rows[at]);
    rows_close(&mirror->gone, at);
}

/* Puts a row whose memory becomes ours, newer than what is known. */
static struct err put_owned(struct coord_mirror *mirror, const struct known *known,
                            const struct coord_row *row)
{
    size_t bytes = mirror->bytes + row_bytes(row);
    if (known->row) bytes -= row_bytes(&mirror->rows.rows[known->row_at]);
    if (bytes > COORD_BYTES_MAX || (!known->row && mirror->rows.count == COORD_ROWS_MAX)) {
        return err_make(ERR_TOO_BIG, "configuration store");
    }
    if (known->row) row_free(&mirror->rows.rows[known->row_at]);
    else TRY(rows_open(&mirror->rows, &mirror->rows_size, known->row_at));
    mirror->rows.rows[known->row_at] = *row;
    mirror->bytes = bytes;
    if (known->gone) forget_gone(mirror, known->gone_at);
    mirror->changed(mirror->holder, row->key);
    return err_ok();
}

static struct err put_copy(struct coord_mirror *mirror, const struct known *known,
                           const struct coord_row *row)
{
    struct coord_row copy;
    TRY(row_copy(row, &copy));
    struct err err = put_owned(mirror, known, &copy);
    if (err.code != ERR_OK) row_free(&copy);
    return err;
}

static struct err remember_gone(struct coord_mirror *mirror, const struct known *known,
                                const struct coord_row *row)
{
    struct coord_row gone;
    if (known->gone) {
        mirror->gone.rows[known->gone_at].revision = row->revision;
        return err_ok();
    }
    if (mirror->gone.count == COORD_GONE_MAX) return err_make(ERR_BUSY, "deleted rows");
    TRY(row_copy(row, &gone));
    struct err err = rows_open(&mirror->gone, &mirror->gone_size, known->gone_at);
    if (err.code == ERR_OK) mirror->gone.rows[known->gone_at] = gone;
    else row_free(&gone);
    return err;
}

static void remove_row(struct coord_mirror *mirror, size_t at)
{
    struct coord_row was = mirror->rows.rows[at];
    mirror->bytes -= row_bytes(&was);
    rows_close(&mirror->rows, at);
    mirror->changed(mirror->holder, was.key);
    row_free(&was);
}

static struct err delete_key(struct coord_mirror *mirror, const struct known *known,
                             const struct coord_row *row)
{
    TRY(remember_gone(mirror, known, row));
    if (known->row) remove_row(mirror, known->row_at);
    return err_ok();
}

struct err coord_mirror_take(struct coord_mirror *mirror, uint64_t seen,
                             const struct coord_row *row)
{
    struct known known = known_of(mirror, row->key);
    if (row->revision <= seen || row->revision <= known.revision) return err_ok();
    if (row->value.ptr == NULL) return delete_key(mirror, &known, row);
    return put_copy(mirror, &known, row);
}

/* ---- a reading of a whole prefix */

/* Rows under the prefix that the reading does not have, and that are not newer than it. */
static struct err merge_deletions(struct coord_mirror *mirror, struct span prefix,
                                  const struct coord_mirror *fresh, bool whole)
{
    for (size_t at = coord_rows_find(&mirror->rows, prefix); at < mirror->rows.count;) {
        const struct coord_row *row = &mirror->rows.rows[at];
        if (!coord_key_under(row->key, prefix)) break;
        if (row->revision > fresh->rows.revision ||
            coord_rows_get(&fresh->rows, row->key) != NULL) {
            at++;
            continue;
        }
        const struct coord_row gone = { row->key, span_of(NULL, 0), fresh->rows.revision };
        struct known known = known_of(mirror, row->key);
        if (whole) remove_row(mirror, at);
        else TRY(delete_key(mirror, &known, &gone));
    }
    return err_ok();
}

struct err coord_mirror_merge(struct coord_mirror *mirror, struct span prefix, uint64_t seen,
                              struct coord_mirror *fresh, bool whole)
{
    struct err err = merge_deletions(mirror, prefix, fresh, whole);
    for (size_t i = 0; i < fresh->rows.count; i++) {
        struct coord_row *row = &fresh->rows.rows[i];
        struct known known = known_of(mirror, row->key);
        /* Not newer than `seen` and not there: it went by `seen`. */
        if (err.code != ERR_OK || row->revision <= known.revision || row->revision <= seen) {
            row_free(row);
            continue;
        }
        err = put_owned(mirror, &known, row);
        if (err.code != ERR_OK) row_free(row);
    }
    fresh->rows.count = 0; /* each was taken or freed */
    coord_mirror_free(fresh);
    return err;
}

void coord_mirror_seen(struct coord_mirror *mirror, struct span prefix, uint64_t seen)
{
    for (size_t at = coord_rows_find(&mirror->gone, prefix); at < mirror->gone.count;) {
        const struct coord_row *row = &mirror->gone.rows[at];
        if (!coord_key_under(row->key, prefix)) break;
        if (row->revision <= seen) forget_gone(mirror, at);
        else at++;
    }
}
