#include "checkpoint_rate.h"

enum { US_PER_MS = 1000, US_PER_S = 1000000 };

uint64_t checkpoint_rate_wait_ms(struct checkpoint_rate *rate, uint64_t bytes, uint64_t now_ms)
{
    uint64_t now_us = now_ms * US_PER_MS, burst_us = CHECKPOINT_BURST_MS * US_PER_MS;
    if (rate->bytes_per_s == 0) return 0;
    if (rate->paid_us + burst_us < now_us) rate->paid_us = now_us - burst_us;
    rate->paid_us += bytes * US_PER_S / rate->bytes_per_s;
    return rate->paid_us <= now_us ? 0 : (rate->paid_us - now_us) / US_PER_MS;
}
