/* LIST and LSUB (RFC 3501 6.3.8, 6.3.9): LIST-EXTENDED (RFC 5258), with STATUS (RFC 5819) and
 * SPECIAL-USE (RFC 6154). The store gives mailboxes in order of their names, octet by octet, so
 * what lies below a name follows one on the other. */
#include "imap_match.h"
#include "imap_private.h"

enum { LIST_PATTERNS_MAX = 64 };

enum list_option {
    LIST_SUBSCRIBED = 1,  /* selects */
    LIST_SPECIAL_USE = 2, /* selects */
    LIST_RETURN_SUBSCRIBED = 4,
    LIST_LSUB = 8,
    LIST_RECURSIVE = 16,  /* RECURSIVEMATCH */
    LIST_EXTENDED = 32,   /* in one of the three ways of RFC 5258 section 3 */
    LIST_BASE = LIST_SUBSCRIBED | LIST_SPECIAL_USE,
};

/* RECURSIVEMATCH: what is selected below a mailbox. */
enum list_below { LIST_BELOW = 1, LIST_BELOW_UNMATCHED = 2 };

struct list_state {
    struct span reference;
    struct span patterns[LIST_PATTERNS_MAX];
    size_t patterns_count;
    unsigned options;
    unsigned status;  /* items, 0: none */
    size_t at;        /* the mailbox to be told next */
    struct span told; /* LSUB: the last parent that was told */
    uint8_t *below;   /* list_below of each mailbox, with RECURSIVEMATCH */
    struct span before; /* the last one selected; the parents that it has in common are told */
    size_t parent_len;  /* of the parent to be told next */
};

static bool list_matches(const struct list_state *list, struct span name)
{
    for (size_t i = 0; i < list->patterns_count; i++) {
        if (imap_match(list->patterns[i], name)) return true;
    }
    return false;
}

static bool list_selects(const struct list_state *list, const struct store_mailbox *mailbox)
{
    bool subscribed = (list->options & (LIST_SUBSCRIBED | LIST_LSUB)) != 0;
    if (subscribed && !mailbox->subscribed) return false;
    if (!subscribed && mailbox->id == 0) return false;
    if ((list->options & LIST_SPECIAL_USE) != 0) return mailbox->special_use != STORE_USE_NONE;
    return true;
}

static void put_attribute(struct imap_session *session, bool *first, struct span name)
{
    if (!*first) IMAP_SAY(session, " ");
    *first = false;
    imap_put(session, name);
}

/* RFC 5258 3.5: the criteria that something below the mailbox meets. */
static void put_child_info(struct imap_session *session, const struct list_state *list)
{
    IMAP_SAY(session, " (\"CHILDINFO\" (");
    if ((list->options & LIST_SUBSCRIBED) != 0) IMAP_SAY(session, "\"SUBSCRIBED\"");
    if ((list->options & LIST_BASE) == LIST_BASE) IMAP_SAY(session, " ");
    if ((list->options & LIST_SPECIAL_USE) != 0) IMAP_SAY(session, "\"SPECIAL-USE\"");
    IMAP_SAY(session, "))");
}

static void put_mailbox(struct imap_session *session, const struct store_mailbox *mailbox,
                        bool child_info)
{
    const struct list_state *list = session->run->state;
    bool first = true, lsub = (list->options & LIST_LSUB) != 0;
    imap_put(session, lsub ? SPAN("* LSUB (") : SPAN("* LIST ("));
    if (mailbox->id == 0 && !lsub) put_attribute(session, &first, SPAN("\\NonExistent"));
    if (mailbox->no_select) put_attribute(session, &first, SPAN("\\Noselect"));
    put_attribute(session, &first,
                  mailbox->has_children ? SPAN("\\HasChildren") : SPAN("\\HasNoChildren"));
    bool tell = (list->options & (LIST_SUBSCRIBED | LIST_RETURN_SUBSCRIBED)) != 0;
    if (tell && mailbox->subscribed) put_attribute(session, &first, SPAN("\\Subscribed"));
    if (mailbox->special_use != STORE_USE_NONE && !lsub) {
        put_attribute(session, &first, imap_special_use_name(mailbox->special_use));
    }
    IMAP_SAY(session, ") \"/\" ");
    imap_put_name(session, mailbox->name);
    if (child_info) put_child_info(session, list);
    IMAP_SAY(session, "\r\n");
    if (list->status != 0 && mailbox->id != 0 && !mailbox->no_select) {
        imap_put_status(session, mailbox, list->status);
    }
}

