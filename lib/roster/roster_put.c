/* Structs -> rows. All texts in them are of letters that JSON does not escape, but for addresses,
 * whose bytes were checked when they were read or given. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "buf.h"
#include "roster.h"
#include "roster_scanner.h"
#include "roster_words_private.h"

enum { PIECE_BYTES = 160 };

static void __attribute__((format(printf, 2, 3))) put(struct buf *out, const char *format, ...)
{
    char text[PIECE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof(text)) {
        out->overflow = true;
        return;
    }
    buf_put(out, span_of(text, (size_t)len));
}

static void put_id(struct buf *out, const struct roster_id *id)
{
    char text[ID_TEXT_BYTES];
    id_hex(id->bytes, ID_BYTES, text);
    put(out, "\"%.*s\"", ID_TEXT_BYTES, text);
}

static void put_ids(struct buf *out, const struct roster_id *ids, uint32_t count)
{
    put(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) put(out, ",");
        put_id(out, &ids[i]);
    }
    put(out, "]");
}

void roster_store_put(struct buf *out, const struct roster_store *store)
{
    put(out, "{\"node\":\"%.*s\",\"boot\":%" PRIu64, store->node.len, store->node.text,
        store->boot);
    put(out, ",\"zone\":\"%.*s\"", store->zone.len, store->zone.text);
    put(out, ",\"capacity\":%" PRIu64 ",\"state\":\"%s\"}", store->capacity_bytes,
        roster_state_words[store->state]);
}

void roster_live_put(struct buf *out, const struct roster_live *live)
{
    put(out, "{\"boot\":");
    put_id(out, &live->boot);
    put(out, ",\"stores\":");
    put_ids(out, live->stores, live->stores_count);
    put(out, ",\"address\":\"");
    buf_put(out, span_of(live->address, live->address_len));
    put(out, "\"}");
}

void roster_program_put(struct buf *out, const struct roster_program *program)
{
    put(out, "{\"boot\":");
    put_id(out, &program->boot);
    put(out, ",\"version\":\"%.*s\",\"address\":\"", program->version.len, program->version.text);
    buf_put(out, span_of(program->address, program->address_len));
    put(out, "\",\"admin\":\"");
    buf_put(out, span_of(program->admin, program->admin_len));
    put(out, "\"}");
}

void roster_place_put(struct buf *out, const struct roster_place *place)
{
    put(out, "{\"replicas\":");
    put_ids(out, place->replicas.ids, place->replicas.count);
    put(out, ",\"target\":%" PRIu32 ",\"min_isr\":%" PRIu32, place->target, place->min_isr);
    if (place->has_leaving) {
        put(out, ",\"leaving\":");
        put_id(out, &place->leaving);
    }
    if (place->has_lead) {
        put(out, ",\"lead\":");
        put_id(out, &place->lead);
    }
    put(out, place->by_hand ? ",\"by_hand\":true}" : "}");
}

void roster_shard_put(struct buf *out, const struct roster_shard *shard)
{
    put(out, "{\"epoch\":%" PRIu64, shard->epoch);
    if (shard->has_leader) {
        put(out, ",\"leader\":");
        put_id(out, &shard->leader);
        put(out, ",\"boot\":");
        put_id(out, &shard->boot);
    }
    put(out, ",\"how\":\"%s\",\"isr\":", roster_how_words[shard->how]);
    put_ids(out, shard->isr.ids, shard->isr.count);
    put(out, ",\"nonce\":");
    put_id(out, &shard->nonce);
    if (shard->lossy > 0) {
        put(out, ",\"lossy\":%" PRIu64 ",\"base\":%" PRIu64, shard->lossy, shard->base);
    }
    put(out, "}");
}

void roster_map_head_put(struct buf *out, const struct roster_map_head *head)
{
    if (head->chunks == 0) {
        put(out, "{\"shards\":%" PRIu32 ",\"node\":\"", head->shards);
        buf_put(out, span_of(head->node, head->node_len));
        put(out, "\"}");
        return;
    }
    put(out, "{\"version\":%" PRIu64 ",\"shards\":%" PRIu32 ",\"chunks\":%" PRIu32 "}",
        head->version, head->shards, head->chunks);
}

void roster_map_chunk_put(struct buf *out, const struct roster_map_chunk *chunk)
{
    put(out, "{\"version\":%" PRIu64 ",\"first\":%" PRIu32 ",\"slots\":[", chunk->version,
        chunk->first);
    for (uint32_t i = 0; i < chunk->count; i++) {
        put(out, "%s[%" PRIu32 ",%" PRIu32 "]", i > 0 ? "," : "", chunk->slots[i].first,
            chunk->slots[i].end);
    }
    put(out, "]}");
}

static void put_set(struct buf *out, const char *field, uint64_t set)
{
    char text[ROSTER_SET_BYTES + 1];
    roster_set_text(set, text);
    put(out, "\"%s\":\"%s\"", field, text);
}

void roster_scanner_put(struct buf *out, const struct roster_scanner *scanner)
{
    put(out, "{\"boot\":");
    put_id(out, &scanner->boot);
    put(out, ",\"address\":\"");
    buf_put(out, span_of(scanner->address, scanner->address_len));
    put(out, "\",\"workers\":%" PRIu32 ",", scanner->workers);
    put_set(out, "set", scanner->set);
    put(out, ",\"version\":\"%.*s\",", scanner->version.len, scanner->version.text);
    put(out, "\"date_ms\":%" PRIu64 ",", scanner->signatures_ms);
    put_set(out, "refused", scanner->refused);
    put(out, "}");
}

void roster_reload_put(struct buf *out, const struct roster_reload *reload)
{
    put(out, "{\"scanner\":\"%.*s\",\"boot\":", reload->scanner.len, reload->scanner.text);
    put_id(out, &reload->boot);
    put(out, ",");
    put_set(out, "set", reload->set);
    put(out, "}");
}

void roster_bad_put(struct buf *out, const struct roster_bad *bad)
{
    put(out, "{\"sets\":[");
    for (uint32_t i = 0; i < bad->count; i++) {
        const struct roster_bad_set *set = &bad->sets[i];
        put(out, i > 0 ? ",{" : "{");
        put_set(out, "set", set->set);
        put(out, ",\"by\":\"%.*s\"", set->by.len, set->by.text);
        put(out, ",\"why\":\"%.*s\"}", set->why.len, set->why.text);
    }
    put(out, "]}");
}
