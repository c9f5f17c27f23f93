#include "imap_token.h"

#include <stdlib.h>

#include "uid_set.h"

/* RFC 3501 section 9: what an unquoted word may be made of. */
static bool is_atom_char(char c)
{
    unsigned char u = (unsigned char)c;
    if (u <= ' ' || u >= 0x7f) return false;
    return c != '(' && c != ')' && c != '{' && c != '%' && c != '*' && c != '"' && c != '\\'
        && c != ']';
}

static bool is_astring_char(char c) { return is_atom_char(c) || c == ']'; }

static bool is_list_char(char c) { return is_astring_char(c) || c == '%' || c == '*'; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool imap_next_is(const struct imap_cursor *cursor, char c)
{
    return cursor->at < cursor->in.len && cursor->in.ptr[cursor->at] == c;
}

bool imap_take(struct imap_cursor *cursor, char c)
{
    if (!imap_next_is(cursor, c)) return false;
    cursor->at++;
    return true;
}

struct err imap_take_char(struct imap_cursor *cursor, char c, const char *what)
{
    return imap_take(cursor, c) ? err_ok() : err_make(ERR_SYNTAX, what);
}

struct err imap_take_space(struct imap_cursor *cursor)
{
    return imap_take_char(cursor, ' ', "a space and an argument are missing");
}

struct err imap_take_end(struct imap_cursor *cursor)
{
    return imap_at_end(cursor) ? err_ok() : err_make(ERR_SYNTAX, "too many arguments");
}

/* The run of bytes that `member` holds for, from the cursor on; the cursor stays. */
static struct span run_of(const struct imap_cursor *cursor, bool (*member)(char))
{
    size_t at = cursor->at;
    while (at < cursor->in.len && member(cursor->in.ptr[at])) at++;
    return span_of(cursor->in.ptr + cursor->at, at - cursor->at);
}

static struct err take_run(struct imap_cursor *cursor, bool (*member)(char), const char *what,
                           struct span *ret)
{
    struct span run = run_of(cursor, member);
    if (run.len == 0) return err_make(ERR_SYNTAX, what);
    cursor->at += run.len;
    *ret = run;
    return err_ok();
}

bool imap_take_word(struct imap_cursor *cursor, struct span word)
{
    struct span run = run_of(cursor, is_atom_char);
    if (!span_eq_nocase(run, word)) return false;
    cursor->at += run.len;
    return true;
}

struct err imap_take_tag(struct imap_cursor *cursor, struct span *ret)
{
    struct span run = run_of(cursor, is_astring_char);
    if (run.len == 0) return err_make(ERR_SYNTAX, "a tag is missing");
    if (run.len > IMAP_TAG_MAX_BYTES) return err_make(ERR_SYNTAX, "the tag is too long");
    if (memchr(run.ptr, '+', run.len) != NULL) return err_make(ERR_SYNTAX, "a tag has no +");
    cursor->at += run.len;
    *ret = run;
    return err_ok();
}

struct err imap_take_atom(struct imap_cursor *cursor, struct span *ret)
{
    return take_run(cursor, is_atom_char, "a word is missing", ret);
}

/* quoted = DQUOTE *(TEXT-CHAR / "\" ("\" / DQUOTE)) DQUOTE. 8-bit bytes are let in. */
static struct err take_quoted(struct imap_cursor *cursor, struct span *ret)
{
    size_t start = cursor->at + 1, at = start, escapes = 0;
    const char *in = cursor->in.ptr;
    for (;; at++) {
        if (at >= cursor->in.len) return err_make(ERR_SYNTAX, "a quoted string has no end");
        if (in[at] == '"') break;
        if (in[at] == '\r' || in[at] == '\n' || in[at] == 0) {
            cursor->at = at;
            return err_make(ERR_SYNTAX, "CR, LF and NUL can't stand in a quoted string");
        }
        if (in[at] != '\\') continue;
        at++;
        escapes++;
        if (at >= cursor->in.len || (in[at] != '"' && in[at] != '\\')) {
            cursor->at = at;
            return err_make(ERR_SYNTAX, "only \" and \\ can follow a \\");
        }
    }
    cursor->at = at + 1;
    if (escapes == 0) {
        *ret = span_of(in + start, at - start);
        return err_ok();
    }
    char *to = arena_alloc(cursor->arena, at - start);
    if (to == NULL) return err_make(ERR_NOMEM, "quoted string");
    size_t len = 0;
    for (size_t i = start; i < at; i++) {
        if (in[i] == '\\') i++;
        to[len++] = in[i];
    }
    *ret = span_of(to, len);
    return err_ok();
}

/* literal = "{" number ["+"] "}" CRLF *CHAR8; no NUL (RFC 3501 4.3 and section 9). */
static struct err take_literal(struct imap_cursor *cursor, struct span *ret)
{
    struct imap_cursor c = *cursor;
    uint64_t size = 0;
    c.at++;
    TRY(imap_take_number64(&c, &size));
    (void)imap_take(&c, '+');
    if (!imap_take(&c, '}') || !imap_take(&c, '\r') || !imap_take(&c, '\n')) {
        return err_make(ERR_SYNTAX, "a literal is {number} at the end of a line");
    }
    if (size > c.in.len - c.at) return err_make(ERR_SYNTAX, "a literal is cut short");
    struct span bytes = span_of(c.in.ptr + c.at, (size_t)size);
    if (bytes.len > 0 && memchr(bytes.ptr, 0, bytes.len) != NULL) {
        return err_make(ERR_SYNTAX, "NUL can't stand in a literal");
    }
    c.at += bytes.len;
    *cursor = c;
    *ret = bytes;
    return err_ok();
}

struct err imap_take_string(struct imap_cursor *cursor, struct span *ret)
{
    if (imap_next_is(cursor, '"')) return take_quoted(cursor, ret);
    if (imap_next_is(cursor, '{')) return take_literal(cursor, ret);
    return err_make(ERR_SYNTAX, "a string is missing");
}

static bool is_string_next(const struct imap_cursor *cursor)
{
    return imap_next_is(cursor, '"') || imap_next_is(cursor, '{');
}

struct err imap_take_astring(struct imap_cursor *cursor, struct span *ret)
{
    if (is_string_next(cursor)) return imap_take_string(cursor, ret);
    return take_run(cursor, is_astring_char, "a word or string is missing", ret);
}

struct err imap_take_list_mailbox(struct imap_cursor *cursor, struct span *ret)
{
    if (is_string_next(cursor)) return imap_take_string(cursor, ret);
    return take_run(cursor, is_list_char, "a mailbox pattern is missing", ret);
}

struct err imap_take_nstring(struct imap_cursor *cursor, struct span *ret)
{
    if (is_string_next(cursor)) return imap_take_string(cursor, ret);
    if (!imap_take_word(cursor, SPAN("NIL"))) {
        return err_make(ERR_SYNTAX, "a string or NIL is missing");
    }
    *ret = span_of(NULL, 0);
    return err_ok();
}

struct err imap_take_number64(struct imap_cursor *cursor, uint64_t *ret)
{
    struct span digits = run_of(cursor, is_digit);
    if (digits.len == 0) return err_make(ERR_SYNTAX, "a number is missing");
    uint64_t value = 0;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned)(digits.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) return err_make(ERR_SYNTAX, "number too big");
        value = value * 10 + digit;
    }
    cursor->at += digits.len;
    *ret = value;
    return err_ok();
}

