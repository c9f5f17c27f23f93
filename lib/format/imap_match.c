#include "imap_match.h"

#include <string.h>

static char upper(char c) { return (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c); }

/* How many bytes at the front of `name` count without case. */
static size_t inbox_bytes(struct span name)
{
    struct span first = span_head(name, 5);
    if (!span_eq_nocase(first, SPAN("INBOX"))) return 0;
    return name.len == 5 || name.ptr[5] == '/' ? 5 : 0;
}

/* All positions of the pattern that can be reached are carried along together, so that no pattern
 * costs more than its length for each byte of the name. */
bool imap_match(struct span pattern, struct span name)
{
    bool at[IMAP_PATTERN_MAX_BYTES + 1];
    if (pattern.len > IMAP_PATTERN_MAX_BYTES) return false;
    size_t inbox = inbox_bytes(name);
    memset(at, 0, pattern.len + 1);
    at[0] = true;
    for (size_t i = 0; i <= name.len; i++) {
        /* A wildcard may stand for nothing. */
        for (size_t p = 0; p < pattern.len; p++) {
            if (at[p] && (pattern.ptr[p] == '*' || pattern.ptr[p] == '%')) at[p + 1] = true;
        }
        if (i == name.len) break;
        char c = name.ptr[i];
        at[pattern.len] = false; /* the pattern was at its end before the name was */
        for (size_t p = pattern.len; p-- > 0;) {
            char want = pattern.ptr[p];
            bool here = at[p];
            bool wild = want == '*' || (want == '%' && c != '/');
            if (want != '*' && want != '%' && here) {
                bool same = want == c || (i < inbox && upper(want) == upper(c));
                if (same) at[p + 1] = true;
            }
            /* What stands at p + 1 was reached from p with this byte, or not at all. */
            at[p] = here && wild;
        }
    }
    return at[pattern.len];
}
