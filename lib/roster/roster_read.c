/* Rows -> structs. */
#include <jansson.h>

#include "roster.h"
#include "roster_scanner.h"
#include "roster_words_private.h"
#include "slot.h"

static struct err bad(void) { return err_make(ERR_CORRUPT, "row of the cluster"); }

/* One row while it is read. The first field that is not as it must be sets `err`. */
struct row {
    json_t *json;
    struct err err;
};

static struct row row_of(struct span value)
{
    struct row row = { NULL, err_ok() };
    if (value.len < ROSTER_VALUE_MAX_BYTES) {
        row.json = json_loadb(value.ptr, value.len, JSON_REJECT_DUPLICATES, NULL);
    }
    if (!json_is_object(row.json)) row.err = bad();
    return row;
}

static struct err row_end(struct row *row)
{
    json_decref(row->json);
    return row->err;
}

static struct span text_of(const json_t *json)
{
    const char *text = json_string_value(json);
    return text == NULL ? span_of(NULL, 0) : span_of(text, json_string_length(json));
}

static uint64_t number_of(struct row *row, const json_t *json, uint64_t max)
{
    if (row->err.code != ERR_OK) return 0;
    json_int_t number = json_is_integer(json) ? json_integer_value(json) : -1;
    if (number < 0 || (uint64_t)number > max) {
        row->err = bad();
        return 0;
    }
    return (uint64_t)number;
}

static uint64_t get_number(struct row *row, const char *field, uint64_t max)
{
    return number_of(row, json_object_get(row->json, field), max);
}

static void id_of(struct row *row, const json_t *json, struct roster_id *ret)
{
    if (row->err.code == ERR_OK && roster_id_read(text_of(json), ret).code != ERR_OK) {
        row->err = bad();
    }
}

static void get_id(struct row *row, const char *field, struct roster_id *ret)
{
    id_of(row, json_object_get(row->json, field), ret);
}

static void get_name(struct row *row, const char *field, bool may_be_empty,
                     struct roster_name *ret)
{
    const json_t *json = json_object_get(row->json, field);
    ret->len = 0;
    if (row->err.code != ERR_OK) return;
    if (may_be_empty && json_is_string(json) && json_string_length(json) == 0) return;
    if (roster_name_set(ret, text_of(json)).code != ERR_OK) row->err = bad();
}

static unsigned get_word(struct row *row, const char *field, const char *const *words,
                         unsigned count)
{
    struct span text = text_of(json_object_get(row->json, field));
    for (unsigned i = 0; i < count; i++) {
        if (span_eq(text, span_of(words[i], strlen(words[i])))) return i;
    }
    if (row->err.code == ERR_OK) row->err = bad();
    return 0;
}

/* Distinct ids, at most `max`. Returns their number. */
static uint32_t get_ids(struct row *row, const char *field, struct roster_id *ids, uint32_t max)
{
    const json_t *list = json_object_get(row->json, field);
    size_t count = json_array_size(list);
    if (row->err.code == ERR_OK && (!json_is_array(list) || count > max)) row->err = bad();
    for (size_t i = 0; i < count && row->err.code == ERR_OK; i++) {
        id_of(row, json_array_get(list, i), &ids[i]);
        for (size_t j = 0; j < i && row->err.code == ERR_OK; j++) {
            if (roster_id_eq(&ids[i], &ids[j])) row->err = bad();
        }
    }
    return row->err.code == ERR_OK ? (uint32_t)count : 0;
}

/* An address: visible ASCII that JSON does not escape. */
static uint32_t get_text(struct row *row, const char *field, char *text, uint32_t max)
{
    struct span from = text_of(json_object_get(row->json, field));
    if (row->err.code != ERR_OK) return 0;
    bool good = from.len > 0 && from.len <= max;
    for (size_t i = 0; good && i < from.len; i++) {
        good = from.ptr[i] > ' ' && from.ptr[i] <= '~' && from.ptr[i] != '"' &&
               from.ptr[i] != '\\';
    }
    if (!good) {
        row->err = bad();
        return 0;
    }
    memcpy(text, from.ptr, from.len);
    return (uint32_t)from.len;
}

/* An address, or the empty text. */
static uint32_t get_place(struct row *row, const char *field, char *text)
{
    const json_t *json = json_object_get(row->json, field);
    if (json_is_string(json) && json_string_length(json) == 0) return 0;
    return get_text(row, field, text, ROSTER_ADDRESS_MAX_BYTES);
}

