/* Records of a Fetch call -> "* n FETCH (...)" lines.
 *
 * A record that lies whole in the data is read where it lies. Only when the output has no room in
 * the middle of its line is it copied, since the data dies with the call: so a record in some tens
 * of KiB of output pays for that, and a large body, which came in pieces anyway. */
#include <stdlib.h>

#include "body.h"
#include "imap_fetch_private.h"

/* ---- the message behind a record */

static uint64_t opened_bytes(const struct imap_fetch *fetch)
{
    const struct imap_opened *opened = &fetch->opened;
    return opened->body != NULL ? body_size(opened->body) : opened->bytes.len;
}

struct span imap_fetch_piece(const struct imap_fetch *fetch, uint64_t at)
{
    const struct imap_opened *opened = &fetch->opened;
    if (opened->body != NULL) return body_piece(opened->body, at);
    return at < opened->bytes.len ? span_skip(opened->bytes, (size_t)at) : span_of(NULL, 0);
}

static void close_message(struct imap_session *session, struct imap_fetch *fetch)
{
    if (!fetch->is_opened) return;
    session->options->body_close(session->options->holder, &fetch->opened);
    fetch->opened = (struct imap_opened){ .body = NULL };
    fetch->is_opened = false;
}

/* Reads what the items need of the record, wherever it lies now. */
static struct err open_record(struct imap_session *session, struct imap_fetch *fetch)
{
    const struct imap_options *options = session->options;
    if ((fetch->needs & ~(uint32_t)fetch->record.items) != 0) {
        return err_make(ERR_CORRUPT, "record of a message");
    }
    if ((fetch->needs & STORE_FETCH_FACTS) != 0) {
        TRY(facts_read(fetch->record.facts, &fetch->facts));
    }
    if ((fetch->needs & STORE_FETCH_BODY) == 0) return err_ok();
    fetch->opened = (struct imap_opened){ .body = NULL };
    TRY(options->body_open(options->holder, fetch->record.body, &fetch->opened));
    fetch->is_opened = true;
    return err_ok();
}

void imap_fetch_free(struct imap_session *session, void *state)
{
    struct imap_fetch *fetch = state;
    close_message(session, fetch);
    uid_set_free(&fetch->cut);
    free(fetch->scratch);
    fetch->scratch = NULL;
    body_unref(fetch->decoded);
    fetch->decoded = NULL;
}

struct err imap_fetch_scratch(struct imap_fetch *fetch, size_t size)
{
    if (size <= fetch->scratch_size) return err_ok();
    char *grown = realloc(fetch->scratch, size);
    if (grown == NULL) return err_make(ERR_NOMEM, "header of a message");
    fetch->scratch = grown;
    fetch->scratch_size = size;
    return err_ok();
}

/* ---- HEADER.FIELDS */

static bool field_is_asked(const struct imap_item *item, struct span field)
{
    const char *colon = memchr(field.ptr, ':', field.len);
    struct span name = span_head(field, colon == NULL ? 0 : (size_t)(colon - field.ptr));
    while (name.len > 0 && (name.ptr[name.len - 1] == ' ' || name.ptr[name.len - 1] == '\t')) {
        name.len--;
    }
    bool found = false;
    for (size_t i = 0; i < item->fields_count && !found; i++) {
        found = span_eq_nocase(item->fields[i], name);
    }
    return found != item->fields_not;
}

/* The first field of a header with the lines that continue it. */
static struct span first_field(struct span header)
{
    size_t at = 0;
    do {
        const char *end = memchr(header.ptr + at, '\n', header.len - at);
        at = end == NULL ? header.len : (size_t)(end - header.ptr) + 1;
    } while (at < header.len && (header.ptr[at] == ' ' || header.ptr[at] == '\t'));
    return span_head(header, at);
}

/* Writes the fields that are asked for to `to`, and the empty line. At most header.len + 2. */
static size_t filter_fields(const struct imap_item *item, struct span header, char *to)
{
    char *start = to;
    while (header.len > 0 && header.ptr[0] != '\r' && header.ptr[0] != '\n') {
        struct span field = first_field(header);
        if (field_is_asked(item, field)) to = imap_put_span(to, field);
        header = span_skip(header, field.len);
    }
    to = IMAP_PUT(to, "\r\n");
    return (size_t)(to - start);
}

bool imap_fetch_section(const struct imap_fetch *fetch, const struct imap_item *item,
                        uint64_t *from, uint64_t *to)
{
    uint64_t bytes = opened_bytes(fetch);
    uint32_t first = 0, last = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes;
    bool whole = item->section == FACTS_SECTION_ALL && item->path_count == 0;
    if (!whole) {
        struct err err = facts_section_find(&fetch->facts, item->path, item->path_count,
                                            item->section, last, &first, &last);
        if (err.code != ERR_OK) return false;
    }
    *to = last < bytes ? last : bytes;
    *from = first < *to ? first : *to;
    return true;
}

