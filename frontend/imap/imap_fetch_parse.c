/* The arguments of FETCH (RFC 3501 6.4.5 and section 9; CHANGEDSINCE and VANISHED RFC 7162 3.1.4.1
 * and 3.2.6; BINARY RFC 3516; PREVIEW RFC 8970). */
#include "imap_fetch_private.h"

struct simple_item {
    struct span name, label;
    enum imap_item_kind kind;
    uint32_t needs;
};
static const struct simple_item simple_items[] = {
    { SPAN_INIT("UID"), SPAN_INIT(" UID "), IMAP_ITEM_UID, 0 },
    { SPAN_INIT("FLAGS"), SPAN_INIT(" FLAGS "), IMAP_ITEM_FLAGS, 0 },
    { SPAN_INIT("INTERNALDATE"), SPAN_INIT(" INTERNALDATE "), IMAP_ITEM_INTERNALDATE,
      STORE_FETCH_DATES },
    { SPAN_INIT("RFC822.SIZE"), SPAN_INIT(" RFC822.SIZE "), IMAP_ITEM_SIZE, STORE_FETCH_DATES },
    { SPAN_INIT("MODSEQ"), SPAN_INIT(" MODSEQ "), IMAP_ITEM_MODSEQ, 0 },
    { SPAN_INIT("EMAILID"), SPAN_INIT(" EMAILID "), IMAP_ITEM_EMAILID, STORE_FETCH_DATES },
    { SPAN_INIT("THREADID"), SPAN_INIT(" THREADID "), IMAP_ITEM_THREADID, STORE_FETCH_DATES },
    { SPAN_INIT("SAVEDATE"), SPAN_INIT(" SAVEDATE "), IMAP_ITEM_SAVEDATE, STORE_FETCH_DATES },
    { SPAN_INIT("PREVIEW"), SPAN_INIT(" PREVIEW "), IMAP_ITEM_PREVIEW, STORE_FETCH_FACTS },
    { SPAN_INIT("ENVELOPE"), SPAN_INIT(" ENVELOPE "), IMAP_ITEM_ENVELOPE, STORE_FETCH_FACTS },
    { SPAN_INIT("BODYSTRUCTURE"), SPAN_INIT(" BODYSTRUCTURE "), IMAP_ITEM_STRUCTURE,
      STORE_FETCH_FACTS },
    { SPAN_INIT("BODY"), SPAN_INIT(" BODY "), IMAP_ITEM_BASIC, STORE_FETCH_FACTS },
};
enum { SIMPLE_ITEMS = sizeof(simple_items) / sizeof(simple_items[0]) };

/* RFC822 and its parts are BODY sections under another name. */
struct old_item {
    struct span name, label;
    enum facts_section section;
    bool seen;
};
static const struct old_item old_items[] = {
    { SPAN_INIT("RFC822"), SPAN_INIT(" RFC822 "), FACTS_SECTION_ALL, true },
    { SPAN_INIT("RFC822.HEADER"), SPAN_INIT(" RFC822.HEADER "), FACTS_SECTION_HEADER, false },
    { SPAN_INIT("RFC822.TEXT"), SPAN_INIT(" RFC822.TEXT "), FACTS_SECTION_TEXT, true },
};
enum { OLD_ITEMS = sizeof(old_items) / sizeof(old_items[0]) };

/* What an item is made of in the facts row. Fields that the row has not all are looked for in the
 * message, where its parts say. */
static const uint8_t item_pieces[] = {
    [IMAP_ITEM_ENVELOPE] = FACTS_PIECE_ENVELOPE,
    [IMAP_ITEM_STRUCTURE] = FACTS_PIECE_STRUCTURE,
    [IMAP_ITEM_BASIC] = FACTS_PIECE_STRUCTURE,
    [IMAP_ITEM_PREVIEW] = FACTS_PIECE_PREVIEW,
    [IMAP_ITEM_FIELDS] = FACTS_PIECE_FIELDS | FACTS_PIECE_PARTS,
    [IMAP_ITEM_SECTION] = FACTS_PIECE_PARTS,
    [IMAP_ITEM_BINARY] = FACTS_PIECE_PARTS,
    [IMAP_ITEM_BINARY_SIZE] = FACTS_PIECE_PARTS,
};

