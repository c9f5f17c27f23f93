#include "date.h"

#include <stdbool.h>

#include "buf.h"
#include "imap_date.h"

enum { DATE_MAX_BYTES = 256, DAY_SECONDS = 86400 };

struct cursor {
    struct span in;
    size_t at;
};

static char next(const struct cursor *cursor)
{
    return cursor->at < cursor->in.len ? cursor->in.ptr[cursor->at] : '\0';
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }

/* White space, line ends, and comments. */
static void skip_space(struct cursor *cursor)
{
    unsigned depth = 0;
    for (; cursor->at < cursor->in.len; cursor->at++) {
        char c = next(cursor);
        if (c == '(') depth++;
        else if (c == ')' && depth > 0) depth--;
        else if (depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n') return;
    }
}

/* 1 to `max` digits; how many there were is left in `*count`. */
static bool number(struct cursor *cursor, unsigned max, unsigned *ret, unsigned *count)
{
    unsigned value = 0, digits = 0;
    skip_space(cursor);
    while (is_digit(next(cursor)) && digits < max) {
        value = value * 10 + (unsigned)(next(cursor) - '0');
        cursor->at++;
        digits++;
    }
    if (digits == 0 || is_digit(next(cursor))) return false;
    *ret = value;
    *count = digits;
    return true;
}

static struct span word(struct cursor *cursor)
{
    skip_space(cursor);
    size_t from = cursor->at;
    while (is_letter(next(cursor))) cursor->at++;
    return span_head(span_skip(cursor->in, from), cursor->at - from); /* `ptr` may be NULL */
}

/* Its first three letters count: "Sept", "September". 0: it is none. */
static unsigned month_of(struct span name)
{
    if (name.len < 3) return 0;
    for (unsigned i = 0; i < 12; i++) {
        struct span month = span_of(imap_month_names + (size_t)i * 3, 3);
        if (span_eq_nocase(span_head(name, 3), month)) return i + 1;
    }
    return 0;
}

struct moment {
    unsigned year, month, day, hour, minute, second;
    int zone_minutes;
};

/* RFC 5322 4.3: 00 to 49 is 2000 to 2049; other years of two digits, and all of three, follow
 * 1900. */
static bool year(struct cursor *cursor, struct moment *moment)
{
    unsigned digits;
    if (!number(cursor, 4, &moment->year, &digits) || digits == 1) return false;
    if (digits == 2) moment->year += moment->year < 50 ? 2000 : 1900;
    if (digits == 3) moment->year += 1900;
    return true;
}

/* hour ":" minute [ ":" second ]; some write "." */
static bool time_of_day(struct cursor *cursor, struct moment *moment)
{
    unsigned digits;
    if (!number(cursor, 2, &moment->hour, &digits)) return false;
    skip_space(cursor);
    char colon = next(cursor);
    if (colon != ':' && colon != '.') return false;
    cursor->at++;
    if (!number(cursor, 2, &moment->minute, &digits)) return false;
    skip_space(cursor);
    if (next(cursor) != colon) return true;
    cursor->at++;
    return number(cursor, 2, &moment->second, &digits);
}

static int named_zone(struct span name)
{
    static const struct { struct span name; int minutes; } zones[] = {
        { SPAN_INIT("EST"), -300 }, { SPAN_INIT("EDT"), -240 }, { SPAN_INIT("CST"), -360 },
        { SPAN_INIT("CDT"), -300 }, { SPAN_INIT("MST"), -420 }, { SPAN_INIT("MDT"), -360 },
        { SPAN_INIT("PST"), -480 }, { SPAN_INIT("PDT"), -420 }, { SPAN_INIT("CET"), 60 },
        { SPAN_INIT("CEST"), 120 }, { SPAN_INIT("MET"), 60 },   { SPAN_INIT("MEST"), 120 },
        { SPAN_INIT("EET"), 120 },  { SPAN_INIT("EEST"), 180 }, { SPAN_INIT("BST"), 60 },
        { SPAN_INIT("MSK"), 180 },  { SPAN_INIT("JST"), 540 },
    };
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        if (span_eq_nocase(name, zones[i].name)) return zones[i].minutes;
    }
    return 0; /* GMT, UT, Z, and what nobody knows */
}

