/* roster_words_private.h: the words of the rows, for reading and writing. */
#ifndef MAIL_ROSTER_WORDS_PRIVATE_H
#define MAIL_ROSTER_WORDS_PRIVATE_H

#include "roster.h"

static const char *const __attribute__((unused)) roster_state_words[] = {
    [ROSTER_ACTIVE] = "active", [ROSTER_DRAINING] = "draining", [ROSTER_DEAD] = "dead"
};
static const char *const __attribute__((unused)) roster_how_words[] = {
    [ROSTER_BOOTSTRAP] = "bootstrap",
    [ROSTER_TAKEOVER] = "takeover",
    [ROSTER_TRANSFER] = "transfer",
    [ROSTER_FORCED] = "forced",
};
static const char *const __attribute__((unused)) roster_kind_words[] = {
    [ROSTER_FRONTEND] = "frontend",
    [ROSTER_STORAGE_NODE] = "storage-node",
    [ROSTER_SCANNER] = "scanner",
    [ROSTER_ROUTER] = "router",
};
enum { ROSTER_STATE_WORDS = 3, ROSTER_HOW_WORDS = 4 };

#endif
