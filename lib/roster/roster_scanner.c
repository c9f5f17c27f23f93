/* Texts, sets and the list of bad ones. */
#include "roster_scanner.h"

#include <stdio.h>

void roster_text_set(struct roster_text *text, struct span from)
{
    from = span_head(from, ROSTER_TEXT_MAX_BYTES);
    for (size_t i = 0; i < from.len; i++) {
        char c = from.ptr[i];
        bool good = c >= ' ' && c <= '~' && c != '"' && c != '\\';
        text->text[i] = good ? c : '?';
    }
    text->len = (uint8_t)from.len;
}

struct span roster_text_span(const struct roster_text *text)
{
    return span_of(text->text, text->len);
}

void roster_set_text(uint64_t set, char to[ROSTER_SET_BYTES + 1])
{
    to[0] = '\0';
    if (set != 0) snprintf(to, ROSTER_SET_BYTES + 1, "%016llx", (unsigned long long)set);
}

const struct roster_bad_set *roster_bad_find(const struct roster_bad *bad, uint64_t set)
{
    for (uint32_t i = 0; i < bad->count; i++) {
        if (bad->sets[i].set == set) return &bad->sets[i];
    }
    return NULL;
}

void roster_bad_remove(struct roster_bad *bad, uint64_t set)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < bad->count; i++) {
        if (bad->sets[i].set != set) bad->sets[kept++] = bad->sets[i];
    }
    bad->count = kept;
}

void roster_bad_add(struct roster_bad *bad, const struct roster_bad_set *set)
{
    roster_bad_remove(bad, set->set);
    if (bad->count == ROSTER_BAD_MAX) roster_bad_remove(bad, bad->sets[0].set);
    bad->sets[bad->count++] = *set;
}