/* Leaves the fields in scratch. The header comes out of the facts row, or is looked up in the
 * message and, when it lies in several pieces, put together behind the room for the result. */
static struct err make_fields(struct imap_fetch *fetch, const struct imap_item *item, bool *found)
{
    struct span header = fetch->facts.fields;
    bool is_cut = (fetch->facts.flags & FACTS_FIELDS_CUT) != 0;
    *found = true;
    if (!item->kept || is_cut) {
        uint64_t from, to;
        *found = imap_fetch_section(fetch, item, &from, &to);
        if (!*found) return err_ok();
        if (to - from > IMAP_HEADER_MAX_BYTES) to = from + IMAP_HEADER_MAX_BYTES;
        size_t len = (size_t)(to - from), put = len + 2;
        TRY(imap_fetch_scratch(fetch, put + len));
        size_t have = 0;
        while (have < len) {
            struct span piece = span_head(imap_fetch_piece(fetch, from + have), len - have);
            if (piece.len == 0) break;
            (void)imap_put_span(fetch->scratch + put + have, piece);
            have += piece.len;
        }
        header = span_of(fetch->scratch + put, have);
    }
    TRY(imap_fetch_scratch(fetch, header.len + 2));
    fetch->scratch_len = filter_fields(item, header, fetch->scratch);
    return err_ok();
}

/* ---- items */

/* Begins a value that may not fit; put_long() writes it. */
static void begin_long(struct imap_fetch *fetch, enum imap_source source, uint64_t from,
                       uint64_t to)
{
    fetch->source = source;
    fetch->at = from;
    fetch->end = to;
}

void imap_item_cut(const struct imap_item *item, uint64_t range[2])
{
    if (!item->partial) return;
    range[0] = item->from < range[1] - range[0] ? range[0] + item->from : range[1];
    if (item->count < range[1] - range[0]) range[1] = range[0] + item->count;
}

char *imap_fetch_string(struct imap_fetch *fetch, enum imap_source source,
                        const uint64_t range[2], char *to)
{
    *to++ = '{';
    to = imap_put_u64(to, range[1] - range[0]);
    to = IMAP_PUT(to, "}\r\n");
    begin_long(fetch, source, range[0], range[1]);
    return to;
}

static char *put_fields(struct imap_fetch *fetch, const struct imap_item *item, char *to)
{
    bool found;
    struct err err = make_fields(fetch, item, &found);
    if (err.code != ERR_OK) {
        if (fetch->err.code == ERR_OK) fetch->err = err;
        found = false;
    }
    if (!found) return IMAP_PUT(to, "NIL");
    uint64_t range[2] = { 0, fetch->scratch_len };
    imap_item_cut(item, range);
    return imap_fetch_string(fetch, IMAP_FROM_SCRATCH, range, to);
}

static char *put_section(struct imap_fetch *fetch, const struct imap_item *item, char *to)
{
    uint64_t range[2];
    if (!imap_fetch_section(fetch, item, &range[0], &range[1])) return IMAP_PUT(to, "NIL");
    imap_item_cut(item, range);
    return imap_fetch_string(fetch, IMAP_FROM_MESSAGE, range, to);
}

static void begin_basic(struct imap_fetch *fetch)
{
    struct span structure = fetch->facts.structure;
    struct buf basic;
    struct err err = imap_fetch_scratch(fetch, structure.len + 1);
    if (err.code != ERR_OK) {
        if (fetch->err.code == ERR_OK) fetch->err = err;
        begin_long(fetch, IMAP_FROM_STRUCTURE, 0, structure.len);
        return;
    }
    buf_init(&basic, fetch->scratch, fetch->scratch_size);
    facts_structure_basic(structure, &basic);
    fetch->scratch_len = basic.len;
    begin_long(fetch, IMAP_FROM_SCRATCH, 0, basic.len);
}

/* RFC 8474 5.2: no thread is NIL. */
static char *put_object_id(char *to, char kind, uint64_t id)
{
    if (id == 0) return IMAP_PUT(to, "NIL");
    *to++ = '(';
    *to++ = kind;
    to = imap_put_u64(to, id);
    *to++ = ')';
    return to;
}

/* At most 200 characters (facts.h): it is there, so that LAZY makes no difference (RFC 8970). */
static char *put_preview(struct imap_session *session, const struct imap_fetch *fetch, char *to)
{
    struct buf *out = session->out;
    out->len = (size_t)(to - out->bytes);
    imap_put_string(out, fetch->facts.preview);
    return out->bytes + out->len;
}

