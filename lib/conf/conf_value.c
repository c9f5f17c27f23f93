/* Values of options: reading them, and saying what is allowed. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf_private.h"

enum { NETWORKS_MAX = 256, ADDRESS_TEXT_BYTES = 64 };

void conf_allowed(enum conf_key key, char ret[CONF_WHY_BYTES])
{
    const struct conf_row *row = &conf_rows[key];
    switch (row->type) {
    case CONF_IS_BOOL:
        snprintf(ret, CONF_WHY_BYTES, "true or false");
        return;
    case CONF_IS_NUMBER:
        snprintf(ret, CONF_WHY_BYTES, "a number (%s) from %" PRIu64 " to %" PRIu64, row->unit, row->min,
                 row->max);
        return;
    case CONF_IS_SIZE:
        snprintf(ret, CONF_WHY_BYTES, "bytes from %" PRIu64 " to %" PRIu64
                 ", with k, M, G or T behind the number if you like", row->min, row->max);
        return;
    case CONF_IS_SECONDS:
        snprintf(ret, CONF_WHY_BYTES, "seconds from %" PRIu64 " to %" PRIu64, row->min, row->max);
        return;
    case CONF_IS_TEXT:
    case CONF_IS_SECRET:
        snprintf(ret, CONF_WHY_BYTES, "a text of %" PRIu64 " to %" PRIu64
                 " bytes without control characters", row->min, row->max);
        return;
    case CONF_IS_CHOICE:
        snprintf(ret, CONF_WHY_BYTES, "one of %s", row->unit);
        return;
    case CONF_IS_NETWORKS:
        snprintf(ret, CONF_WHY_BYTES, "addresses and networks like 192.0.2.0/24 or 2001:db8::/32, "
                 "separated by commas; at most %d", NETWORKS_MAX);
        return;
    }
}

static struct err bad(enum conf_key key, struct span text, char why[CONF_WHY_BYTES])
{
    char allowed[CONF_WHY_BYTES];
    conf_allowed(key, allowed);
    snprintf(why, CONF_WHY_BYTES, "%s: \"%.*s\" is not allowed: %.200s", conf_rows[key].key,
             (int)(text.len < 60 ? text.len : 60), text.len == 0 ? "" : text.ptr, allowed);
    return err_make(ERR_SYNTAX, "option");
}

/* Digits, and a unit when `units` allows it. */
static bool read_number(struct span text, bool units, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        if (value > UINT64_MAX / 10 - 1) return false;
        value = value * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    if (i == 0) return false;
    if (i < text.len) {
        static const char letters[] = "kMGT";
        char letter = text.ptr[i] == 'K' ? 'k' : text.ptr[i];
        const char *at = memchr(letters, letter, sizeof(letters) - 1);
        if (!units || at == NULL || i + 1 != text.len) return false;
        for (const char *l = letters; l <= at; l++) {
            if (value > UINT64_MAX / 1024) return false;
            value *= 1024;
        }
    }
    *ret = value;
    return true;
}

/* "192.0.2.0/24" */
static bool read_network(struct span text, struct conf_network *network)
{
    char address[ADDRESS_TEXT_BYTES];
    struct span ip = text, bits_text = SPAN("");
    uint64_t bits = 128;
    bool has_bits = span_cut(text, '/', &ip, &bits_text);
    if (ip.len == 0 || ip.len >= sizeof(address)) return false;
    memcpy(address, ip.ptr, ip.len);
    address[ip.len] = '\0';
    if (has_bits && !read_number(bits_text, false, &bits)) return false;
    memset(network->ip, 0, sizeof(network->ip));
    if (inet_pton(AF_INET, address, network->ip + 12) == 1) {
        network->ip[10] = network->ip[11] = 0xff;
        if (has_bits && bits > 32) return false;
        network->bits = (uint8_t)(has_bits ? bits + 96 : 128);
        return true;
    }
    if (inet_pton(AF_INET6, address, network->ip) != 1 || bits > 128) return false;
    network->bits = (uint8_t)bits;
    return true;
}

static bool read_networks(struct span text, struct conf_value *value)
{
    size_t at = 0;
    while (at < text.len) {
        if (text.ptr[at] == ' ' || text.ptr[at] == ',') {
            at++;
            continue;
        }
        size_t end = at;
        while (end < text.len && text.ptr[end] != ' ' && text.ptr[end] != ',') end++;
        if (value->networks_count == NETWORKS_MAX) return false;
        if (value->networks == NULL) {
            value->networks = calloc(NETWORKS_MAX, sizeof(*value->networks));
            if (value->networks == NULL) return false;
        }
        struct conf_network *to = &value->networks[value->networks_count++];
        if (!read_network(span_of(text.ptr + at, end - at), to)) return false;
        at = end;
    }
    return true;
}

static bool read_choice(const char *choices, struct span text, uint64_t *ret)
{
    struct span rest = span_of(choices, strlen(choices)), one;
    for (uint64_t i = 0; rest.len > 0; i++) {
        one = rest;
        if (!span_cut(rest, '|', &one, &rest)) rest = SPAN("");
        if (!span_eq(one, text)) continue;
        *ret = i;
        return true;
    }
    return false;
}

static bool is_plain_text(struct span text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < ' ' || text.ptr[i] == 0x7f) return false;
    }
    return true;
}

static bool read_typed(const struct conf_row *row, struct span text, struct conf_value *value)
{
    switch (row->type) {
    case CONF_IS_BOOL:
        value->number = span_eq(text, SPAN("true"));
        return value->number != 0 || span_eq(text, SPAN("false"));
    case CONF_IS_NUMBER:
    case CONF_IS_SIZE:
    case CONF_IS_SECONDS:
        return read_number(text, row->type == CONF_IS_SIZE, &value->number) &&
               value->number >= row->min && value->number <= row->max;
    case CONF_IS_TEXT:
    case CONF_IS_SECRET:
        return text.len >= row->min && text.len <= row->max && is_plain_text(text);
    case CONF_IS_CHOICE:
        return read_choice(row->unit, text, &value->number);
    case CONF_IS_NETWORKS:
        return text.len <= row->max && read_networks(text, value);
    }
    return false;
}

struct err conf_value_read(enum conf_key key, struct span text, struct conf_value *ret,
                           char why[CONF_WHY_BYTES])
{
    struct conf_value value = { 0 };
    if (text.len >= CONF_VALUE_MAX_BYTES || !read_typed(&conf_rows[key], text, &value)) {
        conf_value_free(&value);
        *ret = (struct conf_value){ 0 };
        return bad(key, text, why);
    }
    value.text = malloc(text.len + 1);
    if (value.text == NULL) {
        conf_value_free(&value);
        return err_make(ERR_NOMEM, "option");
    }
    if (text.len > 0) memcpy(value.text, text.ptr, text.len);
    value.text[text.len] = '\0';
    value.len = text.len;
    *ret = value;
    return err_ok();
}

void conf_value_free(struct conf_value *value)
{
    free(value->text);
    free(value->networks);
    *value = (struct conf_value){ 0 };
}
