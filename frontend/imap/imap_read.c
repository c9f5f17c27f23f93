/* Bytes of the client -> whole commands.
 *
 * A command is a line, or several with literals between them (RFC 3501 2.2.1, RFC 7888). It is put
 * together in session->text, literals inline, and parsed when it is whole. Only the message of
 * APPEND goes past it, straight into a body. */
#include <stdlib.h>

#include "check.h"
#include "imap_private.h"

enum { IMAP_TEXT_FIRST_BYTES = 256, IMAP_SASL_MAX_BYTES = 12 * 1024, IMAP_IDLE_LINE_MAX = 1024 };

struct imap_row {
    struct span name;
    unsigned states;
    struct err (*run)(struct imap_session *session);
};

static const struct imap_row imap_rows[] = {
#define IMAP_CMD(name, function, states) { SPAN_INIT(#name), (states), imap_cmd_##function },
#include "imap_commands.def"
#undef IMAP_CMD
};

static size_t text_max(const struct imap_session *session)
{
    if (session->phase == IMAP_READS_SASL) return IMAP_SASL_MAX_BYTES;
    if (session->phase == IMAP_READS_IDLE) return IMAP_IDLE_LINE_MAX;
    return session->state == IMAP_NOT_AUTHENTICATED ? IMAP_COMMAND_EARLY_MAX_BYTES
                                                    : session->line_max;
}

static void text_drop(struct imap_session *session)
{
    if (session->text != NULL && session->state == IMAP_NOT_AUTHENTICATED) {
        explicit_bzero(session->text, session->text_len);
    }
    free(session->text);
    session->text = NULL;
    session->text_len = session->text_size = session->line_at = 0;
}

/* TOO_BIG past the bound of the phase. */
static struct err text_put(struct imap_session *session, struct span bytes)
{
    size_t max = text_max(session);
    if (bytes.len > max - session->text_len) return err_make(ERR_TOO_BIG, "command");
    if (bytes.len > session->text_size - session->text_len) {
        size_t size = session->text_size == 0 ? IMAP_TEXT_FIRST_BYTES : session->text_size * 2u;
        while (size - session->text_len < bytes.len) size *= 2;
        char *grown = realloc(session->text, size);
        if (grown == NULL) return err_make(ERR_NOMEM, "command");
        session->text = grown;
        session->text_size = (uint32_t)size;
    }
    if (bytes.len > 0) memcpy(session->text + session->text_len, bytes.ptr, bytes.len);
    session->text_len += (uint32_t)bytes.len;
    return err_ok();
}

/* Sets the tag from the front of the text as it is known so far; "*" when there is none. */
static struct err take_tag(struct imap_session *session, struct imap_cursor *cursor)
{
    struct span tag;
    session->tag_len = 0;
    TRY(imap_take_tag(cursor, &tag));
    memcpy(session->tag, tag.ptr, tag.len);
    session->tag_len = (uint8_t)tag.len;
    return err_ok();
}

static const struct imap_row *find_row(struct span verb)
{
    for (size_t i = 0; i < sizeof(imap_rows) / sizeof(imap_rows[0]); i++) {
        if (span_eq_nocase(imap_rows[i].name, verb)) return &imap_rows[i];
    }
    return NULL;
}

static struct err dispatch(struct imap_session *session, const struct imap_row *row)
{
    if (row == NULL) return err_make(ERR_SYNTAX, "there is no such command");
    session->run->name = row->name;
    if ((row->states & (unsigned)session->state) == 0) {
        if (session->state == IMAP_EXAMINED && (row->states & IMAP_SELECTED) != 0) {
            imap_no(session, SPAN("CANNOT"), SPAN("the mailbox is open read-only"));
            return err_ok();
        }
        return err_make(ERR_SYNTAX, "the command is not legal in this state");
    }
    return row->run(session);
}

struct err imap_dispatch_uid(struct imap_session *session, struct span verb)
{
    static const struct span with_uid[] = {
        SPAN_INIT("FETCH"), SPAN_INIT("STORE"), SPAN_INIT("SEARCH"), SPAN_INIT("COPY"),
        SPAN_INIT("MOVE"), SPAN_INIT("EXPUNGE"), SPAN_INIT("SORT"), SPAN_INIT("THREAD"),
    };
    for (size_t i = 0; i < sizeof(with_uid) / sizeof(with_uid[0]); i++) {
        if (!span_eq_nocase(with_uid[i], verb)) continue;
        session->run->uid = true;
        return dispatch(session, find_row(verb));
    }
    return err_make(ERR_SYNTAX, "UID goes with FETCH STORE SEARCH COPY MOVE EXPUNGE SORT THREAD");
}

