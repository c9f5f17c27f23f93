/* Bytes of the client -> commands (RFC 1939 section 3):
 *
 *   command = keyword [SP argument [SP argument]] CRLF
 *
 * of printable ASCII. Only the password of PASS may be UTF-8: users have such ones, and their
 * clients send them. A line that is no good is answered and passed over to its end. */
#include "pop3_private.h"
#include "utf8.h"

struct pop3_row {
    struct span name;
    unsigned states;
    enum pop3_takes takes;
    void (*run)(struct pop3_session *session, const struct pop3_args *args);
};

static const struct pop3_row pop3_rows[] = {
#define POP3_CMD(name, function, states, takes) \
    { SPAN_INIT(#name), (states), takes, pop3_cmd_##function },
#include "pop3_commands.def"
#undef POP3_CMD
};

static const struct pop3_row *find_row(struct span name)
{
    for (size_t i = 0; i < sizeof(pop3_rows) / sizeof(pop3_rows[0]); i++) {
        if (span_eq_nocase(pop3_rows[i].name, name)) return &pop3_rows[i];
    }
    return NULL;
}

/* ---- arguments */

/* 1*DIGIT and nothing else, up to UINT32_MAX. */
static bool take_number(struct span text, uint32_t *ret)
{
    uint64_t number = 0;
    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        number = number * 10 + (uint64_t)(text.ptr[i] - '0');
        if (number > UINT32_MAX) return false;
    }
    *ret = (uint32_t)number;
    return true;
}

/* Whether the message is there to be worked with; says no otherwise. */
static bool has_message(struct pop3_session *session, uint32_t message)
{
    if (message == 0 || message > session->box->count) {
        pop3_put(session, SPAN("-ERR no such message; there are "));
        pop3_put_number(session, session->box->count);
        pop3_put(session, SPAN("\r\n"));
        return false;
    }
    if (!pop3_message_at(session, message)->is_deleted) return true;
    pop3_say(session, POP3_DELETED);
    return false;
}

/* Takes what the command takes out of args->text; false: it is no good, and that is said. */
static bool take_args(struct pop3_session *session, enum pop3_takes takes, bool has_args,
                      struct pop3_args *args)
{
    struct span message = args->text, lines = SPAN("");
    switch (takes) {
    case POP3_TAKES_TEXT:
        return true;
    case POP3_TAKES_NOTHING:
        if (has_args) pop3_say_bad(session, POP3_BAD_ARGUMENT);
        return !has_args;
    case POP3_TAKES_MESSAGE_OR_NOTHING:
        if (!has_args) return true;
        break;
    case POP3_TAKES_MESSAGE_AND_LINES:
        if (!span_cut(args->text, ' ', &message, &lines) || !take_number(lines, &args->lines)) {
            pop3_say_bad(session, POP3_BAD_NUMBERS);
            return false;
        }
        break;
    case POP3_TAKES_MESSAGE:
        break;
    }
    if (!take_number(message, &args->message)) {
        pop3_say_bad(session, takes == POP3_TAKES_MESSAGE_AND_LINES ? POP3_BAD_NUMBERS
                                                                    : POP3_BAD_NUMBER);
        return false;
    }
    return has_message(session, args->message);
}

/* ---- a line */

static bool is_ascii(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] >= 128) return false;
    }
    return true;
}

static bool has_controls(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c < 32 || c == 127) return true;
    }
    return false;
}

static enum pop3_reply not_now(const struct pop3_session *session, const struct pop3_row *row)
{
    if (session->state == POP3_IN_TRANSACTION) return POP3_BAD_STATE_LOGGED_IN;
    return row->run == pop3_cmd_pass ? POP3_BAD_STATE_PASS : POP3_BAD_STATE_LOG_IN;
}

static void run_line(struct pop3_session *session, struct span line)
{
    struct span name = line;
    struct pop3_args args = { .text = SPAN("") };
    bool has_args = span_cut(line, ' ', &name, &args.text);
    if (has_controls(line)) {
        pop3_say_bad(session, POP3_BAD_CONTROLS);
        return;
    }
    const struct pop3_row *row = find_row(name);
    bool takes_utf8 = row != NULL && row->run == pop3_cmd_pass;
    if (!is_ascii(line) && !(takes_utf8 && utf8_is_valid(line))) {
        pop3_say_bad(session, POP3_BAD_NOT_ASCII);
    } else if (row == NULL) {
        pop3_say_bad(session, POP3_BAD_COMMAND);
    } else if ((row->states & (unsigned)session->state) == 0) {
        pop3_say_bad(session, not_now(session, row));
    } else if (take_args(session, row->takes, has_args, &args)) {
        row->run(session, &args);
    }
}

static size_t skip_line(struct pop3_session *session, struct span in)
{
    const char *end = memchr(in.ptr, '\n', in.len);
    if (end == NULL) return in.len;
    session->line_is_skipped = false;
    return (size_t)(end - in.ptr) + 1;
}

/* Nothing of it is read, so it does not matter what it would have been. */
static void refuse_long_line(struct pop3_session *session, bool is_sasl, bool is_auth)
{
    session->line_is_skipped = true;
    if (is_sasl) {
        pop3_forget_secrets(session);
        pop3_ready(session);
    }
    pop3_say_bad(session, is_sasl || is_auth ? POP3_BAD_SASL_LENGTH : POP3_BAD_LINE_LENGTH);
}

size_t pop3_read_line(struct pop3_session *session, struct span in)
{
    bool is_sasl = session->phase == POP3_READS_SASL;
    bool is_auth = session->state != POP3_IN_TRANSACTION && span_starts_nocase(in, SPAN("AUTH "));
    size_t max = is_sasl || is_auth ? POP3_SASL_LINE_MAX_BYTES : POP3_LINE_MAX_BYTES;
    if (session->line_is_skipped) return skip_line(session, in);
    struct span shown = span_head(in, max);
    const char *end = memchr(shown.ptr, '\n', shown.len);
    if (end == NULL) {
        if (shown.len < max) return 0;
        refuse_long_line(session, is_sasl, is_auth);
        return max;
    }
    size_t used = (size_t)(end - in.ptr) + 1;
    struct span line = span_head(in, used - 1);
    bool ends_well = line.len > 0 && line.ptr[line.len - 1] == '\r';
    if (ends_well) line.len--;
    if (is_sasl) {
        /* What is not base64 is refused there, a line end of another kind with it. */
        pop3_sasl_line(session, ends_well ? line : SPAN("\n"));
    } else if (ends_well) {
        run_line(session, line);
    } else {
        pop3_say_bad(session, POP3_BAD_LINE_END);
    }
    return used;
}
