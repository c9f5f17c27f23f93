/* ENABLE (RFC 5161). Only CONDSTORE has something to enable; other names are passed over. */
#include "imap_private.h"

struct err imap_cmd_enable(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct span word;
    bool condstore = false;
    TRY(imap_take_space(args));
    do {
        TRY(imap_take_atom(args, &word));
        condstore = condstore || span_eq_nocase(word, SPAN("CONDSTORE"));
    } while (imap_take(args, ' '));
    TRY(imap_take_end(args));
    if (condstore) session->condstore = true;
    imap_put(session, condstore ? SPAN("* ENABLED CONDSTORE\r\n") : SPAN("* ENABLED\r\n"));
    (void)imap_ok(session, SPAN(""));
    return err_ok();
}