/* Makes the run of the command that stands in session->text, which it takes over. */
static struct err begin_run(struct imap_session *session)
{
    TRY(imap_run_new(session, IMAP_READS_COMMAND));
    struct imap_run *run = session->run;
    run->text = session->text;
    run->text_len = session->text_len;
    run->args = (struct imap_cursor){ .in = span_of(run->text, run->text_len),
                                      .arena = &run->arena };
    session->text = NULL;
    session->text_len = session->text_size = session->line_at = 0;
    session->phase = IMAP_RUNS;
    return err_ok();
}

static struct err parse_command(struct imap_session *session)
{
    struct imap_cursor *args = &session->run->args;
    struct span verb;
    TRY(take_tag(session, args));
    TRY(imap_take_char(args, ' ', "a space and a command are missing"));
    TRY(imap_take_atom(args, &verb));
    return dispatch(session, find_row(verb));
}

/* The text is a whole command without its last CRLF. */
static void run_command(struct imap_session *session)
{
    if (session->text_len == 0) {
        imap_bad(session, SPAN("empty line"));
        text_drop(session);
        return;
    }
    struct err err = begin_run(session);
    if (err.code != ERR_OK) {
        text_drop(session);
        imap_hang_up(session, SPAN("[UNAVAILABLE] out of memory"));
        return;
    }
    session->run->args.at = 0;
    err = parse_command(session);
    if (err.code == ERR_OK) return;
    /* Nothing was begun: what the function may have named is not walked. */
    if (err.code == ERR_SYNTAX) {
        imap_bad_err(session, err);
    } else {
        (void)imap_no_err(session, err, SPAN(""));
    }
    if (session->phase == IMAP_RUNS) imap_steps(session, NULL);
}

/* A literal is over the bound. A client that waits is told so and goes on with its next command
 * (RFC 7888 section 4); one that does not wait has begun to send it: all that is left is to
 * close. */
static void refuse_literal(struct imap_session *session, bool waits, struct span code)
{
    if (!waits) {
        imap_hang_up(session, SPAN("[TOOBIG] literal over the limit"));
        return;
    }
    struct imap_cursor cursor = { .in = span_of(session->text, session->text_len) };
    struct err err = take_tag(session, &cursor);
    if (err.code != ERR_OK) {
        imap_bad(session, SPAN("a tag is missing"));
    } else {
        imap_no(session, code, SPAN("literal over the limit"));
    }
    text_drop(session);
    session->phase = IMAP_READS_COMMAND;
}

static void begin_message(struct imap_session *session, uint64_t size, bool waits)
{
    if (size > session->message_max) {
        refuse_literal(session, waits, SPAN("TOOBIG"));
        return;
    }
    struct err err = begin_run(session);
    if (err.code == ERR_OK) {
        (void)take_tag(session, &session->run->args);
        err = imap_append_begin(session, size);
    }
    if (err.code != ERR_OK && waits) {
        (void)imap_no_err(session, err, SPAN(""));
        imap_steps(session, NULL);
        return;
    }
    if (err.code != ERR_OK) {
        imap_hang_up(session, SPAN("[UNAVAILABLE] no room for the message"));
        return;
    }
    session->literal_left = size;
    session->phase = IMAP_READS_MESSAGE;
    if (waits) IMAP_SAY(session, "+ ready for the message\r\n");
}

/* A line has ended at the end of the text, CRLF and all. */
static void end_line(struct imap_session *session)
{
    struct span line = span_of(session->text + session->line_at,
                               session->text_len - session->line_at);
    uint64_t size;
    bool waits;
    size_t start;
    if (line.len < 2 || line.ptr[line.len - 2] != '\r') {
        struct imap_cursor cursor = { .in = span_of(session->text, session->text_len) };
        (void)take_tag(session, &cursor).code;
        imap_bad(session, SPAN("a line ends with CRLF"));
        text_drop(session);
        return;
    }
    line.len -= 2;
    if (!imap_literal_at_end(line, &size, &waits, &start)) {
        session->text_len -= 2;
        run_command(session);
        return;
    }
    struct span before = span_of(session->text, session->line_at + start);
    if (session->state != IMAP_NOT_AUTHENTICATED && imap_append_is_message(session, before)) {
        begin_message(session, size, waits);
        return;
    }
    if (size > text_max(session) - session->text_len) {
        refuse_literal(session, waits, SPAN("TOOBIG"));
        return;
    }
    session->literal_left = size;
    session->phase = size > 0 ? IMAP_READS_LITERAL : IMAP_READS_COMMAND;
    session->line_at = session->text_len;
    if (waits) IMAP_SAY(session, "+ go on\r\n");
}

