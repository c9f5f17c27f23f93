/* How a store moves:
 *
 *   1  a number for this move is kept in the file `moving` of the directory
 *   2  it is put into etcd as the key "moving": nobody reads a store that has it
 *   3  all rows are copied while programs go on to change the store
 *   4  under the lock: what changed meanwhile is copied, the store is marked as moved
 *   5  the key "moving" is deleted: the store in etcd is open
 *
 * A run that finds the key with its own number goes on from there: copying is making the space like
 * the store, whatever is in it. Every transaction compares the key's revision, so only one run
 * writes, and of each row the revision that was read, 0 for one that was not there. */
#include "coord_migrate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "buf.h"
#include "clock.h"
#include "coord_private.h"
#include "id.h"
#include "loop.h"

enum {
    TURN_MS = 50,
    PATH_BYTES = COORD_PATH_MAX_BYTES + 16,
    WHERE_BYTES = COORD_MOVED_MAX_BYTES,
    /* Of a transaction, so that the comparison of the key has its place too. */
    ROWS_AT_ONCE = COORD_CHANGE_ITEMS_MAX - 1,
    BYTES_AT_ONCE = COORD_CHANGE_BYTES_MAX / 2,
};

struct migration {
    const char *directory;
    struct loop *loop;
    struct coord *etcd;
    char id[ID_TEXT_BYTES];
    uint64_t moving; /* the key's revision; 0: it is not there */
    uint64_t until_ms;
    struct coord_migrated *done;
    struct span where;
    /* The transaction that is being put together. */
    struct coord_item items[COORD_CHANGE_ITEMS_MAX];
    size_t items_count, items_bytes;
    /* The answer that is waited for. */
    bool answered;
    struct err err;
    uint64_t revision;
};

/* ---- transactions, one after the other */

static void on_changed(void *holder, struct err err, uint64_t revision)
{
    struct migration *m = holder;
    m->answered = true;
    m->err = err;
    m->revision = revision;
}

static struct err change(struct migration *m, const struct coord_item *items, size_t count)
{
    uint64_t now_ms = clock_boot_ms();
    uint64_t left_ms = m->until_ms > now_ms ? m->until_ms - now_ms : 0;
    if (left_ms == 0) return err_make(ERR_TIMEOUT, "move of the configuration store");
    const struct coord_change change = {
        .items = items, .count = count,
        .wait_ms = left_ms < COORD_WAIT_MS ? (unsigned)left_ms : (unsigned)COORD_WAIT_MS,
    };
    m->answered = false;
    TRY(coord_change_start(m->etcd, NULL, &change, on_changed, m));
    while (!m->answered) loop_step(m->loop, TURN_MS);
    return m->err;
}

static struct coord_item moving_item(const struct migration *m, enum coord_action action)
{
    return (struct coord_item){ .key = SPAN(COORD_MOVING_KEY),
                                .value = span_of(m->id, sizeof(m->id)),
                                .revision = m->moving, .action = action };
}

static struct err flush(struct migration *m)
{
    if (m->items_count == 0) return err_ok();
    m->items[m->items_count] = moving_item(m, COORD_COMPARE);
    m->items[m->items_count].value = span_of(NULL, 0);
    struct err err = change(m, m->items, m->items_count + 1);
    if (err.code == ERR_OK) {
        m->done->rows += m->items_count;
        m->done->bytes += m->items_bytes;
    }
    m->items_count = m->items_bytes = 0;
    return err;
}

static struct err add(struct migration *m, const struct coord_item *item)
{
    size_t bytes = item->key.len + item->value.len;
    if (m->items_count == ROWS_AT_ONCE || m->items_bytes + bytes > BYTES_AT_ONCE) TRY(flush(m));
    m->items[m->items_count++] = *item;
    m->items_bytes += bytes;
    return err_ok();
}

/* ---- making the space like the store */

static struct err copy_row(struct migration *m, const struct coord_row *row)
{
    struct coord_row there;
    bool is = coord_get(m->etcd, row->key, &there);
    if (is && span_eq(there.value, row->value)) return err_ok();
    const struct coord_item item = { .key = row->key, .value = row->value,
                                     .revision = is ? there.revision : 0, .action = COORD_PUT };
    return add(m, &item);
}

/* What the space has too much, as copies: its rows move while transactions are carried out. */
struct extra {
    const struct coord_store *store;
    struct coord_row *rows;
    size_t count, size;
    bool failed;
};

