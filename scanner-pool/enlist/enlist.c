#include "enlist.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "coord.h"
#include "coord_lease.h"
#include "id.h"
#include "loop.h"
#include "timer.h"

static const struct span turn_key = SPAN_INIT("signatures/reload");
static const struct span bad_key = SPAN_INIT("signatures/bad");

enum { WATCHES = 2, VALUE_BYTES = 4096, LAST_WAIT_MS = 2000 };

struct enlist {
    struct loop *loop;
    struct enlist_options options;
    struct roster_name name;
    struct roster_scanner row; /* as it should be */
    char key[ROSTER_KEY_MAX_BYTES];
    size_t key_len;
    struct coord_watch *watches[WATCHES];
    struct coord_lease *lease;
    struct timer timer;
    bool listed, was_listed, name_in_use, changing, failed;
    void (*stopped)(void *holder);
    void *stopped_holder;
};

static void look(void *holder);

static void tell(struct enlist *enlist, enum enlist_event event, struct err err)
{
    enlist->options.noticed(enlist->options.holder, event, err);
}

static void look_in(struct enlist *enlist, uint64_t wait_ms)
{
    if (enlist->stopped == NULL) timer_start(enlist->loop, &enlist->timer, wait_ms, look, enlist);
}

/* ---- the end */

static void end(void *holder)
{
    struct enlist *enlist = holder;
    void (*stopped)(void *) = enlist->stopped;
    void *stopped_holder = enlist->stopped_holder;
    timer_stop(&enlist->timer);
    free(enlist);
    stopped(stopped_holder);
}

static void stop_watches(struct enlist *enlist)
{
    for (unsigned i = 0; i < WATCHES; i++) coord_watch_stop(enlist->watches[i]);
}

static struct span own_key(const struct enlist *enlist)
{
    return span_of(enlist->key, enlist->key_len);
}

static void on_changed(void *holder, struct err err, uint64_t revision);

/* Sooner than the end of the lease does. */
static void remove_row(struct enlist *enlist)
{
    struct coord_row row;
    if (!coord_get(enlist->options.coord, own_key(enlist), &row)) return;
    struct coord_item item = { .key = own_key(enlist), .revision = row.revision,
                               .action = COORD_DELETE };
    struct coord_change change = { .items = &item, .count = 1, .wait_ms = LAST_WAIT_MS };
    enlist->changing = coord_change_start(enlist->options.coord, enlist->options.crew, &change,
                                          on_changed, enlist).code == ERR_OK;
}

void enlist_stop(struct enlist *enlist, void (*stopped)(void *holder), void *holder)
{
    enlist->stopped = stopped;
    enlist->stopped_holder = holder;
    stop_watches(enlist);
    if (enlist->listed && !enlist->changing) remove_row(enlist);
    coord_lease_stop(enlist->lease);
    enlist->lease = NULL;
    timer_stop(&enlist->timer);
    if (!enlist->changing) {
        timer_start(enlist->loop, &enlist->timer, TIMER_WAIT_MIN_MS, end, enlist);
    }
}

/* ---- changes */

static void failed(struct enlist *enlist, struct err err)
{
    if (!enlist->failed) tell(enlist, ENLIST_FAILED, err);
    enlist->failed = true;
    look_in(enlist, ENLIST_RETRY_MS);
}

static void on_changed(void *holder, struct err err, uint64_t revision)
{
    struct enlist *enlist = holder;
    (void)revision;
    enlist->changing = false;
    if (enlist->stopped != NULL) {
        end(enlist);
        return;
    }
    /* Whether it was carried out, the rows show: CONFLICT and UNKNOWN are no failures. */
    if (err.code == ERR_OK) {
        enlist->failed = false;
        look_in(enlist, TIMER_WAIT_MIN_MS);
    } else if (err.code == ERR_CONFLICT || err.code == ERR_UNKNOWN) {
        look_in(enlist, ENLIST_RETRY_MS);
    } else {
        failed(enlist, err);
    }
}

static void change(struct enlist *enlist, const struct coord_item *item)
{
    struct coord_change change = { .items = item, .count = 1 };
    struct err err = coord_change_start(enlist->options.coord, enlist->options.crew, &change,
                                        on_changed, enlist);
    enlist->changing = err.code == ERR_OK;
    if (err.code != ERR_OK) failed(enlist, err);
}

