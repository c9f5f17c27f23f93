/* A stamp that is read is written as the same bytes, but for what is reserved; only whole ones of a
 * known version are read. */
#include <stdint.h>
#include <string.h>

#include "check.h"
#include "scan_stamp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct scan_stamp stamp;
    char again[SCAN_STAMP_BYTES];
    struct err err = scan_stamp_read(span_of(data, size), &stamp);
    CHECK(err.code == ERR_OK || err.code == ERR_SYNTAX || err.code == ERR_UNSUPPORTED);
    if (err.code != ERR_OK) return 0;
    CHECK(size == SCAN_STAMP_BYTES && data[0] == SCAN_STAMP_VERSION);
    scan_stamp_write(&stamp, again);
    CHECK(memcmp(again, data, size) == 0);
    (void)scan_stamp_lets_in(&stamp);
    return 0;
}
