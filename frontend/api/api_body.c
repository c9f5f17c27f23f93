/* The body of a request: one JSON object, of members that the call knows. */
#include <stdio.h>
#include <string.h>

#include "api_private.h"
#include "utf8.h"

enum { NAME_SHOWN_BYTES = 64 };

/* Whether `name` is one of the words of `members`. */
static bool is_known(struct span name, const char *members)
{
    struct span rest = span_of(members, strlen(members)), word;
    while (rest.len > 0) {
        word = rest;
        if (!span_cut(rest, ' ', &word, &rest)) rest = SPAN("");
        if (span_eq(word, name)) return true;
    }
    return false;
}

/* "a b c" as "a, b, c". */
static void put_known(const char *members, char *to, size_t size)
{
    size_t at = 0;
    for (; *members != '\0' && at + 3 < size; members++) {
        if (*members == ' ') to[at++] = ',';
        to[at++] = *members;
    }
    to[at] = '\0';
}

bool api_members_are_known(json_t *in, const char *members, char detail[API_DETAIL_BYTES])
{
    char known[API_DETAIL_BYTES / 2];
    const char *key;
    json_t *value;
    json_object_foreach(in, key, value) {
        struct span name = span_of(key, strlen(key));
        if (is_known(name, members)) continue;
        struct span shown = utf8_head(name, NAME_SHOWN_BYTES);
        put_known(members, known, sizeof(known));
        snprintf(detail, API_DETAIL_BYTES, "%.*s: no such member; %s%s", (int)shown.len, shown.ptr,
                 known[0] == '\0' ? "none is known" : "known: ", known);
        return false;
    }
    return true;
}

bool api_body_read(struct span body, const char *members, json_t **ret,
                   char detail[API_DETAIL_BYTES])
{
    json_error_t at;
    json_t *in = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &at);
    if (in == NULL) {
        snprintf(detail, API_DETAIL_BYTES, "the body is no JSON (line %d: %s)", at.line, at.text);
        return false;
    }
    bool good = json_is_object(in);
    if (!good) snprintf(detail, API_DETAIL_BYTES, "the body is no JSON object");
    good = good && api_members_are_known(in, members, detail);
    if (good) *ret = in;
    else json_decref(in);
    return good;
}
