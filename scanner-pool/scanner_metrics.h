/* scanner_metrics.h: a scanner's own part of /metrics. */
#ifndef MAIL_SCANNER_METRICS_H
#define MAIL_SCANNER_METRICS_H

#ifdef __cplusplus
extern "C" {
#endif

struct engines;
struct metrics_text;

/* Appends what the engines are like: processes, the signatures. */
void scanner_metrics(const struct engines *engines, const struct metrics_text *text);

#ifdef __cplusplus
}
#endif
#endif
