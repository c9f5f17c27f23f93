#include "mime_facts.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "date.h"
#include "facts.h"
#include "header.h"
#include "mime_bytes_private.h"
#include "mime_imap_private.h"
#include "mime_out_private.h"
#include "mime_preview_private.h"
#include "mime_tree_private.h"
#include "param.h"

/* What the fields of a row may take; those that do not fit are left out, and the row says so. */
enum { FIELDS_MAX_BYTES = 384 * 1024 };

/* The shortest that a part is told: type, encoding, numbers, NILs. */
enum { BARE_PART_MAX_BYTES = 256, ENVELOPE_MAX_BYTES = 96 * 1024, FULL_PART_MAX_BYTES = 32 * 1024 };
static_assert(ENVELOPE_MAX_BYTES > 2 * (MIME_DATE_MAX_BYTES + MIME_SUBJECT_MAX_BYTES
                                        + MIME_IDS_MAX_BYTES + MIME_ID_MAX_BYTES)
                  + MIME_ADDRESSES_FULL_BYTES + 3 * MIME_ADDRESS_MAX_BYTES, "envelope");
static_assert(FACTS_MAX_BYTES > 2 * ENVELOPE_MAX_BYTES + MIME_STRUCTURE_FULL_BYTES
                  + FULL_PART_MAX_BYTES + FACTS_PARTS_MAX * (BARE_PART_MAX_BYTES + FACTS_PART_BYTES)
                  + FIELDS_MAX_BYTES + MIME_PREVIEW_MAX_BYTES, "no message makes a longer row");

/* ---- the message's own header, as it is read */

struct gather {
    struct mime_out fields;
    unsigned received;
    bool cut;
};

static void take_field(void *holder, const struct header_field *field)
{
    struct gather *gather = holder;
    if (span_eq_nocase(field->name, SPAN("Received"))) gather->received++;
    if (field->name.len == 0 || !facts_field_is_kept(field->name)) return;
    if (gather->cut || field->raw.len + 2 > FIELDS_MAX_BYTES - gather->fields.len) {
        gather->cut = true;
        return;
    }
    mime_out_put(&gather->fields, field->raw);
    /* Only the last field of a message without a body has no line end. */
    if (field->raw.ptr[field->raw.len - 1] != '\n') mime_out_put(&gather->fields, SPAN("\r\n"));
}

/* ---- attachments */

/* Whether a reader would show it as a file and not as part of the text. */
static bool is_attachment(const struct mime_node *node)
{
    struct span params, disposition = mime_node_disposition(node, &params);
    struct param param;
    if (span_eq_nocase(disposition, SPAN("attachment"))) return true;
    if (node->kind == FACTS_PART_MULTI) return false;
    if (node->kind == FACTS_PART_RFC822) return !span_eq_nocase(disposition, SPAN("inline"));
    if (mime_node_is(node, "text", NULL)) {
        for (unsigned i = 0; i < PARAM_COUNT_MAX && param_take(&params, &param); i++) {
            if (span_starts_nocase(param.name, SPAN("filename"))) return true;
        }
        return false;
    }
    if (mime_node_is(node, "message", NULL)) return false; /* of a report (RFC 3464) */
    bool signature = span_starts_nocase(node->subtype, SPAN("pgp-"))
        || span_starts_nocase(node->subtype, SPAN("pkcs7-sig"))
        || span_starts_nocase(node->subtype, SPAN("x-pkcs7-sig"));
    bool embedded = node->fields[MIME_CONTENT_ID].ptr != NULL && mime_node_is(node, "image", NULL);
    return !signature && !embedded;
}

static uint8_t flags_of(const struct mime_tree *tree, const struct gather *gather)
{
    const struct mime_node *top = &tree->nodes[0];
    uint8_t flags = 0;
    if (mime_has_8bit(span_head(tree->message, top->body_at))) flags |= FACTS_HEADER_8BIT;
    if (mime_has_8bit(span_skip(tree->message, top->body_at))) flags |= FACTS_BODY_8BIT;
    if (tree->malformed) flags |= FACTS_MALFORMED;
    if (gather->cut) flags |= FACTS_FIELDS_CUT;
    for (size_t i = 0; i < tree->count; i++) {
        if (is_attachment(&tree->nodes[i])) return flags | FACTS_ATTACHMENT;
    }
    return flags;
}

/* ---- the row */

static void put_parts(struct mime_out *out, const struct mime_tree *tree)
{
    if (!mime_out_reserve(out, tree->count * FACTS_PART_BYTES)) return;
    for (size_t i = 0; i < tree->count; i++) {
        const struct mime_node *node = &tree->nodes[i];
        struct facts_part part = {
            .level = node->level, .kind = node->kind, .encoding = node->encoding,
            .section = node->section, .header_at = node->header_at, .body_at = node->body_at,
            .end_at = node->end_at, .lines = node->lines,
        };
        facts_part_write(&part, out->bytes + out->len);
        out->len += FACTS_PART_BYTES;
    }
}

static struct span between(const struct mime_out *out, size_t from, size_t to)
{
    return span_of(out->bytes + from, to - from);
}

/* Everything is written where it stands in the row, and the head when the lengths are known. */
static void put_row(struct mime_out *out, const struct mime_tree *tree,
                    const struct gather *gather)
{
    const struct mime_node *top = &tree->nodes[0];
    struct facts facts = { .date_ms = INT64_MIN, .header_bytes = top->body_at,
                           .lines = top->lines };
    int64_t date;
    if (!mime_out_reserve(out, FACTS_HEAD_BYTES)) return;
    out->len = FACTS_HEAD_BYTES;
    mime_put_envelope(out, top);
    size_t structure = out->len;
    mime_put_structure(out, tree);
    size_t fields = out->len;
    mime_out_put(out, span_of(gather->fields.bytes, gather->fields.len));
    size_t preview = out->len;
    if (!mime_out_reserve(out, MIME_PREVIEW_MAX_BYTES)) return;
    out->len += mime_preview(tree, out->bytes + preview);
    size_t parts = out->len;
    put_parts(out, tree);
    if (out->failed) return;
    if (date_read(top->fields[MIME_DATE], &date).code == ERR_OK) facts.date_ms = date;
    facts.flags = flags_of(tree, gather);
    facts.parts_count = (uint16_t)tree->count;
    facts.envelope = between(out, FACTS_HEAD_BYTES, structure);
    facts.structure = between(out, structure, fields);
    facts.fields = between(out, fields, preview);
    facts.preview = between(out, preview, parts);
    facts_head_write(&facts, out->bytes);
}

struct err mime_facts(struct span message, struct mime_facts_out *ret)
{
    struct gather gather = { .received = 0 };
    struct mime_tree_hook hook = { take_field, &gather };
    struct mime_tree tree;
    TRY(mime_tree_read(message, &hook, &tree));
    struct mime_out out = { .bytes = NULL };
    put_row(&out, &tree, &gather);
    bool failed = out.failed || gather.fields.failed;
    free(gather.fields.bytes);
    mime_tree_free(&tree);
    if (failed) {
        free(out.bytes);
        return err_make(ERR_NOMEM, "facts of a message");
    }
    *ret = (struct mime_facts_out){ out.bytes, out.len, gather.received };
    return err_ok();
}
