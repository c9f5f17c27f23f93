/* login_throttle.h: how long a failed log-in is kept waiting. Pure: the time is an argument. */
#ifndef MAIL_LOGIN_THROTTLE_H
#define MAIL_LOGIN_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct login_throttle_options {
    uint64_t delay_first_ms; /* after the first failure; doubles with each further one */
    uint64_t delay_max_ms;
    uint32_t failures_max;   /* after which the session is closed */
};

/* One per session; all zero at first. */
struct login_throttle {
    uint32_t failures;
    uint64_t quiet_until_ms;
};

/* Counts a failure at `now_ms`. Returns until when its reply is held back. */
uint64_t login_throttle_failed(struct login_throttle *throttle,
                               const struct login_throttle_options *options, uint64_t now_ms);

/* A log-in that worked takes everything back. */
void login_throttle_worked(struct login_throttle *throttle);

/* Whether a new attempt has to wait still; whether the session has used up its attempts. */
bool login_throttle_waits(const struct login_throttle *throttle, uint64_t now_ms);
bool login_throttle_is_over(const struct login_throttle *throttle,
                            const struct login_throttle_options *options);

#ifdef __cplusplus
}
#endif
#endif
