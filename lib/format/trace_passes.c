/* Reading Received fields (RFC 5321 4.4): words between white space, comments aside. */
#include "header.h"
#include "trace.h"

/* Takes a word off the front of `*in`; a comment, with those in it, counts as white space. */
static struct span word_take(struct span *in)
{
    size_t at = 0, depth = 0, begin;
    for (; at < in->len; at++) {
        char c = in->ptr[at];
        if (c == '(') depth++;
        else if (c == ')' && depth > 0) depth--;
        else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') break;
    }
    for (begin = at; at < in->len; at++) {
        char c = in->ptr[at];
        if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '(') break;
    }
    struct span word = span_of(in->ptr + begin, at - begin);
    *in = span_skip(*in, at);
    return word;
}

/* Without what may stand around a name or an address: "<a@b>;" */
static struct span word_bare(struct span word)
{
    if (word.len > 0 && word.ptr[word.len - 1] == ';') word.len--;
    if (word.len > 1 && word.ptr[0] == '<' && word.ptr[word.len - 1] == '>') {
        word = span_of(word.ptr + 1, word.len - 2);
    }
    return word;
}

/* Whether the field is of `by`; `*recipient` is whom it says the message was for, or empty. */
static bool is_by(struct span value, struct span by, struct span *recipient)
{
    bool found = false;
    *recipient = SPAN("");
    for (struct span word = word_take(&value), next; word.len > 0; word = word_take(&value)) {
        bool is_clause = span_eq_nocase(word, SPAN("from")) || span_eq_nocase(word, SPAN("by")) ||
                         span_eq_nocase(word, SPAN("for"));
        next = is_clause ? word_take(&value) : word;
        if (span_eq_nocase(word, SPAN("by"))) found = span_eq_nocase(word_bare(next), by);
        if (span_eq_nocase(word, SPAN("for"))) *recipient = word_bare(next);
        if (next.len == 0 || next.ptr[next.len - 1] == ';') break; /* the date, or the end */
    }
    return found;
}

struct trace_passes trace_passes(struct span message, struct span by)
{
    struct trace_passes passes = { .count = 0 };
    struct header_field field;
    struct span recipient;
    while (by.len > 0 && header_take(&message, &field)) {
        if (!span_eq_nocase(field.name, SPAN("Received"))) continue;
        if (!is_by(field.value, by, &recipient)) continue;
        passes.count++;
        if (recipient.len == 0 || passes.for_count == TRACE_FOR_MAX) continue;
        passes.for_addresses[passes.for_count++] = recipient;
    }
    return passes;
}

bool trace_was_for(const struct trace_passes *passes, struct span address)
{
    for (unsigned i = 0; i < passes->for_count; i++) {
        if (span_eq_nocase(passes->for_addresses[i], address)) return true;
    }
    return false;
}
