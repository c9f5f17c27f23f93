#include "imap_date.h"

#include "imap_token.h"

const char imap_month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

enum { DAYS_MAX = 2932896 }; /* 31-Dec-9999 */

/* The calendar turned so that the year begins in March: the day in a leap year comes last.
 * (Howard Hinnant, "chrono-compatible low-level date algorithms".) */
struct imap_day imap_day_of(uint64_t days_since_1970)
{
    if (days_since_1970 > DAYS_MAX) days_since_1970 = DAYS_MAX;
    unsigned z = (unsigned)days_since_1970 + 719468;
    unsigned era = z / 146097, of_era = z - era * 146097;
    unsigned year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    unsigned turned = (5 * of_year + 2) / 153;
    struct imap_day ret;
    ret.day = of_year - (153 * turned + 2) / 5 + 1;
    ret.month = turned < 10 ? turned + 3 : turned - 9;
    ret.year = year_of_era + era * 400 + (ret.month <= 2);
    return ret;
}

static int64_t days_from(unsigned year, unsigned month, unsigned day)
{
    year -= month <= 2;
    unsigned era = year / 400, year_of_era = year - era * 400;
    unsigned turned = month > 2 ? month - 3 : month + 9;
    unsigned of_year = (153 * turned + 2) / 5 + day - 1;
    unsigned of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    return (int64_t)era * 146097 + (int64_t)of_era - 719468;
}

/* Exactly `count` digits. */
static struct err take_digits(struct imap_cursor *cursor, unsigned count, unsigned *ret)
{
    unsigned value = 0;
    if (cursor->in.len - cursor->at < count) return err_make(ERR_SYNTAX, "date is cut short");
    for (unsigned i = 0; i < count; i++) {
        char c = cursor->in.ptr[cursor->at + i];
        if (c < '0' || c > '9') return err_make(ERR_SYNTAX, "a digit of a date is missing");
        value = value * 10 + (unsigned)(c - '0');
    }
    cursor->at += count;
    *ret = value;
    return err_ok();
}

static struct err take_month(struct imap_cursor *cursor, unsigned *ret)
{
    struct span name = span_head(span_skip(cursor->in, cursor->at), 3);
    for (unsigned i = 0; i < 12; i++) {
        if (!span_eq_nocase(name, span_of(imap_month_names + (size_t)i * 3, 3))) continue;
        cursor->at += 3;
        *ret = i + 1;
        return err_ok();
    }
    return err_make(ERR_SYNTAX, "a month is Jan to Dec");
}

/* "-Jul-1996" behind the day; gives days since 1970, below 0 before it. */
static struct err take_month_year(struct imap_cursor *cursor, unsigned day, int64_t *days)
{
    static const unsigned char month_days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    unsigned month = 0, year = 0;
    TRY(imap_take_char(cursor, '-', "a date is day-month-year"));
    TRY(take_month(cursor, &month));
    TRY(imap_take_char(cursor, '-', "a date is day-month-year"));
    TRY(take_digits(cursor, 4, &year));
    if (day == 0 || day > month_days[month - 1]) return err_make(ERR_SYNTAX, "no such day");
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month == 2 && day == 29 && !leap) return err_make(ERR_SYNTAX, "no such day");
    *days = year == 0 ? -1 : days_from(year, month, day);
    return err_ok();
}

static struct err take_clock(struct imap_cursor *cursor, int64_t *seconds)
{
    unsigned hours = 0, minutes = 0, of_minute = 0;
    TRY(take_digits(cursor, 2, &hours));
    TRY(imap_take_char(cursor, ':', "a time is hh:mm:ss"));
    TRY(take_digits(cursor, 2, &minutes));
    TRY(imap_take_char(cursor, ':', "a time is hh:mm:ss"));
    TRY(take_digits(cursor, 2, &of_minute));
    if (hours > 23 || minutes > 59 || of_minute > 60) return err_make(ERR_SYNTAX, "no such time");
    *seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60 + (int64_t)of_minute;
    return err_ok();
}

static struct err take_zone(struct imap_cursor *cursor, int64_t *seconds)
{
    unsigned hours = 0, minutes = 0;
    bool west = imap_take(cursor, '-');
    if (!west) TRY(imap_take_char(cursor, '+', "a zone is +hhmm or -hhmm"));
    TRY(take_digits(cursor, 2, &hours));
    TRY(take_digits(cursor, 2, &minutes));
    if (hours > 23 || minutes > 59) return err_make(ERR_SYNTAX, "no such zone");
    *seconds = (int64_t)hours * 3600 + (int64_t)minutes * 60;
    if (west) *seconds = -*seconds;
    return err_ok();
}

struct err imap_take_date_time(struct imap_cursor *cursor, uint64_t *ms)
{
    unsigned day = 0;
    int64_t days = 0, clock = 0, zone = 0;
    TRY(imap_take_char(cursor, '"', "a date stands in quotes"));
    TRY(take_digits(cursor, imap_take(cursor, ' ') ? 1 : 2, &day));
    TRY(take_month_year(cursor, day, &days));
    TRY(imap_take_space(cursor));
    TRY(take_clock(cursor, &clock));
    TRY(imap_take_space(cursor));
    TRY(take_zone(cursor, &zone));
    TRY(imap_take_char(cursor, '"', "a date ends with a quote"));
    int64_t seconds = days * 86400 + clock - zone;
    *ms = seconds < 0 ? 0 : (uint64_t)seconds * 1000;
    return err_ok();
}

struct err imap_take_date(struct imap_cursor *cursor, uint64_t *days)
{
    bool quoted = imap_take(cursor, '"');
    size_t digits = 0;
    while (digits < 2 && cursor->at + digits < cursor->in.len
           && cursor->in.ptr[cursor->at + digits] >= '0'
           && cursor->in.ptr[cursor->at + digits] <= '9') {
        digits++;
    }
    if (digits == 0) return err_make(ERR_SYNTAX, "a date is day-month-year");
    unsigned day = 0;
    int64_t value = 0;
    TRY(take_digits(cursor, (unsigned)digits, &day));
    TRY(take_month_year(cursor, day, &value));
    if (quoted) TRY(imap_take_char(cursor, '"', "a date ends with a quote"));
    *days = value < 0 ? 0 : (uint64_t)value;
    return err_ok();
}
