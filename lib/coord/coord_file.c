/* The file `data`, integers little-endian:
 *
 *   "GWCOORD" | version u8 = '1' or '2' | revision u64 | count u32
 *   version 2: length u16 (to COORD_MOVED_MAX_BYTES) | where the store was moved to; empty: it was
 *     not
 *   count times, in ascending order of keys (by bytes, a prefix first), each key once:
 *     key length u16 (1 to COORD_KEY_MAX_BYTES) | value length u32 (to COORD_VALUE_MAX_BYTES)
 *     revision u64 (1 to the store's) | version 2: lease u64, 0: none | key | value
 *   CRC-32C u32 of everything before it
 *
 * An empty or missing file is a store at revision 0 without rows. What needs no version 2 is
 * written as version 1. */
#include "coord_file.h"

#include <stdlib.h>

#include "hash.h"

enum { MAGIC_BYTES = 8, ROW_HEAD_BYTES = 14, LEASE_BYTES = 8, MOVED_BYTES = 2, CRC_BYTES = 4 };

static const char magic[] = "GWCOORD";

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

/* ---- reading */

static bool version_of(struct span head, unsigned *ret)
{
    char version = head.ptr[MAGIC_BYTES - 1];
    *ret = version == '2' ? 2 : 1;
    return version == '1' || version == '2';
}

bool coord_file_revision(struct span head, uint64_t *ret)
{
    unsigned version;
    if (head.len < COORD_FILE_HEAD_BYTES || memcmp(head.ptr, magic, MAGIC_BYTES - 1) != 0 ||
        !version_of(head, &version)) {
        return false;
    }
    *ret = take(head.ptr + MAGIC_BYTES, 8);
    return true;
}

static size_t head_bytes(bool leases) { return ROW_HEAD_BYTES + (leases ? LEASE_BYTES : 0u); }

static struct err read_row(struct span *rest, struct coord_row *row, uint64_t *lease)
{
    size_t head = head_bytes(lease != NULL);
    if (rest->len < head) return corrupt();
    size_t key_len = (size_t)take(rest->ptr, 2), value_len = (size_t)take(rest->ptr + 2, 4);
    row->revision = take(rest->ptr + 6, 8);
    if (lease != NULL) *lease = take(rest->ptr + ROW_HEAD_BYTES, LEASE_BYTES);
    *rest = span_skip(*rest, head);
    if (key_len == 0 || key_len > COORD_KEY_MAX_BYTES || value_len > COORD_VALUE_MAX_BYTES ||
        key_len > rest->len || value_len > rest->len - key_len) {
        return corrupt();
    }
    row->key = span_head(*rest, key_len);
    row->value = span_head(span_skip(*rest, key_len), value_len);
    *rest = span_skip(*rest, key_len + value_len);
    return err_ok();
}

static struct err read_rows(struct span rest, size_t count, struct coord_store *store,
                            bool leases)
{
    struct coord_rows *rows = &store->rows;
    for (; rows->count < count; rows->count++) {
        struct coord_row *row = &rows->rows[rows->count];
        TRY(read_row(&rest, row, leases ? &store->leases[rows->count] : NULL));
        if (row->revision == 0 || row->revision > rows->revision) return corrupt();
        if (rows->count > 0 && span_order(row[-1].key, row->key) >= 0) return corrupt();
    }
    return rest.len == 0 ? err_ok() : corrupt();
}

static struct err read_moved(struct span *body, struct span *moved)
{
    if (body->len < MOVED_BYTES) return corrupt();
    size_t len = (size_t)take(body->ptr, MOVED_BYTES);
    *body = span_skip(*body, MOVED_BYTES);
    if (len > COORD_MOVED_MAX_BYTES || len > body->len) return corrupt();
    *moved = span_head(*body, len);
    *body = span_skip(*body, len);
    return err_ok();
}

static struct err store_room(struct coord_store *store, size_t count)
{
    store->rows.rows = calloc(count + 1, sizeof(*store->rows.rows));
    store->leases = calloc(count + 1, sizeof(*store->leases));
    if (store->rows.rows != NULL && store->leases != NULL) return err_ok();
    coord_store_free(store);
    return err_make(ERR_NOMEM, "configuration store");
}

