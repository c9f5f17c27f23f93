/* DATA (RFC 5321 4.1.1.4) and BDAT (RFC 3030 section 2). */
#include "smtp_params.h"
#include "smtp_private.h"

void smtp_cmd_DATA(struct smtp_session *session, struct span args)
{
    if (args.len > 0) {
        smtp_say(session, SMTP_REPLY_NO_ARGUMENT);
        return;
    }
    if (!smtp_body_begin(session) || session->receiving->fault != SMTP_FAULT_NONE) {
        session->receiving = NULL;
        smtp_say(session, SMTP_REPLY_NO_MEMORY);
        return;
    }
    session->is_bdat = false;
    session->state = SMTP_IN_DATA;
    smtp_say(session, SMTP_REPLY_GO_ON);
}

/* BDAT SP chunk-size [ SP "LAST" ]. Without a size nobody knows where the octets end and the next
 * command begins, so the conversation ends; with one they are taken even when they are refused. */
void smtp_cmd_BDAT(struct smtp_session *session, struct span args)
{
    struct span size = args, word = SPAN("");
    uint64_t size_bytes;
    (void)span_cut(args, ' ', &size, &word);
    bool is_last = span_eq_nocase(word, SPAN("LAST"));
    if (smtp_number_parse(size, &size_bytes).code != ERR_OK || (word.len > 0 && !is_last)) {
        smtp_hang_up(session, SMTP_REPLY_BDAT_SYNTAX);
        return;
    }
    bool is_next = (session->state & (SMTP_IN_RCPT | SMTP_IN_CHUNKS)) != 0;
    if (session->state != SMTP_IN_CHUNKS && !smtp_body_begin(session)) {
        smtp_hang_up(session, SMTP_REPLY_NO_MEMORY);
        return;
    }
    struct smtp_body *body = session->receiving;
    if (!is_next) {
        body->fault = SMTP_FAULT_SEQUENCE;
        body->after = session->state;
    }
    body->chunk_left = size_bytes;
    body->chunk_is_last = is_last;
    session->is_bdat = true;
    session->state = SMTP_IN_CHUNK;
}
