/* Which events of a log are shown, to whom.
 *
 * An operator sees all. A tenant's administrator sees an event that names an address of a domain
 * of his, and none of another tenant's; one that names neither is the operator's. What is cut or
 * not in ASCII can't be told, and is not shown. */
#include <stdlib.h>
#include <string.h>

#include "api_logs_private.h"

enum { DOMAIN_BYTES = 256 };

bool api_logs_filter(struct api_logs *logs, struct span filter)
{
    logs->words_count = 0;
    if (filter.len > API_LOGS_FILTER_MAX_BYTES) return false;
    while (filter.len > 0) {
        struct span word = filter, rest = SPAN("");
        span_cut(filter, ' ', &word, &rest);
        filter = rest;
        if (word.len == 0) continue;
        if (logs->words_count == API_LOGS_WORDS_MAX) return false;
        logs->words[logs->words_count++] = word;
    }
    return true;
}

/* ---- whose it is */

enum whose { NOBODYS, OWN, OTHERS };

/* Of one address; one without a domain, or of a domain that is not ours, is nobody's. */
static enum whose whose_address(const struct api_call *call, struct span address)
{
    char bytes[DOMAIN_BYTES];
    size_t at = address.len;
    while (at > 0 && address.ptr[at - 1] != '@') at--;
    if (at == 0) return NOBODYS;
    struct span domain = span_skip(address, at);
    if (domain.len == 0 || domain.len > sizeof(bytes)) return OTHERS;
    for (size_t i = 0; i < domain.len; i++) {
        char c = domain.ptr[i];
        if (c < ' ' || c > '~') return OTHERS;
        bytes[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
    }
    const struct directory_domain *known =
        directory_find(call->api->options.resolver->directory, span_of(bytes, domain.len), NULL);
    if (known == NULL) return NOBODYS;
    struct span only = call->token.domain; /* of a token that holds in one domain */
    if (only.len > 0 && !span_eq(only, known->name)) return OTHERS;
    return known->tenant == call->tenant ? OWN : OTHERS;
}

static bool is_between(char c)
{
    return c == ',' || c == ' ' || c == '<' || c == '>' || c == ';' || c == '"';
}

/* Of a text with one address or several. */
static enum whose whose_text(const struct api_call *call, struct span text)
{
    enum whose whose = NOBODYS;
    if (text.len >= 3 && span_eq(span_skip(text, text.len - 3), SPAN("..."))) return OTHERS;
    while (text.len > 0 && whose != OTHERS) {
        size_t len = 0;
        while (len < text.len && !is_between(text.ptr[len])) len++;
        enum whose one = whose_address(call, span_head(text, len));
        if (one != NOBODYS) whose = one;
        text = span_skip(text, len + 1);
    }
    return whose;
}

static bool is_callers(const struct api_call *call, const json_t *event)
{
    static const char *const members[] = { "sender", "recipient", "user", "domain" };
    bool own = false;
    if (call->tenant == 0) return call->token.role == OPERATOR;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        const json_t *value = json_object_get(event, members[i]);
        struct span text = span_of(json_string_value(value), json_string_length(value));
        if (!json_is_string(value)) continue;
        enum whose whose = whose_text(call, text);
        if (strcmp(members[i], "domain") == 0 && whose == NOBODYS) {
            char address[DOMAIN_BYTES];
            int len = snprintf(address, sizeof(address), "@%s", json_string_value(value));
            whose = whose_address(call, span_of(address, len > 0 ? (size_t)len : 0));
        }
        if (whose == OTHERS) return false;
        own = own || whose == OWN;
    }
    return own;
}

/* ---- what is wanted */

static bool text_has(const char *text, struct span word)
{
    struct span rest = span_of(text, strlen(text));
    for (; rest.len >= word.len; rest = span_skip(rest, 1)) {
        if (span_starts_nocase(rest, word)) return true;
        if (rest.len == 0) break;
    }
    return false;
}

static void value_text(const json_t *value, char number[32], const char **ret)
{
    *ret = json_string_value(value);
    if (*ret != NULL) return;
    snprintf(number, 32, "%lld", (long long)json_integer_value(value));
    *ret = number;
}

/* "key=value": that member is the value; else the word stands in some value. */
static bool word_fits(const json_t *event, struct span word)
{
    struct span key, wanted;
    const char *name, *text;
    json_t *value;
    char number[32];
    bool is_pair = span_cut(word, '=', &key, &wanted);
    json_object_foreach((json_t *)(uintptr_t)event, name, value) {
        value_text(value, number, &text);
        if (!is_pair && text_has(text, word)) return true;
        if (!is_pair || !span_eq(key, span_of(name, strlen(name)))) continue;
        return span_eq_nocase(wanted, span_of(text, strlen(text)));
    }
    return false;
}

bool api_logs_shows(const struct api_logs *logs, const json_t *event)
{
    if (!is_callers(logs->call, event)) return false;
    for (size_t i = 0; i < logs->words_count; i++) {
        if (!word_fits(event, logs->words[i])) return false;
    }
    return true;
}

/* ---- order */

struct shown {
    json_t *event;
    const char *time, *program;
    size_t place; /* in its program's log */
};

static const char *text_of(const json_t *event, const char *member)
{
    const char *text = json_string_value(json_object_get(event, member));
    return text == NULL ? "" : text;
}

static int shown_order(const void *a, const void *b)
{
    const struct shown *one = a, *two = b;
    int order = strcmp(one->time, two->time);
    if (order == 0) order = strcmp(one->program, two->program);
    if (order != 0) return order;
    return one->place < two->place ? -1 : one->place > two->place;
}

void api_logs_sort(struct api_logs *logs)
{
    size_t count = json_array_size(logs->events);
    struct shown *all = calloc(count + 1, sizeof(*all));
    if (all == NULL) return; /* they are whole, by program */
    for (size_t i = 0; i < count; i++) {
        json_t *event = json_incref(json_array_get(logs->events, i));
        all[i] = (struct shown){ event, text_of(event, "time"), text_of(event, "program"), i };
    }
    qsort(all, count, sizeof(*all), shown_order);
    json_array_clear(logs->events);
    size_t first = logs->goes_on || count <= logs->lines ? 0 : count - logs->lines;
    for (size_t i = 0; i < count; i++) {
        if (i < first) json_decref(all[i].event);
        else json_array_append_new(logs->events, all[i].event);
    }
    free(all);
}