struct err coord_file_read(struct span bytes, struct coord_store *ret)
{
    struct coord_store store = { .moved = span_of(NULL, 0) };
    unsigned version;
    if (bytes.len == 0) {
        *ret = store;
        return err_ok();
    }
    if (bytes.len < COORD_FILE_HEAD_BYTES + CRC_BYTES || bytes.len > COORD_BYTES_MAX ||
        memcmp(bytes.ptr, magic, MAGIC_BYTES - 1) != 0) {
        return corrupt();
    }
    if (!version_of(bytes, &version)) return err_make(ERR_UNSUPPORTED, "configuration store");
    struct span body = span_head(bytes, bytes.len - CRC_BYTES);
    if (take(bytes.ptr + body.len, CRC_BYTES) != hash_crc32c(0, body)) return corrupt();
    size_t count = (size_t)take(bytes.ptr + MAGIC_BYTES + 8, 4);
    body = span_skip(body, COORD_FILE_HEAD_BYTES);
    if (version == 2) TRY(read_moved(&body, &store.moved));
    if (count > COORD_ROWS_MAX || count > body.len / (head_bytes(version == 2) + 1)) {
        return corrupt();
    }
    TRY(store_room(&store, count));
    store.rows.revision = take(bytes.ptr + MAGIC_BYTES, 8);
    struct err err = read_rows(body, count, &store, version == 2);
    if (err.code != ERR_OK) {
        coord_store_free(&store);
        return err;
    }
    *ret = store;
    return err_ok();
}

void coord_store_free(struct coord_store *store)
{
    free(store->rows.rows);
    free(store->leases);
    *store = (struct coord_store){ .moved = span_of(NULL, 0) };
}

size_t coord_store_drop(struct coord_store *store,
                        bool (*gone)(void *holder, const struct coord_row *row, uint64_t lease),
                        void *holder)
{
    size_t kept = 0, count = store->rows.count;
    for (size_t i = 0; i < count; i++) {
        const struct coord_row *row = &store->rows.rows[i];
        if (store->leases[i] != 0 && gone(holder, row, store->leases[i])) continue;
        store->rows.rows[kept] = *row;
        store->leases[kept++] = store->leases[i];
    }
    store->rows.count = kept;
    return count - kept;
}

/* ---- writing */

static bool needs_version_2(const struct coord_store *store)
{
    for (size_t i = 0; i < store->rows.count; i++) {
        if (store->leases[i] != 0) return true;
    }
    return store->moved.len > 0;
}

static void put_bytes(char **at, struct span bytes)
{
    if (bytes.len > 0) memcpy(*at, bytes.ptr, bytes.len);
    *at += bytes.len;
}

static void put_row(char **at, const struct coord_row *row, const uint64_t *lease)
{
    put(*at, row->key.len, 2);
    put(*at + 2, row->value.len, 4);
    put(*at + 6, row->revision, 8);
    if (lease != NULL) put(*at + ROW_HEAD_BYTES, *lease, LEASE_BYTES);
    *at += head_bytes(lease != NULL);
    put_bytes(at, row->key);
    put_bytes(at, row->value);
}

struct err coord_file_write(const struct coord_store *store, char **ret, size_t *ret_len)
{
    const struct coord_rows *rows = &store->rows;
    bool second = needs_version_2(store);
    size_t size = COORD_FILE_HEAD_BYTES + CRC_BYTES;
    if (second) size += MOVED_BYTES + store->moved.len;
    for (size_t i = 0; i < rows->count; i++) {
        size += head_bytes(second) + rows->rows[i].key.len + rows->rows[i].value.len;
    }
    if (size > COORD_BYTES_MAX || rows->count > COORD_ROWS_MAX) {
        return err_make(ERR_TOO_BIG, "configuration store");
    }
    char *bytes = malloc(size), *to = bytes;
    if (bytes == NULL) return err_make(ERR_NOMEM, "configuration store");
    put_bytes(&to, span_of(magic, MAGIC_BYTES - 1));
    put_bytes(&to, second ? SPAN("2") : SPAN("1"));
    put(to, rows->revision, 8);
    put(to + 8, rows->count, 4);
    to = bytes + COORD_FILE_HEAD_BYTES;
    if (second) {
        put(to, store->moved.len, MOVED_BYTES);
        to += MOVED_BYTES;
        put_bytes(&to, store->moved);
    }
    for (size_t i = 0; i < rows->count; i++) {
        put_row(&to, &rows->rows[i], second ? &store->leases[i] : NULL);
    }
    put(to, hash_crc32c(0, span_of(bytes, size - CRC_BYTES)), CRC_BYTES);
    *ret = bytes;
    *ret_len = size;
    return err_ok();
}

