/* scanner_updater.h: runs the program that brings new signatures, now and then. One loop. */
#ifndef MAIL_SCANNER_UPDATER_H
#define MAIL_SCANNER_UPDATER_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct scanner_updater;

enum { SCANNER_UPDATE_MAX_MS = 600000 }; /* then it is killed */

struct scanner_updater_options {
    const char *program;   /* run with `folder` as its one argument, without a shell */
    const char *folder;
    uint64_t every_ms;     /* from one start to the next */
    /* A run has ended. `why` is empty when all is well. Not within a call of ours. */
    void (*ended)(void *holder, struct span why);
    void *holder;
};

/* Runs it for the first time on a later turn. What `options` refers to outlives it. */
MUST_USE struct err scanner_updater_open(struct loop *loop,
                                         const struct scanner_updater_options *options,
                                         struct scanner_updater **ret);
/* Counted from the last start. Takes NULL, as does the next. */
void scanner_updater_set_every(struct scanner_updater *updater, uint64_t every_ms);
/* Kills what runs, and waits for its end; ended() is not called. */
void scanner_updater_close(struct scanner_updater *updater);

#ifdef __cplusplus
}
#endif
#endif
