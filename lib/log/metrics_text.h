/* metrics_text.h: lines in Prometheus' text form (version 0.0.4), for what is looked up when it is
 * asked for. Pure. */
#ifndef MAIL_METRICS_TEXT_H
#define MAIL_METRICS_TEXT_H

#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct buf;

struct metrics_text {
    struct span prefix; /* of every name, like "godwit_scanner_" */
    struct buf *to;     /* its owner looks at `overflow` at the end */
};

/* Before the values of a name. `kind`: "counter" or "gauge". */
void metrics_text_head(const struct metrics_text *text, const char *name, const char *kind,
                       const char *help);

/* A value. `labels`: what stands between the braces, `method="append",status="ok"`; empty: none.
 * Values of labels are ours, or went through metrics_text_label(). */
void metrics_text_number(const struct metrics_text *text, const char *name, const char *labels,
                         int64_t value);
/* Microseconds, shown as seconds. */
void metrics_text_us(const struct metrics_text *text, const char *name, const char *labels,
                     int64_t us);

/* One name with one value and no label, head and all. */
struct metrics_single {
    const char *name, *kind, *help;
    int64_t value;
};
void metrics_text_single(const struct metrics_text *text, const struct metrics_single *single);

/* Writes `name="value"`, with what must not stand there, in a value from outside, replaced by "_".
 * Ends in a NUL; a long value is cut. */
enum { METRICS_LABEL_BYTES = 160 };
void metrics_text_label(const char *name, struct span value, char to[METRICS_LABEL_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
