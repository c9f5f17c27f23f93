/* conf_private.h: rows and values. */
#ifndef MAIL_CONF_PRIVATE_H
#define MAIL_CONF_PRIVATE_H

#include "conf.h"

enum conf_type {
    CONF_IS_BOOL, CONF_IS_NUMBER, CONF_IS_SIZE, CONF_IS_SECONDS, CONF_IS_TEXT, CONF_IS_SECRET,
    CONF_IS_CHOICE, CONF_IS_NETWORKS,
};
enum conf_time { CONF_AT_ONCE, CONF_AT_SESSION, CONF_AT_RESTART };

struct conf_row {
    const char *key;
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
    uint8_t bits; /* of 128 */
};

/* `text` is the value as it was written. */
struct conf_value {
    uint64_t number;
    char *text;
    size_t len;
    struct conf_network *networks;
    size_t networks_count;
};

/* ERR_SYNTAX with `why`, ERR_NOMEM; `*ret` is then zero. */
MUST_USE struct err conf_value_read(enum conf_key key, struct span text, struct conf_value *ret,
                                    char why[CONF_WHY_BYTES]);
void conf_value_free(struct conf_value *value);

#endif
