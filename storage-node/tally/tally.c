#include "tally.h"

#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "map.h"

enum {
    TALLY_HEAD_BYTES = 5,  /* of a map key: kind u8 | tenant u32 */
    TALLY_SWEEP = 2,       /* keys looked at with each check */
    TALLY_SWEEP_FULL = 64, /* and when there is no room */
};

enum tally_mode { TALLY_MODE_NONE, TALLY_MODE_EVENTS, TALLY_MODE_OPEN };

static const struct tally_row {
    const char *text;
    enum tally_mode mode;
    size_t keys_max;
} rows[TALLY_KINDS] = {
#define TALLY_KIND(name, text, mode, keys_max) \
    [TALLY_##name] = { text, TALLY_MODE_##mode, keys_max },
#include "tally_kinds.def"
#undef TALLY_KIND
};

/* What one owner has open of a key. */
struct tally_share {
    struct tally_share *next;
    uint64_t until_ms;
    uint32_t open;
    char owner[TALLY_OWNER_BYTES];
};

struct tally_events {
    uint64_t window_ms, begin_ms; /* of part 0 */
    uint64_t held_until_ms;
    uint64_t newest;              /* number of a part; part n stands at n % TALLY_BUCKETS */
    uint32_t parts[TALLY_BUCKETS];
    uint64_t reserve_newest;      /* number of a part of a reservation's time, from 1 */
    uint32_t reserved[TALLY_RESERVE_PARTS];
};

/* Freed in key_end() and nowhere else. */
struct tally_key {
    struct list link; /* of its kind: the one touched or looked at last stands last */
    uint8_t kind;
    uint16_t len;
    union {
        struct tally_events events;
        struct tally_share *shares;
    } is;
    char bytes[];     /* the map's key */
};

struct tally {
    struct map keys;
    size_t counts[TALLY_KINDS], shares;
    struct list rings[TALLY_KINDS];
};

struct err tally_new(struct tally **ret)
{
    struct tally *tally = calloc(1, sizeof(*tally));
    if (tally == NULL) return err_make(ERR_NOMEM, "counters");
    size_t keys_max = 0;
    for (unsigned i = 0; i < TALLY_KINDS; i++) {
        keys_max += rows[i].keys_max;
        list_init(&tally->rings[i]);
    }
    map_init(&tally->keys, keys_max);
    *ret = tally;
    return err_ok();
}

/* ---- keys */

static void shares_end(struct tally *tally, struct tally_key *key, uint64_t now_ms)
{
    for (struct tally_share **at = &key->is.shares; *at != NULL;) {
        struct tally_share *share = *at;
        if (share->until_ms > now_ms && share->open > 0) {
            at = &share->next;
            continue;
        }
        *at = share->next;
        free(share);
        tally->shares--;
    }
}

static void key_end(struct tally *tally, struct tally_key *key)
{
    if (rows[key->kind].mode == TALLY_MODE_OPEN) shares_end(tally, key, UINT64_MAX);
    (void)map_remove(&tally->keys, span_of(key->bytes, key->len));
    list_remove(&key->link);
    tally->counts[key->kind]--;
    free(key);
}

void tally_free(struct tally *tally)
{
    if (tally == NULL) return;
    for (unsigned i = 0; i < TALLY_KINDS; i++) {
        while (!list_is_empty(&tally->rings[i])) {
            key_end(tally, LIST_ITEM(tally->rings[i].next, struct tally_key, link));
        }
    }
    map_free(&tally->keys);
    free(tally);
}

/* Brings the parts up to now. False: none of them holds anything any more. */
static bool events_advance(struct tally_events *events, uint64_t now_ms)
{
    uint64_t width = (events->window_ms + TALLY_BUCKETS - 2) / (TALLY_BUCKETS - 1);
    if (width == 0) return false; /* new */
    uint64_t number = (now_ms - events->begin_ms) / width;
    if (number - events->newest >= TALLY_BUCKETS) return false;
    while (events->newest < number) events->parts[++events->newest % TALLY_BUCKETS] = 0;
    for (unsigned i = 0; i < TALLY_BUCKETS; i++) {
        if (events->parts[i] > 0) return true;
    }
    return false;
}

/* Brings the reservations up to now. Returns how many there are. */
static uint32_t reserved_count(struct tally_events *events, uint64_t now_ms)
{
    uint64_t number = now_ms / (TALLY_RESERVE_MS / (TALLY_RESERVE_PARTS - 1)) + 1;
    uint32_t sum = 0;
    if (number - events->reserve_newest >= TALLY_RESERVE_PARTS) {
        memset(events->reserved, 0, sizeof(events->reserved));
        events->reserve_newest = number;
    }
    while (events->reserve_newest < number) {
        events->reserved[++events->reserve_newest % TALLY_RESERVE_PARTS] = 0;
    }
    for (unsigned i = 0; i < TALLY_RESERVE_PARTS; i++) sum += events->reserved[i];
    return sum;
}

static bool key_is_over(struct tally *tally, struct tally_key *key, uint64_t now_ms)
{
    if (rows[key->kind].mode == TALLY_MODE_OPEN) {
        shares_end(tally, key, now_ms);
        return key->is.shares == NULL;
    }
    return key->is.events.held_until_ms <= now_ms && !events_advance(&key->is.events, now_ms) &&
           reserved_count(&key->is.events, now_ms) == 0;
}

/* Looks at the `count` keys not looked at for the longest time and clears away which have run out;
 * the others go to the end. */
static void tally_sweep(struct tally *tally, unsigned kind, unsigned count, uint64_t now_ms)
{
    struct list *keys = &tally->rings[kind];
    for (unsigned i = 0; i < count && !list_is_empty(keys); i++) {
        struct tally_key *key = LIST_ITEM(keys->next, struct tally_key, link);
        if (key_is_over(tally, key, now_ms)) {
            key_end(tally, key);
            continue;
        }
        list_remove(&key->link);
        list_add(keys, &key->link);
    }
}

static struct span key_bytes(const struct tally_ask *ask,
                             char bytes[TALLY_HEAD_BYTES + TALLY_KEY_MAX_BYTES])
{
    bytes[0] = (char)ask->kind;
    memcpy(bytes + 1, &ask->tenant, 4);
    memcpy(bytes + TALLY_HEAD_BYTES, ask->key.ptr, ask->key.len);
    return span_of(bytes, TALLY_HEAD_BYTES + ask->key.len);
}

static struct err key_make(struct tally *tally, unsigned kind, struct span bytes,
                           struct tally_key **ret)
{
    if (tally->counts[kind] >= rows[kind].keys_max) return err_make(ERR_BUSY, "keys of counters");
    struct tally_key *key = calloc(1, sizeof(*key) + bytes.len);
    if (key == NULL) return err_make(ERR_NOMEM, "counter");
    key->kind = (uint8_t)kind;
    key->len = (uint16_t)bytes.len;
    memcpy(key->bytes, bytes.ptr, bytes.len);
    struct err err = map_put(&tally->keys, span_of(key->bytes, key->len), key);
    if (err.code != ERR_OK) {
        free(key);
        return err;
    }
    list_init(&key->link);
    tally->counts[kind]++;
    *ret = key;
    return err_ok();
}

/* ---- events */

static uint32_t events_count(const struct tally_events *events, uint64_t now_ms)
{
    uint64_t width = (events->window_ms + TALLY_BUCKETS - 2) / (TALLY_BUCKETS - 1), sum = 0;
    for (unsigned i = 0; i < TALLY_BUCKETS; i++) sum += events->parts[i];
    if (events->newest >= TALLY_BUCKETS - 1) {
        /* The oldest part stands where the next will. */
        uint32_t oldest = events->parts[(events->newest + 1) % TALLY_BUCKETS];
        uint64_t end_ms = events->begin_ms + (events->newest - (TALLY_BUCKETS - 2)) * width;
        uint64_t left_ms = end_ms + events->window_ms - now_ms;
        if (end_ms + events->window_ms < now_ms) left_ms = 0;
        if (left_ms < width) sum -= oldest - oldest * left_ms / width;
    }
    return sum > UINT32_MAX ? UINT32_MAX : (uint32_t)sum;
}

/* Nothing has happened; what is reserved stays. */
static void events_forget(struct tally_events *events, uint64_t window_ms, uint64_t now_ms)
{
    struct tally_events fresh = { .window_ms = window_ms, .begin_ms = now_ms,
                                  .reserve_newest = events->reserve_newest };
    memcpy(fresh.reserved, events->reserved, sizeof(fresh.reserved));
    *events = fresh;
}

static void events_release(struct tally_events *events, uint64_t reservation)
{
    if (reservation == 0 || reservation > events->reserve_newest ||
        events->reserve_newest - reservation >= TALLY_RESERVE_PARTS) {
        return; /* it has run out */
    }
    uint32_t *part = &events->reserved[reservation % TALLY_RESERVE_PARTS];
    if (*part > 0) --*part;
}

/* There are `count` events, fewer than the limit. */
static void events_reserve(struct tally_events *events, const struct tally_ask *ask,
                           uint64_t now_ms, struct tally_answer *ret)
{
    uint64_t taken = (uint64_t)ret->count + reserved_count(events, now_ms);
    ret->busy = ask->limit != 0 && taken >= ask->limit;
    if (ret->busy) return;
    events->reserved[events->reserve_newest % TALLY_RESERVE_PARTS]++;
    ret->granted = 1;
    ret->reservation = events->reserve_newest;
}

static void events_take(struct tally_events *events, const struct tally_ask *ask, uint64_t now_ms,
                        struct tally_answer *ret)
{
    (void)reserved_count(events, now_ms);
    events_release(events, ask->release);
    if (events->held_until_ms > now_ms) {
        ret->count = ask->limit;
        ret->held_ms = events->held_until_ms - now_ms;
        return;
    }
    bool is_new = events->held_until_ms != 0 || events->window_ms != ask->window_ms;
    if (is_new || !events_advance(events, now_ms)) {
        events_forget(events, ask->window_ms, now_ms);
    }
    uint32_t *part = &events->parts[events->newest % TALLY_BUCKETS];
    *part = *part > UINT32_MAX - ask->add ? UINT32_MAX : *part + ask->add;
    ret->count = events_count(events, now_ms);
    if (ask->limit == 0 || ask->hold_ms == 0 || ret->count < ask->limit) {
        if (ask->more > 0) events_reserve(events, ask, now_ms, ret);
        return;
    }
    events->held_until_ms = now_ms + ask->hold_ms;
    ret->held_ms = ask->hold_ms;
    ret->began = true;
}

/* ---- what is open */

static struct tally_share *share_find(const struct tally_key *key, struct span owner,
                                      unsigned *ret_count)
{
    *ret_count = 0;
    for (struct tally_share *at = key->is.shares; at != NULL; at = at->next, ++*ret_count) {
        if (span_eq(span_of(at->owner, TALLY_OWNER_BYTES), owner)) return at;
    }
    return NULL;
}

static struct err share_take(struct tally *tally, struct tally_key *key, struct span owner,
                             struct tally_share **ret)
{
    unsigned count;
    struct tally_share *share = share_find(key, owner, &count);
    if (share == NULL) {
        if (count >= TALLY_OWNERS_MAX || tally->shares >= TALLY_SHARES_MAX) {
            return err_make(ERR_BUSY, "owners of counters");
        }
        share = calloc(1, sizeof(*share));
        if (share == NULL) return err_make(ERR_NOMEM, "counter");
        memcpy(share->owner, owner.ptr, TALLY_OWNER_BYTES);
        share->next = key->is.shares;
        key->is.shares = share;
        tally->shares++;
    }
    *ret = share;
    return err_ok();
}

static struct err open_take(struct tally *tally, struct tally_key *key,
                            const struct tally_ask *ask, uint64_t now_ms, struct tally_answer *ret)
{
    struct tally_share *own = NULL;
    uint64_t others = 0;
    shares_end(tally, key, now_ms);
    TRY(share_take(tally, key, ask->owner, &own));
    for (const struct tally_share *at = key->is.shares; at != NULL; at = at->next) {
        if (at != own) others += at->open;
    }
    uint64_t is_open = others + ask->open;
    uint64_t room = is_open >= ask->limit ? 0 : ask->limit - is_open;
    ret->granted = room < ask->more ? (uint32_t)room : ask->more;
    own->open = ask->open + ret->granted;
    own->until_ms = now_ms + ask->lease_ms;
    is_open = others + own->open;
    ret->count = is_open > UINT32_MAX ? UINT32_MAX : (uint32_t)is_open;
    return err_ok();
}

/* ---- checks */

static bool time_fits(uint64_t time_ms, uint64_t max_ms)
{
    return time_ms >= TALLY_TIME_MIN_MS && time_ms <= max_ms;
}

static struct err ask_check(const struct tally_ask *ask)
{
    if (ask->kind >= TALLY_KINDS || rows[ask->kind].mode == TALLY_MODE_NONE) {
        return err_make(ERR_SYNTAX, "kind of a counter");
    }
    if (ask->key.len == 0 || ask->key.len > TALLY_KEY_MAX_BYTES) {
        return err_make(ERR_SYNTAX, "key of a counter");
    }
    if (ask->add > TALLY_COUNT_MAX || ask->limit > TALLY_COUNT_MAX || ask->open > TALLY_COUNT_MAX ||
        ask->more > TALLY_COUNT_MAX) {
        return err_make(ERR_SYNTAX, "number of a counter");
    }
    if (rows[ask->kind].mode == TALLY_MODE_EVENTS) {
        bool fits = time_fits(ask->window_ms, TALLY_WINDOW_MAX_MS) &&
                    ask->hold_ms <= TALLY_WINDOW_MAX_MS && ask->more <= 1;
        return fits ? err_ok() : err_make(ERR_SYNTAX, "window of a counter");
    }
    if (ask->owner.len != TALLY_OWNER_BYTES) return err_make(ERR_SYNTAX, "owner of a counter");
    bool fits = time_fits(ask->lease_ms, TALLY_LEASE_MAX_MS);
    return fits ? err_ok() : err_make(ERR_SYNTAX, "lease of a counter");
}

/* Whether there is nothing to keep where nothing is yet. */
static bool ask_is_light(const struct tally_ask *ask)
{
    bool is_events = rows[ask->kind].mode == TALLY_MODE_EVENTS;
    return ask->more == 0 && (is_events ? ask->add == 0 : ask->open == 0);
}

struct err tally_take(struct tally *tally, const struct tally_ask *ask, uint64_t now_ms,
                      struct tally_answer *ret)
{
    char bytes[TALLY_HEAD_BYTES + TALLY_KEY_MAX_BYTES];
    struct tally_answer answer = { 0 };
    TRY(ask_check(ask));
    bool is_full = tally->counts[ask->kind] >= rows[ask->kind].keys_max;
    tally_sweep(tally, ask->kind, is_full ? TALLY_SWEEP_FULL : TALLY_SWEEP, now_ms);
    struct span name = key_bytes(ask, bytes);
    struct tally_key *key = map_get(&tally->keys, name);
    if (key != NULL && ask->clear && rows[key->kind].mode == TALLY_MODE_EVENTS) {
        events_forget(&key->is.events, ask->window_ms, now_ms);
    } else if (key != NULL && ask->clear) {
        key_end(tally, key);
        key = NULL;
    }
    if (key == NULL && ask_is_light(ask)) {
        *ret = answer;
        return err_ok();
    }
    if (key == NULL && ask->add == 0 && rows[ask->kind].mode == TALLY_MODE_EVENTS &&
        tally->counts[ask->kind] >= rows[ask->kind].keys_max) {
        answer.granted = 1; /* no room: a place that is not counted */
        *ret = answer;
        return err_ok();
    }
    if (key == NULL) TRY(key_make(tally, ask->kind, name, &key));
    struct err err = err_ok();
    if (rows[ask->kind].mode == TALLY_MODE_OPEN) err = open_take(tally, key, ask, now_ms, &answer);
    else events_take(&key->is.events, ask, now_ms, &answer);
    list_remove(&key->link);
    list_add(&tally->rings[ask->kind], &key->link);
    if (key_is_over(tally, key, now_ms)) key_end(tally, key);
    if (err.code == ERR_OK) *ret = answer;
    return err;
}

bool tally_look(struct tally *tally, const struct tally_ask *ask, uint64_t now_ms,
                struct tally_answer *ret)
{
    char bytes[TALLY_HEAD_BYTES + TALLY_KEY_MAX_BYTES];
    if (ask->key.len > TALLY_KEY_MAX_BYTES || ask->kind >= TALLY_KINDS) return false;
    struct tally_key *key = map_get(&tally->keys, key_bytes(ask, bytes));
    if (key == NULL || rows[key->kind].mode != TALLY_MODE_EVENTS) return false;
    struct tally_events *events = &key->is.events;
    *ret = (struct tally_answer){ 0 };
    if (events->held_until_ms > now_ms) ret->held_ms = events->held_until_ms - now_ms;
    else if (events->held_until_ms != 0 || !events_advance(events, now_ms)) return false;
    ret->count = events_count(events, now_ms);
    return true;
}

size_t tally_count(const struct tally *tally, enum tally_kind kind) { return tally->counts[kind]; }

const char *tally_kind_text(enum tally_kind kind) { return rows[kind].text; }
