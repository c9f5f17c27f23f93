/* SEARCH keys (RFC 3501 6.4.4 and section 9; WITHIN RFC 5032, "$" RFC 5182, object identifiers
 * RFC 8474, save dates RFC 8514) -> the tree of store.proto in prefix order. */
#include "imap_date.h"
#include "imap_search_private.h"
#include "mail_flags.h"

enum search_shape {
    SHAPE_FLAG,    /* number is the bit */
    SHAPE_UNFLAG,
    SHAPE_FIELD,   /* a text in the header field of this name */
    SHAPE_TEXT,
    SHAPE_DATE,
    SHAPE_NUMBER,
    SHAPE_KEYWORD,
    SHAPE_UNKEYWORD,
    SHAPE_ALL,
    SHAPE_NEW,
    SHAPE_OLD,
    SHAPE_RECENT,
    SHAPE_HEADER,
    SHAPE_UID,
    SHAPE_NOT,
    SHAPE_OR,
    SHAPE_MODSEQ,
    SHAPE_AGE,     /* seconds before now */
    SHAPE_OBJECT,  /* an object identifier; bit is its first letter */
};

struct search_row {
    struct span name;
    enum search_shape shape;
    uint32_t op;
    uint64_t bit;
};
static const struct search_row search_rows[] = {
    { SPAN_INIT("ALL"), SHAPE_ALL, STORE_SEARCH_ALL, 0 },
    { SPAN_INIT("ANSWERED"), SHAPE_FLAG, 0, MAIL_FLAG_ANSWERED },
    { SPAN_INIT("BCC"), SHAPE_FIELD, STORE_SEARCH_HEADER, 0 },
    { SPAN_INIT("BEFORE"), SHAPE_DATE, STORE_SEARCH_BEFORE, 0 },
    { SPAN_INIT("BODY"), SHAPE_TEXT, STORE_SEARCH_BODY, 0 },
    { SPAN_INIT("CC"), SHAPE_FIELD, STORE_SEARCH_HEADER, 0 },
    { SPAN_INIT("DELETED"), SHAPE_FLAG, 0, MAIL_FLAG_DELETED },
    { SPAN_INIT("DRAFT"), SHAPE_FLAG, 0, MAIL_FLAG_DRAFT },
    { SPAN_INIT("EMAILID"), SHAPE_OBJECT, STORE_SEARCH_EMAIL_ID, 'M' },
    { SPAN_INIT("FLAGGED"), SHAPE_FLAG, 0, MAIL_FLAG_FLAGGED },
    { SPAN_INIT("FROM"), SHAPE_FIELD, STORE_SEARCH_HEADER, 0 },
    { SPAN_INIT("HEADER"), SHAPE_HEADER, STORE_SEARCH_HEADER, 0 },
    { SPAN_INIT("KEYWORD"), SHAPE_KEYWORD, STORE_SEARCH_KEYWORD, 0 },
    { SPAN_INIT("LARGER"), SHAPE_NUMBER, STORE_SEARCH_LARGER, 0 },
    { SPAN_INIT("MODSEQ"), SHAPE_MODSEQ, STORE_SEARCH_MODSEQ, 0 },
    { SPAN_INIT("NEW"), SHAPE_NEW, 0, 0 },
    { SPAN_INIT("NOT"), SHAPE_NOT, STORE_SEARCH_NOT, 0 },
    { SPAN_INIT("OLD"), SHAPE_OLD, 0, 0 },
    { SPAN_INIT("OLDER"), SHAPE_AGE, STORE_SEARCH_OLDER, 0 },
    { SPAN_INIT("ON"), SHAPE_DATE, STORE_SEARCH_ON, 0 },
    { SPAN_INIT("OR"), SHAPE_OR, STORE_SEARCH_OR, 0 },
    { SPAN_INIT("RECENT"), SHAPE_RECENT, 0, 0 },
    { SPAN_INIT("SAVEDATESUPPORTED"), SHAPE_ALL, STORE_SEARCH_ALL, 0 },
    { SPAN_INIT("SAVEDBEFORE"), SHAPE_DATE, STORE_SEARCH_SAVED_BEFORE, 0 },
    { SPAN_INIT("SAVEDON"), SHAPE_DATE, STORE_SEARCH_SAVED_ON, 0 },
    { SPAN_INIT("SAVEDSINCE"), SHAPE_DATE, STORE_SEARCH_SAVED_SINCE, 0 },
    { SPAN_INIT("SEEN"), SHAPE_FLAG, 0, MAIL_FLAG_SEEN },
    { SPAN_INIT("SENTBEFORE"), SHAPE_DATE, STORE_SEARCH_SENT_BEFORE, 0 },
    { SPAN_INIT("SENTON"), SHAPE_DATE, STORE_SEARCH_SENT_ON, 0 },
    { SPAN_INIT("SENTSINCE"), SHAPE_DATE, STORE_SEARCH_SENT_SINCE, 0 },
    { SPAN_INIT("SINCE"), SHAPE_DATE, STORE_SEARCH_SINCE, 0 },
    { SPAN_INIT("SMALLER"), SHAPE_NUMBER, STORE_SEARCH_SMALLER, 0 },
    { SPAN_INIT("SUBJECT"), SHAPE_FIELD, STORE_SEARCH_HEADER, 0 },
    { SPAN_INIT("TEXT"), SHAPE_TEXT, STORE_SEARCH_TEXT, 0 },
    { SPAN_INIT("THREADID"), SHAPE_OBJECT, STORE_SEARCH_THREAD_ID, 'T' },
    { SPAN_INIT("TO"), SHAPE_FIELD, STORE_SEARCH_HEADER, 0 },
    { SPAN_INIT("UID"), SHAPE_UID, STORE_SEARCH_UIDS, 0 },
    { SPAN_INIT("UNANSWERED"), SHAPE_UNFLAG, 0, MAIL_FLAG_ANSWERED },
    { SPAN_INIT("UNDELETED"), SHAPE_UNFLAG, 0, MAIL_FLAG_DELETED },
    { SPAN_INIT("UNDRAFT"), SHAPE_UNFLAG, 0, MAIL_FLAG_DRAFT },
    { SPAN_INIT("UNFLAGGED"), SHAPE_UNFLAG, 0, MAIL_FLAG_FLAGGED },
    { SPAN_INIT("UNKEYWORD"), SHAPE_UNKEYWORD, STORE_SEARCH_KEYWORD, 0 },
    { SPAN_INIT("UNSEEN"), SHAPE_UNFLAG, 0, MAIL_FLAG_SEEN },
    { SPAN_INIT("YOUNGER"), SHAPE_AGE, STORE_SEARCH_YOUNGER, 0 },
};
enum { SEARCH_ROWS = sizeof(search_rows) / sizeof(search_rows[0]) };

