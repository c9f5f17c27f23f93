/* imap_date.h: the two date forms of IMAP: "17-Jul-1996 02:44:25 -0700" and 1-Feb-1994. Pure. */
#ifndef MAIL_IMAP_DATE_H
#define MAIL_IMAP_DATE_H

#include <stdint.h>

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct imap_cursor;

struct imap_day {
    unsigned year, month, day; /* month and day from 1 */
};

extern const char imap_month_names[]; /* three letters each, without gaps */

/* A day since 1970 in the Gregorian calendar; beyond the year 9999 it is the last day of it. */
struct imap_day imap_day_of(uint64_t days_since_1970);

/* date-time with its quotes (RFC 3501 section 9), as milliseconds since 1970 UTC; what lies before
 * 1970 is 0. ERR_SYNTAX. */
MUST_USE struct err imap_take_date_time(struct imap_cursor *cursor, uint64_t *ms);

/* date, with or without quotes, as days since 1970; what lies before is 0. ERR_SYNTAX. */
MUST_USE struct err imap_take_date(struct imap_cursor *cursor, uint64_t *days);

#ifdef __cplusplus
}
#endif
#endif
