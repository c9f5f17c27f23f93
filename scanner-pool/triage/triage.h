/* triage.h: which message is scanned next, and which is given up. Pure.
 *
 * Messages wait in the order of coming; one that lost its worker goes to the front. Each has a
 * deadline, and how many engines' answers it still lacks. */
#ifndef MAIL_TRIAGE_H
#define MAIL_TRIAGE_H

#include <stdint.h>

#include "err.h"
#include "list.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    TRIAGE_ATTEMPTS_MAX = 2,     /* a message that ended two workers gets no verdict */
    TRIAGE_WAITING_MAX = 65536,
};

/* Bits: the engines. Rules and sender authentication come beside it. */
enum { TRIAGE_ENGINE_CLAMAV = 1, TRIAGE_ENGINES_ALL = TRIAGE_ENGINE_CLAMAV };

struct triage_item {
    struct list link;        /* private */
    uint64_t deadline_ms;    /* clock_boot_ms */
    uint32_t outstanding;    /* engines that have not answered */
    uint32_t running;        /* of them, those at work */
    unsigned attempts;       /* that were begun with the engine that was asked last */
};

struct triage {
    struct list waiting;
    unsigned waiting_count, waiting_max;
};

/* At most `waiting_max` (1 to TRIAGE_WAITING_MAX) wait at a time. */
void triage_init(struct triage *triage, unsigned waiting_max);

/* Puts a message at the end. ERR_BUSY: too many wait; ERR_TIMEOUT: its deadline has passed. */
MUST_USE struct err triage_add(struct triage *triage, struct triage_item *item,
                               uint64_t deadline_ms, uint64_t now_ms);

/* The next message to scan; it no longer waits and its engines are running. NULL: none waits. Does
 * not look at deadlines: the shell has a timer for each and calls triage_remove. */
struct triage_item *triage_take(struct triage *triage);

/* A taken message was not begun after all (no worker was free): it is the next one again and the
 * attempt does not count. */
void triage_put_back(struct triage *triage, struct triage_item *item);

/* A taken message got no answer. ERR_TIMEOUT: its deadline has passed; ERR_UNKNOWN: it has had its
 * attempts; else it is the next one to be taken, even when the queue is full. */
MUST_USE struct err triage_again(struct triage *triage, struct triage_item *item, uint64_t now_ms);

/* `engine` has answered. Returns the engines that have not. */
uint32_t triage_answered(struct triage_item *item, uint32_t engine);

/* Takes a message out if it waits. */
void triage_remove(struct triage *triage, struct triage_item *item);

#ifdef __cplusplus
}
#endif
#endif