/* RFC 3501 6.3.9: LSUB "%" tells foo as \Noselect when only foo/bar is subscribed. */
static void put_parent(struct imap_session *session, const struct store_mailbox *mailbox)
{
    struct list_state *list = session->run->state;
    struct span name = mailbox->name;
    for (size_t i = 1; i < name.len; i++) {
        struct span parent = span_head(name, i);
        if (name.ptr[i] != '/' || !list_matches(list, parent)) continue;
        if (span_eq(parent, list->told)) return;
        list->told = parent;
        IMAP_SAY(session, "* LSUB (\\Noselect \\HasChildren) \"/\" ");
        imap_put_name(session, parent);
        IMAP_SAY(session, "\r\n");
        return;
    }
}

/* ---- RECURSIVEMATCH */

static int compare_names(struct span a, struct span b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The mailbox of a name, or `count`. */
static size_t find_mailbox(const struct imap_mailboxes *mailboxes, struct span name)
{
    size_t low = 0, high = mailboxes->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(mailboxes->mailboxes[middle].name, name);
        if (order == 0) return middle;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return mailboxes->count;
}

static bool is_below(struct span name, struct span parent)
{
    return name.len > parent.len && name.ptr[parent.len] == '/'
        && span_eq(span_head(name, parent.len), parent);
}

/* The parent above a name; false at the top. */
static bool go_up(struct span *name)
{
    size_t len = name->len;
    while (len > 0 && name->ptr[len - 1] != '/') len--;
    if (len < 2) return false;
    name->len = len - 1;
    return true;
}

/* Marks the mailboxes above those that are selected. One that is marked so already has marks above
 * it as well. */
static enum imap_step list_mark(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct list_state *list = run->state;
    const struct imap_mailboxes *all = &run->mailboxes;
    if ((list->options & LIST_RECURSIVE) == 0 || run->err.code != ERR_OK) return IMAP_NEXT;
    list->below = arena_alloc(&run->arena, all->count + 1);
    if (list->below == NULL) return imap_no_err(session, err_make(ERR_NOMEM, "list"), SPAN(""));
    for (size_t i = 0; i < all->count; i++) {
        const struct store_mailbox *mailbox = &all->mailboxes[i];
        if (!list_selects(list, mailbox)) continue;
        uint8_t mark = LIST_BELOW;
        if (!list_matches(list, mailbox->name)) mark |= LIST_BELOW_UNMATCHED;
        for (struct span name = mailbox->name; go_up(&name);) {
            size_t at = find_mailbox(all, name);
            if (at == all->count) continue;
            if ((list->below[at] & mark) == mark) break;
            list->below[at] |= mark;
        }
    }
    return IMAP_NEXT;
}

/* Whether something selected that no pattern matches lies below `parent`, among the mailboxes from
 * `at` on. */
static bool has_unmatched(const struct list_state *list, const struct imap_mailboxes *all,
                          size_t at, struct span parent)
{
    for (; at < all->count && is_below(all->mailboxes[at].name, parent); at++) {
        const struct store_mailbox *mailbox = &all->mailboxes[at];
        if (list_selects(list, mailbox) && !list_matches(list, mailbox->name)) return true;
    }
    return false;
}

/* Tells the parents of the mailbox at list->at that are no mailboxes; false: no room. */
static bool put_missing_parents(struct imap_session *session)
{
    const struct imap_mailboxes *all = &session->run->mailboxes;
    struct list_state *list = session->run->state;
    struct span name = all->mailboxes[list->at].name;
    for (; list->parent_len < name.len; list->parent_len++) {
        struct span parent = span_head(name, list->parent_len);
        bool candidate = parent.len > 0 && name.ptr[parent.len] == '/'
                      && !is_below(list->before, parent) && list_matches(list, parent);
        if (!candidate || find_mailbox(all, parent) < all->count) continue;
        if (!has_unmatched(list, all, list->at, parent)) continue;
        if (!imap_has_room(session)) return false;
        struct store_mailbox missing = { .name = parent, .has_children = true };
        put_mailbox(session, &missing, true);
    }
    list->parent_len = 0;
    list->before = name;
    return true;
}

/* RFC 5258 3.3: matched and selected; or matched, with something selected below that is not told
 * itself. False: no room. */
static bool put_recursive(struct imap_session *session)
{
    struct list_state *list = session->run->state;
    const struct store_mailbox *mailbox = &session->run->mailboxes.mailboxes[list->at];
    bool selected = list_selects(list, mailbox);
    uint8_t below = list->below[list->at];
    if (selected && !put_missing_parents(session)) return false;
    if (!list_matches(list, mailbox->name)) return true;
    if (!selected && (below & LIST_BELOW_UNMATCHED) == 0) return true;
    if (!imap_has_room(session)) {
        list->parent_len = mailbox->name.len; /* the parents are told */
        return false;
    }
    put_mailbox(session, mailbox, below != 0);
    return true;
}

/* An empty pattern asks for the delimiter, but never in an extended LIST. */
static enum imap_step list_call(struct imap_session *session)
{
    const struct list_state *list = session->run->state;
    bool delimiter = list->patterns_count == 1 && list->patterns[0].len == 0;
    if (delimiter && (list->options & LIST_EXTENDED) == 0) {
        imap_put(session, (list->options & LIST_LSUB) != 0
                              ? SPAN("* LSUB (\\Noselect) \"/\" \"\"\r\n")
                              : SPAN("* LIST (\\Noselect) \"/\" \"\"\r\n"));
        return imap_ok(session, SPAN(""));
    }
    return imap_call_mailboxes(session, SPAN(""), list->status);
}

static enum imap_step list_tell(struct imap_session *session)
{
    struct imap_run *run = session->run;
    struct list_state *list = run->state;
    if (run->err.code != ERR_OK) return imap_no_err(session, run->err, SPAN(""));
    for (; list->at < run->mailboxes.count; list->at++) {
        if (!imap_has_room(session)) return IMAP_AGAIN;
        const struct store_mailbox *mailbox = &run->mailboxes.mailboxes[list->at];
        if (list->below != NULL) {
            if (!put_recursive(session)) return IMAP_AGAIN;
            continue;
        }
        if (!list_selects(list, mailbox)) continue;
        if (list_matches(list, mailbox->name)) {
            put_mailbox(session, mailbox, false);
            list->told = mailbox->name;
        } else if ((list->options & LIST_LSUB) != 0) {
            put_parent(session, mailbox);
        }
    }
    return imap_has_room(session) ? imap_ok(session, SPAN("")) : IMAP_AGAIN;
}

static imap_step_run *const list_steps[] = { list_call, list_mark, list_tell, NULL };

/* The name is reference and pattern, one behind the other. */
static struct err take_pattern(struct imap_session *session, struct list_state *list)
{
    struct imap_run *run = session->run;
    struct span word;
    if (list->patterns_count == LIST_PATTERNS_MAX) return err_make(ERR_TOO_BIG, "patterns");
    TRY(imap_take_list_mailbox(&run->args, &word));
    bool delimiter = word.len == 0;
    size_t len = list->reference.len + word.len;
    char *whole = arena_alloc(&run->arena, len + 1);
    if (whole == NULL) return err_make(ERR_NOMEM, "pattern");
    (void)imap_put_span(imap_put_span(whole, list->reference), word);
    struct span pattern = span_of(whole, delimiter ? 0 : len);
    /* One that is no modified UTF-7 is taken as it stands; it matches what it matches. */
    struct err err = imap_name_decode(&run->arena, pattern, &list->patterns[list->patterns_count]);
    if (err.code == ERR_SYNTAX) list->patterns[list->patterns_count] = pattern;
    if (err.code != ERR_SYNTAX) TRY(err);
    if (pattern.len > IMAP_PATTERN_MAX_BYTES) return err_make(ERR_TOO_BIG, "pattern");
    list->patterns_count++;
    return err_ok();
}

static struct err take_patterns(struct imap_session *session, struct list_state *list)
{
    struct imap_cursor *args = &session->run->args;
    if (!imap_take(args, '(')) return take_pattern(session, list);
    list->options |= LIST_EXTENDED;
    do {
        TRY(take_pattern(session, list));
    } while (imap_take(args, ' '));
    return imap_take_char(args, ')', "a list has no end");
}

static struct err take_selection(struct imap_cursor *args, struct list_state *list)
{
    list->options |= LIST_EXTENDED;
    if (imap_take(args, ')')) return err_ok();
    do {
        if (imap_take_word(args, SPAN("SUBSCRIBED"))) {
            list->options |= LIST_SUBSCRIBED;
        } else if (imap_take_word(args, SPAN("SPECIAL-USE"))) {
            list->options |= LIST_SPECIAL_USE;
        } else if (imap_take_word(args, SPAN("RECURSIVEMATCH"))) {
            list->options |= LIST_RECURSIVE;
        } else if (!imap_take_word(args, SPAN("REMOTE"))) {
            return err_make(ERR_SYNTAX, "selection options are SUBSCRIBED SPECIAL-USE REMOTE"
                                        " RECURSIVEMATCH");
        }
    } while (imap_take(args, ' '));
    /* RFC 5258 3.1 */
    if ((list->options & LIST_RECURSIVE) != 0 && (list->options & LIST_BASE) == 0) {
        return err_make(ERR_SYNTAX, "RECURSIVEMATCH goes with SUBSCRIBED or SPECIAL-USE");
    }
    return imap_take_char(args, ')', "a list has no end");
}

static struct err take_return(struct imap_cursor *args, struct list_state *list)
{
    list->options |= LIST_EXTENDED;
    if (!imap_take_word(args, SPAN("RETURN"))) return err_make(ERR_SYNTAX, "only RETURN follows");
    TRY(imap_take_space(args));
    TRY(imap_take_char(args, '(', "return options stand in parentheses"));
    if (imap_take(args, ')')) return err_ok();
    do {
        if (imap_take_word(args, SPAN("STATUS"))) {
            TRY(imap_take_space(args));
            TRY(imap_take_status_items(args, &list->status));
        } else if (imap_take_word(args, SPAN("SUBSCRIBED"))) {
            list->options |= LIST_RETURN_SUBSCRIBED;
        } else if (!imap_take_word(args, SPAN("CHILDREN"))
                   && !imap_take_word(args, SPAN("SPECIAL-USE"))) {
            /* Both of these are told anyway. */
            return err_make(ERR_SYNTAX, "return options: STATUS SUBSCRIBED CHILDREN SPECIAL-USE");
        }
    } while (imap_take(args, ' '));
    return imap_take_char(args, ')', "a list has no end");
}

struct err imap_cmd_list(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct list_state *list;
    TRY(imap_state_new(session, sizeof(*list), &list));
    TRY(imap_take_space(args));
    if (imap_take(args, '(')) {
        TRY(take_selection(args, list));
        TRY(imap_take_space(args));
    }
    TRY(imap_take_astring(args, &list->reference));
    TRY(imap_take_space(args));
    TRY(take_patterns(session, list));
    if (imap_take(args, ' ')) TRY(take_return(args, list));
    TRY(imap_take_end(args));
    imap_steps(session, list_steps);
    return err_ok();
}

struct err imap_cmd_lsub(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct list_state *list;
    TRY(imap_state_new(session, sizeof(*list), &list));
    list->options = LIST_LSUB;
    TRY(imap_take_space(args));
    TRY(imap_take_astring(args, &list->reference));
    TRY(imap_take_space(args));
    TRY(take_pattern(session, list));
    TRY(imap_take_end(args));
    imap_steps(session, list_steps);
    return err_ok();
}
