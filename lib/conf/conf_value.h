/* conf_value.h: the values of options, from text and to text. */
#ifndef MAIL_CONF_VALUE_H
#define MAIL_CONF_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "conf.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONF_GROUP_NAME_MAX_BYTES = 60 }; /* a-z, 0-9, hyphen */

enum conf_type {
    CONF_TYPE_BOOL,
    CONF_TYPE_NUMBER,
    CONF_TYPE_BYTES,
    CONF_TYPE_SECONDS,
    CONF_TYPE_TEXT,
    CONF_TYPE_HOST,
    CONF_TYPE_ENDPOINT,
    CONF_TYPE_CHOICE,
    CONF_TYPE_NETWORKS,
    CONF_TYPE_TEXTS,
    CONF_TYPE_SECRET,
};

/* A row of conf_rows.def. */
struct conf_row {
    const char *key, *unit, *value, *text;
    uint64_t min, max;
    enum conf_scope scope;
    enum conf_type type;
    enum conf_effect effect;
};

/* One for each enum conf_key. */
extern const struct conf_row conf_rows[];

struct conf_network {
    uint8_t ip[16]; /* the bits behind the prefix are 0 */
    uint8_t bits;   /* 0 to 128; of IPv4 96 to 128 */
    struct span group; /* an IP group of this name instead; empty: none */
};

struct conf_value {
    uint64_t number;                     /* BOOL, NUMBER, BYTES, SECONDS, CHOICE */
    struct span text;                    /* TEXT, HOST, ENDPOINT, SECRET */
    union {
        const struct span *words;        /* TEXTS */
        const struct conf_network *networks;
    } list;
    size_t count;                        /* of the list */
};

/* Takes `text` as a value of the row; what it needs is copied into the arena. ERR_SYNTAX with
 * `what` naming the rule that is broken; ERR_TOO_BIG: out of bounds, or too many; ERR_NOMEM. */
MUST_USE struct err conf_value_parse(const struct conf_row *row, struct span text,
                                     struct arena *arena, struct conf_value *ret);

/* Writes it in one fixed form, which conf_value_parse() takes and makes the same value of. */
void conf_value_put(const struct conf_row *row, const struct conf_value *value, struct buf *to);

/* Says in words what the row allows: "50 to 100 connections", "one of a, b". */
void conf_value_put_allowed(const struct conf_row *row, struct buf *to);

/* Whether narrower scopes may be bounded: a number of some kind. */
bool conf_type_is_number(enum conf_type type);
const char *conf_type_text(enum conf_type type);

/* An address of either kind, IPv4 as ::ffff:a.b.c.d. */
bool conf_value_ip(struct span text, uint8_t ret[16]);

#ifdef __cplusplus
}
#endif
#endif
