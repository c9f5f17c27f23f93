/* clock.h: the two clocks. Only shells read them; pure rooms are given the time. */
#ifndef MAIL_CLOCK_H
#define MAIL_CLOCK_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Milliseconds since boot, sleep included (CLOCK_BOOTTIME): for waits, deadlines, leases. */
uint64_t clock_boot_ms(void);

/* Microseconds of a clock that never jumps: for measuring how long something took. */
uint64_t clock_measure_us(void);

/* Milliseconds since 1970 UTC: for what is shown or stored, never for ordering or waits. */
uint64_t clock_wall_ms(void);

#ifdef __cplusplus
}
#endif
#endif
