/* log_line.h: events as lines. Pure. */
#ifndef MAIL_LOG_LINE_H
#define MAIL_LOG_LINE_H

#include "buf.h"
#include "log.h"

#ifdef __cplusplus
extern "C" {
#endif

struct log_row {
    const char *name, *keys, *text;
    enum log_name log;
    enum log_level level;
    unsigned count;
};
extern const struct log_row log_rows[LOG_EVENTS];

/* "mail", "warning". */
const char *log_name_text(enum log_name name);
/* False: none of them. */
bool log_name_read(struct span text, enum log_name *ret);
const char *log_level_text(enum log_level level);

struct log_line {
    enum log_event event;
    const uint8_t *trace; /* LOG_TRACE_BYTES, or NULL */
    const struct log_value *values;
    size_t count;         /* as in the row */
    const char *program;
    uint64_t wall_ms;
};

/* Appends a line with its LF; at most LOG_LINE_MAX_BYTES, for which there is room. */
void log_line_json(const struct log_line *line, struct buf *to);
void log_line_text(const struct log_line *line, struct buf *to);

#ifdef __cplusplus
}
#endif
#endif