static struct err add_item(struct imap_fetch *fetch, const struct imap_item *item, uint32_t needs)
{
    bool simple = item->kind < IMAP_ITEM_SECTION;
    for (size_t i = 0; simple && i < fetch->count; i++) {
        if (fetch->items[i].kind == item->kind) return err_ok();
    }
    if (fetch->count == IMAP_FETCH_ITEMS_MAX) return err_make(ERR_SYNTAX, "too many items");
    fetch->items[fetch->count++] = *item;
    fetch->needs |= needs;
    fetch->pieces |= item_pieces[item->kind];
    fetch->seen = fetch->seen || item->seen;
    fetch->flags = fetch->flags || item->kind == IMAP_ITEM_FLAGS;
    fetch->uid = fetch->uid || item->kind == IMAP_ITEM_UID;
    fetch->modseq = fetch->modseq || item->kind == IMAP_ITEM_MODSEQ;
    fetch->kept = fetch->kept || item->kept;
    fetch->binary = fetch->binary || item->kind == IMAP_ITEM_BINARY
                 || item->kind == IMAP_ITEM_BINARY_SIZE;
    return err_ok();
}

static struct err add_simple(struct imap_fetch *fetch, enum imap_item_kind kind)
{
    for (size_t i = 0; i < SIMPLE_ITEMS; i++) {
        if (simple_items[i].kind != kind) continue;
        struct imap_item item = { .kind = kind, .label = simple_items[i].label };
        return add_item(fetch, &item, simple_items[i].needs);
    }
    return err_make(ERR_SYNTAX, "item");
}

static uint32_t section_needs(const struct imap_item *item)
{
    if (item->kind == IMAP_ITEM_FIELDS && item->kept) return STORE_FETCH_FACTS;
    bool whole = item->kind == IMAP_ITEM_SECTION && item->section == FACTS_SECTION_ALL
              && item->path_count == 0;
    return whole ? STORE_FETCH_BODY : STORE_FETCH_BODY | STORE_FETCH_FACTS;
}

/* header-list = "(" header-fld-name *(SP header-fld-name) ")" */
static struct err take_fields(struct imap_session *session, struct imap_item *item)
{
    struct imap_cursor *args = &session->run->args;
    item->fields = arena_alloc(&session->run->arena,
                               IMAP_FETCH_FIELDS_MAX * sizeof(struct span));
    if (item->fields == NULL) return err_make(ERR_NOMEM, "header fields");
    TRY(imap_take_space(args));
    TRY(imap_take_char(args, '(', "header field names stand in parentheses"));
    item->kept = !item->fields_not && item->path_count == 0;
    do {
        if (item->fields_count == IMAP_FETCH_FIELDS_MAX) {
            return err_make(ERR_SYNTAX, "too many header fields");
        }
        struct span *field = &item->fields[item->fields_count++];
        TRY(imap_take_astring(args, field));
        item->kept = item->kept && facts_field_is_kept(*field);
    } while (imap_take(args, ' '));
    return imap_take_char(args, ')', "a list has no end");
}

/* "1.2." in front of the text of a section. `*text` is false when the section ends behind it. */
static struct err take_path(struct imap_session *session, struct imap_item *item, bool *text)
{
    struct imap_cursor *args = &session->run->args;
    *text = !imap_next_is(args, ']');
    while (*text && args->at < args->in.len && args->in.ptr[args->at] >= '0'
           && args->in.ptr[args->at] <= '9') {
        if (item->path == NULL) {
            item->path = arena_alloc(&session->run->arena, IMAP_FETCH_PATH_MAX * sizeof(uint32_t));
        }
        if (item->path == NULL) return err_make(ERR_NOMEM, "section");
        if (item->path_count == IMAP_FETCH_PATH_MAX) {
            return err_make(ERR_SYNTAX, "section too deep");
        }
        TRY(imap_take_number(args, &item->path[item->path_count]));
        if (item->path[item->path_count++] == 0) return err_make(ERR_SYNTAX, "parts begin with 1");
        if (!imap_take(args, '.')) *text = false;
    }
    return err_ok();
}