/* ---- changing */

static struct err check_item(const struct coord_rows *rows, const struct coord_item *item)
{
    const struct coord_row *row = coord_rows_get(rows, item->key);
    uint64_t revision = row == NULL ? 0 : row->revision;
    if (item->revision == COORD_ANY || item->revision == revision) return err_ok();
    return err_make(ERR_CONFLICT, "configuration row");
}

/* The items' places in order of their keys. */
static void order_items(const struct coord_change *change, size_t order[COORD_CHANGE_ITEMS_MAX])
{
    for (size_t i = 0; i < change->count; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            if (span_order(change->items[order[at - 1]].key, change->items[i].key) < 0) break;
            order[at] = order[at - 1];
        }
        order[at] = i;
    }
}

static void add_row(struct coord_store *to, const struct coord_row *row, uint64_t lease)
{
    to->rows.rows[to->rows.count] = *row;
    to->leases[to->rows.count++] = lease;
}

/* Both in order of keys into one. */
static void merge(const struct coord_store *from, const struct coord_change *change,
                  const uint64_t *leases, struct coord_store *to)
{
    size_t order[COORD_CHANGE_ITEMS_MAX], at = 0;
    order_items(change, order);
    for (size_t i = 0; i <= change->count; i++) {
        const struct coord_item *item = i == change->count ? NULL : &change->items[order[i]];
        for (; at < from->rows.count; at++) {
            const struct coord_row *row = &from->rows.rows[at];
            if (item != NULL && span_order(row->key, item->key) >= 0) break;
            add_row(to, row, from->leases[at]);
        }
        if (item == NULL || item->action == COORD_COMPARE) continue;
        bool there = at < from->rows.count && span_eq(from->rows.rows[at].key, item->key);
        const struct coord_row made = { item->key, item->value, to->rows.revision };
        if (item->action == COORD_PUT) add_row(to, &made, leases[order[i]]);
        if (there) at++;
    }
}

static struct err check_open(const struct coord_store *store)
{
    if (store->moved.len > 0) return err_make(ERR_MOVED, "configuration store was moved to etcd");
    return err_ok();
}

struct err coord_file_apply(const struct coord_store *store, const struct coord_change *change,
                            const uint64_t *leases, struct coord_store *ret)
{
    struct coord_store changed = { .moved = store->moved };
    TRY(check_open(store));
    for (size_t i = 0; i < change->count; i++) TRY(check_item(&store->rows, &change->items[i]));
    TRY(store_room(&changed, store->rows.count + change->count));
    changed.rows.revision = store->rows.revision + 1;
    merge(store, change, leases, &changed);
    *ret = changed;
    return err_ok();
}

struct err coord_file_change(const struct coord_store *store, const struct coord_change *change,
                             const uint64_t *leases, char **ret, size_t *ret_len)
{
    struct coord_store changed;
    TRY(coord_file_apply(store, change, leases, &changed));
    struct err err = coord_file_write(&changed, ret, ret_len);
    coord_store_free(&changed);
    return err;
}

struct err coord_file_move(const struct coord_store *store, struct span where, char **ret,
                           size_t *ret_len)
{
    struct coord_store moved = *store;
    TRY(check_open(store));
    if (where.len == 0 || where.len > COORD_MOVED_MAX_BYTES) {
        return err_make(ERR_TOO_BIG, "where the configuration store goes");
    }
    moved.rows.revision++;
    moved.moved = where;
    return coord_file_write(&moved, ret, ret_len);
}