struct err roster_store_read(struct span value, struct roster_store *ret)
{
    struct row row = row_of(value);
    get_name(&row, "node", false, &ret->node);
    get_name(&row, "zone", true, &ret->zone);
    ret->boot = get_number(&row, "boot", INT64_MAX);
    ret->capacity_bytes = get_number(&row, "capacity", INT64_MAX);
    ret->state = (enum roster_store_state)get_word(&row, "state", roster_state_words,
                                                   ROSTER_STATE_WORDS);
    return row_end(&row);
}

struct err roster_live_read(struct span value, struct roster_live *ret)
{
    struct row row = row_of(value);
    get_id(&row, "boot", &ret->boot);
    ret->stores_count = get_ids(&row, "stores", ret->stores, ROSTER_STORES_MAX);
    ret->address_len = get_text(&row, "address", ret->address, ROSTER_ADDRESS_MAX_BYTES);
    return row_end(&row);
}

struct err roster_program_read(struct span value, struct roster_program *ret)
{
    struct row row = row_of(value);
    get_id(&row, "boot", &ret->boot);
    get_name(&row, "version", false, &ret->version);
    ret->address_len = get_place(&row, "address", ret->address);
    ret->admin_len = get_place(&row, "admin", ret->admin);
    return row_end(&row);
}

/* One of the copies, if the field is there. */
static bool get_copy(struct row *row, const char *field, const struct roster_copies *copies,
                     struct roster_id *ret)
{
    const json_t *json = json_object_get(row->json, field);
    if (json == NULL) return false;
    id_of(row, json, ret);
    if (row->err.code == ERR_OK && !roster_copies_have(copies, ret)) row->err = bad();
    return row->err.code == ERR_OK;
}

struct err roster_place_read(struct span value, struct roster_place *ret)
{
    struct row row = row_of(value);
    ret->replicas.count = get_ids(&row, "replicas", ret->replicas.ids, ROSTER_COPIES_MAX);
    ret->target = (uint32_t)get_number(&row, "target", ROSTER_COPIES_MAX);
    ret->min_isr = (uint32_t)get_number(&row, "min_isr", ret->target);
    ret->has_leaving = get_copy(&row, "leaving", &ret->replicas, &ret->leaving);
    ret->has_lead = get_copy(&row, "lead", &ret->replicas, &ret->lead);
    ret->by_hand = json_is_true(json_object_get(row.json, "by_hand"));
    if (row.err.code == ERR_OK &&
        (ret->replicas.count == 0 || ret->target == 0 || ret->min_isr == 0)) {
        row.err = bad();
    }
    return row_end(&row);
}

struct err roster_shard_read(struct span value, struct roster_shard *ret)
{
    struct row row = row_of(value);
    ret->epoch = get_number(&row, "epoch", INT64_MAX);
    ret->has_leader = ret->epoch > 0;
    if (ret->has_leader) {
        get_id(&row, "leader", &ret->leader);
        get_id(&row, "boot", &ret->boot);
    }
    ret->how = (enum roster_how)get_word(&row, "how", roster_how_words, ROSTER_HOW_WORDS);
    ret->isr.count = get_ids(&row, "isr", ret->isr.ids, ROSTER_COPIES_MAX);
    get_id(&row, "nonce", &ret->nonce);
    bool forced = json_object_get(row.json, "lossy") != NULL;
    ret->lossy = forced ? get_number(&row, "lossy", ret->epoch) : 0;
    ret->base = ret->lossy > 0 ? get_number(&row, "base", INT64_MAX) : 0;
    if (row.err.code == ERR_OK) {
        bool first = ret->how == ROSTER_BOOTSTRAP;
        if (ret->isr.count == 0 || first != !ret->has_leader ||
            (ret->has_leader && !roster_copies_have(&ret->isr, &ret->leader))) {
            row.err = bad();
        }
    }
    return row_end(&row);
}

struct err roster_map_head_read(struct span value, struct roster_map_head *ret)
{
    struct row row = row_of(value);
    *ret = (struct roster_map_head){ .version = 0 };
    ret->shards = (uint32_t)get_number(&row, "shards", ROSTER_SHARDS_MAX);
    if (row.err.code == ERR_OK && json_object_get(row.json, "node") != NULL) {
        ret->node_len = get_text(&row, "node", ret->node, ROSTER_ADDRESS_MAX_BYTES);
    } else {
        ret->version = get_number(&row, "version", INT64_MAX);
        ret->chunks = (uint32_t)get_number(&row, "chunks", ROSTER_SHARDS_MAX);
        uint32_t want = (ret->shards + ROSTER_CHUNK_SHARDS - 1) / ROSTER_CHUNK_SHARDS;
        if (row.err.code == ERR_OK && ret->chunks != want) row.err = bad();
    }
    if (row.err.code == ERR_OK && ret->shards == 0) row.err = bad();
    return row_end(&row);
}

