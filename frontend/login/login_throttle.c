#include "login_throttle.h"

uint64_t login_throttle_failed(struct login_throttle *throttle,
                               const struct login_throttle_options *options, uint64_t now_ms)
{
    uint64_t delay_ms = options->delay_first_ms;
    for (uint32_t i = 0; i < throttle->failures && delay_ms < options->delay_max_ms; i++) {
        delay_ms = delay_ms > options->delay_max_ms / 2 ? options->delay_max_ms : delay_ms * 2;
    }
    if (delay_ms > options->delay_max_ms) delay_ms = options->delay_max_ms;
    if (throttle->failures < UINT32_MAX) throttle->failures++;
    throttle->quiet_until_ms = now_ms > UINT64_MAX - delay_ms ? UINT64_MAX : now_ms + delay_ms;
    return throttle->quiet_until_ms;
}

void login_throttle_worked(struct login_throttle *throttle)
{
    *throttle = (struct login_throttle){ 0 };
}

bool login_throttle_waits(const struct login_throttle *throttle, uint64_t now_ms)
{
    return now_ms < throttle->quiet_until_ms;
}

bool login_throttle_is_over(const struct login_throttle *throttle,
                            const struct login_throttle_options *options)
{
    return throttle->failures >= options->failures_max;
}
