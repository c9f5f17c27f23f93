#include "conf_value.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const struct conf_row conf_rows[] = {
#define CONF(name, key_, scope_, type_, unit_, min_, max_, value_, effect_, text_)               \
    [CONF_##name] = { .key = (key_), .unit = (unit_), .value = (value_), .text = (text_),         \
                      .min = (min_), .max = (max_), .scope = CONF_##scope_,                       \
                      .type = CONF_TYPE_##type_, .effect = CONF_##effect_ },
#include "conf_rows.def"
#undef CONF
};

bool conf_type_is_number(enum conf_type type)
{
    return type == CONF_TYPE_NUMBER || type == CONF_TYPE_BYTES || type == CONF_TYPE_SECONDS;
}

const char *conf_type_text(enum conf_type type)
{
    static const char *const texts[] = {
        [CONF_TYPE_BOOL] = "boolean", [CONF_TYPE_NUMBER] = "number", [CONF_TYPE_BYTES] = "bytes",
        [CONF_TYPE_SECONDS] = "seconds", [CONF_TYPE_TEXT] = "text", [CONF_TYPE_HOST] = "host",
        [CONF_TYPE_ENDPOINT] = "endpoint", [CONF_TYPE_CHOICE] = "choice",
        [CONF_TYPE_NETWORKS] = "networks", [CONF_TYPE_TEXTS] = "texts",
        [CONF_TYPE_SECRET] = "secret",
    };
    return texts[type];
}

static struct span c_span(const char *text) { return span_of(text, strlen(text)); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_blank(char c) { return c == ' ' || c == '\t'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static struct span trim(struct span s)
{
    while (s.len > 0 && is_blank(s.ptr[0])) s = span_skip(s, 1);
    while (s.len > 0 && is_blank(s.ptr[s.len - 1])) s.len--;
    return s;
}

static struct err bad(const char *what) { return err_make(ERR_SYNTAX, what); }

/* ---- numbers */

/* Digits off the front of `*in`. */
static bool take_digits(struct span *in, uint64_t *ret)
{
    uint64_t number = 0;
    size_t at = 0;
    for (; at < in->len && is_digit(in->ptr[at]); at++) {
        uint64_t digit = (uint64_t)(in->ptr[at] - '0');
        if (number > (UINT64_MAX - digit) / 10) return false;
        number = number * 10 + digit;
    }
    if (at == 0) return false;
    *in = span_skip(*in, at);
    *ret = number;
    return true;
}

/* How many of the plain unit `unit` is; 0: no unit of the type. */
static uint64_t unit_size(enum conf_type type, struct span unit)
{
    static const char sizes[] = "KMGT";
    if (unit.len == 0) return 1;
    if (type == CONF_TYPE_SECONDS) {
        if (unit.len != 1) return 0;
        switch (unit.ptr[0]) {
        case 's': return 1;
        case 'm': return 60;
        case 'h': return 3600;
        case 'd': return 86400;
        default: return 0;
        }
    }
    if (type != CONF_TYPE_BYTES) return 0;
    if (span_eq_nocase(unit, SPAN("B"))) return 1;
    char first = unit.ptr[0] >= 'a' ? (char)(unit.ptr[0] - 'a' + 'A') : unit.ptr[0];
    const char *at = first == '\0' ? NULL : strchr(sizes, first);
    struct span rest = span_skip(unit, 1);
    bool known = rest.len == 0 || span_eq_nocase(rest, SPAN("B")) ||
                 span_eq_nocase(rest, SPAN("iB"));
    return at == NULL || !known ? 0 : (uint64_t)1 << (10 * (at - sizes + 1));
}

static struct err parse_number(const struct conf_row *row, struct span text, uint64_t *ret)
{
    uint64_t number;
    if (!take_digits(&text, &number)) return bad("not a number");
    uint64_t unit = unit_size(row->type, trim(text));
    if (unit == 0) return bad("not a number, or an unknown unit behind it");
    if (number > UINT64_MAX / unit) return err_make(ERR_TOO_BIG, "out of bounds");
    number *= unit;
    if (number < row->min || number > row->max) return err_make(ERR_TOO_BIG, "out of bounds");
    *ret = number;
    return err_ok();
}

static struct err parse_bool(struct span text, uint64_t *ret)
{
    static const struct { struct span word; bool value; } words[] = {
        { SPAN_INIT("true"), true }, { SPAN_INIT("false"), false }, { SPAN_INIT("on"), true },
        { SPAN_INIT("off"), false }, { SPAN_INIT("yes"), true }, { SPAN_INIT("no"), false },
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!span_eq_nocase(text, words[i].word)) continue;
        *ret = words[i].value;
        return err_ok();
    }
    return bad("neither true nor false");
}

/* The word at `at` of "a|b|c"; empty beyond the last. */
static struct span choice_word(const struct conf_row *row, uint64_t at)
{
    struct span rest = c_span(row->unit), head, tail;
    while (span_cut(rest, '|', &head, &tail)) {
        if (at-- == 0) return head;
        rest = tail;
    }
    return at == 0 ? rest : SPAN("");
}

static struct err parse_choice(const struct conf_row *row, struct span text, uint64_t *ret)
{
    for (uint64_t i = 0;; i++) {
        struct span word = choice_word(row, i);
        if (word.len == 0) return bad("not one of the words allowed");
        if (!span_eq_nocase(word, text)) continue;
        *ret = i;
        return err_ok();
    }
}

/* ---- texts */

/* Length of the UTF-8 character at the front (RFC 3629); 0: there is none. */
static size_t utf8_length(struct span s)
{
    uint8_t first = (uint8_t)s.ptr[0];
    if (first < 0x80) return 1;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || s.len < len) return 0;
    for (size_t i = 1; i < len; i++) {
        if (((uint8_t)s.ptr[i] & 0xc0) != 0x80) return 0;
    }
    uint8_t second = (uint8_t)s.ptr[1];
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return len;
}

