/* signals.h: SIGTERM, SIGINT and SIGHUP as events of a loop. */
#ifndef MAIL_SIGNALS_H
#define MAIL_SIGNALS_H

#include "err.h"

#ifdef __cplusplus
extern "C" {
#endif

struct loop;
struct signals;

/* Calls `heard(holder, number)` on the loop for each of them, from now on. It does not keep the
 * loop running. One loop of a program does this. */
MUST_USE struct err signals_open(struct loop *loop, void (*heard)(void *holder, int number),
                                 void *holder, struct signals **ret);
/* The signals have their old effect again. Takes NULL. */
void signals_close(struct signals *signals);

#ifdef __cplusplus
}
#endif
#endif
