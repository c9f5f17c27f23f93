/* scanner_reload.h: the shell of reload_step.h: looks at the folder of signatures, tells the
 * engines when to load it, and takes turns with the pool's other scanners (enlist.h). One loop. */
#ifndef MAIL_SCANNER_RELOAD_H
#define MAIL_SCANNER_RELOAD_H

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct crew;
struct engines;
struct enlist;
struct loop;
struct metrics_text;
struct scanner_reload;

enum {
    SCANNER_SETTLE_MS = 300, /* files are written one after the other */
    SCANNER_DETAIL_BYTES = 256,
};

struct scanner_reload_options {
    struct engines *engines;
    struct crew *crew;     /* reads the folder */
    const char *folder;
};

/* What `options` refers to outlives it. */
MUST_USE struct err scanner_reload_open(struct loop *loop,
                                        const struct scanner_reload_options *options,
                                        struct scanner_reload **ret);
/* The scanner is one of a pool from now on, NULL: is none any more. */
void scanner_reload_join(struct scanner_reload *reload, struct enlist *enlist);

/* There may be other files in the folder. */
void scanner_reload_look(struct scanner_reload *reload);
/* An operator wants the folder loaded, whatever is known of it. */
void scanner_reload_ask(struct scanner_reload *reload);
/* The engines or the pool's rows have changed. */
void scanner_reload_step(struct scanner_reload *reload);

/* Why what lies in the folder is not in use, in words; empty: it is. Until the loop turns. */
struct span scanner_reload_detail(struct scanner_reload *reload);
void scanner_reload_metrics(const struct scanner_reload *reload, const struct metrics_text *text);

/* Looks no more. Memory stays: a reading of the folder may be under way. Takes NULL. */
void scanner_reload_close(struct scanner_reload *reload);

#ifdef __cplusplus
}
#endif
#endif