struct err imap_take_number(struct imap_cursor *cursor, uint32_t *ret)
{
    struct imap_cursor c = *cursor;
    uint64_t value = 0;
    TRY(imap_take_number64(&c, &value));
    if (value > UINT32_MAX) return err_make(ERR_SYNTAX, "number too big");
    *cursor = c;
    *ret = (uint32_t)value;
    return err_ok();
}

struct err imap_take_flag(struct imap_cursor *cursor, struct span *ret)
{
    struct imap_cursor c = *cursor;
    struct span word = { 0 };
    (void)imap_take(&c, '\\');
    TRY(take_run(&c, is_atom_char, "a flag is missing", &word));
    *ret = span_of(cursor->in.ptr + cursor->at, c.at - cursor->at);
    *cursor = c;
    return err_ok();
}

/* seq-number = nz-number / "*"; 0 stands for "*" here. */
static struct err take_seq_number(struct imap_cursor *cursor, uint32_t *ret)
{
    if (imap_take(cursor, '*')) {
        *ret = 0;
        return err_ok();
    }
    struct imap_cursor c = *cursor;
    uint32_t value = 0;
    if (!is_digit(imap_at_end(&c) ? ' ' : c.in.ptr[c.at])) {
        return err_make(ERR_SYNTAX, "a message set is missing");
    }
    TRY(imap_take_number(&c, &value));
    if (value == 0) return err_make(ERR_SYNTAX, "message numbers begin with 1");
    *cursor = c;
    *ret = value;
    return err_ok();
}