static void find_extra(void *holder, const struct coord_row *row)
{
    struct extra *extra = holder;
    if (span_eq(row->key, SPAN(COORD_MOVING_KEY))) return;
    if (coord_rows_get(&extra->store->rows, row->key) != NULL) return;
    if (extra->count == extra->size) {
        size_t size = extra->size == 0 ? ROWS_AT_ONCE : extra->size * 2;
        struct coord_row *grown = realloc(extra->rows, size * sizeof(*grown));
        extra->failed = extra->failed || grown == NULL;
        if (grown == NULL) return;
        extra->rows = grown;
        extra->size = size;
    }
    char *key = malloc(row->key.len);
    extra->failed = extra->failed || key == NULL;
    if (key == NULL) return;
    memcpy(key, row->key.ptr, row->key.len);
    extra->rows[extra->count++] =
        (struct coord_row){ span_of(key, row->key.len), span_of(NULL, 0), row->revision };
}

static struct err delete_extra(struct migration *m, const struct coord_store *store)
{
    struct extra extra = { .store = store };
    coord_list(m->etcd, SPAN(""), find_extra, &extra);
    struct err err = extra.failed ? err_make(ERR_NOMEM, "configuration rows") : err_ok();
    for (size_t i = 0; i < extra.count && err.code == ERR_OK; i++) {
        const struct coord_item item = { .key = extra.rows[i].key,
                                         .revision = extra.rows[i].revision,
                                         .action = COORD_DELETE };
        err = add(m, &item);
    }
    if (err.code == ERR_OK) err = flush(m);
    for (size_t i = 0; i < extra.count; i++) {
        char *key;
        memcpy(&key, &extra.rows[i].key.ptr, sizeof(key)); /* ours to free, though seen as const */
        free(key);
    }
    free(extra.rows);
    return err;
}

/* Rows under leases belong to those who are here now; they put them into etcd themselves. */
static bool is_leased(void *holder, const struct coord_row *row, uint64_t lease)
{
    (void)holder;
    (void)row;
    (void)lease;
    return true;
}

static struct err copy_store(struct migration *m, const struct coord_store *store)
{
    for (size_t i = 0; i < store->rows.count; i++) TRY(copy_row(m, &store->rows.rows[i]));
    TRY(flush(m));
    return delete_extra(m, store);
}

/* A store as it is now, without leases. `*bytes` is malloc'd. */
static struct err load(const char *directory, struct coord_store *store, char **bytes)
{
    struct span read;
    bool same;
    TRY(coord_data_load(directory, 0, &read, &same));
    memcpy(bytes, &read.ptr, sizeof(*bytes)); /* ours to free, though seen as const */
    struct err err = coord_file_read(read, store);
    if (err.code != ERR_OK) free(*bytes);
    else (void)coord_store_drop(store, is_leased, NULL);
    return err;
}

static struct err copy_now(struct migration *m)
{
    struct coord_store store;
    char *bytes;
    TRY(load(m->directory, &store, &bytes));
    struct err err = copy_store(m, &store);
    coord_store_free(&store);
    free(bytes);
    return err;
}

/* ---- the number of this move */

static struct err id_err(void) { return err_make_detail(ERR_IO, errno, "number of the move"); }

static struct err id_make(struct migration *m, const char *path)
{
    char new_path[PATH_BYTES + 4];
    uint8_t id[ID_BYTES];
    id_random(id, sizeof(id));
    id_hex(id, sizeof(id), m->id);
    snprintf(new_path, sizeof(new_path), "%s.new", path);
    int fd = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return id_err();
    bool good = coord_give_to_owner(fd, m->directory) &&
                write(fd, m->id, sizeof(m->id)) == (ssize_t)sizeof(m->id) && fsync(fd) == 0;
    struct err err = good ? err_ok() : id_err();
    close(fd);
    if (err.code == ERR_OK && rename(new_path, path) != 0) err = id_err();
    return err;
}

static void id_path(const struct migration *m, char to[PATH_BYTES])
{
    snprintf(to, PATH_BYTES, "%s/%s", m->directory, COORD_MOVING_KEY);
}

