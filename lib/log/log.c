#include "log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "clock.h"
#include "log_file.h"
#include "log_line.h"
#include "log_ring_private.h"

enum {
    PROGRAM_BYTES = 64,
    ENTRY_HEAD_BYTES = 3, /* file u8 | length u16 in the machine's order */
    STDERR_FILE = LOG_FILES,
    GATHER_BYTES = 64 * 1024, /* lines of one file that are written at once */
};

/* Lines wait in two halves: callers fill one while the thread writes the other out. */
struct log_half {
    char *bytes;
    size_t len;
};

struct log {
    struct log_files files; /* the thread's */
    char program[PROGRAM_BYTES];
    enum log_stderr to_stderr;
    enum log_format format;
    unsigned level; /* atomic */
    uint64_t lost;  /* atomic */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t more, written;
    /* Under `lock`. */
    struct log_half halves[2];
    unsigned filling;       /* which of them */
    uint64_t taken, done;   /* turns of the thread that have begun and ended */
    bool sleeps, stops, reopens;
    struct log_ring recent[LOG_NAMES];
    uint64_t number;        /* of the last line */
    uint64_t rotate_bytes;  /* for files from the next turn on */
    unsigned rotate_keep;
    /* The thread's. */
    uint64_t lost_said;
    bool is_broken; /* a file could not be written in this turn */
    char *gather;   /* GATHER_BYTES */
};

/* The one sink of the program. */
static struct log *log_sink;

static struct log *sink(void) { return __atomic_load_n(&log_sink, __ATOMIC_ACQUIRE); }

/* ---- the thread */

static void write_out(struct log *log, unsigned which, struct span lines)
{
    if (lines.len == 0) return;
    if (which != STDERR_FILE) {
        struct err err = log_files_write(&log->files, which, lines);
        if (err.code == ERR_OK) return;
        log->is_broken = true;
        for (size_t i = 0; i < lines.len; i++) {
            if (lines.ptr[i] == '\n') __atomic_fetch_add(&log->lost, 1, __ATOMIC_RELAXED);
        }
        return;
    }
    while (lines.len > 0) {
        ssize_t n = write(STDERR_FILENO, lines.ptr, lines.len);
        if (n <= 0) return; /* nobody reads it */
        lines = span_skip(lines, (size_t)n);
    }
}

/* Writes the lines of one file that lie in a half, as many at once as `gather` holds. */
static void write_file(struct log *log, const struct log_half *half, unsigned which)
{
    size_t gathered = 0;
    for (size_t at = 0; at < half->len;) {
        uint16_t len;
        memcpy(&len, half->bytes + at + 1, sizeof(len));
        const char *line = half->bytes + at + ENTRY_HEAD_BYTES;
        bool is_of_it = (uint8_t)half->bytes[at] == which;
        at += ENTRY_HEAD_BYTES + len;
        if (!is_of_it) continue;
        if (gathered + len > GATHER_BYTES) {
            write_out(log, which, span_of(log->gather, gathered));
            gathered = 0;
        }
        memcpy(log->gather + gathered, line, len);
        gathered += len;
    }
    write_out(log, which, span_of(log->gather, gathered));
}

static void write_half(struct log *log, struct log_half *half)
{
    for (unsigned which = 0; which <= STDERR_FILE; which++) write_file(log, half, which);
    half->len = 0;
}

/* Not while files can't be written: that line would be lost too, and be said again. */
static void say_lost(struct log *log)
{
    uint64_t lost = __atomic_load_n(&log->lost, __ATOMIC_RELAXED);
    if (lost == log->lost_said || log->is_broken) return;
    const struct log_value value = log_number(lost - log->lost_said);
    log->lost_said = lost;
    log_event(LOG_EVENT_LINES_LOST, NULL, &value, 1);
}

