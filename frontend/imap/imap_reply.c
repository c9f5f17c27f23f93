/* Replies, and which response code of RFC 5530 an error has. */
#include "check.h"
#include "imap_private.h"

void imap_put(struct imap_session *session, struct span text) { buf_put(session->out, text); }

void imap_put_number(struct imap_session *session, uint64_t number)
{
    imap_buf_u64(session->out, number);
}

/* A line that the tag of the command begins; without one RFC 3501 7.1.3 has "*". */
static void put_tag(struct imap_session *session)
{
    if (session->tag_len == 0) {
        IMAP_SAY(session, "*");
    } else {
        imap_put(session, span_of(session->tag, session->tag_len));
    }
}

static void put_modseq_line(struct imap_session *session)
{
    IMAP_SAY(session, "* OK [HIGHESTMODSEQ ");
    imap_put_number(session, session->view->modseq);
    IMAP_SAY(session, "] ok\r\n");
}

void imap_enable_condstore(struct imap_session *session)
{
    if (session->condstore) return;
    session->condstore = true;
    if (session->view != NULL) put_modseq_line(session);
}

/* RFC 7162 3.2: MODSEQ may have been told beyond changes that could not be; the client must not
 * take it that it knows of those. Once it does, it is told that too. */
static void put_modseq_told(struct imap_session *session)
{
    struct imap_view *view = session->view;
    if (!session->qresync || view == NULL) return;
    bool behind = view->newer > view->modseq;
    if (behind || view->told_behind) put_modseq_line(session);
    view->told_behind = behind;
}

void imap_ok_begin(struct imap_session *session)
{
    put_modseq_told(session);
    put_tag(session);
    IMAP_SAY(session, " OK ");
}

void imap_completed(struct imap_session *session)
{
    if (session->run->uid) IMAP_SAY(session, "UID ");
    imap_put(session, session->run->name);
    IMAP_SAY(session, " completed\r\n");
}

enum imap_step imap_ok(struct imap_session *session, struct span code)
{
    imap_ok_begin(session);
    if (code.len > 0) {
        IMAP_SAY(session, "[");
        imap_put(session, code);
        IMAP_SAY(session, "] ");
    }
    imap_completed(session);
    return IMAP_FINISH;
}

enum imap_step imap_step_ok(struct imap_session *session)
{
    return imap_ok(session, SPAN(""));
}

enum imap_step imap_step_ok_modseq(struct imap_session *session)
{
    if (!session->qresync || session->view == NULL) return imap_step_ok(session);
    imap_ok_begin(session);
    IMAP_SAY(session, "[HIGHESTMODSEQ ");
    imap_put_number(session, session->view->modseq);
    IMAP_SAY(session, "] ");
    imap_completed(session);
    return IMAP_FINISH;
}

void imap_no(struct imap_session *session, struct span code, struct span text)
{
    put_modseq_told(session);
    put_tag(session);
    IMAP_SAY(session, " NO ");
    if (code.len > 0) {
        IMAP_SAY(session, "[");
        imap_put(session, code);
        IMAP_SAY(session, "] ");
    }
    imap_put(session, text);
    IMAP_SAY(session, "\r\n");
}

/* RFC 5530 section 3, RFC 3501 7.1 (TRYCREATE), RFC 7889 (TOOBIG). */
static struct span code_of(struct err err, struct span not_found)
{
    switch (err.code) {
    case ERR_OK:
        break;
    case ERR_NOT_FOUND:
        return not_found.len > 0 ? not_found : SPAN("NONEXISTENT");
    case ERR_EXISTS:
        return SPAN("ALREADYEXISTS");
    case ERR_QUOTA:
        return SPAN("OVERQUOTA");
    case ERR_DENIED:
        return SPAN("NOPERM");
    case ERR_TOO_BIG:
        return SPAN("LIMIT");
    case ERR_CONFLICT:
        return SPAN("INUSE");
    case ERR_UNSUPPORTED:
    case ERR_INFECTED:
    case ERR_LOOP:
    case ERR_SYNTAX:
        return SPAN("CANNOT");
    case ERR_CORRUPT:
        return SPAN("SERVERBUG");
    case ERR_NOMEM:
    case ERR_IO:
    case ERR_TIMEOUT:
    case ERR_BUSY:
    case ERR_CANCELLED:
    case ERR_FULL:
    case ERR_MOVED:
    case ERR_UNREACHABLE:
    case ERR_UNKNOWN:
    case ERR_LOCKED:
        return SPAN("UNAVAILABLE");
    }
    return SPAN("SERVERBUG");
}

