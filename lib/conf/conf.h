/* conf.h: the options of an installation: one row each in *_conf.def, and from the rows the parser,
 * its errors, JSON, descriptions and the sample file.
 *
 * Columns: CONF_ROW(name, "key", scope, type, "unit", min, max, "default", when, "text")
 *   scope  CLUSTER, TENANT, DOMAIN, USER: the narrowest place it may be set at
 *   type   BOOL      true or false
 *          NUMBER    min..max of `unit`
 *          SIZE      bytes min..max; k, M, G, T behind the number are powers of 1024
 *          SECONDS   min..max
 *          TEXT      min..max bytes without control characters
 *          SECRET    as TEXT, and never shown
 *          CHOICE    one of `unit` "a|b|c"
 *          NETWORKS  addresses and networks (192.0.2.0/24, 2001:db8::/32), separated by blanks or
 *                    commas; at most max bytes
 *   when   ONCE (at once), SESSION (for new sessions), RESTART (when the program starts again)
 *
 * A snapshot never changes; any thread may hold a reference. What is set lies in the configuration
 * store under `policy/config` as one JSON object {key: text}. */
#ifndef MAIL_CONF_H
#define MAIL_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum conf_key {
#define CONF_ROW(name, key, scope, type, unit, min, max, default_, when, text) CONF_##name,
#include "conf_rows.def"
#undef CONF_ROW
    CONF_KEYS
};

enum { CONF_WHY_BYTES = 400, CONF_VALUE_MAX_BYTES = 4096 };

struct conf;

/* A snapshot of the defaults with `json` (an object of key: text; may be empty) over them. A row
 * that is not understood is left at its default and named in `why` (for the log), since one bad row
 * must not stop a program. ERR_SYNTAX: not an object. */
MUST_USE struct err conf_new(struct span json, uint64_t version, char why[CONF_WHY_BYTES],
                             struct conf **ret);
struct conf *conf_ref(struct conf *conf);
void conf_unref(struct conf *conf);
uint64_t conf_version(const struct conf *conf);

/* Values. A key of another type is a CHECK. Times in milliseconds; CHOICE as the number of its
 * place; texts live as long as the snapshot. */
bool conf_bool(const struct conf *conf, enum conf_key key);
uint64_t conf_number(const struct conf *conf, enum conf_key key); /* NUMBER, SIZE, CHOICE */
uint64_t conf_ms(const struct conf *conf, enum conf_key key);
struct span conf_text(const struct conf *conf, enum conf_key key);

/* Whether an address (IPv4 as ::ffff:a.b.c.d) is in a NETWORKS value. */
bool conf_has_address(const struct conf *conf, enum conf_key key, const uint8_t ip[16]);

/* The key of a name, or CONF_KEYS. */
enum conf_key conf_find(struct span name);
const char *conf_name(enum conf_key key);

/* Whether `value` may be set. ERR_SYNTAX: `why` names the option, what is wrong and what is allowed. */
MUST_USE struct err conf_check(enum conf_key key, struct span value, char why[CONF_WHY_BYTES]);

/* As people write it: the value now (a SECRET as "***"), the default, bounds, type, when, text. */
void conf_show(const struct conf *conf, enum conf_key key, char value[CONF_VALUE_MAX_BYTES]);
const char *conf_default(enum conf_key key);
const char *conf_what(enum conf_key key);
const char *conf_when(enum conf_key key);
/* "a number of connections from 10 to 1000000" */
void conf_allowed(enum conf_key key, char ret[CONF_WHY_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
