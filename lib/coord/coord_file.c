#include "coord_file.h"

#include <stdlib.h>

#include "hash.h"

enum { MAGIC_BYTES = 8, HEAD_BYTES = 20, ROW_HEAD_BYTES = 14, CRC_BYTES = 4, ROWS_MAX = 1000000 };

static const char magic[] = "GWCOORD1";

static int key_order(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (order != 0) return order;
    return a.len < b.len ? -1 : a.len > b.len;
}

static struct err read_row(struct span *rest, struct coord_row *row)
{
    uint16_t key_len;
    uint32_t value_len;
    if (rest->len < ROW_HEAD_BYTES) return err_make(ERR_CORRUPT, "configuration store");
    memcpy(&key_len, rest->ptr, 2);
    memcpy(&value_len, rest->ptr + 2, 4);
    memcpy(&row->revision, rest->ptr + 6, 8);
    *rest = span_skip(*rest, ROW_HEAD_BYTES);
    if (key_len > rest->len || value_len > rest->len - key_len) {
        return err_make(ERR_CORRUPT, "configuration store");
    }
    row->key = span_head(*rest, key_len);
    row->value = span_head(span_skip(*rest, key_len), value_len);
    *rest = span_skip(*rest, (size_t)key_len + value_len);
    return err_ok();
}

struct err coord_file_read(struct span bytes, struct coord_rows *ret)
{
    struct coord_rows rows = { 0 };
    if (bytes.len == 0) {
        *ret = rows;
        return err_ok();
    }
    if (bytes.len < HEAD_BYTES + CRC_BYTES || memcmp(bytes.ptr, magic, MAGIC_BYTES - 1) != 0) {
        return err_make(ERR_CORRUPT, "configuration store");
    }
    if (bytes.ptr[MAGIC_BYTES - 1] != '1') return err_make(ERR_UNSUPPORTED, "configuration store");
    uint32_t crc, count;
    memcpy(&crc, bytes.ptr + bytes.len - CRC_BYTES, 4);
    if (crc != hash_crc32c(0, span_head(bytes, bytes.len - CRC_BYTES))) {
        return err_make(ERR_CORRUPT, "configuration store");
    }
    memcpy(&rows.revision, bytes.ptr + MAGIC_BYTES, 8);
    memcpy(&count, bytes.ptr + MAGIC_BYTES + 8, 4);
    if (count > ROWS_MAX) return err_make(ERR_CORRUPT, "configuration store");
    rows.rows = calloc(count + 1, sizeof(*rows.rows));
    if (rows.rows == NULL) return err_make(ERR_NOMEM, "configuration store");
    struct span rest = span_head(span_skip(bytes, HEAD_BYTES), bytes.len - HEAD_BYTES - CRC_BYTES);
    for (; rows.count < count; rows.count++) {
        struct err err = read_row(&rest, &rows.rows[rows.count]);
        if (err.code == ERR_OK && rows.count > 0 &&
            key_order(rows.rows[rows.count - 1].key, rows.rows[rows.count].key) >= 0) {
            err = err_make(ERR_CORRUPT, "order of the configuration store");
        }
        if (err.code != ERR_OK) {
            coord_rows_free(&rows);
            return err;
        }
    }
    if (rest.len != 0) {
        coord_rows_free(&rows);
        return err_make(ERR_CORRUPT, "configuration store");
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
        if (key_order(rows->rows[middle].key, key) < 0) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void put_row(char **at, struct span key, struct span value, uint64_t revision)
{
    uint16_t key_len = (uint16_t)key.len;
    uint32_t value_len = (uint32_t)value.len;
    memcpy(*at, &key_len, 2);
    memcpy(*at + 2, &value_len, 4);
    memcpy(*at + 6, &revision, 8);
    memcpy(*at + ROW_HEAD_BYTES, key.ptr, key.len);
    if (value.len > 0) memcpy(*at + ROW_HEAD_BYTES + key.len, value.ptr, value.len);
    *at += ROW_HEAD_BYTES + key.len + value.len;
}

struct err coord_file_change(const struct coord_rows *rows, const struct coord_row *change,
                             char **ret, size_t *ret_len)
{
    size_t at = coord_rows_find(rows, change->key);
    bool there = at < rows->count && span_eq(rows->rows[at].key, change->key);
    bool removes = change->value.ptr == NULL;
    uint64_t revision = there ? rows->rows[at].revision : 0;
    if (change->key.len == 0 || change->key.len > COORD_KEY_MAX_BYTES ||
        change->value.len > COORD_VALUE_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "configuration row");
    }
    if (change->revision != COORD_ANY && change->revision != revision) {
        return err_make(ERR_CONFLICT, "configuration row");
    }
    size_t size = HEAD_BYTES + CRC_BYTES + ROW_HEAD_BYTES + change->key.len + change->value.len;
    for (size_t i = 0; i < rows->count; i++) {
        size += ROW_HEAD_BYTES + rows->rows[i].key.len + rows->rows[i].value.len;
    }
    if (size > COORD_BYTES_MAX) return err_make(ERR_TOO_BIG, "configuration store");
    char *bytes = malloc(size), *to = bytes + HEAD_BYTES;
    if (bytes == NULL) return err_make(ERR_NOMEM, "configuration store");
    uint64_t next = rows->revision + 1;
    uint32_t count = 0;
    for (size_t i = 0; i <= rows->count; i++) {
        if (i == at && !removes) {
            put_row(&to, change->key, change->value, next);
            count++;
        }
        if (i == rows->count || (i == at && there)) continue;
        put_row(&to, rows->rows[i].key, rows->rows[i].value, rows->rows[i].revision);
        count++;
    }
    memcpy(bytes, magic, MAGIC_BYTES);
    memcpy(bytes + MAGIC_BYTES, &next, 8);
    memcpy(bytes + MAGIC_BYTES + 8, &count, 4);
    uint32_t crc = hash_crc32c(0, span_of(bytes, (size_t)(to - bytes)));
    memcpy(to, &crc, 4);
    *ret = bytes;
    *ret_len = (size_t)(to - bytes) + CRC_BYTES;
    return err_ok();
}
