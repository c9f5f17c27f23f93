/* Lists come in pages: ?limit= of them, behind ?after=, and of these only what begins with ?prefix=
 * and has ?filter= anywhere in its name, capitals aside. A page with `next` (and a Link header, RFC
 * 8288) is not the last one, even if it is short or empty: what was passed over counts for the work
 * of a page. A version (RFC 9110: ETag, If-Match) says which state of a row is meant. */
#include <string.h>

#include "api_state_private.h"

enum { TEXT_MAX_BYTES = 255, TAG_BYTES = 24 };

/* ---- pages */

/* 1 to API_LIST_MAX, and nothing behind it. */
static bool read_limit(struct span text, uint64_t *ret)
{
    uint64_t limit = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9' || limit > API_LIST_MAX) return false;
        limit = limit * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *ret = limit;
    return limit >= 1 && limit <= API_LIST_MAX;
}

bool api_page_take(struct api_call *call, unsigned limit_default)
{
    struct api_page *page = &call->page;
    struct span limit = api_query(call, "limit");
    *page = (struct api_page){ .after = api_query(call, "after"),
                               .prefix = api_query(call, "prefix"),
                               .filter = api_query(call, "filter"),
                               .limit = limit_default };
    if (limit.len > 0 && !read_limit(limit, &page->limit)) {
        api_refuse(call, 400, "Bad parameter", "limit: a number from 1 to %d", API_LIST_MAX);
        return false;
    }
    if (page->prefix.len > TEXT_MAX_BYTES || page->filter.len > TEXT_MAX_BYTES) {
        api_refuse(call, 400, "Bad parameter", "prefix, filter: a text of at most %d bytes",
                   TEXT_MAX_BYTES);
        return false;
    }
    return true;
}

static bool has(struct span text, struct span part)
{
    for (size_t at = 0; at + part.len <= text.len; at++) {
        if (span_starts_nocase(span_skip(text, at), part)) return true;
    }
    return false;
}

bool api_page_wants(const struct api_call *call, struct span name)
{
    const struct api_page *page = &call->page;
    return span_starts_nocase(name, page->prefix) && has(name, page->filter);
}

/* ---- the next one */

/* What stays itself in a query (RFC 3986); the others as %XX. */
static size_t put_encoded(struct span text, char *to)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~@";
    size_t at = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (memchr(plain, text.ptr[i], sizeof(plain) - 1) != NULL) to[at++] = text.ptr[i];
        else at += (size_t)snprintf(to + at, 4, "%%%02X", (unsigned char)text.ptr[i]);
    }
    return at;
}

static bool is_after(struct span parameter)
{
    return span_eq(parameter, SPAN("after")) || span_eq(span_head(parameter, 6), SPAN("after="));
}

/* `</path?other=parameters&after=LAST>; rel="next"`. */
static void put_link(struct api_call *call, struct span last)
{
    struct span rest = call->request->query, one;
    size_t size = call->request->path.len + rest.len + 3 * last.len + 32, at = 0;
    if (size > API_LINK_MAX_BYTES) return; /* `next` says it too */
    char *link = arena_alloc(&call->arena, size);
    if (link == NULL) return;
    at = (size_t)snprintf(link, size, "<%.*s?", (int)call->request->path.len,
                          call->request->path.ptr);
    while (rest.len > 0) {
        one = rest;
        if (!span_cut(rest, '&', &one, &rest)) rest = SPAN("");
        if (one.len == 0 || is_after(one)) continue;
        at += (size_t)snprintf(link + at, size - at, "%.*s&", (int)one.len, one.ptr);
    }
    memcpy(link + at, "after=", 6);
    at += 6;
    at += put_encoded(last, link + at);
    memcpy(link + at, ">; rel=\"next\"", 13);
    api_header(call, "Link", span_of(link, at + 13));
}

void api_page_next(struct api_call *call)
{
    if (!call->more || call->last.len == 0) return;
    api_set_text(call->out, "next", call->last);
    put_link(call, call->last);
}

/* ---- versions */

void api_tag(struct api_call *call, uint64_t version)
{
    char *text = arena_alloc(&call->arena, TAG_BYTES);
    if (text == NULL || version == 0) return;
    int len = snprintf(text, TAG_BYTES, "\"%llu\"", (unsigned long long)version);
    api_header(call, "ETag", span_of(text, (size_t)len));
}

bool api_match(struct api_call *call, uint64_t version)
{
    struct span rest = http_request_header(call->request, SPAN("if-match")), one;
    char text[TAG_BYTES];
    if (rest.len == 0) return true;
    size_t len = (size_t)snprintf(text, sizeof(text), "\"%llu\"", (unsigned long long)version);
    while (rest.len > 0 && version != 0) {
        one = rest;
        if (!span_cut(rest, ',', &one, &rest)) rest = SPAN("");
        while (one.len > 0 && one.ptr[0] == ' ') one = span_skip(one, 1);
        while (one.len > 0 && one.ptr[one.len - 1] == ' ') one.len--;
        if (span_eq(one, SPAN("*")) || span_eq(one, span_of(text, len))) return true;
    }
    if (version == 0) {
        api_refuse(call, 412, "Precondition failed", "If-Match: there is no such row yet");
    } else {
        api_refuse(call, 412, "Precondition failed",
                   "If-Match: it was changed meanwhile; its version is %s now", text);
    }
    return false;
}
