#include "enroll.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "check.h"
#include "coord.h"
#include "coord_lease.h"
#include "crew.h"
#include "list.h"
#include "loop.h"
#include "peers.h"
#include "replica_step.h"
#include "shard.h"
#include "slot.h"
#include "store_node.h"
#include "timer.h"

/* A shard of the cluster, as far as it concerns this node. */
struct enroll_shard {
    bool failed;        /* it can't be opened */
    bool has_slots, has_row, has_place, wanted;
    struct roster_slots slots;
    struct replica_config config; /* the row; revision 0: not read yet */
    struct roster_place place;
    uint64_t place_revision;
    uint64_t told_row, told_place; /* revisions that the open copy was told */
};

struct enroll {
    struct loop *loop;
    struct enroll_options options;
    struct enroll_self self;
    struct roster_name name, zone;
    char address[ROSTER_ADDRESS_MAX_BYTES];
    size_t address_len;
    struct coord_watch *watch;
    struct coord_lease *lease;
    struct timer timer;
    bool known, live, putting, refused, name_in_use, kept, ready;
    unsigned under_way; /* changes, and the opening of a shard */
    struct crew_job opening;
    bool is_opening;
    uint32_t opening_shard;
    struct store_shard_place opening_place;
    struct err open_err;
    struct enroll_shard shards[STORE_SHARDS_MAX];
    struct roster_map_chunk chunk; /* the one being read */
    unsigned not_open;             /* counted by a look */
    void (*stopped)(void *holder);
    void *stopped_holder;
};

static void look(void *holder);

static void tell(struct enroll *enroll, struct enroll_notice notice)
{
    enroll->options.noticed(enroll->options.holder, &notice);
}

static void failed(struct enroll *enroll, struct err err)
{
    tell(enroll, (struct enroll_notice){ .event = ENROLL_FAILED, .err = err });
}

static void refuse(struct enroll *enroll, struct err err)
{
    enroll->refused = true;
    tell(enroll, (struct enroll_notice){ .event = ENROLL_REFUSED, .err = err });
}

static void look_in(struct enroll *enroll, uint64_t wait_ms)
{
    if (enroll->stopped != NULL || enroll->refused) return;
    timer_start(enroll->loop, &enroll->timer, wait_ms, look, enroll);
}

/* ---- the end ---- */

static void end(void *holder)
{
    struct enroll *enroll = holder;
    void (*stopped)(void *) = enroll->stopped;
    void *stopped_holder = enroll->stopped_holder;
    timer_stop(&enroll->timer);
    free(enroll);
    stopped(stopped_holder);
}

void enroll_stop(struct enroll *enroll, void (*stopped)(void *holder), void *holder)
{
    enroll->stopped = stopped;
    enroll->stopped_holder = holder;
    coord_watch_stop(enroll->watch);
    coord_lease_stop(enroll->lease);
    enroll->lease = NULL;
    timer_stop(&enroll->timer);
    if (enroll->under_way == 0) {
        timer_start(enroll->loop, &enroll->timer, TIMER_WAIT_MIN_MS, end, enroll);
    }
}

/* Something under way is over. False: so is everything, and `enroll` is gone. */
static bool one_less(struct enroll *enroll)
{
    enroll->under_way--;
    if (enroll->stopped == NULL) return true;
    if (enroll->under_way == 0) end(enroll);
    return false;
}

/* ---- one row: of the directory, and of the node while it lives ---- */

static void on_put(void *holder, struct err err, uint64_t revision)
{
    struct enroll *enroll = holder;
    (void)revision;
    enroll->putting = false;
    if (!one_less(enroll)) return;
    if (err.code != ERR_OK) {
        if (err.code != ERR_CONFLICT) failed(enroll, err);
        look_in(enroll, ENROLL_RETRY_MS);
        return;
    }
    bool was_known = enroll->known;
    enroll->known = true;
    if (was_known) enroll->live = true;
    tell(enroll, (struct enroll_notice){ .event = was_known ? ENROLL_LIVE : ENROLL_KNOWN });
    look_in(enroll, TIMER_WAIT_MIN_MS);
}

