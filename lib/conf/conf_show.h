/* conf_show.h: the options for people and programs: JSON, descriptions, the manual page and the
 * sample file, all from the rows. */
#ifndef MAIL_CONF_SHOW_H
#define MAIL_CONF_SHOW_H

#include "buf.h"
#include "conf.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_t; /* of jansson */

/* Enough for a text about all options, and about one. */
enum { CONF_TEXT_MAX_BYTES = 256 * 1024, CONF_DESCRIBE_MAX_BYTES = 16 * 1024 };

/* {"key", "value", "set", "default", "type", "unit", "min", "max", "choices", "scope", "when",
 * "text"}: value and default as JSON's boolean, number or string; unit, min, max and choices only
 * where they mean something. The caller's reference; NULL: no memory. */
struct json_t *conf_show_json(const struct conf *conf, enum conf_key key);
/* An array of all of them. */
struct json_t *conf_show_json_all(const struct conf *conf);

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