static struct err take_range(struct imap_cursor *cursor, struct uid_range *ret)
{
    TRY(take_seq_number(cursor, &ret->first));
    ret->last = ret->first;
    if (imap_take(cursor, ':')) TRY(take_seq_number(cursor, &ret->last));
    return err_ok();
}

struct err imap_take_set(struct imap_cursor *cursor, struct span *ret)
{
    size_t start = cursor->at;
    struct uid_range range;
    do {
        TRY(take_range(cursor, &range));
    } while (imap_take(cursor, ','));
    *ret = span_of(cursor->in.ptr + start, cursor->at - start);
    return err_ok();
}

struct err imap_take_set_or_saved(struct imap_cursor *cursor, struct span *ret)
{
    if (!imap_next_is(cursor, '$')) return imap_take_set(cursor, ret);
    *ret = span_of(cursor->in.ptr + cursor->at, 1);
    cursor->at++;
    return err_ok();
}

static int range_order(const void *a, const void *b)
{
    const struct uid_range *left = a, *right = b;
    return (left->first > right->first) - (left->first < right->first);
}

/* Sorted first, because adding to a uid_set in rising order is what costs nothing. */
static struct err set_add_sorted(struct uid_range *ranges, size_t count, struct uid_set *set)
{
    qsort(ranges, count, sizeof(*ranges), range_order);
    struct uid_range open = ranges[0];
    for (size_t i = 1; i < count; i++) {
        if (ranges[i].first <= open.last) {
            if (ranges[i].last > open.last) open.last = ranges[i].last;
            continue;
        }
        TRY(uid_set_add(set, open.first, open.last));
        open = ranges[i];
    }
    return uid_set_add(set, open.first, open.last);
}

struct err imap_set_read(struct span text, uint32_t star, struct uid_set *set, bool *has_star)
{
    struct imap_cursor cursor = { .in = text };
    size_t count = 0, size = 1;
    for (size_t i = 0; i < text.len; i++) size += text.ptr[i] == ',';
    if (size > IMAP_SET_RANGES_MAX) return err_make(ERR_TOO_BIG, "too many message ranges");
    struct uid_range *ranges = malloc(size * sizeof(*ranges));
    if (ranges == NULL) return err_make(ERR_NOMEM, "message set");
    struct err err = err_ok();
    *has_star = false;
    do {
        struct uid_range range;
        err = take_range(&cursor, &range);
        if (err.code != ERR_OK) break;
        if (range.first == 0 || range.last == 0) *has_star = true;
        if ((range.first == 0 || range.last == 0) && star == 0) continue;
        if (range.first == 0) range.first = star;
        if (range.last == 0) range.last = star;
        /* "*:4" and "4:*" are the same (RFC 3501 section 9, seq-range). */
        if (range.first > range.last) {
            range = (struct uid_range){ range.last, range.first };
        }
        ranges[count++] = range;
    } while (imap_take(&cursor, ','));
    if (err.code == ERR_OK && count > 0) err = set_add_sorted(ranges, count, set);
    free(ranges);
    return err;
}

bool imap_literal_at_end(struct span line, uint64_t *size_bytes, bool *waits, size_t *start)
{
    size_t at = line.len;
    if (at < 3 || line.ptr[at - 1] != '}') return false;
    at--;
    bool plus = line.ptr[at - 1] == '+';
    if (plus) at--;
    size_t end = at;
    while (at > 0 && is_digit(line.ptr[at - 1])) at--;
    if (at == end || at == 0 || line.ptr[at - 1] != '{') return false;
    struct imap_cursor cursor = { .in = span_of(line.ptr + at, end - at) };
    uint64_t value = 0;
    struct err err = imap_take_number64(&cursor, &value);
    *size_bytes = err.code == ERR_OK ? value : UINT64_MAX;
    *waits = !plus;
    *start = at - 1;
    return true;
}