/* "]", and for what is not all asked for, "<from.count>". */
static struct err take_section_end(struct imap_cursor *args, struct imap_item *item)
{
    TRY(imap_take_char(args, ']', "a section ends with ]"));
    if (item->kind == IMAP_ITEM_BINARY_SIZE || !imap_take(args, '<')) return err_ok();
    item->partial = true;
    TRY(imap_take_number(args, &item->from));
    TRY(imap_take_char(args, '.', "a part of it is <from.count>"));
    TRY(imap_take_number(args, &item->count));
    if (item->count == 0) return err_make(ERR_SYNTAX, "the count of octets is not 0");
    return imap_take_char(args, '>', "a part of it is <from.count>");
}

static struct err take_section(struct imap_session *session, struct imap_item *item)
{
    struct imap_cursor *args = &session->run->args;
    bool text;
    item->kind = IMAP_ITEM_SECTION;
    item->section = FACTS_SECTION_ALL;
    TRY(take_path(session, item, &text));
    if (text && imap_take_word(args, SPAN("HEADER"))) {
        item->section = FACTS_SECTION_HEADER;
    } else if (text && imap_take_word(args, SPAN("TEXT"))) {
        item->section = FACTS_SECTION_TEXT;
    } else if (text && item->path_count > 0 && imap_take_word(args, SPAN("MIME"))) {
        item->section = FACTS_SECTION_MIME;
    } else if (text) {
        item->kind = IMAP_ITEM_FIELDS;
        item->section = FACTS_SECTION_HEADER;
        item->fields_not = imap_take_word(args, SPAN("HEADER.FIELDS.NOT"));
        if (!item->fields_not && !imap_take_word(args, SPAN("HEADER.FIELDS"))) {
            return err_make(ERR_SYNTAX, "there is no such section");
        }
        TRY(take_fields(session, item));
    }
    return take_section_end(args, item);
}

/* section-binary: only part numbers. */
static struct err take_section_binary(struct imap_session *session, struct imap_item *item)
{
    bool text;
    item->section = FACTS_SECTION_ALL;
    TRY(take_path(session, item, &text));
    if (text) return err_make(ERR_SYNTAX, "a section of BINARY has only part numbers");
    return take_section_end(&session->run->args, item);
}

static bool is_plain(struct span word)
{
    struct imap_cursor cursor = { .in = word };
    struct span atom;
    return imap_take_atom(&cursor, &atom).code == ERR_OK && imap_at_end(&cursor);
}

static void put_label_fields(struct buf *out, const struct imap_item *item)
{
    buf_put(out, item->fields_not ? SPAN("HEADER.FIELDS.NOT (") : SPAN("HEADER.FIELDS ("));
    for (size_t i = 0; i < item->fields_count; i++) {
        if (i > 0) buf_put(out, SPAN(" "));
        if (is_plain(item->fields[i])) {
            buf_put(out, item->fields[i]);
        } else {
            imap_put_string(out, item->fields[i]);
        }
    }
    buf_put(out, SPAN(")"));
}

static struct span label_word(const struct imap_item *item)
{
    if (item->kind == IMAP_ITEM_BINARY) return SPAN(" BINARY[");
    return item->kind == IMAP_ITEM_BINARY_SIZE ? SPAN(" BINARY.SIZE[") : SPAN(" BODY[");
}

