/* id.h: random ids of 128 bits and their text form. */
#ifndef MAIL_ID_H
#define MAIL_ID_H

#include <stddef.h>
#include <stdint.h>

#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { ID_BYTES = 16, ID_TEXT_BYTES = 32, OPERATION_ID_BYTES = 16 };

/* Fills `size` bytes from the kernel's generator; ends the process when there is none. */
void id_random(void *bytes, size_t size);

/* Writes 2 * size lower-case hexadecimal digits to `text`, without a NUL. */
void id_hex(const void *bytes, size_t size, char *text);

/* An operation id: `u32 BE seconds since 1970 | 12 random bytes`. The time at its head says in
 * which bucket the shard keeps the first answer, so that a retry with the same id finds it. */
void id_operation(uint64_t wall_ms, uint8_t id[OPERATION_ID_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
