/* COMPRESS (RFC 4978). The answer goes out as it is, everything behind it compressed; what has come
 * behind the command is taken as compressed too, whether or not the client waited. */
#include "imap_private.h"

static enum imap_step compress_wish(struct imap_session *session)
{
    imap_wish_for(session, IMAP_WISH_COMPRESS);
    return IMAP_NEXT;
}

/* OK was said: without memory for it the two ends would not understand each other. */
static enum imap_step compress_after(struct imap_session *session)
{
    if (session->run->err.code != ERR_OK) imap_end(session);
    else session->compressed = true;
    return IMAP_FINISH;
}

struct err imap_cmd_compress(struct imap_session *session)
{
    static imap_step_run *const steps[] = { compress_wish, compress_after, NULL };
    struct imap_cursor *args = &session->run->args;
    TRY(imap_take_space(args));
    if (!imap_take_word(args, SPAN("DEFLATE"))) {
        return err_make(ERR_SYNTAX, "the mechanism is DEFLATE");
    }
    TRY(imap_take_end(args));
    if (session->compressed) return err_make(ERR_SYNTAX, "compression is active already");
    imap_ok_begin(session);
    IMAP_SAY(session, "DEFLATE active\r\n");
    imap_steps(session, steps);
    return err_ok();
}
