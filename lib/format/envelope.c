/* envelope = "(" date SP subject SP from SP sender SP reply-to SP to SP cc SP bcc SP in-reply-to SP
 *            message-id ")"
 * from, ...  = "(" 1*address ")" / nil
 * address    = "(" name SP route SP mailbox SP host ")"        each of them nstring */
#include "envelope.h"

#include "imap_token.h"

static struct err take_address(struct imap_cursor *cursor, struct span *mailbox)
{
    struct span word;
    TRY(imap_take_char(cursor, '(', "address"));
    for (unsigned i = 0; i < 4; i++) {
        if (i > 0) TRY(imap_take_space(cursor));
        TRY(imap_take_nstring(cursor, &word));
        if (i == 2) *mailbox = word;
    }
    return imap_take_char(cursor, ')', "address");
}

/* SP and a list of addresses; only the first one counts. */
static struct err take_addresses(struct imap_cursor *cursor, struct span *first)
{
    struct span mailbox;
    TRY(imap_take_space(cursor));
    *first = span_of(NULL, 0);
    if (imap_take_word(cursor, SPAN("NIL"))) return err_ok();
    TRY(imap_take_char(cursor, '(', "addresses"));
    TRY(take_address(cursor, first));
    while (imap_next_is(cursor, '(')) TRY(take_address(cursor, &mailbox));
    return imap_take_char(cursor, ')', "addresses");
}

static struct err take_all(struct imap_cursor *cursor, struct envelope *envelope)
{
    struct span other = { NULL, 0 };
    struct span *lists[] = { &envelope->from, &other, &other, &envelope->to, &envelope->cc,
                             &other };
    TRY(imap_take_char(cursor, '(', "envelope"));
    TRY(imap_take_nstring(cursor, &other));
    TRY(imap_take_space(cursor));
    TRY(imap_take_nstring(cursor, &envelope->subject));
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        TRY(take_addresses(cursor, lists[i]));
    }
    TRY(imap_take_space(cursor));
    TRY(imap_take_nstring(cursor, &envelope->in_reply_to));
    TRY(imap_take_space(cursor));
    TRY(imap_take_nstring(cursor, &envelope->message_id));
    TRY(imap_take_char(cursor, ')', "envelope"));
    return imap_take_end(cursor);
}

struct err envelope_read(struct span text, struct arena *arena, struct envelope *ret)
{
    struct imap_cursor cursor = { .in = text, .arena = arena };
    struct envelope envelope = { .subject = { NULL, 0 } };
    struct err err = take_all(&cursor, &envelope);
    if (err.code == ERR_SYNTAX) return err_make(ERR_CORRUPT, "envelope");
    TRY(err);
    *ret = envelope;
    return err_ok();
}
