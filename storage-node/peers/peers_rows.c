/* The rows of the shards: compare-and-swap, and reads that see every change made before. */
#include <string.h>

#include "buf.h"
#include "coord.h"
#include "peers_private.h"

enum { ROW_BYTES = 4096 };

/* ---- on the shards' threads */

void peers_cas(struct shard_peers *base, struct shard *shard, const struct replica_cas *cas)
{
    struct peers_shard *at = LIST_ITEM(base, struct peers_shard, base);
    (void)shard;
    pthread_mutex_lock(&at->peers->lock);
    at->cas = *cas;
    at->wants_cas = true;
    peers_want_shard(at);
    pthread_mutex_unlock(&at->peers->lock);
}

void peers_read_row(struct shard_peers *base, struct shard *shard)
{
    struct peers_shard *at = LIST_ITEM(base, struct peers_shard, base);
    (void)shard;
    pthread_mutex_lock(&at->peers->lock);
    at->wants_row = true;
    peers_want_shard(at);
    pthread_mutex_unlock(&at->peers->lock);
}

/* ---- reading */

static void row_answer(struct peers_shard *at, struct err err)
{
    char bytes[ROSTER_KEY_MAX_BYTES];
    struct buf key;
    struct coord_row row;
    struct replica_config config = { 0 };
    struct replica_event event = { .kind = REPLICA_EVENT_READ_ROW, .config = &config };
    buf_init(&key, bytes, sizeof(bytes));
    roster_key_number(&key, "shards", at->number);
    bool there = err.code == ERR_OK && coord_get(at->peers->options.coord, buf_span(&key), &row);
    if (err.code == ERR_OK && !there) err = err_make(ERR_NOT_FOUND, "row of the shard");
    if (there) {
        config.revision = row.revision;
        err = roster_shard_read(row.value, &config.row);
    }
    event.code = err.code;
    peers_event(at, &event);
}

static void refresh(struct peers *peers);

static void on_refreshed(void *holder, struct err err)
{
    struct peers *peers = holder;
    peers->refreshing = false;
    if (peers->stopped) return;
    for (unsigned i = 0; i < STORE_SHARDS_MAX; i++) {
        struct peers_shard *at = peers->shards[i];
        if (at == NULL || !at->row_asked) continue;
        at->row_asked = false;
        row_answer(at, err);
    }
    refresh(peers);
}

/* Starts one for all that wait. */
static void refresh(struct peers *peers)
{
    bool any = false;
    if (peers->refreshing) return;
    for (unsigned i = 0; i < STORE_SHARDS_MAX; i++) {
        struct peers_shard *at = peers->shards[i];
        if (at == NULL || !at->row_waits) continue;
        at->row_waits = false;
        at->row_asked = any = true;
    }
    if (!any) return;
    peers->refreshing = true;
    struct err err = coord_refresh_start(peers->options.coord, SPAN("shards/"), on_refreshed,
                                         peers);
    if (err.code != ERR_OK) on_refreshed(peers, err);
}

/* ---- changing */

struct process {
    const struct roster_id *sid, *boot;
    uint64_t revision;
    char key[ROSTER_KEY_MAX_BYTES];
    size_t key_len;
};

/* The row of the process that has the store and the boot id. */
static void on_live(void *holder, const struct coord_row *row)
{
    struct process *process = holder;
    struct roster_live live;
    if (row->key.len > sizeof(process->key)) return;
    if (roster_live_read(row->value, &live).code != ERR_OK) return;
    if (!roster_id_eq(&live.boot, process->boot)) return;
    for (uint32_t i = 0; i < live.stores_count; i++) {
        if (!roster_id_eq(&live.stores[i], process->sid)) continue;
        process->revision = row->revision;
        process->key_len = row->key.len;
        memcpy(process->key, row->key.ptr, row->key.len);
    }
}

struct cas_rows {
    char shard_key[ROSTER_KEY_MAX_BYTES], store_key[ROSTER_KEY_MAX_BYTES], value[ROW_BYTES];
    struct process process;
    struct coord_item items[3];
    size_t count;
};

/* The same store, and the same process, that acknowledged what makes it fit to join. */
static struct err compare_joining(struct peers *peers, const struct replica_cas *cas,
                                  struct cas_rows *rows)
{
    struct buf key;
    struct coord_row store;
    buf_init(&key, rows->store_key, sizeof(rows->store_key));
    roster_key_id(&key, "stores", &cas->joins);
    rows->process.sid = &cas->joins;
    rows->process.boot = &cas->joins_boot;
    coord_list(peers->options.coord, SPAN("live/"), on_live, &rows->process);
    if (!coord_get(peers->options.coord, buf_span(&key), &store) || rows->process.revision == 0)
        return err_make(ERR_CONFLICT, "the copy's process is not the one that acknowledged");
    rows->items[rows->count++] = (struct coord_item){ .key = buf_span(&key),
                                                      .revision = store.revision,
                                                      .action = COORD_COMPARE };
    rows->items[rows->count++] = (struct coord_item){
        .key = span_of(rows->process.key, rows->process.key_len),
        .revision = rows->process.revision, .action = COORD_COMPARE
    };
    return err_ok();
}

static void cas_answer(struct peers_shard *at, struct err err, uint64_t revision)
{
    struct replica_event event = { .kind = REPLICA_EVENT_CAS, .code = err.code, .index = revision,
                                   .nonce = at->cas_nonce };
    peers_event(at, &event);
}

static void cas_go(struct peers_shard *at);

static void on_changed(void *holder, struct err err, uint64_t revision)
{
    struct peers_shard *at = holder;
    at->cas_under_way = false;
    if (at->peers->stopped) return;
    cas_answer(at, err, revision);
    if (at->cas_waits) cas_go(at);
}

static void cas_go(struct peers_shard *at)
{
    struct peers *peers = at->peers;
    struct replica_cas cas;
    struct cas_rows rows = { .count = 0 };
    struct buf key, value;
    pthread_mutex_lock(&peers->lock);
    cas = at->cas;
    pthread_mutex_unlock(&peers->lock);
    at->cas_waits = false;
    at->cas_nonce = cas.row.nonce;
    buf_init(&key, rows.shard_key, sizeof(rows.shard_key));
    buf_init(&value, rows.value, sizeof(rows.value));
    roster_key_number(&key, "shards", at->number);
    roster_shard_put(&value, &cas.row);
    rows.items[rows.count++] = (struct coord_item){ .key = buf_span(&key),
                                                    .value = buf_span(&value),
                                                    .revision = cas.revision,
                                                    .action = COORD_PUT };
    struct err err = err_ok();
    if (cas.change == REPLICA_EXPAND) err = compare_joining(peers, &cas, &rows);
    struct coord_change change = { .items = rows.items, .count = rows.count,
                                   .wait_ms = REPLICA_ASK_MS };
    if (err.code == ERR_OK) {
        err = coord_change_start(peers->options.coord, peers->options.crew, &change, on_changed,
                                 at);
    }
    if (err.code == ERR_OK) at->cas_under_way = true;
    else cas_answer(at, err, 0);
}

void peers_rows_go(struct peers_shard *at, bool cas, bool row)
{
    if (cas) {
        at->cas_waits = true; /* behind the one under way, of which nothing is known yet */
        if (!at->cas_under_way) cas_go(at);
    }
    if (row) {
        at->row_waits = true;
        refresh(at->peers);
    }
}