struct err roster_map_chunk_read(struct span value, struct roster_map_chunk *ret)
{
    struct row row = row_of(value);
    ret->version = get_number(&row, "version", INT64_MAX);
    ret->first = (uint32_t)get_number(&row, "first", ROSTER_SHARDS_MAX - 1);
    const json_t *slots = json_object_get(row.json, "slots");
    size_t count = json_array_size(slots);
    if (row.err.code == ERR_OK && (count == 0 || count > ROSTER_CHUNK_SHARDS)) row.err = bad();
    for (size_t i = 0; i < count && row.err.code == ERR_OK; i++) {
        const json_t *pair = json_array_get(slots, i);
        if (json_array_size(pair) != 2) row.err = bad();
        ret->slots[i].end = (uint32_t)number_of(&row, json_array_get(pair, 1), SLOT_COUNT);
        ret->slots[i].first =
            (uint32_t)number_of(&row, json_array_get(pair, 0), ret->slots[i].end);
    }
    ret->count = row.err.code == ERR_OK ? (uint32_t)count : 0;
    return row_end(&row);
}

/* ---- scanners */

static void text_in(struct row *row, const json_t *json, struct roster_text *ret)
{
    struct span from = text_of(json);
    if (row->err.code != ERR_OK) return;
    if (!json_is_string(json) || from.len > ROSTER_TEXT_MAX_BYTES) {
        row->err = bad();
        return;
    }
    roster_text_set(ret, from);
    if (!span_eq(roster_text_span(ret), from)) row->err = bad();
}

static uint64_t set_in(struct row *row, const json_t *json)
{
    struct span text = text_of(json);
    uint64_t set = 0;
    if (row->err.code != ERR_OK) return 0;
    if (json_is_string(json) && text.len == 0) return 0;
    bool good = text.len == ROSTER_SET_BYTES;
    for (size_t i = 0; good && i < text.len; i++) {
        char c = text.ptr[i];
        bool is_digit = c >= '0' && c <= '9', is_letter = c >= 'a' && c <= 'f';
        good = is_digit || is_letter;
        set = set << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    if (!good || set == 0) row->err = bad();
    return set;
}

struct err roster_scanner_read(struct span value, struct roster_scanner *ret)
{
    struct row row = row_of(value);
    get_id(&row, "boot", &ret->boot);
    ret->address_len = get_text(&row, "address", ret->address, ROSTER_ADDRESS_MAX_BYTES);
    ret->workers = (uint32_t)get_number(&row, "workers", ROSTER_WORKERS_MAX);
    ret->set = set_in(&row, json_object_get(row.json, "set"));
    ret->refused = set_in(&row, json_object_get(row.json, "refused"));
    text_in(&row, json_object_get(row.json, "version"), &ret->version);
    bool dated = json_object_get(row.json, "date_ms") != NULL;
    ret->signatures_ms = dated ? get_number(&row, "date_ms", INT64_MAX) : 0;
    return row_end(&row);
}

struct err roster_reload_read(struct span value, struct roster_reload *ret)
{
    struct row row = row_of(value);
    get_name(&row, "scanner", false, &ret->scanner);
    get_id(&row, "boot", &ret->boot);
    ret->set = set_in(&row, json_object_get(row.json, "set"));
    return row_end(&row);
}

static void bad_set_in(struct row *row, const json_t *json, struct roster_bad *to)
{
    struct roster_bad_set set = { .set = set_in(row, json_object_get(json, "set")) };
    struct span by = text_of(json_object_get(json, "by"));
    text_in(row, json_object_get(json, "why"), &set.why);
    if (row->err.code != ERR_OK) return;
    if (set.set == 0 || roster_bad_find(to, set.set) != NULL ||
        roster_name_set(&set.by, by).code != ERR_OK) {
        row->err = bad();
        return;
    }
    to->sets[to->count++] = set;
}

struct err roster_bad_read(struct span value, struct roster_bad *ret)
{
    struct row row = row_of(value);
    const json_t *sets = json_object_get(row.json, "sets");
    size_t count = json_array_size(sets);
    ret->count = 0;
    if (row.err.code == ERR_OK && (!json_is_array(sets) || count > ROSTER_BAD_MAX)) row.err = bad();
    for (size_t i = 0; i < count && row.err.code == ERR_OK; i++) {
        bad_set_in(&row, json_array_get(sets, i), ret);
    }
    return row_end(&row);
}
