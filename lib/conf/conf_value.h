/* conf_value.h: the values of options, from text and to text. */
#ifndef MAIL_CONF_VALUE_H
#define MAIL_CONF_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "arena.h"
#include "buf.h"
#include "conf.h"

#ifdef __cplusplus
extern "C" {
#endif

enum conf_type {
    CONF_IS_BOOL, CONF_IS_NUMBER, CONF_IS_SIZE, CONF_IS_SECONDS, CONF_IS_TEXT, CONF_IS_SECRET,
    CONF_IS_HOST, CONF_IS_ENDPOINT, CONF_IS_CHOICE, CONF_IS_NETWORKS,
};
enum conf_time { CONF_AT_ONCE, CONF_AT_SESSION, CONF_AT_RESTART };

/* A row of conf_rows.def. */
struct conf_row {
    const char *key;
    enum conf_scope scope;
    enum conf_type type;
    const char *unit;
    uint64_t min, max;
    const char *default_;
    enum conf_time when;
    const char *text;
};
extern const struct conf_row conf_rows[CONF_KEYS];

struct conf_network {
    uint8_t ip[16];
    uint8_t bits; /* of 128; of IPv4 96 to 128 */
};

struct conf_value {
    uint64_t number;  /* BOOL, NUMBER, SIZE, SECONDS, CHOICE; the port of an ENDPOINT */
    struct span text; /* as it was written, without blanks around */
    struct span host; /* of an ENDPOINT, within `text` */
    const struct conf_network *networks;
    size_t networks_count;
};

/* Takes `text` as a value of the row; what it needs is copied into the arena. ERR_SYNTAX with
 * `what` naming the rule that is broken; ERR_TOO_BIG: out of bounds, or too many; ERR_NOMEM. */
MUST_USE struct err conf_value_read(const struct conf_row *row, struct span text,
                                    struct arena *arena, struct conf_value *ret);

/* Writes it in a form which conf_value_read() takes and makes the same value of. */
void conf_value_put(const struct conf_row *row, const struct conf_value *value, struct buf *to);

/* Says in words what the row allows. */
void conf_value_put_allowed(const struct conf_row *row, struct buf *to);

/* NUMBER, SIZE, SECONDS: those that narrower scopes may be bounded in. */
bool conf_type_is_number(enum conf_type type);
const char *conf_type_text(enum conf_type type);

/* An address of either kind, IPv4 as ::ffff:a.b.c.d. */
bool conf_value_ip(struct span text, uint8_t ret[16]);

#ifdef __cplusplus
}
#endif
#endif