static struct err take_key(struct imap_session *session, struct imap_search *search,
                           unsigned depth);

static struct err add_key(struct imap_search *search, struct store_search_key key)
{
    if (search->count == IMAP_SEARCH_KEYS_MAX) return err_make(ERR_SYNTAX, "too many search keys");
    search->keys[search->count++] = key;
    return err_ok();
}

static struct err add_flag(struct imap_search *search, uint64_t bit, bool set)
{
    struct store_search_key key = { .op = STORE_SEARCH_FLAGS_SET, .number = bit };
    if (!set) TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_NOT }));
    return add_key(search, key);
}

static struct err add_recent(struct imap_session *session, struct imap_search *search, bool recent)
{
    struct store_search_key key = { .op = STORE_SEARCH_RECENT,
                                    .number = session->view->recent_from };
    if (!recent) TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_NOT }));
    return add_key(search, key);
}

/* A set of numbers or UIDs, as UIDs once the view is there. */
static struct err take_messages(struct imap_session *session, struct imap_search *search, bool uid)
{
    struct imap_run *run = session->run;
    struct store_search_key key = { .op = STORE_SEARCH_UIDS };
    struct span text;
    search->numbers = search->numbers || (!uid && !imap_next_is(&run->args, '$'));
    TRY(imap_take_set_or_saved(&run->args, &text));
    search->needs_view = true;
    if (search->resolved) {
        struct uid_set uids;
        uid_set_init(&uids, IMAP_SET_RANGES_MAX);
        struct err err = imap_view_uids(session->view, text, uid, &uids);
        if (err.code == ERR_OK) err = arena_copy(&run->arena, uid_set_bytes(&uids), &key.text);
        uid_set_free(&uids);
        TRY(err);
    }
    return add_key(search, key);
}

/* MODSEQ [entry-name SP entry-type-req] mod-sequence-valzer (RFC 7162 3.1.5): flags have one
 * mod-sequence here, so the entry makes no difference. */