/* The name in the reply: the section as asked for, and where a part of it begins. */
static struct err make_label(struct imap_session *session, struct imap_item *item)
{
    static const struct span words[] = {
        [FACTS_SECTION_ALL] = SPAN_INIT(""),
        [FACTS_SECTION_HEADER] = SPAN_INIT("HEADER"),
        [FACTS_SECTION_TEXT] = SPAN_INIT("TEXT"),
        [FACTS_SECTION_MIME] = SPAN_INIT("MIME"),
    };
    size_t size = 128 + item->path_count * (IMAP_U32_MAX_BYTES + 1);
    for (size_t i = 0; i < item->fields_count; i++) size += 2 * item->fields[i].len + 32;
    char *bytes = arena_alloc(&session->run->arena, size);
    if (bytes == NULL) return err_make(ERR_NOMEM, "section");
    struct buf out;
    buf_init(&out, bytes, size);
    buf_put(&out, label_word(item));
    for (size_t i = 0; i < item->path_count; i++) {
        if (i > 0) buf_put(&out, SPAN("."));
        imap_buf_u64(&out, item->path[i]);
    }
    bool word = item->kind == IMAP_ITEM_FIELDS || item->section != FACTS_SECTION_ALL;
    if (item->path_count > 0 && word) buf_put(&out, SPAN("."));
    if (item->kind == IMAP_ITEM_FIELDS) {
        put_label_fields(&out, item);
    } else {
        buf_put(&out, words[item->section]);
    }
    buf_put(&out, SPAN("]"));
    if (item->partial) {
        buf_put(&out, SPAN("<"));
        imap_buf_u64(&out, item->from);
        buf_put(&out, SPAN(">"));
    }
    buf_put(&out, SPAN(" "));
    /* A label longer than the room that any step can count on. */
    if (out.overflow || out.len > IMAP_OUT_ROOM / 2) {
        return err_make(ERR_SYNTAX, "section too long");
    }
    item->label = buf_span(&out);
    return err_ok();
}

struct section_item {
    struct span word;
    enum imap_item_kind kind;
    bool seen;
};
static const struct section_item section_items[] = {
    { SPAN_INIT("BODY["), IMAP_ITEM_SECTION, true },
    { SPAN_INIT("BODY.PEEK["), IMAP_ITEM_SECTION, false },
    { SPAN_INIT("BINARY["), IMAP_ITEM_BINARY, true },
    { SPAN_INIT("BINARY.PEEK["), IMAP_ITEM_BINARY, false },
    { SPAN_INIT("BINARY.SIZE["), IMAP_ITEM_BINARY_SIZE, false },
};
enum { SECTION_ITEMS = sizeof(section_items) / sizeof(section_items[0]) };

static struct err take_section_item(struct imap_session *session, struct imap_fetch *fetch,
                                    const struct section_item *row)
{
    struct imap_item item = { .kind = row->kind, .seen = row->seen };
    session->run->args.at += row->word.len;
    if (row->kind == IMAP_ITEM_SECTION) TRY(take_section(session, &item));
    else TRY(take_section_binary(session, &item));
    TRY(make_label(session, &item));
    return add_item(fetch, &item, section_needs(&item));
}

/* "(LAZY)" behind PREVIEW; what else stands in parentheses there are modifiers of the FETCH. */
static struct err take_lazy(struct imap_cursor *args)
{
    size_t start = args->at;
    if (!imap_take(args, ' ')) return err_ok();
    if (!imap_take(args, '(') || !imap_take_word(args, SPAN("LAZY"))) {
        args->at = start;
        return err_ok();
    }
    while (imap_take(args, ' ')) {
        if (!imap_take_word(args, SPAN("LAZY")))
            return err_make(ERR_SYNTAX, "only LAZY goes there");
    }
    return imap_take_char(args, ')', "a list has no end");
}