/* Writes an item's value, or begins it. Room: IMAP_OUT_ROOM less the label. */
static char *put_value(struct imap_session *session, struct imap_fetch *fetch,
                       const struct imap_item *item, char *to)
{
    const struct mail_record *record = &fetch->record;
    switch (item->kind) {
    case IMAP_ITEM_UID:
        return imap_put_u32(to, record->uid);
    case IMAP_ITEM_FLAGS:
        return imap_put_flags(session->run, session->view, record->flags,
                              record->uid >= session->view->recent_from, to);
    case IMAP_ITEM_INTERNALDATE:
        return imap_put_date_time(to, record->internaldate_ms);
    case IMAP_ITEM_SIZE:
        return imap_put_u32(to, record->size);
    case IMAP_ITEM_MODSEQ:
        *to++ = '(';
        to = imap_put_u64(to, record->modseq);
        *to++ = ')';
        return to;
    case IMAP_ITEM_EMAILID:
        return put_object_id(to, 'M', record->email_id);
    case IMAP_ITEM_THREADID:
        return put_object_id(to, 'T', record->thread_id);
    case IMAP_ITEM_SAVEDATE:
        return record->savedate_ms == 0 ? IMAP_PUT(to, "NIL")
                                        : imap_put_date_time(to, record->savedate_ms);
    case IMAP_ITEM_PREVIEW:
        return put_preview(session, fetch, to);
    case IMAP_ITEM_ENVELOPE:
        begin_long(fetch, IMAP_FROM_ENVELOPE, 0, fetch->facts.envelope.len);
        return to;
    case IMAP_ITEM_STRUCTURE:
        begin_long(fetch, IMAP_FROM_STRUCTURE, 0, fetch->facts.structure.len);
        return to;
    case IMAP_ITEM_BASIC:
        begin_basic(fetch);
        return to;
    case IMAP_ITEM_SECTION:
        return put_section(fetch, item, to);
    case IMAP_ITEM_FIELDS:
        return put_fields(fetch, item, to);
    case IMAP_ITEM_BINARY:
    case IMAP_ITEM_BINARY_SIZE:
        return imap_put_binary(session, fetch, item, to);
    }
    return to;
}

static struct span source_piece(const struct imap_fetch *fetch)
{
    switch (fetch->source) {
    case IMAP_FROM_ENVELOPE:
        return span_skip(fetch->facts.envelope, (size_t)fetch->at);
    case IMAP_FROM_STRUCTURE:
        return span_skip(fetch->facts.structure, (size_t)fetch->at);
    case IMAP_FROM_SCRATCH:
        return span_skip(span_of(fetch->scratch, fetch->scratch_len), (size_t)fetch->at);
    case IMAP_FROM_MESSAGE:
        return imap_fetch_piece(fetch, fetch->at);
    case IMAP_FROM_DECODED:
        return body_piece(fetch->decoded, fetch->at);
    case IMAP_FROM_NOTHING:
        break;
    }
    return span_of(NULL, 0);
}

/* The rest of a long value, as far as there is room: true when it is all out. */
static bool put_long(struct imap_session *session, struct imap_fetch *fetch)
{
    struct buf *out = session->out;
    while (fetch->at < fetch->end) {
        struct span piece = source_piece(fetch);
        if (piece.len > fetch->end - fetch->at) piece.len = (size_t)(fetch->end - fetch->at);
        piece = span_head(piece, out->size - out->len);
        if (piece.len == 0) return false;
        (void)imap_put_span(out->bytes + out->len, piece);
        out->len += piece.len;
        fetch->at += piece.len;
    }
    fetch->source = IMAP_FROM_NOTHING;
    return true;
}

static char *put_seen_flags(struct imap_session *session, const struct imap_fetch *fetch, char *to)
{
    const struct mail_record *record = &fetch->record;
    bool ours = fetch->seen_modseq != 0 && record->modseq == fetch->seen_modseq;
    if (!ours) return to;
    if (!fetch->flags) {
        to = IMAP_PUT(to, " FLAGS ");
        to = imap_put_flags(session->run, session->view, record->flags,
                            record->uid >= session->view->recent_from, to);
    }
    /* RFC 7162 3.2.4 */
    if (session->condstore && !fetch->uid) {
        to = IMAP_PUT(to, " UID ");
        to = imap_put_u32(to, record->uid);
    }
    if (session->condstore && !fetch->modseq) {
        to = IMAP_PUT(to, " MODSEQ (");
        to = imap_put_u64(to, record->modseq);
        *to++ = ')';
    }
    return to;
}

