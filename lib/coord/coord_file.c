/* The file `data`, version 1, integers little-endian:
 *
 *   "GWCOORD" | version u8 = '1' | revision u64 | count u32
 *   count times, in ascending order of keys (by bytes, a prefix first), each key once:
 *     key length u16 (1 to COORD_KEY_MAX_BYTES) | value length u32 (to COORD_VALUE_MAX_BYTES)
 *     revision u64 (1 to the store's) | key | value
 *   CRC-32C u32 of everything before it
 *
 * An empty or missing file is a store at revision 0 without rows. */
#include "coord_file.h"

#include <stdlib.h>

#include "hash.h"

enum { MAGIC_BYTES = 8, ROW_HEAD_BYTES = 14, CRC_BYTES = 4 };

static const char magic[] = "GWCOORD1";

static struct err corrupt(void) { return err_make(ERR_CORRUPT, "configuration store"); }

static uint64_t take(const char *from, unsigned count)
{
    uint64_t number = 0;
    for (unsigned i = count; i > 0; i--) number = number << 8 | (uint8_t)from[i - 1];
    return number;
}

static void put(char *to, uint64_t number, unsigned count)
{
    for (unsigned i = 0; i < count; i++) to[i] = (char)(number >> (8 * i) & 0xff);
}

static int key_order(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (order != 0) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

/* ---- reading */

bool coord_file_revision(struct span head, uint64_t *ret)
{
    if (head.len < COORD_FILE_HEAD_BYTES || memcmp(head.ptr, magic, MAGIC_BYTES) != 0) return false;
    *ret = take(head.ptr + MAGIC_BYTES, 8);
    return true;
}

static struct err read_row(struct span *rest, struct coord_row *row)
{
    if (rest->len < ROW_HEAD_BYTES) return corrupt();
    size_t key_len = (size_t)take(rest->ptr, 2), value_len = (size_t)take(rest->ptr + 2, 4);
    row->revision = take(rest->ptr + 6, 8);
    *rest = span_skip(*rest, ROW_HEAD_BYTES);
    if (key_len == 0 || key_len > COORD_KEY_MAX_BYTES || value_len > COORD_VALUE_MAX_BYTES ||
        key_len > rest->len || value_len > rest->len - key_len) {
        return corrupt();
    }
    row->key = span_head(*rest, key_len);
    row->value = span_head(span_skip(*rest, key_len), value_len);
    *rest = span_skip(*rest, key_len + value_len);
    return err_ok();
}

static struct err read_rows(struct span rest, size_t count, struct coord_rows *rows)
{
    for (; rows->count < count; rows->count++) {
        struct coord_row *row = &rows->rows[rows->count];
        TRY(read_row(&rest, row));
        if (row->revision == 0 || row->revision > rows->revision) return corrupt();
        if (rows->count > 0 && key_order(row[-1].key, row->key) >= 0) return corrupt();
    }
    return rest.len == 0 ? err_ok() : corrupt();
}

struct err coord_file_read(struct span bytes, struct coord_rows *ret)
{
    struct coord_rows rows = { 0 };
    if (bytes.len == 0) {
        *ret = rows;
        return err_ok();
    }
    if (bytes.len < COORD_FILE_HEAD_BYTES + CRC_BYTES || bytes.len > COORD_BYTES_MAX ||
        memcmp(bytes.ptr, magic, MAGIC_BYTES - 1) != 0) {
        return corrupt();
    }
    if (bytes.ptr[MAGIC_BYTES - 1] != magic[MAGIC_BYTES - 1]) {
        return err_make(ERR_UNSUPPORTED, "configuration store");
    }
    struct span body = span_head(bytes, bytes.len - CRC_BYTES);
    if (take(bytes.ptr + body.len, CRC_BYTES) != hash_crc32c(0, body)) return corrupt();
    rows.revision = take(bytes.ptr + MAGIC_BYTES, 8);
    size_t count = (size_t)take(bytes.ptr + MAGIC_BYTES + 8, 4);
    body = span_skip(body, COORD_FILE_HEAD_BYTES);
    if (count > COORD_ROWS_MAX || count > body.len / (ROW_HEAD_BYTES + 1)) return corrupt();
    rows.rows = calloc(count + 1, sizeof(*rows.rows));
    if (rows.rows == NULL) return err_make(ERR_NOMEM, "configuration store");
    struct err err = read_rows(body, count, &rows);
    if (err.code != ERR_OK) {
        coord_rows_free(&rows);
        return err;
    }
    *ret = rows;
    return err_ok();
}

void coord_rows_free(struct coord_rows *rows)
{
    free(rows->rows);
    *rows = (struct coord_rows){ 0 };
}

size_t coord_rows_find(const struct coord_rows *rows, struct span key)
{
    size_t low = 0, high = rows->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (key_order(rows->rows[middle].key, key) < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The row at `at` if it is under the prefix, else NULL. */
static const struct coord_row *row_under(const struct coord_rows *rows, size_t at,
                                         struct span prefix)
{
    if (at >= rows->count) return NULL;
    const struct coord_row *row = &rows->rows[at];
    return span_eq(span_head(row->key, prefix.len), prefix) ? row : NULL;
}

bool coord_rows_same(const struct coord_rows *a, const struct coord_rows *b, struct span prefix)
{
    size_t at_a = coord_rows_find(a, prefix), at_b = coord_rows_find(b, prefix);
    for (;; at_a++, at_b++) {
        const struct coord_row *row_a = row_under(a, at_a, prefix);
        const struct coord_row *row_b = row_under(b, at_b, prefix);
        if (row_a == NULL || row_b == NULL) return row_a == row_b;
        if (row_a->revision != row_b->revision || !span_eq(row_a->key, row_b->key)) return false;
    }
}

/* ---- changing */

static void put_row(char **at, const struct coord_row *row)
{
    put(*at, row->key.len, 2);
    put(*at + 2, row->value.len, 4);
    put(*at + 6, row->revision, 8);
    memcpy(*at + ROW_HEAD_BYTES, row->key.ptr, row->key.len);
    if (row->value.len > 0) {
        memcpy(*at + ROW_HEAD_BYTES + row->key.len, row->value.ptr, row->value.len);
    }
    *at += ROW_HEAD_BYTES + row->key.len + row->value.len;
}

static size_t row_size(const struct coord_row *row)
{
    return ROW_HEAD_BYTES + row->key.len + row->value.len;
}

static struct err check_change(const struct coord_rows *rows, const struct coord_row *change,
                               uint64_t revision)
{
    if (change->key.len == 0 || change->key.len > COORD_KEY_MAX_BYTES ||
        change->value.len > COORD_VALUE_MAX_BYTES || rows->count >= COORD_ROWS_MAX) {
        return err_make(ERR_TOO_BIG, "configuration row");
    }
    if (change->revision != COORD_ANY && change->revision != revision) {
        return err_make(ERR_CONFLICT, "configuration row");
    }
    return err_ok();
}

struct err coord_file_change(const struct coord_rows *rows, const struct coord_row *change,
                             char **ret, size_t *ret_len)
{
    size_t at = coord_rows_find(rows, change->key), size = COORD_FILE_HEAD_BYTES + CRC_BYTES;
    bool there = at < rows->count && span_eq(rows->rows[at].key, change->key);
    bool removes = change->value.ptr == NULL;
    TRY(check_change(rows, change, there ? rows->rows[at].revision : 0));
    for (size_t i = 0; i < rows->count; i++) size += row_size(&rows->rows[i]);
    if (there) size -= row_size(&rows->rows[at]);
    if (!removes) size += row_size(change);
    if (size > COORD_BYTES_MAX) return err_make(ERR_TOO_BIG, "configuration store");
    char *bytes = malloc(size);
    if (bytes == NULL) return err_make(ERR_NOMEM, "configuration store");
    char *to = bytes + COORD_FILE_HEAD_BYTES;
    const struct coord_row made = { change->key, change->value, rows->revision + 1 };
    for (size_t i = 0; i <= rows->count; i++) {
        if (i == at && !removes) put_row(&to, &made);
        if (i < rows->count && !(i == at && there)) put_row(&to, &rows->rows[i]);
    }
    memcpy(bytes, magic, MAGIC_BYTES);
    put(bytes + MAGIC_BYTES, made.revision, 8);
    put(bytes + MAGIC_BYTES + 8, rows->count - (there ? 1 : 0) + (removes ? 0 : 1), 4);
    put(to, hash_crc32c(0, span_of(bytes, size - CRC_BYTES)), CRC_BYTES);
    *ret = bytes;
    *ret_len = size;
    return err_ok();
}