static struct err check_text(const struct conf_row *row, struct span text)
{
    if (text.len < row->min || text.len > row->max) return err_make(ERR_TOO_BIG, "out of bounds");
    while (text.len > 0) {
        size_t len = utf8_length(text);
        if (len == 0) return bad("not UTF-8");
        if (len == 1 && ((uint8_t)text.ptr[0] < ' ' || text.ptr[0] == 0x7f)) {
            return bad("has control characters");
        }
        text = span_skip(text, len);
    }
    return err_ok();
}

/* A domain name in letters, digits, hyphens and underscores; labels of 1 to 63 (RFC 1035). */
static bool is_host(struct span host)
{
    size_t label = 0;
    if (host.len == 0 || host.len > 253) return false;
    for (size_t i = 0; i < host.len; i++) {
        char c = host.ptr[i];
        if (c == '.') {
            if (label == 0 || host.ptr[i - 1] == '-') return false;
            label = 0;
            continue;
        }
        if (!is_digit(c) && !is_letter(c) && c != '_' && (c != '-' || label == 0)) return false;
        if (++label > 63) return false;
    }
    return label > 0 && host.ptr[host.len - 1] != '-';
}

bool conf_value_ip(struct span text, uint8_t ret[16])
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t ip[16] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, ip + 12) != 1 && inet_pton(AF_INET6, copy, ip) != 1) return false;
    memcpy(ret, ip, sizeof(ip));
    return true;
}

static struct err check_endpoint(struct span text)
{
    size_t colon = text.len;
    uint8_t ip[16];
    while (colon > 0 && text.ptr[colon - 1] != ':') colon--;
    if (colon < 2) return bad("not HOST:PORT");
    struct span host = span_head(text, colon - 1), port = span_skip(text, colon);
    uint64_t number;
    if (port.len == 0 || port.len > 5 || !take_digits(&port, &number) || port.len > 0 ||
        number == 0 || number > 65535) {
        return bad("not HOST:PORT; the port is from 1 to 65535");
    }
    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']') {
        struct span inner = span_of(host.ptr + 1, host.len - 2);
        return memchr(inner.ptr, ':', inner.len) != NULL && conf_value_ip(inner, ip)
                   ? err_ok()
                   : bad("no IPv6 address between [ and ]");
    }
    return is_host(host) ? err_ok() : bad("the host is neither an address nor a domain name");
}

/* ---- lists */

/* The next word of a list, or an empty span at its end. */
static struct span take_word(struct span *in)
{
    size_t from = 0, to;
    while (from < in->len && (is_blank(in->ptr[from]) || in->ptr[from] == ',')) from++;
    for (to = from; to < in->len && !is_blank(in->ptr[to]) && in->ptr[to] != ','; to++) continue;
    struct span word = span_of(in->len == 0 ? in->ptr : in->ptr + from, to - from);
    *in = span_skip(*in, to);
    return word;
}

