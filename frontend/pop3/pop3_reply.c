/* Replies: a word, a code where there is one, a text. */
#include "imap_put.h"
#include "pop3_private.h"

static const struct span pop3_replies[] = {
#define POP3_REPLY(name, line) SPAN_INIT(line "\r\n"),
#include "pop3_replies.def"
#undef POP3_REPLY
};

void pop3_put(struct pop3_session *session, struct span text) { buf_put(session->out, text); }

void pop3_put_number(struct pop3_session *session, uint64_t number)
{
    imap_buf_u64(session->out, number);
}

void pop3_say(struct pop3_session *session, enum pop3_reply reply)
{
    pop3_put(session, pop3_replies[reply]);
}

void pop3_say_bad(struct pop3_session *session, enum pop3_reply reply)
{
    if (++session->bad >= POP3_BAD_MAX) {
        pop3_hang_up(session, POP3_TOO_MANY_BAD);
    } else {
        pop3_say(session, reply);
    }
}

void pop3_say_err(struct pop3_session *session, struct span text, struct err err)
{
    const char *why = err_text(err);
    bool is_permanent = err_class(err) == ERR_PERMANENT;
    pop3_put(session, is_permanent ? SPAN("-ERR [SYS/PERM] ") : SPAN("-ERR [SYS/TEMP] "));
    pop3_put(session, text);
    pop3_put(session, SPAN(": "));
    pop3_put(session, span_of(why, strlen(why)));
    pop3_put(session, SPAN("\r\n"));
}

void pop3_close(struct pop3_session *session)
{
    session->state = POP3_IN_END;
    session->phase = POP3_WISHES;
    session->wish = (struct pop3_wish){ .kind = POP3_WISH_CLOSE };
}

void pop3_hang_up(struct pop3_session *session, enum pop3_reply reply)
{
    pop3_say(session, reply);
    pop3_close(session);
}