/* Takes bytes up to the end of a line into the text. `*whole`: the line is all there. */
static size_t take_line(struct imap_session *session, struct span in, bool *whole)
{
    const char *end = memchr(in.ptr, '\n', in.len);
    size_t len = end == NULL ? in.len : (size_t)(end - in.ptr) + 1;
    *whole = false;
    struct err err = text_put(session, span_head(in, len));
    if (err.code == ERR_OK) {
        *whole = end != NULL;
        return len;
    }
    imap_hang_up(session, err.code == ERR_TOO_BIG ? SPAN("[TOOBIG] command line too long")
                                                  : SPAN("[UNAVAILABLE] out of memory"));
    return in.len;
}

static size_t read_line(struct imap_session *session, struct span in)
{
    bool whole;
    size_t used = take_line(session, in, &whole);
    if (!whole) return used;
    size_t unread = in.len - used;
    session->unread_bytes = unread > UINT32_MAX ? UINT32_MAX : (uint32_t)unread;
    if (session->phase == IMAP_READS_COMMAND) {
        end_line(session);
        return used;
    }
    struct span line = span_of(session->text, session->text_len);
    while (line.len > 0 && (line.ptr[line.len - 1] == '\n' || line.ptr[line.len - 1] == '\r')) {
        line.len--;
    }
    if (session->phase == IMAP_READS_SASL) {
        imap_sasl_line(session, line);
    } else {
        imap_idle_line(session, line);
    }
    text_drop(session);
    return used;
}

static size_t read_literal(struct imap_session *session, struct span in)
{
    struct span part = in;
    if (part.len > session->literal_left) part.len = (size_t)session->literal_left;
    struct err err = text_put(session, part);
    if (err.code != ERR_OK) {
        imap_hang_up(session, SPAN("[UNAVAILABLE] out of memory"));
        return in.len;
    }
    session->literal_left -= part.len;
    if (session->literal_left == 0) {
        session->phase = IMAP_READS_COMMAND;
        session->line_at = session->text_len;
    }
    return part.len;
}

static size_t read_message(struct imap_session *session, struct span in)
{
    struct span part = in;
    if (part.len > session->literal_left) part.len = (size_t)session->literal_left;
    imap_append_bytes(session, part);
    session->literal_left -= part.len;
    if (session->literal_left == 0) session->phase = IMAP_READS_TAIL;
    return part.len;
}

/* Behind the message comes CRLF, or one more message on the same line (RFC 3502). */
static size_t read_tail(struct imap_session *session, struct span in)
{
    bool whole;
    size_t used = take_line(session, in, &whole);
    if (!whole) return used;
    struct span line = span_of(session->text, session->text_len);
    bool crlf = line.len >= 2 && line.ptr[line.len - 2] == '\r';
    if (crlf) {
        line.len -= 2;
        imap_append_tail(session, line);
    } else {
        session->phase = IMAP_RUNS;
        imap_bad(session, SPAN("a line ends with CRLF"));
        if (session->phase == IMAP_RUNS) imap_steps(session, NULL);
    }
    text_drop(session);
    return used;
}

size_t imap_read(struct imap_session *session, struct span in)
{
    switch (session->phase) {
    case IMAP_READS_COMMAND:
    case IMAP_READS_SASL:
    case IMAP_READS_IDLE:
        return read_line(session, in);
    case IMAP_READS_LITERAL:
        return read_literal(session, in);
    case IMAP_READS_MESSAGE:
        if (session->literal_left > 0) return read_message(session, in);
        session->phase = IMAP_READS_TAIL;
        return 0;
    case IMAP_READS_TAIL:
        return read_tail(session, in);
    case IMAP_RUNS:
    case IMAP_WISHES:
    case IMAP_WAITS:
    case IMAP_DRAINS:
        break;
    }
    return 0;
}
