/* checkpoint_rate.h: how fast checkpoints leave a node, all of them together (pure). */
#ifndef MAIL_CHECKPOINT_RATE_H
#define MAIL_CHECKPOINT_RATE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CHECKPOINT_BURST_MS = 100 }; /* of unused time is made up for */

struct checkpoint_rate {
    uint64_t bytes_per_s; /* 0: no limit */
    uint64_t paid_us;     /* until then what was sent keeps the line busy */
};

/* `bytes` are sent at `now_ms`; how long the next ones have to wait. */
uint64_t checkpoint_rate_wait_ms(struct checkpoint_rate *rate, uint64_t bytes, uint64_t now_ms);

#ifdef __cplusplus
}
#endif
#endif