static void *log_run(void *arg)
{
    struct log *log = arg;
    pthread_mutex_lock(&log->lock);
    for (;;) {
        struct log_half *half = &log->halves[log->filling];
        if (half->len == 0 && !log->reopens) {
            if (log->stops) break;
            log->sleeps = true;
            pthread_cond_wait(&log->more, &log->lock);
            log->sleeps = false;
            continue;
        }
        bool reopens = log->reopens;
        log->reopens = false;
        log->filling ^= 1;
        log->taken++;
        log->files.rotate_bytes = log->rotate_bytes;
        log->files.rotate_keep = log->rotate_keep;
        pthread_mutex_unlock(&log->lock);
        log->is_broken = false;
        if (reopens) log_files_close(&log->files);
        write_half(log, half);
        say_lost(log);
        pthread_mutex_lock(&log->lock);
        log->done = log->taken;
        pthread_cond_broadcast(&log->written);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

/* ---- lines in */

static void half_put(struct log_half *half, unsigned which, struct span line)
{
    uint16_t len = (uint16_t)line.len;
    half->bytes[half->len] = (char)which;
    memcpy(half->bytes + half->len + 1, &len, sizeof(len));
    memcpy(half->bytes + half->len + ENTRY_HEAD_BYTES, line.ptr, line.len);
    half->len += ENTRY_HEAD_BYTES + line.len;
}

/* Under the lock. Numbers are of the clock, so that those of the next start are higher. */
static void put_recent(struct log *log, enum log_name name, uint64_t wall_ms, struct span json)
{
    uint64_t number = wall_ms * 1000;
    log->number = number > log->number ? number : log->number + 1;
    log_ring_put(&log->recent[name], log->number, span_head(json, json.len - 1));
}

/* Both lines of an event are kept, or both are lost. */
static void put_lines(struct log *log, const struct log_line *line, struct span json,
                      struct span text)
{
    enum log_name name = log_rows[line->event].log;
    pthread_mutex_lock(&log->lock);
    put_recent(log, name, line->wall_ms, json);
    struct log_half *half = &log->halves[log->filling];
    struct span shown = log->to_stderr == LOG_STDERR_JSON ? json : text;
    size_t need = json.len + text.len + shown.len + (size_t)3 * ENTRY_HEAD_BYTES;
    if (LOG_BUFFER_BYTES / 2 - half->len < need) {
        __atomic_fetch_add(&log->lost, 1, __ATOMIC_RELAXED);
    } else {
        if (log->files.directory[0] != '\0') {
            if (log->format != LOG_FORMAT_JSON) half_put(half, name, text);
            if (log->format != LOG_FORMAT_TEXT) half_put(half, LOG_FILE_EVENTS, json);
        }
        if (log->to_stderr != LOG_STDERR_NONE) half_put(half, STDERR_FILE, shown);
    }
    if (log->sleeps) pthread_cond_signal(&log->more);
    pthread_mutex_unlock(&log->lock);
}

void log_event(enum log_event event, const uint8_t *trace, const struct log_value *values,
               size_t count)
{
    char bytes[2 * LOG_LINE_MAX_BYTES];
    struct log *log = sink();
    const struct log_row *row = &log_rows[event];
    CHECK(count == row->count);
    if (log == NULL || row->level > __atomic_load_n(&log->level, __ATOMIC_RELAXED)) return;
    const struct log_line line = { .event = event, .trace = trace, .values = values,
                                   .count = count, .program = log->program,
                                   .wall_ms = clock_wall_ms() };
    struct buf to;
    buf_init(&to, bytes, sizeof(bytes));
    log_line_json(&line, &to);
    size_t json_len = to.len;
    log_line_text(&line, &to);
    put_lines(log, &line, span_of(bytes, json_len), span_of(bytes + json_len, to.len - json_len));
}

/* ---- life */

/* Under the lock, or before the thread runs. */
static void take_options(struct log *log, const struct log_options *options)
{
    log->format = options->format;
    log->rotate_bytes = options->rotate_bytes;
    log->rotate_keep = options->rotate_keep < LOG_KEEP_MAX ? options->rotate_keep : LOG_KEEP_MAX;
    __atomic_store_n(&log->level, (unsigned)options->level, __ATOMIC_RELAXED);
}

static void log_free(struct log *log)
{
    log_files_close(&log->files);
    free(log->halves[0].bytes);
    free(log->halves[1].bytes);
    for (unsigned i = 0; i < LOG_NAMES; i++) log_ring_free(&log->recent[i]);
    free(log->gather);
    free(log);
}

static struct err log_make(const struct log_options *options, struct log **ret)
{
    struct log *log = calloc(1, sizeof(*log));
    if (log == NULL) return err_make(ERR_NOMEM, "log");
    struct err err = log_files_init(&log->files, options->directory);
    if (err.code == ERR_OK) {
        log->halves[0].bytes = malloc(LOG_BUFFER_BYTES / 2);
        log->halves[1].bytes = malloc(LOG_BUFFER_BYTES / 2);
        log->gather = malloc(GATHER_BYTES);
        if (log->halves[0].bytes == NULL || log->halves[1].bytes == NULL || log->gather == NULL) {
            err = err_make(ERR_NOMEM, "log");
        }
    }
    if (err.code != ERR_OK) {
        log_free(log);
        return err;
    }
    size_t len = strlen(options->program);
    memcpy(log->program, options->program, len < PROGRAM_BYTES ? len : PROGRAM_BYTES - 1);
    log->to_stderr = options->to_stderr;
    take_options(log, options);
    *ret = log;
    return err_ok();
}

struct err log_start(const struct log_options *options)
{
    struct log *log = NULL;
    sigset_t all, before;
    CHECK(sink() == NULL);
    TRY(log_make(options, &log));
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->more, NULL);
    pthread_cond_init(&log->written, NULL);
    /* Signals are for the program's other threads. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&log->thread, NULL, log_run, log);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (number != 0) {
        log_free(log);
        return err_make_detail(ERR_NOMEM, number, "thread of the log");
    }
    __atomic_store_n(&log_sink, log, __ATOMIC_RELEASE);
    return err_ok();
}

void log_stop(void)
{
    struct log *log = sink();
    if (log == NULL) return;
    pthread_mutex_lock(&log->lock);
    log->stops = true;
    pthread_cond_signal(&log->more);
    pthread_mutex_unlock(&log->lock);
    pthread_join(log->thread, NULL);
    __atomic_store_n(&log_sink, NULL, __ATOMIC_RELEASE);
    pthread_mutex_destroy(&log->lock);
    pthread_cond_destroy(&log->more);
    pthread_cond_destroy(&log->written);
    log_free(log);
}

void log_configure(const struct log_options *options)
{
    struct log *log = sink();
    if (log == NULL) return;
    pthread_mutex_lock(&log->lock);
    take_options(log, options);
    pthread_mutex_unlock(&log->lock);
}

void log_reopen(void)
{
    struct log *log = sink();
    if (log == NULL) return;
    pthread_mutex_lock(&log->lock);
    log->reopens = true;
    pthread_cond_signal(&log->more);
    pthread_mutex_unlock(&log->lock);
}

static bool is_written(const struct log *log)
{
    return log->halves[log->filling].len == 0 && !log->reopens && log->done == log->taken;
}

void log_flush(void)
{
    struct log *log = sink();
    if (log == NULL) return;
    pthread_mutex_lock(&log->lock);
    while (!is_written(log)) pthread_cond_wait(&log->written, &log->lock);
    pthread_mutex_unlock(&log->lock);
}

void log_flush_within(unsigned wait_ms)
{
    struct log *log = sink();
    struct timespec until;
    if (log == NULL) return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += wait_ms / 1000 + 1; /* rounded up: nobody counts on the moment */
    pthread_mutex_lock(&log->lock);
    while (!is_written(log)) {
        if (pthread_cond_timedwait(&log->written, &log->lock, &until) != 0) break;
    }
    pthread_mutex_unlock(&log->lock);
}

uint64_t log_lost(void)
{
    struct log *log = sink();
    return log == NULL ? 0 : __atomic_load_n(&log->lost, __ATOMIC_RELAXED);
}

void log_recent_put(const struct log_recent *ask, struct buf *to)
{
    struct log *log = sink();
    if (log == NULL) {
        const struct log_ring none = { .bytes = NULL };
        log_ring_read(&none, ask, to);
        return;
    }
    pthread_mutex_lock(&log->lock);
    log_ring_read(&log->recent[ask->name], ask, to);
    pthread_mutex_unlock(&log->lock);
}