static void put(struct enroll *enroll, const struct coord_item *item)
{
    struct coord_change change = { .items = item, .count = 1 };
    struct err err = coord_change_start(enroll->options.coord, enroll->options.crew, &change,
                                        on_put, enroll);
    if (err.code == ERR_OK) {
        enroll->putting = true;
        enroll->under_way++;
        return;
    }
    failed(enroll, err);
    look_in(enroll, ENROLL_RETRY_MS);
}

static void put_store(struct enroll *enroll)
{
    char key_bytes[ROSTER_KEY_MAX_BYTES], bytes[1024];
    struct buf key, value;
    struct coord_row row;
    struct roster_store old, next;
    buf_init(&key, key_bytes, sizeof(key_bytes));
    buf_init(&value, bytes, sizeof(bytes));
    roster_key_id(&key, "stores", &enroll->self.sid);
    bool there = coord_get(enroll->options.coord, buf_span(&key), &row);
    struct err err = there ? roster_store_read(row.value, &old) : err_ok();
    if (err.code == ERR_OK) {
        err = enroll_store(there ? &old : NULL, store_node_boot(enroll->options.node),
                           &enroll->name, &enroll->zone, enroll->options.capacity_bytes, &next);
    }
    if (err.code != ERR_OK) {
        refuse(enroll, err);
        return;
    }
    roster_store_put(&value, &next);
    struct coord_item item = { .key = buf_span(&key), .value = buf_span(&value),
                               .revision = there ? row.revision : 0, .action = COORD_PUT };
    put(enroll, &item);
}

/* Sees to it that others see this node. */
static void keep_live(struct enroll *enroll)
{
    char key_bytes[ROSTER_KEY_MAX_BYTES], bytes[1024];
    struct buf key, value;
    struct coord_row row;
    struct roster_live old, own = { .boot = enroll->self.boot, .stores_count = 1 };
    buf_init(&key, key_bytes, sizeof(key_bytes));
    buf_init(&value, bytes, sizeof(bytes));
    roster_key_name(&key, "live", roster_name_span(&enroll->name));
    bool there = coord_get(enroll->options.coord, buf_span(&key), &row) &&
                 roster_live_read(row.value, &old).code == ERR_OK;
    if (there && roster_id_eq(&old.boot, &enroll->self.boot)) {
        enroll->live = true;
        return;
    }
    enroll->live = false;
    if (!enroll_may_go_live(&enroll->self, there ? &old : NULL)) {
        if (!enroll->name_in_use) {
            tell(enroll, (struct enroll_notice){ .event = ENROLL_NAME_IN_USE });
        }
        enroll->name_in_use = true;
        look_in(enroll, ENROLL_RETRY_MS);
        return;
    }
    enroll->name_in_use = false;
    own.stores[0] = enroll->self.sid;
    own.address_len = (uint32_t)enroll->address_len;
    memcpy(own.address, enroll->address, enroll->address_len);
    roster_live_put(&value, &own);
    struct coord_item item = { .key = buf_span(&key), .value = buf_span(&value),
                               .revision = there ? row.revision : 0, .action = COORD_PUT,
                               .lease = enroll->lease };
    put(enroll, &item);
}

static void on_lease(void *holder)
{
    struct enroll *enroll = holder;
    if (enroll->refused) return;
    look_in(enroll, TIMER_WAIT_MIN_MS);
}

static void look_at_lease(struct enroll *enroll)
{
    if (enroll->lease != NULL && coord_lease_state(enroll->lease) == COORD_LEASE_LOST) {
        coord_lease_stop(enroll->lease);
        enroll->lease = NULL;
        enroll->live = false;
        tell(enroll, (struct enroll_notice){ .event = ENROLL_LEASE_LOST });
    }
    if (enroll->lease == NULL) {
        struct err err = coord_lease_start(enroll->options.coord, ENROLL_LEASE_S, on_lease, enroll,
                                           &enroll->lease);
        if (err.code != ERR_OK) look_in(enroll, ENROLL_RETRY_MS);
        return;
    }
    if (coord_lease_state(enroll->lease) == COORD_LEASE_HELD && !enroll->putting) {
        keep_live(enroll);
    }
}

/* ---- shards ---- */

static void open_run(struct crew_job *job)
{
    struct enroll *enroll = LIST_ITEM(job, struct enroll, opening);
    enroll->open_err = store_node_open_shard(enroll->options.node, &enroll->opening_place);
}

