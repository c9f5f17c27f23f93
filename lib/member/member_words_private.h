/* member_words_private.h: the words of the rows, for reading and writing. */
#ifndef MAIL_MEMBER_WORDS_PRIVATE_H
#define MAIL_MEMBER_WORDS_PRIVATE_H

#include "member.h"

static const char *const member_state_words[] = {
    [MEMBER_ACTIVE] = "active", [MEMBER_DRAINING] = "draining", [MEMBER_DEAD] = "dead"
};
static const char *const member_how_words[] = {
    [MEMBER_BOOTSTRAP] = "bootstrap",
    [MEMBER_TAKEOVER] = "takeover",
    [MEMBER_TRANSFER] = "transfer",
};
enum { MEMBER_STATE_WORDS = 3, MEMBER_HOW_WORDS = 3 };

#endif