/* ( "+" / "-" ) 4DIGIT, also with a colon in it or behind a name like "GMT+0200". */
static bool zone(struct cursor *cursor, struct moment *moment)
{
    unsigned value, digits;
    moment->zone_minutes = named_zone(word(cursor));
    skip_space(cursor);
    char sign = next(cursor);
    if (sign != '+' && sign != '-') return true;
    cursor->at++;
    if (!number(cursor, 4, &value, &digits)) return false;
    if (digits <= 2) {
        unsigned minutes = 0;
        if (next(cursor) == ':') {
            cursor->at++;
            if (!number(cursor, 2, &minutes, &digits)) return false;
        }
        value = value * 100 + minutes;
    }
    if (value % 100 > 59 || value / 100 > 23) return false;
    int minutes = (int)(value / 100 * 60 + value % 100);
    moment->zone_minutes = sign == '-' ? -minutes : minutes;
    return true;
}

static unsigned days_in(unsigned month, unsigned of_year)
{
    static const unsigned char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = of_year % 4 == 0 && (of_year % 100 != 0 || of_year % 400 == 0);
    return days[month - 1] + (month == 2 && leap ? 1u : 0u);
}

static bool is_possible(const struct moment *m)
{
    return m->year >= 1 && m->day >= 1 && m->day <= days_in(m->month, m->year) && m->hour < 24
        && m->minute < 60 && m->second <= 60;
}

/* [ day-name [","] ] day month year time zone, or day-name month day time [ zone ] year. */
static bool moment_read(struct cursor *cursor, struct moment *moment)
{
    unsigned digits;
    struct span first = word(cursor);
    skip_space(cursor);
    if (next(cursor) == ',' || next(cursor) == '.') cursor->at++;
    skip_space(cursor);
    bool asctime_order = first.len > 0 && is_letter(next(cursor));
    if (asctime_order) moment->month = month_of(word(cursor));
    if (!number(cursor, 2, &moment->day, &digits)) return false;
    skip_space(cursor);
    if (next(cursor) == '-') cursor->at++;
    if (!asctime_order) moment->month = month_of(word(cursor));
    if (moment->month == 0) return false;
    skip_space(cursor);
    if (next(cursor) == '-') cursor->at++;
    if (!asctime_order && !year(cursor, moment)) return false;
    if (!time_of_day(cursor, moment) || !zone(cursor, moment)) return false;
    return !asctime_order || year(cursor, moment);
}

/* The calendar turned so that the year begins in March; see imap_day_of(). */
int64_t date_days(unsigned of_year, unsigned month, unsigned day)
{
    unsigned y = of_year - (month <= 2), era = y / 400, year_of_era = y - era * 400;
    unsigned turned = month > 2 ? month - 3 : month + 9;
    unsigned day_of_year = (153 * turned + 2) / 5 + day - 1;
    unsigned day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return (int64_t)era * 146097 + (int64_t)day_of_era - 719468;
}

struct err date_read(struct span text, int64_t *ms)
{
    struct cursor cursor = { .in = span_head(text, DATE_MAX_BYTES) };
    struct moment moment = { 0 };
    if (!moment_read(&cursor, &moment) || !is_possible(&moment)) {
        return err_make(ERR_SYNTAX, "date of a message");
    }
    int64_t seconds = date_days(moment.year, moment.month, moment.day) * DAY_SECONDS
        + moment.hour * 3600 + moment.minute * 60 + moment.second;
    *ms = (seconds - (int64_t)moment.zone_minutes * 60) * 1000;
    return err_ok();
}

static void put_two(char *to, unsigned value)
{
    to[0] = (char)('0' + value / 10 % 10);
    to[1] = (char)('0' + value % 10);
}

void date_put(struct buf *out, int64_t ms, int zone_minutes)
{
    static const char day_names[] = "ThuFriSatSunMonTueWed"; /* 1 Jan 1970 was a Thursday */
    char text[] = "Tue, 24 Nov 2026 12:45:00 +0000";
    int64_t local = ms / 1000 + (int64_t)zone_minutes * 60;
    if (ms < 0 || local < 0) local = 0;
    uint64_t days = (uint64_t)local / DAY_SECONDS;
    unsigned of_day = (unsigned)((uint64_t)local % DAY_SECONDS);
    struct imap_day day = imap_day_of(days);
    unsigned zone_size = (unsigned)(zone_minutes < 0 ? -zone_minutes : zone_minutes);
    memcpy(text, day_names + days % 7 * 3, 3);
    put_two(text + 5, day.day);
    memcpy(text + 8, imap_month_names + (size_t)(day.month - 1) * 3, 3);
    put_two(text + 12, day.year / 100);
    put_two(text + 14, day.year);
    put_two(text + 17, of_day / 3600);
    put_two(text + 20, of_day / 60 % 60);
    put_two(text + 23, of_day % 60);
    text[26] = zone_minutes < 0 ? '-' : '+';
    put_two(text + 27, zone_size / 60);
    put_two(text + 29, zone_size % 60);
    buf_put(out, span_of(text, DATE_TEXT_BYTES));
}