static bool parse_network(struct span word, struct conf_network *ret)
{
    struct span ip = word, prefix = SPAN("");
    uint64_t bits = 128;
    bool has_prefix = span_cut(word, '/', &ip, &prefix);
    if (!conf_value_ip(ip, ret->ip)) return false;
    bool is_ipv4 = memchr(ip.ptr, ':', ip.len) == NULL;
    if (has_prefix) {
        if (prefix.len > 3 || !take_digits(&prefix, &bits) || prefix.len > 0) return false;
        if (is_ipv4) bits += 96;
        if (bits > 128) return false;
    }
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = bits >= 8 * (i + 1) ? 8 : bits <= 8 * i ? 0 : (unsigned)bits - 8 * i;
        ret->ip[i] = (uint8_t)(ret->ip[i] & (0xff00 >> keep));
    }
    ret->bits = (uint8_t)bits;
    return true;
}

/* "group:NAME"; false: it is none. */
static bool parse_group(struct span word, struct span *ret)
{
    static const char head[] = "group:";
    struct span start = span_of(head, sizeof(head) - 1);
    struct span name = span_skip(word, start.len);
    if (!span_eq(span_head(word, start.len), start)) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        if (!is_digit(c) && (c < 'a' || c > 'z') && c != '-') return false;
    }
    *ret = name;
    return name.len > 0 && name.len <= CONF_GROUP_NAME_MAX_BYTES;
}

static struct err parse_list(const struct conf_row *row, struct span text, struct arena *arena,
                             struct conf_value *ret)
{
    bool is_networks = row->type == CONF_TYPE_NETWORKS;
    struct span rest = text;
    size_t count = 0;
    while (take_word(&rest).len > 0) count++;
    if (count < row->min || count > row->max) return err_make(ERR_TOO_BIG, "too few or too many");
    struct span *words = NULL;
    struct conf_network *networks = NULL;
    void *list = arena_alloc(arena, (count + 1) * (is_networks ? sizeof(*networks)
                                                               : sizeof(*words)));
    if (list == NULL) return err_make(ERR_NOMEM, "configuration");
    words = list;
    networks = list;
    rest = text;
    for (size_t i = 0; i < count; i++) {
        struct span word = take_word(&rest);
        if (!is_networks) {
            TRY(arena_copy(arena, word, &words[i]));
        } else if (parse_group(word, &word)) {
            TRY(arena_copy(arena, word, &networks[i].group));
        } else if (!parse_network(word, &networks[i])) {
            return bad("not an IP address, a network like 192.0.2.0/24 or group:NAME");
        }
    }
    ret->count = count;
    if (is_networks) {
        ret->list.networks = networks;
    } else {
        ret->list.words = words;
    }
    return err_ok();
}

struct err conf_value_parse(const struct conf_row *row, struct span text, struct arena *arena,
                            struct conf_value *ret)
{
    const struct conf_row plain = { .max = CONF_VALUE_MAX_BYTES };
    struct conf_value value = { 0 };
    if (text.len > CONF_VALUE_MAX_BYTES) return err_make(ERR_TOO_BIG, "too long");
    if (row->type != CONF_TYPE_SECRET) text = trim(text);
    switch (row->type) {
    case CONF_TYPE_BOOL: TRY(parse_bool(text, &value.number)); break;
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_BYTES:
    case CONF_TYPE_SECONDS: TRY(parse_number(row, text, &value.number)); break;
    case CONF_TYPE_CHOICE: TRY(parse_choice(row, text, &value.number)); break;
    case CONF_TYPE_TEXT:
    case CONF_TYPE_SECRET:
        TRY(check_text(row, text));
        TRY(arena_copy(arena, text, &value.text));
        break;
    case CONF_TYPE_HOST:
    case CONF_TYPE_ENDPOINT:
        if (text.len < row->min || text.len > row->max) return err_make(ERR_TOO_BIG, "too long");
        if (text.len > 0 && row->type == CONF_TYPE_ENDPOINT) TRY(check_endpoint(text));
        if (text.len > 0 && row->type == CONF_TYPE_HOST && !is_host(text)) {
            return bad("not a domain name");
        }
        TRY(arena_copy(arena, text, &value.text));
        break;
    case CONF_TYPE_TEXTS:
    case CONF_TYPE_NETWORKS:
        TRY(check_text(&plain, text));
        TRY(parse_list(row, text, arena, &value));
        break;
    }
    *ret = value;
    return err_ok();
}

/* ---- to text */

