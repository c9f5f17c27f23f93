/* ID (RFC 2971): what the client says of itself is checked and dropped. */
#include "imap_private.h"

enum { ID_PAIRS_MAX = 30 }; /* RFC 2971 3.3 */

static struct err id_pairs(struct imap_cursor *args)
{
    struct span word;
    unsigned words = 0;
    if (imap_take(args, ')')) return err_ok();
    do {
        if (words == 2 * ID_PAIRS_MAX) return err_make(ERR_SYNTAX, "at most 30 fields");
        if (words % 2 == 0) {
            TRY(imap_take_string(args, &word));
        } else {
            TRY(imap_take_nstring(args, &word));
        }
        words++;
    } while (imap_take(args, ' '));
    if (words % 2 != 0) return err_make(ERR_SYNTAX, "a field has no value");
    return imap_take_char(args, ')', "a list has no end");
}

struct err imap_cmd_id(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    TRY(imap_take_space(args));
    if (imap_take(args, '(')) {
        TRY(id_pairs(args));
    } else if (!imap_take_word(args, SPAN("NIL"))) {
        return err_make(ERR_SYNTAX, "a list or NIL is missing");
    }
    TRY(imap_take_end(args));
    IMAP_SAY(session, "* ID (\"name\" ");
    imap_put_string(session->out, session->options->name);
    IMAP_SAY(session, " \"version\" ");
    imap_put_string(session->out, session->options->version);
    IMAP_SAY(session, ")\r\n");
    (void)imap_ok(session, SPAN(""));
    return err_ok();
}