static struct err take_modseq(struct imap_session *session, struct imap_search *search)
{
    struct imap_cursor *args = &session->run->args;
    struct store_search_key key = { .op = STORE_SEARCH_MODSEQ };
    struct span word;
    if (imap_next_is(args, '"')) {
        TRY(imap_take_string(args, &word));
        TRY(imap_take_space(args));
        if (!imap_take_word(args, SPAN("all")) && !imap_take_word(args, SPAN("priv"))
            && !imap_take_word(args, SPAN("shared"))) {
            return err_make(ERR_SYNTAX, "all, priv or shared is missing");
        }
        TRY(imap_take_space(args));
    }
    TRY(imap_take_number64(args, &key.number));
    search->modseq = true;
    imap_enable_condstore(session);
    return add_key(search, key);
}

/* RFC 5032: the server's time now, less the interval. */
static struct err take_age(struct imap_session *session, struct imap_search *search, uint32_t op)
{
    uint32_t seconds = 0;
    TRY(imap_take_number(&session->run->args, &seconds));
    if (seconds == 0) return err_make(ERR_SYNTAX, "an interval is not 0");
    uint64_t now = session->wall_ms / 1000;
    uint64_t then = now > seconds ? now - seconds : 0;
    return add_key(search, (struct store_search_key){ .op = op, .number = then });
}

static bool is_object_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'
        || c == '-';
}

/* RFC 8474 section 7. What we have not given out is 0, which no message has. */
static struct err take_object(struct imap_session *session, struct imap_search *search,
                              const struct search_row *row)
{
    struct imap_cursor *args = &session->run->args;
    struct store_search_key key = { .op = row->op };
    struct span word;
    char again[IMAP_U64_MAX_BYTES + 1];
    size_t start = args->at;
    TRY(imap_take_atom(args, &word));
    bool good = word.len <= 255;
    for (size_t i = 0; i < word.len; i++) good = good && is_object_char(word.ptr[i]);
    if (!good) {
        args->at = start;
        return err_make(ERR_SYNTAX, "that is no object identifier");
    }
    struct imap_cursor digits = { .in = span_skip(word, 1) };
    if (imap_take_number64(&digits, &key.number).code != ERR_OK) key.number = 0;
    again[0] = (char)row->bit;
    size_t len = (size_t)(imap_put_u64(again + 1, key.number) - again);
    if (!span_eq(word, span_of(again, len))) key.number = 0;
    return add_key(search, key);
}

/* Keys with one argument. */
static struct err take_argument(struct imap_session *session, struct imap_search *search,
                                const struct search_row *row)
{
    struct imap_cursor *args = &session->run->args;
    struct store_search_key key = { .op = row->op };
    if (row->shape == SHAPE_UID) return take_messages(session, search, true);
    if (row->shape == SHAPE_MODSEQ) return take_modseq(session, search);
    if (row->shape == SHAPE_AGE) return take_age(session, search, row->op);
    if (row->shape == SHAPE_OBJECT) return take_object(session, search, row);
    if (row->shape == SHAPE_DATE) {
        TRY(imap_take_date(args, &key.number));
        return add_key(search, key);
    }
    if (row->shape == SHAPE_NUMBER) {
        TRY(imap_take_number64(args, &key.number));
        return add_key(search, key);
    }
    if (row->shape == SHAPE_KEYWORD || row->shape == SHAPE_UNKEYWORD) {
        if (row->shape == SHAPE_UNKEYWORD) {
            TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_NOT }));
        }
        TRY(imap_take_atom(args, &key.text));
        return add_key(search, key);
    }
    if (row->shape == SHAPE_FIELD) key.name = row->name;
    if (row->shape == SHAPE_HEADER) {
        TRY(imap_take_astring(args, &key.name));
        TRY(imap_take_space(args));
    }
    TRY(imap_take_astring(args, &key.text));
    return add_key(search, key);
}