enum imap_step imap_no_err(struct imap_session *session, struct err err, struct span not_found)
{
    if (session->run != NULL && session->run->silent) return IMAP_FINISH;
    const char *text = err_text(err), *what = err.what;
    put_tag(session);
    IMAP_SAY(session, " NO [");
    imap_put(session, code_of(err, not_found));
    IMAP_SAY(session, "] ");
    if (session->run != NULL) {
        imap_put(session, session->run->name);
        IMAP_SAY(session, ": ");
    }
    imap_put(session, span_of(text, strlen(text)));
    if (what != NULL && what[0] != 0) {
        IMAP_SAY(session, ": ");
        imap_put(session, span_of(what, strlen(what)));
    }
    IMAP_SAY(session, "\r\n");
    return IMAP_FINISH;
}

static void count_bad(struct imap_session *session)
{
    session->bad++;
    if (session->bad >= IMAP_BAD_MAX) imap_hang_up(session, SPAN("too many bad commands"));
}

void imap_bad(struct imap_session *session, struct span text)
{
    put_tag(session);
    IMAP_SAY(session, " BAD ");
    imap_put(session, text);
    IMAP_SAY(session, "\r\n");
    count_bad(session);
}

/* What was wrong and where: the octet counts from the tag, from 1. */
void imap_bad_err(struct imap_session *session, struct err err)
{
    struct imap_run *run = session->run;
    const char *what = err.what == NULL ? err_text(err) : err.what;
    put_tag(session);
    IMAP_SAY(session, " BAD ");
    if (run->name.len > 0) {
        imap_put(session, run->name);
        IMAP_SAY(session, ": ");
    }
    imap_put(session, span_of(what, strlen(what)));
    IMAP_SAY(session, " (at octet ");
    imap_put_number(session, run->args.at + 1);
    IMAP_SAY(session, ")\r\n");
    count_bad(session);
}

void imap_end(struct imap_session *session)
{
    session->state = IMAP_LOGOUT;
    session->phase = IMAP_WISHES;
    session->wish = (struct imap_wish){ .kind = IMAP_WISH_CLOSE };
}

void imap_hang_up(struct imap_session *session, struct span text)
{
    if (session->state == IMAP_LOGOUT) return;
    IMAP_SAY(session, "* BYE ");
    imap_put(session, text);
    IMAP_SAY(session, "\r\n");
    imap_end(session);
}

void imap_put_capability(struct imap_session *session)
{
    IMAP_SAY(session, "IMAP4rev1 LITERAL+ SASL-IR ID ENABLE IDLE");
    if (session->state != IMAP_NOT_AUTHENTICATED) {
        IMAP_SAY(session, " NAMESPACE UIDPLUS MOVE SPECIAL-USE CREATE-SPECIAL-USE UNSELECT"
                          " CHILDREN LIST-EXTENDED LIST-STATUS CONDSTORE QRESYNC ESEARCH SEARCHRES"
                          " WITHIN SORT THREAD=ORDEREDSUBJECT THREAD=REFERENCES STATUS=SIZE QUOTA"
                          " QUOTA=RES-STORAGE QUOTA=RES-MESSAGE OBJECTID SAVEDATE PREVIEW BINARY"
                          " MULTIAPPEND APPENDLIMIT=");
        imap_put_number(session, imap_append_limit(session));
        if (!session->compressed) IMAP_SAY(session, " COMPRESS=DEFLATE");
        return;
    }
    if (session->options->starttls && !session->tls) IMAP_SAY(session, " STARTTLS");
    if (session->tls || session->options->login_without_tls) {
        IMAP_SAY(session, " AUTH=PLAIN AUTH=LOGIN");
    } else {
        IMAP_SAY(session, " LOGINDISABLED");
    }
}

void imap_put_name(struct imap_session *session, struct span name)
{
    struct span text = name;
    bool ascii = true;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        ascii = ascii && c >= 0x20 && c < 0x7f && c != '&';
    }
    if (!ascii) {
        struct err err = imap_name_encode(&session->run->arena, name, &text);
        if (err.code != ERR_OK) text = name; /* no UTF-8: as it is, in a literal */
    }
    imap_put_string(session->out, text);
}

bool imap_put_set(struct imap_session *session, struct span set, size_t *at)
{
    struct buf *out = session->out;
    enum { RANGE_ROOM = 2 * IMAP_U32_MAX_BYTES + 2, TAIL_ROOM = 1024 };
    for (; *at < set.len; *at += sizeof(struct uid_range)) {
        if (out->size - out->len < RANGE_ROOM + TAIL_ROOM) return false;
        struct uid_range range;
        memcpy(&range, set.ptr + *at, sizeof(range));
        char *to = out->bytes + out->len;
        if (*at > 0) *to++ = ',';
        to = imap_put_u32(to, range.first);
        if (range.last != range.first) {
            *to++ = ':';
            to = imap_put_u32(to, range.last);
        }
        out->len = (size_t)(to - out->bytes);
    }
    return true;
}
