/* log.h: what happened, for people and programs: events with fixed keys, in eight logs.
 *
 * An event becomes a line of JSON in DIRECTORY/events.json and a line for people in the file of its
 * log, DIRECTORY/mail.log and so on:
 *
 *   {"time":"2026-11-24T13:05:09.123Z","level":"info","log":"mail","event":"mail-received",
 *    "program":"frontend-1","trace":"0123...","sender":"a@example.org",...}
 *   [24/Nov/2026 13:05:09] Recv: Queue-ID: ..., From: <a@example.org>, ...
 *
 * Whatever a value holds, it stays within its line and its place: control characters and broken
 * UTF-8 are replaced, quotes escaped. A caller never waits for a disk: lines go into a buffer that
 * a thread writes out; when it is full they are lost, counted, and LINES_LOST says so.
 *
 * There is one sink in a program: main starts and stops it; before and after, events go nowhere.
 * Thread-safe but for those two. Programs may share a directory: lines are appended whole, and full
 * files are put aside by one of them at a time (log_file.h). */
#ifndef MAIL_LOG_H
#define MAIL_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    LOG_LINE_MAX_BYTES = 8192,   /* longer ones are cut, and say so */
    LOG_VALUE_MAX_BYTES = 2048,  /* of one value; the rest is cut */
    LOG_BUFFER_BYTES = 4 << 20,
    LOG_TRACE_BYTES = 16,
    LOG_KEEP_MAX = 1000,
    LOG_RECENT_BYTES = 256 * 1024, /* of the newest lines of each log, for log_recent() */
    LOG_RECENT_LINES_MAX = 1000,   /* of one answer */
};

struct buf;

enum log_name {
    LOG_CONFIG, LOG_DEBUG, LOG_ERROR, LOG_MAIL, LOG_OPERATIONS, LOG_SECURITY, LOG_SPAM,
    LOG_WARNING, LOG_NAMES
};

/* In the order of conf's log.level. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* LOG_EVENT_VIRUS_FOUND and so on. */
enum log_event {
#define LOG_EVENT(name, text, log, level, count, keys, line) LOG_EVENT_##name,
#include "log_events.def"
#undef LOG_EVENT
    LOG_EVENTS
};
/* How many values each has. */
enum {
#define LOG_EVENT(name, text, log, level, count, keys, line) LOG_VALUES_##name = (count),
#include "log_events.def"
#undef LOG_EVENT
};

enum log_stderr { LOG_STDERR_NONE, LOG_STDERR_TEXT, LOG_STDERR_JSON };
/* Which files are written, in the order of conf's log.format. */
enum log_format { LOG_FORMAT_BOTH, LOG_FORMAT_JSON, LOG_FORMAT_TEXT };

struct log_options {
    const char *directory;   /* made when missing; NULL: no files */
    const char *program;     /* "frontend-1" */
    enum log_stderr to_stderr;
    enum log_format format;
    enum log_level level;
    uint64_t rotate_bytes;   /* size at which a file is put aside; 0: never */
    unsigned rotate_keep;    /* files put aside that are kept, LOG_KEEP_MAX at most */
};

/* Begins to log. Not twice (CHECK). ERR_IO: the directory can't be used; ERR_NOMEM. */
MUST_USE struct err log_start(const struct log_options *options);
/* Writes what is in the buffer and ends. Harmless when it was not started. */
void log_stop(void);
/* New values of `format`, `level`, `rotate_bytes` and `rotate_keep`; all else stays. Waits for
 * nothing: files are put aside by the new values from the thread's next turn on. */
void log_configure(const struct log_options *options);
/* Opens all files anew, after somebody moved them away (SIGHUP). */
void log_reopen(void);
/* Waits until everything logged before is written: for ends of programs and for tests. */
void log_flush(void);
/* The same, but for `wait_ms` at most: for a program that ends because its disk failed. */
void log_flush_within(unsigned wait_ms);
/* Lines lost so far. */
uint64_t log_lost(void);

/* ---- what was logged last, from memory: lines that are below `level` or older than
 * LOG_RECENT_BYTES are not there. Each line has a number that rises; numbers of a later start of
 * the program are higher, unless the clock was put back. */

struct log_recent {
    enum log_name name;
    uint64_t after;     /* 0: the newest lines; else those with higher numbers, oldest first */
    unsigned lines_max; /* LOG_RECENT_LINES_MAX at most */
};

/* Appends {"events":[{line}, ...],"missed":bool,"next":number}: the lines as events.json has them,
 * oldest first, as many as have room; `next` is the number to go on after, and `missed` says that
 * lines behind `after` are not kept any more. */
void log_recent_put(const struct log_recent *ask, struct buf *to);

/* A value: a text, or a number. */
struct log_value {
    struct span text;
    uint64_t number;
    bool is_number;
};
static inline struct log_value log_text(struct span text)
{
    struct log_value value = { text, 0, false };
    return value;
}
static inline struct log_value log_words(const char *words)
{
    return log_text(span_of(words, strlen(words)));
}
static inline struct log_value log_number(uint64_t number)
{
    struct log_value value = { { NULL, 0 }, number, true };
    return value;
}

/* Logs an event with as many values as its row has keys. `trace` has LOG_TRACE_BYTES or is NULL.
 * By the macro, which counts:  LOG(VIRUS_FOUND, trace, log_text(sender), ...)  and LOG0 without. */
void log_event(enum log_event event, const uint8_t *trace, const struct log_value *values,
               size_t count);
#ifndef __cplusplus
#define LOG0(name, trace) log_event(LOG_EVENT_##name, (trace), NULL, 0)
#define LOG(name, trace, ...)                                                                \
    do {                                                                                     \
        const struct log_value log_values_[] = { __VA_ARGS__ };                              \
        _Static_assert(sizeof(log_values_) / sizeof(log_values_[0]) == LOG_VALUES_##name,    \
                       "values of a log event");                                             \
        log_event(LOG_EVENT_##name, (trace), log_values_, LOG_VALUES_##name);                \
    } while (0)
#endif

#ifdef __cplusplus
}
#endif
#endif
