/* conf_show.h: the options for people and programs: JSON, descriptions, the manual page and the
 * sample file, all from the rows. */
#ifndef MAIL_CONF_SHOW_H
#define MAIL_CONF_SHOW_H

#include "buf.h"
#include "conf_key.h"
#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct conf;
struct json_t; /* of jansson */

/* Enough for each of the texts below about all options. */
enum { CONF_SHOW_MAX_BYTES = 256 * 1024 };

/* The value in its one text form; asterisks for a secret. */
void conf_show_value(const struct conf *conf, enum conf_key key, struct buf *to);

/* {"key", "value", "set", "default", "type", "unit", "min", "max", "choices", "scope", "effect",
 * "text"}: value and default as JSON's boolean, number, string or array of strings; unit, min, max
 * and choices only where they mean something. The caller's reference; NULL: no memory. */
struct json_t *conf_show_json(const struct conf *conf, enum conf_key key);
/* An array of all of them. */
struct json_t *conf_show_json_all(const struct conf *conf);

/* `value` of a request's JSON as the text that conf_check() takes: boolean, integer, string or
 * array of strings. ERR_SYNTAX: something else; ERR_TOO_BIG. */
MUST_USE struct err conf_show_from_json(const struct json_t *value, struct buf *to);

/* Several lines about one option: `config describe`. */
void conf_show_describe(const struct conf *conf, enum conf_key key, struct buf *to);
/* A manual page in mdoc(7), godwit.conf(5). */
void conf_show_manual(struct buf *to);
/* A sample file: every option with its default, commented out. conf_file.h reads it. */
void conf_show_sample(struct buf *to);

#ifdef __cplusplus
}
#endif
#endif