static struct err take_item(struct imap_session *session, struct imap_fetch *fetch)
{
    struct imap_cursor *args = &session->run->args;
    struct span rest = span_skip(args->in, args->at);
    for (size_t i = 0; i < SECTION_ITEMS; i++) {
        if (span_starts_nocase(rest, section_items[i].word)) {
            return take_section_item(session, fetch, &section_items[i]);
        }
    }
    for (size_t i = 0; i < SIMPLE_ITEMS; i++) {
        if (!imap_take_word(args, simple_items[i].name)) continue;
        if (simple_items[i].kind == IMAP_ITEM_PREVIEW) TRY(take_lazy(args));
        return add_simple(fetch, simple_items[i].kind);
    }
    for (size_t i = 0; i < OLD_ITEMS; i++) {
        if (!imap_take_word(args, old_items[i].name)) continue;
        struct imap_item item = { .kind = IMAP_ITEM_SECTION, .label = old_items[i].label,
                                  .section = old_items[i].section, .seen = old_items[i].seen };
        return add_item(fetch, &item, section_needs(&item));
    }
    return err_make(ERR_SYNTAX, "there is no such item");
}

static struct err take_items(struct imap_session *session, struct imap_fetch *fetch)
{
    struct imap_cursor *args = &session->run->args;
    static const enum imap_item_kind full[] = { IMAP_ITEM_FLAGS, IMAP_ITEM_INTERNALDATE,
                                                IMAP_ITEM_SIZE, IMAP_ITEM_ENVELOPE,
                                                IMAP_ITEM_BASIC };
    size_t macro = 0;
    if (imap_take_word(args, SPAN("FAST"))) macro = 3;
    if (macro == 0 && imap_take_word(args, SPAN("ALL"))) macro = 4;
    if (macro == 0 && imap_take_word(args, SPAN("FULL"))) macro = 5;
    for (size_t i = 0; i < macro; i++) TRY(add_simple(fetch, full[i]));
    if (macro > 0) return err_ok();
    if (!imap_take(args, '(')) return take_item(session, fetch);
    do {
        TRY(take_item(session, fetch));
    } while (imap_take(args, ' '));
    return imap_take_char(args, ')', "a list has no end");
}

static struct err take_modifiers(struct imap_cursor *args, struct imap_fetch *fetch)
{
    TRY(imap_take_char(args, '(', "modifiers stand in parentheses"));
    do {
        if (imap_take_word(args, SPAN("VANISHED"))) {
            fetch->vanished = true;
        } else if (imap_take_word(args, SPAN("CHANGEDSINCE"))) {
            TRY(imap_take_space(args));
            TRY(imap_take_number64(args, &fetch->changed_since));
            fetch->has_changed_since = true;
        } else {
            return err_make(ERR_SYNTAX, "modifiers are CHANGEDSINCE and VANISHED");
        }
    } while (imap_take(args, ' '));
    return imap_take_char(args, ')', "a list has no end");
}

/* RFC 7162 3.2.6: VANISHED goes with UID FETCH, CHANGEDSINCE, and once QRESYNC is enabled. */
static struct err check_vanished(const struct imap_session *session, const struct imap_fetch *fetch)
{
    if (!fetch->vanished) return err_ok();
    if (!session->run->uid) return err_make(ERR_SYNTAX, "VANISHED goes with UID FETCH");
    if (!session->qresync) return err_make(ERR_SYNTAX, "VANISHED needs ENABLE QRESYNC");
    if (!fetch->has_changed_since) return err_make(ERR_SYNTAX, "VANISHED goes with CHANGEDSINCE");
    return err_ok();
}

struct err imap_fetch_parse(struct imap_session *session, struct imap_fetch *fetch)
{
    struct imap_cursor *args = &session->run->args;
    TRY(imap_take_space(args));
    TRY(imap_take_set_or_saved(args, &fetch->set));
    TRY(imap_take_space(args));
    if (session->run->uid) TRY(add_simple(fetch, IMAP_ITEM_UID));
    TRY(take_items(session, fetch));
    if (imap_take(args, ' ')) {
        TRY(take_modifiers(args, fetch));
        TRY(check_vanished(session, fetch));
        TRY(add_simple(fetch, IMAP_ITEM_MODSEQ));
    }
    return imap_take_end(args);
}
