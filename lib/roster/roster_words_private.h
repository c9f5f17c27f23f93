/* roster_words_private.h: the words of the rows, for reading and writing. */
#ifndef MAIL_ROSTER_WORDS_PRIVATE_H
#define MAIL_ROSTER_WORDS_PRIVATE_H

#include "roster.h"

static const char *const roster_state_words[] = {
    [ROSTER_ACTIVE] = "active", [ROSTER_DRAINING] = "draining", [ROSTER_DEAD] = "dead"
};
static const char *const roster_how_words[] = {
    [ROSTER_BOOTSTRAP] = "bootstrap",
    [ROSTER_TAKEOVER] = "takeover",
    [ROSTER_TRANSFER] = "transfer",
};
enum { ROSTER_STATE_WORDS = 3, ROSTER_HOW_WORDS = 3 };

#endif
