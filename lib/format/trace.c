#include "trace.h"

#include <stdbool.h>

#include "buf.h"
#include "date.h"

/* A field being written: words with a space between them, and a fold where one does not fit. */
struct field {
    struct buf *out;
    size_t column;
    char store[TRACE_WORD_MAX_BYTES];
    struct buf word; /* being put together; it is never broken */
};

static void field_begin(struct field *field, struct buf *out, struct span name)
{
    field->out = out;
    buf_put(out, name);
    field->column = name.len;
    buf_init(&field->word, field->store, sizeof(field->store));
}

/* Bytes of our own. */
static void add(struct field *field, struct span text)
{
    buf_put(&field->word, span_head(text, field->word.size - field->word.len));
}

/* Bytes of others: only what can stand in an atom, a domain or an address literal. A few bytes
 * are left for what closes the word. */
static void add_theirs(struct field *field, struct span text, bool is_utf8)
{
    for (size_t i = 0; i < text.len && field->word.len + 8 < field->word.size; i++) {
        char c = text.ptr[i];
        bool fine = (unsigned char)c >= 0x80 ? is_utf8 : c > ' ' && c < 0x7f;
        if (!fine || strchr("()<>\\\";,", c) != NULL) c = '?';
        buf_put(&field->word, span_of(&c, 1));
    }
}

static void end_word(struct field *field)
{
    if (field->word.len == 0) return;
    bool fits = field->column + 1 + field->word.len <= TRACE_LINE_CHARACTERS;
    buf_put(field->out, fits ? SPAN(" ") : SPAN("\r\n\t"));
    field->column = fits ? field->column + 1 : 8; /* a tab is so wide */
    buf_put(field->out, buf_span(&field->word));
    field->column += field->word.len;
    field->word.len = 0;
}

static void word(struct field *field, struct span text)
{
    add(field, text);
    end_word(field);
}

static void words(struct field *field, struct span text)
{
    struct span head;
    while (span_cut(text, ' ', &head, &text)) word(field, head);
    word(field, text);
}

/* TCP-info: "(" [ name ] "[" address "]" ")" */
static void client(struct field *field, const struct trace_facts *facts)
{
    add(field, SPAN("("));
    if (facts->client_name.len > 0) {
        add_theirs(field, facts->client_name, false);
        if (facts->client_ip.len > 0) end_word(field);
    }
    if (facts->client_ip.len > 0) {
        bool is_ip6 = memchr(facts->client_ip.ptr, ':', facts->client_ip.len) != NULL;
        add(field, is_ip6 ? SPAN("[IPv6:") : SPAN("["));
        add_theirs(field, facts->client_ip, false);
        add(field, SPAN("]"));
    } else if (facts->client_name.len == 0) {
        add(field, SPAN("local"));
    }
    word(field, SPAN(")"));
}

static void cipher(struct field *field, struct span text)
{
    struct span head;
    add(field, SPAN("("));
    while (span_cut(text, ' ', &head, &text)) {
        add_theirs(field, head, false);
        end_word(field);
    }
    add_theirs(field, text, false);
    word(field, SPAN(")"));
}

static void date(struct field *field, uint64_t time_ms)
{
    char text[TRACE_DATE_BYTES];
    struct buf out;
    buf_init(&out, text, sizeof(text));
    trace_date(time_ms, &out);
    words(field, buf_span(&out));
}

void trace_date(uint64_t time_ms, struct buf *out)
{
    date_put(out, time_ms > INT64_MAX ? INT64_MAX : (int64_t)time_ms, 0);
}

void trace_received(const struct trace_facts *facts, struct buf *out)
{
    struct field field;
    bool is_utf8 = span_starts_nocase(facts->with, SPAN("UTF8"));
    field_begin(&field, out, SPAN("Received:"));
    word(&field, SPAN("from"));
    add_theirs(&field, facts->helo, is_utf8);
    if (field.word.len == 0) add(&field, SPAN("unknown"));
    end_word(&field);
    client(&field, facts);
    word(&field, SPAN("by"));
    word(&field, facts->by);
    word(&field, SPAN("with"));
    word(&field, facts->with);
    if (facts->cipher.len > 0) cipher(&field, facts->cipher);
    word(&field, SPAN("id"));
    add_theirs(&field, facts->id, false);
    if (facts->for_address.len > 0) {
        end_word(&field);
        word(&field, SPAN("for"));
        add(&field, SPAN("<"));
        add_theirs(&field, facts->for_address, true);
        add(&field, SPAN(">"));
    }
    word(&field, SPAN(";"));
    date(&field, facts->time_ms);
    buf_put(out, SPAN("\r\n"));
}

void trace_return_path(struct span sender, struct buf *out)
{
    buf_put(out, SPAN("Return-Path: <"));
    sender = span_head(sender, TRACE_PATH_MAX_BYTES);
    /* A quoted local part keeps its quotes, spaces and backslashes: nothing else stands here. */
    for (size_t i = 0; i < sender.len; i++) {
        char c = sender.ptr[i];
        if ((unsigned char)c < ' ' || c == 0x7f || c == '<' || c == '>') c = '?';
        buf_put(out, span_of(&c, 1));
    }
    buf_put(out, SPAN(">\r\n"));
}