bool enlist_is_busy(const struct enlist *enlist) { return enlist->changing; }

/* ---- the row of this scanner */

/* Whether the row may be replaced. At our start one at our address is of a process that had it
 * before us; later it is of one that has followed us, and two must not write in turns. */
static bool is_ours(const struct enlist *enlist, const struct roster_scanner *old)
{
    if (roster_id_eq(&old->boot, &enlist->row.boot)) return true;
    return !enlist->was_listed &&
           span_eq(span_of(old->address, old->address_len),
                   span_of(enlist->row.address, enlist->row.address_len));
}

static void set_listed(struct enlist *enlist, bool listed)
{
    if (listed && !enlist->listed) tell(enlist, ENLIST_LISTED, err_ok());
    enlist->listed = listed;
    enlist->was_listed = enlist->was_listed || listed;
}

static void keep_row(struct enlist *enlist)
{
    char bytes[VALUE_BYTES];
    struct buf value;
    struct coord_row row;
    struct roster_scanner old;
    buf_init(&value, bytes, sizeof(bytes));
    roster_scanner_put(&value, &enlist->row);
    bool there = coord_get(enlist->options.coord, own_key(enlist), &row);
    bool reads = there && roster_scanner_read(row.value, &old).code == ERR_OK;
    bool in_use = reads && !is_ours(enlist, &old);
    set_listed(enlist, reads && roster_id_eq(&old.boot, &enlist->row.boot));
    if (in_use && !enlist->name_in_use) tell(enlist, ENLIST_NAME_IN_USE, err_ok());
    enlist->name_in_use = in_use;
    if (in_use || (there && span_eq(row.value, buf_span(&value)))) return; /* a watch looks again */
    struct coord_item item = { .key = own_key(enlist), .value = buf_span(&value),
                               .revision = there ? row.revision : 0, .action = COORD_PUT,
                               .lease = enlist->lease };
    change(enlist, &item);
}

static void on_lease(void *holder) { look_in(holder, TIMER_WAIT_MIN_MS); }

static void keep_lease(struct enlist *enlist)
{
    if (enlist->lease != NULL && coord_lease_state(enlist->lease) == COORD_LEASE_LOST) {
        coord_lease_stop(enlist->lease);
        enlist->lease = NULL;
        if (enlist->listed) tell(enlist, ENLIST_LEASE_LOST, err_ok());
        enlist->listed = false;
    }
    if (enlist->lease != NULL) return;
    struct err err = coord_lease_start(enlist->options.coord, ENLIST_LEASE_S, on_lease, enlist,
                                       &enlist->lease);
    if (err.code != ERR_OK) failed(enlist, err);
}

static bool is_held(const struct enlist *enlist)
{
    return enlist->lease != NULL && coord_lease_state(enlist->lease) == COORD_LEASE_HELD;
}

static void look(void *holder)
{
    struct enlist *enlist = holder;
    if (enlist->changing || enlist->stopped != NULL) return; /* its end looks again */
    keep_lease(enlist);
    if (is_held(enlist)) keep_row(enlist);
    enlist->options.changed(enlist->options.holder);
}

void enlist_say(struct enlist *enlist, const struct enlist_signatures *signatures)
{
    struct roster_scanner *row = &enlist->row;
    struct roster_text text;
    roster_text_set(&text, signatures->version);
    bool same = row->set == signatures->set && row->refused == signatures->refused &&
                row->signatures_ms == signatures->date_ms &&
                span_eq(roster_text_span(&text), roster_text_span(&row->version));
    row->set = signatures->set;
    row->signatures_ms = signatures->date_ms;
    row->refused = signatures->refused;
    row->version = text;
    if (!same) look_in(enlist, TIMER_WAIT_MIN_MS);
}

bool enlist_is_listed(const struct enlist *enlist) { return enlist->listed; }

bool enlist_has_contact(const struct enlist *enlist)
{
    return is_held(enlist) && coord_state(enlist->options.coord).code == ERR_OK;
}

/* ---- whose turn it is */

enum enlist_turn enlist_turn(const struct enlist *enlist)
{
    struct coord_row row;
    struct roster_reload reload;
    if (!coord_get(enlist->options.coord, turn_key, &row)) return ENLIST_NOBODYS;
    if (roster_reload_read(row.value, &reload).code != ERR_OK) return ENLIST_ANOTHERS;
    return roster_id_eq(&reload.boot, &enlist->row.boot) ? ENLIST_OURS : ENLIST_ANOTHERS;
}

