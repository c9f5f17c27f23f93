/* login_remake.h: a password that was just verified is stored anew when its hash was made at
 * another cost, or by another scheme, than the options ask for: only then is it at hand.
 *
 * It runs beside the session, which waits for nothing. Whatever fails, fails without a word: the
 * next log-in tries again. A row that somebody changed meanwhile is left alone. */
#ifndef MAIL_LOGIN_REMAKE_H
#define MAIL_LOGIN_REMAKE_H

#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

struct login_services;
struct login_subject;

enum {
    LOGIN_REMAKES_MAX = 16, /* under way on one loop; beyond it they wait for the next log-in */
    LOGIN_STORED_MAX_BYTES = 256,
};

/* `stored` is the hash that `password` fitted, in the version of the row that `subject` names. Both
 * are copied. */
void login_remake(const struct login_services *services, const struct login_subject *subject,
                  struct span stored, struct span password);

#ifdef __cplusplus
}
#endif
#endif
