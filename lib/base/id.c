#include "id.h"

#include <string.h>
#include <sys/random.h>

#include "check.h"

void id_random(void *bytes, size_t size)
{
    char *at = bytes;
    while (size > 0) {
        size_t want = size < 256 ? size : 256; /* never interrupted up to 256 (getrandom(2)) */
        CHECK(getrandom(at, want, 0) == (ssize_t)want);
        at += want;
        size -= want;
    }
}

void id_hex(const void *bytes, size_t size, char *text)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = bytes;
    for (size_t i = 0; i < size; i++) {
        text[2 * i] = digits[from[i] >> 4];
        text[2 * i + 1] = digits[from[i] & 15];
    }
}

void id_operation(uint64_t wall_ms, uint8_t id[OPERATION_ID_BYTES])
{
    uint32_t seconds = (uint32_t)(wall_ms / 1000);
    for (int i = 0; i < 4; i++) id[i] = (uint8_t)(seconds >> (24 - 8 * i));
    id_random(id + 4, OPERATION_ID_BYTES - 4);
}