static void open_done(struct crew_job *job)
{
    struct enroll *enroll = LIST_ITEM(job, struct enroll, opening);
    struct err err = enroll->open_err;
    uint32_t shard = enroll->opening_shard;
    enroll->is_opening = false;
    if (!one_less(enroll)) return;
    if (err.code != ERR_OK) {
        enroll->shards[shard].failed = true;
        tell(enroll, (struct enroll_notice){ .event = ENROLL_SHARD_FAILED, .shard = shard,
                                             .err = err });
    }
    look(enroll);
}

static void open_shard(struct enroll *enroll, uint32_t shard)
{
    if (enroll->is_opening) return;
    struct shard_peers *peers = peers_of_shard(enroll->options.peers, shard);
    if (peers == NULL) {
        look_in(enroll, ENROLL_RETRY_MS);
        return;
    }
    enroll->opening_shard = shard;
    enroll->opening_place = (struct store_shard_place){
        shard, enroll->shards[shard].slots.first, enroll->shards[shard].slots.end, peers,
        &enroll->self.boot
    };
    enroll->opening = (struct crew_job){ .run = open_run, .done = open_done, .loop = enroll->loop };
    struct err err = crew_run(enroll->options.crew, &enroll->opening);
    if (err.code != ERR_OK) {
        look_in(enroll, ENROLL_RETRY_MS);
        return;
    }
    enroll->is_opening = true;
    enroll->under_way++;
}

/* Tells an open copy what is new. */
static void tell_copy(struct enroll *enroll, uint32_t number)
{
    struct enroll_shard *shard = &enroll->shards[number];
    if (shard->has_place && shard->told_place != shard->place_revision) {
        peers_place(enroll->options.peers, number, &shard->place);
        shard->told_place = shard->place_revision;
    }
    if (shard->has_row && shard->told_row != shard->config.revision) {
        peers_row(enroll->options.peers, number, &shard->config);
        shard->told_row = shard->config.revision;
    }
}

static void look_at_shard(struct enroll *enroll, uint32_t number)
{
    struct enroll_shard *shard = &enroll->shards[number];
    bool open = store_node_shard(enroll->options.node, number) != NULL;
    shard->wanted = enroll_wants(&enroll->self, shard->has_row ? &shard->config.row : NULL,
                                 shard->has_place ? &shard->place : NULL);
    if (open) {
        tell_copy(enroll, number);
        return;
    }
    if (!shard->wanted || !shard->has_slots) return;
    enroll->not_open++;
    if (!shard->failed) open_shard(enroll, number);
}

static void on_shard(void *holder, const struct coord_row *row)
{
    struct enroll *enroll = holder;
    uint32_t number;
    if (roster_key_read_number(row->key, "shards", &number).code != ERR_OK) return;
    if (number >= store_node_shards(enroll->options.node)) return;
    struct enroll_shard *shard = &enroll->shards[number];
    if (shard->config.revision == row->revision) return;
    shard->config.revision = row->revision;
    shard->has_row = roster_shard_read(row->value, &shard->config.row).code == ERR_OK;
}

static void on_place(void *holder, const struct coord_row *row)
{
    struct enroll *enroll = holder;
    uint32_t number;
    if (roster_key_read_number(row->key, "place", &number).code != ERR_OK) return;
    if (number >= store_node_shards(enroll->options.node)) return;
    struct enroll_shard *shard = &enroll->shards[number];
    if (shard->place_revision == row->revision) return;
    shard->place_revision = row->revision;
    shard->has_place = roster_place_read(row->value, &shard->place).code == ERR_OK;
}

static void on_live(void *holder, const struct coord_row *row)
{
    struct enroll *enroll = holder;
    struct roster_live live;
    if (roster_live_read(row->value, &live).code != ERR_OK) return;
    peers_know(enroll->options.peers, &live);
}

/* Slots of shards that are known once stay: a shard is cut by other means. */
static void on_chunk(void *holder, const struct coord_row *row)
{
    struct enroll *enroll = holder;
    uint32_t number;
    if (roster_key_read_number(row->key, "map", &number).code != ERR_OK) return;
    if (roster_map_chunk_read(row->value, &enroll->chunk).code != ERR_OK) return;
    for (uint32_t i = 0; i < enroll->chunk.count; i++) {
        uint32_t shard = enroll->chunk.first + i;
        if (shard >= STORE_SHARDS_MAX || enroll->shards[shard].has_slots) continue;
        enroll->shards[shard].has_slots = true;
        enroll->shards[shard].slots = enroll->chunk.slots[i];
    }
}