/* The line of the record under way, on from where it stopped: true when it is all out. */
static bool put_record(struct imap_session *session, struct imap_fetch *fetch)
{
    struct buf *out = session->out;
    for (;;) {
        if (fetch->source != IMAP_FROM_NOTHING) {
            if (!put_long(session, fetch)) return false;
            fetch->item++;
        }
        if (!imap_has_room(session)) return false;
        char *to = out->bytes + out->len;
        if (!fetch->begun) {
            to = IMAP_PUT(to, "* ");
            to = imap_put_u32(to, fetch->number);
            to = IMAP_PUT(to, " FETCH (");
            fetch->begun = true;
        }
        if (fetch->item == fetch->count) {
            to = put_seen_flags(session, fetch, to);
            to = IMAP_PUT(to, ")\r\n");
            out->len = (size_t)(to - out->bytes);
            return true;
        }
        const struct imap_item *item = &fetch->items[fetch->item];
        to = imap_put_span(to, span_skip(item->label, fetch->item == 0));
        to = put_value(session, fetch, item, to);
        out->len = (size_t)(to - out->bytes);
        if (fetch->source == IMAP_FROM_NOTHING) fetch->item++;
    }
}

/* ---- records */

static void end_record(struct imap_session *session, struct imap_fetch *fetch)
{
    close_message(session, fetch);
    body_unref(fetch->decoded);
    fetch->decoded = NULL;
    fetch->open = fetch->begun = fetch->in_gather = false;
    fetch->item = 0;
    session->run->mid_line = false;
    session->run->gather.len = 0;
}

/* Whether fields are asked for that the facts row would have, had they not been too long for it:
 * then the message is told by a second call, with its body. */
static bool wants_body(const struct imap_fetch *fetch)
{
    bool has_body = (fetch->needs & STORE_FETCH_BODY) != 0;
    return fetch->kept && !has_body && (fetch->facts.flags & FACTS_FIELDS_CUT) != 0;
}

/* Makes the record taken out of the data ready; what can't be told is passed over and remembered
 * for the tagged reply. */
static void begin_record(struct imap_session *session, struct imap_fetch *fetch)
{
    struct imap_run *run = session->run;
    fetch->number = imap_walk(session->view, &run->walker, fetch->record.uid);
    if (fetch->number == 0) {
        run->gather.len = 0;
        return;
    }
    struct err err = open_record(session, fetch);
    if (err.code == ERR_OK && wants_body(fetch)) {
        err = uid_set_add(&fetch->cut, fetch->record.uid, fetch->record.uid);
        if (err.code == ERR_OK) {
            run->gather.len = 0;
            return;
        }
    }
    fetch->records++;
    if (err.code == ERR_OK && fetch->binary && !imap_binary_is_known(fetch)) {
        err = err_make(ERR_UNSUPPORTED, "transfer encoding");
        fetch->unknown_encoding = true;
    }
    fetch->open = err.code == ERR_OK;
    if (fetch->open) return;
    if (fetch->err.code == ERR_OK) fetch->err = err;
    end_record(session, fetch);
}

/* The data goes away in the middle of a line: the record is kept, and opened again where it is. */
static void keep_record(struct imap_session *session, struct imap_fetch *fetch)
{
    struct imap_run *run = session->run;
    size_t used, need;
    if (fetch->in_gather) return;
    close_message(session, fetch);
    struct err err = imap_gather_put(&run->gather, fetch->raw);
    if (err.code == ERR_OK
        && mail_record_take(span_of(run->gather.bytes, run->gather.len), &fetch->record, &used,
                            &need) != MAIL_RECORD_OK) {
        err = err_make(ERR_CORRUPT, "record of a message");
    }
    if (err.code == ERR_OK) err = open_record(session, fetch);
    fetch->in_gather = true;
    /* A half-told line can't be taken back. */
    if (err.code != ERR_OK) imap_end(session);
}

size_t imap_fetch_data(struct imap_session *session, struct span in)
{
    struct imap_run *run = session->run;
    struct imap_fetch *fetch = run->state;
    struct span rest = in;
    while (session->state != IMAP_LOGOUT) {
        if (!fetch->open) {
            if (!imap_has_room(session)) {
                run->blocked = rest.len > 0 || run->gather.len > 0;
                return in.len - rest.len;
            }
            const char *start = rest.ptr;
            if (!imap_record_next(session, &rest, &fetch->record)) return in.len;
            fetch->in_gather = run->gather.len > 0;
            if (!fetch->in_gather) fetch->raw = span_of(start, (size_t)(rest.ptr - start));
            begin_record(session, fetch);
            continue;
        }
        if (!put_record(session, fetch)) {
            keep_record(session, fetch);
            run->mid_line = fetch->begun;
            run->blocked = true;
            return in.len - rest.len;
        }
        end_record(session, fetch);
    }
    return in.len;
}