static void put_number(struct buf *to, uint64_t number)
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)number);
    buf_put(to, span_of(digits, (size_t)len));
}

/* With the largest unit that divides it. */
static void put_bytes(struct buf *to, uint64_t number)
{
    static const char units[] = "\0KMGT";
    unsigned at = 0;
    while (at < 4 && number > 0 && number % 1024 == 0) {
        number /= 1024;
        at++;
    }
    put_number(to, number);
    if (at > 0) buf_put(to, span_of(&units[at], 1));
}

static void put_network(struct buf *to, const struct conf_network *network)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    char text[INET6_ADDRSTRLEN];
    if (network->group.len > 0) {
        buf_put(to, SPAN("group:"));
        buf_put(to, network->group);
        return;
    }
    bool is_ipv4 = network->bits >= 96 && memcmp(network->ip, mapped, sizeof(mapped)) == 0;
    inet_ntop(is_ipv4 ? AF_INET : AF_INET6, network->ip + (is_ipv4 ? 12 : 0), text, sizeof(text));
    buf_put(to, c_span(text));
    if (network->bits == 128) return;
    buf_put(to, SPAN("/"));
    put_number(to, network->bits - (is_ipv4 ? 96u : 0u));
}

void conf_value_put(const struct conf_row *row, const struct conf_value *value, struct buf *to)
{
    switch (row->type) {
    case CONF_TYPE_BOOL: buf_put(to, value->number != 0 ? SPAN("true") : SPAN("false")); break;
    case CONF_TYPE_NUMBER:
    case CONF_TYPE_SECONDS: put_number(to, value->number); break;
    case CONF_TYPE_BYTES: put_bytes(to, value->number); break;
    case CONF_TYPE_CHOICE: buf_put(to, choice_word(row, value->number)); break;
    case CONF_TYPE_TEXT:
    case CONF_TYPE_SECRET:
    case CONF_TYPE_HOST:
    case CONF_TYPE_ENDPOINT: buf_put(to, value->text); break;
    case CONF_TYPE_TEXTS:
    case CONF_TYPE_NETWORKS:
        for (size_t i = 0; i < value->count; i++) {
            if (i > 0) buf_put(to, SPAN(", "));
            if (row->type == CONF_TYPE_TEXTS) {
                buf_put(to, value->list.words[i]);
            } else {
                put_network(to, &value->list.networks[i]);
            }
        }
        break;
    }
}

static void put_bounds(const struct conf_row *row, struct buf *to, const char *unit)
{
    void (*put)(struct buf *, uint64_t) = row->type == CONF_TYPE_BYTES ? put_bytes : put_number;
    put(to, row->min);
    buf_put(to, SPAN(" to "));
    put(to, row->max);
    if (unit[0] != '\0') buf_put(to, SPAN(" "));
    buf_put(to, c_span(unit));
}

void conf_value_put_allowed(const struct conf_row *row, struct buf *to)
{
    switch (row->type) {
    case CONF_TYPE_BOOL: buf_put(to, SPAN("true or false")); break;
    case CONF_TYPE_NUMBER: put_bounds(row, to, row->unit); break;
    case CONF_TYPE_BYTES: put_bounds(row, to, "bytes, with K, M, G or T behind the number"); break;
    case CONF_TYPE_SECONDS: put_bounds(row, to, "seconds, or with s, m, h or d behind it"); break;
    case CONF_TYPE_TEXT:
    case CONF_TYPE_SECRET: put_bounds(row, to, "bytes of text"); break;
    case CONF_TYPE_HOST: buf_put(to, SPAN("a domain name")); break;
    case CONF_TYPE_ENDPOINT: buf_put(to, SPAN("HOST:PORT")); break;
    case CONF_TYPE_CHOICE:
        for (uint64_t i = 0; choice_word(row, i).len > 0; i++) {
            buf_put(to, i == 0 ? SPAN("one of ") : SPAN(", "));
            buf_put(to, choice_word(row, i));
        }
        break;
    case CONF_TYPE_NETWORKS:
        put_bounds(row, to, "IP addresses, networks or group:NAME, with commas");
        break;
    case CONF_TYPE_TEXTS: put_bounds(row, to, "words, with commas"); break;
    }
    bool may_be_empty = (row->type == CONF_TYPE_HOST || row->type == CONF_TYPE_ENDPOINT) &&
                        row->min == 0;
    if (may_be_empty) buf_put(to, SPAN(", or nothing"));
}