/* Another process has opened a copy of this directory since: what is done here may be undone
 * there. */
static void look_for_clone(struct enroll *enroll)
{
    char bytes[ROSTER_KEY_MAX_BYTES];
    struct buf key;
    struct coord_row row;
    struct roster_store store;
    buf_init(&key, bytes, sizeof(bytes));
    roster_key_id(&key, "stores", &enroll->self.sid);
    if (!coord_get(enroll->options.coord, buf_span(&key), &row)) return;
    if (roster_store_read(row.value, &store).code != ERR_OK) return;
    if (!enroll_is_clone(&store, store_node_boot(enroll->options.node))) return;
    refuse(enroll, err_make(ERR_CONFLICT, "another process runs on a copy of this directory"));
}

static void look_at_shards(struct enroll *enroll)
{
    struct coord *coord = enroll->options.coord;
    struct coord_row row;
    enroll->not_open = 0;
    enroll->ready = false;
    if (!coord_get(coord, SPAN("map/head"), &row)) return;
    coord_list(coord, SPAN("live/"), on_live, enroll);
    coord_list(coord, SPAN("map/"), on_chunk, enroll);
    coord_list(coord, SPAN("place/"), on_place, enroll);
    coord_list(coord, SPAN("shards/"), on_shard, enroll);
    for (uint32_t i = 0; i < store_node_shards(enroll->options.node); i++)
        look_at_shard(enroll, i);
    enroll->ready = enroll->not_open == 0;
    if (!enroll->ready || enroll->kept || enroll->refused) return;
    /* All that is in this directory is open: what the log keeps is known. */
    struct err err = store_node_keep(enroll->options.node);
    enroll->kept = err.code == ERR_OK;
    if (err.code != ERR_OK) failed(enroll, err);
}

static void look(void *holder)
{
    struct enroll *enroll = holder;
    if (enroll->refused || enroll->stopped != NULL) return;
    if (!enroll->known) {
        if (!enroll->putting) put_store(enroll);
        return;
    }
    look_for_clone(enroll);
    if (enroll->refused) return;
    look_at_lease(enroll);
    look_at_shards(enroll);
}

bool enroll_is_ready(const struct enroll *enroll)
{
    return enroll->known && enroll->live && enroll->ready && !enroll->refused;
}

bool enroll_is_needed(const struct enroll *enroll)
{
    for (uint32_t i = 0; i < store_node_shards(enroll->options.node); i++) {
        const struct enroll_shard *shard = &enroll->shards[i];
        const struct roster_shard *row = &shard->config.row;
        if (!shard->has_row || !shard->has_place) continue;
        if (!roster_copies_have(&row->isr, &enroll->self.sid)) continue;
        if (row->isr.count > 1 && row->isr.count > shard->place.min_isr) return true;
        bool leads = row->has_leader && roster_id_eq(&row->leader, &enroll->self.sid);
        if (leads && row->isr.count > 1) return true;
    }
    return false;
}

struct err enroll_start(struct loop *loop, const struct enroll_options *options,
                        struct enroll **ret)
{
    if (options->address.len == 0 || options->address.len > ROSTER_ADDRESS_MAX_BYTES) {
        return err_make(ERR_SYNTAX, "address of the node");
    }
    struct enroll *enroll = calloc(1, sizeof(*enroll));
    if (enroll == NULL) return err_make(ERR_NOMEM, "member of the cluster");
    enroll->loop = loop;
    enroll->options = *options;
    enroll->address_len = options->address.len;
    memcpy(enroll->address, options->address.ptr, options->address.len);
    store_node_id(options->node, enroll->self.sid.bytes);
    enroll->self.boot = options->boot;
    struct err err = roster_name_set(&enroll->name, options->name);
    if (err.code == ERR_OK && options->zone.len > 0) {
        err = roster_name_set(&enroll->zone, options->zone);
    }
    if (err.code == ERR_OK) {
        err = coord_watch_start(options->coord, SPAN(""), look, enroll, &enroll->watch);
    }
    if (err.code != ERR_OK) {
        free(enroll);
        return err;
    }
    *ret = enroll;
    return err_ok();
}