static struct err take_row(struct imap_session *session, struct imap_search *search,
                           const struct search_row *row, unsigned depth)
{
    struct imap_cursor *args = &session->run->args;
    switch (row->shape) {
    case SHAPE_FLAG:
        return add_flag(search, row->bit, true);
    case SHAPE_UNFLAG:
        return add_flag(search, row->bit, false);
    case SHAPE_ALL:
        return add_key(search, (struct store_search_key){ .op = STORE_SEARCH_ALL });
    case SHAPE_RECENT:
        return add_recent(session, search, true);
    case SHAPE_OLD:
        return add_recent(session, search, false);
    case SHAPE_NEW: /* RECENT UNSEEN */
        TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_AND, .count = 2 }));
        TRY(add_recent(session, search, true));
        return add_flag(search, MAIL_FLAG_SEEN, false);
    case SHAPE_NOT:
        TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_NOT }));
        TRY(imap_take_space(args));
        return take_key(session, search, depth + 1);
    case SHAPE_OR:
        TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_OR }));
        TRY(imap_take_space(args));
        TRY(take_key(session, search, depth + 1));
        TRY(imap_take_space(args));
        return take_key(session, search, depth + 1);
    case SHAPE_FIELD:
    case SHAPE_TEXT:
    case SHAPE_DATE:
    case SHAPE_NUMBER:
    case SHAPE_KEYWORD:
    case SHAPE_UNKEYWORD:
    case SHAPE_HEADER:
    case SHAPE_UID:
    case SHAPE_MODSEQ:
    case SHAPE_AGE:
    case SHAPE_OBJECT:
        break;
    }
    TRY(imap_take_space(args));
    return take_argument(session, search, row);
}

/* search-key *(SP search-key) as one AND. */
static struct err take_keys(struct imap_session *session, struct imap_search *search,
                            unsigned depth)
{
    size_t at = search->count;
    TRY(add_key(search, (struct store_search_key){ .op = STORE_SEARCH_AND }));
    do {
        TRY(take_key(session, search, depth + 1));
        search->keys[at].count++;
    } while (imap_take(&session->run->args, ' '));
    return err_ok();
}

static struct err take_key(struct imap_session *session, struct imap_search *search,
                           unsigned depth)
{
    struct imap_cursor *args = &session->run->args;
    if (depth > IMAP_SEARCH_DEPTH_MAX - 2) return err_make(ERR_SYNTAX, "search keys too deep");
    if (imap_take(args, '(')) {
        TRY(take_keys(session, search, depth));
        return imap_take_char(args, ')', "a list has no end");
    }
    char c = imap_at_end(args) ? ' ' : args->in.ptr[args->at];
    if (c == '*' || c == '$' || (c >= '0' && c <= '9'))
        return take_messages(session, search, false);
    for (size_t i = 0; i < SEARCH_ROWS; i++) {
        if (imap_take_word(args, search_rows[i].name)) {
            return take_row(session, search, &search_rows[i], depth);
        }
    }
    return err_make(ERR_SYNTAX, "there is no such search key");
}

/* The charset: SORT and THREAD have it always, SEARCH behind a word. */
static struct err take_charset(struct imap_cursor *args, struct imap_search *search)
{
    struct span charset;
    if (!search->bare_charset) {
        if (!imap_take_word(args, SPAN("CHARSET"))) return err_ok();
        TRY(imap_take_space(args));
    }
    TRY(imap_take_astring(args, &charset));
    TRY(imap_take_space(args));
    search->bad_charset = !span_eq_nocase(charset, SPAN("UTF-8"))
                       && !span_eq_nocase(charset, SPAN("US-ASCII"));
    return err_ok();
}

struct err imap_search_parse(struct imap_session *session, struct imap_search *search)
{
    struct imap_cursor *args = &session->run->args;
    search->count = 0;
    if (!search->resolved) search->args_at = args->at;
    if (search->keys == NULL) {
        search->keys = arena_alloc(&session->run->arena,
                                   IMAP_SEARCH_KEYS_MAX * sizeof(*search->keys));
    }
    if (search->keys == NULL) return err_make(ERR_NOMEM, "search keys");
    TRY(take_charset(args, search));
    /* In a charset that is not known nothing of the rest can be read. */
    if (search->bad_charset) return err_ok();
    TRY(take_keys(session, search, 0));
    return imap_take_end(args);
}

enum imap_step imap_search_view(struct imap_session *session, const struct imap_search *search)
{
    bool needed = search->needs_view || !session->run->uid;
    return needed ? imap_step_view(session) : IMAP_NEXT;
}

enum imap_step imap_search_resolve(struct imap_session *session, struct imap_search *search)
{
    struct imap_run *run = session->run;
    if (!search->needs_view) return IMAP_NEXT;
    run->args.at = search->args_at;
    search->resolved = true;
    struct err err = imap_search_parse(session, search);
    if (err.code == ERR_OK) return IMAP_NEXT;
    if (err.code != ERR_SYNTAX) return imap_no_err(session, err, SPAN(""));
    imap_bad_err(session, err);
    return IMAP_FINISH;
}

void imap_search_bad_charset(struct imap_session *session)
{
    imap_no(session, SPAN("BADCHARSET (US-ASCII UTF-8)"), SPAN("charset not known"));
}
