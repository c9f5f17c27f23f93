/* scan_stamp.h: the mark that mail has been through the scanner. The store refuses mail without.
 *
 * Format, version 1, 26 bytes, integers little-endian:
 *   version u8 = 1 | verdict u8 (Verdict of scan.proto) | why u8 (SCAN_WHY_*) | reserved u8 = 0
 *   scanned_ms u64 | signatures_ms u64 | engine u32 (CRC-32C of the engine's version text)
 *   parts_removed u16 */
#ifndef MAIL_SCAN_STAMP_H
#define MAIL_SCAN_STAMP_H

#include <stdint.h>

#include "err.h"
#include "span.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SCAN_STAMP_BYTES = 26, SCAN_STAMP_VERSION = 1 };

/* Persisted. */
enum scan_why {
    SCAN_WHY_SCANNED = 0,
    SCAN_WHY_OFF = 1,   /* an administrator switched the scanner off (scan.enabled) */
    SCAN_WHY_OURS = 2,  /* made by this system (bounce, warning) from parts that hold no mail */
    SCAN_WHY_OPEN = 3,  /* no verdict, and an administrator chose to let mail pass */
};

struct scan_stamp {
    uint8_t verdict, why;
    uint64_t scanned_ms, signatures_ms;
    uint32_t engine;
    uint16_t parts_removed;
};

void scan_stamp_write(const struct scan_stamp *stamp, char to[SCAN_STAMP_BYTES]);

/* ERR_SYNTAX when it is none; ERR_UNSUPPORTED for a newer version. */
MUST_USE struct err scan_stamp_read(struct span bytes, struct scan_stamp *ret);

/* Whether the store may take mail with it: CLEAN or UNCHECKABLE when scanned, or one of the other
 * reasons. */
int scan_stamp_lets_in(const struct scan_stamp *stamp);

#ifdef __cplusplus
}
#endif
#endif
