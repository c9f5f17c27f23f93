/* ENABLE (RFC 5161): CONDSTORE and QRESYNC (RFC 7162 3.2.3, which has the first one with it) have
 * something to enable; other names are passed over. */
#include "imap_private.h"

struct err imap_cmd_enable(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct span word;
    bool condstore = false, qresync = false;
    TRY(imap_take_space(args));
    do {
        TRY(imap_take_atom(args, &word));
        condstore = condstore || span_eq_nocase(word, SPAN("CONDSTORE"));
        qresync = qresync || span_eq_nocase(word, SPAN("QRESYNC"));
    } while (imap_take(args, ' '));
    TRY(imap_take_end(args));
    if (condstore || qresync) imap_enable_condstore(session);
    if (qresync) session->qresync = true;
    IMAP_SAY(session, "* ENABLED");
    if (condstore) IMAP_SAY(session, " CONDSTORE");
    if (qresync) IMAP_SAY(session, " QRESYNC");
    IMAP_SAY(session, "\r\n");
    (void)imap_ok(session, SPAN(""));
    return err_ok();
}