static struct err id_load(struct migration *m)
{
    char path[PATH_BYTES];
    id_path(m, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return errno == ENOENT ? id_make(m, path) : id_err();
    ssize_t n = read(fd, m->id, sizeof(m->id));
    close(fd);
    return n == (ssize_t)sizeof(m->id) ? err_ok() : err_make(ERR_CORRUPT, "number of the move");
}

/* ---- steps */

static struct err begin(struct migration *m)
{
    struct coord_row row;
    if (coord_get(m->etcd, SPAN(COORD_MOVING_KEY), &row)) {
        if (!span_eq(row.value, span_of(m->id, sizeof(m->id)))) {
            return err_make(ERR_EXISTS, "another migration fills this cluster in etcd");
        }
        m->moving = row.revision;
        return err_ok();
    }
    struct extra extra = { .store = &(struct coord_store){ .moved = span_of(NULL, 0) } };
    coord_list(m->etcd, SPAN(""), find_extra, &extra);
    bool empty = extra.count == 0 && !extra.failed;
    for (size_t i = 0; i < extra.count; i++) {
        char *key;
        memcpy(&key, &extra.rows[i].key.ptr, sizeof(key)); /* as above */
        free(key);
    }
    free(extra.rows);
    if (!empty) return err_make(ERR_EXISTS, "cluster in etcd that is not empty");
    const struct coord_item item = moving_item(m, COORD_PUT);
    TRY(change(m, &item, 1));
    m->moving = m->revision;
    return err_ok();
}

static struct err mark_store(void *holder, const struct coord_store *store, char **ret,
                             size_t *ret_len)
{
    const struct migration *m = holder;
    return coord_file_move(store, m->where, ret, ret_len);
}

static struct err move_locked(struct migration *m)
{
    int lock;
    TRY(coord_data_lock(m->directory, &lock));
    uint64_t from_ms = clock_boot_ms();
    m->until_ms = from_ms + COORD_MIGRATE_LOCKED_MS;
    struct err err = copy_now(m);
    if (err.code == ERR_OK) err = coord_data_alter(m->directory, mark_store, m);
    close(lock); /* lets go of it */
    m->done->locked_ms = (unsigned)(clock_boot_ms() - from_ms);
    return err;
}

/* The store in etcd is open from now on. */
static struct err open_space(struct migration *m)
{
    char path[PATH_BYTES];
    m->until_ms = clock_boot_ms() + COORD_WAIT_MS;
    struct coord_item item = moving_item(m, COORD_DELETE);
    item.value = span_of(NULL, 0);
    TRY(change(m, &item, 1));
    id_path(m, path);
    unlink(path);
    return err_ok();
}

/* Of a store that an earlier run has marked. */
static struct err finish(struct migration *m, struct span moved)
{
    struct coord_row row;
    if (!span_eq(moved, m->where)) {
        return err_make(ERR_CONFLICT, "configuration store was moved elsewhere");
    }
    m->done->was_moved = true;
    if (!coord_get(m->etcd, SPAN(COORD_MOVING_KEY), &row)) return err_ok();
    TRY(id_load(m));
    TRY(begin(m));
    return open_space(m);
}

static struct err migrate(struct migration *m, const struct coord_store *store)
{
    m->until_ms = clock_boot_ms() + COORD_MIGRATE_COPY_MS;
    if (store->moved.len > 0) return finish(m, store->moved);
    TRY(id_load(m));
    TRY(begin(m));
    TRY(copy_now(m));
    TRY(move_locked(m));
    return open_space(m);
}

static struct err migrate_with_loop(struct migration *m, const struct coord_options *to)
{
    struct coord_store store;
    char *bytes;
    TRY(load(m->directory, &store, &bytes));
    struct err err = coord_open_filling(m->loop, to, &m->etcd);
    if (err.code == ERR_OK) err = migrate(m, &store);
    coord_close(m->etcd);
    coord_store_free(&store);
    free(bytes);
    return err;
}

struct err coord_migrate(const char *directory, const struct coord_options *to,
                         struct coord_migrated *ret)
{
    char where[WHERE_BYTES];
    struct buf out;
    struct coord_options all = *to;
    struct coord_options_copy *checked;
    struct coord_migrated done = { 0 };
    all.directory = NULL;
    all.prefixes_count = 0;
    TRY(coord_options_copy(&all, &checked));
    free(checked);
    if (strlen(directory) >= COORD_PATH_MAX_BYTES) return err_make(ERR_TOO_BIG, "path");
    buf_init(&out, where, sizeof(where));
    coord_options_write(&out, &all);
    if (out.overflow) return err_make(ERR_TOO_BIG, "options of the configuration store");
    struct migration *m = calloc(1, sizeof(*m));
    if (m == NULL) return err_make(ERR_NOMEM, "move of the configuration store");
    m->directory = directory;
    m->where = buf_span(&out);
    m->done = &done;
    struct err err = loop_new(&m->loop);
    if (err.code == ERR_OK) {
        err = migrate_with_loop(m, &all);
        loop_free(m->loop);
    }
    free(m);
    if (err.code == ERR_OK) *ret = done;
    return err;
}