void enlist_take_turn(struct enlist *enlist, uint64_t set)
{
    char bytes[VALUE_BYTES];
    struct buf value;
    struct roster_reload reload = { .scanner = enlist->name, .boot = enlist->row.boot,
                                    .set = set };
    if (enlist->changing || !is_held(enlist)) return;
    buf_init(&value, bytes, sizeof(bytes));
    roster_reload_put(&value, &reload);
    struct coord_item item = { .key = turn_key, .value = buf_span(&value), .revision = 0,
                               .action = COORD_PUT, .lease = enlist->lease };
    change(enlist, &item);
}

void enlist_give_turn(struct enlist *enlist)
{
    struct coord_row row;
    if (enlist->changing || enlist_turn(enlist) != ENLIST_OURS) return;
    if (!coord_get(enlist->options.coord, turn_key, &row)) return;
    struct coord_item item = { .key = turn_key, .revision = row.revision,
                               .action = COORD_DELETE };
    change(enlist, &item);
}

/* ---- bad sets */

void enlist_bad(const struct enlist *enlist, struct roster_bad *ret)
{
    struct coord_row row;
    ret->count = 0;
    if (!coord_get(enlist->options.coord, bad_key, &row)) return;
    if (roster_bad_read(row.value, ret).code != ERR_OK) ret->count = 0;
}

static void put_bad(struct enlist *enlist, const struct roster_bad *bad)
{
    char bytes[VALUE_BYTES];
    struct buf value;
    struct coord_row row;
    bool there = coord_get(enlist->options.coord, bad_key, &row);
    buf_init(&value, bytes, sizeof(bytes));
    roster_bad_put(&value, bad);
    struct coord_item item = { .key = bad_key, .value = buf_span(&value),
                               .revision = there ? row.revision : 0, .action = COORD_PUT };
    change(enlist, &item);
}

void enlist_mark(struct enlist *enlist, uint64_t set, struct span why)
{
    struct roster_bad bad;
    struct roster_bad_set one = { .set = set, .by = enlist->name };
    if (enlist->changing) return;
    roster_text_set(&one.why, why);
    enlist_bad(enlist, &bad);
    roster_bad_add(&bad, &one);
    put_bad(enlist, &bad);
}

void enlist_unmark(struct enlist *enlist, uint64_t set)
{
    struct roster_bad bad;
    if (enlist->changing) return;
    enlist_bad(enlist, &bad);
    roster_bad_remove(&bad, set);
    put_bad(enlist, &bad);
}

/* ---- the beginning */

static struct err start_watches(struct enlist *enlist)
{
    struct coord *coord = enlist->options.coord;
    TRY(coord_watch_start(coord, own_key(enlist), look, enlist, &enlist->watches[0]));
    return coord_watch_start(coord, SPAN("signatures/"), look, enlist, &enlist->watches[1]);
}

struct err enlist_start(struct loop *loop, const struct enlist_options *options,
                        struct enlist **ret)
{
    struct span address = options->address;
    bool good = address.len > 0 && address.len <= ROSTER_ADDRESS_MAX_BYTES;
    for (size_t i = 0; good && i < address.len; i++) {
        char c = address.ptr[i];
        good = c > ' ' && c <= '~' && c != '"' && c != '\\';
    }
    if (!good) return err_make(ERR_SYNTAX, "address of the scanner");
    struct enlist *enlist = calloc(1, sizeof(*enlist));
    if (enlist == NULL) return err_make(ERR_NOMEM, "scanner of the pool");
    enlist->loop = loop;
    enlist->options = *options;
    enlist->row.workers = options->workers;
    enlist->row.address_len = (uint32_t)address.len;
    memcpy(enlist->row.address, address.ptr, address.len);
    id_random(enlist->row.boot.bytes, ID_BYTES);
    struct err err = roster_name_set(&enlist->name, options->name);
    if (err.code == ERR_OK) {
        struct buf key;
        buf_init(&key, enlist->key, sizeof(enlist->key));
        roster_key_name(&key, "scanners", roster_name_span(&enlist->name));
        enlist->key_len = key.len;
        err = start_watches(enlist);
    }
    if (err.code != ERR_OK) {
        stop_watches(enlist);
        free(enlist);
        return err;
    }
    *ret = enlist;
    return err_ok();
}
