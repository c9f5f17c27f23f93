/* date.h: the dates of messages (RFC 5322 3.3 and the obsolete forms of 4.3). Pure. */
#ifndef MAIL_DATE_H
#define MAIL_DATE_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

enum { DATE_TEXT_BYTES = 31 }; /* "Tue, 24 Nov 2026 12:45:00 +0000", years to 9999 */

/* Reads a date-time as milliseconds since 1970 UTC, which may be negative. Taken beyond RFC 5322:
 * names of the day in any form, years of two and three digits (4.3), no seconds, a leap second,
 * named zones (unknown ones and military letters are UTC, as 4.3 says), a missing zone, comments,
 * and what asctime() writes. ERR_SYNTAX: no such date, or fields out of range. */
MUST_USE struct err date_read(struct span text, int64_t *ms);

/* Appends it like above, in the zone `zone_minutes` east of UTC (within a day). Before the year
 * 1970 it is the start of that year, and beyond 9999 the last day of that one. */
void date_put(struct buf *out, int64_t ms, int zone_minutes);

/* Days since 1970 of a day of the Gregorian calendar, month and day from 1. */
int64_t date_days(unsigned year, unsigned month, unsigned day);

#ifdef __cplusplus
}
#endif
#endif
