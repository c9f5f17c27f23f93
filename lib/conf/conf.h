/* conf.h: the options of an installation: one row each in *_conf.def, and from the rows the parser,
 * its errors, JSON, descriptions, the manual and the sample file.
 *
 * Columns: CONF_ROW(name, "key", scope, type, "unit", min, max, "default", when, "text")
 *   scope  CLUSTER, TENANT, DOMAIN, USER: the narrowest place it may be set at
 *   type   BOOL      true or false; also on, off, yes, no
 *          NUMBER    min..max of `unit`
 *          SIZE      bytes min..max; K, M, G, T behind the number are powers of 1024
 *          SECONDS   min..max; also with s, m, h, d behind the number
 *          TEXT      min..max bytes of UTF-8 without control characters
 *          SECRET    as TEXT, and never shown
 *          HOST      a domain name of letters, digits and hyphens; may be empty when min is 0
 *          ENDPOINT  a host or an address, with ":port" or without it port `unit`; may be empty
 *                    when min is 0
 *          CHOICE    one of `unit` "a|b|c"
 *          NETWORKS  addresses and networks (192.0.2.0/24, 2001:db8::/32), separated by blanks or
 *                    commas; min..max of them
 *   when   ONCE (at once), SESSION (for new sessions), RESTART (when the program starts again)
 *
 * A snapshot never changes; any thread may hold a reference. What is set lies in the configuration
 * store under `policy/config` as one JSON object {key: text}. In place of a text may stand an
 * object {"value": text, "min": text, "max": text}, each of which may be missing: `min` and `max`
 * bound what narrower scopes may set. */
#ifndef MAIL_CONF_H
#define MAIL_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf_key.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { CONF_WHY_BYTES = 400, CONF_VALUE_MAX_BYTES = 4096 };

/* Where an option is set; the narrowest wins. */
enum conf_scope { CONF_CLUSTER, CONF_TENANT, CONF_DOMAIN, CONF_USER };

struct conf;

/* A snapshot of the defaults with `json` (an object as above; may be empty) over them. A row that is
 * not understood is left at its default and named in `why` (for the log; "" when there is none),
 * since one bad row must not stop a program; a key that is not known is passed over in silence: a
 * newer program may have stored it. ERR_SYNTAX: not an object; ERR_NOMEM. */
MUST_USE struct err conf_new(struct span json, uint64_t version, char why[CONF_WHY_BYTES],
                             struct conf **ret);

/* A snapshot for a tenant, a domain or a user: `wide` with `json` over it, brought within the bounds
 * that wider scopes have set. Options of a wider scope are left and named in `why`, like rows that
 * are not understood. Refers to `wide`. Errors as above. */
MUST_USE struct err conf_narrow(struct conf *wide, enum conf_scope scope, struct span json,
                                char why[CONF_WHY_BYTES], struct conf **ret);

struct conf *conf_ref(struct conf *conf);
/* The last one frees. Takes NULL. Both are thread-safe. */
void conf_unref(struct conf *conf);
uint64_t conf_version(const struct conf *conf);

/* Values. A key of another type is a CHECK. Times in milliseconds; CHOICE as the number of its
 * place; texts as they were written, living as long as the snapshot. */
bool conf_bool(const struct conf *conf, enum conf_key key);
uint64_t conf_number(const struct conf *conf, enum conf_key key); /* NUMBER, SIZE, CHOICE */
uint64_t conf_ms(const struct conf *conf, enum conf_key key);
struct span conf_text(const struct conf *conf, enum conf_key key); /* any but numbers */

/* The host (an IPv6 address without its brackets) and port of an ENDPOINT. False: it is empty. */
bool conf_endpoint(const struct conf *conf, enum conf_key key, struct span *host, uint16_t *port);

/* Whether an address (IPv4 as ::ffff:a.b.c.d) is in a NETWORKS value. */
bool conf_has_address(const struct conf *conf, enum conf_key key, const uint8_t ip[16]);

/* Whether it was set, here or in a wider scope, rather than left at its default. */
bool conf_is_set(const struct conf *conf, enum conf_key key);

/* The key of a name, or CONF_KEYS. */
enum conf_key conf_find(struct span name);
const char *conf_name(enum conf_key key);

/* Whether `value` may be set. ERR_SYNTAX: `why` names the option, what is wrong and what is
 * allowed, in one line. */
MUST_USE struct err conf_check(enum conf_key key, struct span value, char why[CONF_WHY_BYTES]);
/* Whether it may be set in `scope`. */
bool conf_may_be_set(enum conf_key key, enum conf_scope scope);

/* The value now as text: a SECRET as "***", numbers in one form, the rest as it was written. */
void conf_show(const struct conf *conf, enum conf_key key, char value[CONF_VALUE_MAX_BYTES]);
const char *conf_default(enum conf_key key);
const char *conf_what(enum conf_key key);
const char *conf_when(enum conf_key key);
/* "10 to 1000000 connections", "one of refuse, remove" */
void conf_allowed(enum conf_key key, char ret[CONF_WHY_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
