/* ldap_filter.h: search filters of LDAP as text (RFC 4515). Pure.
 *
 *   filter  = "(" ( ( "&" / "|" ) 1*filter / "!" filter / item ) ")"
 *   item    = type ( "=" / "~=" / ">=" / "<=" / ":=" ) value
 *   type    letters, digits, '-', '.', ';' and, in front of ":=", ':' (a matching rule)
 *   value   any bytes but NUL ( ) and '\', which begins an escape of two hexadecimal digits; '*'
 *           only behind "="
 *
 * A filter that an administrator writes is a template: `{domain}` in it stands for the domain whose
 * users are looked for. What is put there is escaped, so that it is only ever a value. */
#ifndef MAIL_LDAP_FILTER_H
#define MAIL_LDAP_FILTER_H

#include <stdbool.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { LDAP_FILTER_MAX_BYTES = 1024, LDAP_FILTER_DEPTH_MAX = 16 };

/* Whether it is one filter, all of it, within the bounds. */
bool ldap_filter_is_valid(struct span filter);

/* The name of an attribute, or its number: "mail", "2.5.4.3", "cn;lang-de" (RFC 4512 2.5). */
bool ldap_attribute_is_valid(struct span name);

/* Appends a value so that it stands for itself in a filter: NUL ( ) * \ and what is not ASCII as
 * \XX (section 3). At most 3 * value.len bytes. */
void ldap_filter_escape(struct buf *out, struct span value);

/* Appends the template with `domain` in the places for it. */
void ldap_filter_put(struct buf *out, struct span filter, struct span domain);

#ifdef __cplusplus
}
#endif
#endif
